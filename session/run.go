package session

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/99designs/gqlgen/graphql"
	"github.com/vektah/gqlparser/v2/gqlerror"
	"gorm.io/gorm"
)

// run is one operation on its way to its answer.
type run struct {
	Extension
	oc     *graphql.OperationContext
	op     Operation
	mode   mode
	db     *gorm.DB
	stream bool     // the transport takes an answer in parts
	labels []string // of what is deferred in a stream
	parts  *parts   // of such an answer, or nil
	parent context.Context
	began  time.Time
	tally  tally
	until  time.Time     // the operation's deadline, if it has one
	late   DeadlineError // why it ends then

	next    graphql.OperationHandler
	session *Session                // of the last attempt
	more    graphql.ResponseHandler // the parts of a deferred answer, or nil
	done    bool
}

// respond returns the operation's answer, then the parts of it that were deferred, then nil.
func (r *run) respond(context.Context) *graphql.Response {
	extra := r.parts.next(r.done)
	switch {
	case extra != nil:
		return extra
	case r.done:
		return nil
	case r.more != nil:
		return r.part()
	}
	r.until = time.Now().Add(r.Deadline)
	r.late = DeadlineError{r.op, r.Deadline, context.DeadlineExceeded}
	response := r.answer()
	if len(r.labels) > 0 {
		r.parts = &parts{oc: r.oc, labels: r.labels, arrived: map[string]bool{}}
		r.parts.take(response)
	}
	return r.sent(response)
}

// sent returns one of gqlgen's responses, and ends the session with the last.
func (r *run) sent(response *graphql.Response) *graphql.Response {
	r.tally.add(response)
	if !last(response) {
		return response
	}
	r.finish()
	if r.parts != nil && response != nil {
		r.parts.end()
		if len(r.parts.ready) > 0 {
			hasNext := true
			response.HasNext = &hasNext
		}
	}
	return response
}

// finish ends the session of an answer that is complete.
func (r *run) finish() {
	r.done, r.more = true, nil
	r.close(r.session)
	if !r.tally.waits.Load() {
		r.observed()
	}
}

// context returns the parent context until the operation's deadline.
func (r *run) context() (context.Context, context.CancelFunc) {
	if r.Deadline == 0 {
		return context.WithCancel(r.parent)
	}
	return context.WithDeadlineCause(r.parent, r.until, &r.late)
}

// close ends a session whose work is not to be kept.
func (r *run) close(s *Session) {
	if err := s.close(); err != nil {
		r.logger().Error("cannot roll back", "operation", r.op.String(), "error", err)
	}
}

// patientAttempts is how often an operation that stands in others' way is run beside them, before it
// is run alone.
const patientAttempts = 4

// maxAttempts and maxRerunning bound an operation without a deadline.
const (
	maxAttempts  = 10
	maxRerunning = time.Minute
)

// answer runs the operation until it succeeds, fails for good or runs out of time. Nothing
// has been written to the client meanwhile.
func (r *run) answer() *graphql.Response {
	defer func() { r.session.answered() }()
	moved := false // to another connection, which is tried once
	for attempt := 1; ; attempt++ {
		response := r.attempt(attempt)
		cause := r.session.failure()
		switch severity := classify(cause); {
		case r.mode != pooled && severity == misplaced && !moved:
			moved = true
		case r.mode == pooled || severity != transient:
			return response
		case r.Deadline == 0 && (attempt == maxAttempts || time.Since(r.began) > maxRerunning):
			return r.failed(nil, fmt.Errorf("session: %s has lost conflicts in %d attempts: %w", r.op, attempt, cause))
		default:
			if err := r.pause(attempt, cause); err != nil {
				return r.failed(nil, because(err, cause))
			}
		}
		r.logger().Debug("running the operation again", "operation", r.op.String(), "attempt", attempt+1, "error", cause)
	}
}

// pause waits a moment that grows with the attempts and is different for each, so that operations
// that stood in each other's way do not meet again: longer after a wait for a lock, which whoever holds it may go on to do, and
// which a database may refuse at once. It returns why there is no time for that.
func (r *run) pause(attempt int, cause error) error {
	ctx, cancel := r.context()
	defer cancel()
	longest := 100 * time.Millisecond
	if waited(cause) {
		longest = time.Second
	}
	longest = min(time.Millisecond<<min(attempt, 10), longest)
	select {
	case <-time.After(rand.N(longest)):
	case <-ctx.Done():
	}
	return context.Cause(ctx)
}

// attempt runs the operation once, in a new session with new loaders, and ends its transaction.
func (r *run) attempt(n int) *graphql.Response {
	id := r.op.ID
	if n > 1 {
		id = newID()
	}
	ctx, end := r.context()
	s := newSession(ctx, end, r.op, id, r.mode, r.db)
	s.proof, s.exclusive, s.stream = r.Proof, n > patientAttempts, r.stream
	s.statements, s.logger = &r.tally.statements, r.logger()
	r.session = s
	endWithRequest(r.parent, func() {
		r.close(s)
		r.observed()
	})

	response := r.execute()
	var err error
	defer func() { r.tally.attempted(n, err) }()
	switch {
	case response == nil:
		response = r.failed(nil, s.cause())
	case r.mode == writing && len(response.Errors) > 0:
		response = r.failed(response, nil)
	case r.mode == writing:
		if err = s.commit(); err != nil {
			response = r.failed(nil, err)
		}
	}
	if response.HasNext == nil || !*response.HasNext {
		r.close(s)
	}
	return response
}

// execute lets gqlgen resolve and marshal the operation. A panic of a marshaller, which gqlgen
// does not recover, becomes an error.
func (r *run) execute() (response *graphql.Response) {
	ctx := r.session.ctx
	defer func() {
		if p := recover(); p != nil {
			response = r.failed(nil, r.oc.RecoverFunc(ctx, p))
			if r.stream && r.more != nil { // what it deferred waits to be taken
				go r.drain(r.more)
			}
		}
	}()
	if ctx.Err() != nil {
		return nil
	}
	if r.stream {
		ctx = context.WithoutCancel(ctx) // see stream.go
	}
	ctx = r.bind(ctx)
	handler := r.next(ctx)
	if r.stream {
		engine := ctx
		r.more = func(context.Context) *graphql.Response { return handler(engine) }
	}
	return handler(ctx)
}

// failed returns an answer without data: that of response with its errors, or one that tells err.
func (r *run) failed(response *graphql.Response, err error) *graphql.Response {
	if response == nil {
		response = &graphql.Response{}
	}
	response.Data, response.HasNext = json.RawMessage("null"), nil
	if err != nil {
		present := r.ErrorPresenter
		if present == nil {
			present = graphql.DefaultErrorPresenter
		}
		response.Errors = append(response.Errors, present(r.session.ctx, public(err)))
	}
	return response
}

// public is what a client may know of a session's own error: its message and code name nothing internal.
func public(err error) *gqlerror.Error {
	shown := &gqlerror.Error{Err: err, Message: "internal server error", Extensions: map[string]any{"code": "INTERNAL_SERVER_ERROR"}}
	var unknown *OutcomeUnknownError
	var late *DeadlineError
	switch {
	case errors.As(err, &unknown):
		shown.Message = "the database has not confirmed the commit: it is not known whether the mutation was stored"
		shown.Extensions = map[string]any{"code": "OUTCOME_UNKNOWN", "operationId": unknown.ID}
	case errors.As(err, &late):
		shown.Message = fmt.Sprintf("the operation took longer than %s", late.Deadline)
		shown.Extensions = map[string]any{"code": "TIMEOUT"}
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		shown.Message = "the request was cancelled"
		shown.Extensions = map[string]any{"code": "CANCELLED"}
	}
	return shown
}
