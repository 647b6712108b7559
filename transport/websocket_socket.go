package transport

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"
	"unicode/utf8"

	"github.com/99designs/gqlgen/graphql"
	"github.com/coder/websocket"

	"rollcall/operation"
	"rollcall/ratelimit"
)

const (
	socketGoingAway = "The server is shutting down"          // the reason for code 1001
	tooManySockets  = "This client has too many connections" // the reason for code 1013, or the body of an answer
	maxReason       = 123                                    // bytes of a reason that fit into a close frame
)

// socket is one WebSocket:
//
//	     connection_init          Init agrees
//	opened ────────────────▶ asked ──────────────▶ acknowledged: operations
//	   │                       │                        │
//	   └───────────────────────┴────────────────────────┴──▶ closing ──▶ done
//
// Its messages are read by one goroutine; each operation has one of its own.
type socket struct {
	*WebSocket
	conn     *websocket.Conn
	exec     graphql.GraphExecutor
	header   http.Header
	protocol *protocol     // nil: none that client and server both speak
	done     chan struct{} // closed once it has been served

	client ratelimit.Client // of whose sockets it is one
	leave  func()           // ends that

	root   context.Context // ends when the socket closes
	cancel context.CancelFunc
	work   sync.WaitGroup // operations, Init and pings

	writing sync.Mutex // held while a message is written

	mu         sync.Mutex // never held while anything is waited for
	state      socketState
	closing    atomic.Bool // set with mu held
	draining   bool
	timer      *time.Timer     // for the acknowledgement, then for idleness
	ctx        context.Context // the operations', once acknowledged
	active     map[string]*socketOperation
	running    int      // operations whose goroutine has not ended, cancelled ones too
	writes     []string // see remember
	answerable int      // those of them that are not known to be subscriptions, and so end by themselves
}

type socketState int

const (
	socketOpened socketState = iota
	socketAsked
	socketAcknowledged
)

func newSocket(t *WebSocket, conn *websocket.Conn, r *http.Request, exec graphql.GraphExecutor) *socket {
	s := &socket{
		WebSocket: t, conn: conn, exec: exec, header: r.Header, protocol: protocols[conn.Subprotocol()],
		done: make(chan struct{}), active: map[string]*socketOperation{},
	}
	s.root, s.cancel = context.WithCancel(r.Context())
	return s
}

// serve reads messages until the socket is closed, and returns when all that they began has ended.
func (s *socket) serve() {
	defer s.work.Wait()
	defer func() { _ = s.conn.CloseNow() }()
	defer s.stop()
	if s.protocol == nil {
		s.close(socketBadProtocol, "Subprotocol not acceptable")
		return
	}
	s.expire(cmp.Or(s.InitTimeout, 10*time.Second), func() bool { return s.state != socketAcknowledged }, socketInitTimeout, "Connection initialisation timeout")
	if s.PingInterval >= 0 {
		s.work.Go(s.ping)
	}
	s.conn.SetReadLimit(-1) // read has a limit of its own, which lets the client hear why the socket is closed
	for {
		text, err := s.read()
		refused, ok := errors.AsType[*socketCloseError](err)
		switch {
		case ok:
			s.close(refused.code, refused.reason)
			return
		case err != nil:
			return // the client has gone, or close has been called
		}
		if !s.closing.Load() { // until the client closes too
			s.handle(text)
		}
	}
}

// socketCloseError is why a socket is closed for a message of its client.
type socketCloseError struct {
	code   websocket.StatusCode
	reason string
}

func (r *socketCloseError) Error() string { return fmt.Sprintf("%d: %s", r.code, r.reason) }

// read reads one message. No context ends it: the client would not hear why. An error is a *socketCloseError, or says that
// the connection is closed.
func (s *socket) read() ([]byte, error) {
	kind, r, err := s.conn.Reader(context.WithoutCancel(s.root))
	if err != nil {
		return nil, err
	}
	if kind != websocket.MessageText {
		return nil, &socketCloseError{socketBadRequest, "Invalid message: it is binary"}
	}
	limit := cmp.Or(s.MaxMessage, 1<<20)
	text, err := io.ReadAll(io.LimitReader(r, limit+1))
	switch {
	case err != nil:
		return nil, err
	case int64(len(text)) > limit:
		return nil, &socketCloseError{websocket.StatusMessageTooBig, fmt.Sprintf("Message longer than %d bytes", limit)}
	case !utf8.Valid(text): // RFC 6455, section 8.1
		return nil, &socketCloseError{websocket.StatusInvalidFramePayloadData, "Invalid message: it is not UTF-8"}
	}
	return text, nil
}

// handle does what a message asks for.
func (s *socket) handle(text []byte) {
	m, problem := parseSocketMessage(text)
	switch {
	case problem != "":
		s.close(socketBadRequest, problem)
	case m.kind == "connection_init":
		s.begin(m.payload)
	case s.protocol.handlers[m.kind] != nil:
		s.protocol.handlers[m.kind](s, m)
	default:
		s.close(socketBadRequest, "Invalid message: unknown type")
	}
}

// begin answers connection_init.
func (s *socket) begin(payload json.RawMessage) {
	s.mu.Lock()
	again := s.state != socketOpened
	s.state = max(s.state, socketAsked)
	s.mu.Unlock()
	switch {
	case again:
		s.close(socketTooManyInits, "Too many initialisation requests")
	case s.Init == nil:
		s.acknowledge(s.root, nil)
	case s.protocol.initBlocks:
		s.init(payload)
	default:
		s.work.Go(func() { s.init(payload) })
	}
}

// init lets Init decide on the client.
func (s *socket) init(payload json.RawMessage) {
	defer func() {
		if p := recover(); p != nil {
			_ = s.recovered(s.root, p)
			s.close(socketInternalFailure, "Internal server error")
		}
	}()
	var decoded map[string]any
	if payload != nil {
		_ = decode(payload, &decoded) // it is an object
	}
	ctx, ack, err := s.Init(s.root, decoded)
	switch {
	case errors.Is(err, ErrTryLater):
		s.close(websocket.StatusTryAgainLater, "Try again later")
		return
	case err != nil:
		s.write(nil, s.protocol.forbidden)
		s.close(socketForbidden, "Forbidden")
		return
	}
	s.acknowledge(ctx, ack)
}

// acknowledge lets the client begin operations, unless it has too many sockets.
func (s *socket) acknowledge(ctx context.Context, payload map[string]any) {
	if client := s.Limits.client(ctx); client != s.client {
		leave, ok := s.Limits.connect(client)
		if !ok {
			s.close(websocket.StatusTryAgainLater, tooManySockets)
			return
		}
		s.leave()
		s.client, s.leave = client, leave
	}
	s.mu.Lock()
	s.ctx, s.state = ctx, socketAcknowledged
	s.mu.Unlock()
	ack := socketReply{Type: "connection_ack"}
	if payload != nil {
		ack.Payload = payload
	}
	if s.Until != nil {
		s.work.Go(func() { s.watch(ctx) })
	}
	s.write(nil, ack.encode())
	if s.PingInterval >= 0 {
		s.write(nil, s.protocol.keepAlive)
	}
	s.idle()
}

// watch closes the socket once its client may have no more of it.
func (s *socket) watch(ctx context.Context) {
	ended, release := s.Until.watch(ctx)
	defer release()
	select {
	case err := <-ended:
		s.close(socketForbidden, shown(err)[0].Message)
	case <-s.root.Done():
	}
}

// idle closes the socket if there is no operation for a while.
func (s *socket) idle() {
	s.expire(cmp.Or(s.IdleTimeout, 10*time.Minute), func() bool { return s.running == 0 }, websocket.StatusNormalClosure, "Idle")
}

// expire closes the socket after a time if a condition holds then. It takes the place of an earlier call. A negative time is
// no limit.
func (s *socket) expire(after time.Duration, condition func() bool, code websocket.StatusCode, reason string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.timer != nil {
		s.timer.Stop()
	}
	if s.closing.Load() || after < 0 {
		return
	}
	s.timer = time.AfterFunc(after, func() {
		s.mu.Lock()
		expired := condition()
		s.mu.Unlock()
		if expired {
			s.close(code, reason)
		}
	})
}

// ping cuts off a client that has gone. Its pings are frames of the WebSocket itself, which every client answers.
func (s *socket) ping() {
	ticker := time.NewTicker(cmp.Or(s.PingInterval, 15*time.Second))
	defer ticker.Stop()
	for {
		select {
		case <-s.root.Done():
			return
		case <-ticker.C:
		}
		ctx, cancel := context.WithTimeout(context.WithoutCancel(s.root), cmp.Or(s.PongTimeout, 10*time.Second))
		err := s.conn.Ping(ctx)
		late := err != nil && errors.Is(ctx.Err(), context.DeadlineExceeded) // else it waited for a write, which has a limit of its own
		cancel()
		if late {
			_ = s.conn.CloseNow()
			return
		}
		s.mu.Lock()
		acknowledged := s.state == socketAcknowledged
		s.mu.Unlock()
		if acknowledged {
			s.write(nil, s.protocol.keepAlive)
		}
	}
}

// write sends a message, unless it is nil, the socket is closing, or it is one of an operation that is stopped.
func (s *socket) write(op *socketOperation, text []byte) {
	if text == nil {
		return
	}
	sent := s.Gate.send(len(text), func() { go func() { _ = s.conn.CloseNow() }() }) // with all its other answers
	defer sent()
	s.writing.Lock()
	defer s.writing.Unlock()
	if op != nil && op.stopped.Load() || s.closing.Load() {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(s.root), cmp.Or(s.WriteTimeout, 10*time.Second))
	defer cancel()
	_ = s.conn.Write(ctx, websocket.MessageText, text) // a failure closes the connection, which ends read
}

// close ends all operations and tells the client why. It waits a while for the client to close too.
func (s *socket) close(code websocket.StatusCode, reason string) {
	if s.stop() {
		s.tellClose(code, reason)
		_ = s.conn.Close(code, strings.ToValidUTF8(reason[:min(len(reason), maxReason)], ""))
	}
}

// tellClose tells of a socket that is closed for what its client has done, or may not do.
func (s *socket) tellClose(code websocket.StatusCode, reason string) {
	if code == websocket.StatusNormalClosure || code == websocket.StatusGoingAway {
		return
	}
	s.mu.Lock()
	ctx := cmp.Or(s.ctx, s.root)
	s.mu.Unlock()
	_, request := operation.NewRequest(ctx)
	defer request.End()
	request.Sent = operation.Sent{By: byWebSocket, Status: int(code)}
	request.Refuse(reason)
}

// stop ends all operations. It reports false if that has been done before.
func (s *socket) stop() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closing.Swap(true) {
		return false
	}
	if s.timer != nil {
		s.timer.Stop()
	}
	s.cancel()
	for _, op := range s.active {
		op.stop()
	}
	return true
}

// drain closes the socket once no query or mutation is running.
func (s *socket) drain() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.draining = true
	s.closeDrained()
}

// closeDrained closes the socket if there is nothing to wait for. The caller holds mu.
func (s *socket) closeDrained() {
	if s.draining && !s.closing.Load() && s.answerable == 0 {
		go s.close(websocket.StatusGoingAway, socketGoingAway)
	}
}
