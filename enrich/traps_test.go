package enrich_test

import (
	"strconv"
	"testing"
	"time"

	"audisp-history/enrich"
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
		1<0   fork 2
		2<1   exec two
		1<0   fork 10
		10<1  exec sh
		10<1  unshare 20000000
		10<1  fork 11
		11<10 exec inner     = init sh:10 inner:11
		11<10 fork 2
		12<11 fork 3 as inner = init sh:10 inner:11
		13<12 exec ls        = init sh:10 inner:11 ls:13
		2<1   exec again     = init two:2 again:2
		1<0   fork 30
		30<1  exec enter
		30<1  setns 20000000
		30<1  fork 31
		31<30 exec guest
		31<30 fork 4
		31<30 exec other
		32<31 exec ls        = init enter:30 guest:31 ls:32
		# All those numbers were no keys here.
		4<1   exec four      = init four:4?
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

func TestCloneParentInANamespace(t *testing.T) {
	tell(t, `
		1<0   clone 20 20000000
		20<1  exec box
		20<1  fork 2
		21<20 exec maker
		21<20 clone 3 8000
		22<20 exec ls        = init box:20 maker:21 ls:22
	`)
}

func TestEarlyChildStaysTheAncestorOfItsOwn(t *testing.T) {
	tell(t, `
		1<0   fork 10
		10<1  exec sh
		+100 11<10 exec reaper
		11<10 fork 12
		12<11 exec mid
		12<11 fork 13
		-140 10<1 vfork 11
		12<11 exit
		# 11 is a subreaper.
		13<11 open           = init sh:10 reaper:11 mid:12
	`)
}

func TestCloneParentRecordedAfterTheChild(t *testing.T) {
	tell(t, `
		1<0   fork 10
		10<1  exec sh
		10<1  fork 11
		11<10 exec maker
		+100 12<10 exec ls   = init sh:10 maker:11 ls:12
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
		# Its fork is not recorded: what it was forked from is a guess.
		+1000 11<10 exec vi  = init sh:10 vi:11?
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
	c := config
	c.KernelThread = func(pid uint32) bool { return pid == 77 }
	s.stream = enrich.New(c, s)
	s.tell(`
		1<0   exec init
		30<77 open as modprobe = modprobe:30!
		31<77 open as modprobe = modprobe:31!
		# Of this parent nothing is known, nor can be found out.
		41<40 open as ls       = ls:41?
		42<40 exec ls          = ls:42?
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
	s.write(`type=SYSCALL msg=audit(1767225600.500:104): arch=c000003e syscall=59 success=yes exit=0 a0=0 a1=0 a2=0 a3=0 items=0 ppid=0 pid=1 comm="init" exe="/srv/root/bin/init"`)
	s.write("type=EOE msg=audit(1767225600.500:104): ")
	call("105", "/bin/init")
	s.wants = append(s.wants, want{"105", "init init:1", 105})
	s.serial = 105
	s.tell("1<0 open = init init:1")
	s.end()
}
