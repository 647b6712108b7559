package batch

import (
	"context"
	"reflect"
	"slices"

	"github.com/99designs/gqlgen/graphql"
	"github.com/vektah/gqlparser/v2/ast"
)

// root is what the fields of Query are followed from.
var root = []any{Root{}}

// run follows a plan from one level of objects to the next until nothing is left to load.
type run struct {
	*Plan
	ctx context.Context
	set *Set

	pending []pendingField // of the level
	one     [1]pendingField
}

// selection is objects of one type, each possibly nil, with what is selected of them.
type selection struct {
	op      *graphql.OperationContext
	typ     string
	set     ast.SelectionSet
	objects []any

	answer *answer // that they belong to, or nil
	fields []field // that are followed or answered

	in *selection // which has the field that these objects are of; nil: none that is known
	by *field     // that field
}

// field is one field of a selection, in the order of the answer.
type field struct {
	graphql.CollectedField
	value   func(b []byte, object any) []byte // appends what the object itself has
	visible []any                             // the objects, without those of which the field is hidden; nil: all are
	results                                   // of a relation or path
	write   func(b []byte, value any) []byte  // appends such a result, where it is no object
	objects int                               // how many the selection has
	reads   []readTrace                       // what it has waited for, where that is traced
	list    bool
	path    bool        // its lists are fields of the objects
	below   []selection // of the results: one, or one for each of their types; none for numbers
}

// pendingField is one field of one selection, of which one declaration's request is not read yet.
type pendingField struct {
	*selection
	*field
	request
}

// followRoots follows the query of ctx and those of its group, unless that was done: to answer them, or for their resolvers.
func (s *Set) followRoots(ctx context.Context, answering bool) {
	q := s.query(graphql.GetOperationContext(ctx))
	p := q.pass.Load()
	if answering && !q.alone { // another of the group may have had it followed, and its resolvers are to have that done again
		p = &s.together
	}
	follow := func() (none struct{}, err error) {
		p.Do(func() {
			s.follow(ctx, func(r *run) {
				if answering {
					s.needed = make([]bool, r.dependencies)
				}
				s.answering = answering && p == &s.together
				s.mu.Lock()
				queries := s.queries
				s.mu.Unlock()
				r.readFirst(queries)
				for _, q := range queries {
					if q.pass.Load() == p {
						r.begin(q, answering)
					}
				}
			})
		})
		return none, nil
	}
	_, _ = within(ctx, s, follow) // the rest of the group needs it even if the time of this query is up
	if !answering {               // else failures are left to the resolvers
		s.report(ctx)
	}
}

// begin gathers the roots of a query.
func (r *run) begin(q *query, answering bool) {
	roots := &selection{op: q.op, typ: r.schema.Query.Name, set: q.op.Operation.SelectionSet, objects: root}
	if answering {
		if q.answer.why = r.set.note(q.op, roots.set, map[string]bool{}); q.answer.why == "" {
			q.answer = answer{roots: *roots, complete: true}
			roots = &q.answer.roots
			roots.answer = &q.answer
		}
	}
	r.gather(roots)
	if r.set.trace != nil {
		q.traced = roots.fields
	}
}

// followBelow follows what a field has returned.
func (s *Set) followBelow(ctx context.Context, selected graphql.CollectedField, result any) {
	s.follow(ctx, func(r *run) {
		r.readFirst([]*query{s.query(graphql.GetOperationContext(ctx))})
		fields := []field{{CollectedField: selected}}
		f := &fields[0]
		if kind := reflect.ValueOf(result).Kind(); kind == reflect.Slice {
			f.addList(result)
		} else {
			f.add(result)
		}
		f.objects = 1
		r.gatherBelow(&selection{op: graphql.GetOperationContext(ctx)}, f)
		r.set.trace.keep(fields)
	})
	s.report(ctx)
}

// follow reads what gather gathers, and everything below it. One run at a time fills the set's batches.
func (s *Set) follow(ctx context.Context, gather func(*run)) {
	s.following.Lock()
	defer s.following.Unlock()
	r := &s.run
	*r = run{Plan: s.plan, ctx: ctx, set: s}
	r.pending = r.one[:0]
	gather(r)
	for len(r.pending) > 0 {
		s.read()
		level := r.pending
		r.pending = nil
		for _, f := range level {
			f.traced(s)
			if (f.answer != nil || r.leads(f.Selections)) && !f.take(&f.results) {
				f.lacks(f.Name, "could not be read")
			}
		}
		for i, f := range level {
			if i > 0 && level[i-1].field == f.field {
				continue
			}
			if f.answer == nil || f.answer.complete || !s.narrowed.Load() { // else all of it is read again for resolvers
				r.gatherBelow(f.selection, f.field)
			}
		}
	}
}

// gather collects the keys of every relation that is selected of some objects.
func (r *run) gather(s *selection) {
	if !slices.ContainsFunc(s.objects, isThere) {
		return
	}
	declared, collected := r.fields[s.typ], r.collect(s)
	s.fields = make([]field, 0, len(collected)) // with room, as pointers to its elements are kept
	var later []graphql.CollectedField
	for _, f := range collected {
		switch {
		case f.Name == "__typename":
			s.fields = append(s.fields, field{CollectedField: f, value: s.appendType})
		case declared[f.Name] == nil:
		case f.IsDeferred() && r.operations[s.typ] == "": // it is resolved later, if at all
			later = append(later, f)
		default:
			r.gatherField(s, f)
		}
	}
	r.set.postpone(s, later)
}

func isThere(object any) bool { return object != nil }

// collect returns the fields that are selected. gqlgen panics where the variable of a @skip or @include is null; it will do so
// again when the resolvers run, and report it.
func (r *run) collect(s *selection) []graphql.CollectedField {
	if fields := plain(s.set); fields != nil {
		return fields
	}
	defer func() { _ = recover() }()
	return graphql.CollectFields(s.op, s.set, r.satisfied[s.typ])
}

// maxPlain is how many fields are compared with each other.
const maxPlain = 16

// plain returns the fields of a selection set without fragments, directives and repeated names, and nil for any other set. It
// returns what gqlgen would collect, in a fraction of the time.
func plain(set ast.SelectionSet) []graphql.CollectedField {
	if len(set) > maxPlain {
		return nil
	}
	fields := make([]graphql.CollectedField, len(set))
	for i, selected := range set {
		f, ok := selected.(*ast.Field)
		if !ok || len(f.Directives) > 0 ||
			slices.ContainsFunc(fields[:i], func(other graphql.CollectedField) bool { return other.Alias == f.Alias }) {
			return nil
		}
		fields[i] = graphql.CollectedField{Field: f, Selections: f.SelectionSet, IsNonDeferrable: true}
	}
	return fields
}

// gatherField is gather for one selected field. A panic in a declaration becomes an error of the operation, and leaves the
// field to its resolvers.
func (r *run) gatherField(s *selection, selected graphql.CollectedField) {
	defer func() {
		if v := recover(); v != nil {
			s.lacks(selected.Name, "has failed")
			r.set.fail(s.op, s.op.RecoverFunc(r.ctx, v))
		}
	}()
	s.fields = append(s.fields, field{CollectedField: selected, objects: len(s.objects)})
	f := &s.fields[len(s.fields)-1]
	objects := r.visible(s, f)
	for _, declared := range r.fields[s.typ][selected.Name] {
		f.list, f.path, f.write = declared.list, declared.follow != nil, declared.write
		switch {
		case declared.value != nil:
			f.value = declared.value
		case declared.follow != nil:
			if s.answer == nil && !r.leads(selected.Selections) {
				continue
			}
			for _, object := range objects {
				switch {
				case object != nil:
					declared.follow(&f.results, object)
				case declared.list:
					f.spans.begin(false, 0)
				default:
					f.add(nil)
				}
			}
			r.gatherBelow(s, f)
		default:
			request := declared.load(r.ctx, objects, arguments(s.op, selected))
			if request == nil {
				s.lacks(selected.Name, "has arguments that are not valid")
			} else {
				r.pending = append(r.pending, pendingField{s, f, request})
			}
		}
	}
}

// arguments returns the arguments of a field.
func arguments(op *graphql.OperationContext, f graphql.CollectedField) Args {
	if len(f.Definition.Arguments) == 0 {
		return nil
	}
	return f.ArgumentMap(op.Variables)
}

// leads reports whether something may have to be loaded below a selection set, as below any with a fragment.
func (p *Plan) leads(set ast.SelectionSet) bool {
	for _, s := range set {
		f, ok := s.(*ast.Field)
		if !ok {
			return true
		}
		for _, typ := range p.schema.GetPossibleTypes(f.ObjectDefinition) {
			if known := p.fields[typ.Name][f.Name]; known != nil && known[0].value == nil {
				return true
			}
		}
	}
	return false
}

// gatherBelow is gather for what is selected below a field. The objects have several types if the field's is an interface or a
// union.
func (r *run) gatherBelow(s *selection, f *field) {
	named := f.Definition.Type.Name()
	def := r.schema.Types[named]
	switch {
	case def == nil || !def.IsCompositeType():
		return
	case !def.IsAbstractType():
		f.below = []selection{{op: s.op, typ: named, set: f.Selections, objects: f.values, answer: s.answer, in: s, by: f}}
	default:
		f.below = r.byType(s, f)
	}
	for i := range f.below {
		r.gather(&f.below[i])
	}
}

// byType splits the objects of a field by their types, in the order in which these occur.
func (r *run) byType(s *selection, f *field) (split []selection) {
	types := r.within[f.Definition.Type.Name()]
	for i, object := range f.values {
		if object == nil {
			continue
		}
		typ, known := types[reflect.TypeOf(object)]
		if !known {
			s.lacks(f.Name, "has an object of a type that is not declared")
		}
		of := slices.IndexFunc(split, func(s selection) bool { return s.typ == typ })
		if of < 0 {
			of = len(split)
			split = append(split, selection{op: s.op, typ: typ, set: f.Selections, objects: make([]any, len(f.values)), answer: s.answer, in: s, by: f})
		}
		split[of].objects[i] = object
	}
	return split
}

// fail keeps the panic of a declaration for its operation.
func (s *Set) fail(op *graphql.OperationContext, err error) {
	q := s.query(op)
	s.mu.Lock()
	defer s.mu.Unlock()
	q.failures = append(q.failures, err)
}

// takeFailures returns the panics that were kept for an operation, and forgets them.
func (s *Set) takeFailures(op *graphql.OperationContext) (failures []error) {
	q := s.query(op)
	s.mu.Lock()
	defer s.mu.Unlock()
	failures, q.failures = q.failures, nil
	return failures
}

// report makes errors of the operation of ctx of the panics that were kept for it.
func (s *Set) report(ctx context.Context) {
	op := graphql.GetOperationContext(ctx)
	for _, err := range s.takeFailures(op) {
		op.Error(ctx, err)
	}
}
