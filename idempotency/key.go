package idempotency

import (
	"fmt"
	"strings"
	"unicode/utf8"

	"rollcall/apierror"
)

// Header is the request header that has a key, as in https://datatracker.ietf.org/doc/draft-ietf-httpapi-idempotency-key-header.
const Header = "Idempotency-Key"

// ReplayedHeader is the response header that says that an answer is the one that was kept: true.
const ReplayedHeader = "Idempotent-Replayed"

// Codes of errors about keys, in an error's extensions.code. A key that cannot be one is a BAD_USER_INPUT.
const (
	CodeMismatch   apierror.Code = "IDEMPOTENCY_MISMATCH"         // the key is that of another mutation
	CodeInProgress apierror.Code = "IDEMPOTENCY_IN_PROGRESS"      // a mutation with the key has not ended
	CodeTooLarge   apierror.Code = "IDEMPOTENCY_ANSWER_TOO_LARGE" // see Keys.MaxAnswer
)

// maxKey is how many characters a key may have.
const maxKey = 255

// Check refuses a text that is no key: it has 1 to 255 characters.
func Check(key string) error {
	if n := utf8.RuneCountInString(key); n == 0 || n > maxKey {
		return apierror.BadInput("", "an idempotency key has 1 to %d characters, and this one %d", maxKey, n)
	}
	return nil
}

// Parse returns the key that the values of the header Idempotency-Key have: a string as in RFC 8941, section 3.3.3, without
// parameters, or the same characters without quotes, as many clients send it.
func Parse(header []string) (key string, err error) {
	if len(header) != 1 {
		return "", apierror.BadInput("", "%s is given more than once", Header)
	}
	text := strings.Trim(header[0], " \t")
	if quoted, ok := strings.CutPrefix(text, `"`); ok {
		key, err = unquote(quoted)
	} else if key = text; strings.ContainsFunc(text, func(r rune) bool { return r <= ' ' || r > '~' || strings.ContainsRune(`",;\`, r) }) {
		err = errIllFormed
	}
	if err != nil {
		return "", err
	}
	return key, Check(key)
}

var errIllFormed = apierror.BadInput("", `%s must be a string of visible ASCII characters, as in %s: "8e03978e-40d5-43dd-bc93-6894a57f9324"`, Header, Header)

// unquote reads what follows the first quote of a string.
func unquote(text string) (string, error) {
	var key strings.Builder
	for i := 0; i < len(text); i++ {
		switch c := text[i]; {
		case c == '"' && i == len(text)-1:
			return key.String(), nil
		case c == '"', c < ' ', c > '~':
			return "", errIllFormed
		case c != '\\':
			key.WriteByte(c)
		default:
			if i++; i == len(text) || text[i] != '"' && text[i] != '\\' {
				return "", errIllFormed
			}
			key.WriteByte(text[i])
		}
	}
	return "", errIllFormed // it has no end
}

func mismatch() error {
	return &apierror.Error{Code: CodeMismatch, Message: "the idempotency key was used before for another document, operation or variables: a new mutation needs a new key"}
}

func inProgress(err error) error {
	return &apierror.Error{Code: CodeInProgress, Err: err, Message: "another mutation with this idempotency key has not ended, as far as is known: send it again later, with the same key"}
}

func tooLarge(length, limit int) error {
	return &apierror.Error{Code: CodeTooLarge, Message: fmt.Sprintf(
		"with an idempotency key the answer may have %d bytes, and it has %d, so nothing was stored: select less in it, or split the mutation", limit, length)}
}
