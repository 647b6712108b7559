package model

import (
	"unicode/utf8"

	"rollcall/apierror"
)

// CheckText returns the check of an input's field that is a line of some number of characters. Its error is BAD_USER_INPUT.
func CheckText(field string, fewest, most int) func(string) (string, error) {
	return func(text string) (string, error) {
		if n := utf8.RuneCountInString(text); n < fewest || n > most {
			return "", apierror.BadInput(field, "%s must have %d to %d characters, not %d", field, fewest, most, n)
		}
		return text, nil
	}
}
