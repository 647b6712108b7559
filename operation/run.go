package operation

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"time"

	"github.com/99designs/gqlgen/graphql"
	"github.com/vektah/gqlparser/v2/gqlerror"

	"rollcall/apierror"
	"rollcall/idempotency"
	"rollcall/session"
)

// run is one operation on its way to its answer.
type run struct {
	*interceptor
	session.Unit
	request    *Request
	operations [1]*graphql.OperationContext
	asked      asked
	fresh      bool     // @fresh
	stream     bool     // the transport takes an answer in parts
	labels     []string // of what is deferred in a stream
	parts      *parts   // of such an answer, or nil
	parent     context.Context
	began      time.Time
	recorder   recorder
	bound      context.Context // what Bind has returned for the last attempt; nil: nothing yet
	readWith   string          // Report.ReadWith

	next    graphql.OperationHandler
	session *session.Session        // of the last attempt
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
	response := r.answer()
	if len(r.labels) > 0 {
		r.parts = &parts{oc: r.operations[0], labels: r.labels, arrived: map[string]bool{}}
		r.parts.take(response)
	}
	return r.sent(response)
}

// sent returns one of gqlgen's responses, and ends the session with the last.
func (r *run) sent(response *graphql.Response) *graphql.Response {
	r.recorder.add(response)
	if !last(response) {
		return response
	}
	r.done, r.more = true, nil
	r.session.Close()
	r.explain(response)
	if !r.recorder.waits.Load() {
		r.observed()
	}
	if r.parts != nil && response != nil {
		r.parts.end()
		if len(r.parts.ready) > 0 {
			response.HasNext = new(true)
		}
	}
	return response
}

// errRefused keeps a mutation from being stored whose answer has errors, or that has none.
var errRefused = errors.New("operation: the answer has errors")

// answer runs the operation, as often as it has to be. Nothing has been written to the client meanwhile.
func (r *run) answer() (response *graphql.Response) {
	m := r.mutation()
	if m != nil {
		defer m.End()
	}
	var first string // the id of the operation whose answer is replayed, or ""
	err := r.Unit.Run(r.parent, func(s *session.Session) (err error) {
		r.session = s
		r.request.onEnd(func() {
			s.Close()
			r.observed()
		})
		response, first, err = r.attempt(m)
		return err
	})
	_, unknown := errors.AsType[*session.OutcomeUnknownError](err)
	r.recorder.unknown.Store(unknown && first == "")
	r.store(cmp.Or(first, r.session.Stored()))
	switch {
	case err == nil && first != "":
		r.recorder.replays.Store(true)
		r.request.replay(first)
		return response
	case err == nil:
		return response
	case errors.Is(err, errRefused):
		return r.failed(response, nil)
	case m != nil:
		err = m.Failure(err)
	}
	response = r.failed(nil, err)
	if code := apierror.CodeOf(err); code == idempotency.CodeMismatch || code == idempotency.CodeInProgress {
		response.Data = nil // it was not run
	}
	return response
}

// attempt runs the operation once, unless it has an idempotency key with which it was stored already: then it returns that answer,
// and the id of the operation that had it first.
func (r *run) attempt(m *idempotency.Mutation) (response *graphql.Response, first string, err error) {
	ctx := r.session.Context()
	if m != nil {
		kept, err := m.Claim(ctx)
		if err != nil {
			return nil, "", err
		}
		if kept != nil {
			response, err = decode(kept.Answer)
			return response, kept.OperationID, err
		}
	}
	if r.fresh && r.CatchUp != nil {
		if err := r.CatchUp(ctx); err != nil {
			return nil, "", err
		}
	}
	switch response = r.execute(); {
	case r.useless(response):
		return response, "", nil
	case response == nil:
		return nil, "", cmp.Or(context.Cause(ctx), errRefused)
	case r.Kind == session.Write && len(response.Errors) > 0:
		return response, "", errRefused
	case !last(response):
		r.session.Keep()
	case r.asked.dryRun:
		session.Discard(ctx)
	case m != nil:
		err = m.Keep(ctx, encode(response))
	}
	return response, "", err
}

// execute lets gqlgen resolve and marshal the operation.
func (r *run) execute() *graphql.Response {
	ctx := r.session.Context()
	if ctx.Err() != nil {
		return nil
	}
	if r.stream {
		ctx = context.WithoutCancel(ctx) // see stream.go
	}
	response, panicked := r.recovered(func() *graphql.Response {
		engine := r.bind(ctx)
		r.bound = engine
		handler := r.next(engine)
		if r.stream {
			r.more = func(context.Context) *graphql.Response { return handler(engine) }
		}
		return handler(engine)
	})
	if panicked && r.more != nil { // what it deferred waits to be taken
		go r.drain(r.more)
	}
	return response
}

// recovered calls a handler. Its panic, such as a marshaller's, which gqlgen does not recover, becomes an error.
func (r *run) recovered(handler func() *graphql.Response) (response *graphql.Response, panicked bool) {
	defer func() {
		if p := recover(); p != nil {
			response, panicked = r.failed(nil, r.operations[0].RecoverFunc(r.session.Context(), p)), true
		}
	}()
	return handler(), false
}

// failed returns an answer without data: that of response with its errors, or one that reports err.
func (r *run) failed(response *graphql.Response, err error) *graphql.Response {
	if response == nil {
		response = &graphql.Response{}
	}
	response.Data, response.HasNext = json.RawMessage("null"), nil
	if err != nil {
		response.Errors = append(response.Errors, r.ErrorPresenter(r.session.Context(), public(err)))
	}
	return response
}

// public is what a client may know of an error of the session or of this package: its message and code name nothing internal.
func public(err error) *gqlerror.Error {
	shown := apierror.Internal()
	unknown, isUnknown := errors.AsType[*session.OutcomeUnknownError](err)
	late, isLate := errors.AsType[*session.DeadlineError](err)
	known, isKnown := errors.AsType[*apierror.Error](err)
	switch {
	case isKnown:
		shown = known
	case isUnknown:
		shown = apierror.OutcomeUnknown()
	case isLate:
		shown = apierror.TookTooLong(late.Deadline)
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		shown = apierror.Cancelled()
	}
	extensions := map[string]any{"code": string(shown.Code)}
	if shown.Field != "" {
		extensions["field"] = shown.Field
	}
	if isUnknown && !isKnown {
		extensions["operationId"] = unknown.ID
	}
	return &gqlerror.Error{Err: err, Message: shown.Message, Extensions: extensions}
}
