package enrich_test

import (
	"slices"
	"testing"

	"audisp-history/enrich/procfs"
	"audisp-history/enrich/task"
	"audisp-history/enrich/tracker"
)

// process is one that started some milliseconds after the boot of stories, a minute before they begin.
func process(pid, ppid int, name string, started int64) procfs.Process {
	return procfs.Process{
		PID: pid, PPID: ppid, Name: name, Exe: "/bin/" + name, Cmdline: name, NamespacePIDs: []int{pid},
		Start: msTime(storyBegin - 60000 + started), StartTicks: uint64(started / 10),
	}
}

// lookSince hands in a look that began a while ago, in milliseconds, and ends now.
func (s *story) lookSince(ago int64, processes ...procfs.Process) *procfs.Look {
	s.at += 10
	l := &procfs.Look{Begin: msTime(s.at - ago), End: msTime(s.at), Boot: msTime(storyBegin - 60000), Processes: processes}
	s.stream.Look(l)
	return l
}

// living is the task of a number, nil if that has none or it has ended.
func (s *story) living(pid uint32) *task.Task {
	if k := s.stream.Tracker().Machine("").Lookup(pid); k != nil && k.Lives() {
		return k
	}
	return nil
}

// check is what the sweep would ask about a number.
func (s *story) check(pid uint32) tracker.Check {
	s.t.Helper()
	for _, c := range s.stream.Tracker().Living(nil) {
		if c.PID == pid {
			return c
		}
	}
	s.t.Fatalf("%d is not among the living", pid)
	return tracker.Check{}
}

// sweeping is a story in which 10 is known to have started at tick 5000, of 20 that is not known, and 30 was made by
// clone3 and may be a thread.
func sweeping(t *testing.T) *story {
	s := newKeptStory(t)
	s.tell("1<0 fork 20\n20<1 exec cron\n10<1 clone3 30")
	s.lookSince(-10, process(1, 0, "init", 0), process(10, 1, "sh", 50000))
	s.tell("+20 10<1 open\n+5000 10<1 open")
	return s
}

func TestSwept(t *testing.T) {
	for _, c := range []struct {
		name string
		pid  uint32
		find func(f *tracker.Finding)
		want string // lives, ended, forgotten
	}{
		{"it is there", 10, func(f *tracker.Finding) { f.Found, f.Start = true, 5000 }, "lives"},
		{"it is gone", 10, func(*tracker.Finding) {}, "ended"},
		{"another has its number", 10, func(f *tracker.Finding) { f.Found, f.Start = true, 5001 }, "ended"},
		{"it began at another tick than was asked for", 10, func(f *tracker.Finding) { f.Ticks = 4000 }, "lives"},
		{"one of unknown start is there", 20, func(f *tracker.Finding) { f.Found, f.Start = true, 6000 }, "lives"},
		{"one of unknown start is gone", 20, func(*tracker.Finding) {}, "ended"},
		{"a leader", 30, func(f *tracker.Finding) { f.Found, f.Start, f.Group = true, 6000, 30 }, "lives"},
		{"a thread", 30, func(f *tracker.Finding) { f.Found, f.Start, f.Group = true, 6000, 10 }, "forgotten"},
		{"a thread that is gone", 30, func(*tracker.Finding) {}, "ended"},
		{"a number of which nothing is known", 99, func(*tracker.Finding) {}, "forgotten"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := sweeping(t)
			f := tracker.Finding{Check: tracker.Check{PID: c.pid}, At: s.at}
			if c.pid != 99 {
				f.Check = s.check(c.pid)
			}
			c.find(&f)
			look := func() string {
				switch k := s.stream.Tracker().Machine("").Lookup(c.pid); {
				case k == nil:
					return "forgotten"
				case k.Lives():
					return "lives"
				}
				return "ended"
			}
			k := s.kept(func() { s.stream.Tracker().Swept([]tracker.Finding{f, f}) })
			if got := look(); got != c.want {
				t.Errorf("%s, want %s", got, c.want)
			}
			swept := s.stream.Counts().Tracker.Swept
			if (swept == 1) != (c.want == "ended") || swept > 1 {
				t.Errorf("%d swept", swept)
			}
			if s.living(10) == nil && c.pid != 10 || s.living(1) == nil {
				t.Error("another task has ended")
			}
			provisional := s.living(30) != nil && s.living(30).Provisional
			s.restart(k, false)
			if got := look(); got != c.want {
				t.Errorf("after a restart: %s, want %s", got, c.want)
			}
			if after := s.living(30) != nil && s.living(30).Provisional; after != provisional || provisional != (c.pid != 30) {
				t.Errorf("30 may be a thread: %v, after a restart %v", provisional, after)
			}
		})
	}
}

// TestSweptTasksTellNothing: whoever gets the number is another.
func TestSweptTasksTellNothing(t *testing.T) {
	s := sweeping(t)
	s.stream.Tracker().Swept([]tracker.Finding{{Check: s.check(20), At: s.at}})
	s.program["20"] = "sh"
	s.tell("+100 20<10 open = init sh:10\n10<1 fork 20\n20<10 exec ls = init sh:10 ls:20")
	s.end()
}

// TestTheAnswerIsAboutAnEarlierTask: records come late, so that one born just before the answer may have the number of
// the one that was asked for.
func TestTheAnswerIsAboutAnEarlierTask(t *testing.T) {
	for after, lives := range map[int64]bool{-5000: true, 0: true, 1999: true, 2000: true, 2001: false, 9000: false} {
		s := newKeptStory(t)
		s.tell("1<0 fork 20")
		born := s.at
		s.stream.Tracker().Swept([]tracker.Finding{{Check: tracker.Check{PID: 20}, At: born + after}})
		if got := s.living(20) != nil; got != lives {
			t.Errorf("asked %d ms after it was born: lives %v", after, got)
		}
	}
}

// TestAStartIsBelievedIfItCanBe: one after the task was last heard of is that of another.
func TestAStartIsBelievedIfItCanBe(t *testing.T) {
	for _, c := range []struct {
		late int64 // how much later than the task was last heard of
		want bool
	}{{-3000, true}, {0, true}, {1990, true}, {2100, false}, {60000, false}} {
		s := sweeping(t)
		last := s.living(20).Last
		f := tracker.Finding{Check: s.check(20), At: s.at, Found: true, Start: uint64(last+c.late-(storyBegin-60000)) / 10}
		s.stream.Tracker().Swept([]tracker.Finding{f})
		if got := s.living(20).Ticks == f.Start; got != c.want || !got && s.living(20).Ticks != 0 {
			t.Errorf("%d ms late: believed %v", c.late, got)
		}
	}
	// Without a look the ticks cannot be dated.
	s := newKeptStory(t)
	s.tell("+5000 10<1 open")
	s.stream.Tracker().Swept([]tracker.Finding{{Check: s.check(10), At: s.at, Found: true, Start: 1}})
	if s.living(10).Ticks != 0 {
		t.Error("a start was believed without a boot time")
	}
}

// TestATaskThatHasShownIsNoThread, whatever was found out about its number before.
func TestATaskThatHasShownIsNoThread(t *testing.T) {
	s := sweeping(t)
	c := s.check(30)
	s.tell("30<10 open as sh = init sh:10")
	s.stream.Tracker().Swept([]tracker.Finding{{Check: c, At: s.at, Found: true, Start: 6000, Group: 10}})
	s.tell("30<10 exec ls = init sh:10 ls:30")
	if s.living(30) == nil {
		t.Error("it was forgotten")
	}
	s.end()
}

func TestTheLiving(t *testing.T) {
	s := sweeping(t)
	s.tell("20<1 exit")
	got := s.stream.Tracker().Living([]tracker.Check{{PID: 7}})
	slices.SortFunc(got, func(a, b tracker.Check) int { return int(a.PID) - int(b.PID) })
	want := []tracker.Check{{PID: 1}, {PID: 7}, {PID: 10, Ticks: 5000}, {PID: 30, Provisional: true}}
	if !slices.Equal(got, want) {
		t.Errorf("%+v", got)
	}
	other := newStory(t)
	if other.stream.Tracker().Swept([]tracker.Finding{{}}); len(other.stream.Tracker().Living(nil)) != 0 {
		t.Error("somebody lives in an empty table")
	}
}

// TestALookThatIsAppliedLate: it takes its time, and what records have said meanwhile stands.
func TestALookThatIsAppliedLate(t *testing.T) {
	init, sh := process(1, 0, "init", 0), process(10, 1, "sh", 50000)
	for _, c := range []struct {
		name, meanwhile string
		shown           []procfs.Process
		after           string
	}{
		{"an exec meanwhile", "10<1 exec vi", nil, "10<1 open = init sh:10 vi:10"},
		{"an exit meanwhile", "10<1 exit", nil, "1<0 fork 10\n10<1 exec new = init new:10"},
		{"a birth meanwhile", "10<1 fork 11\n11<10 exec ls", nil, "11<10 open = init sh:10 ls:11"},
		{"a birth meanwhile that it shows", "10<1 fork 11\n11<10 exec ls", []procfs.Process{process(11, 10, "sh", 60300)}, "11<10 open = init sh:10 ls:11"},
		{"a birth and an exit meanwhile that it shows", "10<1 fork 11\n11<10 exit", []procfs.Process{process(11, 10, "sh", 60300)}, "10<1 fork 11\n11<10 exec new = init sh:10 new:11"},
		{"a number that is given again", "1<0 fork 20\n20<1 exec a\n20<1 exit\n1<0 fork 20\n20<1 exec b", []procfs.Process{process(20, 1, "a", 60300)}, "20<1 open = init b:20"},
		{"what it fills in", "10<1 open", []procfs.Process{process(40, 10, "at", 55000)}, "40<10 open as at = init sh:10 at:40*"},
		{"one that it shows is seen meanwhile first", "40<10 open as at", []procfs.Process{process(40, 10, "at", 55000)}, "40<10 open = init sh:10 at:40*"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newKeptStory(t)
			s.tell("+100 1<0 open")
			begun := s.at + 1
			s.tell(c.meanwhile)
			s.at += 10
			// 10 was still running sh when it was looked at.
			s.lookSince(s.at+10-begun, append([]procfs.Process{init, sh}, c.shown...)...)
			s.tell("1<0 open\n" + c.after)
			s.end()
			if s.stream.Counts().Tracker.Looks != 1 {
				t.Error("the look has not taken effect")
			}
			if k := s.living(20); k != nil && k.Ticks != 0 {
				t.Error("20 has the start of the one before it")
			}
			if c.name == "an exit meanwhile" {
				return
			}
			if s.living(10) == nil {
				t.Error("10 has ended")
			}
		})
	}
	s := newKeptStory(t)
	s.tell("+100 1<0 open\n10<1 exit")
	s.lookSince(15, init, sh)
	s.tell("1<0 open")
	if s.living(10) != nil {
		t.Error("the look has brought 10 back to life")
	}
}

func TestTheSameLookTwice(t *testing.T) {
	s := newKeptStory(t)
	look := s.lookSince(-10, process(1, 0, "init", 0), process(10, 1, "vi", 50000), process(50, 10, "cron", 51000))
	s.tell("+20 10<1 open as vi = init sh:10 vi:10*\n50<10 exit\n10<1 exec sh\n")
	before := s.stream.Counts()
	s.stream.Look(look)
	s.tell("10<1 open = init sh:10 vi:10* sh:10")
	after := s.stream.Counts()
	if before.Tracker.Looks != 1 || after.Tracker.Looks != 1 || after.Tasks.Execs != before.Tasks.Execs || s.living(50) != nil {
		t.Errorf("%+v, before %+v", after, before)
	}
	// Nor after a restart.
	s.restart(s.kept(nil), false)
	s.stream.Look(look)
	s.tell("10<1 open = init sh:10 vi:10* sh:10")
	if s.stream.Counts().Tracker.Looks != 0 || s.living(50) != nil {
		t.Error("the look has taken effect once more")
	}
	s.end()
}

// TestIdentityIsTheStart: same number, parent and program, but it began at another tick.
func TestIdentityIsTheStart(t *testing.T) {
	for ticks, want := range map[int64]string{50000: "init sh:10 vi:10 sh:10", 50010: "init sh:10*"} {
		s := newKeptStory(t)
		s.tell("10<1 exec vi\n10<1 exec sh")
		s.lookSince(-10, process(1, 0, "init", 0), process(10, 1, "sh", 50000))
		s.tell("+20 1<0 open")
		s.lookSince(-10, process(1, 0, "init", 0), process(10, 1, "sh", ticks))
		s.tell("+20 10<1 open = " + want)
		s.end()
	}
}

// TestAResumedStateIsReconciled with a look: the gone end, the new are entered, an unseen exec is too.
func TestAResumedStateIsReconciled(t *testing.T) {
	s := newKeptStory(t)
	s.tell("1<0 fork 20\n20<1 exec cron\n1<0 fork 30\n30<1 exec at")
	s.restart(s.kept(nil), true)
	s.at += 60000
	s.lookSince(-10, process(1, 0, "init", 0), process(10, 1, "sh", 50000), process(20, 1, "new", 50000), process(40, 10, "vi", 110000))
	s.tell(`
		+20 10<1 open      = init sh:10
		20<1 open as new   = init cron:20 new:20*
		40<10 open as vi   = init sh:10 vi:40*
	`)
	s.end()
	if s.living(30) != nil {
		t.Error("30 is gone, and lives")
	}
}
