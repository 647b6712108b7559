package main

import (
	"io"
	"net"
	"net/http"
	"strings"
	"testing"

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
