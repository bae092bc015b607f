package main

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// terminal is a terminal, and what a user would see on it.
func terminal(t *testing.T) (tty *os.File, screen func() string) {
	t.Helper()
	ptmx, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	must(t, err)
	t.Cleanup(func() { _ = ptmx.Close() })
	fd := int(ptmx.Fd())
	must(t, unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0)) // pts(4): unlocked
	n, err := unix.IoctlGetInt(fd, unix.TIOCGPTN)
	must(t, err)
	tty, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|unix.O_NOCTTY, 0)
	must(t, err)
	seen := make(chan string, 1)
	go func() {
		b, _ := io.ReadAll(ptmx) // ends with EIO when the other side is closed
		seen <- string(b)
	}()
	return tty, func() string {
		must(t, tty.Close())
		return <-seen
	}
}

// The bar is taken away before anything else is said, when reading fails half way, too.
func TestReplayOnTerminal(t *testing.T) {
	whole, err := os.ReadFile(captureFile("boot"))
	must(t, err)
	for name, c := range map[string]struct {
		log  []byte
		code int
	}{"whole": {whole, exitOK}, "half": {whole[:len(whole)/2], exitError}} {
		t.Run(name, func(t *testing.T) {
			tty, screen := terminal(t)
			code := execute([]string{"replay", write(t, "log.gz", c.log)}, stdio{out: io.Discard, err: tty})
			seen := screen()
			if code != c.code {
				t.Errorf("exit code %d, want %d", code, c.code)
			}
			bar, rest, ok := strings.Cut(seen, "\r\x1b[K")
			if !ok || !strings.HasPrefix(bar, "\r[") || !strings.HasPrefix(rest, "records ") {
				t.Errorf("no bar that was taken away: %q", seen)
			}
		})
	}
}

func TestNoProgressElsewhere(t *testing.T) {
	for name, path := range map[string]string{
		"null device":  os.DevNull,
		"other device": "/dev/full",
		"file":         write(t, "stderr", nil),
	} {
		t.Run(name, func(t *testing.T) {
			fd, err := unix.Open(path, unix.O_RDWR|unix.O_CLOEXEC, 0)
			must(t, err)
			f := os.NewFile(uintptr(fd), "/dev/stderr") // what os.Stderr is called wherever it leads
			defer f.Close()
			if newProgress(f).w != nil {
				t.Error("a progress bar where there is no terminal")
			}
		})
	}
	if newProgress(&bytes.Buffer{}).w != nil {
		t.Error("a progress bar on what is no file")
	}
}
