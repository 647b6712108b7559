package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"rollcall/database"
	"rollcall/graph"
	"rollcall/session"
)

const (
	// maxIdle is how long idle connections are kept open, since a request may be on its way on them, and would be lost.
	maxIdle = 250 * time.Millisecond
	// minIdle is how long a connection is kept open, if that is later, whose last answer came too early to say that it
	// would be the last.
	minIdle = 50 * time.Millisecond
	// maxAccepting is how long clients may still be accepted for which there was no file descriptor: a little more than the
	// pause that net/http makes until it tries again.
	maxAccepting = 1100 * time.Millisecond
	// maxRollback is how much of the shutdown's time is kept for what has to be cancelled.
	maxRollback = 2 * time.Second
)

// errStopped is why operations are cancelled that outlive the time for shutting down.
var errStopped = fmt.Errorf("the server has stopped: %w", context.Canceled)

// lifecycle is a server's from its first request to its last answer:
//
//	serving ──signal──▶ delay ──▶ parting ──▶ draining ──timeout──▶ cancelling ──▶ ended
//	                                             └───────────all answered───────────▲
type lifecycle struct {
	*http.Server
	listener *net.TCPListener
	served   chan error // receives what Serve returns
	api      *graph.API
	health   *health
	db       *database.Database
	log      *slog.Logger

	cancel  context.CancelCauseFunc
	parting atomic.Bool  // for good
	kept    atomic.Int64 // when, since the signal, an answer was last given that leaves its connection open; ns since 1970

	mu    sync.Mutex
	conns map[net.Conn]http.ConnState // the open ones, without those of WebSockets
}

// begin serves in the background.
func (l *lifecycle) begin() {
	requests, cancel := context.WithCancelCause(context.Background())
	l.cancel, l.served = cancel, make(chan error, 1)
	l.BaseContext = func(net.Listener) context.Context { return requests }
	l.conns = map[net.Conn]http.ConnState{}
	l.ConnState = func(conn net.Conn, state http.ConnState) {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.conns[conn] = state
		if state == http.StateClosed || state == http.StateHijacked {
			delete(l.conns, conn)
		}
	}
	handler := l.Handler
	l.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.ProtoMajor >= 2: // it has a message for that, which Shutdown sends
		case l.parting.Load():
			w.Header().Set("Connection", "close")
		default:
			defer func() {
				if l.parting.Load() {
					l.kept.Store(time.Now().UnixNano())
				}
			}()
		}
		handler.ServeHTTP(w, r)
	})
	go func() {
		if l.TLSConfig != nil {
			l.served <- l.ServeTLS(drainListener{l.listener}, "", "")
			return
		}
		l.served <- l.Serve(drainListener{l.listener})
	}()
}

// delay has the server go on as before for a while, but for /readyz, which is 503 from now on.
func (l *lifecycle) delay(d time.Duration) {
	l.health.leaving.Store(true)
	if d <= 0 {
		return
	}
	l.log.Info("not ready any more: new connections are still served", "for", d)
	select {
	case <-time.After(d):
	case err := <-l.served: // the listener has failed
		l.served <- err
	}
}

// end takes no more connections, lets what is in flight finish, and cancels what has not when the time is over.
func (l *lifecycle) end(timeout time.Duration) {
	defer l.cancel(errStopped)
	parting, forRollback := min(maxIdle, timeout/5), min(maxRollback, timeout/5)
	orderly, done := context.WithTimeout(context.Background(), timeout-forRollback)
	defer done()

	_ = l.listener.SetDeadline(time.Now())
	accepted := l.acceptedAll(parting)
	l.parting.Store(true) // no sooner: a client that is told to connect anew is to be refused
	l.log.Info("stopping: operations in flight may finish", "within", timeout)
	sockets, hurry := context.WithCancel(context.Background())
	defer hurry()
	closed := make(chan struct{})
	go func() {
		defer close(closed)
		_ = l.api.Shutdown(sockets)
	}()
	for began := time.Now(); l.open() > 0 && time.Since(began) < 2*parting; time.Sleep(5 * time.Millisecond) {
		if time.Since(began) > parting && time.Since(time.Unix(0, l.kept.Load())) > minIdle {
			break
		}
	}
	l.SetKeepAlivesEnabled(false)
	l.closeUnused()
	if !accepted { // what has gone has left room; a request that is not read before Shutdown would get no answer
		l.acceptedAll(min(maxAccepting, timeout/10))
		time.Sleep(min(maxIdle, timeout/10))
		l.closeUnused()
	}
	if l.drain(orderly, closed) == nil {
		brief, done := context.WithTimeout(orderly, time.Second)
		defer done()
		l.api.Drain(brief)
		return
	}

	l.log.Warn("requests were still open at the end, and are cancelled", "connections", l.open())
	for _, op := range l.holding() {
		l.log.Warn("an operation was still running at the end, and is rolled back", "operation", op.Name, "id", op.ID)
	}
	l.cancel(errStopped)
	hurry()
	last, done := context.WithTimeout(context.Background(), forRollback)
	defer done()
	if l.drain(last, closed) != nil {
		_ = l.Close()
	}
	for _, op := range l.holding() {
		l.log.Error("an operation could not be ended", "operation", op.Name, "id", op.ID)
	}
}

// drain waits until all requests are answered and all WebSockets closed. It returns an error if ctx ends before.
func (l *lifecycle) drain(ctx context.Context, closed <-chan struct{}) error {
	err := l.Shutdown(ctx)
	select {
	case <-closed:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// acceptedAll reports whether all connections in the system's queue are accepted within a limit. Where no file descriptors are
// left, that has to wait until others have gone.
func (l *lifecycle) acceptedAll(limit time.Duration) bool {
	select {
	case <-l.served: //nolint:errcheck // that it is closed
		return true
	case <-time.After(limit):
		return false
	}
}

// open is how many connections are open, without those of WebSockets.
func (l *lifecycle) open() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.conns)
}

// closeUnused closes the connections on which nothing has come. Shutdown would wait for a request on them for 5 s, and
// then not answer it.
func (l *lifecycle) closeUnused() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for conn, state := range l.conns {
		if state == http.StateNew {
			_ = conn.Close()
		}
	}
}

// holding are the operations that hold a connection of the database.
func (l *lifecycle) holding() []session.Operation {
	return slices.Concat(session.Holding(l.db.Write), session.Holding(l.db.Read))
}

// drainListener is a listener that at its deadline first accepts all connections in the system's queue, and closes then. The
// system completes connections before they are accepted; to close at once would reset them, and lose the requests on them.
type drainListener struct{ *net.TCPListener }

// Accept looks several times at the deadline, since connections may come in between.
func (l drainListener) Accept() (net.Conn, error) {
	conn, err := l.TCPListener.Accept()
	for i := 0; i < 5 && errors.Is(err, os.ErrDeadlineExceeded); i++ {
		_ = l.SetDeadline(time.Now().Add(50 * time.Microsecond)) // with its deadline passed it would not look
		conn, err = l.TCPListener.Accept()
	}
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return nil, net.ErrClosed // Serve closes it then; after a time-out it would try again
	}
	return conn, err
}
