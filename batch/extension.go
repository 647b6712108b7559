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
	for typ, fields := range p.fields {
		def := p.schema.Types[typ]
		if def == nil {
			return fmt.Errorf("batch: the schema has no type %s", typ)
		}
		for name := range fields {
			if def.Fields.ForName(name) == nil {
				return fmt.Errorf("batch: the schema has no field %s.%s", typ, name)
			}
		}
		for _, c := range p.columns[typ] {
			if c.field != "" && def.Fields.ForName(c.field) == nil {
				return fmt.Errorf("batch: the schema has no field %s.%s", typ, c.field)
			}
		}
		p.satisfied[typ] = []string{typ}
		for _, abstract := range p.schema.GetImplements(def) {
			p.satisfied[typ] = append(p.satisfied[typ], abstract.Name)
		}
	}
	return nil
}

// InterceptRootField follows a whole query before the first of its resolvers runs.
func (p *Plan) InterceptRootField(ctx context.Context, next graphql.RootResolver) graphql.Marshaler {
	op, set := graphql.GetOperationContext(ctx), fromContext(ctx)
	if set != nil && op.Operation.Operation == ast.Query {
		set.roots.Do(func() {
			p.follow(ctx, set, selection{p.schema.Query.Name, op.Operation.SelectionSet, []any{Root{}}})
		})
	}
	return next(ctx)
}

// InterceptField follows what a root field of a mutation has returned, each event of a subscription, and, with
// the first of its resolvers, what was deferred together.
func (p *Plan) InterceptField(ctx context.Context, next graphql.Resolver) (any, error) {
	set := fromContext(ctx)
	if set == nil {
		return next(ctx)
	}
	fc := graphql.GetFieldContext(ctx)
	if fc.Field.IsDeferred() {
		set.resume(ctx, fc.Field)
	}
	result, err := next(ctx)
	if err != nil || result == nil {
		return result, err
	}
	switch {
	case p.schema.Mutation != nil && fc.Object == p.schema.Mutation.Name:
		p.follow(ctx, set, (&run{Plan: p}).split(fc.Field, appendObjects(nil, result))...)
	case p.schema.Subscription != nil && fc.Object == p.schema.Subscription.Name:
		return p.events(ctx, fc.Field, result), nil
	}
	return result, nil
}

// follow reads what is selected of some objects.
func (p *Plan) follow(ctx context.Context, set *Set, level ...selection) {
	p.run(ctx, set, func(r *run) { r.follow(level...) })
}

// run lets one run at a time follow the plan for a set. A panic in a declaration is the operation's error, as
// it would be in a resolver.
func (p *Plan) run(ctx context.Context, set *Set, follow func(*run)) {
	set.following.Lock()
	defer set.following.Unlock()
	op := graphql.GetOperationContext(ctx)
	defer func() {
		if v := recover(); v != nil {
			op.Error(ctx, op.Recover(ctx, v))
		}
	}()
	follow(&run{Plan: p, ctx: ctx, op: op, set: set})
}
