// Package changelog keeps one row for each change of an object, in the order in which readers see them: who has read everything up to
// a position and asks for more misses nothing, doubles nothing, and gets the changes of an object in the order of its versions.
//
// A row is written by the very transaction that changes the object (Append), as its last write. Its number says nothing of the order in
// which transactions are committed: one that began earlier may end later, and whoever remembered the highest number would miss it. So each
// row has a position besides, which is given in one of two ways (Numbering):
//
//   - InOrder: the transaction itself moves the clock, the one row of changes_clock, and takes positions from it. The row's lock
//     makes mutations queue from there to the end of their COMMITs. Where one transaction writes at a time, they do so anyway.
//   - Afterwards: rows are committed without a position. Then the server that has committed them gives positions to all rows that are
//     there without one, in a transaction that locks the clock. What it sees is committed, and what is not yet gets a later position.
//
// With both, positions appear in their order and without gaps, since the clock's row is locked until they are committed. A change that was
// made after another one was seen, of the same object or not, has a later position: see number.
package changelog

import (
	"cmp"
	"context"
	"database/sql"
	"log/slog"
	"time"

	"rollcall/dialect"
	"rollcall/model"
)

// Numbering is how rows get their positions.
type Numbering int

// The ways.
const (
	ByDialect  Numbering = iota // InOrder for an embedded database, Afterwards for others
	InOrder                     // by the transaction that writes them
	Afterwards                  // by the server that has committed them
)

// Log is the change log of one database. Its zero value writes, and leaves it to others to number and to read.
type Log struct {
	// DB is a pool that may write, of connections at READ COMMITTED; best one whose connections mutations do not wait for.
	DB      *sql.DB
	Dialect dialect.Dialect // DB's
	// Numbering is the same in each process at one database.
	Numbering Numbering
	// Actor returns who the operation that ctx belongs to acts for; nil: that is not known.
	Actor func(ctx context.Context) string
	// MaxScan is how many changes a page looks at, at most, where it has a filter that no index serves; 0: 50,000.
	MaxScan int64
	// Keep is how long changes are kept, by their times, unless Sweep is not called: 0 is for ever.
	Keep time.Duration
	// Floor returns the position up to which changes may be deleted, if there is one, since others still need those after it; nil: there is none.
	Floor func(ctx context.Context) (position int64, ok bool, err error)
	// Logger hears why rows could not be numbered; slog.Default() where it is nil.
	Logger *slog.Logger

	numberer numberer
}

func (l *Log) logger() *slog.Logger { return cmp.Or(l.Logger, slog.Default()) }

// inOrder reports whether mutations number their own rows, in a database of a dialect.
func (l *Log) inOrder(d dialect.Dialect) bool {
	return l.Numbering == InOrder || l.Numbering == ByDialect && d.Embedded()
}

// columns are those of a change, in the order of targets and values.
const columns = "position, at, kind, type, object_id, version, user_id, team_id, actor, operation_id, ends_operation, erased, fields"

// Now is how far the log is.
type Now struct {
	Cursor     Cursor // at the last change that has a position
	Expired    int64  // the position up to which rows may have been deleted
	Unnumbered bool   // committed changes wait for their positions
}

// isUnnumbered is whether committed changes wait for their positions.
const isUnnumbered = "EXISTS (SELECT 1 FROM changes WHERE position IS NULL)"

const selectClock = "SELECT k.position, k.operation_id, k.expired, " + isUnnumbered + " FROM changes_clock k"

// Now tells how far the log is, in one statement. ctx may belong to a session, in which that is run; else DB runs it.
func (l *Log) Now(ctx context.Context) (now Now, err error) {
	var operation string
	err = l.query(ctx, selectClock, nil, func(rows *sql.Rows) error {
		return rows.Scan(&now.Cursor.Position, &operation, &now.Expired, &now.Unnumbered)
	})
	now.Cursor.Mark = mark(operation)
	return now, err
}

// row is what database/sql scans of a change.
type row struct {
	position, at                sql.NullInt64
	kind, typ, operation        sql.NullString
	object, version, user, team sql.NullInt64
	actor                       sql.NullString
	ends, erased                sql.NullBool
	fields                      sql.RawBytes
}

func (c *row) targets() []any {
	return []any{&c.position, &c.at, &c.kind, &c.typ, &c.object, &c.version, &c.user, &c.team, &c.actor, &c.operation, &c.ends, &c.erased, &c.fields}
}

func (c *row) change() *model.Change {
	optional := func(n sql.NullInt64) *int64 {
		if !n.Valid {
			return nil
		}
		return &n.Int64
	}
	change := &model.Change{
		Position: c.position.Int64, At: timeOf(c.at.Int64), Kind: model.ChangeKind(c.kind.String), Type: model.ChangeType(c.typ.String),
		ObjectID: c.object.Int64, Version: c.version.Int64, UserID: optional(c.user), TeamID: optional(c.team), OperationID: c.operation.String,
		EndsOperation: c.ends.Bool, Erased: c.erased.Bool, Fields: append([]byte(nil), c.fields...),
	}
	change.Cursor = CursorOf(change).String()
	if c.actor.Valid {
		change.Actor = &c.actor.String
	}
	return change
}
