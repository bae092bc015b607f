package main

import (
	"bytes"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// spoil cuts a file of the state off somewhere, or changes a byte of it.
func (h *host) spoil() {
	var files []string
	err := filepath.WalkDir(h.path("state"), func(name string, d fs.DirEntry, err error) error {
		if err == nil && d.Type().IsRegular() && !strings.Contains(name, "damaged") && d.Name() != "lock" {
			files = append(files, name)
		}
		return err
	})
	must(h.t, err)
	if len(files) == 0 {
		return
	}
	name := files[h.random.IntN(len(files))]
	b, err := os.ReadFile(name)
	must(h.t, err)
	if len(b) == 0 {
		return
	}
	at := h.random.IntN(len(b))
	if h.random.IntN(2) == 0 {
		b = b[:at]
	} else {
		b[at] ^= 1 << h.random.IntN(8)
	}
	must(h.t, os.WriteFile(name, b, 0o600))
}

// TestKilledAndDamaged: whatever is done to the state while the program is not running, it starts again, says what is
// damaged, writes every event once, and writes no history that is wrong without a mark.
func TestKilledAndDamaged(t *testing.T) {
	for _, name := range []string{"boot", "restart"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			seed := rand.Uint64()
			t.Logf("seed %d", seed)
			stream := capture(t, name)
			h := newHost(t, seed)
			h.damage = h.spoil
			got := h.live(stream, 30)
			t.Logf("killed and damaged %d times", h.kills)
			// Records of auditd's own have no place in the serials: without any state one may come twice.
			sameEvents(t, once(without(got, "field"), "type=DAEMON_"), string(stream))
			said := h.says.String()
			if !strings.Contains(said, "state is damaged") {
				t.Errorf("no damage was told of:\n%s", lastLines(said, 20))
			}
			// A journal that ends in the middle is what kill -9 leaves: the log has what is missing.
			if strings.Contains(said, `"torn":false`) && !strings.Contains(got, "op=history-gap reason=state-lost") {
				t.Errorf("there is no record of the loss:\n%s", lastLines(said, 20))
			}
			want := histories(good(t, bytes.NewReader(stream), "replay", "-").out)
			right, marked := 0, 0
			for id, history := range histories(got) {
				switch {
				case history == want[id]:
					right++
				case strings.Contains(history, ";via=") && partOf(history, want[id]):
					marked++
				default:
					t.Errorf("event %s\n got %s\nwant %s", id, history, want[id])
				}
			}
			t.Logf("%d histories right, %d marked as inferred, of %d", right, marked, len(want))
			if right+marked < len(want)*99/100 {
				t.Errorf("%d histories right, %d marked, of %d: they do not recover", right, marked, len(want))
			}
		})
	}
}

// once leaves out lines with a prefix that have been there before.
func once(text, prefix string) string {
	var b strings.Builder
	seen := map[string]bool{}
	for line := range strings.Lines(text) {
		if strings.HasPrefix(line, prefix) && seen[line] {
			continue
		}
		seen[line] = strings.HasPrefix(line, prefix)
		b.WriteString(line)
	}
	return b.String()
}

// partOf reports whether what a history says to be recorded is in another, in the same order.
func partOf(history, whole string) bool {
	rest := strings.Split(whole, "=>")
	for e := range strings.SplitSeq(history, "=>") {
		if strings.Contains(e, ";via=") {
			continue
		}
		e, _, _ = strings.Cut(e, ";start=") // what it was is right, when depends on which record told of it
		i := slices.IndexFunc(rest, func(w string) bool { return strings.HasPrefix(w, e+";start=") })
		if i < 0 {
			return false
		}
		rest = rest[i+1:]
	}
	return true
}

// histories are those of the events of an output.
func histories(text string) map[string]string {
	all := map[string]string{}
	for line := range strings.Lines(text) {
		head, rest, ok := strings.Cut(line, ` history="`)
		if !ok || !strings.HasPrefix(line, "type=SYSCALL ") {
			continue
		}
		_, stamp, _ := strings.Cut(head, "msg=audit(")
		id, _, _ := strings.Cut(stamp, ")")
		all[id], _, _ = strings.Cut(rest, `"`)
	}
	return all
}
