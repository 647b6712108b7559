package auth

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/rsa"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
)

func TestKeysRotate(t *testing.T) {
	p := newProvider(t, public("old", rsaKey()))
	s, c := trust(t, p)
	byOld := sign(t, jose.RS256, rsaKey(), object{"kid": "old"}, p.access())
	byNew := sign(t, jose.RS256, otherRSAKey(), object{"kid": "new"}, p.access())
	if _, err := s.Verify(t.Context(), byOld); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Verify(t.Context(), byNew); err == nil {
		t.Fatal("a key was accepted before it was published")
	}
	p.set(func() { p.keys = []jose.JSONWebKey{public("old", rsaKey()), public("new", otherRSAKey())} })
	c.pass(usual.gap)
	for name, token := range map[string]string{"the new key": byNew, "the old key": byOld} {
		if _, err := s.Verify(t.Context(), token); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	if p.timesAsked() != 3 {
		t.Errorf("the issuer was asked %d times", p.timesAsked())
	}

	// A token that was verified before is refused as soon as its key is known to be withdrawn.
	p.set(func() { p.keys = []jose.JSONWebKey{public("new", otherRSAKey())} })
	if err := s.issuers[p.URL].ask(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Verify(t.Context(), byOld); err == nil {
		t.Error("a withdrawn key is accepted")
	}
	if _, err := s.Verify(t.Context(), byNew); err != nil {
		t.Errorf("the new key: %v", err)
	}
}

func TestKeysThatStayTheSameKeepWhatWasVerified(t *testing.T) {
	p := newProvider(t, public("k", rsaKey()))
	s, _ := trust(t, p)
	token := sign(t, jose.RS256, rsaKey(), object{"kid": "k"}, p.access())
	first := must(s.Verify(t.Context(), token))
	if err := s.issuers[p.URL].ask(t.Context()); err != nil {
		t.Fatal(err)
	}
	if second := must(s.Verify(t.Context(), token)); &first.Roles[0] != &second.Roles[0] {
		t.Error("it was verified again")
	}
}

func TestUnknownKeysDoNotMakeTheIssuerBeAskedOften(t *testing.T) {
	p := newProvider(t, public("k", rsaKey()))
	s, c := trust(t, p)
	hostile := func(kid string) string { return sign(t, jose.RS256, otherRSAKey(), object{"kid": kid}, p.access()) }
	for round := range 3 {
		var sending sync.WaitGroup
		for kid := range strings.SplitSeq("abcdefghijklmnopqrst", "") {
			token := hostile(kid)
			sending.Go(func() {
				if _, err := s.Verify(t.Context(), token); err == nil {
					t.Error("accepted")
				}
			})
		}
		sending.Wait()
		if p.timesAsked() != 2+round {
			t.Errorf("in round %d the issuer has been asked %d times", round, p.timesAsked())
		}
		c.pass(usual.gap)
	}
	// Nor does a wrong signature by a key that is known.
	if _, err := s.Verify(t.Context(), hostile("k")); err == nil || p.timesAsked() != 4 {
		t.Errorf("it has been asked %d times; error %v", p.timesAsked(), err)
	}
}

func TestAnIssuerThatIsDownStopsNoTokenWhoseKeyIsKnown(t *testing.T) {
	p := newProvider(t, public("k", rsaKey()))
	s, c := trust(t, p)
	p.Close()
	if err := s.issuers[p.URL].ask(t.Context()); err == nil {
		t.Fatal("it has answered")
	}
	c.pass(usual.gap)
	if _, err := s.Verify(t.Context(), sign(t, jose.RS256, otherRSAKey(), object{"kid": "new"}, p.access())); err == nil {
		t.Error("an unknown key is accepted")
	}
	if _, err := s.Verify(t.Context(), sign(t, jose.RS256, rsaKey(), object{"kid": "k"}, p.access())); err != nil {
		t.Error(err)
	}
	if err := s.Ready(); err != nil {
		t.Error(err)
	}
}

// lines is a log whose lines can be waited for.
type lines chan string

func (l lines) Write(line []byte) (int, error) {
	l <- string(line)
	return len(line), nil
}

func TestAStartWithoutTheIssuerSaysSoAndWaitsForIt(t *testing.T) {
	p := newProvider(t, public("k", rsaKey()))
	p.answer = func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "later", http.StatusServiceUnavailable) }
	log := make(lines, 100)
	s := must(NewIssuers(slog.New(slog.NewTextHandler(log, nil)), Issuer{URL: p.URL, Audiences: []string{"rollcall"}}))
	s.issuers[p.URL].times = times{request: time.Minute, refresh: time.Hour, minPause: time.Millisecond, maxPause: 4 * time.Millisecond}
	token := sign(t, jose.RS256, rsaKey(), object{"kid": "k"}, p.access())
	notReady := func(err error) {
		t.Helper()
		if e, ok := errors.AsType[*NotReadyError](err); !ok || e.Issuer != p.URL {
			t.Errorf("error %v", err)
		}
	}
	notReady(s.Ready())

	ctx, end := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() {
		s.Run(ctx)
		close(ended)
	}()
	for _, next := range []string{"1ms", "2ms", "4ms", "4ms"} {
		line := <-log
		if !strings.Contains(line, "level=WARN") || !strings.Contains(line, "known=false next="+next) || !strings.Contains(line, p.URL) || !strings.Contains(line, "503") {
			t.Errorf("instead of the pause of %s the log says %s", next, line)
		}
	}
	notReady(s.Ready())
	if _, err := s.Verify(t.Context(), token); !strings.Contains(err.Error(), "503") {
		t.Errorf("the error does not say what is the matter: %v", err)
	} else {
		notReady(err)
	}
	p.set(func() { p.answer = nil })
	for line := range log {
		if strings.Contains(line, "level=INFO") {
			break
		}
	}
	if err := s.Ready(); err != nil {
		t.Error(err)
	}
	if _, err := s.Verify(t.Context(), token); err != nil {
		t.Error(err)
	}
	end()
	<-ended
}

func TestKeysAreLookedForAgainAndAgain(t *testing.T) {
	p := newProvider(t, public("old", rsaKey()))
	s := must(NewIssuers(slog.New(slog.DiscardHandler), Issuer{URL: p.URL, Audiences: []string{"rollcall"}}))
	s.issuers[p.URL].times.refresh = time.Millisecond
	ctx, end := context.WithCancel(t.Context())
	looked, enough := make(chan struct{}), make(chan struct{})
	p.before = func(r *http.Request) {
		if r.URL.Path != "/keys" {
			return
		}
		select {
		case looked <- struct{}{}:
		case <-enough:
		}
	}
	ended := make(chan struct{})
	go func() {
		s.Run(ctx)
		close(ended)
	}()
	<-looked
	<-looked // the first look is over
	token := sign(t, jose.RS256, rsaKey(), object{"kid": "old"}, p.access())
	if _, err := s.Verify(t.Context(), token); err != nil {
		t.Error(err)
	}
	p.set(func() { p.keys = []jose.JSONWebKey{public("new", otherRSAKey())} })
	<-looked
	<-looked
	close(enough)
	if _, err := s.Verify(t.Context(), token); err == nil {
		t.Error("a withdrawn key is accepted")
	}
	end()
	<-ended
}

// A request that is given up has been the one that asks; whoever waits for the answer gets it all the same.
func TestAnAnswerThatOthersWaitForIsNotGivenUp(t *testing.T) {
	p := newProvider(t, public("old", rsaKey()))
	s, _ := trust(t, p)
	p.set(func() { p.keys = []jose.JSONWebKey{public("new", otherRSAKey())} })
	ctx, giveUp := context.WithCancel(t.Context())
	p.set(func() { p.before = func(*http.Request) { giveUp() } })
	if _, err := s.Verify(ctx, sign(t, jose.RS256, otherRSAKey(), object{"kid": "new"}, p.access())); err != nil {
		t.Error(err)
	}
	if ctx.Err() == nil {
		t.Error("nobody was asked")
	}
}

func TestATokenWithoutKidNeedsAnIssuerWithOneKey(t *testing.T) {
	p := newProvider(t, public("", rsaKey()))
	s, _ := trust(t, p)
	token := sign(t, jose.RS256, rsaKey(), nil, p.access())
	if _, err := s.Verify(t.Context(), token); err != nil {
		t.Error(err)
	}
	p.set(func() { p.keys = append(p.keys, public("2", otherRSAKey())) })
	if err := s.issuers[p.URL].ask(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Verify(t.Context(), token); err == nil {
		t.Error("accepted where there are two")
	}
}

func TestOnlyKeysThatMaySignAreRead(t *testing.T) {
	short := must(rsa.GenerateKey(rand.Reader, 1024))
	weak, private, secret, forEncryption := public("weak", short), jose.JSONWebKey{KeyID: "private", Key: rsaKey()}, jose.JSONWebKey{KeyID: "oct", Key: []byte("secret")}, public("enc", rsaKey())
	forEncryption.Use = "enc"
	text := func(keys ...jose.JSONWebKey) string {
		all := []string{`{"kty":"OKP","crv":"Ed448","kid":"448","x":"AA"}`, `{"kty":"new"}`, `{"kty":"RSA","kid":"broken","n":"!","e":"AQAB"}`, `1`}
		for _, key := range keys {
			all = append(all, string(must(key.MarshalJSON())))
		}
		return `{"keys":[` + strings.Join(all, ",") + `]}`
	}
	told, err := readKeys([]byte(text(weak, private, secret, forEncryption, public("rsa", rsaKey()), public("ec", ecKey()), public("ed", edKey()))))
	if err != nil {
		t.Fatal(err)
	}
	var kids []string
	for _, key := range told.keys {
		kids = append(kids, key.KeyID)
	}
	if got := strings.Join(kids, " "); got != "rsa ec ed" {
		t.Errorf("the keys are %s", got)
	}
	many := make([]jose.JSONWebKey, maxKeys)
	for n := range many {
		many[n] = public("k", edKey())
	}
	for name, document := range map[string]string{
		"none": `{"keys":[]}`, "no list": `{}`, "no JSON": "<html>", "none of use": text(weak, private, secret, forEncryption), "too many": text(many...),
	} {
		if _, err := readKeys([]byte(document)); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

func TestAnIssuerIsBelievedOnlyWhatItMaySay(t *testing.T) {
	redirect := func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, "/.well-known/openid-configuration", http.StatusFound)
	}
	endless := func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write([]byte(`{"keys":[`))
		_, _ = w.Write(bytes.Repeat([]byte(" "), maxDocument))
		_, _ = io.WriteString(w, `]}`)
	}
	for _, row := range []struct {
		name     string
		document map[string]any
		answer   http.HandlerFunc
		err      string
	}{
		{"another issuer", map[string]any{"issuer": "https://login.example.com"}, nil, "did not match"},
		{"an issuer with a slash more", map[string]any{"issuer": "/"}, nil, "did not match"},
		{"keys without https", map[string]any{"jwks_uri": "http://login.example.com/keys"}, nil, "https"},
		{"keys in a file", map[string]any{"jwks_uri": "file:///etc/passwd"}, nil, "https"},
		{"no keys", map[string]any{"jwks_uri": ""}, nil, "https"},
		{"keys elsewhere", nil, redirect, "302"},
		{"more than can be", nil, endless, "too large"},
		{"a long error", nil, func(w http.ResponseWriter, _ *http.Request) {
			_, _ = io.WriteString(w, `{"keys":"`+strings.Repeat("x", 5000)+`"}`)
		}, "its keys"},
	} {
		t.Run(row.name, func(t *testing.T) {
			p := newProvider(t, public("k", rsaKey()))
			p.document, p.answer = row.document, row.answer
			if row.document["issuer"] == "/" {
				p.document = map[string]any{"issuer": p.URL + "/"}
			}
			s := must(NewIssuers(slog.New(slog.DiscardHandler), Issuer{URL: p.URL, Audiences: []string{"rollcall"}}))
			err := s.issuers[p.URL].ask(t.Context())
			if err == nil || !strings.Contains(err.Error(), row.err) || len(err.Error()) > 310 {
				t.Errorf("error %v", err)
			}
			if s.Ready() == nil {
				t.Error("its keys are known")
			}
		})
	}
}

func TestTheOriginsOfALoginAreThoseOfTheIssuerAndItsEndpoints(t *testing.T) {
	p := newProvider(t, public("k", rsaKey()))
	s := must(NewIssuers(slog.New(slog.DiscardHandler), Issuer{URL: p.URL, Audiences: []string{"rollcall"}}))
	origins := func() string { return strings.Join(s.Origins(p.URL), " ") }
	if origins() != p.URL {
		t.Errorf("before its document is known: %s", origins())
	}
	for _, endpoints := range []struct{ token, revocation, want string }{
		{p.URL + "/token", p.URL + "/revoke", p.URL},
		{"https://login.example.com/token", "https://login.example.com:8443/revoke", p.URL + " https://login.example.com https://login.example.com:8443"},
		{"http://[::1]:9000/token", "", p.URL + " http://[::1]:9000"},
		{"http://login.example.com/token", "javascript:alert(1)", p.URL},
		{"https://a;script-src/token", "https://*.example.com/revoke", p.URL},
		{"https://user@login.example.com/token", "https://'self'/revoke", p.URL + " https://login.example.com"},
		{"https://", "/token", p.URL},
	} {
		p.set(func() {
			p.document = object{"token_endpoint": endpoints.token, "revocation_endpoint": endpoints.revocation}
		})
		if err := s.issuers[p.URL].ask(t.Context()); err != nil {
			t.Fatal(err)
		}
		if origins() != endpoints.want {
			t.Errorf("%+v: %s", endpoints, origins())
		}
	}
}
