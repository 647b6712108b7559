package batch

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/graph-gophers/dataloader/v7"
)

// The loaders alone: what a plan, the fallback and the resolvers do with the keys of one batch, beside
// dataloader itself. What is around them, and other rivals, are measured in the module bench.

type row struct{ id int }

var rows = func() (all [1001]*row) {
	for i := range all {
		all[i] = &row{i}
	}
	return all
}()

func fetchRows(_ context.Context, ids []int, _ Columns) (map[int]*row, error) {
	found := make(map[int]*row, len(ids))
	for _, id := range ids {
		found[id] = rows[id]
	}
	return found, nil
}

var rowSource = NewSource(fetchRows)

func perKeys(b *testing.B, load func(b *testing.B, keys []int)) {
	for _, n := range []int{1, 10, 100, 1000} {
		b.Run(fmt.Sprintf("keys=%d", n), func(b *testing.B) {
			keys := make([]int, n)
			for i := range keys {
				keys[i] = i + 1
			}
			b.ReportAllocs()
			for b.Loop() {
				load(b, keys)
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*n), "ns/key")
		})
	}
}

func check(b *testing.B, r *row, err error, id int) {
	if err != nil || r.id != id {
		b.Fatal(r, err)
	}
}

func BenchmarkBatchPlanned(b *testing.B) {
	perKeys(b, func(b *testing.B, keys []int) {
		ctx, set := NewSet(b.Context(), NewPlan())
		l := rowSource.Loader(ctx)
		enqueue(l, keys...)
		set.read()
		for _, id := range keys {
			r, err := l.Load(ctx, id)
			check(b, r, err, id)
		}
	})
}

// BenchmarkBatchUnplanned is without the moment that the fallback waits.
func BenchmarkBatchUnplanned(b *testing.B) {
	perKeys(b, func(b *testing.B, keys []int) {
		ctx, set := NewSet(b.Context(), NewPlan())
		l := rowSource.Loader(ctx)
		set.fallback.active.Store(true) // so that no watch begins
		thunks := make([]dataloader.Thunk[any], len(keys))
		for i, id := range keys {
			l.mu.Lock()
			thunks[i] = l.loadUnplanned(id)
			l.mu.Unlock()
		}
		l.flush()
		for i, id := range keys {
			r, err := thunks[i]()
			found, _ := r.(*row)
			check(b, found, err, id)
		}
	})
}

func BenchmarkBatchDataloader(b *testing.B) {
	results := func(ctx context.Context, keys []int) []*dataloader.Result[*row] {
		found, err := fetchRows(ctx, keys, Columns{})
		all := make([]*dataloader.Result[*row], len(keys))
		for i, k := range keys {
			all[i] = &dataloader.Result[*row]{Data: found[k], Error: err}
		}
		return all
	}
	perKeys(b, func(b *testing.B, keys []int) {
		l := dataloader.NewBatchedLoader(results, dataloader.WithWait[int, *row](time.Hour))
		thunks := make([]dataloader.Thunk[*row], len(keys))
		for i, id := range keys {
			thunks[i] = l.Load(b.Context(), id)
		}
		l.Flush()
		for i, id := range keys {
			r, err := thunks[i]()
			check(b, r, err, id)
		}
	})
}
