package database

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/stdlib"
)

// poolerMode is what stands between this program and PostgreSQL, as the URL's parameter pooler says.
type poolerMode string

const (
	sessionPooler     poolerMode = "session"     // a backend is the client's until it disconnects
	transactionPooler poolerMode = "transaction" // and here for each transaction another one
)

// postgresBackends makes sure that two connections have two backends: in a pooler's transaction mode they may share one, and
// what is set on it reaches others. (Where it is busy they may not, so this is no proof.)
func postgresBackends(ctx context.Context, cfg *pgx.ConnConfig) error {
	var backends [2]uint32
	for i := range backends {
		conn, err := pgx.ConnectConfig(ctx, cfg.Copy())
		if err != nil {
			return err
		}
		defer func() { _ = conn.Close(ctx) }()
		if err := conn.QueryRow(ctx, "SELECT pg_backend_pid()", pgx.QueryExecModeExec).Scan(&backends[i]); err != nil {
			return err
		}
	}
	if backends[0] == backends[1] {
		return openErrorf("PostgreSQL at %s is behind a pooler that shares sessions: write pooler=transaction in the URL", postgresAddr(cfg))
	}
	return nil
}

// pooledConnector returns base with pooledConns.
func pooledConnector(base driver.Connector, settings postgresSettings) driver.Connector {
	return connector{base, func(ctx context.Context) (driver.Conn, error) {
		conn, err := base.Connect(ctx)
		if err != nil {
			return nil, err
		}
		pooled := &pooledConn{conn.(*stdlib.Conn), settings}
		tx, err := pooled.BeginTx(ctx, driver.TxOptions{}) // so that what is wrong shows when the program starts
		if err == nil {
			err = tx.Rollback()
		}
		if err != nil {
			return nil, errors.Join(err, conn.Close())
		}
		return pooled, nil
	}}
}

// pooledConn is a connection on which every statement is in a transaction that sets what it needs and is right in itself,
// since a pooler may run each on another backend, and others' on the same one.
type pooledConn struct {
	*stdlib.Conn
	settings postgresSettings
}

func (c *pooledConn) BeginTx(ctx context.Context, opts driver.TxOptions) (driver.Tx, error) {
	if c.Conn.Conn().IsClosed() {
		return nil, driver.ErrBadConn
	}
	err := c.settings.apply(ctx, c.Conn.Conn(), c.settings.transaction(sql.IsolationLevel(opts.Isolation), opts.ReadOnly))
	if err == nil {
		return &pooledTx{ctx, c.Conn.Conn()}, nil
	}
	_ = c.Close() // it may be in a transaction
	if pgconn.SafeToRetry(err) {
		return nil, driver.ErrBadConn
	}
	return nil, err
}

// alone runs a statement in a transaction of its own, unless it is in one.
func (c *pooledConn) alone(ctx context.Context) (end func(error) error, err error) {
	if c.Conn.Conn().PgConn().TxStatus() != 'I' {
		return func(err error) error { return err }, nil
	}
	tx, err := c.BeginTx(ctx, driver.TxOptions{})
	if err != nil {
		return nil, err
	}
	return func(err error) error {
		if err != nil || c.settings.readOnly {
			return errors.Join(err, tx.Rollback())
		}
		return tx.Commit()
	}, nil
}

func (c *pooledConn) ExecContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Result, error) {
	end, err := c.alone(ctx)
	if err != nil {
		return nil, err
	}
	result, err := c.Conn.ExecContext(ctx, query, args)
	return result, end(err)
}

func (c *pooledConn) QueryContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Rows, error) {
	end, err := c.alone(ctx)
	if err != nil {
		return nil, err
	}
	rows, err := c.Conn.QueryContext(ctx, query, args)
	if err != nil {
		return nil, end(err)
	}
	return &pooledRows{rows.(*stdlib.Rows), end}, nil
}

func (c *pooledConn) PrepareContext(context.Context, string) (driver.Stmt, error) {
	return nil, errors.New("database: no statement stays prepared behind a pooler in transaction mode")
}

// pooledRows ends the statement's transaction when they have been read.
type pooledRows struct {
	*stdlib.Rows
	end func(error) error
}

func (r *pooledRows) Close() error { return r.end(r.Rows.Close()) }

// pooledTx is the transaction that a connection is in.
type pooledTx struct {
	ctx  context.Context //nolint:containedctx // that of BeginTx, as in the driver
	conn *pgx.Conn
}

func (t *pooledTx) Commit() error {
	tag, err := t.conn.Exec(t.ctx, "COMMIT")
	if err == nil && tag.String() == "ROLLBACK" {
		return pgx.ErrTxCommitRollback
	}
	return err
}

func (t *pooledTx) Rollback() error {
	_, err := t.conn.Exec(t.ctx, "ROLLBACK")
	return err
}
