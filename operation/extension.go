package operation

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"github.com/99designs/gqlgen/graphql"
	"github.com/99designs/gqlgen/graphql/handler"
	"github.com/vektah/gqlparser/v2/ast"
	"github.com/vektah/gqlparser/v2/gqlerror"

	"rollcall/apierror"
	"rollcall/idempotency"
	"rollcall/session"
)

// Extension is what Handler adds to a gqlgen server.
type Extension struct {
	// Pools are the database. Their deadline is that of a query, a mutation and the answer to one event of a subscription.
	session.Pools
	// Bind returns ctx with whatever lives and ends with the session, such as dataloaders, for the operations that share it:
	// one, or those of a Group. It is called once for each session, so once more when an operation is run again.
	Bind func(ctx context.Context, operations []*graphql.OperationContext) context.Context
	// Keys keep the answers to mutations that have an idempotency key, by the header Idempotency-Key or by the directive
	// @idempotent(key: String!) on MUTATION, if the schema has that. nil: none are kept, and the header is not read.
	Keys *idempotency.Keys
	// Unkept are fields of Mutation whose answers must not be kept, such as those with a secret that is shown once: a mutation that has one of them is
	// refused where it has an idempotency key.
	Unkept []string
	// DryRun is the path of the argument by which a mutation's fields are asked for a dry run, such as "input.dryRun": if it is true, they
	// are answered, and nothing is stored. Fields that have no such argument are no dry run. "": there is none.
	DryRun string
	// Current are fields, wherever they are selected, with which an operation is read where everything is that is committed: never at a replica.
	Current []string
	// CatchUp waits until Pools.Read has all that is committed anywhere, for a query that is marked with @fresh, if the schema has that; nil: it
	// always has.
	CatchUp func(ctx context.Context) error
	// Repeat has the next answer of a subscription be to its last event once more, and reports whether it will be; nil: an event that could not be
	// answered is answered with an error, and is over.
	Repeat func(*graphql.OperationContext) bool
	// ErrorPresenter shows the session's own errors; graphql.DefaultErrorPresenter where it is nil.
	ErrorPresenter graphql.ErrorPresenterFunc
	// Observe, unless it is nil, is given the report of each operation once: when its answer is complete, before that is
	// written, or when it has been refused. An operation that is refused before it is known has no name and no kind.
	Observe func(session.Operation, Report)
	// Ended, unless it is nil, is told of each operation when its request has ended, with its answer, and of a subscription also when it begins: then
	// the result is ResultBegun. It is told, too, of requests and connections that are refused before there is an operation. ctx is the request's.
	Ended func(ctx context.Context, op session.Operation, r Report, s Sent)
	// Trace returns what keeps the statements of an operation, for the report; nil: nothing does.
	Trace func(*graphql.OperationContext) *session.Trace
	// Explain returns what an operation's answer, or its last part, or each event, is to have under extensions.report, and nothing that is kept for an
	// idempotency key; nil: nothing. ctx is the one that Bind has returned.
	Explain func(ctx context.Context, r Report) any
}

// Handler serves a gqlgen server whose operations have a session each. Every session that a request opened is ended when the
// request is, whatever became of its answer: a client that goes away leaves nothing behind.
//
// An operation may run more than once, and what interceptors do around it should happen once. So the session is the
// last extension of the server: it is added with the first request, when all others have been. Response interceptors run before
// the commit: what they see may still come to nothing. Handler panics if the pools cannot work.
func Handler(server *handler.Server, e Extension) http.Handler {
	if err := e.Install(); err != nil {
		panic(err)
	}
	e.Logger = cmp.Or(e.Logger, slog.Default())
	if e.ErrorPresenter == nil {
		e.ErrorPresenter = graphql.DefaultErrorPresenter
	}
	install := sync.OnceFunc(func() { server.Use(&interceptor{Extension: e}) })
	return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		install()
		ctx, r := newRequest(req.Context(), "")
		defer r.End()
		r.ended = e.Ended
		if e.tracks() {
			r.After = afterOf(req)
		}
		if req.Method == http.MethodPost { // and not of a WebSocket, which has many operations
			r.keys, r.header = req.Header.Values(idempotency.Header), w.Header()
		}
		server.ServeHTTP(w, req.WithContext(ctx))
	})
}

// interceptor is the extension as gqlgen has it.
type interceptor struct {
	Extension
	schema  *ast.Schema
	dryRuns map[string]bool // the fields of Mutation that have the argument DryRun
}

var _ interface {
	graphql.HandlerExtension
	graphql.OperationContextMutator
	graphql.OperationInterceptor
	graphql.ResponseInterceptor
	graphql.RootFieldInterceptor
} = &interceptor{}

const extensionName = "Session"

// ExtensionName names the extension in gqlgen's statistics.
func (*interceptor) ExtensionName() string { return extensionName }

// What is wrong with how a server was put together shows in its first operation.
var (
	errNoRequest = errors.New("operation: no request in the context: a transport must dispatch an operation under the context of its request, or one from operation.NewRequest")
	errTwice     = errors.New("operation: the operation has a session already: call operation.Handler once for a server")
)

// InterceptOperation runs the operation in a session of its own, and a subscription in one for each event.
func (i *interceptor) InterceptOperation(ctx context.Context, next graphql.OperationHandler) graphql.ResponseHandler {
	request := fromContext(ctx)
	if _, running := session.OperationFromContext(ctx); running {
		return i.misused(errTwice)
	} else if request == nil {
		return i.misused(errNoRequest)
	}
	oc := graphql.GetOperationContext(ctx)
	r := &run{interceptor: i, request: request, operations: [1]*graphql.OperationContext{oc}, next: next, parent: ctx, began: time.Now()}
	request.running.Store(r)
	r.newTrace()
	r.Pools, r.Operation = i.Pools, session.NewOperation(request.ID, string(oc.Operation.Operation), oc.Operation.Name)
	switch {
	case oc.Operation.Operation == ast.Subscription:
		r.Home = true      // it goes on from a place in the log, to which a replica may not have got
		inlineDeferred(oc) // gqlgen never sends what an event defers
		return r.subscribe()
	case oc.Operation.Operation == ast.Mutation:
		r.Kind, r.asked = session.Write, askedOf(oc)
	case oc.Operation.Directives.ForName("snapshot") != nil:
		r.Kind = session.Snapshot
	default:
		r.stream = request.Parts && request.Group == nil
	}
	switch {
	case request.Group != nil: // NewGroup has done it
	case r.stream:
		r.labels = labelDeferred(oc)
		r.showEnd(oc)
	default:
		inlineDeferred(oc)
	}
	if r.Kind != session.Write {
		r.place(oc)
	}
	return r.respond
}

// newTrace has the statements kept that follow, if that is asked for.
func (r *run) newTrace() {
	if r.interceptor.Trace != nil {
		r.Unit.Trace = r.interceptor.Trace(r.operations[0])
	}
}

// misused answers an operation that cannot have a session.
func (i *interceptor) misused(err error) graphql.ResponseHandler {
	i.Logger.Error("an operation was refused", "error", err)
	return graphql.OneShot(&graphql.Response{Errors: gqlerror.List{{
		Err: err, Message: err.Error(), Extensions: map[string]any{"code": string(apierror.CodeInternal)},
	}}})
}

// InterceptRootField runs no field of a mutation after one that has failed. Nothing of it would be stored; and in PostgreSQL, whose
// transaction a failed statement ends, it could only fail for that reason.
func (*interceptor) InterceptRootField(ctx context.Context, next graphql.RootResolver) graphql.Marshaler {
	if graphql.GetOperationContext(ctx).Operation.Operation == ast.Mutation && len(graphql.GetErrors(ctx)) > 0 {
		return graphql.Null
	}
	return next(ctx)
}
