package task

import "testing"

// A history that is found to begin earlier is changed for all who have it, and nothing else is: others that run the same
// programs keep theirs.
func TestPrecede(t *testing.T) {
	for _, forked := range []bool{false, true} {
		tab := NewTable(roomy, 0)
		parent := tab.New(2, nil, nil, 0)
		tab.exec(parent, "init", "sh")
		orphan := tab.New(3, nil, nil, 0)
		tab.Execute(orphan, []byte("worker"), []byte("/bin/worker"), 0, Seen)
		tab.exec(orphan, "vi")
		other := tab.New(4, nil, nil, 0)
		tab.exec(other, "worker", "vi")
		if !tab.Precede(orphan, parent.Exec, forked) {
			t.Fatal("nothing was changed")
		}
		tab.Measure()
		if forked { // what it was first seen running it has from its parent
			wantHistory(t, orphan, "init sh vi")
		} else {
			wantHistory(t, orphan, "init sh worker vi")
		}
		wantHistory(t, parent, "init sh")
		wantHistory(t, other, "worker vi")
		checkTable(t, tab)
	}
}
