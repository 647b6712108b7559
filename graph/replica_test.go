package graph_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"rollcall/database"
	"rollcall/database/databasetest"
	"rollcall/directory/directorytest"
	"rollcall/graph"
	"rollcall/session"
)

// onReplica runs fn with the API over demo data whose replica is the database itself, so that it is never behind, on each server; main and replica have the
// statements that are run at each.
func onReplica(t *testing.T, fn func(t *testing.T, d *directory, replica *databasetest.Statements)) {
	t.Helper()
	databasetest.EachServer(t, func(t *testing.T, kind string) {
		t.Parallel()
		url := databasetest.With(t, kind, directorytest.Demo)
		d := newDirectory(t, databasetest.Open(t, url))
		there := &databasetest.Statements{}
		replicas, err := database.NewReplicas(d.db, []string{databasetest.OneHost(t, url)}, database.ReplicaOptions{
			Options: database.Options{PoolSize: 8, Logger: there}, MaxLag: time.Minute,
			Observe: d.logger,
			Opened:  func(db *database.Database) error { return session.Pools{Write: db.Read, Side: db.Side}.Install() },
		})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = replicas.Close() })
		if err := replicas.Open(t.Context()); err != nil {
			t.Fatal(err)
		}
		d.listed(func(cfg *graph.Config) {
			cfg.Replicas, cfg.AfterFor, cfg.MaxBatch = replicas, 30*time.Second, 10
		})
		fn(t, d, there)
	})
}

// sends posts a body, and returns the answer's header and text.
func (d *directory) sends(body string, headers ...string) (http.Header, string) {
	d.tb.Helper()
	req, err := http.NewRequestWithContext(d.tb.Context(), http.MethodPost, d.url, strings.NewReader(body))
	if err != nil {
		d.tb.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	for i := 0; i < len(headers); i += 2 {
		req.Header.Add(headers[i], headers[i+1])
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		d.tb.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		d.tb.Fatal(err)
	}
	return res.Header, string(text)
}

func TestAQueryIsReadAtAReplicaAndRunsNothingAtTheMainDatabase(t *testing.T) {
	onReplica(t, func(t *testing.T, d *directory, replica *databasetest.Statements) {
		const users = `users(first: 2) { nodes { name manager { name } } asOf }`
		for what, c := range map[string]struct {
			body   string
			accept string
			atMain bool
		}{
			"a query":                {body: `{"query":"{ ` + users + ` }"}`},
			"a snapshot":             {body: `{"query":"query @snapshot { ` + users + ` }"}`},
			"an array":               {body: `[{"query":"{ ` + users + ` }"},{"query":"{ ` + users + ` }"}]`},
			"a fresh one":            {body: `{"query":"query @fresh { ` + users + ` }"}`, atMain: true},
			"the log":                {body: `{"query":"{ changes(first: 2) { nodes { cursor } } }"}`, atMain: true},
			"histories":              {body: `{"query":"{ users(first: 2) { nodes { history(first: 1) { nodes { kind } } } } }"}`, atMain: true},
			"a log beside":           {body: `{"query":"{ users(first: 1) { nodes { id } } ...F } fragment F on Query { changes(first: 1) { nodes { cursor } } }"}`, atMain: true},
			"logs in an array":       {body: `[{"query":"{ ` + users + ` }"},{"query":"{ changes(first: 2) { nodes { cursor } } }"}]`, atMain: true},
			"fresh ones in an array": {body: `[{"query":"query @fresh { ` + users + ` }"},{"query":"query @fresh { ` + users + ` }"}]`, atMain: true},
			"an answer in parts":     {body: `{"query":"{ users(first: 2) { nodes { id ... @defer { manager { name } } } } }"}`, accept: "multipart/mixed", atMain: true},
		} {
			var there []string
			text := ""
			here := d.sql.During(func() {
				there = replica.During(func() {
					_, text = d.sends(c.body, "Accept", map[string]string{"": "application/json"}[c.accept]+c.accept)
				})
			})
			if strings.Contains(text, `"errors"`) || !strings.Contains(text, `"data"`) {
				t.Errorf("%s: %s", what, text)
			}
			if c.atMain && (len(here) == 0 || len(there) != 0) || !c.atMain && (len(here) != 0 || len(there) == 0) {
				t.Errorf("%s: %d statements at the main database and %d at the replica", what, len(here), len(there))
			}
		}
		d.create("N", "new@example.com", nil)
		d.settle()
		here := d.sql.During(func() { // the version of its ETag is read where the answer is
			if f := d.fetch(d.url, "", "documentId", "titles"); f.status != http.StatusOK || f.etag == "" {
				t.Errorf("%+v", f)
			} else if again := d.fetch(d.url, f.etag, "documentId", "titles"); again.status != http.StatusNotModified {
				t.Errorf("%+v", again)
			}
		})
		if len(here) != 0 {
			t.Errorf("an answer with an ETag: %q", here)
		}
	})
}

// storedID returns the id by which an answer's mutation is seen.
func storedID(t *testing.T, header http.Header) string {
	t.Helper()
	id := header.Get("Rollcall-After")
	if _, ok := session.IDTime(id); !ok {
		t.Errorf("Rollcall-After is %q", id)
	}
	return id
}

func TestAMutationThatIsStoredTellsItsId(t *testing.T) {
	onReplica(t, func(t *testing.T, d *directory, _ *databasetest.Statements) {
		body := func(mutation string) string { return fmt.Sprintf(`{"query":%q}`, mutation) }
		add := func(email string) string {
			return `mutation { createUser(input: {name: "N", email: "` + email + `"}) { user { id } } }`
		}
		header, _ := d.sends(body(add("a@example.com")))
		id := storedID(t, header)
		want := "Rollcall-After=" + id + "; Max-Age=30; HttpOnly; SameSite=Lax"
		if cookies := header.Values("Set-Cookie"); len(cookies) != 1 || cookies[0] != want {
			t.Errorf("the cookie is %q, want %q", cookies, want)
		}
		var n int
		if err := d.db.Side.QueryRowContext(t.Context(), "SELECT COUNT(*) FROM session_operations WHERE id = '"+id+"'").Scan(&n); err != nil || n != 1 {
			t.Errorf("%d rows have it, %v", n, err)
		}
		for media := range map[string]bool{"text/event-stream": true, "multipart/mixed": true, "application/graphql-response+json": true} {
			header, text := d.sends(body(add(strings.NewReplacer("/", ".", "+", ".").Replace(media)+"@example.com")), "Accept", media)
			if storedID(t, header); !strings.Contains(text, "User:") {
				t.Errorf("%s: %s", media, text)
			}
		}
		first, _ := d.sends(body(add("key@example.com")), "Idempotency-Key", "one")
		again, _ := d.sends(body(add("key@example.com")), "Idempotency-Key", "one")
		if storedID(t, first) != storedID(t, again) || again.Get("Idempotent-Replayed") != "true" {
			t.Errorf("replayed: %v", again)
		}
		for what, mutation := range map[string]string{
			"a query":       `{ users(first: 1) { nodes { id } } }`,
			"a refused one": add("a@example.com"),
			"a dry run":     `mutation { createUser(input: {name: "N", email: "dry@example.com", dryRun: true}) { user { id } } }`,
		} {
			if header, text := d.sends(body(mutation)); header["Rollcall-After"] != nil || header["Set-Cookie"] != nil {
				t.Errorf("%s has %v: %s", what, header, text)
			}
		}
	})
}

func TestWithoutReplicasThereIsNeitherAHeaderNorAStatementMore(t *testing.T) {
	onDemoData(t, func(t *testing.T, d *directory) {
		const query = `{"query":"{ users(first: 2) { nodes { name } } }"}`
		count := func(headers ...string) int { return len(d.sql.During(func() { d.sends(query, headers...) })) }
		plain := count()
		if n := count("Rollcall-After", session.NewID(), "Cookie", "Rollcall-After="+session.NewID()); n != plain || plain == 0 {
			t.Errorf("%d statements, and %d with what another server has told", plain, n)
		}
		header, text := d.sends(`{"query":"mutation { createUser(input: {name: \"N\", email: \"a@example.com\"}) { user { id } } }"}`)
		if header["Rollcall-After"] != nil || header["Set-Cookie"] != nil || !strings.Contains(text, "User:") {
			t.Errorf("%v: %s", header, text)
		}
	})
}

func TestOverTLSTheCookieIsSecure(t *testing.T) {
	onReplica(t, func(t *testing.T, d *directory, _ *databasetest.Statements) {
		res := d.overTLS(`{"query":"mutation { createUser(input: {name: \"N\", email: \"a@example.com\"}) { user { id } } }"}`)
		if cookies := res.Cookies(); len(cookies) != 1 || !cookies[0].Secure {
			t.Errorf("%v", cookies)
		}
	})
}

func TestWhereAProxyHasItByHTTPSTheCookieIsSecure(t *testing.T) {
	onReplica(t, func(t *testing.T, d *directory, _ *databasetest.Statements) {
		for i, scheme := range []string{"https", ""} { // as auth.Proxies.Scheme says
			r := httptest.NewRequest(http.MethodPost, "/query", strings.NewReader(fmt.Sprintf(
				`{"query":"mutation { createUser(input: {name: \"N\", email: \"p%d@example.com\"}) { user { id } } }"}`, i)))
			r.URL.Scheme = scheme
			r.Header.Set("Content-Type", "application/json")
			w := httptest.NewRecorder()
			d.api.ServeHTTP(w, r)
			if cookies := w.Result().Cookies(); len(cookies) != 1 || cookies[0].Secure != (scheme == "https") {
				t.Errorf("%q: %v %s", scheme, cookies, w.Body)
			}
		}
	})
}

// overTLS posts a body to a server with a certificate.
func (d *directory) overTLS(body string) *http.Response {
	d.tb.Helper()
	server := httptest.NewTLSServer(d.api)
	d.tb.Cleanup(server.Close)
	res, err := server.Client().Post(server.URL, "application/json", strings.NewReader(body))
	if err != nil {
		d.tb.Fatal(err)
	}
	_ = res.Body.Close()
	return res
}
