package graph_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"rollcall/access"
	"rollcall/changelog"
	"rollcall/document"
	"rollcall/graph"
	"rollcall/idempotency"
)

// ofPhones are documents by the ids that phones send.
var ofPhones = document.List{
	"user":    {Text: `query($id: ID!) { user(id: $id) { name } }`},
	"two":     {Text: `query A { users { nodes { name } } } query B { users { nodes { name } } }`},
	"counted": {Text: `{ users { totalCount } }`},
	"outcome": {Text: `{ mutationOutcome(operationId: "0197a3c5-7c3e-7a52-8f5b-4d2f3a6b1c0d") users { nodes { id } } }`},
	"titles":  {Text: `{ a: user(id: "User:1") { title } b: user(id: "User:2") { title } }`},
	"kept":    {Text: `{ teams { nodes { name } } }`, CacheControl: "public, max-age=60"},
}

// listed serves the API anew with named documents, by a server that has a log of its own, and returns its URL.
func (d *directory) listed(change func(*graph.Config)) string {
	d.serve(func(s *server) graph.Config {
		cfg := graph.Config{
			Database: s.db, Proof: proof(s.db), Log: s.changes, Deadline: time.Minute, MaxPage: 100, Documents: document.NewListed(ofPhones),
			Keys: &idempotency.Keys{Viewer: access.IdentityOf},
			Viewer: func(next http.Handler) http.Handler {
				return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					next.ServeHTTP(w, r.WithContext(access.WithViewer(r.Context(), &access.Viewer{Subject: r.Header.Get("Viewer"), Role: access.RoleAdmin})))
				})
			},
			Logger: d.logger,
		}
		if change != nil {
			change(&cfg)
		}
		return cfg
	})
	return d.url
}

// fetched is an answer to a GET.
type fetched struct {
	status     int
	etag, text string
}

// fetch sends a GET to a server; parameters are name, value, name, value, of the URL and then, after "", of the header.
func (d *directory) fetch(at, etag string, parameters ...string) (f fetched) {
	d.tb.Helper()
	values, header := url.Values{}, http.Header{}
	set := values.Set
	for parameters = slices.Clone(parameters); len(parameters) > 1; parameters = parameters[2:] {
		if parameters[0] == "" {
			parameters, set = parameters[1:], header.Set
		}
		set(parameters[0], parameters[1])
	}
	req, err := http.NewRequestWithContext(d.tb.Context(), http.MethodGet, at+"?"+values.Encode(), http.NoBody)
	if err != nil {
		d.tb.Error(err)
		return f
	}
	req.Header = header
	if etag != "" {
		req.Header.Set("If-None-Match", etag)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		d.tb.Error(err)
		return f
	}
	defer func() { _ = res.Body.Close() }()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		d.tb.Error(err)
	}
	return fetched{res.StatusCode, res.Header.Get("Etag"), string(text)}
}

func TestAPhoneReadsAnAnswerAgainOnlyAfterAChange(t *testing.T) {
	onEveryDatabase(t, func(t *testing.T, d *directory) {
		d.listed(nil)
		ada := d.create("Ada", "ada@example.com", nil)
		ask := []string{"documentId", "user", "variables", `{"id":"` + ada + `"}`}
		var first fetched
		is := func(what string, statements, status int, text string) (now fetched) {
			t.Helper()
			d.settle()
			d.wantStatements(t, statements, func() { now = d.fetch(d.url, first.etag, ask...) })
			if now.status != status || now.text != text || now.etag == "" || (now.etag == first.etag) != (status == http.StatusNotModified) {
				t.Errorf("%s: %+v, after %s", what, now, first.etag)
			}
			return now
		}
		d.settle()
		d.wantStatements(t, 1, func() { d.fetch(d.url, "", "query", ofPhones["user"].Text, "variables", ask[3]) })
		first = is("at first", 2, http.StatusOK, `{"data":{"user":{"name":"Ada"}}}`)
		is("at once", 1, http.StatusNotModified, "")

		d.must(renameUser, "id", ada, "name", "Ada")
		is("after an update that changed nothing", 1, http.StatusNotModified, "")
		if a := d.send(renameUser, "id", ada, "name", ""); len(a.Errors) == 0 {
			t.Errorf("got %s", a.raw)
		}
		is("after a mutation that failed", 1, http.StatusNotModified, "")
		d.must(`mutation { createUsers(input: {users: [{name: "B", email: "b@example.com"}], dryRun: true}) { results { user { id } } } }`)
		is("after a dry run", 1, http.StatusNotModified, "")

		d.must(renameUser, "id", ada, "name", "Ada L.")
		first = is("after a change", 2, http.StatusOK, `{"data":{"user":{"name":"Ada L."}}}`)
		is("later", 1, http.StatusNotModified, "")
		d.team("Other")
		first = is("after a change of something else", 2, http.StatusOK, `{"data":{"user":{"name":"Ada L."}}}`)
		d.must(deleteMutation, "id", ada)
		first = is("after the deletion", 2, http.StatusOK, `{"data":{"user":null}}`)
		is("of what is not there", 1, http.StatusNotModified, "")
		if n := d.sum(func(api *graph.API) int64 { return api.NotModified() }); n != 6 {
			t.Errorf("%d requests are counted", n)
		}
		d.noneInUse(t)
	})
}

func TestAnETagIsThatOfOneStateProgramViewerAndQuestion(t *testing.T) {
	onEveryDatabase(t, func(t *testing.T, d *directory) {
		program := "one"
		d.listed(func(cfg *graph.Config) { cfg.Program = func() string { return program } })
		if got := d.fetch(d.url, "", "documentId", "counted"); got.status != http.StatusOK || got.etag != "" {
			t.Errorf("in a log without changes, which tells no database from another: %+v", got)
		}
		d.create("Ada", "ada@example.com", nil)
		d.settle()
		seen := map[string]string{}
		differs := func(what string, parameters ...string) {
			t.Helper()
			got := d.fetch(d.url, "", parameters...)
			if other, again := seen[got.etag]; again || got.etag == "" || got.status != http.StatusOK {
				t.Errorf("%s: %+v, as of %q", what, got, other)
			}
			seen[got.etag] = what
			for etag := range seen {
				if status := d.fetch(d.url, etag, parameters...).status; (status == http.StatusNotModified) != (etag == got.etag) {
					t.Errorf("%s with the ETag of %s: %d", what, seen[etag], status)
				}
			}
		}
		differs("a document", "documentId", "counted")
		differs("another document", "documentId", "kept")
		differs("an operation", "documentId", "two", "operationName", "A")
		differs("another operation", "documentId", "two", "operationName", "B")
		differs("a variable", "documentId", "user", "variables", `{"id":"User:1"}`)
		differs("another value", "documentId", "user", "variables", `{"id":"User:2"}`)
		differs("another media type", "documentId", "counted", "", "Accept", "application/graphql-response+json")
		differs("a viewer", "documentId", "counted", "", "Viewer", "somebody")
		program = "two"
		differs("another program", "documentId", "counted")
		d.exec(t, "UPDATE changes_clock SET expired = 1")
		differs("a shorter history", "documentId", "counted")
		d.exec(t, "UPDATE changes_clock SET operation_id = 'other'")
		differs("a database that was restored, and has had other changes since", "documentId", "counted")
	})
}

func TestAnAnswerHasNoETagWhileCommittedChangesWaitForTheirPositions(t *testing.T) {
	onEveryDatabase(t, func(t *testing.T, d *directory) {
		d.listed(nil)
		d.create("Ada", "ada@example.com", nil)
		d.settle()
		first := d.fetch(d.url, "", "documentId", "counted")
		d.changedElsewhere(t, 2)
		for _, etag := range []string{"", first.etag, "*"} {
			if got := d.fetch(d.url, etag, "documentId", "counted"); got.status != http.StatusOK || got.etag != "" || got.text != first.text {
				t.Errorf("with %q: %+v", etag, got)
			}
		}
		if d.db.Dialect().Embedded() { // where no other row than this ever waits
			return
		}
		d.changes.Wake()
		d.settle()
		if got := d.fetch(d.url, first.etag, "documentId", "counted"); got.status != http.StatusOK || got.etag == "" || got.etag == first.etag {
			t.Errorf("later: %+v", got)
		}
	})
}

func TestWhatIsChangedWhileAnAnswerIsReadCountsAsLater(t *testing.T) {
	onEveryDatabase(t, func(t *testing.T, d *directory) {
		var between func() // the position and the operation
		d.listed(func(cfg *graph.Config) {
			cfg.Program = func() string {
				if change := between; change != nil {
					between = nil
					change()
				}
				return ""
			}
		})
		ada := d.create("Ada", "ada@example.com", nil)
		ask := []string{"documentId", "user", "variables", `{"id":"` + ada + `"}`}
		d.settle()
		between = func() { d.must(renameUser, "id", ada, "name", "Ada L.") }
		first := d.fetch(d.url, "", ask...)
		d.settle()
		second := d.fetch(d.url, first.etag, ask...)
		if want := `{"data":{"user":{"name":"Ada L."}}}`; first.text != want || first.etag == "" || second.text != want || second.etag == first.etag {
			t.Errorf("got %+v, then %+v", first, second)
		}
		// A change between comes too late to be told, as one that is committed after a request.
		between = func() { d.must(renameUser, "id", ada, "name", "Ada M.") }
		if got := d.fetch(d.url, second.etag, ask...); got.status != http.StatusNotModified {
			t.Errorf("got %+v", got)
		}
		d.settle()
		if got := d.fetch(d.url, second.etag, ask...); got.text != `{"data":{"user":{"name":"Ada M."}}}` {
			t.Errorf("got %+v", got)
		}
	})
}

func TestAnAnswerComesWithoutAnETagWhereTheLogCannotBeRead(t *testing.T) {
	onEveryDatabase(t, func(t *testing.T, d *directory) {
		d.listed(nil)
		d.create("Ada", "ada@example.com", nil)
		d.settle()
		first := d.fetch(d.url, "", "documentId", "counted")
		d.exec(t, "ALTER TABLE changes_clock RENAME TO elsewhere")
		got := d.fetch(d.url, first.etag, "documentId", "counted")
		d.exec(t, "ALTER TABLE elsewhere RENAME TO changes_clock")
		if got.status != http.StatusOK || got.etag != "" || got.text != first.text || first.etag == "" {
			t.Errorf("got %+v, then %+v", first, got)
		}
		d.noneInUse(t)
	})
}

func TestWhatFailsOrDependsOnMoreThanTheLogHasNoETag(t *testing.T) {
	onEveryDatabase(t, func(t *testing.T, d *directory) {
		d.listed(nil)
		d.create("Ada", "ada@example.com", nil)
		d.settle()
		for what, parameters := range map[string][]string{
			"a field that fails":   {"documentId", "user", "variables", `{"id":"Team:1"}`},
			"a variable":           {"documentId", "user", "variables", `{}`},
			"an outcome":           {"documentId", "outcome"},
			"an unknown document":  {"documentId", "none"},
			"a document's text":    {"query", `{ users { totalCount } }`},
			"an answer with costs": {"documentId", "counted", "extensions", `{"cost":true}`},
		} {
			if got := d.fetch(d.url, "*", parameters...); got.etag != "" || got.status == http.StatusNotModified || got.text == "" {
				t.Errorf("%s: %+v", what, got)
			}
		}
	})
}

func TestEachFieldOfQueryIsKnownToComeFromTheLogOrNotTo(t *testing.T) {
	onEveryDatabase(t, func(t *testing.T, d *directory) {
		elsewhere := []string{"apiTokens", "mutationOutcome", "viewer", "webhooks"}
		fields, _ := d.must(`{ __type(name: "Query") { fields { name } } }`).at(t, "__type.fields").([]any)
		for _, f := range fields {
			name, _ := f.(map[string]any)["name"].(string)
			if graph.Logged(name) == slices.Contains(elsewhere, name) {
				t.Errorf("Query.%s: add it to logged in etag.go if its values, at any depth, come from what the log of changes has and from nothing else; if not, add it to this test", name)
			}
		}
		if len(fields) == 0 {
			t.Error("no fields")
		}
	})
}

// The promise: at a 304 the client has all that was committed before its request, and so it has at a 200.
func TestA304IsNeverGivenForAnAnswerThatLacksACommittedChange(t *testing.T) {
	const writes, readers = 60, 4
	onEveryDatabase(t, func(t *testing.T, d *directory) {
		servers := []string{d.listed(nil), d.listed(func(cfg *graph.Config) {
			cfg.Log = &changelog.Log{DB: d.db.Side, Dialect: d.db.Dialect()} // another server's
			t.Cleanup(func() { _ = cfg.Log.Settle(context.Background()) })
		})}
		d.user("a", "title", "0")
		d.user("b", "title", "0")
		d.settle()
		var acknowledged [2]atomic.Int64
		var unmodified, ends atomic.Int64
		titles := func(text string) (n [2]int64) {
			if _, err := fmt.Sscanf(text, `{"data":{"a":{"title":"%d"},"b":{"title":"%d"}}}`, &n[0], &n[1]); err != nil {
				t.Errorf("%q: %v", text, err)
			}
			return n
		}
		var all sync.WaitGroup
		for i := range acknowledged {
			all.Go(func() {
				defer ends.Add(1)
				w := *d
				w.url = servers[i]
				for n := range int64(writes) {
					w.must(`mutation($id: ID!, $title: String!) { updateUser(input: {id: $id, title: $title}) { user { id } } }`,
						"id", fmt.Sprint("User:", i+1), "title", fmt.Sprint(n+1))
					acknowledged[i].Store(n + 1)
					if n%8 > 0 {
						continue
					}
					seen := unmodified.Load() // so that readers have something to be told
					for until := time.Now().Add(20 * time.Second); unmodified.Load() == seen && ends.Load() == 0; {
						if time.Now().After(until) {
							t.Error("no reader was answered with 304")
							return
						}
						time.Sleep(time.Millisecond)
					}
				}
			})
		}
		for r := range readers {
			all.Go(func() {
				held := fetched{}
				for n := 0; ; n++ {
					last := ends.Load() == int64(len(acknowledged))
					before := [2]int64{acknowledged[0].Load(), acknowledged[1].Load()}
					got := d.fetch(servers[(r+n)%2], held.etag, "documentId", "titles")
					switch got.status {
					case http.StatusNotModified:
						unmodified.Add(1)
					case http.StatusOK:
						held = got
					default:
						t.Errorf("got %+v", got)
						return
					}
					if has := titles(held.text); has[0] < before[0] || has[1] < before[1] {
						t.Errorf("%d stands for %v, and %v was committed before", got.status, has, before)
						return
					}
					if last {
						return
					}
				}
			})
		}
		all.Wait()
		d.settle()
		d.noneInUse(t)
		if strings.Contains(d.log.String(), "level=ERROR") {
			t.Errorf("the log: %s", d.log)
		}
	})
}
