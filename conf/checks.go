package conf

import (
	"fmt"
	"net/url"
	"path"
	"slices"
	"strconv"
	"strings"
)

// outputs checks the list of outputs.
func (r *reader) outputs(outputs []Output) {
	if len(outputs) == 0 {
		r.wrong("outputs", "is empty: nothing would be written; leave it out for %s", DefaultOutput)
	}
	names := map[string]int{}
	for i := range outputs {
		o := &outputs[i]
		at := fmt.Sprintf("outputs[%d]", i)
		r.output(o, at)
		if first, again := names[o.Name]; again {
			r.wrong(r.nearest(at+".name", at), "%s is also the name of outputs[%d]; give each output a name of its own", quoted(o.Name), first)
		}
		names[o.Name] = i
	}
	r.files(outputs)
}

// files checks that no two outputs write to one file: each would take the other's records for its own, and cut or rename
// them. Two spellings of a name are one file.
func (r *reader) files(outputs []Output) {
	paths := map[string]int{}
	for i := range outputs {
		f := outputs[i].File
		if f == nil {
			continue
		}
		at := fmt.Sprintf("outputs[%d]", i)
		at = r.nearest(at+".file.path", at)
		file := path.Clean(f.Path)
		if first, again := paths[file]; again {
			r.wrong(at, "%s is also written by outputs[%d]; give each output a file of its own", quoted(f.Path), first)
			continue
		}
		paths[file] = i
		for j := range outputs {
			if other := outputs[j].File; other != nil && other.rotates() && isOldOf(file, path.Clean(other.Path)) {
				r.wrong(at, "%s is what outputs[%d] calls an old file when it rotates; choose another name", quoted(f.Path), j)
			}
		}
	}
}

func (f *File) rotates() bool { return f.RotateBytes > 0 || f.RotateHours > 0 }

// isOldOf tells whether rotating file makes one of that name: file.N, file.N.gz, or what the latter is called until it is
// complete. N may be any number, because keep may be raised.
func isOldOf(name, file string) bool {
	rest, ok := strings.CutPrefix(name, file+".")
	if !ok {
		return false
	}
	number := strings.TrimSuffix(rest, ".gz")
	return rest == "gz.tmp" || number != "" && strings.Trim(number, "0123456789") == ""
}

// nearest is key if the file sets it, else the one around it.
func (r *reader) nearest(key, around string) string {
	if _, set := r.lines[key]; set {
		return key
	}
	return around
}

func (r *reader) output(o *Output, at string) {
	if !isName(o.Name) {
		r.wrong(at+".name", "%s is not a name; give one of letters, digits, \"-\" and \"_\"", quoted(o.Name))
	}
	r.oneOf(at+".format", string(o.Format), Formats...)
	r.oneOf(at+".style", string(o.Style), string(StyleField), string(StyleRecord))
	destinations := 0
	if o.File != nil {
		destinations++
		r.file(o.File, at+".file")
	}
	if o.Syslog != nil {
		destinations++
		r.syslog(o.Syslog, at+".syslog")
	}
	if o.Stdout != nil {
		destinations++
	}
	if destinations != 1 {
		r.wrong(at, "has %d destinations; give exactly one of file, syslog and stdout", destinations)
	}
	for i := range o.Filter {
		r.filter(&o.Filter[i], fmt.Sprintf("%s.filter[%d]", at, i))
	}
}

func isName(s string) bool {
	return s != "" && len(s) <= 64 && !strings.ContainsFunc(s, func(c rune) bool {
		return (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && c != '-' && c != '_'
	})
}

func (r *reader) file(f *File, at string) {
	r.outputPath(at+".path", f.Path)
	r.word(at+".group", f.Group, "a group; give a name or a number")
	if f.RotateBytes != 0 {
		r.between(at+".rotate_bytes", f.RotateBytes, 64<<10, 1<<40, "; 0 leaves it to others")
	}
	r.between(at+".rotate_hours", f.RotateHours, 0, 24*366, "")
	r.between(at+".keep", f.Keep, 1, 999, "")
}

// Names of facilities and severities (RFC 5424, 6.2.1), as syslog.conf(5) and logger(1) know them.
var (
	facilities = strings.Fields("kern user mail daemon auth syslog lpr news uucp cron authpriv ftp " +
		"local0 local1 local2 local3 local4 local5 local6 local7")
	severities = strings.Fields("emerg alert crit err warning notice info debug")
)

// leastMessage is what every receiver must take (RFC 5424, section 6.1).
const leastMessage = 480

// mostMessage is the longest message on the way to a receiver: over UDP what a datagram holds.
func mostMessage(to string) int {
	if strings.HasPrefix(to, "udp://") {
		return 65507
	}
	return 1 << 20
}

// endsTag reports whether a tag ends before c (RFC 3164), or cannot hold it (RFC 5424).
func endsTag(c rune) bool { return c <= ' ' || c > '~' || strings.ContainsRune("[]:", c) }

func (r *reader) syslog(s *Syslog, at string) {
	r.syslogTo(at+".to", s.To)
	if s.Protocol != "" {
		r.oneOf(at+".protocol", string(s.Protocol), string(ProtocolLocal), string(ProtocolFull))
	}
	r.oneOf(at+".facility", s.Facility, facilities...)
	r.oneOf(at+".severity", s.Severity, severities...)
	if s.Tag == "" || len(s.Tag) > 48 || strings.ContainsFunc(s.Tag, endsTag) {
		r.wrong(at+".tag", "%s is not a tag; give one word of at most 48 printable characters without \"[\", \"]\" and \":\"", quoted(s.Tag))
	}
	r.word(at+".hostname", s.Hostname, "a host name; give one word")
	if s.MaxBytes != 0 {
		r.between(at+".max_bytes", s.MaxBytes, leastMessage, mostMessage(s.To), "; 0 is what is usual")
	}
	for _, f := range []struct{ key, path string }{{".ca", s.CA}, {".certificate", s.Certificate}, {".key", s.Key}} {
		r.optionalPath(at+f.key, f.path, "such as /etc/audit/audisp-history.pem")
	}
	if (s.Certificate == "") != (s.Key == "") {
		r.wrong(at, "has only one of certificate and key; give both or none")
	}
	r.word(at+".server_name", s.ServerName, "a server name; give the one in the receiver's certificate")
	if tls := strings.HasPrefix(s.To, "tls://"); !tls && (s.CA != "" || s.Certificate != "" || s.ServerName != "") {
		r.wrong(at, "has ca, certificate or server_name, which are for tls:// only; to is %s", quoted(s.To))
	}
}

// schemes are the ways to a receiver.
var schemes = []string{"udp", "tcp", "tls"}

func (r *reader) syslogTo(key, to string) {
	if socket, ok := strings.CutPrefix(to, "unix:"); ok {
		r.socket(key, strings.TrimPrefix(socket, "//"))
		return
	}
	if !isReceiver(to) {
		r.wrong(key, "%s is no receiver; give unix:/dev/log, udp://host:514, tcp://host:601 or tls://host:6514", quoted(to))
	}
}

// mostSocket is how long the name of a socket can be (unix(7): sun_path).
const mostSocket = 107

func (r *reader) socket(key, name string) {
	switch {
	case name == "":
		r.wrong(key, "names no socket; give one, such as unix:/dev/log")
	case len(name) > mostSocket:
		r.wrong(key, "%s is too long for a socket's name, which has at most %d bytes; give a shorter one, such as unix:/dev/log", quoted(name), mostSocket)
	default:
		r.optionalPath(key, name, "such as unix:/dev/log")
	}
}

// isReceiver reports whether to is a scheme, a host and a port, and nothing else.
func isReceiver(to string) bool {
	scheme, rest, _ := strings.Cut(to, "://")
	if !slices.Contains(schemes, scheme) || strings.ContainsFunc(rest, func(c rune) bool { return c <= ' ' || c > '~' || strings.ContainsRune("/?#@", c) }) {
		return false
	}
	u, err := url.Parse(to)
	if err != nil || u.Hostname() == "" {
		return false
	}
	port, err := strconv.ParseUint(u.Port(), 10, 16)
	return err == nil && port > 0
}

func (r *reader) filter(rule *Rule, at string) {
	if (rule.Keep == nil) == (rule.Drop == nil) {
		r.wrong(at, "must have either keep or drop")
		return
	}
	m, at := rule.Keep, at
	if m == nil {
		m, at = rule.Drop, at+".drop"
	} else {
		at += ".keep"
	}
	if len(m.Key)+len(m.Type)+len(m.Syscall)+len(m.Exe)+len(m.Comm)+len(m.UID)+len(m.AUID) == 0 && m.Result == "" {
		r.wrong(at, "has no condition and would decide about every event; give some of: key, type, syscall, exe, comm, uid, auid, result")
	}
	if m.Result != "" {
		r.oneOf(at+".result", string(m.Result), string(ResultSuccess), string(ResultFailed))
	}
	r.named(at+".type", m.Type, isType, "is no record type; give one as in type=, such as USER_AUTH, or end it with * if this program is too old to know it")
	r.named(at+".syscall", m.Syscall, isSyscall, "is no system call; give its name, such as openat")
	r.users(at+".uid", m.UID)
	r.users(at+".auid", m.AUID)
}

// users checks user ids: numbers, as the records have them.
func (r *reader) users(key string, ids []string) {
	for i, id := range ids {
		if id == "unset" {
			continue
		}
		if _, err := strconv.ParseUint(id, 10, 32); err != nil {
			r.wrong(r.nearest(fmt.Sprintf("%s[%d]", key, i), key), "%s is not a user id; give a number, or unset", quoted(id))
		}
	}
}
