// Package procfs looks at /proc once: which processes there are, who their parents are, when they began and what
// they run. The root directory is handed in: the real /proc, or a directory laid out like it
// (PID/{stat,status,comm,cmdline,exe}, stat, uptime, sys/kernel/random/boot_id).
//
// A look is not a snapshot. Processes come and go while it lasts, between [Look.Begin] and [Look.End]; one that goes
// half way is counted, not reported.
//
// The kernel reads a command line out of the process's memory and may have to wait for its lock
// (fs/proc/base.c: get_mm_cmdline), so a look can take as long as it likes: never take one where records are read.
package procfs

import (
	"cmp"
	"context"
	"slices"
	"time"
)

// MaxPID is the highest process number there can be (include/linux/threads.h: PID_MAX_LIMIT).
const MaxPID = 4 * 1024 * 1024

// TicksPerSecond is the unit of a start time in /proc: USER_HZ, which is 100 on every architecture Go runs on
// (include/uapi/asm-generic/param.h; alpha and ia64 had 1024).
const TicksPerSecond = 100

// What is kept of one process is bounded.
const (
	maxName    = 64   // fs/proc/array.c: proc_task_name; TASK_COMM_LEN is 16, kernel threads have more
	maxExe     = 4096 // PATH_MAX
	maxCmdline = 4096
)

// Process is one thread group.
type Process struct {
	PID int // the thread-group id as this /proc shows it
	// PPID is the parent's, 0 where it has none or none that this /proc can show. It was read at another instant than
	// the parent itself: a parent in the same look whose start is later is a stranger that has been given the number.
	PPID int
	Name string // comm of the leader as it is: any byte but NUL, at most 64
	// Start is when the leader began, in UTC, counted from [Look.Boot]; like it, up to a second early, and it moves
	// when the clock is set. To tell two processes of one number apart, compare StartTicks.
	Start      time.Time
	StartTicks uint64 // since boot, 100 a second; never changes, not even in an exec
	// Exe is where PID/exe points, at most 4096 bytes, as it is (" (deleted)" too); "" for kernel threads and zombies, and
	// where it may not be read.
	Exe     string
	Cmdline string // PID/cmdline as it is, arguments ended by NUL; its first 4096 bytes. "" as for Exe
	// NamespacePIDs is the process's number in each pid namespace it is in, from this /proc's inward; nil if the kernel
	// does not say. More than one: the process lives in a nested namespace.
	NamespacePIDs []int
	Threads       int  // threads that have not ended, the leader included even if it has
	KernelThread  bool // a thread of the kernel: has no program
	// Zombie: the leader has ended. With Threads above 1 the process has not: others of its threads live on.
	Zombie bool
}

// Look is /proc at one moment.
type Look struct {
	// Begin and End are the moments, boot time and uptime added, before the first process was read and after the last.
	// Of a stored directory they are the same. The kernel gives the boot time in whole seconds, rounded down
	// (fs/proc/stat.c: show_stat), so both may be up to a second early. If the clock is set back meanwhile, so is End.
	Begin, End time.Time
	Boot       time.Time // when the kernel started, whole seconds, UTC
	BootID     string    // the boot's UUID in lower case; "" if the directory has none
	// Processes are ordered by start, then number; but a parent always comes before its children.
	Processes []Process
	// Vanished counts the processes that were listed but had gone, or may not be read (hidepid=1), or made no sense.
	Vanished int
}

// Read looks at root once: [Open], [Reader.Look] and [Reader.Close].
func Read(ctx context.Context, root string) (*Look, error) {
	reader, err := Open(root)
	if err != nil {
		return nil, err
	}
	look, err := reader.Look(ctx)
	if closeErr := reader.Close(); err == nil && closeErr != nil {
		return nil, closeErr
	}
	return look, err
}

// StartTime is the moment ticks after boot, in UTC.
func StartTime(boot time.Time, ticks uint64) time.Time {
	seconds, rest := int64(ticks/TicksPerSecond), int64(ticks%TicksPerSecond)
	return time.Unix(boot.Unix()+seconds, rest*int64(time.Second/TicksPerSecond)).UTC()
}

// order sorts by start and number, then moves parents that come after a child (the numbers wrapped within one tick)
// before it. Parents that form a ring, which only a forged directory has, are left as they come.
func order(processes []Process) []Process {
	slices.SortFunc(processes, func(a, b Process) int {
		return cmp.Or(cmp.Compare(a.StartTicks, b.StartTicks), cmp.Compare(a.PID, b.PID))
	})
	at := make(map[int]int, len(processes))
	for i := range processes {
		at[processes[i].PID] = i
	}
	ordered := make([]Process, 0, len(processes))
	placed := make([]bool, len(processes))
	var line []int // a process, its parent, its parent's parent: those not placed yet
	for i := range processes {
		line = line[:0]
		for j, found := i, true; found && !placed[j]; j, found = at[processes[j].PPID] {
			placed[j] = true
			line = append(line, j)
		}
		for _, j := range slices.Backward(line) {
			ordered = append(ordered, processes[j])
		}
	}
	return ordered
}
