package session

import (
	"bytes"
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/99designs/gqlgen/graphql"
)

// Report is how an operation went, for Extension.Observe.
type Report struct {
	Result     Result
	Attempts   int           // how often it was run; 0: it was refused before
	Statements int64         // that its resolvers and loaders ran, in all attempts
	Duration   time.Duration // until its answer was complete, or its stream ended
	Unknown    bool          // a mutation: it is not known whether it was stored
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

// tally gathers the report of one operation. What the queries of a Group read together is counted for the one that came
// first, whose report waits for that.
type tally struct {
	statements atomic.Int64
	waits      atomic.Bool // for the end of a Group

	mu     sync.Mutex
	report Report
	sent   bool
}

// add counts a part of the answer.
func (t *tally) add(response *graphql.Response) {
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
	t.mu.Lock()
	defer t.mu.Unlock()
	switch whole := &t.report.Result; {
	case *whole == "":
		*whole = part
	case *whole != part:
		*whole = ResultPartial
	}
}

// attempted counts an attempt, and what became of it.
func (t *tally) attempted(n int, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.report.Attempts, t.report.Unknown = n, false
	if err != nil {
		_, t.report.Unknown = errors.AsType[*OutcomeUnknownError](err)
	}
}

// observed sends the report, once.
func (r *run) observed() {
	t := &r.tally
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.sent || r.Observe == nil {
		return
	}
	t.sent = true
	t.report.Duration = time.Since(r.began)
	t.report.Statements = t.statements.Load()
	if t.report.Result == "" { // nobody waited for it
		t.report.Result = ResultError
	}
	r.Observe(r.op, t.report)
}

// InterceptResponse tells Observe of operations that are refused. What comes from within a session is reported when
// it has ended.
func (e Extension) InterceptResponse(ctx context.Context, next graphql.ResponseHandler) *graphql.Response {
	response := next(ctx)
	if _, running := ctx.Value(contextKey{}).(*Session); running || e.Observe == nil || response == nil {
		return response
	}
	op := Operation{}
	op.ID, _ = OperationID(ctx)
	if graphql.HasOperationContext(ctx) {
		if oc := graphql.GetOperationContext(ctx); oc.Operation != nil {
			op.Name, op.Kind = oc.Operation.Name, oc.Operation.Operation
		}
	}
	e.Observe(op, Report{Result: ResultRefused})
	return response
}
