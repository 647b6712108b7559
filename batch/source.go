package batch

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
)

// Fetch reads the values of distinct keys in one go, from rows with the columns that it is given. A key that is missing in
// the map has V's zero value. An error is that of all keys, and a KeysError of some.
type Fetch[K comparable, V any] func(ctx context.Context, keys []K, columns Columns) (map[K]V, error)

// KeysError is the error of a Fetch that has read all of its keys but these, each of which has an error of its own.
type KeysError[K comparable] map[K]error

// Error joins them.
func (e KeysError[K]) Error() string { return errors.Join(slices.Collect(maps.Values(e))...).Error() }

// errorOf returns a key's own error, where err is that of the fetch.
func errorOf[K comparable](err error, key K) error {
	if some, ok := errors.AsType[KeysError[K]](err); ok {
		return some[key]
	}
	return err
}

// Source is the declaration of a loader, made once: how the values of keys are read. Each set has its own Loader of it.
type Source[K comparable, V any] struct {
	fetch Fetch[K, V]
	first bool // see First
}

// NewSource returns the source of what fetch reads.
func NewSource[K comparable, V any](fetch Fetch[K, V]) *Source[K, V] {
	return &Source[K, V]{fetch: fetch}
}

// Loader returns the loader of the operation that ctx belongs to, which is made when it is first asked for. It panics where
// ctx has no set.
func (s *Source[K, V]) Loader(ctx context.Context) *Loader[K, V] {
	if s == nil || s.fetch == nil {
		panic(fmt.Errorf("batch: a %T reads nothing: make it with NewSource", s))
	}
	set := mustFromContext(ctx)
	set.mu.Lock()
	defer set.mu.Unlock()
	for _, l := range set.loaders {
		if own, ok := l.(*Loader[K, V]); ok && own.source == s {
			return own
		}
	}
	l := &Loader[K, V]{set: set, source: s}
	set.loaders = append(set.loaders, l)
	return l
}

// Load returns the value of a key, as Loader.Load does, in the operation that ctx belongs to. It panics where ctx has no set.
func (s *Source[K, V]) Load(ctx context.Context, key K) (V, error) {
	return s.Loader(ctx).Load(ctx, key)
}

// value is Load for gqlgen: it returns an untyped nil for a key that is none, and for a nil pointer.
func (s *Source[K, V]) value(ctx context.Context, key K, ok bool) (any, error) {
	if !ok {
		return nil, nil
	}
	v, err := s.Load(ctx, key)
	if r := reflect.ValueOf(&v).Elem(); err != nil || r.Kind() == reflect.Pointer && r.IsNil() {
		return nil, err
	}
	return v, nil
}

// Prime stores a value that was read or written otherwise, as Loader.Prime does. Where ctx has no set, there is nothing to store it in.
func (s *Source[K, V]) Prime(ctx context.Context, key K, value V) {
	if fromContext(ctx) != nil {
		s.Loader(ctx).Prime(key, value)
	}
}

// Clear forgets everything that was loaded in the operation that ctx belongs to, if it has loaders: a write may have changed it.
func Clear(ctx context.Context) {
	if set := fromContext(ctx); set != nil {
		set.Clear()
	}
}

var errNoSet = errors.New("batch: no set in the context: make one with NewSet for each operation, and pass its context on")

// mustFromContext returns the set of the operation that ctx belongs to.
func mustFromContext(ctx context.Context) *Set {
	if s := fromContext(ctx); s != nil {
		return s
	}
	panic(errNoSet)
}
