// Package loader batches what the resolvers of one operation read: one statement for a
// relation on a level of the query, whatever the number of rows on it.
package loader

import (
	"context"
	"fmt"
	"log/slog"
	"runtime/debug"
	"time"

	"github.com/graph-gophers/dataloader/v7"
)

// Loader loads values by key through one batch statement. It belongs to one operation: what it has loaded
// it keeps until Clear.
type Loader[K comparable, V any] struct {
	inner *dataloader.Loader[K, V]
	set   *Loaders
}

// fetch reads the values of distinct keys. A key that is missing in the map has V's zero value.
type fetch[K comparable, V any] func(ctx context.Context, keys []K) (map[K]V, error)

func newLoader[K comparable, V any](set *Loaders, read fetch[K, V]) *Loader[K, V] {
	batch := func(_ context.Context, keys []K) []*dataloader.Result[V] {
		// The context given is that of whoever called Load first; the batch belongs to all.
		values, err := recovered(set.ctx, keys, read)
		results := make([]*dataloader.Result[V], len(keys))
		for i, k := range keys {
			results[i] = &dataloader.Result[V]{Data: values[k]}
			if err != nil {
				results[i].Error = dataloader.NewSkipCacheError(err)
			}
		}
		return results
	}
	// The dispatcher alone ends a batch. dataloader's own timer is left far behind it.
	const never = time.Hour
	l := &Loader[K, V]{set: set, inner: dataloader.NewBatchedLoader(batch, dataloader.WithWait[K, V](never))}
	set.dispatcher.loaders = append(set.dispatcher.loaders, l.inner.Flush)
	set.clear = append(set.clear, func() { l.inner.ClearAll() })
	return l
}

// recovered runs a fetch and makes an error of its panic.
func recovered[K comparable, V any](ctx context.Context, keys []K, read fetch[K, V]) (values map[K]V, err error) {
	defer func() {
		if p := recover(); p != nil {
			slog.Error("panic in a batch", "panic", p, "stack", string(debug.Stack()))
			err = fmt.Errorf("loader: panic in a batch: %v", p)
		}
	}()
	return read(ctx, keys)
}

// Load returns the value of key: from the cache, or with the next batch.
func (l *Loader[K, V]) Load(ctx context.Context, key K) (V, error) {
	thunk := l.inner.Load(ctx, key)
	l.set.dispatcher.loaded()
	return thunk()
}

// Prime stores a value that was read otherwise, unless key has one.
func (l *Loader[K, V]) Prime(ctx context.Context, key K, value V) { l.inner.Prime(ctx, key, value) }
