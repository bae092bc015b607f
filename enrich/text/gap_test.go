package text

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/elastic/go-libaudit/v2/auparse"

	"audisp-history/enrich/record"
	"audisp-history/enrich/tracker"
)

const unset = 4294967295

var self = Self{PID: 4242, UID: 0, AUID: unset, Session: unset, Exe: "/usr/sbin/audisp-history"}

func TestAppendGap(t *testing.T) {
	rules := tracker.Gap{Reason: tracker.RulesRemoved, From: 1795339340803, To: 1795339352007, At: 1795339353120}
	const who = " pid=4242 uid=0 auid=4294967295 ses=4294967295 msg='op=history-gap "
	const end = ` exe="/usr/sbin/audisp-history" res=failed'` + "\n"
	for _, c := range []struct {
		name string
		gap  func(*tracker.Gap)
		self func(*Self)
		want string
	}{
		{"with an end", nil, nil,
			"type=TRUSTED_APP msg=audit(1795339353.120:0):" + who + "reason=rules-removed from=1795339340.803 to=1795339352.007 lost=0" + end},
		{"without an end", func(g *tracker.Gap) { g.To = 0 }, nil,
			"type=TRUSTED_APP msg=audit(1795339353.120:0):" + who + "reason=rules-removed from=1795339340.803 lost=0" + end},
		{"from boot on", func(g *tracker.Gap) { g.From, g.Reason = 0, tracker.Start }, nil,
			"type=TRUSTED_APP msg=audit(1795339353.120:0):" + who + "reason=start from=0.000 to=1795339352.007 lost=0" + end},
		{"events lost", func(g *tracker.Gap) { g.Lost, g.First, g.Reason = 1<<64-1, 7, tracker.EventsLost }, nil,
			"type=TRUSTED_APP msg=audit(1795339353.120:0):" + who + "reason=events-lost from=1795339340.803 to=1795339352.007 lost=18446744073709551615" + end},
		{"another node's", func(g *tracker.Gap) { g.Node = "there" }, func(s *Self) { s.Node = "here" },
			"node=there type=TRUSTED_APP msg=audit(1795339353.120:0):" + who + "reason=rules-removed from=1795339340.803 to=1795339352.007 lost=0" + end},
		{"of a machine with a name", nil, func(s *Self) { s.Node = "here" },
			"node=here type=TRUSTED_APP msg=audit(1795339353.120:0):" + who + "reason=rules-removed from=1795339340.803 to=1795339352.007 lost=0" + end},
		{"a time before 1970", func(g *tracker.Gap) { g.From, g.To, g.At = -1, -62135596800000, -5 }, nil,
			"type=TRUSTED_APP msg=audit(0.000:0):" + who + "reason=rules-removed from=0.000 to=0.000 lost=0" + end},
		{"by a user's program", nil, func(s *Self) { *s = Self{PID: 1, UID: 1000, AUID: 1000, Session: 3, Exe: "/x"} },
			"type=TRUSTED_APP msg=audit(1795339353.120:0): pid=1 uid=1000 auid=1000 ses=3 msg='op=history-gap reason=rules-removed from=1795339340.803 to=1795339352.007 lost=0 exe=\"/x\" res=failed'\n"},
	} {
		t.Run(c.name, func(t *testing.T) {
			g, s := rules, self
			if c.gap != nil {
				c.gap(&g)
			}
			if c.self != nil {
				c.self(&s)
			}
			got := string(AppendGap([]byte("before\n"), &g, &s))
			if got != "before\n"+c.want {
				t.Errorf("got  %swant %s", got, "before\n"+c.want)
			}
		})
	}
}

func TestTheReasonsHaveNames(t *testing.T) {
	for r, want := range map[tracker.Reason]string{
		tracker.Start: "start", tracker.RulesRemoved: "rules-removed", tracker.AuditDisabled: "audit-disabled",
		tracker.EventsLost: "events-lost", tracker.PluginDown: "plugin-down", tracker.StateLost: "state-lost",
	} {
		if !strings.Contains(gapLine(tracker.Gap{Reason: r}), " reason="+want+" ") {
			t.Errorf("%d is not %s", r, want)
		}
	}
}

func gapLine(g tracker.Gap) string { return string(AppendGap(nil, &g, &self)) }

// To this program its own record is an event by itself, which has no place among the serials.
func TestAGapIsAnEventByItself(t *testing.T) {
	line := gapLine(tracker.Gap{Node: "n", Reason: tracker.EventsLost, At: 1795339353120, To: 1795339353120, Lost: 3})
	all := events(line, strings.Replace(signal[0], ":108)", ":109)", 1))
	if len(all) != 2 || len(all[0].Records) != 1 || all[0].Ordered || all[0].Records[0].Kind != record.User || string(all[0].Line(0)) != line {
		t.Errorf("%+v", all)
	}
	if pid, ok := record.Find(all[0].Body(0), "pid"); !ok || string(pid) != "4242" {
		t.Errorf("pid=%s", pid)
	}
}

// To an independent parser it is a record like any other.
func TestAGapIsWellFormed(t *testing.T) {
	line := gapLine(tracker.Gap{Reason: tracker.PluginDown, From: 1795339340803, To: 1795339352007, At: 1795339353120, Lost: 44})
	m, err := auparse.ParseLogLine(strings.TrimSuffix(line, "\n"))
	if err != nil {
		t.Fatal(err)
	}
	data, err := m.Data()
	if err != nil {
		t.Fatal(err)
	}
	if m.RecordType != auparse.AUDIT_TRUSTED_APP || m.Timestamp.UnixMilli() != 1795339353120 {
		t.Errorf("%+v", m)
	}
	for key, want := range map[string]string{
		"pid": "4242", "uid": "0", "op": "history-gap", "reason": "plugin-down", "from": "1795339340.803",
		"to": "1795339352.007", "lost": "44", "exe": "/usr/sbin/audisp-history", "result": "fail",
	} {
		if data[key] != want {
			t.Errorf("%s=%q, want %q", key, data[key], want)
		}
	}
}

// And so it is to ausearch, where that is installed: CI has it.
func TestAusearchFindsAGap(t *testing.T) {
	ausearch, err := exec.LookPath("ausearch")
	if err != nil {
		t.Skip("ausearch is not installed")
	}
	line := gapLine(tracker.Gap{Reason: tracker.PluginDown, From: 1795339340803, To: 1795339352007, At: 1795339353120, Lost: 44})
	log := filepath.Join(t.TempDir(), "audit.log")
	if err := os.WriteFile(log, []byte(signal[0][len("node=h "):]+line), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, arg := range [][]string{{"-m", "TRUSTED_APP"}, {"-x", "/usr/sbin/audisp-history"}, {"-p", "4242"}, {"-sv", "no"}} {
		out, err := exec.Command(ausearch, append([]string{"--raw", "-if", log}, arg...)...).Output()
		if err != nil || string(out) != line {
			t.Errorf("ausearch %v: %v: %q", arg, err, out)
		}
	}
}
