package main

import (
	"net/http"
	"strings"
	"testing"

	"rollcall/database/databasetest"
)

func TestSCIMIsServedToEditors(t *testing.T) {
	t.Parallel()
	s := start(t, "--database", databasetest.URL(t, "sqlite"), "--demo")
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
}

func TestWhatSCIMChangesIsInTheLogAndWithinTheLimits(t *testing.T) {
	t.Parallel()
	s := start(t, "--database", databasetest.URL(t, "sqlite"), "--concurrency", "1")
	const scim, body = "application/scim+json", `{"schemas":["urn:ietf:params:scim:schemas:core:2.0:User"],"userName":"new@example.com"}`
	for range 3 { // each leaves the one place to the next
		s.askAt(http.DefaultClient, "/scim/v2/Users", http.MethodPost, body, "Content-Type", scim)
	}
	large := `{"x":"` + strings.Repeat("x", 1<<20) + `"}`
	if res, text := s.askAt(http.DefaultClient, "/scim/v2/Users", http.MethodPost, large, "Content-Type", scim); res.StatusCode != http.StatusRequestEntityTooLarge {
		t.Errorf("a large body gets %d %s", res.StatusCode, text)
	}
	_, text := s.ask(http.DefaultClient, http.MethodPost, `{"query":"{ changes { nodes { kind objectId actor } } }"}`, "Content-Type", "application/json")
	if want := `{"data":{"changes":{"nodes":[{"kind":"CREATED","objectId":"User:1","actor":"local"}]}}}`; string(text) != want {
		t.Errorf("the log is %s", text)
	}
}
