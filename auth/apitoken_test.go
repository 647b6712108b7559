package auth

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
)

func TestAPITokensHaveOneFormat(t *testing.T) {
	seen := map[string]bool{}
	for range 1000 {
		token := NewAPIToken()
		text := token.Text()
		if len(text) != 52 || !strings.HasPrefix(text, "rc_") || !IsAPIToken(text) || seen[text] {
			t.Fatalf("%q", text)
		}
		seen[text] = true
		again, err := ParseAPIToken(text)
		if err != nil || again.Text() != text || again.SHA256() != sha256.Sum256([]byte(text)) {
			t.Fatalf("%q is read as %q, error %v", text, again.Text(), err)
		}
	}
}

// The checksum was computed by Python's zlib.crc32.
func TestTheFormatOfAPITokensStaysAsItIs(t *testing.T) {
	const text = "rc_00000000000000000000000000000000000000000002BGpYO"
	if _, err := ParseAPIToken(text); err != nil {
		t.Error(err)
	}
}

func TestEveryTypingErrorInAnAPITokenIsFound(t *testing.T) {
	text := NewAPIToken().Text()
	for n := range text {
		for _, c := range []byte("0Aa_-.\n é") {
			changed := text[:n] + string(c) + text[n+1:]
			if _, err := ParseAPIToken(changed); changed != text && !errors.Is(err, ErrNoAPIToken) {
				t.Errorf("%q instead of %q: error %v", changed, text, err)
			}
		}
	}
	foreign := "rc_" + strings.Repeat("-", 43) // with the checksum of that
	foreign += checksum(foreign)
	for _, other := range []string{"", "rc_", foreign, text[:51], text + "0", " " + text, strings.ToLower(text), strings.Replace(text, "rc_", "RC_", 1), strings.Repeat("0", 52)} {
		if _, err := ParseAPIToken(other); !errors.Is(err, ErrNoAPIToken) {
			t.Errorf("%q: error %v", other, err)
		}
	}
}

func TestNothingPrintsAnAPIToken(t *testing.T) {
	token := NewAPIToken()
	secret := token.Text()[3:20]
	within := struct {
		token APIToken
		Token APIToken
		any   any
		list  []APIToken
	}{token, token, token, []APIToken{token}}
	var printed bytes.Buffer
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
		fmt.Fprintf(&printed, verb+verb+verb, token, &token, within)
	}
	fmt.Fprint(&printed, string(must(json.Marshal(within))), string(must(json.Marshal(token))))
	slog.New(slog.NewJSONHandler(&printed, nil)).Info("x", "token", token, "within", within)
	slog.New(slog.NewTextHandler(&printed, nil)).Info("x", "token", token, "within", within)
	for _, form := range []string{secret, fmt.Sprintf("%x", secret), fmt.Sprintf("%X", secret), strings.Trim(fmt.Sprint([]byte(secret)), "[]")} {
		if strings.Contains(printed.String(), form) {
			t.Errorf("the secret is printed: %s", printed.String())
		}
	}
	if token.String() != "rc_…" || (APIToken{}).Text() != "" {
		t.Errorf("it prints as %s", token)
	}
}

func FuzzParseAPIToken(f *testing.F) {
	f.Add(NewAPIToken().Text())
	f.Add("rc_" + strings.Repeat("z", 49))
	f.Add("rc_")
	f.Add("eyJhbGciOiJub25lIn0.e30.")
	f.Fuzz(func(t *testing.T, text string) {
		token, err := ParseAPIToken(text)
		if err != nil {
			if !errors.Is(err, ErrNoAPIToken) || token.Text() != "" {
				t.Errorf("%q: %q, error %v", text, token.Text(), err)
			}
			return
		}
		if token.Text() != text || len(text) != 52 || !IsAPIToken(text) || checksum(text[:46]) != text[46:] {
			t.Errorf("%q is read as %q", text, token.Text())
		}
	})
}
