package batch

import (
	"context"
	"iter"
	"reflect"
	"slices"

	"github.com/vektah/gqlparser/v2/ast"
)

// Plan knows which fields of a schema lead from objects to others, and how. It is made once.
type Plan struct {
	fields  map[string]map[string][]Field // by type and field name
	types   map[reflect.Type]string       // GraphQL types by the Go types bound to them
	columns map[string][]dependency       // by type, in the order in which they were declared

	dependencies int                            // how many columns are declared
	needs        map[*ast.FieldDefinition][]int // the dependencies of the schema's fields, by their index

	schema    *ast.Schema
	satisfied map[string][]string // the type conditions of fragments that objects of a type meet

	answers       bool // queries are answered from what the plan has followed
	eventContexts bool // gqlgen takes a subscription's event before any interceptor can
}

// Field is the declaration of one field, made by Relation, Relations, Path, Paths, Value or Column.
type Field struct {
	typ, name string
	parent    reflect.Type
	load      func(ctx context.Context, objects []any, args Args) loading // in a relation
	follow    func(below *column, object any)                             // in a path
	list      bool                                                        // the field has a list
	value     func(b []byte, object any) []byte                           // in a value
	from      string                                                      // the column that it needs
}

// Args are the arguments of a field, by name: literals and variables as gqlparser gives them, for
// functions such as graphql.UnmarshalInt. An argument that was left out is missing.
type Args map[string]any

// Root is the parent of the fields of Query.
type Root struct{}

// NewPlan returns the plan of a schema's relations, values and columns.
func NewPlan(fields ...Field) *Plan {
	p := &Plan{fields: map[string]map[string][]Field{}, types: map[reflect.Type]string{}, columns: map[string][]dependency{}}
	for _, f := range fields {
		if f.from != "" {
			p.columns[f.typ] = append(p.columns[f.typ], dependency{f.name, f.from, p.dependencies})
			p.dependencies++
		}
		if f.parent == nil {
			continue
		}
		if p.fields[f.typ] == nil {
			p.fields[f.typ] = map[string][]Field{}
		}
		p.fields[f.typ][f.name] = append(p.fields[f.typ][f.name], f)
		p.types[f.parent] = f.typ
	}
	return p
}

// Relation declares that the field name of the type typ, which P is bound to, is what loader has under a key. key is
// given the field's arguments, once for all objects, and returns the function from an object to its key, which must
// be the one that the resolver uses, or to false where there is nothing to load and the field is null. It returns nil
// where the arguments are not valid, which the resolver will say.
//
// A field of an interface or a union has one declaration for each loader that may have its object.
func Relation[P any, K comparable, V any](
	typ, name string, loader func(context.Context) *Loader[K, V], key func(Args) func(parent P) (K, bool),
) Field {
	load := func(ctx context.Context, objects []any, args Args) loading {
		of := key(args)
		if of == nil {
			return nil
		}
		w := newWaiting(loader(ctx), len(objects))
		for _, object := range objects {
			if object == nil {
				w.foresee(*new(K), false)
				continue
			}
			w.foresee(of(object.(P)))
		}
		return w
	}
	return Field{typ: typ, name: name, parent: reflect.TypeFor[P](), load: load, list: isList[V]()}
}

// Relations is Relation for a field that is a list with a key for each of its elements.
func Relations[P any, K comparable, V any](
	typ, name string, loader func(context.Context) *Loader[K, V], keys func(Args) func(parent P) iter.Seq2[K, bool],
) Field {
	load := func(ctx context.Context, objects []any, args Args) loading {
		of := keys(args)
		if of == nil {
			return nil
		}
		w := newWaiting(loader(ctx), len(objects))
		for _, object := range objects {
			w.spans.begin(object != nil, len(w.slots))
			if object == nil {
				continue
			}
			for key, ok := range of(object.(P)) {
				w.foresee(key, ok)
			}
			w.spans.end(len(w.slots))
		}
		return w
	}
	return Field{typ: typ, name: name, parent: reflect.TypeFor[P](), load: load, list: true}
}

// Key is for a relation without arguments.
func Key[P any, K comparable](key func(parent P) (K, bool)) func(Args) func(P) (K, bool) {
	return func(Args) func(P) (K, bool) { return key }
}

// Path declares that the field name of the type typ, which P is bound to, holds an object without a statement, and
// that the plan goes on below it.
func Path[P, V any](typ, name string, follow func(parent P) V) Field {
	return Field{typ: typ, name: name, parent: reflect.TypeFor[P](), follow: func(below *column, object any) {
		below.add(follow(object.(P)))
	}}
}

// Paths is Path for a field that holds a list.
func Paths[P, V any](typ, name string, follow func(parent P) []V) Field {
	return Field{typ: typ, name: name, parent: reflect.TypeFor[P](), list: true, follow: func(below *column, object any) {
		list := follow(object.(P))
		below.spans.begin(true, len(below.values))
		below.values = slices.Grow(below.values, len(list))
		for _, v := range list {
			below.add(v)
		}
		below.spans.end(len(below.values))
	}}
}

// Value declares how the field name of the type typ, which P is bound to, is written: appendTo appends it to an
// answer as JSON, or returns nil to leave the answer to the resolvers.
func Value[P any](typ, name string, appendTo func(b []byte, parent P) []byte) Field {
	return Field{typ: typ, name: name, parent: reflect.TypeFor[P](), value: func(b []byte, object any) []byte {
		return appendTo(b, object.(P))
	}}
}

// From adds the column that the field needs, as Column does.
func (f Field) From(column string) Field {
	f.from = column
	return f
}
