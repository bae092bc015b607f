package excerpt

import (
	"bytes"
	"encoding/json"
	"reflect"
	"testing"
)

// FuzzFit: whatever the line and the limit, a line that fits is not touched, what is called fitting fits, a line of JSON
// stays one, no exec is lost, and nothing but a history changes.
func FuzzFit(f *testing.F) {
	e := execs(12)
	for _, line := range []string{
		enriched(e...), enriched(append([]string{e[0], "omitted=7", "omitted=8"}, e...)...), enriched("omitted=1", "omitted=2"),
		before + ` ohistory="` + join(e...) + `"`, `history="` + join(e...) + `"`, ` history="name=;pid=1;start=1=>name=;pid=1;start=1"`,
		` history="omitted=1099511627776=>omitted=18446744073709551616"`, `{"history":` + array(objects(9)...) + `}`,
		`{"a":{"history": [ {"omitted":3} , {"x":[1,"]"]} ] ,"target_history":` + array(objects(9)...) + `}}`,
		`{"history":[{"omitted":0},{"omitted":1},{"omitted":2}],"history":[{}]}`, `{"history":[{"a\`, "", "{", `{"`,
	} {
		f.Add([]byte(line), 40)
		f.Add([]byte(line), len(line)-10)
	}
	f.Fuzz(func(t *testing.T, line []byte, limit int) {
		if len(line) > 1<<14 {
			return
		}
		given := bytes.Clone(line)
		got, outcome := Fit(nil, line, limit)
		if !bytes.Equal(line, given) {
			t.Fatal("the line was changed")
		}
		if (outcome == Whole) != (len(line) <= limit) || outcome == Whole && !bytes.Equal(got, line) {
			t.Fatalf("outcome %d of %d bytes, limit %d: %q", outcome, len(line), limit, got)
		}
		if (outcome == TooLong) != (len(got) > limit) {
			t.Fatalf("outcome %d with %d bytes, limit %d", outcome, len(got), limit)
		}
		if !bytes.Equal(rest(got), rest(line)) {
			t.Fatalf("more than the history has changed:\n%q\n%q", line, got)
		}
		checkCounts(t, line, got, limit)
		checkJSON(t, line, got)
		if cut := Cut(nil, line, limit); len(cut) > max(limit, MinCut) && len(cut) > len(line) {
			t.Fatalf("limit %d: cut to %d", limit, len(cut))
		}
	})
}

// rest is a line without its histories, and without what looks like one once those are gone.
func rest(line []byte) []byte {
	for lists := find(line); len(lists) > 0; lists = find(line) {
		line = appendWithout(nil, line, lists)
	}
	return line
}

// checkCounts compares how many execs the histories stand for, unless they are gone.
func checkCounts(t *testing.T, line, got []byte, limit int) {
	was, is := find(line), find(got)
	if bytes.Equal(got, appendWithout(nil, line, was)) {
		return
	}
	if len(is) != len(was) {
		t.Fatalf("%d histories of %d:\n%q\n%q", len(is), len(was), line, got)
	}
	for i := range is {
		a, b := was[i].omitted(0, len(was[i].elements)), is[i].omitted(0, len(is[i].elements))
		if a != b {
			t.Fatalf("limit %d: %d execs of %d:\n%q\n%q", limit, b, a, line, got)
		}
	}
}

// checkJSON compares the values of both lines without their histories, as another parser reads them.
func checkJSON(t *testing.T, line, got []byte) {
	if len(line) == 0 || line[0] != '{' || !json.Valid(line) {
		return
	}
	if !json.Valid(got) {
		t.Fatalf("no longer JSON:\n%s\n%s", line, got)
	}
	values := func(b []byte) any {
		var v any
		d := json.NewDecoder(bytes.NewReader(b))
		d.UseNumber()
		if err := d.Decode(&v); err != nil {
			t.Fatal(err)
		}
		return withoutHistories(v)
	}
	if a, b := values(line), values(got); !reflect.DeepEqual(a, b) {
		t.Fatalf("other values:\n%s\n%s", line, got)
	}
}

func withoutHistories(v any) any {
	switch v := v.(type) {
	case map[string]any:
		for name, value := range v {
			if _, ok := value.([]any); ok && (name == "history" || name == "target_history") {
				v[name] = "a list" // whatever is in it
				continue
			}
			v[name] = withoutHistories(value)
		}
	case []any:
		for i := range v {
			v[i] = withoutHistories(v[i])
		}
	}
	return v
}
