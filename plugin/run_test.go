package main

import (
	"bytes"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rs/zerolog"

	"audisp-history/conf"
)

// A plugin is a runner at work. It runs in a synctest bubble: time passes only when everything waits, so that what
// depends on waiting is exact, and nothing depends on how busy the machine is.
type plugin struct {
	path    string // of the output
	log     *journal
	signals chan os.Signal // unbuffered: who has sent knows that it was taken
	ended   chan error
}

// toFile is outputs of which there is one that writes everything to a file.
func toFile(path string) []conf.Output {
	o := conf.Default().Outputs[0]
	o.Everything, o.File.Path = true, path
	return []conf.Output{o}
}

// A journal is what a program says, read while it runs.
type journal struct {
	mutex sync.Mutex
	text  bytes.Buffer
}

func (j *journal) Write(b []byte) (int, error) {
	j.mutex.Lock()
	defer j.mutex.Unlock()
	return j.text.Write(b)
}

func (j *journal) String() string {
	j.mutex.Lock()
	defer j.mutex.Unlock()
	return j.text.String()
}

// start runs a plugin that reads in and writes into dir. There is no /proc to look at.
func start(dir string, in io.Reader) *plugin {
	p := &plugin{
		path:    filepath.Join(dir, "out", "history.log"),
		log:     &journal{},
		signals: make(chan os.Signal),
		ended:   make(chan error, 1),
	}
	c := conf.Default()
	c.Outputs = toFile(p.path)
	c.State.Dir, c.Auditd = filepath.Join(dir, "state"), ""
	r := newRunner(&c, io.Discard, zerolog.New(p.log))
	go func() { p.ended <- r.run(in, filepath.Join(dir, "proc"), p.signals) }()
	return p
}

func (p *plugin) output(t *testing.T) string {
	t.Helper()
	b, err := os.ReadFile(p.path)
	must(t, err)
	return string(b)
}

// send writes b to w in pieces of any size.
func send(t *testing.T, w io.Writer, b []byte) {
	t.Helper()
	seed := rand.Uint64()
	t.Logf("seed of the pieces' sizes: %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	for len(b) > 0 {
		n := min(len(b), 1+random.IntN(1<<random.IntN(15)))
		_, err := w.Write(b[:n])
		must(t, err)
		b = b[n:]
	}
}

// socketpair is what auditd connects its plugins with.
func socketpair(t *testing.T) (in, out *os.File) {
	t.Helper()
	fds, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	must(t, err)
	in, out = os.NewFile(uintptr(fds[0]), "in"), os.NewFile(uintptr(fds[1]), "out")
	t.Cleanup(func() { in.Close(); out.Close() })
	return in, out
}

// TestRunGivesWhatReplayGives feeds streams through a socket, with and without the EOE records that auditd sends to its
// plugins and does not write to its log.
func TestRunGivesWhatReplayGives(t *testing.T) {
	for _, c := range []struct {
		name, capture string
		eoe           bool
	}{{"boot", "boot", false}, {"boot with EOE", "boot", true}, {"parallel", "parallel", false}, {"rulesgone", "rulesgone", false}} {
		t.Run(c.name, func(t *testing.T) {
			stream := capture(t, c.capture)
			if c.eoe {
				stream = withEOE(stream)
			}
			want := good(t, bytes.NewReader(stream), "replay", "-").out
			dir := t.TempDir()
			in, out := socketpair(t)
			synctest.Test(t, func(t *testing.T) {
				p := start(dir, in)
				send(t, out, stream)
				must(t, out.Close())
				must(t, <-p.ended)
				got := p.output(t)
				sameEvents(t, got, want)
				sameEvents(t, without(got, "field"), string(stream))
				if !strings.Contains(p.log.String(), `"message":"ended"`) {
					t.Errorf("log: %s", p.log)
				}
			})
		})
	}
}

// withEOE ends each event that ends with a PROCTITLE as the kernel does.
func withEOE(stream []byte) []byte {
	var b []byte
	for line := range bytes.Lines(stream) {
		b = append(b, line...)
		if id, ok := bytes.CutPrefix(line, []byte("type=PROCTITLE")); ok {
			b = append(append(b, "type=EOE"...), id[:bytes.Index(id, []byte("): "))+3]...)
			b = append(b, '\n')
		}
	}
	return b
}

func TestRunLastLine(t *testing.T) {
	for name, cut := range map[string]int{"without its newline": 1, "half": 40} {
		t.Run(name, func(t *testing.T) {
			stream := capture(t, "boot")
			stream = stream[:cutAfterLine(stream, 100_000)-cut]
			dir := t.TempDir()
			in, out := socketpair(t)
			synctest.Test(t, func(t *testing.T) {
				p := start(dir, in)
				send(t, out, stream)
				must(t, out.Close())
				must(t, <-p.ended)
				got := without(p.output(t), "field")
				sameEvents(t, got, string(stream))
				if last := stream[bytes.LastIndexByte(stream, '\n')+1:]; !strings.HasSuffix(got, "\n"+string(last)) {
					t.Errorf("ends with %q, want %q", got[max(0, len(got)-100):], last)
				}
			})
		})
	}
}

// After SIGTERM auditd may still write: reading goes on until nothing came for as long as silence.
func TestRunTerminated(t *testing.T) {
	stream := capture(t, "boot")
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		in, out := io.Pipe()
		defer out.Close()
		p := start(dir, in)
		tenth := len(stream) / 10
		send(t, out, stream[:5*tenth])
		synctest.Wait() // nothing is queued: it is the signal that starts the silence
		p.signals <- syscall.SIGTERM
		for i := 5; i < 9; i++ {
			<-time.After(silence - time.Millisecond)
			send(t, out, stream[i*tenth:(i+1)*tenth])
		}
		<-time.After(silence - time.Millisecond)
		p.signals <- syscall.SIGTERM // systemd's, and then auditd's
		send(t, out, stream[9*tenth:])
		last := time.Now()
		must(t, <-p.ended)
		if took := time.Since(last); took < silence || took > silence+tick {
			t.Errorf("it ended %s after the last record, want %s", took, silence)
		}
		sameEvents(t, without(p.output(t), "field"), string(stream))
	})
}

// Without a signal no silence ends it.
func TestRunWaits(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		in, out := io.Pipe()
		p := start(dir, in)
		const first, second = "type=USER_CMD msg=audit(1.001:7): pid=1\n", "type=USER_CMD msg=audit(1.002:9): pid=1\n"
		send(t, out, []byte(first))
		select {
		case err := <-p.ended:
			t.Fatalf("ended: %v", err)
		case <-time.After(time.Hour):
		}
		if got := without(p.output(t), "field"); got != first {
			t.Errorf("after an hour of silence: %q", got)
		}
		send(t, out, []byte(second)) // serial 8 is missing, and waited for
		<-time.After(holeWait*time.Millisecond + 2*tick)
		if got := without(p.output(t), "field"); got != first+second {
			t.Errorf("when the missing event was given up: %q", got)
		}
		must(t, out.Close())
		must(t, <-p.ended)
	})
}

// logrotate renames the file and sends SIGHUP: all lines are in one of the files, whole, in order.
func TestRunHangup(t *testing.T) {
	stream := capture(t, "boot")
	want := good(t, bytes.NewReader(stream), "replay", "-").out
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		in, out := io.Pipe()
		p := start(dir, in)
		var all strings.Builder
		rotate := func() {
			content := p.output(t)
			if content != "" && !strings.HasSuffix(content, "\n") {
				t.Errorf("a record is split: the file ends with %q", content[max(0, len(content)-100):])
			}
			all.WriteString(content)
			must(t, os.Remove(p.path))
		}
		const parts = 7
		for i := range parts {
			send(t, out, stream[i*len(stream)/parts:(i+1)*len(stream)/parts])
			synctest.Wait()
			must(t, os.Rename(p.path, p.path+".1"))
			p.signals <- syscall.SIGHUP
			synctest.Wait()
			if _, err := os.Stat(p.path); err != nil {
				t.Fatalf("after SIGHUP: %v", err)
			}
			must(t, os.Rename(p.path, p.path+".2"))
			must(t, os.Rename(p.path+".1", p.path))
			rotate()
			must(t, os.Rename(p.path+".2", p.path))
		}
		must(t, out.Close())
		must(t, <-p.ended)
		rotate()
		sameEvents(t, all.String(), want)
	})
}

// An output that cannot be written costs nothing but patience: the log says so once, and once that it is over.
func TestRunOutputBroken(t *testing.T) {
	stream := capture(t, "boot")
	want := good(t, bytes.NewReader(stream), "replay", "-").out
	dir := t.TempDir()
	must(t, os.WriteFile(filepath.Join(dir, "out"), nil, 0o600)) // where its directory should be
	synctest.Test(t, func(t *testing.T) {
		in, out := io.Pipe()
		p := start(dir, in)
		send(t, out, stream[:len(stream)/2])
		<-time.After(10 * time.Second)
		must(t, os.Remove(filepath.Join(dir, "out")))
		<-time.After(5 * time.Second) // it is tried again now and then
		if len(p.output(t)) < len(stream)/3 {
			t.Error("what was held back is not written when it can be")
		}
		send(t, out, stream[len(stream)/2:])
		must(t, out.Close())
		must(t, <-p.ended)
		// The event that the silence cut in two is told of as lost before its second half comes.
		sameEvents(t, withoutGaps(p.output(t)), withoutGaps(want))
		for _, text := range []string{"records cannot be written", "records are written again"} {
			if n := strings.Count(p.log.String(), text); n != 1 {
				t.Errorf("the log says %d times %q:\n%s", n, text, p.log)
			}
		}
	})
}

// TestRunCommand runs it as auditd does, but for the file that it writes, with this machine's /proc.
func TestRunCommand(t *testing.T) {
	path := filepath.Join(t.TempDir(), "history.log")
	config := write(t, "c.yaml", []byte("outputs: [{everything: true, file: {path: "+path+", mode: \"0640\"}}]\nstate: {dir: \"\"}\nauditd_conf: \"\"\n"))
	const line = "type=USER_CMD msg=audit(1.001:7): pid=4194305 uid=0\n" // a pid beyond the kernel's limit
	r := good(t, strings.NewReader(line), "run", "--config", config)
	b, err := os.ReadFile(path)
	must(t, err)
	info, err := os.Stat(path)
	must(t, err)
	if string(b) != line || info.Mode().Perm() != 0o640 || r.out != "" {
		t.Errorf("wrote %q with mode %04o, %q on standard output", b, info.Mode().Perm(), r.out)
	}
	if !strings.Contains(r.err, `"records":1`) {
		t.Errorf("log: %s", r.err)
	}
}

type brokenInput struct{ io.Reader }

func (b brokenInput) Read(p []byte) (int, error) {
	n, err := b.Reader.Read(p)
	if err == io.EOF {
		err = io.ErrClosedPipe
	}
	return n, err
}

// What came before the input broke is written.
func TestRunInputBreaks(t *testing.T) {
	path := filepath.Join(t.TempDir(), "history.log")
	config := write(t, "c.yaml", []byte("outputs: [{everything: true, file: {path: "+path+"}}]\nstate: {dir: \"\"}\nauditd_conf: \"\"\n"))
	const line = "type=USER_CMD msg=audit(1.001:7): pid=4194305 uid=0\n"
	r := runArgs(brokenInput{strings.NewReader(line)}, "run", "--config", config)
	if r.code != exitError || !strings.Contains(r.err, "standard input: ") {
		t.Errorf("exit code %d: %s", r.code, r.err)
	}
	b, err := os.ReadFile(path)
	must(t, err)
	if string(b) != line {
		t.Errorf("wrote %q", b)
	}
}
