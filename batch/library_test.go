package batch_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"net/http"
	"net/http/httptest"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/99designs/gqlgen/graphql"
	"github.com/99designs/gqlgen/graphql/handler"
	"github.com/99designs/gqlgen/graphql/handler/transport"
	"github.com/vektah/gqlparser/v2/ast"

	"rollcall/batch"
	"rollcall/schematest"
	"rollcall/schematest/generated"
)

// TestMain fails if the tests leave goroutines behind.
func TestMain(m *testing.M) {
	before := runtime.NumGoroutine()
	code := m.Run()
	for range 500 {
		if runtime.NumGoroutine() <= before {
			os.Exit(code) //nolint:forbidigo // that is what TestMain does
		}
		time.Sleep(10 * time.Millisecond)
	}
	stacks := make([]byte, 1<<20)
	fmt.Fprintf(os.Stderr, "goroutines are left:\n%s\n", stacks[:runtime.Stack(stacks, true)])
	os.Exit(1) //nolint:forbidigo // that is what TestMain does
}

// library serves authors and books that exist as soon as they are asked for: author 1 has the rival 11, the muse
// 21, the editor 31 and the books 101, 102, …; magazine 1001 has the editor 1. Ids from 400 to 499 are missing, and
// the books of author 55 are null.
type library struct {
	url       string
	client    *http.Client
	plan      *batch.Plan
	published chan *schematest.Book
	guard     func(next graphql.Resolver, ctx context.Context) (any, error) // what @guard does; nil: nothing
	guarded   atomic.Int32                                                  // how often it was run
	fallbacks int                                                           // that the test is about; -1: some; -2: any
	answers   bool                                                          // queries are answered from the plan
	fields    atomic.Int32                                                  // that resolvers were asked for

	// What a test may set before it asks.
	fetch   func(ctx context.Context, relation string, keys []string) error // before a batch is read
	columns func(relation string, columns batch.Columns)                    // what a batch is to read
	key     func()                                                          // in the key of Author.editor
	mutate  func(ctx context.Context)                                       // in the resolver of Mutation.oppose
	respond func(query string)                                              // before a query of a group is answered
	bind    func(context.Context, graphql.OperationHandler) graphql.ResponseHandler
	serving func(http.Handler) http.Handler

	recovered graphql.RecoverFunc // the server's
	resolvers generated.ResolverRoot

	begun sync.WaitGroup  // the queries of a group
	set   context.Context // the group's

	partial atomic.Int32 // rows without all their columns that a resolver has seen, which there must not be

	mu      sync.Mutex
	batches []string
	rivals  map[int]int
}

// shelf is the key of an author's books.
type shelf struct{ author, first int }

func (s shelf) String() string { return fmt.Sprintf("%d/%d", s.author, s.first) }

type libraryKey struct{}

func from(ctx context.Context) *library { return ctx.Value(libraryKey{}).(*library) }

// What is loaded.
var (
	authors = read("authors", (*library).author)
	items   = read("items", (*library).item)
	books   = read("books", (*library).books)
)

// relation declares a relation that has a resolver.
func relation[P any, K comparable, V any](typ, name string, source *batch.Source[K, V], key func(batch.Args) (func(P) (K, bool), error)) batch.Field {
	return batch.Relation(typ, name, source, key).WithResolver()
}

// relations is relation for a list with a key for each element.
func relations[P any, K comparable, V any](typ, name string, source *batch.Source[K, V], keys func(batch.Args) (func(P) iter.Seq2[K, bool], error)) batch.Field {
	return batch.Relations(typ, name, source, keys, listOf[V]).WithResolver()
}

// listOf is what gqlgen takes of the objects of a list.
func listOf[V any](objects []any) any {
	all := make([]V, len(objects))
	for i, o := range objects {
		all[i], _ = o.(V)
	}
	return all
}

// ways are how queries may be answered.
var ways = map[string]func(*testing.T, ...batch.Field) *library{"by resolvers": serve, "from the plan": serveFromPlan, "without resolvers": serveUnresolved}

// newLibrary returns a library that declares more than its relations.
func newLibrary(more ...batch.Field) *library { return newLibraryWithout("", more...) }

// newLibraryWithout is newLibrary without the declaration of a field.
func newLibraryWithout(field string, more ...batch.Field) *library {
	l := &library{published: make(chan *schematest.Book), rivals: map[int]int{}}
	l.bind, l.recovered, l.resolvers = l.perEvent, quiet, resolver{library: l}
	fields := except(field, l.declarations())
	for i, f := range fields {
		fields[i] = f.WithResolver()
	}
	l.plan = batch.NewPlan(append(fields, more...)...)
	return l
}

// declarations are those of the library's relations and columns.
func (l *library) declarations() []declared {
	return []declared{
		{"", batch.Column("Author", "", "id")},
		{"", batch.Column("Author", "name", "name")},
		{"", batch.Column("Author", "rival", "rival_id")},
		{"", batch.Column("Book", "", "id")},
		{"", batch.Column("Book", "title", "title")},
		{"", batch.Column("Book", "author", "author_id")},
		{"", batch.Column("Magazine", "", "id")},
		{"", batch.Column("Magazine", "title", "title")},

		{"Query.author", batch.Relation("Query", "author", authors, argument)},
		{"Query.authors", batch.Relations("Query", "authors", authors, elements, listOf[*schematest.Author])},
		{"Query.item", batch.Relation("Query", "item", items, argument)},
		{"Query.items", batch.Relations("Query", "items", items, elements, listOf[schematest.Item])},
		{"Author.rival", batch.Relation("Author", "rival", authors, batch.Key(func(a *schematest.Author) (int, bool) { return a.Rival, true }))},
		{"Author.books", batch.Relation("Author", "books", books, func(args batch.Args) (func(*schematest.Author) (shelf, bool), error) {
			first, err := graphql.UnmarshalInt(args["first"])
			if err != nil && args["first"] != nil {
				return nil, err
			}
			return func(a *schematest.Author) (shelf, bool) { return shelf{a.ID, max(first, 1)}, true }, nil
		}).From()},
		{"Author.editor", batch.Relation("Author", "editor", authors, batch.Key(func(a *schematest.Author) (int, bool) {
			if l.key != nil {
				l.key()
			}
			return a.ID + 30, true
		})).From()},
		{"Book.author", batch.Relation("Book", "author", authors, batch.Key(func(b *schematest.Book) (int, bool) { return b.Author, true }))},
		{"Magazine.editor", batch.Relation("Magazine", "editor", authors, batch.Key(func(m *schematest.Magazine) (int, bool) { return m.Editor, true })).From("editor_id")},
		{"Shelf.books", batch.Paths("Shelf", "books", func(s *schematest.Shelf) []*schematest.Book { return s.Books })},
	}
}

// declared is a declaration that a test may do without.
type declared struct {
	field string
	batch.Field
}

func except(field string, all []declared) (fields []batch.Field) {
	for _, d := range all {
		if d.field == "" || d.field != field {
			fields = append(fields, d.Field)
		}
	}
	return fields
}

// newFromPlan returns a library whose queries are answered from its plan.
func newFromPlan(more ...batch.Field) *library { return newFromPlanWithout("", more...) }

func newFromPlanWithout(field string, more ...batch.Field) *library {
	l := newLibraryWithout(field, append(except(field, values()), more...)...)
	l.answers = true
	return l
}

// values are the declarations of what is not a relation.
func values() []declared {
	return []declared{
		{"Author.id", value("Author", "id", func(a *schematest.Author) string { return strconv.Itoa(a.ID) }).From()},
		{"Author.name", value("Author", "name", func(a *schematest.Author) string { return a.Name })},
		{"Book.id", value("Book", "id", func(b *schematest.Book) string { return strconv.Itoa(b.ID) }).From()},
		{"Book.title", value("Book", "title", func(b *schematest.Book) string { return b.Title })},
		{"Magazine.id", value("Magazine", "id", func(m *schematest.Magazine) string { return strconv.Itoa(m.ID) }).From()},
		{"Magazine.title", value("Magazine", "title", func(m *schematest.Magazine) string { return m.Title })},
	}
}

func value[P any](typ, name string, of func(P) string) batch.Field {
	return batch.Value(typ, name, func(b []byte, p P) []byte { return strconv.AppendQuote(b, of(p)) })
}

// argument is the key in the argument id.
func argument(args batch.Args) (func(batch.Root) (int, bool), error) {
	return func(batch.Root) (int, bool) { return id(args["id"]), true }, nil
}

// elements is the keys in the argument ids.
func elements(args batch.Args) (func(batch.Root) iter.Seq2[int, bool], error) {
	return func(batch.Root) iter.Seq2[int, bool] {
		return func(yield func(int, bool) bool) {
			for _, id := range ids(args["ids"]) {
				if !yield(id, true) {
					return
				}
			}
		}
	}, nil
}

// serve starts the library's server, and ends it with the test, which fails if its fallbacks are not those that
// it is about.
func serve(t *testing.T, more ...batch.Field) *library {
	t.Helper()
	return newLibrary(more...).serve(t)
}

// serveFromPlan is serve with queries that are answered from the plan.
func serveFromPlan(t *testing.T, more ...batch.Field) *library {
	t.Helper()
	return newFromPlan(more...).serve(t)
}

func (l *library) serve(t *testing.T) *library {
	t.Helper()
	srv := handler.New(l.schema())
	srv.AddTransport(transport.SSE{})
	srv.AddTransport(transport.MultipartMixed{})
	srv.AddTransport(transport.POST{})
	srv.AroundOperations(func(ctx context.Context, next graphql.OperationHandler) graphql.ResponseHandler {
		return l.bind(ctx, next)
	})
	srv.AroundFields(func(ctx context.Context, next graphql.Resolver) (any, error) {
		l.fields.Add(1)
		return next(ctx)
	})
	srv.Use(l.plan)
	srv.SetRecoverFunc(func(ctx context.Context, p any) error { return l.recovered(ctx, p) })
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if l.serving != nil {
			l.serving(srv).ServeHTTP(w, r)
			return
		}
		srv.ServeHTTP(w, r)
	}))
	l.url, l.client = server.URL, &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 64}}
	t.Cleanup(func() {
		server.Close()
		l.client.CloseIdleConnections()
		if n := l.partial.Load(); n != 0 {
			t.Errorf("resolvers saw %d rows that lack columns", n)
		}
		if n := int(l.plan.Fallbacks()); n != l.fallbacks && (n == 0 || l.fallbacks >= 0) && l.fallbacks != -2 {
			t.Errorf("want %d fallbacks, got %d", l.fallbacks, n)
		}
	})
	return l
}

// quiet is a RecoverFunc that prints no stack.
func quiet(context.Context, any) error { return errors.New("internal system error") }

func (l *library) schema() graphql.ExecutableSchema {
	schema := generated.NewExecutableSchema(generated.Config{
		Resolvers: l.resolvers, Directives: generated.DirectiveRoot{Guard: l.runGuard, GuardInput: l.runGuard},
	})
	if l.answers {
		return l.plan.Answers(schema)
	}
	return schema
}

func (l *library) runGuard(ctx context.Context, _ any, next graphql.Resolver) (any, error) {
	l.guarded.Add(1)
	if l.guard != nil {
		return l.guard(next, ctx)
	}
	return next(ctx)
}

// perEvent makes a set for each operation, and for each event of a subscription.
func (l *library) perEvent(ctx context.Context, next graphql.OperationHandler) graphql.ResponseHandler {
	respond := next(l.context(ctx))
	if graphql.GetOperationContext(ctx).Operation.Operation != ast.Subscription {
		return respond
	}
	return func(ctx context.Context) *graphql.Response { return respond(l.context(ctx)) }
}

// perOperation makes a set for each operation and no more.
func (l *library) perOperation(ctx context.Context, next graphql.OperationHandler) graphql.ResponseHandler {
	return next(l.context(ctx))
}

// context returns ctx with a new set and its loaders.
func (l *library) context(ctx context.Context) context.Context {
	ctx, _ = batch.NewSet(l.with(ctx), l.plan, operation(ctx)...)
	return ctx
}

// operation returns the operation of ctx, if there is one.
func operation(ctx context.Context) []*graphql.OperationContext {
	if !graphql.HasOperationContext(ctx) {
		return nil
	}
	return []*graphql.OperationContext{graphql.GetOperationContext(ctx)}
}

func (l *library) with(ctx context.Context) context.Context {
	return context.WithValue(ctx, libraryKey{}, l)
}

// read returns the source of a relation.
func read[K comparable, V any](relation string, one func(*library, K) (V, bool)) *batch.Source[K, V] {
	return batch.NewSource(func(ctx context.Context, keys []K, columns batch.Columns) (map[K]V, error) {
		l := from(ctx)
		var names []string
		for _, k := range keys {
			names = append(names, fmt.Sprint(k))
		}
		slices.Sort(names)
		l.mu.Lock()
		l.batches = append(l.batches, fmt.Sprint(relation, names))
		l.mu.Unlock()
		if l.columns != nil {
			l.columns(relation, columns)
		}
		if l.fetch != nil {
			if err := l.fetch(ctx, relation, names); err != nil {
				return nil, err
			}
		}
		values := map[K]V{}
		for _, k := range keys {
			if v, ok := one(l, k); ok {
				narrow(columns, v)
				values[k] = v
			}
		}
		return values, ctx.Err()
	})
}

// narrow takes from rows what a statement would not have read.
func narrow(columns batch.Columns, value any) {
	switch v := value.(type) {
	case *schematest.Author:
		cut(columns, "Author", "name", &v.Name)
		cut(columns, "Author", "rival_id", &v.Rival)
	case *schematest.Book:
		cut(columns, "Book", "title", &v.Title)
		cut(columns, "Book", "author_id", &v.Author)
	case *schematest.Magazine:
		cut(columns, "Magazine", "title", &v.Title)
		cut(columns, "Magazine", "editor_id", &v.Editor)
	case []*schematest.Book:
		for _, b := range v {
			narrow(columns, b)
		}
	}
}

func cut[V any](columns batch.Columns, typ, column string, value *V) {
	if !slices.Contains(columns.Of(typ), column) {
		*value = *new(V)
	}
}

func (l *library) author(id int) (*schematest.Author, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	a := &schematest.Author{ID: id, Name: fmt.Sprint("A", id), Rival: id + 10}
	if rival, ok := l.rivals[id]; ok {
		a.Rival = rival
	}
	return a, id/100 != 4
}

func (l *library) item(id int) (schematest.Item, bool) {
	if id > 1000 {
		return &schematest.Magazine{ID: id, Title: fmt.Sprint("M", id), Editor: id - 1000}, true
	}
	return book(id), id/100 != 4
}

func (l *library) books(s shelf) ([]*schematest.Book, bool) {
	var all []*schematest.Book
	if s.author == 55 {
		return nil, true
	}
	for i := range s.first {
		all = append(all, book(100*s.author+1+i))
	}
	return all, s.author/100 != 4
}

func book(id int) *schematest.Book {
	return &schematest.Book{ID: id, Title: fmt.Sprint("B", id), Author: id / 100}
}

// id is an argument's id; 0 if it is none.
func id(arg any) int {
	n, _ := graphql.UnmarshalIntID(arg)
	return n
}

func ids(arg any) (all []int) {
	for _, a := range arg.([]any) {
		all = append(all, id(a))
	}
	return all
}

// The resolvers of the library; the rest of the schema is left out.
type (
	resolver struct {
		generated.ResolverRoot
		*library
	}
	queryResolver struct {
		generated.QueryResolver
		*library
	}
	mutationResolver struct {
		generated.MutationResolver
		*library
	}
	subscriptionResolver struct {
		generated.SubscriptionResolver
		*library
	}
	numbersResolver  struct{}
	vaultResolver    struct{}
	authorResolver   struct{}
	bookResolver     struct{}
	magazineResolver struct{}
)

func (r resolver) Query() generated.QueryResolver       { return queryResolver{library: r.library} }
func (r resolver) Mutation() generated.MutationResolver { return mutationResolver{library: r.library} }

func (r resolver) Subscription() generated.SubscriptionResolver {
	return subscriptionResolver{library: r.library}
}

func (resolver) Numbers() generated.NumbersResolver   { return numbersResolver{} }
func (resolver) Vault() generated.VaultResolver       { return vaultResolver{} }
func (resolver) Author() generated.AuthorResolver     { return authorResolver{} }
func (resolver) Book() generated.BookResolver         { return bookResolver{} }
func (resolver) Magazine() generated.MagazineResolver { return magazineResolver{} }

// see notes rows that a resolver sees without all their columns.
func see[V any](ctx context.Context, value V) V {
	partial := false
	switch v := any(value).(type) {
	case *schematest.Author:
		partial = v != nil && (v.Name == "" || v.Rival == 0)
	case *schematest.Book:
		partial = v != nil && (v.Title == "" || v.Author == 0)
	case *schematest.Magazine:
		partial = v != nil && (v.Title == "" || v.Editor == 0)
	case []*schematest.Book:
		for _, b := range v {
			see(ctx, b)
		}
	}
	if partial {
		from(ctx).partial.Add(1)
	}
	return value
}

// loaded is what a resolver gets from a loader.
func loaded[K comparable, V any](ctx context.Context, s *batch.Source[K, V], key K) (V, error) {
	value, err := s.Load(ctx, key)
	return see(ctx, value), err
}

func (queryResolver) Author(ctx context.Context, id int) (*schematest.Author, error) {
	return loaded(ctx, authors, id)
}

func (queryResolver) Authors(ctx context.Context, ids []int) ([]*schematest.Author, error) {
	return each(ctx, authors, ids)
}

func (queryResolver) Prizewinners(ctx context.Context, ids []int) ([]*schematest.Author, error) {
	return each(ctx, authors, ids)
}

func (queryResolver) Window(context.Context) (*schematest.Shelf, error) {
	return &schematest.Shelf{Books: []*schematest.Book{book(101)}}, nil
}

func (queryResolver) Item(ctx context.Context, id int) (schematest.Item, error) {
	return loaded(ctx, items, id)
}

func (queryResolver) Items(ctx context.Context, ids []int) ([]schematest.Item, error) {
	return each(ctx, items, ids)
}

func each[V any](ctx context.Context, s *batch.Source[int, V], ids []int) (all []V, err error) {
	for _, id := range ids {
		v, err := loaded(ctx, s, id)
		if err != nil {
			return nil, err
		}
		all = append(all, v)
	}
	return all, nil
}

func (r queryResolver) Latest(context.Context) ([]schematest.Found, error) {
	author, _ := r.author(1)
	magazine, _ := r.item(1002)
	return []schematest.Found{author, book(301), magazine.(*schematest.Magazine), nil, book(501)}, nil
}

func (queryResolver) Shelf(context.Context) (*schematest.Shelf, error) {
	return &schematest.Shelf{Books: []*schematest.Book{book(101), book(201)}}, nil
}

func (r mutationResolver) Oppose(ctx context.Context, author, rival int) (*schematest.Author, error) {
	if r.mutate != nil {
		r.mutate(ctx)
	}
	r.mu.Lock()
	r.rivals[author] = rival
	r.mu.Unlock()
	batch.Clear(ctx)
	a, _ := r.author(author)
	return a, nil
}

func (r subscriptionResolver) Published(context.Context) (<-chan *schematest.Book, error) {
	return r.published, nil
}

func (authorResolver) Rival(ctx context.Context, a *schematest.Author) (*schematest.Author, error) {
	return loaded(ctx, authors, see(ctx, a).Rival)
}

func (authorResolver) Books(ctx context.Context, a *schematest.Author, first *int) ([]*schematest.Book, error) {
	key := shelf{see(ctx, a).ID, 1}
	if first != nil {
		key.first = *first
	}
	return loaded(ctx, books, key)
}

func (r authorResolver) Prized(ctx context.Context, a *schematest.Author, first *int) ([]*schematest.Book, error) {
	return r.Books(ctx, a, first)
}

func (authorResolver) Muse(ctx context.Context, a *schematest.Author) (*schematest.Author, error) {
	return loaded(ctx, authors, see(ctx, a).ID+20)
}

func (authorResolver) Editor(ctx context.Context, a *schematest.Author) (*schematest.Author, error) {
	return loaded(ctx, authors, see(ctx, a).ID+30)
}

func (bookResolver) Author(ctx context.Context, b *schematest.Book) (*schematest.Author, error) {
	return loaded(ctx, authors, see(ctx, b).Author)
}

func (magazineResolver) Editor(ctx context.Context, m *schematest.Magazine) (*schematest.Author, error) {
	return loaded(ctx, authors, see(ctx, m).Editor)
}

// send posts an operation. An empty accept is for one answer in JSON.
func (l *library) send(ctx context.Context, accept, query string) (*http.Response, error) {
	body, err := json.Marshal(map[string]string{"query": query})
	if err != nil {
		return nil, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, l.url, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Accept", accept)
	return l.client.Do(req)
}

// answer is an operation's answer.
type answer struct {
	Data       json.RawMessage
	Errors     []struct{ Message string }
	Extensions map[string][]string
}

func (l *library) ask(t *testing.T, query string) (a answer) {
	t.Helper()
	res, err := l.send(t.Context(), "", query)
	if err != nil {
		t.Error(err)
		return a
	}
	defer func() { _ = res.Body.Close() }()
	if err := json.NewDecoder(res.Body).Decode(&a); err != nil {
		t.Error(err)
	}
	return a
}

// want fails unless the data is this and there are as many errors.
func (a answer) want(t *testing.T, data string, errors int) {
	t.Helper()
	if string(a.Data) != data || len(a.Errors) != errors {
		t.Errorf("want %s and %d errors, got %s and %v", data, errors, a.Data, a.Errors)
	}
}

// wantBatches fails unless the batches since the last time were these, in whatever order.
func (l *library) wantBatches(t *testing.T, batches ...string) {
	t.Helper()
	l.mu.Lock()
	got := l.batches
	l.batches = nil
	l.mu.Unlock()
	slices.Sort(got)
	slices.Sort(batches)
	if !slices.Equal(got, batches) {
		t.Errorf("want the batches %q, got %q", batches, got)
	}
}

// parts reads the parts of an answer, each with a line of JSON.
type parts struct {
	response *http.Response
	lines    *bufio.Scanner
}

func (l *library) stream(ctx context.Context, t *testing.T, accept, query string) *parts {
	t.Helper()
	res, err := l.send(ctx, accept, query)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = res.Body.Close() })
	return &parts{res, bufio.NewScanner(res.Body)}
}

// next returns the next line of JSON, or "" at the end.
func (p *parts) next() string {
	for p.lines.Scan() {
		if line := strings.TrimPrefix(p.lines.Text(), "data: "); strings.HasPrefix(line, "{") {
			return line
		}
	}
	return ""
}
