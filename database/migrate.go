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

// Schema is how the database's schema and this program fit.
type Schema struct {
	Have   int64 // the database's version; 0: it is empty
	Want   int64 // this program's version
	Lowest int64 // the lowest version that a program must know to use the database; 0: it does not say, so none but Have will do
}

// Newer reports whether the schema is newer than this program.
func (s Schema) Newer() bool { return s.Have > s.Want }

// pending reports whether migrations of this program would make the schema fit.
func (s Schema) pending() bool { return s.Have < s.Want && s.Lowest <= s.Want }

// fits reports whether this program may use the database.
func (s Schema) fits() bool {
	return s.Have == s.Want && s.Lowest <= s.Want || s.Newer() && 0 < s.Lowest && s.Lowest <= s.Want
}

// SchemaError says that this program must not use the database as its schema is.
type SchemaError struct {
	Schema
	Flaw string // what a table of a version that fits lacks, and what mends it; else ""
}

func (e *SchemaError) Error() string {
	switch {
	case e.Flaw != "":
		return e.Flaw
	case e.Lowest > e.Want:
		return fmt.Sprintf("the database's schema has version %d and is for programs that know version %d or newer, and this one "+
			"knows version %d: run a newer rollcall", e.Have, e.Lowest, e.Want)
	case e.Newer():
		return fmt.Sprintf("the database's schema has version %d, newer than version %d that this program knows: "+
			"run a newer rollcall", e.Have, e.Want)
	}
	return fmt.Sprintf("the database's schema has version %d and this program needs version %d: "+
		"run `rollcall migrate`, or start with --migrate", e.Have, e.Want)
}

// Migrate brings the schema up to this program's version and returns how many migrations it took.
// Any number of processes may call it at once: one migrates, the others wait and find nothing to do.
// One that was interrupted, at whatever point, is completed by the next.
// A newer schema that allows this program is left as it is. One that does not, or that has a flaw, is a *SchemaError.
func (d *Database) Migrate(ctx context.Context) (applied int, err error) {
	var outdated *SchemaError
	if err := d.CheckSchema(ctx); !errors.As(err, &outdated) || !outdated.pending() {
		return 0, err
	}
	err = d.maintain(ctx, func(ctx context.Context, pool *sql.DB) error {
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

// CheckSchema returns nil when the schema has this program's version, or a newer one that allows this program. It returns a
// *SchemaError when it has another, or when a table is missing or would lose or change what is stored in it. It only reads.
func (d *Database) CheckSchema(ctx context.Context) error { return d.checkSchema(ctx, d.Side) }

func (d *Database) checkSchema(ctx context.Context, side *sql.DB) error {
	flaws, err := d.flaws(ctx, side)
	if err != nil {
		return err
	}
	schema, err := d.schema(ctx, side, flaws)
	if err != nil {
		return err
	}
	if !schema.fits() {
		return &SchemaError{Schema: schema}
	}
	if flaw := d.flaw(flaws); flaw != "" {
		return &SchemaError{Schema: schema, Flaw: flaw}
	}
	return nil
}

// Schema reads the schema's version and what it asks of programs.
func (d *Database) Schema(ctx context.Context) (Schema, error) {
	flaws, err := d.flaws(ctx, d.Side)
	if err != nil {
		return Schema{}, err
	}
	return d.schema(ctx, d.Side, flaws)
}

// schema is Schema where the tables are known. goose would create its table to tell the version.
func (d *Database) schema(ctx context.Context, side *sql.DB, tables map[string]string) (s Schema, err error) {
	provider, err := d.provider(side)
	if err != nil {
		return s, err
	}
	sources := provider.ListSources()
	s.Want = sources[len(sources)-1].Version
	if _, migrated := tables[goose.DefaultTablename]; !migrated {
		return s, nil
	}
	lowest := "0"
	if _, stored := tables[requirement]; stored {
		lowest = "(SELECT coalesce(max(lowest_version), 0) FROM " + requirement + ")"
	}
	err = side.QueryRowContext(ctx, "SELECT coalesce(max(version_id), 0), "+lowest+" FROM "+goose.DefaultTablename).Scan(&s.Have, &s.Lowest)
	return s, err
}

// requirement is the table whose one row has the lowest version that a program must know.
const requirement = "schema_requirement"

// tables are those that the migrations create, and goose's.
var tables = []string{
	goose.DefaultTablename, "users", "teams", "memberships", "session_operations", "directory_locks", "user_words",
	"directory_counts", "idempotency_keys", "changes", "changes_clock", requirement, "webhooks",
	"imports", "import_waiting", "import_users", "identities", "api_tokens", "persisted_documents",
}

// flaws returns the tables that are there, each with what is wrong with it or "". The version does not show it, since tables may
// have been restored or altered, and a server may put another engine in InnoDB's place.
func (d *Database) flaws(ctx context.Context, side *sql.DB) (map[string]string, error) {
	type row struct{ table, flaw string }
	rows, err := collect(ctx, side, func(r *row) []any { return []any{&r.table, &r.flaw} }, d.product.tablesAndFlaws)
	flaws := make(map[string]string, len(rows))
	for _, r := range rows {
		flaws[r.table] = cmp.Or(flaws[r.table], r.flaw)
	}
	return flaws, err
}

// flaw returns what is wrong with the first table that has a flaw or is missing, and the statement that mends it; "": nothing.
// Tables of others in the same database are none of ours.
func (d *Database) flaw(flaws map[string]string) string {
	for _, table := range tables {
		what, exists := flaws[table]
		switch {
		case !exists && (table != "session_operations" || !d.product.Embedded()):
			return fmt.Sprintf("the table %s is missing: restore the database from a backup", table)
		case what != "":
			return fmt.Sprintf("the table %[1]s %[2]s: run ALTER TABLE %[1]s %[3]s", table, what, d.product.mend)
		}
	}
	return ""
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
	return unlessOvertaken(func() error { return d.maintain(ctx, func(context.Context, *sql.DB) error { return fn() }) })
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
