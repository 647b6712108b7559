package main

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"slices"
	"sync/atomic"
	"time"

	"rollcall/database"
	"rollcall/graph"
	"rollcall/session"
)

const (
	// parting is how long connections are kept open that wait for a request. One may be on its way, and would be lost.
	parting = 250 * time.Millisecond
	// mostRollback is how much of the shutdown's time is kept for what has to be cancelled.
	mostRollback = 2 * time.Second
)

// errStopped is why operations are cancelled that outlive the time for shutting down.
var errStopped = errors.New("the server has stopped")

// life is a server's from its first request to its last answer:
//
//	serving ──signal──▶ parting ──▶ draining ──timeout──▶ cancelling ──▶ ended
//	                                   └───────────all answered───────────▲
type life struct {
	*http.Server
	listener net.Listener
	served   chan error // receives what Serve returns
	api      *graph.API
	health   *health
	db       *database.Database
	log      *slog.Logger

	open   atomic.Int64 // connections
	cancel context.CancelCauseFunc
}

// begin serves in the background.
func (l *life) begin() {
	requests, cancel := context.WithCancelCause(context.Background())
	l.cancel, l.served = cancel, make(chan error, 1)
	l.BaseContext = func(net.Listener) context.Context { return requests }
	l.ConnState = func(_ net.Conn, state http.ConnState) {
		switch state {
		case http.StateNew:
			l.open.Add(1)
		case http.StateClosed, http.StateHijacked:
			l.open.Add(-1)
		}
	}
	handler := l.Handler
	l.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if l.health.stopping.Load() && r.ProtoMajor < 2 { // HTTP/2 has a message for that, which Shutdown sends
			w.Header().Set("Connection", "close")
		}
		handler.ServeHTTP(w, r)
	})
	go func() {
		if l.TLSConfig != nil {
			l.served <- l.ServeTLS(l.listener, "", "")
			return
		}
		l.served <- l.Serve(l.listener)
	}()
}

// end takes no more connections, lets what is in flight finish, and cancels what has not by the end of the time.
func (l *life) end(timeout time.Duration) {
	defer l.cancel(errStopped)
	l.log.Info("stopping: operations in flight may finish", "within", timeout)
	forRollback := min(mostRollback, timeout/5)
	orderly, done := context.WithTimeout(context.Background(), timeout-forRollback)
	defer done()

	l.health.stopping.Store(true)
	_ = l.listener.Close()
	<-l.served //nolint:errcheck // that it is closed
	sockets, hurry := context.WithCancel(context.Background())
	defer hurry()
	closed := make(chan struct{})
	go func() {
		defer close(closed)
		_ = l.api.Shutdown(sockets)
	}()
	for began := time.Now(); l.open.Load() > 0 && time.Since(began) < parting; {
		time.Sleep(5 * time.Millisecond)
	}
	l.SetKeepAlivesEnabled(false)
	err := l.Shutdown(orderly)
	select {
	case <-closed:
	case <-orderly.Done():
		err = orderly.Err()
	}
	if err == nil {
		return
	}

	l.log.Warn("requests were still open at the end, and are cancelled", "connections", l.open.Load())
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

// holding are the operations that hold a connection of the database.
func (l *life) holding() []session.Operation {
	return slices.Concat(session.Holding(l.db.Write), session.Holding(l.db.Read))
}
