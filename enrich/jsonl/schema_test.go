package jsonl

import (
	"bytes"
	_ "embed"
	"regexp"
	"strings"
	"sync"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

//go:embed schema.json
var schemaFile []byte

var schema = sync.OnceValues(func() (*jsonschema.Schema, error) {
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(schemaFile))
	if err != nil {
		return nil, err
	}
	c := jsonschema.NewCompiler()
	c.DefaultDraft(jsonschema.Draft2020)
	c.AssertFormat()
	if err := c.AddResource("schema.json", doc); err != nil {
		return nil, err
	}
	return c.Compile("schema.json")
})

// valid holds a line against the schema.
func valid(t *testing.T, line []byte) {
	t.Helper()
	s, err := schema()
	if err != nil {
		t.Fatal(err)
	}
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(line))
	if err != nil {
		t.Fatalf("%q: %v", line, err)
	}
	if err := s.Validate(doc); err != nil {
		t.Fatalf("%s: %v", line, err)
	}
}

func TestTheSchemaRefuses(t *testing.T) {
	s, err := schema()
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range []string{
		`{}`, `[]`, `{"id":"1.000:1","time":"2026-01-01T00:00:00.000Z"}`,
		`{"id":"1:1","time":"2026-01-01T00:00:00.000Z","records":{}}`,
		`{"id":"1.000:1","time":"2026-13-01T00:00:00.000Z","records":{}}`,
		`{"id":"1.000:1","time":"2026-01-01T00:00:00.000Z","records":{"PATH":{}}}`,
		`{"id":"1.000:1","time":"2026-01-01T00:00:00.000Z","records":{"SYSCALL":[]}}`,
		`{"id":"1.000:1","time":"2026-01-01T00:00:00.000Z","records":{"SYSCALL":{"pid":"7"}}}`,
		`{"id":"1.000:1","time":"2026-01-01T00:00:00.000Z","records":{"SYSCALL":{"a0":7}}}`,
		`{"id":"1.000:1","time":"2026-01-01T00:00:00.000Z","records":{"SYSCALL":{"a0":"ff"}}}`,
		`{"id":"1.000:1","time":"2026-01-01T00:00:00.000Z","records":{"SYSCALL":{"comm":7}}}`,
		`{"id":"1.000:1","time":"2026-01-01T00:00:00.000Z","records":{"SYSCALL":{"other":7}}}`,
		`{"id":"1.000:1","time":"2026-01-01T00:00:00.000Z","records":{},"history":[{"name":"x"}]}`,
		`{"id":"1.000:1","time":"2026-01-01T00:00:00.000Z","records":{},"more":1}`,
		`{"id":"1.000:1","time":"2026-01-01T00:00:00.000Z","gap":{"reason":"x","lost":0}}`,
	} {
		doc, err := jsonschema.UnmarshalJSON(strings.NewReader(line))
		if err != nil {
			t.Fatal(err)
		}
		if s.Validate(doc) == nil {
			t.Errorf("accepts %s", line)
		}
	}
}

// The schema lists the fields that are numbers; the code does as well.
func TestTheSchemaKnowsTheForms(t *testing.T) {
	lists := regexp.MustCompile(`"\^\(([^)]*)\)\$": \{\s*"\$ref": "#/\$defs/(\w+)"`).FindAllSubmatch(schemaFile, -1)
	if len(lists) != 2 {
		t.Fatalf("%d lists", len(lists))
	}
	seen := map[string]form{}
	for _, l := range lists {
		want := map[string]form{"number": decimal, "hex": hex}[string(l[2])]
		for name := range strings.SplitSeq(strings.ReplaceAll(string(l[1]), "a[0-5]", "a0|a1|a2|a3|a4|a5"), "|") {
			if formOf([]byte(name)) != want {
				t.Errorf("%s is no %s in the code", name, l[2])
			}
			seen[name] = want
		}
	}
	source := regexp.MustCompile(`"([a-z0-9_-]+)"`)
	for _, m := range source.FindAllSubmatch(fieldSource, -1) {
		name := string(m[1])
		if f := formOf([]byte(name)); (f == decimal || f == hex) && seen[name] != f {
			t.Errorf("%s is not in the schema", name)
		}
	}
}

//go:embed field.go
var fieldSource []byte
