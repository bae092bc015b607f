package enrich_test

import (
	"fmt"
	"strings"
	"testing"

	"audisp-history/enrich"
	"audisp-history/enrich/packed"
	"audisp-history/enrich/record"
	"audisp-history/enrich/tracker"
)

// Stories of gaps. Beside the lines of a story there are these:
//
//	rules removed, rules added, audit off, audit on: the CONFIG_CHANGE that says so
//	skip N: so many serials are missing; wait MS: the next event is so much later
//	tick MS: the time of day goes on, MS further than the last event, while nothing comes
//	look PROCESS, PROCESS…: a look at /proc, see story.look
//
// A story of gaps begins when the first gap, that of the start, is over. Its first event comes at 50 ms.
func playGaps(t *testing.T, text string) *story {
	t.Helper()
	s := newStory(t)
	s.begin()
	s.play(text)
	return s
}

func (s *story) begin() {
	s.t.Helper()
	s.tell("1<0 exec init\n1<0 fork 10\n10<1 exec sh\n10<1 open")
	s.stream.Tick(config.Wait, 0) // from here on events are handled at once
	if got := s.told(); got != "start - 10 at 30" {
		s.t.Fatalf("the gap of the start: %s", got)
	}
	s.gaps = nil
}

func (s *story) play(text string) {
	s.t.Helper()
	for line := range strings.Lines(text) {
		what, rest, _ := strings.Cut(strings.TrimSpace(line), " ")
		switch what {
		case "rules":
			op := map[string]string{"removed": "remove_rule", "added": "add_rule"}[rest]
			s.configured("auid=0 ses=1 subj=kernel op=" + op + ` key="history" list=4 res=1`)
		case "audit":
			s.configured("op=set audit_enabled=" + map[string]string{"off": "0 old=1", "on": "1 old=0"}[rest] + " auid=0 ses=1 subj=kernel res=1")
		case "skip":
			s.serial += uint64(atoi(s.t, rest))
		case "wait":
			s.at += int64(atoi(s.t, rest))
		case "tick":
			s.stream.Tick(0, s.at+int64(atoi(s.t, rest))+record.MaxAge)
		case "look":
			s.look(strings.Split(rest, ", ")...)
		default:
			s.tell(line)
		}
	}
}

// configured is an event of the kernel's configuration, which stands alone here.
func (s *story) configured(body string) {
	s.serial++
	s.at += 10
	stamp := fmt.Sprintf("msg=audit(%d.%03d:%d):", s.at/1000, s.at%1000, s.serial)
	s.write("type=CONFIG_CHANGE " + stamp + " " + body)
	s.write("type=EOE " + stamp + " ")
}

// told are the gaps: reason, from, to and when, in milliseconds of the story; what is not known is "-".
func (s *story) told() string {
	var list []string
	since := func(at int64) string {
		if at == 0 {
			return "-"
		}
		return fmt.Sprint(at - storyBegin)
	}
	for _, g := range s.gaps {
		line := fmt.Sprintf("%s %s %s at %s", g.Reason, since(g.From), since(g.To), since(g.At))
		if g.Lost > 0 {
			line += fmt.Sprintf(" lost %d from %d", g.Lost, g.First)
		}
		list = append(list, line)
	}
	return strings.Join(list, "; ")
}

func TestGapsAreTold(t *testing.T) {
	for _, c := range []struct{ name, story, gaps string }{
		{"nothing happens", "10<1 fork 11\n+9000 11<10 exec ls", ""},
		{"events are lost", "skip 5\n10<1 open", "events-lost 40 50 at 50 lost 5 from 105"},
		{
			"events are lost twice", "skip 5\n10<1 open\n10<1 open\nskip 1\n+40 10<1 open",
			"events-lost 40 50 at 50 lost 5 from 105; events-lost 60 110 at 110 lost 1 from 112",
		},
		{
			"rules that are loaded anew", "rules removed\n+300 10<1 open\nrules added\n10<1 fork 11\n11<10 exec ls\n+1000 10<1 open",
			"rules-removed 50 370 at 1400",
		},
		{
			"rules that come back one by one", "rules removed\nrules added\n10<1 fork 11\n11<10 exec ls\nwait 900\nrules added\n" +
				"rules added\n+900 10<1 open\n10<1 fork 12\n12<10 exec ls\n+90 10<1 open\n+900 10<1 open",
			"rules-removed 50 1000 at 2030",
		},
		{
			"only forks come back", "rules removed\nrules added\n10<1 fork 11\n+2000 10<1 fork 12\n12<10 exec vi\n10<1 open",
			"rules-removed 50 60 at 2100",
		},
		{
			"rules that stay away", "rules removed\n+4980 10<1 open\n+10 10<1 open\n+9000 10<1 open",
			"rules-removed 50 - at 5060",
		},
		{
			"rules that come back late", "rules removed\n+6000 10<1 open\nrules added\n10<1 fork 11\n11<10 exec ls\n+1000 10<1 open",
			"rules-removed 50 - at 6060; rules-removed 50 6070 at 7100",
		},
		{"a rule that does not matter", "rules removed\n10<1 fork 11\n11<10 exec ls\n+1000 10<1 open\n+9000 10<1 open", ""},
		{"a rule that is added", "rules added\n10<1 fork 11\n+9000 11<10 exec ls", ""},
		{"rules that stay away while nothing comes", "rules removed\ntick 4999\ntick 5000\ntick 9000", "rules-removed 50 - at 5050"},
		{"rules that are back while nothing comes", "rules removed\nrules added\n10<1 fork 11\n11<10 exec ls\ntick 979\ntick 980", "rules-removed 50 60 at 1060"},
		{"audit is off for a while", "audit off\n+7000 10<1 open", "audit-disabled 50 7060 at 7060"},
		{"audit is off while nothing comes", "audit off\ntick 4999\ntick 5000\n+7000 10<1 open", "audit-disabled 50 - at 5050; audit-disabled 50 7060 at 7060"},
		{"audit is said to be on again", "audit off\naudit on\n+7000 10<1 open", "audit-disabled 50 60 at 60"},
		{"audit is on all the time", "audit on\n+7000 10<1 open", ""},
		{"events are lost while the rules are away", "rules removed\nskip 4\n10<1 open\nrules added\n10<1 fork 11\n11<10 exec ls\n+1000 10<1 open",
			"events-lost 50 60 at 60 lost 4 from 106; rules-removed 50 70 at 1100"},
		{"audit is off while the rules are away", "rules removed\naudit off\n+7000 10<1 open\nrules added\n10<1 fork 11\n11<10 exec ls\n+1000 10<1 open",
			"rules-removed 50 - at 7070; rules-removed 50 7080 at 8110"},
		{"audit is off when the rules are just back", "rules removed\nrules added\n10<1 fork 11\n11<10 exec ls\naudit off\n+7000 10<1 open\n10<1 fork 12\n12<10 exec ls\n+1000 10<1 open",
			"rules-removed 50 - at 7100; rules-removed 50 7100 at 8130"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := playGaps(t, c.story)
			s.end()
			if got := s.told(); got != c.gaps {
				t.Errorf("got  %s\nwant %s", got, c.gaps)
			}
			if n := s.stream.Counts().Tracker.Gaps; n != uint64(len(s.gaps))+1 {
				t.Errorf("%d gaps counted", n)
			}
		})
	}
}

// TestTheGapOfTheStart: it is from boot on, which a look dates, to the first event.
func TestTheGapOfTheStart(t *testing.T) {
	for _, c := range []struct{ name, story, gaps string }{
		{"no look", "1<0 exec init\n1<0 fork 10\n10<1 open", "start - 10 at 30"},
		{"a look", "look 1<0 init\n1<0 fork 10\n10<1 exec sh\n10<1 open", "start -60000 20 at 40"},
		{"long", "1<0 open as init\n+4980 1<0 open\n1<0 open\n+8000 1<0 open", "start - - at 5010"},
		{"long, with a look", "look 1<0 init\n1<0 open as init\n+5000 1<0 open\n1<0 fork 10\n10<1 exec sh\n10<1 open", "start -60000 - at 5030; start -60000 20 at 5060"},
		{"rules are loaded", "1<0 open as init\nwait 500\nrules added\nrules added\n1<0 fork 10\n10<1 exec sh\n+900 1<0 open\n+90 1<0 open", "start - 530 at 1560"},
		{"rules are loaded late", "1<0 open as init\n+9000 1<0 open\nrules added\n1<0 fork 10\n10<1 exec sh\n+1000 1<0 open", "start - - at 9020; start - 9030 at 10060"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newStory(t)
			s.play(c.story)
			s.end()
			if got := s.told(); got != c.gaps {
				t.Errorf("got  %s\nwant %s", got, c.gaps)
			}
		})
	}
}

// TestWhatFollowsAGapIsMarked, where the task has not been seen since, by a record or by a look. 10 and 20 have been
// there before; only 10 is seen.
func TestWhatFollowsAGapIsMarked(t *testing.T) {
	const before = "1<0 fork 20\n20<1 exec cron\n1<0 fork 30\n30<1 exec at\n"
	const shown = "look 1<0 init, 10<1 sh, 20<1 cron, 30<1 at\n+10 1<0 open\n"
	for name, gap := range map[string]string{
		"rules-removed":  "rules removed\n+100 1<0 open\nrules added\n",
		"audit-disabled": "audit off\n+3000 1<0 open\n",
		"events-lost":    "skip 40\n1<0 open\n",
	} {
		t.Run(name, func(t *testing.T) {
			playGaps(t, before+gap+`
				10<1 open         = init sh:10
				10<1 exec vi      = init sh:10 vi:10
				20<1 exec job     = init cron:20 job:20?
				20<1 exec next    = init cron:20 job:20? next:20
				30<1 fork 31      = init at:30
				31<30 exec ls     = init at:30 ls:31
				1<0  fork 40
				40<1 exec new     = init new:40
			`).end()
		})
		t.Run(name+", then a look", func(t *testing.T) {
			playGaps(t, before+gap+shown+`
				20<1 exec job     = init cron:20 job:20
				33<30 exec ls     = init at:30 ls:33?
			`).end()
		})
		t.Run(name+", after a look", func(t *testing.T) {
			playGaps(t, before+shown+gap+`
				20<1 exec job     = init cron:20 job:20?
			`).end()
		})
	}
}

// TestARuleMoreIsNoGap: nothing that follows is in doubt.
func TestARuleMoreIsNoGap(t *testing.T) {
	playGaps(t, "1<0 fork 20\n20<1 exec cron\nrules added\n20<1 exec job = init cron:20 job:20").end()
}

// newKeptStory is a story whose stream can be restarted.
func newKeptStory(t *testing.T) *story {
	t.Helper()
	s := newStory(t)
	s.stream = s.fresh()
	s.begin()
	return s
}

func (s *story) fresh() *enrich.Stream {
	c := config
	c.Node, c.Journal = "here", &packed.Writer{}
	return enrich.New(c, s)
}

// kept is what the stream keeps, with what was done after the first snapshot in the journal.
func (s *story) kept(do func()) *keeper {
	k := &keeper{snapshot: s.stream.Snapshot(nil, false)}
	if do != nil {
		do()
	}
	if piece := s.stream.Changes(nil); piece != nil {
		k.journal = append(k.journal, piece)
	}
	return k
}

// restart begins a new stream with what was kept.
func (s *story) restart(k *keeper, gap bool) {
	s.t.Helper()
	s.stream = s.fresh()
	l := enrich.NewLoader(s.stream)
	for _, piece := range k.snapshot {
		if err := l.Snapshot(piece); err != nil {
			s.t.Fatal(err)
		}
	}
	for _, piece := range k.journal {
		if err := l.Journal(piece); err != nil {
			s.t.Fatal(err)
		}
	}
	l.Finish()
	s.stream.Resume(gap)
}

func TestTheTimeThePluginWasDown(t *testing.T) {
	for _, c := range []struct {
		name, story string
		gap         bool
		gaps        string
	}{
		{"nothing is missing", "10<1 open", true, ""},
		{"nothing is missing, caught up", "10<1 open", false, ""},
		{"could not be caught up", "@150 +9000 10<1 open", true, "plugin-down 50 9060 at 9060 lost 44 from 106"},
		{"the first event comes late", "@151 +9000 10<1 open\n@150 10<1 open", true, "plugin-down 50 9070 at 9070 lost 44 from 106"},
		{"a later loss has another reason", "@150 +9000 10<1 open\n@152 10<1 open", true, "plugin-down 50 9060 at 9060 lost 44 from 106; events-lost 9060 9070 at 9070 lost 1 from 151"},
		{"caught up, with a loss", "@150 +9000 10<1 open", false, "events-lost 50 9060 at 9060 lost 44 from 106"},
	} {
		for _, how := range []string{"snapshot", "journal"} {
			t.Run(c.name+", from the "+how, func(t *testing.T) {
				s := newKeptStory(t)
				tell := func() { s.tell("10<1 open") }
				if how == "snapshot" {
					tell()
					s.restart(s.kept(nil), c.gap)
				} else {
					s.restart(s.kept(tell), c.gap)
				}
				s.tell(c.story)
				s.end()
				if got := s.told(); got != c.gaps {
					t.Errorf("got  %s\nwant %s", got, c.gaps)
				}
			})
		}
	}
	s := newKeptStory(t)
	s.restart(s.kept(nil), true)
	s.tell("@150 1<0 open\n@151 10<1 exec vi = init sh:10 vi:10?")
	s.end()
}

// TestAGapThatIsOpenOutlivesARestart, and is told of once.
func TestAGapThatIsOpenOutlivesARestart(t *testing.T) {
	for _, c := range []struct{ name, before, after, gaps string }{
		{"rules are away", "rules removed", "rules added\n10<1 fork 11\n11<10 exec ls\n+1000 10<1 open", "rules-removed 50 60 at 1090"},
		{"rules are back", "rules removed\nrules added\n10<1 fork 11", "11<10 exec ls\n+1000 10<1 open", "rules-removed 50 60 at 1090"},
		{"rules are back and seen", "rules removed\nrules added\n10<1 fork 11\n11<10 exec ls", "+1000 10<1 open", "rules-removed 50 60 at 1090"},
		{"rules have been away for long", "rules removed\n+6000 10<1 open", "+9000 10<1 open", "rules-removed 50 - at 6060"},
		{"audit is off", "audit off", "+7000 10<1 open", "audit-disabled 50 7060 at 7060"},
		{"audit was off", "audit off\n+7000 10<1 open", "+7000 10<1 open", "audit-disabled 50 7060 at 7060"},
		{"audit is off while the rules are away", "rules removed\naudit off", "+100 10<1 open\nrules added\n10<1 fork 11\n11<10 exec ls\n+1000 10<1 open", "rules-removed 50 180 at 1210"},
		{"audit is off when the rules are back", "rules removed\nrules added\naudit off", "+100 10<1 open\n10<1 fork 11\n11<10 exec ls\n+1000 10<1 open", "rules-removed 50 180 at 1210"},
	} {
		for _, how := range []string{"snapshot", "journal"} {
			t.Run(c.name+", "+how, func(t *testing.T) {
				s := newKeptStory(t)
				if how == "snapshot" {
					s.play(c.before)
					s.restart(s.kept(nil), false)
				} else {
					s.restart(s.kept(func() { s.play(c.before) }), false)
				}
				s.play(c.after)
				s.end()
				if got := s.told(); got != c.gaps {
					t.Errorf("got  %s\nwant %s", got, c.gaps)
				}
			})
		}
	}
}

// TestTheTrackerOfAnotherNode: a gap is that of the node whose rules they were.
func TestTheTrackerOfAnotherNode(t *testing.T) {
	s := newKeptStory(t)
	s.node, s.program, s.serial = "there", map[string]string{}, 1000
	s.tell("1<0 exec other\n1<0 fork 5\n5<1 exec sh")
	s.stream.Tick(2*config.Wait, 0)
	s.tell("@1010 5<1 open")
	s.end()
	if got := s.told(); got != "start - 50 at 70; events-lost 70 80 at 80 lost 6 from 1004" {
		t.Error(got)
	}
	for _, g := range s.gaps {
		if g.Node != "there" {
			t.Errorf("%s is told of node %q", g.Reason, g.Node)
		}
	}
	if m := s.stream.Tracker().Machine(""); m == nil || m.Lookup(10) == nil || tracker.Start.String() != "start" {
		t.Error("this machine's tasks are gone")
	}
}
