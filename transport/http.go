package transport

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/99designs/gqlgen/graphql"
	"github.com/vektah/gqlparser/v2/ast"
	"github.com/vektah/gqlparser/v2/gqlerror"

	"rollcall/apierror"
	"rollcall/document"
	"rollcall/idempotency"
	"rollcall/operation"
)

// HTTP is GraphQL over HTTP, as in https://graphql.github.io/graphql-over-http: POST and GET, answered as
// application/graphql-response+json, as application/json, in parts as multipart/mixed, or as events (the distinct
// connections mode of https://github.com/enisdenjo/graphql-sse/blob/master/PROTOCOL.md). A POST may hold an
// array of operations, which is answered by an array in its order.
type HTTP struct {
	// MaxBody is how many bytes a body may have; 0: any number.
	MaxBody int64
	// MaxBatch is how many operations an array may hold; at 0 arrays are refused.
	MaxBatch int
	// CheckBatch checks the operations of an array together, before any is run; an error refuses them all. nil: they are
	// not checked together.
	CheckBatch func(operations []*graphql.OperationContext) *gqlerror.Error
	// KeepAlive is the time without a part after which a stream sends a keep-alive; 0: 15 s.
	KeepAlive time.Duration
	// WriteTimeout is how long an answer, or one part of a stream, may take to be sent; 0: 30 s. A client that is slower
	// is cut off.
	WriteTimeout time.Duration
	// ReadTimeout is how long a body may take to arrive; 0: 30 s.
	ReadTimeout time.Duration
	// Gate admits requests; nil: all.
	Gate *Gate
	// Limits bound what each client may ask for; nil: nothing does.
	Limits *Limits
	// Validators give answers an ETag; nil: they have none.
	Validators *Validators
	// Documents are those whose answers have a Cache-Control of their own.
	Documents *document.Listed
	// AfterFor is for how long a browser brings the id of the last mutation that it has had stored, in a cookie; 0: it is not given any. It
	// matters where queries are read at replicas, which get behind by less.
	AfterFor time.Duration
	// Until watches over the client of a subscription: see there. nil: nothing does.
	Until Until

	once       sync.Once
	closing    chan struct{}
	streams    atomic.Int64
	unmodified atomic.Int64
}

var _ graphql.Transport = &HTTP{}

// HeaderOperationID is the header of an answer that has the id of its operation, which the log and errors have too. For an
// array it has as many ids, with commas between them.
const HeaderOperationID = operation.HeaderID

// HeaderAfter is the header, and the cookie, with the ids of mutations that queries have to see.
const HeaderAfter = operation.HeaderAfter

// writeDeadline returns when what is written now must have been sent.
func (t *HTTP) writeDeadline() time.Time {
	return time.Now().Add(cmp.Or(t.WriteTimeout, 30*time.Second))
}

// Values of headers. All answers share them, so they are never written to.
var (
	noSniff  = []string{"nosniff"}
	noStore  = []string{"no-store"}
	private  = []string{"private, no-cache"} // a browser may keep it, but has to ask
	identity = []string{"identity"}
)

// Supports takes every request but those for a WebSocket. Other upgrades may be offered, as to HTTP/2, and are not taken up.
func (*HTTP) Supports(r *http.Request) bool { return !(*WebSocket)(nil).Supports(r) }

// Shutdown ends the subscriptions that are open, and each later one at its first pause, without the end of a stream, so
// that clients know to ask again. Queries and mutations are answered. It must be called once at most.
func (t *HTTP) Shutdown() { close(t.closed()) }

// Streams returns how many streams are open.
func (t *HTTP) Streams() int { return int(t.streams.Load()) }

// NotModified returns how many requests were answered with 304 so far: their operations did not run.
func (t *HTTP) NotModified() int64 { return t.unmodified.Load() }

func (t *HTTP) closed() chan struct{} {
	t.once.Do(func() { t.closing = make(chan struct{}) })
	return t.closing
}

// Until watches over the client of what is open for longer than an answer takes. ended receives an error, for the client, once the client may
// have no more of it; release is to be called when it is closed.
type Until func(ctx context.Context) (ended <-chan error, release func())

// watch calls Until, if there is one.
func (until Until) watch(ctx context.Context) (ended <-chan error, release func()) {
	if until == nil {
		return nil, func() {}
	}
	return until(ctx)
}

// exchange is one HTTP request on its way to its answer.
type exchange struct {
	*HTTP
	w      http.ResponseWriter
	within *http.ResponseController // time limits
	r      *http.Request
	exec   graphql.GraphExecutor
	wanted accepted
	leave  func() // the gate

	request *operation.Request // of the one operation, or of the array as a whole
	debt    *debt              // nil: what it has cost so far is paid
}

// Do answers a request.
func (t *HTTP) Do(w http.ResponseWriter, r *http.Request, exec graphql.GraphExecutor) {
	ctx, request := operation.NewRequest(r.Context())
	defer request.End()
	x := &exchange{t, w, http.NewResponseController(w), r, exec, accept(r.Header["Accept"]), func() {}, request, nil}
	request.Sent.By = strings.ToLower(r.Method)
	header := w.Header()
	header.Add("Vary", "Accept")
	header["Cache-Control"] = noStore
	header["X-Content-Type-Options"] = noSniff
	header[HeaderOperationID] = []string{request.ID}
	if x.serve(ctx); x.debt != nil {
		x.refuseDebt(ctx)
	}
}

// serve answers a request, unless there is a debt.
func (x *exchange) serve(ctx context.Context) {
	r, header := x.r, x.w.Header()
	if r.Method != http.MethodOptions && !x.pay(ctx, 0) {
		return
	}
	var params *graphql.RawParams
	var refused *refusal
	switch r.Method {
	case http.MethodGet, http.MethodHead:
		if r.ContentLength == 0 {
			_ = x.within.SetReadDeadline(time.Time{}) // the server's own would end a stream
		}
		params, refused = parseURL(r.URL.RawQuery)
	case http.MethodPost:
		body := buffers.Get().(*[]byte)
		if refused = x.body(body); refused != nil {
			break
		}
		if beginsWith('[', *body) {
			x.request.Sent.By = byArray
			x.admitted(ctx, func() { x.batch(ctx, *body) })
			return
		}
		params, refused = parse(*body)
		reuse(body)
	default:
		header.Set("Allow", "GET, HEAD, POST, OPTIONS")
		if r.Method == http.MethodOptions {
			x.w.WriteHeader(http.StatusNoContent)
			return
		}
		refused = refuse(http.StatusMethodNotAllowed, CodeMethodNotAllowed, "the method must be GET or POST")
	}
	if refused == nil && x.wanted.one() == "" && x.wanted.parts(false) == "" {
		refused = refuse(http.StatusNotAcceptable, CodeNotAcceptable,
			"the answer is %s or %s, or for what comes in parts %s or %s: accept one of them", graphqlType, jsonType, multipartType, eventType)
	}
	if refused != nil {
		if x.pay(ctx, notRun) {
			x.refuse(ctx, refused)
		}
		return
	}
	x.admitted(ctx, func() { x.operate(ctx, params) })
}

// admitted runs a request once the gate lets it in.
func (x *exchange) admitted(ctx context.Context, run func()) {
	leave, err := x.Gate.Enter(ctx)
	switch {
	case errors.Is(err, errOverloaded):
		x.w.Header().Set("Retry-After", "1")
		x.refuse(ctx, overloaded)
	case err != nil:
		x.write(x.exec.DispatchError(ctx, cancelled().Errors))
	default:
		defer leave()
		x.leave = leave
		run()
	}
}

// operation makes an operation of parameters. If there are errors, it cannot be run.
func (x *exchange) operation(ctx context.Context, params *graphql.RawParams) (*graphql.OperationContext, gqlerror.List) {
	params.Headers = x.r.Header
	params.ReadTime = graphql.TraceTiming{Start: graphql.GetStartTime(ctx), End: graphql.Now()}
	return x.exec.CreateOperationContext(ctx, params)
}

// operate runs one operation and writes its answer.
func (x *exchange) operate(ctx context.Context, params *graphql.RawParams) {
	id := document.ID(params)
	oc, errs := x.operation(ctx, params)
	if errs != nil {
		if x.pay(ctx, notRun) {
			x.write(x.exec.DispatchError(graphql.WithOperationContext(ctx, oc), errs))
		}
		return
	}
	x.request.Is(oc)
	kind := oc.Operation.Operation
	switch {
	case kind == ast.Mutation && x.r.Method != http.MethodPost, kind == ast.Subscription && x.wanted.parts(true) == "", x.r.Method == http.MethodHead:
		if x.payLess(ctx, oc) {
			x.unrun(ctx, kind)
		}
	case kind == ast.Subscription, x.wanted.parts(false) != "" && strings.Contains(oc.RawQuery, "defer"):
		x.inParts(ctx, oc)
	case x.r.Method == http.MethodGet:
		x.get(ctx, oc, id)
	case x.pay(ctx, x.Limits.cost(oc)):
		respond, ctx := x.exec.DispatchOperation(ctx, oc)
		x.write(respond(ctx))
	}
}

// unrun answers an operation of a kind that is not run: it cannot be as it was sent, or the method is HEAD.
func (x *exchange) unrun(ctx context.Context, kind ast.Operation) {
	switch {
	case kind == ast.Mutation && x.r.Method != http.MethodPost:
		x.w.Header().Set("Allow", http.MethodPost)
		x.refuse(ctx, refuse(http.StatusMethodNotAllowed, CodeMethodNotAllowed, "a mutation must be sent by POST"))
	case kind == ast.Subscription && x.wanted.parts(true) == "":
		x.write(x.exec.DispatchError(ctx, streamRequired()))
	default:
		x.request.Spare()
		x.head(kind)
	}
}

// inParts runs an operation whose answer may come in parts.
func (x *exchange) inParts(ctx context.Context, oc *graphql.OperationContext) {
	end, refused := x.Limits.open(ctx)
	if refused != nil {
		if x.payLess(ctx, oc) {
			x.refuse(ctx, refused)
		}
		return
	}
	defer end()
	if !x.pay(ctx, x.Limits.cost(oc)) {
		return
	}
	x.request.Sent.By = "multipart"
	if x.form(oc.Operation.Operation == ast.Subscription).ids {
		x.request.Sent.By = "sse"
	}
	if oc.Operation.Operation == ast.Subscription {
		if x.form(true).ids {
			x.request.LastEventID = x.r.Header.Get("Last-Event-ID")
		}
		respond, ctx := x.exec.DispatchOperation(ctx, oc)
		x.leave()
		x.stream(respond, ctx)
		return
	}
	x.request.Parts = true
	respond, ctx := x.exec.DispatchOperation(ctx, oc)
	x.stream(func(ctx context.Context) *graphql.Response {
		defer x.leave() // the parts after the first one wait for a client that may read slowly
		return respond(ctx)
	}, ctx)
}

// outcome says in the headers that the answer is replayed, if it is, and whose it was first, and by what id a query sees what the mutation has
// written. It comes before the first byte.
func (x *exchange) outcome() {
	if x.request.Replayed {
		x.w.Header()[HeaderOperationID] = []string{x.request.ID}
		x.w.Header()[idempotency.ReplayedHeader] = []string{"true"}
	}
	x.stored(x.request.Stored)
}

// stored gives the client the ids of the mutations that are stored.
func (x *exchange) stored(ids []string) {
	if len(ids) == 0 {
		return
	}
	x.w.Header()[operation.HeaderAfter] = []string{strings.Join(ids, ", ")}
	if x.AfterFor > 0 {
		http.SetCookie(x.w, &http.Cookie{
			Name: operation.HeaderAfter, Value: ids[len(ids)-1], MaxAge: int(x.AfterFor.Seconds()), // what is before the last one is where that is
			HttpOnly: true, SameSite: http.SameSiteLaxMode, Secure: x.r.TLS != nil || x.r.URL.Scheme == "https",
		})
	}
}

// head answers HEAD for an operation that can be run, without running it: its answer would not be sent, and where nothing
// is sent, it may not show that the client of a stream has gone. It has no ETag, since only its answer shows whether that has errors.
func (x *exchange) head(kind ast.Operation) {
	header := x.w.Header()
	if media := x.wanted.one(); kind == ast.Subscription || media == "" {
		header["Content-Type"] = x.form(kind == ast.Subscription).media
	} else {
		header["Content-Type"] = contentTypes[media]
		header["Cache-Control"] = private
	}
	x.request.Sent.Status = http.StatusOK
	x.w.WriteHeader(http.StatusOK)
}

// refuse answers what is not a well-formed request.
func (x *exchange) refuse(ctx context.Context, refused *refusal) {
	x.answer(ctx, refused.status, refused.list())
}

// answer answers with a status of its own what is not run, in one piece.
func (x *exchange) answer(ctx context.Context, status int, errs gqlerror.List) {
	x.send(cmp.Or(x.wanted.one(), jsonType), status, appendResponse(nil, x.exec.DispatchError(ctx, errs)))
}

// write answers with one response, in the form that the client wants most, which may be a stream.
func (x *exchange) write(response *graphql.Response) {
	media := x.wanted.one()
	if media == "" {
		x.stream(graphql.OneShot(response), x.r.Context())
		return
	}
	if response == nil { // the client has gone, or the server is shutting down
		response = cancelled()
	}
	x.outcome()
	buffer := buffers.Get().(*[]byte)
	*buffer = appendResponse((*buffer)[:0], response)
	x.send(media, status(media, response), *buffer)
	reuse(buffer)
}

// statusPartialSuccess is the status of an answer with both data and errors.
const statusPartialSuccess = 294

// status returns the status of the answer to a well-formed request. As application/json it is always 200.
func status(media string, response *graphql.Response) int {
	switch {
	case media == jsonType:
		return http.StatusOK
	case response.Data == nil:
		return cmp.Or(statuses[codeOf(response)], http.StatusBadRequest)
	case len(response.Errors) > 0:
		return statusPartialSuccess
	}
	return http.StatusOK
}

// statuses are those of answers to what was not run, by the code of their error, where they are not that of a bad request.
var statuses = map[string]int{
	string(apierror.CodeUnauthenticated): http.StatusUnauthorized,
	string(apierror.CodeForbidden):       http.StatusForbidden,

	string(idempotency.CodeMismatch):   http.StatusUnprocessableEntity,
	string(idempotency.CodeInProgress): http.StatusConflict,
}

// codeOf returns the code of the only error of a response; "": it has none, or there are more.
func codeOf(response *graphql.Response) string {
	if len(response.Errors) != 1 || response.Errors[0].Extensions["code"] == nil {
		return ""
	}
	return fmt.Sprint(response.Errors[0].Extensions["code"])
}

// contentTypes are the Content-Type headers of answers in one piece, by media type.
var contentTypes = map[string][]string{
	graphqlType: {graphqlType + "; charset=utf-8"},
	jsonType:    {jsonType + "; charset=utf-8"},
}

func (x *exchange) send(media string, status int, body []byte) {
	x.leave()
	x.request.Sent.Status, x.request.Sent.Bytes = status, int64(len(body))
	sent := x.Gate.send(len(body), func() { _ = x.within.SetWriteDeadline(time.Unix(1, 0)) })
	defer sent()
	x.w.Header()["Content-Type"] = contentTypes[media]
	_ = x.within.SetWriteDeadline(x.writeDeadline())
	x.w.WriteHeader(status)
	_, _ = x.w.Write(body) // if it fails, the client has gone
}
