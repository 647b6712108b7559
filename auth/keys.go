package auth

import (
	"bytes"
	"context"
	"crypto/rsa"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"github.com/go-jose/go-jose/v4"
)

const (
	maxDocument = 1 << 20 // bytes of what an issuer answers
	maxKeys     = 100     // of an issuer
	minRSA      = 2048    // bits (RFC 7518, section 3.3)
)

// times are how long things may take.
type times struct {
	request  time.Duration // until an issuer has to have answered
	refresh  time.Duration // between two looks for keys; what the issuer has withdrawn is refused after this
	gap      time.Duration // between two looks because of tokens with unknown keys
	minPause time.Duration // until an issuer that did not answer is asked again
	maxPause time.Duration // between two later attempts
}

var usual = times{request: 10 * time.Second, refresh: 4 * time.Minute, gap: 5 * time.Second, minPause: time.Second, maxPause: 30 * time.Second}

// keys are the public ones of an issuer. They are not changed.
type keys struct {
	document []byte
	keys     []jose.JSONWebKey
}

// issuer is a provider and what is known of it.
//
// oidc.RemoteKeySet would ask it for keys again for each token that it cannot verify, and would keep a withdrawn key until then.
type issuer struct {
	Issuer
	times  times
	client *http.Client
	log    *slog.Logger
	now    func() time.Time

	keys    atomic.Pointer[keys] // nil: not known yet
	origins atomic.Pointer[[]string]
	failure atomic.Pointer[error]
	asking  chan struct{} // has room for the one that asks
	asked   time.Time     // when it was asked last because of a token; of the one in asking
}

func newIssuer(i Issuer, client *http.Client, log *slog.Logger) *issuer {
	return &issuer{Issuer: i, times: usual, client: client, log: log.With("issuer", i.URL), now: time.Now, asking: make(chan struct{}, 1)}
}

func (i *issuer) notReady() *NotReadyError {
	e := &NotReadyError{Issuer: i.URL}
	if cause := i.failure.Load(); cause != nil {
		e.Cause = *cause
	}
	return e
}

// run keeps the keys current until ctx ends.
func (i *issuer) run(ctx context.Context) {
	pause, answered := i.times.minPause, false
	for {
		err := i.askInTurn(ctx)
		next := i.times.refresh
		switch {
		case ctx.Err() != nil:
			return
		case err != nil:
			next, pause = pause, min(2*pause, i.times.maxPause)
			i.log.WarnContext(ctx, "an issuer of tokens does not tell its keys", "err", err, "known", i.keys.Load() != nil, "next", next)
			answered = false
		case !answered:
			i.log.InfoContext(ctx, "an issuer of tokens has told its keys", "keys", len(i.keys.Load().keys))
			pause, answered = i.times.minPause, true
		}
		timer := time.NewTimer(next)
		select {
		case <-ctx.Done():
			timer.Stop()
			return
		case <-timer.C:
		}
	}
}

func (i *issuer) askInTurn(ctx context.Context) error {
	select {
	case i.asking <- struct{}{}:
	case <-ctx.Done():
		return ctx.Err()
	}
	defer func() { <-i.asking }()
	return i.ask(ctx)
}

// verify returns the payload of a token if its signature is good, and the keys of which one has verified it.
func (i *issuer) verify(ctx context.Context, t *parsedToken) ([]byte, *keys, error) {
	known := i.keys.Load()
	if known == nil {
		return nil, nil, i.notReady()
	}
	fitting := known.fitting(t)
	if len(fitting) == 0 {
		known = i.askFor(ctx, known)
		fitting = known.fitting(t)
	}
	for _, key := range fitting {
		if payload, err := t.Verify(key); err == nil {
			return payload, known, nil
		}
	}
	if len(fitting) == 0 {
		return nil, nil, refuse("the token is signed with a key that its issuer does not publish", t.kid)
	}
	return nil, nil, refuse("the token's signature is wrong")
}

// fitting returns the keys that may have signed a token. One that does not name its key is accepted where there is one alone, as OpenID
// Connect has it (Core, section 10.1).
func (k *keys) fitting(t *parsedToken) []*jose.JSONWebKey {
	var fitting []*jose.JSONWebKey
	for n := range k.keys {
		key := &k.keys[n]
		if (t.kid == "" || key.KeyID == t.kid) && (key.Algorithm == "" || key.Algorithm == t.algorithm) {
			fitting = append(fitting, key)
		}
	}
	if t.kid == "" && len(fitting) > 1 {
		return nil
	}
	return fitting
}

// askFor asks for keys that known does not have, and returns those that are known then. It asks once for all that wait, and not again
// before the gap is over: whoever sends tokens with keys of their own invention has no more asked than that.
func (i *issuer) askFor(ctx context.Context, known *keys) *keys {
	select {
	case i.asking <- struct{}{}:
	case <-ctx.Done():
		return known
	}
	defer func() { <-i.asking }()
	if now := i.now(); i.keys.Load() == known && now.Sub(i.asked) >= i.times.gap {
		i.asked = now
		// Others wait for the answer too, whatever becomes of this request.
		if err := i.ask(context.WithoutCancel(ctx)); err != nil {
			i.log.WarnContext(ctx, "an issuer of tokens does not tell its keys", "err", err, "known", true)
		}
	}
	return i.keys.Load()
}

// ask asks the issuer for its discovery document and its keys. Who calls it is in asking.
func (i *issuer) ask(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, i.times.request)
	defer cancel()
	told, err := i.fetch(ctx)
	if err != nil {
		err = short(err)
		i.failure.Store(&err)
		return err
	}
	// Tokens that were verified by these keys before stay so.
	if known := i.keys.Load(); known == nil || !bytes.Equal(known.document, told.document) {
		i.keys.Store(told)
	}
	return nil
}

func (i *issuer) fetch(ctx context.Context) (*keys, error) {
	provider, err := oidc.NewProvider(oidc.ClientContext(ctx, i.client), i.URL)
	if err != nil {
		return nil, fmt.Errorf("its discovery document: %w", err)
	}
	var document struct {
		URL        string `json:"jwks_uri"`
		Token      string `json:"token_endpoint"`
		Revocation string `json:"revocation_endpoint"`
	}
	if err := provider.Claims(&document); err != nil {
		return nil, fmt.Errorf("its discovery document: %w", err)
	}
	origins := originsOf(i.URL, document.Token, document.Revocation)
	i.origins.Store(&origins)
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, document.URL, http.NoBody)
	if err != nil {
		return nil, fmt.Errorf("its keys: %w", err)
	}
	r.Header.Set("Cache-Control", "no-cache")
	resp, err := i.client.Do(r)
	if err != nil {
		return nil, fmt.Errorf("its keys: %w", err)
	}
	defer resp.Body.Close() //nolint:errcheck // it was only read
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return nil, fmt.Errorf("its keys: %w", err)
	}
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("its keys: %s", resp.Status)
	}
	return readKeys(body)
}

// isHost matches a host, with or without a port, as it may stand in an origin. Go's URLs let more pass, such as semicolons.
var isHost = regexp.MustCompile(`^([a-zA-Z0-9.-]+|\[[0-9a-fA-F:]+\])(:[0-9]+)?$`)

// originsOf returns the origins of some URLs, each once, and leaves out what is none that a browser may ask.
func originsOf(urls ...string) (origins []string) {
	for _, text := range urls {
		u, err := url.Parse(text)
		if err != nil || protected(u) != nil || !isHost.MatchString(u.Host) {
			continue
		}
		if origin := u.Scheme + "://" + u.Host; !slices.Contains(origins, origin) {
			origins = append(origins, origin)
		}
	}
	return origins
}

// readKeys reads a JSON Web Key Set. Keys that are not understood or may not sign are left out, as RFC 7517, section 5, has it.
func readKeys(document []byte) (*keys, error) {
	var set struct {
		Keys []json.RawMessage `json:"keys"`
	}
	if err := json.Unmarshal(document, &set); err != nil {
		return nil, fmt.Errorf("its keys: %w", err)
	}
	if len(set.Keys) > maxKeys {
		return nil, fmt.Errorf("its keys: %d are too many", len(set.Keys))
	}
	told := &keys{document: document}
	for _, text := range set.Keys {
		var key jose.JSONWebKey
		if key.UnmarshalJSON(text) == nil && signs(&key) {
			told.keys = append(told.keys, key)
		}
	}
	if len(told.keys) == 0 {
		return nil, fmt.Errorf("its keys: none of %d is one that may sign tokens", len(set.Keys))
	}
	return told, nil
}

func signs(key *jose.JSONWebKey) bool {
	if !key.Valid() || !key.IsPublic() || key.Use != "" && key.Use != "sig" {
		return false
	}
	rsaKey, isRSA := key.Key.(*rsa.PublicKey)
	return !isRSA || rsaKey.N.BitLen() >= minRSA
}

// newClient returns what asks issuers.
func newClient() *http.Client {
	return &http.Client{
		Transport: boundedTransport{&http.Transport{
			Proxy:                  http.ProxyFromEnvironment,
			ForceAttemptHTTP2:      true,
			MaxIdleConnsPerHost:    1,
			IdleConnTimeout:        time.Minute,
			MaxResponseHeaderBytes: 64 << 10,
		}},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// boundedTransport asks only where nobody in between can answer, and reads no more than maxDocument.
type boundedTransport struct{ http.RoundTripper }

func (t boundedTransport) RoundTrip(r *http.Request) (*http.Response, error) {
	if err := protected(r.URL); err != nil {
		return nil, err
	}
	resp, err := t.RoundTripper.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	resp.Body = http.MaxBytesReader(nil, resp.Body, maxDocument)
	return resp, nil
}

// protected refuses a URL whose answers may come from anybody.
func protected(u *url.URL) error {
	if u.Scheme == "https" || u.Scheme == "http" && (u.Hostname() == "localhost" || isLoopbackAddr(u.Hostname())) {
		return nil
	}
	return errors.New("it has to be asked by https, except on a loopback address")
}

// short cuts an error's text, in which an answer's body may be.
func short(err error) error {
	const enough = 300 // bytes
	text := err.Error()
	if len(text) <= enough {
		return err
	}
	return errors.New(strings.ToValidUTF8(text[:enough], "") + "…")
}
