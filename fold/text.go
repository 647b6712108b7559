// Package fold has the one rule by which texts are compared whatever their case, accents and forms: José is jose, Łódź is lodz and
// Straße is strasse. It is a rule for people's names in any script, not for one language: ä is a, as it is not in Swedish.
package fold

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/cases"
	"golang.org/x/text/unicode/norm"
	"golang.org/x/text/width"
)

// Growth bounds what Text makes of a text: for each byte at most as many bytes, and for each character as many characters.
const Growth = 3

// Text returns a text without what people do not tell it apart by:
//
//   - case, by Unicode's full case folding, in which ß is ss and ς is σ;
//   - width and form: full-width, half-width, composed and decomposed;
//   - marks after Latin, Greek and Cyrillic letters, so that é is e and й is и. Others stay: they are the vowels of Devanagari and
//     Thai, the points of Hebrew and Arabic, the dakuten of Japanese;
//   - Latin letters with strokes, hooks and the like, and ligatures: see letters;
//   - which apostrophe or dash it is, and which spaces, or how many;
//   - soft hyphens, joiners, variation selectors and what else cannot be seen.
//
// What is not UTF-8 becomes U+FFFD. What Text returns it leaves as it is, and it is in form NFC.
func Text(s string) string {
	if ascii(s) {
		return spaced(strings.ReplaceAll(strings.ToLower(s), "`", "'"))
	}
	return norm.NFC.String(spaced(reduced(s)))
}

// spaced makes one space of several.
func spaced(s string) string {
	for strings.Contains(s, "  ") {
		s = strings.ReplaceAll(s, "  ", " ")
	}
	return s
}

func ascii(s string) bool {
	for i := range len(s) {
		if s[i] >= utf8.RuneSelf {
			return false
		}
	}
	return true
}

// reduced is what Text composes.
func reduced(s string) string {
	s = strings.Map(func(r rune) rune {
		if unicode.In(r, unseen, unicode.Variation_Selector) {
			return -1
		}
		return r
	}, strings.ToValidUTF8(s, string(utf8.RuneError)))
	// Decomposed at first too, since U+0345 folds to a letter: what mark is in front of it depends on the form.
	s = norm.NFD.String(cases.Fold().String(norm.NFD.String(width.Fold.String(s))))
	var b strings.Builder
	b.Grow(len(s))
	marks := true // whether they stay
	for _, r := range s {
		to, found := letters[r]
		switch {
		case unicode.IsMark(r):
			if marks {
				b.WriteRune(r)
			}
			continue
		case found:
			b.WriteString(to)
		case strings.ContainsRune(apostrophes, r):
			b.WriteByte('\'')
		case unicode.In(r, unicode.Pd) || r == '\u2212': // minus
			b.WriteByte('-')
		case unicode.In(r, unicode.Zs):
			b.WriteByte(' ')
		default:
			b.WriteRune(unicode.ToLower(r)) // case folding makes capitals of Cherokee's small letters
		}
		marks = !unicode.IsLetter(r) || !unicode.In(r, unicode.Latin, unicode.Greek, unicode.Cyrillic)
	}
	return b.String()
}

// apostrophes are what is typed for one, in O'Brien, Hawaiʻi and Muʿawiya.
const apostrophes = "'`´‘’‛′ʹʻʼʽʾʿˈˊˋ՚׳ꞌ"

// unseen are characters that hide within words.
var unseen = &unicode.RangeTable{
	R16: []unicode.Range16{
		{Lo: 0x00AD, Hi: 0x00AD, Stride: 1}, // soft hyphen
		{Lo: 0x034F, Hi: 0x034F, Stride: 1}, // combining grapheme joiner
		{Lo: 0x200B, Hi: 0x200F, Stride: 1}, // zero width space, joiners, marks of direction
		{Lo: 0x202A, Hi: 0x202E, Stride: 1}, // embeddings
		{Lo: 0x2060, Hi: 0x2064, Stride: 1}, // word joiner, invisible operators
		{Lo: 0x2066, Hi: 0x206F, Stride: 1}, // isolates
		{Lo: 0xFEFF, Hi: 0xFEFF, Stride: 1}, // byte order mark
	},
	LatinOffset: 1,
}

// letters are the small Latin letters that Unicode neither decomposes nor folds, and what people write for them who do not have
// them on their keyboard. Most are in Unicode's transliteration Latin-ASCII (CLDR), ə in ICAO's document 9303.
var letters = map[rune]string{
	'ª': "a", 'º': "o",
	'æ': "ae", 'ð': "d", 'ø': "o", 'þ': "th", 'đ': "d", 'ħ': "h", 'ı': "i", 'ĳ': "ij", 'ĸ': "q", 'ŀ': "l·", 'ł': "l", 'ŋ': "n",
	'œ': "oe", 'ŧ': "t",
	'ƀ': "b", 'ƃ': "b", 'ƈ': "c", 'ƌ': "d", 'ƒ': "f", 'ƕ': "hv", 'ƙ': "k", 'ƚ': "l", 'ƞ': "n", 'ƣ': "oi", 'ƥ': "p", 'ƫ': "t", 'ƭ': "t",
	'ƴ': "y", 'ƶ': "z", 'ǆ': "dz", 'ǉ': "lj", 'ǌ': "nj", 'ǝ': "e", 'ǥ': "g", 'ǳ': "dz", 'ȝ': "y", 'ȡ': "d", 'ȥ': "z", 'ȴ': "l",
	'ȵ': "n", 'ȶ': "t", 'ȷ': "j", 'ȼ': "c", 'ȿ': "s", 'ɀ': "z", 'ɇ': "e", 'ɉ': "j", 'ɋ': "q", 'ɍ': "r", 'ɏ': "y",
	'ɑ': "a", 'ɓ': "b", 'ɔ': "o", 'ɖ': "d", 'ɗ': "d", 'ə': "e", 'ɛ': "e", 'ɠ': "g", 'ɡ': "g", 'ɣ': "g", 'ɦ': "h", 'ɨ': "i", 'ɩ': "i",
	'ɪ': "i", 'ɫ': "l", 'ɬ': "l", 'ɱ': "m", 'ɲ': "n", 'ɵ': "o", 'ɽ': "r", 'ʈ': "t", 'ʉ': "u", 'ʊ': "u", 'ʋ': "v", 'ʒ': "z",
	'ᵹ': "g", 'ỻ': "ll", 'ỽ': "v", 'ỿ': "y", 'ⱡ': "l", 'ⱥ': "a", 'ⱦ': "t", 'ⱨ': "h", 'ⱪ': "k", 'ⱬ': "z", 'ꜳ': "aa", 'ꜵ': "ao",
	'ꜷ': "au", 'ꜹ': "av", 'ꜽ': "ay", 'ꝁ': "k", 'ꝏ': "oo", 'ꝥ': "th",
}
