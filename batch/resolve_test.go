package batch_test

import (
	"context"
	"fmt"
	"iter"
	"slices"
	"sync"
	"testing"

	"github.com/99designs/gqlgen/graphql"

	"rollcall/batch"
	"rollcall/schematest"
	"rollcall/schematest/generated"
)

// unresolved has the resolvers of what the plan does not declare, and no others.
type unresolved struct{ resolver }

func (u unresolved) Query() generated.QueryResolver {
	return unresolvedQuery{of: queryResolver{library: u.library}}
}
func (unresolved) Author() generated.AuthorResolver     { return unresolvedAuthor{} }
func (unresolved) Book() generated.BookResolver         { return nil }
func (unresolved) Magazine() generated.MagazineResolver { return nil }

type unresolvedAuthor struct{ generated.AuthorResolver }

func (unresolvedAuthor) Muse(ctx context.Context, a *schematest.Author) (*schematest.Author, error) {
	return authorResolver{}.Muse(ctx, a)
}

type unresolvedQuery struct {
	generated.QueryResolver
	of queryResolver
}

func (q unresolvedQuery) Latest(ctx context.Context) ([]schematest.Found, error) {
	return q.of.Latest(ctx)
}

func (q unresolvedQuery) Shelf(ctx context.Context) (*schematest.Shelf, error) {
	return q.of.Shelf(ctx)
}

func (q unresolvedQuery) Window(ctx context.Context) (*schematest.Shelf, error) {
	return q.of.Window(ctx)
}

func (q unresolvedQuery) Vault(ctx context.Context) (*schematest.Vault, error) {
	return q.of.Vault(ctx)
}

func (q unresolvedQuery) Numbers(ctx context.Context) (*schematest.Numbers, error) {
	return q.of.Numbers(ctx)
}

// newUnresolved returns a library whose relations have no resolvers.
func newUnresolved(more ...batch.Field) *library { return newUnresolvedWithout(nil, more...) }

// newUnresolvedWithout is newUnresolved without the declarations of some fields.
func newUnresolvedWithout(fields []string, more ...batch.Field) *library {
	l := newLibrary()
	l.resolvers = unresolved{resolver{library: l}}
	rest := slices.DeleteFunc(l.declarations(), func(d declared) bool { return slices.Contains(fields, d.field) })
	l.plan = batch.NewPlan(append(except("", rest), more...)...)
	return l
}

// serveUnresolved is serve without resolvers of the library's relations.
func serveUnresolved(t *testing.T, more ...batch.Field) *library {
	t.Helper()
	return newUnresolved(more...).serve(t)
}

func TestARelationNeedsNoResolver(t *testing.T) {
	for _, c := range []struct {
		what, query, data string
		batches           []string
	}{
		{"of the root", `{ author(id: 1) { name } missing: author(id: 400) { name } }`, `{"author":{"name":"A1"},"missing":null}`, []string{"authors[1 400]"}},
		{"of an object", `{ author(id: 1) { rival { rival { name } } } }`, `{"author":{"rival":{"rival":{"name":"A21"}}}}`, []string{"authors[1]", "authors[11]", "authors[21]"}},
		{"of objects in a list", `{ authors(ids: [1, 2]) { rival { name } } }`, `{"authors":[{"rival":{"name":"A11"}},{"rival":{"name":"A12"}}]}`, []string{"authors[1 2]", "authors[11 12]"}},
		{"of the only object in a list", `{ authors(ids: [1]) { rival { name } books { author { name } } } }`, `{"authors":[{"rival":{"name":"A11"},"books":[{"author":{"name":"A1"}}]}]}`, []string{"authors[1]", "authors[11]", "books[1/1]"}},
		{"of an interface's object", `{ item(id: 1001) { ... on Magazine { editor { name } } } }`, `{"item":{"editor":{"name":"A1"}}}`, []string{"items[1001]", "authors[1]"}},
		{
			"of objects in an interface's list, with gaps", `{ items(ids: [400, 101, 401, 1002]) { id ... on Book { author { name } } ... on Magazine { editor { name } } } }`,
			`{"items":[null,{"id":"101","author":{"name":"A1"}},null,{"id":"1002","editor":{"name":"A2"}}]}`,
			[]string{"items[1002 101 400 401]", "authors[1 2]"},
		},
		{"of the only object in an interface's list", `{ items(ids: [101]) { ... on Book { author { name } } } }`, `{"items":[{"author":{"name":"A1"}}]}`, []string{"items[101]", "authors[1]"}},
		{"an empty list", `{ items(ids: []) { id } author(id: 55) { books { id } } }`, `{"items":[],"author":{"books":[]}}`, []string{"authors[55]", "books[55/1]"}},
		{"of objects in a union's list", `{ latest { ... on Author { rival { name } } ... on Book { author { name } } } }`, `{"latest":[{"rival":{"name":"A11"}},{"author":{"name":"A3"}},{},null,{"author":{"name":"A5"}}]}`, []string{"authors[11 3 5]"}},
		{"under aliases with other arguments", `{ author(id: 1) { a: books { id } b: books(first: 2) { id } } }`, `{"author":{"a":[{"id":"101"}],"b":[{"id":"101"},{"id":"102"}]}}`, []string{"authors[1]", "books[1/1 1/2]"}},
		{"of what a mutation returns", `mutation { a: oppose(author: 1, rival: 5) { rival { name } } b: oppose(author: 1, rival: 6) { rival { rival { name } } } }`, `{"a":{"rival":{"name":"A5"}},"b":{"rival":{"rival":{"name":"A16"}}}}`, []string{"authors[5]", "authors[6]", "authors[16]"}},
	} {
		t.Run(c.what, func(t *testing.T) {
			l := serveUnresolved(t)
			l.ask(t, c.query).want(t, c.data, 0)
			l.wantBatches(t, c.batches...)
		})
	}
}

func TestADeferredRelationNeedsNoResolver(t *testing.T) {
	l := serveUnresolved(t)
	p := l.stream(t.Context(), t, mixed, `{ items(ids: [101, 1002]) { id ... on Book @defer(label: "b") { author { name rival { name } } } ... on Magazine @defer(label: "m") { editor { name } } } }`)
	p.next()
	want := []string{`[items 0]b{"author":{"name":"A1","rival":{"name":"A11"}}}`, `[items 1]m{"editor":{"name":"A2"}}`}
	if got := incremental(t, p); !slices.Equal(got, want) {
		t.Errorf("want %q, got %q", want, got)
	}
	l.wantBatches(t, "items[1002 101]", "authors[1]", "authors[11]", "authors[2]")
}

func TestARelationOfAnEventNeedsNoResolver(t *testing.T) {
	for _, shared := range []bool{false, true} {
		l := serveUnresolved(t)
		if shared {
			l.bind = l.perOperation
		}
		s := l.stream(t.Context(), t, events, `subscription { published { author { name rival { name } books { author { name } } } } }`)
		for author := 1; author <= 2; author++ {
			l.published <- book(100*author + 1)
			want := fmt.Sprintf(`{"data":{"published":{"author":{"name":"A%d","rival":{"name":"A%d"},"books":[{"author":{"name":"A%[1]d"}}]}}}}`, author, author+10)
			if got := s.next(); got != want {
				t.Errorf("one set for all events: %t: want %s, got %s", shared, want, got)
			}
		}
		close(l.published)
		s.next()
		wanted := []string{"authors[1]", "authors[11]", "books[1/1]", "authors[2]", "authors[12]", "books[2/1]"}
		l.wantBatches(t, wanted...)
	}
}

func TestWhatIsWrongWithAnArgumentIsTheErrorOfItsField(t *testing.T) {
	for _, answers := range []bool{false, true} {
		l := newUnresolvedWithout([]string{"Query.author", "Author.books", "Query.authors"}, append(except("", values()),
			batch.Relation("Query", "author", authors, func(batch.Args) (func(batch.Root) (int, bool), error) { return nil, errBroken }),
			batch.Relations("Query", "authors", authors, func(batch.Args) (func(batch.Root) iter.Seq2[int, bool], error) { return nil, errBroken }, listOf[*schematest.Author]),
			batch.Relation("Author", "books", books, func(batch.Args) (func(*schematest.Author) (shelf, bool), error) { return nil, errBroken }).From(),
		)...)
		l.answers = answers
		l.serve(t)
		for query, data := range map[string]string{
			`{ author(id: 1) { name } item(id: 101) { id } }`:                            `{"author":null,"item":{"id":"101"}}`,
			`{ item(id: 101) { id } authors(ids: [1]) { name } }`:                        `null`,
			`{ item(id: 101) { id ... on Book { author { rival { books { id } } } } } }`: `{"item":{"id":"101","author":{"rival":null}}}`,
		} {
			a := l.ask(t, query)
			a.want(t, data, 1)
			if len(a.Errors) == 1 && a.Errors[0].Message != errBroken.Error() {
				t.Errorf("got %v", a.Errors)
			}
		}
		l.wantBatches(t, "items[101]", "items[101]", "items[101]", "authors[1]", "authors[11]")
	}
}

func TestAnErrorOfASourceIsTheErrorOfEachFieldThatHasIt(t *testing.T) {
	l := serveUnresolved(t)
	l.fetch = func(_ context.Context, relation string, _ []string) error {
		if relation == "items" {
			return errBroken
		}
		return nil
	}
	l.ask(t, `{ a: item(id: 101) { id } b: item(id: 101) { id } author(id: 1) { name } }`).want(t, `{"a":null,"b":null,"author":{"name":"A1"}}`, 2)
	l.wantBatches(t, "items[101]", "authors[1]")
}

// Each kind of item by itself.
var (
	bookByID     = read("books by id", func(_ *library, id int) (*schematest.Book, bool) { return book(id), id/100 != 4 })
	magazineByID = read("magazines", func(l *library, id int) (*schematest.Magazine, bool) {
		item, _ := l.item(id)
		m, ok := item.(*schematest.Magazine)
		return m, ok && id < 1400
	})
)

// kinds declare the fields that have items, with a source for each of their types.
func kinds() []batch.Field {
	one := func(magazine bool) func(batch.Args) (func(batch.Root) (int, bool), error) {
		return func(args batch.Args) (func(batch.Root) (int, bool), error) {
			n, err := graphql.UnmarshalIntID(args["id"])
			return func(batch.Root) (int, bool) { return n, n > 1000 == magazine }, err
		}
	}
	several := func(magazine bool) func(batch.Args) (func(batch.Root) iter.Seq2[int, bool], error) {
		return func(args batch.Args) (func(batch.Root) iter.Seq2[int, bool], error) {
			return func(batch.Root) iter.Seq2[int, bool] {
				return func(yield func(int, bool) bool) {
					for _, id := range ids(args["ids"]) {
						if !yield(id, id > 1000 == magazine) {
							return
						}
					}
				}
			}, nil
		}
	}
	return []batch.Field{
		batch.Relation("Query", "item", bookByID, one(false)), batch.Relation("Query", "item", magazineByID, one(true)),
		batch.Relations("Query", "items", bookByID, several(false), listOf[schematest.Item]),
		batch.Relations("Query", "items", magazineByID, several(true), listOf[schematest.Item]),
	}
}

func TestEachTypeOfAnInterfaceMayHaveASourceOfItsOwn(t *testing.T) {
	for _, answers := range []bool{false, true} {
		l := newUnresolvedWithout([]string{"Query.item", "Query.items"}, append(kinds(), except("", values())...)...)
		l.answers = answers
		l.serve(t)
		l.ask(t, `{ a: item(id: 101) { title } b: item(id: 1002) { title ... on Magazine { editor { name } } } c: item(id: 400) { id } }`).
			want(t, `{"a":{"title":"B101"},"b":{"title":"M1002","editor":{"name":"A2"}},"c":null}`, 0)
		l.wantBatches(t, "books by id[101 400]", "magazines[1002]", "authors[2]")
		l.ask(t, `{ items(ids: [1500, 101, 400, 1002, 201]) { title ... on Book { author { name } } ... on Magazine { editor { name } } } none: items(ids: [400]) { id } }`).
			want(t, `{"items":[null,{"title":"B101","author":{"name":"A1"}},null,{"title":"M1002","editor":{"name":"A2"}},{"title":"B201","author":{"name":"A2"}}],"none":[null]}`, 0)
		l.wantBatches(t, "books by id[101 201 400]", "magazines[1002 1500]", "authors[1 2]")
		l.wantResolvers(t, !answers)
	}
}

func TestWhatOneOfSeveralSourcesSaysOfAnArgumentIsSaidOnce(t *testing.T) {
	l := newUnresolvedWithout([]string{"Query.item", "Query.items"}, kinds()...).serve(t)
	l.ask(t, `{ item(id: "x") { id } }`).want(t, `{"item":null}`, 1)
	l.wantBatches(t)
}

func TestALoaderIsMadeOnceHoweverManyAskForItFirst(t *testing.T) {
	for range 50 {
		ctx, _ := batch.NewSet(newUnresolved().with(t.Context()), batch.NewPlan())
		var all sync.WaitGroup
		loaders := make([]*batch.Loader[int, *schematest.Author], 8)
		for i := range loaders {
			all.Go(func() { loaders[i] = authors.Loader(ctx) })
			all.Go(func() { books.Loader(ctx) })
			all.Go(func() { batch.Clear(ctx) })
		}
		all.Wait()
		if slices.ContainsFunc(loaders, func(l *batch.Loader[int, *schematest.Author]) bool { return l != loaders[0] }) {
			t.Fatal("one set has two loaders of a source")
		}
	}
	other, _ := batch.NewSet(t.Context(), batch.NewPlan())
	ctx, _ := batch.NewSet(t.Context(), batch.NewPlan())
	if authors.Loader(ctx) == authors.Loader(other) || authors.Loader(ctx) == batch.NewSource(func(context.Context, []int, batch.Columns) (map[int]*schematest.Author, error) { return nil, nil }).Loader(ctx) {
		t.Error("two sets, or two sources, share a loader")
	}
}
