package model

import (
	"cmp"
	"errors"
	"regexp"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/net/idna"
	"golang.org/x/text/unicode/norm"
)

// NormalEmail returns an email address in the form in which it is stored and compared: without spaces and byte order marks
// around it, in lower case, in Unicode's form NFC (RFC 6532, §3.1), and with the domain in Unicode, as UTS #46 maps it, so that
// ada@ＢÜCHER.example and ada@xn--bcher-kva.example are one address. People read this form too: before the @, NFKC
// and case folding would misspell what providers tell apart, such as ß and ς.
func NormalEmail(email string) string {
	normal, _ := normalEmail(email)
	return normal
}

// domains maps the domains of addresses. A host's name has no _ and has hyphens only within, but addresses in use do not keep to that.
var domains = idna.New(idna.MapForLookup(), idna.Transitional(false), idna.BidiRule(), idna.StrictDomainName(false), idna.CheckHyphens(false))

var errDomain = errors.New("a character of the domain stands for a sign of ASCII")

// normalEmail is NormalEmail, with an error if there can be no such domain.
func normalEmail(email string) (string, error) {
	email = norm.NFC.String(strings.TrimFunc(email, func(r rune) bool { return unicode.IsSpace(r) || r == '\ufeff' }))
	email = lower(email)
	at := strings.LastIndexByte(email, '@') + 1
	given := email[at:]
	if strings.HasPrefix(given, "[") && strings.HasSuffix(given, "]") { // an IP address
		return email, nil
	}
	domain, err := domains.ToUnicode(given)
	usual := "abcdefghijklmnopqrstuvwxyz0123456789-." + given
	if strings.ContainsFunc(domain, func(r rune) bool { return r <= unicode.MaxASCII && !strings.ContainsRune(usual, r) }) {
		err = cmp.Or(err, errDomain)
	}
	if err != nil {
		return email, err
	}
	return email[:at] + domain, nil
}

// StorableEmail reports whether an email address, however odd, may be one that is stored: no other is looked for in a database.
func StorableEmail(email string) bool {
	return len(email) <= utf8.UTFMax*maxEmail && utf8.ValidString(email) && !strings.ContainsRune(email, 0)
}

// ComparedEmail returns what stored email addresses are compared with: the normal form of a whole address, and a part in lower case.
func ComparedEmail(text string, whole bool) string {
	if whole {
		return NormalEmail(text)
	}
	return lower(norm.NFC.String(text))
}

// lower returns a text in NFC in lower case. ToLower makes i of İ, which is another address. What it makes of the Kelvin sign is the same
// address: by NFC that sign is a K.
func lower(text string) string {
	return norm.NFC.String(strings.ToLower(strings.ReplaceAll(text, "\u0130", "i\u0307")))
}

// FitsEmail reports whether an email address is short enough to be stored.
func FitsEmail(email string) bool { return utf8.RuneCountInString(email) <= maxEmail }

// joiners are invisible characters that are needed within words of Persian and Indic scripts and within emoji.
const joiners = "\u200c\u200d"

// regionalFlags matches a black flag with the invisible tags that make it the flag of England or another region.
var regionalFlags = regexp.MustCompile(`\x{1F3F4}[\x{E0020}-\x{E007E}]+\x{E007F}`)

// refused returns the first character that has no place in a name; found reports whether there is one.
func refused(name string) (r rune, found bool) {
	name = regionalFlags.ReplaceAllString(name, "\U0001f3f4")
	at := strings.IndexFunc(name, unfit)
	if at < 0 && strings.TrimLeft(name, joiners) != name {
		at = 0
	}
	if at < 0 && strings.TrimRight(name, joiners) != name {
		at = strings.LastIndexAny(name, joiners)
	}
	if at < 0 {
		return 0, false
	}
	r, _ = utf8.DecodeRuneInString(name[at:])
	return r, true
}

// visible reports whether a character can be seen. U+FFFD, which stands for one that was lost on its way, does not count.
func visible(r rune) bool {
	const brailleBlank = '\u2800' // a symbol for Unicode, but looks like a space
	return unicode.In(r, unicode.L, unicode.M, unicode.N, unicode.P, unicode.S) && r != brailleBlank && r != utf8.RuneError &&
		!unicode.In(r, unicode.Other_Default_Ignorable_Code_Point, unicode.Variation_Selector)
}

// unfit reports whether a character has no place in a name: a control, a line break, or what hides or reorders text.
func unfit(r rune) bool {
	return unicode.In(r, unicode.Cc, unicode.Cf, unicode.Zl, unicode.Zp, unicode.Noncharacter_Code_Point) &&
		!strings.ContainsRune(joiners, r)
}
