package database

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"io/fs"

	"github.com/pressly/goose/v3"
)

//go:embed migrations
var migrations embed.FS

// SchemaError says that the database's schema is not the one that this program was written for.
type SchemaError struct {
	Have int64 // the database's version; 0: it is empty
	Want int64 // this program's version
}

func (e *SchemaError) Error() string {
	if e.Have > e.Want {
		return fmt.Sprintf("the database's schema has version %d, newer than version %d that this program knows: "+
			"run a newer rollcall", e.Have, e.Want)
	}
	return fmt.Sprintf("the database's schema has version %d and this program needs version %d: "+
		"run `rollcall migrate`, or start with --migrate", e.Have, e.Want)
}

// Migrate brings the schema up to this program's version and returns how many migrations it took.
// Any number of processes may call it at once: one migrates, the others wait and find nothing to do.
// A schema that is newer than this program is a *SchemaError.
func (d *Database) Migrate(ctx context.Context) (applied int, err error) {
	var outdated *SchemaError
	if err := d.CheckSchema(ctx); !errors.As(err, &outdated) || outdated.Have > outdated.Want {
		return 0, err
	}
	err = d.maintain(ctx, func(pool *sql.DB) error {
		provider, err := d.provider(pool)
		if err != nil {
			return err
		}
		results, err := provider.Up(ctx)
		applied = len(results)
		if partial, ok := errors.AsType[*goose.PartialError](err); ok {
			applied = len(partial.Applied)
		}
		return err
	})
	return applied, err
}

// CheckSchema returns nil when the schema has this program's version, and a *SchemaError when it has
// another. It only reads.
func (d *Database) CheckSchema(ctx context.Context) error {
	provider, err := d.provider(d.Side)
	if err != nil {
		return err
	}
	sources := provider.ListSources()
	want := sources[len(sources)-1].Version
	have, err := d.version(ctx)
	if err == nil && have != want {
		err = &SchemaError{Have: have, Want: want}
	}
	return err
}

// version returns the version in goose's table. goose would create the table to do so.
func (d *Database) version(ctx context.Context) (version int64, err error) {
	exists := map[string]string{
		"sqlite":   "SELECT count(*) FROM sqlite_master WHERE type = 'table' AND name = '" + goose.DefaultTablename + "'",
		"mysql":    "SELECT count(*) FROM information_schema.tables WHERE table_schema = DATABASE() AND table_name = '" + goose.DefaultTablename + "'",
		"postgres": "SELECT count(to_regclass('" + goose.DefaultTablename + "'))",
	}[d.dialect]
	if err := d.Side.QueryRowContext(ctx, exists).Scan(&version); err != nil || version == 0 {
		return 0, err
	}
	err = d.Side.QueryRowContext(ctx, "SELECT coalesce(max(version_id), 0) FROM "+goose.DefaultTablename).Scan(&version)
	return version, err
}

func (d *Database) provider(pool *sql.DB) (*goose.Provider, error) {
	files, err := fs.Sub(migrations, "migrations/"+d.dialect)
	if err != nil {
		return nil, err
	}
	dialect := map[string]goose.Dialect{
		"sqlite": goose.DialectSQLite3, "mysql": goose.DialectMySQL, "postgres": goose.DialectPostgres,
	}[d.dialect]
	return goose.NewProvider(dialect, pool, files, goose.WithDisableGlobalRegistry(true), goose.WithLogger(goose.NopLogger()))
}

// maintain runs fn while no other process is within maintain on the same database. goose has a lock of its
// own, but not on every database, and it creates its table before it takes the lock.
func (d *Database) maintain(ctx context.Context, fn func(pool *sql.DB) error) error {
	pool, release, err := d.maintenance(ctx)
	if err != nil {
		return err
	}
	return errors.Join(fn(pool), release())
}

// hold takes a lock that lasts as long as its connection. release closes the pool, and the lock with it.
func hold(ctx context.Context, pool *sql.DB, lock func(*sql.Conn) error) (release func() error, err error) {
	conn, err := pool.Conn(ctx)
	if err != nil {
		return nil, errors.Join(err, pool.Close())
	}
	release = func() error { return errors.Join(conn.Close(), pool.Close()) }
	if err := lock(conn); err != nil {
		return nil, errors.Join(err, release())
	}
	return release, nil
}
