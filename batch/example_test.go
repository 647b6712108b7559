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

// An author's rival is the author with the id a.Rival. The relation is one declaration, and needs no resolver.
func Example() {
	plan := batch.NewPlan(
		batch.Relation("Author", "rival", authorByID, batch.Key(func(a *schematest.Author) (int, bool) { return a.Rival, true })),
		batch.Relation("Query", "author", authorByID, func(args batch.Args) (func(batch.Root) (int, bool), error) {
			id, err := graphql.UnmarshalIntID(args["id"])
			return func(batch.Root) (int, bool) { return id, true }, err
		}),
	)
	srv := handler.New(generated.NewExecutableSchema(generated.Config{Resolvers: exampleResolver{}}))
	srv.AddTransport(transport.POST{})
	srv.Use(plan)
	srv.AroundOperations(func(ctx context.Context, next graphql.OperationHandler) graphql.ResponseHandler {
		ctx, _ = batch.NewSet(ctx, plan, graphql.GetOperationContext(ctx)) // for each operation
		return next(ctx)
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

var authorByID = batch.NewSource(fetchAuthors)

// fetchAuthors stands for a statement.
func fetchAuthors(_ context.Context, ids []int, _ batch.Columns) (map[int]*schematest.Author, error) {
	fmt.Println("SELECT * FROM authors WHERE id IN", ids)
	authors := map[int]*schematest.Author{}
	for _, id := range ids {
		authors[id] = &schematest.Author{ID: id, Name: fmt.Sprint("A", id), Rival: id + 10}
	}
	return authors, nil
}

// exampleResolver resolves nothing: the plan does.
type exampleResolver struct{ generated.ResolverRoot }

func (exampleResolver) Query() generated.QueryResolver   { return nil }
func (exampleResolver) Author() generated.AuthorResolver { return nil }
