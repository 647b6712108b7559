package operation

import (
	"context"
	"time"

	"github.com/99designs/gqlgen/graphql"

	"rollcall/session"
)

// Sent is how an operation has come and how its answer has gone, as far as its transport knows. The transport sets it.
type Sent struct {
	By     string // how it came, such as POST
	Status int    // of the answer; 0: it has none
	Bytes  int64  // of the answer, before it is compressed
}

// ResultBegun is the result of a subscription that has begun, for Extension.Ended alone.
const ResultBegun Result = "begun"

// noted is what Extension.Ended will be given.
type noted struct {
	operation session.Operation
	report    Report
}

// note keeps the report of the request's operation until the request has ended.
func (r *Request) note(op session.Operation, report Report) {
	r.mu.Lock()
	r.noted = &noted{op, report}
	r.mu.Unlock()
	if r.ID == "" { // of a transport that may have others in the same request
		r.tell()
	}
}

// Refuse notes that nothing is run for a reason that no operation has: the request itself, or the connection.
func (r *Request) Refuse(why string, codes ...string) {
	r.note(r.operation(), Report{Result: ResultRefused, Codes: codes, Why: why, Began: r.began, Waited: time.Since(r.began)})
}

// Spare notes that the operation is not run, since its client has the answer or wants none.
func (r *Request) Spare() {
	r.note(r.operation(), Report{Result: ResultOK, Began: r.began, Waited: time.Since(r.began)})
}

// Is says which operation the request's is, for the report of one that will not be run.
func (r *Request) Is(oc *graphql.OperationContext) {
	r.kind, r.name = string(oc.Operation.Operation), oc.Operation.Name
}

// operation returns what is known of the request's operation.
func (r *Request) operation() session.Operation {
	if r.kind == "" {
		return session.Operation{ID: r.ID}
	}
	return session.NewOperation(r.ID, r.kind, r.name)
}

// tell calls Extension.Ended, if there is a report that it has not been given.
func (r *Request) tell() {
	r.mu.Lock()
	n := r.noted
	r.noted = nil
	r.mu.Unlock()
	if n != nil && r.ended != nil {
		r.ended(r.ctx, n.operation, n.report, r.Sent)
	}
}

// tellBegin tells that a subscription has begun.
func (r *run) tellBegin() {
	if r.Ended == nil {
		return
	}
	r.recorder.mu.Lock()
	report := r.report()
	r.recorder.mu.Unlock()
	report.Result = ResultBegun
	r.Ended(r.request.ctx, r.Operation, report, r.request.Sent)
}

// ReportExtension is where an answer has what Extension.Explain returns.
const ReportExtension = "report"

// explain adds what Extension.Explain returns to a response.
func (r *run) explain(response *graphql.Response) {
	if r.Explain == nil || response == nil {
		return
	}
	r.recorder.mu.Lock()
	report := r.report()
	r.recorder.mu.Unlock()
	bound := r.bound
	if bound == nil {
		bound = context.WithoutCancel(r.parent)
	}
	if what := r.Explain(bound, report); what != nil {
		if response.Extensions == nil {
			response.Extensions = map[string]any{}
		}
		response.Extensions[ReportExtension] = what
	}
}
