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
	"sync"
	"testing"
	"time"

	"rollcall/access"
	"rollcall/apierror"
	"rollcall/database"
	"rollcall/database/databasetest"
	"rollcall/graph"
	"rollcall/idempotency"
)

// viewed serves the API to viewers: a request's header Viewer has the subject, and Scopes the scopes. Without it there is none.
func viewed(t *testing.T, refused func(ctx context.Context, operation string, code apierror.Code, reason string)) (url string, db *database.Database) {
	t.Helper()
	db = databasetest.New(t, "sqlite")
	api := graph.NewHandler(graph.Config{
		Database: db, MaxPage: 100, MaxBatch: 10, Deadline: time.Minute, Logger: slog.New(slog.DiscardHandler), Refused: refused,
		Keys: &idempotency.Keys{Viewer: access.IdentityOf},
		Viewer: func(next http.Handler) http.Handler {
			return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if subject := r.Header.Get("Viewer"); subject != "" {
					v := &access.Viewer{Subject: subject, Role: access.RoleAdmin}
					if scopes, bounded := r.Header["Scopes"]; bounded {
						v.Scopes = strings.Fields(scopes[0])
					}
					r = r.WithContext(access.WithViewer(r.Context(), v))
				}
				next.ServeHTTP(w, r)
			})
		},
	})
	server := httptest.NewServer(api)
	t.Cleanup(server.Close)
	return server.URL, db
}

// ask sends a request; headers are name, value, name, value.
func ask(t *testing.T, method, url, body string, headers ...string) (*http.Response, string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second) // a subscription that is let in would go on
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	for i := 0; i < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res, string(text)
}

const (
	reading  = `query Reads { users { totalCount } }`
	writing  = `mutation Writes { createUser(input: {name: "A", email: "a@example.com"}) { user { id } } }`
	watching = `subscription Watches { userChanged { kind } }`
	standard = "application/graphql-response+json"
)

func quoted(query string) string {
	text, _ := json.Marshal(map[string]string{"query": query})
	return string(text)
}

func TestAnOperationNeedsTheScopeOfItsKind(t *testing.T) {
	var mu sync.Mutex
	var told []string
	url, db := viewed(t, func(ctx context.Context, operation string, code apierror.Code, reason string) {
		mu.Lock()
		defer mu.Unlock()
		told = append(told, fmt.Sprint(access.ViewerOf(ctx).Subject, " ", operation, " ", code, " ", reason))
	})
	for _, test := range []struct{ query, scopes, lacking string }{
		{reading, "read", ""},
		{reading, "write scim metrics", "a query needs the scope read"},
		{reading, "", "a query needs the scope read"},
		{watching, "write", "a subscription needs the scope read"},
		{writing, "read", "a mutation needs the scope write"},
		{writing, "write", ""},
	} {
		told = nil
		res, text := ask(t, http.MethodPost, url, quoted(test.query), "Viewer", "token:7", "Scopes", test.scopes, "Accept", standard+", text/event-stream;q=0.5")
		if test.lacking == "" {
			if res.StatusCode != http.StatusOK || len(told) != 0 {
				t.Errorf("%s with %q: %d %s", test.query, test.scopes, res.StatusCode, text)
			}
			continue
		}
		name := strings.Fields(test.query)[1]
		if res.StatusCode != http.StatusForbidden || !strings.Contains(text, `"code":"FORBIDDEN"`) || !strings.Contains(text, test.lacking) || strings.Contains(text, `"data"`) {
			t.Errorf("%s with %q: %d %s", test.query, test.scopes, res.StatusCode, text)
		}
		if len(told) != 1 || !strings.HasPrefix(told[0], "token:7 "+name+" FORBIDDEN "+test.lacking) {
			t.Errorf("%s with %q: told of %q", test.query, test.scopes, told)
		}
	}
	var users int
	if err := db.Side.QueryRowContext(t.Context(), "SELECT COUNT(*) FROM users").Scan(&users); err != nil || users != 1 {
		t.Errorf("there are %d users, %v", users, err)
	}

	array := "[" + quoted(reading) + "," + quoted(writing) + "," + quoted(reading) + "]"
	_, text := ask(t, http.MethodPost, url, array, "Viewer", "token:7", "Scopes", "write")
	if strings.Count(text, `"code":"FORBIDDEN"`) != 2 || strings.Count(text, `"code":"CONFLICT"`) != 1 { // the email is taken
		t.Errorf("an array: %s", text)
	}
	if res, text := ask(t, http.MethodHead, url+"?query={users{totalCount}}", "", "Viewer", "token:7", "Scopes", "write", "Accept", standard); res.StatusCode != http.StatusForbidden {
		t.Errorf("HEAD: %d %s", res.StatusCode, text)
	}
}

// TestAnOperationWithoutAViewerIsRefusedWhereThereAreViewers whatever has forgotten to ask.
func TestAnOperationWithoutAViewerIsRefusedWhereThereAreViewers(t *testing.T) {
	url, _ := viewed(t, nil)
	for _, query := range []string{reading, writing, watching, `{ __typename }`, `{ __schema { queryType { name } } }`} {
		res, text := ask(t, http.MethodPost, url, quoted(query), "Accept", standard+", text/event-stream;q=0.5")
		if res.StatusCode != http.StatusUnauthorized || !strings.Contains(text, `"code":"UNAUTHENTICATED"`) || strings.Contains(text, `"data"`) {
			t.Errorf("%s: %d %s", query, res.StatusCode, text)
		}
	}
}
