package batch_test

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/99designs/gqlgen/graphql"

	"rollcall/batch"
	"rollcall/schematest"
)

// hidden is what is hidden in a library, by type and field: of objects with odd ids, unless it says otherwise.
var hidden = map[string]func(ctx context.Context, object any) bool{
	"Query.item":         everywhere,
	"Query.prizewinners": everywhere,
	"Query.window":       everywhere,
	"Author.pen":         ofOdd(func(a *schematest.Author) int { return a.ID }),
	"Author.rival":       ofOdd(func(a *schematest.Author) int { return a.ID }),
	"Author.prized":      ofOdd(func(a *schematest.Author) int { return a.ID }),
	"Author.home":        ofOdd(func(a *schematest.Author) int { return a.ID }),
	"Book.note":          everywhere,
	"Book.author":        ofOdd(func(b *schematest.Book) int { return b.Author }),
}

func everywhere(context.Context, any) bool { return true }

func ofOdd[P any](id func(P) int) func(context.Context, any) bool {
	return func(_ context.Context, object any) bool { return id(batch.ObjectOf[P](object))%2 == 1 }
}

// hideable are declarations of fields that may be null.
func hideable() []batch.Field {
	return []batch.Field{
		batch.Relations("Query", "prizewinners", authors, elements, listOf[*schematest.Author]),
		batch.Relation("Author", "prized", books, func(args batch.Args) (func(*schematest.Author) (shelf, bool), error) {
			first, err := graphql.UnmarshalInt(args["first"])
			if err != nil && args["first"] != nil || first == 13 {
				return nil, errors.Join(err, errBroken)
			}
			return func(a *schematest.Author) (shelf, bool) { return shelf{a.ID, max(first, 1)}, true }, nil
		}).From(),
		batch.Path("Query", "window", func(batch.Root) *schematest.Shelf { return &schematest.Shelf{Books: []*schematest.Book{book(101)}} }),
		batch.Path("Author", "home", (*schematest.Author).Home).From(),
		value("Author", "pen", (*schematest.Author).Pen).From(),
		value("Book", "note", (*schematest.Book).Note).From(),
		value("Magazine", "note", (*schematest.Magazine).Note).From(),
	}
}

// withResolver says of declarations that gqlgen finds resolvers for them.
func withResolver(fields []batch.Field) []batch.Field {
	for i, f := range fields {
		fields[i] = f.WithResolver()
	}
	return fields
}

// hidingWays are how queries may be answered in which fields are hidden.
var hidingWays = map[string]func() *library{
	"by resolvers":      func() *library { return newLibrary(withResolver(hideable())...) },
	"from the plan":     func() *library { return newFromPlan(withResolver(hideable())...) },
	"without resolvers": func() *library { return newUnresolved(hideable()...) },
}

// hiding has a library hide fields.
func (l *library) hiding(of map[string]func(ctx context.Context, object any) bool) *library {
	for name, hides := range of {
		typ, field, _ := strings.Cut(name, ".")
		l.plan.Hide(typ, field, func(ctx context.Context) func(any) bool { return func(object any) bool { return hides(ctx, object) } })
	}
	return l
}

// wantForbidden fails unless an answer says that these paths were hidden, in order.
func (a answer) wantForbidden(t *testing.T, paths ...string) {
	t.Helper()
	if got := a.Extensions["forbidden"]; !slices.Equal(got, paths) || len(paths) == 0 && a.Extensions != nil {
		t.Errorf("want the paths %q, got %q", paths, a.Extensions)
	}
}

func TestAHiddenFieldIsNullAndNothingIsReadForIt(t *testing.T) {
	for way, library := range hidingWays {
		t.Run(way, func(t *testing.T) {
			l := library().hiding(hidden).serve(t)
			for _, c := range []struct {
				what, query, data string
				forbidden         []string
				batches           []string
			}{
				{"a value", `{ authors(ids: [1, 2, 3]) { pen id } }`, `{"authors":[{"pen":null,"id":"1"},{"pen":"P2","id":"2"},{"pen":null,"id":"3"}]}`, []string{"authors.pen"}, []string{"authors[1 2 3]"}},
				{"a value of nobody", `{ authors(ids: [2, 400]) { pen } }`, `{"authors":[{"pen":"P2"},null]}`, nil, []string{"authors[2 400]"}},
				{"by aliases", `{ all: authors(ids: [1]) { one: pen two: pen } }`, `{"all":[{"one":null,"two":null}]}`, []string{"all.one", "all.two"}, []string{"authors[1]"}},
				{"a relation", `{ authors(ids: [1, 2]) { rival { name } } }`, `{"authors":[{"rival":null},{"rival":{"name":"A12"}}]}`, []string{"authors.rival"}, []string{"authors[1 2]", "authors[12]"}},
				{"a relation of all", `{ author(id: 1) { rival { name books { title } } } }`, `{"author":{"rival":null}}`, []string{"author.rival"}, []string{"authors[1]"}},
				{
					"a list", `{ authors(ids: [1, 2]) { prized(first: 2) { title author { name } } } }`,
					`{"authors":[{"prized":null},{"prized":[{"title":"B201","author":{"name":"A2"}},{"title":"B202","author":{"name":"A2"}}]}]}`,
					[]string{"authors.prized"},
					[]string{"authors[1 2]", "books[2/2]"},
				},
				{"a list of all", `{ author(id: 1) { prized { title } } }`, `{"author":{"prized":null}}`, []string{"author.prized"}, []string{"authors[1]"}},
				{
					"a path", `{ authors(ids: [1, 2]) { home { books { title author { name } } } } }`,
					`{"authors":[{"home":null},{"home":{"books":[{"title":"B201","author":{"name":"A2"}}]}}]}`,
					[]string{"authors.home"},
					[]string{"authors[1 2]"},
				},
				{
					"in fragments", `{ authors(ids: [1, 2]) { ...F ... on Node { ... on Author { rival { id } } } } } fragment F on Author { pen rival { name } }`,
					`{"authors":[{"pen":null,"rival":null},{"pen":"P2","rival":{"name":"A12","id":"12"}}]}`,
					[]string{"authors.pen", "authors.rival"},
					[]string{"authors[1 2]", "authors[12]"},
				},
				{"of an interface", `{ items(ids: [101, 1001]) { note title } }`, `{"items":[{"note":null,"title":"B101"},{"note":"N1001","title":"M1001"}]}`, []string{"items.note"}, []string{"items[1001 101]"}},
				{
					"of one type of several", `{ items(ids: [101, 201, 1001]) { ... on Book { by: author { name } } ... on Magazine { by: editor { name } } } }`,
					`{"items":[{"by":null},{"by":{"name":"A2"}},{"by":{"name":"A1"}}]}`,
					[]string{"items.by"},
					[]string{"items[1001 101 201]", "authors[1 2]"},
				},
				{"a field of the root", `{ item(id: 101) { title } author(id: 2) { pen } }`, `{"item":null,"author":{"pen":"P2"}}`, []string{"item"}, []string{"authors[2]"}},
				{"a list of the root", `{ prizewinners(ids: [1, 2]) { rival { name } } }`, `{"prizewinners":null}`, []string{"prizewinners"}, nil},
				{"a path of the root", `{ w: window { books { author { name } } } }`, `{"w":null}`, []string{"w"}, nil},
				{
					"at several depths", `{ author(id: 2) { rival { rival { pen } pen } books { author { rival { pen } } } } }`,
					`{"author":{"rival":{"rival":{"pen":"P22"},"pen":"P12"},"books":[{"author":{"rival":{"pen":"P12"}}}]}}`, nil,
					[]string{"authors[2]", "authors[12]", "books[2/1]", "authors[22]"},
				},
				{
					"below what is not", `{ authors(ids: [1, 3, 2]) { books(first: 2) { author { name } note } editor { editor { pen } } } }`,
					`{"authors":[{"books":[{"author":null,"note":null},{"author":null,"note":null}],"editor":{"editor":{"pen":null}}},` +
						`{"books":[{"author":null,"note":null},{"author":null,"note":null}],"editor":{"editor":{"pen":null}}},` +
						`{"books":[{"author":{"name":"A2"},"note":null},{"author":{"name":"A2"},"note":null}],"editor":{"editor":{"pen":"P62"}}}]}`,
					[]string{"authors.books.author", "authors.books.note", "authors.editor.editor.pen"},
					[]string{"authors[1 2 3]", "books[1/2 2/2 3/2]", "authors[31 32 33]", "authors[61 62 63]"},
				},
			} {
				t.Run(c.what, func(t *testing.T) {
					a := l.ask(t, c.query)
					a.want(t, c.data, 0)
					a.wantForbidden(t, c.forbidden...)
					l.wantBatches(t, c.batches...)
					l.wantResolvers(t, !l.answers)
				})
			}
		})
	}
}

func TestWhatIsHiddenOfAMutationsResultIsNotRead(t *testing.T) {
	for way, library := range hidingWays {
		t.Run(way, func(t *testing.T) {
			l := library().hiding(hidden).serve(t)
			a := l.ask(t, `mutation { one: oppose(author: 1, rival: 4) { pen rival { name } books { note author { name } } } two: oppose(author: 2, rival: 4) { pen rival { pen } } }`)
			a.want(t, `{"one":{"pen":null,"rival":null,"books":[{"note":null,"author":null}]},"two":{"pen":"P2","rival":{"pen":"P4"}}}`, 0)
			a.wantForbidden(t, "one.books.author", "one.books.note", "one.pen", "one.rival")
			l.wantBatches(t, "books[1/1]", "authors[4]")
		})
	}
}

func TestEachQueryOfAGroupTellsOfItsOwnHiddenFields(t *testing.T) {
	for way, library := range hidingWays {
		t.Run(way, func(t *testing.T) {
			l := library().hiding(hidden)
			members := []context.Context{t.Context(), t.Context(), t.Context()}
			answers := l.group(t, t.Context(), members, `{ author(id: 1) { pen rival { name } } }`, `{ author(id: 2) { pen rival { name } } }`, `{ a: author(id: 3) { pen } }`)
			for i, want := range []struct {
				data      string
				forbidden []string
			}{
				{`{"author":{"pen":null,"rival":null}}`, []string{"author.pen", "author.rival"}},
				{`{"author":{"pen":"P2","rival":{"name":"A12"}}}`, nil},
				{`{"a":{"pen":null}}`, []string{"a.pen"}},
			} {
				a := <-answers[i]
				wantData(t, a, want.data)
				if got, _ := a.Extensions["forbidden"].([]string); !slices.Equal(got, want.forbidden) {
					t.Errorf("query %d: want %q, got %q", i, want.forbidden, a.Extensions)
				}
			}
			l.wantBatches(t, "authors[1 2 3]", "authors[12]")
		})
	}
}

func TestAHiddenFieldThatIsDeferredIsNotRead(t *testing.T) {
	for way, library := range hidingWays {
		t.Run(way, func(t *testing.T) {
			l := library().hiding(hidden).serve(t)
			p := l.stream(t.Context(), t, mixed, `{ authors(ids: [1, 2, 3]) { id ... @defer(label: "later") { pen rival { name } } } items(ids: [101]) { note } }`)
			var got, told []string
			for line := p.next(); line != ""; line = p.next() {
				var part struct {
					answer
					Incremental []answer
				}
				if err := json.Unmarshal([]byte(line), &part); err != nil {
					t.Fatal(err)
				}
				for _, a := range append(part.Incremental, part.answer) {
					told = append(told, a.Extensions["forbidden"]...)
					if a.Data != nil {
						got = append(got, string(a.Data))
					}
					if strings.Contains(string(a.Data), `{"rival":null}`) && !slices.Contains(told, "authors.rival") {
						t.Errorf("%s comes before its path", a.Data)
					}
				}
			}
			want := []string{
				`{"authors":[{"id":"1","pen":null,"rival":null},{"id":"2","pen":"P2","rival":null},{"id":"3","pen":null,"rival":null}],"items":[{"note":null}]}`,
				`{"rival":null}`, `{"rival":null}`, `{"rival":{"name":"A12"}}`,
			}
			slices.Sort(want)
			slices.Sort(got)
			slices.Sort(told)
			if !slices.Equal(got, want) || !slices.Equal(told, []string{"authors.pen", "authors.rival", "items.note"}) {
				t.Errorf("want %q, got %q and the paths %q", want, got, told)
			}
			l.wantBatches(t, "authors[1 2 3]", "items[101]", "authors[12]")
		})
	}
}

func TestAHiddenFieldOfAnEventIsNotRead(t *testing.T) {
	for way, library := range hidingWays {
		for _, shared := range []bool{false, true} {
			t.Run(way, func(t *testing.T) {
				l := library().hiding(hidden).serve(t)
				if shared {
					l.bind = l.perOperation
				}
				s := l.stream(t.Context(), t, events, `subscription { published { note by: author { name pen rival { pen } } } }`)
				for _, e := range []struct {
					id      int
					want    string
					batches []string
				}{
					{101, `{"data":{"published":{"note":null,"by":null}},"extensions":{"forbidden":["published.by","published.note"]}}`, nil},
					{201, `{"data":{"published":{"note":null,"by":{"name":"A2","pen":"P2","rival":{"pen":"P12"}}}},"extensions":{"forbidden":["published.note"]}}`, []string{"authors[2]", "authors[12]"}},
					{301, `{"data":{"published":{"note":null,"by":null}},"extensions":{"forbidden":["published.by","published.note"]}}`, nil},
				} {
					l.published <- book(e.id)
					if got := s.next(); got != e.want {
						t.Errorf("want %s, got %s", e.want, got)
					}
					l.wantBatches(t, e.batches...)
				}
				close(l.published)
				s.next()
			})
		}
	}
}

func TestWhatHidesIsAskedOnceForAllObjectsOfASelection(t *testing.T) {
	for _, hides := range []bool{false, true} {
		var asked, objects int
		l := newFromPlan(withResolver(hideable())...)
		l.plan.Hide("Author", "pen", func(context.Context) func(any) bool {
			asked++
			if !hides {
				return nil
			}
			return func(any) bool { objects++; return false }
		})
		a := l.serve(t).ask(t, `{ authors(ids: [2, 4, 12]) { pen } }`)
		a.want(t, `{"authors":[{"pen":"P2"},{"pen":"P4"},{"pen":"P12"}]}`, 0)
		a.wantForbidden(t)
		if want := map[bool]int{true: 3}[hides]; asked != 1 || objects != want {
			t.Errorf("asked %d times and about %d objects, want %d", asked, objects, want)
		}
	}
}

func TestAnAnswerThatThePlanGivesUpLeavesNoPaths(t *testing.T) {
	for _, c := range []struct {
		what      string
		hides     func(call int32) bool
		pen       string
		forbidden []string
	}{
		{"hidden from the plan alone", func(call int32) bool { return call == 1 }, `"P2"`, nil},
		{"hidden from the resolvers alone", func(call int32) bool { return call > 1 }, "null", []string{"author.pen"}},
		{"hidden from both", func(int32) bool { return true }, "null", []string{"author.pen"}},
	} {
		t.Run(c.what, func(t *testing.T) {
			var calls atomic.Int32
			l := newFromPlan(withResolver(hideable())...).hiding(map[string]func(context.Context, any) bool{
				"Author.pen": func(context.Context, any) bool { return c.hides(calls.Add(1)) },
			}).serve(t)
			l.fallbacks = -2
			l.fetch = func(_ context.Context, _ string, keys []string) error {
				if keys[0] == "12" {
					return errBroken
				}
				return nil
			}
			a := l.ask(t, `{ author(id: 2) { pen rival { name } } }`)
			a.want(t, `{"author":{"pen":`+c.pen+`,"rival":null}}`, 1)
			a.wantForbidden(t, c.forbidden...)
			l.wantResolvers(t, true)
		})
	}
}

func TestAFieldIsHiddenWhereNoSetIs(t *testing.T) {
	l := newLibrary(withResolver(hideable())...).hiding(hidden)
	l.bind = func(ctx context.Context, next graphql.OperationHandler) graphql.ResponseHandler {
		return next(l.with(ctx))
	}
	a := l.serve(t).ask(t, `{ latest { ... on Author { pen } ... on Item { note } } }`)
	a.want(t, `{"latest":[{"pen":null},{"note":null},{"note":"N1002"},null,{"note":null}]}`, 0)
	a.wantForbidden(t)
}
