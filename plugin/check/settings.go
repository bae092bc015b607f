package check

import (
	"strings"
)

// settings is a file of auditd's: "name = value more values", a line each. Names are in lower case.
type settings map[string]setting

type setting struct {
	values []string
	line   int
}

// badLine is the name under which the first line that auditd refuses is kept.
const badLine = ""

// maxLine is the longest line that auditd reads (auditd-config.c, audispd-pconfig.c: char buf[160], with its newline
// and the NUL); it skips longer ones.
const maxLine = 158

// parseSettings reads data as auditd does: words are separated by blanks and only those, and the = is a word of its own
// (auditd-config.c, audispd-pconfig.c: nv_split). What comes later wins.
func parseSettings(data []byte) settings {
	s := settings{}
	number := 0
	for line := range strings.Lines(string(data)) {
		number++
		line = strings.TrimSuffix(line, "\n")
		words := strings.FieldsFunc(line, func(c rune) bool { return c == ' ' })
		switch {
		case len(words) == 0 || strings.HasPrefix(words[0], "#"):
		case len(words) < 3 || words[1] != "=" || len(line) > maxLine:
			if _, found := s[badLine]; !found {
				s[badLine] = setting{[]string{line}, number}
			}
		default:
			s[strings.ToLower(words[0])] = setting{words[2:], number}
		}
	}
	return s
}

// get is the first value of name, "" if it is not set.
func (s settings) get(name string) string {
	if v, found := s[name]; found && name != badLine {
		return v.values[0]
	}
	return ""
}

// is compares as auditd does, without regard to case; a name that is not set is what it is by default.
func (s settings) is(name, value, byDefault string) bool {
	got := s.get(name)
	if got == "" {
		got = byDefault
	}
	return strings.EqualFold(got, value)
}
