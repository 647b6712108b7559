package database_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"rollcall/database"
	"rollcall/database/databasetest"
)

func TestMigrateCompletesWhatWasInterruptedAtAnyStatement(t *testing.T) {
	for _, kind := range databasetest.Kinds(t) {
		if kind == "sqlite" { // a file has no connection to cut: there the program is killed, in the tests of main
			continue
		}
		t.Run(kind, func(t *testing.T) {
			want := schema(t, databasetest.New(t, kind))
			for _, sent := range []bool{false, true} {
				for n := 1; ; n++ {
					direct := databasetest.URL(t, kind)
					if !migrateThroughACut(t, direct, n, sent) {
						if n < 8 {
							t.Errorf("only %d statements were found that change something", n-1)
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
	p := newCutter(t, u.Host, n, sent, died)
	defer p.close()
	u.Host = p.listener.Addr().String()
	db, err := database.Open(t.Context(), u.String(), database.Options{PoolSize: 1})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	_, err = db.Migrate(ctx)
	if p.cut() != (err != nil) {
		t.Errorf("cut at statement %d: %v, and the migration ended with %v", n, p.cut(), err)
	}
	return p.cut()
}

// changes finds the statements that matter in what a client sends, in whatever protocol.
var changes = regexp.MustCompile(`(?i)\b(create|alter|insert|commit)\b`)

// cutter is a proxy that ends all its connections at a statement, and takes no more.
type cutter struct {
	listener net.Listener
	sent     bool
	died     func() // is called after the cut
	running  sync.WaitGroup

	mu    sync.Mutex
	left  int // statements
	conns []net.Conn
}

func newCutter(t *testing.T, server string, n int, sent bool, died func()) *cutter {
	t.Helper()
	listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	c := &cutter{listener: listener, left: n, sent: sent, died: died}
	c.running.Go(func() {
		for {
			client, err := listener.Accept()
			if err != nil {
				return
			}
			upstream, err := new(net.Dialer).DialContext(context.Background(), "tcp", server)
			if err != nil {
				_ = client.Close()
				continue
			}
			c.mu.Lock()
			c.conns = append(c.conns, client, upstream)
			c.mu.Unlock()
			c.running.Go(func() { _, _ = io.Copy(client, upstream); _ = client.Close() })
			c.running.Go(func() { c.pass(client, upstream); _ = upstream.Close() })
		}
	})
	return c
}

// pass copies what a client says, which waits for the answer to each statement.
func (c *cutter) pass(client, upstream net.Conn) {
	buffer := make([]byte, 64<<10)
	for {
		n, err := client.Read(buffer)
		if err != nil {
			return
		}
		last := false
		if changes.Match(buffer[:n]) {
			c.mu.Lock()
			c.left--
			last = c.left == 0
			c.mu.Unlock()
		}
		if !last || c.sent {
			if _, err := upstream.Write(buffer[:n]); err != nil {
				return
			}
		}
		if last {
			c.end()
			c.died()
			return
		}
	}
}

// end cuts the connections, as the end of the client's process would.
func (c *cutter) end() {
	_ = c.listener.Close()
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, conn := range c.conns {
		_ = conn.Close()
	}
}

func (c *cutter) cut() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.left <= 0
}

func (c *cutter) close() {
	c.end()
	c.running.Wait()
}

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
	for _, kind := range databasetest.Kinds(t) {
		if databasetest.Dialect(kind) != "mysql" { // whose lock belongs to one node of a cluster
			continue
		}
		t.Run(kind, func(t *testing.T) {
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
}

func TestGoosesEmptyTableAloneIsMigrated(t *testing.T) {
	for _, kind := range databasetest.Kinds(t) {
		if databasetest.Dialect(kind) != "mysql" { // elsewhere its creation and its first row are one transaction
			continue
		}
		t.Run(kind, func(t *testing.T) {
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
	for _, kind := range databasetest.Kinds(t) {
		if kind == "sqlite" { // has no users
			continue
		}
		t.Run(kind, func(t *testing.T) {
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
}
