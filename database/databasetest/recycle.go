package databasetest

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"maps"
	"testing"
	"time"
)

// inventory is all that a database holds. Tables have plain names.
type inventory struct {
	tables map[string]string // the definition of each
	others string            // what there is besides tables
	rows   map[string]string // the sum of each table's rows
	next   map[string]string // of each table, or sequence, that numbers rows: how far it is
}

// used is a database whose test has ended.
type used interface {
	inventory(ctx context.Context) (inventory, error)
	dropTable(ctx context.Context, table string) error
	copyRows(ctx context.Context, t *template, tables []string) error
	setNext(ctx context.Context, name, next string) error // as inventory.next has them
	close() error
}

func (t *template) used(name string) (used, error) {
	if t.kind == "postgres" {
		db, err := sql.Open("pgx", at(t.server, name))
		return &postgresDatabase{db}, err
	}
	return &mysqlDatabase{t.admin, name}, nil
}

// recycled returns the URL of a copy on a server. When its test has ended it is a spare one, unless it cannot be made what it was.
func (t *template) recycled(tb testing.TB, content Content) string {
	tb.Helper()
	name := t.takeSpare()
	if name == "" {
		name = randomName()
		if err := t.copy(tb.Context(), name, content); err != nil {
			tb.Fatalf("create a database on %s: %v", t.server.Redacted(), errors.Join(err, drop(t.kind, t.admin, name)))
		}
	}
	tb.Cleanup(func() {
		err := errors.New("its test has failed")
		if !tb.Failed() {
			err = t.restore(context.Background(), name) // the test's own context has ended
		}
		if err != nil {
			tb.Logf("the database %s is not used again: %v", name, err)
			dropAtEnd(tb, t.kind, t.admin, name)
			return
		}
		t.mu.Lock()
		defer t.mu.Unlock()
		t.spare = append(t.spare, name)
	})
	return at(t.server, name)
}

func (t *template) takeSpare() (name string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if n := len(t.spare); n > 0 {
		name, t.spare = t.spare[n-1], t.spare[:n-1]
	}
	return name
}

// copy creates a database that holds what the template does.
func (t *template) copy(ctx context.Context, name string, content Content) error {
	if t.kind == "postgres" {
		_, err := t.admin.ExecContext(ctx, "CREATE DATABASE "+name+" TEMPLATE "+t.name)
		return err
	}
	if _, err := t.admin.ExecContext(ctx, "CREATE DATABASE "+name); err != nil {
		return err
	}
	return fill(ctx, at(t.server, name), content)
}

// restore makes a copy what the template is, or says why it cannot.
func (t *template) restore(ctx context.Context, name string) error {
	if err := t.disconnect(ctx, name); err != nil {
		return err
	}
	d, err := t.used(name)
	if err != nil {
		return err
	}
	return errors.Join(t.restoreUsed(ctx, d), d.close())
}

// goneTimeout is how long killed connections may take to end.
const goneTimeout = time.Minute

// disconnect ends the connections to a database. For as long as one is there it may write.
func (t *template) disconnect(ctx context.Context, name string) error {
	for end := time.Now().Add(goneTimeout); ; time.Sleep(time.Millisecond) {
		n, err := kill(ctx, t.kind, t.admin, name)
		if n == 0 || err != nil {
			return err
		}
		if time.Now().After(end) {
			return errors.New("its connections do not end")
		}
	}
}

func (t *template) restoreUsed(ctx context.Context, d used) error {
	have, err := d.inventory(ctx)
	if err != nil {
		return err
	}
	for table := range have.tables {
		if _, ours := t.holds.tables[table]; !ours {
			if err := d.dropTable(ctx, table); err != nil {
				return err
			}
			delete(have.tables, table)
		}
	}
	if have.others != t.holds.others || !maps.Equal(have.tables, t.holds.tables) {
		return errors.New("its schema is not what it was")
	}
	var changed []string
	for table, sum := range t.holds.rows {
		if have.rows[table] != sum {
			changed = append(changed, table)
		}
	}
	if len(changed) > 0 {
		if err := d.copyRows(ctx, t, changed); err != nil {
			return err
		}
	}
	numbered := false
	for name, next := range t.holds.next {
		if have.next[name] != next {
			numbered = true
			if err := d.setNext(ctx, name, next); err != nil {
				return err
			}
		}
	}
	if len(changed) == 0 && !numbered {
		return nil
	}
	if have, err = d.inventory(ctx); err != nil {
		return err
	}
	if !maps.Equal(have.rows, t.holds.rows) || !maps.Equal(have.next, t.holds.next) {
		return fmt.Errorf("it holds %v and %v instead of %v and %v", have.rows, have.next, t.holds.rows, t.holds.next)
	}
	return nil
}
