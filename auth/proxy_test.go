package auth

import (
	"crypto/tls"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"slices"
	"strings"
	"testing"
)

func trusted(prefixes ...string) []netip.Prefix {
	var all []netip.Prefix
	for _, p := range prefixes {
		all = append(all, must(ParsePrefix(p)))
	}
	return all
}

func from(t *testing.T, peer string, header http.Header) *http.Request {
	t.Helper()
	r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/", nil)
	r.RemoteAddr, r.Header = peer, header
	return r
}

func TestATrustedProxyAloneSaysWhoSendsARequest(t *testing.T) {
	p := XForwardedHeaders()
	p.Trusted = trusted("10.0.0.0/8", "fd00::/8")
	ann := http.Header{"X-Forwarded-User": {" ann "}, "X-Forwarded-Email": {"ann@example.com"}, "X-Forwarded-Groups": {"admins, staff,, "}}
	for _, peer := range []string{"10.1.2.3:4", "[::ffff:10.1.2.3]:4", "[fd00::1]:4", "[fd00::1%eth0]:4"} {
		user, err := p.User(from(t, peer, ann))
		if err != nil || user == nil || user.Name != "ann" || user.Email != "ann@example.com" || !slices.Equal(user.Roles, []string{"admins", "staff"}) {
			t.Errorf("from %s: %+v, error %v", peer, user, err)
		}
	}
	for _, peer := range []string{"11.0.0.1:4", "127.0.0.1:4", "[::1]:4", "[fe80::1]:4", "@", "", "10.1.2.3", "10.1.2.3:", "[::10.1.2.3]:4"} {
		if user, err := p.User(from(t, peer, ann)); user != nil || err != nil {
			t.Errorf("from %s: %+v, error %v", peer, user, err)
		}
	}
}

func TestAProxyNamesOneUserOrNobody(t *testing.T) {
	p := XAuthRequestHeaders()
	p.Trusted = trusted("10.0.0.1")
	long := strings.Repeat("a", maxProxyUser)
	for _, row := range []struct {
		name   string
		header http.Header
		user   string
		bad    bool
	}{
		{"nobody", http.Header{}, "", false},
		{"nobody, but roles", http.Header{"X-Auth-Request-User": {"  "}, "X-Auth-Request-Groups": {"admins"}}, "", false},
		{"a user", http.Header{"X-Auth-Request-User": {long}}, long, false},
		{"a header that is not configured", http.Header{"X-Forwarded-User": {"root"}}, "", false},
		{"a header that is not configured besides", http.Header{"X-Auth-Request-User": {"ann"}, "X-Forwarded-User": {"root"}, "X-Forwarded-Groups": {"admins"}}, "ann", false},
		{"two users", http.Header{"X-Auth-Request-User": {"ann", "root"}}, "", true},
		{"the same user twice", http.Header{"X-Auth-Request-User": {"ann", "ann"}}, "", true},
		{"two lists of roles", http.Header{"X-Auth-Request-User": {"ann"}, "X-Auth-Request-Groups": {"staff", "admins"}}, "", true},
		{"two addresses", http.Header{"X-Auth-Request-User": {"ann"}, "X-Auth-Request-Email": {"a@b", "c@d"}}, "", true},
		{"too long", http.Header{"X-Auth-Request-User": {long + "a"}}, "", true},
		{"not UTF-8", http.Header{"X-Auth-Request-User": {"ann\xff"}}, "", true},
		{"a line break", http.Header{"X-Auth-Request-User": {"ann\nroot"}}, "", true},
	} {
		user, err := p.User(from(t, "10.0.0.1:4", row.header))
		name := ""
		if user != nil {
			name = user.Name
			if user.Roles != nil {
				t.Errorf("%s: roles %q", row.name, user.Roles)
			}
		}
		if name != row.user || (err != nil) != row.bad {
			t.Errorf("%s: %+v, error %v", row.name, user, err)
		}
	}
	p.UserHeader = ""
	if user, err := p.User(from(t, "10.0.0.1:4", http.Header{"": {"root"}, "X-Auth-Request-User": {"root"}})); user != nil || err != nil {
		t.Errorf("where proxies log nobody in: %+v, error %v", user, err)
	}
}

func TestTheLogTellsWhyAProxyHasLoggedNobodyIn(t *testing.T) {
	p := XForwardedHeaders()
	p.Trusted = trusted("10.0.0.1")
	ann := http.Header{"X-Forwarded-User": {"ann"}}
	for _, row := range []struct {
		peer   string
		header http.Header
		want   string
	}{
		{"10.0.0.1:4", http.Header{"X-Forwarded-Email": {"ann@example.com"}}, "the proxy has sent no X-Forwarded-User"},
		{"10.0.0.2:4", ann, "10.0.0.2 is no trusted proxy, so its X-Forwarded-User is ignored"},
		{"10.0.0.2:4", http.Header{}, ""},
	} {
		if got := p.Nobody(from(t, row.peer, row.header)); got != row.want {
			t.Errorf("from %s with %v: %q", row.peer, row.header, got)
		}
	}
	for _, none := range []Proxies{XForwardedHeaders(), {Trusted: p.Trusted}} {
		if got := none.Nobody(from(t, "10.0.0.1:4", ann)); got != "" {
			t.Errorf("where nobody is logged in by a proxy: %q", got)
		}
	}
}

func TestHeadersThatStandForOneThingEachAreValid(t *testing.T) {
	for _, p := range []Proxies{{}, XForwardedHeaders(), XAuthRequestHeaders(), {UserHeader: "remote-user"}, {UserHeader: "A", RolesHeader: "B"}} {
		if err := p.Validate(); err != nil {
			t.Errorf("%+v: %v", p, err)
		}
	}
	for _, p := range []Proxies{{UserHeader: "a b"}, {UserHeader: "a:"}, {UserHeader: "é"}, {UserHeader: "x-user", EmailHeader: "X-User"}, {EmailHeader: "X-Email"}, {RolesHeader: "X-Roles"}} {
		if p.Validate() == nil {
			t.Errorf("%+v: accepted", p)
		}
	}
}

func TestTheAddressOfAClientIsFoundBehindTrustedProxies(t *testing.T) {
	p := Proxies{Trusted: trusted("10.0.0.0/8", "2001:db8::/32")}
	for _, row := range []struct {
		name, peer string
		forwarded  []string
		client     string
	}{
		{"no proxy", "192.0.2.1:5", nil, "192.0.2.1"},
		{"an untrusted peer", "192.0.2.1:5", []string{"198.51.100.1"}, "192.0.2.1"},
		{"one proxy", "10.0.0.1:5", []string{"198.51.100.1"}, "198.51.100.1"},
		{"one that is written as IPv6", "[::ffff:10.0.0.1]:5", []string{"::ffff:198.51.100.1"}, "198.51.100.1"},
		{"two proxies", "10.0.0.1:5", []string{"198.51.100.1, 10.0.0.2"}, "198.51.100.1"},
		{"two headers", "10.0.0.1:5", []string{"203.0.113.9", "198.51.100.1,10.0.0.2"}, "198.51.100.1"},
		{"two headers, the second trusted", "10.0.0.1:5", []string{"203.0.113.9, 198.51.100.1", "10.0.0.3 ,\t10.0.0.2"}, "198.51.100.1"},
		{"invented ones to the left", "10.0.0.1:5", []string{"10.0.0.9, 127.0.0.1, 198.51.100.1"}, "198.51.100.1"},
		{"IPv6", "[2001:db8::1]:5", []string{"2a00::1, 2001:db8::2"}, "2a00::1"},
		{"ports", "10.0.0.1:5", []string{"198.51.100.1:99, 10.0.0.2:80"}, "198.51.100.1"},
		{"brackets", "10.0.0.1:5", []string{"[2a00::1], [2001:db8::2]:80"}, "2a00::1"},
		{"a zone", "10.0.0.1:5", []string{"fe80::1%eth0"}, "fe80::1"},
		{"trusted ones alone", "10.0.0.1:5", []string{"10.0.0.3, 10.0.0.2"}, "10.0.0.3"},
		{"no header", "10.0.0.1:5", nil, "10.0.0.1"},
		{"an empty header", "10.0.0.1:5", []string{""}, "10.0.0.1"},
		{"no address", "10.0.0.1:5", []string{"198.51.100.1, unknown"}, "10.0.0.1"},
		{"no address behind a proxy", "10.0.0.1:5", []string{"198.51.100.1, unknown, 10.0.0.2"}, "10.0.0.2"},
		{"an empty entry", "10.0.0.1:5", []string{"198.51.100.1,,10.0.0.2"}, "10.0.0.2"},
		{"half a bracket", "10.0.0.1:5", []string{"[2a00::1"}, "10.0.0.1"},
		{"IPv4 in brackets", "10.0.0.1:5", []string{"[198.51.100.1]"}, "10.0.0.1"},
		{"zeros in front", "10.0.0.1:5", []string{"198.051.100.1"}, "10.0.0.1"},
		{"a name", "10.0.0.1:5", []string{"localhost"}, "10.0.0.1"},
		{"a socket", "@", []string{"198.51.100.1"}, "invalid IP"},
	} {
		if got := p.Client(from(t, row.peer, http.Header{"X-Forwarded-For": row.forwarded})).String(); got != row.client {
			t.Errorf("%s: %s instead of %s", row.name, got, row.client)
		}
	}
}

func TestATrustedProxyAloneSaysThatAClientHasComeByHTTPS(t *testing.T) {
	p := Proxies{Trusted: trusted("10.0.0.0/8")}
	for _, row := range []struct {
		name, peer string
		header     []string
		tls        bool
		target     string // the scheme of the request's target
		scheme     string
	}{
		{"no proxy", "192.0.2.1:5", nil, false, "", ""},
		{"no proxy, by HTTPS", "192.0.2.1:5", nil, true, "", "https"},
		{"an untrusted peer", "192.0.2.1:5", []string{"https"}, false, "", ""},
		{"a proxy", "10.0.0.1:5", []string{"https"}, false, "", "https"},
		{"in capitals", "10.0.0.1:5", []string{"HTTPS"}, false, "", "https"},
		{"two proxies", "10.0.0.1:5", []string{"https, http"}, false, "", "https"},
		{"by HTTP", "10.0.0.1:5", []string{"http"}, false, "", ""},
		{"by HTTP to a proxy that calls by HTTPS", "10.0.0.1:5", []string{"http"}, true, "", "https"},
		{"no header", "10.0.0.1:5", nil, false, "", ""},
		{"a target that says so", "192.0.2.1:5", nil, false, "https", ""},
		{"a target that says so to a proxy", "10.0.0.1:5", []string{"http"}, false, "https", ""},
		{"a target that says otherwise", "192.0.2.1:5", nil, true, "http", "https"},
	} {
		r := from(t, row.peer, http.Header{"X-Forwarded-Proto": row.header})
		r.URL.Scheme = row.target
		if row.tls {
			r.TLS = &tls.ConnectionState{}
		}
		seen := "nothing"
		p.Scheme(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { seen = r.URL.Scheme })).ServeHTTP(nil, r)
		if seen != row.scheme {
			t.Errorf("%s: %q instead of %q", row.name, seen, row.scheme)
		}
	}
}

func TestPrefixesAreRead(t *testing.T) {
	for text, want := range map[string]string{
		"10.0.0.0/8": "10.0.0.0/8", "10.1.2.3/8": "10.0.0.0/8", "10.1.2.3": "10.1.2.3/32", "::1": "::1/128", "fd00::/8": "fd00::/8",
		"::ffff:10.0.0.0/104": "10.0.0.0/8", "::ffff:10.1.2.3": "10.1.2.3/32", "::/0": "::/0", "0.0.0.0/0": "0.0.0.0/0",
	} {
		if got, err := ParsePrefix(text); err != nil || got.String() != want {
			t.Errorf("%s: %v, error %v", text, got, err)
		}
	}
	for _, text := range []string{"", "10.0.0.0/33", "10.0.0", "localhost", "10.0.0.0/", "fe80::1%eth0", "fe80::%eth0/64", "::ffff:0.0.0.0/0", " 10.0.0.1"} {
		if got, err := ParsePrefix(text); err == nil {
			t.Errorf("%q: %v", text, got)
		}
	}
}
