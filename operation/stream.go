package operation

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/99designs/gqlgen/graphql"

	"rollcall/apierror"
	"rollcall/session"
)

// gqlgen waits for the parts of a deferred answer without a context, and a part whose own context
// has ended may never be sent. So the engine runs under a context that does not end, while its resolvers and their
// statements see the operation's end, and return: then every part arrives, or is drained.

// part returns the next part of a deferred answer, or, once the operation was cancelled, the last one.
func (r *run) part() *graphql.Response {
	next := make(chan *graphql.Response, 1)
	more := r.more
	go func() {
		response, panicked := r.take(more)
		if next <- response; panicked {
			r.drain(more)
		}
	}()
	select {
	case response := <-next:
		if response == nil || response.Label == "" { // a panic's
			r.parts = nil
		} else {
			r.parts.take(response)
		}
		return r.sent(response)
	case <-r.session.Context().Done():
		r.parts = nil
		response := r.failed(nil, context.Cause(r.session.Context()))
		response.HasNext = new(false) // it is the last one
		response = r.sent(response)
		go func() {
			if !last(<-next) {
				r.drain(more)
			}
		}()
		return response
	}
}

// last reports whether no part follows a response.
func last(response *graphql.Response) bool {
	return response == nil || response.HasNext == nil || !*response.HasNext
}

// take takes one part from the engine. A panic makes it the last one.
func (r *run) take(more graphql.ResponseHandler) (response *graphql.Response, panicked bool) {
	if response, panicked = r.recovered(func() *graphql.Response { return more(r.session.Context()) }); panicked {
		response.HasNext = new(false)
	}
	return response, panicked
}

// drain takes the parts that are not waited for any more. They all come: their resolvers are cancelled, and each has
// a label of its own.
func (r *run) drain(more graphql.ResponseHandler) {
	for panics := 0; panics < maxPanics; {
		response, panicked := r.take(more)
		switch {
		case panicked:
			panics++ // the parts after it may be well
		case last(response):
			return
		}
	}
}

// maxPanics is how many panics draining tolerates: a handler may panic at every call.
const maxPanics = 100

// showEnd shows the resolvers of a streamed answer the end of the operation.
func (r *run) showEnd(oc *graphql.OperationContext) {
	next := oc.ResolverMiddleware
	oc.ResolverMiddleware = func(ctx context.Context, resolve graphql.Resolver) (any, error) {
		return next(ctx, func(ctx context.Context) (any, error) {
			running := &resolverContext{Context: ctx, operation: r.session.Context()}
			defer running.returned.Store(true)
			return resolve(running)
		})
	}
}

// resolverContext ends with the operation while a resolver runs, and not afterwards, when it is
// the engine's for what is below the resolver.
type resolverContext struct {
	context.Context
	operation context.Context
	returned  atomic.Bool
}

func (c *resolverContext) Done() <-chan struct{} {
	if c.returned.Load() {
		return c.Context.Done()
	}
	return c.operation.Done()
}

func (c *resolverContext) Err() error {
	if c.returned.Load() {
		return c.Context.Err()
	}
	return c.operation.Err()
}

func (c *resolverContext) Deadline() (time.Time, bool) { return c.operation.Deadline() }

// subscribe runs a subscription: its resolver in a session of its own, then each event in another, so that
// an event sees what is stored when it comes.
func (r *run) subscribe() graphql.ResponseHandler {
	var events graphql.ResponseHandler
	r.Attempts.Store(1)
	r.request.onEnd(r.observed)
	if failure, panicked := r.within(r.parent, func(ctx context.Context) *graphql.Response {
		events = r.next(ctx)
		return nil
	}, true); panicked {
		r.recorder.add(failure)
		r.observed()
		return graphql.OneShot(failure)
	}
	r.tellBegin()
	return func(ctx context.Context) *graphql.Response {
		if r.done {
			return nil
		}
		r.newTrace()
		response, panicked := r.within(ctx, events, false)
		for pause := 50 * time.Millisecond; !panicked && pause < time.Second && r.repeats(response); pause *= 2 {
			select {
			case <-time.After(pause):
			case <-ctx.Done():
				pause = time.Second
				continue
			}
			response, panicked = r.within(ctx, events, false)
		}
		r.recorder.add(response)
		r.explain(response)
		if r.done = response == nil || panicked; r.done {
			r.observed()
		}
		return response
	}
}

// repeats reports whether the last event of a subscription is answered once more: where the database could not be reached, or what was read had gone
// when what belongs to it was read.
func (r *run) repeats(response *graphql.Response) bool {
	if response == nil || len(response.Errors) == 0 || r.Repeat == nil {
		return false
	}
	switch apierror.Code(fmt.Sprint(response.Errors[0].Extensions["code"])) { // a presenter may have it as either type
	case apierror.CodeUnavailable, apierror.CodeInternal:
		return r.Repeat(r.operations[0])
	}
	return false
}

// within calls a handler in a new session, which it ends. The context of a handler that lasts does not end with the session:
// the resolver's goroutine, which sends the events, goes by it.
func (r *run) within(parent context.Context, handler graphql.ResponseHandler, lasts bool) (response *graphql.Response, panicked bool) {
	s := r.Open(parent)
	r.session = s
	defer s.Close()
	ctx := s.Context()
	if lasts {
		ctx = session.NewContext(parent, s)
	}
	return r.recovered(func() *graphql.Response {
		r.bound = r.bind(ctx)
		return handler(r.bound)
	})
}
