package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"

	"rollcall/auth"
	"rollcall/auth/authtest"
	"rollcall/database/databasetest"
	"rollcall/directory/directorytest"
)

const (
	jsonType     = "application/json"
	whoami       = `{"query": "{ users { totalCount } }"}`
	subscription = `{"query": "subscription { userChanged { kind } }"}`
)

// admit returns arguments that trust a provider, whose tokens have the roles in the claim roles.
func admit(p *authtest.Provider, args ...string) []string {
	return append([]string{"--oidc-issuer", p.URL, "--oidc-audience", authtest.Audience, "--oidc-roles-claim", "roles"}, args...)
}

// trusting starts a server that trusts a provider and has its keys.
func trusting(t *testing.T, url string, p *authtest.Provider, args ...string) *server {
	t.Helper()
	s := start(t, append(admit(p, "--database", url), args...)...)
	s.knows(p)
	return s
}

// knows waits until a server has the keys of a provider.
func (s *server) knows(p *authtest.Provider) {
	s.tb.Helper()
	eventually(s.tb, "the server has the provider's keys", func() bool { return strings.Contains(s.log.String(), "told its keys\" issuer="+p.URL) })
}

func as(role string) map[string]any { return map[string]any{"roles": []string{role}} }

// expiring are the claims of a token that has expired already, and is accepted for about two seconds more.
func expiring() map[string]any {
	return map[string]any{"exp": time.Now().Add(3*time.Second - auth.Leeway).Unix()}
}

func TestWhoeverMayComeInIsSaidAtTheStart(t *testing.T) {
	t.Parallel()
	p := authtest.New(t)
	for _, test := range []struct {
		args   []string
		logged string
		status int // of a request without credentials
	}{
		{[]string{"--insecure-admin"}, `level=WARN msg="everybody on this machine is ADMIN, without credentials; requests of others, or by way of a proxy, are refused" since=--insecure-admin`, 200},
		{[]string{"--demo"}, `level=WARN msg="everybody on this machine is ADMIN, without credentials; requests of others, or by way of a proxy, are refused" since=--demo`, 200},
		{[]string{"--allow-anonymous"}, "whoever has no credentials is VIEWER", 200},
		{admit(p), "requests need credentials: those of a login, or make an API token with `rollcall token create`", 401},
		{admit(p, "--demo"), "requests need credentials: those of a login", 401},
		{[]string{"--trust-proxy=10.0.0.1"}, "requests need credentials: those of a login", 401},
		{nil, "level=WARN msg=\"requests need credentials, and nothing but API tokens lets anybody in: make an API token with `rollcall token create`", 401},
		{[]string{"--trust-proxy=10.0.0.1", "--proxy-login=none"}, "nothing but API tokens lets anybody in", 401},
	} {
		s := startAs(t, append(test.args, "--database", databasetest.With(t, "sqlite", databasetest.Nothing))...)
		res, body := s.ask(http.DefaultClient, http.MethodPost, whoami, "Content-Type", jsonType)
		if !strings.Contains(s.log.String(), test.logged) || res.StatusCode != test.status {
			t.Errorf("%q: %d %s, logged:\n%s", test.args, res.StatusCode, body, &s.log)
		}
		for _, path := range []string{"/", "/healthz", "/readyz"} { // which nobody has to log in for
			if res, _ := s.askAt(http.DefaultClient, path, http.MethodGet, ""); res.StatusCode != http.StatusOK {
				t.Errorf("%q: %s is %d", test.args, path, res.StatusCode)
			}
		}
		s.stop()
	}
}

func TestWithLoginsAServerListensOnEveryAddress(t *testing.T) {
	t.Parallel()
	p := authtest.New(t)
	for _, args := range [][]string{nil, admit(p), admit(p, "--demo"), {"--demo", "--allow-anonymous"}, {"--demo", "--trust-proxy=10.0.0.0/8"}} {
		s := startAs(t, append(args, "--listen", ":0", "--database", databasetest.With(t, "sqlite", databasetest.Nothing))...)
		s.stop()
	}
}

// TestOnThisMachineAloneNobodyElseIsAdmin has what a page of another site, or somebody behind a proxy of this machine, could send.
func TestOnThisMachineAloneNobodyElseIsAdmin(t *testing.T) {
	t.Parallel()
	s := startAs(t, "--demo", "--database", databasetest.URL(t, "sqlite"))
	port := s.base[strings.LastIndex(s.base, ":"):]
	for _, test := range []struct {
		host    string
		headers []string
		want    int
	}{
		{"localhost" + port, nil, 200},
		{"127.0.0.1" + port, nil, 200},
		{"[::1]" + port, nil, 200},
		{"LOCALHOST", nil, 200},
		{"127.1.2.3", nil, 200},
		{"localhost", []string{"Origin", "http://localhost:3000"}, 200},
		{"evil.example" + port, nil, 403}, // DNS rebinding
		{"localhost.evil.example", nil, 403},
		{"192.0.2.1" + port, nil, 403},
		{"127.0.0.1.nip.io", nil, 403},
		{"localhost", []string{"X-Forwarded-For", "127.0.0.1"}, 403},
		{"localhost", []string{"X-Forwarded-User", "root"}, 403},
		{"localhost", []string{"Forwarded", "for=192.0.2.1"}, 403},
		{"localhost", []string{"Via", "1.1 proxy"}, 403},
		{"localhost", []string{"x-forwarded-proto", "https"}, 403},
		{"localhost", []string{"Origin", "https://evil.example"}, 403},
		{"localhost", []string{"Authorization", "Bearer whatever"}, 401}, // what is not valid falls back to nothing
	} {
		for path, media := range map[string]string{"/query?query={__typename}": jsonType, "/scim/v2/ServiceProviderConfig": "application/scim+json", "/metrics": "text/plain"} {
			req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.base+path, nil)
			if err != nil {
				t.Fatal(err)
			}
			req.Host = test.host
			for i := 0; i+1 < len(test.headers); i += 2 {
				req.Header.Set(test.headers[i], test.headers[i+1])
			}
			res, err := http.DefaultClient.Do(req)
			if err != nil {
				t.Fatal(err)
			}
			text, _ := io.ReadAll(res.Body)
			_ = res.Body.Close()
			if res.StatusCode != test.want || !strings.HasPrefix(res.Header.Get("Content-Type"), media) {
				t.Errorf("%s at %s with %v gets %d %s", path, test.host, test.headers, res.StatusCode, text)
			}
		}
	}
	// Nor by a WebSocket, for which browsers ask nobody: the page of the rebound name is of the same origin.
	_, err := dialSocket(t, s, `{"type":"connection_init"}`, "Host", "evil.example"+port, "Origin", "http://evil.example"+port)
	if code := websocket.CloseStatus(err); code != 4403 {
		t.Errorf("by a WebSocket: %v", err)
	}
}

// TestEveryTransportRefusesWhoSaysNotWhoItIs and lets in who says so, as the same viewer.
func TestEveryTransportRefusesWhoSaysNotWhoItIs(t *testing.T) {
	t.Parallel()
	p := authtest.New(t)
	s := trusting(t, databasetest.With(t, "sqlite", directorytest.Demo), p)
	good, bad := p.Token(t, "ann", nil), p.Token(t, "ann", map[string]any{"aud": "mail"})
	for _, test := range []struct {
		what, method, path, body string
		headers                  []string
		media, in                string // media: of a refusal; in: a part of the answer to who is let in
	}{
		{"POST", "POST", "/query", whoami, nil, "application/json", `{"data":{"users"`},
		{"POST with a slash", "POST", "/query/", whoami, nil, "application/json", `{"data":{"users"`},
		{"POST of GraphQL's own media type", "POST", "/query", whoami, []string{"Accept", "application/graphql-response+json"}, "application/graphql-response+json", `{"data":{"users"`},
		{"GET", "GET", "/query?query={users{totalCount}}", "", nil, "application/json", `{"data":{"users"`},
		{"an array", "POST", "/query", "[" + whoami + "," + whoami + "]", nil, "application/json", `[{"data":{"users"`},
		{"@defer", "POST", "/query", `{"query": "{ ... @defer { users { totalCount } } }"}`, []string{"Accept", "multipart/mixed"}, "application/json", `"totalCount":1000`},
		{"what is no GraphQL", "POST", "/query", `{"query": 1}`, nil, "application/json", `BAD_REQUEST`},
	} {
		for _, token := range []string{"", bad, "rc_x", "x"} {
			headers := append([]string{"Content-Type", jsonType}, test.headers...)
			challenge := `Bearer realm="rollcall"`
			if token != "" {
				headers, challenge = append(headers, "Authorization", "Bearer "+token), challenge+`, error="invalid_token"`
			}
			res, body := s.askAt(http.DefaultClient, test.path, test.method, test.body, headers...)
			var answer struct {
				Errors []struct {
					Message    string
					Extensions struct{ Code, OperationID string }
				}
				Data json.RawMessage
			}
			if err := json.Unmarshal(body, &answer); err != nil || len(answer.Errors) != 1 || answer.Errors[0].Extensions.Code != "UNAUTHENTICATED" ||
				answer.Data != nil || answer.Errors[0].Extensions.OperationID != res.Header.Get("Operation-Id") {
				t.Errorf("%s: the body is %s", test.what, body)
			}
			if res.StatusCode != http.StatusUnauthorized || !strings.HasPrefix(res.Header.Get("WWW-Authenticate"), challenge) || res.Header.Get("Cache-Control") != "no-store" ||
				!strings.HasPrefix(res.Header.Get("Content-Type"), test.media) {
				t.Errorf("%s: %d %s", test.what, res.StatusCode, res.Header)
			}
		}
		_, body := s.askAt(http.DefaultClient, test.path, test.method, test.body, append([]string{"Content-Type", jsonType, "Authorization", "Bearer " + good}, test.headers...)...)
		if !strings.Contains(string(body), test.in) {
			t.Errorf("%s: whoever is let in gets %s", test.what, body)
		}
	}
	res, body := s.askAt(http.DefaultClient, "/query?access_token="+good, http.MethodPost, whoami, "Content-Type", jsonType)
	if res.StatusCode != http.StatusBadRequest || !strings.Contains(string(body), "BAD_REQUEST") || !strings.Contains(res.Header.Get("WWW-Authenticate"), "invalid_request") {
		t.Errorf("a token in the URL: %d %s", res.StatusCode, body)
	}
}

// dialSocket opens a WebSocket of the newer protocol. The error is the one that ends it before it is acknowledged.
func dialSocket(t *testing.T, s *server, init string, headers ...string) (*websocket.Conn, error) {
	t.Helper()
	return dialSocketBy(t, s, "graphql-transport-ws", init, headers...)
}

func dialSocketBy(t *testing.T, s *server, protocol, init string, headers ...string) (*websocket.Conn, error) {
	t.Helper()
	options := &websocket.DialOptions{Subprotocols: []string{protocol}, HTTPHeader: http.Header{}}
	for i := 0; i < len(headers); i += 2 {
		if headers[i] == "Host" {
			options.Host = headers[i+1]
			continue
		}
		options.HTTPHeader.Set(headers[i], headers[i+1])
	}
	conn, _, err := websocket.Dial(t.Context(), s.base+"/query", options)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.CloseNow() })
	if err := conn.Write(t.Context(), websocket.MessageText, []byte(init)); err != nil {
		t.Fatal(err)
	}
	for {
		_, text, err := conn.Read(t.Context())
		if err != nil {
			return conn, err
		}
		if strings.Contains(string(text), "connection_ack") {
			return conn, nil
		}
	}
}

func TestASocketsFirstMessageOrItsHeadersSayWhoOpensIt(t *testing.T) {
	t.Parallel()
	p := authtest.New(t)
	s := trusting(t, databasetest.With(t, "sqlite", directorytest.Demo), p, "--trust-proxy", "127.0.0.1")
	good := p.Token(t, "ann", nil)
	payload := func(name, value string) string {
		return fmt.Sprintf(`{"type":"connection_init","payload":{%q:%q}}`, name, value)
	}
	const bare = `{"type":"connection_init"}`
	for _, protocol := range []string{"graphql-transport-ws", "graphql-ws"} {
		for _, test := range []struct {
			what, init string
			headers    []string
			in         bool
		}{
			{"Authorization", payload("Authorization", "Bearer "+good), nil, true},
			{"authorization", payload("authorization", "bearer "+good), nil, true},
			{"AUTHORIZATION", payload("AUTHORIZATION", "Bearer "+good), nil, true},
			{"Authorization twice", fmt.Sprintf(`{"type":"connection_init","payload":{"Authorization":%q,"authorization":%[1]q}}`, "Bearer "+good), nil, false},
			{"AUTHORIZATION of null", fmt.Sprintf(`{"type":"connection_init","payload":{"AUTHORIZATION":null,"token":%q}}`, good), nil, true},
			{"token", payload("token", good), nil, true},
			{"the header", bare, []string{"Authorization", "Bearer " + good}, true},
			{"the header, with a payload of others", payload("x", "y"), []string{"Authorization", "Bearer " + good}, true},
			{"a payload before a header", payload("token", good), []string{"Authorization", "Bearer x"}, true},
			{"a proxy's word", bare, []string{"X-Forwarded-User", "ada"}, true},
			{"nothing", bare, nil, false},
			{"a payload that is not valid, before a header", payload("token", "x"), []string{"Authorization", "Bearer " + good}, false},
			{"a payload that is not valid, before a proxy's word", payload("Authorization", "Bearer x"), []string{"X-Forwarded-User", "ada"}, false},
			{"another scheme", payload("Authorization", "Basic x"), nil, false},
			{"an empty token", payload("token", ""), []string{"Authorization", "Bearer " + good}, false},
			{"a number", `{"type":"connection_init","payload":{"token":1}}`, []string{"Authorization", "Bearer " + good}, false},
			{"a header that is not valid", bare, []string{"Authorization", "Bearer x"}, false},
		} {
			conn, err := dialSocketBy(t, s, protocol, test.init, test.headers...)
			if err == nil {
				_ = conn.CloseNow()
			}
			if test.in != (err == nil) || err != nil && websocket.CloseStatus(err) != 4403 {
				t.Errorf("%s, %s: %v", protocol, test.what, err)
			}
		}
	}
}

// TestStreamsEndWhenTheirTokenExpires by each transport, in the way that its clients understand.
func TestStreamsEndWhenTheirTokenExpires(t *testing.T) {
	t.Parallel()
	p := authtest.New(t)
	s := trusting(t, databasetest.With(t, "sqlite", directorytest.Demo), p)
	lasting := s.streamAs(p.Token(t, "ann", nil), "text/event-stream")
	forms := map[string]string{
		"text/event-stream":                    "data: {\"errors\":[{\"message\":\"the token has expired\",\"extensions\":{\"code\":\"UNAUTHENTICATED\"}}]}\n\nevent: complete\ndata:\n\n",
		"multipart/mixed;subscriptionSpec=1.0": `{"payload":null,"errors":[{"message":"the token has expired","extensions":{"code":"UNAUTHENTICATED"}}]}` + "\r\n-----\r\n",
	}
	streams := map[string]*opened{}
	for media := range forms {
		streams[media] = s.streamAs(p.Token(t, "ann", expiring()), media)
	}
	sockets := map[string]*websocket.Conn{}
	for _, protocol := range []string{"graphql-transport-ws", "graphql-ws"} {
		conn, err := dialSocketBy(t, s, protocol, fmt.Sprintf(`{"type":"connection_init","payload":{"token":%q}}`, p.Token(t, "ann", expiring())))
		if err != nil {
			t.Fatal(err)
		}
		sockets[protocol] = conn
	}
	for media, stream := range streams {
		if err := <-stream.ended; err != nil || !strings.HasSuffix(stream.text.String(), forms[media]) {
			t.Errorf("%s: %v:\n%q", media, err, stream.text.String())
		}
	}
	for protocol, conn := range sockets {
		if code, reason := closing(conn); code != 4403 || reason != "the token has expired" {
			t.Errorf("%s: closed with %d %s", protocol, code, reason)
		}
	}
	select {
	case err := <-lasting.ended:
		t.Errorf("the other stream has ended: %v %s", err, &lasting.text)
	default:
	}
}

// closing reads a socket to its end.
func closing(conn *websocket.Conn) (code websocket.StatusCode, reason string) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	for {
		if _, _, err := conn.Read(ctx); err != nil {
			closed, _ := errors.AsType[websocket.CloseError](err)
			return closed.Code, closed.Reason
		}
	}
}

// opened is a stream over HTTP.
type opened struct {
	text  writings
	ended chan error
}

// streamAs opens a subscription with a token.
func (s *server) streamAs(token, media string) *opened {
	s.tb.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	s.tb.Cleanup(cancel)
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, s.base+"/query", strings.NewReader(subscription))
	if err != nil {
		s.tb.Fatal(err)
	}
	req.Header.Set("Content-Type", jsonType)
	req.Header.Set("Accept", media)
	req.Header.Set("Authorization", "Bearer "+token)
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		s.tb.Fatal(err)
	}
	if res.StatusCode != http.StatusOK {
		text, _ := io.ReadAll(res.Body)
		s.tb.Fatalf("%s: %s", res.Status, text)
	}
	o := &opened{ended: make(chan error, 1)}
	go func() {
		defer func() { _ = res.Body.Close() }()
		_, err := io.Copy(&o.text, res.Body)
		o.ended <- err
	}()
	return o
}

// TestADeactivationEndsTheStreamsOfEveryServer within five seconds, by whichever server it was made.
func TestADeactivationEndsTheStreamsOfEveryServer(t *testing.T) {
	t.Parallel()
	databasetest.EachWith(t, directorytest.Demo, func(t *testing.T, url string) {
		t.Parallel()
		p := authtest.New(t)
		one, other := trusting(t, url, p, "--oidc-link-email", p.URL), trusting(t, url, p, "--oidc-link-email", p.URL)
		admin := p.Token(t, "admin", as("ADMIN"))
		email, _ := field(t, one.answerAs(admin, `{ user(id: "User:42") { email } }`), "user", "email").(string)
		token := p.Token(t, "somebody", map[string]any{"email": email, "email_verified": true})
		stream := other.streamAs(token, "text/event-stream")
		conn, err := dialSocket(t, other, fmt.Sprintf(`{"type":"connection_init","payload":{"token":%q}}`, token))
		if err != nil {
			t.Fatal(err)
		}
		bystander := other.streamAs(admin, "text/event-stream")

		began := time.Now()
		one.answerAs(admin, `mutation { deactivateUser(input: {id: "User:42"}) { user { id } } }`)
		if err := <-stream.ended; err != nil || !strings.Contains(stream.text.String(), `"code":"UNAUTHENTICATED"`) || !strings.HasSuffix(stream.text.String(), "event: complete\ndata:\n\n") {
			t.Errorf("the stream ended with %v:\n%s", err, &stream.text)
		}
		if code, _ := closing(conn); code != 4403 {
			t.Errorf("the socket ended with %d", code)
		}
		t.Logf("ended after %s", time.Since(began))
		if res, body := other.ask(http.DefaultClient, http.MethodPost, whoami, "Content-Type", jsonType, "Authorization", "Bearer "+token); res.StatusCode != http.StatusUnauthorized || !strings.Contains(string(body), "deactivated") {
			t.Errorf("the next request gets %d %s", res.StatusCode, body)
		}
		eventually(t, "the bystander hears of it", func() bool { return strings.Contains(bystander.text.String(), "UPDATED") })
	})
}

// answerAs is answer with a token.
func (s *server) answerAs(token, query string) string {
	s.tb.Helper()
	res, body := s.ask(http.DefaultClient, http.MethodPost, request(query), "Content-Type", jsonType, "Authorization", "Bearer "+token)
	if res.StatusCode != http.StatusOK || strings.Contains(string(body), `"errors"`) {
		s.tb.Fatalf("%s: %s", res.Status, body)
	}
	return string(body)
}

func TestAServerStartsWithoutItsIssuerAndServesOthersMeanwhile(t *testing.T) {
	t.Parallel()
	p := authtest.New(t)
	p.Down.Store(true)
	s := start(t, admit(p, "--database", databasetest.With(t, "sqlite", databasetest.Nothing), "--allow-anonymous")...)
	token := p.Token(t, "ann", nil)
	ask := func(headers ...string) (*http.Response, []byte) {
		return s.ask(http.DefaultClient, http.MethodPost, whoami, append(headers, "Content-Type", jsonType)...)
	}
	eventually(t, "the log says so", func() bool { return strings.Contains(s.log.String(), "does not tell its keys") })
	if res, body := ask("Authorization", "Bearer "+token); res.StatusCode != http.StatusServiceUnavailable || res.Header.Get("Retry-After") == "" || !strings.Contains(string(body), "ISSUER_UNAVAILABLE") {
		t.Errorf("a token gets %d %s", res.StatusCode, body)
	}
	_, err := dialSocket(t, s, fmt.Sprintf(`{"type":"connection_init","payload":{"token":%q}}`, token))
	if websocket.CloseStatus(err) != websocket.StatusTryAgainLater {
		t.Errorf("a socket gets %v", err)
	}
	if res, body := ask(); res.StatusCode != http.StatusOK {
		t.Errorf("others get %d %s", res.StatusCode, body)
	}
	if res, _ := s.askAt(http.DefaultClient, "/readyz", http.MethodGet, ""); res.StatusCode != http.StatusOK {
		t.Errorf("it is not ready: %d", res.StatusCode)
	}
	p.Down.Store(false)
	eventually(t, "the token is good", func() bool { res, _ := ask("Authorization", "Bearer "+token); return res.StatusCode == http.StatusOK })
}

func TestSeveralIssuersEachHaveTheirOwnAudience(t *testing.T) {
	t.Parallel()
	one, other := authtest.New(t), authtest.New(t)
	s := start(t, "--database", databasetest.With(t, "sqlite", databasetest.Nothing),
		"--oidc-issuer", one.URL, "--oidc-issuer", other.URL, "--oidc-audience", "first", "--oidc-audience", "second")
	s.knows(one)
	s.knows(other)
	for _, test := range []struct {
		p        *authtest.Provider
		audience string
		want     int
	}{{one, "first", 200}, {one, "second", 401}, {other, "second", 200}, {other, "first", 401}} {
		token := test.p.Token(t, "ann", map[string]any{"aud": test.audience})
		if res, body := s.ask(http.DefaultClient, http.MethodPost, whoami, "Content-Type", jsonType, "Authorization", "Bearer "+token); res.StatusCode != test.want {
			t.Errorf("%s: %d %s", test.audience, res.StatusCode, body)
		}
	}
}

func TestSCIMAndTheMetricsAskForMoreThanALogin(t *testing.T) {
	t.Parallel()
	p := authtest.New(t)
	s := trusting(t, databasetest.With(t, "sqlite", directorytest.Demo), p, "--role-name", "EDITOR=editors", "--allow-anonymous")
	for _, test := range []struct {
		role          string // "": no credentials
		scim, metrics int
	}{{"", 401, 401}, {"VIEWER", 403, 403}, {"EDITOR", 403, 403}, {"editors", 200, 403}, {"ADMIN", 200, 200}} {
		var headers []string
		if test.role != "" {
			headers = []string{"Authorization", "Bearer " + p.Token(t, "x"+test.role, as(test.role))}
		}
		res, body := s.askAt(http.DefaultClient, "/scim/v2/Users?count=1", http.MethodGet, "", headers...)
		if res.StatusCode != test.scim || res.Header.Get("Content-Type") != "application/scim+json" || test.scim != 200 && !strings.Contains(string(body), fmt.Sprintf(`"status":"%d"`, test.scim)) ||
			(test.scim == 401) != (res.Header.Get("WWW-Authenticate") != "") {
			t.Errorf("SCIM for %q: %d %s %s", test.role, res.StatusCode, res.Header, body)
		}
		res, body = s.askAt(http.DefaultClient, "/metrics", http.MethodGet, "", headers...)
		if res.StatusCode != test.metrics || test.metrics == 200 && !strings.Contains(string(body), `rollcall_refused_attempts_total{code="FORBIDDEN"} `) {
			t.Errorf("the metrics for %q: %d %.200s", test.role, res.StatusCode, body)
		}
	}
	token := p.Token(t, "provisioner", as("editors"))
	const user = `{"schemas":["urn:ietf:params:scim:schemas:core:2.0:User"],"userName":"new@example.com"}`
	s.askAt(http.DefaultClient, "/scim/v2/Users", http.MethodPost, user, "Content-Type", "application/scim+json", "Authorization", "Bearer "+token)
	if got := s.answerAs(token, `{ userByEmail(email: "new@example.com") { history(first: 1) { nodes { actor } } } }`); !strings.Contains(got, `{"actor":"oidc:`+p.URL+`#provisioner"}`) {
		t.Errorf("the log has %s", got)
	}
}

// TestAnExpiredOrRevokedTokenOpensNothing tries each root field of the schema, and what is served beside the API.
func TestAnExpiredOrRevokedTokenOpensNothing(t *testing.T) {
	t.Parallel()
	p := authtest.New(t)
	url := databasetest.With(t, "sqlite", directorytest.Demo)
	create := []string{"token", "create", "--database", url, "--role=admin"}
	good, revoked := strings.TrimSpace(output(t, append(create, "--name=good")...)), strings.TrimSpace(output(t, append(create, "--name=gone")...))
	output(t, "token", "revoke", "--database", url, revoked)
	s := trusting(t, url, p)
	var schema struct {
		Data struct {
			Schema map[string]struct {
				Name   string
				Fields []struct{ Name string }
			} `json:"__schema"`
		}
	}
	const kinds = `{ __schema { query: queryType { ...F } mutation: mutationType { ...F } subscription: subscriptionType { ...F } } } fragment F on __Type { name fields { name } }`
	if err := json.Unmarshal([]byte(s.answerAs(good, kinds)), &schema); err != nil || len(schema.Data.Schema) != 3 {
		t.Fatalf("%v: %v", err, schema)
	}
	expired := p.Token(t, "ann", map[string]any{"roles": []string{"ADMIN"}, "exp": time.Now().Add(-time.Hour).Unix()})
	for what, token := range map[string]string{"expired": expired, "revoked": revoked} {
		refused := func(path, method, body string) {
			t.Helper()
			res, text := s.askAt(http.DefaultClient, path, method, body, "Content-Type", jsonType, "Accept", "application/json, text/event-stream", "Authorization", "Bearer "+token)
			if res.StatusCode != http.StatusUnauthorized || !strings.Contains(res.Header.Get("WWW-Authenticate"), "invalid_token") || strings.Contains(string(text), `"data"`) {
				t.Errorf("%s: %s %s %s: got %d %s", what, method, path, body, res.StatusCode, text)
			}
		}
		for kind, of := range schema.Data.Schema {
			for _, field := range of.Fields {
				refused("/query", http.MethodPost, request(kind+" { "+field.Name+" { __typename } }"))
			}
		}
		refused("/query", http.MethodPost, "["+whoami+"]")
		refused("/query?query={__typename}", http.MethodGet, "")
		refused("/scim/v2/Users", http.MethodGet, "")
		refused("/metrics", http.MethodGet, "")
		if _, err := dialSocket(t, s, fmt.Sprintf(`{"type":"connection_init","payload":{"token":%q}}`, token)); websocket.CloseStatus(err) != 4403 {
			t.Errorf("%s: a WebSocket: %v", what, err)
		}
	}
}

// TestWhatIsRefusedIsInTheLogWithWhoAndWhy but not all of a flood, and no credentials.
func TestWhatIsRefusedIsInTheLogWithWhoAndWhy(t *testing.T) {
	t.Parallel()
	p := authtest.New(t)
	s := trusting(t, databasetest.With(t, "sqlite", databasetest.Nothing), p, "--trust-proxy", "127.0.0.1", "--proxy-login", "none", "--log-operations", "off")
	bad := p.Token(t, "ann", map[string]any{"aud": "mail"})
	const flood = 200
	for range flood {
		s.ask(http.DefaultClient, http.MethodPost, whoami, "Content-Type", jsonType, "Authorization", "Bearer "+bad, "X-Forwarded-For", "198.51.100.1, 203.0.113.9")
	}
	eventually(t, "all are in the log", func() bool {
		n := 0
		for _, record := range records(t, "text", s.log.String()) {
			if record["msg"] == "an attempt was refused" && record["reason"] == "the token is for another audience" {
				n++
			} else if record["msg"] == "more attempts were refused" {
				var more int
				_, _ = fmt.Sscan(record["attempts"], &more)
				n += more
			}
		}
		return n == flood
	})
	log := s.log.String()
	if strings.Count(log, "\n") > 30 || strings.Contains(log, bad[len(bad)-20:]) ||
		!strings.Contains(log, `level=WARN msg="an attempt was refused" code=UNAUTHENTICATED subject="" operation="" reason="the token is for another audience" detail="[\"mail\"]" client=203.0.113.9`) {
		t.Errorf("logged:\n%.3000s", log)
	}

	s.ask(http.DefaultClient, http.MethodPost, `{"query":"mutation Clean { deleteUser(input: {id: \"User:1\"}) { deletedUserId } }"}`, "Content-Type", jsonType,
		"Authorization", "Bearer "+p.Token(t, "ann", nil), "X-Forwarded-For", "198.51.100.1, 203.0.113.9")
	want := `code=FORBIDDEN subject="oidc:` + p.URL + `#ann" operation=Clean reason="deleteUser needs the role EDITOR" client=203.0.113.9`
	eventually(t, "so is what the API itself refuses", func() bool {
		return strings.Contains(strings.ReplaceAll(s.log.String(), `subject=oidc:`+p.URL+`#ann`, `subject="oidc:`+p.URL+`#ann"`), want)
	})
}

func TestIdempotencyKeysAreTheViewersOwn(t *testing.T) {
	t.Parallel()
	p := authtest.New(t)
	s := trusting(t, databasetest.URL(t, "sqlite"), p)
	create := func(subject, email string) (*http.Response, string) {
		res, body := s.ask(http.DefaultClient, http.MethodPost, request(fmt.Sprintf(`mutation { createUser(input: {name: "A", email: %q}) { user { id } } }`, email)),
			"Content-Type", jsonType, "Idempotency-Key", "one", "Authorization", "Bearer "+p.Token(t, subject, as("ADMIN")))
		return res, string(body)
	}
	_, first := create("ann", "a@example.com")
	if res, again := create("ann", "a@example.com"); again != first || res.Header.Get("Idempotent-Replayed") != "true" {
		t.Errorf("the same viewer gets %s", again)
	}
	if res, other := create("ben", "b@example.com"); !strings.Contains(other, `"User:2"`) || res.Header.Get("Idempotent-Replayed") != "" {
		t.Errorf("another viewer with the key gets %s", other)
	}
}
