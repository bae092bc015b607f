package conf

import (
	"fmt"
	"strings"
	"sync"

	"github.com/elastic/go-libaudit/v2/auparse"
)

// named checks the words of a condition: one that nothing is called would never match, and nobody would notice. What holds
// "*" is a pattern and may match anything.
func (r *reader) named(key string, words []string, is func(string) bool, what string) {
	for i, word := range words {
		if !strings.Contains(word, "*") && !is(word) {
			r.wrong(r.nearest(fmt.Sprintf("%s[%d]", key, i), key), "%s %s", quoted(word), what)
		}
	}
}

// isType tells whether records may have that type: auditd writes UNKNOWN[n] for those that it does not know, whether this
// program does or not.
func isType(word string) bool {
	if number, ok := strings.CutPrefix(word, "UNKNOWN["); ok {
		number, ok = strings.CutSuffix(number, "]")
		return ok && number != "" && strings.Trim(number, "0123456789") == ""
	}
	t, err := auparse.GetAuditMessageType(word)
	return err == nil && t.String() == word // the library takes small letters as well
}

// isSyscall tells whether some architecture has a system call of that name. A number is none: its meaning differs from one
// to another.
func isSyscall(word string) bool { return syscalls()[word] }

var syscalls = sync.OnceValue(func() map[string]bool {
	names := map[string]bool{"execv": true, "clone2": true} // of sparc and ia64, which the library lacks
	for _, table := range auparse.AuditSyscalls {
		for _, name := range table {
			names[name] = true
		}
	}
	return names
})
