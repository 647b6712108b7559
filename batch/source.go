package batch

import (
	"context"
	"errors"
)

// Source is the declaration of a loader, made once: how the values of keys are read. Each set has its own Loader of it.
type Source[K comparable, V any] struct{ fetch Fetch[K, V] }

// NewSource returns the source of what fetch reads.
func NewSource[K comparable, V any](fetch Fetch[K, V]) *Source[K, V] {
	return &Source[K, V]{fetch}
}

// Loader returns the loader of the operation that ctx belongs to, which is made when it is first asked for. It panics where
// ctx has no set.
func (s *Source[K, V]) Loader(ctx context.Context) *Loader[K, V] {
	set := mustFromContext(ctx)
	set.mu.Lock()
	defer set.mu.Unlock()
	for _, l := range set.loaders {
		if own, ok := l.(*Loader[K, V]); ok && own.source == s {
			return own
		}
	}
	l := &Loader[K, V]{set: set, fetch: s.fetch, source: s}
	set.loaders = append(set.loaders, l)
	return l
}

// Load returns the value of a key, as Loader.Load does, in the operation that ctx belongs to.
func (s *Source[K, V]) Load(ctx context.Context, key K) (V, error) {
	return s.Loader(ctx).Load(ctx, key)
}

// Clear forgets everything that was loaded in the operation that ctx belongs to: a write may have changed it. Where ctx has no set,
// nothing was loaded.
func Clear(ctx context.Context) {
	if s := fromContext(ctx); s != nil {
		s.Clear()
	}
}

// Prime keeps a value, as Loader.Prime does, in the operation that ctx belongs to, if there is one.
func (s *Source[K, V]) Prime(ctx context.Context, key K, value V) {
	if fromContext(ctx) != nil {
		s.Loader(ctx).Prime(key, value)
	}
}

// mustFromContext returns the set of the operation that ctx belongs to.
func mustFromContext(ctx context.Context) *Set {
	if s := fromContext(ctx); s != nil {
		return s
	}
	panic(errors.New("batch: no set in the context: make one with NewSet for each operation, and pass its context on"))
}
