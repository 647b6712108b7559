package main

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/99designs/gqlgen/graphql"
	"github.com/graph-gophers/dataloader/v7"
	"github.com/vektah/gqlparser/v2"
	"github.com/vektah/gqlparser/v2/ast"
	"github.com/vikstrous/dataloadgen"

	"rollcall/batch"
)

// user is what is loaded.
type user struct{ id int }

var users = func() (all [1001]*user) {
	for i := range all {
		all[i] = &user{i}
	}
	return all
}()

// fetch finds users as a statement would: in one go, in no particular order.
func fetch(_ context.Context, ids []int, _ batch.Columns) (map[int]*user, error) {
	found := make(map[int]*user, len(ids))
	for _, id := range ids {
		found[id] = users[id]
	}
	return found, nil
}

var source = batch.NewSource(fetch)

// perKeys runs a benchmark for 1 to 1,000 keys. One operation is what a request does: make a loader, load
// each key in one batch, and ask for each value.
func perKeys(b *testing.B, operation func(b *testing.B, keys []int)) {
	for _, n := range []int{1, 10, 100, 1000} {
		b.Run(fmt.Sprintf("keys=%d", n), func(b *testing.B) {
			keys := make([]int, n)
			for i := range keys {
				keys[i] = i + 1
			}
			b.ReportAllocs()
			operation(b, keys)
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*n), "ns/key")
		})
	}
}

func check(b *testing.B, u *user, err error, id int) {
	if err != nil || u.id != id {
		b.Fatal(u, err)
	}
}

// BenchmarkBatchPlanned is the managers of a list of users: what a plan makes of it, called as gqlgen does,
// then the resolvers' loads.
func BenchmarkBatchPlanned(b *testing.B) {
	perKeys(b, func(b *testing.B, keys []int) {
		parents := users[:len(keys)] // each is followed by its manager
		plan := batch.NewPlan(
			batch.Paths("Query", "users", func(batch.Root) []*user { return parents }),
			batch.Relation("User", "manager", source, batch.Key(func(u *user) (int, bool) { return u.id + 1, true })).WithResolver(),
		)
		schema := gqlparser.MustLoadSchema(&ast.Source{Input: `type Query { users: [User] } type User { id: ID! manager: User }`})
		if err := plan.Validate(executable{schema: schema}); err != nil {
			b.Fatal(err)
		}
		doc := gqlparser.MustLoadQuery(schema, `{ users { manager { id } } }`)
		op := &graphql.OperationContext{Doc: doc, Operation: doc.Operations[0]}
		ctx := graphql.WithOperationContext(b.Context(), op)
		for b.Loop() {
			ctx, _ := batch.NewSet(ctx, plan, op)
			plan.InterceptRootField(ctx, func(ctx context.Context) graphql.Marshaler {
				loader := source.Loader(ctx)
				for _, id := range keys {
					u, err := loader.Load(ctx, id)
					check(b, u, err, id)
				}
				return nil
			})
		}
	})
}

// executable is a schema that is not executed.
type executable struct {
	graphql.ExecutableSchema
	schema *ast.Schema
}

func (e executable) Schema() *ast.Schema { return e.schema }

// BenchmarkBatchFallback is resolvers that each load a key that no plan has enqueued. Most of it is the moment
// that the fallback waits.
func BenchmarkBatchFallback(b *testing.B) {
	perKeys(b, func(b *testing.B, keys []int) {
		plan := batch.NewPlan()
		for b.Loop() {
			ctx, _ := batch.NewSet(b.Context(), plan)
			loader := source.Loader(ctx)
			var all sync.WaitGroup
			for _, id := range keys {
				all.Go(func() {
					u, err := loader.Load(ctx, id)
					check(b, u, err, id)
				})
			}
			all.Wait()
		}
	})
}

// BenchmarkBatchDataloader is graph-gophers/dataloader, flushed once all keys are asked for.
func BenchmarkBatchDataloader(b *testing.B) {
	perKeys(b, func(b *testing.B, keys []int) {
		results := func(ctx context.Context, keys []int) []*dataloader.Result[*user] {
			found, err := fetch(ctx, keys, batch.Columns{})
			all := make([]*dataloader.Result[*user], len(keys))
			for i, k := range keys {
				all[i] = &dataloader.Result[*user]{Data: found[k], Error: err}
			}
			return all
		}
		thunks := make([]dataloader.Thunk[*user], len(keys))
		for b.Loop() {
			loader := dataloader.NewBatchedLoader(results, dataloader.WithWait[int, *user](time.Hour))
			for i, id := range keys {
				thunks[i] = loader.Load(b.Context(), id)
			}
			loader.Flush()
			for i, id := range keys {
				u, err := thunks[i]()
				check(b, u, err, id)
			}
		}
	})
}

// BenchmarkBatchDataloadgen is vikstrous/dataloadgen, which sends a batch once it is as large as it may be.
func BenchmarkBatchDataloadgen(b *testing.B) {
	perKeys(b, func(b *testing.B, keys []int) {
		values := func(ctx context.Context, keys []int) ([]*user, []error) {
			found, err := fetch(ctx, keys, batch.Columns{})
			all := make([]*user, len(keys))
			for i, k := range keys {
				all[i] = found[k]
			}
			if err != nil {
				return nil, []error{err}
			}
			return all, nil
		}
		thunks := make([]func() (*user, error), len(keys))
		for b.Loop() {
			loader := dataloadgen.NewLoader(values, dataloadgen.WithBatchCapacity(len(keys)))
			for i, id := range keys {
				thunks[i] = loader.LoadThunk(b.Context(), id)
			}
			for i, id := range keys {
				u, err := thunks[i]()
				check(b, u, err, id)
			}
		}
	})
}
