package auth

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
)

var (
	rsaKey      = sync.OnceValue(newRSA)
	otherRSAKey = sync.OnceValue(newRSA)
	ecKey       = sync.OnceValue(func() *ecdsa.PrivateKey { return must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader)) })
	edKey       = sync.OnceValue(func() ed25519.PrivateKey { _, key, err := ed25519.GenerateKey(rand.Reader); return must(key, err) })
)

func newRSA() *rsa.PrivateKey { return must(rsa.GenerateKey(rand.Reader, 2048)) }

func must[T any](value T, err error) T {
	if err != nil {
		panic(err)
	}
	return value
}

// provider is an issuer on a loopback address, which publishes whatever keys it is given.
type provider struct {
	*httptest.Server

	mu       sync.Mutex
	keys     []jose.JSONWebKey
	asked    int                 // for its keys
	document map[string]any      // what its discovery document has besides
	answer   http.HandlerFunc    // instead of its keys, if it is set
	before   func(*http.Request) // each answer
}

func newProvider(t testing.TB, keys ...jose.JSONWebKey) *provider {
	t.Helper()
	p := &provider{keys: keys}
	p.Server = httptest.NewServer(p)
	t.Cleanup(p.Close)
	return p
}

func (p *provider) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	p.mu.Lock()
	before := p.before
	p.mu.Unlock()
	if before != nil {
		before(r)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	switch r.URL.Path {
	case "/.well-known/openid-configuration":
		document := map[string]any{"issuer": p.URL, "jwks_uri": p.URL + "/keys", "id_token_signing_alg_values_supported": []string{"HS256", "none"}}
		maps.Copy(document, p.document)
		_ = json.NewEncoder(w).Encode(document)
	case "/keys":
		p.asked++
		if p.answer != nil {
			p.answer(w, r)
			return
		}
		_ = json.NewEncoder(w).Encode(jose.JSONWebKeySet{Keys: p.keys})
	default:
		http.NotFound(w, r)
	}
}

func (p *provider) set(change func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	change()
}

func (p *provider) timesAsked() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.asked
}

// public is how a provider publishes a key.
func public(kid string, key crypto.Signer) jose.JSONWebKey {
	return jose.JSONWebKey{KeyID: kid, Key: key.Public(), Use: "sig"}
}

// clock goes on only if it is told to.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) pass(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// trust returns what verifies the tokens of a provider, for the audience "rollcall" and with the roles in the claim roles. It has asked
// once.
func trust(t testing.TB, p *provider) (*Issuers, *clock) {
	t.Helper()
	s := must(NewIssuers(slog.New(slog.DiscardHandler), Issuer{URL: p.URL, Audiences: []string{"rollcall"}, RolesClaim: "roles"}))
	c := &clock{now: time.Now()}
	s.now = c.Now
	s.issuers[p.URL].now = c.Now
	if err := s.issuers[p.URL].ask(t.Context()); err != nil {
		t.Fatal(err)
	}
	return s, c
}

// object is one of JSON.
type object map[string]any

// with returns an object with other members; nil takes one away.
func (o object) with(members object) object {
	all := maps.Clone(o)
	for name, value := range members {
		if all[name] = value; value == nil {
			delete(all, name)
		}
	}
	return all
}

// access are the claims of a good access token of the provider, of which only what all have in common is sure.
func (p *provider) access() object {
	now := time.Now().Unix()
	return object{
		"iss": p.URL, "sub": "ann", "aud": "rollcall", "exp": now + 3600, "iat": now, "nbf": now,
		"client_id": "app", "scope": "openid", "roles": []string{"admins", "staff"},
	}
}

// sign makes a token. header says what it has besides alg; alg in it is written into the header, whatever the key signs by.
func sign(t testing.TB, alg jose.SignatureAlgorithm, key any, header, payload object) string {
	t.Helper()
	return signText(t, alg, key, string(must(json.Marshal(object{"alg": alg}.with(header)))), string(must(json.Marshal(payload))))
}

func signText(t testing.TB, alg jose.SignatureAlgorithm, key any, header, payload string) string {
	t.Helper()
	text := encode(header) + "." + encode(payload)
	return text + "." + encode(string(signature(t, alg, key, text)))
}

func encode(text string) string { return base64.RawURLEncoding.EncodeToString([]byte(text)) }

// signature signs any text. go-jose signs no header but its own, so that it is used as the opaque signer below it.
func signature(t testing.TB, alg jose.SignatureAlgorithm, key any, text string) []byte {
	t.Helper()
	switch key := key.(type) {
	case *rsa.PrivateKey:
		hash := map[jose.SignatureAlgorithm]crypto.Hash{
			jose.RS256: crypto.SHA256, jose.RS384: crypto.SHA384, jose.RS512: crypto.SHA512,
			jose.PS256: crypto.SHA256, jose.PS384: crypto.SHA384, jose.PS512: crypto.SHA512,
		}[alg]
		h := hash.New()
		h.Write([]byte(text))
		if alg[0] == 'P' {
			return must(rsa.SignPSS(rand.Reader, key, hash, h.Sum(nil), &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash}))
		}
		return must(rsa.SignPKCS1v15(rand.Reader, key, hash, h.Sum(nil)))
	case *ecdsa.PrivateKey:
		h := crypto.SHA256.New()
		h.Write([]byte(text))
		r, s, err := ecdsa.Sign(rand.Reader, key, h.Sum(nil))
		if err != nil {
			t.Fatal(err)
		}
		both := make([]byte, 64)
		r.FillBytes(both[:32])
		s.FillBytes(both[32:])
		return both
	case ed25519.PrivateKey:
		return ed25519.Sign(key, []byte(text))
	case []byte:
		return hmacSHA256(key, text)
	default:
		t.Fatalf("no signature by a %T", key)
		return nil
	}
}
