package session

import (
	"context"

	"gorm.io/gorm"

	"rollcall/dialect"
)

// Do runs fn with the operation's connection for itself: no other statement runs meanwhile. It serves what leaves a result
// open (Rows, Scan) and savepoints (tx.Transaction). tx must not be used after fn returns, nor the session within it, by DB,
// Query, Do or a loader: that gets ErrNested, and waits for the deadline on a goroutine of its own.
func Do(ctx context.Context, fn func(tx *gorm.DB) error) error {
	s := mustFromContext(ctx)
	if err := s.enter("", false); err != nil {
		return err
	}
	defer s.leave()
	s.doing.Add(1)
	defer s.doing.Add(-1)
	var own gorm.ConnPool
	if s.kind == Read && !s.stays.Load() {
		conn, err := s.with.conn(s.ctx)
		if err != nil {
			s.note(err)
			return s.explain(err)
		}
		s.with.opened(s)
		defer s.with.released(s)
		defer func() { _ = conn.Close() }()
		own = conn
	} else {
		target, done, err := s.lease()
		if err != nil {
			return err
		}
		defer done()
		own = target
	}
	ctx, cancel := context.WithCancel(s.ctx)
	defer cancel() // it closes what fn has left open, which the connection would wait for
	tx := s.gorm().Session(&gorm.Session{NewDB: true, Context: ctx})
	pool := &ownPool{s: s, target: own}
	defer pool.ended.Store(true)
	tx.Statement.ConnPool = pool
	err := lend(tx, fn)
	if m := dialect.MeaningOf(err); m.Number != "" || m.Is(dialect.Lost) && s.kind == Read { // of open rows, which GORM does not report
		return s.after(err)
	}
	return s.explain(err)
}
