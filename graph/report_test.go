package graph_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"

	"rollcall/access"
	"rollcall/graph"
)

// account is the report in an answer's extensions.
type account struct {
	ID           string
	Refused      string
	Attempts     int
	Cost         int
	Rows         int64
	AnsweredFrom string
	Why          string
	DurationMs   float64
	DatabaseMs   float64
	Fields       []accountField
	Batches      []struct {
		Field      string
		Keys       int
		Planned    bool
		Statements []int
	}
	Statements []struct {
		SQL        string
		DurationMs float64
		Rows       int64
		Attempt    int
		Batch      *int
		Failed     bool
	}
}

type accountField struct {
	Name, Field   string
	Objects, Keys int
	CacheHits     int
	Batch         *int
	Fields        []accountField
}

// lines are the fields, each with its numbers, as deep as they are.
func (t account) lines() (all []string) {
	var walk func(fields []accountField, indent string)
	walk = func(fields []accountField, indent string) {
		for _, f := range fields {
			batch := ""
			if f.Batch != nil {
				batch = fmt.Sprintf(" in %d statements", len(t.Batches[*f.Batch].Statements))
			}
			all = append(all, fmt.Sprintf("%s%s %s: %d objects, %d keys, %d hits%s", indent, f.Name, f.Field, f.Objects, f.Keys, f.CacheHits, batch))
			walk(f.Fields, indent+"  ")
		}
	}
	walk(t.Fields, "")
	return all
}

// sql are the statements.
func (t account) sql() (all []string) {
	for _, s := range t.Statements {
		all = append(all, s.SQL)
	}
	return all
}

// reported is a request that asks for a report.
func reported(query string) map[string]any {
	return map[string]any{"query": query, "extensions": map[string]any{"report": true}}
}

// reportOf returns the report in an answer; nil: it has none.
func reportOf(tb testing.TB, answer string) *account {
	tb.Helper()
	var a struct{ Extensions struct{ Report *account } }
	if err := json.Unmarshal([]byte(answer), &a); err != nil {
		tb.Fatalf("%v: %s", err, answer)
	}
	return a.Extensions.Report
}

func TestAReportHasWhatWasRunForEachField(t *testing.T) {
	onDemoData(t, func(t *testing.T, d *directory) {
		var answer string
		ran := d.sql.During(func() {
			answer = sent(t, d.url, reported(`{ chief: user(id: "User:900") { name manager { name } teams { nodes { name } } } users(first: 50) { nodes { manager { name } } } }`))
		})
		r := reportOf(t, answer)
		want := []string{
			"chief Query.user: 1 objects, 1 keys, 0 hits in 1 statements",
			"  manager User.manager: 1 objects, 1 keys, 0 hits in 1 statements",
			"  teams User.teams: 1 objects, 1 keys, 0 hits in 1 statements",
			"    nodes UserTeamConnection.nodes: 1 objects, 0 keys, 0 hits",
			"users Query.users: 1 objects, 1 keys, 0 hits in 1 statements",
			"  nodes UserConnection.nodes: 1 objects, 0 keys, 0 hits",
			"    manager User.manager: 50 objects, 0 keys, 49 hits", // all of them are in the page
		}
		got := r.lines()
		if !slices.Equal(got, want) {
			t.Errorf("got\n%s", strings.Join(got, "\n"))
		}
		if r.AnsweredFrom != "plan" || r.Why != "" || r.Attempts != 1 || r.Cost < 100 || r.Rows < 50 || r.ID == "" || r.DurationMs <= 0 || r.DatabaseMs <= 0 {
			t.Errorf("got %+v", r)
		}
		if len(ran) != len(r.Statements) {
			t.Errorf("%d statements ran, and the report has %q", len(ran), r.sql())
		}
		for _, s := range r.Statements {
			if s.Batch == nil || s.Rows < 1 || s.DurationMs <= 0 || s.Attempt != 1 || s.Failed || strings.Contains(s.SQL, "900") {
				t.Errorf("got %+v", s)
			}
		}
	})
}

func TestAReportOfAMutationHasItsTransactionWithoutValues(t *testing.T) {
	onDemoData(t, func(t *testing.T, d *directory) {
		r := reportOf(t, sent(t, d.url, reported(`mutation { updateUser(input: {id: "User:42", title: "Pilotess"}) { user { manager { name } } } }`)))
		sql := r.sql()
		if len(sql) < 4 || sql[0] != "BEGIN" || sql[len(sql)-1] != "COMMIT" || strings.Contains(strings.Join(sql, "\n"), "Pilotess") {
			t.Errorf("got %q", sql)
		}
		if r.AnsweredFrom != "resolvers" || !slices.Contains(r.lines(), "    manager User.manager: 1 objects, 1 keys, 0 hits in 1 statements") {
			t.Errorf("got %s\n%s", r.AnsweredFrom, strings.Join(r.lines(), "\n"))
		}
	})
}

func TestAReportSaysWhyResolversHaveAnswered(t *testing.T) {
	url := serve(t, func(*graph.Config) {})
	for query, why := range map[string]string{
		`{ user(id: "42") { name } }`: "Query.user has arguments that are not valid",
		`{ __typename __schema { queryType { name } } user(id: "User:1") { name } }`: "Query.__schema is resolved",
		`mutation { deleteUser(input: {id: "User:1000"}) { deletedUserId } }`:        "",
	} {
		if r := reportOf(t, sent(t, url, reported(query))); r == nil || r.AnsweredFrom != "resolvers" || r.Why != why {
			t.Errorf("%s: got %+v", query, r)
		}
	}
}

// TestAReportIsForWhoMayKnow: an ADMIN, or on a server without --production anybody. Others have their answer, and are told why there is none.
func TestAReportIsForWhoMayKnow(t *testing.T) {
	asAViewer := func(production bool, role string, scopes []string) string {
		return serve(t, func(cfg *graph.Config) {
			cfg.Production = production
			cfg.Viewer = func(next http.Handler) http.Handler {
				return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					next.ServeHTTP(w, r.WithContext(access.WithViewer(context.WithoutCancel(r.Context()), &access.Viewer{Subject: "a", Role: role, Scopes: scopes})))
				})
			}
		})
	}
	answer := sent(t, asAViewer(true, access.RoleAdmin, []string{access.ScopeWrite}), reported(`mutation { deleteUser(input: {id: "User:1000"}) { deletedUserId } }`))
	if r := reportOf(t, answer); r == nil || r.Refused == "" || len(r.Statements) > 0 || !strings.Contains(answer, `"User:1000"`) {
		t.Errorf("an ADMIN's token that may write alone gets %s", answer)
	}
	for _, test := range []struct {
		production bool
		role       string
		scopes     []string
		allowed    bool
	}{
		{false, access.RoleViewer, nil, true},
		{true, access.RoleViewer, nil, false},
		{true, access.RoleEditor, nil, false},
		{true, access.RoleAdmin, nil, true},
		{true, access.RoleAdmin, []string{access.ScopeRead}, true},
		{true, access.RoleEditor, []string{access.ScopeRead}, false},
	} {
		url := asAViewer(test.production, test.role, test.scopes)
		const query = `{ user(id: "User:42") { id } }`
		answer := sent(t, url, reported(query))
		r := reportOf(t, answer)
		if r == nil || !strings.HasPrefix(answer, `{"data":{"user":{"id":"User:42"}}`) || test.allowed != (len(r.Statements) > 0) || test.allowed != (r.Refused == "") {
			t.Errorf("%+v gets %s", test, answer)
		}
		for _, other := range []any{map[string]any{"query": query}, map[string]any{"query": query, "extensions": map[string]any{"report": "true"}}} {
			if answer := sent(t, url, other); strings.Contains(answer, "report") {
				t.Errorf("without being asked: %s", answer)
			}
		}
	}
}

func TestAReportIsOfItsOwnOperationAlone(t *testing.T) {
	url := serve(t, func(*graph.Config) {})
	one := map[string]any{"query": `{ user(id: "User:41") { name manager { name } } }`}
	var answers []json.RawMessage
	if err := json.Unmarshal([]byte(sent(t, url, []any{one, one, reported(`{ user(id: "User:42") { name } }`), one, one})), &answers); err != nil {
		t.Fatal(err)
	}
	for i, answer := range answers {
		r := reportOf(t, string(answer))
		switch {
		case i == 2 && (r == nil || len(r.Statements) != 1):
			t.Errorf("got %s", answer)
		case i != 2 && r != nil:
			t.Errorf("the answer %d: %s", i, answer)
		}
	}
}

func TestAReplayedAnswerHasNoReportOfTheFirst(t *testing.T) {
	onDemoData(t, func(t *testing.T, d *directory) {
		const query = `mutation @idempotent(key: "a-key-of-its-own-0001") { updateUser(input: {id: "User:42", title: "Pilot"}) { user { id } } }`
		first := reportOf(t, sent(t, d.url, reported(query)))
		if first == nil || len(first.Statements) < 4 {
			t.Fatalf("got %+v", first)
		}
		if again := sent(t, d.url, map[string]any{"query": query}); again != `{"data":{"updateUser":{"user":{"id":"User:42"}}}}` {
			t.Errorf("got %s", again)
		}
		if again := reportOf(t, sent(t, d.url, reported(query))); again == nil || strings.Contains(strings.Join(again.sql(), "\n"), "UPDATE `users`") || len(again.Statements) == 0 {
			t.Errorf("got %+v", again)
		}
	})
}

func TestTheLastPartOfAnAnswerAndEachEventHaveReports(t *testing.T) {
	onEveryDatabase(t, func(t *testing.T, d *directory) {
		id := d.create("Ada", "ada@example.com", nil)
		d.settle()
		s := d.subscribeBy(reported(`subscription { userChanged { user { name manager { name } } } }`))
		for i := range 3 {
			d.must(renameUser, "id", id, "name", fmt.Sprint("Ada ", i))
			r := reportOf(t, s.next())
			if r == nil || len(r.Statements) == 0 || len(r.Statements) > 3 || len(r.Fields) != 1 || r.Fields[0].Field != "Subscription.userChanged" {
				t.Errorf("got %+v", r)
			}
		}
		s.cancel()

		asked, _ := json.Marshal(reported(`{ user(id: "User:1") { name ... @defer { manager { name } } } }`))
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, d.url, bytes.NewReader(asked))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Content-Type", "application/json")
		req.Header.Set("Accept", "multipart/mixed")
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = res.Body.Close() }()
		text, _ := io.ReadAll(res.Body)
		if parts := strings.Split(string(text), "\r\n---"); strings.Count(string(text), `"report"`) != 1 || len(parts) < 3 || !strings.Contains(parts[len(parts)-2], `"report"`) {
			t.Errorf("got %s", text)
		}
	})
}

// TestAnAnswerWithAReportIsNotKeptByCaches, though the document's other answers are.
func TestAnAnswerWithAReportIsNotKeptByCaches(t *testing.T) {
	onDemoData(t, func(t *testing.T, d *directory) {
		d.listed(nil)
		for extensions, want := range map[string]string{"": "public, max-age=60", `{"report":true}`: "private, no-cache"} {
			req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, d.url, nil)
			if err != nil {
				t.Fatal(err)
			}
			values := req.URL.Query()
			values.Set("documentId", "kept")
			values.Set("extensions", extensions)
			req.URL.RawQuery = values.Encode()
			res, err := http.DefaultClient.Do(req)
			if err != nil {
				t.Fatal(err)
			}
			_ = res.Body.Close()
			if got := res.Header.Get("Cache-Control"); got != want || extensions != "" && res.Header.Get("ETag") != "" {
				t.Errorf("%s: %s", extensions, res.Header)
			}
		}
	})
}
