package batch

import (
	"context"
	"fmt"
	"runtime/debug"
	"sync"
	"time"

	"github.com/graph-gophers/dataloader/v7"
)

// Fetch reads the values of distinct keys in one go. A key that is missing in the map has V's zero value.
type Fetch[K comparable, V any] func(ctx context.Context, keys []K) (map[K]V, error)

// Loader loads values by key through batches. It belongs to one Set, and keeps what it has loaded until
// the set is cleared.
type Loader[K comparable, V any] struct {
	set   *Set
	inner *dataloader.Loader[K, V]
	cache *cache[K, V]
}

// NewLoader returns a loader of the set.
func NewLoader[K comparable, V any](set *Set, fetch Fetch[K, V]) *Loader[K, V] {
	// A plan or the set's fallback ends a batch. dataloader's own timer is left far behind them.
	const never = 24 * time.Hour
	l := &Loader[K, V]{set: set, cache: &cache[K, V]{thunks: map[K]dataloader.Thunk[V]{}, failures: map[K]*failure{}}}
	l.inner = dataloader.NewBatchedLoader(l.batch(fetch),
		dataloader.WithWait[K, V](never), dataloader.WithCache[K, V](l.cache))
	set.flushes = append(set.flushes, l.inner.Flush)
	set.clears = append(set.clears, func() { l.inner.ClearAll() })
	return l
}

// batch makes dataloader's form of a fetch. It runs under the set's context: the one that it is
// given is that of whoever asked first, whose end is not the others'.
func (l *Loader[K, V]) batch(fetch Fetch[K, V]) dataloader.BatchFunc[K, V] {
	return func(_ context.Context, keys []K) []*dataloader.Result[V] {
		values, err := recovered(func() (map[K]V, error) { return fetch(l.set.ctx, keys) })
		results := make([]*dataloader.Result[V], len(keys))
		for i, k := range keys {
			results[i] = &dataloader.Result[V]{Data: values[k]}
			if err != nil {
				results[i].Error = dataloader.NewSkipCacheError(err)
			}
		}
		return results
	}
}

// recovered calls read and makes an error of a panic or of runtime.Goexit.
func recovered[V any](read func() (V, error)) (value V, err error) {
	done := make(chan struct{})
	err = fmt.Errorf("batch: the fetch ended its goroutine")
	go func() { // Goexit would otherwise take the waiting loads with it
		defer close(done)
		defer func() {
			if p := recover(); p != nil {
				err = &PanicError{Value: p, Stack: debug.Stack()}
			}
		}()
		value, err = read()
	}()
	<-done
	return value, err
}

// Load returns the value of key: from what is loaded already, or with the next batch.
func (l *Loader[K, V]) Load(ctx context.Context, key K) (V, error) {
	if err := l.cache.failed(key); err != nil {
		var none V
		return none, err
	}
	thunk, hit := l.cache.Get(ctx, key)
	if !hit {
		thunk = l.inner.Load(ctx, key)
		l.set.fallback.wait()
	}
	return unwrapped(thunk)
}

// foresee asks for key with the next batch, on behalf of a resolver that will. The function returned
// waits for the value. If that is an error, the resolver will get the same one.
func (l *Loader[K, V]) foresee(key K) func() (V, error) {
	thunk := l.inner.Load(l.set.ctx, key)
	return func() (V, error) {
		value, err := unwrapped(thunk)
		if err != nil {
			l.cache.fail(key, err)
		}
		return value, err
	}
}

// unwrapped waits for a value and takes dataloader's wrapping off its error.
func unwrapped[V any](thunk dataloader.Thunk[V]) (V, error) {
	value, err := thunk()
	if skip, ok := err.(*dataloader.SkipCacheError); ok { //nolint:errorlint // it is never wrapped
		err = skip.Unwrap()
	}
	return value, err
}

// Prime stores a value that was read otherwise, unless key has one.
func (l *Loader[K, V]) Prime(ctx context.Context, key K, value V) { l.inner.Prime(ctx, key, value) }

// cache holds one loader's values. An error is not kept, but for the resolvers that a plan read it for.
type cache[K comparable, V any] struct {
	mu       sync.Mutex
	thunks   map[K]dataloader.Thunk[V]
	failures map[K]*failure
}

// failure is an error that some resolvers have yet to see.
type failure struct {
	err   error
	unmet int // how many
}

func (c *cache[K, V]) Get(_ context.Context, key K) (dataloader.Thunk[V], bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	thunk, ok := c.thunks[key]
	return thunk, ok
}

func (c *cache[K, V]) Set(_ context.Context, key K, thunk dataloader.Thunk[V]) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.thunks[key] = thunk
}

func (c *cache[K, V]) Delete(_ context.Context, key K) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	_, ok := c.thunks[key]
	delete(c.thunks, key)
	return ok
}

func (c *cache[K, V]) Clear() {
	c.mu.Lock()
	defer c.mu.Unlock()
	clear(c.thunks)
	clear(c.failures)
}

// fail keeps an error for one more resolver.
func (c *cache[K, V]) fail(key K, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if f := c.failures[key]; f != nil {
		f.unmet++
		return
	}
	c.failures[key] = &failure{err: err, unmet: 1}
}

// failed returns the error that is kept for a resolver, or nil.
func (c *cache[K, V]) failed(key K) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	f := c.failures[key]
	if f == nil {
		return nil
	}
	if f.unmet--; f.unmet == 0 {
		delete(c.failures, key)
	}
	return f.err
}
