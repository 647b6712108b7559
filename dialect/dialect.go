// Package dialect knows what databases differ in: their SQL, and what their drivers' errors mean. It knows no table.
package dialect

import (
	"context"
	"database/sql"
	"fmt"

	"gorm.io/gorm"
)

// Dialect is a kind of database. Its values are SQLite, MySQL and PostgreSQL, which are safe for concurrent use.
type Dialect interface {
	// Name returns GORM's name of the dialect: "sqlite", "mysql" (MariaDB's too) or "postgres".
	Name() string
	// System returns OpenTelemetry's name of the server that a pool leads to, for db.system.name.
	System(ctx context.Context, pool *sql.DB) (string, error)
	// Embedded reports whether the database runs within this process: then no connection to it can be lost, so that a COMMIT
	// is always answered and nothing is left to kill, and no operator need be asked before its schema is changed.
	Embedded() bool

	// Rebind returns a statement with the dialect's own placeholders in the place of each ?, even of one within quotes.
	Rebind(query string) string
	// ForUpdate returns the clause, with a space before it, by which a SELECT locks its rows until its transaction ends. It is
	// "" where one transaction writes at a time.
	ForUpdate() string
	// ForNoKeyUpdate is ForUpdate for rows that are changed, and neither deleted nor given other keys: where the database can, other
	// transactions may refer to them meanwhile.
	ForNoKeyUpdate() string
	// UnlessStored returns the clause by which an INSERT leaves a row as it is that has the same value in a unique column.
	// It waits for a transaction that is inserting or deleting one, and hides no other error.
	UnlessStored(column string) string
	// NextIDs returns the statement that reads the numbers which the next n rows of a table are to have, so that they can be inserted in
	// another order; "": there is none.
	NextIDs(table string, n int) string
	// AfterIDs returns the statement that is due once rows with numbers of their own were inserted into a table, so that later rows get
	// ones behind these; "": none.
	AfterIDs(table string) string
	// Analyze returns the statement that is due once a table has grown to several times its size at once, so that statements which the server
	// has planned for the small one are planned anew; "": none.
	Analyze(table string) string
	// IfNew returns the clause by which an INSERT of one row says whether it has stored it: then it affects one row, and where
	// there is one that has the same value in a unique column, another number of rows. For that it may add 1 to the counter of that
	// row. It waits as UnlessStored does, and hides no other error.
	IfNew(column, counter string) string
	// DeleteBy returns how a DELETE begins, up to its WHERE, that finds its rows by an index of their table: one that looked at all rows would
	// wait for those that others have not committed.
	DeleteBy(table, index string) string
	// Bytes returns the type of a column of up to 16 MiB of bytes, kept as they are.
	Bytes() string
	// Created returns the type and the default, in microseconds of UTC, of a column that holds when its row was inserted.
	Created() string
	// TableOptions returns what follows the columns in CREATE TABLE, with a space before it, so that nothing is left to the
	// server's defaults, least of all whether the table is transactional.
	TableOptions() string

	// Snapshot returns how a read-only transaction begins that sees one state of the database.
	Snapshot() *sql.TxOptions
	// CommitsImplicitly reports whether a statement that begins with these two words, of letters only, commits the transaction
	// that it is in. The first word is in capitals; the second may be "".
	CommitsImplicitly(first, second string) bool
	// RolledBack reports whether the database has rolled a writing transaction back of its own accord without its connection's
	// knowing, so that later statements would be stored at once. It is to be asked after each error within one.
	RolledBack(ctx context.Context, tx *sql.Tx) bool
	// Prepares reports whether a statement that is run often had better be kept prepared, since the driver does not do so.
	Prepares() bool
	// Locate returns how the server can be told to end a connection, if it can. The error is one of the connection's.
	Locate(ctx context.Context, conn *sql.Conn) (Handle, error)
}

// The dialects. MySQL is MariaDB's too.
var (
	SQLite     Dialect = sqlite{}
	MySQL      Dialect = mysql{}
	PostgreSQL Dialect = postgres{}
)

// OfDB returns the dialect of a GORM database, or of a session on one. It panics if that is another database's.
func OfDB(db *gorm.DB) Dialect {
	for _, d := range []Dialect{SQLite, MySQL, PostgreSQL} {
		if d.Name() == db.Name() {
			return d
		}
	}
	panic(fmt.Sprintf("dialect: %q is none of sqlite, mysql and postgres", db.Name()))
}

// standard is what most dialects have in common.
type standard struct{}

func (standard) Embedded() bool                    { return false }
func (standard) Rebind(query string) string        { return query }
func (standard) ForUpdate() string                 { return " FOR UPDATE" }
func (standard) ForNoKeyUpdate() string            { return " FOR UPDATE" }
func (standard) UnlessStored(column string) string { return "ON CONFLICT (" + column + ") DO NOTHING" }

func (standard) NextIDs(string, int) string                        { return "" }
func (standard) AfterIDs(string) string                            { return "" }
func (standard) Analyze(string) string                             { return "" }
func (standard) IfNew(column, _ string) string                     { return "ON CONFLICT (" + column + ") DO NOTHING" }
func (standard) DeleteBy(table, _ string) string                   { return "DELETE FROM " + table }
func (standard) Bytes() string                                     { return "blob" }
func (standard) TableOptions() string                              { return "" }
func (standard) CommitsImplicitly(string, string) bool             { return false }
func (standard) RolledBack(context.Context, *sql.Tx) bool          { return false }
func (standard) Prepares() bool                                    { return false }
func (standard) Locate(context.Context, *sql.Conn) (Handle, error) { return Handle{}, nil }

func (standard) Snapshot() *sql.TxOptions {
	return &sql.TxOptions{Isolation: sql.LevelRepeatableRead, ReadOnly: true}
}
