package session

import (
	"context"
	"database/sql"

	"rollcall/dialect"
)

// minHandles is how many connections are remembered at least: database/sql does not say which it closes.
const minHandles = 128

// locate returns how a connection is found, which is asked for once, and the driver's connection, under which that is remembered;
// nil if it is not. The driver's connection is kept until it is forgotten, so that its address can't come to stand for another one.
func (s *shared) locate(ctx context.Context, conn *sql.Conn) (h dialect.Handle, key any, err error) {
	if s.side == nil || s.dialect.Embedded() {
		return h, nil, nil
	}
	if err := conn.Raw(func(c any) error { key = c; return nil }); err != nil {
		return h, nil, err
	}
	s.mu.Lock()
	h, known := s.handles[key]
	s.mu.Unlock()
	if known {
		return h, key, nil
	}
	if h, err = s.dialect.Locate(ctx, conn); err != nil {
		return h, nil, err
	}
	maxHandles := max(minHandles, 2*s.pool.Stats().OpenConnections)
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.handles) >= maxHandles {
		clear(s.handles)
	}
	s.handles[key] = h
	return h, key, nil
}

// forget gives up a connection that is gone, with all that its driver keeps in it.
func (s *shared) forget(key any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.handles, key)
}

// closed reports whether the connection is of no more use, without asking the server.
func (t *transaction) closed() (closed bool) {
	err := t.conn.Raw(func(c any) error { closed = dialect.Closed(c); return nil })
	return closed || err != nil
}

// maxKills is how often a kill is tried: the side pool's connections may have been lost too, or lead to other servers. Behind a balancer that
// leads to one of three each time, one kill in 500,000 finds none that can.
const maxKills, movedKills = 32, 3

// free has the server end the connection, and with it the transaction. It is called only while the
// connection is the session's and is of no more use, so that no other operation can be using it.
func (t *transaction) free() {
	if !t.handle.Finds() || t.killed.Swap(true) {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(t.s.ctx), patience)
	defer cancel()
	tries := maxKills
	if t.s.unit.Moves { // then the side pool's may lead to another server for good
		tries = movedKills
	}
	for range tries {
		if t.handle.Kill(ctx, t.s.with.side) {
			return
		}
	}
}
