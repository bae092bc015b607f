package main

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"audisp-history/enrich/record"
)

// A result is what a command did.
type result struct {
	code     int
	out, err string
}

// runArgs runs args as main would, with in as standard input.
func runArgs(in io.Reader, args ...string) result {
	var out, err bytes.Buffer
	code := execute(args, stdio{in, &out, &err, false})
	return result{code, out.String(), err.String()}
}

// good runs args and expects success.
func good(t *testing.T, in io.Reader, args ...string) result {
	t.Helper()
	r := runArgs(in, args...)
	if r.code != exitOK {
		t.Fatalf("%q: exit code %d: %s", args, r.code, r.err)
	}
	return r
}

// captureFile is the compressed stream of a capture.
func captureFile(name string) string {
	return filepath.Join("..", "testdata", "captures", name, "stream.log.gz")
}

func capture(t *testing.T, name string) []byte {
	t.Helper()
	f, err := os.Open(captureFile(name))
	must(t, err)
	defer f.Close()
	z, err := gzip.NewReader(f)
	must(t, err)
	b, err := io.ReadAll(z)
	must(t, err)
	return b
}

// write makes a file in a directory of the test's own.
func write(t *testing.T, name string, content []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	must(t, os.WriteFile(path, content, 0o600))
	return path
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// without takes out what the program has put into text, or into what ausearch makes of it. (Not a regular expression:
// under the race detector those take minutes here.)
func without(text, style string) string {
	var b strings.Builder
	for line := range strings.Lines(withoutGaps(text)) {
		switch {
		case style == "field":
			before, after := cutField(line)
			b.WriteString(before)
			b.WriteString(after)
		case !strings.HasPrefix(line, "type=UNKNOWN[1340] "):
			b.WriteString(line)
		}
	}
	return b.String()
}

// withoutGaps takes the records of gaps out.
func withoutGaps(text string) string {
	var b strings.Builder
	for line := range strings.Lines(text) {
		if !strings.Contains(line, "msg='op=history-gap ") {
			b.WriteString(line)
		}
	}
	return b.String()
}

// cutField returns what stands before and after the field that has been put into line.
func cutField(line string) (before, after string) {
	const name = `history="`
	i := strings.Index(line, name)
	if i < 0 {
		return line, ""
	}
	value, after, whole := strings.Cut(line[i+len(name):], `"`)
	before = strings.TrimSuffix(line[:i], "o")
	if !whole || !strings.HasPrefix(value, "name=") || !strings.HasSuffix(before, " ") {
		return line, ""
	}
	return strings.TrimSuffix(before, " "), after
}

// sameEvents compares two streams event by event, and the records within each. Events may be in another order: they
// leave in that of their serials.
func sameEvents(t *testing.T, got, want string) {
	t.Helper()
	if len(got) != len(want) {
		t.Errorf("%d bytes, want %d", len(got), len(want))
	}
	g, w := byEvent(got), byEvent(want)
	for id := range w {
		if g[id] != w[id] {
			t.Fatalf("event %q\n got %q\nwant %q", id, g[id], w[id])
		}
	}
	for id := range g {
		if w[id] == "" {
			t.Errorf("event %q\n got %q", id, g[id])
		}
	}
	if len(g) != len(w) {
		t.Errorf("%d events, want %d", len(g), len(w))
	}
}

// byEvent joins the lines of each event; those that are no records are one.
func byEvent(stream string) map[string]string {
	events := map[string]string{}
	for line := range strings.Lines(stream) {
		id := "none"
		if h, ok := record.ParseHeader([]byte(line)); ok {
			id = fmt.Sprint(string(h.Node), h.Time, h.Serial)
		}
		events[id] += line
	}
	return events
}
