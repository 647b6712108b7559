package graph

import (
	"context"
	"encoding/json"

	"github.com/99designs/gqlgen/graphql"
	"github.com/vektah/gqlparser/v2/ast"

	"rollcall/apierror"
)

// events is the gqlgen extension that tells a subscriber which was too slow why there are no more events.
type events struct{}

var _ interface {
	graphql.HandlerExtension
	graphql.ResponseInterceptor
} = events{}

// ExtensionName names the extension in gqlgen's statistics.
func (events) ExtensionName() string { return "Events" }

// Validate accepts every schema.
func (events) Validate(graphql.ExecutableSchema) error { return nil }

// InterceptResponse answers the end of a subscription that its client has not ended: see event.Broker.
func (e events) InterceptResponse(ctx context.Context, next graphql.ResponseHandler) *graphql.Response {
	response := next(ctx)
	if response != nil || ctx.Err() != nil {
		return response
	}
	oc := graphql.GetOperationContext(ctx) // only what was executed has no response
	if oc.Operation.Operation != ast.Subscription || oc.Stats.GetExtension(e.ExtensionName()) != nil {
		return nil
	}
	oc.Stats.SetExtension(e.ExtensionName(), "ended")
	graphql.AddError(ctx, &apierror.Error{
		Code:    apierror.CodeSlowSubscriber,
		Message: "the events were not read as fast as they came: subscribe again, and read what may have changed",
	})
	return &graphql.Response{Data: json.RawMessage("null"), Errors: graphql.GetErrors(ctx)}
}
