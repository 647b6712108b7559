package graph_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/coder/websocket/wsjson"

	"rollcall/database"
	"rollcall/database/databasetest"
	"rollcall/graph/graphtest"
)

// operation is what a client sends.
type operation struct {
	Query      string         `json:"query,omitempty"`
	Variables  any            `json:"variables,omitempty"`
	Extensions map[string]any `json:"extensions,omitempty"`
}

// The transports by which an operation may come.
var ways = map[string]func(*directory, operation) answer{
	"POST": func(d *directory, o operation) answer { return d.postAs(o, "application/json") },
	"GET": func(d *directory, o operation) answer {
		return d.do(http.MethodGet, d.url+"?"+o.values(d.tb).Encode(), nil, "application/json")
	},
	"array":     func(d *directory, o operation) answer { return d.postAs([]operation{o}, "application/json") },
	"events":    func(d *directory, o operation) answer { return d.postAs(o, "text/event-stream") },
	"multipart": func(d *directory, o operation) answer { return d.postAs(o, "multipart/mixed") },
	"hash": func(d *directory, o operation) answer {
		sum := sha256.Sum256([]byte(o.Query))
		named := map[string]any{"persistedQuery": map[string]any{"version": 1, "sha256Hash": hex.EncodeToString(sum[:])}}
		maps.Copy(named, o.Extensions)
		registered := d.postAs(operation{Query: o.Query, Variables: o.Variables, Extensions: named}, "application/json")
		again := d.postAs(operation{Variables: o.Variables, Extensions: named}, "application/json")
		if len(registered.Errors) > 0 && strings.Contains(again.raw, `"PERSISTED_QUERY_NOT_FOUND"`) { // as it has to be of a document that was refused
			return registered
		}
		return again
	},
	"WebSocket":       func(d *directory, o operation) answer { return d.overSocket("graphql-transport-ws", "subscribe", o) },
	"older WebSocket": func(d *directory, o operation) answer { return d.overSocket("graphql-ws", "start", o) },
}

// values are the parameters of a GET.
func (o operation) values(tb testing.TB) url.Values {
	tb.Helper()
	values := url.Values{"query": {o.Query}}
	for name, value := range map[string]any{"variables": o.Variables, "extensions": o.Extensions} {
		text, err := json.Marshal(value)
		if err != nil {
			tb.Fatal(err)
		}
		values.Set(name, string(text))
	}
	return values
}

func (d *directory) postAs(body any, accept string) answer {
	d.tb.Helper()
	text, err := json.Marshal(body)
	if err != nil {
		d.tb.Fatal(err)
	}
	return d.do(http.MethodPost, d.url, bytes.NewReader(text), accept)
}

// do returns the only answer to a request, also from an array, an event or a part.
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
	if _, part, ok := strings.Cut(a.raw, "\r\n\r\n"); ok {
		a.raw, _, _ = strings.Cut(part, "\r\n")
	}
	a.raw = strings.TrimSuffix(strings.TrimPrefix(a.raw, "["), "]")
	if err := json.Unmarshal([]byte(a.raw), &a); err != nil {
		a.Errors = nil // told by a.code
	}
	return a
}

func (d *directory) overSocket(protocol, begin string, o operation) (a answer) {
	d.tb.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	socket, _, err := websocket.Dial(ctx, d.url, &websocket.DialOptions{Subprotocols: []string{protocol}})
	if err != nil {
		d.tb.Fatal(err)
	}
	defer func() { _ = socket.CloseNow() }()
	socket.SetReadLimit(1 << 20)
	for _, message := range []any{
		map[string]any{"type": "connection_init"},
		map[string]any{"type": begin, "id": "1", "payload": o},
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
			d.tb.Error(err)
			return a
		}
		a.raw = string(message.Payload)
		var to any
		switch {
		case message.Type == "next" || message.Type == "data" || message.Type == "error" && protocol == "graphql-ws":
			to = &a
		case message.Type == "error":
			to = &a.Errors
		default:
			continue
		}
		if err := json.Unmarshal(message.Payload, to); err != nil {
			d.tb.Error(err)
		}
		return a
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
			for what, attack := range graphtest.Attacks() {
				if way == "GET" && len(attack.Query) > 300_000 {
					attack.Query = attack.Query[:300_000] // headers have a limit of their own
				}
				start := time.Now()
				statements := d.sql.During(func() {
					if a := send(&at, operation{Query: attack.Query}); a.code(t) != attack.Code {
						t.Errorf("%s: want %s, got %.300s", what, attack.Code, a.raw)
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
		"{" + graphtest.Numbered(100, ` a%d: user(id: "User:1%[1]d") { id name manager { id name } }`) + "}",
		"mutation {" + graphtest.Numbered(100, ` a%d: createUser(input: {name: "A", email: "a%[1]d@example.com"}) { user { id teams { nodes { name } } } }`) + "}",
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
	for query, cost := range map[string]int{
		query: 12,
		"{ users(last: 10, orderBy: {field: NAME}) { nodes { name } } }":            12,
		`{ users(first: 10, query: null) { nodes { name } } }`:                      12,
		`{ users(first: 10, query: "-") { nodes { name } } }`:                       12,
		`{ users(first: 10, query: "O'Brien ada@example.com") { nodes { name } } }`: 14,
	} {
		a := d.postAs(map[string]any{"query": query, "extensions": map[string]any{"cost": true}}, "application/json")
		if want := fmt.Sprintf(`{"data":{"users":{"nodes":[]}},"extensions":{"cost":{"requested":%d,"limit":100000}}}`, cost); a.raw != want {
			t.Errorf("%s: want %s, got %s", query, want, a.raw)
		}
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
