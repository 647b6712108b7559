package identity_test

import (
	"context"
	"crypto/sha256"
	"errors"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"time"

	"rollcall/access"
	"rollcall/apierror"
	"rollcall/auth"
	"rollcall/auth/authtest"
	"rollcall/database/databasetest"
	"rollcall/identity"
)

// tokens are API tokens by their SHA-256.
type tokens struct {
	viewers map[[sha256.Size]byte]*access.Viewer
	asked   []string // in Valid
	err     error
}

func (s *tokens) Viewer(_ context.Context, sum [sha256.Size]byte) (*access.Viewer, error) {
	return s.viewers[sum], s.err
}

func (s *tokens) Valid(_ context.Context, subjects []string) (map[string]bool, error) {
	s.asked = append(s.asked, strings.Join(subjects, " "))
	valid := map[string]bool{}
	for _, v := range s.viewers {
		valid[v.Subject] = true
	}
	return valid, s.err
}

// sqlite is a world for promises that no database has a part in.
func sqlite(t *testing.T) *world {
	t.Helper()
	return newWorld(t, databasetest.New(t, "sqlite"))
}

// here makes a request one of a program of this machine.
func here(r *http.Request) *http.Request {
	r.RemoteAddr, r.Host = "127.0.0.1:40000", "localhost:8080"
	return r.WithContext(context.WithValue(r.Context(), http.LocalAddrContextKey, &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 8080}))
}

func proxies(tb testing.TB, prefixes ...string) auth.Proxies {
	tb.Helper()
	p := auth.XForwardedHeaders()
	for _, text := range prefixes {
		prefix, err := auth.ParsePrefix(text)
		if err != nil {
			tb.Fatal(err)
		}
		p.Trusted = append(p.Trusted, prefix)
	}
	return p
}

func TestTheFirstOfAllThatARequestHasSaysWhoSendsIt(t *testing.T) {
	w := sqlite(t)
	api := auth.NewAPIToken()
	all := w.authenticator(func(cfg *identity.Config) {
		cfg.Tokens = &tokens{viewers: map[[sha256.Size]byte]*access.Viewer{api.SHA256(): {Subject: "token:7", Role: access.RoleEditor}}}
		cfg.Proxies, cfg.Local = proxies(t, "203.0.113.0/24", "127.0.0.1"), true
	})
	open := w.authenticator(func(cfg *identity.Config) { cfg.Anonymous = true })
	oidc := w.one.Token(t, "ann", map[string]any{"roles": []string{"EDITOR"}})
	user := []string{"X-Forwarded-User", "ada", "X-Forwarded-Groups", "staff, ADMIN"}
	for _, test := range []struct {
		what string
		a    *identity.Authenticator
		r    *http.Request
		want access.Viewer
	}{
		{"an API token, before all others", all, here(request(api.Text(), user...)), access.Viewer{Subject: "token:7", Role: access.RoleEditor}},
		{"an access token, before the proxy's word", all, request(oidc, user...), access.Viewer{Subject: "oidc:" + w.one.URL + "#ann", Role: access.RoleEditor}},
		{"the proxy's word, before this machine", all, here(request("", user...)), access.Viewer{Subject: "proxy:ada", Role: access.RoleAdmin}},
		{"this machine", all, here(request("")), access.Viewer{Subject: "local", Role: access.RoleAdmin}},
		{"nobody", open, request(""), access.Viewer{Subject: "anonymous", Role: access.RoleViewer}},
		{"another proxy's word, which is nobody's", open, request("", user...), access.Viewer{Subject: "anonymous", Role: access.RoleViewer}},
		{"a proxy that sends on what it has asked for", all, withAuthorization(request("", user...), "Basic YTpi"), access.Viewer{Subject: "proxy:ada", Role: access.RoleAdmin}},
	} {
		got := *viewer(t, test.a, test.r)
		if got.Expires.IsZero() == (strings.HasPrefix(got.Subject, "oidc") || strings.HasPrefix(got.Subject, "proxy")) {
			t.Errorf("%s: expires at %s", test.what, got.Expires)
		}
		got.Expires = time.Time{}
		if got.Identity() != test.want.Identity() || got.UserID != 0 {
			t.Errorf("%s: want %+v, got %+v", test.what, test.want, got)
		}
	}
}

func withAuthorization(r *http.Request, value string) *http.Request {
	r.Header.Set("Authorization", value)
	return r
}

// TestWhatIsNotValidIsRefusedAndFallsBackToNothing has each request twice: where everybody else is let in as somebody, and where nobody is.
func TestWhatIsNotValidIsRefusedAndFallsBackToNothing(t *testing.T) {
	w := sqlite(t)
	past := map[string]any{"exp": time.Now().Add(-time.Minute).Unix()}
	for _, test := range []struct {
		what      string
		r         func() *http.Request
		status    int
		code      apierror.Code
		challenge string
	}{
		{"an API token that is none", func() *http.Request { return request(auth.NewAPIToken().Text()) }, 401, "UNAUTHENTICATED", `error="invalid_token"`},
		{"a mistyped API token", func() *http.Request { return request("rc_x") }, 401, "UNAUTHENTICATED", `error="invalid_token"`},
		{"a token that is none", func() *http.Request { return request("x") }, 401, "UNAUTHENTICATED", `error="invalid_token"`},
		{"an expired token", func() *http.Request { return request(w.one.Token(t, "ann", past)) }, 401, "UNAUTHENTICATED", `error_description="the token has expired"`},
		{"a token for somebody else", func() *http.Request { return request(w.one.Token(t, "ann", map[string]any{"aud": "mail"})) }, 401, "UNAUTHENTICATED", `error="invalid_token"`},
		{"another scheme", func() *http.Request { return withAuthorization(request(""), "Basic YTpi") }, 401, "UNAUTHENTICATED", `realm="rollcall"`},
		{"no token behind Bearer", func() *http.Request { return withAuthorization(request(""), "Bearer ") }, 400, "BAD_REQUEST", `error="invalid_request"`},
		{"two headers", func() *http.Request { return request("x", "Authorization", "Bearer y") }, 400, "BAD_REQUEST", `error="invalid_request"`},
	} {
		for _, cfg := range []func(*identity.Config){
			func(cfg *identity.Config) { cfg.Anonymous, cfg.Tokens = true, &tokens{} },
			func(cfg *identity.Config) { cfg.Local = true },
		} {
			got := refused(t, w.authenticator(cfg), here(test.r()))
			h := http.Header{}
			got.SetHeader(h)
			if got.Status != test.status || got.Err.Code != test.code || !strings.Contains(h.Get("WWW-Authenticate"), test.challenge) {
				t.Errorf("%s: %d %s %s", test.what, got.Status, got.Err.Code, h)
			}
		}
	}
	got := refused(t, w.authenticator(nil), request(""))
	h := http.Header{}
	if got.SetHeader(h); got.Status != 401 || h.Get("WWW-Authenticate") != `Bearer realm="rollcall"` {
		t.Errorf("without credentials: %d %s", got.Status, h)
	}
	broken := w.authenticator(func(cfg *identity.Config) { cfg.Tokens, cfg.Anonymous = &tokens{err: errors.New("away")}, true })
	if got := refused(t, broken, request(auth.NewAPIToken().Text())); got.Status != 503 || got.Err.Code != apierror.CodeUnavailable {
		t.Errorf("while the database is away: %d %v", got.Status, got)
	}
}

// TestThisMachineAloneIsThisMachineUnderItsOwnName has what could make somebody else look like a program of this machine.
func TestThisMachineAloneIsThisMachineUnderItsOwnName(t *testing.T) {
	w := sqlite(t)
	a := w.authenticator(func(cfg *identity.Config) { cfg.Local = true })
	for what, change := range map[string]func(*http.Request){
		"DNS rebinding":         func(r *http.Request) { r.Host = "evil.example:8080" },
		"another machine":       func(r *http.Request) { r.RemoteAddr = "203.0.113.7:1" },
		"X-Forwarded-For":       func(r *http.Request) { r.Header.Set("X-Forwarded-For", "127.0.0.1") },
		"X-Forwarded-User":      func(r *http.Request) { r.Header.Set("X-Forwarded-User", "root") },
		"Forwarded":             func(r *http.Request) { r.Header.Set("Forwarded", "for=127.0.0.1") },
		"Via":                   func(r *http.Request) { r.Header.Set("Via", "1.1 proxy") },
		"a page of another one": func(r *http.Request) { r.Header.Set("Origin", "https://evil.example") },
	} {
		r := here(request(""))
		change(r)
		if got := refused(t, a, r); got.Status != 403 || got.Err.Code != apierror.CodeForbidden {
			t.Errorf("%s: %d %v", what, got.Status, got)
		}
	}
}

func TestAProxyThatIsNotTrustedIsBelievedNothing(t *testing.T) {
	w := sqlite(t)
	a := w.authenticator(func(cfg *identity.Config) { cfg.Proxies = proxies(t, "10.0.0.0/8") })
	forged := []string{"X-Forwarded-User", "root", "X-Forwarded-Groups", "ADMIN", "X-Forwarded-For", "10.0.0.1"}
	r := request("", forged...)
	if got := refused(t, a, r); got.Status != 401 {
		t.Errorf("from elsewhere: %d %v", got.Status, got)
	}
	if got := a.Client(r); got != netip.MustParseAddr("203.0.113.7") {
		t.Errorf("the client is taken for %s", got)
	}
	r = request("", forged...)
	r.RemoteAddr = "10.1.1.1:1"
	if got := viewer(t, a, r); got.Subject != "proxy:root" || got.Role != access.RoleAdmin {
		t.Errorf("from the proxy: %+v", got)
	}
	if got := refused(t, a, func() *http.Request { r.Header.Add("X-Forwarded-User", "ada"); return r }()); got.Status != 401 {
		t.Errorf("with two users: %d %v", got.Status, got)
	}
}

func TestTheGreatestRoleCounts(t *testing.T) {
	mapped := []string{"ADMIN=directory admins; ADMIN=root", "EDITOR=ADMIN"}
	for _, test := range []struct {
		mappings, claim []string
		want            string
	}{
		{nil, nil, access.RoleViewer},
		{nil, []string{"staff"}, access.RoleViewer},
		{nil, []string{"VIEWER", "ADMIN", "EDITOR"}, access.RoleAdmin},
		{nil, []string{"admin"}, access.RoleViewer},
		{mapped, []string{"directory admins"}, access.RoleAdmin},
		{mapped, []string{"x", "root"}, access.RoleAdmin},
		{mapped, []string{"ADMIN"}, access.RoleEditor}, // a role that has other names is not given by its own
		{mapped, []string{"EDITOR"}, access.RoleViewer},
	} {
		w := sqlite(t)
		roles, err := identity.ParseRoles(test.mappings)
		if err != nil {
			t.Fatal(err)
		}
		a := w.authenticator(func(cfg *identity.Config) { cfg.Roles = roles })
		if got := viewer(t, a, request(w.one.Token(t, "ann", map[string]any{"roles": test.claim}))); got.Role != test.want {
			t.Errorf("%q with %q: got %s, want %s", test.claim, test.mappings, got.Role, test.want)
		}
	}
}

func TestAnotherTokenOfTheSamePersonCountsAtOnce(t *testing.T) {
	w := sqlite(t)
	a := w.authenticator(nil)
	for _, role := range []string{"EDITOR", "ADMIN", "VIEWER"} {
		if got := viewer(t, a, request(w.one.Token(t, "ann", map[string]any{"roles": []string{role}}))); got.Role != role {
			t.Errorf("want %s, got %s", role, got.Role)
		}
	}
}

func TestAnIssuerThatHasNotAnsweredIsNoReasonToRefuseForGood(t *testing.T) {
	w := sqlite(t)
	p := authtest.New(t)
	issuers, err := auth.NewIssuers(w.cfg.Logger, auth.Issuer{URL: p.URL, Audiences: []string{authtest.Audience}})
	if err != nil {
		t.Fatal(err)
	}
	a := w.authenticator(func(cfg *identity.Config) { cfg.Issuers, cfg.Anonymous = issuers, true })
	got := refused(t, a, request(p.Token(t, "ann", nil)))
	h := http.Header{}
	if got.SetHeader(h); got.Status != 503 || got.Err.Code != identity.CodeIssuerUnavailable || h.Get("Retry-After") == "" {
		t.Errorf("%d %s %s", got.Status, got.Err.Code, h)
	}
}

func TestNoTwoLoginsHaveOneSubject(t *testing.T) {
	w := sqlite(t)
	a := w.authenticator(func(cfg *identity.Config) { cfg.Proxies = proxies(t, "203.0.113.0/24") })
	long := strings.Repeat("x", 255)
	seen := map[string]bool{}
	for _, r := range []*http.Request{
		request(w.one.Token(t, "ann", nil)), request(w.other.Token(t, "ann", nil)), request(w.one.Token(t, "Ann", nil)),
		request(w.one.Token(t, long, nil)), request(w.one.Token(t, long[1:]+"y", nil)), request("", "X-Forwarded-User", "ann"),
		request("", "X-Forwarded-User", long), request("", "X-Forwarded-User", long[1:]+"y"),
	} {
		v := viewer(t, a, r)
		if seen[v.Subject] || len(v.Subject) > 255 {
			t.Errorf("%s is another's too, or of %d bytes", v.Subject, len(v.Subject))
		}
		seen[v.Subject] = true
	}
}
