package record

import "bytes"

// A Call is what a SYSCALL or URINGOP record says. Comm and Exe are as written (see AppendDecoded) and belong to the
// record's event.
type Call struct {
	Arch      uint32 // AUDIT_ARCH_* of include/uapi/linux/audit.h
	Number    int    // of the system call, within Arch
	Succeeded bool   // success=yes; false where the field is missing, as on exit and exit_group
	Exit      int64
	A0, A1    uint64
	PID, PPID uint32 // thread-group ids in the initial pid namespace
	Comm, Exe []byte
}

// Parse reads the fields of a record's raw body. It reports false if there is no readable pid=.
//
// The kernel writes them in one order (kernel/auditsc.c: audit_log_exit, audit_log_task_info), which is read fast; any
// other is read as well. Of two fields of one name the first is the kernel's.
func (c *Call) Parse(body []byte) bool {
	if c.parseUsual(body) {
		return true
	}
	*c = Call{}
	var seen, valid uint
	for f := FieldsOf(body); seen != allFields && f.Next(); {
		bit := fieldBit(f.Key)
		if bit == 0 || seen&bit != 0 {
			continue
		}
		seen |= bit
		if c.set(bit, f.Value) {
			valid |= bit
		}
	}
	return valid&fieldPID != 0
}

const (
	fieldArch uint = 1 << iota
	fieldNumber
	fieldSuccess
	fieldExit
	fieldA0
	fieldA1
	fieldPPID
	fieldPID
	fieldComm
	fieldExe
	allFields = 1<<iota - 1
)

func fieldBit(key []byte) uint {
	switch string(key) {
	case "arch":
		return fieldArch
	case "syscall":
		return fieldNumber
	case "success":
		return fieldSuccess
	case "exit":
		return fieldExit
	case "a0":
		return fieldA0
	case "a1":
		return fieldA1
	case "ppid":
		return fieldPPID
	case "pid":
		return fieldPID
	case "comm":
		return fieldComm
	case "exe":
		return fieldExe
	}
	return 0
}

func (c *Call) set(bit uint, v []byte) bool {
	var n uint64
	ok := true
	switch bit {
	case fieldArch:
		n, ok = Hex(v)
		c.Arch = uint32(n)
	case fieldNumber:
		n, ok = Uint(v)
		c.Number = int(n)
	case fieldSuccess:
		c.Succeeded = string(v) == "yes"
	case fieldExit:
		n, ok = Uint(v) // negative on failure, which nobody asks about
		c.Exit = int64(n)
	case fieldA0:
		c.A0, ok = Hex(v)
	case fieldA1:
		c.A1, ok = Hex(v)
	case fieldPPID:
		c.PPID, ok = PID(v)
	case fieldPID:
		c.PID, ok = PID(v)
	case fieldComm:
		c.Comm = v
	case fieldExe:
		c.Exe = v
	}
	return ok
}

// parseUsual reads the fields in the order in which the kernel writes them in a SYSCALL record.
func (c *Call) parseUsual(body []byte) bool {
	*c = Call{}
	r := reader{rest: body, ok: true}
	c.Arch = uint32(r.hex("arch="))
	c.Number = int(r.number(" syscall="))
	if r.has(" success=yes exit=") {
		c.Succeeded = true
		c.Exit = int64(r.number(""))
	} else if r.has(" success=no exit=") {
		r.skip()
	}
	c.A0 = r.hex(" a0=")
	c.A1 = r.hex(" a1=")
	r.find("ppid=")
	c.PPID = r.pid("")
	c.PID = r.pid(" pid=")
	// Between them stand numbers and the name of a terminal, none of them chosen by a user.
	r.find("comm=")
	c.Comm = r.value()
	r.require(" exe=")
	c.Exe = r.value()
	return r.ok
}

// reader reads a text from its beginning; ok turns false with the first thing that is not there.
type reader struct {
	rest []byte
	ok   bool
}

func (r *reader) has(s string) bool {
	if !hasPrefixAt(r.rest, 0, s) {
		return false
	}
	r.rest = r.rest[len(s):]
	return true
}

func (r *reader) require(s string) { r.ok = r.has(s) && r.ok }

// find goes on behind the text s, which must follow a blank. It is fast where the first byte of s is rare.
func (r *reader) find(s string) {
	i := bytes.Index(r.rest, []byte(s))
	if i < 1 || r.rest[i-1] != ' ' {
		r.ok = false
		return
	}
	r.rest = r.rest[i+len(s):]
}

func (r *reader) skip() {
	i := 0
	for i < len(r.rest) && r.rest[i] != ' ' {
		i++
	}
	r.rest = r.rest[i:]
}

// number reads up to 19 digits after the text s.
func (r *reader) number(s string) uint64 {
	r.require(s)
	var n uint64
	i := 0
	for ; i < len(r.rest) && r.rest[i]-'0' <= 9; i++ {
		n = n*10 + uint64(r.rest[i]-'0')
	}
	r.end(i, 19)
	return n
}

// pid reads a process id, of at most 31 bits, after the text s.
func (r *reader) pid(s string) uint32 {
	n := r.number(s)
	r.ok = r.ok && n < 1<<31
	return uint32(n)
}

// hex reads up to 16 digits in base 16 after the text s.
func (r *reader) hex(s string) uint64 {
	r.require(s)
	var n uint64
	i := 0
	for ; i < len(r.rest); i++ {
		d := hexDigit(r.rest[i])
		if d > 15 {
			break
		}
		n = n<<4 | uint64(d)
	}
	r.end(i, 16)
	return n
}

// end ends a number of i digits, of which there may be up to most; a blank must follow.
func (r *reader) end(i, most int) {
	r.ok = r.ok && i > 0 && i <= most && i < len(r.rest) && r.rest[i] == ' '
	r.rest = r.rest[i:]
}

// value reads a value up to the next blank, or the end.
func (r *reader) value() []byte {
	f := Fields{rest: r.rest}
	f.takeValue()
	n := len(f.Value)
	v := f.Value
	r.rest = r.rest[n:]
	return v
}
