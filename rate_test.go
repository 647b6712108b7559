package main

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"

	"github.com/coder/websocket"

	"rollcall/database/databasetest"
	"rollcall/directory/directorytest"
)

// from returns a client at an address of this machine.
func from(base, address string) *client {
	c := newClient(base, false)
	dialer := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(address)}}
	c.Transport = &http.Transport{DialContext: dialer.DialContext, MaxIdleConnsPerHost: 1000}
	return c
}

// TestWhoTriesCredentialsPaysForItByTheAddress: whoever has good ones there is not held up.
func TestWhoTriesCredentialsPaysForItByTheAddress(t *testing.T) {
	t.Parallel()
	url := databasetest.With(t, "sqlite", directorytest.Demo)
	good := strings.TrimSpace(output(t, "token", "create", "--database", url, "--name=good", "--role=admin"))
	s := startAs(t, "--database", url, "--metrics", "127.0.0.1:0", "--rate", "10", "--rate-burst", "40")
	one, other := from(s.base, "127.0.0.2"), from(s.base, "127.0.0.3")
	defer one.CloseIdleConnections()
	defer other.CloseIdleConnections()
	get := func(c *client, path, token string) (*http.Response, string) {
		res, body := s.askAt(c.Client, path, http.MethodGet, "", "Authorization", "Bearer "+token)
		return res, string(body)
	}
	const query = "/query?query={viewer{role}}"
	for n, path := range []string{query, "/scim/v2/Users", "/metrics"} {
		res, body := get(one, path, "rc_guessed")
		if res.StatusCode != http.StatusUnauthorized || !strings.HasPrefix(res.Header.Get("RateLimit"), fmt.Sprintf(`"cost";r=%d;`, 30-10*n)) {
			t.Errorf("%s: got %d %v %s", path, res.StatusCode, res.Header, body)
		}
	}
	if _, err := dialSocketFrom(t, s, "127.0.0.2", `{"type":"connection_init","payload":{"token":"rc_guessed"}}`); websocket.CloseStatus(err) != 4403 {
		t.Errorf("a WebSocket: got %v", err)
	}
	for path, code := range map[string]string{query: `"code":"RATE_LIMITED"`, "/scim/v2/Users": `"status":"429"`, "/metrics": "asked for too much"} {
		res, body := get(one, path, "rc_guessed")
		if res.StatusCode != http.StatusTooManyRequests || !strings.Contains(body, code) || res.Header.Get("Retry-After") == "" || res.Header.Get("WWW-Authenticate") != "" {
			t.Errorf("%s: got %d %v %s", path, res.StatusCode, res.Header, body)
		}
		if res, body := get(other, path, "rc_guessed"); res.StatusCode != http.StatusUnauthorized {
			t.Errorf("another address: got %d %s", res.StatusCode, body)
		}
		if path != "/scim/v2/Users" && path != "/metrics" {
			if res, body := get(one, path, good); res.StatusCode != http.StatusOK {
				t.Errorf("with good credentials: got %d %s", res.StatusCode, body)
			}
		}
	}
	if m := s.metrics(); m[`rollcall_rate_limited_total{limit="rate",client="address"}`] != 3 || m["rollcall_rate_delayed"] != 0 {
		t.Errorf("counted are %v", m)
	}
}

// dialSocketFrom is dialSocket at an address of this machine.
func dialSocketFrom(t *testing.T, s *server, address, init string) (*websocket.Conn, error) {
	t.Helper()
	c := from(s.base, address)
	conn, _, err := websocket.Dial(t.Context(), s.base+"/query", &websocket.DialOptions{HTTPClient: c.Client, Subprotocols: []string{"graphql-transport-ws"}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.CloseNow() })
	if err := conn.Write(t.Context(), websocket.MessageText, []byte(init)); err != nil {
		t.Fatal(err)
	}
	_, _, err = conn.Read(t.Context())
	return conn, err
}

func TestEachClientHasARateOverAllOfTheServer(t *testing.T) {
	t.Parallel()
	s := start(t, "--database", databasetest.With(t, "sqlite", directorytest.Demo), "--metrics", "127.0.0.1:0", "--rate", "10", "--rate-burst", "30")
	one, other := from(s.base, "127.0.0.2"), from(s.base, "127.0.0.3")
	defer one.CloseIdleConnections()
	defer other.CloseIdleConnections()
	get := func(c *client, path string) (*http.Response, string) {
		res, err := c.Get(s.base + path)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = res.Body.Close() }()
		body, err := io.ReadAll(res.Body)
		if err != nil {
			t.Fatal(err)
		}
		return res, string(body)
	}
	const users = "/query?query={users(first:9){nodes{id}}}" // which costs 11
	res, _ := get(one, users)
	if res.StatusCode != http.StatusOK || res.Header.Get("RateLimit-Policy") != `"cost";q=30;w=180` || !strings.HasPrefix(res.Header.Get("RateLimit"), `"cost";r=19;t=`) {
		t.Errorf("the first: got %d %v", res.StatusCode, res.Header)
	}
	res, _ = get(one, "/scim/v2/Users?count=1")
	if res.StatusCode != http.StatusOK || !strings.HasPrefix(res.Header.Get("RateLimit"), `"cost";r=9;`) {
		t.Errorf("SCIM: got %d %v", res.StatusCode, res.Header)
	}
	for path, code := range map[string]string{users: `"code":"RATE_LIMITED"`, "/scim/v2/Users": `"status":"429"`} {
		res, body := get(one, path)
		if res.StatusCode != http.StatusTooManyRequests || !strings.Contains(body, code) || res.Header.Get("Retry-After") == "" {
			t.Errorf("%s: got %d %v %s", path, res.StatusCode, res.Header, body)
		}
	}
	for _, path := range []string{"/healthz", "/readyz", "/", "/query?query={__schema{queryType{name}}}"} {
		for range 40 {
			if res, body := get(one, path); res.StatusCode != http.StatusOK {
				t.Fatalf("%s: got %d %s", path, res.StatusCode, body)
			}
		}
	}
	if res, body := get(other, users); res.StatusCode != http.StatusOK {
		t.Errorf("the other: got %d %s", res.StatusCode, body)
	}
	m := s.metrics()
	if m[`rollcall_rate_limited_total{limit="rate",client="address"}`] != 2 || m[`rollcall_rate_limited_total{limit="rate",client="viewer"}`] != 0 || m["rollcall_rate_buckets"] != 2 {
		t.Errorf("counted are %v", m)
	}
}
