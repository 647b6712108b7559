package graph

import (
	"context"
	"slices"
	"strings"

	"github.com/99designs/gqlgen/graphql"
	gqlgen "github.com/99designs/gqlgen/graphql/introspection"
	"github.com/vektah/gqlparser/v2/gqlerror"
)

// introspection is the gqlgen extension that lets clients look into the schema. What a type of its kind does not have is
// null, as in the specification (§4.2.2); gqlgen's own extension answers an empty list, or false.
type introspection struct{}

var _ interface {
	graphql.HandlerExtension
	graphql.OperationContextMutator
} = introspection{}

// ExtensionName names the extension in gqlgen's statistics.
func (introspection) ExtensionName() string { return "Introspection" }

// Validate accepts every schema.
func (introspection) Validate(graphql.ExecutableSchema) error { return nil }

// MutateOperationContext allows introspection, and wraps the resolvers of an operation that makes use of it.
func (introspection) MutateOperationContext(_ context.Context, oc *graphql.OperationContext) *gqlerror.Error {
	oc.DisableIntrospection = false
	types := strings.Count(oc.RawQuery, "__type") - strings.Count(oc.RawQuery, "__typename")
	if types == 0 && !strings.Contains(oc.RawQuery, "__schema") {
		return nil
	}
	next := oc.ResolverMiddleware
	oc.ResolverMiddleware = func(ctx context.Context, resolve graphql.Resolver) (any, error) {
		value, err := next(ctx, resolve)
		if field := graphql.GetFieldContext(ctx); err == nil && field.Object == "__Type" && !applies(field) {
			return nil, nil
		}
		return value, err
	}
	return nil
}

// kinds has, for fields of __Type, the kinds of types that have them. Of the other fields gqlgen itself answers null where it should.
var kinds = map[string][]string{
	"fields":        {"OBJECT", "INTERFACE"},
	"interfaces":    {"OBJECT", "INTERFACE"},
	"possibleTypes": {"INTERFACE", "UNION"},
	"enumValues":    {"ENUM"},
	"inputFields":   {"INPUT_OBJECT"},
	"isOneOf":       {"INPUT_OBJECT"},
}

// applies reports whether a type is of a kind that has the field of __Type that is asked for.
func applies(field *graphql.FieldContext) bool {
	of, known := kinds[field.Field.Name]
	typ, ok := field.Parent.Result.(*gqlgen.Type)
	return !known || !ok || slices.Contains(of, typ.Kind())
}
