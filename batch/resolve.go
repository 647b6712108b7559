package batch

import (
	"context"
	"fmt"
	"iter"
	"reflect"

	"github.com/99designs/gqlgen/graphql"
	"github.com/vektah/gqlparser/v2/ast"
)

// Lookup is Relation for a field that needs no resolver: where gqlgen runs the resolvers, the plan itself resolves it, by the very
// key. key returns the error that the field then has where its arguments are not valid.
func Lookup[P any, K comparable, V any](typ, name string, source *Source[K, V], key func(Args) (func(parent P) (K, bool), error)) Field {
	var loader func(context.Context) *Loader[K, V]
	if source != nil {
		loader = source.Loader
	}
	var valid func(Args) func(P) (K, bool)
	if key != nil {
		valid = func(args Args) func(P) (K, bool) {
			of, _ := key(args)
			return of
		}
	}
	f := Relation(typ, name, loader, valid)
	f.resolve = func(ctx context.Context, parent any, args Args) (any, error) {
		of, err := key(args)
		if err != nil {
			return nil, err
		}
		object, err := objectOf[P](parent)
		if err != nil {
			return nil, err
		}
		return value(ctx, source, of, object)
	}
	return f
}

// value loads what an object has in a source: nil where it has no key there, or nothing under it.
func value[P any, K comparable, V any](ctx context.Context, source *Source[K, V], of func(P) (K, bool), object P) (any, error) {
	k, ok := of(object)
	if !ok {
		return nil, nil
	}
	v, err := source.Load(ctx, k)
	if r := reflect.ValueOf(&v).Elem(); err != nil || r.Kind() == reflect.Pointer && r.IsNil() {
		return nil, err
	}
	return v, nil
}

// Lookups is Relations for such a field. list makes the value that gqlgen takes of the objects, in which nil stands for none.
func Lookups[P any, K comparable, V any](
	typ, name string, source *Source[K, V], keys func(Args) (func(parent P) iter.Seq2[K, bool], error), list func(objects []any) any,
) Field {
	f := Relations(typ, name, source.Loader, func(args Args) func(P) iter.Seq2[K, bool] {
		of, _ := keys(args)
		return of
	})
	f.listed = list
	f.resolve = func(ctx context.Context, parent any, args Args) (any, error) {
		of, err := keys(args)
		if err != nil {
			return nil, err
		}
		object, err := objectOf[P](parent)
		if err != nil {
			return nil, err
		}
		all := []any{}
		for k, ok := range of(object) {
			v, err := value(ctx, source, func(K) (K, bool) { return k, ok }, k)
			if err != nil {
				return nil, err
			}
			all = append(all, v)
		}
		return all, nil
	}
	return f
}

// objectOf returns the object of a field as gqlgen's context has it: as it is, or, for an element of a list, its address.
func objectOf[P any](parent any) (object P, err error) {
	switch p := parent.(type) {
	case P:
		return p, nil
	case *P:
		return *p, nil
	}
	if v := reflect.ValueOf(parent); v.Kind() == reflect.Pointer && v.Elem().Kind() == reflect.Interface { // an element of an abstract type
		if p, ok := v.Elem().Interface().(P); ok {
			return p, nil
		}
	}
	return object, fmt.Errorf("batch: the object of a field is a %T, and %s is what the field is declared for", parent, reflect.TypeFor[P]())
}

// resolve resolves a field that needs no resolver. Of the declarations for the objects of an abstract type, the first that has a
// value counts, and in a list each element has its own.
func (k *known) resolve(ctx context.Context, p *Plan, set *Set, fc *graphql.FieldContext) (result any, err error) {
	var parent any = Root{}
	if p.operation(fc.Object) != ast.Query {
		if fc.Parent == nil { // of the event of a subscription, which gqlgen's context does not have
			parent = set.event
		} else {
			parent = fc.Parent.Result
		}
	}
	args := arguments(graphql.GetOperationContext(ctx), fc.Field)
	for _, declared := range k.declared {
		one, err := declared.resolve(ctx, parent, args)
		if err != nil {
			return nil, err
		}
		if result = merged(result, one); result != nil && declared.kind != relations {
			break
		}
	}
	if all, ok := result.([]any); ok {
		return k.declared[0].listed(all), nil
	}
	return result, nil
}

// merged returns the first of two values that is one. In lists each element counts by itself.
func merged(one, other any) any {
	all, list := one.([]any)
	switch {
	case one == nil:
		return other
	case list:
		for i, v := range other.([]any) {
			if all[i] == nil {
				all[i] = v
			}
		}
	}
	return one
}
