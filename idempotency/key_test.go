package idempotency

import (
	"strings"
	"testing"

	"rollcall/apierror"
)

func TestAKeyIsReadFromItsHeader(t *testing.T) {
	long := strings.Repeat("k", maxKey)
	for header, want := range map[string]string{
		`"8e03978e-40d5-43dd-bc93-6894a57f9324"`: "8e03978e-40d5-43dd-bc93-6894a57f9324",
		`8e03978e-40d5-43dd-bc93-6894a57f9324`:   "8e03978e-40d5-43dd-bc93-6894a57f9324",
		`"a \"b\" \\ ,;"`:                        `a "b" \ ,;`,
		" \tbare:+/=~ ":                          "bare:+/=~",
		`" "`:                                    " ",
		long:                                     long,
		`"` + long + `"`:                         long,
	} {
		if got, err := Parse([]string{header}); got != want || err != nil {
			t.Errorf("%s: want %q, got %q, %v", header, want, got, err)
		}
	}
	for _, header := range []string{"", `""`, `"`, `"a`, `a"`, `"a"b`, `"a" "b"`, `"a", "b"`, `"a";b`, `"\`, `"\"`, `"\n"`, "a b", "a,b", "a;b", `a\b`, "é", "\"é\"", "a\x7f", "\"\x00\"", long + "k"} {
		if got, err := Parse([]string{header}); apierror.CodeOf(err) != apierror.CodeBadUserInput {
			t.Errorf("%q is taken for %q", header, got)
		}
	}
	if _, err := Parse([]string{"a", "a"}); apierror.CodeOf(err) != apierror.CodeBadUserInput {
		t.Error("two headers are taken for one")
	}
}

func TestAKeyHasUpTo255Characters(t *testing.T) {
	for key, want := range map[string]bool{"": false, "é": true, strings.Repeat("é", 255): true, strings.Repeat("é", 256): false} {
		if got := Check(key) == nil; got != want {
			t.Errorf("%d characters: %t", len(key)/2, got)
		}
	}
}

func TestTextsAreToldApartHoweverTheyAreSplit(t *testing.T) {
	seen := map[string]bool{}
	for _, texts := range [][]string{nil, {""}, {"", ""}, {"ab"}, {"a", "b"}, {"ab", ""}, {"", "ab"}, {"AB"}, {"ab "}} {
		if d := digest(texts...); seen[d] || len(d) != 64 {
			t.Errorf("%q has the digest of others, or one of %d characters", texts, len(d))
		} else {
			seen[d] = true
		}
	}
}
