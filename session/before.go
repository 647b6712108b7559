package session

import (
	"context"
	"reflect"
)

// BeforeCommit returns what the Write that ctx belongs to collects of type T: the same at each call. It is new at the first call, which also has fn
// run with it, once the Write's function has succeeded and before the COMMIT: so what fn writes is the last that is written, but for the
// proof. An error of fn takes everything back, and is what Run returns. fn does not run if the Write is discarded. In a
// session that cannot write it never runs.
func BeforeCommit[T any](ctx context.Context, fn func(ctx context.Context, collected *T) error) *T {
	s := mustFromContext(ctx)
	s.hooks.mu.Lock()
	defer s.hooks.mu.Unlock()
	key := reflect.TypeFor[T]()
	if there, ok := s.hooks.collected[key]; ok {
		return there.(*T)
	}
	if s.hooks.collected == nil {
		s.hooks.collected = map[reflect.Type]any{}
	}
	collected := new(T)
	s.hooks.collected[key] = collected
	s.hooks.before = append(s.hooks.before, func() error { return fn(s.ctx, collected) })
	return collected
}

// beforeCommit runs the hooks of BeforeCommit.
func (s *Session) beforeCommit() error {
	s.hooks.mu.Lock()
	before := s.hooks.before
	s.hooks.mu.Unlock()
	if s.discarded.Load() {
		return nil
	}
	for _, fn := range before {
		if err := fn(); err != nil {
			return err
		}
	}
	return nil
}
