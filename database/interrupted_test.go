package database_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"os"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"rollcall/database"
	"rollcall/database/databasetest"
)

// TestMigrateCompletesWhatWasInterruptedAtAnyStatement interrupts it at one statement in 9, or in as many as ROLLCALL_TEST_CUTS says:
// those before the statement was sent are others than those after it.
func TestMigrateCompletesWhatWasInterruptedAtAnyStatement(t *testing.T) {
	step := 9
	if s := os.Getenv("ROLLCALL_TEST_CUTS"); s != "" {
		var err error
		if step, err = strconv.Atoi(s); err != nil || step < 1 {
			t.Fatalf("ROLLCALL_TEST_CUTS = %s, want a number from 1 on", s)
		}
	}
	databasetest.EachServer(t, func(t *testing.T, kind string) { // SQLite has no connection to cut: the tests of main kill the program instead
		t.Parallel() // it waits for the server's disk
		want := schema(t, databasetest.New(t, kind))
		for i, sent := range []bool{false, true} {
			for n := 1 + i*(step/2); ; n += step {
				direct := databasetest.URL(t, kind)
				if !migrateThroughACut(t, direct, n, sent) {
					if n < 8+step {
						t.Errorf("fewer than %d statements were found that change something", n)
					}
					break
				}
				db := databasetest.Open(t, direct)
				if _, err := db.Migrate(t.Context()); err != nil {
					t.Errorf("after a cut at statement %d, which was sent: %v: %v", n, sent, err)
				} else if got := schema(t, db); got != want {
					t.Errorf("after a cut at statement %d, which was sent: %v:\n%s\nwant:\n%s", n, sent, got, want)
				}
				_ = db.Close()
			}
		}
	})
}

// migrateThroughACut migrates through a proxy that cuts every connection at the nth statement that changes something, before or
// after that was sent. It reports whether there were so many.
func migrateThroughACut(t *testing.T, direct string, n int, sent bool) bool {
	t.Helper()
	u, err := url.Parse(direct)
	if err != nil {
		t.Fatal(err)
	}
	ctx, died := context.WithTimeout(t.Context(), time.Minute)
	defer died()
	var found atomic.Int64
	var p databasetest.Proxy
	p.Pass = func(statement []byte, forward func()) { // a client waits for the answer to each
		last := changes.Match(statement) && found.Add(1) == int64(n)
		if !last || sent {
			forward()
		}
		if last { // as the end of the client's process would do
			p.Cut()
			died()
		}
	}
	u.Host = p.Listen(t, u.Host)
	defer p.Cut()
	db, err := database.Open(t.Context(), u.String(), database.Options{PoolSize: 1})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	_, err = db.Migrate(ctx)
	cut := found.Load() >= int64(n)
	if cut != (err != nil) {
		t.Errorf("cut at statement %d: %v, and the migration ended with %v", n, cut, err)
	}
	return cut
}

// changes finds the statements that matter in what a client sends, in whatever protocol.
var changes = regexp.MustCompile(`(?i)\b(create|alter|execute|insert|commit)\b`)

// schema is a text of all that the migrations make.
func schema(t *testing.T, db *database.Database) string {
	t.Helper()
	var text strings.Builder
	names, err := db.Write.Migrator().GetTables()
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		if db.Dialect().Name() == "mysql" {
			write(t, &text, db.Side, "SHOW CREATE TABLE "+name)
		}
	}
	switch db.Dialect().Name() {
	case "sqlite":
		write(t, &text, db.Side, "SELECT sql FROM sqlite_master WHERE sql IS NOT NULL ORDER BY name")
	case "postgres":
		write(t, &text, db.Side, `SELECT table_name, column_name, data_type, column_default, is_nullable, collation_name, character_maximum_length
			FROM information_schema.columns WHERE table_schema = 'public' ORDER BY 1, ordinal_position`)
		write(t, &text, db.Side, "SELECT indexdef FROM pg_indexes WHERE schemaname = 'public' ORDER BY 1")
		write(t, &text, db.Side, "SELECT conname, pg_get_constraintdef(oid) FROM pg_constraint WHERE connamespace = 'public'::regnamespace ORDER BY 1")
	}
	write(t, &text, db.Side, "SELECT DISTINCT version_id FROM goose_db_version ORDER BY 1")
	return regexp.MustCompile(` AUTO_INCREMENT=\d+`).ReplaceAllString(text.String(), "")
}

// write appends the rows of a query.
func write(t *testing.T, text *strings.Builder, db *sql.DB, query string) {
	t.Helper()
	rows, err := db.QueryContext(t.Context(), query)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = rows.Close() }()
	columns, err := rows.Columns()
	if err != nil {
		t.Fatal(err)
	}
	values, targets := make([]sql.NullString, len(columns)), make([]any, len(columns))
	for i := range values {
		targets[i] = &values[i]
	}
	for rows.Next() {
		if err := rows.Scan(targets...); err != nil {
			t.Fatal(err)
		}
		for _, value := range values {
			fmt.Fprintf(text, "%s\t", value.String)
		}
		text.WriteString("\n")
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
}

func TestMigrationsThatNoLockKeepsApartDoEachOtherNoHarm(t *testing.T) {
	databasetest.EachOf(t, "mysql", func(t *testing.T, kind string) { // their lock belongs to one node of a cluster
		want := schema(t, databasetest.New(t, kind))
		url := databasetest.URL(t, kind)
		const processes = 6
		var wg sync.WaitGroup
		errs := make([]error, processes)
		for i := range processes {
			db := databasetest.Open(t, url, database.Options{PoolSize: 1})
			wg.Go(func() { errs[i] = db.MigrateWithoutALock(t.Context()) })
		}
		wg.Wait()
		if err := errors.Join(errs...); err != nil {
			t.Error(err)
		}
		db := databasetest.Open(t, url)
		if err := db.CheckSchema(t.Context()); err != nil {
			t.Error(err)
		}
		if got := schema(t, db); got != want {
			t.Errorf("%s\nwant:\n%s", got, want)
		}
	})
}

func TestGoosesEmptyTableAloneIsMigrated(t *testing.T) {
	databasetest.EachOf(t, "mysql", func(t *testing.T, kind string) { // elsewhere its creation and its first row are one transaction
		db := databasetest.Open(t, databasetest.URL(t, kind))
		if err := db.Write.Exec(`CREATE TABLE goose_db_version (id bigint unsigned NOT NULL AUTO_INCREMENT, version_id bigint NOT NULL,
			is_applied boolean NOT NULL, tstamp datetime NULL default CURRENT_TIMESTAMP, PRIMARY KEY (id))`).Error; err != nil {
			t.Fatal(err)
		}
		if applied, err := db.Migrate(t.Context()); err != nil || applied != migrations(t, db) {
			t.Errorf("Migrate = %d, %v", applied, err)
		}
	})
}

func TestAMigrationThatFailsSaysWhatToMend(t *testing.T) {
	databasetest.EachURL(t, func(t *testing.T, url string) {
		db := databasetest.Open(t, url)
		taken := map[string]string{
			"sqlite": "CREATE TABLE users (id int)", "postgres": "CREATE TABLE users (id int)",
			"mysql": "CREATE VIEW users AS SELECT 1 AS id", // of a table it is told at the end what is missing
		}[db.Dialect().Name()]
		if err := db.Write.Exec(taken).Error; err != nil {
			t.Fatal(err)
		}
		_, err := db.Migrate(t.Context())
		if err == nil {
			t.Fatal("no error")
		}
		if text := err.Error(); !strings.Contains(text, "migration 1 has failed: ") || !strings.HasSuffix(text, ": mend that, then migrate again") ||
			strings.Contains(text, "goose") || strings.Contains(text, "partial") {
			t.Error(text)
		}
	})
}

func TestAMigrationWithoutTheRightSaysSo(t *testing.T) {
	databasetest.EachServer(t, func(t *testing.T, kind string) { // SQLite has no users
		u, err := url.Parse(databasetest.URL(t, kind))
		if err != nil {
			t.Fatal(err)
		}
		owner, name := databasetest.Open(t, u.String()), strings.Trim(u.Path, "/")
		create, drop := []string{"CREATE USER " + name + "@'%'", "GRANT SELECT ON " + name + ".* TO " + name + "@'%'"}, "DROP USER "+name+"@'%'"
		if kind == "postgres" {
			create, drop = []string{"CREATE ROLE " + name + " LOGIN", "REVOKE CREATE ON SCHEMA public FROM PUBLIC"}, "DROP ROLE "+name
		}
		for _, statement := range create {
			if err := owner.Write.Exec(statement).Error; err != nil {
				t.Fatal(err)
			}
		}
		t.Cleanup(func() {
			if err := owner.Write.Exec(drop).Error; err != nil {
				t.Error(err)
			}
		})
		u.User = url.User(name)
		_, err = databasetest.Open(t, u.String()).Migrate(t.Context())
		if text := fmt.Sprint(err); !strings.HasPrefix(text, "the schema's versions cannot be read or written: ") ||
			!strings.HasSuffix(text, ": give the user all rights on the database, then migrate again") {
			t.Error(text)
		}
	})
}
