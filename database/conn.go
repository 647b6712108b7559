package database

import (
	"context"
	"database/sql/driver"
	"errors"
)

// connector is a driver's connector that connects in a way of its own.
type connector struct {
	driver.Connector
	connect func(context.Context) (driver.Conn, error)
}

func (c connector) Connect(ctx context.Context) (driver.Conn, error) { return c.connect(ctx) }

// driverConn is what the drivers' connections of MySQL and SQLite can do.
type driverConn interface {
	driver.Conn
	driver.ConnBeginTx
	driver.ConnPrepareContext
	driver.ExecerContext
	driver.QueryerContext
	driver.Pinger
	driver.SessionResetter
	driver.Validator
}

// guard decides what a connection may still be used for. Its methods are called by one goroutine at a time.
type guard interface {
	// fit returns driver.ErrBadConn for a connection that is not to be used again.
	fit() error
	// failed is told what the server has answered, or nil.
	failed(err error)
	// mayCommit returns why nothing may be stored any more, or nil.
	mayCommit() error
}

// guardedConn is a connection to MySQL or SQLite under a guard. (pgx has callbacks for that.)
type guardedConn struct {
	driverConn
	guard   guard
	explain func(ctx context.Context, conn driverConn, err error) error // returns what a failure means here; nil: what it says
}

// failed tells the guard of an error, and returns what that means.
func (c *guardedConn) failed(ctx context.Context, err error) error {
	if err != nil && c.explain != nil {
		err = c.explain(ctx, c.driverConn, err)
	}
	c.guard.failed(err)
	return err
}

// CheckNamedValue is the driver's, if it has one.
func (c *guardedConn) CheckNamedValue(value *driver.NamedValue) error {
	if checker, ok := c.driverConn.(driver.NamedValueChecker); ok {
		return checker.CheckNamedValue(value)
	}
	return driver.ErrSkip
}

func (c *guardedConn) ResetSession(ctx context.Context) error {
	if err := c.guard.fit(); err != nil {
		return err
	}
	return c.driverConn.ResetSession(ctx)
}

func (c *guardedConn) ExecContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Result, error) {
	result, err := c.driverConn.ExecContext(ctx, query, args)
	return result, c.failed(ctx, err)
}

func (c *guardedConn) QueryContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Rows, error) {
	rows, err := c.driverConn.QueryContext(ctx, query, args)
	return rows, c.failed(ctx, err)
}

func (c *guardedConn) BeginTx(ctx context.Context, options driver.TxOptions) (driver.Tx, error) {
	tx, err := c.driverConn.BeginTx(ctx, options)
	if err = c.failed(ctx, err); err != nil {
		return nil, err
	}
	return guardedTx{tx, c.guard}, nil
}

type guardedTx struct {
	driver.Tx
	guard guard
}

func (t guardedTx) Commit() error {
	if err := t.guard.mayCommit(); err != nil {
		return errors.Join(err, t.Rollback())
	}
	err := t.Tx.Commit()
	t.guard.failed(err)
	return err
}
