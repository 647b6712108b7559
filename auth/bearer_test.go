package auth

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"
)

func TestTheTokenOfARequestIsFound(t *testing.T) {
	long := strings.Repeat("a", maxToken)
	for _, row := range []struct {
		name   string
		url    string
		values []string // of Authorization
		token  string
		err    error
	}{
		{"none", "/", nil, "", nil},
		{"a token", "/", []string{"Bearer aZ0-._~+/=="}, "aZ0-._~+/==", nil},
		{"lower case", "/", []string{"bearer x"}, "x", nil},
		{"upper case", "/", []string{"BEARER x"}, "x", nil},
		{"several spaces", "/", []string{"Bearer   x"}, "x", nil},
		{"as long as may be", "/", []string{"Bearer " + long}, long, nil},
		{"other parameters", "/?query={a}&token=x&Access_Token=y", []string{"Bearer x"}, "x", nil},
		{"two headers", "/", []string{"Bearer x", "Bearer x"}, "", ErrSeveralCredentials},
		{"two schemes", "/", []string{"Bearer x", "Basic eDp5"}, "", ErrSeveralCredentials},
		{"another scheme", "/", []string{"Basic eDp5"}, "", ErrOtherScheme},
		{"a scheme that begins like it", "/", []string{"Bearerx y"}, "", ErrOtherScheme},
		{"an empty header", "/", []string{""}, "", ErrMalformedBearer},
		{"no scheme", "/", []string{" x"}, "", ErrMalformedBearer},
		{"no token", "/", []string{"Bearer"}, "", ErrMalformedBearer},
		{"an empty token", "/", []string{"Bearer "}, "", ErrMalformedBearer},
		{"padding alone", "/", []string{"Bearer =="}, "", ErrMalformedBearer},
		{"padding within", "/", []string{"Bearer a=b"}, "", ErrMalformedBearer},
		{"a tab", "/", []string{"Bearer\tx"}, "", ErrOtherScheme},
		{"a tab after the space", "/", []string{"Bearer \tx"}, "", ErrMalformedBearer},
		{"two tokens", "/", []string{"Bearer x y"}, "", ErrMalformedBearer},
		{"two tokens with a comma", "/", []string{"Bearer x, Bearer y"}, "", ErrMalformedBearer},
		{"parameters", "/", []string{`Bearer token="x"`}, "", ErrMalformedBearer},
		{"a letter of no token", "/", []string{"Bearer é"}, "", ErrMalformedBearer},
		{"not UTF-8", "/", []string{"Bearer \xff"}, "", ErrMalformedBearer},
		{"longer", "/", []string{"Bearer a" + long}, "", ErrMalformedBearer},
		{"in the URL", "/?access_token=x", nil, "", ErrCredentialsInTheURL},
		{"in the URL too", "/?query={a}&access_token=x", []string{"Bearer x"}, "", ErrCredentialsInTheURL},
		{"in the URL, empty", "/?access_token", nil, "", ErrCredentialsInTheURL},
		{"in the URL, encoded", "/?%61ccess%5Ftoken=x", nil, "", ErrCredentialsInTheURL},
		{"in the URL, beside what is malformed", "/?a;b&x=%zz&access_token=x", nil, "", ErrCredentialsInTheURL},
	} {
		r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, row.url, nil)
		if row.values != nil {
			r.Header["Authorization"] = row.values
		}
		if token, err := Bearer(r); token != row.token || !errors.Is(err, row.err) {
			t.Errorf("%s: %q, error %v", row.name, token, err)
		}
	}
}

func TestAChallengeSaysWhatIsTheMatter(t *testing.T) {
	for want, c := range map[string]Challenge{
		`Bearer realm="Rollcall"`: {Realm: "Rollcall"},
		`Bearer realm="Rollcall", error="invalid_token", error_description="the token has expired"`: {Realm: "Rollcall", Error: "invalid_token", Description: "the token has expired"},
		`Bearer realm="", error="insufficient_scope", scope="read write"`:                           {Error: "insufficient_scope", Scope: "read write"},
		`Bearer realm="a'b'", error_description="'''x'''y'"`:                                        {Realm: `a"b\`, Description: "\r\n\"x\x00é\xffy\t"},
	} {
		header := http.Header{"Www-Authenticate": {"Basic"}}
		c.Set(header)
		if got := header.Values("WWW-Authenticate"); len(got) != 1 || got[0] != want {
			t.Errorf("%q instead of %q", got, want)
		}
	}
}

func FuzzParseBearer(f *testing.F) {
	for _, value := range []string{"Bearer x", "bearer  a.b.c==", "Bearer", "Basic eDp5", "Bearer a b", "Bearer \xff", ""} {
		f.Add(value)
	}
	syntax := regexp.MustCompile(`^(?i:Bearer) +([A-Za-z0-9._~+/-]+=*)$`) // RFC 6750, section 2.1
	f.Fuzz(func(t *testing.T, value string) {
		token, err := ParseBearer(value)
		match := syntax.FindStringSubmatch(value)
		switch {
		case match != nil && len(match[1]) <= maxToken:
			if token != match[1] || err != nil {
				t.Errorf("%q: %q, error %v", value, token, err)
			}
		case token != "" || err == nil:
			t.Errorf("%q: %q, error %v", value, token, err)
		}
	})
}

func FuzzChallenge(f *testing.F) {
	f.Add("Rollcall", "invalid_token", "it has expired")
	f.Add(`"`, "\\", "\r\nSet-Cookie: a=b")
	syntax := regexp.MustCompile(`^Bearer realm="[\x20-\x21\x23-\x5B\x5D-\x7E]*"(, [a-z_]+="[\x20-\x21\x23-\x5B\x5D-\x7E]+")*$`)
	f.Fuzz(func(t *testing.T, realm, code, description string) {
		if text := (Challenge{Realm: realm, Error: code, Description: description}).String(); !syntax.MatchString(text) || strings.Contains(text, "\n") {
			t.Errorf("%q", text)
		}
	})
}
