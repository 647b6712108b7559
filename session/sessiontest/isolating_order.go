package sessiontest

import (
	"context"
	"database/sql"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/99designs/gqlgen/graphql"
	"github.com/99designs/gqlgen/graphql/handler"
	"github.com/99designs/gqlgen/graphql/handler/extension"
	"gorm.io/gorm"

	"rollcall/schematest"
	"rollcall/schematest/generated"
	"rollcall/session"
)

// panicOf returns what fn panics with, or "".
func panicOf(fn func()) (text string) {
	defer func() {
		if p := recover(); p != nil {
			text = fmt.Sprint(p)
		}
	}()
	fn()
	return ""
}

// outer is an operation interceptor; as a type of its own it has a name to be told.
type outer struct {
	graphql.HandlerExtension
	graphql.OperationInterceptor
}

func (outer) Validate(graphql.ExecutableSchema) error { return nil }

func innermost(t *testing.T, backend Backend) {
	pools := backend.Open(t, Options{})
	operations := func(srv *handler.Server) {
		srv.AroundOperations(func(ctx context.Context, next graphql.OperationHandler) graphql.ResponseHandler { return next(ctx) })
	}
	install := func(srv *handler.Server) {
		srv.Use(session.Extension{DB: pools.DB, Reads: pools.Reads, Side: pools.Side})
	}
	for name, test := range map[string]struct {
		use  []func(*handler.Server)
		says string
	}{
		"none":       {nil, "install the session.Extension with srv.Use"},
		"alone":      {[]func(*handler.Server){install}, ""},
		"after one":  {[]func(*handler.Server){operations, install}, ""},
		"before one": {[]func(*handler.Server){install, operations}, "aroundOpFunc is installed after the session.Extension"},
		"before outer": {
			[]func(*handler.Server){operations, install, func(srv *handler.Server) { srv.Use(outer{}) }},
			"sessiontest.outer is installed after the session.Extension",
		},
		"before others that run within it": {[]func(*handler.Server){install, func(srv *handler.Server) {
			srv.AroundFields(func(ctx context.Context, next graphql.Resolver) (any, error) { return next(ctx) })
			srv.AroundResponses(func(ctx context.Context, next graphql.ResponseHandler) *graphql.Response { return next(ctx) })
			srv.Use(extension.Introspection{})
		}}, ""},
		"twice":        {[]func(*handler.Server){install, install}, "the session.Extension is installed 2 times"},
		"by a pointer": {[]func(*handler.Server){func(srv *handler.Server) { srv.Use(&session.Extension{DB: pools.DB}) }}, ""},
	} {
		srv := handler.New(generated.NewExecutableSchema(generated.Config{}))
		for _, use := range test.use {
			use(srv)
		}
		said := panicOf(func() { session.Handler(srv) })
		if (said == "") != (test.says == "") || !strings.Contains(said, test.says) {
			t.Errorf("%s: session.Handler says %q, want %q", name, said, test.says)
		}
	}
}

func validates(t *testing.T, backend Backend) {
	pools := backend.Open(t, Options{})
	prepares := preparing(pools.DB)
	begins := pools.DB.Session(&gorm.Session{})
	begins.SkipDefaultTransaction = false
	for name, test := range map[string]struct {
		extension session.Extension
		says      string
	}{
		"what works":                  {session.Extension{DB: pools.DB}, ""},
		"no pool":                     {session.Extension{}, "Extension.DB is nil"},
		"only a pool for reads":       {session.Extension{Reads: pools.Reads}, "Extension.DB is nil"},
		"prepared statements":         {session.Extension{DB: prepares}, "PrepareStmt"},
		"prepared statements, reads":  {session.Extension{DB: pools.DB, Reads: prepares}, "PrepareStmt"},
		"default transactions":        {session.Extension{DB: begins}, "SkipDefaultTransaction"},
		"default transactions, reads": {session.Extension{DB: pools.DB, Reads: begins}, "SkipDefaultTransaction"},
		"a proof without a pool":      {session.Extension{DB: pools.DB, Proof: &session.Proof{}}, "Proof.DB is nil"},
	} {
		srv := handler.New(generated.NewExecutableSchema(generated.Config{}))
		said := panicOf(func() { srv.Use(test.extension) })
		if (said == "") != (test.says == "") || !strings.Contains(said, test.says) {
			t.Errorf("%s: srv.Use says %q, want %q", name, said, test.says)
		}
	}
}

// transientFailure makes a statement of the server's own fail as though another transaction stood in its way, and
// returns what ends that. On SQLite one does, and it is the next statement that fails.
func (b *Bank) transientFailure() (fail func(db *gorm.DB) error, end func()) {
	b.tb.Helper()
	switch b.Dialect {
	case "mysql":
		return func(db *gorm.DB) error {
			return db.Exec("SIGNAL SQLSTATE '40001' SET MYSQL_ERRNO = 1213, MESSAGE_TEXT = 'on purpose'").Error
		}, func() {}
	case "postgres":
		return func(db *gorm.DB) error {
			return db.Exec("DO 'BEGIN RAISE EXCEPTION USING ERRCODE = ''40001''; END'").Error
		}, func() {}
	}
	b.Exec("PRAGMA busy_timeout = 0")
	tx, err := b.Side.BeginTx(b.tb.Context(), &sql.TxOptions{})
	if err != nil {
		b.tb.Fatal(err)
	}
	return func(db *gorm.DB) error { return db.Find(&[]schematest.Counter{}).Error }, func() { _ = tx.Rollback() }
}

type passKey struct{}

func survivesRetry(t *testing.T, backend Backend) {
	const failures = 3
	var mu sync.Mutex
	var around, bound int
	b := NewBank(t, backend, Setup{
		Server: func(srv *handler.Server) {
			srv.AroundOperations(func(ctx context.Context, next graphql.OperationHandler) graphql.ResponseHandler {
				mu.Lock()
				defer mu.Unlock()
				around++
				return next(context.WithValue(ctx, passKey{}, fmt.Sprint("pass ", around)))
			})
		},
		Extension: func(e *session.Extension) {
			bind := e.Bind
			e.Bind = func(ctx context.Context) context.Context {
				mu.Lock()
				defer mu.Unlock()
				bound++
				return bind(context.WithValue(ctx, passKey{}, fmt.Sprint(ctx.Value(passKey{}), ", binding ", bound)))
			}
		},
	})
	fail, end := b.transientFailure()
	var seen []string
	b.Step("try", func(ctx context.Context) (int, error) {
		seen = append(seen, fmt.Sprint(ctx.Value(passKey{})))
		if len(seen) <= failures {
			return 0, fail(session.DB(ctx))
		}
		end()
		return len(seen), Add(session.DB(ctx), "counters", "value", 1, 1)
	})
	a := b.Must(`mutation { run(step: "try") { value } }`)
	if got := a.value("run"); got != float64(failures+1) {
		t.Errorf("it succeeded at attempt %v", got)
	}
	if around != 1 || bound != failures+1 {
		t.Errorf("the interceptor ran %d times, the binding %d times", around, bound)
	}
	want := []string{"pass 1, binding 1", "pass 1, binding 2", "pass 1, binding 3", "pass 1, binding 4"}
	if !slices.Equal(seen, want) {
		t.Errorf("the attempts saw %q, want %q", seen, want)
	}
	if got := b.Counter(1); got != 1 {
		t.Errorf("the counter is %d", got)
	}
}
