package document

import (
	"bytes"
	"strconv"
	"strings"
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

// HoldsLoneSurrogate reports whether a string or a name in valid JSON is not Unicode, although its bytes are UTF-8.
func HoldsLoneSurrogate(text []byte) bool {
	for {
		i := bytes.IndexByte(text, '\\')
		if i < 0 {
			return false
		}
		text = text[i:]
		length := 2
		if bytes.HasPrefix(text, []byte(`\u`)) {
			if _, length = unicodeEscape(string(text[:min(12, len(text))])); length == 0 {
				return true
			}
		}
		text = text[min(length, len(text)):]
	}
}

// unicodeEscape returns the character that an escape sequence at the beginning of text stands for, a surrogate pair being
// one, and the sequence's length, or 0 if it stands for none.
func unicodeEscape(text string) (r rune, length int) {
	if strings.HasPrefix(text, `\u{`) {
		digits, _, closed := strings.Cut(text[3:], "}")
		n, err := strconv.ParseUint(digits, 16, 64)
		if !closed || err != nil || n > utf8.MaxRune || !utf8.ValidRune(rune(n)) {
			return 0, 0
		}
		return rune(n), len(`\u{}`) + len(digits)
	}
	r, ok := codeUnit(text)
	switch {
	case !ok:
		return 0, 0
	case !utf16.IsSurrogate(r):
		return r, 6
	}
	second, _ := codeUnit(text[6:])
	if r = utf16.DecodeRune(r, second); r == utf8.RuneError {
		return 0, 0
	}
	return r, 12
}

// codeUnit decodes \u and four hexadecimal digits.
func codeUnit(text string) (rune, bool) {
	if len(text) < 6 || !strings.HasPrefix(text, `\u`) {
		return 0, false
	}
	n, err := strconv.ParseUint(text[2:6], 16, 16)
	return rune(n), err == nil
}
