package conf

// DefaultOutput is the file that records are appended to where nothing else is said.
const DefaultOutput = "/var/log/audisp-history/history.log"

// An Output is a format, a filter and a destination. It has exactly one of File, Syslog and Stdout.
type Output struct {
	// Name tells outputs apart, in status and in messages: letters, digits, "-" and "_".
	Name   string `yaml:"name"`
	Format Format `yaml:"format"`
	// Style is where a history stands in the format audit.
	Style  Style   `yaml:"style"`
	File   *File   `yaml:"file,omitempty"`
	Syslog *Syslog `yaml:"syslog,omitempty"`
	Stdout *Stdout `yaml:"stdout,omitempty"`
	// Everything writes also the events that are there only because of the history rules.
	Everything bool `yaml:"everything"`
	// Filter is what is kept and dropped; the first rule all of whose conditions hold decides.
	Filter []Rule `yaml:"filter,omitempty"`
}

// A File is appended to.
type File struct {
	// Path is its name, absolute, outside /var/log/audit.
	Path string `yaml:"path"`
	// Mode is its permissions when the program creates it, and Group its group, a name or a number; empty: the
	// program's own.
	Mode  Mode   `yaml:"mode"`
	Group string `yaml:"group"`
	// RotateBytes and RotateHours say when a new file is begun, 0: not by this program; Keep is how many old ones
	// stay, and Compress whether all but the newest of them are compressed.
	RotateBytes int  `yaml:"rotate_bytes"`
	RotateHours int  `yaml:"rotate_hours"`
	Keep        int  `yaml:"keep"`
	Compress    bool `yaml:"compress"`
}

// Stdout is standard output. It has nothing to set.
type Stdout struct{}

// Syslog is a syslog daemon, here or elsewhere.
type Syslog struct {
	// To is unix:/dev/log, udp://host:port, tcp://host:port or tls://host:port.
	To string `yaml:"to"`
	// Protocol is how the messages look; empty: rfc3164 for a local daemon, else rfc5424.
	Protocol Protocol `yaml:"protocol"`
	Facility string   `yaml:"facility"`
	Severity string   `yaml:"severity"`
	// Tag is the program's name in the messages, Hostname the machine's; empty: what the machine is called.
	Tag      string `yaml:"tag"`
	Hostname string `yaml:"hostname"`
	// MaxBytes is the longest message that the receiver takes; 0: what is usual for the way there.
	MaxBytes int `yaml:"max_bytes"`
	// CA, Certificate and Key are files in PEM for TLS; empty: the system's authorities, and no certificate of ours.
	CA          string `yaml:"ca"`
	Certificate string `yaml:"certificate"`
	Key         string `yaml:"key"`
	// ServerName is the name that the receiver's certificate must have; empty: the host of To.
	ServerName string `yaml:"server_name"`
}

// Format is how an event is written.
type Format string

// The formats.
const (
	FormatAudit  Format = "audit"  // auditd's own text
	FormatJSON   Format = "json"   // a JSON object a line
	FormatECS    Format = "ecs"    // the same, with the fields of the Elastic Common Schema
	FormatPretty Format = "pretty" // for people
)

// Formats lists them.
var Formats = []string{string(FormatAudit), string(FormatJSON), string(FormatECS), string(FormatPretty)}

// Style is where a history stands in the audit text.
type Style string

const (
	// StyleField appends history="…" to the record that names its process.
	StyleField Style = "field"
	// StyleRecord adds a record of type 1340 after the SYSCALL record, as the
	// kernel patch of 2023 did.
	StyleRecord Style = "record"
)

// Protocol is how a syslog message looks.
type Protocol string

const (
	// ProtocolLocal is RFC 3164, as local daemons expect it.
	ProtocolLocal Protocol = "rfc3164"
	// ProtocolFull is RFC 5424.
	ProtocolFull Protocol = "rfc5424"
)

// A Rule of a filter has either Keep or Drop.
type Rule struct {
	Keep *Match `yaml:"keep,omitempty"`
	Drop *Match `yaml:"drop,omitempty"`
}

// A Match is conditions that must all hold. Each list is of alternatives; an empty one is no condition. In words "*"
// stands for any bytes.
type Match struct {
	Key     []string `yaml:"key,omitempty"`
	Type    []string `yaml:"type,omitempty"`
	Syscall []string `yaml:"syscall,omitempty"` // by name
	Exe     []string `yaml:"exe,omitempty"`
	Comm    []string `yaml:"comm,omitempty"`
	UID     []string `yaml:"uid,omitempty"`  // a number
	AUID    []string `yaml:"auid,omitempty"` // a number, or unset
	Result  Result   `yaml:"result,omitempty"`
}

// Result is how what an event tells of has ended.
type Result string

// The results; the empty one is no condition.
const (
	ResultSuccess Result = "success"
	ResultFailed  Result = "failed"
)

func defaultOutput() Output {
	var o Output
	o.setDefaults()
	o.File = &File{}
	o.File.setDefaults()
	return o
}

func (o *Output) setDefaults() {
	*o = Output{Name: "history", Format: FormatAudit, Style: StyleField}
}

func (f *File) setDefaults() { *f = File{Path: DefaultOutput, Mode: 0o600, Keep: 5} }

func (s *Syslog) setDefaults() {
	*s = Syslog{To: "unix:/dev/log", Facility: "authpriv", Severity: "info", Tag: "audisp-history"}
}
