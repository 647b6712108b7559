package session_test

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/99designs/gqlgen/graphql/handler"
	"github.com/99designs/gqlgen/graphql/handler/lru"
	"github.com/99designs/gqlgen/graphql/handler/transport"
	"github.com/vektah/gqlparser/v2/ast"
	"gorm.io/driver/mysql"
	"gorm.io/gorm"
	"gorm.io/gorm/logger"

	"rollcall/operation"
	"rollcall/schematest"
	"rollcall/schematest/generated"
	"rollcall/session"
)

// BenchmarkSession compares operations in a session with the same ones on a plain *gorm.DB, over HTTP handlers and a
// driver that does nothing. The difference is what the session adds: GORM's and gqlgen's own costs are in both.
func BenchmarkSession(b *testing.B) {
	plain := func(ctx context.Context, db *gorm.DB) *gorm.DB { return db.WithContext(ctx) }
	within := func(ctx context.Context, _ *gorm.DB) *gorm.DB { return session.DB(ctx) }
	const read, write = `account(id: 1) { balance }`, `mutation { increment(id: 1) { id } }`
	for _, bm := range []struct {
		name, query string
		plain       benchResolver
	}{
		{"NoUse", `{ counter(id: 1) { id } }`, benchResolver{db: plain}},
		{"OneRead", `{ ` + read + ` }`, benchResolver{db: plain}},
		{"TwoReads", `{ a: ` + read + ` b: ` + read + ` }`, benchResolver{db: plain}},
		{"OneReadSnapshot", `query @snapshot { ` + read + ` }`, benchResolver{db: plain, begins: true}},
		{"OneWrite", write, benchResolver{db: plain, begins: true}},
	} {
		b.Run(bm.name+"/plain", func(b *testing.B) {
			bm.plain.pool = idlePool(b)
			operate(b, bankServer(bm.plain), bm.query)
		})
		b.Run(bm.name+"/session", func(b *testing.B) {
			pool := idlePool(b)
			srv := bankServer(benchResolver{db: within})
			operate(b, operation.Handler(srv, operation.Extension{Pools: session.Pools{Write: pool, Deadline: 10 * time.Second}}), bm.query)
		})
	}
}

func bankServer(r benchResolver) *handler.Server {
	srv := handler.New(generated.NewExecutableSchema(generated.Config{Resolvers: r}))
	srv.AddTransport(transport.POST{})
	srv.SetQueryCache(lru.New[*ast.QueryDocument](10))
	return srv
}

// operate sends the same operation again and again.
func operate(b *testing.B, h http.Handler, query string) {
	b.Helper()
	body := `{"query": "` + query + `"}`
	send := func() *httptest.ResponseRecorder {
		// As a server has it: a context that can be cancelled.
		ctx, cancel := context.WithCancel(b.Context())
		defer cancel()
		req := httptest.NewRequestWithContext(ctx, http.MethodPost, "/", strings.NewReader(body))
		req.Header.Set("Content-Type", "application/json")
		w := httptest.NewRecorder()
		h.ServeHTTP(w, req)
		return w
	}
	if w := send(); w.Code != http.StatusOK || strings.Contains(w.Body.String(), "errors") {
		b.Fatal(w.Body.String())
	}
	b.ReportAllocs()
	for b.Loop() {
		send()
	}
}

// benchResolver resolves what the benchmarks ask for, in a session or without.
type benchResolver struct {
	generated.ResolverRoot
	pool   *gorm.DB
	db     func(ctx context.Context, pool *gorm.DB) *gorm.DB
	begins bool // a transaction of its own
}

type (
	benchQuery struct {
		generated.QueryResolver
		benchResolver
	}
	benchMutation struct {
		generated.MutationResolver
		benchResolver
	}
)

func (r benchResolver) Query() generated.QueryResolver       { return benchQuery{benchResolver: r} }
func (r benchResolver) Mutation() generated.MutationResolver { return benchMutation{benchResolver: r} }

func (r benchResolver) run(ctx context.Context, statement func(db *gorm.DB) error) error {
	db := r.db(ctx, r.pool)
	if r.begins {
		return db.Transaction(statement)
	}
	return statement(db)
}

func (benchQuery) Counter(_ context.Context, id int) (*schematest.Counter, error) {
	return &schematest.Counter{ID: id}, nil
}

func (r benchQuery) Account(ctx context.Context, id int) (*schematest.Account, error) {
	account := &schematest.Account{}
	return account, r.run(ctx, func(db *gorm.DB) error { return db.Take(account, id).Error })
}

func (r benchMutation) Increment(ctx context.Context, id, by int) (*schematest.Counter, error) {
	return &schematest.Counter{ID: id}, r.run(ctx, func(db *gorm.DB) error {
		return db.Exec("UPDATE counters SET value = value + ? WHERE id = ?", by, id).Error
	})
}

// idlePool opens GORM over a driver that answers every query with the row (1, 1000).
func idlePool(tb testing.TB) *gorm.DB {
	tb.Helper()
	return poolOf(tb, idleDriver{})
}

// poolOf opens GORM over a connector.
func poolOf(tb testing.TB, connector driver.Connector) *gorm.DB {
	tb.Helper()
	pool := sql.OpenDB(connector)
	tb.Cleanup(func() { _ = pool.Close() })
	db, err := gorm.Open(mysql.New(mysql.Config{Conn: pool, SkipInitializeWithVersion: true}),
		&gorm.Config{SkipDefaultTransaction: true, DisableAutomaticPing: true, Logger: logger.Discard})
	if err != nil {
		tb.Fatal(err)
	}
	return db
}

type (
	idleDriver struct{} // and its connections and transactions
	idleRows   struct {
		columns []string
		read    bool
	}
)

func (d idleDriver) Connect(context.Context) (driver.Conn, error)                 { return &d, nil }
func (d idleDriver) Driver() driver.Driver                                        { return nil }
func (d idleDriver) Prepare(string) (driver.Stmt, error)                          { return nil, driver.ErrSkip }
func (d idleDriver) Close() error                                                 { return nil }
func (d idleDriver) Begin() (driver.Tx, error)                                    { return d, nil }
func (d idleDriver) BeginTx(context.Context, driver.TxOptions) (driver.Tx, error) { return d, nil }
func (d idleDriver) Commit() error                                                { return nil }
func (d idleDriver) Rollback() error                                              { return nil }

func (d idleDriver) ExecContext(context.Context, string, []driver.NamedValue) (driver.Result, error) {
	return driver.RowsAffected(1), nil
}

func (d idleDriver) QueryContext(_ context.Context, query string, _ []driver.NamedValue) (driver.Rows, error) {
	if strings.Contains(query, "CONNECTION_ID") {
		return &idleRows{columns: []string{"kill"}}, nil
	}
	return &idleRows{columns: []string{"id", "balance"}}, nil
}

func (r *idleRows) Columns() []string { return r.columns }
func (r *idleRows) Close() error      { return nil }

func (r *idleRows) Next(row []driver.Value) error {
	if r.read {
		return io.EOF
	}
	r.read = true
	for i, v := range []int64{1, 1000}[:len(row)] {
		row[i] = v
	}
	return nil
}
