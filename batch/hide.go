package batch

import (
	"context"
	"slices"
	"strings"

	"github.com/99designs/gqlgen/graphql"
	"github.com/vektah/gqlparser/v2/ast"
)

// hider returns what reports whether a field of an object is hidden in an operation; nil: it is of none.
type hider func(ctx context.Context) (hidden func(object any) bool)

// hiddenExtension is where an answer lists the fields that were hidden.
const hiddenExtension = "forbidden"

// Hide has a field be null for the objects of which it is hidden, whether the plan or a resolver would answer it. of is called once for all objects of a
// selection, and returns what reports of each whether the field is hidden; nil: it is of none. The answer lists the paths
// of such fields, each once, in its extensions, under forbidden: the names of the answer's fields, with dots between, such as users.nodes.phone. The field
// may be null. For a field of Query the object is Root; else see ObjectOf. Hide is called when the schema is checked: see Complete.
func (p *Plan) Hide(typ, field string, of func(ctx context.Context) (hidden func(object any) bool)) {
	if p.hiders == nil {
		p.hiders = map[string]map[string]hider{}
	}
	if p.hiders[typ] == nil {
		p.hiders[typ] = map[string]hider{}
	}
	p.hiders[typ][field] = of
}

// visible returns the objects of a selection without those of which a field is hidden, and notes that for the answer.
func (r *run) visible(s *selection, f *field) []any {
	of := r.hiders[s.typ][f.Name]
	if of == nil {
		return s.objects
	}
	hidden := of(r.ctx)
	if hidden == nil {
		return s.objects
	}
	for i, object := range s.objects {
		if object == nil || !hidden(object) {
			continue
		}
		if f.visible == nil {
			f.visible = slices.Clone(s.objects)
		}
		f.visible[i] = nil
	}
	if f.visible == nil {
		return s.objects
	}
	if s.answer != nil { // else its resolver does
		r.set.forbid(s.op, s.path(f))
	}
	return f.visible
}

// path is where a field of the selection is in the answer.
func (s *selection) path(f *field) string {
	names := []string{f.Alias}
	for ; s.by != nil; s = s.in {
		names = append(names, s.by.Alias)
	}
	slices.Reverse(names)
	return strings.Join(names, ".")
}

// hidden reports whether a field that gqlgen answers is hidden, and notes that for the answer.
func (p *Plan) hidden(ctx context.Context, fc *graphql.FieldContext) bool {
	of := p.hiders[fc.Object][fc.Field.Name]
	if of == nil {
		return false
	}
	hidden := of(ctx)
	if hidden == nil {
		return false
	}
	set, err := p.set(ctx)
	var object any = Root{}
	switch {
	case p.operations[fc.Object] == ast.Query:
	case fc.Parent == nil && set != nil: // of the event of a subscription
		object = set.event
	case fc.Parent != nil:
		object = fc.Parent.Result
	}
	if !hidden(object) {
		return false
	}
	if set == nil || err != nil {
		return true
	}
	op := graphql.GetOperationContext(ctx)
	var names []string
	if e, ok := op.Stats.GetExtension(p.ExtensionName()).(*events); ok { // below which gqlgen's paths begin
		names = append(names, e.field.Alias)
	}
	for _, element := range graphql.GetPath(ctx) {
		if name, ok := element.(ast.PathName); ok {
			names = append(names, string(name))
		}
	}
	set.forbid(op, strings.Join(names, "."))
	return true
}

// forbid notes the path of a hidden field.
func (s *Set) forbid(op *graphql.OperationContext, path string) {
	q := s.query(op)
	s.mu.Lock()
	defer s.mu.Unlock()
	if q.forbidden == nil {
		q.forbidden = map[string]bool{}
	}
	if _, noted := q.forbidden[path]; !noted {
		q.forbidden[path] = true
	}
}

// takeForbidden returns the paths that were noted for an operation and not yet told, in order. An answer in parts tells each once, and an event its own.
func (s *Set) takeForbidden(op *graphql.OperationContext) (paths []string) {
	q := s.query(op)
	s.mu.Lock()
	defer s.mu.Unlock()
	for path, untold := range q.forbidden {
		if untold {
			paths = append(paths, path)
			q.forbidden[path] = false
		}
	}
	if op.Operation.Operation == ast.Subscription {
		q.forbidden = nil
	}
	slices.Sort(paths)
	return paths
}

// forgetForbidden forgets the paths that were noted for an operation, which is answered anew.
func (s *Set) forgetForbidden(op *graphql.OperationContext) {
	q := s.query(op)
	s.mu.Lock()
	defer s.mu.Unlock()
	q.forbidden = nil
}

// tellHidden adds the paths of the hidden fields to an answer.
func (p *Plan) tellHidden(ctx context.Context, response *graphql.Response) *graphql.Response {
	if response == nil || len(p.hiders) == 0 || !graphql.HasOperationContext(ctx) {
		return response
	}
	set, err := p.set(ctx)
	if set == nil || err != nil {
		return response
	}
	if paths := set.takeForbidden(graphql.GetOperationContext(ctx)); len(paths) > 0 {
		if response.Extensions == nil {
			response.Extensions = map[string]any{}
		}
		response.Extensions[hiddenExtension] = paths
	}
	return response
}
