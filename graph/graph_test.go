package graph_test

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"rollcall/database"
	"rollcall/database/databasetest"
	"rollcall/directory/directorytest"
	"rollcall/graph"
	"rollcall/idempotency"
	"rollcall/session"
)

func TestMain(m *testing.M) { databasetest.Templates{M: m}.Run() }

// directory is the API on one database, over real HTTP.
type directory struct {
	server               // the first
	others  []*server    // see turns_test.go
	apis    []*graph.API // of all servers
	handler http.Handler // what is served at url

	bookmark time.Duration
	tb       testing.TB
	url      string
	api      *graph.API // that of the first server
	sql      *databasetest.Statements
	log      *bytes.Buffer
	logger   *slog.Logger // writes to log
}

// onEveryDatabase runs fn with the API over an empty directory, on all databases at once, and beside other tests: most of the time a test waits for its server.
func onEveryDatabase(t *testing.T, fn func(t *testing.T, d *directory)) {
	t.Parallel()
	databasetest.EachKind(t, func(t *testing.T, kind string) {
		t.Parallel() // before it has a database, of which there are few then
		fn(t, newDirectory(t, databasetest.New(t, kind)))
	})
}

// onDemoData is onEveryDatabase over the demo data.
func onDemoData(t *testing.T, fn func(t *testing.T, d *directory)) {
	t.Parallel()
	databasetest.EachKind(t, func(t *testing.T, kind string) {
		t.Parallel()
		fn(t, newDirectory(t, databasetest.Open(t, databasetest.With(t, kind, directorytest.Demo))))
	})
}

func newDirectory(tb testing.TB, db *database.Database) *directory {
	d := &directory{tb: tb, sql: &databasetest.Statements{}, log: &bytes.Buffer{}}
	d.logger = logTo(d.log)
	d.server = newServer(db, d.logger)
	for range number(tb, servers, 1) - 1 {
		other := newServer(databasetest.Again(tb, db), d.logger)
		d.others = append(d.others, &other)
	}
	d.logStatements(d.sql)
	tb.Cleanup(func() {
		if err := d.settleAll(context.Background()); err != nil {
			tb.Error(err)
		}
	})
	d.maxPage(100)
	return d
}

// maxPage serves the API anew, with pages of at most n items.
func (d *directory) maxPage(n int) {
	d.serve(func(s *server) graph.Config {
		return graph.Config{
			Database: s.db,
			Proof:    proof(s.db),
			Keys:     &idempotency.Keys{},
			Log:      s.changes,
			Follower: s.follower,
			Bookmark: d.bookmark,
			Deadline: time.Minute,
			MaxPage:  n,
			Logger:   d.logger,
		}
	})
}

// proof is the proof of commits that a server has by default.
func proof(db *database.Database) *session.Proof {
	if db.Dialect().Name() == "sqlite" {
		return nil
	}
	return &session.Proof{DB: db.Side, Dialect: db.Dialect()}
}

// number is what an environment variable says of how much a test is to do, or else what it does by itself.
func number(tb testing.TB, variable string, otherwise int) int {
	tb.Helper()
	text := os.Getenv(variable)
	if text == "" {
		return otherwise
	}
	n, err := strconv.Atoi(text)
	if err != nil {
		tb.Fatalf("%s: %v", variable, err)
	}
	return n
}

func logTo(w io.Writer) *slog.Logger { return slog.New(slog.NewTextHandler(&lockedWriter{w: w}, nil)) }

type lockedWriter struct {
	mu sync.Mutex
	w  io.Writer
}

func (l *lockedWriter) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.w.Write(p)
}

// answer is a GraphQL response.
type answer struct {
	Data   map[string]any
	Errors []struct {
		Message    string
		Path       []any
		Extensions map[string]any
	}
	raw string
}

// code returns the code of the only error.
func (a answer) code(tb testing.TB) string {
	tb.Helper()
	if len(a.Errors) != 1 {
		tb.Fatalf("want one error, got %s", a.raw)
	}
	code, _ := a.Errors[0].Extensions["code"].(string)
	return code
}

// at follows a path such as "users.nodes.0.name".
func (a answer) at(tb testing.TB, path string) any {
	tb.Helper()
	var v any = a.Data
	for key := range strings.SplitSeq(path, ".") {
		switch in := v.(type) {
		case map[string]any:
			v = in[key]
		case []any:
			i, err := strconv.Atoi(key)
			if err != nil || i < 0 || i >= len(in) {
				tb.Fatalf("no %s at %s in %s", key, path, a.raw)
			}
			v = in[i]
		default:
			tb.Fatalf("no %s at %s in %s", key, path, a.raw)
		}
	}
	return v
}

// send runs an operation; variables are name, value, name, value.
func (d *directory) send(query string, variables ...any) answer {
	d.tb.Helper()
	vars := map[string]any{}
	for i := 0; i < len(variables); i += 2 {
		vars[variables[i].(string)] = variables[i+1]
	}
	body, err := json.Marshal(map[string]any{"query": query, "variables": vars})
	if err != nil {
		d.tb.Fatal(err)
	}
	res, err := http.Post(d.url, "application/json", bytes.NewReader(body))
	if err != nil {
		d.tb.Error(err)
		return answer{}
	}
	defer func() { _ = res.Body.Close() }()
	raw, err := io.ReadAll(res.Body)
	if err != nil {
		d.tb.Error(err)
	}
	a := answer{raw: string(raw)}
	if err := json.Unmarshal(raw, &a); err != nil {
		d.tb.Errorf("not JSON: %s", raw)
	}
	return a
}

// must is send for an operation that has to succeed.
func (d *directory) must(query string, variables ...any) answer {
	d.tb.Helper()
	a := d.send(query, variables...)
	if len(a.Errors) > 0 {
		d.tb.Fatalf("want no errors, got %s", a.raw)
	}
	return a
}

// create adds a user and returns its id.
func (d *directory) create(name, email string, manager any) string {
	d.tb.Helper()
	a := d.must(`mutation($input: CreateUserInput!) { createUser(input: $input) { user { id } } }`,
		"input", map[string]any{"name": name, "email": email, "managerId": manager})
	return a.at(d.tb, "createUser.user.id").(string)
}

// withoutLog leaves out those of the statements that write the log of changes: the last one, and on SQLite the clock's before it.
func (d *directory) withoutLog(statements []string) []string {
	n := len(statements)
	if n == 0 || !strings.HasPrefix(statements[n-1], "INSERT INTO changes ") {
		return statements
	}
	if n--; d.db.Dialect().Embedded() && n > 0 && strings.HasPrefix(statements[n-1], "UPDATE changes_clock ") {
		n--
	}
	return statements[:n]
}

// wantStatements fails unless fn issues exactly n statements, besides those that write the log.
func (d *directory) wantStatements(t *testing.T, n int, fn func()) {
	t.Helper()
	before := d.fallbacks()
	defer func() {
		if n := d.fallbacks() - before; n != 0 {
			t.Errorf("%d batches were not enqueued", n)
		}
	}()
	if got := d.withoutLog(d.sql.During(fn)); len(got) != n {
		for i, sql := range got {
			got[i] = sql[:min(len(sql), 200)]
		}
		t.Errorf("want %d statements, got %d:\n%s", n, len(got), strings.Join(got, "\n"))
	}
}
