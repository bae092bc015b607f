package tracker

// The kernel gives out pids in order, in every namespace at once, until it has to begin again from the lowest
// (kernel/pid.c: alloc_pid). So the pid of a task tells when it was made, and which of several forks made it.
//
// A pidClock follows the order: what it calls a place is the number a pid would have if the kernel had never begun
// again.
type pidClock struct {
	top   int64 // the place of the newest pid known
	base  int64 // the place of pid 0 in the present round
	most  int64 // the greatest pid known
	marks [256]struct{ at, top int64 }
	count uint64 // marks ever made
}

// firstPID is where the kernel begins again (kernel/pid.c: RESERVED_PIDS).
const firstPID = 300

// place is the place of a pid that was given out lately.
func (c *pidClock) place(pid uint32) int64 {
	p := c.base + int64(pid)
	round := c.most - firstPID
	switch {
	case c.base == 0 && round < firstPID: // it can hardly have begun again yet
	case c.top-p > round/2:
		return p + round
	case p-c.top > round/2:
		return p - round
	}
	return p
}

// born tells of a pid that has just been given out.
func (c *pidClock) born(pid uint32) {
	if p := c.place(pid); p > c.top {
		c.top = p
		c.base = p - int64(pid) // which moves when a new round has begun
		c.most = max(c.most, int64(pid))
	}
}

// again notices that the kernel has begun again sooner than the pids so far lead to expect, as it does when pid_max was
// lowered: the child of a fork gets its pid after the call began, so behind all that had been given out before (low).
func (c *pidClock) again(pid uint32, low int64) {
	newest := c.top - c.base
	if c.place(pid) > low || pid < firstPID || newest <= firstPID {
		return
	}
	c.most = newest
	c.base += newest - firstPID
	c.top = c.base + int64(pid)
}

// shown tells of the first record of a task, whose pid had been given out before its time.
func (c *pidClock) shown(pid uint32, at int64) {
	c.born(pid)
	last := &c.marks[(c.count-1)%uint64(len(c.marks))]
	p := c.place(pid)
	if c.count > 0 && p <= last.top {
		return
	}
	if c.count == 0 || at > last.at {
		last = &c.marks[c.count%uint64(len(c.marks))]
		c.count++
		last.at = at
	}
	last.top = p
}

// before is the place of the newest pid that was given out before a time, as far as is known.
func (c *pidClock) before(at int64) int64 {
	n := min(c.count, uint64(len(c.marks)))
	for i := uint64(1); i <= n; i++ {
		if m := c.marks[(c.count-i)%uint64(len(c.marks))]; m.at < at {
			return m.top
		}
	}
	return 0
}

// next reports whether a pid can have been given out after a place: in the present round, or just after the beginning
// of the next.
func (c *pidClock) next(pid uint32, after int64) bool {
	p := c.place(pid)
	return p > after && (p == c.base+int64(pid) || pid >= firstPID && p <= c.top+(c.most-firstPID)/8)
}
