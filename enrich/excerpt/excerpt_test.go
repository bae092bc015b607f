package excerpt

import (
	"encoding/json"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

const (
	before = `type=SYSCALL msg=audit(1795339340.803:108): arch=c000003e syscall=62 comm="kill" exe="/usr/bin/kill" key="signal"`
	after  = "\x1dARCH=x86_64 SYSCALL=kill AUID=\"unset\" UID=\"root\""
)

// execs makes n elements of a history as text.
func execs(n int) []string {
	var list []string
	for i := range n {
		list = append(list, fmt.Sprintf("name=p%d;pid=%d;start=20261122091539", i, 100+i))
	}
	return list
}

func join(elements ...string) string { return strings.Join(elements, "=>") }

// enriched makes a record with a history.
func enriched(elements ...string) string {
	return before + ` history="` + join(elements...) + `"` + after
}

func fit(line string, limit int) (string, Outcome) {
	b, o := Fit([]byte("kept"), []byte(line), limit)
	return strings.TrimPrefix(string(b), "kept"), o
}

func wantFit(t *testing.T, line string, limit int, want string, outcome Outcome) {
	t.Helper()
	got, o := fit(line, limit)
	if got != want || o != outcome {
		t.Errorf("limit %d: outcome %d, want %d\n got %s\nwant %s", limit, o, outcome, got, want)
	}
}

func TestALineThatFitsIsLeftAlone(t *testing.T) {
	for _, line := range []string{enriched(execs(50)...), "no record", ""} {
		wantFit(t, line, len(line), line, Whole)
	}
}

func TestTheMiddleOfAHistoryIsLeftOut(t *testing.T) {
	e := execs(60)
	want := enriched(e[0], e[1], "omitted=51", e[53], e[54], e[55], e[56], e[57], e[58], e[59])
	wantFit(t, enriched(e...), len(want)+16, want, Shorter)
}

func TestTheHistoryOfATargetToo(t *testing.T) {
	e := execs(30)
	line := `type=OBJ_PID msg=audit(1.000:2): opid=330 ocomm="sleep" ohistory="` + join(e...) + `"`
	want := `type=OBJ_PID msg=audit(1.000:2): opid=330 ocomm="sleep" ohistory="` + join(e[0], "omitted=26", e[27], e[28], e[29]) + `"`
	wantFit(t, line, len(want)+20, want, Shorter)
}

func TestARecordOfItsOwn(t *testing.T) {
	e := execs(30)
	line := `type=UNKNOWN[1340] msg=audit(1.000:2): history="` + join(e...) + `"`
	want := `type=UNKNOWN[1340] msg=audit(1.000:2): history="` + join("omitted=29", e[29]) + `"`
	wantFit(t, line, len(want)+10, want, Shorter)
}

func TestWhatWasLeftOutBeforeIsCounted(t *testing.T) {
	e := execs(60)
	line := enriched(append(append(append([]string{}, e[:20]...), "omitted=1000"), e[20:]...)...)
	want := enriched(e[0], e[1], "omitted=1051", e[53], e[54], e[55], e[56], e[57], e[58], e[59])
	wantFit(t, line, len(want)+20, want, Shorter)
}

// However little has to go, there is one mark and not two.
func TestThereIsOneMark(t *testing.T) {
	e := execs(60)
	for _, at := range []int{0, 1, 30, 58, 60} {
		elements := append(append(append([]string{}, e[:at]...), "omitted=1000"), e[at:]...)
		line := enriched(elements...)
		got, _ := fit(line, len(line)-100)
		if n := strings.Count(got, "omitted="); n != 1 || stands(t, got) != 1060 {
			t.Errorf("at %d: %d marks, %d execs: %s", at, n, stands(t, got), got)
		}
		if len(got) < len(line)-200 {
			t.Errorf("at %d: %d bytes of %d: %s", at, len(got), len(line), got)
		}
	}
}

func TestOnlyTheMarkIsLeft(t *testing.T) {
	want := enriched("omitted=10")
	wantFit(t, enriched(execs(10)...), len(want), want, Shorter)
}

func TestTheHistoryGoesBeforeTheRecordDoes(t *testing.T) {
	line, want := enriched(execs(10)...), before+after
	for _, limit := range []int{len(enriched("omitted=10")) - 1, len(want)} {
		wantFit(t, line, limit, want, Shorter)
	}
	wantFit(t, line, len(want)-1, want, TooLong)
	wantFit(t, line, 0, want, TooLong)
}

// What merely looks like a history belongs to the record.
func TestNothingButAHistoryIsCut(t *testing.T) {
	long := strings.Repeat("x", 300)
	h := join(execs(20)...)
	for name, line := range map[string]string{
		"no history":            before + long + after,
		"no element":            before + ` history="` + long + `"` + after,
		"text behind it":        before + ` history="` + h + `" more="` + long + `"` + after,
		"no closing quote":      before + ` history="` + h,
		"part of another field": before + ` prehistory="` + h + `"` + after,
		"a blank in a name":     before + ` history="` + h + `=>name=a b;pid=1;start=1"` + after,
		"no pid":                before + ` history="name=a;start=20261122091539=>` + h + `"` + after,
		"no start":              before + ` history="name=a;pid=1=>` + h + `"` + after,
		"omitted without N":     before + ` history="omitted==>` + h + `"` + after,
		"omitted none":          before + ` history="omitted=0=>` + h + `"` + after,
		"nothing before it":     `history="` + h + `"`,
		"empty":                 before + ` history=""` + after,
	} {
		t.Run(name, func(t *testing.T) { wantFit(t, line, 100, line, TooLong) })
	}
}

// A program may write into its message what it likes; the history of the record stands behind that.
func TestAHistoryInAMessageIsNotTheRecords(t *testing.T) {
	forged := ` history="` + join(execs(3)...) + `"` + "\x1d"
	head := `type=USER_CMD msg=audit(1.000:2): pid=7 msg='cmd=` + forged + `' history="`
	line := head + join(execs(20)...) + `"` + after
	want := head + "omitted=20" + `"` + after
	wantFit(t, line, len(want), want, Shorter)
}

// Nor is one in what auditd has added, such as the path of a socket.
func TestAHistoryBehindTheSeparatorIsNotTheRecords(t *testing.T) {
	line := before + "\x1d" + `SADDR={ path=/tmp/ history="` + join(execs(20)...) + `"`
	wantFit(t, line, 100, line, TooLong)
}

func TestHistoriesFromProcAndPaddedRecords(t *testing.T) {
	e := execs(20)
	for i := range e {
		e[i] += []string{";via=proc", ";via=seen", ";via=helper"}[i%3]
	}
	e[3] = `name=a\075\076b;pid=1;start=20261122091539`
	for _, end := range []string{"", "\r", "\x00", "\x00" + after} {
		line := before + ` history="` + join(e...) + `"` + end
		want := before + ` history="omitted=20"` + end
		wantFit(t, line, len(want), want, Shorter)
	}
}

var (
	adjacent = regexp.MustCompile(`omitted=\d+=>omitted=|"omitted":\d+},{"omitted"`)
	mark     = regexp.MustCompile(`omitted(?:=|":)(\d+)`)
)

// stands is how many execs the histories of a line stand for, and fails if a mark stands next to another.
func stands(t testing.TB, line string) int {
	t.Helper()
	if adjacent.MatchString(line) {
		t.Errorf("two marks side by side: %s", line)
	}
	n := strings.Count(line, "name=") + strings.Count(line, `{"name":`)
	for _, m := range mark.FindAllStringSubmatch(line, -1) {
		v, _ := strconv.Atoi(m[1])
		n += v
	}
	return n
}

// Whatever the limit, no exec gets lost, the first and the last ones stay, and little room is left unused.
func TestEveryLimit(t *testing.T) {
	e := execs(60)
	marked := append(append(append([]string{}, e[:7]...), "omitted=90"), e[7:]...)
	for name, line := range map[string]string{"plain": enriched(e...), "marked before": enriched(marked...)} {
		t.Run(name, func(t *testing.T) {
			all := stands(t, line)
			for limit := len(enriched("omitted=150")); limit < len(line); limit += 1 + limit/100 {
				got, outcome := fit(line, limit)
				if outcome != Shorter || len(got) > limit || stands(t, got) != all {
					t.Fatalf("limit %d: outcome %d, %d bytes, %d execs of %d: %s", limit, outcome, len(got), stands(t, got), all, got)
				}
				if limit > 500 && (!strings.Contains(got, e[0]+"=>") || !strings.Contains(got, "=>"+e[59]+`"`)) {
					t.Fatalf("limit %d: the oldest or the newest is missing: %s", limit, got)
				}
				if limit > 500 && len(got) < limit-150 {
					t.Fatalf("limit %d: only %d bytes used", limit, len(got))
				}
			}
		})
	}
}

func objects(n int) []string {
	var list []string
	for i := range n {
		list = append(list, fmt.Sprintf(`{"name":"p%d","pid":%d,"start":"2026-11-22T09:15:39.000Z"}`, i, 100+i))
	}
	return list
}

func array(elements ...string) string { return "[" + strings.Join(elements, ",") + "]" }

func TestTheMiddleOfAJSONHistoryIsLeftOut(t *testing.T) {
	e := objects(30)
	event := func(h string) string { return `{"serial":108,"history":` + h + `,"comm":"kill"}` }
	want := event(array(e[0], `{"omitted":26}`, e[27], e[28], e[29]))
	wantFit(t, event(array(e...)), len(want)+20, want, Shorter)
}

func TestWhatWasLeftOutOfAJSONHistoryBeforeIsCounted(t *testing.T) {
	e := objects(30)
	line := `{"history":` + array(append([]string{e[0], `{"omitted":100}`}, e[1:]...)...) + `}`
	want := `{"history":` + array(e[0], `{"omitted":126}`, e[27], e[28], e[29]) + `}`
	wantFit(t, line, len(want)+20, want, Shorter)
}

// A short history stays whole and leaves the room to a long one.
func TestTheHistoriesOfAnEventShareTheRoom(t *testing.T) {
	short, long := objects(2), objects(40)
	event := func(h, o string) string {
		return `{"history":` + h + `,"targets":[{"pid":1,"target_history":` + o + `}]}`
	}
	want := event(array(short...), array(long[0], `{"omitted":36}`, long[37], long[38], long[39]))
	wantFit(t, event(array(short...), array(long...)), len(want)+20, want, Shorter)
	both := event(array(long...), array(long...))
	got, _ := fit(both, 2000)
	if len(got) > 2000 || len(got) < 1800 || strings.Count(got, "omitted") != 2 || stands(t, got) != 80 {
		t.Errorf("%d bytes, %d execs: %s", len(got), stands(t, got), got)
	}
}

func TestAJSONHistoryGoesBeforeTheEventDoes(t *testing.T) {
	line := `{"history":` + array(objects(10)...) + `,"comm":"kill"}`
	for limit, want := range map[int]string{
		40: `{"history":[],"comm":"kill"}`,
		42: `{"history":[{"omitted":10}],"comm":"kill"}`,
	} {
		wantFit(t, line, limit, want, Shorter)
	}
	wantFit(t, line, 5, `{"history":[],"comm":"kill"}`, TooLong)
}

func TestNothingButAJSONHistoryIsCut(t *testing.T) {
	h := array(objects(10)...)
	quoted, _ := json.Marshal(`"history":` + h)
	for name, line := range map[string]string{
		"a string that holds one":  `{"args":` + string(quoted) + `}`,
		"a name that ends like it": `{"prehistory":` + h + `}`,
		"a value, not a name":      `{"key":"history","args":` + h + `}`,
		"strings, not objects":     `{"history":["` + strings.Repeat("x", 200) + `"]}`,
		"an object":                `{"history":{"a":` + h + `}}`,
		"empty":                    `{"history":[],"args":"` + strings.Repeat("x", 200) + `"}`,
		"cut off":                  `{"history":` + h[:len(h)-3],
		"without an end":           `{"history":` + h[:len(h)-1],
		"not JSON":                 `{"history":[{}x{}` + strings.Repeat(" ", 100),
	} {
		t.Run(name, func(t *testing.T) { wantFit(t, line, 60, line, TooLong) })
	}
}

func TestBracketsInNamesAreNotBrackets(t *testing.T) {
	odd := `{"name":"a]}\"},{\\","pid":1,"start":"2026-11-22T09:15:39.000Z"}`
	line := `{"history":` + array(odd, odd, odd, odd) + `}`
	want := `{"history":` + array(`{"omitted":3}`, odd) + `}`
	wantFit(t, line, len(want)+5, want, Shorter)
}

func TestCut(t *testing.T) {
	for name, c := range map[string]struct {
		line  string
		limit int
		want  string
	}{
		"fits":           {strings.Repeat("x", 70), 70, strings.Repeat("x", 70)},
		"cut":            {strings.Repeat("x", 100), 80, strings.Repeat("x", 66) + " truncated=34"},
		"not in a rune":  {strings.Repeat("x", 65) + "é" + strings.Repeat("y", 33), 80, strings.Repeat("x", 65) + " truncated=35"},
		"no rune at all": {strings.Repeat("\x80", 100), 80, strings.Repeat("\x80", 66) + " truncated=34"},
		"no limit":       {strings.Repeat("x", 100), 0, strings.Repeat("x", 50) + " truncated=50"},
	} {
		t.Run(name, func(t *testing.T) {
			if got := string(Cut(nil, []byte(c.line), c.limit)); got != c.want {
				t.Errorf("%q, want %q", got, c.want)
			}
		})
	}
}
