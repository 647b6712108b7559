package transfer_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"rollcall/changelog"
	"rollcall/database"
	"rollcall/database/databasetest"
	"rollcall/directory"
	"rollcall/session"
	"rollcall/transfer"
)

func TestMain(m *testing.M) { databasetest.Templates{M: m}.Run() }

// world is a directory on a database.
type world struct {
	t     *testing.T
	db    *database.Database
	pools session.Pools
	log   *changelog.Log
	dir   *directory.Directory
	sql   *databasetest.Statements
}

func each(t *testing.T, fn func(t *testing.T, w *world)) {
	databasetest.EachKind(t, func(t *testing.T, kind string) {
		t.Parallel() // it waits for the servers' disks
		counted := &databasetest.Statements{}
		fn(t, newWorld(t, databasetest.New(t, kind, database.Options{PoolSize: 4, Logger: counted}), counted))
	})
}

func newWorld(t *testing.T, db *database.Database, counted *databasetest.Statements) *world {
	t.Helper()
	w := &world{t: t, db: db, pools: session.Pools{Write: db.Write, Read: db.Read, Side: db.Side}, sql: counted}
	if !db.Dialect().Embedded() {
		w.pools.Proof = &session.Proof{DB: db.Side, Dialect: db.Dialect()}
	}
	if err := w.pools.Install(); err != nil {
		t.Fatal(err)
	}
	w.log = &changelog.Log{DB: db.Side, Dialect: db.Dialect(), Actor: func(context.Context) string { return "import:test" }}
	w.dir = directory.New(directory.Config{Log: w.log})
	return w
}

// job is an import of a text.
type job struct {
	transfer.Options
	name     string // of the file
	refusals string // the path of the file of refusals; "": the import stops
	source   transfer.SourceOptions
	report   func(transfer.Progress)
	ctx      context.Context
}

func (w *world) try(text string, j job) (transfer.Progress, error) {
	w.t.Helper()
	if j.Name == "" {
		j.Name = "test"
	}
	j.source.Name = j.name
	source, err := transfer.NewSource(strings.NewReader(text), j.source)
	if err != nil {
		return transfer.Progress{}, err
	}
	defer source.Close()
	im := &transfer.Import{Directory: w.dir, Pools: w.pools, Source: source, Options: j.Options, Report: j.report}
	if j.refusals != "" {
		if im.Refusals, err = transfer.OpenRefusals(j.refusals); err != nil {
			w.t.Fatal(err)
		}
		defer func() {
			if err := im.Refusals.Close(true); err != nil {
				w.t.Error(err)
			}
		}()
	}
	if j.ctx == nil {
		j.ctx = w.t.Context()
	}
	return im.Run(j.ctx)
}

// must imports a text and returns what was done, in short.
func (w *world) must(text string, j job) string {
	w.t.Helper()
	p, err := w.try(text, j)
	if err != nil {
		w.t.Fatal(err)
	}
	return short(p)
}

func short(p transfer.Progress) string {
	return fmt.Sprintf("created %d, updated %d, unchanged %d, refused %d, deactivated %d", p.Created, p.Updated, p.Unchanged, p.Refused, p.Deactivated)
}

// export returns all records, in the order of their texts.
func (w *world) export(snapshot bool) string {
	w.t.Helper()
	var text bytes.Buffer
	to, err := transfer.NewWriter(&text, "all.jsonl", "")
	if err != nil {
		w.t.Fatal(err)
	}
	ex := &transfer.Export{Directory: w.dir, Pools: w.pools, Snapshot: snapshot}
	if _, err := ex.Run(w.t.Context(), to); err != nil {
		w.t.Fatal(err)
	}
	if err := to.Close(); err != nil {
		w.t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSpace(text.String()), "\n")
	slices.Sort(lines)
	return strings.Join(lines, "\n")
}

// count returns a number that a query reads.
func (w *world) count(query string) (n int64) {
	w.t.Helper()
	if err := w.db.Side.QueryRowContext(w.t.Context(), query).Scan(&n); err != nil {
		w.t.Fatal(err)
	}
	return n
}

// wantNothingLeft fails if anything is left of an import but what it has brought in.
func (w *world) wantNothingLeft() {
	w.t.Helper()
	for _, table := range []string{"imports", "import_waiting", "import_users"} {
		if n := w.count("SELECT COUNT(*) FROM " + table); n != 0 {
			w.t.Errorf("%d rows are left in %s", n, table)
		}
	}
}

// managers returns who is whose manager, by their emails.
func (w *world) managers() string {
	w.t.Helper()
	var all []string
	for line := range strings.SplitSeq(w.export(false), "\n") {
		email, manager := between(line, `"email":"`, `@`), between(line, `"managerEmail":"`, `@`)
		if manager != "" {
			all = append(all, email+"<"+manager)
		}
	}
	return strings.Join(all, " ")
}

func between(text, before, after string) string {
	_, text, _ = strings.Cut(text, before)
	found, _, _ := strings.Cut(text, after)
	return found
}

// table is a table in CSV.
func table(header string, rows ...string) string {
	return header + "\n" + strings.Join(rows, "\n") + "\n"
}

func readFile(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		t.Fatal(err)
	}
	return string(text)
}

func refusals(t *testing.T) string { return filepath.Join(t.TempDir(), "errors.csv") }
