package enrich_test

import (
	"slices"
	"testing"

	"audisp-history/enrich"
	"audisp-history/enrich/record"
	"audisp-history/enrich/tracker"
)

// marking collects who marks are about, and who made them.
type marking struct{ got [][2]uint32 }

func (m *marking) Gap(tracker.Gap) {}
func (m *marking) Event(_ *record.Event, marks []tracker.Mark) {
	for _, k := range marks {
		m.got = append(m.got, [2]uint32{k.PID, k.Creator})
	}
}

// A mark says who forked the task, whatever ppid= says after that has died, and on the task's own exit, too.
func TestAMarkNamesTheCreator(t *testing.T) {
	m := &marking{}
	s := &story{t: t, at: storyBegin, serial: 100, arch: "c000003e", program: map[string]string{}, got: map[uint64]string{}}
	c := config
	c.Node = "here"
	s.stream = enrich.New(c, m)
	s.tell(`1<0 exec init
		1<0 fork 10
		10<1 exec shell
		10<1 fork 11
		10<1 exit
		11<1 open
		11<1 exit`)
	s.stream.Close(nil)
	want := [][2]uint32{{1, 0}, {1, 0}, {10, 1}, {10, 1}, {10, 1}, {11, 10}, {11, 10}}
	if !slices.Equal(m.got, want) {
		t.Errorf("%v, want %v", m.got, want)
	}
}
