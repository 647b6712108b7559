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
func (s *Set) resolve(ctx context.Context, fc *graphql.FieldContext, fields []Field) (any, error) {
	var parent any = Root{}
	switch {
	case s.plan.operations[fc.Object] == ast.Query:
	case fc.Parent == nil: // of the event of a subscription, which gqlgen's context does not have
		parent = s.event
	default:
		parent = fc.Parent.Result
	}
	args := arguments(graphql.GetOperationContext(ctx), fc.Field)
	var list results
	for _, declared := range fields {
		value, err := declared.resolve(ctx, parent, args)
		all, ok := value.([]any)
		switch {
		case err != nil, value != nil && !ok:
			return value, err
		case ok && !list.merge(results{values: all}):
			return nil, fmt.Errorf("batch: the sources of %s.%s have lists of different lengths", fc.Object, fc.Field.Name)
		}
	}
	if list.values == nil {
		return nil, nil
	}
	return fields[0].listed(list.values), nil
}

// ObjectOf returns the object of a field, of which gqlgen's context has the value, or, for an element of a list, its address.
func ObjectOf[P any](parent any) P {
	for v := reflect.ValueOf(addressed(parent)); v.IsValid(); v = v.Elem() {
		if object, ok := reflect.TypeAssert[P](v); ok {
			return object
		}
		if v.Kind() != reflect.Pointer {
			break
		}
	}
	panic(fmt.Errorf("batch: the object of a field is a %T, and %s is what the field is declared for", parent, reflect.TypeFor[P]()))
}
