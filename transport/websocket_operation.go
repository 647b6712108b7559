package transport

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
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
	stopped atomic.Bool // no message is sent for it any more
	endless bool        // it is a subscription
	debt    *debt       // nil: what it has cost so far is paid
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
	switch op, closes, refuses := s.register(m.id); {
	case closes != nil:
		s.close(closes.code, closes.reason)
	case refuses != nil:
		ctx, request := s.request(s.ctx)
		s.write(nil, s.failure(m.id, s.exec.DispatchError(ctx, refuses).Errors))
		request.End()
	case op != nil:
		s.work.Go(func() { s.operate(op, params, refused) })
	}
}

// register makes an operation under an id, or returns why the socket is to be closed for it, or the errors that refuse it. It
// returns nothing if the socket is closing anyway: the client will send the operation again.
func (s *socket) register(id string) (op *socketOperation, closes *socketCloseError, refuses gqlerror.List) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.state != socketAcknowledged:
		return nil, &socketCloseError{socketUnauthorized, "Unauthorized"}, nil
	case s.closing.Load() || s.draining:
		return nil, nil, nil
	}
	if previous := s.active[id]; previous != nil {
		if !s.protocol.replaces {
			return nil, &socketCloseError{socketDuplicate, fmt.Sprintf("Subscriber for %s already exists", id)}, nil
		}
		delete(s.active, id)
		previous.stop()
	}
	// An operation that was cancelled may take a moment to end. Another may begin meanwhile, but these must not pile up.
	if limit := cmp.Or(s.MaxOperations, 100); len(s.active) >= limit || s.running >= 2*limit {
		return nil, nil, coded(CodeTooManyRequests, "there are too many operations on this connection: it may have %d at a time", limit)
	}
	op = &socketOperation{id: id}
	op.ctx, op.cancel = context.WithCancel(s.ctx)
	s.active[id] = op
	s.running++
	s.answerable++
	return op, nil, nil
}

// complete ends an operation of which the client wants no more. It reports false if there is none of that id.
func (s *socket) complete(id string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	op := s.active[id]
	if op == nil {
		return false // it has ended meanwhile
	}
	delete(s.active, id)
	op.stop()
	return true
}

// operate runs an operation to its end.
func (s *socket) operate(op *socketOperation, params *graphql.RawParams, refused *refusal) {
	defer op.cancel()
	ctx, request := s.request(op.ctx)
	request.Parts = s.protocol.parts
	request.SeeAfter(s.wrote()...)
	last := s.answer(ctx, request, op, params, refused)
	if op.debt != nil {
		last = s.refuseDebt(ctx, op)
	}
	request.Sent.Bytes += int64(len(last))
	request.End()
	s.conclude(op, last)
}

// request returns the request of one operation.
func (s *socket) request(ctx context.Context) (context.Context, *operation.Request) {
	ctx, request := operation.NewRequest(ctx)
	request.Sent.By = byWebSocket
	return ctx, request
}

// byWebSocket is how operations have come that came on sockets.
const byWebSocket = "websocket"

// mend makes a panic the last message of an operation.
func (s *socket) mend(ctx context.Context, op *socketOperation, last *[]byte) {
	if p := recover(); p != nil {
		*last = s.failure(op.id, gqlerror.List{s.recovered(ctx, p)})
	}
}

// refuses returns the message that ends an operation that is refused.
func (s *socket) refuses(ctx context.Context, op *socketOperation, errs gqlerror.List) []byte {
	return s.failure(op.id, s.exec.DispatchError(ctx, errs).Errors)
}

// refuseDebt returns the message that ends an operation whose client has too little left, after a while.
func (s *socket) refuseDebt(ctx context.Context, op *socketOperation) (last []byte) {
	defer s.mend(ctx, op, &last)
	v, _ := s.Limits.Delay(ctx, op.debt.cost, op.debt.verdict)
	return s.refuses(ctx, op, rateLimited(v))
}

// pay takes what something costs. If there is not enough, it reports false: the operation is to be left, and refuseDebt ends it when it holds nothing
// any more.
func (s *socket) pay(ctx context.Context, op *socketOperation, cost int) bool {
	v := s.Limits.take(ctx, cost)
	if !v.Granted {
		op.debt = &debt{cost, v}
	}
	return v.Granted
}

// answer runs an operation, unless it is refused, and sends its results. It returns the message that is to end it, unless there is a debt.
func (s *socket) answer(ctx context.Context, request *operation.Request, op *socketOperation, params *graphql.RawParams, refused *refusal) (last []byte) {
	defer s.mend(ctx, op, &last)
	before := 0 // what there must be is something, until it is known how much
	if refused != nil {
		before = notRun
	}
	if !s.pay(ctx, op, before) {
		return nil
	}
	if refused != nil { // for a limit, which is no reason to end the others
		return s.refuses(ctx, op, refused.list())
	}
	leave, err := s.Gate.Enter(ctx)
	if err != nil {
		return s.refuses(ctx, op, notAdmitted(err))
	}
	defer leave()
	ctx = graphql.StartOperationTrace(ctx)
	oc, errs := s.exec.CreateOperationContext(ctx, params)
	ctx = graphql.WithOperationContext(ctx, oc)
	subscription := len(errs) == 0 && oc.Operation.Operation == ast.Subscription
	if len(errs) == 0 {
		request.Is(oc)
	}
	end, errs, cost := s.price(ctx, oc, errs)
	defer end()
	if !s.pay(ctx, op, cost) {
		return nil
	}
	if len(errs) > 0 {
		return s.refuses(ctx, op, errs)
	}
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
		leave() // what follows waits for a client that may read slowly
		s.remember(request.Stored)
		last := !subscription && (response.HasNext == nil || !*response.HasNext)
		text := s.result(op.id, response, first || subscription)
		request.Sent.Bytes += int64(len(text))
		s.write(op, text)
		if last {
			break
		}
	}
	return socketReply{ID: op.id, Type: "complete"}.encode()
}

// maxWrites is how many mutations of its own a socket remembers, the last ones.
const maxWrites = 16

// remember has later operations on the socket see what mutations have written, by their ids.
func (s *socket) remember(ids []string) {
	if len(ids) == 0 {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.writes = append(s.writes, ids...)
	s.writes = s.writes[max(0, len(s.writes)-maxWrites):]
}

// wrote returns what remember was given.
func (s *socket) wrote() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.writes)
}

// price returns what an operation costs which has errors, or none, and counts it if it is a stream: one too many has errors, too.
func (s *socket) price(ctx context.Context, oc *graphql.OperationContext, errs gqlerror.List) (end func(), _ gqlerror.List, cost int) {
	switch {
	case len(errs) > 0:
		return func() {}, errs, notRun
	case oc.Operation.Operation != ast.Subscription:
		return func() {}, nil, s.Limits.cost(oc)
	}
	end, refused := s.Limits.open(ctx)
	if refused != nil {
		return func() {}, refused.list(), s.Limits.less(oc)
	}
	return end, nil, s.Limits.cost(oc)
}

// result returns the message with a response of an operation. All but the first one of a query are increments.
func (s *socket) result(id string, response *graphql.Response, first bool) []byte {
	text := append(appendMember([]byte{'{'}, "id", id), `,"type":"`+s.protocol.result+`","payload":`...)
	if first {
		return append(appendResponse(text, response), '}')
	}
	return append(appendIncrement(text, response), '}')
}

// failure returns the message that ends an operation with errors.
func (s *socket) failure(id string, errs gqlerror.List) []byte {
	if _, err := json.Marshal(errs); err != nil || len(errs) == 0 { // the error presenter may have put anything into them
		errs = gqlerror.List{internalError()}
	}
	return socketReply{id, "error", s.protocol.failure(errs)}.encode()
}

// lasts marks an operation as a subscription, which need not end by itself.
func (s *socket) lasts(op *socketOperation) {
	s.mu.Lock()
	defer s.mu.Unlock()
	op.endless = true
	s.answerable--
	s.closeDrained()
}

// conclude sends an operation's last message, after which its id can be used again.
func (s *socket) conclude(op *socketOperation, last []byte) {
	s.mu.Lock()
	if s.active[op.id] == op {
		delete(s.active, op.id)
	}
	s.mu.Unlock()
	s.write(op, last)
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

// recovered returns the error that a client is shown for a panic.
func (s *socket) recovered(ctx context.Context, p any) (shown *gqlerror.Error) {
	defer func() {
		if recover() != nil || shown == nil { // the server's functions have panicked, or returned another error
			shown = internalError()
		}
	}()
	exec := s.exec.(interface { // as gqlgen's is
		PresentRecoveredError(ctx context.Context, p any) error
	})
	_ = errors.As(exec.PresentRecoveredError(ctx, p), &shown)
	return shown
}

func internalError() *gqlerror.Error { return gqlerror.Errorf("internal system error") }
