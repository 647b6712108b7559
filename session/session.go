package session

import (
	"context"
	"database/sql"
	"errors"
	"sync"
	"sync/atomic"

	"gorm.io/gorm"
)

// mode is how a session reaches the database.
type mode int

const (
	pooled   mode = iota // each statement on a connection of its own; no writes
	snapshot             // one read-only transaction
	writing              // one transaction
)

// Session is one GraphQL operation's hold on the database. It is safe for concurrent use.
type Session struct {
	op   Operation
	mode mode
	ctx  context.Context // the operation's: every statement runs under it
	end  context.CancelCauseFunc
	db   *gorm.DB // what DB returns
	pool *sql.DB  // where the transaction's connection comes from

	closed atomic.Bool
	slot   chan struct{} // holds one token: the right to use what follows
	conn   *sql.Conn     // the transaction's, nil until the first statement
	tx     *sql.Tx
	dead   error // the first fatal error

	hooksMu sync.Mutex
	hooks   []func()
}

type contextKey struct{}

// FromContext returns the session of the operation that ctx belongs to.
func FromContext(ctx context.Context) (*Session, error) {
	if s, ok := ctx.Value(contextKey{}).(*Session); ok {
		return s, nil
	}
	return nil, errors.New("session: no session in the context: install session.Extension with srv.Use, and pass the resolver's context on")
}

func mustFromContext(ctx context.Context) *Session {
	s, err := FromContext(ctx)
	if err != nil {
		panic(err)
	}
	return s
}

// DB returns the GORM session of the operation that ctx belongs to. Its statements run under the
// operation's context, and fail with a typed error once the session has ended. It panics
// where no session is installed.
func DB(ctx context.Context) *gorm.DB { return mustFromContext(ctx).db }

// AfterCommit has fn run once the operation's transaction is committed, before the
// answer is written. It does not run if the transaction is rolled back.
func AfterCommit(ctx context.Context, fn func()) {
	s := mustFromContext(ctx)
	s.hooksMu.Lock()
	defer s.hooksMu.Unlock()
	s.hooks = append(s.hooks, fn)
}

// newSession returns a session under parent, which may end it early. db is the pool of its mode.
func newSession(parent context.Context, op Operation, m mode, db *gorm.DB) *Session {
	pool, _ := db.DB() // Validate has seen that there is one
	s := &Session{op: op, mode: m, pool: pool, slot: make(chan struct{}, 1)}
	ctx, end := context.WithCancelCause(parent)
	s.ctx, s.end = context.WithValue(ctx, contextKey{}, s), end
	s.db = db.Session(&gorm.Session{NewDB: true, Context: s.ctx})
	s.db.Statement.ConnPool = &sharedPool{s}
	return s
}

// enter admits one statement. In a transaction it waits until no other is running, and begins the
// transaction at the first. leave must follow where it returns nil.
func (s *Session) enter(write bool) error {
	if write && s.mode != writing {
		return ErrReadOnly
	}
	if s.closed.Load() {
		return &ClosedError{s.op}
	}
	if s.mode == pooled {
		return s.cause()
	}
	select {
	case s.slot <- struct{}{}:
	case <-s.ctx.Done():
		return s.cause()
	}
	if err := s.ready(); err != nil {
		<-s.slot
		return err
	}
	return nil
}

func (s *Session) leave() {
	if s.mode != pooled {
		<-s.slot
	}
}

// cause returns why the operation was cancelled, or nil.
func (s *Session) cause() error {
	if s.closed.Load() {
		return &ClosedError{s.op}
	}
	return context.Cause(s.ctx)
}

// ready makes sure of a live transaction. The caller holds the slot.
func (s *Session) ready() error {
	switch {
	case s.cause() != nil:
		return s.cause()
	case s.dead != nil:
		return &DeadError{s.op, s.dead}
	case s.tx != nil:
		return nil
	}
	conn, err := s.pool.Conn(s.ctx)
	if err != nil {
		return s.explain(err)
	}
	// The transaction must not end by itself when the context does: database/sql would give
	// its connection to somebody else while the session still speaks of it.
	tx, err := conn.BeginTx(context.WithoutCancel(s.ctx), s.txOptions())
	if err != nil {
		s.note(err)
		return errors.Join(err, conn.Close())
	}
	s.conn, s.tx = conn, tx
	return nil
}

func (s *Session) txOptions() *sql.TxOptions {
	if s.mode == snapshot {
		return snapshotOptions(s.db.Name())
	}
	return nil // the isolation that the pool's connections are set to
}

// note marks the session dead if err has ended its transaction. In a transaction the caller holds the slot.
func (s *Session) note(err error) {
	if s.mode != pooled && s.dead == nil && classify(err) != harmless {
		s.dead = err
	}
}

// explain returns the reason for the cancellation where err is but its consequence.
func (s *Session) explain(err error) error {
	if err == nil {
		return nil
	}
	if cause := s.cause(); cause != nil && !errors.Is(err, cause) {
		return errors.Join(cause, err)
	}
	return err
}

// commit ends the session and stores what it wrote. On an error nothing may be answered as a success.
func (s *Session) commit() error {
	s.slot <- struct{}{}
	defer func() { <-s.slot }()
	if s.tx == nil {
		s.closed.Store(true)
		s.end(nil)
		return nil
	}
	err := s.cause() // a cancelled operation is never committed
	if err == nil && s.dead != nil {
		err = &DeadError{s.op, s.dead}
	}
	if err != nil {
		return errors.Join(err, s.rollback())
	}
	s.closed.Store(true)
	err = s.tx.Commit()
	s.note(err)
	s.release()
	if err != nil {
		return &CommitError{s.op, err}
	}
	return nil
}

// close ends the session and takes back what it wrote but did not commit. It may be called
// at any time and more than once.
func (s *Session) close() error {
	s.closed.Store(true)
	s.end(nil) // the statement that is running, if any, gives way
	s.slot <- struct{}{}
	defer func() { <-s.slot }()
	if s.tx == nil {
		return nil
	}
	return s.rollback()
}

// rollback ends the open transaction. The caller holds the slot.
func (s *Session) rollback() error {
	s.closed.Store(true)
	err := s.tx.Rollback()
	s.release()
	if errors.Is(err, sql.ErrTxDone) || s.dead != nil {
		return nil // the server has ended it already
	}
	return err
}

// release returns the connection to its pool. The caller holds the slot.
func (s *Session) release() {
	s.end(nil)
	_ = s.conn.Close()
	s.tx, s.conn = nil, nil
}

// failure returns the fatal error that the session met, or nil.
func (s *Session) failure() error {
	s.slot <- struct{}{}
	defer func() { <-s.slot }()
	return s.dead
}
