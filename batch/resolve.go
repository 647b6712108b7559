package batch

import (
	"context"
	"fmt"
	"reflect"

	"github.com/99designs/gqlgen/graphql"
	"github.com/vektah/gqlparser/v2/ast"
)

// resolve resolves a relation that has no resolver. Of the declarations for the objects of an abstract type, the first that has a
// value counts, and in a list each element has its own.
func (k *known) resolve(ctx context.Context, p *Plan, set *Set, fc *graphql.FieldContext) (result any, err error) {
	var parent any = Root{}
	switch {
	case p.operation(fc.Object) == ast.Query:
	case fc.Parent == nil: // of the event of a subscription, which gqlgen's context does not have
		parent = set.event
	default:
		parent = fc.Parent.Result
	}
	args := arguments(graphql.GetOperationContext(ctx), fc.Field)
	for _, declared := range k.declared {
		one, err := declared.resolve(ctx, parent, args)
		if err != nil {
			return nil, err
		}
		all, list := result.([]any)
		switch {
		case result == nil:
			result = one
		case list:
			for i, v := range one.([]any) {
				if all[i] == nil {
					all[i] = v
				}
			}
		}
		if result != nil && declared.listed == nil {
			break
		}
	}
	if all, ok := result.([]any); ok {
		return k.declared[0].listed(all), nil
	}
	return result, nil
}

// objectOf returns the object of a field, of which gqlgen's context has the value, or, for an element of a list, its address.
func objectOf[P any](parent any) P {
	for v := reflect.ValueOf(addressed(parent)); v.IsValid(); v = v.Elem() {
		if object, ok := reflect.TypeAssert[P](v); ok {
			return object
		}
		if v.Kind() != reflect.Pointer && v.Kind() != reflect.Interface {
			break
		}
	}
	panic(fmt.Errorf("batch: the object of a field is a %T, and %s is what the field is declared for", parent, reflect.TypeFor[P]()))
}
