package excerpt

import "bytes"

// findJSON finds the arrays of objects named history and target_history, at whatever depth. Of what is not well-formed
// JSON it finds less, or nothing.
func findJSON(line []byte) []list {
	var lists []list
	for at := 0; at < len(line); {
		if line[at] != '"' {
			at++
			continue
		}
		end := stringEnd(line, at)
		name := line[at:end]
		at = end
		if string(name) != `"history"` && string(name) != `"target_history"` {
			continue
		}
		colon := blanks(line, at)
		if colon == len(line) || line[colon] != ':' {
			continue
		}
		begin := blanks(line, colon+1)
		if begin == len(line) || line[begin] != '[' {
			continue
		}
		if l, ok := readArray(line, begin+1); ok {
			lists = append(lists, l)
			at = l.end
		}
	}
	return lists
}

// readArray reads objects up to the closing bracket.
func readArray(line []byte, at int) (list, bool) {
	l := list{begin: at, outerBegin: at, form: &jsonForm}
	for {
		at = blanks(line, at)
		if at == len(line) || line[at] != '{' {
			return l, false
		}
		end, ok := objectEnd(line, at)
		if !ok {
			return l, false
		}
		l.elements = append(l.elements, element{begin: at, end: end, omitted: omittedObject(line[at:end])})
		at = blanks(line, end)
		if at == len(line) {
			return l, false
		}
		switch line[at] {
		case ',':
			at++
		case ']':
			l.end, l.outerEnd = at, at
			return l, l.sane()
		default:
			return l, false
		}
	}
}

// omittedObject reads {"omitted":N}; 0 if that is not what the object is.
func omittedObject(b []byte) uint64 {
	rest, ok := bytes.CutPrefix(b, []byte(jsonForm.markBegin))
	if !ok {
		return 0
	}
	n, size := readNumber(rest)
	if string(rest[size:]) != jsonForm.markEnd {
		return 0
	}
	return n
}

// stringEnd is where the string ends that begins at a quote: behind the closing one, or at the end of the line.
func stringEnd(line []byte, at int) int {
	for at++; at < len(line); at++ {
		switch line[at] {
		case '\\':
			at++
		case '"':
			return at + 1
		}
	}
	return len(line)
}

// objectEnd is where the object ends that begins at a brace.
func objectEnd(line []byte, at int) (int, bool) {
	depth := 0
	for at < len(line) {
		switch line[at] {
		case '"':
			at = stringEnd(line, at)
			continue
		case '{', '[':
			depth++
		case '}', ']':
			if depth--; depth == 0 {
				return at + 1, true
			}
		}
		at++
	}
	return at, false
}

func blanks(line []byte, at int) int {
	for at < len(line) && (line[at] == ' ' || line[at] == '\t' || line[at] == '\r' || line[at] == '\n') {
		at++
	}
	return at
}
