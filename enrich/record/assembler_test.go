package record

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"
)

// line makes a record of the event of a serial.
func line(typ string, serial int) string {
	return fmt.Sprintf("type=%s msg=audit(1700000000.%03d:%d): x=%d\n", typ, serial%1000, serial, serial)
}

// bench puts lines together and notes what comes out, one text an event: its serial and the types of its records.
type bench struct {
	*Assembler
	events []string
	lines  []string
	now    int64
}

func newBench(limit int) *bench {
	b := &bench{}
	b.Assembler = NewAssembler(limit, func(e *Event) {
		var types []string
		for i := range e.Records {
			types = append(types, string(e.Header(i).Type))
			b.lines = append(b.lines, string(e.Line(i)))
		}
		b.events = append(b.events, fmt.Sprintf("%s%d %s", e.Node, e.Serial, strings.Join(types, " ")))
		b.Release(e)
	})
	return b
}

// add takes records as "TYPE SERIAL".
func (b *bench) add(records ...string) {
	for _, r := range records {
		var typ string
		var serial int
		if _, err := fmt.Sscan(r, &typ, &serial); err != nil {
			panic(err)
		}
		b.Add([]byte(line(typ, serial)), b.now)
	}
}

// take returns what came out since it was last asked.
func (b *bench) take() []string {
	out := b.events
	b.events = nil
	return out
}

func (b *bench) want(t *testing.T, when string, want ...string) {
	t.Helper()
	if got := b.take(); !slices.Equal(got, want) {
		t.Errorf("%s: events %q, want %q", when, got, want)
	}
}

func TestAnEventEndsWithEOE(t *testing.T) {
	b := newBench(100)
	b.add("SYSCALL 1", "PROCTITLE 1", "EOE 1")
	b.take() // that the stream has EOE records is not known before
	b.add("SYSCALL 2", "EXECVE 2", "PATH 2", "PROCTITLE 2")
	b.want(t, "before EOE")
	b.add("EOE 2")
	b.want(t, "at EOE", "2 SYSCALL EXECVE PATH PROCTITLE EOE")
	if b.Open() != 0 {
		t.Errorf("%d events open", b.Open())
	}
}

func TestWithoutEOEAnEventEndsWithPROCTITLE(t *testing.T) {
	b := newBench(100)
	b.add("SYSCALL 1", "CWD 1")
	b.want(t, "before PROCTITLE")
	b.add("PROCTITLE 1")
	b.want(t, "at PROCTITLE", "1 SYSCALL CWD PROCTITLE")
	b.add("SYSCALL 2", "PROCTITLE 2")
	b.want(t, "the next", "2 SYSCALL PROCTITLE")
}

func TestRecordsOfProgramsStandAlone(t *testing.T) {
	b := newBench(100)
	b.add("SYSCALL 1", "USER_AUTH 2", "DAEMON_START 7000", "UNKNOWN[1199] 3")
	b.want(t, "at once", "2 USER_AUTH", "7000 DAEMON_START", "3 UNKNOWN[1199]")
}

func TestOnlyTheKernelsSerialsAreOrdered(t *testing.T) {
	for text, ordered := range map[string]bool{
		line("SYSCALL", 1): true, line("USER_AUTH", 1): true, line("EOE", 1): true, line("DAEMON_START", 1): false,
		"garbage\n": false, "": false,
	} {
		got := []bool{}
		a := NewAssembler(1, func(e *Event) { got = append(got, e.Ordered) })
		a.Add([]byte(text), 0)
		a.Flush()
		if !slices.Equal(got, []bool{ordered}) {
			t.Errorf("%q: ordered %v, want %v", text, got, ordered)
		}
	}
}

func TestAKernelRecordThatStandsAloneEndsWhenTheStreamMovesOn(t *testing.T) {
	b := newBench(1000)
	b.add("SYSCALL 1", "EOE 1", "NETFILTER_CFG 2")
	b.take()
	for i := range moveOnBare - 1 {
		b.add(fmt.Sprint("USER_ACCT ", 3+i))
	}
	if got := b.take(); slices.Contains(got, "2 NETFILTER_CFG") {
		t.Fatalf("given up too early: %q", got)
	}
	b.add("USER_ACCT 100", "USER_ACCT 101")
	if got := b.take(); !slices.Contains(got, "2 NETFILTER_CFG") {
		t.Errorf("still open after %d events: %q", moveOnBare+1, got)
	}
}

func TestASystemCallWithoutItsEndIsWaitedForLonger(t *testing.T) {
	for _, c := range []struct {
		name  string
		first []string
		wait  int
	}{
		{"EOE records come", []string{"SYSCALL 1", "EOE 1"}, moveOnCall},
		{"PROCTITLE records come", []string{"SYSCALL 1", "PROCTITLE 1"}, moveOnCall},
		{"neither", []string{"USER_ACCT 1"}, moveOnBare},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := newBench(1000)
			b.add(c.first...)
			b.add("SYSCALL 2")
			b.take()
			n := 0
			for ; !slices.Contains(b.take(), "2 SYSCALL"); n++ {
				if n > c.wait+1 {
					t.Fatalf("still open after %d events", n)
				}
				b.add(fmt.Sprint("USER_ACCT ", 3+n))
			}
			if n < c.wait-1 {
				t.Errorf("given up after %d events", n)
			}
		})
	}
}

func TestNewsOfAnEventKeepsItOpen(t *testing.T) {
	b := newBench(1000)
	b.add("AVC 1")
	for i := range 10 * moveOnBare {
		b.add(fmt.Sprint("USER_ACCT ", 2+i))
		if i%10 == 0 {
			b.add("AVC 1")
		}
	}
	for _, e := range b.take() {
		if strings.Contains(e, "AVC") {
			t.Fatalf("given up between its records: %q", e)
		}
	}
}

func TestAnEventIsNotOpenForLongerThanMaxAge(t *testing.T) {
	open := []string{"SYSCALL 1", "AVC 2"}
	story := func(t *testing.T) *bench {
		b := newBench(100)
		b.now = 5000
		b.add(open...)
		b.Tick(5000 + MaxAge - 1)
		b.want(t, "early")
		return b
	}
	t.Run("by Tick", func(t *testing.T) {
		b := story(t)
		b.Tick(5000 + MaxAge)
		b.want(t, "late", "2 AVC", "1 SYSCALL")
	})
	t.Run("by the next event", func(t *testing.T) {
		b := story(t)
		b.now = 5000 + MaxAge
		b.add("USER_ACCT 3")
		b.want(t, "late", "2 AVC", "1 SYSCALL", "3 USER_ACCT")
	})
	t.Run("whose SYSCALL record came late", func(t *testing.T) {
		b := newBench(100)
		b.add("AVC 1")
		b.now = MaxAge / 2
		b.add("SYSCALL 2")
		b.now = MaxAge * 3 / 4
		b.add("SYSCALL 1")
		b.Tick(MaxAge)
		b.want(t, "late", "1 AVC SYSCALL")
		b.Tick(MaxAge/2 + MaxAge)
		b.want(t, "later", "2 SYSCALL")
	})
}

func TestEventsInterleave(t *testing.T) {
	b := newBench(100)
	b.add("SYSCALL 1", "SYSCALL 2", "CWD 1", "EXECVE 2", "SYSCALL 3", "PATH 1", "PROCTITLE 2", "PROCTITLE 3", "PATH 1", "PROCTITLE 1")
	b.want(t, "in the order of their ends",
		"2 SYSCALL EXECVE PROCTITLE", "3 SYSCALL PROCTITLE", "1 SYSCALL CWD PATH PATH PROCTITLE")
}

func TestAnEventIsNamedByNodeTimeAndSerial(t *testing.T) {
	b := newBench(100)
	for _, l := range []string{
		"type=SYSCALL msg=audit(1.000:1): \n",
		"node=a type=SYSCALL msg=audit(1.000:1): \n",
		"node=b type=SYSCALL msg=audit(1.000:1): \n",
		"type=SYSCALL msg=audit(1.001:1): \n",
		"type=SYSCALL msg=audit(1.000:4097): \n", // the same bucket
		"node=b type=PROCTITLE msg=audit(1.000:1): \n",
		"type=PROCTITLE msg=audit(1.000:4097): \n",
		"type=CWD msg=audit(1.001:1): \n",
		"type=PROCTITLE msg=audit(1.000:1): \n",
		"node=a type=PROCTITLE msg=audit(1.000:1): \n",
		"type=PROCTITLE msg=audit(1.001:1): \n",
	} {
		b.Add([]byte(l), 0)
	}
	b.want(t, "one each", "b1 SYSCALL PROCTITLE", "4097 SYSCALL PROCTITLE", "1 SYSCALL PROCTITLE", "a1 SYSCALL PROCTITLE",
		"1 SYSCALL CWD PROCTITLE")
}

func TestWhatComesAfterTheEndIsAFurtherPart(t *testing.T) {
	b := newBench(100)
	b.add("SYSCALL 1", "PROCTITLE 1", "EOE 1", "PATH 1", "PROCTITLE 1", "EOE 1")
	b.want(t, "parts", "1 SYSCALL PROCTITLE", "1 EOE", "1 PATH PROCTITLE EOE")
}

func TestLinesThatAreNoRecordsPass(t *testing.T) {
	b := newBench(100)
	b.add("SYSCALL 1")
	b.Add([]byte("garbage\n"), 0)
	b.Add(nil, 0)
	b.Pass([]byte("type=SYSCALL msg=audit(1.000:1): a part of a very long line"), 0)
	if b.Open() != 1 || len(b.events) != 3 {
		t.Errorf("%d open, %q came out", b.Open(), b.events)
	}
	want := []string{"garbage\n", "", "type=SYSCALL msg=audit(1.000:1): a part of a very long line"}
	if !slices.Equal(b.lines, want) {
		t.Errorf("%q, want %q", b.lines, want)
	}
}

func TestOpenEventsAreBounded(t *testing.T) {
	const limit = 50
	b := newBench(limit)
	b.add("SYSCALL 0", "EOE 0")
	for i := range 400 {
		b.add(fmt.Sprint("SYSCALL ", 1+i))
		if b.Open() > limit {
			t.Fatalf("%d events open", b.Open())
		}
	}
	if b.Evicted != 400-limit {
		t.Errorf("%d evicted, want %d", b.Evicted, 400-limit)
	}
	if got := b.take()[1:3]; !slices.Equal(got, []string{"1 SYSCALL", "2 SYSCALL"}) {
		t.Errorf("the oldest are not the first to go: %q", got)
	}
	b.Flush()
	if b.Open() != 0 || len(b.lines) != 402 {
		t.Errorf("%d open and %d lines after the end", b.Open(), len(b.lines))
	}
}

func TestTheOldestOpenEventGoesFirst(t *testing.T) {
	for _, c := range []struct{ first, second string }{{"SYSCALL", "AVC"}, {"AVC", "SYSCALL"}} {
		b := newBench(2)
		b.add(c.first + " 1")
		b.now = 5
		b.add(c.second+" 2", "AVC 3")
		b.want(t, "the third", "1 "+c.first)
	}
}

func TestAnEventOfAMegabyteIsCut(t *testing.T) {
	b := newBench(10)
	long := "type=EXECVE msg=audit(1700000000.001:1): a1[0]=" + strings.Repeat("61", 4000) + "\n"
	b.add("SYSCALL 1")
	want := []string{line("SYSCALL", 1)}
	for range 3 * maxEvent / len(long) {
		b.Add([]byte(long), 0)
		want = append(want, long)
	}
	parts := len(b.events)
	b.Flush()
	if parts < 2 || parts > 3 {
		t.Errorf("three megabytes came in %d parts before the end", parts)
	}
	if !slices.Equal(b.lines, want) {
		t.Errorf("%d lines, want %d in their order", len(b.lines), len(want))
	}
	for _, e := range b.events[1:] {
		if strings.Contains(e, "SYSCALL") {
			t.Error("a later part has the SYSCALL record")
		}
	}
}

func TestEvent(t *testing.T) {
	lines := []string{
		"node=h type=AVC msg=audit(1.002:3): avc:  denied  pid=4\x1dX=1\r\n",
		"node=h type=SYSCALL msg=audit(1.002:3): arch=1 pid=4\x1dARCH=x\n",
		"node=h type=EOE msg=audit(1.002:3): \n",
	}
	n := 0
	a := NewAssembler(10, func(e *Event) {
		n++
		if e.Node != "h" || e.Time != 1002 || e.Serial != 3 || e.Arrived != 77 || e.Call != 1 || len(e.Records) != 3 {
			t.Errorf("%+v", e)
		}
		for i, body := range []string{"avc:  denied  pid=4", "arch=1 pid=4", ""} {
			if string(e.Line(i)) != lines[i] || string(e.Body(i)) != body {
				t.Errorf("record %d: line %q, body %q", i, e.Line(i), e.Body(i))
			}
			if h := e.Header(i); h.Serial != 3 || string(h.Node) != "h" || e.RawEnd(i) != h.Body+len(body) {
				t.Errorf("record %d: header %+v, raw part ends at %d", i, h, e.RawEnd(i))
			}
		}
	})
	for _, l := range lines {
		b := []byte(l)
		a.Add(b, 77)
		clear(b)
	}
	if n != 1 {
		t.Errorf("%d events", n)
	}
}

func TestOddRecordsOfAnEvent(t *testing.T) {
	for _, c := range []struct{ name, line, body string }{
		{"separator in the node name", "node=a\x1db type=LOGIN msg=audit(1.000:1): pid=4 x\n", ""},
		{"separator in the type", "type=A\x1d msg=audit(1.000:1): pid=4\n", ""},
		{"no body, padded", "type=LOGIN msg=audit(1.000:1):\x00\r\n", ""},
		{"no body, no newline", "type=LOGIN msg=audit(1.000:1):", ""},
		{"separator inside a message", "type=USER_CMD msg=audit(1.000:1): pid=1 msg='a\x1db'\x1dUID=\"x\"\n", "pid=1 msg='a\x1db'"},
		{"no record", "pid=4 garbage\x1d\n", "pid=4 garbage"},
	} {
		t.Run(c.name, func(t *testing.T) {
			a := NewAssembler(1, func(e *Event) {
				end := e.RawEnd(0)
				if string(e.Body(0)) != c.body || end < len(c.body) || end > len(c.line) {
					t.Errorf("body %q, want %q; raw part ends at %d", e.Body(0), c.body, end)
				}
			})
			a.Add([]byte(c.line), 0)
			a.Flush()
		})
	}
}

func TestAssemblerAllocatesNothing(t *testing.T) {
	for _, end := range []string{"EOE", "PROCTITLE"} {
		t.Run("events end with "+end, func(t *testing.T) {
			var a *Assembler
			a = NewAssembler(64, func(e *Event) { a.Release(e) })
			var lines [][]byte
			for serial := 1; serial < 2000; serial += 4 {
				for _, typ := range []string{"SYSCALL", "CWD", "PATH", "PROCTITLE", end} {
					for i := range 4 {
						lines = append(lines, []byte(line(typ, serial+i)))
					}
				}
				lines = append(lines, []byte(line("USER_ACCT", 5000+serial)), []byte(line("NETFILTER_CFG", 9000+serial)), []byte("garbage\n"))
			}
			all := func() {
				for _, l := range lines {
					a.Add(l, 0)
				}
			}
			all()
			if n := testing.AllocsPerRun(5, all); n != 0 {
				t.Errorf("%v allocations for %d records", n, len(lines))
			}
		})
	}
}

func TestEventsThatAreKeptStayAsTheyAre(t *testing.T) {
	var kept []*Event
	a := NewAssembler(10, func(e *Event) { kept = append(kept, e) })
	var want bytes.Buffer
	for serial := range 500 {
		for _, typ := range []string{"SYSCALL", "PATH", "PROCTITLE"} {
			want.WriteString(line(typ, serial))
			a.Add([]byte(line(typ, serial)), 0)
		}
	}
	var got bytes.Buffer
	for _, e := range kept {
		for i := range e.Records {
			got.Write(e.Line(i))
		}
	}
	if !bytes.Equal(got.Bytes(), want.Bytes()) {
		t.Error("events that were not released have changed")
	}
}
