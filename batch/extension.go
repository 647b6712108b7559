package batch

import (
	"context"
	"errors"
	"fmt"

	"github.com/99designs/gqlgen/graphql"
	"github.com/vektah/gqlparser/v2/ast"
)

// A Plan is itself the gqlgen extension that follows each operation's selections.
var _ interface {
	graphql.HandlerExtension
	graphql.ResponseInterceptor
	graphql.RootFieldInterceptor
	graphql.FieldInterceptor
} = &Plan{}

// ExtensionName names the extension in gqlgen's statistics.
func (*Plan) ExtensionName() string { return "ReadPlan" }

// Validate refuses a declaration whose type or field the schema does not have.
func (p *Plan) Validate(es graphql.ExecutableSchema) error {
	if p == nil {
		return errors.New("batch: the plan is nil: make one with NewPlan")
	}
	p.schema, p.satisfied = es.Schema(), map[string][]string{}
	_, p.eventContexts = es.(graphql.ExecutableSchemaWithEventContext)
	for typ, columns := range p.columns {
		for _, c := range columns {
			if _, err := p.object(typ, c.field); err != nil {
				return err
			}
		}
	}
	p.depend()
	for typ, fields := range p.fields {
		for name, declared := range fields {
			def, err := p.object(typ, name)
			if err != nil {
				return err
			}
			if is := def.Fields.ForName(name).Type.Elem != nil; is != declared[0].list {
				return fmt.Errorf("batch: whether %s.%s is a list, the schema and the declaration do not agree", typ, name)
			}
			p.satisfied[typ] = []string{typ}
			for _, abstract := range p.schema.GetImplements(def) {
				p.satisfied[typ] = append(p.satisfied[typ], abstract.Name)
			}
		}
	}
	return nil
}

// object returns the object type that a declaration is for. The field may be "".
func (p *Plan) object(typ, field string) (*ast.Definition, error) {
	def := p.schema.Types[typ]
	switch {
	case def == nil:
		return nil, fmt.Errorf("batch: the schema has no type %s", typ)
	case def.Kind != ast.Object:
		return nil, fmt.Errorf("batch: %s is not an object type: declare its fields for each of its types", typ)
	case field != "" && def.Fields.ForName(field) == nil:
		return nil, fmt.Errorf("batch: the schema has no field %s.%s", typ, field)
	}
	return def, nil
}

// InterceptResponse follows the next event of a subscription.
func (p *Plan) InterceptResponse(ctx context.Context, next graphql.ResponseHandler) *graphql.Response {
	if graphql.HasOperationContext(ctx) {
		if e, ok := graphql.GetOperationContext(ctx).Stats.GetExtension(p.ExtensionName()).(*events); ok {
			e.pass(ctx)
		}
	}
	return next(ctx)
}

// InterceptRootField follows a whole query before the first of its resolvers runs.
func (p *Plan) InterceptRootField(ctx context.Context, next graphql.RootResolver) graphql.Marshaler {
	if graphql.GetOperationContext(ctx).Operation.Operation == ast.Query {
		if set := fromContext(ctx); set != nil {
			set.followRoots(ctx)
		}
	}
	return next(ctx)
}

// InterceptField follows what a root field has returned that has no declaration (in a mutation none has), and, with
// the first of its resolvers, what was deferred together.
func (p *Plan) InterceptField(ctx context.Context, next graphql.Resolver) (any, error) {
	fc := graphql.GetFieldContext(ctx)
	deferred, operation := fc.Field.IsDeferred(), p.operation(fc.Object)
	if !deferred && operation == "" {
		return next(ctx)
	}
	set := fromContext(ctx)
	if set == nil {
		return next(ctx)
	}
	if deferred {
		set.resume(ctx, fc.Field)
	}
	result, err := next(ctx)
	if err != nil || result == nil {
		return result, err
	}
	switch operation {
	case ast.Subscription:
		return p.events(ctx, set, fc.Field, result), nil
	case ast.Mutation, ast.Query:
		if p.fields[fc.Object][fc.Field.Name] == nil {
			set.followBelow(ctx, fc.Field, result)
		}
	}
	return result, nil
}

// operation returns which operation's root type it is, or "".
func (p *Plan) operation(typ string) ast.Operation {
	switch {
	case p.schema.Query != nil && typ == p.schema.Query.Name:
		return ast.Query
	case p.schema.Mutation != nil && typ == p.schema.Mutation.Name:
		return ast.Mutation
	case p.schema.Subscription != nil && typ == p.schema.Subscription.Name:
		return ast.Subscription
	}
	return ""
}
