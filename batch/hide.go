package batch

import (
	"context"
	"slices"
	"strings"

	"github.com/99designs/gqlgen/graphql"
	"github.com/vektah/gqlparser/v2/ast"
)

// hide reports whether a field of an object is hidden.
type hide func(ctx context.Context, object any) bool

// hiddenExtension is where an answer lists the fields that were hidden.
const hiddenExtension = "forbidden"

// Hide has a field be null for the objects of which hidden says so, whether the plan or a resolver would answer it. The answer lists the paths
// of such fields, each once, in its extensions, under forbidden: the names of the answer's fields, with dots between, such as users.nodes.phone. The field
// may be null. For a field of Query the object is Root; else see ObjectOf. It is called when the schema is checked: see Complete.
func (p *Plan) Hide(typ, field string, hidden func(ctx context.Context, object any) bool) {
	if p.hides == nil {
		p.hides = map[string]map[string]hide{}
	}
	if p.hides[typ] == nil {
		p.hides[typ] = map[string]hide{}
	}
	p.hides[typ][field] = hidden
}

// hide returns the objects of a selection without those of which a field is hidden, and notes that for the answer.
func (r *run) hide(s *selection, f *field, hidden hide) []any {
	for i, object := range s.objects {
		if object == nil || !hidden(r.ctx, object) {
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
func (p *Plan) hidden(ctx context.Context, fc *graphql.FieldContext, hidden hide) bool {
	set, err := p.set(ctx)
	var object any = Root{}
	switch {
	case p.operations[fc.Object] == ast.Query:
	case fc.Parent == nil && set != nil: // of the event of a subscription
		object = set.event
	case fc.Parent != nil:
		object = fc.Parent.Result
	}
	if !hidden(ctx, object) {
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
	if response == nil || len(p.hides) == 0 || !graphql.HasOperationContext(ctx) {
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
