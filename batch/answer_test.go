package batch_test

import (
	"context"
	"strings"
	"testing"

	"github.com/99designs/gqlgen/graphql"
	"github.com/99designs/gqlgen/graphql/executor"

	"rollcall/batch"
	"rollcall/schematest"
)

// wantResolvers fails unless resolvers have been asked since the last time, or have not.
func (l *library) wantResolvers(t *testing.T, asked bool) {
	t.Helper()
	if n := l.fields.Swap(0); n > 0 != asked {
		t.Errorf("resolvers were asked for %d fields", n)
	}
}

// What the plan declares of these is not what the resolvers return, so that one can see who has answered.
func shelfOf(books ...*schematest.Book) batch.Field {
	return batch.Path("Query", "shelf", func(batch.Root) *schematest.Shelf { return &schematest.Shelf{Books: books} })
}

func latestOf(found ...schematest.Found) batch.Field {
	return batch.Paths("Query", "latest", func(batch.Root) []schematest.Found { return found })
}

func TestAQueryThatThePlanCoversIsAnsweredWithoutResolvers(t *testing.T) {
	l := serveFromPlan(t, shelfOf(book(901), book(902)), latestOf(book(903), nil, &schematest.Author{ID: 9, Name: "A\"9", Rival: 19}, (*schematest.Book)(nil)))
	for _, c := range []struct{ query, data string }{
		{`{ shelf { books { title } } }`, `{"shelf":{"books":[{"title":"B901"},{"title":"B902"}]}}`},
		{`{ t: __typename shelf { __typename books { __typename author { name } } } }`, `{"t":"Query","shelf":{"__typename":"Shelf","books":[{"__typename":"Book","author":{"name":"A9"}},{"__typename":"Book","author":{"name":"A9"}}]}}`},
		{
			`{ latest { __typename ... on Author { name rival { name } } ... on Node { id } ... on Book { title } } }`,
			`{"latest":[{"__typename":"Book","id":"903","title":"B903"},null,{"__typename":"Author","name":"A\"9","rival":{"name":"A19"},"id":"9"},null]}`,
		},
		{`{ b: author(id: 1) { z: name a: id } a: author(id: 400) { id } }`, `{"b":{"z":"A1","a":"1"},"a":null}`},
		{`{ author(id: 1) { rival { id } books { id } rival { name books(first: 0) { id } } } }`, `{"author":{"rival":{"id":"11","name":"A11","books":[{"id":"1101"}]},"books":[{"id":"101"}]}}`},
		{`{ authors(ids: []) { name } items(ids: [1001, 400, 101]) { title ... on Magazine { id } } }`, `{"authors":[],"items":[{"title":"M1001","id":"1001"},null,{"title":"B101"}]}`},
		{`{ author(id: 1) { name @skip(if: true) } }`, `{"author":{}}`},
		{`{ shelf @skip(if: true) { books { id } } }`, `{}`},
	} {
		l.ask(t, c.query).want(t, c.data, 0)
	}
	l.wantResolvers(t, false)
	if n := l.plan.Resolved(); n != 0 {
		t.Errorf("%d were resolved", n)
	}
}

func TestResolversAnswerWhatThePlanDoesNot(t *testing.T) {
	const ofResolvers = `{"shelf":{"books":[{"title":"B101"},{"title":"B201"}]}}`
	for _, c := range []struct {
		what, query, data string
		instead           string // of whose declaration there are others
		errors, fallbacks int
		more              []batch.Field
		set               func(*library)
	}{
		{what: "a field without a declaration", fallbacks: -1, query: `{ author(id: 1) { name muse { name } } }`, data: `{"author":{"name":"A1","muse":{"name":"A21"}}}`},
		{what: "a root field without one", query: `{ shelf { books { title } } }`, data: ofResolvers},
		{what: "a list that is null", query: `{ author(id: 55) { books { id } } }`, data: `{"author":{"books":[]}}`},
		{
			what: "a list's null that can't be", query: `{ shelf { books { title } } }`, data: ofResolvers,
			more: []batch.Field{shelfOf(book(901), nil)},
		},
		{
			what: "a null that can't be", query: `{ shelf { books { title } } }`, data: ofResolvers,
			more: []batch.Field{batch.Path("Query", "shelf", func(batch.Root) *schematest.Shelf { return nil })},
		},
		{
			what: "a value that is none", query: `{ authors(ids: [1, 2]) { name } }`, data: `{"authors":[{"name":"A1"},{"name":"A2"}]}`,
			instead: "Author.name", more: []batch.Field{batch.Value("Author", "name", func([]byte, *schematest.Author) []byte { return nil })},
		},
		{
			what: "a value that panics", query: `{ authors(ids: [1, 2]) { name } }`, data: `{"authors":[{"name":"A1"},{"name":"A2"}]}`,
			instead: "Author.name", more: []batch.Field{batch.Value("Author", "name", func([]byte, *schematest.Author) []byte { panic("no") })},
		},
		{
			what: "a value that is a null that can't be", query: `{ authors(ids: [1, 2]) { name } }`, data: `{"authors":[{"name":"A1"},{"name":"A2"}]}`,
			instead: "Author.name", more: []batch.Field{batch.Value("Author", "name", func(b []byte, _ *schematest.Author) []byte { return append(b, "null"...) })},
		},
		{
			what: "a path that panics", query: `{ shelf { books { title } } }`, data: ofResolvers, errors: 1,
			more: []batch.Field{batch.Path("Query", "shelf", func(batch.Root) *schematest.Shelf { panic("no") })},
		},
		{
			what: "a key that panics", query: `{ author(id: 1) { editor { name } } }`, data: `{"author":{"editor":{"name":"A31"}}}`, errors: 1, fallbacks: -1,
			set: func(l *library) { l.key = func() { panic("no") } },
		},
		{
			what: "arguments that are not valid", fallbacks: -1, query: `{ author(id: 1) { rival { name } } }`, data: `{"author":{"rival":{"name":"A11"}}}`,
			instead: "Author.rival", more: []batch.Field{relation("Author", "rival", authors, func(batch.Args) (func(*schematest.Author) (int, bool), error) { return nil, errBroken })},
		},
		{
			what: "a loader that fails", query: `{ item(id: 101) { id } author(id: 1) { name } }`, data: `{"item":null,"author":{"name":"A1"}}`, errors: 1,
			set: func(l *library) {
				l.fetch = func(_ context.Context, relation string, _ []string) error {
					if relation == "items" {
						return errBroken
					}
					return nil
				}
			},
		},
		{
			what: "a loader that fails below", query: `{ author(id: 1) { name books { id } } }`, data: `{"author":null}`, errors: 1,
			set: func(l *library) {
				l.fetch = func(_ context.Context, relation string, _ []string) error {
					if relation == "books" {
						return errBroken
					}
					return nil
				}
			},
		},
		{
			what: "a condition that is null", query: `query($v: Boolean = true) { author(id: 1) { name @include(if: $v) } b: author(id: 2) { name } }`,
			data: `{"author":null,"b":{"name":"A2"}}`, errors: 1,
			set: func(l *library) {
				l.bind = func(ctx context.Context, next graphql.OperationHandler) graphql.ResponseHandler {
					graphql.GetOperationContext(ctx).Variables["v"] = nil
					return l.perEvent(ctx, next)
				}
			},
		},
	} {
		t.Run(c.what, func(t *testing.T) {
			l := newFromPlanWithout(c.instead, c.more...).serve(t)
			l.fallbacks = c.fallbacks
			if c.set != nil {
				c.set(l)
			}
			l.ask(t, c.query).want(t, c.data, c.errors)
			if n := l.plan.Resolved(); n != 1 {
				t.Errorf("want 1 that was resolved, got %d", n)
			}
			l.wantResolvers(t, true)
		})
	}
}

func TestWhatIsDeferredComesFromResolvers(t *testing.T) {
	const query = `{ author(id: 1) { id ... @defer(label: "rest") { rival { name } } } }`
	var answers []string
	for way, serve := range ways {
		l := serve(t)
		p := l.stream(t.Context(), t, mixed, query)
		answers = append(answers, p.next()+strings.Join(incremental(t, p), " "))
		l.wantBatches(t, "authors[1]", "authors[11]")
		if !strings.Contains(answers[0], `rest{"rival":{"name":"A11"}}`) {
			t.Errorf("%s: got %s", way, answers[0])
		}
	}
	if answers[0] != answers[1] {
		t.Errorf("got %q", answers)
	}
}

func TestWhatCanBeSentAtOnceEndsAStream(t *testing.T) {
	l := serveFromPlan(t)
	p := l.stream(t.Context(), t, mixed, `{ author(id: 1) { name } }`)
	if got, want := p.next(), `{"data":{"author":{"name":"A1"}}}`; got != want {
		t.Errorf("want %s, got %s", want, got)
	}
	if got := p.next(); got != "" {
		t.Errorf("got %s", got)
	}
	l.wantResolvers(t, false)
}

func TestMutationsAndSubscriptionsAreForResolvers(t *testing.T) {
	l := serveFromPlan(t)
	l.ask(t, `mutation { oppose(author: 1, rival: 5) { rival { name } } }`).want(t, `{"oppose":{"rival":{"name":"A5"}}}`, 0)
	s := l.stream(t.Context(), t, events, `subscription { published { author { name } } }`)
	l.published <- book(101)
	if got, want := s.next(), `{"data":{"published":{"author":{"name":"A1"}}}}`; got != want {
		t.Errorf("want %s, got %s", want, got)
	}
	close(l.published)
	l.wantBatches(t, "authors[5]", "authors[1]")
	l.wantResolvers(t, true)
	if n := l.plan.Resolved(); n != 0 {
		t.Errorf("%d are counted", n)
	}
}

func TestEachQueryOfAGroupIsAnsweredAsItCanBe(t *testing.T) {
	l := newFromPlan()
	l.fetch = brokenAt("7")
	answers := l.group(t, t.Context(), []context.Context{t.Context(), t.Context(), t.Context()},
		`{ author(id: 1) { rival { name } } }`, `query($id: ID = 101) { item(id: $id) { id title } }`, `{ author(id: 2) { rival { rival { name books { id } } } } item(id: 7) { id } }`)
	wantData(t, <-answers[0], `{"author":{"rival":{"name":"A11"}}}`)
	for i := 1; i < 3; i++ {
		if a := <-answers[i]; len(a.Errors) != 1 || !strings.Contains(string(a.Data), `"item":null`) {
			t.Errorf("got %s and %v", a.Data, a.Errors)
		}
	}
	l.wantBatches(t, "authors[1 2]", "items[101 7]", "authors[11 12]", "authors[22]", "books[22/1]")
	if n := l.plan.Resolved(); n != 2 {
		t.Errorf("want 2 that were resolved, got %d", n)
	}
}

func TestAnAnswerIsGivenOnce(t *testing.T) {
	l := newFromPlan()
	exec := executor.New(l.schema())
	exec.Use(l.plan)
	ctx := l.context(graphql.StartOperationTrace(t.Context()))
	op, errs := exec.CreateOperationContext(ctx, &graphql.RawParams{Query: `{ author(id: 1) { name } }`})
	if len(errs) > 0 {
		t.Fatal(errs)
	}
	respond, ctx := exec.DispatchOperation(ctx, op)
	wantData(t, respond(ctx), `{"author":{"name":"A1"}}`)
	if again := respond(ctx); again != nil {
		t.Errorf("got %s", again.Data)
	}
}
