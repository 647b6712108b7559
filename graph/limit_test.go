package graph_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/coder/websocket/wsjson"

	"rollcall/database"
	"rollcall/database/databasetest"
	"rollcall/limit"
)

// attacks are documents that cost a server far more than their bytes, each with its refusal.
func attacks() map[string]struct{ query, code string } {
	doubling := "{ node(id: 1) { ...F0 } }"
	for i := range 24 {
		doubling += fmt.Sprintf(" fragment F%d on User { ...F%d ...F%d }", i, i+1, i+1)
	}
	return map[string]struct{ query, code string }{
		"fields without end":         {strings.Repeat("{a", 400_000), limit.CodeNesting},
		"a deep list":                {"{nodes(ids:" + strings.Repeat("[", 1_000_000), limit.CodeLists},
		"a deep object":              {"mutation{createUser(input:" + strings.Repeat("{a:", 300_000), limit.CodeNesting},
		"deep inline fragments":      {"{" + strings.Repeat("...{", 200_000), limit.CodeNesting},
		"doubling fragments":         {doubling + " fragment F24 on User { id }", limit.CodeSelections},
		"a circle of fragments":      {"{ ...F } fragment F on Query { ...G } fragment G on Query { ...F }", "GRAPHQL_VALIDATION_FAILED"},
		"10,000 aliases":             {"{" + numbered(10_000, " a%d: __typename") + "}", limit.CodeTokens},
		"repeated fields":            {"{" + strings.Repeat(" __typename", 4_900) + "}", limit.CodeRepetitions},
		"many directives":            {"{ __typename" + strings.Repeat(" @skip(if: false)", 101) + "}", limit.CodeDirectives},
		"managers of managers":       {`{ user(id: "User:1") {` + strings.Repeat("manager {", 14) + "name" + strings.Repeat("}", 16), limit.CodeDepth},
		"unknown fields":             {"{" + numbered(4_900, " f%d") + "}", limit.CodeErrors},
		"pages of pages of pages":    {"{ users(first: 100) { nodes { teams(first: 100) { nodes { members(first: 100) { nodes { name } } } } } } }", limit.CodeCost},
		"many aliases of great cost": {"{" + numbered(550, " a%d: users(first: 100) { nodes { manager { name } } }") + "}", limit.CodeCost},
		"many values of each item":   {"{ users(first: 100) { nodes { teams(first: 100) { nodes {" + numbered(1_000, " a%d: name") + "} } } } }", limit.CodeCost},
	}
}

func numbered(n int, format string) string {
	var text strings.Builder
	for i := range n {
		fmt.Fprintf(&text, format, i)
	}
	return text.String()
}

// The transports by which a document may come, each with the error that it is answered with.
var ways = map[string]func(d *directory, query string) answer{
	"POST": func(d *directory, query string) answer {
		return d.postAs(map[string]any{"query": query}, "application/json")
	},
	"GET": func(d *directory, query string) answer {
		return d.do(http.MethodGet, d.url+"?"+url.Values{"query": {query}}.Encode(), nil, "application/json")
	},
	"array": func(d *directory, query string) answer {
		return d.postAs([]any{map[string]any{"query": query}}, "application/json")
	},
	"events": func(d *directory, query string) answer {
		return d.postAs(map[string]any{"query": query}, "text/event-stream")
	},
	"hash": func(d *directory, query string) answer {
		sum := sha256.Sum256([]byte(query))
		named := map[string]any{"persistedQuery": map[string]any{"version": 1, "sha256Hash": hex.EncodeToString(sum[:])}}
		d.postAs(map[string]any{"query": query, "extensions": named}, "application/json")
		return d.postAs(map[string]any{"extensions": named}, "application/json")
	},
	"WebSocket": (*directory).overSocket,
}

func (d *directory) postAs(body any, accept string) answer {
	d.tb.Helper()
	text, err := json.Marshal(body)
	if err != nil {
		d.tb.Fatal(err)
	}
	return d.do(http.MethodPost, d.url, bytes.NewReader(text), accept)
}

// do returns the only answer to a request, also from an array or from an event.
func (d *directory) do(method, to string, body io.Reader, accept string) (a answer) {
	d.tb.Helper()
	req, err := http.NewRequestWithContext(context.Background(), method, to, body)
	if err != nil {
		d.tb.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Accept", accept)
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		d.tb.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		d.tb.Fatal(err)
	}
	a.raw = string(text)
	if _, event, ok := strings.Cut(a.raw, "data: "); ok {
		a.raw, _, _ = strings.Cut(event, "\n")
	}
	a.raw = strings.TrimSuffix(strings.TrimPrefix(a.raw, "["), "]")
	if err := json.Unmarshal([]byte(a.raw), &a); err != nil {
		a.Errors = nil // told by a.code
	}
	return a
}

func (d *directory) overSocket(query string) (a answer) {
	d.tb.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	socket, _, err := websocket.Dial(ctx, d.url, &websocket.DialOptions{Subprotocols: []string{"graphql-transport-ws"}})
	if err != nil {
		d.tb.Fatal(err)
	}
	defer func() { _ = socket.CloseNow() }()
	socket.SetReadLimit(1 << 20)
	for _, message := range []any{
		map[string]any{"type": "connection_init"},
		map[string]any{"type": "subscribe", "id": "1", "payload": map[string]any{"query": query}},
	} {
		if err := wsjson.Write(ctx, socket, message); err != nil {
			d.tb.Fatal(err)
		}
	}
	for {
		var message struct {
			Type    string          `json:"type"`
			Payload json.RawMessage `json:"payload"`
		}
		if err := wsjson.Read(ctx, socket, &message); err != nil {
			d.tb.Fatal(err)
		}
		switch message.Type {
		case "error":
			a.raw = string(message.Payload)
			if err := json.Unmarshal(message.Payload, &a.Errors); err != nil {
				d.tb.Fatal(err)
			}
			return a
		case "next":
			d.tb.Fatalf("got %s", message.Payload)
		}
	}
}

func TestAttacksAreRefusedOnEveryTransport(t *testing.T) {
	db := databasetest.New(t, "sqlite", database.Options{PoolSize: 2})
	d := newDirectory(t, db)
	d.allowArrays(2)
	for way, send := range ways {
		t.Run(way, func(t *testing.T) {
			at := *d
			at.tb = t
			for what, attack := range attacks() {
				if way == "GET" && len(attack.query) > 300_000 {
					attack.query = attack.query[:300_000] // headers have a limit of their own
				}
				start := time.Now()
				statements := d.sql.during(func() {
					if a := send(&at, attack.query); a.code(t) != attack.code {
						t.Errorf("%s: want %s, got %.300s", what, attack.code, a.raw)
					}
				})
				if took := time.Since(start); took > 5*time.Second || len(statements) > 0 {
					t.Errorf("%s: took %s and %d statements", what, took, len(statements))
				}
			}
			at.must("{ __typename }")
		})
	}
}

func TestWhatClientsUsuallyAskCostsLessThanIsAllowed(t *testing.T) {
	db := databasetest.New(t, "sqlite", database.Options{PoolSize: 2})
	d := newDirectory(t, db)
	d.maxPage(1000)
	for _, query := range []string{
		"{ users(first: 20) { nodes { id name teams(first: 5) { nodes { id name members(first: 10) { nodes { id name manager { id name } } } } } } } }",
		"{ users(first: 1000) { nodes { id name email manager { id name } teams { nodes { id name } } } } }",
		"{ users(first: 1000) { edges { cursor node { id name email createdAt updatedAt } } } }",
		"{" + numbered(100, ` a%d: user(id: "User:1%[1]d") { id name manager { id name } }`) + "}",
		"mutation {" + numbered(100, ` a%d: createUser(input: {name: "A", email: "a%[1]d@example.com"}) { user { id teams { nodes { name } } } }`) + "}",
	} {
		if a := d.send(query); len(a.Errors) > 0 {
			t.Errorf("%.100s: got %.300s", query, a.raw)
		}
	}
}

func TestAClientMayAskWhatItsOperationCosts(t *testing.T) {
	db := databasetest.New(t, "sqlite", database.Options{PoolSize: 2})
	d := newDirectory(t, db)
	query := "{ users(first: 10) { nodes { name } } }"
	a := d.postAs(map[string]any{"query": query, "extensions": map[string]any{"cost": true}}, "application/json")
	if want := `{"data":{"users":{"nodes":[]}},"extensions":{"cost":{"requested":12,"limit":100000}}}`; a.raw != want {
		t.Errorf("want %s, got %s", want, a.raw)
	}
	if a := d.send(query); strings.Contains(a.raw, "extensions") {
		t.Errorf("got %s", a.raw)
	}
}

func TestIntrospectionOfTheSchemaIsWithinTheLimits(t *testing.T) {
	db := databasetest.New(t, "sqlite", database.Options{PoolSize: 2})
	d := newDirectory(t, db)
	typ := "kind name"
	for range 9 {
		typ = "kind name ofType {" + typ + "}"
	}
	d.must("{ __schema { types { fields { args { type {" + typ + "} } type {" + typ + "} } } } }")
}
