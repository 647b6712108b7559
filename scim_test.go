package main

import (
	"io"
	"net/http"
	"strings"
	"testing"

	"rollcall/database/databasetest"
)

func TestSCIMIsServedToThisMachineAloneWhereThatIsAskedFor(t *testing.T) {
	t.Parallel()
	url := databasetest.URL(t, "sqlite")
	s := start(t, "--database", url, "--demo")
	for path, method := range map[string]string{"/scim/v2": http.MethodGet, "/scim/v2/Users": http.MethodPost, "/scim/v2/ServiceProviderConfig": http.MethodGet} {
		res, body := s.askAt(http.DefaultClient, path, method, "")
		const want = `{"detail":"SCIM is off: start the server with --scim-anonymous","schemas":["urn:ietf:params:scim:api:messages:2.0:Error"],"status":"404"}`
		if res.StatusCode != http.StatusNotFound || strings.TrimSpace(string(body)) != want {
			t.Errorf("without the flag %s gets %d %s", path, res.StatusCode, body)
		}
	}
	s.stop()
	s = start(t, "--database", url, "--scim-anonymous")
	if !strings.Contains(s.out.String(), "SCIM        "+s.base+"/scim/v2\n") {
		t.Errorf("printed is\n%s", &s.out)
	}
	res, body := s.askAt(http.DefaultClient, "/scim/v2/Users?count=1", http.MethodGet, "", "Accept-Encoding", "gzip")
	if res.StatusCode != http.StatusOK || res.Header.Get("Content-Type") != "application/scim+json" || res.Header.Get("Content-Encoding") != "gzip" {
		t.Errorf("SCIM answers %d %s %s", res.StatusCode, res.Header, body)
	}
	for path, want := range map[string]int{"/Users?count=1": 200, "/Users/User:1": 200, "/ServiceProviderConfig": 200, "/Users/User:999999": 404, "/Users/.search": 405} {
		res, body := s.askAt(http.DefaultClient, "/scim/v2"+path, http.MethodHead, "")
		get, _ := s.askAt(http.DefaultClient, "/scim/v2"+path, http.MethodGet, "")
		if res.StatusCode != want || len(body) > 0 || res.Header.Get("ETag") != get.Header.Get("ETag") || res.Header.Get("Content-Type") != get.Header.Get("Content-Type") {
			t.Errorf("HEAD of %s is answered with %d %s %q, and GET with %d %s", path, res.StatusCode, res.Header, body, get.StatusCode, get.Header)
		}
	}
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
		{"evil.example" + port, nil, 403},
		{"localhost.evil.example", nil, 403},
		{"192.0.2.1" + port, nil, 403},
		{"127.0.0.1.nip.io", nil, 403},
		{"localhost", []string{"X-Forwarded-For", "192.0.2.1"}, 403},
		{"localhost", []string{"Forwarded", "for=192.0.2.1"}, 403},
		{"localhost", []string{"Via", "1.1 proxy"}, 403},
		{"localhost", []string{"x-forwarded-proto", "https"}, 403},
	} {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.base+"/scim/v2/ServiceProviderConfig", nil)
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
		if res.StatusCode != test.want {
			t.Errorf("the host %s with %v gets %d %s", test.host, test.headers, res.StatusCode, text)
		}
	}
}

func TestSCIMIsRefusedOnAnAddressThatOthersReach(t *testing.T) {
	t.Parallel()
	for _, listen := range []string{":8080", "0.0.0.0:8080", "192.0.2.1:8080", "a.example:80"} {
		_, err := parse([]string{"--scim-anonymous", "--allow-anonymous", "--listen=" + listen}, io.Discard, io.Discard)
		if err == nil || !strings.HasPrefix(err.Error(), "--scim-anonymous: other machines may reach "+listen) {
			t.Errorf("on %s: %v", listen, err)
		}
	}
}

func TestWhatSCIMChangesIsInTheLogAndWithinTheLimits(t *testing.T) {
	t.Parallel()
	s := start(t, "--database", databasetest.URL(t, "sqlite"), "--scim-anonymous", "--concurrency", "1")
	const scim, body = "application/scim+json", `{"schemas":["urn:ietf:params:scim:schemas:core:2.0:User"],"userName":"new@example.com"}`
	for range 3 { // each leaves the one place to the next
		s.askAt(http.DefaultClient, "/scim/v2/Users", http.MethodPost, body, "Content-Type", scim)
	}
	large := `{"x":"` + strings.Repeat("x", 1<<20) + `"}`
	if res, text := s.askAt(http.DefaultClient, "/scim/v2/Users", http.MethodPost, large, "Content-Type", scim); res.StatusCode != http.StatusRequestEntityTooLarge {
		t.Errorf("a large body gets %d %s", res.StatusCode, text)
	}
	_, text := s.ask(http.DefaultClient, http.MethodPost, `{"query":"{ changes { nodes { kind objectId actor } } }"}`, "Content-Type", "application/json")
	if want := `{"data":{"changes":{"nodes":[{"kind":"CREATED","objectId":"User:1","actor":"scim"}]}}}`; string(text) != want {
		t.Errorf("the log is %s", text)
	}
}
