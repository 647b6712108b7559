package batch

import (
	"context"
	"sync"
)

// Set is the loaders of one operation.
type Set struct {
	ctx      context.Context
	plan     *Plan
	loaders  []loader
	fallback fallback

	roots      sync.Once  // a query's root fields have been followed
	following  sync.Mutex // held by the run that is filling batches
	deferredMu sync.Mutex
	deferred   []*deferred

	columnsOnce sync.Once
	columns     map[string][]string // by type
}

// loader is a Loader of whatever types.
type loader interface {
	gathered() func()
	flush()
	clear()
}

type contextKey struct{}

// NewSet returns a set without loaders, for the operation that ctx belongs to. Its batches run under the
// context returned, which carries it, and which is also what goes on to the resolvers.
func NewSet(ctx context.Context, plan *Plan) (context.Context, *Set) {
	s := &Set{plan: plan}
	s.ctx = context.WithValue(ctx, contextKey{}, s)
	s.fallback.flush = s.flush
	s.announce()
	return s.ctx, s
}

// fromContext returns the set of the operation that ctx belongs to, or nil.
func fromContext(ctx context.Context) *Set {
	s, _ := ctx.Value(contextKey{}).(*Set)
	return s
}

// read reads the batches that a plan has gathered, all at once.
func (s *Set) read() {
	var others sync.WaitGroup
	var last func()
	for _, l := range s.loaders {
		if batch := l.gathered(); batch != nil {
			if last != nil {
				others.Go(last)
			}
			last = batch
		}
	}
	if last != nil {
		last()
	}
	others.Wait()
}

// flush sends the batches that no plan foresaw.
func (s *Set) flush() {
	for _, l := range s.loaders {
		l.flush()
	}
}

// Clear forgets everything that was loaded: a write may have changed it.
func (s *Set) Clear() {
	for _, l := range s.loaders {
		l.clear()
	}
}
