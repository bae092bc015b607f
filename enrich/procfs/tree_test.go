package procfs

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// tree is a directory laid out like /proc, booted at 1700000000, 100.50 s ago.
type tree struct {
	tb   testing.TB
	root string
}

var treeBoot = time.Unix(1700000000, 0).UTC()

const treeBootID = "732d6a95-65ab-426c-a430-5dca2683a679"

// task is what a tree's processes are made of; zero values give a sleeping process with one thread.
type task struct {
	pid, ppid int
	name      string
	ticks     uint64
	exe       string
	cmdline   string
	pids      []int // NSpid; nil: the pid
	groups    int   // how many supplementary groups status lists
	threads   int
	state     byte
	kernel    bool
	without   []string // files that are not there
}

func newTree(tb testing.TB, tasks ...task) *tree {
	tb.Helper()
	tr := &tree{tb: tb, root: tb.TempDir()}
	tr.write("stat", "cpu  1 2 3\nintr 5 0 0\nctxt 9\nbtime 1700000000\nprocesses 7\n")
	tr.write("uptime", "100.50 180.02\n")
	tr.write("sys/kernel/random/boot_id", treeBootID+"\n")
	tr.write("self/stat", "not a number\n")
	for _, task := range tasks {
		tr.add(task)
	}
	return tr
}

func (tr *tree) path(name string) string { return filepath.Join(tr.root, name) }

func (tr *tree) write(name, text string) {
	tr.tb.Helper()
	if err := os.MkdirAll(filepath.Dir(tr.path(name)), 0o755); err != nil {
		tr.tb.Fatal(err)
	}
	if err := os.WriteFile(tr.path(name), []byte(text), 0o644); err != nil {
		tr.tb.Fatal(err)
	}
}

func (tr *tree) remove(name string) {
	tr.tb.Helper()
	if err := os.RemoveAll(tr.path(name)); err != nil {
		tr.tb.Fatal(err)
	}
}

func (tr *tree) move(from, to string) {
	tr.tb.Helper()
	if err := os.Rename(tr.path(from), tr.path(to)); err != nil {
		tr.tb.Fatal(err)
	}
}

func (tr *tree) link(to, name string) {
	tr.tb.Helper()
	if err := os.Symlink(to, tr.path(name)); err != nil {
		tr.tb.Fatal(err)
	}
}

func (tr *tree) add(task task) {
	tr.tb.Helper()
	dir := fmt.Sprint(task.pid)
	files := map[string]string{
		"stat": statLine(task), "status": statusText(task), "comm": task.name + "\n", "cmdline": task.cmdline,
	}
	tr.write(dir+"/maps", "")
	for name, text := range files {
		if !slices.Contains(task.without, name) {
			tr.write(dir+"/"+name, text)
		}
	}
	if task.exe != "" {
		tr.link(task.exe, dir+"/exe")
	}
}

// statLine writes fs/proc/array.c: do_task_stat.
func statLine(task task) string {
	flags := 0x400040
	if task.kernel {
		flags |= pfKthread
	}
	return fmt.Sprintf("%d (%s) %c %d 1 1 34816 -1 %d 11 12 13 14 15 16 17 18 20 -5 %d 0 %d 4096 77 18446744073709551615 1 1\n",
		task.pid, task.name, max(task.state, 'S'), task.ppid, flags, max(task.threads, 1), task.ticks)
}

// statusText writes fs/proc/array.c: proc_pid_status.
func statusText(task task) string {
	name := strings.NewReplacer("\\", `\\`, "\n", `\n`).Replace(task.name)
	pids := task.pids
	if pids == nil {
		pids = []int{task.pid}
	}
	var nspid strings.Builder
	for _, pid := range pids {
		fmt.Fprintf(&nspid, "\t%d", pid)
	}
	return fmt.Sprintf("Name:\t%s\nUmask:\t0022\nState:\tS (sleeping)\nTgid:\t%d\nNgid:\t0\nPid:\t%d\nPPid:\t%d\nGroups:\t%s\nNStgid:%s\nNSpid:%s\nNSpgid:\t1\n",
		name, task.pid, task.pid, task.ppid, strings.Repeat("4294967295 ", task.groups), nspid.String(), nspid.String())
}
