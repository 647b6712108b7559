package auth

import (
	"context"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

func TestARequestOfThisMachineAloneIsKnown(t *testing.T) {
	const alone, remote, shared, proxied, host, origin = "", "another machine", "others reach", "proxy", "another host than", "page of another host"
	for _, row := range []struct {
		name, peer, local, host string
		header                  http.Header
		reason                  string
	}{
		{"IPv4", "127.0.0.1:5", "127.0.0.1:8080", "localhost:8080", nil, alone},
		{"IPv6", "[::1]:5", "[::1]:8080", "[::1]:8080", nil, alone},
		{"IPv4 as IPv6", "[::ffff:127.0.0.1]:5", "[::ffff:127.0.0.1]:8080", "127.0.0.1", nil, alone},
		{"other loopback addresses", "127.1.2.3:5", "127.9.9.9:8080", "127.9.9.9:1", nil, alone},
		{"below localhost", "127.0.0.1:5", "127.0.0.1:8080", "App.LocalHost:8080", nil, alone},
		{"without a port", "127.0.0.1:5", "127.0.0.1:80", "[::1]", nil, alone},
		{"a page of this machine", "127.0.0.1:5", "127.0.0.1:80", "localhost", http.Header{"Origin": {"http://localhost:3000"}}, alone},
		{"a page of this machine by https", "127.0.0.1:5", "127.0.0.1:80", "localhost", http.Header{"Origin": {"https://[::1]"}}, alone},
		{"a page of this machine by another name", "127.0.0.1:5", "127.0.0.1:80", "localhost", http.Header{"Origin": {"http://127.0.0.1"}, "Sec-Fetch-Site": {"cross-site"}}, alone},
		{"what somebody has typed", "127.0.0.1:5", "127.0.0.1:80", "localhost", http.Header{"Sec-Fetch-Site": {"none"}}, alone},
		{"what its own page shows", "127.0.0.1:5", "127.0.0.1:80", "localhost", http.Header{"Sec-Fetch-Site": {"same-origin"}}, alone},
		{"other headers", "127.0.0.1:5", "127.0.0.1:80", "localhost", http.Header{"X-Request-Id": {"1"}, "Viable": {"1"}}, alone},

		{"another machine", "192.0.2.1:5", "127.0.0.1:8080", "localhost", nil, remote},
		{"no peer", "", "127.0.0.1:8080", "localhost", nil, remote},
		{"a socket", "@", "127.0.0.1:8080", "localhost", nil, remote},
		{"any address as the peer", "0.0.0.0:5", "127.0.0.1:8080", "localhost", nil, remote},
		{"another address of this machine", "127.0.0.1:5", "192.0.2.1:8080", "localhost", nil, shared},
		{"no address of this machine", "127.0.0.1:5", "", "localhost", nil, shared},

		{"Forwarded", "127.0.0.1:5", "127.0.0.1:80", "localhost", http.Header{"Forwarded": {"for=192.0.2.1"}}, proxied},
		{"who has logged in at oauth2-proxy", "127.0.0.1:5", "127.0.0.1:80", "localhost", http.Header{"X-Auth-Request-User": {"ada"}}, proxied},
		{"Via", "127.0.0.1:5", "127.0.0.1:80", "localhost", http.Header{"Via": {"1.1 x"}}, proxied},
		{"X-Real-IP", "127.0.0.1:5", "127.0.0.1:80", "localhost", http.Header{"X-Real-Ip": {"127.0.0.1"}}, proxied},
		{"X-Forwarded-For", "127.0.0.1:5", "127.0.0.1:80", "localhost", http.Header{"X-Forwarded-For": {"127.0.0.1"}}, proxied},
		{"X-Forwarded-Proto, empty", "127.0.0.1:5", "127.0.0.1:80", "localhost", http.Header{"X-Forwarded-Proto": {""}}, proxied},
		{"X-Forwarded", "127.0.0.1:5", "127.0.0.1:80", "localhost", http.Header{"X-Forwarded": {"x"}}, proxied},
		{"of Cloudflare", "127.0.0.1:5", "127.0.0.1:80", "localhost", http.Header{"Cf-Connecting-Ip": {"192.0.2.1"}}, proxied},

		{"another host", "127.0.0.1:5", "127.0.0.1:80", "evil.example.com", nil, host},
		{"a host that begins like it", "127.0.0.1:5", "127.0.0.1:80", "localhost.evil.example.com:80", nil, host},
		{"a host that ends like it", "127.0.0.1:5", "127.0.0.1:80", "evillocalhost", nil, host},
		{"a dot and nothing before it", "127.0.0.1:5", "127.0.0.1:80", ".localhost", nil, host},
		{"an address as a name", "127.0.0.1:5", "127.0.0.1:80", "127.0.0.1.nip.io", nil, host},
		{"any address", "127.0.0.1:5", "127.0.0.1:80", "0.0.0.0:80", nil, host},
		{"an address in hexadecimal", "127.0.0.1:5", "127.0.0.1:80", "0x7f000001", nil, host},
		{"a short address", "127.0.0.1:5", "127.0.0.1:80", "127.1", nil, host},
		{"no host", "127.0.0.1:5", "127.0.0.1:80", "", nil, host},
		{"a port alone", "127.0.0.1:5", "127.0.0.1:80", ":80", nil, host},
		{"a port that is none", "127.0.0.1:5", "127.0.0.1:80", "localhost:evil", nil, host},
		{"two ports", "127.0.0.1:5", "127.0.0.1:80", "localhost:80:80", nil, host},
		{"a name in brackets", "127.0.0.1:5", "127.0.0.1:80", "[localhost]:80", nil, host},
		{"IPv4 in brackets", "127.0.0.1:5", "127.0.0.1:80", "[127.0.0.1]", nil, host},
		{"IPv6 without brackets", "127.0.0.1:5", "127.0.0.1:80", "::1", nil, host},
		{"half a bracket", "127.0.0.1:5", "127.0.0.1:80", "[::1", nil, host},
		{"a zone", "127.0.0.1:5", "127.0.0.1:80", "[::1%25lo]:80", nil, host},

		{"another page", "127.0.0.1:5", "127.0.0.1:80", "localhost", http.Header{"Origin": {"https://evil.example.com"}}, origin},
		{"a page that begins like it", "127.0.0.1:5", "127.0.0.1:80", "localhost", http.Header{"Origin": {"http://localhost.evil.example.com"}}, origin},
		{"a page with it as a user", "127.0.0.1:5", "127.0.0.1:80", "localhost", http.Header{"Origin": {"http://localhost@evil.example.com"}}, origin},
		{"a page of no origin", "127.0.0.1:5", "127.0.0.1:80", "localhost", http.Header{"Origin": {"null"}}, origin},
		{"an empty origin", "127.0.0.1:5", "127.0.0.1:80", "localhost", http.Header{"Origin": {""}}, origin},
		{"an extension", "127.0.0.1:5", "127.0.0.1:80", "localhost", http.Header{"Origin": {"chrome-extension://localhost"}}, origin},
		{"a malformed origin", "127.0.0.1:5", "127.0.0.1:80", "localhost", http.Header{"Origin": {"http://[::1"}}, origin},
		{"what a page of another site shows", "127.0.0.1:5", "127.0.0.1:80", "localhost", http.Header{"Sec-Fetch-Site": {"cross-site"}}, origin},
		{"two origins", "127.0.0.1:5", "127.0.0.1:80", "localhost", http.Header{"Origin": {"http://localhost", "http://localhost"}}, "several origins"},
	} {
		r := from(t, row.peer, row.header)
		r.Host = row.host
		if row.local != "" {
			local := must(net.ResolveTCPAddr("tcp", row.local))
			r = r.WithContext(context.WithValue(r.Context(), http.LocalAddrContextKey, local))
		}
		err := ThisMachineAlone(r)
		if row.reason == alone && err != nil || row.reason != alone && (err == nil || !strings.Contains(err.Error(), row.reason)) {
			t.Errorf("%s: error %v", row.name, err)
		}
	}
}

func TestARealRequestOfThisMachineIsKnown(t *testing.T) {
	reasons := make(chan error, 1)
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { reasons <- ThisMachineAlone(r) }))
	defer server.Close()
	for host, alone := range map[string]bool{"": true, "app.localhost:1": true, "rebound.example.com": false} {
		r := must(http.NewRequestWithContext(t.Context(), http.MethodGet, server.URL, http.NoBody))
		r.Host = host
		must(http.DefaultClient.Do(r)).Body.Close() //nolint:errcheck // nothing is in it
		if err := <-reasons; (err == nil) != alone {
			t.Errorf("host %q: %v", host, err)
		}
	}
}
