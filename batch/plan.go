package batch

import (
	"context"
	"reflect"
	"slices"

	"github.com/vektah/gqlparser/v2/ast"
)

// Plan knows which fields of a schema lead from objects to others, and how. It is made once.
type Plan struct {
	fields  map[string]map[string][]Field // by type and field name
	types   map[reflect.Type]string       // GraphQL types by the Go types bound to them
	columns map[string][]column           // by type, in the order in which they were declared

	schema    *ast.Schema
	satisfied map[string][]string // the type conditions of fragments that objects of a type meet

	eventContexts bool // gqlgen takes a subscription's event before any interceptor can
}

// Field is the declaration of one field, made by Relation, Relations, Path or Column.
type Field struct {
	typ, name string
	parent    reflect.Type
	load      func(ctx context.Context, objects []any, args Args) (loaded func() []any) // in a relation
	follow    func(object any) []any                                                    // in a path
	column    string                                                                    // in a column
}

// Args are the arguments of a field, by name: literals and variables as gqlparser gives them, for
// functions such as graphql.UnmarshalInt. An argument that was left out is missing.
type Args map[string]any

// Root is the parent of the fields of Query.
type Root struct{}

// NewPlan returns the plan of a schema's relations and columns.
func NewPlan(fields ...Field) *Plan {
	p := &Plan{fields: map[string]map[string][]Field{}, types: map[reflect.Type]string{}, columns: map[string][]column{}}
	for _, f := range fields {
		if f.column != "" {
			p.columns[f.typ] = append(p.columns[f.typ], column{f.name, f.column})
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

// Relation declares that the field name of the type typ, which P is bound to, is what loader has
// under the key that key returns. key returns false where there is nothing to load, as where the arguments
// are not valid: the resolver says so. It must return the very key that the resolver uses.
func Relation[P any, K comparable, V any](
	typ, name string, loader func(context.Context) *Loader[K, V], key func(parent P, args Args) (K, bool),
) Field {
	return relation(typ, name, loader, func(keys []K, parent P, args Args) []K {
		if k, ok := key(parent, args); ok {
			return append(keys, k)
		}
		return keys
	})
}

// Relations is Relation for a field that has several keys.
func Relations[P any, K comparable, V any](
	typ, name string, loader func(context.Context) *Loader[K, V], keys func(parent P, args Args) []K,
) Field {
	return relation(typ, name, loader, func(all []K, parent P, args Args) []K {
		return append(all, keys(parent, args)...)
	})
}

func relation[P any, K comparable, V any](
	typ, name string, loader func(context.Context) *Loader[K, V], appendKeys func(keys []K, parent P, args Args) []K,
) Field {
	load := func(ctx context.Context, objects []any, args Args) func() []any {
		l := loader(ctx)
		keys := make([]K, 0, len(objects))
		for _, object := range objects {
			keys = appendKeys(keys, object.(P), args)
		}
		l.foresee(keys)
		return func() []any { return l.loaded(keys) }
	}
	return Field{typ: typ, name: name, parent: reflect.TypeFor[P](), load: load}
}

// Path declares that the field name of the type typ, which P is bound to, holds objects (one, or
// a slice) without a statement, and that the plan goes on below them.
func Path[P, V any](typ, name string, follow func(parent P) V) Field {
	return Field{typ: typ, name: name, parent: reflect.TypeFor[P](), follow: func(object any) []any {
		return appendObjects(nil, follow(object.(P)))
	}}
}

// appendObjects appends a value, or the elements of a slice, but no nil.
func appendObjects(objects []any, value any) []any {
	return appendValues(objects, reflect.ValueOf(value))
}

func appendValues(objects []any, v reflect.Value) []any {
	switch v.Kind() {
	case reflect.Invalid:
		return objects
	case reflect.Interface:
		return appendValues(objects, v.Elem())
	case reflect.Pointer, reflect.Map:
		if v.IsNil() {
			return objects
		}
	case reflect.Slice:
		objects = slices.Grow(objects, v.Len())
		for i := range v.Len() {
			objects = appendValues(objects, v.Index(i))
		}
		return objects
	}
	return append(objects, v.Interface())
}
