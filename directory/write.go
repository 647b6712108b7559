package directory

import (
	"context"
	"slices"
	"strings"
	"time"

	"gorm.io/gorm"
	"gorm.io/gorm/clause"

	"rollcall/batch"
	"rollcall/dialect"
	"rollcall/entity"
	"rollcall/keyset"
	"rollcall/model"
	"rollcall/session"
)

// Every write of objects of a type goes through this file: they are stored, with the words that they are found by and the number of their
// like, what was loaded before is forgotten, and what waits for changes gets them once they are committed. However many there
// are, the number of statements is the same, up to MaxBulk.

// written is a row of a type that is written.
type written[T any] interface {
	*T
	// Fold sets what it is found and ordered by.
	Fold()
	// Advance makes it the next version of itself, as of a time, and returns the columns that this sets.
	Advance(now time.Time) (columns []string)
	// Key returns what no two rows share besides their numbers.
	Key() string
	// Logged returns what the log of changes has of it besides its fields: its version, and the user and the team that it is or belongs to.
	Logged() (version int64, user, team *int64)
}

// insert adds rows.
func insert[T any, P written[T]](ctx context.Context, d *Directory, o *entity.Object[T], rows []P) error {
	now := session.DB(ctx).NowFunc()
	for chunk := range slices.Chunk(rows, MaxBulk) {
		if err := insertRows(ctx, o, now, chunk); err != nil {
			return o.Conflict(err)
		}
	}
	if len(rows) == 0 {
		return nil
	}
	objects := pointers(rows)
	if err := o.StoreWords(ctx, false, objects...); err != nil {
		return err
	}
	if err := o.StoreCount(ctx, len(rows)); err != nil {
		return err
	}
	wrote[T, P](ctx, d, o, model.Created, now, nil, objects)
	return nil
}

// insertRows stores rows, as of a time unless they have some, and gives them numbers in their order, unless they have some. MySQL tells the first one: the others follow in the
// steps that a cluster sets. PostgreSQL is asked for them first, so that the rows can be inserted in the order of their keys: of two
// mutations that add the same rows at a time in different orders each would wait for the other, and PostgreSQL looks for that
// once a second only, where the others do at once.
func insertRows[T any, P written[T]](ctx context.Context, o *entity.Object[T], now time.Time, rows []P) error {
	for _, row := range rows {
		row.Fold()
	}
	db := session.DB(ctx).Session(&gorm.Session{NowFunc: func() time.Time { return now }})
	if len(rows) == 1 {
		return db.Create(rows[0]).Error
	}
	numbered := o.ID(rows[0]) != 0
	if next := dialect.OfDB(db).NextIDs(o.Table(), len(rows)); next != "" && !numbered {
		ids, err := entity.Numbers(ctx, next)
		if err != nil {
			return err
		}
		for i, row := range rows {
			o.SetID(row, ids[i])
		}
		return db.Create(slices.SortedFunc(slices.Values(rows), func(a, b P) int { return strings.Compare(a.Key(), b.Key()) })).Error
	}
	if err := db.Create(rows).Error; err != nil || numbered || dialect.OfDB(db) != dialect.MySQL {
		return err
	}
	step, err := entity.Numbers(ctx, "SELECT CAST(@@auto_increment_increment AS SIGNED)")
	if err != nil {
		return err
	}
	for i, row := range rows {
		o.SetID(row, o.ID(rows[0])+int64(i)*step[0])
	}
	return nil
}

// edit is a change of a row, which was read with a lock so that no version is given twice.
type edit[T any] struct {
	before, row *T
	columns     []string // that the change sets
	fresh       bool     // the row was added by the same mutation, and the change completes that
}

// update stores edits, and makes each row its next version.
func update[T any, P written[T]](ctx context.Context, d *Directory, o *entity.Object[T], edits []edit[T]) error {
	return updateAs[T, P](ctx, d, o, edits, model.Updated)
}

// updateAs is update for changes of a kind.
func updateAs[T any, P written[T]](ctx context.Context, d *Directory, o *entity.Object[T], edits []edit[T], kind model.ChangeKind) error {
	if len(edits) == 0 {
		return nil
	}
	db := session.DB(ctx)
	now := db.NowFunc()
	var columns []string
	var rows, before, changed, completed, found []*T
	for _, e := range edits {
		row := P(e.row)
		row.Fold()
		columns = append(columns, e.columns...)
		rows = append(rows, e.row)
		if e.fresh {
			completed = append(completed, e.row)
			continue
		}
		columns = append(columns, row.Advance(now)...)
		before, changed = append(before, e.before), append(changed, e.row)
		if !slices.Equal(o.Words(e.before), o.Words(e.row)) {
			found = append(found, e.row)
		}
	}
	columns = slices.Compact(slices.Sorted(slices.Values(columns)))
	for chunk := range slices.Chunk(rows, MaxBulk) {
		if err := updateRows(ctx, chunk, columns); err != nil {
			return o.Conflict(err)
		}
	}
	if len(found) > 0 {
		if err := o.StoreWords(ctx, true, found...); err != nil {
			return err
		}
	}
	wrote[T, P](ctx, d, o, kind, now, before, changed)
	for _, row := range completed { // which wrote has made the loaders forget
		o.ByID().Prime(ctx, o.ID(row), row)
	}
	return nil
}

// updateRows stores columns of rows that are there: of several by an INSERT that finds them all there, for an UPDATE would set
// each column to one value.
func updateRows[T any](ctx context.Context, rows []*T, columns []string) error {
	db := session.DB(ctx)
	if len(rows) == 1 {
		return db.Model(rows[0]).Select(columns).UpdateColumns(rows[0]).Error
	}
	return db.Clauses(clause.OnConflict{Columns: []clause.Column{{Name: "id"}}, DoUpdates: clause.AssignmentColumns(columns)}).Create(rows).Error
}

// remove deletes rows, after what belongs to them.
func remove[T any, P written[T]](ctx context.Context, d *Directory, o *entity.Object[T], rows []*T, belongings func() error) error {
	if len(rows) == 0 {
		return nil
	}
	if err := belongings(); err != nil {
		return err
	}
	for marks, args := range keyset.In(ids(rows, o.ID)) {
		if err := session.DB(ctx).Exec("DELETE FROM "+o.Table()+" WHERE id IN ("+marks+")", args...).Error; err != nil {
			return o.Conflict(err)
		}
	}
	if err := o.StoreCount(ctx, -len(rows)); err != nil {
		return err
	}
	wrote[T, P](ctx, d, o, model.Deleted, session.DB(ctx).NowFunc(), rows, rows)
	return nil
}

// wrote is called with the rows that were written at a time, as they are now, or were when they were removed, and with what those that were
// changed were before.
func wrote[T any, P written[T]](ctx context.Context, d *Directory, o *entity.Object[T], kind model.ChangeKind, at time.Time, before, rows []*T) {
	batch.Clear(ctx)
	for i, row := range rows {
		if kind != model.Deleted {
			o.ByID().Prime(ctx, o.ID(row), row)
		}
		d.Log.Append(ctx, func() *model.Change {
			c := &model.Change{At: at, Kind: kind, Type: model.ChangeTypeOf(o.Name()), ObjectID: o.ID(row)}
			c.Version, c.UserID, c.TeamID = P(row).Logged()
			var was, is *T
			if kind != model.Created {
				was = before[i]
			}
			if kind != model.Deleted {
				is = row
			}
			c.Fields = o.Differences(was, is, "version", "updatedAt", "lastUsedAt")
			return c
		})
	}
}

// pointers are rows as their objects.
func pointers[T any, P written[T]](rows []P) []*T {
	all := make([]*T, len(rows))
	for i, row := range rows {
		all[i] = row
	}
	return all
}

// ids are the numbers of objects.
func ids[T any](all []T, of func(T) int64) []int64 {
	numbers := make([]int64, len(all))
	for i, one := range all {
		numbers[i] = of(one)
	}
	return numbers
}
