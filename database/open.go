// Package database opens the directory's database, whichever of the three kinds it is, and keeps its schema.
package database

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"slices"
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

// schemes are those of the URLs that Open takes.
var schemes = map[string]dialect.Dialect{
	"sqlite": dialect.SQLite, "mysql": dialect.MySQL, "mariadb": dialect.MySQL, "postgres": dialect.PostgreSQL, "postgresql": dialect.PostgreSQL,
}

// Options are what Open needs besides the URL.
type Options struct {
	PoolSize int                  // connections for reads, and as many for transactions; 0: 16
	Deadline time.Duration        // longest that a pooled read may run on the server, 0: no limit; SQLite knows none
	Logger   gormlogger.Interface // nil: silent
	Settled  time.Duration        // of several hosts: how long an earlier one must be well before it is the writer again; 0: 10 s
	Silent   time.Duration        // of several hosts: how long one may be silent before it is left; 0: 750 ms
	Log      *slog.Logger         // hears of moves from host to host; nil: slog.Default()
}

// Database is one directory's database, as three pools.
type Database struct {
	Write *gorm.DB // the transactions of mutations, READ COMMITTED; SQLite: one connection, BEGIN IMMEDIATE
	Read  *gorm.DB // reads; the server itself refuses a write
	Side  *sql.DB  // a few connections for internal needs, so that these never wait for the other pools

	product product
	pools   pools
	renewal *renewal
	hosts   *hosts         // nil: the URL lists one
	cluster cluster        // of Galera
	fresh   func() *sql.DB // a pool like Side whose connections are new; nil where these are no better than old ones
	signal  listen         // how to wait for a Signal; nil where no database has any
	files   *sqliteFiles   // SQLite's; nil elsewhere
	// maintain runs fn while no other process is within maintain on the same database, with a pool in which no statement has a
	// time limit. goose has a lock of its own, but not on every database, and it creates its table before it takes the lock.
	// Its context ends when another process may be within maintain all the same.
	maintain func(ctx context.Context, fn func(ctx context.Context, pool *sql.DB) error) error
}

// OpenError says in one sentence why a database cannot be opened. It never contains the password:
// it keeps no cause, since the drivers' own errors carry the whole configuration.
type OpenError struct {
	Message     string
	Unreachable bool // the server may well answer later
}

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
// The host may be a list, host1:3306,host2:3306, in the order in which they are preferred: all pools lead to the one that takes writes,
// and to another one when that does not any more.
//
// It returns an *OpenError, or the context's error when the context ends first.
func Open(ctx context.Context, url string, opt Options) (d *Database, err error) {
	opt.PoolSize = cmp.Or(max(opt.PoolSize, 0), defaultPoolSize)
	if opt.Logger == nil {
		opt.Logger = gormlogger.Discard
	}
	scheme, rest, _ := strings.Cut(url, ":")
	if each := eachHost(url); len(each) > 1 && slices.ContainsFunc(each, hostless) { // to the drivers it is this machine
		return nil, openErrorf("a host is missing between the commas of the URL")
	}
	switch schemes[scheme] {
	case dialect.SQLite:
		d, err = openSQLite(ctx, rest, opt)
	case dialect.MySQL:
		d, err = openMySQL(ctx, url, opt)
	case dialect.PostgreSQL:
		d, err = openPostgres(ctx, url, opt)
	default:
		err = openErrorf("the URL must be one of sqlite:FILE, mysql://user:password@host:port/name " +
			"and postgres://user:password@host:port/name")
	}
	if err != nil {
		return nil, err
	}
	open := func(pool *sql.DB) (*gorm.DB, error) { // with a configuration of its own, in which GORM keeps the pool and what is installed
		return gorm.Open(d.product.gorm(pool), &gorm.Config{
			SkipDefaultTransaction: true, // a single statement is atomic already, at a third of the cost
			DisableAutomaticPing:   true,
			Logger:                 opt.Logger,
			NowFunc:                func() time.Time { return time.Now().UTC().Truncate(time.Microsecond) },
		})
	}
	d.Side, d.renewal.check = d.pools.side, d.Check
	if d.Write, err = open(d.pools.write); err == nil {
		d.Read, err = open(d.pools.read)
	}
	if err != nil {
		return nil, errors.Join(err, d.Close())
	}
	return d, nil
}

// Dialect returns the database's dialect.
func (d *Database) Dialect() dialect.Dialect { return d.product.Dialect }

// Several reports whether the URL lists several hosts, so that what has lost its connection may find another.
func (d *Database) Several() bool { return d.hosts != nil }

// Pools returns the three pools by their names: "write", "read" and "side".
func (d *Database) Pools() map[string]*sql.DB {
	return map[string]*sql.DB{"write": d.pools.write, "read": d.pools.read, "side": d.pools.side}
}

// Close closes all three pools. It waits for the statements that run.
func (d *Database) Close() error {
	err := d.pools.close()
	d.renewal.end()
	d.hosts.end()
	if d.files != nil {
		err = errors.Join(err, d.files.close())
	}
	return err
}

// pools are a database's connections before GORM knows them.
type pools struct{ write, read, side *sql.DB }

func (p pools) close() error { return errors.Join(p.read.Close(), p.write.Close(), p.side.Close()) }

// sized limits every pool, and keeps its connections open when they are idle.
func (p pools) sized(opt Options) pools {
	for db, size := range map[*sql.DB]int{p.write: opt.PoolSize, p.read: opt.PoolSize, p.side: sidePoolSize} {
		db.SetMaxOpenConns(size)
		db.SetMaxIdleConns(size)
		db.SetConnMaxLifetime(connLifetime)
	}
	return p
}

// ping makes every pool connect once, so that what is wrong shows when the program starts. It closes all of them after an error.
func (p pools) ping(ctx context.Context) error {
	for _, db := range []*sql.DB{p.write, p.side, p.read} {
		if err := db.PingContext(ctx); err != nil {
			return errors.Join(err, p.close())
		}
	}
	return nil
}

// querier is a pool or a transaction.
type querier interface {
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
}

// collect reads all rows of a query into where columns says.
func collect[T any](ctx context.Context, pool querier, columns func(*T) []any, query string, args ...any) (all []T, err error) {
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
