// Package database opens the directory's database, whichever of the three kinds it is, and keeps its schema.
package database

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"time"

	"gorm.io/gorm"
	gormlogger "gorm.io/gorm/logger"

	"rollcall/dialect"
)

const (
	defaultPoolSize = 16
	sidePoolSize    = 4
	connLifetime    = 30 * time.Minute // so that connections move on after a failover or a change of DNS
	connectTimeout  = 5 * time.Second
	minReadTimeout  = time.Minute // longer than a server's wait for a lock, so that its own error arrives first
)

// Options are what Open needs besides the URL.
type Options struct {
	PoolSize int                  // connections for reads, and as many for transactions; 0: 16
	Deadline time.Duration        // longest that a pooled read may run on the server, 0: no limit; SQLite knows none
	Logger   gormlogger.Interface // nil: silent
}

// Database is one directory's database, as three pools.
type Database struct {
	Write *gorm.DB // the transactions of mutations, READ COMMITTED; SQLite: one connection, BEGIN IMMEDIATE
	Read  *gorm.DB // reads; the server itself refuses a write
	Side  *sql.DB  // a few connections for internal needs, so that these never wait for the other pools

	product product
	renewal *renewal
	fresh   func() *sql.DB // a pool like Side whose connections are new; nil where these are no better than old ones
	held    func() error   // closes what is open besides the pools; nil: nothing is
	// maintenance takes the lock against every other process that changes the schema, and opens a
	// pool to change it with, where no statement has a time limit. release closes both.
	maintenance func(context.Context) (pool *sql.DB, release func() error, err error)
}

// OpenError says in one sentence why a database cannot be opened. It never contains the password:
// it keeps no cause, since the drivers' own errors carry the whole configuration.
type OpenError struct{ Message string }

func (e *OpenError) Error() string { return e.Message }

func openErrorf(format string, args ...any) error {
	return &OpenError{Message: fmt.Sprintf(format, args...)}
}

// Open opens the database at url and checks that it answers, within about five seconds:
//
//	sqlite:rollcall.db                                   a path, created if missing
//	mysql://user:password@host:3306/name                 MySQL or MariaDB, as mariadb:// is
//	postgres://user:password@host:5432/name?sslmode=…    as pgx takes it, and pooler=session or transaction
//
// It returns an *OpenError, or the context's error when the context ends first.
func Open(ctx context.Context, url string, opt Options) (*Database, error) {
	opt.PoolSize = cmp.Or(max(opt.PoolSize, 0), defaultPoolSize)
	if opt.Logger == nil {
		opt.Logger = gormlogger.Discard
	}
	scheme, rest, _ := strings.Cut(url, ":")
	switch scheme {
	case "sqlite":
		return openSQLite(ctx, rest, opt)
	case "mysql", "mariadb":
		return openMySQL(ctx, url, opt)
	case "postgres", "postgresql":
		return openPostgres(ctx, url, opt)
	}
	return nil, openErrorf("the URL must be one of sqlite:FILE, mysql://user:password@host:port/name " +
		"and postgres://user:password@host:port/name")
}

// Dialect returns the database's dialect.
func (d *Database) Dialect() dialect.Dialect { return d.product.Dialect }

// Pools returns the three pools by their names: "write", "read" and "side".
func (d *Database) Pools() map[string]*sql.DB {
	write, _ := d.Write.DB() // they are *sql.DBs
	read, _ := d.Read.DB()
	return map[string]*sql.DB{"write": write, "read": read, "side": d.Side}
}

// Close closes all three pools. It waits for the statements that run.
func (d *Database) Close() error {
	var errs []error
	for _, db := range []*gorm.DB{d.Read, d.Write} { // readers first: SQLite's last writer folds the log into the file
		pool, err := db.DB()
		if err == nil {
			err = pool.Close()
		}
		errs = append(errs, err)
	}
	errs = append(errs, d.Side.Close())
	d.renewal.end()
	if d.held != nil {
		errs = append(errs, d.held())
	}
	return errors.Join(errs...)
}

// pools are a database's connections before GORM knows them.
type pools struct{ write, read, side *sql.DB }

func (p pools) all() []*sql.DB { return []*sql.DB{p.read, p.side, p.write} }

func (p pools) close() {
	for _, db := range p.all() {
		_ = db.Close() // something else has already failed, and that is what gets reported
	}
}

// sized limits every pool, and keeps its connections open when they are idle.
func (p pools) sized(opt Options) pools {
	for db, size := range map[*sql.DB]int{p.write: opt.PoolSize, p.read: opt.PoolSize, p.side: sidePoolSize} {
		db.SetMaxOpenConns(size)
		db.SetMaxIdleConns(size)
		db.SetConnMaxLifetime(connLifetime)
	}
	return p
}

// ping makes every pool connect once, so that what is wrong shows when the program starts.
func (p pools) ping(ctx context.Context) error {
	for _, db := range []*sql.DB{p.write, p.side, p.read} { // the writer first: it creates SQLite's file
		if err := db.PingContext(ctx); err != nil {
			return err
		}
	}
	return nil
}

// finish puts GORM upon the pools.
func (d *Database) finish(p pools, dialector func(*sql.DB) gorm.Dialector, opt Options) (_ *Database, err error) {
	open := func(pool *sql.DB) *gorm.DB {
		if err != nil {
			return nil
		}
		var db *gorm.DB
		db, err = gorm.Open(dialector(pool), &gorm.Config{
			SkipDefaultTransaction: true, // a single statement is atomic already, at a third of the cost
			DisableAutomaticPing:   true,
			Logger:                 opt.Logger,
			NowFunc:                func() time.Time { return time.Now().UTC().Truncate(time.Microsecond) },
		})
		return db
	}
	d.Write, d.Read, d.Side = open(p.write), open(p.read), p.side
	if err != nil {
		p.close()
		return nil, err
	}
	d.renewal.check = d.Check
	return d, nil
}

// collect reads all rows of a query into where columns says.
func collect[T any](ctx context.Context, pool *sql.DB, columns func(*T) []any, query string, args ...any) (all []T, err error) {
	rows, err := pool.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, err
	}
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		var row T
		if err := rows.Scan(columns(&row)...); err != nil {
			return nil, err
		}
		all = append(all, row)
	}
	return all, rows.Err()
}
