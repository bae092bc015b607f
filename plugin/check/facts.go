// Package check finds what stands in the way of complete histories. Gather collects facts: from the kernel, from the
// files of auditd and systemd, from /proc. Judge makes findings of them and touches nothing.
package check

import (
	"io/fs"

	"github.com/elastic/go-libaudit/v2"

	"audisp-history/plugin/rules"
)

// Facts is what is known of a system. What could not be found out is in Unread, and nothing is concluded from it.
type Facts struct {
	UID     int // the caller's
	Machine rules.Machine

	KernelErr error                 // why the kernel's audit could not be asked
	Status    *libaudit.AuditStatus // nil if it could not be read
	Rules     []rules.Rule          // in the kernel's order
	HaveRules bool                  // Rules could be read

	CommandLine []string // the kernel's; nil if it could not be read
	Auditd      Auditd
	Plugin      Plugin
	Journald    Journald

	Paths     Paths
	ConfigErr error // why the plugin's own configuration could not be read
	Space     []Space

	Unread []string // what could not be read, and why
}

// Paths is what of the plugin's configuration matters here.
type Paths struct {
	Known   bool     // the configuration could be read
	Outputs []string // the files that records go to
	State   string   // the state directory, "" for none
	Node    string   // the node name that the plugin takes for this host's
}

// Auditd is what is installed of auditd, and how it is configured.
type Auditd struct {
	Installed bool
	Version   string   // as in "3.0.9"; "" if it is not known
	Conf      settings // auditd.conf; nil if it is not there
	Dispatch  settings // audispd.conf, of auditd 2 only
	PluginDir string
}

// Plugin is the plugin as auditd sees it.
type Plugin struct {
	File     string   // its file in plugins.d; "" if there is none
	FileStat Stat     // of File
	Conf     settings // what File says
	Binary   *Stat    // the program; nil if it is not there
	Running  bool     // auditd has it as a child; meaningful if LookedAt
	LookedAt bool     // /proc could be read
}

// Journald is what systemd-journald does to auditing when it starts.
type Journald struct {
	Audit   string // the value of Audit=, "" if nothing is said
	From    string // the file that says so
	Default bool   // nobody has set it: From notes it as what was compiled in
}

// Space is what is left where the plugin writes.
type Space struct {
	Dir    string // the directory, or what there is of the way to it
	Free   uint64 // bytes
	NoNode bool   // no file can be created there for want of inodes
}

// Stat is what auditd looks at before it trusts a file.
type Stat struct {
	Mode fs.FileMode
	UID  uint32
}
