package batch_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/99designs/gqlgen/graphql"
)

var errBroken = errors.New("broken")

// planned are operations with the batches that they are to be read by, and their data.
var planned = []struct {
	what, query string
	batches     []string
	data        string
}{
	{
		"The root fields are one level", `{ a: author(id: 1) { rival { name } } b: author(id: 2) { rival { name } } authors(ids: [3, 1]) { name } item(id: 101) { id } }`,
		[]string{"authors[1 2 3]", "items[101]", "authors[11 12]"},
		`{"a":{"rival":{"name":"A11"}},"b":{"rival":{"name":"A12"}},"authors":[{"name":"A3"},{"name":"A1"}],"item":{"id":"101"}}`,
	},
	{
		"Levels go as deep as the query", `{ author(id: 1) { rival { rival { rival { name } } books(first: 2) { title author { name } } } } }`,
		[]string{"authors[1]", "authors[11]", "authors[21]", "books[11/2]", "authors[31]"},
		`{"author":{"rival":{"rival":{"rival":{"name":"A31"}},"books":[{"title":"B1101","author":{"name":"A11"}},{"title":"B1102","author":{"name":"A11"}}]}}}`,
	},
	{
		"A relation under two aliases is one batch", `{ author(id: 1) { a: books { title } b: books(first: 1) { id } } }`,
		[]string{"authors[1]", "books[1/1]"},
		`{"author":{"a":[{"title":"B101"}],"b":[{"id":"101"}]}}`,
	},
	{
		"Other arguments are other keys", `query($n: Int = 2) { author(id: 1) { a: books { title } b: books(first: $n) { id } } }`,
		[]string{"authors[1]", "books[1/1 1/2]"},
		`{"author":{"a":[{"title":"B101"}],"b":[{"id":"101"},{"id":"102"}]}}`,
	},
	{
		"Fragments", `{ author(id: 1) { ...Person ...Person ... { books { ...Work } } } }
			fragment Person on Author { rival { ... on Node { ... on Author { rival { name } } } } }
			fragment Work on Item { title ... on Book { author { ...Person } } }`,
		[]string{"authors[1]", "authors[11]", "books[1/1]", "authors[21]"},
		`{"author":{"rival":{"rival":{"name":"A21"}},"books":[{"title":"B101","author":{"rival":{"rival":{"name":"A21"}}}}]}}`,
	},
	{
		"The types behind an interface are one level", `{ items(ids: [101, 1002, 301]) { title ... on Book { author { name } } ... on Magazine { editor { name rival { name } } } } }`,
		[]string{"items[1002 101 301]", "authors[1 2 3]", "authors[12]"},
		`{"items":[{"title":"B101","author":{"name":"A1"}},{"title":"M1002","editor":{"name":"A2","rival":{"name":"A12"}}},{"title":"B301","author":{"name":"A3"}}]}`,
	},
	{
		"What is skipped is not read", `query($yes: Boolean = true, $no: Boolean = false) { author(id: 1) {
			name rival @skip(if: $yes) { name } books @include(if: $no) { title } ... @include(if: $no) { rival { name } } ...F @skip(if: true) editor @include(if: $yes) { id } } }
			fragment F on Author { rival { name } }`,
		[]string{"authors[1]", "authors[31]"},
		`{"author":{"name":"A1","editor":{"id":"31"}}}`,
	},
	{
		"What is missing is null, and nothing is read below it", `{ author(id: 404) { rival { name } } authors(ids: [1, 400, 1]) { rival { name } } item(id: 401) { id } }`,
		[]string{"authors[1 400 404]", "items[401]", "authors[11]"},
		`{"author":null,"authors":[{"rival":{"name":"A11"}},null,{"rival":{"name":"A11"}}],"item":null}`,
	},
	{
		"What only a root field's resolver knows is followed from there", `{ latest { ... on Author { rival { name } } ... on Book { author { name } } ... on Magazine { editor { name } } } }`,
		[]string{"authors[11 2 3 5]"},
		`{"latest":[{"rival":{"name":"A11"}},{"author":{"name":"A3"}},{"editor":{"name":"A2"}},null,{"author":{"name":"A5"}}]}`,
	},
	{
		"A path leads on without a batch", `{ shelf { books { author { name } } } }`,
		[]string{"authors[1 2]"},
		`{"shelf":{"books":[{"author":{"name":"A1"}},{"author":{"name":"A2"}}]}}`,
	},
	{"Nothing is read for nothing", `{ __typename }`, nil, `{"__typename":"Query"}`},
	{"@defer where nothing can be sent later", `{ author(id: 1) { ... @defer(if: false) { rival { name } } } }`, []string{"authors[1]", "authors[11]"}, `{"author":{"rival":{"name":"A11"}}}`},
}

func TestEachRelationOfALevelIsOneBatch(t *testing.T) {
	for way, serve := range ways {
		for _, op := range planned {
			t.Run(way+"/"+op.what, func(t *testing.T) {
				l := serve(t)
				l.ask(t, op.query).want(t, op.data, 0)
				l.wantBatches(t, op.batches...)
			})
		}
	}
}

func TestRootFieldsThatOnlyTheirResolversKnowAreFollowedOneAfterTheOther(t *testing.T) {
	l := serve(t)
	l.fetch = func(context.Context, string, []string) error {
		time.Sleep(5 * time.Millisecond) // for the others to get in between, if they could
		return nil
	}
	l.ask(t, `{ a: shelf { books { author { name } } } b: shelf { books { author { name } } } c: latest { ... on Book { author { rival { name } } } } }`).want(t,
		`{"a":{"books":[{"author":{"name":"A1"}},{"author":{"name":"A2"}}]},"b":{"books":[{"author":{"name":"A1"}},{"author":{"name":"A2"}}]},`+
			`"c":[{},{"author":{"rival":{"name":"A13"}}},{},null,{"author":{"rival":{"name":"A15"}}}]}`, 0)
	l.wantBatches(t, "authors[1 2]", "authors[3 5]", "authors[13 15]")
}

func TestBatchesNeverVaryUnderLoad(t *testing.T) {
	const clients, rounds = 8, 2
	for _, c := range []struct {
		procs int
		way   string
	}{{1, "by resolvers"}, {2, "by resolvers"}, {8, "by resolvers"}, {1, "from the plan"}, {8, "from the plan"}} {
		t.Run(fmt.Sprintf("%s, GOMAXPROCS=%d", c.way, c.procs), func(t *testing.T) {
			defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(c.procs))
			l := ways[c.way](t)
			var want []string
			var all sync.WaitGroup
			for range rounds {
				for _, op := range planned {
					for range clients {
						want = append(want, op.batches...)
						all.Go(func() { l.ask(t, op.query).want(t, op.data, 0) })
					}
				}
				all.Wait()
			}
			l.wantBatches(t, want...)
		})
	}
}

func TestAMutationsRootFieldsAreFollowedOneAfterTheOther(t *testing.T) {
	l := serve(t)
	l.ask(t, `mutation {
		a: oppose(author: 1, rival: 5) { rival { name books { title } } books { title } }
		b: oppose(author: 1, rival: 6) { rival { name } }
	}`).want(t, `{"a":{"rival":{"name":"A5","books":[{"title":"B501"}]},"books":[{"title":"B101"}]},"b":{"rival":{"name":"A6"}}}`, 0)
	l.wantBatches(t, "authors[5]", "books[1/1]", "books[5/1]", "authors[6]")
}

func TestAWriteIsSeenByWhatIsReadAfterIt(t *testing.T) {
	l := serve(t)
	l.ask(t, `mutation {
		a: oppose(author: 1, rival: 2) { rival { rival { name } } }
		b: oppose(author: 2, rival: 3) { id }
		c: oppose(author: 1, rival: 2) { rival { rival { name } } }
	}`).want(t, `{"a":{"rival":{"rival":{"name":"A12"}}},"b":{"id":"2"},"c":{"rival":{"rival":{"name":"A3"}}}}`, 0)
	l.wantBatches(t, "authors[2]", "authors[12]", "authors[2]", "authors[3]")
}

func TestAnErrorFailsItsResolversAndNoOthers(t *testing.T) {
	for _, c := range []struct {
		what, message string
		fail          func() error
	}{
		{"an error", "broken", func() error { return errBroken }},
		{"a panic", "internal system error", func() error { panic("no") }},
		{"runtime.Goexit", "internal system error", func() error { runtime.Goexit(); return nil }},
	} {
		t.Run(c.what, func(t *testing.T) {
			l := serve(t)
			fail := true
			l.fetch = func(_ context.Context, relation string, _ []string) error {
				if fail && relation == "items" {
					return c.fail()
				}
				return nil
			}
			const query = `{ a: item(id: 101) { id } b: item(id: 101) { title } c: item(id: 102) { id } author(id: 1) { rival { name } } }`
			a := l.ask(t, query)
			a.want(t, `{"a":null,"b":null,"c":null,"author":{"rival":{"name":"A11"}}}`, 3)
			for _, e := range a.Errors {
				if e.Message != c.message {
					t.Errorf("want the message %q, got %q", c.message, e.Message)
				}
			}
			l.wantBatches(t, "items[101 102]", "authors[1]", "authors[11]")
			fail = false
			l.ask(t, query).want(t, `{"a":{"id":"101"},"b":{"title":"B101"},"c":{"id":"102"},"author":{"rival":{"name":"A11"}}}`, 0)
		})
	}
}

func TestAPanicOfABatchIsToldToTheServersRecoverFuncOnce(t *testing.T) {
	for way, serve := range ways {
		for what, presented := range map[string]func() error{
			"an error":   func() error { return errors.New("presented") },
			"no error":   func() error { return nil },
			"it panics":  func() error { panic("presented") },
			"it goes on": func() error { return errBroken },
		} {
			t.Run(way+"/"+what, func(t *testing.T) {
				l := serve(t)
				l.fetch = func(context.Context, string, []string) error { panic("a secret") }
				var told []string
				l.recovered = func(ctx context.Context, p any) error {
					told = append(told, fmt.Sprint(p, " ", graphql.GetOperationContext(ctx).OperationName, " ", strings.Contains(string(debug.Stack()), "TestAPanicOfABatch")))
					return presented()
				}
				a := l.ask(t, `query Q { a: author(id: 1) { id } b: author(id: 2) { id } }`)
				a.want(t, `{"a":null,"b":null}`, 2)
				want := map[string]string{"an error": "presented", "it goes on": "broken"}[what]
				if want == "" {
					want = "internal system error"
				}
				for _, e := range a.Errors {
					if e.Message != want {
						t.Errorf("want %q, got %q", want, e.Message)
					}
				}
				if len(told) != 1 || told[0] != "a secret  true" {
					t.Errorf("it was told %q", told)
				}
			})
		}
	}
}

func TestAnErrorIsReadOnceAndNotKept(t *testing.T) {
	l := serve(t)
	fail := true
	l.fetch = func(_ context.Context, relation string, _ []string) error {
		if fail && relation == "authors" {
			fail = false
			return errBroken
		}
		return nil
	}
	l.ask(t, `mutation {
		a: oppose(author: 1, rival: 2) { rival { name } again: rival { name } }
		b: oppose(author: 1, rival: 2) { rival { name } }
	}`).want(t, `{"a":{"rival":null,"again":null},"b":{"rival":{"name":"A2"}}}`, 2)
	l.wantBatches(t, "authors[2]", "authors[2]")
}

func TestAPanicInAKeyIsAnErrorAndLeavesTheFieldToItsResolvers(t *testing.T) {
	l := serve(t)
	l.fallbacks = -1
	l.key = func() { panic("no") }
	a := l.ask(t, `{ author(id: 1) { editor { name } rival { name } books { title } } }`)
	a.want(t, `{"author":{"editor":{"name":"A31"},"rival":{"name":"A11"},"books":[{"title":"B101"}]}}`, 1)
	if len(a.Errors) > 0 && a.Errors[0].Message != "internal system error" {
		t.Errorf("got %v", a.Errors)
	}
	l.wantBatches(t, "authors[1]", "authors[11]", "books[1/1]", "authors[31]")
}

func TestWhatNoPlanForesawIsStillLoadedAndCounted(t *testing.T) {
	l := serve(t)
	l.fallbacks = -1
	l.ask(t, `{ authors(ids: [1, 2]) { muse { name rival { name } } rival { name } } }`).
		want(t, `{"authors":[{"muse":{"name":"A21","rival":{"name":"A31"}},"rival":{"name":"A11"}},{"muse":{"name":"A22","rival":{"name":"A32"}},"rival":{"name":"A12"}}]}`, 0)
}

func TestTheEndOfOneOperationFailsNoOther(t *testing.T) {
	l := serve(t)
	reading := make(chan struct{})
	l.fetch = func(ctx context.Context, _ string, keys []string) error {
		if slices.Contains(keys, "99") {
			close(reading)
			<-ctx.Done()
		}
		return ctx.Err()
	}
	ctx, cancel := context.WithCancel(t.Context())
	var others sync.WaitGroup
	ask := func() {
		for i := range 20 {
			others.Go(func() {
				l.ask(t, fmt.Sprintf(`{ authors(ids: [%d, 2]) { rival { name } } }`, i%2+1)).
					want(t, fmt.Sprintf(`{"authors":[{"rival":{"name":"A%d"}},{"rival":{"name":"A12"}}]}`, i%2+11), 0)
			})
		}
	}
	ask()
	gone := make(chan error)
	go func() {
		res, err := l.send(ctx, "", `{ authors(ids: [1, 99]) { rival { name } } }`)
		if err == nil {
			_ = res.Body.Close()
		}
		gone <- err
	}()
	<-reading
	ask()
	cancel()
	if err := <-gone; !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	ask()
	others.Wait()
}

func TestASetFromBeforeTheOperationServesAllOfARequest(t *testing.T) {
	for way, serve := range ways {
		t.Run(way, func(t *testing.T) {
			l := serve(t)
			l.bind = func(ctx context.Context, next graphql.OperationHandler) graphql.ResponseHandler { return next(ctx) }
			l.serving = func(next http.Handler) http.Handler {
				return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					next.ServeHTTP(w, r.WithContext(l.context(r.Context())))
				})
			}
			l.ask(t, `{ author(id: 1) { rival { name } } }`).want(t, `{"author":{"rival":{"name":"A11"}}}`, 0)
			l.wantBatches(t, "authors[1]", "authors[11]")
			l.wantResolvers(t, !l.answers)
		})
	}
}
