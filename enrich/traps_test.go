package enrich_test

import (
	"strconv"
	"strings"
	"testing"
	"time"
)

func msTime(ms int64) time.Time { return time.UnixMilli(ms).UTC() }

func atoi(t *testing.T, s string) int {
	t.Helper()
	n, err := strconv.Atoi(s)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// The traps of the audit stream, one test each.

func TestFailedExecChangesNothing(t *testing.T) {
	tell(t, `
		1<0   fork 10
		10<1  exec sh        = init sh:10
		10<1  fork 11        = init sh:10
		11<10 badexec        = init sh:10
		11<10 badexec        = init sh:10
		11<10 exec ls        = init sh:10 ls:11
	`)
}

func TestVforkChildExecutesBeforeItsParentsCloneReturns(t *testing.T) {
	tell(t, `
		1<0   fork 10
		10<1  exec sh
		+100 11<10 exec ls   = init sh:10 ls:11
		# The clone has the time of its entry, before the child's exec.
		-90 10<1 vfork 11    = init sh:10
		11<10 open           = init sh:10 ls:11
	`)
}

func TestVforkChildEndsBeforeItsParentsCloneReturns(t *testing.T) {
	s := newStory(t)
	s.tell(`
		1<0   exec init
		1<0   fork 10
		10<1  exec sh
		+100 11<10 exec ls   = init sh:10 ls:11
		11<10 exit           = init sh:10 ls:11
		-90 10<1 vfork 11    = init sh:10
	`)
	s.end()
	if k := s.stream.Tracker().Machine("").Lookup(11); k == nil || k.Lives() {
		t.Errorf("the clone that came late has brought task 11 back to life: %+v", k)
	}
}

func TestForkChildsFirstRecordPrecedesItsParents(t *testing.T) {
	tell(t, `
		1<0   fork 10
		10<1  exec sh
		+100 11<10 open      = init sh:10
		-90 10<1 fork 11     = init sh:10
		11<10 exec ls        = init sh:10 ls:11
	`)
}

func TestCloneReturnsThePIDOfAnotherNamespace(t *testing.T) {
	tell(t, `
		1<0   fork 2
		2<1   exec victim    = init victim:2
		1<0   clone 20 20000000
		20<1  exec box       = init box:20
		# Task 20 is init of its namespace; its children are 2, 3 … to it.
		20<1  fork 2         = init box:20
		20<1  exec worse     = init box:20 worse:20
		2<1   open           = init victim:2
		21<20 open as box    = init box:20
		21<20 exec ls        = init box:20 ls:21
	`)
}

func TestChildInANamespaceHasTheHistoryOfItsFork(t *testing.T) {
	tell(t, `
		1<0   clone 20 20000000
		20<1  exec box
		20<1  fork 2
		20<1  exec later     = init box:20 later:20
		# Its exec tells nothing of what its parent ran at the fork.
		21<20 exec ls        = init box:20 ls:21
	`)
}

func TestNamespacesByUnshareAndSetnsAreInherited(t *testing.T) {
	tell(t, `
		1<0   fork 10
		10<1  exec sh
		10<1  unshare 20000000
		10<1  fork 11
		11<10 exec inner     = init sh:10 inner:11
		11<10 fork 2
		12<11 fork 3 as inner = init sh:10 inner:11
		13<12 exec ls        = init sh:10 inner:11 ls:13
		1<0   fork 30
		30<1  exec enter
		30<1  setns 20000000
		30<1  fork 31
		31<30 exec guest
		31<30 fork 4
		31<30 exec other
		32<31 exec ls        = init enter:30 guest:31 ls:32
		# All those numbers were no keys here.
		4<1   exec four      = init four:4
	`)
}

func TestNamespaceIsConfirmedByNSpid(t *testing.T) {
	s := newStory(t)
	s.tell("1<0 exec init")
	s.look("1<0 init", "10<1 box ns=1", "2<1 victim")
	s.tell(`
		+3000 10<1 fork 2    = init box:10*
		2<1   open           = init victim:2*
		10<1  exec worse
		11<10 exec ls        = init box:10* ls:11
	`)
	s.end()
}

func TestThreadsAreNotTasks(t *testing.T) {
	tell(t, `
		1<0   fork 12
		12<1  exec keep
		1<0   fork 10
		10<1  exec java
		10<1  clone 12 50f00
		12<1  open           = init keep:12
	`)
}

func TestThreadFlagsOnS390AreInTheSecondArgument(t *testing.T) {
	s := newStory(t)
	s.tell(`
		1<0   exec init
		1<0   fork 12
		12<1  exec keep
		1<0   fork 10
		10<1  exec java
	`)
	line := `type=SYSCALL msg=audit(1767225600.200:106): arch=80000016 syscall=120 success=yes exit=12 a0=3ff a1=50f00 a2=0 a3=0 items=0 ppid=1 pid=10 comm="java" exe="/bin/java"`
	s.write(line)
	s.write("type=EOE msg=audit(1767225600.200:106): ")
	s.serial = 106
	s.tell(`12<1 open = init keep:12`)
	s.end()
}

func TestClone3MayMakeAThread(t *testing.T) {
	s := newStory(t)
	s.tell(`
		1<0   exec init
		1<0   fork 10
		10<1  exec java
		10<1  clone3 11
		10<1  clone3 12
		12<10 exec ls        = init java:10 ls:12
		# 11 was a thread: the number is given away by another fork, or placed by its own first record.
		1<0   fork 11
		11<1  exec cron      = init cron:11
	`)
	s.look("1<0 init", "10<1 java 100", "12<10 ls 110", "11<1 cron 120")
	s.tell("+1000 10<1 clone3 13")
	s.at += 5000
	s.look("1<0 init", "10<1 java 100", "12<10 ls 110", "11<1 cron 120")
	s.tell("+5000 1<0 open")
	s.end()
	if k := s.stream.Tracker().Machine("").Lookup(13); k != nil {
		t.Errorf("the thread 13 is still taken for a task")
	}
}

func TestCloneParentMakesTheCallerTheCreator(t *testing.T) {
	tell(t, `
		1<0   fork 10
		10<1  exec sh
		10<1  fork 11
		11<10 exec maker
		11<10 clone 12 8000
		# 12 names 10 as its parent.
		12<10 open           = init sh:10 maker:11
		12<10 exec ls        = init sh:10 maker:11 ls:12
	`)
}

func TestCloneParentRecordedAfterTheChild(t *testing.T) {
	tell(t, `
		1<0   fork 10
		10<1  exec sh
		10<1  fork 11
		11<10 exec maker
		+100 12<10 exec ls   = init sh:10 ls:12
		-90 11<10 clone 12 8000
		12<10 open           = init sh:10 maker:11 ls:12
	`)
}

func TestExecFromAThreadKeepsThePID(t *testing.T) {
	tell(t, `
		1<0   fork 10
		10<1  exec java
		10<1  clone 11 50f00
		# Thread 11 executes; the record names the thread group.
		10<1  exec ls        = init java:10 ls:10
		10<1  exit           = init java:10 ls:10
	`)
}

func TestExitOfAThreadIsNotTheEnd(t *testing.T) {
	tell(t, `
		1<0   fork 10
		10<1  exec java
		10<1  texit          = init java:10
		10<1  open           = init java:10
		10<1  fork 11
		11<10 exec ls        = init java:10 ls:11
	`)
}

func TestDeathBySignalLeavesNoRecord(t *testing.T) {
	s := newStory(t)
	s.tell(`
		1<0   exec init
		1<0   fork 10
		10<1  exec old
		1<0   fork 11
		11<1  exec gone
		# 10 is killed. A fork that yields its number replaces it.
		1<0   fork 10
		10<1  open as init   = init
	`)
	s.at += 5000
	s.look("1<0 init", "10<1 init 50")
	s.tell("+5000 1<0 open")
	s.end()
	m := s.stream.Tracker().Machine("")
	if k := m.Lookup(11); k == nil || k.Lives() {
		t.Errorf("task 11 lives on though /proc does not show it")
	}
	if k := m.Lookup(10); k == nil || !k.Lives() {
		t.Errorf("task 10 is in /proc, but has ended")
	}
}

func TestCoreDumpEndsATask(t *testing.T) {
	s := newStory(t)
	s.tell(`
		1<0   exec init
		1<0   fork 10
		10<1  exec crash
	`)
	s.write(`type=ANOM_ABEND msg=audit(1767225600.500:104): auid=0 uid=0 gid=0 ses=1 pid=10 comm="crash" exe="/bin/crash" sig=6 res=1`)
	s.wants = append(s.wants, want{"ANOM_ABEND", "init crash:10", 104})
	s.end()
	if k := s.stream.Tracker().Machine("").Lookup(10); k == nil || k.Lives() {
		t.Error("the task that dumped core lives on")
	}
}

func TestReusedPIDIsAnotherTask(t *testing.T) {
	tell(t, `
		1<0   fork 10
		10<1  exec sh
		10<1  fork 11
		11<10 exec ls
		11<10 exit
		1<0   fork 20
		20<1  exec cron
		20<1  fork 11
		11<20 exec mail      = init cron:20 mail:11
		11<20 exit           = init cron:20 mail:11
		# Not even its fork is recorded before its first record.
		+1000 11<10 exec vi  = init sh:10 vi:11
	`)
}

func TestRecordOlderThanTheTaskIsNotItsOwn(t *testing.T) {
	tell(t, `
		1<0   fork 10
		10<1  exec sh
		10<1  fork 11
		11<10 exec ls
		11<10 exit           = init sh:10 ls:11
		# A thread of 11 was in a call when the group ended; its record comes after.
		-25 11<10 open as ls = init sh:10 ls:11
	`)
}

func TestReparentedTaskKeepsItsCreator(t *testing.T) {
	tell(t, `
		1<0   fork 5
		5<1   exec reaper
		5<1   fork 10
		10<5  exec sh
		10<5  fork 11
		11<10 exec daemon
		10<5  exit
		# To a subreaper first, then to init.
		11<5  open           = init reaper:5 sh:10 daemon:11
		5<1   exit
		11<1  exec worker    = init reaper:5 sh:10 daemon:11 worker:11
	`)
}

func TestKernelStartsHelpers(t *testing.T) {
	tell(t, `
		30<2  open as modprobe  = modprobe:30!
		30<2  fork 31           = modprobe:30!
		31<30 exec sh           = modprobe:30! sh:31
		40<2  exec second       = second:40!
	`)
}

func TestKernelThreadsAreKnownFromProcAndHaveNoHistory(t *testing.T) {
	s := newStory(t)
	s.tell("1<0 exec init")
	s.look("1<0 init", "2<0 kthreadd kernel", "9<2 kworker kernel")
	s.tell(`
		+3000 9<2 open as modprobe = modprobe:9!
		30<9 open as helper        = modprobe:9!  helper:30?
	`)
	s.wants[1].history = "modprobe:9! helper:30?"
	s.end()
}

func TestHelperOfAKernelThreadThatIsNewerThanTheLook(t *testing.T) {
	s := newStory(t)
	s.tell("1<0 exec init")
	s.look("1<0 init", "2<0 kthreadd kernel")
	s.tell(`
		+3000 30<77 open as modprobe = modprobe:30!
		31<77 open as modprobe       = modprobe:31!
		# In a container a parent may just not have shown itself.
		1<0   clone 20 20000000
		20<1  exec box
		20<1  fork 2
		41<40 exec ls                = ls:41?
	`)
	s.end()
}

func TestUnrecordedExecIsSeen(t *testing.T) {
	tell(t, `
		1<0   fork 10
		10<1  open as sh     = init sh:10?
		10<1  fork 11        = init sh:10?
		11<10 exec ls        = init sh:10? ls:11
		10<1  open           = init sh:10?
	`)
}

func TestPathSeenFromAnotherRootIsNoExec(t *testing.T) {
	s := newStory(t)
	s.tell("1<0 exec init")
	call := func(serial, exe string) {
		s.write(`type=SYSCALL msg=audit(1767225600.500:` + serial + `): arch=c000003e syscall=161 success=yes exit=0 a0=0 a1=0 a2=0 a3=0 items=0 ppid=0 pid=1 comm="init" exe="` + exe + `"`)
		s.write("type=EOE msg=audit(1767225600.500:" + serial + "): ")
	}
	call("102", "/srv/root/bin/init")
	call("103", "/bin/init")
	s.serial = 103
	s.tell("1<0 open = init")
	s.end()
}

// Trap 17 is about what is done when the rules are gone, see the tests of gaps.

func TestLookTakesEffectAtItsOwnMoment(t *testing.T) {
	s := newStory(t)
	// The plugin looks first, then the backlog from boot arrives: its events are older than the look.
	s.at += 1000
	s.look("1<0 init", "10<1 sh 40", "11<10 sh 60", "12<10 vi 70", "20<1 cron")
	s.at -= 1010
	s.tell(`
		1<0   exec init
		1<0   fork 10        = init
		10<1  exec sh        = init sh:10
		10<1  fork 11        = init sh:10
		10<1  fork 12        = init sh:10
		12<10 exec vi        = init sh:10 vi:12
		# Only now the look: nothing twice, forks are no execs, and what no record showed is filled in.
		+2000 10<1 open      = init sh:10
		11<10 open           = init sh:10
		12<10 open           = init sh:10 vi:12
		20<1  open           = init cron:20*
	`)
	s.end()
}

func TestLookTellsForkFromExec(t *testing.T) {
	s := newStory(t)
	s.look("1<0 init", "10<1 sshd", "11<10 sshd", "12<10 sshd args=session", "13<12 bash")
	s.tell(`
		+3000 11<10 open     = init sshd:10*
		12<10 open           = init sshd:10* sshd:12*
		13<12 open           = init sshd:10* sshd:12* bash:13*
		13<12 fork 14
		14<13 exec ls        = init sshd:10* sshd:12* bash:13* ls:14
	`)
	s.end()
}

func TestExecDuringTheLookIsNotEnteredTwice(t *testing.T) {
	s := newStory(t)
	s.tell(`
		1<0   exec init
		1<0   fork 10
		10<1  exec sh
	`)
	s.look("1<0 init", "10<1 vi 20")
	s.tell(`
		# The exec began just after the look did, which saw its result.
		10<1  exec vi        = init sh:10 vi:10
	`)
	s.end()
}

func TestSecondLookFillsWhatWasMissed(t *testing.T) {
	s := newStory(t)
	s.tell(`
		1<0   exec init
		1<0   fork 10
		10<1  exec sh
		1<0   fork 20
		20<1  exec old
	`)
	s.at += 60000
	s.look("1<0 init", "10<1 sh 20", "11<10 vi 30000", "20<1 new 40000")
	s.tell(`
		+3000 11<10 open     = init sh:10 vi:11*
		10<1  open           = init sh:10
		20<1  open           = init new:20*
	`)
	s.end()
}

func TestHoleIsWaitedForAndFilled(t *testing.T) {
	tell(t, `
		@102 1<0   fork 10
		@103 10<1  exec sh
		# 104 comes late.
		@105 11<10 exec ls   = init sh:10 vi:10 ls:11
		@104 10<1  exec vi   = init sh:10 vi:10
	`)
}

func TestHoleIsLoss(t *testing.T) {
	s := newStory(t)
	s.tell(`
		1<0   exec init
		@102 1<0  fork 10
		@110 10<1 open as sh = init sh:10?
	`)
	s.end()
	if c := s.stream.Counts(); c.Lost != 7 || c.Holes != 1 {
		t.Errorf("lost %d events in %d holes, want 7 in 1", c.Lost, c.Holes)
	}
}

func TestExecAfterAGapIsMarked(t *testing.T) {
	tell(t, `
		@102 1<0  fork 10
		@103 10<1 exec sh
		@104 10<1 fork 11
		@105 1<0  fork 20
		@106 20<1 exec cron
		@120 11<10 exec ls   = init sh:10 ls:11?
		# 10 is seen to run what it ran before; its next child is not in doubt.
		@121 10<1  fork 12   = init sh:10
		@122 12<10 exec vi   = init sh:10 vi:12
		# 20 is not: it may have executed something unseen.
		@123 21<20 exec job  = init cron:20 job:21?
	`)
}

func TestArchitectureDecidesWhatANumberMeans(t *testing.T) {
	for arch, exec := range map[string]string{"40000003": "11", "c00000b7": "221", "c00000f3": "221", "c0000102": "221", "c0000015": "11", "80000016": "11"} {
		s := newStory(t)
		s.tell("1<0 exec init\n1<0 fork 10")
		s.write(`type=SYSCALL msg=audit(1767225600.500:103): arch=` + arch + ` syscall=` + exec + ` success=yes exit=0 a0=0 a1=0 a2=0 a3=0 items=0 ppid=1 pid=10 comm="ls" exe="/bin/ls"`)
		s.write("type=EOE msg=audit(1767225600.500:103): ")
		s.wants = append(s.wants, want{"arch " + arch, "init ls:10", 103})
		s.end()
	}
	// 59 is execve on x86_64 only.
	s := newStory(t)
	s.tell("1<0 exec init\n1<0 fork 10")
	s.write(`type=SYSCALL msg=audit(1767225600.500:103): arch=40000003 syscall=59 success=yes exit=0 a0=0 a1=0 a2=0 a3=0 items=0 ppid=1 pid=10 comm="init" exe="/bin/init"`)
	s.write("type=EOE msg=audit(1767225600.500:103): ")
	s.wants = append(s.wants, want{"oldolduname", "init", 103})
	s.end()
}

func TestUringHasAHistoryAndCannotFork(t *testing.T) {
	s := newStory(t)
	s.tell("1<0 exec init\n1<0 fork 10\n10<1 exec sh")
	for _, r := range []struct{ name, serial string }{{"URINGOP", "104"}, {"UNKNOWN[1336]", "105"}} {
		s.write(`type=` + r.name + ` msg=audit(1767225600.500:` + r.serial + `): uring_op=18 success=yes exit=57 items=1 ppid=1 pid=10 uid=0 gid=0 euid=0 suid=0 fsuid=0 egid=0 sgid=0 fsgid=0 subj=kernel key=(null)`)
		s.write("type=EOE msg=audit(1767225600.500:" + r.serial + "): ")
		s.wants = append(s.wants, want{r.name, "init sh:10", atou(r.serial)})
	}
	s.end()
	if s.stream.Tracker().Machine("").Lookup(57) != nil {
		t.Error("io_uring's result was taken for a child")
	}
}

func atou(s string) uint64 {
	n, _ := strconv.ParseUint(s, 10, 64)
	return n
}

func TestTheClockStepsBack(t *testing.T) {
	tell(t, `
		+7200000 1<0 fork 10
		10<1  exec sh
		10<1  fork 11
		11<10 exec ls
		11<10 exit
		# An hour back; the number 11 comes round again, and its exec before the clone.
		-3600000 11<10 exec vi      = init sh:10 vi:11
		-3600000 10<1 fork 12
		-3600000 12<10 exec top     = init sh:10 top:12
		-3600000 12<10 exit         = init sh:10 top:12
	`)
}

func TestNodesHaveTablesOfTheirOwn(t *testing.T) {
	s := newStory(t)
	s.tell("1<0 exec init\n1<0 fork 10\n10<1 exec sh")
	s.node = "there"
	s.program = map[string]string{}
	s.serial = 1000
	s.tell("1<0 exec other\n1<0 fork 10\n10<1 exec zsh = swapper/0:1? other:1 zsh:10")
	// The same machine by its name is the local one.
	s.node, s.serial = "here", 103
	s.program["10"] = "sh"
	s.tell("10<1 open = init sh:10")
	s.node = ""
	s.look("1<0 init", "10<1 sh", "44<1 cron")
	s.tell("+3000 44<1 open = init cron:44*")
	s.node, s.serial = "there", 1003
	s.program["10"] = "zsh"
	s.tell("10<1 open = swapper/0:1? other:1 zsh:10")
	s.end()
	if s.stream.Tracker().Machine("there").Lookup(44) != nil {
		t.Error("a look at this machine's /proc has changed another's table")
	}
}

func TestLateEventsChangeNothingThatIsPastThem(t *testing.T) {
	s := newStory(t)
	s.tell(`
		1<0   exec init
		@102 1<0  fork 10
		@103 10<1 exec one
	`)
	// 104, the exec of two, is missing for so long that it is given up.
	s.serial = 104
	s.program["10"] = "three"
	s.tell("10<1 exec three = init one:10 three:10?")
	for range 2100 {
		s.tell("1<0 open")
	}
	s.program["10"] = "two"
	s.at = storyBegin
	s.tell("@104 +22 10<1 exec two")
	s.program["10"] = "three"
	s.at += 30000
	s.tell("10<1 open = init one:10 three:10?")
	s.end()
	if c := s.stream.Counts(); c.Lost != 1 || c.LateEvents != 1 {
		t.Errorf("lost %d, late %d; want 1 and 1", c.Lost, c.LateEvents)
	}
}

func TestWaitingForksAndThreadsInANamespace(t *testing.T) {
	tell(t, `
		1<0   clone 20 20000000
		20<1  exec box
		# Two threads by clone3 that never show a record, then two forks with an exec between.
		20<1  clone3 5
		20<1  clone3 6
		20<1  fork 7
		20<1  exec bay
		20<1  fork 8
		31<20 open as bay    = init box:20 bay:20
		30<20 open as box    = init box:20
		+60000 20<1 exec boat
		# The threads' forks are long past; this child's clone is recorded after it.
		40<20 exec ls        = init box:20 bay:20 boat:20 ls:40
	`)
}

func TestDoubleForkInANamespace(t *testing.T) {
	tell(t, `
		1<0   clone 20 20000000
		20<1  exec box
		20<1  fork 2
		30<20 exec daemon    = init box:20 daemon:30
		30<20 fork 3
		30<20 exit
		# Its creator is gone; it names the init of its namespace.
		31<20 open as daemon = init box:20 daemon:30
	`)
}

func TestNobodyIsReparentedToAStranger(t *testing.T) {
	tell(t, `
		1<0   fork 10
		10<1  exec sh
		1<0   fork 20
		20<1  exec cron
		10<1  fork 11
		11<10 exec gone
		# 11 dies of a signal; 20 forks, and the number is 11 again. Its first record comes before the clone.
		+100 11<20 exec job  = init cron:20 job:11
		-90 20<1 vfork 11
		11<20 open           = init cron:20 job:11
	`)
}

func TestStaleTaskWithTheSameParentIsToldApartByTheFork(t *testing.T) {
	tell(t, `
		1<0   fork 10
		10<1  exec sh
		10<1  fork 11
		11<10 exec gone
		# 11 dies of a signal and comes again from the same parent, its exec before the clone.
		+100 11<10 exec job
		-90 10<1 vfork 11
		11<10 open           = init sh:10 job:11
		11<10 exec next      = init sh:10 job:11 next:11
	`)
}

func TestSignalNamesSenderAndVictim(t *testing.T) {
	tell(t, `
		1<0   fork 10
		10<1  exec sshd
		10<1  fork 11
		11<10 exec bash
		1<0   fork 20
		20<1  exec postgres
		11<10 kill 20        = init sshd:10 bash:11 / init postgres:20
		20<1  exit
		11<10 kill 20        = init sshd:10 bash:11 / init postgres:20
		11<10 kill 99        = init sshd:10 bash:11
	`)
}

func TestUserRecordsHaveTheHistoryOfTheirSender(t *testing.T) {
	s := newStory(t)
	s.tell("1<0 exec init\n1<0 fork 10\n10<1 exec sudo")
	s.write(`type=USER_CMD msg=audit(1767225600.500:104): pid=10 uid=1000 auid=1000 ses=3 msg='cwd="/" cmd=6C73 terminal=pts/0 res=success'` + "\x1d" + `UID="me"`)
	s.write(`type=USER_CMD msg=audit(1767225600.500:105): uid=1000 auid=1000 ses=3 msg='pid=10 res=success'`)
	s.write(`type=USER_CMD msg=audit(1767225600.500:106): uid=1000 auid=1000 ses=3 msg='res=success'` + "\x1dpid=10")
	s.wants = append(s.wants, want{"USER_CMD", "init sudo:10", 104}, want{"pid= in the message", "-", 105}, want{"pid= of auditd", "-", 106})
	s.end()
}

func TestSerialsThatBeginAgainAreABoot(t *testing.T) {
	s := newStory(t)
	s.tell("1<0 exec init\n1<0 fork 10\n10<1 exec sh")
	s.serial = 0
	s.at += 60000
	s.tell("1<0 exec init\n" + strings.Repeat("1<0 open\n", 70))
	s.program["10"] = ""
	s.tell("10<1 open = init")
	s.end()
	if c := s.stream.Counts(); c.Restarts != 1 || c.Lost != 0 {
		t.Errorf("%d restarts and %d lost, want 1 and 0", c.Restarts, c.Lost)
	}
}
