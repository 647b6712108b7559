package model_test

import (
	"strings"
	"testing"
	"unicode"

	"golang.org/x/text/unicode/norm"

	"rollcall/apierror"
	"rollcall/fold/foldtest"
	"rollcall/model"
)

func TestAnEmailHasOneNormalForm(t *testing.T) {
	for _, c := range []struct{ what, given, want string }{
		{"as people write it", "Ada.Lovelace+x@Example.COM", "ada.lovelace+x@example.com"},
		{"spaces around it", "\u00a0\u3000 ada@example.com\n", "ada@example.com"},
		{"NFC", "zo\u00eb@example.com", "zo\u00eb@example.com"},
		{"NFD", "zoe\u0308@example.com", "zo\u00eb@example.com"},
		{"upper case in NFD", "ZOE\u0308@EXAMPLE.com", "zo\u00eb@example.com"},
		{"marks in another order", "a\u0301\u0323@example.com", "a\u0323\u0301@example.com"},
		{"the Kelvin sign", "\u212aate@example.com", "kate@example.com"},
		{"the Angstrom sign", "\u212bsa@example.com", "\u00e5sa@example.com"},
		{"a Turkish capital with an accent", "\u0130\u0301@example.com", "i\u0307\u0301@example.com"},
		{"a Turkish capital is another letter than I", "\u0130@example.com", "i\u0307@example.com"},
		{"a Turkish capital in NFD", "I\u0307@example.com", "i\u0307@example.com"},
		{"byte order marks around it", "\ufeffada@example.com \ufeff", "ada@example.com"},
		{"hyphens where xn-- has them", "ada@MY--company.B\u00dcCHER.example", "ada@my--company.b\u00fccher.example"},
		{"an address literal", "ada@[IPv6:2001:DB8::1]", "ada@[ipv6:2001:db8::1]"},
		{"a final sigma stays", "\u03bd\u03b9\u03ba\u03bf\u03c2@example.com", "\u03bd\u03b9\u03ba\u03bf\u03c2@example.com"},
		{"a ligature stays before the @", "\ufb01@example.com", "\ufb01@example.com"},
		{"a domain in Unicode", "ada@B\u00dcCHER.example", "ada@b\u00fccher.example"},
		{"a domain in NFD", "ada@bu\u0308cher.example", "ada@b\u00fccher.example"},
		{"a domain in ASCII", "ada@XN--BCHER-KVA.example", "ada@b\u00fccher.example"},
		{"a domain of full width", "ada@\uff22\u00dc\uff23\uff28\uff25\uff32\u3002example", "ada@b\u00fccher.example"},
		{"an eszett is no ss", "ada@fa\u00df.example", "ada@fa\u00df.example"},
		{"an underscore", "Ada@ex_ample.com", "ada@ex_ample.com"},
		{"no domain that could exist", "Ada@XN--A.example", "ada@xn--a.example"},
		{"nothing", "", ""},
	} {
		if got := model.NormalEmail(c.given); got != norm.NFC.String(c.want) {
			t.Errorf("%s: %+q became %+q, want %+q", c.what, c.given, got, c.want)
		}
	}
}

func TestTheNormalFormOfAnEmailDependsOnNoSpelling(t *testing.T) {
	for r := range foldtest.Runes() {
		if unicode.ToLower(r) == r && norm.NFKD.IsNormalString(string(r)) && !unicode.IsMark(r) {
			continue // nothing becomes of it
		}
		for _, email := range []string{"a" + string(r) + "\u0301b@example.com", "a@b" + string(r) + "\u0323c.example"} {
			normal := model.NormalEmail(email)
			for _, same := range []string{normal, norm.NFD.String(email), norm.NFC.String(email), norm.NFD.String(normal)} {
				if got := model.NormalEmail(same); got != normal {
					t.Fatalf("%+q becomes %+q, but spelt as %+q it becomes %+q", email, normal, same, got)
				}
			}
		}
	}
}

// Only what NFC takes for ASCII becomes that before the @: the Kelvin sign is a K, by any standard.
func TestNoOtherMailboxGetsInTheWayOfOneInASCII(t *testing.T) {
	for r := range foldtest.Runes() {
		if norm.NFC.String(string(r))[0] < 0x80 || unicode.IsSpace(r) || r == '\ufeff' {
			continue
		}
		mailbox, _, _ := strings.Cut(model.NormalEmail(string(r)+"@example.com"), "@")
		if !strings.ContainsFunc(mailbox, func(r rune) bool { return r >= 0x80 }) {
			t.Errorf("%U became %q", r, mailbox)
		}
	}
}

func TestARefusedNameNamesTheCharacter(t *testing.T) {
	for name, want := range map[string]string{
		"Ada\u200e": "U+200E", "A\x00da": "U+0000", "Ada\u200d": "U+200D", "\u200cAda": "U+200C", "Ada\U000e0067": "U+E0067",
	} {
		_, err := model.CheckName(name)
		if err == nil || !strings.Contains(err.Error(), want+" ") {
			t.Errorf("%+q: %v", name, err)
		}
	}
}

func TestAnEmailIsVisibleTextThatCanBeAnAddress(t *testing.T) {
	for _, c := range []struct {
		what, email string
		ok          bool
	}{
		{"an address", "ada@example.com", true},
		{"all that may stand before the @", "!#$%&'*+-/=?^_`{|}~.a@example.com", true},
		{"letters of any script", "\u7528\u6237@\u4f8b\u5b50.\u516c\u53f8", true},
		{"a mark on a letter", "n\u0303o\u0327@example.com", true},
		{"one label", "root@localhost", true},
		{"zero width space", "ada\u200b@example.com", false},
		{"byte order mark", "\ufeffada@example.com", false},
		{"byte order mark in the domain", "ada@exam\ufeffple.com", false},
		{"soft hyphen in the domain", "ada@exam\u00adple.com", false},
		{"joiner", "ada\u200d@example.com", false},
		{"non-joiner out of a domain in ASCII", "ada@xn--mgba3gch31f060k.example", false},
		{"word joiner", "a\u2060da@example.com", false},
		{"right to left override", "a\u202eda@example.com", false},
		{"left to right mark", "ada@example.com\u200e", false},
		{"isolate", "\u2066ada\u2069@example.com", false},
		{"language tag", "ada\U000e0061@example.com", false},
		{"variation selector", "ada\ufe0f@example.com", false},
		{"combining grapheme joiner", "a\u034fda@example.com", false},
		{"Hangul filler", "ada\u3164@example.com", false},
		{"blank Braille", "ada\u2800@example.com", false},
		{"control", "ada\x7f@example.com", false},
		{"next line", "a\u0085da@example.com", false},
		{"null", "a\x00da@example.com", false},
		{"no-break space", "a\u00a0da@example.com", false},
		{"ideographic space", "a\u3000da@example.com", false},
		{"line separator", "a\u2028da@example.com", false},
		{"private use", "a\ue000da@example.com", false},
		{"unassigned", "a\u0378da@example.com", false},
		{"noncharacter", "a\ufdd0da@example.com", false},
		{"not UTF-8", "a\xffda@example.com", false},
		{"a character that was lost", "a\ufffdda@example.com", false},
		{"an @ of full width", "ada\uff20example.com", false},
		{"a quoted name", `"ada lovelace"@example.com`, false},
		{"a comment", "ada(a)@example.com", false},
		{"an underscore in the domain", "ada@ex_ample.com", true},
		{"a hyphen that begins a label", "ada@-example.com", true},
		{"hyphens where xn-- has them", "ada@my--company.de", true},
		{"an underscore beside a domain in ASCII", "ada@ex_ample.xn--bcher-kva.example", true},
		{"an address literal", "ada@[127.0.0.1]", true},
		{"an address literal without an address", "ada@[example]", false},
		{"a character that stands for a slash", "ada@\u2100.example", false},
		{"an @ of full width in the domain", "ada@a\uff20example.com", false},
		{"a domain in ASCII that is none", "ada@xn--a.example", false},
		{"a mark that begins a label", "ada@\u0301a.example", false},
	} {
		email, err := model.CheckEmail(c.email)
		if (err == nil) != c.ok || err != nil && apierror.CodeOf(err) != apierror.CodeBadUserInput {
			t.Errorf("%s: %+q gave %+q, %v", c.what, c.email, email, err)
		}
	}
}

func TestANameIsVisibleText(t *testing.T) {
	const england = "Ada \U0001f3f4\U000e0067\U000e0062\U000e0065\U000e006e\U000e0067\U000e007f"
	for _, c := range []struct{ what, name, want string }{ // "": it is refused
		{"a name", "Ada Lovelace", "Ada Lovelace"},
		{"spaces around it", "\u3000\u00a0\u2003Ada\t\n", "Ada"},
		{"NFD", "Zoe\u0308", "Zo\u00eb"},
		{"a no-break space and punctuation", "J.\u00a0R. O\u2019Neill-Smith, Jr.", "J.\u00a0R. O\u2019Neill-Smith, Jr."},
		{"a non-joiner within Persian", "\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645", "\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645"},
		{"a joiner within Malayalam", "\u0d28\u0d4d\u200d\u0d2e", "\u0d28\u0d4d\u200d\u0d2e"},
		{"a joiner within an emoji", "Ada \U0001f469\u200d\U0001f4bb", "Ada \U0001f469\u200d\U0001f4bb"},
		{"a variation selector", "Ada \u2764\ufe0f", "Ada \u2764\ufe0f"},
		{"an ideographic variant", "\u8fbb\U000e0100", "\u8fbb\U000e0100"},
		{"the flag of England", england, england},
		{"a flag without its end", "Ada \U0001f3f4\U000e0067\U000e0062", ""},
		{"private use, as rare characters have it", "\ue000", ""}, // alone it is nothing to see
		{"private use beside others", "\u738b\ue000", "\u738b\ue000"},
		{"nothing", "", ""},
		{"only spaces", " \u3000\u00a0", ""},
		{"only zero width", "\u200b", ""},
		{"only joiners", "\u200d\u200c", ""},
		{"only a filler", "\u3164", ""},
		{"only blank Braille", "\u2800", ""},
		{"only variation selectors", "\ufe0f", ""},
		{"byte order mark", "\ufeffAda", ""},
		{"zero width space", "A\u200bda", ""},
		{"word joiner", "A\u2060da", ""},
		{"soft hyphen", "A\u00adda", ""},
		{"joiner at the end", "Ada\u200d", ""},
		{"joiner at the beginning", " \u200cAda", ""},
		{"right to left override", "Ada \u202ealu", ""},
		{"isolate", "\u2067Ada\u2069", ""},
		{"language tags", "Ada\U000e0061\U000e007f", ""},
		{"null", "A\x00da", ""},
		{"tab", "A\tda", ""},
		{"new line", "A\nda", ""},
		{"escape", "\x1b[31mAda", ""},
		{"C1 control", "A\u009bda", ""},
		{"line separator", "A\u2028da", ""},
		{"paragraph separator", "A\u2029da", ""},
		{"noncharacter", "A\uffffda", ""},
		{"not UTF-8", "A\xffda", ""},
	} {
		name, err := model.CheckName(c.name)
		if c.want == "" && apierror.CodeOf(err) != apierror.CodeBadUserInput || c.want != "" && (err != nil || name != c.want) {
			t.Errorf("%s: %+q gave %+q, %v", c.what, c.name, name, err)
		}
	}
}

func TestARefusalSaysWhatIsAllowed(t *testing.T) {
	for _, c := range []struct {
		check func(string) (string, error)
		given string
		want  string
	}{
		{model.CheckName, " ", "name must have 1 to 255 characters, not 0"},
		{model.CheckName, strings.Repeat("é", 256), "name must have 1 to 255 characters, not 256"},
		{model.CheckName, "\u2800", "name must be visible text"},
		{model.CheckName, "\xff", "name must be text in UTF-8"},
		{model.CheckEmail, strings.Repeat("b", 320) + "@example.com", "email must have at most 320 characters, not 332"},
		{model.CheckEmail, "b", "email must be a well-formed address such as ada@example.com"},
	} {
		if _, err := c.check(c.given); err == nil || err.Error() != c.want {
			t.Errorf("%.20q: want %q, got %v", c.given, c.want, err)
		}
	}
}
