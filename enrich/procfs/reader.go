package procfs

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"golang.org/x/sys/unix"
)

// Files are read up to a limit. The longest there can be: /proc/stat has a line a processor and a number an interrupt,
// PID/status as many groups as a process can have (65536, include/uapi/linux/limits.h: NGROUPS_MAX).
const (
	maxStatFile   = 4 << 10
	maxStatusFile = 1 << 20
	maxBootFile   = 8 << 20
	maxShortFile  = 128 // uptime, boot_id
)

// Reader reads one /proc. It keeps its buffers, so that looking again and again costs system calls and little else.
// It is not safe for use by more than one goroutine at a time.
type Reader struct {
	root  string
	dir   *os.File
	fd    int
	buf   []byte
	path  []byte
	pids  []int             // room for NamespacePIDs
	texts map[string]string // the strings of the look under way: most are shared by many processes
}

// Open opens root, the real /proc or a directory laid out like it.
func Open(root string) (*Reader, error) {
	dir, err := os.Open(root)
	if err != nil {
		return nil, fmt.Errorf("open /proc: %w: name a mounted /proc or a directory laid out like one", err)
	}
	return &Reader{root: root, dir: dir, fd: int(dir.Fd()), buf: make([]byte, 16<<10)}, nil
}

// Close ends the reader's use. Looks taken with it stay good.
func (r *Reader) Close() error {
	if err := r.dir.Close(); err != nil {
		return fmt.Errorf("close /proc: %w", err)
	}
	return nil
}

// Look looks at all processes. It fails where stat or uptime are missing, since their times are then unknown, where
// the directory cannot be listed, where descriptors or memory run out, and when ctx ends; what befalls a single process
// is counted in [Look.Vanished].
func (r *Reader) Look(ctx context.Context) (*Look, error) {
	look := &Look{}
	var err error
	if look.Boot, look.Begin, err = r.moment(); err != nil {
		return nil, err
	}
	if look.BootID, err = r.bootID(); err != nil {
		return nil, err
	}
	r.texts = map[string]string{}
	err = r.walk(ctx, look)
	r.texts, r.pids = nil, nil
	if err != nil {
		return nil, fmt.Errorf("look at %s: %w", r.root, err)
	}
	look.Processes = order(look.Processes)
	if _, look.End, err = r.moment(); err != nil {
		return nil, err
	}
	return look, nil
}

// walk reads every process that the directory lists.
func (r *Reader) walk(ctx context.Context, look *Look) error {
	if _, err := r.dir.Seek(0, io.SeekStart); err != nil {
		return err
	}
	for {
		names, err := r.dir.Readdirnames(1024)
		for _, name := range names {
			if ctx.Err() != nil {
				return ctx.Err()
			}
			pid, ok := parsePID(name)
			if !ok {
				continue
			}
			if err := r.add(look, pid, name); err != nil {
				return err
			}
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// add reads the process in the directory name and adds it to the look, or to those that vanished. The directory stays
// the same process's even if the number is given to another, so nothing of two processes is ever mixed.
func (r *Reader) add(look *Look, pid int, name string) error {
	dir, err := openat(r.fd, name, unix.O_PATH|unix.O_DIRECTORY|unix.O_NOFOLLOW)
	if err == nil {
		p := Process{PID: pid}
		err = r.process(dir, &p)
		_ = unix.Close(dir)
		if err == nil {
			p.Start = StartTime(look.Boot, p.StartTicks)
			look.Processes = append(look.Processes, p)
			return nil
		}
	}
	if outOfResources(err) {
		return fmt.Errorf("read %s: %w: raise the limit of open files or memory", name, err)
	}
	look.Vanished++
	return nil
}

// outOfResources tells our own trouble from a process's.
func outOfResources(err error) bool {
	return errors.Is(err, unix.EMFILE) || errors.Is(err, unix.ENFILE) || errors.Is(err, unix.ENOMEM)
}

// process reads all of p but its Start.
func (r *Reader) process(dir int, p *Process) error {
	s, err := r.stat(dir, p.PID)
	if err != nil {
		return err
	}
	p.set(s)
	p.Name = r.text(s.name, maxName)
	return r.details(dir, p)
}

func (p *Process) set(s stat) {
	p.PPID, p.StartTicks, p.Threads = s.ppid, s.ticks, s.threads
	p.KernelThread, p.Zombie = s.kernelThread(), s.zombie()
}

func (r *Reader) stat(dir, pid int) (stat, error) {
	line, err := r.read(dir, "stat", maxStatFile)
	if err != nil {
		return stat{}, err
	}
	s, err := parseStat(line)
	if err == nil && s.pid != pid {
		err = errStat
	}
	return s, err
}

// details reads what stat does not say. Any of it may be missing: from a stored directory for ever, from /proc because
// the process has just ended. Then stat, which is never missing from a living process, is asked again.
func (r *Reader) details(dir int, p *Process) error {
	missing := false
	note := func(err error) bool {
		missing = missing || errors.Is(err, unix.ENOENT) || errors.Is(err, unix.ESRCH)
		return err == nil
	}
	if text, err := r.read(dir, "status", maxStatusFile); note(err) {
		p.NamespacePIDs = r.namespacePIDs(text)
	}
	if text, err := r.read(dir, "comm", maxName+1); note(err) {
		p.Name = r.text(bytes.TrimSuffix(text, []byte("\n")), maxName)
	}
	if !p.KernelThread && !p.Zombie { // they have no memory, so neither a command line nor an exe
		if text, err := r.read(dir, "cmdline", maxCmdline); note(err) {
			p.Cmdline = r.text(text, maxCmdline)
		}
		if n, err := unix.Readlinkat(dir, "exe", r.buf[:maxExe]); note(err) {
			p.Exe = r.text(r.buf[:n], maxExe)
		}
	}
	if !missing {
		return nil
	}
	s, err := r.stat(dir, p.PID)
	if err != nil {
		return err
	}
	p.set(s)
	return nil
}

// namespacePIDs cuts many small slices out of one large: a look at a hundred thousand processes needs a few.
func (r *Reader) namespacePIDs(text []byte) []int {
	if cap(r.pids)-len(r.pids) < maxNamespaces {
		r.pids = make([]int, 0, 1024)
	}
	used := len(r.pids)
	s, err := parseStatus(text, r.pids[used:used])
	if err != nil || s.pids == nil {
		return nil
	}
	n := len(s.pids)
	r.pids = r.pids[:used+n]
	return s.pids[:n:n]
}

// text makes a string of at most limit bytes, the same string of the same bytes.
func (r *Reader) text(raw []byte, limit int) string {
	raw = raw[:min(len(raw), limit)]
	if known, found := r.texts[string(raw)]; found {
		return known
	}
	text := string(raw)
	r.texts[text] = text
	return text
}

// Start is when the thread pid began, in ticks since boot (see [StartTime]), and whether there is one: a zombie is,
// since its number is not free yet. It reads pid's stat and nothing else. It fails where that may not be read, as
// "not there" would be a lie.
func (r *Reader) Start(pid int) (ticks uint64, found bool, err error) {
	s, err := r.statOf(pid)
	if s == nil {
		return 0, false, err
	}
	return s.ticks, true, nil
}

// KernelThread reports whether pid is a thread of the kernel; false where that cannot be found out.
func (r *Reader) KernelThread(pid int) bool {
	s, err := r.statOf(pid)
	return err == nil && s != nil && s.kernelThread()
}

// statOf reads pid's stat, nil if there is no such task.
func (r *Reader) statOf(pid int) (*stat, error) {
	line, err := r.readOf(pid, "/stat", maxStatFile)
	if line == nil || err != nil {
		return nil, err
	}
	s, err := parseStat(line)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w: is it a /proc?", filepath.Join(r.root, strconv.Itoa(pid), "stat"), err)
	}
	return &s, nil
}

// ThreadGroup is the thread group that pid belongs to, and whether there is a task of that number: pid itself if it is
// a process, another number if it is a thread of one. It fails as [Reader.Start] does.
func (r *Reader) ThreadGroup(pid int) (tgid int, found bool, err error) {
	text, err := r.readOf(pid, "/status", maxStatusFile)
	if text == nil || err != nil {
		return 0, false, err
	}
	s, err := parseStatus(text, nil)
	if err != nil {
		return 0, false, fmt.Errorf("read %s: %w: is it a /proc?", filepath.Join(r.root, strconv.Itoa(pid), "status"), err)
	}
	return s.tgid, true, nil
}

// readOf reads a file of pid's, nil if there is no such task.
func (r *Reader) readOf(pid int, file string, limit int) ([]byte, error) {
	if pid <= 0 || pid > MaxPID {
		return nil, nil
	}
	r.path = append(strconv.AppendInt(r.path[:0], int64(pid), 10), file...)
	text, err := r.read(r.fd, string(r.path), limit)
	if errors.Is(err, unix.ENOENT) || errors.Is(err, unix.ESRCH) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read %s: %w: run as root, with a /proc that hides nothing from it (hidepid)",
			filepath.Join(r.root, string(r.path)), err)
	}
	return text, nil
}

// moment reads the boot time and adds the uptime.
func (r *Reader) moment() (boot, now time.Time, err error) {
	text, err := r.read(r.fd, "stat", maxBootFile)
	if err != nil {
		return boot, now, fmt.Errorf("read %s: %w: a /proc, or a copy of one, has it", filepath.Join(r.root, "stat"), err)
	}
	boot, ok := parseBoot(text)
	if !ok {
		return boot, now, fmt.Errorf("read %s: no line \"btime SECONDS\": a /proc, or a copy of its stat, has one",
			filepath.Join(r.root, "stat"))
	}
	text, err = r.read(r.fd, "uptime", maxShortFile)
	if err != nil {
		return boot, now, fmt.Errorf("read %s: %w: a /proc, or a copy of one, has it", filepath.Join(r.root, "uptime"), err)
	}
	uptime, ok := parseUptime(text)
	if !ok {
		return boot, now, fmt.Errorf("read %s: not \"SECONDS.HUNDREDTHS …\": it must be a copy of /proc/uptime",
			filepath.Join(r.root, "uptime"))
	}
	return boot, boot.Add(uptime), nil
}

// bootID is the boot's UUID, "" if the directory has none.
func (r *Reader) bootID() (string, error) {
	const file = "sys/kernel/random/boot_id"
	text, err := r.read(r.fd, file, maxShortFile)
	if errors.Is(err, unix.ENOENT) {
		return "", nil
	}
	if err != nil {
		return "", fmt.Errorf("read %s: %w: make it readable or remove the copy", filepath.Join(r.root, file), err)
	}
	text = bytes.TrimSuffix(text, []byte("\n"))
	if !isUUID(text) {
		return "", fmt.Errorf("read %s: not a UUID: copy it again or remove the copy", filepath.Join(r.root, file))
	}
	return string(text), nil
}

// isUUID: 8-4-4-4-12 digits in lower case (lib/vsprintf.c: %pU).
func isUUID(text []byte) bool {
	for i, c := range text {
		dash := i == 8 || i == 13 || i == 18 || i == 23
		hex := c >= '0' && c <= '9' || c >= 'a' && c <= 'f'
		if dash && c != '-' || !dash && !hex {
			return false
		}
	}
	return len(text) == 36
}

// read reads at most limit bytes of a file into the reader's buffer, where they stay until the next read. A read that
// does not fill the buffer was the last: all these files are made in one piece (fs/seq_file.c: single_open,
// fs/proc/base.c: proc_pid_cmdline_read). Links are not followed and pipes not waited for: a stored directory may
// hold anything.
func (r *Reader) read(dir int, name string, limit int) ([]byte, error) {
	fd, err := openat(dir, name, unix.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK)
	if err != nil {
		return nil, err
	}
	defer func() { _ = unix.Close(fd) }()
	for have := 0; ; {
		if have == len(r.buf) {
			r.buf = append(r.buf, make([]byte, len(r.buf))...)
		}
		end := min(len(r.buf), limit)
		n, err := unix.Read(fd, r.buf[have:end])
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil {
			return nil, err
		}
		have += n
		if have < end || have == limit {
			return r.buf[:have], nil
		}
	}
}

func openat(dir int, name string, flags int) (int, error) {
	for {
		fd, err := unix.Openat(dir, name, flags|unix.O_CLOEXEC, 0)
		if !errors.Is(err, unix.EINTR) {
			return fd, err
		}
	}
}
