package conf

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"gopkg.in/yaml.v3"
)

// reader fills a [Config] from a YAML document and notes what is wrong with it.
//
// It is as strict as the library's decoder with KnownFields and more: that one
// takes 1.5 for 1 and 010 for 8, names Go types instead of keys, does not say
// on which line a value stands, and compares every key with every other, so
// that a file of 128 KiB with one key over and over costs gigabytes (seen with
// yaml.v3 3.0.1: decoder.mapping).
type reader struct {
	problems []*problem
	lines    map[string]int // of each value that was read, by path ("history.cut")
}

// read fills c from the whole document; nil is an empty one.
func (r *reader) read(root *yaml.Node, c *Config) {
	if root == nil || isNull(root) {
		return
	}
	r.mapping(root, reflect.ValueOf(c).Elem(), "")
}

func (r *reader) add(line int, format string, args ...any) {
	r.problems = append(r.problems, &problem{line, fmt.Sprintf(format, args...)})
}

// mapping fills the struct out from the keys of n.
func (r *reader) mapping(n *yaml.Node, out reflect.Value, path string) {
	if n.Kind != yaml.MappingNode {
		r.add(n.Line, `%s: here go "key: value" lines; known keys: %s`, place(path), known(out.Type()))
		return
	}
	first := map[string]int{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := n.Content[i], n.Content[i+1]
		field, ok := lookup(out, key)
		if !ok {
			r.add(key.Line, "unknown key %s %s; known keys: %s", quoted(key.Value), under(path), known(out.Type()))
			continue
		}
		if line, again := first[key.Value]; again {
			r.add(key.Line, "key %s %s is already set in line %d; keep one of them", quoted(key.Value), under(path), line)
			continue
		}
		first[key.Value] = key.Line
		r.value(value, field, join(path, key.Value), key.Line)
	}
}

// value fills one field from n.
func (r *reader) value(n *yaml.Node, out reflect.Value, path string, line int) {
	switch {
	case n.Kind == yaml.AliasNode:
		r.add(n.Line, "%s: an alias (*%s); write the value itself", path, clipped(n.Value))
	case out.Kind() == reflect.Pointer:
		r.block(n, out, path, line)
	case out.Kind() == reflect.Slice:
		r.list(n, out, path, line)
	case out.Kind() == reflect.Struct && isNull(n):
		// A heading whose keys are all commented out.
	case out.Kind() == reflect.Struct:
		r.mapping(n, out, path)
	case r.scalar(n, out, path):
		r.lines[path] = line
	}
}

// A defaulter has defaults that hold where an entry of a list, or a block that may be left out, is given.
type defaulter interface{ setDefaults() }

// block fills a struct that is there only if its key is.
func (r *reader) block(n *yaml.Node, out reflect.Value, path string, line int) {
	out.Set(reflect.New(out.Type().Elem()))
	if d, ok := out.Interface().(defaulter); ok {
		d.setDefaults()
	}
	r.lines[path] = line
	r.value(n, out.Elem(), path, line)
}

// list fills a list from n, in place of what it holds by default. One word may stand for a list of one.
func (r *reader) list(n *yaml.Node, out reflect.Value, path string, line int) {
	entries := n.Content
	switch {
	case n.Kind == yaml.ScalarNode && !isNull(n) && out.Type().Elem().Kind() == reflect.String:
		entries = []*yaml.Node{n}
	case n.Kind != yaml.SequenceNode:
		r.add(n.Line, "%s: here goes a list, each entry in a line of its own that begins with \"- \"", path)
		return
	}
	if len(entries) > mostEntries {
		r.add(n.Line, "%s: %d entries; give %d at the most", path, len(entries), mostEntries)
		return
	}
	r.lines[path] = line
	out.Set(reflect.MakeSlice(out.Type(), len(entries), len(entries)))
	for i, entry := range entries {
		v := out.Index(i)
		if d, ok := v.Addr().Interface().(defaulter); ok {
			d.setDefaults()
		}
		at := fmt.Sprintf("%s[%d]", path, i)
		r.lines[at] = entry.Line
		r.value(entry, v, at, entry.Line)
	}
}

// mostEntries bounds the lists.
const mostEntries = 1000

// scalar fills a field that holds a single value; false if n is not one.
func (r *reader) scalar(n *yaml.Node, out reflect.Value, path string) bool {
	switch {
	case n.Kind != yaml.ScalarNode:
		r.add(n.Line, "%s: here goes a single value, no list and no keys", path)
	case isNull(n):
		r.add(n.Line, `%s: has no value; give one or leave the line out for the default ("" is the empty text)`, path)
	case out.Kind() == reflect.Int && !isDecimal(n):
		r.add(n.Line, "%s: %s is not a whole number; write it in decimal digits, without quotes", path, quoted(n.Value))
	case out.Kind() == reflect.Bool && n.Decode(new(bool)) != nil:
		r.add(n.Line, "%s: %s is neither true nor false; write true or false, without quotes", path, quoted(n.Value))
	default:
		return r.decode(n, out, path)
	}
	return false
}

// isDecimal tells whether n is a whole number as people write it: no 0x10, no
// 010 (which is 8 in YAML 1.1), no 1e3 and no text.
func isDecimal(n *yaml.Node) bool {
	v, err := strconv.Atoi(n.Value)
	return err == nil && strconv.Itoa(v) == n.Value && n.ShortTag() == "!!int"
}

// decode fills out from the scalar n as the library does it, or as out's own
// UnmarshalYAML does.
func (r *reader) decode(n *yaml.Node, out reflect.Value, path string) bool {
	err := n.Decode(out.Addr().Interface())
	if err == nil {
		return true
	}
	text := strings.TrimPrefix(err.Error(), "yaml: ")
	var types *yaml.TypeError
	if errors.As(err, &types) && len(types.Errors) > 0 {
		text = strings.TrimPrefix(types.Errors[0], fmt.Sprintf("line %d: ", n.Line))
	}
	r.add(n.Line, "%s: %s", path, text)
	return false
}

// report is the error that lists the problems, by line. A file with hundreds
// of them is not a configuration file, and nobody reads on.
func (r *reader) report(name string) error {
	const most = 50
	slices.SortStableFunc(r.problems, func(a, b *problem) int { return a.line - b.line })
	var errs []error
	for i, p := range r.problems {
		if i == most {
			errs = append(errs, fmt.Errorf("%s: and %d more problems", name, len(r.problems)-most))
			break
		}
		errs = append(errs, fmt.Errorf("%s:%d: %s", name, p.line, p.text))
	}
	return errors.Join(errs...)
}

// lookup finds the field of the struct in that key names.
func lookup(in reflect.Value, key *yaml.Node) (reflect.Value, bool) {
	if key.Kind != yaml.ScalarNode {
		return reflect.Value{}, false
	}
	for i := range in.NumField() {
		if keyOf(in.Type().Field(i)) == key.Value {
			return in.Field(i), true
		}
	}
	return reflect.Value{}, false
}

// known lists the keys of the struct type t in the order of its fields.
func known(t reflect.Type) string {
	names := make([]string, t.NumField())
	for i := range names {
		names[i] = keyOf(t.Field(i))
	}
	return strings.Join(names, ", ")
}

// keyOf is the key of a field.
func keyOf(f reflect.StructField) string {
	key, _, _ := strings.Cut(f.Tag.Get("yaml"), ",")
	return key
}

func isNull(n *yaml.Node) bool { return n.Kind == yaml.ScalarNode && n.ShortTag() == "!!null" }

func join(path, key string) string {
	if path == "" {
		return key
	}
	return path + "." + key
}

func under(path string) string {
	if path == "" {
		return "at the top level"
	}
	return fmt.Sprintf("under %q", path)
}

func place(path string) string {
	if path == "" {
		return "the file"
	}
	return path
}

// clipped bounds what of the file goes into an error.
func clipped(v string) string {
	const most = 60
	if len(v) > most {
		return v[:most] + "…"
	}
	return v
}

// quoted is v in double quotes, with no control characters in it.
func quoted(v string) string { return strconv.Quote(clipped(v)) }
