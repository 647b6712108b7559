package population

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"

	"rollcall/database"
	"rollcall/model"
)

// Load fills an empty, migrated directory. What it does, and how fast, it tells progress.
func (s Size) Load(ctx context.Context, db *database.Database, progress func(format string, args ...any)) (err error) {
	conn, err := db.Pools()["write"].Conn(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, conn.Close()) }()
	l := &loader{conn: conn, kind: kinds[db.Dialect().Name()], progress: progress}
	for _, statement := range l.kind.before {
		if _, err := conn.ExecContext(ctx, statement); err != nil {
			return err
		}
	}
	restore, err := l.dropIndexes(ctx)
	if err != nil {
		return err
	}
	var words []word
	for _, t := range s.tables(&words) {
		if err := l.insert(ctx, t); err != nil {
			return fmt.Errorf("%s: %w", t.name, err)
		}
	}
	for _, statement := range append(restore, l.kind.after...) {
		began := time.Now()
		if _, err := conn.ExecContext(ctx, statement); err != nil {
			return fmt.Errorf("%s: %w", statement, err)
		}
		progress("%.60s: %.1f s", statement, time.Since(began).Seconds())
	}
	// The counts come last, so that a directory that has them is complete.
	return l.insert(ctx, table{"directory_counts", []string{"name", "delta"}, 2, slices.Values([][]any{{"User", s.Users}, {"Team", s.Teams}})})
}

// Complete reports whether a directory has been filled with so much.
func (s Size) Complete(ctx context.Context, db *database.Database) bool {
	var users, teams int
	row := db.Side.QueryRowContext(ctx, "SELECT COALESCE(SUM(CASE name WHEN 'User' THEN delta END), 0), COALESCE(SUM(CASE name WHEN 'Team' THEN delta END), 0) FROM directory_counts")
	return row.Scan(&users, &teams) == nil && users == s.Users && teams == s.Teams
}

// table is what a table is filled with.
type table struct {
	name    string
	columns []string
	size    int
	rows    iter.Seq[[]any]
}

// word is one that a user is found by.
type word struct {
	text string
	user int64
}

// tables returns all of them, each in the order of its primary key, which is the fastest to load. The words are gathered with the users.
func (s Size) tables(words *[]word) []table {
	return []table{
		usersTable(func(yield func(*model.User) bool) {
			for id := int64(1); id <= int64(s.Users) && yield(s.User(id)); id++ {
			}
		}, s.Users, words),
		{"teams", strings.Fields("id name description parent_id version created_at updated_at name_folded"), s.Teams, func(yield func([]any) bool) {
			for id := int64(1); id <= int64(s.Teams); id++ {
				t := s.Team(id)
				if !yield([]any{t.ID, t.Name, t.Description, t.ParentID, t.Version, t.CreatedAt, t.UpdatedAt, t.NameFolded}) {
					return
				}
			}
		}},
		{"memberships", strings.Fields("team_id user_id role version created_at"), s.Memberships(), func(yield func([]any) bool) {
			for _, m := range s.members() {
				m := s.Membership(m[0], m[1])
				if !yield([]any{m.TeamID, m.UserID, string(m.Role), m.Version, m.CreatedAt}) {
					return
				}
			}
		}},
		wordsTable(words),
	}
}

// usersTable is the table of some users, n of them, whose words are gathered.
func usersTable(users iter.Seq[*model.User], n int, words *[]word) table {
	return table{"users", strings.Fields("id name email manager_id title department phone location time_zone photo_url external_id " +
		"status version created_at updated_at name_folded title_folded department_folded location_folded"), n, func(yield func([]any) bool) {
		for u := range users {
			for _, text := range u.Words() {
				*words = append(*words, word{text, u.ID})
			}
			if !yield([]any{
				u.ID, u.Name, u.Email, u.ManagerID, u.Title, u.Department, u.Phone, u.Location, u.TimeZone, u.PhotoURL, u.ExternalID,
				string(u.Status), u.Version, u.CreatedAt, u.UpdatedAt, u.NameFolded, u.TitleFolded, u.DepartmentFolded, u.LocationFolded,
			}) {
				return
			}
		}
	}}
}

// wordsTable is the table of the words that were gathered.
func wordsTable(words *[]word) table {
	return table{"user_words", []string{"word", "user_id"}, 0, func(yield func([]any) bool) {
		slices.SortFunc(*words, func(a, b word) int { return cmp.Or(strings.Compare(a.text, b.text), cmp.Compare(a.user, b.user)) })
		for _, w := range *words {
			if !yield([]any{w.text, w.user}) {
				return
			}
		}
	}}
}

// members returns the team and the user of each membership, in order.
func (s Size) members() [][2]int64 {
	all := make([][2]int64, 0, s.Memberships())
	for user := int64(1); user <= int64(s.Users); user++ {
		for _, team := range s.TeamsOf(user) {
			all = append(all, [2]int64{team, user})
		}
	}
	slices.SortFunc(all, func(a, b [2]int64) int { return cmp.Or(cmp.Compare(a[0], b[0]), cmp.Compare(a[1], b[1])) })
	return all
}

// kind is what the loading of one kind of database needs.
type kind struct {
	before, after []string
	// indexes selects a statement that drops an index and one that makes it again.
	indexes string
	copies  bool // it has COPY
}

// Keys are not checked, since all of them are right.
var kinds = map[string]kind{
	"sqlite": {
		before: []string{"PRAGMA foreign_keys = OFF", "PRAGMA synchronous = OFF", "PRAGMA cache_size = -65536"},
		after:  []string{"ANALYZE", "PRAGMA wal_checkpoint(TRUNCATE)"},
		indexes: "SELECT 'DROP INDEX ' || name, sql FROM sqlite_master WHERE type = 'index' AND sql IS NOT NULL" +
			" AND tbl_name IN ('users', 'teams', 'memberships', 'user_words')",
	},
	"mysql": {
		before: []string{"SET foreign_key_checks = 0, unique_checks = 0"},
		after:  []string{"ANALYZE TABLE users, teams, memberships, user_words"},
		// Those of foreign keys cannot be dropped, and are nearly in order; nor can that of a generated id.
		indexes: "SELECT CONCAT('ALTER TABLE ', table_name, ' DROP KEY ', index_name), CONCAT('ALTER TABLE ', table_name, ' ADD ', IF(non_unique, '', 'UNIQUE '), 'KEY '," +
			" index_name, ' (', GROUP_CONCAT(column_name ORDER BY seq_in_index), ')') FROM information_schema.statistics WHERE table_schema = DATABASE()" +
			" AND table_name IN ('users', 'teams', 'memberships', 'user_words') AND index_name <> 'PRIMARY' GROUP BY table_name, index_name, non_unique" +
			" HAVING SUM(seq_in_index = 1 AND column_name IN ('id', 'manager_id', 'parent_id', 'team_id', 'user_id')) = 0",
	},
	"postgres": {
		before: []string{"SET session_replication_role = replica", "SET maintenance_work_mem = '256MB'"},
		after:  []string{"RESET session_replication_role", "RESET maintenance_work_mem", "VACUUM (ANALYZE)"},
		indexes: "SELECT 'DROP INDEX ' || i.indexrelid::regclass, pg_get_indexdef(i.indexrelid) FROM pg_index i" +
			" WHERE i.indrelid IN ('users'::regclass, 'teams'::regclass, 'memberships'::regclass, 'user_words'::regclass)" +
			" AND NOT EXISTS (SELECT 1 FROM pg_constraint c WHERE c.conindid = i.indexrelid)",
		copies: true,
	},
}

type loader struct {
	conn     *sql.Conn
	kind     kind
	progress func(format string, args ...any)
}

// dropIndexes drops the indexes that are faster made at once, and returns the statements that make them.
func (l *loader) dropIndexes(ctx context.Context) (restore []string, err error) {
	rows, err := l.conn.QueryContext(ctx, l.kind.indexes)
	if err != nil {
		return nil, err
	}
	defer func() { _ = rows.Close() }()
	var drops []string
	for rows.Next() {
		var drop, create string
		if err := rows.Scan(&drop, &create); err != nil {
			return nil, err
		}
		drops, restore = append(drops, drop), append(restore, create)
	}
	if err := errors.Join(rows.Err(), rows.Close()); err != nil {
		return nil, err
	}
	for _, drop := range drops {
		if _, err := l.conn.ExecContext(ctx, drop); err != nil {
			return nil, err
		}
	}
	return restore, nil
}

// insert fills a table.
func (l *loader) insert(ctx context.Context, t table) error {
	began, told, n := time.Now(), time.Now(), 0
	report := func() {
		l.progress("%s: %d of %d rows, %.0f a second", t.name, n, max(t.size, n), float64(n)/time.Since(began).Seconds())
		told = time.Now()
	}
	counted := func(yield func([]any) bool) {
		for row := range t.rows {
			if !yield(row) {
				return
			}
			if n++; n%1000 == 0 && time.Since(told) > 10*time.Second {
				report()
			}
		}
	}
	var err error
	if l.kind.copies {
		err = l.copy(ctx, t, counted)
	} else {
		err = l.insertRows(ctx, t, counted)
	}
	report()
	return err
}

// copy fills a table with COPY.
func (l *loader) copy(ctx context.Context, t table, rows iter.Seq[[]any]) error {
	next, stop := iter.Pull(rows)
	defer stop()
	return l.conn.Raw(func(c any) error {
		_, err := c.(*stdlib.Conn).Conn().CopyFrom(ctx, pgx.Identifier{t.name}, t.columns, pgx.CopyFromFunc(func() ([]any, error) {
			row, _ := next()
			return row, nil // nil: there are no more
		}))
		return err
	})
}

const (
	maxParameters = 10_000 // of a statement; SQLite takes 32,766
	transaction   = 50     // statements
)

// insertRows fills a table with statements of many rows, in transactions of many statements.
func (l *loader) insertRows(ctx context.Context, t table, rows iter.Seq[[]any]) (err error) {
	var tx *sql.Tx
	defer func() {
		if err != nil && tx != nil {
			_ = tx.Rollback()
		}
	}()
	row := "(" + strings.Repeat("?, ", len(t.columns)-1) + "?)"
	size := maxParameters / len(t.columns)
	var args []any
	statements := 0
	flush := func() (err error) {
		if len(args) == 0 {
			return nil
		}
		if tx == nil {
			if tx, err = l.conn.BeginTx(ctx, nil); err != nil {
				return err
			}
		}
		n := len(args) / len(t.columns)
		text := "INSERT INTO " + t.name + " (" + strings.Join(t.columns, ", ") + ") VALUES " + row + strings.Repeat(", "+row, n-1)
		_, err = tx.ExecContext(ctx, text, args...)
		args = args[:0]
		if statements++; err == nil && statements%transaction == 0 {
			err, tx = tx.Commit(), nil
		}
		return err
	}
	for values := range rows {
		if args = append(args, values...); len(args) == size*len(t.columns) {
			if err := flush(); err != nil {
				return err
			}
		}
	}
	if err := flush(); err != nil || tx == nil {
		return err
	}
	err, tx = tx.Commit(), nil
	return err
}
