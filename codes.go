package main

import (
	"github.com/99designs/gqlgen/graphql/errcode"

	"rollcall/apierror"
	"rollcall/changelog"
	"rollcall/document"
	"rollcall/idempotency"
	"rollcall/identity"
	"rollcall/limit"
	"rollcall/transport"
)

// codes returns the codes that errors have.
func codes() (all []string) {
	for _, code := range []apierror.Code{
		apierror.CodeBadRequest, apierror.CodeBadUserInput, apierror.CodeNotFound, apierror.CodeConflict, apierror.CodeCancelled, apierror.CodeTimeout,
		apierror.CodeOutcomeUnknown, apierror.CodeUnavailable, apierror.CodeInternal, apierror.CodeSlowSubscriber, apierror.CodeTooManyErrors,
		apierror.CodeUnauthenticated, apierror.CodeForbidden,
		changelog.CodeExpired,
		idempotency.CodeMismatch, idempotency.CodeInProgress, idempotency.CodeTooLarge,
		identity.CodeIssuerUnavailable,
	} {
		all = append(all, string(code))
	}
	return append(all,
		errcode.ParseFailed, errcode.ValidationFailed,
		document.CodeNotFound, document.CodeNotListed, document.CodeIDRequired,
		limit.CodeTokens, limit.CodeNesting, limit.CodeLists, limit.CodeDirectives, limit.CodeDepth, limit.CodeSelections, limit.CodeRepetitions, limit.CodeErrors,
		limit.CodeCost,
		transport.CodeMethodNotAllowed, transport.CodeNotAcceptable, transport.CodeMediaType, transport.CodeTooLarge, transport.CodeNesting,
		transport.CodeBatchTooLarge, transport.CodeStreamRequired, transport.CodeTooManyRequests, transport.CodeOverloaded, transport.CodeRateLimited,
		transport.CodeTooManyStreams,
	)
}
