package auth

import (
	"errors"
	"net/http"
	"net/url"
	"strings"
)

// Errors of Bearer. By RFC 6750 they are an invalid_request, but for ErrOtherScheme, which has no error code.
var (
	ErrSeveralCredentials  = errors.New("the request has several headers Authorization")
	ErrOtherScheme         = errors.New("the header Authorization is of another scheme than Bearer")
	ErrMalformedBearer     = errors.New(`the header Authorization is not "Bearer" and a token`)
	ErrCredentialsInTheURL = errors.New("the URL has an access token: send it in the header Authorization, since URLs are logged")
)

// Bearer returns the token that a request has in its header Authorization, or "" if it has no such header (RFC 6750, section 2.1). A token
// in the URL (section 2.3) is an error, and one in a form (section 2.2) is not looked for.
func Bearer(r *http.Request) (string, error) {
	if r.URL.RawQuery != "" {
		if query, _ := url.ParseQuery(r.URL.RawQuery); query.Has("access_token") { // what is malformed is not in it, and nobody reads it
			return "", ErrCredentialsInTheURL
		}
	}
	values := r.Header["Authorization"]
	switch len(values) {
	case 0:
		return "", nil
	case 1:
		return ParseBearer(values[0])
	default:
		return "", ErrSeveralCredentials
	}
}

// ParseBearer returns the token of a header's value: of Authorization, or of what stands for it in a WebSocket's first message.
func ParseBearer(value string) (string, error) {
	scheme, token, _ := strings.Cut(value, " ")
	if !strings.EqualFold(scheme, "Bearer") {
		if scheme == "" {
			return "", ErrMalformedBearer
		}
		return "", ErrOtherScheme
	}
	token = strings.TrimLeft(token, " ")
	if !isB64Token(token) {
		return "", ErrMalformedBearer
	}
	return token, nil
}

// isB64Token reports whether a text is a b64token of RFC 6750, of max 16 KiB.
func isB64Token(text string) bool {
	if len(text) > maxToken {
		return false
	}
	text = strings.TrimRight(text, "=")
	for i := range len(text) {
		if !ofB64Token[text[i]] {
			return false
		}
	}
	return text != ""
}

// ofB64Token has the bytes of a b64token, as a table: each request's token is looked at.
var ofB64Token = func() (is [256]bool) {
	for c := range is {
		is[c] = c == '~' || c == '+' || c == '/' || !outsideJWT(rune(c))
	}
	return is
}()

// Challenge is what a refused client is told in the header WWW-Authenticate (RFC 6750, section 3).
type Challenge struct {
	Realm       string
	Error       string // invalid_request (400), invalid_token (401), insufficient_scope (403), or "" where no credentials came (401)
	Description string // a sentence for people, without anything of the credentials
	Scope       string // what would be needed, separated by spaces; "" to say nothing
}

// String returns the header's value.
func (c Challenge) String() string {
	text := `Bearer realm="` + quotable(c.Realm) + `"`
	for _, p := range []struct{ name, value string }{{"error", c.Error}, {"error_description", c.Description}, {"scope", c.Scope}} {
		if p.value != "" {
			text += ", " + p.name + `="` + quotable(p.value) + `"`
		}
	}
	return text
}

// Set puts the challenge into the header of an answer.
func (c Challenge) Set(h http.Header) { h.Set("WWW-Authenticate", c.String()) }

// quotable returns a text in which everything is an apostrophe that may not stand between quotation marks there.
func quotable(text string) string {
	return strings.Map(func(c rune) rune {
		if c < ' ' || c > '~' || c == '"' || c == '\\' {
			return '\''
		}
		return c
	}, text)
}
