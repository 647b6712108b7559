package session

import (
	"context"
	"database/sql"

	"rollcall/dialect"
)

// handle is how one of the session's connections is found. The zero value finds none.
type handle struct {
	dialect.Handle
	conn any // the driver's connection, under which it is remembered, or nil
}

// minHandles is how many connections are remembered at least: of those that database/sql closes, nobody is told.
const minHandles = 128

// handle returns how a connection is found, which is asked for once. The driver's connection is kept with it, so that its
// address can't come to stand for another one, until it is forgotten.
func (s *shared) handle(ctx context.Context, conn *sql.Conn) (handle, error) {
	if s.side == nil || s.dialect.Embedded() {
		return handle{}, nil
	}
	var key any
	if err := conn.Raw(func(c any) error { key = c; return nil }); err != nil {
		return handle{}, err
	}
	s.mu.Lock()
	h, known := s.handles[key]
	s.mu.Unlock()
	if known {
		return h, nil
	}
	located, err := s.dialect.Locate(ctx, conn)
	if err != nil {
		return handle{}, err
	}
	h = handle{located, key}
	maxHandles := max(minHandles, 2*s.pool.Stats().OpenConnections)
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.handles) >= maxHandles {
		clear(s.handles)
	}
	s.handles[key] = h
	return h, nil
}

// forget gives up a connection that is gone, with all that its driver keeps in it.
func (s *shared) forget(h handle) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.handles, h.conn)
}

// closed reports whether the connection is of no more use to anybody, without asking the server.
func (t *transaction) closed() (closed bool) {
	err := t.conn.Raw(func(c any) error { closed = dialect.Closed(c); return nil })
	return closed || err != nil
}

// maxKills is how often a kill is tried: the side pool's connections may have been lost too, or lead to other servers.
const maxKills = 8

// free has the server end the connection, and with it the transaction. It is called only while the
// connection is the session's and is of no more use, so that no other operation can be using it.
func (t *transaction) free() {
	if !t.handle.Finds() || t.killed.Swap(true) {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(t.s.ctx), patience)
	defer cancel()
	for range maxKills {
		if t.handle.Kill(ctx, t.s.with.side) {
			return
		}
	}
}
