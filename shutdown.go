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
	// mostParting is how long connections are kept open that wait for a request. One may be on its way, and would be lost.
	mostParting = 250 * time.Millisecond
	// onceMore is how long a connection is kept open, if that is later, whose last answer came too early to say that it
	// would be the last.
	onceMore = 50 * time.Millisecond
	// mostAccepting is how long those may still be accepted for whom there was no file descriptor: a little more than the pause
	// that net/http makes until it tries again.
	mostAccepting = 1100 * time.Millisecond
	// mostRollback is how much of the shutdown's time is kept for what has to be cancelled.
	mostRollback = 2 * time.Second
)

// errStopped is why operations are cancelled that outlive the time for shutting down.
var errStopped = fmt.Errorf("the server has stopped: %w", context.Canceled)

// life is a server's from its first request to its last answer:
//
//	serving ──signal──▶ parting ──▶ draining ──timeout──▶ cancelling ──▶ ended
//	                                   └───────────all answered───────────▲
type life struct {
	*http.Server
	listener *net.TCPListener
	served   chan error // receives what Serve returns
	api      *graph.API
	health   *health
	db       *database.Database
	log      *slog.Logger

	cancel context.CancelCauseFunc
	kept   atomic.Int64 // when, since the signal, an answer was last given that does not close its connection; ns since 1970

	mu    sync.Mutex
	conns map[net.Conn]http.ConnState // that are open
}

// begin serves in the background.
func (l *life) begin() {
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
		case r.ProtoMajor >= 2: // which has a message for that, and Shutdown sends it
		case l.health.stopping.Load():
			w.Header().Set("Connection", "close")
		default:
			defer func() {
				if l.health.stopping.Load() {
					l.kept.Store(time.Now().UnixNano())
				}
			}()
		}
		handler.ServeHTTP(w, r)
	})
	go func() {
		if l.TLSConfig != nil {
			l.served <- l.ServeTLS(lastCall{l.listener}, "", "")
			return
		}
		l.served <- l.Serve(lastCall{l.listener})
	}()
}

// end takes no more connections, lets what is in flight finish, and cancels what has not by the end of the time.
func (l *life) end(timeout time.Duration) {
	defer l.cancel(errStopped)
	parting, forRollback := min(mostParting, timeout/5), min(mostRollback, timeout/5)
	orderly, done := context.WithTimeout(context.Background(), timeout-forRollback)
	defer done()

	_ = l.listener.SetDeadline(time.Now())
	accepted := l.acceptedAll(parting)
	l.health.stopping.Store(true) // no sooner, since clients that are told to connect anew should find nobody there
	l.log.Info("stopping: operations in flight may finish", "within", timeout)
	sockets, hurry := context.WithCancel(context.Background())
	defer hurry()
	closed := make(chan struct{})
	go func() {
		defer close(closed)
		_ = l.api.Shutdown(sockets)
	}()
	for began := time.Now(); l.open() > 0 && time.Since(began) < 2*parting; time.Sleep(5 * time.Millisecond) {
		if time.Since(began) > parting && time.Since(time.Unix(0, l.kept.Load())) > onceMore {
			break
		}
	}
	l.SetKeepAlivesEnabled(false)
	l.closeUnused()
	if !accepted { // those that have gone have left room; a request that is not read before Shutdown would get no answer
		l.acceptedAll(min(mostAccepting, timeout/10))
		time.Sleep(min(mostParting, timeout/10))
		l.closeUnused()
	}
	err := l.Shutdown(orderly)
	select {
	case <-closed:
	case <-orderly.Done():
		err = orderly.Err()
	}
	if err == nil {
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
	if l.Shutdown(last) != nil {
		_ = l.Close()
	}
	select {
	case <-closed:
	case <-last.Done():
	}
	for _, op := range l.holding() {
		l.log.Error("an operation could not be ended", "operation", op.Name, "id", op.ID)
	}
}

// acceptedAll reports whether everybody has been accepted, within a limit, who is in the system's queue. Where there are no file
// descriptors left, that has to wait until others have gone.
func (l *life) acceptedAll(limit time.Duration) bool {
	select {
	case <-l.served: //nolint:errcheck // that it is closed
		return true
	case <-time.After(limit):
		return false
	}
}

// open is how many connections are open, besides those of WebSockets.
func (l *life) open() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.conns)
}

// closeUnused closes the connections on which nothing has come. Shutdown would wait for a request on them for 5 s, and
// then not answer it.
func (l *life) closeUnused() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for conn, state := range l.conns {
		if state == http.StateNew {
			_ = conn.Close()
		}
	}
}

// holding are the operations that hold a connection of the database.
func (l *life) holding() []session.Operation {
	return slices.Concat(session.Holding(l.db.Write), session.Holding(l.db.Read))
}

// lastCall is a listener that closes at its deadline, once it has accepted whoever is there. The system completes
// connections that nobody has accepted yet; to close would reset them, and lose the requests that are on them.
type lastCall struct{ *net.TCPListener }

// Accept looks several times, for whoever comes in between.
func (l lastCall) Accept() (net.Conn, error) {
	conn, err := l.TCPListener.Accept()
	for i := 0; i < 5 && errors.Is(err, os.ErrDeadlineExceeded); i++ {
		_ = l.SetDeadline(time.Now().Add(50 * time.Microsecond)) // after a deadline it would not look
		conn, err = l.TCPListener.Accept()
	}
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return nil, net.ErrClosed // Serve closes it then; after a time-out it would try again
	}
	return conn, err
}
