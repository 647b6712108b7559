package session

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"sync/atomic"
	"time"

	"rollcall/dialect"
)

// transaction is a session's transaction and the connection that it runs on. The holder of the session's slot uses
// it. The connection stays the session's until release, whatever becomes of the transaction: so nothing is done to another's.
type transaction struct {
	s      *Session
	conn   *sql.Conn
	tx     *sql.Tx
	cancel context.CancelFunc // ends even COMMIT and ROLLBACK
	weight int64              // held of the gate
	handle dialect.Handle     // by which the server can be freed of this connection
	key    any                // under which that is remembered, or nil
	killed atomic.Bool
}

// patience is how long COMMIT, ROLLBACK and a kill may take: their end matters more than an operation's deadline.
const patience = 10 * time.Second

// begin takes a connection and begins a transaction on it.
func begin(s *Session) (*transaction, error) {
	t := &transaction{s: s}
	if s.kind == Write {
		t.weight = 1
		if s.exclusive {
			t.weight = everyone
		}
		if err := s.with.gate.Acquire(s.ctx, t.weight); err != nil {
			return nil, err
		}
	}
	if err := t.begin(); err != nil {
		t.release()
		return nil, err
	}
	return t, nil
}

func (t *transaction) begin() (err error) {
	s := t.s
	if t.conn, err = s.with.conn(s.ctx); err != nil {
		return err
	}
	s.with.opened(s)
	if t.handle, t.key, err = s.with.locate(s.ctx, t.conn); err != nil {
		return err
	}
	// The transaction must not end by itself when the operation's context does: database/sql would give
	// its connection to another session while the session still speaks of it.
	ctx, cancel := context.WithCancel(context.WithoutCancel(s.ctx))
	t.cancel = cancel
	var options *sql.TxOptions // nil: the isolation that the pool's connections are set to
	if s.kind == Snapshot {
		options = s.with.dialect.Snapshot()
	}
	stop := context.AfterFunc(s.ctx, cancel)
	if t.tx, err = t.conn.BeginTx(ctx, options); err != nil {
		return err
	}
	if !stop() { // it has begun, and was cancelled all the same
		return s.cause()
	}
	if t.handle, err = t.handle.Label(s.ctx, t.tx, "session "+s.id); err != nil {
		return errors.Join(err, t.tx.Rollback())
	}
	return nil
}

// commit stores the transaction, and finds out what became of it where the connection is lost on the way.
func (t *transaction) commit() error {
	if proof := t.s.unit.Proof; proof != nil {
		began := time.Now()
		err := proof.insert(t.s.ctx, t.tx, t.s.id)
		text, rows := proof.Dialect.Rebind(insertState), int64(1)
		if err != nil {
			rows = 0
		}
		t.s.spent(t.s.ctx, began, text, nil, rows, err)
		if err != nil {
			return &CommitError{t.s.op, errors.Join(because(context.Cause(t.s.ctx), err), t.rollback())}
		}
	}
	began := time.Now()
	err := t.patiently(t.tx.Commit)
	t.s.spent(t.s.ctx, began, "COMMIT", nil, 0, err)
	if err == nil {
		return nil
	}
	if dialect.Is(err, dialect.NotStored) {
		return &CommitError{t.s.op, err}
	}
	defer t.discard()
	if t.s.unit.Proof == nil {
		return &OutcomeUnknownError{t.s.op, t.s.id, err}
	}
	began = time.Now() // with what frees the lost connection's server
	t.free()
	outcome, resolveErr := t.s.unit.Proof.resolve(context.WithoutCancel(t.s.ctx), t.s.id)
	t.s.spent(t.s.ctx, began, "PROOF", nil, 0, resolveErr)
	switch outcome {
	case Committed:
		return nil
	case Aborted:
		return &CommitError{t.s.op, err}
	default:
		return &OutcomeUnknownError{t.s.op, t.s.id, errors.Join(err, resolveErr)}
	}
}

// rollback takes back what the transaction has done.
func (t *transaction) rollback() error {
	began := time.Now()
	err := t.patiently(t.tx.Rollback)
	t.s.spent(t.s.ctx, began, "ROLLBACK", nil, 0, err)
	if err != nil {
		t.abandon() // a cancellation amid open rows or at the proof has passed no callback
		t.discard()
	}
	return err
}

// discard closes a connection on which the server may have left the transaction open. In a pool it would go on to hold
// its locks, and MySQL would store it at the next BEGIN.
func (t *transaction) discard() {
	_ = t.conn.Raw(func(any) error { return driver.ErrBadConn })
}

// patiently calls what ends the transaction, and ends the connection if it takes too long.
func (t *transaction) patiently(end func() error) error {
	ended := make(chan struct{})
	timer := time.AfterFunc(patience, func() {
		defer close(ended)
		t.cancel()
		t.free() // go-sql-driver's COMMIT and ROLLBACK heed no context
	})
	err := end()
	if !timer.Stop() {
		<-ended // the connection must not be another's by then
	}
	return err
}

// abandon is called when the operation may have been cancelled during a statement. If the driver has closed the
// connection for that, the server may go on with the statement, and keep its locks, until it looks. (pgx asks it to stop, in its own time.)
func (t *transaction) abandon() {
	if t.handle.Finds() && t.closed() {
		t.free()
	}
}

// release returns what the transaction holds.
func (t *transaction) release() {
	if t.conn != nil {
		if classify(t.s.dead) == misplaced {
			t.discard()
		}
		if t.key != nil && (t.killed.Load() || t.closed()) {
			t.s.with.forget(t.key)
		}
		_ = t.conn.Close()
		t.s.with.released(t.s)
	}
	if t.cancel != nil {
		t.cancel()
	}
	t.s.with.gate.Release(t.weight)
}
