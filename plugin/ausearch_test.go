package main

import (
	"bytes"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"audisp-history/enrich/record"
)

// A question is a command line of the audit tools, less the file.
type question struct {
	tool string
	args []string
}

func (q question) String() string { return q.tool + " " + strings.Join(q.args, " ") }

// questions asks all that issue 2 promises, with answers in each of the captures.
func questions(stream []byte) []question {
	list := []question{
		{"ausearch", nil},
		{"ausearch", []string{"-i"}},
		{"ausearch", []string{"--format", "csv"}},
		{"ausearch", []string{"--format", "csv", "--extra-keys", "--extra-labels", "--extra-obj2", "--extra-time"}},
		{"ausearch", []string{"--format", "text"}},
		{"ausearch", []string{"-k", "history"}},
		{"ausearch", []string{"-k", "signal", "-i"}},
		{"ausearch", []string{"-k", "signal", "--format", "text"}},
		{"ausearch", []string{"-m", "SYSCALL"}},
		{"ausearch", []string{"-m", "SERVICE_START", "-i"}},
		{"ausearch", []string{"-m", "OBJ_PID"}},
		{"ausearch", []string{"-m", "EXECVE", "-i"}},
		{"ausearch", []string{"-x", "/lab/torture"}},
		{"ausearch", []string{"-x", "/usr/bin/bash", "-i"}},
		{"ausearch", []string{"-c", "systemd"}},
		{"ausearch", []string{"-sc", "kill"}},
		{"ausearch", []string{"--pid", "1", "--format", "csv"}},
		{"aureport", []string{"--summary"}},
		{"aureport", []string{"-p"}},
		{"aureport", []string{"-p", "--summary"}},
		{"aureport", []string{"-x"}},
		{"aureport", []string{"-x", "--summary"}},
		{"aureport", []string{"-f"}},
		{"aureport", []string{"-f", "-i"}},
		{"aureport", []string{"-s", "-i"}},
		{"aureport", []string{"-k"}},
	}
	half, _ := record.ParseHeader(stream[cutAfterLine(stream, len(stream)/2):])
	start := time.UnixMilli(half.Time).UTC()
	list = append(list, question{"ausearch", []string{"--start", start.Format("01/02/06"), start.Format("15:04:05")}})
	for _, pid := range somePids(stream) {
		list = append(list, question{"ausearch", []string{"-p", pid}}, question{"ausearch", []string{"-p", pid, "-i"}})
	}
	return list
}

// TestAuditToolsAnswerTheSame asks ausearch and aureport about a stream before and after: what the program adds must be
// all that they see.
func TestAuditToolsAnswerTheSame(t *testing.T) {
	for _, tool := range []string{"ausearch", "aureport"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skipf("%s is not installed (Debian: apt-get install auditd); .ci/run installs it", tool)
		}
	}
	for _, c := range []struct {
		capture string
		// ordered: the tools' answers are equal to the byte. In parallel so many events arrive late that the tools
		// list some of them later than where replay has put them, so its answers are compared as sets of events.
		ordered bool
	}{{"boot", true}, {"rulesgone", true}, {"parallel", false}} {
		t.Run(c.capture, func(t *testing.T) {
			t.Parallel()
			stream := capture(t, c.capture)
			before := write(t, "before.log", stream)
			after := map[string]string{}
			for _, style := range []string{"field", "record"} {
				after[style] = write(t, "after.log", []byte(withoutGaps(good(t, nil, "replay", "--style", style, before).out)))
			}
			for _, q := range questions(stream) {
				want := q.ask(t, before)
				for style, log := range after {
					got := without(q.ask(t, log), style)
					if !c.ordered {
						got, want = sorted(got), sorted(want)
					}
					if got != want {
						t.Errorf("%s, style %s: %s", q, style, firstDifference(got, want))
					}
				}
			}
		})
	}
}

// ask runs the tool on a log and returns its answer, which must not be empty.
func (q question) ask(t *testing.T, log string) string {
	t.Helper()
	cmd := exec.Command(q.tool, append([]string{"-if", log}, q.args...)...)
	cmd.Env = []string{"TZ=UTC", "LC_ALL=C", "PATH=/usr/sbin:/usr/bin:/sbin:/bin"}
	var complaints bytes.Buffer
	cmd.Stderr = &complaints
	answer, err := os.CreateTemp(t.TempDir(), "answer") // the race detector makes collecting it from a pipe slow
	must(t, err)
	defer func() { answer.Close(); os.Remove(answer.Name()) }()
	cmd.Stdout = answer // its standard input is /dev/null
	err = cmd.Run()
	out, readErr := os.ReadFile(answer.Name())
	must(t, readErr)
	if err != nil || len(out) < 100 {
		t.Fatalf("%s: no answer to compare: %v: %s%s", q, err, out, complaints.Bytes())
	}
	if complaints.Len() > 0 {
		t.Errorf("%s: %s", q, complaints.Bytes())
	}
	return string(out)
}

// somePids chooses a few tasks out of all that the stream names.
func somePids(stream []byte) []string {
	seen := map[string]bool{}
	var pids []string
	for line := range strings.Lines(string(stream)) {
		_, rest, _ := strings.Cut(line, " pid=")
		if pid, _, ok := strings.Cut(rest, " "); ok && !seen[pid] {
			seen[pid] = true
			pids = append(pids, pid)
		}
	}
	n := len(pids)
	return []string{"1", pids[n/5], pids[n/2], pids[n-1]}
}

// sorted puts the events of an answer into an order that depends on nothing but their text: ausearch separates them by
// dashes, the other formats and the reports, which number them, have a line for each.
func sorted(answer string) string {
	if strings.Contains(answer, "----\n") {
		list := strings.Split(answer, "----\n")
		slices.Sort(list)
		return strings.Join(list, "----\n")
	}
	list := strings.SplitAfter(answer, "\n")
	for i, line := range list {
		if number, rest, ok := strings.Cut(line, ". "); ok && strings.Trim(number, "0123456789") == "" {
			list[i] = rest
		}
	}
	slices.Sort(list)
	return strings.Join(list, "")
}

func firstDifference(got, want string) string {
	g, w := strings.SplitAfter(got, "\n"), strings.SplitAfter(want, "\n")
	for i := range min(len(g), len(w)) {
		if g[i] != w[i] {
			return "\n got " + g[i] + "want " + w[i]
		}
	}
	return "one answer is the beginning of the other"
}
