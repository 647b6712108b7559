package databasetest

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

// recycled returns the URL of a copy on MySQL. When its test has ended it is a spare one, unless it cannot be made what it was.
func (t *template) recycled(tb testing.TB, content Content) string {
	tb.Helper()
	name := t.takeSpare()
	if name == "" {
		name = randomName()
		if _, err := t.admin.ExecContext(tb.Context(), "CREATE DATABASE "+name); err != nil {
			tb.Fatalf("create a database on %s: %v", t.server.Redacted(), err)
		}
		if err := fill(tb.Context(), at(t.server, name), content); err != nil {
			dropAtEnd(tb, t.kind, t.admin, name)
			tb.Fatal(err)
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

// goneTimeout is how long killed connections may take to end.
const goneTimeout = 20 * time.Second

// restore makes a copy what the template is, or says why it cannot.
func (t *template) restore(ctx context.Context, name string) error {
	for end := time.Now().Add(goneTimeout); ; time.Sleep(time.Millisecond) { // a connection may write for as long as it is there
		if n, err := kill(ctx, t.admin, name); n == 0 || err != nil {
			if err != nil {
				return err
			}
			break
		}
		if time.Now().After(end) {
			return errors.New("its connections do not end")
		}
	}
	have, err := schemaOf(ctx, t.admin, name)
	if err != nil {
		return err
	}
	for table := range have.tables {
		if _, ours := t.schema.tables[table]; !ours {
			if _, err := t.admin.ExecContext(ctx, fmt.Sprintf("DROP TABLE %s.`%s`", name, table)); err != nil {
				return err
			}
			delete(have.tables, table)
		}
	}
	if !maps.Equal(have.tables, t.schema.tables) || !slices.Equal(have.others, t.schema.others) {
		return errors.New("its schema is not the template's")
	}
	if err := t.restoreRows(ctx, name); err != nil {
		return err
	}
	for table, next := range t.schema.next {
		if have.next[table] != next {
			if _, err := t.admin.ExecContext(ctx, fmt.Sprintf("ALTER TABLE %s.`%s` AUTO_INCREMENT = %s", name, table, next)); err != nil {
				return err
			}
		}
	}
	return nil
}

// restoreRows copies the tables whose rows are not the template's.
func (t *template) restoreRows(ctx context.Context, name string) error {
	changed, err := t.changed(ctx, name)
	if err != nil || len(changed) == 0 {
		return err
	}
	tx, err := t.admin.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer func() { _ = tx.Rollback() }()
	for _, table := range changed {
		copied, original := fmt.Sprintf("%s.`%s`", name, table), fmt.Sprintf("%s.`%s`", t.name, table)
		_, err := tx.ExecContext(ctx, "DELETE FROM "+copied)
		if err == nil {
			_, err = tx.ExecContext(ctx, "INSERT INTO "+copied+" SELECT * FROM "+original)
		}
		if err != nil {
			return err
		}
	}
	if err := tx.Commit(); err != nil {
		return err
	}
	if changed, err = t.changed(ctx, name); err == nil && len(changed) > 0 {
		err = fmt.Errorf("its rows are not the template's: %v", changed)
	}
	return err
}

// changed returns the tables of a copy whose rows are not the template's.
func (t *template) changed(ctx context.Context, name string) (tables []string, err error) {
	var all []string
	for table := range t.schema.tables {
		all = append(all, fmt.Sprintf("%s.`%s`, %s.`%[2]s`", name, table, t.name))
	}
	rows, err := t.admin.QueryContext(ctx, "CHECKSUM TABLE "+strings.Join(all, ", "))
	if err != nil {
		return nil, err
	}
	defer func() { _ = rows.Close() }()
	sums := map[string]int64{}
	for rows.Next() {
		var table string
		var sum int64
		if err := rows.Scan(&table, &sum); err != nil {
			return nil, err
		}
		sums[table] = sum
	}
	for table := range t.schema.tables {
		if sums[name+"."+table] != sums[t.name+"."+table] {
			tables = append(tables, table)
		}
	}
	return tables, rows.Err()
}

// schema is all that a database on MySQL consists of but rows.
type schema struct {
	tables map[string]string // the definition of each
	next   map[string]string // the next id of each that numbers its rows
	others []string          // what else there is
}

var nextID = regexp.MustCompile(` AUTO_INCREMENT=([0-9]+)`)

func schemaOf(ctx context.Context, admin *sql.DB, name string) (schema, error) {
	s := schema{tables: map[string]string{}, next: map[string]string{}}
	tables, err := texts(ctx, admin, "SELECT table_name FROM information_schema.tables WHERE table_schema = ? AND table_type = 'BASE TABLE'", name)
	if err != nil {
		return s, err
	}
	for _, table := range tables {
		var is, definition string
		if err := admin.QueryRowContext(ctx, fmt.Sprintf("SHOW CREATE TABLE %s.`%s`", name, table)).Scan(&is, &definition); err != nil {
			return s, err
		}
		s.next[table] = "1"
		if next := nextID.FindStringSubmatch(definition); next != nil {
			s.next[table] = next[1]
		}
		s.tables[table] = nextID.ReplaceAllString(definition, "")
	}
	s.others, err = texts(ctx, admin, `SELECT CONCAT(default_character_set_name, ' ', default_collation_name) FROM information_schema.schemata WHERE schema_name = ?
		UNION ALL SELECT CONCAT('view ', table_name) FROM information_schema.views WHERE table_schema = ?
		UNION ALL SELECT CONCAT('trigger ', trigger_name) FROM information_schema.triggers WHERE trigger_schema = ?
		UNION ALL SELECT CONCAT('routine ', routine_name) FROM information_schema.routines WHERE routine_schema = ?
		UNION ALL SELECT CONCAT('event ', event_name) FROM information_schema.events WHERE event_schema = ?`, name, name, name, name, name)
	return s, err
}
