package ecs

import (
	"maps"
	"slices"
	"strconv"
	"strings"

	"audisp-history/enrich/jsonl"
)

// An object is one of a document. Its values are objects, strings, numbers, lists of strings, and JSON that is ready.
type object map[string]any

// ready is a value that is JSON.
type ready []byte

// put sets a field by its path, the parts of which are separated by dots. What is empty is not set.
func (o object) put(path string, value any) {
	switch v := value.(type) {
	case string:
		if v == "" {
			return
		}
	case []string:
		if len(v) == 0 {
			return
		}
	case ready:
		if len(v) == 0 {
			return
		}
	}
	first, rest, nested := strings.Cut(path, ".")
	if !nested {
		o[path] = value
		return
	}
	inner, ok := o[first].(object)
	if !ok {
		inner = object{}
		o[first] = inner
	}
	inner.put(rest, value)
}

// drop removes a field, if it is there.
func (o object) drop(path string) {
	first, rest, nested := strings.Cut(path, ".")
	if !nested {
		delete(o, path)
		return
	}
	if inner, ok := o[first].(object); ok {
		inner.drop(rest)
	}
}

// text is the string at a path, empty if there is none.
func (o object) text(path string) string {
	first, rest, nested := strings.Cut(path, ".")
	if nested {
		inner, _ := o[first].(object)
		return inner.text(rest)
	}
	s, _ := o[path].(string)
	return s
}

// append appends the object, its names in order. Objects with nothing in them are left out.
func (o object) append(dst []byte) []byte {
	dst = append(dst, '{')
	begin := len(dst)
	for _, name := range slices.Sorted(maps.Keys(o)) {
		if inner, ok := o[name].(object); ok && inner.empty() {
			continue
		}
		if len(dst) > begin {
			dst = append(dst, ',')
		}
		dst = append(jsonl.AppendString(dst, name), ':')
		dst = appendValue(dst, o[name])
	}
	return append(dst, '}')
}

func (o object) empty() bool {
	for _, v := range o {
		if inner, ok := v.(object); !ok || !inner.empty() {
			return false
		}
	}
	return true
}

func appendValue(dst []byte, value any) []byte {
	switch v := value.(type) {
	case object:
		return v.append(dst)
	case string:
		return jsonl.AppendString(dst, v)
	case uint64:
		return strconv.AppendUint(dst, v, 10)
	case ready:
		return append(dst, v...)
	case []string:
		return appendList(dst, v, jsonl.AppendString[string])
	case []object:
		return appendList(dst, v, func(dst []byte, o object) []byte { return o.append(dst) })
	}
	panic("ecs: a value that is of no known type")
}

func appendList[T any](dst []byte, list []T, one func([]byte, T) []byte) []byte {
	dst = append(dst, '[')
	for i, v := range list {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = one(dst, v)
	}
	return append(dst, ']')
}
