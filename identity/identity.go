package identity

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/netip"
	"time"

	"rollcall/access"
	"rollcall/apierror"
	"rollcall/auth"
	"rollcall/directory"
	"rollcall/session"
)

// Tokens are the API tokens.
type Tokens interface {
	// Viewer returns who bears the token of a SHA-256, with a Subject such as token:7; nil: there is no such token. One that is not valid any more is an
	// *auth.InvalidTokenError.
	Viewer(ctx context.Context, sum [sha256.Size]byte) (*access.Viewer, error)
	// Valid says which of some subjects still are.
	Valid(ctx context.Context, subjects []string) (map[string]bool, error)
}

// Proxy is what the table identities and Config.LinkEmail call trusted proxies, in the place of an issuer's URL.
const Proxy = "proxy"

// Config is whom an Authenticator knows.
type Config struct {
	Tokens  Tokens        // nil: there are none
	Issuers *auth.Issuers // nil: there are none
	Proxies auth.Proxies  // that log people in, or forward requests

	Local     bool // whoever sends a request on this machine to this machine is ADMIN, and nobody else is served without credentials
	Anonymous bool // whoever has no credentials is a VIEWER

	Roles       Roles
	LinkEmail   map[string]bool // issuers, and Proxy, whose email addresses say which user somebody is who has no link yet
	CreateUsers bool            // for those whom an issuer knows and the directory does not

	Directory *directory.Directory
	Pools     session.Pools // installed
	Logger    *slog.Logger
}

// Authenticator finds out who sends requests. Its methods may be called at the same time.
type Authenticator struct {
	Config
	// Refusals has what was refused, here and elsewhere.
	Refusals *Refusals

	links *links
	watch watch
}

// New returns an authenticator.
func New(cfg Config) *Authenticator {
	return &Authenticator{Config: cfg, Refusals: &Refusals{Logger: cfg.Logger}, links: newLinks(&cfg), watch: watch{period: watchPeriod, streams: map[*stream]struct{}{}}}
}

// Codes of errors about who sends a request, in an error's extensions.code, besides those of package apierror.
const (
	CodeIssuerUnavailable apierror.Code = "ISSUER_UNAVAILABLE" // the keys of the token's issuer are not known yet
)

// The realm of challenges.
const realm = "rollcall"

// RefusedError is why a request is not served. It holds no credentials.
type RefusedError struct {
	Status    int             // of HTTP: 400, 401, 403 or 503
	Err       *apierror.Error // for the client; its cause is for the log
	Challenge *auth.Challenge // nil: other credentials would not help
	Viewer    *access.Viewer  // who is refused; nil: that is not known
	nobody    bool            // there are no credentials
}

func (r *RefusedError) Error() string { return r.Err.Error() }

// Unwrap returns what the client is told.
func (r *RefusedError) Unwrap() error { return r.Err }

// SetHeader says in the headers of an answer what would help.
func (r *RefusedError) SetHeader(h http.Header) {
	if r.Challenge != nil {
		r.Challenge.Set(h)
	}
	if r.Status == http.StatusServiceUnavailable {
		h.Set("Retry-After", "1")
	}
}

// unauthenticated refuses credentials, or their absence. code is that of RFC 6750.
func unauthenticated(code string, cause error, format string, args ...any) *RefusedError {
	err := apierror.Unauthenticated(format, args...)
	err.Err = cause
	challenge := &auth.Challenge{Realm: realm, Error: code}
	if code != "" {
		challenge.Description = err.Message
	}
	return &RefusedError{Status: http.StatusUnauthorized, Err: err, Challenge: challenge}
}

const invalidToken = "invalid_token"

// noCredentials refuses a request that has none where they are needed.
func noCredentials() *RefusedError {
	r := unauthenticated("", nil, "the request has no credentials: send the header Authorization: Bearer TOKEN")
	r.nobody = true
	return r
}

// Forbidden refuses a viewer what another one may do. scope is what is lacking, or "" if it is no scope. Whoever has said nothing of themself
// is asked to instead.
func Forbidden(v *access.Viewer, scope, format string, args ...any) *RefusedError {
	if v == anonymous {
		return noCredentials()
	}
	r := &RefusedError{Status: http.StatusForbidden, Err: apierror.Forbidden("", format, args...), Viewer: v}
	if scope != "" {
		r.Challenge = &auth.Challenge{Realm: realm, Error: "insufficient_scope", Description: r.Err.Message, Scope: scope}
	}
	return r
}

// proxyLogin is how long a stream trusts what a proxy has said of its viewer: then it ends, and whoever comes again is asked about again.
const proxyLogin = 15 * time.Minute

// The viewers without credentials, which all their requests share.
var (
	local     = &access.Viewer{Subject: access.Local, Role: access.RoleAdmin}
	anonymous = &access.Viewer{Subject: access.Anonymous, Role: access.RoleViewer}
)

// Context returns the context of a request with its viewer in it.
func (a *Authenticator) Context(r *http.Request) (context.Context, *RefusedError) {
	token, err := auth.Bearer(r)
	if errors.Is(err, auth.ErrOtherScheme) {
		if user, _ := a.Proxies.User(r); user != nil { // some send on what they have asked their clients for
			err = nil
		}
	}
	if err != nil {
		return nil, notBearer(err)
	}
	return a.viewer(a.Later(r), r, token)
}

// notBearer refuses a header Authorization.
func notBearer(err error) *RefusedError {
	if errors.Is(err, auth.ErrOtherScheme) {
		return unauthenticated("", nil, "%s", err.Error())
	}
	return &RefusedError{
		Status:    http.StatusBadRequest,
		Err:       &apierror.Error{Code: apierror.CodeBadRequest, Message: err.Error()},
		Challenge: &auth.Challenge{Realm: realm, Error: "invalid_request", Description: err.Error()},
	}
}

// viewer returns ctx with the viewer of a request. token: "" if it has none.
func (a *Authenticator) viewer(ctx context.Context, r *http.Request, token string) (context.Context, *RefusedError) {
	switch {
	case auth.IsAPIToken(token):
		return a.ofAPIToken(ctx, token)
	case token != "":
		return a.ofAccessToken(ctx, token)
	}
	user, err := a.Proxies.User(r)
	switch {
	case err != nil:
		return nil, unauthenticated("", nil, "it cannot be told whom the proxy has logged in: %s", err.Error())
	case user != nil:
		return a.linked(ctx, login{
			issuer: Proxy, subject: user.Name, known: bounded(Proxy+":", user.Name), email: user.Email, roles: user.Roles,
			expires: time.Now().Add(proxyLogin),
		})
	case a.Local:
		if err := auth.ThisMachineAlone(r); err != nil {
			return nil, Forbidden(nil, "", "without credentials only programs of this machine are let in, by http://localhost or a loopback address: %s. "+
				"Send an API token, or start the server with --oidc-issuer, --trust-proxy or --allow-anonymous", err.Error())
		}
		return access.WithViewer(ctx, local), nil
	case a.Anonymous:
		return access.WithViewer(ctx, anonymous), nil
	}
	refusal := noCredentials()
	if why := a.Proxies.Nobody(r); why != "" {
		refusal.Err.Err = errors.New(why)
		refusal.nobody = false // the proxy, or its addresses, may be set up wrong
	}
	return nil, refusal
}

func (a *Authenticator) ofAPIToken(ctx context.Context, text string) (context.Context, *RefusedError) {
	token, err := auth.ParseAPIToken(text)
	if err != nil {
		return nil, unauthenticated(invalidToken, nil, "%s", err.Error())
	}
	var v *access.Viewer
	if a.Tokens != nil {
		v, err = a.Tokens.Viewer(ctx, token.SHA256())
		if invalid, ok := errors.AsType[*auth.InvalidTokenError](err); ok {
			return nil, unauthenticated(invalidToken, invalid, "%s", invalid.Reason)
		} else if err != nil {
			return nil, unavailable(err)
		}
	}
	if v == nil {
		return nil, unauthenticated(invalidToken, nil, "there is no such API token")
	}
	return access.WithViewer(ctx, v), nil
}

func (a *Authenticator) ofAccessToken(ctx context.Context, text string) (context.Context, *RefusedError) {
	if a.Issuers == nil {
		return nil, unauthenticated(invalidToken, nil, "the token is no API token, and no others are accepted here")
	}
	id, err := a.Issuers.Verify(ctx, text)
	if invalid, ok := errors.AsType[*auth.InvalidTokenError](err); ok {
		return nil, unauthenticated(invalidToken, invalid, "%s", invalid.Reason)
	} else if err != nil {
		return nil, &RefusedError{Status: http.StatusServiceUnavailable, Err: &apierror.Error{
			Code: CodeIssuerUnavailable, Err: err, Message: "the token's issuer has not answered yet, so it cannot be told whether the token is good: try again later",
		}}
	}
	l := login{issuer: id.Issuer, subject: id.Subject, name: id.Name, roles: id.Roles, expires: id.Expires.Add(auth.Leeway)}
	if id.EmailVerified {
		l.email = id.Email
	}
	return a.linked(ctx, l)
}

// linked returns ctx with the viewer of a login.
func (a *Authenticator) linked(ctx context.Context, l login) (context.Context, *RefusedError) {
	found, err := a.links.find(ctx, l)
	if err != nil {
		return nil, unavailable(err)
	}
	if found.deactivated {
		refusal := unauthenticated(invalidToken, nil, "the user is deactivated")
		refusal.Viewer = found.viewer
		return nil, refusal
	}
	if found.link != 0 {
		ctx = context.WithValue(ctx, linkKey{}, found.link)
	}
	return access.WithViewer(ctx, found.viewer), nil
}

// unavailable refuses a request since it cannot be told whose it is.
func unavailable(cause error) *RefusedError {
	return &RefusedError{Status: http.StatusServiceUnavailable, Err: &apierror.Error{
		Code: apierror.CodeUnavailable, Err: cause, Message: "the database does not tell who sends the request: try again later",
	}}
}

// bounded returns a text for a name that is the same for no other, and fits into the log of changes.
func bounded(prefix, name string) string {
	const room = 255 // bytes
	if len(prefix)+len(name) <= room {
		return prefix + name
	}
	return prefix[:min(len(prefix), 60)] + fmt.Sprintf("sha256:%x", sha256.Sum256([]byte(prefix+name)))
}

// Client returns the address from which a request was sent, as far as trusted proxies tell.
func (a *Authenticator) Client(r *http.Request) netip.Addr { return a.Proxies.Client(r) }

// Refused logs that the viewer of a context, which comes from Context or SocketContext, was refused an operation. operation is its name; "": it has none.
func (a *Authenticator) Refused(ctx context.Context, operation string, code apierror.Code, reason string) {
	attempt := Attempt{Code: code, Reason: reason, Operation: operation}
	if v := access.ViewerOf(ctx); v != nil {
		attempt.Subject = v.Subject
	}
	if r, _ := ctx.Value(requestKey{}).(*http.Request); r != nil {
		attempt.Client = a.address(r)
	}
	a.Refusals.Add(ctx, attempt)
}

// address returns Client as text; "": it is not known.
func (a *Authenticator) address(r *http.Request) string {
	if client := a.Client(r); client.IsValid() {
		return client.String()
	}
	return ""
}

type (
	linkKey  struct{}
	actorKey struct{}
)

// Actor returns on whose behalf something is written, for changelog.Log: a viewer's subject, or login where a user is created who has logged
// in elsewhere. "": it is the program's own work.
func Actor(ctx context.Context) string {
	if v := access.ViewerOf(ctx); v != nil {
		return v.Subject
	}
	actor, _ := ctx.Value(actorKey{}).(string)
	return actor
}

// login is somebody whom an issuer or a proxy has logged in.
type login struct {
	issuer, subject string
	known           string    // the viewer's subject where no user is linked; "": to be made of the two
	email           string    // verified; "": there is none
	name            string    // to be shown; "": there is none
	roles           []string  // as the issuer names them
	expires         time.Time // zero: never
}
