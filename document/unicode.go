package document

import (
	"bytes"
	"strconv"
	"unicode/utf16"
	"unicode/utf8"
)

// Text that is not Unicode is refused, and not repaired: encoding/json would put U+FFFD in its place, which was never sent.

// ByteOrderMark is what a text in UTF-8 may begin with.
var ByteOrderMark = []byte("\ufeff")

// InvalidUTF8 returns the byte at which text ceases to be UTF-8, or -1.
func InvalidUTF8(text []byte) int {
	if utf8.Valid(text) {
		return -1
	}
	for at := 0; ; {
		r, n := utf8.DecodeRune(text[at:])
		if r == utf8.RuneError && n <= 1 {
			return at
		}
		at += n
	}
}

// LoneSurrogate is the message about a JSON text that escapes one half of a surrogate pair without the other.
const LoneSurrogate = `a string holds half of a surrogate pair (\ud800 to \udfff), which is no character`

// HoldsLoneSurrogate reports whether a string or a name in JSON text is not Unicode, although its bytes are UTF-8.
func HoldsLoneSurrogate(text []byte) bool {
	if !bytes.Contains(text, []byte(`\u`)) {
		return false
	}
	for {
		i := bytes.IndexByte(text, '\\')
		if i < 0 || i+2 > len(text) {
			return false
		}
		text = text[i:]
		first, ok := codeUnit(text)
		switch {
		case text[1] != 'u':
			text = text[2:]
		case !ok || !utf16.IsSurrogate(first):
			text = text[min(6, len(text)):]
		default:
			second, _ := codeUnit(text[6:])
			if utf16.DecodeRune(first, second) == utf8.RuneError {
				return true
			}
			text = text[12:]
		}
	}
}

// codeUnit decodes \u and four hexadecimal digits.
func codeUnit[T string | []byte](text T) (rune, bool) {
	if len(text) < 6 || text[0] != '\\' || text[1] != 'u' {
		return 0, false
	}
	n, err := strconv.ParseUint(string(text[2:6]), 16, 16)
	return rune(n), err == nil
}
