package document

import (
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/99designs/gqlgen/graphql/errcode"
	"github.com/vektah/gqlparser/v2/gqlerror"
)

// normalize writes the strings of a document in a form that gqlparser reads as the specification says
// (https://spec.graphql.org/September2025/#sec-String-Value). By itself it knows neither \u{1F600} nor surrogate pairs,
// takes the indentation of a block string's first line into account, ends one at the last of its quotes, and refuses
// control characters. A string that the specification refuses is an error.
//
// Text is rewritten, and not the syntax tree, since that has lost what was escaped by then, and since every parser of the
// document is to find the same. What comes after a string stays at its line and column, as an error is to name it: the new
// form is padded with spaces and line breaks, which mean nothing there. Only a control character, for which gqlparser knows
// nothing but a longer form, moves the rest of its line.
func normalize(document string) (string, *gqlerror.Error) {
	if plain(document) {
		return document, nil
	}
	l := rewriter{text: document}
	if err := l.rewrite(); err != nil {
		return "", err
	}
	return string(append(l.out, document[l.copied:]...)), nil
}

// plain reports whether gqlparser reads the strings of a document rightly.
func plain(document string) bool {
	for i := range len(document) {
		switch c := document[i]; {
		case c > '\\', c > '"' && c < '\\':
		case c == '"' && strings.HasPrefix(document[i:], `"""`), c == '\\' && strings.HasPrefix(document[i:], `\u`), control(c), c == '\r':
			return false
		}
	}
	return true
}

// control reports whether gqlparser refuses a character within strings and comments.
func control(c byte) bool { return c < ' ' && c != '\t' && c != '\n' && c != '\r' }

// rewriter turns a document into its new form.
type rewriter struct {
	text   string
	copied int // bytes of text whose new form is in out
	out    []byte
}

// put copies the text as far as start, and puts a new form in the place of what is between start and end, padded so that what
// follows stays where it is. It returns end.
func (l *rewriter) put(start, end int, form []byte) int {
	breaks, column := endOf(l.text[start:end])
	if breaks == 0 {
		column -= utf8.RuneCount(form)
	}
	l.out = append(append(l.out, l.text[l.copied:start]...), form...)
	l.out = append(l.out, strings.Repeat("\n", breaks)+strings.Repeat(" ", max(0, column))...)
	l.copied = end
	return end
}

func (l *rewriter) rewrite() (err *gqlerror.Error) {
	for i := 0; i < len(l.text) && err == nil; {
		switch {
		case strings.HasPrefix(l.text[i:], `"""`):
			i, err = l.block(i)
		case l.text[i] == '"':
			i, err = l.string(i)
		case l.text[i] == '#':
			for ; i < len(l.text) && l.text[i] != '\n' && l.text[i] != '\r'; i++ {
				if control(l.text[i]) {
					l.put(i, i+1, []byte(" "))
				}
			}
		case strings.HasPrefix(l.text[i:], "\r\n"): // gqlparser would count columns from the \n on
			i = l.put(i, i+2, []byte(" "))
		default:
			i++
		}
	}
	return err
}

// string rewrites the string that begins at start, and returns where it ends.
func (l *rewriter) string(start int) (end int, err *gqlerror.Error) {
	form := []byte{'"'}
	for i := start + 1; i < len(l.text); {
		n := 1 // bytes of the text
		switch c := l.text[i]; {
		case c == '"':
			return l.put(start, i+1, append(form, '"')), nil
		case c == '\n' || c == '\r':
			return i, l.wrong(i, "Unterminated string.")
		case control(c):
			form = escape(form, rune(c))
		case c != '\\':
			form = append(form, c)
		case strings.HasPrefix(l.text[i:], `\u`):
			var r rune
			if r, n = unicodeEscape(l.text[i:]); n == 0 {
				digits := strings.TrimLeft(l.text[i+2:], "{}0123456789abcdefABCDEF")
				return i, l.wrong(i, "Invalid Unicode escape sequence: %s.", l.text[i:min(i+12, len(l.text)-len(digits))])
			}
			form = escape(form, r)
		case i+1 < len(l.text) && strings.IndexByte(`"\/bfnrt`, l.text[i+1]) >= 0:
			n = 2
			form = append(form, l.text[i:i+2]...)
		default:
			_, n = utf8.DecodeRuneInString(l.text[i+1:])
			return i, l.wrong(i, "Invalid character escape sequence: %s.", l.text[i:i+1+n])
		}
		i += n
	}
	return len(l.text), l.wrong(len(l.text), "Unterminated string.")
}

// block rewrites the block string that begins at start, and returns where it ends. One that has several lines becomes an
// ordinary string.
func (l *rewriter) block(start int) (end int, err *gqlerror.Error) {
	quotes, rewrite := start+3, false
	for ; !strings.HasPrefix(l.text[quotes:], `"""`); quotes++ {
		switch {
		case quotes == len(l.text):
			return quotes, l.wrong(quotes, "Unterminated string.")
		case strings.HasPrefix(l.text[quotes:], `\"""`):
			quotes += 3
		case l.text[quotes] < ' ' && l.text[quotes] != '\t':
			rewrite = true
		}
	}
	end = quotes + 3
	if !rewrite && !strings.HasPrefix(l.text[end:], `"`) { // which gqlparser would add to this string, and not begin the next
		return end, nil
	}
	form := []byte{'"'}
	for _, r := range blockValue(l.text[start+3 : quotes]) {
		form = escape(form, r)
	}
	return l.put(start, end, append(form, '"')), nil
}

// lineBreaks replaces every line break by \n.
var lineBreaks = strings.NewReplacer("\r\n", "\n", "\r", "\n")

// endOf returns how many line breaks a text has, and how many characters follow the last.
func endOf(text string) (breaks, column int) {
	text = lineBreaks.Replace(text)
	return strings.Count(text, "\n"), utf8.RuneCountInString(text[strings.LastIndexByte(text, '\n')+1:])
}

// blockValue returns the value of the block string with this text (BlockStringValue in the specification).
func blockValue(raw string) string {
	first, others, _ := strings.Cut(lineBreaks.Replace(raw), "\n")
	indent := len(raw)
	for line := range strings.SplitSeq(others, "\n") {
		if text := strings.TrimLeft(line, " \t"); text != "" {
			indent = min(indent, len(line)-len(text))
		}
	}
	value := []byte(first)
	for line := range strings.SplitSeq(others, "\n") {
		value = append(append(value, '\n'), line[min(indent, len(line)):]...)
	}
	const blank = " \t\n"
	text := string(value)
	start, end := len(text)-len(strings.TrimLeft(text, blank)), len(strings.TrimRight(text, blank))
	if end == 0 {
		return ""
	}
	trailing, _, _ := strings.Cut(text[end:], "\n")
	text = text[strings.LastIndexByte(text[:start], '\n')+1 : end+len(trailing)] // without the blank lines at both ends
	return strings.ReplaceAll(text, `\"""`, `"""`)
}

// escape appends a character as gqlparser takes it in a string.
func escape(b []byte, r rune) []byte {
	switch {
	case r == '"' || r == '\\':
		return append(b, '\\', byte(r))
	case r == '\n':
		return append(b, `\n`...)
	case r == '\r':
		return append(b, `\r`...)
	case r < ' ' && r != '\t':
		return fmt.Appendf(b, `\u%04x`, r)
	}
	return utf8.AppendRune(b, r)
}

// wrong returns a syntax error at a byte of the text.
func (l *rewriter) wrong(at int, format string, args ...any) *gqlerror.Error {
	line, column := endOf(l.text[:at])
	err := gqlerror.ErrorLocf("", line+1, column+1, format, args...)
	errcode.Set(err, errcode.ParseFailed)
	return err
}
