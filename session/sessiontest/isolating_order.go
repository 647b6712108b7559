package sessiontest

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/99designs/gqlgen/graphql"
	"github.com/99designs/gqlgen/graphql/handler"
	"github.com/99designs/gqlgen/graphql/handler/extension"
	"github.com/99designs/gqlgen/graphql/handler/transport"
	"gorm.io/gorm"

	"rollcall/operation"
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

// outside counts the operations that come to an interceptor, and fails for those that have a session already.
type outside struct {
	tb     testing.TB
	passed *int
}

func (outside) ExtensionName() string                   { return "Outside" }
func (outside) Validate(graphql.ExecutableSchema) error { return nil }

func (o outside) InterceptOperation(ctx context.Context, next graphql.OperationHandler) graphql.ResponseHandler {
	if _, within := session.OperationFromContext(ctx); within {
		o.tb.Error("an interceptor runs within the session, so once more when the operation is run again")
	}
	*o.passed++
	return next(ctx)
}

func innermost(t *testing.T, backend Backend) {
	pools := backend.Open(t, Options{})
	var passed int
	by := func(srv *handler.Server) { srv.Use(outside{t, &passed}) }
	function := func(srv *handler.Server) { srv.AroundOperations(outside{t, &passed}.InterceptOperation) }
	within := func(srv *handler.Server) { // and should
		srv.AroundFields(func(ctx context.Context, next graphql.Resolver) (any, error) { return next(ctx) })
		srv.AroundResponses(func(ctx context.Context, next graphql.ResponseHandler) *graphql.Response { return next(ctx) })
		srv.Use(extension.Introspection{})
	}
	type uses = []func(*handler.Server)
	for name, test := range map[string]struct {
		before, after uses
		interceptors  int
	}{
		"alone":               {},
		"after one":           {uses{function}, nil, 1},
		"before one":          {nil, uses{function}, 1},
		"between two":         {uses{by}, uses{by}, 2},
		"before other things": {uses{within, by, function}, uses{by, within}, 3},
	} {
		passed = 0
		bound := 0
		srv := handler.New(generated.NewExecutableSchema(generated.Config{}))
		srv.AddTransport(transport.POST{})
		for _, use := range test.before {
			use(srv)
		}
		h := operation.Handler(srv, operation.Extension{
			Pools: session.Pools{Write: pools.DB, Read: pools.Reads},
			Bind:  func(ctx context.Context, _ []*graphql.OperationContext) context.Context { bound++; return ctx },
		})
		for _, use := range test.after {
			use(srv)
		}
		for n := range 2 {
			if answer := ask(t, h, `{ __typename }`); !strings.Contains(answer, `{"__typename":"Query"}`) || passed != (n+1)*test.interceptors || bound != n+1 {
				t.Errorf("%s: after %d operations %d have passed interceptors and %d a binding; the answer is %s", name, n+1, passed, bound, answer)
			}
		}
	}
}

// ask posts an operation to a handler.
func ask(tb testing.TB, h http.Handler, query string) string {
	tb.Helper()
	body, _ := json.Marshal(map[string]string{"query": query})
	req := httptest.NewRequestWithContext(tb.Context(), http.MethodPost, "/", bytes.NewReader(body))
	req.Header.Set("Content-Type", "application/json")
	w := httptest.NewRecorder()
	h.ServeHTTP(w, req)
	return w.Body.String()
}

// forgetful dispatches operations under a context of its own.
type forgetful struct{ transport.POST }

func (f forgetful) Do(w http.ResponseWriter, r *http.Request, exec graphql.GraphExecutor) {
	f.POST.Do(w, r.WithContext(graphql.StartOperationTrace(context.Background())), exec)
}

func misused(t *testing.T, backend Backend) {
	pools := backend.Open(t, Options{})
	var log SafeBuffer
	e := operation.Extension{Pools: session.Pools{Write: pools.DB, Logger: slog.New(slog.NewTextHandler(&log, nil))}}
	for want, misuse := range map[string]func(srv *handler.Server) http.Handler{
		"call operation.Handler once for a server": func(srv *handler.Server) http.Handler {
			srv.AddTransport(transport.POST{})
			ask(t, operation.Handler(srv, e), `{ __typename }`)
			return operation.Handler(srv, e)
		},
		"or one from operation.NewRequest": func(srv *handler.Server) http.Handler {
			srv.AddTransport(forgetful{})
			return operation.Handler(srv, e)
		},
		"no session in the context: call this within session.Run, or in a resolver of a server that operation.Handler serves": func(srv *handler.Server) http.Handler {
			srv.AddTransport(transport.POST{})
			return srv
		},
	} {
		srv := handler.New(generated.NewExecutableSchema(generated.Config{Resolvers: resolver{}}))
		srv.SetRecoverFunc(func(_ context.Context, p any) error { return fmt.Errorf("%v", p) })
		log.reset()
		answer := ask(t, misuse(srv), `{ accounts { id } }`)
		if !strings.Contains(answer, want) || strings.Contains(want, "operation.NewRequest") && !strings.Contains(log.String(), want) {
			t.Errorf("want %q, got %s; the log has %s", want, answer, &log)
		}
	}
}

func validates(t *testing.T, backend Backend) {
	pools := backend.Open(t, Options{})
	prepares := preparing(pools.DB)
	begins := pools.DB.Session(&gorm.Session{})
	begins.SkipDefaultTransaction = false
	for name, test := range map[string]struct {
		pools session.Pools
		says  string
	}{
		"what works":                  {session.Pools{Write: pools.DB}, ""},
		"no pool":                     {session.Pools{}, "Pools.Write is nil"},
		"only a pool for reads":       {session.Pools{Read: pools.Reads}, "Pools.Write is nil"},
		"prepared statements":         {session.Pools{Write: prepares}, "PrepareStmt"},
		"prepared statements, reads":  {session.Pools{Write: pools.DB, Read: prepares}, "PrepareStmt"},
		"default transactions":        {session.Pools{Write: begins}, "SkipDefaultTransaction"},
		"default transactions, reads": {session.Pools{Write: pools.DB, Read: begins}, "SkipDefaultTransaction"},
		"a proof without a pool":      {session.Pools{Write: pools.DB, Proof: &session.Proof{}}, "Proof.DB is nil"},
	} {
		said := ""
		if backend.way == byRun {
			if err := test.pools.Install(); err != nil {
				said = err.Error()
			}
		} else {
			srv := handler.New(generated.NewExecutableSchema(generated.Config{}))
			said = panicOf(func() { operation.Handler(srv, operation.Extension{Pools: test.pools}) })
		}
		if (said == "") != (test.says == "") || !strings.Contains(said, test.says) {
			t.Errorf("%s: set-up says %q, want %q", name, said, test.says)
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
		Extension: func(e *operation.Extension) {
			bind := e.Bind
			e.Bind = func(ctx context.Context, operations []*graphql.OperationContext) context.Context {
				mu.Lock()
				defer mu.Unlock()
				bound++
				return bind(context.WithValue(ctx, passKey{}, fmt.Sprint(ctx.Value(passKey{}), ", binding ", bound)), operations)
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
