package operation

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/99designs/gqlgen/graphql"
	"github.com/vektah/gqlparser/v2/gqlerror"

	"rollcall/session"
)

// Report is how an operation went, for Extension.Observe.
type Report struct {
	Result     Result
	Attempts   int           // how often it was run; 0: it was refused before
	Statements int64         // that its resolvers and loaders ran, in all attempts
	Duration   time.Duration // until its answer was complete, or its stream ended
	Unknown    bool          // a mutation: it is not known whether it was stored
	Replayed   bool          // a mutation: it was stored before, with the same idempotency key

	Began  time.Time     // its request
	Waited time.Duration // from then until it was run, or refused
	Rows   int64         // that its statements have read or changed
	Spent  time.Duration // at the database, with waits for connections; of what runs at once each counts
	Codes  []string      // of the errors, each once; at most maxCodes
	From   string        // what has answered it, as AnsweredFrom was told; "": nothing has said so
	Why    string        // no other has, or why it was refused; "": that needs no reason
	Events int           // of a subscription
	Trace  *session.Trace
	// Context is the operation itself; nil: it could not be read.
	Context *graphql.OperationContext
	// Bound is the context that Bind has returned for its last attempt; nil: it was not run.
	Bound context.Context
	// ReadWith is the id of the operation whose report has what this one's Group has read together; "": its own has.
	ReadWith string
}

// Milliseconds is a duration of a report as people are told it, to the microsecond.
func Milliseconds(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

// maxCodes is how many codes a report has.
const maxCodes = 5

// Result is what an operation's answer held.
type Result string

// The results. A stream's is that of all its parts or events.
const (
	ResultOK      Result = "ok"      // data
	ResultPartial Result = "partial" // data and errors
	ResultError   Result = "error"   // errors
	ResultRefused Result = "refused" // errors, and nothing of it was run
)

// recorder gathers the report of one operation. What the queries of a Group read together is counted for the one that came
// first, whose report waits for that.
type recorder struct {
	waits   atomic.Bool // for the end of a Group
	unknown atomic.Bool
	replays atomic.Bool

	from atomic.Pointer[[2]string] // Report.From and Report.Why

	mu     sync.Mutex
	report Report
	sent   bool
}

// add counts a part of the answer.
func (r *recorder) add(response *graphql.Response) {
	if response == nil {
		return
	}
	part := ResultOK
	switch empty := len(response.Data) == 0 || bytes.Equal(response.Data, []byte("null")); {
	case len(response.Errors) > 0 && empty:
		part = ResultError
	case len(response.Errors) > 0:
		part = ResultPartial
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.report.Codes = addCodes(r.report.Codes, response.Errors)
	r.report.Events++
	switch whole := &r.report.Result; {
	case *whole == "":
		*whole = part
	case *whole != part:
		*whole = ResultPartial
	}
}

// addCodes adds the codes of errors that are not there yet.
func addCodes(codes []string, errs gqlerror.List) []string {
	for _, err := range errs {
		code := fmt.Sprint(err.Extensions["code"]) // a presenter may have it as any type
		if err.Extensions["code"] != nil && len(codes) < maxCodes && !slices.Contains(codes, code) {
			codes = append(codes, code)
		}
	}
	return codes
}

// observed sends the report, once.
func (r *run) observed() {
	c := &r.recorder
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.sent {
		return
	}
	c.sent = true
	report := r.report()
	if report.Result == "" { // the client did not wait for it
		report.Result = ResultError
	}
	if r.Observe != nil {
		r.Observe(r.Operation, report)
	}
	op := r.Operation
	if report.Replayed { // the answer has the id of the first
		op.ID = cmp.Or(r.request.ID, op.ID)
	}
	r.request.note(op, report)
}

// report returns how the operation has gone so far. The caller holds the recorder.
func (r *run) report() Report {
	report := r.recorder.report
	report.Duration = time.Since(r.began)
	report.Attempts, report.Statements, report.Rows, report.Spent = int(r.Attempts.Load()), r.Statements.Load(), r.Rows.Load(), time.Duration(r.Spent.Load())
	report.Unknown, report.Replayed = r.recorder.unknown.Load(), r.recorder.replays.Load()
	report.Began = r.request.began
	report.Waited, report.Trace, report.Context = r.began.Sub(r.request.began), r.Unit.Trace, r.operations[0]
	report.Bound, report.ReadWith = r.bound, r.readWith
	if from := r.recorder.from.Load(); from != nil {
		report.From, report.Why = from[0], from[1]
	}
	if report.Replayed {
		report.From, report.Why = "", ""
	}
	return report
}

// AnsweredFrom notes what answers the operation of ctx, and why no other does that might; "": there is no other.
func AnsweredFrom(ctx context.Context, what, why string) {
	if r := fromContext(ctx); r != nil && r.running.Load() != nil {
		r.running.Load().recorder.from.Store(&[2]string{what, why})
	}
}

// InterceptResponse reports operations that are refused. What comes from within a session is reported when it has ended.
func (i *interceptor) InterceptResponse(ctx context.Context, next graphql.ResponseHandler) *graphql.Response {
	response := next(ctx)
	if _, running := session.OperationFromContext(ctx); running || response == nil {
		return response
	}
	op, report := session.Operation{ID: ID(ctx)}, Report{Result: ResultRefused, Codes: addCodes(nil, response.Errors)}
	request := fromContext(ctx)
	if request != nil {
		op, report.Began, report.Waited = request.operation(), request.began, time.Since(request.began)
	}
	if graphql.HasOperationContext(ctx) {
		if oc := graphql.GetOperationContext(ctx); oc.Operation != nil {
			op, report.Context = session.NewOperation(op.ID, string(oc.Operation.Operation), oc.Operation.Name), oc
		}
	}
	if i.Observe != nil {
		i.Observe(op, report)
	}
	if request != nil {
		request.note(op, report)
	}
	return response
}
