package enrich_test

import "testing"

// The traps of other pid namespaces and of pids that are given away again.

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
		# The threads' forks are long past, this child's has not come: what it was forked from is a guess.
		40<20 exec ls        = init box:20 bay:20 boat:20 ls:40?
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

func TestChildWaitsForTheForkBehindIt(t *testing.T) {
	tell(t, `
		1<0   clone 20 20000000
		20<1  exec box
		20<1  fork 2
		20<1  exec bay
		# A posix_spawn: the child's exec comes before the fork, and the child of the fork before is still to come.
		+100 60<20 exec ls   = init box:20 bay:20 ls:60
		-90 20<1 vfork 3
		30<20 exec vi        = init box:20 vi:30
	`)
}

func TestOrderOfPIDsTellsWhichForkMadeATask(t *testing.T) {
	tell(t, `
		1<0   clone 20 20000000
		20<1  exec box
		1<0   fork 29
		29<1  exec other
		20<1  fork 2
		1<0   fork 31
		31<1  exec other
		20<1  exec bay
		20<1  fork 3
		1<0   fork 33
		33<1  exec other
		# 30 was given out before 31, 32 after it.
		30<20 exec vi        = init box:20 vi:30
		32<20 exec ls        = init box:20 bay:20 ls:32
	`)
}

func TestForkAfterAnExecCannotHaveMadeAnEarlierPID(t *testing.T) {
	tell(t, `
		1<0   clone 20 20000000
		20<1  exec box
		20<1  fork 2
		# The machine's own tasks show no record yet, but their numbers are known.
		1<0   fork 35
		20<1  exec bay
		20<1  fork 3
		1<0   fork 40
		30<20 exec vi        = init box:20 vi:30
		37<20 exec ls        = init box:20 bay:20 ls:37
	`)
}

func TestChildStillNamesAParentThatExecutedAndEnded(t *testing.T) {
	tell(t, `
		1<0   clone 20 20000000
		20<1  exec box
		20<1  fork 2
		30<20 exec sh
		30<20 fork 3
		30<20 exec later
		30<20 exit
		31<30 exec ls        = init box:20 sh:30 ls:31
	`)
}

func TestOrphanOfAContainerIsNotGivenToInit(t *testing.T) {
	tell(t, `
		1<0   clone 20 20000000
		20<1  exec box
		20<1  fork 2
		30<20 exec daemon
		30<20 fork 3
		30<20 exit
		# 40 names the machine's init; the child of 30 can only come to that of its namespace.
		40<1  exec cron      = init cron:40?
		31<20 exec worker    = init box:20 daemon:30 worker:31
	`)
}

func TestChildOfItsParentIsNotTheOrphanOfAGrandchild(t *testing.T) {
	tell(t, `
		1<0   clone 20 20000000
		20<1  exec box
		20<1  fork 2
		21<20 exec sh        = init box:20 sh:21
		21<20 fork 3
		22<21 fork 4
		22<21 exit
		21<20 clone3 5
		21<20 exec sh
		23<20 exec sh        = init box:20 sh:21 sh:23
		# Three forks, the last one by the child of the first, all before any other child shows up; 24 never does.
		23<20 fork 6
		21<20 fork 7
		25<23 fork 8
		25<23 exit
		26<21 open as sh     = init box:20 sh:21 sh:21
		27<20 open as sh     = init box:20 sh:21 sh:23
	`)
}

func TestClone3IntoANewNamespaceShowsInTheNumbers(t *testing.T) {
	tell(t, `
		1<0   fork 1000
		1000<1 exec victim
		1<0   fork 2
		2<1   exec two
		1000<1 clone3 1001
		1001<1000 exec box   = init victim:1000 box:1001
		# Nobody could see its flags. 2 is no number that the kernel gives out now.
		1001<1000 fork 2
		2<1   open           = init two:2
		1002<1001 exec ls    = init victim:1000 box:1001 ls:1002
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
