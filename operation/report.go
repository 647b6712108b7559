package operation

import (
	"bytes"
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/99designs/gqlgen/graphql"

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
}

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
	switch whole := &r.report.Result; {
	case *whole == "":
		*whole = part
	case *whole != part:
		*whole = ResultPartial
	}
}

// observed sends the report, once.
func (r *run) observed() {
	c := &r.recorder
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.sent || r.Observe == nil {
		return
	}
	c.sent = true
	c.report.Duration = time.Since(r.began)
	c.report.Attempts, c.report.Statements = int(r.Attempts.Load()), r.Statements.Load()
	c.report.Unknown, c.report.Replayed = c.unknown.Load(), c.replays.Load()
	if c.report.Result == "" { // the client did not wait for it
		c.report.Result = ResultError
	}
	r.Observe(r.Operation, c.report)
}

// InterceptResponse reports operations that are refused. What comes from within a session is reported when it has ended.
func (i *interceptor) InterceptResponse(ctx context.Context, next graphql.ResponseHandler) *graphql.Response {
	response := next(ctx)
	if _, running := session.OperationFromContext(ctx); running || i.Observe == nil || response == nil {
		return response
	}
	op := session.Operation{ID: ID(ctx)}
	if graphql.HasOperationContext(ctx) {
		if oc := graphql.GetOperationContext(ctx); oc.Operation != nil {
			op.Name, op.Kind = oc.Operation.Name, string(oc.Operation.Operation)
		}
	}
	i.Observe(op, Report{Result: ResultRefused})
	return response
}
