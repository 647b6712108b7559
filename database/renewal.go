package database

import (
	"context"
	"database/sql/driver"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// renewal replaces connections that are open but of no more use. After a failover behind the same address those to the old
// server go on well, but refuse every write; so does a connection whose settings or rights were taken over from a server that
// has been set right since. One that is refused is therefore never used again, nor is any that was opened before.
type renewal struct {
	opened  atomic.Int64 // in Unix nanoseconds: connections that were opened before are not used again
	waiting atomic.Bool  // for the end of the pause
	refused atomic.Bool  // a write has been refused, or none been tried, and Check has not found since that one is accepted
}

func newRenewal() *renewal {
	r := &renewal{}
	r.refused.Store(true) // until a write has been tried
	return r
}

// renewalPause is how often all connections may be replaced: a database that goes on to refuse gets no flood of new ones.
const renewalPause = time.Second

// renew has every connection replaced that is open, now or once the pause is over.
func (r *renewal) renew() {
	now, last := time.Now(), r.opened.Load()
	if wait := time.Unix(0, last).Add(renewalPause).Sub(now); wait <= 0 {
		r.opened.CompareAndSwap(last, now.UnixNano())
	} else if r.waiting.CompareAndSwap(false, true) {
		time.AfterFunc(wait, func() {
			r.waiting.Store(false)
			r.opened.Store(time.Now().UnixNano())
		})
	}
}

// renewed is one connection under a renewal. Like the connection it is used by one goroutine at a time.
type renewed struct {
	*renewal
	writes  bool // those that it refuses are a failure of the database's
	since   int64
	useless bool
}

func (r *renewal) connection(writes bool) *renewed {
	return &renewed{renewal: r, writes: writes, since: time.Now().UnixNano()}
}

// failed is told what the server has answered.
func (r *renewed) failed(err error) {
	fault := faultOf(err)
	if !fault.ofConnection() || fault == faultReadOnly && !r.writes {
		return
	}
	if r.writes {
		r.refused.Store(true)
	}
	r.useless = true
	if r.since > r.opened.Load() {
		r.renew()
	}
}

// fit returns driver.ErrBadConn for a connection that is not to be used again.
func (r *renewed) fit() error {
	if r.useless || r.since < r.opened.Load() {
		return driver.ErrBadConn
	}
	return nil
}

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

// mysqlConn is a connection to MySQL under a renewal. (pgx calls for that by itself.)
type mysqlConn struct {
	driverConn
	driver.NamedValueChecker
	renewed *renewed
}

func (c *mysqlConn) told(err error) {
	if err != nil {
		c.renewed.failed(err)
	}
}

func (c *mysqlConn) ResetSession(ctx context.Context) error {
	if err := c.renewed.fit(); err != nil {
		return err
	}
	return c.driverConn.ResetSession(ctx)
}

func (c *mysqlConn) ExecContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Result, error) {
	result, err := c.driverConn.ExecContext(ctx, query, args)
	c.told(err)
	return result, err
}

func (c *mysqlConn) QueryContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Rows, error) {
	rows, err := c.driverConn.QueryContext(ctx, query, args)
	c.told(err)
	return rows, err
}

func (c *mysqlConn) BeginTx(ctx context.Context, options driver.TxOptions) (driver.Tx, error) {
	tx, err := c.driverConn.BeginTx(ctx, options)
	c.told(err)
	if err != nil {
		return nil, err
	}
	return &mysqlTx{tx, c}, nil
}

type mysqlTx struct {
	driver.Tx
	conn *mysqlConn
}

func (t *mysqlTx) Commit() error {
	err := t.Tx.Commit()
	t.conn.told(err)
	return err
}

// mysqlRenewal is a connector whose connections are under a renewal.
type mysqlRenewal struct {
	driver.Connector
	renewal *renewal
	writes  bool
}

// mysql returns base with its connections under the renewal.
func (r *renewal) mysql(base driver.Connector, writes bool) driver.Connector {
	return &mysqlRenewal{base, r, writes}
}

func (c *mysqlRenewal) Connect(ctx context.Context) (driver.Conn, error) {
	renewed := c.renewal.connection(c.writes)
	conn, err := c.Connector.Connect(ctx)
	if err != nil {
		return nil, err
	}
	return &mysqlConn{conn.(driverConn), conn.(driver.NamedValueChecker), renewed}, nil
}

// renewedKey is where a connection of pgx's keeps its renewed.
const renewedKey = "rollcall.renewed"

// postgres returns cfg for connections under the renewal.
func (r *renewal) postgres(cfg *pgx.ConnConfig, writes bool) *pgx.ConnConfig {
	cfg = cfg.Copy()
	connected, failed := cfg.AfterConnect, cfg.OnPgError
	cfg.AfterConnect = func(ctx context.Context, conn *pgconn.PgConn) error {
		conn.CustomData()[renewedKey] = r.connection(writes)
		if connected == nil {
			return nil
		}
		return connected(ctx, conn)
	}
	cfg.OnPgError = func(conn *pgconn.PgConn, err *pgconn.PgError) bool {
		if renewed, ok := conn.CustomData()[renewedKey].(*renewed); ok {
			renewed.failed(err)
		}
		return failed(conn, err)
	}
	return cfg
}

// postgresFit is asked before a connection is used again.
func postgresFit(_ context.Context, conn *pgx.Conn) error {
	if renewed, ok := conn.PgConn().CustomData()[renewedKey].(*renewed); ok {
		return renewed.fit()
	}
	return nil
}
