package transport

import (
	"context"
	"errors"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/99designs/gqlgen/graphql"
	"github.com/coder/websocket"

	"rollcall/operation"
)

// WebSocket serves operations of every kind over WebSockets (RFC 6455), many at a time on each. It speaks the
// subprotocol graphql-transport-ws, and for older clients graphql-ws. It must not be copied after its first use.
type WebSocket struct {
	// InitTimeout is how long a client may take to be acknowledged, Init's time included; 0: 10 s.
	InitTimeout time.Duration
	// PingInterval is the time between two pings, and between two keep-alive messages of the older protocol; 0: 15 s,
	// negative: there are none.
	PingInterval time.Duration
	// PongTimeout is how long a client may take to answer a ping; 0: 10 s. A client that is slower is cut off.
	PongTimeout time.Duration
	// WriteTimeout is how long a message may take to be sent; 0: 10 s. A client that is slower is cut off.
	WriteTimeout time.Duration
	// IdleTimeout is how long a socket may be open without an operation; 0: 10 min, negative: for ever. Then it is
	// closed with code 1000; clients connect again when they need to.
	IdleTimeout time.Duration
	// MaxOperations is how many operations may run on one socket; 0: 100. One more is refused with
	// CodeTooManyRequests, and the others go on.
	MaxOperations int
	// MaxMessage is how many bytes a client's message may have; 0: 1 MiB. A longer one closes the socket with code 1009.
	MaxMessage int64
	// Gate admits operations; nil: all.
	Gate *Gate
	// Limits bound what each client may ask for; nil: nothing does.
	Limits *Limits
	// CheckOrigin reports whether a page of the request's Origin may connect; nil: one of the same host may.
	// A request without an Origin is not a browser's.
	CheckOrigin func(*http.Request) bool
	// Init decides on a client by the payload of its first message, nil if it has none. It returns the context of
	// the socket's operations, made from ctx, and the payload of the acknowledgement or nil. An error closes the
	// socket with code 4403, and is not shown; with code 1013, upon which clients connect again later, if it is ErrTryLater. nil: every client
	// is accepted.
	Init func(ctx context.Context, payload map[string]any) (context.Context, map[string]any, error)
	// Until watches over the client that Init has accepted: its error closes the socket with code 4403, upon which clients connect again, with
	// other credentials if they have them. nil: nothing does.
	Until Until

	mu      sync.Mutex
	sockets map[*socket]struct{}
	ending  atomic.Bool // Shutdown was called
}

var _ graphql.Transport = (*WebSocket)(nil)

// ErrTryLater is what Init returns where it cannot decide yet.
var ErrTryLater = errors.New("transport: it cannot be told yet whether the client is accepted")

// Supports reports whether a request asks for a WebSocket.
func (*WebSocket) Supports(r *http.Request) bool {
	for _, header := range r.Header.Values("Upgrade") {
		for protocol := range strings.SplitSeq(header, ",") {
			if strings.EqualFold(strings.TrimSpace(protocol), "websocket") {
				return true
			}
		}
	}
	return false
}

// Do serves one socket until it is closed and its operations have ended.
func (t *WebSocket) Do(w http.ResponseWriter, r *http.Request, exec graphql.GraphExecutor) {
	if t.ending.Load() {
		refuseSocket(w, r, "the server is shutting down", http.StatusServiceUnavailable)
		return
	}
	if check := t.CheckOrigin; check == nil && !SameOrigin(r) || check != nil && !check(r) {
		refuseSocket(w, r, "the page's origin is not allowed", http.StatusForbidden)
		return
	}
	client := t.Limits.client(r.Context()) // by its address, until Init says who it is
	leave, ok := t.Limits.connect(client)
	if !ok {
		refuseSocket(w, r, tooManySockets, http.StatusTooManyRequests)
		return
	}
	conn, err := websocket.Accept(w, r, &websocket.AcceptOptions{
		Subprotocols:       []string{"graphql-transport-ws", "graphql-ws"}, // the preferred one first
		InsecureSkipVerify: true,                                           // it has been checked
	})
	if err != nil {
		leave()
		return // the client has been told
	}
	s := newSocket(t, conn, r, exec)
	s.client, s.leave = client, leave
	t.add(s)
	defer t.remove(s)
	defer func() { s.leave() }()
	s.serve()
}

// refuseSocket answers a request for a WebSocket that there will not be.
func refuseSocket(w http.ResponseWriter, r *http.Request, why string, status int) {
	_, request := operation.NewRequest(r.Context())
	defer request.End()
	request.Sent = operation.Sent{By: byWebSocket, Status: status}
	request.Refuse(why)
	http.Error(w, why, status)
}

// SameOrigin reports whether a page comes from the host that it connects to. A request without an Origin is not a page's.
func SameOrigin(r *http.Request) bool {
	origin := r.Header.Get("Origin")
	if origin == "" {
		return true
	}
	u, err := url.Parse(origin)
	return err == nil && strings.EqualFold(u.Host, r.Host)
}

// Shutdown refuses new sockets and operations, and closes each socket with code 1001, upon which clients connect
// again, elsewhere: at once, or when the last query or mutation on it has been answered. It does not wait for
// subscriptions. When ctx ends, it closes the sockets that are left, which cancels their operations, and returns the cause of
// ctx after at most a second more.
func (t *WebSocket) Shutdown(ctx context.Context) error {
	t.ending.Store(true)
	t.mu.Lock()
	open := slices.Collect(maps.Keys(t.sockets))
	t.mu.Unlock()
	for _, s := range open {
		s.drain()
	}
	if socketsDone(ctx, open) {
		return nil
	}
	for _, s := range open {
		go s.close(websocket.StatusGoingAway, socketGoingAway)
	}
	goodbye, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
	defer cancel()
	socketsDone(goodbye, open)
	return context.Cause(ctx)
}

// Sockets returns how many sockets are open.
func (t *WebSocket) Sockets() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return len(t.sockets)
}

// socketsDone waits until all sockets have been served. It reports false if ctx ends before.
func socketsDone(ctx context.Context, sockets []*socket) bool {
	for _, s := range sockets {
		select {
		case <-s.done:
		case <-ctx.Done():
			return false
		}
	}
	return true
}

func (t *WebSocket) add(s *socket) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.sockets == nil {
		t.sockets = map[*socket]struct{}{}
	}
	t.sockets[s] = struct{}{}
	if t.ending.Load() { // Shutdown may not have found it
		s.drain()
	}
}

func (t *WebSocket) remove(s *socket) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.sockets, s)
	close(s.done)
}
