package batch

import (
	"context"
	"sync"
)

// Set is the loaders of one operation, or of a group of queries that are answered together.
type Set struct {
	ctx      context.Context
	flushes  []func()
	clears   []func()
	fallback fallback
	roots    sync.Once // a query's root fields have been followed
}

type contextKey struct{}

// NewSet returns a set without loaders. Its batches run under the context returned, which carries
// it, and which is also what goes on to the resolvers.
func NewSet(ctx context.Context) (context.Context, *Set) {
	s := &Set{}
	s.ctx = context.WithValue(ctx, contextKey{}, s)
	s.fallback.flush = s.flush
	return s.ctx, s
}

// fromContext returns the set of the operation that ctx belongs to, or nil.
func fromContext(ctx context.Context) *Set {
	s, _ := ctx.Value(contextKey{}).(*Set)
	return s
}

// flush sends every batch that is waiting.
func (s *Set) flush() {
	for _, flush := range s.flushes {
		flush()
	}
}

// Clear forgets everything that was loaded: a write may have changed it.
func (s *Set) Clear() {
	for _, clear := range s.clears {
		clear()
	}
}
