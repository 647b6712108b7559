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
func CheckName(name string) (string, error) { return CheckText("name", 1, maxName)(name) }

// CheckText returns the check of an input's field that holds a line of minLength to maxLength characters: it returns the line in the form in
// which it is stored. The check's error is BAD_USER_INPUT.
func CheckText(field string, minLength, maxLength int) func(string) (string, error) {
	return func(text string) (string, error) {
		if !utf8.ValidString(text) {
			return "", apierror.BadInput(field, "%s must be text in UTF-8", field)
		}
		text = norm.NFC.String(strings.TrimSpace(text))
		if n := utf8.RuneCountInString(text); n < minLength || n > maxLength {
			return "", apierror.BadInput(field, "%s must have %d to %d characters, not %d", field, minLength, maxLength, n)
		}
		if text != "" && !strings.ContainsFunc(text, visible) {
			return "", apierror.BadInput(field, "%s must be visible text", field)
		}
		if r, found := refused(text); found {
			return "", apierror.BadInput(field, "%s must be visible text, without control characters, line breaks and characters that cannot be seen: "+
				"%U has no place there", field, r)
		}
		return text, nil
	}
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
