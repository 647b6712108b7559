package batch

import (
	"context"
	"reflect"
	"slices"
	"sync"

	"github.com/99designs/gqlgen/graphql"
	"github.com/vektah/gqlparser/v2/ast"
)

// root is what the fields of Query are followed from.
var root = []any{Root{}}

// run follows a plan from one level of objects down to where nothing more is to be loaded.
type run struct {
	*Plan
	ctx context.Context
	set *Set

	loads []load // of the level
	one   [1]load
}

// selection is objects of one type with what is selected of them.
type selection struct {
	op      *graphql.OperationContext
	typ     string
	fields  ast.SelectionSet
	objects []any
}

// load is one relation of one selection on its way.
type load struct {
	op     *graphql.OperationContext
	field  graphql.CollectedField
	loaded func() []any
}

// followRoots follows the query of ctx, with those of its group, unless that was done.
func (s *Set) followRoots(ctx context.Context) {
	if s.outlives(ctx) { // the others of the group need it even if this one's time is up
		done := make(chan struct{})
		go func() {
			defer close(done)
			s.followQueries(ctx)
		}()
		select {
		case <-done:
		case <-ctx.Done():
		}
	} else {
		s.followQueries(ctx)
	}
	s.report(ctx)
}

func (s *Set) followQueries(ctx context.Context) {
	once, operations, op := &s.roots, s.operations, graphql.GetOperationContext(ctx)
	if !slices.Contains(operations, op) {
		once, operations = s.latecomer(op), []*graphql.OperationContext{op}
	}
	once.Do(func() {
		s.follow(ctx, func(r *run) {
			for _, op := range operations {
				r.gather(selection{op, s.plan.schema.Query.Name, op.Operation.SelectionSet, root})
			}
		})
	})
}

// latecomer returns what lets an operation be followed once that the set was made before.
func (s *Set) latecomer(op *graphql.OperationContext) *sync.Once {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.late == nil {
		s.late = map[*graphql.OperationContext]*sync.Once{}
	}
	if s.late[op] == nil {
		s.late[op] = &sync.Once{}
	}
	return s.late[op]
}

// followBelow follows what a field has returned.
func (s *Set) followBelow(ctx context.Context, field graphql.CollectedField, result any) {
	s.follow(ctx, func(r *run) {
		r.gatherBelow(graphql.GetOperationContext(ctx), field, appendObjects(nil, result))
	})
	s.report(ctx)
}

// follow reads what gather gathers, and whatever is below it. One run at a time fills the set's batches.
func (s *Set) follow(ctx context.Context, gather func(*run)) {
	s.following.Lock()
	defer s.following.Unlock()
	r := &s.run
	*r = run{Plan: s.plan, ctx: ctx, set: s}
	r.loads = r.one[:0]
	gather(r)
	for len(r.loads) > 0 {
		s.read()
		loads := r.loads
		r.loads = nil
		for _, l := range loads {
			if r.leads(l.field.Selections) {
				r.gatherBelow(l.op, l.field, l.loaded())
			}
		}
	}
}

// gather collects the keys of every relation that is selected of some objects.
func (r *run) gather(s selection) {
	if r.fields[s.typ] == nil || len(s.objects) == 0 {
		return
	}
	var later []graphql.CollectedField
	for _, f := range graphql.CollectFields(s.op, s.fields, r.satisfied[s.typ]) {
		switch {
		case r.fields[s.typ][f.Name] == nil:
		case f.IsDeferred() && r.operation(s.typ) == "": // it is resolved later, and may never be
			later = append(later, f)
		default:
			r.gatherField(s, f)
		}
	}
	r.set.postpone(s, later)
}

// gatherField is gather for one selected field. A panic in a declaration is an error of the operation, as it
// would be in a resolver, and leaves the field to its resolvers.
func (r *run) gatherField(s selection, selected graphql.CollectedField) {
	defer func() {
		if v := recover(); v != nil {
			r.set.breaks(s.op, s.op.RecoverFunc(r.ctx, v))
		}
	}()
	for _, f := range r.fields[s.typ][selected.Name] {
		if f.load != nil {
			r.loads = append(r.loads, load{s.op, selected, f.load(r.ctx, s.objects, arguments(s.op, selected))})
			continue
		}
		below := f.follow(s.objects[0])
		for _, object := range s.objects[1:] {
			below = append(below, f.follow(object)...)
		}
		r.gatherBelow(s.op, selected, below)
	}
}

// arguments returns the arguments of a field.
func arguments(op *graphql.OperationContext, f graphql.CollectedField) Args {
	if len(f.Definition.Arguments) == 0 {
		return nil
	}
	return f.ArgumentMap(op.Variables)
}

// leads tells whether something may have to be loaded below what is selected: always, if fragments are.
func (p *Plan) leads(set ast.SelectionSet) bool {
	for _, s := range set {
		f, ok := s.(*ast.Field)
		if !ok {
			return true
		}
		for _, typ := range p.schema.GetPossibleTypes(f.ObjectDefinition) {
			if p.fields[typ.Name][f.Name] != nil {
				return true
			}
		}
	}
	return false
}

// gatherBelow is gather for what is selected below a field. The objects are of several types if the field's is
// an interface or a union.
func (r *run) gatherBelow(op *graphql.OperationContext, f graphql.CollectedField, objects []any) {
	named := f.Definition.Type.Name()
	def := r.schema.Types[named]
	switch {
	case def == nil || !def.IsCompositeType():
		return
	case !def.IsAbstractType():
		r.gather(selection{op, named, f.Selections, objects})
		return
	}
	var types []string // in the order in which they occur
	split := map[string][]any{}
	for _, o := range objects {
		typ := r.types[reflect.TypeOf(o)]
		if split[typ] == nil {
			types = append(types, typ)
		}
		split[typ] = append(split[typ], o)
	}
	for _, typ := range types {
		r.gather(selection{op, typ, f.Selections, split[typ]})
	}
}

// breaks keeps the panic of a declaration for its operation.
func (s *Set) breaks(op *graphql.OperationContext, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.broken = append(s.broken, broken{op, err})
}

// report makes errors of an operation of the panics that were kept for it.
func (s *Set) report(ctx context.Context) {
	op := graphql.GetOperationContext(ctx)
	s.mu.Lock()
	all := s.broken
	var others []broken
	for _, b := range all {
		if b.op != op {
			others = append(others, b)
		}
	}
	s.broken = others
	s.mu.Unlock()
	for _, b := range all {
		if b.op == op {
			op.Error(ctx, b.err)
		}
	}
}
