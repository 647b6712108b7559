package batch

import (
	"context"
	"errors"
	"slices"

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

// InterceptResponse follows the next event of a subscription.
func (p *Plan) InterceptResponse(ctx context.Context, next graphql.ResponseHandler) *graphql.Response {
	if graphql.HasOperationContext(ctx) {
		if e, ok := graphql.GetOperationContext(ctx).Stats.GetExtension(p.ExtensionName()).(*events); ok {
			set, _ := p.set(ctx) // of another's, the fields below report the error
			e.pass(ctx, set, p.Event)
		}
	}
	return p.tellHidden(ctx, next(ctx))
}

// InterceptRootField follows a whole query before the first of its resolvers runs.
func (p *Plan) InterceptRootField(ctx context.Context, next graphql.RootResolver) graphql.Marshaler {
	if graphql.GetOperationContext(ctx).Operation.Operation == ast.Query {
		switch set, err := p.set(ctx); {
		case err != nil:
			graphql.AddError(ctx, err)
			return graphql.Null
		case set != nil:
			set.followRoots(ctx, false)
		}
	}
	return next(ctx)
}

// InterceptField resolves relations that have no resolvers. It follows what a root field without a declaration has returned, such
// as each of a mutation's, and, before the first of their resolvers, fields that are deferred together.
func (p *Plan) InterceptField(ctx context.Context, next graphql.Resolver) (any, error) {
	fc := graphql.GetFieldContext(ctx)
	if p.hidden(ctx, fc) {
		return nil, nil
	}
	deferred, operation, declared := fc.Field.IsDeferred(), p.operations[fc.Object], p.fields[fc.Object][fc.Field.Name]
	resolves := declared != nil && declared[0].resolve != nil
	if !deferred && operation == "" && !resolves {
		return next(ctx)
	}
	set, err := p.set(ctx)
	switch {
	case err != nil:
		return nil, err
	case set == nil && resolves:
		return nil, errNoSet
	case set == nil:
		return next(ctx)
	case deferred:
		set.resume(ctx, fc.Field)
	}
	if resolves {
		return set.resolve(ctx, fc, declared)
	}
	result, err := next(ctx)
	switch {
	case err != nil || result == nil:
	case operation == ast.Subscription:
		result = p.events(ctx, set, fc.Field, result)
	case operation != "" && declared == nil:
		set.followBelow(ctx, fc.Field, result)
	}
	return result, err
}

// set returns the set of the operation that ctx belongs to, or nil.
func (p *Plan) set(ctx context.Context) (*Set, error) {
	s := fromContext(ctx)
	switch {
	case s == nil:
		return nil, nil
	case s.plan != p:
		return nil, errors.New("batch: the operation's set follows another plan than the server: give NewSet the plan that Use was given")
	case s.bound > 0 && !slices.ContainsFunc(s.queries, func(q *query) bool { return q.op == graphql.GetOperationContext(ctx) }):
		return nil, errors.New("batch: the set in the context is another operation's: make one with NewSet for each, give it that operation, and pass on the context that it returns")
	}
	return s, nil
}
