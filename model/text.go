package model

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/net/idna"
	"golang.org/x/text/unicode/norm"
)

// NormalEmail returns an email address in the form in which it is stored and compared: without spaces around it, in lower
// case, in Unicode's form NFC (RFC 6532, §3.1), and with the domain in Unicode, as UTS #46 maps it, so that
// ada@ＢÜCHER.example and ada@xn--bcher-kva.example are one address. People read this form too: before the @, NFKC
// and case folding would misspell what providers tell apart, such as ß and ς.
func NormalEmail(email string) string {
	normal, _ := normalEmail(email)
	return normal
}

// normalEmail is NormalEmail with an error where there can be no such domain.
func normalEmail(email string) (string, error) {
	// In lower case, an İ may compose with the accent behind it.
	email = norm.NFC.String(strings.ToLower(norm.NFC.String(strings.TrimSpace(email))))
	at := strings.LastIndexByte(email, '@') + 1
	domain, err := idna.Lookup.ToUnicode(email[at:])
	if err != nil {
		return email, err
	}
	return email[:at] + domain, nil
}

// StorableEmail reports whether somebody may have an email address, however odd: no database is asked for others.
func StorableEmail(email string) bool {
	return len(email) <= utf8.UTFMax*maxEmail && utf8.ValidString(email) && !strings.ContainsRune(email, 0)
}

// normalName returns a name in the form in which it is stored.
func normalName(name string) string { return norm.NFC.String(strings.TrimSpace(name)) }

// joiners are invisible, and needed within words of Persian and Indic scripts and within emoji.
const joiners = "\u200c\u200d"

// visible reports whether a character can be seen. One that was lost on its way, U+FFFD, is not.
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
