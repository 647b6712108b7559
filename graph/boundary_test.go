package graph_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/coder/websocket/wsjson"

	"rollcall/database"
	"rollcall/database/databasetest"
	"rollcall/graph"
	"rollcall/graph/graphtest"
	"rollcall/limit"
)

// nested is JSON of n levels.
func nested(n int) any {
	return json.RawMessage(`{"v":` + strings.Repeat("[", n-1) + strings.Repeat("]", n-1) + "}")
}

// ids is a list of n ids.
func ids(n int) string { return "[" + strings.Repeat(`"User:1",`, n-1) + `"User:1"]` }

// boundaries are operations that reach a limit and do not exceed it, and that exceed it by as little as can be.
var boundaries = map[string]struct {
	of        func(n int) operation
	at, over  int
	passes    string // the code of the error of what reaches the limit, for another reason; "": it is run
	code, say string // of the error of what exceeds it
}{
	"tokens": {
		func(n int) operation { return operation{Query: strings.Repeat("#\n", n-3) + "{__typename}"} }, 10_000, 10_001,
		"", limit.CodeTokens, "more than 10000 tokens",
	},
	"lines": {
		func(n int) operation { return operation{Query: strings.Repeat("\n", n) + "{__typename}"} }, 10_000, 10_001,
		"", limit.CodeTokens, "more than 10000 lines",
	},
	"lines of a string": {
		func(n int) operation {
			return operation{Query: `{userByEmail(email:"""` + strings.Repeat("\n", n) + `"""){id}}`}
		}, 10_000, 10_001,
		"", limit.CodeTokens, "more than 10000 lines",
	},
	"nesting": {
		func(n int) operation {
			return operation{Query: "{" + strings.Repeat("...{", n-1) + "__typename" + strings.Repeat("}", n)}
		}, 50, 51,
		"", limit.CodeNesting, "nested more than 50 deep",
	},
	"nesting of lists": { // the schema has no list of lists
		func(n int) operation {
			return operation{Query: "{nodes(ids:" + strings.Repeat("[", n) + strings.Repeat("]", n) + "){id}}"}
		}, 8, 9,
		"GRAPHQL_VALIDATION_FAILED", limit.CodeLists, "lists that are nested more than 8 deep",
	},
	"directives": {
		func(n int) operation {
			return operation{Query: "{" + graphtest.Numbered(n, " a%d: __typename @skip(if: false)") + "}"}
		}, 100, 101,
		"", limit.CodeDirectives, "more than 100 directives",
	},
	"depth": {
		func(n int) operation {
			return operation{Query: `{user(id:"User:1"){` + strings.Repeat("manager{", n-2) + "name" + strings.Repeat("}", n)}
		}, 15, 16,
		"", limit.CodeDepth, "more than 15 fields deep",
	},
	"depth through fragments": {
		func(n int) operation {
			return operation{Query: `{user(id:"User:1"){...F}} fragment F on User{...{manager{...G}}} fragment G on User{` +
				strings.Repeat("manager{", n-3) + "name" + strings.Repeat("}", n-2)}
		}, 15, 16,
		"", limit.CodeDepth, "more than 15 fields deep",
	},
	"selections": { // three times 1,002, the fragment's own 1,001, and 993
		func(n int) operation {
			return operation{Query: "{...F ...F ...F" + graphtest.Numbered(n-4_007, " b%d:__typename") + "} fragment F on Query{" + graphtest.Numbered(1_000, " a%d:__typename") + "}"}
		}, 5_000, 5_001,
		"", limit.CodeSelections, "more than 5000 fields, arguments and values",
	},
	"repetitions": { // 387*386 steps
		func(n int) operation { return operation{Query: "{" + strings.Repeat(" __typename", n) + "}"} }, 387, 388,
		"", limit.CodeRepetitions, "more than 150000 steps",
	},
	"errors": {
		func(n int) operation { return operation{Query: "{" + graphtest.Numbered(n, " a%d") + "}"} }, 1_000, 1_001,
		"GRAPHQL_VALIDATION_FAILED", limit.CodeErrors, "more than 1000 errors",
	},
	"length of errors": {
		func(n int) operation {
			return operation{Query: "{" + strings.Repeat("a", n-len(`Cannot query field "" on type "Query".`)) + "}"}
		}, 128 << 10, 128<<10 + 1,
		"GRAPHQL_VALIDATION_FAILED", limit.CodeErrors, "longer than 131072 bytes",
	},
	"nesting of variables": {
		func(n int) operation { return operation{Query: "{__typename}", Variables: nested(n)} }, 50, 51,
		"", "VARIABLE_NESTING_LIMIT", "variables are nested in more than 50 levels",
	},
	"nesting of extensions": {
		func(n int) operation {
			return operation{Query: "{__typename}", Extensions: map[string]any{"a": nested(n - 1)}}
		}, 50, 51,
		"", "VARIABLE_NESTING_LIMIT", "extensions are nested in more than 50 levels",
	},
	"cost": { // 99,978, the last page, and 1.1 for each of its users
		func(n int) operation {
			return operation{Query: "{users(first:100){nodes{teams(first:100){nodes{" + graphtest.Numbered(89, " a%d:name") + "}}}}" +
				graphtest.Numbered(7, " b%d:users(first:100){nodes{name}}") + fmt.Sprintf(" c:users(first:%d){nodes{name}}}", n-99_981)}
		}, 100_000, 100_001,
		"", limit.CodeCost, "at most 100000 is allowed",
	},
	"a page": {
		func(n int) operation { return operation{Query: fmt.Sprintf("{users(first:%d){nodes{id}}}", n)} }, 100, 101,
		"", "BAD_USER_INPUT", "first: 101 is more than a page holds (100)",
	},
	"a page within a page": {
		func(n int) operation {
			return operation{Query: fmt.Sprintf("{users(first:2){nodes{...F}}} fragment F on User{teams(first:%d){totalCount}}", n)}
		}, 100, 101,
		"", "BAD_USER_INPUT", "first: 101 is more than a page holds (100)",
	},
	"a page by a variable": {
		func(n int) operation {
			return operation{Query: "query($n:Int){users(first:$n){nodes{id}}}", Variables: map[string]any{"n": n}}
		}, 100, 101,
		"", "BAD_USER_INPUT", "first: 101 is more than a page holds (100)",
	},
	"a page by default": {
		func(n int) operation {
			return operation{Query: fmt.Sprintf("query($n:Int=%d){users(first:$n){nodes{id}}}", n)}
		}, 100, 101,
		"", "BAD_USER_INPUT", "first: 101 is more than a page holds (100)",
	},
	"ids": {
		func(n int) operation { return operation{Query: "{nodes(ids:" + ids(n) + "){id}}"} }, 100, 101,
		"", "BAD_USER_INPUT", "ids: 101 is more than a page holds (100)",
	},
	"ids by a variable": {
		func(n int) operation {
			return operation{Query: "query($ids:[ID!]!){nodes(ids:$ids){id}}", Variables: map[string]any{"ids": json.RawMessage(ids(n))}}
		}, 100, 101,
		"", "BAD_USER_INPUT", "ids: 101 is more than a page holds (100)",
	},
}

func TestAnOperationMayReachEachLimitAndNotExceedItOnEveryTransport(t *testing.T) {
	db := databasetest.New(t, "sqlite", database.Options{PoolSize: 2})
	d := newDirectory(t, db)
	d.allowArrays(50)
	for way, send := range ways {
		t.Run(way, func(t *testing.T) {
			at := *d
			at.tb = t
			for what, b := range boundaries {
				a := send(&at, b.of(b.at))
				switch {
				case b.passes == "" && (len(a.Errors) > 0 || a.Data == nil):
					t.Errorf("%s: %d: want data, got %.300s", what, b.at, a.raw)
				case b.passes != "" && (len(a.Errors) == 0 || a.Errors[0].Extensions["code"] != b.passes):
					t.Errorf("%s: %d: want %s, got %.300s", what, b.at, b.passes, a.raw)
				}
				statements := d.sql.During(func() { a = send(&at, b.of(b.over)) })
				if a.Data != nil || len(a.Errors) != 1 || a.Errors[0].Extensions["code"] != b.code || !strings.Contains(a.Errors[0].Message, b.say) {
					t.Errorf("%s: %d: want %s, %q, got %.300s", what, b.over, b.code, b.say, a.raw)
				}
				if len(statements) > 0 {
					t.Errorf("%s: %d: got %d statements", what, b.over, len(statements))
				}
			}
		})
	}
}

func TestAMutationWithAPageThatIsTooLongChangesNothing(t *testing.T) {
	d := newDirectory(t, databasetest.New(t, "sqlite"))
	id := d.create("Ada", "ada@example.com", nil)
	d.wantStatements(t, 0, func() {
		a := d.send(`mutation($id: ID!) { updateUser(input: {id: $id, name: "Eve"}) { user { teams(first: 101) { totalCount } } } }`, "id", id)
		if a.code(t) != "BAD_USER_INPUT" || a.Errors[0].Extensions["field"] != "first" {
			t.Errorf("got %s", a.raw)
		}
	})
}

func TestABodyHasAtMostAMebibyte(t *testing.T) {
	d := newDirectory(t, databasetest.New(t, "sqlite"))
	d.allowArrays(50)
	const query = `{"query": "{__typename}"}`
	padded := func(body string, n int) string { return body + strings.Repeat(" ", n-len(body)) }
	send := func(body io.Reader, accept string) answer {
		return d.do(http.MethodPost, d.url, body, accept)
	}
	for what, way := range map[string]func(n int) answer{
		"POST":      func(n int) answer { return send(strings.NewReader(padded(query, n)), "application/json") },
		"array":     func(n int) answer { return send(strings.NewReader(padded("["+query+"]", n)), "application/json") },
		"events":    func(n int) answer { return send(strings.NewReader(padded(query, n)), "text/event-stream") },
		"multipart": func(n int) answer { return send(strings.NewReader(padded(query, n)), "multipart/mixed") },
		"chunks": func(n int) answer { // whose length is not announced
			return send(io.MultiReader(strings.NewReader(padded(query, n))), "application/json")
		},
	} {
		if a := way(1 << 20); a.Data["__typename"] != "Query" {
			t.Errorf("%s: got %.300s", what, a.raw)
		}
		if a := way(1<<20 + 1); a.code(t) != "BODY_TOO_LARGE" || a.Errors[0].Message != "the body is longer than 1048576 bytes" {
			t.Errorf("%s: got %.300s", what, a.raw)
		}
	}

	socket := dial(t, d.url)
	message := `{"type": "ping"}`
	write(t, socket, padded(message, 1<<20))
	if got := read(t, socket); got != `{"type":"pong"}` {
		t.Errorf("got %s", got)
	}
	write(t, socket, padded(message, 1<<20+1))
	_, _, err := socket.Read(t.Context())
	if websocket.CloseStatus(err) != websocket.StatusMessageTooBig || !strings.Contains(err.Error(), "Message longer than 1048576 bytes") {
		t.Errorf("got %v", err)
	}
}

// A body that is announced as too long is not waited for.
func TestALongBodyIsRefusedBeforeItComes(t *testing.T) {
	d := newDirectory(t, databasetest.New(t, "sqlite"))
	body, _ := io.Pipe()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, d.url, body)
	if err != nil {
		t.Fatal(err)
	}
	req.ContentLength = 1 << 30
	req.Header.Set("Content-Type", "application/json")
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	_ = res.Body.Close()
	if res.StatusCode != http.StatusRequestEntityTooLarge {
		t.Errorf("got %s", res.Status)
	}
}

func TestAnArrayAndASocketHoldSoManyOperations(t *testing.T) {
	d := newDirectory(t, databasetest.New(t, "sqlite"))
	d.allowArrays(50)
	operations := func(n int) []operation {
		all := make([]operation, n)
		for i := range all {
			all[i].Query = "{__typename}"
		}
		return all
	}
	if a := d.postAs(operations(50), "application/json"); strings.Count(a.raw, `"Query"`) != 50 {
		t.Errorf("got %s", a.raw)
	}
	if a := d.postAs(operations(51), "application/json"); a.code(t) != "BATCH_TOO_LARGE" || a.Errors[0].Message != "the array holds 51 operations; at most 50 are allowed" {
		t.Errorf("got %s", a.raw)
	}

	socket := dial(t, d.url)
	for i := range 101 {
		write(t, socket, fmt.Sprintf(`{"type": "subscribe", "id": "%d", "payload": {"query": "subscription { userChanged { kind } }"}}`, i+1))
	}
	if got := read(t, socket); !strings.HasPrefix(got, `{"id":"101","type":"error"`) || !strings.Contains(got, "TOO_MANY_REQUESTS") || !strings.Contains(got, "it may have 100 at a time") {
		t.Errorf("got %s", got)
	}
}

// dial opens a socket that has been acknowledged.
func dial(t *testing.T, url string) *websocket.Conn {
	t.Helper()
	socket, _, err := websocket.Dial(t.Context(), url, &websocket.DialOptions{Subprotocols: []string{"graphql-transport-ws"}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = socket.CloseNow() })
	if err := wsjson.Write(t.Context(), socket, map[string]any{"type": "connection_init"}); err != nil {
		t.Fatal(err)
	}
	read(t, socket)
	return socket
}

func write(t *testing.T, socket *websocket.Conn, text string) {
	t.Helper()
	if err := socket.Write(t.Context(), websocket.MessageText, []byte(text)); err != nil {
		t.Fatal(err)
	}
}

func read(t *testing.T, socket *websocket.Conn) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	_, text, err := socket.Read(ctx)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func TestAnOperationThatIsLateIsToldSoOnEveryTransport(t *testing.T) {
	db := databasetest.New(t, "sqlite", database.Options{PoolSize: 1})
	server := httptest.NewServer(graph.NewHandler(graph.Config{
		Database: db, Deadline: 500 * time.Millisecond, MaxPage: 100, MaxBatch: 50, Logger: slog.New(slog.DiscardHandler),
	}))
	t.Cleanup(server.Close)
	d := &directory{tb: t, url: server.URL}
	d.db = db
	reads, err := db.Read.DB()
	if err != nil {
		t.Fatal(err)
	}
	query := operation{Query: "{users{totalCount}}"}
	busy, err := reads.Conn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	onEachWay := func(what string, check func(t *testing.T, a answer)) {
		t.Run(what, func(t *testing.T) {
			for way, send := range ways {
				t.Run(way, func(t *testing.T) {
					t.Parallel()
					at := *d
					at.tb = t
					check(t, send(&at, query))
				})
			}
		})
	}
	onEachWay("while the database is busy", func(t *testing.T, a answer) {
		if len(a.Errors) != 1 || a.Errors[0].Extensions["code"] != "TIMEOUT" || a.Errors[0].Message != "the operation took longer than 500ms" {
			t.Errorf("got %s", a.raw)
		}
	})
	_ = busy.Close()
	onEachWay("afterwards", func(t *testing.T, a answer) {
		if len(a.Errors) > 0 || a.Data == nil {
			t.Errorf("got %s", a.raw)
		}
	})
}

func TestAnErrorQuotesLittleOfItsRequest(t *testing.T) {
	d := newDirectory(t, databasetest.New(t, "sqlite"))
	long := strings.Repeat("é", 200_000)
	name := strings.Repeat("a", 400_000)
	for what, body := range map[string]any{
		"a name":             operation{Query: "{ __typename } " + name},
		"a string":           operation{Query: `{ __typename } "` + long + `"`},
		"a number":           operation{Query: "{ user(id: " + strings.Repeat("9", 100_000) + ") { id } }"},
		"an operation":       map[string]string{"query": "{ __typename }", "operationName": long},
		"a variable's name":  operation{Query: "query($" + name + ": Int!) { users(first: $" + name + ") { totalCount } }"},
		"a variable":         operation{Query: "query($v: Int!) { users(first: $v) { totalCount } }", Variables: map[string]any{"v": long}},
		"a variable's field": operation{Query: "mutation($v: CreateUserInput!) { createUser(input: $v) { user { id } } }", Variables: map[string]any{"v": map[string]any{long: 1}}},
		"an id":              operation{Query: "query($v: ID!) { user(id: $v) { id } }", Variables: map[string]any{"v": long}},
		"a cursor":           operation{Query: "query($v: String) { users(after: $v) { totalCount } }", Variables: map[string]any{"v": long}},
		"an outcome":         operation{Query: "query($v: ID!) { mutationOutcome(operationId: $v) }", Variables: map[string]any{"v": long}},
		"a hash":             operation{Extensions: map[string]any{"persistedQuery": map[string]any{"version": 1, "sha256Hash": long}}},
		"a document's id":    map[string]string{"documentId": long},
		"a broken body":      long,
	} {
		a := d.postAs(body, "application/json")
		if (len(a.Errors) == 0 && what != "an outcome") || len(a.raw) > 1_000 || strings.ContainsRune(a.raw, '�') {
			t.Errorf("%s: %d errors, %d bytes: %.300s", what, len(a.Errors), len(a.raw), a.raw)
		}
	}
}
