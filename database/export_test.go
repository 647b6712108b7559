package database

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"io"
	"net"
	"time"

	driverMySQL "github.com/go-sql-driver/mysql"
	"github.com/jackc/pgx/v5"

	"rollcall/dialect"
)

// DefaultSilent is how long a host may be silent, unless Options say otherwise.
const DefaultSilent = defaultSilent

// MigrateDown undoes the migrations after a version.
func (d *Database) MigrateDown(ctx context.Context, to int64) error {
	return d.maintain(ctx, func(ctx context.Context, pool *sql.DB) error {
		provider, err := d.provider(pool)
		if err == nil {
			_, err = provider.DownTo(ctx, to)
		}
		return err
	})
}

// Locked runs fn under the lock of Migrate.
func (d *Database) Locked(ctx context.Context, fn func()) error {
	return d.maintain(ctx, func(context.Context, *sql.DB) error { fn(); return nil })
}

// Maintain runs fn with the pool that changes the schema.
func (d *Database) Maintain(ctx context.Context, fn func(*sql.DB) error) error {
	return d.maintain(ctx, func(_ context.Context, pool *sql.DB) error { return fn(pool) })
}

// ConnectDeaf connects as a pool does, through something that keeps what is set to itself.
func ConnectDeaf(ctx context.Context, url string) error {
	cfg, err := mysqlConfig(url, "MySQL")
	if err != nil {
		return err
	}
	base, err := driverMySQL.NewConnector(cfg)
	if err != nil {
		return err
	}
	pool := mysqlPool(nil, []mysqlNode{{cfg: cfg, base: deafConnector{base}}}, &renewal{}, false, 0)
	return errors.Join(pool.PingContext(ctx), pool.Close())
}

type deafConnector struct{ driver.Connector }

func (c deafConnector) Connect(ctx context.Context) (driver.Conn, error) {
	conn, err := c.Connector.Connect(ctx)
	return deafConn{conn.(driverConn)}, err
}

type deafConn struct{ driverConn }

func (deafConn) ExecContext(context.Context, string, []driver.NamedValue) (driver.Result, error) {
	return driver.ResultNoRows, nil
}

// MigrateWithoutALock is Migrate on a node of a cluster that does not see the lock of another one.
func (d *Database) MigrateWithoutALock(ctx context.Context) error {
	_, err := d.up(ctx, d.Side)
	return err
}

// DeriveWithoutALock is Derive on a node of a cluster that does not see the lock of another one.
func (d *Database) DeriveWithoutALock(ctx context.Context) error {
	return d.derive(ctx, transactions(ctx, d.Side))
}

// RecountWithoutALock recounts users on a node of a cluster that does not see the lock of another one.
func (d *Database) RecountWithoutALock(ctx context.Context) error {
	return transactions(ctx, d.Side)(func(tx *sql.Tx) error { return d.recount(ctx, tx, "User", "users") })
}

// IsOvertaken reports whether a transaction may run again, or has waited in vain.
func IsOvertaken(err error) bool {
	return errors.Is(err, context.DeadlineExceeded) || dialect.Is(err, dialect.Transient|dialect.Unique)
}

// Tables are those that CheckSchema looks at.
var Tables = tables

// OpenPostgresThrough opens a pool of one connection, as that for queries is, over what wrap makes of a network connection.
func OpenPostgresThrough(url string, wrap func(net.Conn) net.Conn) (*sql.DB, error) {
	cfg, mode, err := postgresConfig(url)
	if err != nil {
		return nil, err
	}
	dial := cfg.DialFunc
	cfg.DialFunc = func(ctx context.Context, network, addr string) (net.Conn, error) {
		conn, err := dial(ctx, network, addr)
		if err != nil {
			return nil, err
		}
		return wrap(conn), nil
	}
	pool := postgresPool(nil, (&renewal{}).postgres([]*pgx.ConnConfig{cfg}, false), mode, postgresSettings{readOnly: true})
	pool.SetMaxOpenConns(1)
	return pool, nil
}

// ErrLeaseLost is why Leased cancels what it runs.
var ErrLeaseLost = errLeaseLost

// Leased runs fn under the lease of a cluster, whose times are these.
func Leased(ctx context.Context, pool *sql.DB, renewed, silence, answer time.Duration, fn func(context.Context) error) error {
	return leased(ctx, pool, leaseTimes{renewed, silence, answer}, func(ctx context.Context, _ *sql.DB) error { return fn(ctx) })
}

// EachHost returns a URL for each host of one.
var EachHost = eachHost

// ErrOfWait returns what a wait for a lock that has ended in vain means where the server says that of its cluster.
func ErrOfWait(ctx context.Context, status string) error {
	return galeraMeans(ctx, saying{status: status}, &driverMySQL.MySQLError{Number: 1205})
}

// saying is a connection to a server with a status.
type saying struct {
	driverConn
	status string
}

func (s saying) QueryContext(context.Context, string, []driver.NamedValue) (driver.Rows, error) {
	return &oneStatus{s.status}, nil
}

type oneStatus struct{ status string }

func (*oneStatus) Columns() []string { return []string{"Variable_name", "Value"} }
func (*oneStatus) Close() error      { return nil }
func (s *oneStatus) Next(row []driver.Value) error {
	if s.status == "" {
		return io.EOF
	}
	row[0], row[1] = []byte("wsrep_cluster_status"), []byte(s.status)
	return nil
}
