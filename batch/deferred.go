package batch

import (
	"context"
	"sync"

	"github.com/99designs/gqlgen/graphql"
	"github.com/vektah/gqlparser/v2/ast"
)

// deferred is what was put off together: fields of one selection's objects that have a label in common.
type deferred struct {
	*selection
	deferred []graphql.CollectedField
	once     sync.Once
}

// postpone puts fields of a selection off until the first of their resolvers runs.
func (s *Set) postpone(objects *selection, fields []graphql.CollectedField) {
	if len(fields) == 0 {
		return
	}
	groups := map[string]*deferred{}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.deferred == nil {
		s.deferred = map[*ast.Field][]*deferred{}
	}
	for _, f := range fields {
		label := f.Deferrables[0].Label
		if groups[label] == nil {
			own := selection{op: objects.op, typ: objects.typ, set: objects.set, objects: objects.objects} // of no answer
			groups[label] = &deferred{selection: &own}
		}
		groups[label].deferred = append(groups[label].deferred, f)
		s.deferred[f.Field] = append(s.deferred[f.Field], groups[label])
	}
}

// resume follows what was put off together with a field, whose resolver is about to run.
func (s *Set) resume(ctx context.Context, field graphql.CollectedField) {
	s.mu.Lock()
	all := s.deferred[field.Field]
	s.mu.Unlock()
	for _, d := range all {
		d.once.Do(func() {
			s.follow(ctx, func(r *run) {
				for _, f := range d.deferred {
					r.gatherField(d.selection, f)
				}
			})
		})
	}
	s.report(ctx)
}
