package auth

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/go-jose/go-jose/v4/jwt"
	lru "github.com/hashicorp/golang-lru/v2"
)

const (
	maxToken  = 16 << 10 // bytes
	maxCached = 10_000   // verified tokens, each with 1 or 2 KB
)

// Leeway is for how long a token is accepted that has expired, since clocks differ.
const Leeway = 30 * time.Second

// Issuer is an OpenID provider whose access tokens are accepted.
type Issuer struct {
	// URL is what the provider calls itself: the claim iss of its tokens and the issuer of its discovery document, character for
	// character (a slash at the end counts). It is of https, or of http on a loopback address.
	//
	// Entra names one issuer for each tenant and version of tokens: https://login.microsoftonline.com/TENANT/v2.0 where the
	// application's manifest has requestedAccessTokenVersion 2, and https://sts.windows.net/TENANT/ where it has 1 or null. Its
	// documents for several tenants (common, organizations) name an issuer that is none, and do not work here.
	URL string

	// Audiences are the names that this server has at the provider. A token has to be for one of them. Keycloak puts none into a
	// token but "account" until the client has an audience mapper.
	Audiences []string

	// RolesClaim is where the tokens have roles: the name of a claim, which may be a URL, or a path to a member of one, such as
	// realm_access.roles. A name that has dots is tried first. The value is a list, or a text that is one role; the texts of the
	// claims scope and scp are lists separated by spaces, as RFC 8693 has it. Any other value gives no role. "": there are no roles.
	RolesClaim string
}

// Identity is whom a token is about.
type Identity struct {
	Issuer        string
	Subject       string // unique for the issuer; max 255 bytes, as OpenID Connect has it
	Email         string
	EmailVerified bool      // by the issuer, which has said so explicitly
	Name          string    // to be shown; "" if there is none
	Roles         []string  // as in the token; not to be changed, since all requests with this token share them
	Expires       time.Time // as in the token, which is accepted for 30 s more
}

// InvalidTokenError says why a token is refused.
type InvalidTokenError struct {
	Reason  string // a sentence for the client
	Detail  string // what the token says instead, quoted and cut short, for the log; "" if there is nothing to say
	Expired bool   // the token was good once
}

func (e *InvalidTokenError) Error() string {
	if e.Detail == "" {
		return e.Reason
	}
	return e.Reason + ": " + e.Detail
}

// NotReadyError says that nothing is known yet of a token's issuer, which did not answer so far. The token may be good.
type NotReadyError struct {
	Issuer string
	Cause  error // of the last attempt; nil: there was none
}

func (e *NotReadyError) Error() string {
	if e.Cause == nil {
		return fmt.Sprintf("the keys of issuer %s are not known yet", e.Issuer)
	}
	return fmt.Sprintf("the keys of issuer %s are not known yet: %v", e.Issuer, e.Cause)
}

func (e *NotReadyError) Unwrap() error { return e.Cause }

// Issuers verifies the access tokens of some providers. Its methods may be called at the same time.
type Issuers struct {
	issuers  map[string]*issuer
	verified *lru.Cache[[sha256.Size]byte, verified] // by the token's SHA-256
	now      func() time.Time
}

// verified is a token that was found to be good.
type verified struct {
	Identity
	issuer *issuer
	keys   *keys // of the issuer, by which it was verified: when it has others, the token is verified again
}

// NewIssuers returns what verifies the tokens of these providers once Run has asked them for their keys.
func NewIssuers(log *slog.Logger, issuers ...Issuer) (*Issuers, error) {
	cache, err := lru.New[[sha256.Size]byte, verified](maxCached)
	if err != nil {
		return nil, err
	}
	s := &Issuers{issuers: map[string]*issuer{}, verified: cache, now: time.Now}
	client := newClient()
	for _, i := range issuers {
		if err := i.check(); err != nil {
			return nil, err
		}
		if s.issuers[i.URL] != nil {
			return nil, fmt.Errorf("issuer %s is given twice", i.URL)
		}
		s.issuers[i.URL] = newIssuer(i, client, log)
	}
	return s, nil
}

func (i Issuer) check() error {
	u, err := url.Parse(i.URL)
	switch {
	case err != nil:
		return fmt.Errorf("issuer %q is not a URL: %w", i.URL, err)
	case u.Host == "" || u.User != nil || u.RawQuery != "" || u.ForceQuery || u.Fragment != "":
		return fmt.Errorf("issuer %q is not the URL of an issuer, such as https://login.example.com/tenant", i.URL)
	case len(i.Audiences) == 0 || slices.Contains(i.Audiences, ""):
		return fmt.Errorf("issuer %s needs an audience: the name that this server has there", i.URL)
	}
	if err := protected(u); err != nil {
		return fmt.Errorf("issuer %s: %w", i.URL, err)
	}
	return nil
}

// Run keeps the providers' keys current until ctx ends: it asks for them now and every few minutes. While a provider does not answer,
// it is asked again after pauses that grow up to half a minute, which is logged, and the keys that it had stay good.
func (s *Issuers) Run(ctx context.Context) {
	var running sync.WaitGroup
	for _, i := range s.issuers {
		running.Go(func() { i.run(ctx) })
	}
	running.Wait()
}

// Ask asks each provider for its keys, once, and returns what Ready does then.
func (s *Issuers) Ask(ctx context.Context) error {
	var running sync.WaitGroup
	for _, i := range s.issuers {
		running.Go(func() { _ = i.askInTurn(ctx) }) // which Ready tells
	}
	running.Wait()
	return s.Ready()
}

// Ready returns a *NotReadyError for each issuer whose keys are not known yet, joined, or nil.
func (s *Issuers) Ready() error {
	var waiting []error
	for _, i := range s.issuers {
		if i.keys.Load() == nil {
			waiting = append(waiting, i.notReady())
		}
	}
	slices.SortFunc(waiting, func(a, b error) int { return strings.Compare(a.Error(), b.Error()) })
	return errors.Join(waiting...)
}

// Origins returns the origins that a page in a browser asks when somebody logs in there with an issuer, such as
// "https://login.example.com": the issuer's own and, once its discovery document is known, those of its token and revocation endpoints. They may
// stand in a Content-Security-Policy as they are.
func (s *Issuers) Origins(url string) []string {
	if i := s.issuers[url]; i != nil {
		if origins := i.origins.Load(); origins != nil {
			return *origins
		}
	}
	return originsOf(url)
}

// Verify returns whom an access token is about, or an *InvalidTokenError or a *NotReadyError. A token that was verified before is found
// by its SHA-256. ctx ends only the waiting for keys that nobody here has seen.
//
// The token is a JWT in compact form of max 16 KiB, without a header crit, signed by RSA, ECDSA or Ed25519 with a key that its issuer
// publishes; what its header says of keys but their kid is ignored. It has the claims iss, sub, aud and exp; exp, nbf and iat are
// compared with a leeway of 30 s. And it is an access token: see checkAccessToken.
func (s *Issuers) Verify(ctx context.Context, token string) (Identity, error) {
	if len(token) > maxToken {
		return Identity{}, refuse("the token is too long")
	}
	var buffer [2 << 10]byte // on the stack; most tokens fit
	sum, now := sha256.Sum256(append(buffer[:0], token...)), s.now()
	if known, ok := s.verified.Get(sum); ok && known.keys == known.issuer.keys.Load() && !now.After(known.Expires.Add(Leeway)) {
		return known.Identity, nil
	}
	s.verified.Remove(sum)

	parsed, err := parseToken(token)
	if err != nil {
		return Identity{}, err
	}
	issuer := s.issuers[parsed.issuer]
	if issuer == nil {
		return Identity{}, refuse("the token is of an issuer that is not trusted here", parsed.issuer)
	}
	payload, by, err := issuer.verify(ctx, parsed)
	if err != nil {
		return Identity{}, err
	}
	identity, err := issuer.identity(parsed, payload, now)
	if err != nil {
		return Identity{}, err
	}
	s.verified.Add(sum, verified{identity, issuer, by})
	return identity, nil
}

// identity returns whom a token is about whose signature is good.
func (i *issuer) identity(t *parsedToken, payload []byte, now time.Time) (Identity, error) {
	claims, err := readClaims(payload)
	if err != nil {
		return Identity{}, err
	}
	if claims.Expiry == nil {
		return Identity{}, refuse("the token has no time at which it expires")
	}
	if claims.Subject == "" || len(claims.Subject) > 255 {
		return Identity{}, refuse("the token's subject is missing or too long")
	}
	err = claims.ValidateWithLeeway(jwt.Expected{Issuer: i.URL, AnyAudience: i.Audiences, Time: now}, Leeway)
	switch {
	case errors.Is(err, jwt.ErrExpired):
		return Identity{}, &InvalidTokenError{Reason: "the token has expired", Expired: true}
	case errors.Is(err, jwt.ErrInvalidAudience):
		return Identity{}, refuse("the token is for another audience", claims.Audience...)
	case errors.Is(err, jwt.ErrNotValidYet), errors.Is(err, jwt.ErrIssuedInTheFuture):
		return Identity{}, refuse("the token is of the future")
	case err != nil:
		return Identity{}, refuse("the token's claims are not valid")
	}
	if err := checkAccessToken(t.typ, claims); err != nil {
		return Identity{}, err
	}
	return Identity{
		Issuer:        i.URL,
		Subject:       claims.Subject,
		Email:         claims.text("email"),
		EmailVerified: claims.all["email_verified"] == true || claims.all["email_verified"] == "true", // a text at Cognito
		Name:          claims.name(),
		Roles:         claims.roles(i.RolesClaim),
		Expires:       claims.Expiry.Time(),
	}, nil
}
