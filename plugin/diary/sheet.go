package diary

import (
	"bytes"
	"io"
	"os"
	"strconv"
	"syscall"
	"time"

	"github.com/rs/zerolog"
	"golang.org/x/sys/unix"
)

// atOnce is how many bytes a pipe that is ready takes without waiting (pipe(7): PIPE_BUF).
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
	usable, people := false, false
	var own *os.File
	err = conn.Control(func(fd uintptr) {
		var stat unix.Stat_t
		usable = unix.Fstat(int(fd), &stat) == nil && !isNull(&stat)
		if _, err := unix.IoctlGetTermios(int(fd), unix.TCGETS); err == nil {
			people, own = true, openAgain(fd)
		}
	})
	if err != nil || !usable {
		return nil
	}
	if own != nil {
		if again, err := own.SyscallConn(); err == nil {
			conn = again
		}
	}
	return &sheet{out: pen{conn}, people: people}
}

// openAgain opens the terminal of a descriptor for this program alone, so that writing does not wait: a terminal that
// polls as ready has room for some bytes, not for all. Made non-blocking itself, the descriptor would be so for the shell,
// too. It is nil if the terminal is another user's, and then Ctrl-S makes the program wait.
func openAgain(fd uintptr) *os.File {
	name := "/proc/self/fd/" + strconv.Itoa(int(fd))
	again, err := unix.Open(name, unix.O_WRONLY|unix.O_NONBLOCK|unix.O_NOCTTY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil
	}
	return os.NewFile(uintptr(again), name)
}

// isNull tells /dev/null (Documentation/admin-guide/devices.txt: character device 1, 3).
func isNull(stat *unix.Stat_t) bool {
	return stat.Mode&unix.S_IFMT == unix.S_IFCHR && uint64(stat.Rdev) == unix.Mkdev(1, 3)
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

// A pen writes to a file as long as that does not wait. The file stays as it is, because others may share it.
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
