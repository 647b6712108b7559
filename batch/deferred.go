package batch

import (
	"context"
	"slices"
	"sync"

	"github.com/99designs/gqlgen/graphql"
)

// deferred is what was put off together: fields of one selection's objects that have a label in common.
type deferred struct {
	selection
	deferred []graphql.CollectedField
	once     sync.Once
}

// postpone puts fields of a selection off until the first of their resolvers runs.
func (s *Set) postpone(objects selection, fields []graphql.CollectedField) {
	groups := map[string]*deferred{}
	for _, f := range fields {
		label := f.Deferrables[0].Label
		if groups[label] == nil {
			groups[label] = &deferred{selection: objects}
		}
		groups[label].deferred = append(groups[label].deferred, f)
	}
	s.deferredMu.Lock()
	defer s.deferredMu.Unlock()
	for _, d := range groups {
		s.deferred = append(s.deferred, d)
	}
}

// resume follows what was put off together with a field, whose resolver is about to run.
func (s *Set) resume(ctx context.Context, field graphql.CollectedField) {
	s.deferredMu.Lock()
	all := slices.Clone(s.deferred)
	s.deferredMu.Unlock()
	for _, d := range all {
		if !slices.ContainsFunc(d.deferred, func(f graphql.CollectedField) bool { return f.Field == field.Field }) {
			continue
		}
		d.once.Do(func() {
			s.plan.run(ctx, s, func(r *run) {
				for _, f := range d.deferred {
					r.gatherField(d.selection, f)
				}
				r.descend()
			})
		})
	}
}
