package auditlog

import (
	"bytes"
	"strings"
)

// Node is what auditd writes as node= on this host's records, as far as its configuration, the file conf, says: "" where
// it writes none, and where only a record shows what it comes to (name_format fqd and numeric).
func Node(conf, hostname string) string {
	data, err := readConf(conf)
	if err != nil {
		return ""
	}
	format, name := "", ""
	for line := range bytes.Lines(data) {
		if len(line) > maxConfLine || line[len(line)-1] != '\n' {
			continue
		}
		key, value, _ := strings.Cut(string(line), "=")
		switch strings.ToLower(strings.TrimSpace(key)) {
		case "name_format":
			format = strings.ToLower(strings.TrimSpace(value))
		case "name":
			name = strings.TrimSpace(value)
		}
	}
	switch format {
	case "hostname":
		return hostname
	case "user":
		return name
	}
	return ""
}
