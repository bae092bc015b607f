package record

import "bytes"

// Accompanies reports whether the type= of a kernel record is one that only says more of a system call whose own record
// the kernel writes before it (kernel/auditsc.c: audit_log_exit, show_special).
func Accompanies(typ []byte) bool {
	switch string(typ) {
	case "PATH", "CWD", "EXECVE", "SOCKADDR", "BPRM_FCAPS", "IPC", "SOCKETCALL", "MQ_OPEN", "MQ_SENDRECV", "MQ_NOTIFY",
		"MQ_GETSETATTR", "CAPSET", "MMAP", "FD_PAIR", "OPENAT2", "TIME_INJOFFSET", "TIME_ADJNTPVAL", "KERN_MODULE":
		return true
	}
	return false
}

// Headless reports whether the record of the system call is missing from an event all of whose records come with one:
// auditd drops single records when its queue is full (auditd/audisp/queue.c: enqueue).
func (e *Event) Headless() bool {
	if e.Call >= 0 || !e.Ordered {
		return false
	}
	for i := range e.Records {
		switch e.Records[i].Kind {
		case Title, End, Target:
		case Other:
			if !Accompanies(e.Header(i).Type) {
				return false
			}
		default:
			return false
		}
	}
	return len(e.Records) > 0
}

// Join appends the records of a part of the same event that e does not have.
func (e *Event) Join(part *Event) {
	for i := range part.Records {
		if line := part.Line(i); !e.has(line) {
			r := &part.Records[i]
			e.add(line, r.Kind, r.body-r.start)
		}
	}
}

func (e *Event) has(line []byte) bool {
	for i := range e.Records {
		if bytes.Equal(e.Line(i), line) {
			return true
		}
	}
	return false
}

// Without is e less the records whose lines are known; nil if all are.
func (e *Event) Without(known func(line []byte) bool) *Event {
	rest := &Event{Node: e.Node, Time: e.Time, Serial: e.Serial, Arrived: e.Arrived, Ordered: e.Ordered, Call: -1}
	for i := range e.Records {
		if line := e.Line(i); !known(line) {
			r := &e.Records[i]
			rest.add(line, r.Kind, r.body-r.start)
		}
	}
	switch len(rest.Records) {
	case len(e.Records):
		return e
	case 0:
		return nil
	}
	return rest
}
