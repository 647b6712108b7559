package session

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"sync/atomic"

	"gorm.io/gorm"

	"rollcall/dialect"
)

// refusingPool is a gorm.ConnPool to hold, but not to use: a statement that GORM's callbacks did not admit would
// run amid another one or after the session's end. The callbacks put another in its place (see runNoted).
type refusingPool struct{}

func (refusingPool) ExecContext(context.Context, string, ...any) (sql.Result, error) {
	return nil, ErrConnection
}

func (refusingPool) QueryContext(context.Context, string, ...any) (*sql.Rows, error) {
	return nil, ErrConnection
}

func (refusingPool) QueryRowContext(context.Context, string, ...any) *sql.Row {
	return failedRow(ErrConnection)
}

func (refusingPool) PrepareContext(context.Context, string) (*sql.Stmt, error) {
	return nil, ErrPrepareStmt
}

// BeginTx refuses Begin, and Transaction where that would not be a savepoint; GetDBConn refuses DB and Connection.
func (refusingPool) BeginTx(context.Context, *sql.TxOptions) (gorm.ConnPool, error) {
	return nil, ErrTransaction
}
func (refusingPool) GetDBConn() (*sql.DB, error) { return nil, ErrConnection }

var _ interface {
	gorm.ConnPool
	gorm.ConnPoolBeginner
	gorm.GetDBConnector
} = refusingPool{}

// sharedPool is the gorm.ConnPool of a session.
type sharedPool struct {
	refusingPool
	s *Session
}

// freshPool is a pool that no useless connection comes from.
type freshPool struct {
	*sql.DB
	moves bool // see Pools.Moves
}

// QueryContext runs a read, and once more where that may help, or until its context ends where the pool moves: nothing has come of the first.
func (p freshPool) QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error) {
	read := func() (*sql.Rows, error) { return p.DB.QueryContext(ctx, query, args...) }
	rows, err := fresh(ctx, read)
	if severity := classify(err); severity == transient || severity == misplaced && !dialect.Is(err, dialect.ReadOnly) {
		rows, err = fresh(ctx, read)
	}
	for attempt := 1; p.moves && moves(err, Read) && paused(ctx, attempt, err); attempt++ {
		rows, err = fresh(ctx, read)
	}
	return rows, err
}

// ownPool is the gorm.ConnPool within Do: the session's connection, for one caller alone.
type ownPool struct {
	refusingPool
	s      *Session
	target gorm.ConnPool
	ended  atomic.Bool // Do has returned
}

var _ gorm.TxCommitter = &ownPool{}

// admit returns why a statement can't run, if it can't. The caller of Do holds the slot.
func (p *ownPool) admit(text string, write bool) error {
	switch {
	case p.ended.Load():
		return ErrDone
	case controls(text, p.s.with.dialect, true):
		return ErrTransaction
	case write && p.s.kind != Write:
		return ErrReadOnly
	}
	return p.s.ready()
}

// Commit and Rollback mark the pool as being within a transaction, so that GORM makes
// savepoints in it. Ending the transaction is the session's business.
func (*ownPool) Commit() error   { return ErrTransaction }
func (*ownPool) Rollback() error { return ErrTransaction }

// maxStale is how many useless connections in a row an operation puts up with.
const maxStale = 32

// fresh calls fn until database/sql has a connection for it that works. Where operations wait for a small pool, and
// others are cancelled, database/sql may hand on connections that pgx has closed, and gives up after three of
// them. By the driver's word nothing was sent on such a connection.
func fresh[T any](ctx context.Context, fn func() (T, error)) (result T, err error) {
	for range maxStale {
		if result, err = fn(); !errors.Is(err, driver.ErrBadConn) || ctx.Err() != nil {
			break
		}
	}
	return result, err
}

// failedRow returns a row whose Scan fails with err: database/sql has no other way to make one.
func failedRow(err error) *sql.Row {
	db := sql.OpenDB(failingConnector{err})
	defer func() { _ = db.Close() }()
	return db.QueryRowContext(context.Background(), "")
}

type failingConnector struct{ err error }

func (c failingConnector) Connect(context.Context) (driver.Conn, error) { return nil, c.err }
func (c failingConnector) Driver() driver.Driver                        { return nil }
