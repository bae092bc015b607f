package conf

import (
	"os"
	"reflect"
	"strings"
	"testing"

	"gopkg.in/yaml.v3"
)

// FuzzParse: no input makes Parse panic, every error names the file, and what
// is accepted is within its bounds and survives being written and read again.
func FuzzParse(f *testing.F) {
	shipped, err := os.ReadFile("../packaging/audisp-history.yaml")
	if err != nil {
		f.Fatal(err)
	}
	for _, seed := range []string{
		string(shipped), full, "", "---\n---\n", "history: {cut: [}", "a: &a [*a]\n",
		"log: &l {level: warn}\nhistory:\n  <<: *l\n", "node: !!binary eA==\n", "outputs:\n- file: {mode: !!int 0600}\n",
		"limits:\n  depth: 1e3\n", "? {a: b}\n: c\n", "node: \"\\0\"\n", "history:\n  cut: ~\n", "%YAML 1.2\n---\nnode: x\n",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		c, err := Parse("f", data)
		if err != nil {
			for line := range strings.Lines(err.Error()) {
				if !strings.HasPrefix(line, "f:") {
					t.Fatalf("an error without its file: %q", line)
				}
			}
			return
		}
		again, err := yaml.Marshal(c)
		if err != nil {
			t.Fatal(err)
		}
		c2, err := Parse("f", again)
		if err != nil {
			t.Fatalf("accepted, but not once written again: %v\n%s", err, again)
		}
		if !reflect.DeepEqual(c2, c) {
			t.Fatalf("first %+v\nthen  %+v", c, c2)
		}
	})
}
