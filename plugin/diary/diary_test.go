package diary

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/rs/zerolog"
	"golang.org/x/sys/unix"
)

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// A daemon is a syslog daemon.
type daemon struct {
	path string
	conn *net.UnixConn
}

func listen(t *testing.T, path string) *daemon {
	t.Helper()
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	must(t, err)
	t.Cleanup(func() { _ = conn.Close() })
	return &daemon{path, conn}
}

// lines is what has been sent. Nothing is under way: a datagram is there when it has been sent.
func (d *daemon) lines(t *testing.T) []string {
	t.Helper()
	raw, err := d.conn.SyscallConn()
	must(t, err)
	var all []string
	b := make([]byte, 64<<10)
	must(t, raw.Read(func(fd uintptr) bool {
		for {
			n, _, err := unix.Recvfrom(int(fd), b, unix.MSG_DONTWAIT)
			if err != nil {
				return true
			}
			all = append(all, string(b[:n]))
		}
	}))
	return all
}

// A clock stands still until it is moved.
type clock struct{ time.Time }

func (c *clock) now() time.Time { return c.Time }

func newClock() *clock {
	return &clock{time.Date(2024, 5, 6, 7, 8, 9, 0, time.Local)}
}

// written opens a diary that writes to syslog only, which is read by lines.
func written(t *testing.T, c *clock) (*Diary, *daemon) {
	t.Helper()
	s := listen(t, filepath.Join(t.TempDir(), "log"))
	return Open(Config{Socket: s.path, PID: 42, Now: c.now}), s
}

// tell checks the texts in syslog, without what is before them.
func (d *daemon) tell(t *testing.T, want ...string) {
	t.Helper()
	var got []string
	for _, line := range d.lines(t) {
		_, text, _ := strings.Cut(line, "]: ")
		got = append(got, text)
	}
	if fmt.Sprintf("%q", got) != fmt.Sprintf("%q", want) {
		t.Errorf("\n got %q\nwant %q", got, want)
	}
}

func TestSyslog(t *testing.T) {
	d, s := written(t, newClock())
	l := d.Logger()
	l.Info().Msg("began")
	l.Error().Err(errors.New("open /x: permission denied")).Str("path", "/x").Int("lost", 3).Msg("records cannot be written")
	l.Warn().Msg("w")
	l.Debug().Msg("d")
	l.Log().Msg("plain")
	want := []string{
		"<30>May  6 07:08:09 audisp-history[42]: began",
		`<27>May  6 07:08:09 audisp-history[42]: records cannot be written error="open /x: permission denied" lost=3 path=/x`,
		"<28>May  6 07:08:09 audisp-history[42]: w",
		"<31>May  6 07:08:09 audisp-history[42]: d",
		"<30>May  6 07:08:09 audisp-history[42]: plain",
	}
	if got := s.lines(t); fmt.Sprintf("%q", got) != fmt.Sprintf("%q", want) {
		t.Errorf("\n got %q\nwant %q", got, want)
	}
	if d.Dropped() != 0 {
		t.Errorf("%d dropped", d.Dropped())
	}
}

func TestLevel(t *testing.T) {
	s := listen(t, filepath.Join(t.TempDir(), "log"))
	d := Open(Config{Socket: s.path, Level: zerolog.WarnLevel, Now: newClock().now})
	l := d.Logger()
	l.Info().Msg("a")
	l.Warn().Msg("b")
	d.SetLevel(zerolog.InfoLevel) // the configuration was read anew
	l.Info().Msg("c")
	l.Debug().Msg("d")
	s.tell(t, "b", "c")
}

// The names in messages may be an attacker's: no second line, no other tag, nothing that moves the cursor.
func TestOneLine(t *testing.T) {
	d, s := written(t, newClock())
	l := d.Logger()
	l.Info().Str("name", "a\n<0>May  6 07:08:09 sshd[1]: b\x1b[2J\x00\u009b").Strs("more", []string{"x\ny"}).Msg("one\ntwo\x1b[2J\u2028")
	s.tell(t, `one two [2J  more=["x\ny"] name="a\n<0>May  6 07:08:09 sshd[1]: b\x1b[2J\x00\u009b"`)
}

func TestLongMessage(t *testing.T) {
	d, s := written(t, newClock())
	l := d.Logger()
	l.Info().Msg(strings.Repeat("é", maxLine))
	got := s.lines(t)
	if len(got) != 1 || len(got[0]) > maxLine || len(got[0]) < maxLine-4 || !strings.HasSuffix(got[0], "é…") {
		t.Errorf("got %q", got)
	}
}

// The daemon is not there yet, comes, is replaced by another, and goes.
func TestSyslogReplaced(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	d := Open(Config{Socket: path, Now: newClock().now})
	defer d.Close()
	l := d.Logger()
	l.Info().Msg("nobody is there")
	if d.Dropped() != 1 {
		t.Errorf("%d dropped", d.Dropped())
	}
	first := listen(t, path)
	l.Info().Msg("one")
	first.tell(t, "one")
	must(t, os.Rename(path, path+".old")) // it still listens, but not by this name
	second := listen(t, path)
	l.Info().Msg("two")
	second.tell(t, "two")
	first.tell(t)
	must(t, second.conn.Close())
	l.Info().Msg("three")
	if d.Dropped() != 2 {
		t.Errorf("%d dropped", d.Dropped())
	}
}

// A daemon that hangs does not hang the program.
func TestSyslogFull(t *testing.T) {
	d, s := written(t, newClock())
	l := d.Logger()
	const n = 5000
	for i := range n {
		l.Info().Msgf("message %d", i)
	}
	if sent := len(s.lines(t)); d.Dropped() == 0 || uint64(sent)+d.Dropped() != n {
		t.Errorf("%d sent, %d dropped", sent, d.Dropped())
	}
	l.Info().Msg("it reads again")
	s.tell(t, "it reads again")
}

func TestRepeatedMessage(t *testing.T) {
	c := newClock()
	d, s := written(t, c)
	l := d.Logger()
	for i := range 20 {
		l.Error().Int("try", i).Msg("no space")
	}
	l.Warn().Msg("no space") // another level is another message
	l.Error().Msg("something else")
	s.tell(t, "no space try=0", "no space try=1", "no space try=2", "no space try=3", "no space try=4", "no space", "something else")
	c.Time = c.Add(span - 1)
	d.Tick()
	s.tell(t)
	c.Time = c.Add(1)
	d.Tick()
	s.tell(t, "no space … and 15 more times try=19")
	d.Tick()
	l.Error().Int("try", 20).Msg("no space")
	s.tell(t, "no space try=20")
}

// The sum is written before what comes later, also without a tick, and has the message's level and the time it is written.
func TestRepeatedMessageAtNextMinute(t *testing.T) {
	c := newClock()
	d, s := written(t, c)
	l := d.Logger()
	for range most + 1 {
		l.Error().Msg("no space")
	}
	c.Time = c.Add(2 * span)
	l.Error().Msg("no space")
	got := s.lines(t)
	if len(got) != most+2 || got[most] != "<27>May  6 07:10:09 audisp-history[42]: no space … and once more" {
		t.Errorf("got %q", got)
	}
}

func TestRepeatedMessageAtTheEnd(t *testing.T) {
	d, s := written(t, newClock())
	l := d.Logger()
	for range most + 2 {
		l.Info().Msg("x")
	}
	d.Close()
	d.Close()
	s.tell(t, "x", "x", "x", "x", "x", "x … and 2 more times")
	l.Info().Msg("after the end")
	s.tell(t, "after the end")
}

// The clock is set back: what is held back does not wait for it to come again.
func TestRepeatedMessageClockSetBack(t *testing.T) {
	c := newClock()
	d, s := written(t, c)
	l := d.Logger()
	for range most + 2 {
		l.Info().Msg("x")
	}
	s.lines(t)
	c.Time = c.Add(-time.Hour)
	d.Tick()
	s.tell(t, "x … and 2 more times")
}

// Many different messages take no more memory, and each that is forgotten is summed up.
func TestManyMessages(t *testing.T) {
	var out bytes.Buffer
	d := Open(Config{Stderr: &out, Now: newClock().now})
	l := d.Logger()
	const n = 10 * maxFloods
	for i := range n {
		for range most + 3 {
			l.Info().Msgf("message %d", i)
		}
	}
	if len(d.floods.all) > maxFloods {
		t.Errorf("%d are kept", len(d.floods.all))
	}
	d.Close()
	if got := strings.Count(out.String(), "… and 3 more times"); got != n {
		t.Errorf("%d summed up, want %d", got, n)
	}
}

func TestJSONLines(t *testing.T) {
	c := newClock()
	c.Time = c.UTC()
	var out bytes.Buffer
	d := Open(Config{Stderr: &out, Now: c.now})
	l := d.Logger()
	l.Error().Err(errors.New("a b")).Msg("c")
	want := `{"level":"error","program":"audisp-history","error":"a b","time":"` + c.Format(time.RFC3339) + `","message":"c"}` + "\n"
	if out.String() != want {
		t.Errorf("\n got %s\nwant %s", out.String(), want)
	}
}

func TestManyWriters(t *testing.T) {
	var out bytes.Buffer
	d := Open(Config{Stderr: &out, Now: time.Now})
	l := d.Logger()
	var all sync.WaitGroup
	for i := range 8 {
		all.Go(func() {
			for range 100 {
				l.Info().Msgf("writer %d", i)
				d.Tick()
			}
		})
	}
	all.Wait()
	d.Close()
	if got := strings.Count(out.String(), "… and 95 more times"); got != 8 {
		t.Errorf("got %s", out.String())
	}
}

func TestNotJSON(t *testing.T) {
	var out bytes.Buffer
	d := Open(Config{Stderr: &out, Now: newClock().now})
	if n, err := d.Write([]byte("x")); n != 1 || err != nil || out.Len() > 0 || d.Dropped() != 1 {
		t.Errorf("%d, %v, %q, %d dropped", n, err, out.String(), d.Dropped())
	}
}

func TestDevNull(t *testing.T) {
	null, err := os.OpenFile("/dev/null", os.O_WRONLY, 0)
	must(t, err)
	defer null.Close()
	if s := openSheet(null); s != nil {
		t.Error("is written to")
	}
	if s := openSheet(nil); s != nil {
		t.Error("nothing is written to")
	}
	must(t, null.Close())
	if s := openSheet(null); s != nil {
		t.Error("a closed file is written to")
	}
}

// pipe is one as a shell makes it, in which writing waits.
func pipe(t *testing.T) (in, out *os.File) {
	t.Helper()
	var ends [2]int
	must(t, unix.Pipe2(ends[:], unix.O_CLOEXEC))
	in, out = os.NewFile(uintptr(ends[0]), "in"), os.NewFile(uintptr(ends[1]), "out")
	t.Cleanup(func() { _, _ = in.Close(), out.Close() })
	return in, out
}

// Nobody reads the pipe: what does not fit is counted, and what is there are whole lines but for the last.
func TestPipeFull(t *testing.T) {
	in, out := pipe(t)
	d := Open(Config{Stderr: out, Now: newClock().now})
	l := d.Logger()
	for i := range 300 {
		l.Info().Msgf("%d %s", i, strings.Repeat("x", 9000)) // three pieces, of which 16 fit
	}
	dropped := d.Dropped()
	if dropped == 0 {
		t.Fatal("nothing dropped")
	}
	b := make([]byte, 1<<20)
	n, err := in.Read(b)
	must(t, err)
	l.Info().Msg("it reads again")
	must(t, out.Close())
	k, err := in.Read(b[n:])
	must(t, err)
	lines := strings.Split(strings.TrimSuffix(string(b[:n+k]), "\n"), "\n")
	whole := 0
	for _, line := range lines {
		if json.Valid([]byte(line)) {
			whole++
		}
	}
	if whole < len(lines)-1 || !strings.Contains(lines[len(lines)-1], "it reads again") {
		t.Errorf("%d of %d lines are whole, the last is %.100s", whole, len(lines), lines[len(lines)-1])
	}
	if uint64(whole)+dropped != 301 {
		t.Errorf("%d whole, %d dropped", whole, dropped)
	}
}

// Whoever read the pipe has ended. That must not end the program, though it is standard error.
func TestPipeBroken(t *testing.T) {
	in, out, err := os.Pipe()
	must(t, err)
	must(t, in.Close())
	old, err := unix.Dup(2)
	must(t, err)
	must(t, unix.Dup3(int(out.Fd()), 2, 0))
	d := Open(Config{Stderr: os.Stderr, Now: newClock().now})
	l := d.Logger()
	l.Info().Msg("x")
	must(t, unix.Dup3(old, 2, 0))
	must(t, unix.Close(old))
	if d.Dropped() != 1 {
		t.Errorf("%d dropped", d.Dropped())
	}
}

// terminal is a terminal, and who sees it.
func terminal(t *testing.T) (seen, file *os.File) {
	t.Helper()
	master, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	must(t, err)
	t.Cleanup(func() { _ = master.Close() })
	must(t, unix.IoctlSetPointerInt(int(master.Fd()), unix.TIOCSPTLCK, 0))
	n, err := unix.IoctlGetInt(int(master.Fd()), unix.TIOCGPTN)
	must(t, err)
	fd, err := unix.Open(fmt.Sprintf("/dev/pts/%d", n), unix.O_RDWR|unix.O_NOCTTY|unix.O_CLOEXEC, 0) // writing waits, unlike os.Open's
	must(t, err)
	file = os.NewFile(uintptr(fd), "terminal")
	t.Cleanup(func() { _ = file.Close() })
	return master, file
}

func TestTerminal(t *testing.T) {
	seen, file := terminal(t)
	d := Open(Config{Stderr: file, Now: newClock().now})
	l := d.Logger()
	l.Error().Str("name", "a\x1b[2Jb").Int("lost", 3).Msg("bad\x1b[2J\rnews")
	b := make([]byte, 4096)
	n, err := seen.Read(b)
	must(t, err)
	colors := regexp.MustCompile("\x1b\\[[0-9]+m")
	got := strings.TrimSpace(colors.ReplaceAllString(string(b[:n]), ""))
	if want := `07:08:09 ERR bad [2J news lost=3 name="a\x1b[2Jb"`; got != want {
		t.Errorf("\n got %q\nwant %q", got, want)
	}
}

// Somebody has pressed Ctrl-S.
func TestTerminalStopped(t *testing.T) {
	_, file := terminal(t)
	d := Open(Config{Stderr: file, Now: newClock().now})
	l := d.Logger()
	for i := range 1000 {
		l.Info().Msgf("%d %s", i, strings.Repeat("x", 1000))
	}
	if d.Dropped() < 900 {
		t.Errorf("%d dropped", d.Dropped())
	}
}

// Whatever the text, a datagram is one line of valid text that is not too long and says who wrote it.
func FuzzLine(f *testing.F) {
	f.Add("text", "value", 1)
	f.Add("a\nb\x00\x1b[0m", "\xff\xfe\u202e\u2028", 3)
	f.Add(strings.Repeat("é", 3000), strings.Repeat("\n", 3000), 0)
	f.Fuzz(func(t *testing.T, text, value string, level int) {
		if len(text)+len(value) > 1<<16 {
			return
		}
		var event bytes.Buffer
		l := zerolog.New(&event)
		l.Error().Str("name", value).Err(errors.New(value)).Bytes("raw", []byte(value)).Msg(text)
		s := syslog{pid: 7}
		line := string(s.line(&message{zerolog.Level(level), text, event.Bytes()}, newClock().Time))
		if len(line) > maxLine || !utf8.ValidString(line) || strings.ContainsFunc(line, unicode.IsControl) || !strings.Contains(line, " audisp-history[7]: ") {
			t.Errorf("%q", line)
		}
	})
}
