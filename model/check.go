package model

import (
	"net/mail"
	"strings"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"

	"rollcall/apierror"
)

// Bounds of what is stored, in characters.
const (
	maxName  = 255
	maxEmail = 320
)

// CheckName returns a name in the form in which it is stored. The error is BAD_USER_INPUT.
func CheckName(name string) (string, error) {
	if !utf8.ValidString(name) {
		return "", apierror.BadInput("name", "name must be text in UTF-8")
	}
	name = norm.NFC.String(strings.TrimSpace(name))
	if n := utf8.RuneCountInString(name); n < 1 || n > maxName {
		return "", apierror.BadInput("name", "name must have 1 to %d characters, not %d", maxName, n)
	}
	if !strings.ContainsFunc(name, visible) {
		return "", apierror.BadInput("name", "name must be visible text")
	}
	if r, found := refused(name); found {
		return "", apierror.BadInput("name", "name must be visible text, without control characters, line breaks and characters that cannot be seen: "+
			"%U has no place there", r)
	}
	return name, nil
}

// CheckEmail returns an email address in the form in which it is stored. The error is BAD_USER_INPUT.
func CheckEmail(given string) (string, error) {
	email, err := normalEmail(given)
	if n := utf8.RuneCountInString(email); n > maxEmail {
		return "", apierror.BadInput("email", "email must have at most %d characters, not %d", maxEmail, n)
	}
	// A domain's normal form has lost some invisible characters, or has got some out of its form in ASCII.
	hidden := strings.ContainsFunc(strings.TrimSpace(given)+email, func(r rune) bool { return !visible(r) })
	if err != nil || hidden || !wellFormed(email) {
		return "", apierror.BadInput("email", "email must be a well-formed address such as ada@example.com")
	}
	return email, nil
}

// wellFormed reports whether an email address is one as RFC 5322 has it, without quotes. ParseAddress takes
// `Name <address>` too, and drops comments.
func wellFormed(email string) bool {
	addr, err := mail.ParseAddress(email)
	return err == nil && addr.Address == email && !strings.Contains(email, `"`)
}
