package batch_test

import (
	"context"
	"iter"
	"strings"
	"testing"

	"github.com/99designs/gqlgen/graphql"
	"github.com/99designs/gqlgen/graphql/executor"
	"github.com/vektah/gqlparser/v2"
	"github.com/vektah/gqlparser/v2/ast"

	"rollcall/batch"
	"rollcall/schematest"
)

func ofAuthor(a *schematest.Author) (int, bool)      { return a.ID, true }
func ofShelf(s *schematest.Shelf) []*schematest.Book { return s.Books }
func write(b []byte, _ *schematest.Author) []byte    { return b }

func TestAPlanRefusesAtTheStartWhatCannotBeRight(t *testing.T) {
	var (
		key      = batch.Key(ofAuthor)
		rootKey  = batch.Key(func(batch.Root) (int, bool) { return 0, false })
		noSource *batch.Source[int, *schematest.Author]
		noKeys   func(batch.Args) (func(*schematest.Author) iter.Seq2[int, bool], error)
		bookByID = batch.NewSource(func(context.Context, []int, batch.Columns) (map[int]*schematest.Book, error) { return nil, nil })
		matrices = batch.NewSource(func(context.Context, []int, batch.Columns) (map[int][][]int, error) { return nil, nil })
		name     = value("Author", "name", func(a *schematest.Author) string { return a.Name })
	)
	for _, c := range []struct {
		what   string
		fields []batch.Field
		want   string
	}{
		{"an unknown type", []batch.Field{relation("Reader", "rival", authors, rootKey)}, "no type Reader"},
		{"an unknown field", []batch.Field{relation("Author", "cat", authors, key)}, "no field Author.cat"},
		{"an unknown field of a path", []batch.Field{batch.Path("Shelf", "nodes", ofShelf)}, "no field Shelf.nodes"},
		{"an interface", []batch.Field{relation("Item", "title", authors, rootKey)}, "Item is not an object type"},
		{"a column of an unknown type", []batch.Field{batch.Column("Reader", "", "id")}, "no type Reader"},
		{"a column of an unknown field", []batch.Field{batch.Column("Author", "cat", "cat")}, "no field Author.cat"},
		{"a column without a name", []batch.Field{batch.Column("Author", "name", "last", "")}, "a column of Author.name has an empty name"},
		{"a column of every reader without a name", []batch.Field{batch.Column("Author", "", "")}, "a column of Author has an empty name"},
		{"From without a name", []batch.Field{name.From("")}, "a column of Author.name has an empty name"},
		{"a column of a type without a name", []batch.Field{batch.Column("", "name", "id")}, "has no type's name"},
		{"a field without a name", []batch.Field{batch.Value("Author", "", write)}, "a Value of Author has an empty name"},
		{"a declaration of nothing", []batch.Field{{}}, "has no type's name"},
		{"inert directives without a name", []batch.Field{batch.Inert()}, "Inert names no directive"},
		{"an inert directive without a name", []batch.Field{batch.Inert("")}, "Inert has an empty name"},
		{"an inert directive that is an @", []batch.Field{batch.Inert("auth", "@")}, "Inert has an empty name"},

		{"a mutation's columns", []batch.Field{batch.Column("Mutation", "", "id")}, "Mutation has no row: take its columns out of the plan"},
		{"a subscription's columns", []batch.Field{batch.Column("Subscription", "", "id")}, "Subscription has no row: take its columns out of the plan"},
		{"a query's columns", []batch.Field{batch.Column("Query", "", "id")}, "Query has no row: take its columns out of the plan"},
		{"a mutation's field", []batch.Field{relation("Mutation", "oppose", authors, rootKey)}, "Mutation.oppose can't be declared: only its resolver knows what it has. Declare the fields of Author"},
		{"a subscription's field", []batch.Field{relation("Subscription", "published", authors, rootKey)}, "Subscription.published can't be declared"},
		{"a column of a root field", []batch.Field{relation("Query", "author", authors, rootKey).From("id")}, "Query has no row: take the columns of Query.author out"},

		{"a root field of an object", []batch.Field{relation("Query", "author", authors, key)}, "Query.author is declared for *schematest.Author: batch.Root is what the fields of Query"},
		{"an object's field of the root", []batch.Field{relation("Author", "rival", authors, rootKey)}, "Author.rival is declared for batch.Root"},
		{"a struct", []batch.Field{batch.Value("Author", "name", func(b []byte, _ schematest.Author) []byte { return b })}, "declare it for that"},
		{"two parent types", []batch.Field{name, batch.Value("Author", "id", func(b []byte, _ *schematest.Book) []byte { return b })}, "Author.id is declared for *schematest.Book, and Author.name for *schematest.Author"},
		{"another parent than the resolvers'", []batch.Field{batch.Value("Author", "id", func(b []byte, _ *schematest.Book) []byte { return b })}, "Author.id is declared for *schematest.Book, and Author is bound to *schematest.Author"},
		{"another parent than what leads to it", []batch.Field{
			batch.Paths("Shelf", "books", func(*schematest.Door) []*schematest.Book { return nil }),
			batch.Path("Query", "shelf", func(batch.Root) *schematest.Shelf { return nil }),
		}, "the Path Query.shelf has *schematest.Shelf, and the fields of Shelf are those of [*schematest.Door]"},

		{"a loader of an interface that it can't have", []batch.Field{relation("Author", "rival", items, key)}, "the Relation Author.rival has schematest.Item, and the fields of Author are those of [*schematest.Author]"},
		{"a loader of another type of object", []batch.Field{relation("Book", "author", bookByID, batch.Key(func(*schematest.Book) (int, bool) { return 0, true }))}, "the Relation Book.author has *schematest.Book, and the fields of Author are those of [*schematest.Author]"},
		{"a loader of what is none of a union's", []batch.Field{batch.Paths("Query", "latest", func(batch.Root) []*schematest.Door { return nil })}, "the Paths Query.latest has *schematest.Door, and the fields of Found are those of"},
		{"a loader of no list", []batch.Field{relation("Author", "books", authors, key)}, "Author.books is a list, and its Relation has one *schematest.Author"},
		{"a loader of a list", []batch.Field{relation("Author", "rival", books, batch.Key(func(*schematest.Author) (shelf, bool) { return shelf{}, true }))}, "Author.rival is no list, and its Relation has a list of *schematest.Book"},
		{"a path to no list", []batch.Field{batch.Path("Shelf", "books", func(*schematest.Shelf) *schematest.Book { return nil })}, "Shelf.books is a list, and its Path has one *schematest.Book"},
		{"keys for no list", []batch.Field{relations("Author", "rival", authors, func(batch.Args) (func(*schematest.Author) iter.Seq2[int, bool], error) { return nil, nil })}, "Author.rival is no list, and its Relations has a list"},
		{"a list of lists", []batch.Field{relation("Numbers", "matrix", matrices,
			batch.Key(func(*schematest.Numbers) (int, bool) { return 0, true }))}, "Numbers.matrix is a list of lists, which only Value can be declared for"},

		{"a value that is an object", []batch.Field{batch.Value("Author", "rival", write)}, "Author.rival is declared with Value, and leads to objects of Author: declare it with Path, or with Relation"},
		{"a value that is a list of objects", []batch.Field{batch.Value("Author", "books", write)}, "Author.books is declared with Value, and leads to objects of Book"},
		{"a path to a scalar", []batch.Field{batch.Path("Author", "name", func(a *schematest.Author) string { return a.Name })}, "Author.name is declared with Path, and has no objects, but a String: declare it with Value"},

		{"a field that is declared twice", []batch.Field{name, name}, "Author.name is declared twice"},
		{"a relation that is declared twice", []batch.Field{relation("Author", "rival", authors, key), relation("Author", "rival", authors, key)}, "Author.rival is declared twice"},
		{"an interface with a relation and a path", []batch.Field{
			relation("Query", "item", items, rootKey), batch.Path("Query", "item", func(batch.Root) schematest.Item { return nil }),
		}, "Query.item is declared twice"},
		{"an interface with two relations", []batch.Field{
			relation("Query", "item", items, rootKey), relation("Query", "item", bookByID, rootKey),
		}, ""},

		{"From twice", []batch.Field{name.From("a").From("b")}, `Author.name has From twice: give all its columns to one, as in From("a", "b")`},
		{"a forgotten From", []batch.Field{batch.Column("Author", "", "id"), name}, `Author.name doesn't say which it needs: add .From("a_column") to its Value, or .From() if it needs none`},
		{"a forgotten From of a relation", []batch.Field{name.From("name"), relation("Author", "rival", authors, key)}, `Author.rival doesn't say which it needs: add .From("a_column") to its Relation`},
		{"Column in the place of From", []batch.Field{name, batch.Column("Author", "name", "first", "last")}, ""},

		{"no loader", []batch.Field{relation("Author", "rival", noSource, key)}, "the Relation Author.rival has a nil function"},
		{"no key", []batch.Field{relation[*schematest.Author]("Author", "rival", authors, nil)}, "the Relation Author.rival has a nil function"},
		{"no keys", []batch.Field{relations("Author", "books", authors, noKeys)}, "the Relations Author.books has a nil function"},
		{"no value", []batch.Field{batch.Value[*schematest.Author]("Author", "name", nil)}, "the Value Author.name has a nil function"},
		{"no path", []batch.Field{batch.Path[*schematest.Author, *schematest.Author]("Author", "rival", nil)}, "the Path Author.rival has a nil function"},
	} {
		l := newLibrary()
		l.plan = batch.NewPlan(c.fields...)
		err := l.plan.Validate(l.schema())
		switch {
		case c.want == "" && err != nil:
			t.Errorf("%s: got %v", c.what, err)
		case c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)):
			t.Errorf("%s: want %q, got %v", c.what, c.want, err)
		}
	}
	if err := (*batch.Plan)(nil).Validate(newLibrary().schema()); err == nil || !strings.Contains(err.Error(), "the plan is nil") {
		t.Errorf("got %v", err)
	}
}

// bare is a schema that shows nothing of gqlgen's generated code.
type bare struct {
	graphql.ExecutableSchema
	schema *ast.Schema
}

func (b bare) Schema() *ast.Schema { return b.schema }

func TestAPlanRefusesWhatCannotBeTold(t *testing.T) {
	es := bare{schema: gqlparser.MustLoadSchema(&ast.Source{Input: `
		type Query { pet: Pet  grid: [[Cat]] }
		union Pet = Cat | Dog
		type Cat { name: String }
		type Dog { name: String }
		type Door { name: String }`})}
	name := func(typ string) batch.Field {
		return value(typ, "name", func(d *schematest.Door) string { return d.Name })
	}
	for want, plan := range map[string]*batch.Plan{
		"": batch.NewPlan(name("Cat"), name("Door"), batch.Path("Query", "pet", func(batch.Root) *schematest.Door { return nil })),
		"both declared for *schematest.Door, so it can't be told which of them a Pet is": batch.NewPlan(name("Cat"), name("Dog")),
		"the fields of Pet are those of [*schematest.Door]":                              batch.NewPlan(name("Cat"), batch.Path("Query", "pet", func(batch.Root) *schematest.Book { return nil })),
		"Query.grid is a list of lists":                                                  batch.NewPlan(batch.Paths("Query", "grid", func(batch.Root) [][]*schematest.Door { return nil })),
	} {
		if err := plan.Validate(es); want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("want %q, got %v", want, err)
		}
	}
}

func TestAPlanRefusesToBeUsedOtherwiseThanItWasMade(t *testing.T) {
	l := newFromPlan()
	schema := l.schema()
	if err := l.plan.Validate(schema); err != nil {
		t.Error(err)
	}
	if err := l.plan.Validate(schema); err == nil || !strings.Contains(err.Error(), "call Use(plan) once") {
		t.Errorf("an extension that is used twice: got %v", err)
	}
	l = newFromPlan()
	l.plan.Answers(newLibrary().schema())
	if err := l.plan.Validate(l.schema()); err == nil || !strings.Contains(err.Error(), "Answers is called twice") {
		t.Errorf("got %v", err)
	}
	l = newLibrary()
	schema = l.schema()
	l.plan.Answers(schema)
	if err := l.plan.Validate(schema); err == nil || !strings.Contains(err.Error(), "make it with the schema that Answers returned") {
		t.Errorf("got %v", err)
	}
}

// eventSchema is a schema whose events have contexts of their own.
type eventSchema struct{ graphql.ExecutableSchema }

func (eventSchema) ExecWithEventContext(context.Context) graphql.ResponseHandlerWithContext {
	return nil
}

func TestAPlanRefusesASchemaWhoseEventsItCannotFollow(t *testing.T) {
	plain, answered := newLibrary(), newLibrary()
	for plan, es := range map[*batch.Plan]graphql.ExecutableSchema{
		plain.plan:    eventSchema{plain.schema()},
		answered.plan: answered.plan.Answers(eventSchema{answered.schema()}),
	} {
		if err := plan.Validate(es); err == nil || !strings.Contains(err.Error(), "take @subscriptionContext out") {
			t.Errorf("got %v", err)
		}
	}
}

// respond runs an operation.
func respond(ctx context.Context, t *testing.T, exec *executor.Executor, query string) *graphql.Response {
	t.Helper()
	op, errs := exec.CreateOperationContext(graphql.StartOperationTrace(ctx), &graphql.RawParams{Query: query})
	if len(errs) > 0 {
		t.Fatal(errs)
	}
	handler, ctx := exec.DispatchOperation(ctx, op)
	return handler(ctx)
}

func TestWhatIsBoundWronglyIsAnErrorThatSaysWhatToDo(t *testing.T) {
	const query, mutation = `{ author(id: 1) { name } }`, `mutation { oppose(author: 1, rival: 2) { id } }`
	within := func(bind func(context.Context) context.Context) graphql.OperationMiddleware {
		return func(ctx context.Context, next graphql.OperationHandler) graphql.ResponseHandler {
			return next(bind(ctx))
		}
	}
	for _, newLibrary := range []func(...batch.Field) *library{newLibrary, newFromPlan, newUnresolved} {
		var old context.Context
		for _, c := range []struct {
			what      string
			use       bool
			bind      func(l, other *library, ctx context.Context) context.Context
			want      string
			mutations string // what they get; "" is the same
		}{
			{"another plan", true, func(_, other *library, ctx context.Context) context.Context { return other.context(ctx) }, "the operation's set follows another plan than the server: give NewSet the plan that Use was given", ""},
			{"an old context", true, func(l, _ *library, ctx context.Context) context.Context {
				if old == nil {
					old = l.context(ctx) //nolint:fatcontext // it is to be wrong
				}
				return graphql.WithOperationContext(old, graphql.GetOperationContext(ctx))
			}, "the set in the context is another operation's: make one with NewSet for each", ""},
			{"no set", true, func(l, _ *library, ctx context.Context) context.Context { return l.with(ctx) }, "no set in the context: make one with NewSet for each operation, and pass its context on", "none"},
			{"a plan that is not used", false, func(l, _ *library, ctx context.Context) context.Context { return l.context(ctx) }, "call Use(plan)", ""},
		} {
			l, other := newLibrary(), newLibrary()
			other.schema()
			if !c.use && !l.answers {
				continue
			}
			exec := executor.New(l.schema())
			exec.SetRecoverFunc(func(_ context.Context, p any) error {
				if err, ok := p.(error); ok {
					return err
				}
				return errBroken
			})
			exec.AroundOperations(within(func(ctx context.Context) context.Context { return c.bind(l, other, ctx) }))
			if c.use {
				exec.Use(l.plan)
			}
			if old == nil && c.what == "an old context" {
				respond(t.Context(), t, exec, query)
			}
			for _, operation := range []string{query, mutation} {
				response := respond(t.Context(), t, exec, operation)
				if operation == mutation && c.mutations == "none" {
					continue
				}
				if len(response.Errors) == 0 || !strings.Contains(response.Errors[0].Message, c.want) {
					t.Errorf("%s, from the plan: %t, %s: got %v and %s", c.what, l.answers, operation, response.Errors, response.Data)
				}
			}
			if n := len(l.rivals); n > 0 && c.mutations == "" {
				t.Errorf("%s: the mutation was run", c.what)
			}
		}
	}
}

func TestALoadWithoutASetOrASourceSaysWhatToDo(t *testing.T) {
	source := batch.NewSource(func(context.Context, []int, batch.Columns) (map[int]string, error) { return nil, nil })
	set, _ := batch.NewSet(t.Context(), batch.NewPlan())
	for want, call := range map[string]func(){
		"no set in the context: make one with NewSet":                    func() { _, _ = source.Load(t.Context(), 1) },
		"*batch.Source[int,string] reads nothing: make it with":          func() { _, _ = (*batch.Source[int, string])(nil).Load(set, 1) },
		"reads nothing: make it with NewSource":                          func() { _, _ = (&batch.Source[int, string]{}).Load(set, 1) },
		"the plan of a set is nil: give it the one that the server uses": func() { batch.NewSet(t.Context(), nil) },
	} {
		func() {
			defer func() {
				if err, _ := recover().(error); err == nil || !strings.Contains(err.Error(), want) {
					t.Errorf("want %q, got %v", want, err)
				}
			}()
			call()
		}()
	}
	source.Prime(t.Context(), 1, "a write outside of GraphQL") // has nothing to store it in, nor to forget
	batch.Clear(t.Context())
}
