package batch

import (
	"context"
	"reflect"
	"slices"
	"sync"

	"github.com/99designs/gqlgen/graphql"
	"github.com/vektah/gqlparser/v2/ast"
)

// run follows a plan from one level of objects down to where nothing more is to be loaded.
type run struct {
	*Plan
	ctx context.Context
	set *Set

	loads []load // of the level
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
	operations, op := s.operations, graphql.GetOperationContext(ctx)
	s.mu.Lock()
	once := s.roots[op]
	if once == nil { // the set was made before the operation was known
		once = &sync.Once{}
		s.roots[op] = once
	}
	s.mu.Unlock()
	if !slices.Contains(operations, op) {
		operations = []*graphql.OperationContext{op}
	}
	follow := func() {
		once.Do(func() {
			s.run(ctx, func(r *run) {
				for _, op := range operations {
					r.gather(selection{op, s.plan.schema.Query.Name, op.Operation.SelectionSet, []any{Root{}}})
				}
			})
		})
	}
	if s.outlives(ctx) { // the others of the group need it even if this one's time is up
		done := make(chan struct{})
		go func() {
			defer close(done)
			follow()
		}()
		select {
		case <-done:
		case <-ctx.Done():
		}
	} else {
		follow()
	}
	s.report(ctx)
}

// followBelow follows what a field has returned.
func (s *Set) followBelow(ctx context.Context, field graphql.CollectedField, result any) {
	s.run(ctx, func(r *run) {
		for _, below := range r.split(graphql.GetOperationContext(ctx), field, appendObjects(nil, result)) {
			r.gather(below)
		}
	})
	s.report(ctx)
}

// run reads what gather gathers, and whatever is below it. One run at a time fills the set's batches.
func (s *Set) run(ctx context.Context, gather func(*run)) {
	s.following.Lock()
	defer s.following.Unlock()
	r := &run{Plan: s.plan, ctx: ctx, set: s}
	gather(r)
	for len(r.loads) > 0 {
		s.read()
		loads := r.loads
		r.loads = nil
		for _, l := range loads {
			if !r.leads(l.op, l.field) {
				continue
			}
			for _, below := range r.split(l.op, l.field, l.loaded()) {
				r.gather(below)
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
			args := Args(selected.ArgumentMap(s.op.Variables))
			r.loads = append(r.loads, load{s.op, selected, f.load(r.ctx, s.objects, args)})
			continue
		}
		var below []any
		for _, object := range s.objects {
			below = append(below, f.follow(object)...)
		}
		for _, next := range r.split(s.op, selected, below) {
			r.gather(next)
		}
	}
}

// leads tells whether something may have to be loaded below a field.
func (r *run) leads(op *graphql.OperationContext, f graphql.CollectedField) bool {
	if len(f.Selections) == 0 {
		return false
	}
	def := r.schema.Types[f.Definition.Type.Name()]
	for _, typ := range r.schema.GetPossibleTypes(def) {
		if r.fields[typ.Name] == nil {
			continue
		}
		for _, below := range graphql.CollectFields(op, f.Selections, r.satisfied[typ.Name]) {
			if r.fields[typ.Name][below.Name] != nil {
				return true
			}
		}
	}
	return false
}

// split sorts the objects below a field by their types, of which there are several if the field's is an interface.
func (r *run) split(op *graphql.OperationContext, f graphql.CollectedField, objects []any) []selection {
	named := f.Definition.Type.Name()
	def := r.schema.Types[named]
	if def == nil || !def.IsCompositeType() || len(objects) == 0 {
		return nil
	}
	if !def.IsAbstractType() {
		return []selection{{op, named, f.Selections, objects}}
	}
	var split []selection
next:
	for _, o := range objects {
		typ := r.types[reflect.TypeOf(o)]
		for i := range split {
			if split[i].typ == typ {
				split[i].objects = append(split[i].objects, o)
				continue next
			}
		}
		split = append(split, selection{op, typ, f.Selections, []any{o}})
	}
	return split
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
	var errs []error
	s.broken = slices.DeleteFunc(s.broken, func(b broken) bool {
		if b.op == op {
			errs = append(errs, b.err)
		}
		return b.op == op
	})
	s.mu.Unlock()
	for _, err := range errs {
		op.Error(ctx, err)
	}
}
