package rules

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"time"
)

// fileMode is what auditd's own files of rules have: they say what is not watched.
const fileMode = 0o640

// loadTime is how long augenrules may take; a directory rule makes the kernel walk the directory.
const loadTime = time.Minute

// Install writes files into dir, each at once or not at all, with mode 0640, and returns the names of those that were
// not there as they should be.
func Install(dir string, files []File) (written []string, err error) {
	for _, f := range files {
		name := filepath.Join(dir, f.Name)
		if upToDate(name, f.Text) {
			continue
		}
		if err := replace(dir, name, f.Text); err != nil {
			return written, fmt.Errorf("rules %s: %w: install auditd, which makes %s, and be root (uid is %d)",
				name, err, dir, os.Geteuid())
		}
		written = append(written, name)
	}
	return written, nil
}

func upToDate(name, text string) bool {
	info, err := os.Lstat(name)
	if err != nil || !info.Mode().IsRegular() || info.Mode().Perm() != fileMode {
		return false
	}
	old, err := os.ReadFile(name)
	return err == nil && string(old) == text
}

// replace writes beside name and renames. augenrules reads *.rules only (augenrules: "\.rules$"), so it never takes the
// unfinished file.
func replace(dir, name, text string) (err error) {
	f, err := os.CreateTemp(dir, ".audisp-history-*")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, ignoreMissing(os.Remove(f.Name())))
		}
	}()
	_, err = f.WriteString(text)
	err = errors.Join(err, f.Chmod(fileMode), f.Sync(), f.Close())
	if err != nil {
		return err
	}
	if err := os.Rename(f.Name(), name); err != nil {
		return err
	}
	return syncDir(dir)
}

func ignoreMissing(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// Load has augenrules, a program by that path, put all files of rules.d together and give them to the kernel. The text is
// what it had to say. Rules that are locked until the next boot (-e 2) are no error to it.
func Load(ctx context.Context, augenrules string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, loadTime)
	defer cancel()
	cmd := exec.CommandContext(ctx, augenrules, "--load")
	cmd.Env = []string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL=C"}
	cmd.Dir = "/"
	cmd.WaitDelay = time.Second
	said, err := cmd.CombinedOutput()
	text := string(bytes.TrimSpace(said))
	if err != nil {
		return text, fmt.Errorf("%s --load: %w: the rules are installed, but not all in force; "+
			"put right what it complains of and run it again", augenrules, err)
	}
	return text, nil
}
