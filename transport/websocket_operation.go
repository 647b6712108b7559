package transport

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"sync/atomic"

	"github.com/99designs/gqlgen/graphql"
	"github.com/vektah/gqlparser/v2/ast"
	"github.com/vektah/gqlparser/v2/gqlerror"

	"rollcall/operation"
)

// socketOperation is an operation on a socket.
type socketOperation struct {
	id      string
	ctx     context.Context
	cancel  context.CancelFunc
	stopped atomic.Bool // nothing more is sent for it
	endless bool        // it is a subscription
}

func (op *socketOperation) stop() {
	op.stopped.Store(true)
	op.cancel()
}

// subscribe begins an operation.
func (s *socket) subscribe(m socketMessage) {
	if m.payload == nil {
		s.close(socketBadRequest, "Invalid message: payload must be an object")
		return
	}
	received := graphql.Now()
	params, refused := parse(m.payload)
	switch {
	case refused == nil:
		params.Headers = s.header
		params.ReadTime = graphql.TraceTiming{Start: received, End: graphql.Now()}
	case refused.code == CodeBadRequest:
		s.close(socketBadRequest, "Invalid message: "+refused.message)
		return
	}
	op, err := s.register(m.id)
	var closes *socketCloseError
	var refuses *gqlerror.Error
	switch {
	case errors.As(err, &closes):
		s.close(closes.code, closes.reason)
	case errors.As(err, &refuses):
		s.write(s.failure(m.id, gqlerror.List{refuses}))
	case op != nil:
		s.work.Go(func() { s.operate(op, params, refused) })
	}
}

// register makes an operation under an id. It returns none in a socket that is to be closed: the client will send it again.
func (s *socket) register(id string) (*socketOperation, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	previous := s.active[id]
	most := cmp.Or(s.MaxOperations, 100)
	switch {
	case s.state != socketAcknowledged:
		return nil, &socketCloseError{socketUnauthorized, "Unauthorized"}
	case s.closing || s.draining:
		return nil, nil
	case previous != nil && !s.legacy:
		return nil, &socketCloseError{socketDuplicate, fmt.Sprintf("Subscriber for %s already exists", id)}
	case previous != nil: // the older protocol replaces it
		s.forget(previous)
		previous.stop()
	}
	// What was cancelled may take a moment to end, which must not refuse its successor; nor may it pile up.
	if len(s.active) >= most || s.running >= 2*most {
		return nil, &gqlerror.Error{
			Message:    fmt.Sprintf("there are too many operations on this connection: it may have %d at a time", most),
			Extensions: map[string]any{"code": CodeTooManyRequests},
		}
	}
	op := &socketOperation{id: id}
	op.ctx, op.cancel = context.WithCancel(s.ctx)
	s.active[id] = op
	s.running++
	s.answerable++
	return op, nil
}

// forget frees an operation's id. The caller holds mu.
func (s *socket) forget(op *socketOperation) {
	if s.active[op.id] == op {
		delete(s.active, op.id)
	}
}

// complete ends an operation for the client, who wants no more of it. It reports false if there is none of that id.
func (s *socket) complete(id string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	op := s.active[id]
	if op == nil {
		return false // it has ended meanwhile
	}
	s.forget(op)
	op.stop()
	return true
}

// operate runs an operation to its end.
func (s *socket) operate(op *socketOperation, params *graphql.RawParams, refused *refusal) {
	defer op.cancel()
	ctx, request := operation.NewRequest(op.ctx)
	request.Parts = !s.legacy // whose clients know of no parts
	last := s.answer(ctx, op, params, refused)
	request.End()
	s.conclude(op, last)
}

// answer sends all results of an operation that is not refused. It returns the message that is to end it.
func (s *socket) answer(ctx context.Context, op *socketOperation, params *graphql.RawParams, refused *refusal) (last []byte) {
	defer func() {
		if p := recover(); p != nil {
			last = s.failure(op.id, gqlerror.List{s.recovered(ctx, p)})
		}
	}()
	if refused != nil { // over a limit, which is no reason to end the others
		return s.failure(op.id, s.exec.DispatchError(ctx, refused.list()).Errors)
	}
	leave, err := s.Gate.Enter(ctx)
	if err != nil {
		return s.failure(op.id, s.exec.DispatchError(ctx, notAdmitted(err)).Errors)
	}
	defer leave()
	ctx = graphql.StartOperationTrace(ctx)
	oc, errs := s.exec.CreateOperationContext(ctx, params)
	ctx = graphql.WithOperationContext(ctx, oc)
	if len(errs) > 0 {
		return s.failure(op.id, s.exec.DispatchError(ctx, errs).Errors)
	}
	subscription := oc.Operation.Operation == ast.Subscription
	if subscription {
		s.lasts(op)
	}
	responses, ctx := s.exec.DispatchOperation(ctx, oc)
	if subscription {
		leave()
	}
	for first := true; op.ctx.Err() == nil; first = false {
		response := responses(ctx)
		if response == nil {
			break
		}
		leave() // what follows waits for a client who may read slowly
		last := !subscription && (response.HasNext == nil || !*response.HasNext)
		s.send(op, s.result(op.id, response, first || subscription))
		if last {
			break
		}
	}
	return socketReply{ID: op.id, Type: "complete"}.encode()
}

// send writes an operation's message, unless the client wants none.
func (s *socket) send(op *socketOperation, text []byte) {
	sent := s.Gate.Send(len(text), func() { go func() { _ = s.conn.CloseNow() }() }) // with all its other answers
	defer sent()
	s.writing.Lock()
	defer s.writing.Unlock()
	if !op.stopped.Load() {
		s.writeLocked(text)
	}
}

// lasts marks an operation as one that need not end by itself.
func (s *socket) lasts(op *socketOperation) {
	s.mu.Lock()
	defer s.mu.Unlock()
	op.endless = true
	s.answerable--
	s.closeDrained()
}

// conclude sends an operation's last message, from when on its id can be used again.
func (s *socket) conclude(op *socketOperation, last []byte) {
	s.mu.Lock()
	s.forget(op)
	s.mu.Unlock()
	s.send(op, last)
	s.mu.Lock()
	s.running--
	if !op.endless {
		s.answerable--
	}
	idle := s.running == 0
	s.closeDrained()
	s.mu.Unlock()
	if idle {
		s.idle()
	}
}

// recovered is what the client is shown of a panic.
func (s *socket) recovered(ctx context.Context, p any) (shown *gqlerror.Error) {
	defer func() {
		if recover() != nil || shown == nil { // the presenter's own
			shown = internalError()
		}
	}()
	if exec, ok := s.exec.(interface {
		PresentRecoveredError(ctx context.Context, p any) error
	}); ok {
		_ = errors.As(exec.PresentRecoveredError(ctx, p), &shown)
		return shown
	}
	_ = errors.As(graphql.DefaultRecover(ctx, p), &shown)
	return shown
}

func internalError() *gqlerror.Error { return gqlerror.Errorf("internal system error") }
