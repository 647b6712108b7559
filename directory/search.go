package directory

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"rollcall/apierror"
	"rollcall/fold"
	"rollcall/model"
)

// Bounds of a query.
const (
	maxQuery      = 255 // characters
	maxQueryWords = 16
)

func (d *Directory) declareSearch() {
	d.users.Search("user_words", "name_folded", (*model.User).Words, parseQuery)
}

// parseQuery returns what a query looks for: what a folded name may begin with, and the words. Of an email address there are those
// before the @, as users have them. The error is BAD_USER_INPUT.
func parseQuery(query string) (phrase string, words []string, err error) {
	const field = "query"
	if n := utf8.RuneCountInString(query); n > maxQuery {
		return "", nil, apierror.BadInput(field, "query must have at most %d characters, not %d", maxQuery, n)
	}
	parts := strings.FieldsFunc(fold.Text(query), func(r rune) bool { return unicode.IsSpace(r) || unicode.IsControl(r) })
	phrase = strings.Join(parts, " ")
	for i, part := range parts {
		if at := strings.LastIndexByte(part, '@'); at > 0 {
			parts[i] = part[:at]
		}
	}
	words = fold.Terms(strings.Join(parts, " "))
	if len(words) > maxQueryWords {
		return "", nil, apierror.BadInput(field, "query must have at most %d words, not %d", maxQueryWords, len(words))
	}
	for _, word := range words {
		if n := utf8.RuneCountInString(word); n > fold.MaxWord {
			return "", nil, apierror.BadInput(field, "a word of query must have at most %d characters, not %d", fold.MaxWord, n)
		}
	}
	return phrase, words, nil
}
