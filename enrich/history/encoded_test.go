package history

import (
	"fmt"
	"strings"
	"testing"

	"audisp-history/enrich/task"
)

// brackets is an encoding whose parts are of other lengths than those of text.
var brackets = Encoding{
	Element:   func(dst []byte, e *task.Exec) []byte { return fmt.Appendf(dst, "<%s>", e.Name) },
	Omitted:   func(dst []byte, n uint64) []byte { return fmt.Appendf(dst, "(%d)", n) },
	Separator: " and ", Longest: 500,
}

func TestAnotherEncoding(t *testing.T) {
	k := chain(table(), 20)
	for limit := range 300 {
		for cut, first := range map[Cut]string{Middle: "<p0>", Front: "("} {
			r := NewEncoded(brackets, cut, limit)
			got := string(r.Append(nil, k.Exec, 1<<20))
			if again := string(r.Append(nil, k.Exec, 1<<20)); again != got {
				t.Errorf("limit %d: %s, then %s", limit, got, again)
			}
			if limit > 0 && len(got) > limit {
				t.Errorf("%d bytes, limit %d", len(got), limit)
			}
			if limit > 100 && limit < 150 && (!strings.HasPrefix(got, first) || !strings.HasSuffix(got, " and <p19>")) {
				t.Errorf("limit %d: %s", limit, got)
			}
		}
	}
	if got := string(NewEncoded(brackets, Middle, 0).Append(nil, k.Exec, 1<<20)); strings.Count(got, " and ") != 19 {
		t.Errorf("%s", got)
	}
	long := chain(table(), 200)
	if got := string(NewEncoded(brackets, Middle, 0).Append(nil, long.Exec, 1<<20)); len(got) > brackets.Longest {
		t.Errorf("%d bytes", len(got))
	}
}
