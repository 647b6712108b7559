package graph

import (
	"context"
	"slices"
	"strings"

	"github.com/99designs/gqlgen/graphql"
	gqlgen "github.com/99designs/gqlgen/graphql/introspection"
	"github.com/vektah/gqlparser/v2/ast"
	"github.com/vektah/gqlparser/v2/gqlerror"

	"rollcall/access"
)

// introspection is the gqlgen extension that lets clients look into the schema. What a type of its kind does not have is
// null, as in the specification (§4.2.2); gqlgen's own extension answers an empty list, or false.
//
// The descriptions of types and fields end with the rules about them.
type introspection struct{ schema *ast.Schema }

var _ interface {
	graphql.HandlerExtension
	graphql.OperationContextMutator
} = introspection{}

// ExtensionName names the extension in gqlgen's statistics.
func (introspection) ExtensionName() string { return "Introspection" }

// Validate accepts every schema.
func (introspection) Validate(graphql.ExecutableSchema) error { return nil }

// MutateOperationContext allows introspection, and wraps the resolvers of an operation that makes use of it.
func (i introspection) MutateOperationContext(_ context.Context, oc *graphql.OperationContext) *gqlerror.Error {
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
		} else if err == nil && field.Field.Name == "description" {
			value = i.described(field, value)
		}
		return value, err
	}
	return nil
}

// described is the description of a type or of a field, with the rules about it.
func (i introspection) described(field *graphql.FieldContext, value any) any {
	var rules string
	switch of := field.Parent.Result.(type) {
	case *gqlgen.Type:
		if def := i.schema.Types[deref(of.Name())]; def != nil {
			rules = access.Describe(def.Directives)
		}
	case *gqlgen.Field:
		for up := field.Parent; up != nil; up = up.Parent {
			typ, ok := up.Result.(*gqlgen.Type)
			if !ok {
				continue
			}
			if def := i.schema.Types[deref(typ.Name())]; def != nil {
				if f := def.Fields.ForName(of.Name); f != nil {
					rules = access.Describe(f.Directives)
				}
			}
			break
		}
	}
	text, ok := value.(*string)
	if rules == "" || !ok {
		return value
	}
	whole := strings.TrimSpace(deref(text) + "\n\n" + rules)
	return &whole
}

func deref(text *string) string {
	if text == nil {
		return ""
	}
	return *text
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
