package ecs

import (
	"bytes"
	_ "embed"
	"encoding/json"
	"net/netip"
	"strings"
	"testing"
	"time"
	"unicode/utf8"
)

//go:embed testdata/fields.tsv
var tableFile string

// table is the type of each field.
var table = func() map[string]string {
	t := map[string]string{}
	for line := range strings.Lines(tableFile) {
		if f := strings.Split(strings.TrimSpace(line), "\t"); line[0] != '#' && len(f) == 3 {
			t[f[0]] = f[1]
		}
	}
	return t
}()

// below are fields of which each may have others below it.
var below = []string{"auditd.data.", "auditd.paths[].", "auditd.records.", "file.selinux.", "user.selinux."}

// Fields that are not ECS's stand in places that ECS does not use (auditd), or where Auditbeat has them.
func TestOwnFieldsAreBelowAuditd(t *testing.T) {
	own := 0
	for line := range strings.Lines(tableFile) {
		if strings.HasSuffix(strings.TrimSpace(line), "\town") {
			own++
			if !strings.HasPrefix(line, "auditd.") {
				t.Errorf("%s", line)
			}
		}
	}
	if own == 0 || len(table) < 80 {
		t.Errorf("%d own fields, %d", own, len(table))
	}
}

// check holds documents against the table.
func check(t *testing.T, documents []byte) {
	t.Helper()
	for line := range bytes.Lines(documents) {
		var doc map[string]any
		d := json.NewDecoder(bytes.NewReader(line))
		d.UseNumber()
		if err := d.Decode(&doc); err != nil || !utf8.Valid(line) || line[len(line)-1] != '\n' || !json.Valid(line) {
			t.Fatalf("%v: %q", err, line)
		}
		walk(t, "", doc)
		for _, field := range []string{"@timestamp", "ecs", "event"} {
			if doc[field] == nil {
				t.Fatalf("no %s: %s", field, line)
			}
		}
	}
}

func walk(t *testing.T, path string, value any) {
	t.Helper()
	switch v := value.(type) {
	case map[string]any:
		for name, inner := range v {
			walk(t, strings.TrimPrefix(path+"."+name, "."), inner)
		}
		return
	case []any:
		for _, inner := range v {
			walk(t, path+"[]", inner)
		}
		return
	}
	typ, ok := table[path]
	for _, b := range below {
		if !ok && strings.HasPrefix(path, b) {
			typ, ok = table[b+"*"]
		}
	}
	if !ok {
		t.Fatalf("%s is in no table", path)
	}
	if !isA(value, typ) {
		t.Fatalf("%s is %v, and no %s", path, value, typ)
	}
}

func isA(value any, typ string) bool {
	text, isText := value.(string)
	switch typ {
	case "long":
		n, ok := value.(json.Number)
		_, err := n.Int64()
		return ok && err == nil
	case "ip":
		a, err := netip.ParseAddr(text)
		return err == nil && a.Zone() == ""
	case "date":
		_, err := time.Parse(time.RFC3339, text)
		return err == nil
	case "any":
		return true
	}
	return isText
}
