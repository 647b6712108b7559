package sqlite

import (
	"cmp"
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/ncruces/go-sqlite3"
)

// conn is a connection, which one goroutine uses at a time.
type conn struct {
	db        *sqlite3.Conn
	immediate bool
	broken    bool // SQLite has panicked on it
}

var errBroken = fmt.Errorf("sqlite: the connection has run out of memory before: %w", sqlite3.NOMEM)

// under runs fn until the context ends, whose error it then returns. go-sqlite3 panics where it runs out of memory, of which each
// connection has its own: the panic becomes an error, and nothing more is run on the connection.
func (c *conn) under(ctx context.Context, fn func() error) (err error) {
	if c.broken {
		return errBroken
	}
	defer c.db.SetInterrupt(c.db.SetInterrupt(ctx))
	defer c.recovered(&err)
	return ended(ctx, fn())
}

// ended returns the context's error in the place of what SQLite says where it has ended: a wait for a lock is given up as busy.
func ended(ctx context.Context, err error) error {
	if err != nil && ctx.Err() != nil && (errors.Is(err, sqlite3.INTERRUPT) || errors.Is(err, sqlite3.BUSY)) {
		return ctx.Err()
	}
	return err
}

// recovered is to be deferred around whatever calls SQLite.
func (c *conn) recovered(err *error) {
	if p := recover(); p != nil {
		c.broken = true
		*err = fmt.Errorf("sqlite: %v: %w", p, sqlite3.NOMEM)
	}
}

// exec runs any number of statements without parameters, to the end of each.
func (c *conn) exec(ctx context.Context, statements string) error {
	return c.under(ctx, func() error { return c.db.Exec(statements) })
}

// Ping implements driver.Pinger.
func (c *conn) Ping(ctx context.Context) error { return c.exec(ctx, "SELECT 1") }

// ResetSession implements driver.SessionResetter. Nobody is to find another's transaction.
func (c *conn) ResetSession(context.Context) error {
	if c.broken || !c.db.GetAutocommit() {
		return driver.ErrBadConn
	}
	return nil
}

// IsValid implements driver.Validator.
func (c *conn) IsValid() bool { return !c.broken }

// Close implements driver.Conn.
func (c *conn) Close() (err error) {
	for _, statement := range slices.Collect(c.db.Stmts()) {
		_ = (&stmt{c: c, db: statement}).Close() // with the error of its last step
	}
	defer c.recovered(&err)
	return c.db.Close()
}

// Prepare implements driver.Conn.
func (c *conn) Prepare(query string) (driver.Stmt, error) {
	return c.PrepareContext(context.Background(), query)
}

// PrepareContext implements driver.ConnPrepareContext.
func (c *conn) PrepareContext(ctx context.Context, query string) (driver.Stmt, error) {
	s, err := c.prepareOne(ctx, query)
	if err != nil {
		return nil, err
	}
	return s, nil
}

// prepareOne prepares the only statement of a query.
func (c *conn) prepareOne(ctx context.Context, query string) (*stmt, error) {
	s, tail, err := c.prepare(ctx, query)
	if err != nil {
		return nil, err
	}
	if strings.TrimSpace(tail) != "" { // a comment, perhaps
		next, _, err := c.prepare(ctx, tail)
		if err != nil || next != nil {
			return nil, errors.Join(errors.New("sqlite: this is more than one statement"), err, s.Close(), next.Close())
		}
	}
	if s == nil {
		return nil, errors.New("sqlite: this is no statement")
	}
	return s, nil
}

// prepare prepares a query's first statement, if there is one, and returns what follows it.
func (c *conn) prepare(ctx context.Context, query string) (s *stmt, tail string, err error) {
	err = c.under(ctx, func() error {
		prepared, rest, err := c.db.Prepare(query)
		if prepared != nil {
			s = &stmt{c: c, db: prepared, parameters: prepared.BindCount()}
		}
		tail = rest
		return err
	})
	return s, tail, err
}

// ExecContext implements driver.ExecerContext. Of several statements each takes as many arguments as it has parameters.
func (c *conn) ExecContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Result, error) {
	for rest := query; strings.TrimSpace(rest) != ""; {
		s, tail, err := c.prepare(ctx, rest)
		if err != nil {
			return nil, err
		}
		if s != nil {
			n := min(s.parameters, len(args))
			err, args = s.run(ctx, args[:n]), args[n:]
			if err = cmp.Or(err, s.Close()); err != nil {
				return nil, err
			}
		}
		rest = tail
	}
	if len(args) > 0 {
		return nil, fmt.Errorf("sqlite: %d arguments have no parameters", len(args))
	}
	return c.result(), nil
}

// QueryContext implements driver.QueryerContext.
func (c *conn) QueryContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Rows, error) {
	s, err := c.prepareOne(ctx, query)
	if err != nil {
		return nil, err
	}
	r, err := s.query(ctx, args)
	if err != nil {
		_ = s.Close() // with the same error once more
		return nil, err
	}
	r.last = true
	return r, nil
}

// result is that of the statement that ran last.
type result struct{ id, changes int64 }

func (c *conn) result() result { return result{c.db.LastInsertRowID(), c.db.Changes()} }

func (r result) LastInsertId() (int64, error) { return r.id, nil }
func (r result) RowsAffected() (int64, error) { return r.changes, nil }

// Begin implements driver.Conn.
func (c *conn) Begin() (driver.Tx, error) {
	return c.BeginTx(context.Background(), driver.TxOptions{})
}

// BeginTx implements driver.ConnBeginTx.
func (c *conn) BeginTx(ctx context.Context, options driver.TxOptions) (driver.Tx, error) {
	if options.Isolation != 0 {
		return nil, errors.New("sqlite: every transaction is serializable, and takes no isolation level")
	}
	begin := "BEGIN"
	if c.immediate && !options.ReadOnly {
		begin = "BEGIN IMMEDIATE"
	}
	if err := c.exec(ctx, begin); err != nil {
		return nil, err
	}
	return tx{c}, nil
}

type tx struct{ c *conn }

// Commit implements driver.Tx. Nothing interrupts it, and after an error nothing is left of the transaction.
func (t tx) Commit() error {
	err := t.c.exec(context.Background(), "COMMIT")
	if err != nil && !t.c.broken && !t.c.db.GetAutocommit() {
		err = errors.Join(err, t.Rollback())
	}
	return err
}

// Rollback implements driver.Tx.
func (t tx) Rollback() error { return t.c.exec(context.Background(), "ROLLBACK") }
