package sqlite_test

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ncruces/go-sqlite3"

	"rollcall/sqlite"
)

// open opens a new database, whose connections wait for a lock for as long as they may.
func open(tb testing.TB, immediate bool) *sql.DB {
	tb.Helper()
	return openFile(tb, filepath.Join(tb.TempDir(), "x.db"), immediate)
}

func openFile(tb testing.TB, path string, immediate bool) *sql.DB {
	tb.Helper()
	db := sql.OpenDB(sqlite.Connector{Path: path, Immediate: immediate, Pragmas: []string{"busy_timeout = 60000", "journal_mode = WAL", "foreign_keys = ON"}})
	tb.Cleanup(func() {
		if err := db.Close(); err != nil {
			tb.Error(err)
		}
	})
	return db
}

func exec(tb testing.TB, db interface {
	ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error)
}, query string, args ...any,
) sql.Result {
	tb.Helper()
	result, err := db.ExecContext(tb.Context(), query, args...)
	if err != nil {
		tb.Fatalf("%s: %v", query, err)
	}
	return result
}

func text(tb testing.TB, db interface {
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
}, query string, args ...any,
) (found string) {
	tb.Helper()
	if err := db.QueryRowContext(tb.Context(), query, args...).Scan(&found); err != nil {
		tb.Fatalf("%s: %v", query, err)
	}
	return found
}

func TestAValueIsReadAsItWasWritten(t *testing.T) {
	db := open(t, false)
	exec(t, db, "CREATE TABLE t (v)")
	for _, value := range []any{
		nil, int64(0), int64(math.MinInt64), int64(math.MaxInt64), 0.5, math.MaxFloat64, math.Inf(-1), "", "é", "a\x00b", "\xff\xfe", "\ufeff",
		strings.Repeat("x", 1<<20), "2024-01-01 09:00:00+00:00",
		[]byte{},
		[]byte("a\x00\xff"),
	} {
		exec(t, db, "DELETE FROM t; INSERT INTO t VALUES (?)", value)
		for _, query := range []string{"SELECT v FROM t", "SELECT v FROM t WHERE v IS ?"} {
			var got any
			if err := db.QueryRowContext(t.Context(), query, []any{value}[:strings.Count(query, "?")]...).Scan(&got); err != nil {
				t.Errorf("%.20q: %s: %v", value, query, err)
			}
			want := value
			if b, ok := value.([]byte); ok {
				if got, ok := got.([]byte); !ok || got == nil || !bytes.Equal(got, b) {
					t.Errorf("%q became %q", b, got)
				}
				continue
			}
			if got != want {
				t.Errorf("%.20q became %.20q", value, got)
			}
		}
	}
	exec(t, db, "DELETE FROM t; INSERT INTO t VALUES (?), (?)", true, false)
	if got := text(t, db, "SELECT group_concat(v) FROM t"); got != "1,0" {
		t.Errorf("true and false are %s", got)
	}
}

func TestABlobHoldsNothingOfTheRowBefore(t *testing.T) {
	rows, err := open(t, false).QueryContext(t.Context(), "SELECT x'616263' UNION ALL SELECT x''")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = rows.Close() }()
	var all []string
	for rows.Next() {
		var b []byte
		if err := rows.Scan(&b); err != nil {
			t.Fatal(err)
		}
		all = append(all, string(b))
	}
	if err := rows.Err(); err != nil || fmt.Sprintf("%q", all) != `["abc" ""]` {
		t.Errorf("%q, %v", all, err)
	}
}

func TestTimesAreStoredInUTCAndReadInWhateverForm(t *testing.T) {
	db := open(t, false)
	exec(t, db, "CREATE TABLE t (at datetime, day DATE, stamp TimeStamp, other text)")
	at := time.Date(2024, 2, 29, 23, 59, 58, 123456000, time.FixedZone("", -5*60*60))
	exec(t, db, "INSERT INTO t VALUES (?, ?, ?, ?)", at, at, at, at)
	const stored = "2024-03-01 04:59:58.123456+00:00"
	if got := text(t, db, "SELECT other || '/' || (at = other) FROM t"); got != stored+"/1" {
		t.Errorf("stored as %s", got)
	}
	var times [3]time.Time
	var other string
	if err := db.QueryRowContext(t.Context(), "SELECT * FROM t").Scan(&times[0], &times[1], &times[2], &other); err != nil || other != stored {
		t.Errorf("%q, %v", other, err)
	}
	for _, got := range times {
		if !got.Equal(at) || got.Location() != time.UTC {
			t.Errorf("%s became %s", at, got)
		}
	}
	for written, want := range map[string]string{
		"2024-01-02 03:04:05.678":                            "2024-01-02T03:04:05.678Z",
		"2024-01-02 03:04:05":                                "2024-01-02T03:04:05Z",
		"2024-01-02 03:04:05Z":                               "2024-01-02T03:04:05Z",
		"2024-01-02 03:04:05+02:00":                          "2024-01-02T01:04:05Z",
		"2024-01-02T03:04:05.6+00:00":                        "2024-01-02T03:04:05.6Z",
		"2024-01-02T03:04:05Z":                               "2024-01-02T03:04:05Z",
		"2024-01-02 03:04":                                   "2024-01-02T03:04:00Z",
		"2024-01-02T03:04":                                   "2024-01-02T03:04:00Z",
		"2024-01-02":                                         "2024-01-02T00:00:00Z",
		time.Date(2024, 1, 2, 3, 4, 5, 6, time.UTC).String(): "2024-01-02T03:04:05.000000006Z",
		"2024-01-02 03:04:05.5 +0100 CET m=+0.5":             "2024-01-02T02:04:05.5Z",
		"12024-01-02 03:04:05":                               "12024-01-02 03:04:05",
		"soon":                                               "soon",
	} {
		exec(t, db, "UPDATE t SET at = ?", written)
		var got any
		if err := db.QueryRowContext(t.Context(), "SELECT at FROM t").Scan(&got); err != nil {
			t.Fatal(err)
		}
		if read, ok := got.(time.Time); ok {
			got = read.Format(time.RFC3339Nano)
		}
		if got != want {
			t.Errorf("%s is read as %v", written, got)
		}
	}
}

func readAll(ctx context.Context, from interface {
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
}, query string, args ...any,
) error {
	rows, err := from.QueryContext(ctx, query, args...)
	if err != nil {
		return err
	}
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		continue
	}
	return rows.Err()
}

// forever selects numbers without end.
const forever = "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n) SELECT x FROM n"

func TestAStatementEndsWithItsContextAndNoOtherDoes(t *testing.T) {
	db := open(t, true)
	db.SetMaxOpenConns(2)
	exec(t, db, "CREATE TABLE t (x)")
	for name, run := range map[string]func(ctx context.Context, conn *sql.Conn) error{
		"a query before its first row": func(ctx context.Context, conn *sql.Conn) error {
			return readAll(ctx, conn, forever+" WHERE x < 0")
		},
		"a query between its rows": func(ctx context.Context, conn *sql.Conn) error { return readAll(ctx, conn, forever) },
		"a query after its first row": func(ctx context.Context, conn *sql.Conn) error {
			return readAll(ctx, conn, forever+" WHERE x = 1 OR x < 0")
		},
		"a write": func(ctx context.Context, conn *sql.Conn) error {
			_, err := conn.ExecContext(ctx, "INSERT INTO t "+forever+" WHERE x > ?", 0)
			return err
		},
		"one of several statements": func(ctx context.Context, conn *sql.Conn) error {
			_, err := conn.ExecContext(ctx, "SELECT 1; INSERT INTO t "+forever)
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			conn, err := db.Conn(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = conn.Close() }()
			ctx, cancel := context.WithCancel(t.Context())
			var bystander sync.WaitGroup
			begun, ended := make(chan struct{}), make(chan struct{})
			bystander.Go(func() { // it counts until the other one has ended, and on
				close(begun)
				for n := 0; ; n++ {
					if got := text(t, db, "WITH n(x) AS ("+forever+" LIMIT 20000) SELECT count(*) FROM n"); got != "20000" {
						t.Errorf("the other one counted to %s", got)
					}
					select {
					case <-ended:
						return
					default:
					}
				}
			})
			<-begun
			time.AfterFunc(20*time.Millisecond, cancel)
			if err := run(ctx, conn); !errors.Is(err, context.Canceled) {
				t.Errorf("got %v", err)
			}
			close(ended)
			bystander.Wait()
			if n := text(t, conn, "SELECT count(*) FROM t"); n != "0" { // on the very connection
				t.Errorf("%s rows are left", n)
			}
			late, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
			defer cancel()
			if err := run(late, conn); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("at its deadline: %v", err)
			}
			if err := run(ctx, conn); !errors.Is(err, context.Canceled) {
				t.Errorf("too late: %v", err)
			}
		})
	}
	if stats := db.Stats(); stats.MaxIdleClosed+stats.MaxLifetimeClosed+stats.MaxIdleTimeClosed != 0 || stats.OpenConnections != 2 {
		t.Errorf("connections were replaced: %+v", stats)
	}
}

func TestAWaitForALockEndsWithItsContext(t *testing.T) {
	db := open(t, true)
	exec(t, db, "CREATE TABLE t (x)")
	tx, err := db.BeginTx(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = tx.Rollback() }()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if _, err := db.ExecContext(ctx, "INSERT INTO t VALUES (1)"); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("a statement: %v", err)
	}
	if _, err := db.BeginTx(ctx, nil); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("a transaction: %v", err)
	}
	if _, err := db.ExecContext(t.Context(), "PRAGMA busy_timeout = 0; INSERT INTO t VALUES (1)"); !errors.Is(err, sqlite3.BUSY) {
		t.Errorf("without a wait: %v", err)
	}
}

func TestATransactionIsStoredWholeOrNotAtAll(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x.db")
	db, other := openFile(t, path, true), openFile(t, path, true)
	db.SetMaxOpenConns(1)
	exec(t, db, "CREATE TABLE t (id integer PRIMARY KEY, of integer REFERENCES t (id) DEFERRABLE INITIALLY DEFERRED)")
	begin := func(options *sql.TxOptions) *sql.Tx {
		t.Helper()
		tx, err := db.BeginTx(t.Context(), options)
		if err != nil {
			t.Fatal(err)
		}
		return tx
	}
	tx := begin(nil)
	exec(t, tx, "INSERT INTO t VALUES (1, 2)")
	if err := tx.Commit(); !errors.Is(err, sqlite3.CONSTRAINT_FOREIGNKEY) {
		t.Errorf("COMMIT of what refers to nothing: %v", err)
	}
	exec(t, other, "PRAGMA busy_timeout = 0; DELETE FROM t") // it holds no lock
	tx = begin(nil)
	exec(t, tx, "INSERT INTO t VALUES (2, NULL)")
	if err := tx.Rollback(); err != nil {
		t.Error(err)
	}
	tx = begin(nil)
	exec(t, tx, "INSERT INTO t VALUES (3, NULL)")
	if err := tx.Commit(); err != nil {
		t.Error(err)
	}
	tx = begin(&sql.TxOptions{ReadOnly: true})
	if got := text(t, tx, "SELECT group_concat(id) FROM t"); got != "3" {
		t.Errorf("stored: %s", got)
	}
	if err := tx.Rollback(); err != nil {
		t.Error(err)
	}
	if _, err := db.BeginTx(t.Context(), &sql.TxOptions{Isolation: sql.LevelReadCommitted}); err == nil {
		t.Error("a level of isolation was taken")
	}
}

func TestOnlyAnImmediateTransactionKeepsOtherWritersOutFromItsBeginning(t *testing.T) {
	for _, immediate := range []bool{true, false} {
		db := open(t, immediate)
		exec(t, db, "CREATE TABLE t (x)")
		for _, readOnly := range []bool{false, true} {
			tx, err := db.BeginTx(t.Context(), &sql.TxOptions{ReadOnly: readOnly})
			if err != nil {
				t.Fatal(err)
			}
			_, err = db.ExecContext(t.Context(), "PRAGMA busy_timeout = 0; INSERT INTO t VALUES (1)")
			if errors.Is(err, sqlite3.BUSY) != (immediate && !readOnly) {
				t.Errorf("immediate: %v, read-only: %v: %v", immediate, readOnly, err)
			}
			_ = tx.Rollback()
		}
	}
}

func TestAConnectionWithAnOpenTransactionIsNotUsedAgain(t *testing.T) {
	db := open(t, false)
	db.SetMaxOpenConns(1)
	exec(t, db, "CREATE TABLE t (x)")
	exec(t, db, "BEGIN; INSERT INTO t VALUES (1)")
	if n := text(t, db, "SELECT count(*) FROM t"); n != "0" {
		t.Errorf("found %s rows that nobody committed", n)
	}
}

func TestAConnectionThatIsOutOfMemoryIsReplaced(t *testing.T) {
	db := open(t, false)
	db.SetMaxOpenConns(1)
	exec(t, db, "CREATE TEMP TABLE mine (x)") // it is the connection's
	for _, query := range []string{"SELECT length(zeroblob(500000000) || 'x')", "SELECT zeroblob(500000000)"} {
		var got any
		if err := db.QueryRowContext(t.Context(), query).Scan(&got); !errors.Is(err, sqlite3.NOMEM) {
			t.Errorf("%s: %v", query, err)
		}
		if stats := db.Stats(); stats.InUse != 0 {
			t.Fatalf("the connection is not given back: %+v", stats)
		}
	}
	if n := text(t, db, "SELECT count(*) FROM temp.sqlite_master"); n != "0" {
		t.Error("it is the same connection")
	}
}

func TestAStatementMayHaveAsManyParametersAsSQLiteTakes(t *testing.T) {
	db := open(t, false)
	const most = 32766
	args := make([]any, most)
	for i := range args {
		args[i] = i
	}
	if got := text(t, db, "SELECT max("+strings.Repeat("?, ", 999)+"?)", args[:1000]...); got != "999" {
		t.Errorf("got %s", got)
	}
	values := strings.Repeat("(?), ", most-1) + "(?)"
	if got := text(t, db, "SELECT count(*) || ' ' || max(column1) FROM (VALUES "+values+")", args...); got != "32766 32765" {
		t.Errorf("got %s", got)
	}
	if _, err := db.ExecContext(t.Context(), "SELECT count(*) FROM (VALUES "+values+", (?))", append(args, 1)...); err == nil {
		t.Error("one more was taken")
	}
}

func TestStatementsTakeTheArgumentsThatTheyHaveParametersFor(t *testing.T) {
	db := open(t, false)
	result := exec(t, db, "CREATE TABLE t (x, y); -- and\nINSERT INTO t VALUES (?, 1), (?, 2); INSERT INTO t VALUES (?, ?) /* end */ ;\n", 1, 2, 3, 4)
	id, _ := result.LastInsertId()
	if n, err := result.RowsAffected(); n != 1 || err != nil || id != 3 {
		t.Errorf("%d rows, the last with the id %d, %v", n, id, err)
	}
	if got := text(t, db, "SELECT group_concat(x || y) FROM t"); got != "11,22,34" {
		t.Errorf("got %s", got)
	}
	if got := text(t, db, "SELECT x FROM t WHERE y = ?; -- the last one", 4); got != "3" {
		t.Errorf("got %s", got)
	}
	for query, args := range map[string][]any{
		"SELECT 1; SELECT 2": nil, "": nil, "-- nothing": nil, "SELECT ?": nil, "SELECT ?, ?": {1}, "SELECT 1": {1}, "SELECT :a": {sql.Named("a", 1)}, "nonsense": nil,
	} {
		if err := readAll(t.Context(), db, query, args...); err == nil {
			t.Errorf("%q with %v was run", query, args)
		}
	}
	for query, args := range map[string][]any{"DELETE FROM t; DELETE FROM t WHERE x = ?": {1, 2}, "DELETE FROM t WHERE x = ?": {}, "DELETE FROM t WHERE x = :x": {sql.Named("x", 1)}} {
		if _, err := db.ExecContext(t.Context(), query, args...); err == nil {
			t.Errorf("%q with %v was run", query, args)
		}
	}
}

func TestAPreparedStatementLearnsOfAChangedSchema(t *testing.T) {
	db := open(t, false)
	exec(t, db, "CREATE TABLE t (x); INSERT INTO t VALUES (1)")
	statement, err := db.PrepareContext(t.Context(), "SELECT * FROM t")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = statement.Close() }()
	columns := func() []string {
		rows, err := statement.QueryContext(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = rows.Close() }()
		columns, err := rows.Columns()
		if !rows.Next() || err != nil || rows.Err() != nil {
			t.Errorf("%v, %v", err, rows.Err())
		}
		return columns
	}
	for _, table := range []struct{ change, columns string }{
		{"", "[x]"},
		{"DROP TABLE t; CREATE TABLE t (x, y); INSERT INTO t VALUES (1, 2)", "[x y]"},
		{"DROP TABLE t; CREATE TABLE t (x, at datetime); INSERT INTO t VALUES (1, '2024-01-01')", "[x at]"}, // as many
	} {
		exec(t, db, table.change)
		if got := fmt.Sprint(columns()); got != table.columns {
			t.Errorf("want %s, got %s", table.columns, got)
		}
	}
	var at time.Time
	if err := statement.QueryRowContext(t.Context()).Scan(new(int), &at); err != nil || at.Year() != 2024 {
		t.Errorf("%s, %v", at, err)
	}
}

func TestAReadOnlyConnectionWritesNothing(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x.db")
	exec(t, openFile(t, path, false), "CREATE TABLE t (x)")
	read := sql.OpenDB(sqlite.Connector{Path: path, ReadOnly: true})
	defer func() { _ = read.Close() }()
	if n := text(t, read, "SELECT count(*) FROM t"); n != "0" {
		t.Errorf("%s rows", n)
	}
	if _, err := read.ExecContext(t.Context(), "INSERT INTO t VALUES (1)"); !errors.Is(err, sqlite3.READONLY) {
		t.Errorf("got %v", err)
	}
	missing := sql.OpenDB(sqlite.Connector{Path: path + "2", ReadOnly: true})
	defer func() { _ = missing.Close() }()
	if err := missing.PingContext(t.Context()); !errors.Is(err, sqlite3.CANTOPEN) {
		t.Errorf("of no file: %v", err)
	}
}

func TestWhoMayNotReadTheFileMayNotReadItsLog(t *testing.T) {
	path := filepath.Join(t.TempDir(), "100% #1 & more?.db")
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	db := openFile(t, path, false)
	exec(t, db, "CREATE TABLE t (x)")
	for _, name := range []string{path, path + "-wal"} {
		if info, err := os.Stat(name); err != nil || info.Mode() != 0o600 {
			t.Errorf("%v, %v", info, err)
		}
	}
}

func TestAPragmaThatFailsIsSaid(t *testing.T) {
	db := sql.OpenDB(sqlite.Connector{Path: ":memory:", Pragmas: []string{"user_version = 1; nonsense"}})
	defer func() { _ = db.Close() }()
	if err := db.PingContext(t.Context()); err == nil || !strings.Contains(err.Error(), "nonsense") {
		t.Errorf("got %v", err)
	}
}
