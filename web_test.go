package main

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/klauspost/compress/zstd"

	"rollcall/database/databasetest"
	"rollcall/directory/directorytest"
	"rollcall/transport"
)

// ask sends a request to the API, whose answer it does not decompress; headers are name, value, name, value.
func (s *server) ask(client *http.Client, method, body string, headers ...string) (*http.Response, []byte) {
	s.tb.Helper()
	return s.askAt(client, "/query", method, body, headers...)
}

// askAt is ask for a path, which may have parameters.
func (s *server) askAt(client *http.Client, path, method, body string, headers ...string) (*http.Response, []byte) {
	s.tb.Helper()
	ctx, cancel := context.WithTimeout(s.tb.Context(), patience)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, method, s.base+path, strings.NewReader(body))
	if err != nil {
		s.tb.Fatal(err)
	}
	req.Header.Set("Accept-Encoding", "identity")
	for i := 0; i < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	res, err := client.Do(req)
	if err != nil {
		s.tb.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		s.tb.Fatal(err)
	}
	return res, text
}

func TestOnlyPagesOfTheOriginsThatAreGivenMayUseTheAPI(t *testing.T) {
	t.Parallel()
	some := start(t, "--database", databasetest.With(t, "sqlite", databasetest.Nothing), "--allow-anonymous", "--cors-origin", "https://a.example,http://localhost:3000,https://*.b.example:8443")
	all := start(t, "--database", databasetest.With(t, "sqlite", databasetest.Nothing), "--allow-anonymous", "--cors-origin", "*")
	none := start(t, "--database", databasetest.With(t, "sqlite", databasetest.Nothing), "--allow-anonymous")
	for _, c := range []struct {
		what    string
		s       *server
		origin  string
		allowed string
	}{
		{"one of two", some, "https://a.example", "https://a.example"},
		{"the other", some, "http://localhost:3000", "http://localhost:3000"},
		{"another scheme", some, "http://a.example", ""},
		{"another port", some, "http://localhost:3001", ""},
		{"a subdomain", some, "https://b.a.example", ""},
		{"a longer name", some, "https://a.example.evil", ""},
		{"below a domain", some, "https://shop.b.example:8443", "https://shop.b.example:8443"},
		{"further below", some, "https://eu.shop.b.example:8443", "https://eu.shop.b.example:8443"},
		{"the domain itself", some, "https://b.example:8443", ""},
		{"below it, at another port", some, "https://shop.b.example", ""},
		{"below it, by another scheme", some, "http://shop.b.example:8443", ""},
		{"a domain that ends alike", some, "https://evilb.example:8443", ""},
		{"no page", some, "null", ""},
		{"any", all, "https://b.example", "*"},
		{"none", none, "https://a.example", ""},
	} {
		for _, method := range []string{http.MethodPost, http.MethodGet} {
			res, _ := c.s.ask(http.DefaultClient, http.MethodOptions, "",
				"Origin", c.origin, "Access-Control-Request-Method", method, "Access-Control-Request-Headers", "content-type,x-anything")
			h := res.Header
			if got := h.Get("Access-Control-Allow-Origin"); got != c.allowed || h.Get("Access-Control-Allow-Credentials") != credentials(c.allowed) {
				t.Errorf("%s: a preflight from %s: %q", c.what, c.origin, h)
			}
			if c.allowed != "" && (h.Get("Access-Control-Allow-Methods") != method || h.Get("Access-Control-Allow-Headers") != "content-type,x-anything" || h.Get("Access-Control-Max-Age") != "7200") {
				t.Errorf("%s: a preflight from %s: %v", c.what, c.origin, h)
			}
		}
		res, text := c.s.ask(http.DefaultClient, http.MethodPost, `{"query":"{ __typename }"}`, "Origin", c.origin, "Content-Type", "application/json")
		if got := res.Header.Get("Access-Control-Allow-Origin"); got != c.allowed || res.Header.Get("Access-Control-Allow-Credentials") != credentials(c.allowed) || !strings.Contains(string(text), "Query") {
			t.Errorf("%s: an answer to %s: %q %s", c.what, c.origin, got, text)
		}
		if exposed := res.Header.Get("Access-Control-Expose-Headers"); c.allowed != "" && exposed != "Operation-Id, Rollcall-After, Idempotent-Replayed, Ratelimit-Policy, Ratelimit, Retry-After, Etag" || c.allowed == "" && exposed != "" {
			t.Errorf("%s: exposed to %s: %q", c.what, c.origin, exposed)
		}
		if vary := strings.Join(res.Header.Values("Vary"), ", "); !strings.Contains(vary, "Accept") || c.s == some && !strings.Contains(vary, "Origin") {
			t.Errorf("%s: Vary is %q", c.what, vary)
		}
	}
	res, _ := some.ask(http.DefaultClient, http.MethodOptions, "", "Origin", "https://a.example", "Access-Control-Request-Method", http.MethodDelete)
	if got := res.Header.Get("Access-Control-Allow-Methods"); got != "" {
		t.Errorf("DELETE is allowed: %q", got)
	}
}

// credentials is what a page hears of an allowed origin: only those that are named may send what lets a user in.
func credentials(allowed string) string {
	if allowed == "" || allowed == "*" {
		return ""
	}
	return "true"
}

func TestBelowABasePathIsAllAndBesideItNothing(t *testing.T) {
	t.Parallel()
	s := start(t, "--database", databasetest.With(t, "sqlite", directorytest.Demo), "--base-path", "/of/users")
	root := strings.TrimSuffix(s.base, "/of/users")
	if root == s.base || !strings.Contains(s.tryPrinted(), "nodes") {
		t.Errorf("it prints\n%s", &s.out)
	}
	client := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	for path, want := range map[string]int{
		"/": 404, "/query": 404, "/healthz": 404, "/scim/v2/Users": 404, "/of/users": 307, "/of/users//query": 307, "/of/users/": 200, "/of/users/healthz": 200, "/of/users/readyz": 200,
		"/of/users/metrics": 200, "/of/users/query?query={users{totalCount}}": 200, "/of/users/query/?query={users{totalCount}}": 200, "/of/users/elsewhere": 404,
		"/of/users/scim/v2/ServiceProviderConfig": 200, "/of/users/scim/v2/elsewhere": 404,
	} {
		at := &server{tb: t, base: root}
		res, text := at.askAt(client, path, http.MethodGet, "")
		if res.StatusCode != want || want == 307 && !strings.HasPrefix(res.Header.Get("Location"), "/of/users/") {
			t.Errorf("%s: %s %s %s", path, res.Status, res.Header.Get("Location"), text)
		}
	}
}

func TestHEADIsAnsweredEverywhereAndRunsNothing(t *testing.T) {
	t.Parallel()
	s := start(t, "--database", databasetest.With(t, "sqlite", directorytest.Demo), "--echo")
	for path, c := range map[string]struct {
		accept, media string
		status        int
	}{
		"/":                                 {"text/html", "text/html; charset=utf-8", 200},
		"/healthz":                          {"*/*", "text/plain; charset=utf-8", 200},
		"/readyz":                           {"*/*", "text/plain; charset=utf-8", 200},
		"/query":                            {"*/*", "application/json; charset=utf-8", 400},
		"/elsewhere":                        {"*/*", "text/plain; charset=utf-8", 404},
		"/query?query={users{totalCount}}":  {"*/*", "application/json; charset=utf-8", 200},
		"/query/?query={users{totalCount}}": {"*/*", "application/json; charset=utf-8", 200},
		"/query?query=subscription{userChanged{kind}}":                             {"text/event-stream", "text/event-stream; charset=utf-8", 200},
		`/query?query=mutation{deleteUser(input:{id:"User:1000"}){deletedUserId}}`: {"*/*", "application/json; charset=utf-8", 405},
	} {
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		req, err := http.NewRequestWithContext(ctx, http.MethodHead, s.base+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Accept", c.accept)
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(res.Body)
		_ = res.Body.Close()
		cancel()
		if err != nil || len(text) > 0 || res.StatusCode != c.status || res.Header.Get("Content-Type") != c.media {
			t.Errorf("%s: %s %v %q %v", path, res.Status, res.Header, text, err)
		}
	}
	if log := s.log.String(); strings.Contains(log, "count(*)") || strings.Contains(log, "DELETE") {
		t.Errorf("something ran: %s", log)
	}
}

func TestTheAPIIsServedWithASlashToo(t *testing.T) {
	t.Parallel()
	s := start(t, "--database", databasetest.With(t, "sqlite", databasetest.Nothing))
	for _, path := range []string{"/query", "/query/"} {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.base+path, strings.NewReader(`{"query":"{ __typename }"}`))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Content-Type", "application/json")
		if text := s.succeeded(http.DefaultClient.Do(req)); text != `{"data":{"__typename":"Query"}}` {
			t.Errorf("%s: %s", path, text)
		}
	}
}

func TestWhatIsNoOriginIsRefused(t *testing.T) {
	for _, origin := range []string{
		"a.example", "localhost:3000", "https://", "https://a.example/", "https://a.example/path", "https://a.example?a=b", "https://a.example#a",
		"https://user@a.example", "null", "//a.example", "https://a.example,b.example", "https://a b.example", "https:a.example", "",
		"https://*", "https://*:80", "https://*.", "https://*.:80", "https://a.*.example", "https://a*.example", "https://*.*.example", "https://**.example",
	} {
		_, err := parse([]string{"--cors-origin=" + origin}, io.Discard, io.Discard)
		if err == nil && origin != "" || err != nil && !strings.Contains(err.Error(), "--cors-origin") {
			t.Errorf("%q: %v", origin, err)
		}
	}
	for _, origin := range []string{"*", "https://a.example", "http://localhost:3000", "http://[::1]:3000", "https://a.example,http://127.0.0.1", "https://a.example, https://b.example", "capacitor://localhost", "https://*.a.example", "http://*.localhost:3000"} {
		if _, err := parse([]string{"--cors-origin", origin}, io.Discard, io.Discard); err != nil {
			t.Errorf("%q: %v", origin, err)
		}
	}
}

func TestJSONIsCompressedAsTheClientAsks(t *testing.T) {
	t.Parallel()
	s := start(t, "--database", databasetest.With(t, "sqlite", directorytest.Demo))
	const body = `{"query":"{ users(first: 100) { nodes { id name email } } }"}`
	send := func(headers ...string) (*http.Response, []byte) {
		return s.ask(http.DefaultClient, http.MethodPost, body, append(headers, "Content-Type", "application/json")...)
	}
	_, plain := send()
	decoders := map[string]func([]byte) (io.Reader, error){
		"gzip": func(text []byte) (io.Reader, error) { return gzip.NewReader(bytes.NewReader(text)) },
		"zstd": func(text []byte) (io.Reader, error) {
			return zstd.NewReader(bytes.NewReader(text), zstd.WithDecoderConcurrency(1))
		},
	}
	for _, media := range []string{"application/json", "application/graphql-response+json"} {
		for coding, decoder := range decoders {
			res, text := send("Accept-Encoding", coding, "Accept", media)
			if res.Header.Get("Content-Encoding") != coding || len(text) >= len(plain)/2 {
				t.Errorf("%s as %s: %q, %d bytes of %d", media, coding, res.Header.Get("Content-Encoding"), len(text), len(plain))
				continue
			}
			if vary := strings.Join(res.Header.Values("Vary"), ", "); !strings.Contains(vary, "Accept-Encoding") || !strings.Contains(vary+",", "Accept,") {
				t.Errorf("Vary is %q", vary)
			}
			r, err := decoder(text)
			if err != nil {
				t.Fatal(err)
			}
			if got, err := io.ReadAll(r); err != nil || !bytes.Equal(got, plain) {
				t.Errorf("%s as %s: %v: %s", media, coding, err, got)
			}
		}
	}
	if res, text := send("Accept-Encoding", "br;q=1, identity"); res.Header.Get("Content-Encoding") != "" || !bytes.Equal(text, plain) {
		t.Errorf("a coding that there is not: %q %s", res.Header.Get("Content-Encoding"), text)
	}
}

func TestAnETagIsGoodForEachCodingAtEachServerUntilSomethingIsChanged(t *testing.T) {
	t.Parallel()
	const text = "{ users(first: 100) { nodes { name email } } }"
	sum := sha256.Sum256([]byte(text))
	hash := hex.EncodeToString(sum[:])
	list := filepath.Join(t.TempDir(), "documents.json")
	if err := os.WriteFile(list, []byte(`{"names": {"body": "{ users(first: 100) { nodes { name } } }", "cacheControl": "public, max-age=60"}}`), 0o600); err != nil {
		t.Fatal(err)
	}
	databasetest.EachWith(t, directorytest.Demo, func(t *testing.T, address string) {
		t.Parallel()
		args := []string{"--database", address, "--documents", list}
		first, second := start(t, args...), start(t, args...)
		change := func(name string) {
			second.answer(fmt.Sprintf(`mutation { updateUser(input: {id: "User:1", name: %q}) { user { id } } }`, name))
		}
		automatic := "/query?extensions=" + url.QueryEscape(fmt.Sprintf(`{"persistedQuery":{"version":1,"sha256Hash":%q}}`, hash))
		for _, s := range []*server{first, second} {
			s.askAt(http.DefaultClient, automatic+"&query="+url.QueryEscape(text), http.MethodGet, "")
		}
		for path, cache := range map[string]string{"/query?documentId=names": "public, max-age=60", automatic: "private, no-cache"} {
			get := func(s *server, coding, etag string) *http.Response {
				res, body := s.askAt(http.DefaultClient, path, http.MethodGet, "", "Accept-Encoding", coding, "If-None-Match", etag)
				vary := strings.Join(res.Header.Values("Vary"), ", ")
				if (res.StatusCode == http.StatusNotModified) != (len(body) == 0) || (res.StatusCode == http.StatusOK && coding != "identity") != (res.Header.Get("Content-Encoding") == coding) ||
					res.Header.Get("Cache-Control") != cache || vary != "Accept-Encoding, Accept" {
					t.Errorf("%s: %s as %s, with %v: %d bytes", path, res.Status, coding, res.Header, len(body))
				}
				return res
			}
			change("Before " + path)
			etag := ""
			if !soon(func() bool { etag = get(first, "identity", "").Header.Get("Etag"); return etag != "" }) {
				t.Fatalf("%s: no ETag", path)
			}
			for _, s := range []*server{first, second, start(t, args...)} {
				for _, coding := range []string{"identity", "gzip", "zstd"} {
					if other := get(s, coding, "").Header.Get("Etag"); other != etag {
						t.Errorf("%s as %s: another ETag, %s", path, coding, other)
					}
					if res := get(s, coding, etag); res.StatusCode != http.StatusNotModified || res.Header.Get("Etag") != etag {
						t.Errorf("%s as %s: %s", path, coding, res.Status)
					}
				}
			}
			change("After " + path)
			for _, s := range []*server{first, second} {
				if res := get(s, "gzip", etag); res.StatusCode != http.StatusOK {
					t.Errorf("%s after a change: %s", path, res.Status)
				}
			}
		}
	})
}

// TestEachPartOfAStreamArrivesBeforeTheNextIsMade uses a handler of its own for what goes into the stream.
func TestEachPartOfAStreamArrivesBeforeTheNextIsMade(t *testing.T) {
	for _, media := range []string{"text/event-stream; charset=utf-8", `multipart/mixed; boundary="-"; deferSpec=20220824`} {
		parts := make(chan string)
		h, err := web(config{CORSOrigin: []string{"*"}}, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			control := http.NewResponseController(w)
			w.Header().Set("Content-Type", media)
			for part := range parts {
				if err := control.SetWriteDeadline(time.Now().Add(patience)); err != nil {
					t.Errorf("no deadline can be set: %v", err)
				}
				_, _ = io.WriteString(w, part)
				if err := control.Flush(); err != nil {
					t.Errorf("no flush: %v", err)
				}
			}
		}))
		if err != nil {
			t.Fatal(err)
		}
		s := httptest.NewServer(h)
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.URL, nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Accept-Encoding", "gzip, zstd")
		first := strings.Repeat("a", 3000) + "\n" // more than what is too short to be compressed
		go func() { parts <- first }()
		res, err := s.Client().Do(req)
		if err != nil {
			t.Fatal(err)
		}
		if res.Header.Get("Content-Encoding") != "" {
			t.Errorf("%s is sent as %s", media, res.Header.Get("Content-Encoding"))
		}
		r := bufio.NewReader(res.Body)
		for i := range 3 {
			if got, err := r.ReadString('\n'); err != nil || i == 0 && got != first || i > 0 && got != fmt.Sprintf("%d\n", i) {
				t.Fatalf("part %d: %q, %v", i, got, err)
			}
			if i < 2 {
				parts <- fmt.Sprintf("%d\n", i+1)
			}
		}
		close(parts)
		_ = res.Body.Close()
		cancel()
		s.Close()
	}
}

func TestHTTP2IsServedWithoutTLSToo(t *testing.T) {
	t.Parallel()
	s := start(t, "--database", databasetest.With(t, "sqlite", databasetest.Nothing))
	protocols := &http.Protocols{}
	protocols.SetUnencryptedHTTP2(true)
	client := &http.Client{Transport: &http.Transport{Protocols: protocols}}
	defer client.CloseIdleConnections()
	res, text := s.ask(client, http.MethodPost, `{"query":"{ __typename }"}`, "Content-Type", "application/json")
	if res.ProtoMajor != 2 || string(text) != `{"data":{"__typename":"Query"}}` || res.Header.Get(transport.HeaderOperationID) == "" {
		t.Errorf("%s %s: %s", res.Proto, res.Status, text)
	}
	res, text = s.ask(client, http.MethodPost, `{"query":"{ __typename }"}`, "Content-Type", "application/json", "Accept", "text/event-stream")
	if string(text) != ":\n\nevent: next\ndata: {\"data\":{\"__typename\":\"Query\"}}\n\nevent: complete\ndata:\n\n" {
		t.Errorf("events: %s %q", res.Status, text)
	}
}

// certificate makes a certificate for 127.0.0.1 that nobody has signed but itself. It returns the files' names.
func certificate(tb testing.TB) (cert, key string, pool *x509.CertPool) {
	tb.Helper()
	secret, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		tb.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "rollcall"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &secret.PublicKey, secret)
	if err != nil {
		tb.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(secret)
	if err != nil {
		tb.Fatal(err)
	}
	write := func(name, kind string, bytes []byte) string {
		file := filepath.Join(tb.TempDir(), name)
		if err := os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: bytes}), 0o600); err != nil {
			tb.Fatal(err)
		}
		return file
	}
	pool = x509.NewCertPool()
	parsed, err := x509.ParseCertificate(der)
	if err != nil {
		tb.Fatal(err)
	}
	pool.AddCert(parsed)
	return write("cert.pem", "CERTIFICATE", der), write("key.pem", "PRIVATE KEY", private), pool
}

func TestHTTPSIsServedWithACertificateAndByHTTP2(t *testing.T) {
	t.Parallel()
	cert, key, pool := certificate(t)
	s := start(t, "--database", databasetest.With(t, "sqlite", databasetest.Nothing), "--tls-cert", cert, "--tls-key", key)
	if !strings.HasPrefix(s.base, "https://") {
		t.Errorf("it prints %s", s.base)
	}
	for version, negotiates := range map[int]bool{2: true, 1: false} {
		client := &http.Client{Transport: &http.Transport{
			TLSClientConfig: &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}, ForceAttemptHTTP2: negotiates,
		}}
		res, text := s.ask(client, http.MethodPost, `{"query":"{ __typename }"}`, "Content-Type", "application/json")
		if res.ProtoMajor != version || res.TLS == nil || string(text) != `{"data":{"__typename":"Query"}}` {
			t.Errorf("%s %s: %s", res.Proto, res.Status, text)
		}
		client.CloseIdleConnections()
	}
}

func TestACertificateThatCannotBeUsedIsRefused(t *testing.T) {
	t.Parallel()
	cert, key, _ := certificate(t)
	database := databasetest.With(t, "sqlite", databasetest.Nothing)
	for _, c := range []struct {
		args []string
		want []string
	}{
		{[]string{"--tls-cert", cert}, []string{"--tls-cert", "--tls-key"}},
		{[]string{"--tls-key", key}, []string{"--tls-cert", "--tls-key"}},
		{[]string{"--tls-cert", cert + "x", "--tls-key", key}, []string{"--tls-cert", cert + "x"}},
		{[]string{"--tls-cert", cert, "--tls-key", cert}, []string{"--tls-"}},
	} {
		if text := refusal(t, append(c.args, "--database", database)...); !contains(text, c.want...) {
			t.Errorf("%q: %s", c.args, text)
		}
	}
}

func TestAPageMayOpenAWebSocketIfItsOriginMayUseTheAPI(t *testing.T) {
	for _, c := range []struct {
		origin  string
		origins []string
		want    bool
	}{
		{"", nil, true},
		{"http://here.example:8080", nil, true},
		{"http://there.example", nil, false},
		{"http://here.example", nil, false},
		{"null", nil, false},
		{"%zz", nil, false},
		{"http://there.example", []string{"http://there.example"}, true},
		{"https://there.example", []string{"http://there.example"}, false},
		{"https://there.example", []string{"*"}, true},
		{"HTTPS://There.example", []string{"https://there.EXAMPLE"}, true}, // as for other requests
		{"https://a.there.example", []string{"http://x.example", "https://*.there.example"}, true},
		{"https://b.a.there.example", []string{"https://*.there.example"}, true},
		{"https://there.example", []string{"https://*.there.example"}, false},
		{"http://a.there.example", []string{"https://*.there.example"}, false},
		{"https://a.there.example.evil", []string{"https://*.there.example"}, false},
		{"http://HERE.example:8080", nil, true},
	} {
		r := &http.Request{Host: "here.example:8080", URL: &url.URL{}, Header: http.Header{}}
		if c.origin != "" {
			r.Header.Set("Origin", c.origin)
		}
		if got := (config{CORSOrigin: c.origins}).socketOrigins()(r); got != c.want {
			t.Errorf("%q with %q: %t", c.origin, c.origins, got)
		}
	}
}
