package main

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

func TestReplaySummary(t *testing.T) {
	for _, c := range []struct {
		capture string
		losses  int
		says    []string // lines of the summary, with single blanks
	}{
		{"boot", 0, []string{"records 17831", "events 6273\n", "gaps 1 0 events lost", "start: from the boot to 2026-11-22T09:15:41.274Z", "lines not understood 0 "}},
		{"restart", 4, []string{"records 94586", "gaps 5 87 events lost",
			"3 events from serial 2173 on", "43 events from serial 3311 on", "39 events from serial 4319 on", "2 events from serial 26762 on"}},
	} {
		t.Run(c.capture, func(t *testing.T) {
			r := good(t, nil, "replay", captureFile(c.capture))
			summary := regexp.MustCompile(` +`).ReplaceAllString(r.err, " ")
			for _, text := range c.says {
				if !strings.Contains(summary, text) {
					t.Errorf("the summary does not say %q:\n%s", text, r.err)
				}
			}
			written := strings.Count(r.out, `history="name=`)
			if text := fmt.Sprintf("histories written %d\n", written); written < 5000 || !strings.Contains(summary, text) {
				t.Errorf("the summary does not say %q:\n%s", text, r.err)
			}
			if got := strings.Count(summary, "\n events-lost: "); got != c.losses {
				t.Errorf("%d losses named, want %d:\n%s", got, c.losses, r.err)
			}
			if strings.Contains(r.err, "\r") {
				t.Error("a progress bar, and there is no terminal")
			}
		})
	}
}

func TestReplayReads(t *testing.T) {
	stream := capture(t, "boot")
	plain := write(t, "audit.log", stream)
	want := good(t, nil, "replay", plain)
	same := func(name string, in io.Reader, args ...string) {
		t.Run(name, func(t *testing.T) {
			if got := good(t, in, append([]string{"replay"}, args...)...); got != want {
				t.Errorf("not what the plain file gives: %d bytes, want %d; %s", len(got.out), len(want.out), got.err)
			}
		})
	}
	same("gzip", nil, captureFile("boot"))
	same("gzip without the name", nil, write(t, "audit", compressed(t, stream)))
	same("standard input", bytes.NewReader(stream), "-")
	same("standard input, a byte at a time at first", io.MultiReader(bytes.NewReader(stream[:1]), bytes.NewReader(stream[1:])), "-")
	same("standard input, compressed", bytes.NewReader(compressed(t, stream)), "-")
	same("style as by default", nil, "--style", "field", plain)

	// As auditd rotates: between records, not between events. The stream begins with auditd's own DAEMON_START, which
	// is younger than the first record of the second file: the kernel kept what came before auditd.
	one, two := cutAfterLine(stream, len(stream)/20), cutAfterLine(stream, len(stream)*3/4)
	parts := []string{
		write(t, "audit.log.2.gz", compressed(t, stream[:one])),
		write(t, "audit.log.1", stream[one:two]),
		write(t, "audit.log", stream[two:]),
	}
	for _, o := range [][]int{{0, 1, 2}, {0, 2, 1}, {1, 0, 2}, {1, 2, 0}, {2, 0, 1}, {2, 1, 0}} {
		same(fmt.Sprintf("rotated, in the order %v", o), nil, parts[o[0]], parts[o[1]], parts[o[2]])
	}
	t.Run("a file without its last newline before another", func(t *testing.T) {
		got := good(t, nil, "replay", write(t, "a", stream[:one-1]), parts[1], parts[2])
		if got.out != want.out {
			t.Error("two lines became one, or one was lost")
		}
	})
}

func cutAfterLine(b []byte, at int) int { return at + bytes.IndexByte(b[at:], '\n') + 1 }

func compressed(t *testing.T, b []byte) []byte {
	t.Helper()
	var buf bytes.Buffer
	z := gzip.NewWriter(&buf)
	_, err := z.Write(b)
	must(t, errors.Join(err, z.Close()))
	return buf.Bytes()
}

// TestReplayOfItsOwnOutput: what this program wrote has histories, and not the forks and execs that they come from.
func TestReplayOfItsOwnOutput(t *testing.T) {
	stream := write(t, "audit.log", capture(t, "boot"))
	for _, style := range []string{"field", "record"} {
		out := write(t, "history.log", []byte(good(t, nil, "replay", "--style", style, stream).out))
		got := runArgs(nil, "replay", out)
		if got.code != 1 || got.out != "" || !strings.Contains(got.err, "history.log: its records have histories already") {
			t.Errorf("style %s: exit code %d: %s", style, got.code, got.err)
		}
	}
	said := "type=USER msg=audit(1800000000.001:1): pid=7 uid=0 auid=0 ses=1 msg='x history=\"name=y;pid=1\"'\x1dUID=\"root\" AUID=\"root\"\n"
	if got := good(t, strings.NewReader(said), "replay", "-"); !strings.Contains(got.out, said) {
		t.Errorf("a message of a program was taken for ours: %s", got.err)
	}
}

// The record style holds the same histories as the field style has on its SYSCALL records.
func TestReplayStyleRecord(t *testing.T) {
	histories := func(out, before string) []string {
		var list []string
		for line := range strings.Lines(out) {
			if strings.HasPrefix(line, before) {
				_, h, _ := strings.Cut(line, ` history="`)
				h, _, _ = strings.Cut(h, `"`)
				list = append(list, h)
			}
		}
		return list
	}
	stream := string(capture(t, "boot"))
	for name, args := range map[string][]string{
		"flag": {"--style", "record"},
	} {
		t.Run(name, func(t *testing.T) {
			out := good(t, nil, append(append([]string{"replay"}, args...), captureFile("boot"))...).out
			sameEvents(t, without(out, "record"), stream)
			want := histories(good(t, nil, "replay", captureFile("boot")).out, "type=SYSCALL ")
			want = slices.DeleteFunc(want, func(s string) bool { return s == "" })
			if got := histories(out, "type=UNKNOWN[1340] "); !slices.Equal(got, want) {
				t.Errorf("%d histories, want %d, the same as in style field", len(got), len(want))
			}
		})
	}
}

// Each --proc is a look at its own moment, so it does not matter which is named first.
func TestReplayProc(t *testing.T) {
	proc := map[string]string{}
	for _, look := range []string{"start", "norules", "rules"} {
		proc[look] = untar(t, filepath.Join("..", "testdata", "captures", "rulesgone", "proc."+look+".tar.gz"))
	}
	args := func(looks ...string) []string {
		args := []string{"replay"}
		for _, look := range looks {
			args = append(args, "--proc", proc[look])
		}
		return append(args, captureFile("rulesgone"))
	}
	want := good(t, nil, args("start", "norules", "rules")...)
	if !strings.Contains(want.out, ";via=proc") || want == good(t, nil, args()...) {
		t.Fatal("the looks change nothing")
	}
	if got := good(t, nil, args("rules", "start", "norules")...); got != want {
		t.Errorf("in another order, another answer:\n%s\nwant\n%s", got.err, want.err)
	}
}

func untar(t *testing.T, file string) string {
	t.Helper()
	f, err := os.Open(file)
	must(t, err)
	defer f.Close()
	z, err := gzip.NewReader(f)
	must(t, err)
	dir := t.TempDir()
	for r := tar.NewReader(z); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return dir
		}
		must(t, err)
		to := filepath.Join(dir, filepath.Clean("/"+h.Name))
		switch h.Typeflag {
		case tar.TypeDir:
			must(t, os.MkdirAll(to, 0o755))
		case tar.TypeSymlink:
			must(t, os.Symlink(h.Linkname, to))
		case tar.TypeReg:
			b, err := io.ReadAll(r)
			must(t, errors.Join(err, os.WriteFile(to, b, 0o644)))
		}
	}
}

// What could be read is written, and the error says which file is broken.
func TestReplayTruncatedGzip(t *testing.T) {
	whole, err := os.ReadFile(captureFile("boot"))
	must(t, err)
	whole = whole[:len(whole)/2]
	z, err := gzip.NewReader(bytes.NewReader(whole))
	must(t, err)
	readable, err := io.ReadAll(z)
	if !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Fatalf("reading half the file: %v", err)
	}
	path := write(t, "half.gz", whole)
	r := runArgs(nil, "replay", path)
	if r.code != exitError || !strings.Contains(r.err, path) || !strings.Contains(r.err, "unexpected EOF") {
		t.Errorf("exit code %d: %s", r.code, r.err)
	}
	if !strings.Contains(r.err, "records  ") {
		t.Errorf("no summary: %s", r.err)
	}
	sameEvents(t, without(r.out, "field"), string(readable))
	if !strings.Contains(r.out, ` history="`) {
		t.Error("no histories")
	}
}

type brokenPipe struct{ room int }

func (p *brokenPipe) Write(b []byte) (int, error) {
	if p.room -= len(b); p.room < 0 {
		return 0, errors.New("no reader")
	}
	return len(b), nil
}

func TestReplayCannotWrite(t *testing.T) {
	stream := capture(t, "boot")
	for _, c := range []struct {
		name   string
		stream []byte
		room   int
	}{{"at once", stream, 0}, {"later", stream, 1 << 20}, {"at the end", stream[:outBuffer/8], 0}} {
		t.Run(c.name, func(t *testing.T) {
			var complaints bytes.Buffer
			code := execute([]string{"replay", "-"}, stdio{bytes.NewReader(c.stream), &brokenPipe{c.room}, &complaints, false})
			if code != exitError || !strings.Contains(complaints.String(), "standard output: no reader") {
				t.Errorf("exit code %d: %s", code, complaints.String())
			}
		})
	}
}

func TestProgress(t *testing.T) {
	var w bytes.Buffer
	p := progress{w: &w, total: 400}
	for done := int64(0); done <= 400; done++ {
		p.show(done)
	}
	p.show(500) // the file has grown meanwhile
	if got := strings.Count(w.String(), "\r"); got != 100 {
		t.Errorf("drawn %d times, want once for each hundredth", got)
	}
	if full := "\r[" + strings.Repeat("#", 40) + "] 100 %"; !strings.HasSuffix(w.String(), full) {
		t.Errorf("at the end: %q", w.String()[w.Len()-60:])
	}
	if half := "\r[" + strings.Repeat("#", 20) + strings.Repeat(".", 20) + "]  50 %"; !strings.Contains(w.String(), half) {
		t.Error("not half full at half time")
	}
	w.Reset()
	p.clear()
	if w.String() != "\r\x1b[K" {
		t.Errorf("clear wrote %q", w.String())
	}
}
