package database

import (
	"context"
	"database/sql"
	"fmt"
	"slices"
	"strings"

	"github.com/pressly/goose/v3"

	"rollcall/model"
)

const (
	deriveVersion = 7
	deriveBatch   = 500
)

// deriveMigration is the migration that derives from what is stored before it.
func (d *Database) deriveMigration() *goose.Migration {
	return goose.NewGoMigration(deriveVersion, &goose.GoFunc{RunDB: func(ctx context.Context, pool *sql.DB) error {
		return d.derive(ctx, transactions(ctx, pool))
	}}, nil)
}

// Derive puts right what is made of other columns and rows: the folded columns, the words that users are searched by and the counts of
// users and teams. What is written past the server lacks them. To do so again does no harm, nor beside another process or a server.
func (d *Database) Derive(ctx context.Context) error {
	return d.maintain(ctx, func(ctx context.Context, pool *sql.DB) error { return d.derive(ctx, transactions(ctx, pool)) })
}

// derive is Derive, in the transactions that begin gives it.
func (d *Database) derive(ctx context.Context, begin func(func(*sql.Tx) error) error) error {
	type batch = func(ctx context.Context, tx *sql.Tx, after int64) (last int64, err error)
	for _, batch := range []batch{d.deriveUsers, d.deriveTeams} {
		for after, last := int64(0), int64(1); last > 0; after = last {
			if err := begin(func(tx *sql.Tx) (err error) {
				last, err = batch(ctx, tx, after)
				return err
			}); err != nil {
				return err
			}
		}
	}
	for name, table := range map[string]string{"User": "users", "Team": "teams"} {
		if err := begin(func(tx *sql.Tx) error { return d.recount(ctx, tx, name, table) }); err != nil {
			return err
		}
	}
	return nil
}

// transactions returns what runs a function in a transaction, and again where another has overtaken it.
func transactions(ctx context.Context, pool *sql.DB) func(func(*sql.Tx) error) error {
	return func(fn func(*sql.Tx) error) error {
		return unlessOvertaken(func() error {
			tx, err := pool.BeginTx(ctx, nil)
			if err != nil {
				return err
			}
			defer func() { _ = tx.Rollback() }() // of no effect after COMMIT
			if err := fn(tx); err != nil {
				return err
			}
			return tx.Commit()
		})
	}
}

// deriveUsers goes on after a user, and returns the last one of its batch; 0: there are no more.
func (d *Database) deriveUsers(ctx context.Context, tx *sql.Tx, after int64) (last int64, err error) {
	columns := []string{"name_folded", "title_folded", "department_folded", "location_folded"}
	users, err := collect(ctx, tx, func(u *model.User) []any {
		return []any{
			&u.ID, &u.Name, &u.Email, &u.Title, &u.Department, &u.Location,
			&u.NameFolded, &u.TitleFolded, &u.DepartmentFolded, &u.LocationFolded,
		}
	}, d.batchOf("users", "name, email, title, department, location, "+strings.Join(columns, ", ")), after)
	if err != nil || len(users) == 0 {
		return 0, err
	}
	var changed []derived
	for i := range users {
		u := &users[i]
		values := func() []*string {
			return []*string{new(u.NameFolded), u.TitleFolded, u.DepartmentFolded, u.LocationFolded}
		}
		before := values()
		if u.Fold(); !slices.EqualFunc(before, values(), same) {
			changed = append(changed, derived{u.ID, values()})
		}
	}
	if err := d.store(ctx, tx, "users", columns, changed); err != nil {
		return 0, err
	}
	return users[len(users)-1].ID, d.deriveWords(ctx, tx, users)
}

// deriveTeams is deriveUsers for teams.
func (d *Database) deriveTeams(ctx context.Context, tx *sql.Tx, after int64) (last int64, err error) {
	teams, err := collect(ctx, tx, func(t *model.Team) []any { return []any{&t.ID, &t.Name, &t.NameFolded} },
		d.batchOf("teams", "name, name_folded"), after)
	if err != nil || len(teams) == 0 {
		return 0, err
	}
	var changed []derived
	for _, t := range teams {
		before := t.NameFolded
		if t.Fold(); t.NameFolded != before {
			changed = append(changed, derived{t.ID, []*string{&t.NameFolded}})
		}
	}
	return teams[len(teams)-1].ID, d.store(ctx, tx, "teams", []string{"name_folded"}, changed)
}

// batchOf reads some columns of a table's next rows, and locks these.
func (d *Database) batchOf(table, columns string) string {
	return d.product.Rebind(fmt.Sprintf("SELECT id, %s FROM %s WHERE id > ? ORDER BY id LIMIT %d%s", columns, table, deriveBatch, d.product.ForUpdate()))
}

// derived is a row's new values.
type derived struct {
	id     int64
	values []*string
}

func same(a, b *string) bool { return a == b || a != nil && b != nil && *a == *b }

// store stores the values of some columns in one statement.
func (d *Database) store(ctx context.Context, tx *sql.Tx, table string, columns []string, rows []derived) error {
	if len(rows) == 0 {
		return nil
	}
	var args []any
	assignments := make([]string, len(columns))
	for i, column := range columns {
		assignments[i] = column + " = CASE id" + strings.Repeat(" WHEN ? THEN ?", len(rows)) + " END"
		for _, row := range rows {
			args = append(args, row.id, row.values[i])
		}
	}
	for _, row := range rows {
		args = append(args, row.id)
	}
	_, err := tx.ExecContext(ctx, d.product.Rebind("UPDATE "+table+" SET "+strings.Join(assignments, ", ")+" WHERE id IN ("+marks("?", len(rows))+")"), args...)
	return err
}

// marks is a list of n placeholders, or of groups of these.
func marks(mark string, n int) string { return strings.TrimSuffix(strings.Repeat(mark+", ", n), ", ") }

// deriveWords writes anew the words of those users that have others than they should.
func (d *Database) deriveWords(ctx context.Context, tx *sql.Tx, users []model.User) error {
	type word struct {
		user int64
		text string
	}
	stored, err := collect(ctx, tx, func(w *word) []any { return []any{&w.user, &w.text} },
		d.product.Rebind("SELECT user_id, word FROM user_words WHERE user_id BETWEEN ? AND ? ORDER BY user_id, word"), users[0].ID, users[len(users)-1].ID)
	if err != nil {
		return err
	}
	have := map[int64][]string{}
	for _, w := range stored {
		have[w.user] = append(have[w.user], w.text)
	}
	var ids, words []any
	for _, u := range users {
		want := u.Words()
		if slices.Equal(have[u.ID], want) {
			continue
		}
		ids = append(ids, u.ID)
		for _, w := range want {
			words = append(words, w, u.ID)
		}
	}
	if len(ids) == 0 {
		return nil
	}
	if _, err := tx.ExecContext(ctx, d.product.Rebind("DELETE FROM user_words WHERE user_id IN ("+marks("?", len(ids))+")"), ids...); err != nil {
		return err
	}
	for chunk := range slices.Chunk(words, 2*deriveBatch) {
		if _, err := tx.ExecContext(ctx, d.product.Rebind("INSERT INTO user_words (word, user_id) VALUES "+marks("(?, ?)", len(chunk)/2)), chunk...); err != nil {
			return err
		}
	}
	return nil
}

// recount makes the sum of a type's deltas the number of its rows. What others insert meanwhile has a delta of its own. Of two that
// recount at once one waits, or fails and runs again, since both change one row.
func (d *Database) recount(ctx context.Context, tx *sql.Tx, name, table string) error {
	if _, err := tx.ExecContext(ctx, d.product.lockCounts); err != nil {
		return err
	}
	var missing int64 // by one statement, which sees one state
	err := tx.QueryRowContext(ctx, d.product.Rebind("SELECT (SELECT COUNT(*) FROM "+table+") - (SELECT COALESCE(SUM(delta), 0) FROM directory_counts WHERE name = ?)"),
		name).Scan(&missing)
	if err != nil || missing == 0 {
		return err
	}
	_, err = tx.ExecContext(ctx, d.product.Rebind("INSERT INTO directory_counts (name, delta) VALUES (?, ?)"), name, missing)
	return err
}
