package batch_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"

	"github.com/99designs/gqlgen/graphql"
	"github.com/99designs/gqlgen/graphql/handler"
	"github.com/99designs/gqlgen/graphql/handler/transport"

	"rollcall/batch"
	"rollcall/schematest"
	"rollcall/schematest/generated"
)

// An author's rival is the author with the id a.Rival. The relation is one declaration, a loader and its resolver.
func Example() {
	plan := batch.NewPlan(
		batch.Relation("Author", "rival", authorByID, batch.Key(func(a *schematest.Author) (int, bool) { return a.Rival, true })),
		batch.Relation("Query", "author", authorByID, func(args batch.Args) func(batch.Root) (int, bool) {
			id, err := graphql.UnmarshalIntID(args["id"])
			return func(batch.Root) (int, bool) { return id, err == nil }
		}),
	)
	srv := handler.New(generated.NewExecutableSchema(generated.Config{Resolvers: exampleResolver{}}))
	srv.AddTransport(transport.POST{})
	srv.Use(plan)
	srv.AroundOperations(func(ctx context.Context, next graphql.OperationHandler) graphql.ResponseHandler {
		ctx, set := batch.NewSet(ctx, plan, graphql.GetOperationContext(ctx)) // for each operation, like its loaders
		return next(context.WithValue(ctx, exampleKey{}, batch.NewLoader(set, fetchAuthors)))
	})

	request := httptest.NewRequest(http.MethodPost, "/", strings.NewReader(
		`{"query": "{ a: author(id: 1) { name rival { name } } b: author(id: 2) { name rival { name } } }"}`))
	request.Header.Set("Content-Type", "application/json")
	answer := httptest.NewRecorder()
	srv.ServeHTTP(answer, request)
	fmt.Println(answer.Body)
	// Output:
	// SELECT * FROM authors WHERE id IN [1 2]
	// SELECT * FROM authors WHERE id IN [11 12]
	// {"data":{"a":{"name":"A1","rival":{"name":"A11"}},"b":{"name":"A2","rival":{"name":"A12"}}}}
}

// fetchAuthors stands for a statement.
func fetchAuthors(_ context.Context, ids []int, _ batch.Columns) (map[int]*schematest.Author, error) {
	fmt.Println("SELECT * FROM authors WHERE id IN", ids)
	authors := map[int]*schematest.Author{}
	for _, id := range ids {
		authors[id] = &schematest.Author{ID: id, Name: fmt.Sprint("A", id), Rival: id + 10}
	}
	return authors, nil
}

type exampleKey struct{}

func authorByID(ctx context.Context) *batch.Loader[int, *schematest.Author] {
	return ctx.Value(exampleKey{}).(*batch.Loader[int, *schematest.Author])
}

// exampleResolver loads authors, and leaves out the rest of the schema.
type exampleResolver struct{ generated.ResolverRoot }

func (exampleResolver) Query() generated.QueryResolver   { return exampleQuery{} }
func (exampleResolver) Author() generated.AuthorResolver { return exampleAuthor{} }

type exampleQuery struct{ generated.QueryResolver }

func (exampleQuery) Author(ctx context.Context, id int) (*schematest.Author, error) {
	return authorByID(ctx).Load(ctx, id)
}

type exampleAuthor struct{ generated.AuthorResolver }

func (exampleAuthor) Rival(ctx context.Context, a *schematest.Author) (*schematest.Author, error) {
	return authorByID(ctx).Load(ctx, a.Rival)
}
