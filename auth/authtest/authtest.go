// Package authtest is an OpenID provider for tests.
package authtest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/json"
	"maps"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
)

// Audience is whom the tokens are for.
const Audience = "rollcall"

// Provider is an issuer on a loopback address.
type Provider struct {
	*httptest.Server
	// Down has it not answer.
	Down atomic.Bool

	signer jose.Signer
}

// New returns a provider that is closed at the end of the test.
func New(tb testing.TB) *Provider {
	tb.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		tb.Fatal(err)
	}
	p := &Provider{}
	if p.signer, err = jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: jose.JSONWebKey{Key: key, KeyID: "one"}}, nil); err != nil {
		tb.Fatal(err)
	}
	set := jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{KeyID: "one", Key: key.Public(), Use: "sig"}}}
	mux := http.NewServeMux()
	mux.HandleFunc("/.well-known/openid-configuration", func(w http.ResponseWriter, _ *http.Request) {
		_ = json.NewEncoder(w).Encode(map[string]any{"issuer": p.URL, "jwks_uri": p.URL + "/keys"})
	})
	mux.HandleFunc("/keys", func(w http.ResponseWriter, _ *http.Request) { _ = json.NewEncoder(w).Encode(set) })
	p.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if p.Down.Load() {
			http.Error(w, "down", http.StatusServiceUnavailable)
			return
		}
		mux.ServeHTTP(w, r)
	}))
	tb.Cleanup(p.Close)
	return p
}

// Token returns an access token of a subject, which is good for an hour. claims are what it has besides, or instead.
func (p *Provider) Token(tb testing.TB, subject string, claims map[string]any) string {
	tb.Helper()
	now := time.Now().Unix()
	all := map[string]any{"iss": p.URL, "sub": subject, "aud": Audience, "exp": now + 3600, "iat": now, "client_id": "app", "scope": "openid"}
	maps.Copy(all, claims)
	payload, err := json.Marshal(all)
	if err != nil {
		tb.Fatal(err)
	}
	signed, err := p.signer.Sign(payload)
	if err != nil {
		tb.Fatal(err)
	}
	token, err := signed.CompactSerialize()
	if err != nil {
		tb.Fatal(err)
	}
	return token
}
