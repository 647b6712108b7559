package fold

import (
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// MaxWord is how many characters of a word Words returns: longer ones are found by these.
const MaxWord = 64

// Words returns the words that a text is found by, each once, in order of their bytes: see Terms, of which each has to begin one.
// A word is a run of letters, numbers and marks of the folded text. An apostrophe or a middle dot within it is left out, and what
// follows an apostrophe is a word as well: O'Brien has obrien and brien, l'Hôpital has lhopital and hopital.
func Words(s string) []string {
	var words []string
	for pieces := range runs(s) {
		for i := range pieces {
			words = append(words, clip(strings.Join(pieces[i:], "")))
		}
	}
	slices.Sort(words)
	return slices.Compact(words)
}

// Terms returns the words of a text that somebody looks for, in order of their bytes, whole however long: O'Brien has obrien. One that
// another begins with is left out, since whatever has the longer has it too.
func Terms(s string) []string {
	var terms []string
	for pieces := range runs(s) {
		terms = append(terms, strings.Join(pieces, ""))
	}
	slices.Sort(terms)
	kept := terms[:0]
	for i, term := range terms {
		if i+1 == len(terms) || !strings.HasPrefix(terms[i+1], term) {
			kept = append(kept, term)
		}
	}
	return kept
}

// runs yields the words of a text in the pieces between which it has apostrophes.
func runs(s string) func(yield func(pieces []string) bool) {
	return func(yield func([]string) bool) {
		for run := range strings.FieldsFuncSeq(strings.ReplaceAll(Text(s), "·", ""), func(r rune) bool { return r != '\'' && !wordly(r) }) {
			pieces := strings.FieldsFunc(run, func(r rune) bool { return r == '\'' })
			if len(pieces) > 0 && !yield(pieces) {
				return
			}
		}
	}
}

// wordly reports whether a folded character is a part of words.
func wordly(r rune) bool { return unicode.In(r, unicode.L, unicode.N, unicode.M) }

// clip returns the first MaxWord characters of a word.
func clip(word string) string {
	if utf8.RuneCountInString(word) <= MaxWord {
		return word
	}
	return string([]rune(word)[:MaxWord])
}
