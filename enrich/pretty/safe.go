package pretty

import (
	"strconv"
	"unicode"
	"unicode/utf8"
)

// A colour is the parameter of a terminal's escape sequence (ECMA-48: select graphic rendition).
type colour string

const (
	bold   colour = "1"
	dim    colour = "2"
	red    colour = "31"
	green  colour = "32"
	yellow colour = "33"
)

// paint says whether there are colours.
type paint bool

func (p paint) begin(dst []byte, c colour) []byte {
	if !p {
		return dst
	}
	return append(append(append(dst, "\x1b["...), c...), 'm')
}

func (p paint) end(dst []byte, _ colour) []byte {
	if !p {
		return dst
	}
	return append(dst, "\x1b[0m"...)
}

// in is a text in a colour.
func (p paint) in(c colour, s string) string {
	if !p {
		return s
	}
	return "\x1b[" + string(c) + "m" + s + "\x1b[0m"
}

const hexDigits = "0123456789abcdef"

// appendSafe appends a text of which nothing can be mistaken for a command by a terminal, nor for what is not there:
// what is no graphic character is escaped, and so are characters that change the direction of a text or take no room.
func appendSafe[T string | []byte](dst []byte, s T) []byte {
	for i := 0; i < len(s); {
		c := s[i]
		if c >= 0x20 && c < 0x7f {
			if c == '\\' {
				dst = append(dst, '\\')
			}
			dst = append(dst, c)
			i++
			continue
		}
		r, n := rune(c), 1
		if c >= utf8.RuneSelf {
			r, n = utf8.DecodeRuneInString(string(s[i:min(i+utf8.UTFMax, len(s))]))
		}
		switch {
		case n == 1:
			dst = append(dst, '\\', 'x', hexDigits[c>>4], hexDigits[c&15])
		case unicode.IsPrint(r):
			dst = append(dst, s[i:i+n]...)
		default:
			dst = append(strconv.AppendInt(append(dst, "\\u{"...), int64(r), 16), '}')
		}
		i += n
	}
	return dst
}

// appendQuoted appends a word of several, in quotes where a blank or a quote in it would make it look like more.
func appendQuoted(dst, word []byte) []byte {
	quote := len(word) == 0
	for _, c := range word {
		quote = quote || c == ' ' || c == '"'
	}
	if !quote {
		return appendSafe(dst, word)
	}
	dst = append(dst, '"')
	from := 0
	for i, c := range word {
		if c == '"' {
			dst = append(appendSafe(dst, word[from:i]), '\\', '"')
			from = i + 1
		}
	}
	return append(appendSafe(dst, word[from:]), '"')
}
