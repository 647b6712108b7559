package batch_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/99designs/gqlgen/graphql"

	"rollcall/batch"
	"rollcall/schematest"
)

func TestColumnsAreThoseThatTheOperationNeedsAnywhere(t *testing.T) {
	for _, c := range []struct{ what, query, want string }{
		{"every reader's", `{ author(id: 1) { id } }`, "[id] [id] [id]"},
		{"all levels'", `{ author(id: 1) { id rival { name } books { author { id } } } }`, "[id name rival_id] [id author_id] [id]"},
		{"an interface's, for all its types", `{ author(id: 1) { id } item(id: 101) { title } }`, "[id] [id title] [id title]"},
		{"an interface's beside a type's", `{ author(id: 1) { id } item(id: 1001) { ... on Book { title } title } }`, "[id] [id title] [id title]"},
		{"fragments'", `{ author(id: 1) { ...A ...A } item(id: 101) { ... on Book { author { ...A } } } } fragment A on Author { ... { name } }`, "[id name] [id author_id] [id]"},
		{
			"without what is skipped", `query($yes: Boolean = true, $no: Boolean! = false) { author(id: 1) {
			id name @skip(if: $yes) ... @include(if: $no) { rival { id } } ...A @skip(if: true) } item(id: 101) { title @include(if: $yes) @skip(if: $no) } } fragment A on Author { name }`,
			"[id] [id title] [id title]",
		},
	} {
		t.Run(c.what, func(t *testing.T) {
			l := serveFromPlan(t)
			l.columns = func(relation string, columns batch.Columns) {
				if got := names(columns); got != c.want {
					t.Errorf("want %s, got %s in a batch of %s", c.want, got, relation)
				}
			}
			if a := l.ask(t, c.query); len(a.Errors) > 0 {
				t.Errorf("got %v", a.Errors)
			}
		})
	}
}

// everyColumn is what names returns of whole rows.
const everyColumn = "[id name rival_id] [id title author_id] [id title editor_id]"

func names(columns batch.Columns) string {
	return fmt.Sprint(columns.Of("Author"), columns.Of("Book"), columns.Of("Magazine"))
}

// In each of these an author is selected whose id alone the answer needs, and resolvers run. That these see whole rows is what
// every test makes sure of: see see.
func TestNoResolverSeesARowThatLacksColumns(t *testing.T) {
	fail := func(of string) func(*library) {
		return func(l *library) {
			l.fetch = func(_ context.Context, relation string, _ []string) error {
				if relation == of {
					return errBroken
				}
				return nil
			}
		}
	}
	for _, c := range []struct {
		what, query, data string
		batches           []string
		errors, fallbacks int
		more              []batch.Field
		set               func(*library)
	}{
		{what: "a field without a declaration", query: `{ author(id: 1) { id muse { id } } }`, data: `{"author":{"id":"1","muse":{"id":"21"}}}`, batches: []string{"authors[1]", "authors[21]"}, fallbacks: -1},
		{
			what: "one far away, within fragments", query: `{ author(id: 1) { rival { id } } ...F } fragment F on Query { item(id: 101) { ... on Book { author { ...G } } } } fragment G on Author { muse { id } }`,
			data: `{"author":{"rival":{"id":"11"}},"item":{"author":{"muse":{"id":"21"}}}}`, batches: []string{"authors[1]", "items[101]", "authors[11]", "authors[21]"}, fallbacks: -1,
		},
		{what: "a root field without one", query: `{ author(id: 1) { rival { id } } shelf { books { id } } }`, data: `{"author":{"rival":{"id":"11"}},"shelf":{"books":[{"id":"101"},{"id":"201"}]}}`, batches: []string{"authors[1]", "authors[11]"}},
		{what: "introspection", query: `{ author(id: 1) { id } __schema { __typename } }`, data: `{"author":{"id":"1"},"__schema":null}`, errors: 1, batches: []string{"authors[1]"}},
		{what: "a directive", query: `{ author(id: 1) { id @guard } item(id: 101) { id } }`, data: `{"author":{"id":"1"},"item":{"id":"101"}}`, batches: []string{"authors[1]", "items[101]"}},
		{what: "a directive of the operation", query: `query @guard { author(id: 1) { rival { id } } }`, data: `{"author":{"rival":{"id":"11"}}}`, batches: []string{"authors[1]", "authors[11]"}},
		{
			what: "a loader that fails", query: `{ author(id: 1) { rival { id } } item(id: 101) { id } }`, data: `{"author":{"rival":{"id":"11"}},"item":null}`,
			errors: 1, set: fail("items"), batches: []string{"authors[1]", "items[101]", "authors[1]", "items[101]", "authors[11]"},
		},
		{
			what: "a loader that fails below", query: `{ author(id: 1) { rival { id } books { id } } }`, data: `{"author":null}`, errors: 1, set: fail("books"),
			batches: []string{"authors[1]", "authors[11]", "books[1/1]", "authors[1]", "authors[11]", "books[1/1]"},
		},
		{
			what: "a null that can't be", query: `{ author(id: 1) { rival { id } } shelf { books { id } } }`, data: `{"author":{"rival":{"id":"11"}},"shelf":{"books":[{"id":"101"},{"id":"201"}]}}`,
			more: []batch.Field{shelfOf(nil)}, batches: []string{"authors[1]", "authors[11]", "authors[1]", "authors[11]"},
		},
		{
			what: "a value that panics", query: `{ author(id: 1) { rival { id } } vault { open } }`, data: `{"author":{"rival":{"id":"11"}},"vault":{"open":"o"}}`,
			more:    []batch.Field{batch.Path("Query", "vault", func(batch.Root) *schematest.Vault { return vault() }), batch.Value("Vault", "open", func([]byte, *schematest.Vault) []byte { panic("no") })},
			batches: []string{"authors[1]", "authors[11]", "authors[1]", "authors[11]"},
		},
		{what: "a mutation", query: `mutation { oppose(author: 1, rival: 5) { id rival { id } } }`, data: `{"oppose":{"id":"1","rival":{"id":"5"}}}`, batches: []string{"authors[5]"}},
		{
			what: "a load in a mutation's resolver", query: `mutation { a: oppose(author: 1, rival: 5) { rival { id } } b: oppose(author: 2, rival: 5) { rival { id } } }`,
			data: `{"a":{"rival":{"id":"5"}},"b":{"rival":{"id":"5"}}}`, batches: []string{"authors[5]", "authors[5]", "authors[5]"}, fallbacks: -1,
			set: func(l *library) {
				l.mutate = func(ctx context.Context) {
					if a, err := loaded(ctx, authors, 5); err != nil || a.Name != "A5" {
						t.Errorf("got %v, %v", a, err)
					}
				}
			},
		},
	} {
		t.Run(c.what, func(t *testing.T) {
			l := serveFromPlan(t, c.more...)
			l.fallbacks = c.fallbacks
			if c.set != nil {
				c.set(l)
			}
			l.ask(t, c.query).want(t, c.data, c.errors)
			l.wantBatches(t, c.batches...)
		})
	}
}

func TestNeitherADeferredFieldNorAnEventHasRowsThatLackColumns(t *testing.T) {
	l := serveFromPlan(t)
	p := l.stream(t.Context(), t, mixed, `{ author(id: 1) { id ... @defer { rival { id rival { id } } } } }`)
	p.next()
	incremental(t, p)
	l.wantBatches(t, "authors[1]", "authors[11]", "authors[21]")
	s := l.stream(t.Context(), t, events, `subscription { published { id author { id rival { id } } } }`)
	l.published <- book(101)
	s.next()
	close(l.published)
	l.wantBatches(t, "authors[1]", "authors[11]")
}

func TestALoadBesideAnAnswerFromThePlanGetsAWholeRow(t *testing.T) {
	const query, data = `{ author(id: 1) { id } }`, `{"author":{"id":"1"}}`
	load := func(ctx context.Context) {
		if a, err := loaded(ctx, authors, 1); err != nil || a.Name != "A1" || a.Rival != 11 {
			t.Errorf("got %v, %v", a, err)
		}
	}
	for what, set := range map[string]func(*library){
		"before it": func(l *library) {
			l.bind = func(ctx context.Context, next graphql.OperationHandler) graphql.ResponseHandler {
				return l.perEvent(ctx, func(ctx context.Context) graphql.ResponseHandler {
					load(ctx)
					return next(ctx)
				})
			}
		},
		"after it": func(l *library) {
			l.bind = func(ctx context.Context, next graphql.OperationHandler) graphql.ResponseHandler {
				var bound context.Context
				respond := l.perEvent(ctx, func(ctx context.Context) graphql.ResponseHandler {
					bound = ctx //nolint:fatcontext // once
					return next(ctx)
				})
				return func(ctx context.Context) *graphql.Response {
					response := respond(ctx)
					load(bound)
					load(bound)
					return response
				}
			}
		},
		"in a batch": func(l *library) {
			var bound context.Context
			l.bind = func(ctx context.Context, next graphql.OperationHandler) graphql.ResponseHandler {
				bound = l.context(ctx) //nolint:fatcontext // once
				return next(bound)
			}
			l.fetch = func(_ context.Context, relation string, _ []string) error {
				if relation == "items" {
					load(bound)
				}
				return nil
			}
		},
	} {
		t.Run(what, func(t *testing.T) {
			l := serveFromPlan(t)
			l.fallbacks = -1
			set(l)
			l.ask(t, query).want(t, data, 0)
			l.ask(t, `{ author(id: 1) { id } item(id: 101) { ... on Book { id author { id } } } }`).want(t, `{"author":{"id":"1"},"item":{"id":"101","author":{"id":"1"}}}`, 0)
		})
	}
}

func TestAQueryOfAGroupThatFailsLeavesItsResolversWholeRows(t *testing.T) {
	l := newFromPlan()
	l.plan.Traces = func(*graphql.OperationContext) bool { return true }
	l.fetch = brokenAt("7")
	answers := l.group(t, t.Context(), []context.Context{t.Context(), t.Context()}, `{ author(id: 1) { rival { id } } }`, `{ author(id: 2) { rival { id } } item(id: 7) { id } }`)
	wantData(t, <-answers[0], `{"author":{"rival":{"id":"11"}}}`)
	if a := <-answers[1]; string(a.Data) != `{"author":{"rival":{"id":"12"}},"item":null}` || len(a.Errors) != 1 {
		t.Errorf("got %s and %v", a.Data, a.Errors)
	}
	l.wantBatches(t, "authors[1 2]", "items[7]", "authors[11]", "authors[2]", "items[7]", "authors[12]")
	trace := batch.TraceOf(l.set)
	var followed []string
	for _, f := range trace.Fields {
		for _, one := range append([]batch.FieldTrace{f}, f.Fields...) {
			followed = append(followed, one.Field+" by that of "+trace.Batches[one.Batch].Field)
		}
	}
	if want := []string{
		"Query.author by that of Query.author", "Author.rival by that of Author.rival",
		"Query.author by that of Query.author", "Author.rival by that of Author.rival", "Query.item by that of Query.item",
	}; !slices.Equal(followed, want) {
		t.Errorf("followed are %q", followed)
	}
	for _, b := range trace.Batches {
		if b.Field == "" {
			t.Errorf("of %+v no field is known", b)
		}
	}
	if n := l.partial.Load(); n != 0 {
		t.Errorf("resolvers saw %d rows that lack columns", n)
	}
}

func TestAQueryOfAGroupThatComesAfterTheFailureOfAnotherIsNotReadAgain(t *testing.T) {
	l := newFromPlan()
	l.fetch = brokenAt("7")
	const late = `{ author(id: 1) { rival { id } } }`
	answered := make(chan struct{})
	l.respond = func(query string) {
		if query == late {
			<-answered
		}
	}
	answers := l.group(t, t.Context(), []context.Context{t.Context(), t.Context()}, late, `{ author(id: 2) { id } item(id: 7) { id } }`)
	if a := <-answers[1]; len(a.Errors) != 1 {
		t.Errorf("got %s and %v", a.Data, a.Errors)
	}
	close(answered)
	wantData(t, <-answers[0], `{"author":{"rival":{"id":"11"}}}`)
	l.wantBatches(t, "authors[1 2]", "items[7]", "authors[11]", "authors[2]", "items[7]")
}

func TestAQueryWhoseTimeIsUpShowsItsResolversNoRowThatLacksColumns(t *testing.T) {
	l := newFromPlan()
	ctx, end := context.WithCancelCause(t.Context())
	l.fetch = func(ctx context.Context, _ string, keys []string) error {
		if slices.Contains(keys, "11") {
			end(errBroken)
		}
		return ctx.Err()
	}
	a := <-l.group(t, ctx, []context.Context{ctx}, `{ author(id: 1) { id rival { id } } }`)[0]
	if string(a.Data) != `{"author":null}` || len(a.Errors) != 1 || !errors.Is(a.Errors[0], errBroken) {
		t.Errorf("got %s and %v", a.Data, a.Errors)
	}
	if n := l.partial.Load(); n != 0 || l.plan.Fallbacks() != 0 {
		t.Errorf("resolvers saw %d rows that lack columns; %d fallbacks", n, l.plan.Fallbacks())
	}
}

func TestColumnsThatAreNotDeclaredPanicWithAdvice(t *testing.T) {
	var panicked string
	ctx := newLibrary().context(t.Context())
	from(ctx).columns = func(_ string, columns batch.Columns) {
		defer func() { panicked = fmt.Sprint(recover()) }()
		columns.Of("Auhtor")
	}
	if _, err := authors.Load(ctx, 1); err != nil {
		t.Error(err)
	}
	if !strings.Contains(panicked, "no columns of Auhtor are declared") {
		t.Errorf("got %s", panicked)
	}
}

func TestOutsideAnOperationEveryColumnIsNeeded(t *testing.T) {
	ctx := newLibrary().context(t.Context())
	var got string
	from(ctx).columns = func(_ string, columns batch.Columns) { got = names(columns) }
	if _, err := authors.Load(ctx, 1); err != nil || got != everyColumn {
		t.Errorf("want %s, got %s and %v", everyColumn, got, err)
	}
}

func TestColumnsWithoutABatchPanicWithAdvice(t *testing.T) {
	defer func() {
		if got := fmt.Sprint(recover()); !strings.Contains(got, "take those that the fetch is given") {
			t.Errorf("got %s", got)
		}
	}()
	batch.Columns{}.Of("Author")
}
