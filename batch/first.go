package batch

import (
	"context"
	"reflect"

	"github.com/99designs/gqlgen/graphql"
	"github.com/vektah/gqlparser/v2/ast"
)

// FirstSource is the declaration of a value that is read before all else: see First.
type FirstSource[V any] struct {
	source *Source[struct{}, *firstRead[V]]
}

// firstRead is what came of reading it. An error is kept like a value: to read it again would be to read it after something else.
type firstRead[V any] struct {
	value V
	err   error
}

// NewFirst returns the source of what read reads.
func NewFirst[V any](read func(ctx context.Context) (V, error)) *FirstSource[V] {
	source := NewSource(func(ctx context.Context, _ []struct{}, _ Columns) (map[struct{}]*firstRead[V], error) {
		value, err := read(ctx)
		return map[struct{}]*firstRead[V]{{}: {value, err}}, nil
	})
	source.first = true
	return &FirstSource[V]{source}
}

// First declares that the field name of the type typ, which is bound to P, is a scalar that is the same wherever it stands: what source
// reads once for all operations of a set, if any of their selections has such a field, and before anything else that the plan reads for them. So
// whatever else is read is no older. Of a mutation it is read once the first of its root fields has returned, before what is below that, and writes do
// not have it read again. appendTo appends it to an answer as JSON, or returns nil to leave the answer to the resolvers; say with As which
// scalar it is.
func First[P, V any](typ, name string, source *FirstSource[V], appendTo func(b []byte, value V) []byte) Field {
	f := Field{typ: typ, name: name, kind: relation, parent: reflect.TypeFor[P](), of: reflect.TypeFor[V]()}
	f.check(source != nil && appendTo != nil)
	f.first = func(ctx context.Context) { newRequest(source.source.Loader(ctx), 1).enqueue(struct{}{}, true) }
	f.load = func(ctx context.Context, objects []any, _ Args) request {
		r := newRequest(source.source.Loader(ctx), len(objects))
		for _, object := range objects {
			r.enqueue(struct{}{}, object != nil)
		}
		return r
	}
	f.write = func(b []byte, value any) []byte {
		if read, ok := value.(*firstRead[V]); ok && read.err == nil {
			return appendTo(b, read.value)
		}
		return nil
	}
	f.resolve = func(ctx context.Context, _ any, _ Args) (any, error) {
		switch read, err := source.source.Load(ctx, struct{}{}); {
		case err != nil:
			return nil, err
		case read.err != nil:
			return nil, read.err
		default:
			return read.value, nil
		}
	}
	return f
}

// readFirst reads what is declared with First and selected in some queries, unless it was read before.
func (r *run) readFirst(queries []*query) {
	if len(r.firsts) == 0 {
		return
	}
	found := false
	for _, q := range queries {
		walk := &firstWalk{run: r, op: q.op}
		walk.visit(q.op.Operation.SelectionSet)
		found = found || walk.found
	}
	if found {
		r.set.read()
	}
}

// firstWalk looks for such fields in one operation. It visits each fragment once, wherever it is spread.
type firstWalk struct {
	*run
	op        *graphql.OperationContext
	fragments map[string]bool
	found     bool
}

func (w *firstWalk) visit(set ast.SelectionSet) {
	for _, selected := range set {
		directives, below := parts(w.op, selected)
		if in, known := included(w.op, directives); known && !in {
			continue
		}
		switch s := selected.(type) {
		case *ast.Field:
			for _, first := range w.firsts[s.Definition] {
				first(w.ctx)
				w.found = true
			}
		case *ast.FragmentSpread:
			if w.fragments[s.Name] {
				continue
			}
			if w.fragments == nil {
				w.fragments = map[string]bool{}
			}
			w.fragments[s.Name] = true
		}
		w.visit(below)
	}
}

// findFirsts notes which fields of the schema are declared with First: those of an interface, too, that one of its types declares so.
func (v *validation) findFirsts() {
	v.firsts = map[*ast.FieldDefinition][]func(context.Context){}
	for _, def := range v.schema.Types {
		if !def.IsCompositeType() {
			continue
		}
		for _, field := range def.Fields {
			for _, typ := range v.schema.GetPossibleTypes(def) {
				if declared := v.fields[typ.Name][field.Name]; declared != nil && declared[0].first != nil {
					v.firsts[field] = append(v.firsts[field], declared[0].first)
				}
			}
		}
	}
}
