package jsonl

import (
	"unicode/utf8"
)

// escape begins what stands for a byte that is not UTF-8: U+FFFD and the byte as two hexadecimal digits.
const escape = "\ufffd"

const hexDigits = "0123456789abcdef"

// plain says which bytes of a string stand for themselves in JSON and on a terminal.
var plain = func() (t [256]bool) {
	for c := 0x20; c < 0x7f; c++ {
		t[c] = c != '"' && c != '\\'
	}
	return t
}()

// AppendString appends a JSON string. It is always UTF-8, whatever the bytes are, and they can be had back: see the
// package's documentation.
func AppendString[T string | []byte](dst []byte, s T) []byte {
	return append(appendInside(append(dst, '"'), s), '"')
}

// appendInside appends what stands between the quotes of a string.
func appendInside[T string | []byte](dst []byte, s T) []byte {
	from := 0
	for i := 0; i < len(s); {
		if plain[s[i]] {
			i++
			continue
		}
		dst = append(dst, s[from:i]...)
		n := 1
		if s[i] < utf8.RuneSelf {
			dst = appendASCII(dst, s[i])
		} else {
			var r rune
			r, n = utf8.DecodeRuneInString(string(s[i:min(i+utf8.UTFMax, len(s))]))
			dst = appendRune(dst, r, s[i:i+n])
		}
		i += n
		from = i
	}
	return append(dst, s[from:]...)
}

func appendASCII(dst []byte, c byte) []byte {
	switch c {
	case '"', '\\':
		return append(dst, '\\', c)
	case '\n':
		return append(dst, `\n`...)
	case '\t':
		return append(dst, `\t`...)
	case '\r':
		return append(dst, `\r`...)
	}
	return appendCode(dst, rune(c))
}

// appendRune appends the character that bytes encode. What a terminal or a JavaScript may take for a command is written
// as its number, which is the same to a reader of JSON.
func appendRune[T string | []byte](dst []byte, r rune, bytes T) []byte {
	switch {
	case r == utf8.RuneError:
		for i := range len(bytes) {
			c := bytes[i]
			dst = append(append(dst, escape...), hexDigits[c>>4], hexDigits[c&15])
		}
		return dst
	case r < 0xa0, r == '\u2028', r == '\u2029':
		return appendCode(dst, r)
	}
	return append(dst, bytes...)
}

func appendCode(dst []byte, r rune) []byte {
	return append(dst, '\\', 'u', hexDigits[r>>12&15], hexDigits[r>>8&15], hexDigits[r>>4&15], hexDigits[r&15])
}
