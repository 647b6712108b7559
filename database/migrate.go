package database

import (
	"cmp"
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"io/fs"

	"github.com/pressly/goose/v3"
	goosedb "github.com/pressly/goose/v3/database"

	"rollcall/dialect"
)

//go:embed migrations
var migrations embed.FS

// SchemaError says that the database's schema is not the one that this program was written for.
type SchemaError struct {
	Have int64  // the database's version; 0: it is empty
	Want int64  // this program's version
	Flaw string // what a table of the right version lacks, and what mends it; else ""
}

func (e *SchemaError) Error() string {
	switch {
	case e.Flaw != "":
		return e.Flaw
	case e.Have > e.Want:
		return fmt.Sprintf("the database's schema has version %d, newer than version %d that this program knows: "+
			"run a newer rollcall", e.Have, e.Want)
	}
	return fmt.Sprintf("the database's schema has version %d and this program needs version %d: "+
		"run `rollcall migrate`, or start with --migrate", e.Have, e.Want)
}

// Migrate brings the schema up to this program's version and returns how many migrations it took.
// Any number of processes may call it at once: one migrates, the others wait and find nothing to do.
// One that was interrupted, at whatever point, is completed by the next.
// A schema that is newer than this program, or that has a flaw, is a *SchemaError.
func (d *Database) Migrate(ctx context.Context) (applied int, err error) {
	var outdated *SchemaError
	if err := d.CheckSchema(ctx); !errors.As(err, &outdated) || outdated.Have >= outdated.Want {
		return 0, err
	}
	err = d.maintain(ctx, func(pool *sql.DB) error {
		applied, err = d.up(ctx, pool)
		return err
	})
	if err == nil {
		err = d.CheckSchema(ctx)
	}
	return applied, err
}

// up runs the migrations that are pending, and again what another node of a cluster has overtaken.
func (d *Database) up(ctx context.Context, pool *sql.DB) (applied int, err error) {
	provider, err := d.provider(pool)
	if err != nil {
		return 0, err
	}
	err = unlessOvertaken(func() error {
		results, err := provider.Up(ctx)
		if partial, ok := errors.AsType[*goose.PartialError](err); ok {
			results = partial.Applied
		}
		applied += len(results)
		return err
	})
	return applied, migrationFailure(ctx, err)
}

// migrationFailure turns an error of goose's into a sentence for people.
func migrationFailure(ctx context.Context, err error) error {
	if err == nil || ctx.Err() != nil {
		return err
	}
	what := "the schema's versions cannot be read or written"
	if partial, ok := errors.AsType[*goose.PartialError](err); ok {
		what, err = fmt.Sprintf("migration %d has failed", partial.Failed.Source.Version), partial.Err
	}
	m, remedy := dialect.MeaningOf(err), "mend that"
	if m.Is(dialect.NoRight) {
		remedy = "give the user all rights on the database"
	}
	return fmt.Errorf("%s: %s: %s, then migrate again", what, m.Text, remedy)
}

// CheckSchema returns nil when the schema has this program's version, and a *SchemaError when it has another, or when a table
// is missing or would lose or change what is stored in it. It only reads.
func (d *Database) CheckSchema(ctx context.Context) error { return d.checkSchema(ctx, d.Side) }

func (d *Database) checkSchema(ctx context.Context, side *sql.DB) error {
	provider, err := d.provider(side)
	if err != nil {
		return err
	}
	sources := provider.ListSources()
	want := sources[len(sources)-1].Version
	have, err := d.version(ctx, side)
	if err != nil {
		return err
	}
	if have != want {
		return &SchemaError{Have: have, Want: want}
	}
	flaw, err := d.flaw(ctx, side)
	if err == nil && flaw != "" {
		err = &SchemaError{Have: have, Want: want, Flaw: flaw}
	}
	return err
}

// version returns the version in goose's table. goose would create the table to do so.
func (d *Database) version(ctx context.Context, side *sql.DB) (version int64, err error) {
	if err := side.QueryRowContext(ctx, d.product.versioned).Scan(&version); err != nil || version == 0 {
		return 0, err
	}
	err = side.QueryRowContext(ctx, "SELECT coalesce(max(version_id), 0) FROM "+goose.DefaultTablename).Scan(&version)
	return version, err
}

// tables are those that the migrations create, and goose's.
var tables = []string{
	goose.DefaultTablename, "users", "teams", "memberships", "session_operations", "directory_locks", "user_words",
	"directory_counts", "idempotency_keys", "changes", "changes_clock",
}

// flaw returns what is wrong with a table, and the statement that mends it; "": nothing. The version does not show it, since
// tables may have been restored or altered, and a server may put another engine in InnoDB's place. Tables of others in the same
// database are none of ours.
func (d *Database) flaw(ctx context.Context, side *sql.DB) (string, error) {
	type row struct{ table, flaw string }
	rows, err := collect(ctx, side, func(r *row) []any { return []any{&r.table, &r.flaw} }, d.product.tablesAndFlaws)
	if err != nil {
		return "", err
	}
	there := map[string]string{}
	for _, r := range rows {
		there[r.table] = cmp.Or(there[r.table], r.flaw)
	}
	for _, table := range tables {
		what, exists := there[table]
		switch {
		case !exists && (table != "session_operations" || !d.product.Embedded()):
			return fmt.Sprintf("the table %s is missing: restore the database from a backup", table), nil
		case what != "":
			return fmt.Sprintf("the table %[1]s %[2]s: run ALTER TABLE %[1]s %[3]s", table, what, d.product.mend), nil
		}
	}
	return "", nil
}

func (d *Database) provider(pool *sql.DB) (*goose.Provider, error) {
	files, err := fs.Sub(migrations, "migrations/"+d.product.Name())
	if err != nil {
		return nil, err
	}
	store, err := goosedb.NewStore(d.product.goose, goose.DefaultTablename)
	if err != nil {
		return nil, err
	}
	if d.product.versions != nil {
		store = d.product.versions(store)
	}
	return goose.NewProvider(goose.DialectCustom, pool, files, goose.WithStore(store), goose.WithDisableGlobalRegistry(true),
		goose.WithLogger(goose.NopLogger()), goose.WithGoMigrations(d.emailsMigration(), d.deriveMigration()))
}

// Alone runs fn while no other process migrates the database, derives, or is in Alone. That lock is one node's in a cluster: so fn is run
// again, and has to look anew, where it fails since another has inserted its rows first.
func (d *Database) Alone(ctx context.Context, fn func() error) error {
	return unlessOvertaken(func() error { return d.maintain(ctx, func(*sql.DB) error { return fn() }) })
}

// locked runs fn while a connection of the pool has a lock, which lasts as long as the connection. Then it closes the pool.
func locked(ctx context.Context, pool *sql.DB, lock func(*sql.Conn) error, fn func() error) error {
	conn, err := pool.Conn(ctx)
	if err != nil {
		return errors.Join(err, pool.Close())
	}
	if err = lock(conn); err == nil {
		err = fn()
	}
	return errors.Join(err, conn.Close(), pool.Close())
}
