package transport

import (
	"cmp"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/99designs/gqlgen/graphql"
	"github.com/vektah/gqlparser/v2/gqlerror"

	"rollcall/apierror"
	"rollcall/operation"
)

// Codes of errors about the request itself, in an error's extensions.code.
const (
	CodeBadRequest       = string(apierror.CodeBadRequest)
	CodeMethodNotAllowed = "METHOD_NOT_ALLOWED"         // GET for a mutation, or another HTTP method
	CodeNotAcceptable    = "NOT_ACCEPTABLE"             // no media type that the client accepts can hold the answer
	CodeMediaType        = "UNSUPPORTED_MEDIA_TYPE"     // the body is in a form that is not understood
	CodeTooLarge         = "BODY_TOO_LARGE"             // see HTTP.MaxBody
	CodeNesting          = "VARIABLE_NESTING_LIMIT"     // variables or extensions are nested too deep
	CodeTimeout          = string(apierror.CodeTimeout) // the body took too long to arrive
	CodeBatchTooLarge    = "BATCH_TOO_LARGE"            // see HTTP.MaxBatch
	CodeStreamRequired   = "STREAM_REQUIRED"            // a subscription on a transport with one answer
	CodeTooManyRequests  = "TOO_MANY_REQUESTS"          // see WebSocket.MaxOperations
	CodeOverloaded       = "OVERLOADED"                 // too many other requests run and wait
	CodeRateLimited      = "RATE_LIMITED"               // the client has asked for too much: see Limits
	CodeTooManyStreams   = "TOO_MANY_STREAMS"           // the client has too many open: see Limits
)

// refusal is why a request is refused before there is an operation.
type refusal struct {
	status        int // of an answer over HTTP
	code, message string
}

func refuse(status int, code, format string, args ...any) *refusal {
	return &refusal{status, code, fmt.Sprintf(format, args...)}
}

func badRequest(format string, args ...any) *refusal {
	return refuse(http.StatusBadRequest, CodeBadRequest, format, args...)
}

// overloaded refuses a request that a Gate does not let in.
var overloaded = refuse(http.StatusServiceUnavailable, CodeOverloaded, "the server has too much to do: try again in 1 s")

// list returns the refusal as the errors of a GraphQL response.
func (r *refusal) list() gqlerror.List { return coded(r.code, "%s", r.message) }

// coded returns one error with a code, as the errors of a GraphQL response.
func coded(code, format string, args ...any) gqlerror.List {
	return gqlerror.List{{Message: fmt.Sprintf(format, args...), Extensions: map[string]any{"code": code}}}
}

// shown returns an error of Until as the errors of a GraphQL response.
func shown(err error) gqlerror.List {
	if e, ok := errors.AsType[*apierror.Error](err); ok {
		return coded(string(e.Code), "%s", e.Message)
	}
	return cancelled().Errors
}

// Refuse answers a request before it has come to a transport, in the form of all refusals. Headers that are set stay. It returns the request,
// with what was sent.
func Refuse(w http.ResponseWriter, r *http.Request, status int, err *apierror.Error) *operation.Request {
	_, request := operation.NewRequest(r.Context())
	header := w.Header()
	header.Add("Vary", "Accept")
	header["Cache-Control"] = noStore
	header["X-Content-Type-Options"] = noSniff
	header[HeaderOperationID] = []string{request.ID}
	errs := shown(err)
	errs[0].Extensions["operationId"] = request.ID
	header["Content-Type"] = contentTypes[cmp.Or(accept(r.Header["Accept"]).one(), jsonType)]
	w.WriteHeader(status)
	body := appendResponse(nil, &graphql.Response{Errors: errs})
	_, _ = w.Write(body) // if it fails, the client has gone
	request.Sent = operation.Sent{By: strings.ToLower(r.Method), Status: status, Bytes: int64(len(body))}
	return request
}

func streamRequired() gqlerror.List {
	return coded(CodeStreamRequired, "a subscription needs a stream: accept %s, or use a WebSocket", eventType)
}

// cancelled returns the response to a request that was cancelled before it had one.
func cancelled() *graphql.Response {
	return &graphql.Response{Errors: coded(string(apierror.CodeCancelled), "%s", apierror.Cancelled().Message)}
}

// notAdmitted returns the errors of a request for which Gate.enter has returned err.
func notAdmitted(err error) gqlerror.List {
	if errors.Is(err, errOverloaded) {
		return overloaded.list()
	}
	return cancelled().Errors
}
