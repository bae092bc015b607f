package e2e

import (
	"strings"
	"testing"
)

// A judge that finds nothing wrong proves nothing, so here is something wrong of each kind.

// toldRight is a fork by "tree" (pid 10), an exec of "leaf" by the child (pid 11), and its end.
const toldRight = `task 0 10 1000.000 10:74726565:999.000 -
fork 5a000001 10 1001.000 10:74726565:999.000 -
exec 5a000002 11 1002.000 10:74726565:999.000,11:6c656166:1002.000 -,1001.000
exit 5a000003 11 1003.000 10:74726565:999.000,11:6c656166:1002.000 -,1001.000
`

const (
	prefix     = "name=swapper/0;pid=1;start=19700101000000;via=proc=>name=tree;pid=10;start=19700101001639;via=proc"
	leaf       = "=>name=leaf;pid=11;start=19700101001642"
	writtenAll = "type=SYSCALL msg=audit(1001.000:1): syscall=57 a0=5a000001 pid=10 auid=54321 comm=\"tree\" history=\"" + prefix + "\"\n" +
		"type=SYSCALL msg=audit(1002.000:2): syscall=59 a3=5a000002 pid=11 auid=54321 comm=\"leaf\" history=\"" + prefix + leaf + "\"\n" +
		"type=SYSCALL msg=audit(1003.000:3): syscall=231 a0=5a000003 pid=11 auid=54321 comm=\"leaf\" history=\"" + prefix + leaf + "\"\n"
	gapOfTwo = "type=TRUSTED_APP msg=audit(1003.000:0): pid=1 msg='op=history-gap reason=events-lost from=1001.000 to=1003.000 lost=1 exe=\"x\" res=failed'\n"
)

func TestJudge(t *testing.T) {
	const (
		tree     = "=>name=tree;pid=10;start=19700101001639;via=proc"
		orphanOf = tree + leaf
		orphan   = "=>name=tree;pid=11;start=19700101001641;via=proc" + leaf + ";via=seen"
	)
	second := strings.Split(writtenAll, "\n")[1] + "\n"
	for _, c := range []struct {
		name, old, new string
		complaint      string // "" if there is none
		right, part    int
	}{
		{name: "all is right", right: 3},
		{name: "another name", old: "name=leaf;", new: "name=loaf;", complaint: "wrong", right: 1},
		{name: "another pid", old: "leaf;pid=11", new: "leaf;pid=12", complaint: "wrong", right: 1},
		{name: "another time", old: "start=19700101001642", new: "start=19700101001646", complaint: "wrong", right: 1},
		{name: "one exec too many", old: leaf, new: leaf + leaf, complaint: "wrong", right: 1},
		{name: "an exec is not there", old: leaf, new: "", complaint: "wrong", right: 1},
		{name: "no history", old: ` history="` + prefix + `"` + "\n", new: "\n", complaint: "wrong", right: 2},
		{name: "the root is not from /proc", old: "start=19700101001639;via=proc", new: "start=19700101001639", complaint: "wrong"},
		{name: "marked without a gap", old: leaf, new: leaf + ";via=seen", complaint: "incomplete and not told of", right: 1, part: 2},
		{name: "marked after a gap", old: leaf, new: leaf + ";via=seen", right: 1, part: 2},
		{name: "made in a gap by one that had ended at the look", old: orphanOf, new: orphan, right: 1, part: 2},
		{name: "made by one that had ended, and no gap", old: orphanOf, new: orphan, complaint: "wrong", right: 1},
		{name: "lost", old: second, new: "", complaint: "lost and not told of", right: 2},
		{name: "lost in a gap", old: second, new: gapOfTwo, right: 2},
		{name: "lost, and the gap tells of another number", old: second, new: strings.Replace(gapOfTwo, "lost=1", "lost=9", 1), complaint: "serials", right: 2},
		{name: "headless, and no gap", old: second, new: "type=EOE msg=audit(1002.000:2): \n", complaint: "serials", right: 2},
		{name: "twice", old: second, new: second + second, complaint: "twice", right: 3},
		{name: "nobody told of it", old: "5a000003", new: "5a000009", complaint: "lost and not told of", right: 3},
		{name: "of another process", old: "a0=5a000003 pid=11", new: "a0=5a000003 pid=77", complaint: "not told of", right: 2},
	} {
		t.Run(c.name, func(t *testing.T) {
			written := writtenAll
			if c.old != "" {
				written = strings.ReplaceAll(written, c.old, c.new)
			}
			if c.complaint == "" && c.part > 0 {
				written += strings.Replace(gapOfTwo, "lost=1", "lost=0", 1)
			}
			j, err := newJudge(toldRight, written)
			if err != nil {
				t.Fatal(err)
			}
			if c.complaint == "" && len(j.list) > 0 || c.complaint != "" && j.count[c.complaint] == 0 {
				t.Errorf("complaints %q, want %q", j.list, c.complaint)
			}
			if j.counts[right] != c.right || j.counts[incomplete] != c.part {
				t.Errorf("%d right, %d incomplete, want %d and %d", j.counts[right], j.counts[incomplete], c.right, c.part)
			}
		})
	}
}

// Names that auditd writes in hexadecimal, and the program in octal.
func TestNames(t *testing.T) {
	if got := text("6E616D653D783B7069643D31"); got != "name=x;pid=1" {
		t.Errorf("%q", got)
	}
	if got := text(`"ends\"`); got != `ends\` {
		t.Errorf("%q", got)
	}
	list, err := parseHistory(`"name=a\040b\075\134012;pid=7;start=19700101000001"`)
	if err != nil || len(list) != 1 || list[0].name != `a b=\012` || list[0].at != 1000 {
		t.Errorf("%+v, %v", list, err)
	}
}
