package enrich_test

import "testing"

// What went wrong in containers on machines whose pids are given away again quickly.

func TestPIDsBeginAgainSoonerThanBefore(t *testing.T) {
	tell(t, `
		1<0   fork 3000
		3000<1 exec big
		# Somebody has lowered pid_max to 700.
		1<0   clone 690 20000000
		690<1 exec box
		1<0   fork 320
		320<1 exec other
		690<1 fork 2
		690<1 exec bay
		690<1 fork 3
		322<690 open as bay  = init box:690 bay:690
		321<690 exec ls      = init box:690 ls:321
	`)
}

func TestTaskIsNotMadeByAYoungerOne(t *testing.T) {
	tell(t, `
		1<0   clone 20 20000000
		20<1  exec box
		20<1  fork 2
		30<20 exec daemon
		30<20 fork 3
		30<20 exit
		20<1  fork 4
		32<20 open as box
		-10 32<20 fork 5
		32<20 exit
		31<20 exec vi        = init box:20 daemon:30 vi:31
		33<20 exec ls        = init box:20 ls:33
	`)
}

func TestInitOfAYoungerNamespaceAdoptsNobody(t *testing.T) {
	tell(t, `
		1<0   fork 305
		305<1 exec other
		310<9 exec sh
		# A thread, which ends with 310. Its number comes again in a container.
		310<9 clone3 350
		310<9 exit
		1<0   fork 900
		900<1 exec big
		1<0   clone 345 20000000
		345<1 exec box
		345<1 fork 2
		350<345 exec ls      = init box:345 ls:350
	`)
}

func TestParentWithTheNumberOfAFormerOneIsAnother(t *testing.T) {
	tell(t, `
		1<0   fork 310
		310<1 exec sh
		310<1 fork 311
		311<310 exec gone
		310<1 exit
		# 311 dies of a signal. Both numbers come again, in a container.
		1<0   fork 900
		900<1 exec big
		1<0   clone 310 20000000
		310<1 exec box
		310<1 fork 2
		311<310 exec ls      = init box:310 ls:311
	`)
}

func TestSpawnBesideThreadsLeavesNoForkBehind(t *testing.T) {
	tell(t, `
		1<0   clone 20 20000000
		20<1  exec box
		20<1  fork 2
		30<20 exec sh
		# A thread, number 3, and a vfork, number 4, whose child executes something before it returns.
		30<20 clone3 3
		+100 32<30 exec vi   = init box:20 sh:30 vi:32
		-90 30<20 vfork 4
		32<30 exit
		30<20 exit
		20<1  fork 5
		33<20 exec ls        = init box:20 ls:33
	`)
}

func TestVforkOfAGrandparentIsNotTakenForAnOrphan(t *testing.T) {
	tell(t, `
		1<0   clone 20 20000000
		20<1  exec box
		20<1  fork 2
		30<20 exec sh
		30<20 exec bash
		# A double fork, of whose second child nothing is seen yet, then a vfork, whose child is seen first.
		30<20 fork 3
		31<30 fork 4
		31<30 exit
		+100 33<30 exec vi   = init box:20 sh:30 bash:30 vi:33
		-90 30<20 vfork 5
		30<20 exec zsh
		32<20 exec daemon    = init box:20 sh:30 bash:30 daemon:32
	`)
}

func TestSpawnOfAThreadIsNotTakenForAnOrphan(t *testing.T) {
	tell(t, `
		1<0   clone 20 20000000
		20<1  exec box
		20<1  fork 2
		30<20 exec sh
		30<20 fork 3
		31<30 exec bash
		31<30 fork 4
		31<30 exit
		# A thread, and its posix_spawn, which returns after what it has made was seen.
		30<20 clone3 5
		+100 33<30 exec vi   = init box:20 sh:30 vi:33
		-90 30<20 clone3 6
		32<20 exec daemon    = init box:20 sh:30 bash:31 daemon:32
	`)
}
