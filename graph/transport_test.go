package graph_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"rollcall/apierror"
	"rollcall/database"
	"rollcall/database/databasetest"
	"rollcall/graph"
	"rollcall/keyset"
	"rollcall/model"
)

// allowArrays serves the API anew, with arrays of at most n operations.
func (d *directory) allowArrays(n int) {
	d.tb.Helper()
	d.serve(func(s *server) graph.Config {
		return graph.Config{
			Database: s.db, Proof: proof(s.db), Deadline: time.Minute, MaxPage: 100, MaxBatch: n,
			Logger: d.logger,
		}
	})
}

// sendArray runs operations in one request, which must succeed, and returns the data of each as JSON.
func (d *directory) sendArray(queries ...string) (data []string) {
	d.tb.Helper()
	operations := make([]map[string]string, len(queries))
	for i, q := range queries {
		operations[i] = map[string]string{"query": q}
	}
	body, err := json.Marshal(operations)
	if err != nil {
		d.tb.Fatal(err)
	}
	res, err := http.Post(d.url, "application/json", bytes.NewReader(body))
	if err != nil {
		d.tb.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	raw, err := io.ReadAll(res.Body)
	if err != nil {
		d.tb.Fatal(err)
	}
	var answers []struct{ Data, Errors json.RawMessage }
	if err := json.Unmarshal(raw, &answers); err != nil || len(answers) != len(queries) {
		d.tb.Fatalf("want %d answers, got %s", len(queries), raw)
	}
	for i, a := range answers {
		if a.Errors != nil {
			d.tb.Errorf("item %d: %s", i, a.Errors)
		}
		data = append(data, string(a.Data))
	}
	return data
}

// onArrays runs fn with the API over the demo data, where arrays are allowed.
func onArrays(t *testing.T, fn func(t *testing.T, d *directory)) {
	onDemoData(t, func(t *testing.T, d *directory) {
		d.allowArrays(50)
		fn(t, d)
	})
}

// singles are n operations on one user each.
func singles(n int, format string) []string {
	queries := make([]string, n)
	for i := range queries {
		queries[i] = fmt.Sprintf(format, 500+i)
	}
	return queries
}

func TestOperationsOnSingleUsersInOneArrayAreOneStatementPerLevel(t *testing.T) {
	onArrays(t, func(t *testing.T, d *directory) {
		for _, c := range []struct {
			what, format string
			statements   int
		}{
			{"users", `{ user(id: "User:%d") { id name } }`, 1},
			{"their managers", `{ user(id: "User:%d") { id manager { name } } }`, 2},
			{"their managers' managers and teams", `{ user(id: "User:%d") { id manager { manager { name } } teams { nodes { name } } } }`, 4},
			{"nodes", `{ node(id: "User:%d") { id ... on User { manager { name } } } }`, 2},
			{"nothing", `{ __typename n%d: __typename }`, 0},
		} {
			t.Run(c.what, func(t *testing.T) {
				queries := singles(20, c.format)
				var together []string
				d.wantStatements(t, c.statements, func() { together = d.sendArray(queries...) })
				for i, q := range queries {
					if alone := d.must(q).raw; alone != `{"data":`+together[i]+`}` {
						t.Errorf("want %s, got %s", alone, together[i])
					}
				}
			})
		}
	})
}

func TestDifferentOperationsInOneArrayShareTheirStatements(t *testing.T) {
	onArrays(t, func(t *testing.T, d *directory) {
		queries := append(singles(5, `{ user(id: "User:%d") { manager { name } } }`), singles(5, `query($never: Boolean = false) { node(id: "User:%d") { id ... on User { name manager @include(if: $never) { name } } } }`)...)
		queries = append(queries, `{ nodes(ids: ["User:500", "User:900"]) { ... on User { manager { email } } } }`, `{ __typename }`)
		d.wantStatements(t, 2, func() { d.sendArray(queries...) })
	})
}

func TestAMutationInAnArrayDividesItsStatements(t *testing.T) {
	onArrays(t, func(t *testing.T, d *directory) {
		const user = `{ user(id: "User:%d") { name manager { name } } }`
		rename := `mutation { updateUser(input: { id: "User:500", name: "New" }) { user { name } } }`
		var before []string
		alone := len(d.sql.During(func() { d.must(strings.Replace(rename, "New", "Newer", 1)) }))
		if alone == 0 {
			t.Fatal("no statements of the mutation")
		}
		queries := append(append(singles(10, user), rename), singles(10, user)...)
		d.wantStatements(t, 2+alone+2, func() { before = d.sendArray(queries...) })
		if !strings.Contains(before[0], `"name":"Newer"`) || !strings.Contains(before[11], `"name":"New"`) || before[1] != before[12] {
			t.Errorf("before the mutation %s, after it %s", before[0], before[11])
		}
	})
}

func TestASnapshotInAnArrayStandsAlone(t *testing.T) {
	onArrays(t, func(t *testing.T, d *directory) {
		const user = `{ user(id: "User:%d") { name } }`
		queries := append(append(singles(5, user), `query @snapshot { user(id: "User:500") { name } }`), singles(5, user)...)
		d.wantStatements(t, 3, func() { d.sendArray(queries...) })
	})
}

func TestAVariableInAnArrayIsItsItemsOwn(t *testing.T) {
	onArrays(t, func(t *testing.T, d *directory) {
		var items []string
		for i := range 20 {
			items = append(items, fmt.Sprintf(`{"query":"query($id: ID!) { user(id: $id) { id manager { id } } }","variables":{"id":"User:%d"}}`, 500+i))
		}
		d.wantStatements(t, 2, func() {
			res, err := http.Post(d.url, "application/json", strings.NewReader("["+strings.Join(items, ",")+"]"))
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = res.Body.Close() }()
			var answers []answer
			if err := json.NewDecoder(res.Body).Decode(&answers); err != nil || len(answers) != len(items) {
				t.Fatalf("%d answers, %v", len(answers), err)
			}
			for i, a := range answers {
				if id := a.at(t, "user.id"); id != model.UserID(int64(500+i)) {
					t.Errorf("item %d: user %v", i, id)
				}
			}
		})
	})
}

// FuzzIDAndCursor asks for an id and a page after a cursor. Whatever they are, the answer is JSON, and an error is the
// client's own.
func FuzzIDAndCursor(f *testing.F) {
	for _, seed := range []string{
		"", ":", "User:1", "Team:1", "User:0", "User:-1", "User:+1", "User:01", "User: 1", "User:9223372036854775807", "User:9223372036854775808", "user:1", "User:1:1",
		"AVN9Sc0DXQE", "AVN9Sc0DXQE\n", "AVN9Sc0DXQE=", "AVN9Sc0DXQF", "VXNlcjox", "\xff", "User:\u0661", "é", strings.Repeat("User:1", 100),
	} {
		f.Add(seed)
	}
	db := databasetest.New(f, "sqlite", database.Options{PoolSize: 2})
	d := newDirectory(f, db)
	f.Fuzz(func(t *testing.T, text string) {
		if typ, id, ok := keyset.ParseID(text); ok {
			if again := keyset.ID(typ, id); again != text {
				t.Fatalf("%q is %q", text, again)
			}
		}
		if id, _, ok := keyset.ParseCursor("Query.users", keyset.Key{}, text); ok {
			if again := keyset.Cursor("Query.users", keyset.Key{}, id, ""); again != text {
				t.Fatalf("%q is %d, whose cursor is %q", text, id, again)
			}
		}
		at := *d
		at.tb = t
		a := at.send(`query($id: ID!, $after: String) { user(id: $id) { id } node(id: $id) { id } users(first: 1, after: $after) { nodes { id } } }`, "id", text, "after", text)
		for _, e := range a.Errors {
			if code := e.Extensions["code"]; code != string(apierror.CodeBadUserInput) {
				t.Fatalf("%q: %s", text, a.raw)
			}
		}
	})
}

func TestTheHeaderNamesTheOperationsAsTheirErrorsAndTheLogDo(t *testing.T) {
	onArrays(t, func(t *testing.T, d *directory) {
		if err := d.db.Write.Exec("DROP TABLE memberships").Error; err != nil {
			t.Fatal(err)
		}
		const good, broken = `{"query":"{ user(id: \"User:500\") { name } }"}`, `{"query":"{ user(id: \"User:500\") { teams { totalCount } } }"}`
		for body, failing := range map[string]int{broken: 0, "[" + good + "," + broken + "," + good + "]": 1} {
			res, err := http.Post(d.url, "application/json", strings.NewReader(body))
			if err != nil {
				t.Fatal(err)
			}
			text, err := io.ReadAll(res.Body)
			_ = res.Body.Close()
			if err != nil {
				t.Fatal(err)
			}
			ids := strings.Split(res.Header.Get("Operation-Id"), ", ")
			if len(ids) != 2*failing+1 {
				t.Fatalf("the header names %q", ids)
			}
			for i, id := range ids {
				told, logged := strings.Contains(string(text), `"operationId":"`+id+`"`), strings.Contains(d.log.String(), "id="+id)
				if told != (i == failing) || logged != (i == failing) {
					t.Errorf("operation %d, %s: told: %t, logged: %t: %s", i, id, told, logged, text)
				}
			}
		}
	})
}

func TestAnswersComeInPartsOverTheNewerWebSocketOnly(t *testing.T) {
	d := newDirectory(t, databasetest.New(t, "sqlite", database.Options{PoolSize: 2}))
	deferred := operation{Query: `{ user(id: "` + d.create("One", "one@example.com", nil) + `") { email ... @defer { manager { name } } } }`}
	for way, want := range map[string]string{
		"WebSocket":       `{"data":{"user":{"email":"one@example.com"}},"hasNext":true}`,
		"older WebSocket": `{"data":{"user":{"email":"one@example.com","manager":null}}}`,
	} {
		if a := ways[way](d, deferred); a.raw != want {
			t.Errorf("%s: want %s first, got %s", way, want, a.raw)
		}
	}
}
