// Package auditlog reads the log that auditd writes, from a place in the past to its end and on, through auditd's
// rotations.
package auditlog

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
)

// DefaultPath is where auditd logs if its configuration names no other file.
const DefaultPath = "/var/log/audit/audit.log"

// ErrOff is the reason why there is no log to read: auditd is told to write none.
var ErrOff = errors.New("auditd writes no log")

const (
	maxConf = 1 << 20
	// auditd skips lines that do not end within so many bytes, and so a last line without a newline, too
	// (auditd/src/auditd-config.c: load_config, get_line).
	maxConfLine = 159
)

// Find reads auditd.conf, the file conf, and says where the log is. Where there is no such file, auditd has its
// defaults, and so has Find. The error wraps [ErrOff] if auditd is told to write no log (write_logs = no, or
// log_format = NOLOG, as that was said once).
func Find(conf string) (*Log, error) {
	data, err := readConf(conf)
	if errors.Is(err, fs.ErrNotExist) {
		return At(DefaultPath), nil
	}
	if err != nil {
		return nil, fmt.Errorf("auditd's configuration: %w", err)
	}
	path, err := parseConf(conf, data)
	if err != nil {
		return nil, fmt.Errorf("auditd's configuration: %w", err)
	}
	return At(path), nil
}

func readConf(conf string) ([]byte, error) {
	// Should it be a FIFO, open does not wait for somebody who writes to it (fifo(7)).
	f, err := os.OpenFile(conf, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, fmt.Errorf("%w: uid %d must be able to read it", err, os.Geteuid())
	}
	defer f.Close() //nolint:errcheck // only read from
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s: not a regular file: name auditd.conf", conf)
	}
	// One byte more than allowed tells a file that is too long from one that fits.
	data, err := io.ReadAll(io.LimitReader(f, maxConf+1))
	if err != nil {
		return nil, err
	}
	if len(data) > maxConf {
		return nil, fmt.Errorf("%s: more than %d bytes: is this auditd.conf?", conf, maxConf)
	}
	return data, nil
}

// parseConf reads the path of the log from lines "name = value"; name stands for the file in errors. As with auditd,
// the last line of a name counts. What is none of Find's business is not looked at.
func parseConf(name string, data []byte) (path string, err error) {
	path = DefaultPath
	off := "" // the line that switched the log off
	number := 0
	for line := range bytes.Lines(data) {
		number++
		if len(line) > maxConfLine || line[len(line)-1] != '\n' {
			continue
		}
		key, value, _ := strings.Cut(string(line), "=")
		key, value = strings.ToLower(strings.TrimSpace(key)), strings.TrimSpace(value)
		here := fmt.Sprintf("%s:%d: %s = %.100q", name, number, key, value)
		switch key {
		case "log_file":
			if !filepath.IsAbs(value) || strings.ContainsAny(value, " \x00") {
				return "", fmt.Errorf("%s: not an absolute path without spaces", here)
			}
			path = value
		case "write_logs":
			switch strings.ToLower(value) {
			case "yes":
				off = ""
			case "no":
				off = here
			default:
				return "", fmt.Errorf("%s: neither yes nor no", here)
			}
		case "log_format":
			// It overrides write_logs, unless that comes later (auditd-config.c: log_format_parser).
			if strings.EqualFold(value, "nolog") {
				off = here
			}
		}
	}
	if off != "" {
		return "", fmt.Errorf("%s: %w: set write_logs = yes, so that what is missed can be caught up with", off, ErrOff)
	}
	return path, nil
}
