package changelog

import (
	"cmp"
	"context"
	"database/sql"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"rollcall/apierror"
	"rollcall/keyset"
	"rollcall/model"
	"rollcall/session"
)

// Object names an object.
type Object struct {
	Type model.ChangeType
	ID   int64
}

// Query asks for changes in the order of the log.
type Query struct {
	After *Cursor // nil: from the oldest change that is kept
	Field string  // the input that has it, for errors
	Limit int     // how many at most
	// Patience is until when Read waits for a database that has not got to After yet; zero: a second.
	Patience time.Time

	Kinds   []model.ChangeKind // nil: of every kind
	Types   []model.ChangeType // nil: of objects of every type
	Except  []model.ChangeType // and not of these, which few changes are of
	Objects []Object           // nil: of all objects
	Users   []int64            // nil: whatever the user that the object is or belongs to
	Teams   []int64            // nil: likewise for the team
}

// Page is some changes in the order of the log. Where few of them meet the filter it may have none although there are more.
type Page struct {
	Changes []*model.Change
	Until   Cursor // whoever has the page has everything up to here that was asked for
	More    bool   // there are more changes by now

	Unnumbered bool // committed changes wait for their positions, and may be others by now
}

// CatchUp is how long a reader waits for a database that has not got to a cursor yet, as a node of a cluster may that gets another's writes.
const CatchUp = time.Second

// Read reads a page with one statement, and so as of one moment. ctx may belong to a session, in which that is run; else DB runs it. The
// error is CURSOR_EXPIRED where changes after the cursor may be gone.
func (l *Log) Read(ctx context.Context, q Query) (*Page, error) {
	until := q.Patience
	if until.IsZero() {
		until = time.Now().Add(CatchUp)
	}
	for pause := 20 * time.Millisecond; ; pause *= 2 {
		page, now, err := l.read(ctx, q)
		if apierror.CodeOf(err) != CodeExpired || q.After.Position <= now || time.Now().After(until) {
			return page, err
		}
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
}

// read is Read, once. It also returns the position of the clock.
func (l *Log) read(ctx context.Context, q Query) (*Page, int64, error) {
	scan := q.scan(cmp.Or(l.MaxScan, 50_000))
	text, args := q.statement(scan)
	var now, gone int64
	var last, lastGone string
	var marked, passed sql.NullString
	page := &Page{}
	err := l.query(ctx, text, args, func(rows *sql.Rows) error {
		var c row
		err := rows.Scan(append([]any{&now, &last, &gone, &lastGone, &marked, &passed, &page.Unnumbered}, c.targets()...)...)
		if err == nil && c.position.Valid {
			page.Changes = append(page.Changes, c.change())
		}
		return err
	})
	if err != nil {
		return nil, 0, err
	}
	if at := q.After; at != nil {
		if at.Position == gone {
			marked = sql.NullString{String: lastGone, Valid: true}
		}
		if at.Position < gone || at.Position > now || !marked.Valid || mark(marked.String) != at.Mark {
			return nil, now, expired(q.Field)
		}
	}
	page.Until = At(now, last)
	if end := q.from(At(gone, lastGone)).Position + scan; scan > 0 && end < now && len(page.Changes) <= q.Limit {
		page.More, page.Until = true, At(end, passed.String)
		return page, now, nil
	}
	if page.More = len(page.Changes) > q.Limit; page.More {
		page.Changes = page.Changes[:q.Limit]
		page.Until = q.from(At(gone, lastGone))
	}
	if n := len(page.Changes); page.More && n > 0 {
		page.Until = CursorOf(page.Changes[n-1])
	}
	return page, now, nil
}

// from is where the query reads from, where changes up to a cursor may be gone.
func (q Query) from(gone Cursor) Cursor {
	if q.After == nil {
		return gone
	}
	return *q.After
}

// scan is how many changes are looked at, at most: as many as given, or 0 for as many as it takes.
func (q Query) scan(most int64) int64 {
	if len(q.Objects)+len(q.Users) > 0 || len(q.Kinds)+len(q.Types)+len(q.Teams) == 0 {
		return 0
	}
	return most
}

// statement reads with each change the clock, and the operations of the change that the cursor is at and of the last one that is looked at. It reads one more than were asked for. The changes
// are limited by themselves: no database but SQLite would see that it may follow the index of their positions and need not sort them.
func (q Query) statement(scan int64) (text string, args []any) {
	var b strings.Builder
	at := func(plus int64) string { // a position that is so far behind the one that is read from
		if q.After == nil {
			return "(SELECT expired FROM changes_clock WHERE id = 1) + " + strconv.FormatInt(plus, 10)
		}
		args = append(args, q.After.Position+plus)
		return "?"
	}
	operation := func(wanted bool, plus int64) string {
		if !wanted {
			return "NULL"
		}
		return "(SELECT m.operation_id FROM changes m WHERE m.position = " + at(plus) + ")"
	}
	b.WriteString("SELECT k.position, k.operation_id, k.expired, k.expired_operation_id, " + operation(q.After != nil, 0) + ", " + operation(scan > 0, scan) + ", " + isUnnumbered +
		", c.* FROM changes_clock k LEFT JOIN (SELECT " + columns + " FROM changes WHERE position > " + at(0))
	if scan > 0 {
		b.WriteString(" AND position <= " + at(scan))
	}
	b.WriteString(among("kind", q.Kinds, &args))
	b.WriteString(among("type", q.Types, &args))
	b.WriteString(strings.Replace(among("type", q.Except, &args), " IN ", " NOT IN ", 1))
	b.WriteString(among("user_id", q.Users, &args))
	b.WriteString(among("team_id", q.Teams, &args))
	if len(q.Objects) > 0 {
		ids := map[model.ChangeType][]int64{}
		for _, o := range q.Objects {
			ids[o.Type] = append(ids[o.Type], o.ID)
		}
		var alternatives []string
		for _, typ := range slices.Sorted(maps.Keys(ids)) { // the same question, the same statement
			args = append(args, typ)
			alternatives = append(alternatives, "type = ?"+among("object_id", ids[typ], &args))
		}
		b.WriteString(" AND (" + strings.Join(alternatives, " OR ") + ")")
	}
	b.WriteString(" ORDER BY position LIMIT " + strconv.Itoa(q.Limit+1) + ") c ON 1 = 1 WHERE k.id = 1 ORDER BY c.position")
	return b.String(), args
}

// among is the condition, with AND before it, that a column has one of some values; "": any.
func among[V any](column string, values []V, args *[]any) string {
	if len(values) == 0 {
		return ""
	}
	for _, v := range values {
		*args = append(*args, v)
	}
	return " AND " + column + " IN (" + keyset.Marks(len(values)) + ")"
}

// query runs a statement in the session of ctx, or on DB.
func (l *Log) query(ctx context.Context, text string, args []any, row func(*sql.Rows) error) error {
	if _, err := session.FromContext(ctx); err == nil {
		return session.Query(ctx, text, args, row)
	}
	rows, err := l.DB.QueryContext(ctx, l.Dialect.Rebind(text), args...)
	if err != nil {
		return err
	}
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		if err := row(rows); err != nil {
			return err
		}
	}
	return rows.Err()
}
