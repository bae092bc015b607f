package diary

import (
	"bytes"
	"io"
	"os"
	"syscall"
	"time"

	"github.com/rs/zerolog"
	"golang.org/x/sys/unix"
)

// atOnce is how many bytes a pipe or terminal that is ready takes without waiting (pipe(7): PIPE_BUF).
const atOnce = 4096

// A sheet is standard error.
type sheet struct {
	out    io.Writer
	people bool
	torn   bool // the last line is not complete
}

// openSheet looks at what standard error is; nil if nobody could read it.
func openSheet(out io.Writer) *sheet {
	file, ok := out.(*os.File)
	if !ok {
		if out == nil {
			return nil
		}
		return &sheet{out: out}
	}
	conn, err := file.SyscallConn()
	if err != nil {
		return nil
	}
	s := &sheet{out: pen{conn}}
	var usable bool
	err = conn.Control(func(fd uintptr) {
		var stat unix.Stat_t
		usable = unix.Fstat(int(fd), &stat) == nil && !isNull(&stat)
		_, err := unix.IoctlGetTermios(int(fd), unix.TCGETS)
		s.people = err == nil
	})
	if err != nil || !usable {
		return nil
	}
	return s
}

// isNull tells /dev/null (Documentation/admin-guide/devices.txt: character device 1, 3).
func isNull(stat *unix.Stat_t) bool {
	return stat.Mode&unix.S_IFMT == unix.S_IFCHR && unix.Major(uint64(stat.Rdev)) == 1 && unix.Minor(uint64(stat.Rdev)) == 3 //nolint:unconvert // 32 bits on MIPS
}

// write reports whether the message was written as a whole.
func (s *sheet) write(m *message) bool {
	line := m.event
	if s.people {
		line = forPeople(m)
	}
	if s.torn {
		line = append([]byte{'\n'}, line...)
	}
	n, err := s.out.Write(line)
	if n > 0 {
		s.torn = line[n-1] != '\n'
	}
	return err == nil
}

// forPeople is a line as zerolog's console has it, without what could change the terminal.
func forPeople(m *message) []byte {
	var b bytes.Buffer
	w := zerolog.ConsoleWriter{
		Out: &b, TimeFormat: time.TimeOnly, TimeLocation: time.Local, FieldsExclude: []string{"program"},
		FormatMessage: plain, FormatFieldValue: plain, FormatErrFieldValue: plain,
	}
	if _, err := w.Write(m.event); err != nil {
		return append([]byte(clean(m.text)), '\n')
	}
	return b.Bytes()
}

// A pen writes to a file as long as that does not wait. The file stays as it is, because others may share it: a terminal
// that one of them made non-blocking would be so for the shell, too.
type pen struct{ conn syscall.RawConn }

// Write writes what can be written without waiting; the error is EAGAIN if that is not all. It is a plain write(2), because
// the os package ends the program when standard error is a pipe that nobody reads any more.
func (p pen) Write(b []byte) (n int, err error) {
	failed := p.conn.Control(func(fd uintptr) {
		for n < len(b) && err == nil {
			if !ready(int(fd)) {
				err = unix.EAGAIN
				return
			}
			var k int
			k, err = unix.Write(int(fd), b[n:min(len(b), n+atOnce)])
			n += max(k, 0)
		}
	})
	if failed != nil {
		return n, failed
	}
	return n, err
}

// ready reports whether a write would not wait.
func ready(fd int) bool {
	poll := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLOUT}}
	n, err := unix.Poll(poll, 0)
	return err == nil && n == 1 && poll[0].Revents&unix.POLLOUT != 0
}
