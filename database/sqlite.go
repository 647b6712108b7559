package database

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"os"
	"path/filepath"
	"strings"

	"github.com/pressly/goose/v3"
	"gorm.io/gorm"

	"rollcall/dialect"
	"rollcall/sqlite"
)

var sqliteProduct = product{
	Dialect: dialect.SQLite,
	goose:   goose.DialectSQLite3,
	gorm:    func(pool *sql.DB) gorm.Dialector { return sqlite.Dialector{Pool: pool} },

	tablesAndFlaws: "SELECT name, '' FROM sqlite_master WHERE type = 'table'", // they are all alike
	lossy:          "SELECT '' WHERE false",                                   // the settings are Open's own
	lockCounts:     "INSERT INTO directory_locks (name, changes) VALUES ('counts', 1) ON CONFLICT (name) DO UPDATE SET changes = directory_locks.changes + 1",
	oddEmails:      "(email GLOB '*[^!-~]*' OR email GLOB '*[A-Z]*' OR email GLOB '*xn--*')",
}

func openSQLite(ctx context.Context, path string, opt Options) (*Database, error) {
	path, err := sqlitePath(path)
	if err != nil {
		return nil, err
	}
	makeFile(path)
	// What was erased is not to stay in free pages.
	write := sqlite.Connector{Path: path, Immediate: true, Pragmas: sqlitePragmas("journal_mode = WAL", "secure_delete = ON")}
	read := sqlite.Connector{Path: path, ReadOnly: true, Pragmas: sqlitePragmas("query_only = ON")}
	held := sql.OpenDB(write)
	files, err := openFiles(ctx, path, held)
	if err != nil {
		return nil, sqliteFailure(ctx, path, errors.Join(err, held.Close()))
	}
	guarded := func(base sqlite.Connector) *sql.DB {
		return sql.OpenDB(connector{base, func(ctx context.Context) (driver.Conn, error) { return files.connect(ctx, base) }})
	}
	p := pools{write: guarded(write), read: guarded(read), side: guarded(write)}.sized(opt)
	for _, db := range []*sql.DB{p.write, p.read, p.side} {
		db.SetConnMaxLifetime(0) // a file does not move
	}
	p.write.SetMaxOpenConns(1) // SQLite has one writer at a time; here they queue without polling for its lock
	if err := p.ping(ctx); err != nil {
		return nil, sqliteFailure(ctx, path, errors.Join(err, files.close()))
	}
	return &Database{product: sqliteProduct, pools: p, renewal: newRenewal(), files: files, maintain: func(ctx context.Context, fn func(context.Context, *sql.DB) error) error {
		return sqliteMaintain(ctx, write, func(pool *sql.DB) error { return fn(ctx, pool) })
	}}, nil
}

// sqlitePath returns the absolute path in what follows "sqlite:", which may begin with "//".
func sqlitePath(path string) (string, error) {
	path = strings.TrimPrefix(path, "//")
	if path == "" || strings.Contains(path, "?") || strings.Contains(path, ":memory:") {
		return "", openErrorf("a SQLite URL is sqlite: and the path of a file, such as sqlite:rollcall.db, without parameters")
	}
	path, err := filepath.Abs(path)
	if err != nil {
		return "", openErrorf("the path of the SQLite file cannot be made absolute: %v", err)
	}
	if folder, err := os.Stat(filepath.Dir(path)); err != nil || !folder.IsDir() {
		return "", openErrorf("the folder %s of the SQLite file does not exist: create it first", filepath.Dir(path))
	}
	if file, err := os.Stat(path); err == nil && !file.Mode().IsRegular() {
		return "", openErrorf("%s is not a file, so it cannot be a SQLite database", path)
	}
	return path, nil
}

// sqlitePragmas returns what all connections are set to, then what some are.
func sqlitePragmas(own ...string) []string {
	return append([]string{"busy_timeout = 5000", "foreign_keys = ON", "synchronous = FULL"}, own...)
}

// makeFile makes an empty file that its owner alone writes, unless it is there: the driver would leave that to the process's umask.
// What cannot be made is SQLite's to complain of.
func makeFile(path string) {
	if file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o644); err == nil {
		_ = file.Close()
	}
}

var errNoWAL = errors.New("no write-ahead log")

// sqliteCheck makes sure that the writer can write and that readers do not block it.
func sqliteCheck(ctx context.Context, writer *sql.DB) error {
	var mode string
	if err := writer.QueryRowContext(ctx, "PRAGMA journal_mode").Scan(&mode); err != nil {
		return err
	}
	if mode != "wal" {
		return errNoWAL
	}
	// SQLite opens a file that it may only read without complaint, and fails at the first write: so try one.
	tx, err := writer.BeginTx(ctx, nil)
	if err == nil {
		_, err = tx.ExecContext(ctx, "PRAGMA user_version = 1")
		err = errors.Join(err, tx.Rollback())
	}
	if dialect.Is(err, dialect.Waited) { // another process is writing
		return nil
	}
	return err
}

// lockSuffix ends the name of the file by which one command at a time changes the schema.
const lockSuffix = "-lock"

// sqliteMaintain locks an empty file beside the database. The database's own lock will not do:
// it lasts for a transaction, and every migration is one.
func sqliteMaintain(ctx context.Context, database sqlite.Connector, fn func(pool *sql.DB) error) error {
	path := database.Path + lockSuffix
	makeFile(path)
	lock := sql.OpenDB(sqlite.Connector{Path: path, Pragmas: []string{"busy_timeout = 600000"}})
	return locked(ctx, lock, func(conn *sql.Conn) error {
		_, err := conn.ExecContext(ctx, "BEGIN EXCLUSIVE")
		return err
	}, func() error {
		pool := sql.OpenDB(database)
		return errors.Join(fn(pool), pool.Close())
	})
}

// sqliteFailure turns a failure to open into an error for people.
func sqliteFailure(ctx context.Context, path string, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	switch m := dialect.MeaningOf(err); {
	case m.Fault == dialect.FaultDamaged:
		return openErrorf("%s is not a SQLite database, or is damaged", path)
	case m.Is(dialect.ReadOnly | dialect.Barred):
		return openErrorf("the SQLite file %s or its folder cannot be written by this user", path)
	case m.Is(dialect.Transient):
		return openErrorf("the SQLite file %s is locked by another process", path)
	case errors.Is(err, errNoWAL):
		return openErrorf("the SQLite file %s is on a file system without shared memory, which its write-ahead log needs", path)
	}
	return openErrorf("the SQLite file %s cannot be opened: %v", path, err)
}
