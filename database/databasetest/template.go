package databasetest

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"rollcall/database"
)

// Content is what a migrated database holds.
type Content struct {
	Name string // differs from other contents'
	Fill func(ctx context.Context, db *database.Database) error
}

// Nothing is an empty directory.
var Nothing = Content{"nothing", func(context.Context, *database.Database) error { return nil }}

// With returns the URL of a migrated database with a content, for this test alone. At its end the database is dropped, or made ready for
// another test, even if connections linger.
func With(tb testing.TB, kind string, content Content) string {
	tb.Helper()
	if !templates.on {
		url := URL(tb, kind)
		if err := fill(tb.Context(), url, content); err != nil {
			tb.Fatal(err)
		}
		return url
	}
	t := templateOf(tb, kind, content)
	if kind == "sqlite" {
		path := filepath.Join(tb.TempDir(), "rollcall.db")
		if err := os.WriteFile(path, t.file, 0o600); err != nil {
			tb.Fatal(err)
		}
		return "sqlite:" + path
	}
	return t.recycled(tb, content)
}

// fill migrates a database and gives it its content.
func fill(ctx context.Context, url string, content Content) error {
	db, err := database.Open(ctx, url, database.Options{PoolSize: 1})
	if err != nil {
		return err
	}
	if _, err = db.Migrate(ctx); err == nil {
		err = content.Fill(ctx, db)
	}
	return errors.Join(err, db.Close())
}

// Templates runs a package's tests, as testing.M does. While they run, each database with a Content is a copy of one that was
// migrated and filled once, which takes longer than most tests. On a server that is still slow, so that a test gets the database of an
// earlier one if it can be made what it was.
type Templates struct{ M *testing.M }

// Run runs the tests, drops the templates and returns the exit code.
func (r Templates) Run() int {
	templates.on = true
	code := r.M.Run()
	for key, t := range templates.all {
		if t.admin == nil {
			continue
		}
		for _, name := range append(t.spare, t.name) {
			if err := drop(t.kind, t.admin, name); err != nil {
				fmt.Fprintf(os.Stderr, "drop the database %s, for %s: %v\n", name, key, err)
				code = 1
			}
		}
		_ = t.admin.Close()
	}
	return code
}

// templates are those of the tests that run.
var templates struct {
	on bool

	mu  sync.Mutex
	all map[string]*template
}

// template is a database that is copied.
type template struct {
	kind string

	mu     sync.Mutex
	made   bool
	file   []byte  // SQLite's; the others have what follows
	admin  *sql.DB // of the server
	server *url.URL
	name   string // on the server
	holds  inventory
	rows   map[string]string // PostgreSQL's, of each table, as JSON
	spare  []string          // the names of copies that no test uses now
}

// templateOf returns the template for a content, made when it is first asked for.
func templateOf(tb testing.TB, kind string, content Content) *template {
	tb.Helper()
	key := kind + " with " + content.Name
	templates.mu.Lock()
	if templates.all == nil {
		templates.all = map[string]*template{}
	}
	t := templates.all[key]
	if t == nil {
		t = &template{kind: kind}
		templates.all[key] = t
	}
	templates.mu.Unlock()

	t.mu.Lock()
	defer t.mu.Unlock()
	if t.made {
		return t
	}
	if err := t.make(tb, content); err != nil {
		tb.Fatalf("a template of %s: %v", key, err)
	}
	t.made = true
	return t
}

func (t *template) make(tb testing.TB, content Content) (err error) {
	tb.Helper()
	ctx := tb.Context()
	if t.kind == "sqlite" {
		path := filepath.Join(tb.TempDir(), "template.db")
		if err = fill(ctx, "sqlite:"+path, content); err != nil {
			return err
		}
		if log, err := os.Stat(path + "-wal"); err == nil && log.Size() > 0 {
			return errors.New("the file is not the whole database: its write-ahead log is left")
		}
		t.file, err = os.ReadFile(path)
		return err
	}
	if t.admin == nil {
		t.server, t.admin = server(tb, t.kind)
		t.name = randomName()
		if _, err := t.admin.ExecContext(ctx, "CREATE DATABASE "+t.name); err != nil {
			return errors.Join(err, t.admin.Close())
		}
	}
	if err := fill(ctx, at(t.server, t.name), content); err != nil {
		return err
	}
	d, err := t.used(t.name)
	if err != nil {
		return err
	}
	t.holds, err = d.inventory(ctx)
	if d, ok := d.(*postgresDatabase); ok && err == nil {
		t.rows, err = d.rowsAsJSON(ctx, t.holds.tables)
	}
	return errors.Join(err, d.close())
}
