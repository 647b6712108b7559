package main

import (
	"context"
	"io"
	"net/http"
	"strings"
	"testing"

	"rollcall/database"
	"rollcall/database/databasetest"
	"rollcall/transport"
)

func TestAKeyOutlivesTheServerUntilItIsSwept(t *testing.T) {
	t.Parallel()
	databasetest.EachKind(t, func(t *testing.T, kind string) {
		url := databasetest.URL(t, kind)
		send := func(s *server) (text string, header http.Header) {
			body := request(`mutation { createUser(input: {name: "Ada", email: "ada@example.com"}) { user { id createdAt } } }`)
			req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.base+"/query", strings.NewReader(body))
			if err != nil {
				t.Fatal(err)
			}
			req.Header.Set("Content-Type", "application/json")
			req.Header.Set("Idempotency-Key", "one")
			res, err := http.DefaultClient.Do(req) // which takes the answer compressed
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = res.Body.Close() }()
			raw, err := io.ReadAll(res.Body)
			if err != nil {
				t.Fatal(err)
			}
			return string(raw), res.Header
		}
		first := start(t, "--database", url, "--migrate")
		answer, header := send(first)
		if strings.Contains(answer, "errors") || header.Get("Idempotent-Replayed") != "" {
			t.Fatalf("got %s, %v", answer, header)
		}
		first.stop()

		db := databasetest.Open(t, url)
		insert := "INSERT INTO idempotency_keys (id, fingerprint, operation_id, stored_at) VALUES ('old', 'f', 'o', 0)"
		if err := db.Write.Exec(insert).Error; err != nil {
			t.Fatal(err)
		}
		second := start(t, "--database", url)
		again, replayed := send(second)
		if again != answer || replayed.Get("Idempotent-Replayed") != "true" ||
			replayed.Get(transport.HeaderOperationID) != header.Get(transport.HeaderOperationID) {
			t.Errorf("want %s, %v, got %s, %v", answer, header, again, replayed)
		}
		eventually(t, "the old key is swept, and that one alone", func() bool { return keys(t, db) == 1 })
		second.stop()
	})
}

// keys returns how many keys are stored.
func keys(tb testing.TB, db *database.Database) (n int) {
	tb.Helper()
	if err := db.Side.QueryRowContext(context.Background(), "SELECT COUNT(*) FROM idempotency_keys").Scan(&n); err != nil {
		tb.Fatal(err)
	}
	return n
}
