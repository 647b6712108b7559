package session

import (
	"context"
	"database/sql"

	"gorm.io/gorm"

	"rollcall/dialect"
)

// Stay has a Read run its later statements on one connection, one after the other, and so at one server: behind a balancer another may
// not have what the first has told. It does nothing to the other kinds, whose statements share a transaction, nor where the database is
// within this process.
func Stay(ctx context.Context) {
	if s := mustFromContext(ctx); s.kind == Read && !s.with.dialect.Embedded() {
		s.stays.Store(true)
	}
}

// lease returns where a statement runs that has been admitted, and what is to be called once its rows are read. In a transaction the
// caller holds the slot; a Read that stays takes it here.
func (s *Session) lease() (target gorm.ConnPool, done func(), err error) {
	switch {
	case s.kind != Read:
		return s.tx.tx, func() {}, nil
	case !s.stays.Load():
		return freshPool{s.with.pool, s.unit.Moves}, func() {}, nil
	}
	if err := s.take(); err != nil {
		return nil, nil, err
	}
	if err := s.settle(); err != nil {
		s.free()
		s.note(err)
		return nil, nil, s.explain(err)
	}
	return stayingPool{s.conn, s}, s.free, nil
}

func (s *Session) free() { <-s.slot }

// settle takes the connection on which a Read stays, unless it has one. The caller holds the slot.
func (s *Session) settle() (err error) {
	if err := s.cause(); err != nil || s.conn != nil {
		return err
	}
	if s.conn, err = s.with.conn(s.ctx); err == nil {
		s.with.opened(s)
		s.settling = true
	}
	return err
}

// unsettle returns the connection. The caller holds the slot.
func (s *Session) unsettle() {
	if s.conn != nil {
		_ = s.conn.Close()
		s.conn = nil
		s.with.released(s)
	}
}

// stayingPool is the connection on which a Read stays. The caller holds the slot.
type stayingPool struct {
	*sql.Conn
	s *Session
}

// QueryContext runs a read. The first one on a connection that may be of no use is run once more on another, as a freshPool does: nothing has come of
// it. Later ones are not, for that may lead to another server.
func (p stayingPool) QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error) {
	rows, err := p.s.conn.QueryContext(ctx, query, args...)
	severity := classify(err)
	again := p.s.settling && (severity == transient || severity == misplaced && !dialect.Is(err, dialect.ReadOnly))
	p.s.settling = false
	if !again {
		return rows, err
	}
	p.s.unsettle()
	if err := p.s.settle(); err != nil {
		return nil, err
	}
	p.s.settling = false
	return p.s.conn.QueryContext(ctx, query, args...)
}
