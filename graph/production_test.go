package graph_test

import (
	"bytes"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"rollcall/database/databasetest"
	"rollcall/directory/directorytest"
	"rollcall/graph"
	"rollcall/limit"
)

// serve serves the API over the demo data in SQLite.
func serve(t *testing.T, change func(*graph.Config)) string {
	t.Helper()
	db := databasetest.Open(t, databasetest.With(t, "sqlite", directorytest.Demo))
	cfg := graph.Config{Database: db, Deadline: time.Minute, MaxPage: 100, MaxBatch: 50, Logger: slog.New(slog.DiscardHandler)}
	change(&cfg)
	server := httptest.NewServer(graph.NewHandler(cfg))
	t.Cleanup(server.Close)
	return server.URL
}

// sent posts a body and returns the answer's text.
func sent(t *testing.T, url string, body any) string {
	t.Helper()
	text, err := json.Marshal(body)
	if err != nil {
		t.Fatal(err)
	}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url, bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	answer, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(answer)
}

func TestProductionAnswersNoIntrospectionAndSuggestsNothing(t *testing.T) {
	for _, production := range []bool{false, true} {
		url := serve(t, func(cfg *graph.Config) { cfg.Production = production })
		for what, query := range map[string]string{
			"a field":         `{ usrs { totalCount } }`,
			"an argument":     `{ users(frst: 1) { totalCount } }`,
			"an input field":  `mutation { createUser(input: {nam: "x", email: "a@b.c"}) { user { id } } }`,
			"a type":          `{ node(id: "User:1") { ... on Usr { id } } }`,
			"a variable type": `query ($n: Itn) { users(first: $n) { totalCount } }`,
			"a directive":     `{ users @skp(if: true) { totalCount } }`,
			"a variable":      `query ($first: Int) { users(first: $frst) { totalCount } }`,
			"an enum value":   `{ __type(name: "User") { fields(includeDeprecated: treu) { name } } }`,
			"a fragment":      `{ ...Usrs } fragment Users on Query { users { totalCount } }`,
			"a selection":     `{ users }`,
		} {
			answer := sent(t, url, map[string]string{"query": query})
			if !strings.Contains(answer, "GRAPHQL_VALIDATION_FAILED") {
				t.Errorf("%s: got %s", what, answer)
			}
			if production && strings.Contains(answer, "id you mean") {
				t.Errorf("%s is suggested: %s", what, answer)
			}
		}
		suggests := strings.Contains(sent(t, url, map[string]string{"query": `{ usrs { totalCount } }`}), "Did you mean")
		if suggests == production {
			t.Errorf("production %t: suggestions %t", production, suggests)
		}
		for _, query := range []string{`{ __schema { queryType { name } } }`, `{ __type(name: "Query") { name } }`, `{ ...F } fragment F on Query { ... { a: __type(name: "Query") { name } } }`} {
			answer := sent(t, url, map[string]string{"query": query})
			introspects, refused := strings.Contains(answer, `"Query"`), strings.Contains(answer, `"GRAPHQL_VALIDATION_FAILED"`)
			if introspects == production || refused != production {
				t.Errorf("production %t: %s", production, answer)
			}
		}
		if answer := sent(t, url, map[string]string{"query": `{ __typename }`}); !strings.Contains(answer, `"Query"`) {
			t.Errorf("got %s", answer)
		}
	}
}

func TestTheOperationsOfAnArrayCostTogetherNoMoreThanOneMay(t *testing.T) {
	url := serve(t, func(cfg *graph.Config) { cfg.MaxCost = 30 })
	item := map[string]string{"query": `{ users(first: 10) { nodes { id } } }`} // 1 for the page, 1.1 for each user
	for n, refused := range map[int]bool{1: false, 2: false, 3: true} {
		array := make([]any, n)
		for i := range array {
			array[i] = item
		}
		answer := sent(t, url, array)
		if strings.Contains(answer, limit.CodeCost) != refused || strings.Contains(answer, `"User:1"`) == refused {
			t.Errorf("%d operations: %s", n, answer)
		}
	}
}

// A browser lets a page of another origin send such a POST without asking.
func TestAPostThatABrowserSendsUnaskedIsRefused(t *testing.T) {
	url := serve(t, func(*graph.Config) {})
	for _, contentType := range []string{"text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "text/plain; a=application/json", ""} {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url, strings.NewReader(`{"query": "mutation { deleteUser(input: {id: \"User:1000\"}) { deletedUserId } }"}`))
		if err != nil {
			t.Fatal(err)
		}
		if contentType != "" {
			req.Header.Set("Content-Type", contentType)
		}
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		_ = res.Body.Close()
		if res.StatusCode != http.StatusUnsupportedMediaType {
			t.Errorf("%q: got %d", contentType, res.StatusCode)
		}
	}
	if answer := sent(t, url, map[string]string{"query": `{ user(id: "User:1000") { id } }`}); !strings.Contains(answer, "User:1000") {
		t.Errorf("the user is gone: %s", answer)
	}
}
