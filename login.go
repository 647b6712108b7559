package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"strings"

	"github.com/klauspost/compress/gzhttp"

	"rollcall/access"
	"rollcall/apierror"
	"rollcall/auth"
	"rollcall/directory"
	"rollcall/identity"
	"rollcall/operation"
	"rollcall/playground"
	"rollcall/provisioning"
	"rollcall/scim"
	"rollcall/session"
	"rollcall/transport"
)

// A flag that may be given again may hold several values too, with spaces between, as a variable has to. (Those of --role-name are
// separated by ;, for names may have spaces.)
func several(values []string) []string { return strings.Fields(strings.Join(values, " ")) }

// logins reports whether the flags say who may come, besides those with API tokens.
func (c config) logins() bool {
	return len(several(c.Issuers)) > 0 || c.proxiesLogIn() || c.Anonymous
}

// proxiesLogIn reports whether proxies are believed whom they have logged in.
func (c config) proxiesLogIn() bool { return len(several(c.TrustProxy)) > 0 && c.ProxyLogin != "none" }

// localAdmin reports whether everybody on this machine is ADMIN.
func (c config) localAdmin() bool { return c.LocalAdmin || c.Demo && !c.logins() }

// serves reports whether the command is to serve, or to check what that would do.
func (c config) serves() bool { return c.command == "serve" || c.command == "check" }

// checkLogins refuses what would let in others than it is meant to.
func (c config) checkLogins() error {
	switch {
	case c.LocalAdmin && c.Anonymous:
		return errors.New("--insecure-admin and --allow-anonymous: whoever has no credentials cannot be ADMIN and VIEWER: leave one out")
	case c.serves() && c.LocalAdmin && !loopback(c.Listen):
		return fmt.Errorf("--insecure-admin: other machines may reach %s: listen on 127.0.0.1, or leave it out and say who may come: "+
			"--oidc-issuer, --trust-proxy, --allow-anonymous, or API tokens", c.Listen)
	case c.serves() && c.localAdmin() && !loopback(c.Listen):
		return fmt.Errorf("--demo: everybody would be ADMIN, and other machines may reach %s: listen on 127.0.0.1, or say who may come: "+
			"--oidc-issuer, --trust-proxy or --allow-anonymous", c.Listen)
	}
	_, err := c.issuers()
	if err == nil {
		_, err = c.proxies()
	}
	if err == nil {
		_, err = c.linkEmail()
	}
	if err == nil {
		_, err = c.roles()
	}
	if err == nil {
		_, err = c.pageLogin()
	}
	return err
}

// issuers returns the providers that the flags name.
func (c config) issuers() ([]auth.Issuer, error) {
	const maxURL = 255 // bytes, as the table identities has it
	urls, audiences := several(c.Issuers), several(c.Audiences)
	switch {
	case len(urls) == 0 && len(audiences) > 0:
		return nil, errors.New("--oidc-audience: there is no provider: give --oidc-issuer=URL")
	case len(urls) == 0 && c.RolesClaim != "":
		return nil, errors.New("--oidc-roles-claim: there is no provider: give --oidc-issuer=URL")
	case len(urls) == 0 && c.CreateUsers:
		return nil, errors.New("--oidc-create-users: there is no provider: give --oidc-issuer=URL")
	case len(urls) > 0 && len(audiences) == 0:
		return nil, fmt.Errorf("--oidc-issuer: what does %s call this server? Give --oidc-audience=NAME", urls[0])
	case len(audiences) > 1 && len(audiences) != len(urls):
		return nil, fmt.Errorf("--oidc-audience: it is given %d times, and --oidc-issuer %d times: give it once for all, or once for each, in the same order", len(audiences), len(urls))
	}
	var all []auth.Issuer
	for i, url := range urls {
		if strings.ContainsAny(url, "@?#") {
			return nil, errors.New("--oidc-issuer: a provider's URL has no user, no query and no fragment")
		}
		if len(url) > maxURL {
			return nil, fmt.Errorf("--oidc-issuer: a URL may have %d bytes, and one has %d", maxURL, len(url))
		}
		all = append(all, auth.Issuer{URL: url, Audiences: []string{audiences[min(i, len(audiences)-1)]}, RolesClaim: c.RolesClaim})
	}
	if _, err := auth.NewIssuers(slog.New(slog.DiscardHandler), all...); err != nil {
		return nil, fmt.Errorf("--oidc-issuer: %w", err)
	}
	return all, nil
}

// proxies returns the proxies that the flags trust.
func (c config) proxies() (auth.Proxies, error) {
	if len(several(c.TrustProxy)) == 0 && c.given("proxy-login") {
		return auth.Proxies{}, errors.New("--proxy-login: there is no proxy: give --trust-proxy=CIDR")
	}
	p := map[string]auth.Proxies{"x-forwarded": auth.XForwardedHeaders(), "x-auth-request": auth.XAuthRequestHeaders()}[c.ProxyLogin]
	for _, text := range several(c.TrustProxy) {
		prefix, err := auth.ParsePrefix(text)
		if err != nil {
			return p, fmt.Errorf("--trust-proxy: %w", err)
		}
		if prefix.Bits() == 0 && p.UserHeader != "" {
			return p, fmt.Errorf("--trust-proxy: %s is every address, so that everybody could be anybody: name those of the proxies alone", text)
		}
		p.Trusted = append(p.Trusted, prefix)
	}
	if len(p.Trusted) > 0 && p.UserHeader != "" && slices.Contains(c.CORSOrigin, "*") {
		return p, errors.New("--cors-origin: with * the pages of everybody would open WebSockets as whoever a proxy of --trust-proxy has logged in, " +
			"since browsers send its cookies along: name the origins whose pages may, or give --proxy-login=none")
	}
	return p, p.Validate()
}

// linkEmail returns the issuers, and identity.Proxy, whose email addresses link users.
func (c config) linkEmail() (map[string]bool, error) {
	known := several(c.Issuers)
	if c.proxiesLogIn() {
		known = append(known, identity.Proxy)
	}
	all := map[string]bool{}
	for _, name := range several(c.LinkEmail) {
		switch {
		case slices.Contains(known, name):
			all[name] = true
		case name == identity.Proxy:
			return nil, errors.New("--oidc-link-email: no proxy logs anybody in: give --trust-proxy=CIDR, and leave out --proxy-login=none")
		default:
			return nil, fmt.Errorf("--oidc-link-email: %s is none of those that log people in: write one of %s", name, cmp.Or(strings.Join(known, ", "), "--oidc-issuer, which is not given"))
		}
	}
	return all, nil
}

// roles returns what providers and proxies call roles.
func (c config) roles() (identity.Roles, error) {
	roles, err := identity.ParseRoles(c.Roles)
	if err != nil {
		return nil, fmt.Errorf("--role-name: %w", err)
	}
	if len(c.Roles) > 0 && len(several(c.Issuers)) == 0 && !c.proxiesLogIn() {
		return nil, errors.New("--role-name: nobody logs in by a provider or a proxy: give --oidc-issuer=URL or --trust-proxy=CIDR")
	}
	return roles, nil
}

// ownParameters are those that the Playground itself sends, and no flag may change.
var ownParameters = []string{
	"client_id", "client_secret", "code", "code_challenge", "code_challenge_method", "code_verifier", "grant_type", "nonce", "prompt", "redirect_uri",
	"refresh_token", "response_mode", "response_type", "scope", "state",
}

// pageLogin returns how people log in from the Playground, or nil if they do not.
func (c config) pageLogin() (*playground.Login, error) {
	issuers, parameters := several(c.Issuers), map[string]string{}
	switch {
	case c.ClientID == "" && len(several(c.Parameters)) > 0:
		return nil, errors.New("--oidc-parameter: nobody logs in from the Playground: give --oidc-client-id=CLIENT")
	case c.ClientID == "" && c.given("oidc-scopes"):
		return nil, errors.New("--oidc-scopes: nobody logs in from the Playground: give --oidc-client-id=CLIENT")
	case c.ClientID == "":
		return nil, nil
	case len(issuers) == 0:
		return nil, errors.New("--oidc-client-id: there is no provider: give --oidc-issuer=URL")
	case !slices.Contains(strings.Fields(c.Scopes), "openid"):
		return nil, fmt.Errorf("--oidc-scopes: %q has no openid, without which the provider does not say who has logged in", c.Scopes)
	}
	for _, text := range several(c.Parameters) {
		name, value, ok := strings.Cut(text, "=")
		if !ok || name == "" || value == "" {
			return nil, fmt.Errorf("--oidc-parameter: %q is no name and a value: write one such as audience=https://rollcall.example.com", text)
		}
		if slices.Contains(ownParameters, name) {
			return nil, fmt.Errorf("--oidc-parameter: %s is what the Playground itself says", name)
		}
		if _, twice := parameters[name]; twice {
			return nil, fmt.Errorf("--oidc-parameter: %s is given twice", name)
		}
		parameters[name] = value
	}
	return &playground.Login{Issuer: issuers[0], ClientID: c.ClientID, Scope: strings.Join(strings.Fields(c.Scopes), " "), Parameters: parameters}, nil
}

// page returns the Playground.
func (s *service) page() http.Handler {
	login, _ := s.pageLogin() // checkLogins has seen it
	if login != nil {
		login.Origins = func() []string { return s.viewers.Issuers.Origins(login.Issuer) }
	}
	return playground.New(login)
}

// newAuthenticator makes of the flags what finds out who sends requests.
func (s *service) newAuthenticator() (*identity.Authenticator, error) {
	issuers, _ := s.issuers() // checkLogins has seen them
	proxies, _ := s.proxies()
	linkEmail, _ := s.linkEmail()
	roles, _ := s.roles()
	pools, err := s.installed(s.Deadline)
	if err != nil {
		return nil, err
	}
	cfg := identity.Config{
		Tokens: s.tokens, Proxies: proxies, Local: s.localAdmin(), Anonymous: s.Anonymous, Roles: roles, LinkEmail: linkEmail, CreateUsers: s.CreateUsers,
		Directory: directory.New(directory.Config{MaxPage: s.MaxPage, Proof: s.proof, Log: s.changes}), Pools: pools, Logger: s.log,
	}
	if len(issuers) > 0 {
		if cfg.Issuers, err = auth.NewIssuers(s.log, issuers...); err != nil {
			return nil, err
		}
	}
	return identity.New(cfg), nil
}

// actor returns on whose behalf something is written.
func actor(ctx context.Context) string { return cmp.Or(identity.Actor(ctx), provisioning.Actor(ctx)) }

// watchViewers keeps the providers' keys current, and ends streams whose viewers are none any more, until ctx ends.
func (s *service) watchViewers(ctx context.Context) {
	go s.viewers.Run(ctx)
	if s.viewers.Issuers != nil {
		go s.viewers.Issuers.Run(ctx)
	}
}

// strangerCost is what a request costs that is refused for who sends it: to find that out may take a statement.
const strangerCost = 10

// authenticated is identity.Authenticator.Handler, in which whoever is refused pays for it: the client of the address, as far as it is not known who
// that is. Who has nothing left is told so instead, later: so nobody tries credentials, one after the other, as fast as they like.
func (s *service) authenticated(
	next http.Handler, allow func(*access.Viewer) *identity.RefusedError, refuse func(http.ResponseWriter, *http.Request, *identity.RefusedError),
) http.Handler {
	return s.viewers.Handler(next, allow, func(w http.ResponseWriter, r *http.Request, refusal *identity.RefusedError) {
		if refusal.Status >= http.StatusInternalServerError { // for which the client is not to blame
			refuse(w, r, refusal)
			return
		}
		told := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { refuse(w, r, refusal) })
		s.api.Clients.Charge(told, strangerCost, func(w http.ResponseWriter, status int, message string) {
			w.Header().Del("WWW-Authenticate") // other credentials would not help
			refuse(w, r, &identity.RefusedError{Status: status, Err: &apierror.Error{Code: transport.CodeRateLimited, Message: message}})
		}).ServeHTTP(w, r)
	})
}

// withViewer serves the API with requests that have viewers.
func (s *service) withViewer(api http.Handler) http.Handler {
	answered := s.authenticated(api, nil, func(w http.ResponseWriter, r *http.Request, refusal *identity.RefusedError) {
		request := transport.Refuse(w, r, refusal.Status, refusal.Err)
		s.operations.ended(refusedContext(r.Context(), refusal), session.Operation{ID: request.ID}, operation.Report{
			Result: operation.ResultRefused, Codes: []string{string(refusal.Err.Code)},
		}, request.Sent)
	})
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if (*transport.WebSocket)(nil).Supports(r) { // whose first message may say who it is
			api.ServeHTTP(w, r.WithContext(s.viewers.Later(r)))
			return
		}
		answered.ServeHTTP(w, r)
	})
}

// refusedContext is ctx with who was refused, if that is known.
func refusedContext(ctx context.Context, refusal *identity.RefusedError) context.Context {
	if refusal.Viewer == nil {
		return ctx
	}
	return access.WithViewer(ctx, refusal.Viewer)
}

// socketViewer is transport.WebSocket.Init.
func (s *service) socketViewer(ctx context.Context, payload map[string]any) (context.Context, map[string]any, error) {
	known, refusal := s.viewers.SocketContext(ctx, payload)
	switch {
	case refusal == nil:
		return known, nil, nil
	case refusal.Status == http.StatusServiceUnavailable:
		return nil, nil, transport.ErrTryLater
	}
	if v := s.api.Clients.Limiter.Take(s.api.Clients.Of(ctx), strangerCost); !v.Granted {
		_, _ = s.api.Clients.Delay(ctx, strangerCost, v)
	}
	return nil, nil, refusal
}

// routeSCIM serves identity providers.
func (s *service) routeSCIM(mux *http.ServeMux, pools session.Pools) {
	allow := func(v *access.Viewer) *identity.RefusedError {
		switch {
		case !v.Within(access.ScopeSCIM):
			return identity.Forbidden(v, access.ScopeSCIM, "SCIM needs the scope %s, which the token does not have", access.ScopeSCIM)
		case !access.HasRole(v.Role, access.RoleEditor):
			return identity.Forbidden(v, "", "SCIM needs the role %s", access.RoleEditor)
		}
		return nil
	}
	base := s.BasePath + provisioning.Base
	service := s.api.Clients.Handler(s.operations.scim(s.authenticated(s.operations.known(s.limited(provisioning.New(provisioning.Config{
		Directory: s.viewers.Directory,
		BasePath:  s.BasePath, Pools: pools, MaxPage: s.MaxPage, Admit: s.api.Admit, Logger: s.log,
	}))), allow, func(w http.ResponseWriter, _ *http.Request, refusal *identity.RefusedError) {
		scim.WriteError(w, scim.Failed(refusal.Status, "%s", refusal.Err.Message))
	})))
	mux.Handle(base, service)
	mux.Handle(base+"/", service)
}

// routeMetrics serves /metrics to those who may see how the server is used.
func (s *service) routeMetrics(mux *http.ServeMux) {
	allow := func(v *access.Viewer) *identity.RefusedError {
		if slices.Contains(v.Scopes, access.ScopeMetrics) || v.Scopes == nil && access.HasRole(v.Role, access.RoleAdmin) {
			return nil
		}
		return identity.Forbidden(v, access.ScopeMetrics, "the metrics need a token with the scope %s, or the role %s", access.ScopeMetrics, access.RoleAdmin)
	}
	mux.Handle("GET /metrics", s.api.Clients.Handler(s.authenticated(gzhttp.GzipHandler(s.counts), allow, func(w http.ResponseWriter, _ *http.Request, refusal *identity.RefusedError) {
		http.Error(w, refusal.Err.Message, refusal.Status)
	})))
}

// announceLogins logs how one gets in.
func (s *service) announceLogins() {
	const token = "make an API token with `rollcall token create`, and send it as Authorization: Bearer TOKEN"
	switch {
	case s.localAdmin():
		why := "--insecure-admin"
		if !s.LocalAdmin {
			why = "--demo"
		}
		s.log.Warn("everybody on this machine is ADMIN, without credentials; requests of others, or by way of a proxy, are refused", "since", why)
	case s.Anonymous:
		s.log.Info("whoever has no credentials is VIEWER", "since", "--allow-anonymous")
	case s.logins():
		s.log.Info("requests need credentials: those of a login, or " + token)
	default:
		s.log.Warn("requests need credentials, and nothing but API tokens lets anybody in: " + token)
	}
}
