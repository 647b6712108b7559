package graph_test

import (
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"rollcall/database/databasetest"
	"rollcall/directory/directorytest"
	"rollcall/graph"
	"rollcall/graph/graphtest"
)

func BenchmarkPoint(b *testing.B) { inProcess(b, `{ user(id: "User:42") { id name email } }`) }

func BenchmarkList(b *testing.B) { inProcess(b, `{ users(first: 50) { nodes { id name email } } }`) }

func BenchmarkNested(b *testing.B) {
	inProcess(b, `{ users(first: 50) { nodes { id name manager { id name } teams { nodes { id name } } } } }`)
}

func BenchmarkDeep(b *testing.B) {
	inProcess(b, `{ users(first: 20) { nodes { id name teams(first: 5) { nodes { id name members(first: 10) { nodes { id name manager { id name } } } } } } } }`)
}

func BenchmarkAliases(b *testing.B) {
	inProcess(b, "{"+graphtest.Numbered(20, ` u%[1]d: user(id: "User:1%[1]d") { id name manager { id name } }`)+"}")
}

func BenchmarkMutation(b *testing.B) {
	inProcess(b, `mutation { updateUser(input: {id: "User:42", name: "New Name"}) { user { id name teams { nodes { id name } } } } }`)
}

func BenchmarkTypename(b *testing.B) { inProcess(b, `{ __typename }`) }

// inProcess measures requests without a network, on SQLite: answered as a server does, and by resolvers alone.
func inProcess(b *testing.B, query string) {
	db := databasetest.Open(b, databasetest.With(b, "sqlite", directorytest.Demo))
	cfg := graph.Config{Database: db, Deadline: 20 * time.Second, MaxPage: 100, Concurrency: 128, Logger: slog.New(slog.DiscardHandler)}
	for way, api := range map[string]http.Handler{"plan": graph.NewHandler(cfg), "resolvers": graph.NewEngineHandler(cfg)} {
		b.Run(way, func(b *testing.B) {
			body, err := json.Marshal(map[string]any{"query": query})
			if err != nil {
				b.Fatal(err)
			}
			b.ReportAllocs()
			for b.Loop() {
				r := httptest.NewRequestWithContext(b.Context(), http.MethodPost, "/query", strings.NewReader(string(body)))
				r.Header.Set("Content-Type", "application/json")
				r.Header.Set("Accept", "application/json")
				w := httptest.NewRecorder()
				api.ServeHTTP(w, r)
				if w.Code != http.StatusOK || strings.HasPrefix(w.Body.String(), `{"errors"`) {
					b.Fatal(w.Code, w.Body)
				}
			}
		})
	}
}
