package graph_test

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/99designs/gqlgen/graphql"

	"rollcall/database/databasetest"
	"rollcall/directory/directorytest"
	"rollcall/graph"
	"rollcall/graph/graphtest"
	operations "rollcall/operation"
	"rollcall/session"
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

// inProcess measures requests without a network, on SQLite: answered as a server does, with statements kept for a line of the log, with batches kept besides for a trace, and by resolvers alone.
func inProcess(b *testing.B, query string) {
	db := databasetest.Open(b, databasetest.With(b, "sqlite", directorytest.Demo))
	cfg := graph.Config{Database: db, Deadline: time.Minute, MaxPage: 100, Concurrency: 128, Logger: slog.New(slog.DiscardHandler)}
	kept := cfg
	kept.Trace = func(*graphql.OperationContext) *session.Trace { return &session.Trace{} }
	kept.Ended = func(context.Context, session.Operation, operations.Report, operations.Sent) {}
	traced := kept
	traced.TraceBatches = true
	for way, api := range map[string]http.Handler{"plan": graph.NewHandler(cfg), "kept": graph.NewHandler(kept), "traced": graph.NewHandler(traced), "resolvers": graph.NewEngineHandler(cfg)} {
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

// BenchmarkAnEventAtAnotherServer measures how long it takes from the answer to a mutation until a subscriber at another server, which the
// default poll alone wakes, has its event. Mutations come at random.
func BenchmarkAnEventAtAnotherServer(b *testing.B) {
	for _, kind := range databasetest.Kinds(b) {
		b.Run(kind, func(b *testing.B) {
			d := newDirectory(b, databasetest.New(b, kind))
			id := d.create("Ada", "ada@example.com", nil)
			d.settle()
			s := d.beside().subscribe(`subscription { userChanged { userId user { name } } }`, nil)
			var took []time.Duration
			for b.Loop() {
				time.Sleep(rand.N(100 * time.Millisecond))
				d.must(renameUser, "id", id, "name", fmt.Sprint("Ada ", len(took)))
				began := time.Now()
				if s.next() == "" {
					b.Fatal("no event")
				}
				took = append(took, time.Since(began))
			}
			s.cancel()
			slices.Sort(took)
			b.ReportMetric(float64(took[len(took)/2].Microseconds())/1000, "ms-median")
			b.ReportMetric(float64(took[len(took)*95/100].Microseconds())/1000, "ms-p95")
			b.ReportMetric(0, "ns/op")
		})
	}
}
