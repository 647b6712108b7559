// Package databasetest gives tests databases of their own, of every kind that the directory runs on.
package databasetest

import (
	"context"
	"crypto/rand"
	"database/sql"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	driverMySQL "github.com/go-sql-driver/mysql"
	_ "github.com/jackc/pgx/v5/stdlib" // the driver "pgx", for creating databases

	"rollcall/database"
)

// Kinds returns the databases that tests run on: "sqlite" always; "mariadb", "mysql" and "postgres" where ROLLCALL_TEST_MARIADB,
// ROLLCALL_TEST_MYSQL and ROLLCALL_TEST_POSTGRES hold the URL of a server on which databases may be created.
func Kinds(tb testing.TB) []string {
	tb.Helper()
	kinds := []string{"sqlite"}
	for _, kind := range []string{"mariadb", "mysql", "postgres"} {
		if os.Getenv(variable(kind)) == "" {
			tb.Logf("not on %s: set %s to a server's URL to add it", kind, variable(kind))
			continue
		}
		kinds = append(kinds, kind)
	}
	return kinds
}

// Dialect returns what database.Database.Dialect is for a kind.
func Dialect(kind string) string {
	if kind == "mariadb" {
		return "mysql"
	}
	return kind
}

// EachKind runs fn as a subtest on each of Kinds.
func EachKind(t *testing.T, fn func(t *testing.T, kind string)) {
	t.Helper()
	each(t, fn, func(string) bool { return true })
}

// EachServer is EachKind without "sqlite".
func EachServer(t *testing.T, fn func(t *testing.T, kind string)) {
	t.Helper()
	each(t, fn, func(kind string) bool { return kind != "sqlite" })
}

// EachOf is EachKind for the databases of one dialect, or for one kind: "mysql" is MariaDB too, "mariadb" is MariaDB alone.
func EachOf(t *testing.T, dialect string, fn func(t *testing.T, kind string)) {
	t.Helper()
	each(t, fn, func(kind string) bool { return kind == dialect || Dialect(kind) == dialect })
}

func each(t *testing.T, fn func(t *testing.T, kind string), meant func(kind string) bool) {
	t.Helper()
	for _, kind := range Kinds(t) {
		if meant(kind) {
			t.Run(kind, func(t *testing.T) { fn(t, kind) })
		}
	}
}

// Each is EachKind with a new, migrated database, dropped at the end.
func Each(t *testing.T, fn func(t *testing.T, db *database.Database)) {
	t.Helper()
	EachKind(t, func(t *testing.T, kind string) { fn(t, New(t, kind)) })
}

// EachURL is EachKind with the URL of a new, empty database, for tests that open it themselves.
func EachURL(t *testing.T, fn func(t *testing.T, url string)) {
	t.Helper()
	EachKind(t, func(t *testing.T, kind string) { fn(t, URL(t, kind)) })
}

// New returns a new, migrated database, dropped at the end of the test. It takes at most one Options.
func New(tb testing.TB, kind string, opt ...database.Options) *database.Database {
	tb.Helper()
	db := Open(tb, URL(tb, kind), opt...)
	if _, err := db.Migrate(tb.Context()); err != nil {
		tb.Fatal(err)
	}
	return db
}

// Open opens a database and closes it at the end of the test. It takes at most one Options.
func Open(tb testing.TB, url string, opt ...database.Options) *database.Database {
	tb.Helper()
	opt = append(opt, database.Options{PoolSize: 8})
	db, err := database.Open(tb.Context(), url, opt[0])
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = db.Close() })
	return db
}

// URL returns the URL of a new, empty database, dropped at the end of the test even if connections linger.
// A server that cannot be reached fails the test.
func URL(tb testing.TB, kind string) string {
	tb.Helper()
	if kind == "sqlite" {
		return "sqlite:" + filepath.Join(tb.TempDir(), "rollcall.db")
	}
	raw := os.Getenv(variable(kind))
	u, err := url.Parse(raw)
	if err != nil || raw == "" {
		tb.Fatalf("%s holds no URL", variable(kind))
	}
	name := "rollcall_test_" + strings.ToLower(rand.Text()[:16])
	server, drop := mysqlServer, dropMySQL
	if kind == "postgres" {
		server, drop = postgresServer, dropPostgres
	}
	admin := server(tb, u)
	tb.Cleanup(func() { _ = admin.Close() })
	if _, err := admin.ExecContext(tb.Context(), "CREATE DATABASE "+name); err != nil {
		tb.Fatalf("create a database on %s: %v", u.Redacted(), err)
	}
	tb.Cleanup(func() {
		if err := drop(admin, name); err != nil {
			tb.Errorf("drop the database %s: %v", name, err)
		}
	})
	u.Path = "/" + name
	return u.String()
}

func variable(kind string) string { return "ROLLCALL_TEST_" + strings.ToUpper(kind) }

func mysqlServer(tb testing.TB, u *url.URL) *sql.DB {
	cfg := driverMySQL.NewConfig()
	cfg.Net, cfg.Addr, cfg.User = "tcp", u.Host, u.User.Username()
	cfg.Passwd, _ = u.User.Password()
	cfg.TLSConfig = u.Query().Get("tls")
	connector, err := driverMySQL.NewConnector(cfg)
	if err != nil {
		tb.Fatal(err)
	}
	return sql.OpenDB(connector)
}

func postgresServer(tb testing.TB, u *url.URL) *sql.DB {
	db, err := sql.Open("pgx", u.String())
	if err != nil {
		tb.Fatal(err)
	}
	return db
}

// Processlist is a table of MariaDB and MySQL with what each connection does. MySQL's in information_schema fails while any text
// in it does not fit an older charset.
const Processlist = "/*M! information_schema.processlist */ /*!80022 performance_schema.processlist */"

// WaitsForLock returns a function that reports whether a statement waits for a lock in a database. MySQL and MariaDB do not tell:
// there it is whether a statement runs that is LIKE a pattern. SQLite shows none, and so it is always true.
func WaitsForLock(tb testing.TB, db *database.Database, pattern string) func() bool {
	query := map[string]string{
		"sqlite":   "SELECT 1",
		"mysql":    "SELECT count(*) FROM " + Processlist + " WHERE db = DATABASE() AND info LIKE '" + pattern + "'",
		"postgres": "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'",
	}[db.Dialect().Name()]
	return func() bool {
		var n int
		if err := db.Side.QueryRowContext(tb.Context(), query).Scan(&n); err != nil {
			tb.Fatal(err)
		}
		return n > 0
	}
}

// dropMySQL ends the connections first, since DROP waits for a transaction that one of them may hold.
func dropMySQL(admin *sql.DB, name string) error {
	ctx := context.Background() // the test's own has ended
	rows, err := admin.QueryContext(ctx, "SELECT CONCAT('KILL ', id) FROM "+Processlist+" WHERE db = '"+name+"'")
	if err != nil {
		return err
	}
	defer func() { _ = rows.Close() }()
	var kills []string
	for rows.Next() {
		var kill string
		if err := rows.Scan(&kill); err != nil {
			return err
		}
		kills = append(kills, kill)
	}
	if err := rows.Err(); err != nil {
		return err
	}
	for _, kill := range kills {
		_, _ = admin.ExecContext(ctx, kill) // it may have gone meanwhile
	}
	_, err = admin.ExecContext(ctx, "DROP DATABASE "+name)
	return err
}

func dropPostgres(admin *sql.DB, name string) error {
	_, err := admin.ExecContext(context.Background(), fmt.Sprintf("DROP DATABASE %s WITH (FORCE)", name))
	return err
}
