package graph

import (
	"context"

	"github.com/99designs/gqlgen/graphql"
	"github.com/vektah/gqlparser/v2/ast"
	"github.com/vektah/gqlparser/v2/gqlerror"

	"rollcall/access"
	"rollcall/apierror"
)

// viewers refuses operations that their viewers' scopes do not allow, before anything of them runs: nor do they have an ETag, or share what the
// queries of an array read together.
type viewers struct {
	required bool // each operation has to have a viewer
	refused  func(ctx context.Context, operation string, code apierror.Code, reason string)
}

var _ interface {
	graphql.HandlerExtension
	graphql.OperationContextMutator
	graphql.ResponseInterceptor
} = viewers{}

// ExtensionName names the extension in gqlgen's statistics.
func (viewers) ExtensionName() string { return "Viewers" }

// Validate has nothing to refuse of a schema.
func (viewers) Validate(graphql.ExecutableSchema) error { return nil }

// MutateOperationContext refuses an operation, or leaves it as it is.
func (v viewers) MutateOperationContext(ctx context.Context, oc *graphql.OperationContext) *gqlerror.Error {
	viewer, scope := access.ViewerOf(ctx), access.ScopeRead
	if oc.Operation.Operation == ast.Mutation {
		scope = access.ScopeWrite
	}
	var err error
	switch {
	case viewer == nil && v.required: // whatever serves it has forgotten to ask
		err = apierror.Unauthenticated("nobody has said who sends the operation")
	case viewer != nil && !viewer.Within(scope):
		err = apierror.Forbidden("", "a %s needs the scope %s, which the token does not have", oc.Operation.Operation, scope)
	default:
		return nil
	}
	return gqlerror.Wrap(err)
}

// InterceptResponse tells of the first error of an answer by which its viewer was refused.
func (v viewers) InterceptResponse(ctx context.Context, next graphql.ResponseHandler) *graphql.Response {
	response := next(ctx)
	if response == nil || v.refused == nil {
		return response
	}
	for _, err := range response.Errors {
		code := codeOf(err)
		if code != apierror.CodeForbidden && code != apierror.CodeUnauthenticated {
			continue
		}
		name := ""
		if graphql.HasOperationContext(ctx) {
			if oc := graphql.GetOperationContext(ctx); oc.Operation != nil {
				name = oc.Operation.Name
			}
		}
		v.refused(ctx, name, code, err.Message)
		break
	}
	return response
}

// codeOf returns the code that an error shows; "": it has none.
func codeOf(err *gqlerror.Error) apierror.Code {
	switch code := err.Extensions["code"].(type) {
	case apierror.Code:
		return code
	case string:
		return apierror.Code(code)
	}
	return ""
}
