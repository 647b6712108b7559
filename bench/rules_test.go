package main

import (
	"log/slog"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"rollcall/access"
	"rollcall/bench/population"
	"rollcall/database/databasetest"
	"rollcall/graph"
)

// ruled is who reads telephone numbers. In a directory of 111,111 users, each of whom has ten reports, user 1 is above all others, user 2 above 11,111 and user
// 12 above 1,111.
var ruled = []struct {
	name   string
	viewer *access.Viewer
}{
	{"program", nil},
	{"editor", &access.Viewer{Subject: "token:1", Role: access.RoleEditor}},
	{"viewer", &access.Viewer{Subject: "anonymous", Role: access.RoleViewer}},
	{"user", &access.Viewer{Subject: "user:111111", UserID: 111_111, Role: access.RoleViewer}},
	{"above1k", &access.Viewer{Subject: "user:12", UserID: 12, Role: access.RoleViewer}},
	{"above11k", &access.Viewer{Subject: "user:2", UserID: 2, Role: access.RoleViewer}},
	{"above111k", &access.Viewer{Subject: "user:1", UserID: 1, Role: access.RoleViewer}},
}

// BenchmarkRules measures what the rule at User.phone costs a page of 50 users. Viewers take turns, so that each has the same share of what else the machine
// does; reported are how many times as long as the program's own query theirs takes, by medians.
func BenchmarkRules(b *testing.B) {
	kinds := databasetest.Kinds(b)
	if testing.Short() { // the large directory takes minutes on each server
		kinds = kinds[:1]
	}
	for _, kind := range kinds {
		b.Run(kind, func(b *testing.B) {
			db := databasetest.New(b, kind)
			if err := (population.Size{Users: 111_111, Teams: 1_000}).Load(b.Context(), db, b.Logf); err != nil {
				b.Fatal(err)
			}
			api := graph.NewHandler(graph.Config{Database: db, MaxPage: 100, Logger: slog.New(slog.DiscardHandler)})
			for name, query := range map[string]string{
				"list":   `{ users(first: 50, orderBy: {field: NAME}) { nodes { id name phone } } }`,
				"one":    `{ user(id: "User:111111") { id name phone } }`,
				"nested": `{ teams(first: 50) { nodes { members(first: 10) { nodes { id name phone } } } } }`,
			} {
				b.Run(name, func(b *testing.B) {
					took := make([][]time.Duration, len(ruled))
					for turn := 0; b.Loop(); turn++ {
						for i := range ruled {
							i = (i + turn) % len(ruled) // lest one always follows the same
							took[i] = append(took[i], asked(b, api, ruled[i].viewer, query))
						}
					}
					median := func(all []time.Duration) float64 {
						slices.Sort(all)
						return float64(all[len(all)/2])
					}
					b.ReportMetric(median(took[0])/1e6, "ms/program")
					for i, r := range ruled[1:] {
						b.ReportMetric(median(took[i+1])/median(took[0]), "x/"+r.name)
					}
				})
			}
		})
	}
}

// asked returns how long a query takes as a viewer.
func asked(b *testing.B, api *graph.API, viewer *access.Viewer, query string) time.Duration {
	b.Helper()
	body := strings.NewReader(`{"query": "` + strings.ReplaceAll(query, `"`, `\"`) + `"}`)
	r := httptest.NewRequestWithContext(access.WithViewer(b.Context(), viewer), "POST", "/graphql", body)
	r.Header.Set("Content-Type", "application/json")
	w := httptest.NewRecorder()
	began := time.Now()
	api.ServeHTTP(w, r)
	took := time.Since(began)
	if strings.Contains(w.Body.String(), `"errors"`) {
		b.Fatal(w.Body)
	}
	return took
}
