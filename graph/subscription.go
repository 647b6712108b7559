package graph

import (
	"context"
	"encoding/json"

	"github.com/99designs/gqlgen/graphql"
	"github.com/vektah/gqlparser/v2/ast"

	"rollcall/apierror"
)

// endSlow is the response interceptor that answers the end of a subscription which its client has not ended: the client was too slow,
// see event.Broker.
func endSlow(ctx context.Context, next graphql.ResponseHandler) *graphql.Response {
	const ended = "SlowSubscriber" // in the operation's statistics
	response := next(ctx)
	if response != nil || ctx.Err() != nil {
		return response
	}
	oc := graphql.GetOperationContext(ctx) // only what was executed has no response
	if oc.Operation.Operation != ast.Subscription || oc.Stats.GetExtension(ended) != nil {
		return nil
	}
	oc.Stats.SetExtension(ended, true)
	graphql.AddError(ctx, &apierror.Error{
		Code:    apierror.CodeSlowSubscriber,
		Message: "the events were not read as fast as they came: subscribe again, and read what may have changed",
	})
	return &graphql.Response{Data: json.RawMessage("null"), Errors: graphql.GetErrors(ctx)}
}
