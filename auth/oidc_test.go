package auth

import (
	"crypto/hmac"
	"crypto/sha256"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
)

func hmacSHA256(key []byte, text string) []byte {
	h := hmac.New(sha256.New, key)
	h.Write([]byte(text))
	return h.Sum(nil)
}

func TestAccessTokensOfTheUsualProvidersAreAccepted(t *testing.T) {
	p := newProvider(t, public("k", rsaKey()))
	s, _ := trust(t, p)
	// What all have, so that each row has the rest as its provider writes it.
	bare := p.access().with(object{"client_id": nil, "scope": nil})
	for name, token := range map[string]struct{ header, claims object }{
		"RFC 9068":                               {object{"typ": "at+jwt"}, bare.with(object{"client_id": "app", "jti": "1"})},
		"RFC 9068, with the application":         {object{"typ": "application/at+jwt"}, bare.with(object{"client_id": "app", "jti": "1"})},
		"RFC 9068, in upper case":                {object{"typ": "AT+JWT"}, bare},
		"Keycloak":                               {object{"typ": "JWT"}, bare.with(object{"typ": "Bearer", "azp": "app", "scope": "openid email", "sid": "1", "acr": "1", "aud": []string{"rollcall", "account"}})},
		"Keycloak before 25":                     {object{"typ": "JWT"}, bare.with(object{"typ": "Bearer", "azp": "app", "nonce": "n", "session_state": "1"})},
		"Keycloak, lightweight":                  {object{"typ": "JWT"}, bare.with(object{"typ": "Bearer", "azp": "rollcall"})},
		"Okta":                                   {nil, bare.with(object{"ver": 1, "jti": "AT.1", "cid": "0oa", "uid": "00u", "scp": []string{"openid"}, "auth_time": 1})},
		"Okta, for a service":                    {nil, bare.with(object{"ver": 1, "jti": "AT.1", "cid": "0oa"})},
		"Entra 2.0":                              {object{"typ": "JWT", "x5t": "k"}, bare.with(object{"ver": "2.0", "azp": "app", "azpacr": "1", "scp": "access", "oid": "1", "tid": "2"})},
		"Entra 2.0, a service":                   {object{"typ": "JWT"}, bare.with(object{"ver": "2.0", "azp": "app", "azpacr": "1", "oid": "1"})},
		"Entra 2.0, a service that calls itself": {object{"typ": "JWT"}, bare.with(object{"ver": "2.0", "azp": "rollcall", "azpacr": "1", "oid": "1"})},
		"Entra 1.0":                              {object{"typ": "JWT", "x5t": "k"}, bare.with(object{"ver": "1.0", "appid": "app", "appidacr": "1", "scp": "access", "upn": "ann@example.com"})},
		"Auth0":                                  {object{"typ": "JWT"}, bare.with(object{"azp": "app", "scope": "openid", "aud": []string{"rollcall", p.URL + "/userinfo"}})},
		"Auth0, for a service":                   {object{"typ": "JWT"}, bare.with(object{"azp": "app", "gty": "client-credentials"})},
		"Auth0, by RFC 9068":                     {object{"typ": "at+jwt"}, bare.with(object{"client_id": "app", "scope": ""})},
		"Cognito":                                {nil, bare.with(object{"token_use": "access", "client_id": "app", "scope": "x"})},
	} {
		t.Run(name, func(t *testing.T) {
			identity, err := s.Verify(t.Context(), sign(t, jose.RS256, rsaKey(), object{"kid": "k"}.with(token.header), token.claims))
			if err != nil {
				t.Fatal(err)
			}
			if identity.Issuer != p.URL || identity.Subject != "ann" || !slices.Equal(identity.Roles, []string{"admins", "staff"}) {
				t.Errorf("it is about %+v", identity)
			}
		})
	}
}

func TestATokenIsAcceptedByEachAlgorithmOfPublicKeys(t *testing.T) {
	p := newProvider(t, public("rsa", rsaKey()), public("ec", ecKey()), public("ed", edKey()))
	s, _ := trust(t, p)
	for _, by := range []struct {
		alg jose.SignatureAlgorithm
		kid string
		key any
	}{
		{jose.RS256, "rsa", rsaKey()},
		{jose.RS384, "rsa", rsaKey()},
		{jose.RS512, "rsa", rsaKey()},
		{jose.PS256, "rsa", rsaKey()},
		{jose.PS384, "rsa", rsaKey()},
		{jose.PS512, "rsa", rsaKey()},
		{jose.ES256, "ec", ecKey()},
		{jose.EdDSA, "ed", edKey()},
	} {
		if _, err := s.Verify(t.Context(), sign(t, by.alg, by.key, object{"kid": by.kid}, p.access())); err != nil {
			t.Errorf("%s: %v", by.alg, err)
		}
	}
}

// The Base64 of the JSON of a public key, in the two forms in which it is handed out, is no secret.
func publicForms() (inPEM, inDER []byte) {
	inDER = must(x509.MarshalPKIXPublicKey(rsaKey().Public()))
	return pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: inDER}), inDER
}

type hostile struct {
	name   string
	token  string
	reason string // a part of it
}

func hostileTokens(t testing.TB, p *provider) []hostile {
	good, kid := p.access(), object{"kid": "k"}
	now := time.Now().Unix()
	inPEM, inDER := publicForms()
	valid := sign(t, jose.RS256, rsaKey(), kid, good)
	parts := strings.Split(valid, ".")
	embedded := public("k", otherRSAKey())
	claims := func(changed object) string { return sign(t, jose.RS256, rsaKey(), kid, good.with(changed)) }
	header := func(changed object) string { return sign(t, jose.RS256, rsaKey(), kid.with(changed), good) }
	idToken := func(changed object) string { return claims(object{"client_id": nil, "scope": nil}.with(changed)) }
	foreign := func(changed object) string { return sign(t, jose.RS256, otherRSAKey(), kid.with(changed), good) }
	text := func(payload string) string {
		return signText(t, jose.RS256, rsaKey(), `{"alg":"RS256","kid":"k"}`, payload)
	}
	rest := fmt.Sprintf(`"iss":%q,"aud":"rollcall","scope":"x","exp":%d`, p.URL, now+3600)
	return []hostile{
		{"no text", "", "not a signed JWT"},
		{"two parts", parts[0] + "." + parts[1], "not a signed JWT"},
		{"four parts", valid + ".x", "not a signed JWT"},
		{"five parts, as of an encrypted one", valid + ".x.y", "not a signed JWT"},
		{"no signature", parts[0] + "." + parts[1] + ".", "not a signed JWT"},
		{"a line break, which Base64 overlooks", parts[0] + "." + parts[1] + "\n." + parts[2], "not a signed JWT"},
		{"padding", valid + "==", "not a signed JWT"},
		{"JSON instead of the compact form", `{"payload":"` + parts[1] + `","protected":"` + parts[0] + `","signature":"` + parts[2] + `"}`, "not a signed JWT"},
		{"longer than 16 KiB", claims(object{"x": strings.Repeat("x", maxToken)}), "too long"},
		{"alg none", encode(`{"alg":"none","kid":"k"}`) + "." + parts[1] + ".", "not a signed JWT"},
		{"alg none with a signature", encode(`{"alg":"none","kid":"k"}`) + "." + parts[1] + "." + parts[2], "algorithm"},
		{"alg NoNe with a signature", encode(`{"alg":"NoNe","kid":"k"}`) + "." + parts[1] + "." + parts[2], "algorithm"},
		{"no alg", encode(`{"kid":"k"}`) + "." + parts[1] + "." + parts[2], "algorithm"},
		{"HS256 by the public key in PEM", sign(t, jose.HS256, inPEM, kid, good), "algorithm"},
		{"HS256 by the public key in DER", sign(t, jose.HS256, inDER, kid, good), "algorithm"},
		{"HS256 by an empty key", sign(t, jose.HS256, []byte{}, kid, good), "algorithm"},
		{"another RSA algorithm than that of the signature", sign(t, jose.RS256, rsaKey(), kid.with(object{"alg": "RS512"}), good), "signature"},
		{"ES256 with an RSA key", sign(t, jose.ES256, ecKey(), kid, good), "signature"},
		{"the key published for another algorithm", sign(t, jose.RS256, otherRSAKey(), object{"kid": "ps"}, good), "does not publish"},
		{"the key published for encryption", sign(t, jose.RS256, otherRSAKey(), object{"kid": "enc"}, good), "does not publish"},
		{"another issuer's key with the same kid", foreign(nil), "signature"},
		{"a kid that is not published", foreign(object{"kid": "other"}), "does not publish"},
		{"a kid that is a path", foreign(object{"kid": "../../dev/null"}), "does not publish"},
		{"no kid, and another key", foreign(object{"kid": nil}), "signature"},
		{"its own key in jwk", foreign(object{"jwk": embedded}), "signature"},
		{"its own key in jwk, and no kid", foreign(object{"jwk": embedded, "kid": nil}), "signature"},
		{"its own keys at jku", foreign(object{"jku": p.URL + "/hostile"}), "signature"},
		{"its own certificate at x5u", foreign(object{"x5u": p.URL + "/hostile"}), "signature"},
		{"a crit header", header(object{"crit": []string{"exp"}, "exp": now + 3600}), "not supported"},
		{"an empty crit header", header(object{"crit": []string{}}), "not supported"},
		{"a payload that is not in Base64", header(object{"crit": []string{"b64"}, "b64": false}), "not supported"},
		{"b64 without crit", header(object{"b64": false}), "not supported"},
		{"alg twice", signText(t, jose.RS256, rsaKey(), `{"alg":"none","alg":"RS256","kid":"k"}`, "{}"), "not a signed JWT"},
		{"a typ that is no text", header(object{"typ": []string{"JWT"}}), "not a signed JWT"},
		{"changed claims", parts[0] + "." + encode(fmt.Sprintf(`{"sub":"root",%s}`, rest)) + "." + parts[2], "signature"},
		{"a changed signature", parts[0] + "." + parts[1] + "." + encode(strings.Repeat("x", 256)), "signature"},
		{"an issuer that is not trusted", claims(object{"iss": "https://evil.example.com"}), "not trusted"},
		{"an issuer with a slash more", claims(object{"iss": p.URL + "/"}), "not trusted"},
		{"no issuer", claims(object{"iss": nil}), "not trusted"},
		{"issuers as a list", claims(object{"iss": []string{p.URL}}), "not a signed JWT"},
		{"another audience", claims(object{"aud": "billing"}), "audience"},
		{"other audiences", claims(object{"aud": []string{"billing", "Rollcall", "rollcall "}}), "audience"},
		{"no audience", claims(object{"aud": nil}), "audience"},
		{"an audience that is an object", claims(object{"aud": object{"rollcall": true}}), "malformed"},
		{"no subject", claims(object{"sub": nil}), "subject"},
		{"an empty subject", claims(object{"sub": ""}), "subject"},
		{"a subject that is a number", claims(object{"sub": 1}), "malformed"},
		{"a subject of 256 bytes", claims(object{"sub": strings.Repeat("a", 256)}), "subject"},
		{"Sub instead of sub", claims(object{"sub": nil, "Sub": "ann"}), "subject"},
		{"two subjects", text(`{"sub":"ann","sub":"root",` + rest + `}`), "not a signed JWT"},
		{"two issuers", text(`{"sub":"ann","iss":"https://evil.example.com",` + rest + `}`), "not a signed JWT"},
		{"two of an inner name", text(`{"sub":"ann","realm_access":{"roles":["a"],"roles":["admin"]},` + rest + `}`), "malformed"},
		{"a subject that is not UTF-8", text("{\"sub\":\"ann\xff\"," + rest + `}`), "malformed"},
		{"something after the claims", text(`{"sub":"ann",` + rest + `}{}`), "not a signed JWT"},
		{"claims that are a list", text(`[{"sub":"ann",` + rest + `}]`), "not a signed JWT"},
		{"expired", claims(object{"exp": now - 60}), "expired"},
		{"no expiry", claims(object{"exp": nil}), "no time"},
		{"an expiry that is a text", claims(object{"exp": "4102444800"}), "malformed"},
		{"an expiry beyond all numbers", text(`{"sub":"ann",` + strings.Replace(rest, fmt.Sprint(now+3600), "1e300", 1) + `}`), "malformed"},
		{"an expiry that is negative", claims(object{"exp": -1}), "expired"},
		{"nbf in the future", claims(object{"nbf": now + 60}), "future"},
		{"iat in the future", claims(object{"iat": now + 60}), "future"},
		{"an ID token of Keycloak", claims(object{"typ": "ID", "azp": "rollcall", "scope": nil}), "says that it is no access token"},
		{"a refresh token of Keycloak", claims(object{"typ": "Refresh"}), "says that it is no access token"},
		{"an offline token of Keycloak", claims(object{"typ": "Offline"}), "says that it is no access token"},
		{"a logout token of Keycloak", claims(object{"typ": "Logout", "events": object{}}), "says that it is no access token"},
		{"a type that is a list", claims(object{"typ": []string{"Bearer"}}), "says that it is no access token"},
		{"an ID token of Cognito", claims(object{"token_use": "id"}), "says that it is no access token"},
		{"an ID token with a nonce", claims(object{"nonce": "n"}), "claim nonce"},
		{"an ID token with a nonce and the type of RFC 9068", sign(t, jose.RS256, rsaKey(), kid.with(object{"typ": "at+jwt"}), good.with(object{"nonce": "n"})), "claim nonce"},
		{"an ID token of the implicit flow", claims(object{"at_hash": "h"}), "claim at_hash"},
		{"an ID token of the hybrid flow", claims(object{"typ": "Bearer", "c_hash": "h"}), "claim c_hash"},
		{"an ID token of Entra, with roles", idToken(object{"ver": "2.0", "oid": "1", "preferred_username": "ann"}), "differs from an ID token"},
		{"an ID token of Okta", idToken(object{"ver": 1, "jti": "ID.1", "amr": []string{"pwd"}, "idp": "1", "auth_time": now}), "differs from an ID token"},
		{"an ID token of Auth0", idToken(object{"nickname": "ann", "sid": "1"}), "differs from an ID token"},
		{"an ID token whose azp is its audience", idToken(object{"azp": "rollcall"}), "for the client that got it"},
		{"an ID token whose azp is one of its audiences", idToken(object{"azp": "app", "aud": []string{"rollcall", "app"}}), "for the client that got it"},
		{"an ID token whose azp is no text", idToken(object{"azp": 1, "client_id": "app"}), "for the client that got it"},
		{"a logout token", claims(object{"events": object{"http://schemas.openid.net/event/backchannel-logout": object{}}}), "claim events"},
		{"a logout token by its header", header(object{"typ": "logout+jwt"}), "type is not that"},
		{"a security event by its header", header(object{"typ": "secevent+jwt"}), "type is not that"},
		{"a proof of possession by its header", header(object{"typ": "dpop+jwt"}), "type is not that"},
		{"a token that is bound to a key", claims(object{"cnf": object{"jkt": "x"}}), "claim cnf"},
	}
}

func TestHostileTokensAreRefused(t *testing.T) {
	forPS, forEncryption := public("ps", otherRSAKey()), public("enc", otherRSAKey())
	forPS.Algorithm, forEncryption.Use = "PS256", "enc"
	p := newProvider(t, public("k", rsaKey()), forPS, forEncryption)
	p.before = func(r *http.Request) {
		if r.URL.Path == "/hostile" {
			t.Error("what a token's header names was asked for")
		}
	}
	s, _ := trust(t, p)
	if _, err := s.Verify(t.Context(), sign(t, jose.RS256, rsaKey(), object{"kid": "k"}, p.access())); err != nil {
		t.Fatalf("a good one: %v", err)
	}
	for _, h := range hostileTokens(t, p) {
		for range 2 { // the second time it might be known
			identity, err := s.Verify(t.Context(), h.token)
			invalid, ok := errors.AsType[*InvalidTokenError](err)
			if !ok || !strings.Contains(invalid.Reason, h.reason) {
				t.Errorf("%s: error %v, and it should say %q", h.name, err, h.reason)
				continue
			}
			if identity.Subject != "" || identity.Roles != nil {
				t.Errorf("%s: it is about %+v", h.name, identity)
			}
			if invalid.Expired != (h.reason == "expired") {
				t.Errorf("%s: expired is %t", h.name, invalid.Expired)
			}
			if len(h.token) > 20 && strings.Contains(err.Error(), h.token[len(h.token)-20:]) {
				t.Errorf("%s: the error has the token's signature: %v", h.name, err)
			}
		}
	}
	if s.verified.Len() != 1 {
		t.Errorf("%d tokens are known as good", s.verified.Len())
	}
	if p.timesAsked() != 2 {
		t.Errorf("the issuer was asked %d times for its keys, and not once before and once because of unknown keys", p.timesAsked())
	}
}

func TestTimesAreComparedWithALeeway(t *testing.T) {
	p := newProvider(t, public("k", rsaKey()))
	s, c := trust(t, p)
	now := c.Now().Unix()
	for _, claims := range []object{{"exp": now - 29}, {"nbf": now + 29}, {"iat": now + 29}} {
		if _, err := s.Verify(t.Context(), sign(t, jose.RS256, rsaKey(), object{"kid": "k"}, p.access().with(claims))); err != nil {
			t.Errorf("%v at %d: %v", claims, now, err)
		}
	}
}

func TestAnIdentityHasWhatTheTokenSays(t *testing.T) {
	p := newProvider(t, public("k", rsaKey()))
	s, c := trust(t, p)
	expires := c.Now().Add(time.Hour).Truncate(time.Second)
	for _, row := range []struct {
		claims   object
		name     string
		email    string
		verified bool
	}{
		{object{"name": "Ann", "preferred_username": "a1", "email": "ann@example.com", "email_verified": true}, "Ann", "ann@example.com", true},
		{object{"preferred_username": "a1", "email": "ann@example.com", "email_verified": "true"}, "a1", "ann@example.com", true},
		{object{"email": "ann@example.com", "email_verified": "True"}, "", "ann@example.com", false},
		{object{"email": "ann@example.com", "email_verified": 1}, "", "ann@example.com", false},
		{object{"email": "ann@example.com"}, "", "ann@example.com", false},
		{object{"email": []string{"ann@example.com"}, "email_verified": false}, "", "", false},
	} {
		token := sign(t, jose.RS256, rsaKey(), object{"kid": "k"}, p.access().with(row.claims).with(object{"exp": expires.Unix()}))
		for range 2 { // the second comes from the cache
			got, err := s.Verify(t.Context(), token)
			if err != nil || got.Name != row.name || got.Email != row.email || got.EmailVerified != row.verified || !got.Expires.Equal(expires) {
				t.Errorf("%v: %+v, error %v", row.claims, got, err)
			}
		}
	}
}

func TestAVerifiedTokenIsVerifiedOnceUntilItExpires(t *testing.T) {
	p := newProvider(t, public("k", rsaKey()))
	s, c := trust(t, p)
	token := sign(t, jose.RS256, rsaKey(), object{"kid": "k"}, p.access().with(object{"exp": c.Now().Add(time.Hour).Unix()}))
	first := must(s.Verify(t.Context(), token))
	second := must(s.Verify(t.Context(), token))
	if &first.Roles[0] != &second.Roles[0] {
		t.Error("it was read again")
	}
	c.pass(time.Hour + 29*time.Second)
	if _, err := s.Verify(t.Context(), token); err != nil {
		t.Errorf("within the Leeway: %v", err)
	}
	c.pass(2 * time.Second)
	_, err := s.Verify(t.Context(), token)
	if invalid, ok := errors.AsType[*InvalidTokenError](err); !ok || !invalid.Expired {
		t.Errorf("after it: %v", err)
	}
	if s.verified.Len() != 0 {
		t.Error("an expired token is kept")
	}
}

func TestTheNumberOfKnownTokensIsBounded(t *testing.T) {
	p := newProvider(t, public("ed", edKey()))
	s, _ := trust(t, p)
	s.verified.Resize(10)
	for n := range 25 {
		must(s.Verify(t.Context(), sign(t, jose.EdDSA, edKey(), object{"kid": "ed"}, p.access().with(object{"jti": strconv.Itoa(n)}))))
	}
	if s.verified.Len() != 10 {
		t.Errorf("%d tokens are kept", s.verified.Len())
	}
}

func TestEachIssuersKeysVerifyItsOwnTokensAlone(t *testing.T) {
	a, b := newProvider(t, public("k", rsaKey())), newProvider(t, public("k", otherRSAKey()))
	s := must(NewIssuers(slog.New(slog.DiscardHandler),
		Issuer{URL: a.URL, Audiences: []string{"rollcall"}}, Issuer{URL: b.URL, Audiences: []string{"other", "rollcall-b"}, RolesClaim: "roles"}))
	for _, i := range s.issuers {
		if err := i.ask(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	kid := object{"kid": "k"}
	forB := b.access().with(object{"aud": "rollcall-b"})
	if identity := must(s.Verify(t.Context(), sign(t, jose.RS256, rsaKey(), kid, a.access()))); identity.Issuer != a.URL || identity.Roles != nil {
		t.Errorf("of a: %+v", identity)
	}
	if identity := must(s.Verify(t.Context(), sign(t, jose.RS256, otherRSAKey(), kid, forB))); identity.Issuer != b.URL || len(identity.Roles) != 2 {
		t.Errorf("of b: %+v", identity)
	}
	for name, token := range map[string]string{
		"a's claims by b's key": sign(t, jose.RS256, otherRSAKey(), kid, a.access()),
		"b's claims by a's key": sign(t, jose.RS256, rsaKey(), kid, forB),
		"b's, for a's audience": sign(t, jose.RS256, otherRSAKey(), kid, b.access()),
	} {
		if _, err := s.Verify(t.Context(), token); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

func TestIssuersThatCannotWorkAreRefused(t *testing.T) {
	good := Issuer{URL: "https://login.example.com/tenant", Audiences: []string{"rollcall"}}
	if _, err := NewIssuers(slog.New(slog.DiscardHandler), good, Issuer{URL: "http://[::1]:8080", Audiences: []string{"x"}}); err != nil {
		t.Fatal(err)
	}
	for name, issuers := range map[string][]Issuer{
		"twice the same":    {good, good},
		"no audience":       {{URL: good.URL}},
		"an empty audience": {{URL: good.URL, Audiences: []string{""}}},
		"no URL":            {{URL: "login.example.com", Audiences: good.Audiences}},
		"malformed":         {{URL: "https://[", Audiences: good.Audiences}},
		"without https":     {{URL: "http://login.example.com", Audiences: good.Audiences}},
		"below localhost":   {{URL: "http://login.localhost", Audiences: good.Audiences}},
		"a password":        {{URL: "https://a:b@login.example.com", Audiences: good.Audiences}},
		"a query":           {{URL: "https://login.example.com?p=1", Audiences: good.Audiences}},
		"a fragment":        {{URL: "https://login.example.com#x", Audiences: good.Audiences}},
	} {
		if _, err := NewIssuers(slog.New(slog.DiscardHandler), issuers...); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

func FuzzVerify(f *testing.F) {
	p := newProvider(f, public("k", rsaKey()))
	s, _ := trust(f, p)
	valid := sign(f, jose.RS256, rsaKey(), object{"kid": "k"}, p.access())
	f.Add(valid)
	for _, h := range hostileTokens(f, p) {
		f.Add(h.token)
	}
	f.Fuzz(func(t *testing.T, token string) {
		identity, err := s.Verify(t.Context(), token)
		if _, ok := errors.AsType[*InvalidTokenError](err); !ok && (err != nil || identity.Subject != "ann") {
			t.Errorf("about %+v, error %v", identity, err)
		}
	})
}

func BenchmarkVerify(b *testing.B) {
	p := newProvider(b, public("k", rsaKey()))
	s, _ := trust(b, p)
	token := sign(b, jose.RS256, rsaKey(), object{"kid": "k", "typ": "JWT"}, p.access().with(object{
		"typ": "Bearer", "azp": "app", "sid": strings.Repeat("s", 36), "name": "Ann Example", "email": "ann@example.com", "email_verified": true,
		"realm_access": object{"roles": []string{"admins", "staff", "offline_access", "uma_authorization"}}, "acr": strings.Repeat("a", 200),
	}))
	b.Logf("a token of %d bytes", len(token))
	b.Run("known", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := s.Verify(b.Context(), token); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("new", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			s.verified.Purge()
			if _, err := s.Verify(b.Context(), token); err != nil {
				b.Fatal(err)
			}
		}
	})
}
