package fold

import (
	"slices"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"

	"rollcall/fold/foldtest"
)

func TestPairsAreTheSameOrNotAsTheTableSays(t *testing.T) {
	pairs := foldtest.Pairs()
	for _, p := range pairs {
		if a, b := Text(p.Left), Text(p.Right); (a == b) != p.Same {
			t.Errorf("%s: become %+q and %+q", p, a, b)
		}
	}
	if len(pairs) < 200 {
		t.Errorf("only %d pairs were read", len(pairs))
	}
}

func TestEveryCodePointFoldsOnceToOneFormWithinTheBounds(t *testing.T) {
	for r := range foldtest.Runes() {
		s := string(r)
		// With what marks go after, and what they stay after.
		contexts := []string{""}
		if folded := Text(s); folded != s || unicode.IsMark(r) {
			contexts = append(contexts, "a", "я", "か", "1")
		}
		for _, context := range contexts {
			for _, s := range []string{context + s, s + context} {
				once := Text(s)
				if once == s && norm.NFD.IsNormalString(s) {
					continue
				}
				if twice := Text(once); twice != once {
					t.Errorf("%U: %+q becomes %+q, and that %+q", r, s, once, twice)
				}
				if !norm.NFC.IsNormalString(once) {
					t.Errorf("%U: %+q becomes %+q, which is not NFC", r, s, once)
				}
				for _, form := range []norm.Form{norm.NFC, norm.NFD} {
					if got := Text(form.String(s)); got != once {
						t.Errorf("%U: %+q becomes %+q, and in another form %+q", r, s, once, got)
					}
				}
			}
		}
		// NFC makes a decomposed text no longer, so that these bounds are those of any text.
		if got := reduced(s); len(got) > Growth*len(s) || utf8.RuneCountInString(got) > Growth {
			t.Errorf("%U becomes %+q, longer than %d times itself", r, got, Growth)
		}
		for _, same := range []rune{unicode.ToUpper(r), unicode.ToLower(r), unicode.ToTitle(r)} {
			if a, b := s, string(same); a != b && Text(a) != Text(b) {
				t.Errorf("%U and %U become %+q and %+q", r, same, Text(a), Text(b))
			}
		}
	}
}

func TestNoLetterOfTheTableIsLeft(t *testing.T) {
	for r, to := range letters {
		if !unicode.In(r, unicode.Latin) || unicode.ToLower(r) != r {
			t.Errorf("%c (%U) is no small Latin letter", r, r)
		}
		if got := Text(string(r)); got != to || Text(to) != to {
			t.Errorf("%c (%U) becomes %q, not %q", r, r, got, to)
		}
	}
}

func TestWordsAreWhatATextIsFoundBy(t *testing.T) {
	long := strings.Repeat("é", MaxWord+1)
	for _, c := range []struct {
		text         string
		words, terms string
	}{
		{"", "", ""},
		{" -'·!? ", "", ""},
		{"José María López", "jose lopez maria", "jose lopez maria"},
		{"Ada ADA ada", "ada", "ada"},
		{"a an Anna", "a an anna", "anna"},
		{"Anna-Maria", "anna maria", "anna maria"},
		{"jose.lopez+x_1", "1 jose lopez x", "1 jose lopez x"},
		{"O'Brien", "brien obrien", "obrien"},
		{"O’Brien", "brien obrien", "obrien"},
		{"l'Hôpital", "hopital lhopital", "lhopital"},
		{"rock'n'roll", "nroll rocknroll roll", "rocknroll"},
		{"'t Hooft", "hooft t", "hooft t"},
		{"James' 'Jim' ''", "james jim", "james jim"},
		{"Gal·la", "galla", "galla"},
		{"Łódź (Straße)", "lodz strasse", "lodz strasse"},
		{"हिन्दी शब्द", "शब्द हिन्दी", "शब्द हिन्दी"},
		{"山田 太郎", "太郎 山田", "太郎 山田"},
		{"R2-D2 ½", "d2 r2 ½", "d2 r2 ½"},
		{"🎉", "", ""},
		{long, strings.Repeat("e", MaxWord), strings.Repeat("e", MaxWord+1)},
	} {
		if got := strings.Join(Words(c.text), " "); got != c.words {
			t.Errorf("%q has the words %q, not %q", c.text, got, c.words)
		}
		if got := strings.Join(Terms(c.text), " "); got != c.terms {
			t.Errorf("%q has the terms %q, not %q", c.text, got, c.terms)
		}
	}
}

func FuzzFold(f *testing.F) {
	for _, p := range foldtest.Pairs() {
		f.Add(p.Left + " " + p.Right)
	}
	f.Add("\xff\u0301a\u0301'\u1161\u1100'\u1161")
	f.Fuzz(func(t *testing.T, s string) {
		folded := Text(s)
		if again := Text(folded); again != folded {
			t.Fatalf("%+q becomes %+q, and that %+q", s, folded, again)
		}
		if !utf8.ValidString(folded) || !norm.NFC.IsNormalString(folded) {
			t.Fatalf("%+q becomes %+q", s, folded)
		}
		valid := strings.ToValidUTF8(s, "\ufffd")
		if len(folded) > Growth*len(valid) || utf8.RuneCountInString(folded) > Growth*utf8.RuneCountInString(valid) {
			t.Fatalf("%+q becomes %+q, longer than %d times itself", s, folded, Growth)
		}
		if got := Text(norm.NFD.String(valid)); got != folded {
			t.Fatalf("%+q becomes %+q, but decomposed %+q", s, folded, got)
		}
		words := Words(s)
		if !slices.Equal(words, Words(folded)) || !slices.IsSorted(words) {
			t.Fatalf("%+q has the words %+q, but folded %+q", s, words, Words(folded))
		}
		// A text is found by all that it begins with.
		for cut := range folded + " " {
			for _, term := range Terms(folded[:cut]) {
				term = clip(term)
				if !slices.ContainsFunc(words, func(word string) bool { return strings.HasPrefix(word, term) }) {
					t.Fatalf("%+q with the words %+q is not found by %+q", s, words, term)
				}
			}
		}
	})
}

func BenchmarkText(b *testing.B) {
	for name, text := range map[string]string{"ascii": "Jose Maria Lopez", "accents": "José María López"} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				Text(text)
			}
		})
	}
}
