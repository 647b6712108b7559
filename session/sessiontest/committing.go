package sessiontest

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/99designs/gqlgen/graphql"
	"github.com/graph-gophers/dataloader/v7"
	"gorm.io/gorm"

	"rollcall/operation"
	"rollcall/schematest"
	"rollcall/session"
)

// committing: promises 8 to 12.
var committing = slices.Concat([]promise{
	{name: "At the first byte of its answer a mutation is stored", test: storedAtTheFirstByte, graphql: answers},
	{
		name: "A COMMIT that the database refuses is never a success", test: refusedCommit,
		absent: map[string]string{
			"mysql": "it has no deferred constraints, and a COMMIT that it gets does not fail: only the connection does",
		},
	},
	{
		name: "A connection lost before COMMIT is never a success", test: lostBeforeCommit,
		absent: map[string]string{
			"sqlite": "there is no connection that could be lost",
		},
	},
	{
		name: "A mutation whose proof cannot be stored is never a success", test: proofFails,
		absent: map[string]string{
			"sqlite": "its COMMIT cannot be lost, so that there is no proof",
		},
	},
	{
		name: "A transaction that a swallowed error has aborted is never a success", test: abortedTransaction,
		absent: map[string]string{
			"mysql":  "a statement that fails leaves the rest of its transaction as it was",
			"sqlite": "a statement that fails leaves the rest of its transaction as it was",
		},
	},
	{name: "An error anywhere in the answer takes everything back", test: errorTakesAllBack},
	{name: "A panic takes everything back and is one error", test: panicTakesAllBack},
}, rollingBack, hooking, rerunning)

// beside reads a number on a connection elsewhere, which can be done while a transaction is open.
func (b *Bank) beside(ctx context.Context, query string) (n int, err error) {
	err = b.Side.QueryRowContext(ctx, query).Scan(&n)
	return n, err
}

// counterBeside reads counter 1 on a connection elsewhere.
func (b *Bank) counterBeside(ctx context.Context) (int, error) {
	return b.beside(ctx, "SELECT value FROM counters WHERE id = 1")
}

// wantNothing fails unless every counter is 0, no hook has run and every connection is back, and a new
// mutation finds the database as if nothing had been.
func (b *Bank) wantNothing(hooks int32) {
	b.tb.Helper()
	b.WantIdle()
	for id := 1; id <= Counters; id++ {
		if n := b.Counter(id); n != 0 {
			b.tb.Errorf("counter %d is %d: what failed was stored", id, n)
		}
	}
	if hooks != 0 {
		b.tb.Errorf("%d hooks ran after a rollback", hooks)
	}
	b.Must(`mutation { increment(id: 8) { value } }`)
	b.Exec("UPDATE counters SET value = 0 WHERE id = 8")
}

// firstByte calls look before the first byte of an answer leaves the server.
type firstByte struct {
	http.ResponseWriter
	once sync.Once
	look func()
}

func (w *firstByte) WriteHeader(status int) {
	w.once.Do(w.look)
	w.ResponseWriter.WriteHeader(status)
}

func (w *firstByte) Write(p []byte) (int, error) {
	w.once.Do(w.look)
	return w.ResponseWriter.Write(p)
}

func storedAtTheFirstByte(t *testing.T, backend Backend) {
	var b *Bank
	seen := make(chan int, 1)
	b = NewBank(t, backend, Setup{Wrap: func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			next.ServeHTTP(&firstByte{ResponseWriter: w, look: func() {
				n, err := b.counterBeside(r.Context())
				if err != nil {
					t.Error(err)
				}
				seen <- n
			}}, r)
		})
	}})
	for want := 1; want <= 3; want++ {
		b.Must(`mutation { increment(id: 1) { value } }`)
		if n := <-seen; n != want {
			t.Errorf("at the first byte the counter is %d, want %d", n, want)
		}
	}
}

// eachProof runs a test with the proof of commits and without it.
func eachProof(t *testing.T, backend Backend, test func(t *testing.T, b *Bank, proved bool)) {
	for _, proved := range []bool{true, false} {
		t.Run(map[bool]string{true: "proved", false: "not proved"}[proved], func(t *testing.T) {
			test(t, NewBank(t, backend, Setup{Extension: func(e *operation.Extension) {
				if !proved {
					e.Proof = nil
				}
			}}), proved)
		})
	}
}

// wantRefused fails unless an answer is data: null with one error of this code.
func wantRefused(tb testing.TB, a Answer, code string) {
	tb.Helper()
	WantNull(tb, a)
	if a.Code() != code {
		tb.Errorf("want the code %s, got %s", code, a.Raw)
	}
}

func refusedCommit(t *testing.T, backend Backend) {
	eachProof(t, backend, func(t *testing.T, b *Bank, _ bool) {
		b.Exec("CREATE TABLE owners (account INT REFERENCES accounts (id) DEFERRABLE INITIALLY DEFERRED)")
		var hooks counter
		b.Step("own nothing", func(ctx context.Context) (int, error) {
			session.AfterCommit(ctx, hooks.add)
			return 1, session.DB(ctx).Exec("INSERT INTO owners VALUES (999)").Error
		})
		for range 2 { // the second time on a connection that has seen the first
			a := b.Send(`mutation { increment(id: 1) { value } run(step: "own nothing") { value } }`)
			wantRefused(t, a, "INTERNAL_SERVER_ERROR")
			if strings.Contains(a.Raw, "owners") {
				t.Errorf("the answer tells what is internal: %s", a.Raw)
			}
		}
		b.wantNothing(hooks.n.Load())
	})
}

func lostBeforeCommit(t *testing.T, backend Backend) {
	eachProof(t, backend, func(t *testing.T, b *Bank, proved bool) {
		var hooks counter
		b.Step("lose", func(ctx context.Context) (int, error) {
			session.AfterCommit(ctx, hooks.add)
			return 1, errors.Join(Add(session.DB(ctx), "counters", "value", 1, 1), b.killConnection(ctx))
		})
		a := b.Send(`mutation { run(step: "lose") { value } }`)
		if proved { // its insert has failed, so that no COMMIT was sent
			wantRefused(t, a, "INTERNAL_SERVER_ERROR")
		} else {
			wantRefused(t, a, "OUTCOME_UNKNOWN")
			if id, _ := a.Errors[0].Extensions["operationId"].(string); len(id) != 36 {
				t.Errorf("want the operation's id, got %s", a.Raw)
			}
		}
		b.wantNothing(hooks.n.Load())
	})
}

// proofFails takes the table away. Were the mutation committed without its proof, whoever asks later would hear that it
// was aborted.
func proofFails(t *testing.T, backend Backend) {
	b := NewBank(t, backend, Setup{})
	var hooks counter
	b.write(&hooks)
	b.Exec("ALTER TABLE session_operations RENAME TO taken_away")
	wantRefused(t, b.Send(`mutation { run(step: "write") { value } }`), "INTERNAL_SERVER_ERROR")
	b.Exec("ALTER TABLE taken_away RENAME TO session_operations")
	b.wantNothing(hooks.n.Load())
}

func abortedTransaction(t *testing.T, backend Backend) {
	eachProof(t, backend, func(t *testing.T, b *Bank, _ bool) {
		var hooks counter
		b.Step("swallow", func(ctx context.Context) (int, error) {
			session.AfterCommit(ctx, hooks.add)
			if session.DB(ctx).Exec("INSERT INTO counters VALUES (1, 0)").Error == nil {
				return 0, errors.New("a duplicate key was accepted")
			}
			return 1, nil
		})
		a := b.Send(`mutation { increment(id: 1) { id } run(step: "swallow") { value } }`)
		wantRefused(t, a, "INTERNAL_SERVER_ERROR")
		b.wantNothing(hooks.n.Load())
	})
}

// write adds a step that increments counter 1 and registers a hook.
func (b *Bank) write(hooks *counter) {
	b.Step("write", func(ctx context.Context) (int, error) {
		session.AfterCommit(ctx, hooks.add)
		return 1, Add(session.DB(ctx), "counters", "value", 1, 1)
	})
}

func errorTakesAllBack(t *testing.T, backend Backend) {
	b := NewBank(t, backend, Setup{})
	var hooks counter
	b.write(&hooks)
	b.Step("fail", func(context.Context) (int, error) { return 0, errors.New("it failed") })
	for name, query := range map[string]string{
		"the second field":           `mutation { run(step: "write") { value } b: run(step: "fail") { value } }`,
		"the first field":            `mutation { a: run(step: "fail") { value } run(step: "write") { value } }`,
		"below a field":              `mutation { run(step: "write") { value run(step: "fail") { value } } }`,
		"a read below a field":       `mutation { run(step: "write") { value account(id: 999) { id } } }`,
		"a statement's wrong syntax": `mutation { run(step: "write") { value run(step: "mistype") { value } } }`,
	} {
		b.Step("mistype", func(ctx context.Context) (int, error) {
			return 0, session.DB(ctx).Exec("UPDATE nothing AT ALL").Error
		})
		t.Run(name, func(t *testing.T) {
			WantNull(t, b.Send(query))
			b.wantNothing(hooks.n.Load())
		})
	}
}

func panicTakesAllBack(t *testing.T, backend Backend) {
	b := NewBank(t, backend, Setup{Extension: func(e *operation.Extension) { e.Bind = bindPanickingLoader }})
	var hooks counter
	b.write(&hooks)
	b.Step("panic", func(context.Context) (int, error) { panic("a resolver") })
	b.Step("panic alone", func(ctx context.Context) (int, error) {
		return 0, session.Do(ctx, func(tx *gorm.DB) error {
			return tx.Transaction(func(tx *gorm.DB) error {
				_ = Add(tx, "counters", "value", 2, 1)
				panic("a savepoint")
			})
		})
	})
	for name, query := range map[string]string{
		"a resolver":       `mutation { run(step: "write") { value } b: run(step: "panic") { value } }`,
		"a resolver below": `mutation { run(step: "write") { value run(step: "panic") { value } } }`,
		"session.Do":       `mutation { run(step: "write") { value run(step: "panic alone") { value } } }`,
		"a batch function": `mutation { run(step: "write") { account(id: 1) { peer(id: 2) { id } } } }`,
		"a marshaller":     `mutation { run(step: "write") { value loud } }`,
	} {
		t.Run(name, func(t *testing.T) {
			WantNull(t, b.Send(query))
			b.wantNothing(hooks.n.Load())
		})
	}
}

// bindPanickingLoader gives an operation a loader of peers whose batch function reads, and panics.
func bindPanickingLoader(ctx context.Context, _ []*graphql.OperationContext) context.Context {
	load := func(context.Context, []int) []*dataloader.Result[*schematest.Account] {
		_ = session.DB(ctx).Find(&[]schematest.Account{})
		panic("a batch function")
	}
	return context.WithValue(ctx, loaderKey{},
		dataloader.NewBatchedLoader(load, dataloader.WithBatchCapacity[int, *schematest.Account](1)))
}
