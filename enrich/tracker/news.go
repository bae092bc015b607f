package tracker

import (
	"audisp-history/enrich/abi"
	"audisp-history/enrich/record"
)

// news is what one record says of the task that it names.
type news struct {
	pid, ppid uint32
	at        int64 // the event's time: the entry of the system call
	serial    uint64
	comm, exe []byte
	act       act
	doubtful  bool // what the task, or its parent, did in a gap before may be missing
	late      bool // the event came after others with higher serials
	kernel    bool // /proc was asked, and ppid is a kernel thread

	creator uint32 // found out: the pid of the task that forked it

	// Of actFork: what the call returned, its flags, and whether they are hidden behind a pointer.
	child  int64
	flags  uint64
	clone3 bool
}

// act is what a system call did to tasks or namespaces.
type act uint8

const (
	actNone act = iota
	actExec
	actExit
	actFork
	actApart // the next children are born in a new pid namespace
	actJoin  // or in one that another process has made, which may be the caller's own
	acts
)

// exec reports whether the task has just executed what comm and exe say.
func (n *news) exec() bool { return n.act == actExec }

// deed reads what the call of a SYSCALL record did.
func (n *news) deed(c *record.Call) {
	call := abi.Lookup(c.Arch, c.Number)
	switch {
	case call == abi.ExitGroup:
		n.act = actExit
	case !c.Succeeded:
	case call == abi.Exec:
		n.act = actExec
	case call == abi.Unshare:
		if c.A0&cloneNewPID != 0 {
			n.act = actApart
		}
	case call == abi.SetNS:
		// With 0 the file descriptor may be that of any namespace: whether the children's pids are keys here is
		// then unknown, which is handled as if they were not.
		if c.A1 == 0 || c.A1&cloneNewPID != 0 {
			n.act = actJoin
		}
	default:
		n.forked(call, c)
	}
}

// forked reads a call that may have made a task.
func (n *news) forked(call abi.Call, c *record.Call) {
	switch call {
	case abi.Clone:
		n.flags = c.A0
		if abi.CloneFlagsArg(c.Arch) == 1 {
			n.flags = c.A1
		}
	case abi.Clone3:
		n.clone3 = true
	case abi.Fork, abi.VFork:
	default:
		return
	}
	if n.flags&cloneThread == 0 && c.Exit > 0 && c.Exit < 1<<31 {
		n.act, n.child = actFork, c.Exit
	}
}
