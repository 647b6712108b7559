package graph

import (
	"context"
	"slices"
	"strings"

	"github.com/99designs/gqlgen/graphql"
	"github.com/99designs/gqlgen/graphql/introspection"
	"github.com/vektah/gqlparser/v2/gqlerror"
)

// exactIntrospection is the gqlgen extension that answers null for what a type of its kind does not have, as the
// specification wants it (§4.2.2). gqlgen answers an empty list, or false.
type exactIntrospection struct{}

var _ interface {
	graphql.HandlerExtension
	graphql.OperationContextMutator
} = exactIntrospection{}

// ExtensionName names the extension in gqlgen's statistics.
func (exactIntrospection) ExtensionName() string { return "ExactIntrospection" }

// Validate accepts every schema.
func (exactIntrospection) Validate(graphql.ExecutableSchema) error { return nil }

// MutateOperationContext wraps the resolvers of an operation that looks into the schema.
func (exactIntrospection) MutateOperationContext(_ context.Context, oc *graphql.OperationContext) *gqlerror.Error {
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

// kinds are those of the types that have a field of __Type. All have the others, or gqlgen answers null.
var kinds = map[string][]string{
	"fields":        {"OBJECT", "INTERFACE"},
	"interfaces":    {"OBJECT", "INTERFACE"},
	"possibleTypes": {"INTERFACE", "UNION"},
	"enumValues":    {"ENUM"},
	"inputFields":   {"INPUT_OBJECT"},
	"isOneOf":       {"INPUT_OBJECT"},
}

// applies reports whether a type has the field of __Type that it is asked for.
func applies(field *graphql.FieldContext) bool {
	of, known := kinds[field.Field.Name]
	typ, ok := field.Parent.Result.(*introspection.Type)
	return !known || !ok || slices.Contains(of, typ.Kind())
}
