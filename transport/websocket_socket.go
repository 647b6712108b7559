package transport

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/99designs/gqlgen/graphql"
	"github.com/coder/websocket"
	"github.com/vektah/gqlparser/v2/gqlerror"
)

// socketGoingAway is the reason for code 1001.
const socketGoingAway = "The server is shutting down"

// socket is one WebSocket:
//
//	        connection_init          Init agrees
//	opened ────────────────▶ asked ──────────────▶ acknowledged: operations
//	   │                       │                        │
//	   └───────────────────────┴────────────────────────┴──▶ closing ──▶ done
//
// Its messages are read by one goroutine; each operation has one of its own.
type socket struct {
	*WebSocket
	conn   *websocket.Conn
	exec   graphql.GraphExecutor
	header http.Header
	legacy bool
	done   chan struct{} // closed once it has been served

	root   context.Context // ends when the socket closes
	cancel context.CancelFunc
	work   sync.WaitGroup // operations, Init and pings

	writing sync.Mutex // held while a message is written

	mu         sync.Mutex // never held while anything is waited for
	state      socketState
	closing    bool
	draining   bool
	timer      *time.Timer     // for the acknowledgement, then for idleness
	ctx        context.Context // the operations', once acknowledged
	active     map[string]*socketOperation
	running    int // operations whose goroutine has not ended, which a cancelled one's may have yet to
	answerable int // those of them that will end by themselves: not known to be subscriptions
}

type socketState int

const (
	socketOpened socketState = iota
	socketAsked
	socketAcknowledged
)

func newSocket(t *WebSocket, conn *websocket.Conn, r *http.Request, exec graphql.GraphExecutor) *socket {
	s := &socket{
		WebSocket: t, conn: conn, exec: exec, header: r.Header, legacy: conn.Subprotocol() == legacyProtocol,
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
	if s.conn.Subprotocol() == "" {
		s.close(socketBadProtocol, "Subprotocol not acceptable")
		return
	}
	s.expire(cmp.Or(s.InitTimeout, 10*time.Second), func() bool { return s.state != socketAcknowledged }, socketInitTimeout, "Connection initialisation timeout")
	if s.PingInterval >= 0 {
		s.work.Go(s.ping)
	}
	s.conn.SetReadLimit(-1) // read has its own, which closes without cutting off the client's message
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
		if s.isClosing() {
			continue // until the client closes too
		}
		s.handle(text)
	}
}

// socketCloseError is why a socket is closed for what was read.
type socketCloseError struct {
	code   websocket.StatusCode
	reason string
}

func (r *socketCloseError) Error() string { return fmt.Sprintf("%d: %s", r.code, r.reason) }

// read reads one message. No context may end it: the client would hear of no reason.
func (s *socket) read() ([]byte, error) {
	kind, r, err := s.conn.Reader(context.WithoutCancel(s.root))
	if err != nil {
		return nil, err
	}
	if kind != websocket.MessageText {
		return nil, &socketCloseError{socketBadRequest, "Invalid message: it is binary"}
	}
	most := cmp.Or(s.MaxMessage, 1<<20)
	text, err := io.ReadAll(io.LimitReader(r, most+1))
	switch {
	case err != nil:
		return nil, err
	case int64(len(text)) > most:
		return nil, &socketCloseError{websocket.StatusMessageTooBig, fmt.Sprintf("Message longer than %d bytes", most)}
	case !utf8.Valid(text): // RFC 6455, section 8.1
		return nil, &socketCloseError{websocket.StatusInvalidFramePayloadData, "Invalid message: it is not UTF-8"}
	}
	return text, nil
}

// handle does what a message asks for.
func (s *socket) handle(text []byte) {
	m, problem := parseSocketMessage(text)
	if problem != "" {
		s.close(socketBadRequest, problem)
		return
	}
	switch kind := m.kind; {
	case kind == "connection_init":
		s.begin(m.payload)
	case s.legacy && kind == "start", !s.legacy && kind == "subscribe":
		s.subscribe(m)
	case s.legacy && kind == "stop":
		if s.complete(m.id) {
			s.write(socketReply{ID: m.id, Type: "complete"}.encode())
		}
	case s.legacy && kind == "connection_terminate":
		s.close(websocket.StatusNormalClosure, "")
	case !s.legacy && kind == "complete":
		s.complete(m.id)
	case !s.legacy && kind == "ping":
		pong := socketReply{Type: "pong"}
		if m.payload != nil {
			pong.Payload = m.payload
		}
		s.write(pong.encode())
	case !s.legacy && kind == "pong":
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
	case s.legacy: // its clients do not wait for the answer
		s.init(payload)
	default:
		s.work.Go(func() { s.init(payload) })
	}
}

// init asks Init.
func (s *socket) init(payload json.RawMessage) {
	defer func() {
		if p := recover(); p != nil {
			_ = s.recovered(s.root, p)
			s.close(socketInternalFailure, "Internal server error")
		}
	}()
	ctx, ack, err := s.Init(s.root, socketObject(payload))
	if err != nil {
		if s.legacy && !s.isClosing() {
			s.write(socketReply{Type: "connection_error", Payload: &gqlerror.Error{Message: "Forbidden"}}.encode())
		}
		s.close(socketForbidden, "Forbidden")
		return
	}
	s.acknowledge(ctx, ack)
}

// acknowledge lets the client begin operations.
func (s *socket) acknowledge(ctx context.Context, payload map[string]any) {
	s.mu.Lock()
	s.ctx, s.state = ctx, socketAcknowledged
	s.mu.Unlock()
	ack := socketReply{Type: "connection_ack"}
	if payload != nil {
		ack.Payload = payload
	}
	s.write(ack.encode())
	if s.legacy && s.PingInterval >= 0 {
		s.write(socketReply{Type: "ka"}.encode())
	}
	s.idle()
}

// idle closes the socket if there is no operation for a while.
func (s *socket) idle() {
	s.expire(cmp.Or(s.IdleTimeout, 10*time.Minute), func() bool { return s.running == 0 }, websocket.StatusNormalClosure, "Idle")
}

// expire closes the socket after a time, if a condition holds then, in place of what was to expire before.
// After a negative time nothing does.
func (s *socket) expire(after time.Duration, condition func() bool, code websocket.StatusCode, reason string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.timer != nil {
		s.timer.Stop()
	}
	if s.closing || after < 0 {
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

// ping looks whether the client is there, by frames of the WebSocket itself, which every client answers.
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
		late := err != nil && errors.Is(ctx.Err(), context.DeadlineExceeded) // else a write was in the way, which has a limit of its own
		cancel()
		if late {
			_ = s.conn.CloseNow()
			return
		}
		if s.legacy && s.isAcknowledged() {
			s.write(socketReply{Type: "ka"}.encode())
		}
	}
}

// write sends a message, unless the socket is closing.
func (s *socket) write(text []byte) {
	s.writing.Lock()
	defer s.writing.Unlock()
	s.writeLocked(text)
}

// writeLocked sends a message's text. The caller holds writing.
func (s *socket) writeLocked(text []byte) {
	if s.isClosing() {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(s.root), cmp.Or(s.WriteTimeout, 10*time.Second))
	defer cancel()
	_ = s.conn.Write(ctx, websocket.MessageText, text) // a failure closes the connection, which ends read
}

func (s *socket) isClosing() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.closing
}

func (s *socket) isAcknowledged() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.state == socketAcknowledged
}

// close ends all operations and tells the client why. It waits a while for the client to close too.
func (s *socket) close(code websocket.StatusCode, reason string) {
	if s.stop() {
		_ = s.conn.Close(code, closeReason(reason))
	}
}

// stop ends all operations. It reports false if that has been done before.
func (s *socket) stop() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closing {
		return false
	}
	s.closing = true
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
	if s.draining && !s.closing && s.answerable == 0 {
		go s.close(websocket.StatusGoingAway, socketGoingAway)
	}
}
