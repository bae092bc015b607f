package enrich_test

import (
	"strconv"
	"strings"
	"testing"
)

// The traps that lie in the stream itself: its beginning, its holes, its order, other machines.

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

func TestExecBehindAGapThatTheLookHasShownIsNotEnteredTwice(t *testing.T) {
	s := newStory(t)
	s.tell(`
		1<0   exec init
		1<0   fork 10
		10<1  exec sh
	`)
	s.look("1<0 init", "10<1 vi 20")
	s.tell(`
		# Twenty events are lost before this one, which began when the look had; what 10 did in them nobody knows.
		@123 +10 1<0 open as init
		@124 10<1 exec vi    = init sh:10 vi:10?
	`)
	s.end()
}

func TestLookPlacesWhatWasSeenBeforeIt(t *testing.T) {
	s := newStory(t)
	s.tell(`
		# The rules come into force, and only then the first look is taken.
		30<20 fork 31 as daemon = daemon:30?
		31<30 open           = daemon:30?
		41<40 exec ls        = ls:41?
		51<50 fork 52 as sh  = sh:51?
	`)
	s.look("1<0 init", "20<1 sh", "30<20 daemon", "31<30 daemon", "40<1 sh", "41<40 ls", "50<1 sh", "51<50 sh", "52<51 sh")
	s.tell(`
		+3000 30<20 open     = init sh:20* daemon:30?
		# Who inherited it has what was before it, too.
		31<30 open           = init sh:20* daemon:30?
		31<30 exec vi        = init sh:20* daemon:30? vi:31
		41<40 open           = init sh:40* ls:41?
		# These run what their parents do: they have only been forked.
		51<50 open           = init sh:50*
		52<51 open           = init sh:50*
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
		@105 11<10 exec ls   = init sh:10 vi:10 ls:11?
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
		-3600000 11<10 exec vi      = init sh:10 vi:11?
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
