package model

import (
	"unicode/utf8"

	"rollcall/apierror"
)

// CheckName returns a name. The error is BAD_USER_INPUT.
func CheckName(name string) (string, error) { return CheckText("name", 1, 255)(name) }

// CheckText returns the check of an input's field that is a line of some number of characters. Its error is BAD_USER_INPUT.
func CheckText(field string, minLength, maxLength int) func(string) (string, error) {
	return func(text string) (string, error) {
		if n := utf8.RuneCountInString(text); n < minLength || n > maxLength {
			return "", apierror.BadInput(field, "%s must have %d to %d characters, not %d", field, minLength, maxLength, n)
		}
		return text, nil
	}
}
