package batch

import (
	"context"
	"sync"

	"github.com/99designs/gqlgen/graphql"
	"github.com/vektah/gqlparser/v2/ast"
)

// deferred is fields of one selection that are deferred under the same label.
type deferred struct {
	selection
	deferred []graphql.CollectedField
	once     sync.Once
}

// postpone leaves deferred fields of a selection until the first of their resolvers runs.
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
			groups[label] = &deferred{selection: selection{op: objects.op, typ: objects.typ, set: objects.set, objects: objects.objects}}
		}
		groups[label].deferred = append(groups[label].deferred, f)
		s.deferred[f.Field] = append(s.deferred[f.Field], groups[label])
	}
}

// resume follows the fields that were deferred together with one whose resolver is about to run.
func (s *Set) resume(ctx context.Context, field graphql.CollectedField) {
	s.mu.Lock()
	all := s.deferred[field.Field]
	s.mu.Unlock()
	for _, d := range all {
		d.once.Do(func() {
			s.follow(ctx, func(r *run) {
				for _, f := range d.deferred {
					r.gatherField(&d.selection, f)
				}
				s.trace.keep(d.fields)
			})
		})
	}
	s.report(ctx)
}
