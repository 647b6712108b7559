package session

import (
	"context"

	"gorm.io/gorm"
)

// Do runs fn with the operation's connection for itself: no other resolver's statement runs
// meanwhile. It serves what leaves a result open (Rows, Scan) and savepoints (tx.Transaction). tx must
// not be used after fn returns, nor session.DB or session.Query within it, which would wait for fn to end.
func Do(ctx context.Context, fn func(tx *gorm.DB) error) error {
	s := mustFromContext(ctx)
	if err := s.enter(false); err != nil {
		return err
	}
	defer s.leave()
	var own gorm.ConnPool
	if s.mode == pooled {
		conn, err := s.with.conn(s.ctx)
		if err != nil {
			return s.explain(err)
		}
		s.with.opened(s)
		defer s.with.released(s)
		defer func() { _ = conn.Close() }()
		own = conn
	} else {
		own = s.tx.tx
	}
	ctx, cancel := context.WithCancel(s.ctx)
	defer cancel() // it closes what fn has left open, which the connection would wait for
	tx := s.gorm().Session(&gorm.Session{NewDB: true, Context: ctx})
	pool := &ownPool{s: s, target: own}
	defer pool.ended.Store(true)
	tx.Statement.ConnPool = pool
	err := fn(tx)
	if serverError(err) != "" { // of open rows, of which GORM does not tell
		return s.after(err)
	}
	return s.explain(err)
}
