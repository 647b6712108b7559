package transport

import (
	"bytes"
	"strconv"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// What is not Unicode is refused, and not repaired: encoding/json would put U+FFFD in its place, which nobody has sent.

var byteOrderMark = []byte("\ufeff")

// isUTF8 reports whether a charset is UTF-8, by its name or as many clients misspell it.
func isUTF8(charset string) bool {
	return strings.EqualFold(charset, "utf-8") || strings.EqualFold(charset, "utf8")
}

// invalidUTF8 returns where text ceases to be UTF-8, or -1.
func invalidUTF8(text []byte) int {
	if utf8.Valid(text) {
		return -1
	}
	at := 0
	for {
		r, n := utf8.DecodeRune(text[at:])
		if r == utf8.RuneError && n <= 1 {
			return at
		}
		at += n
	}
}

// loneSurrogate is the message for a JSON text that escapes one half of a surrogate pair without the other.
const loneSurrogate = `a string holds half of a surrogate pair (\ud800 to \udfff), which is no character`

// holdsLoneSurrogate reports whether a string or a name in JSON text is not Unicode, although its bytes are UTF-8.
func holdsLoneSurrogate(text []byte) bool {
	if !bytes.Contains(text, []byte(`\u`)) {
		return false
	}
	for {
		i := bytes.IndexByte(text, '\\')
		if i < 0 || i+2 > len(text) {
			return false
		}
		text = text[i:]
		first := surrogate(text)
		switch {
		case text[1] != 'u':
			text = text[2:]
		case first == 0:
			text = text[min(6, len(text)):]
		case utf16.DecodeRune(first, surrogate(text[6:])) == utf8.RuneError:
			return true
		default:
			text = text[12:]
		}
	}
}

// surrogate returns the surrogate whose escape sequence text begins with, or 0.
func surrogate(text []byte) rune {
	r, ok := codeUnit(text)
	if !ok || !utf16.IsSurrogate(r) {
		return 0
	}
	return r
}

// codeUnit decodes \u and four hexadecimal digits.
func codeUnit[T string | []byte](text T) (rune, bool) {
	if len(text) < 6 || text[0] != '\\' || text[1] != 'u' {
		return 0, false
	}
	n, err := strconv.ParseUint(string(text[2:6]), 16, 16)
	return rune(n), err == nil
}
