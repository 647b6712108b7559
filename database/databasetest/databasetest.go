// Package databasetest gives tests databases of their own, of every kind that the directory runs on.
package databasetest

import (
	"cmp"
	"context"
	"crypto/rand"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

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

// EachWith is EachKind with the URL of a migrated database with a content, as With has it.
func EachWith(t *testing.T, content Content, fn func(t *testing.T, url string)) {
	t.Helper()
	EachKind(t, func(t *testing.T, kind string) { fn(t, With(t, kind, content)) })
}

// EachURL is EachKind with the URL of a new, empty database, for tests that open it themselves.
func EachURL(t *testing.T, fn func(t *testing.T, url string)) {
	t.Helper()
	EachKind(t, func(t *testing.T, kind string) { fn(t, URL(t, kind)) })
}

// New returns a new, migrated database, dropped at the end of the test. It takes at most one Options.
func New(tb testing.TB, kind string, opt ...database.Options) *database.Database {
	tb.Helper()
	if templates.on {
		return Open(tb, With(tb, kind, Nothing), opt...)
	}
	db := Open(tb, URL(tb, kind), opt...)
	if _, err := db.Migrate(tb.Context()); err != nil {
		tb.Fatal(err)
	}
	return db
}

// Open opens a database and closes it at the end of the test. It takes at most one Options. Unless these say how long a host may be silent, none is
// left for being late on a busy machine.
func Open(tb testing.TB, url string, opt ...database.Options) *database.Database {
	tb.Helper()
	o := append(opt, database.Options{PoolSize: 8})[0]
	o.Silent = cmp.Or(o.Silent, 30*time.Second)
	db, err := database.Open(tb.Context(), url, o)
	if err != nil {
		tb.Fatal(err)
	}
	opened.Store(db, origin{url, o})
	tb.Cleanup(func() {
		opened.Delete(db)
		_ = db.Close()
	})
	return db
}

// origin is how a database was opened.
type origin struct {
	url string
	opt database.Options
}

var opened sync.Map // the origin of each *database.Database that Open has returned

// Again opens a database that Open has returned once more, as another server does, and closes it at the end of the test.
func Again(tb testing.TB, db *database.Database) *database.Database {
	tb.Helper()
	from, ok := opened.Load(db)
	if !ok {
		tb.Fatal("the database is none that a test has opened")
	}
	return Open(tb, from.(origin).url, from.(origin).opt)
}

// URL returns the URL of a new, empty database, dropped at the end of the test even if connections linger.
// A server that cannot be reached fails the test.
func URL(tb testing.TB, kind string) string {
	tb.Helper()
	if kind == "sqlite" {
		return "sqlite:" + filepath.Join(tb.TempDir(), "rollcall.db")
	}
	u, admin := server(tb, kind)
	tb.Cleanup(func() { _ = admin.Close() })
	name := randomName()
	_, err := admin.ExecContext(tb.Context(), "CREATE DATABASE "+name)
	if errors.Is(err, driver.ErrBadConn) { // a node of a cluster may have ended it
		_, err = admin.ExecContext(tb.Context(), "CREATE DATABASE "+name)
	}
	if err != nil {
		tb.Fatalf("create a database on %s: %v", u.Redacted(), err)
	}
	tb.Cleanup(func() { dropAtEnd(tb, kind, admin, name) })
	return at(u, name)
}

// server returns the URL of a kind's server, and connections to it.
func server(tb testing.TB, kind string) (*url.URL, *sql.DB) {
	tb.Helper()
	raw := os.Getenv(variable(kind))
	u, err := parsed(raw)
	if err != nil || raw == "" {
		tb.Fatalf("%s holds no URL", variable(kind))
	}
	if kind == "postgres" {
		return u, postgresServer(tb, u)
	}
	return u, mysqlServer(tb, u, "foreign_key_checks")
}

// parsed reads the URL of a server, whose host may be a list.
func parsed(raw string) (*url.URL, error) {
	scheme, rest, _ := strings.Cut(raw, "://")
	authority := rest[:strings.IndexAny(rest+"/", "/?#")]
	hosts := authority[strings.LastIndex(authority, "@")+1:]
	first, _, several := strings.Cut(hosts, ",")
	if !several {
		return url.Parse(raw)
	}
	u, err := url.Parse(scheme + "://" + strings.Replace(rest, hosts, first, 1))
	if err == nil {
		u.Host = hosts
	}
	return u, err
}

// OneHost returns the URL of a database with the first of its hosts alone.
func OneHost(tb testing.TB, rawURL string) string {
	tb.Helper()
	u, err := parsed(rawURL)
	if err != nil {
		tb.Fatal(err)
	}
	u.Host, _, _ = strings.Cut(u.Host, ",")
	return u.String()
}

func randomName() string { return "rollcall_test_" + strings.ToLower(rand.Text()[:16]) }

// at is the URL of a server's database.
func at(server *url.URL, name string) string {
	u := *server
	u.Path = "/" + name
	return u.String()
}

func dropAtEnd(tb testing.TB, kind string, admin *sql.DB, name string) {
	tb.Helper()
	if err := drop(kind, admin, name); err != nil {
		tb.Errorf("drop the database %s: %v", name, err)
	}
}

func variable(kind string) string { return "ROLLCALL_TEST_" + strings.ToUpper(kind) }

// mysqlServer connects to a server, the first if there are several, with these settings switched off.
func mysqlServer(tb testing.TB, u *url.URL, off ...string) *sql.DB {
	tb.Helper()
	cfg := driverMySQL.NewConfig()
	first, _, _ := strings.Cut(u.Host, ",")
	cfg.Net, cfg.Addr, cfg.User = "tcp", first, u.User.Username()
	cfg.Passwd, _ = u.User.Password()
	cfg.TLSConfig, cfg.Params = u.Query().Get("tls"), map[string]string{}
	for _, name := range off {
		cfg.Params[name] = "0"
	}
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

// drop drops a database even if connections linger.
func drop(kind string, admin *sql.DB, name string) error {
	ctx := context.Background() // the test's own has ended
	if kind == "postgres" {
		_, err := admin.ExecContext(ctx, fmt.Sprintf("DROP DATABASE %s WITH (FORCE)", name))
		return err
	}
	// DROP would wait for a transaction that a connection may hold.
	if _, err := kill(ctx, kind, admin, name); err != nil {
		return err
	}
	_, err := admin.ExecContext(ctx, "DROP DATABASE "+name)
	return err
}

// kill ends the connections to a database, and returns how many there were.
func kill(ctx context.Context, kind string, admin *sql.DB, name string) (int, error) {
	if kind == "postgres" {
		ended, err := texts(ctx, admin, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = $1 AND backend_type = 'client backend'", name)
		return len(ended), err
	}
	kills, err := texts(ctx, admin, "SELECT CONCAT('KILL ', id) FROM "+Processlist+" WHERE db = ?", name)
	for _, kill := range kills {
		_, _ = admin.ExecContext(ctx, kill) // it may have gone meanwhile
	}
	return len(kills), err
}

// Interrupt ends the connections to a database, as the restart of its server does.
func Interrupt(tb testing.TB, kind, database string) {
	tb.Helper()
	u, err := parsed(database)
	if err != nil {
		tb.Fatal(err)
	}
	_, admin := server(tb, kind)
	defer func() { _ = admin.Close() }()
	if _, err := kill(tb.Context(), kind, admin, strings.TrimPrefix(u.Path, "/")); err != nil {
		tb.Fatal(err)
	}
}

// texts reads a query's only column.
func texts(ctx context.Context, db *sql.DB, query string, args ...any) (all []string, err error) {
	err = eachRow(ctx, db, query, args, func(rows *sql.Rows) error {
		var text string
		err := rows.Scan(&text)
		all = append(all, text)
		return err
	})
	return all, err
}

// pairs reads a query's two columns, the second by the first.
func pairs(ctx context.Context, db *sql.DB, query string) (map[string]string, error) {
	all := map[string]string{}
	return all, eachRow(ctx, db, query, nil, func(rows *sql.Rows) error {
		var name, value string
		err := rows.Scan(&name, &value)
		all[name] = value
		return err
	})
}

// eachRow calls scan for each row of a query, until it fails.
func eachRow(ctx context.Context, db *sql.DB, query string, args []any, scan func(rows *sql.Rows) error) error {
	rows, err := db.QueryContext(ctx, query, args...)
	if err != nil {
		return err
	}
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		if err := scan(rows); err != nil {
			return err
		}
	}
	return rows.Err()
}

// inTransaction commits what fn runs, unless a statement fails: then the others are not run.
func inTransaction(ctx context.Context, db *sql.DB, fn func(run func(statement string, args ...any))) error {
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	fn(func(statement string, args ...any) {
		if err == nil {
			_, err = tx.ExecContext(ctx, statement, args...)
		}
	})
	if err != nil {
		return errors.Join(err, tx.Rollback())
	}
	return tx.Commit()
}
