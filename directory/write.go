package directory

import (
	"context"
	"slices"

	"rollcall/batch"
	"rollcall/entity"
	"rollcall/model"
	"rollcall/session"
)

// Every write of an object of a type goes through this file: it is stored, with the words that it is found by and the number of its
// like, what was loaded before it is forgotten, and what waits for changes gets it once it is committed.

// writing is what became of a row.
type writing string

const (
	created = writing(model.UserCreated)
	updated = writing(model.UserUpdated)
	deleted = writing(model.UserDeleted)
)

// written is a row of a type that is written.
type written[T any] interface {
	*T
	Fold()    // sets what it is found and ordered by
	Advance() // makes it the next version of itself
}

// insert adds a row.
func insert[T any, P written[T]](ctx context.Context, d *Directory, o *entity.Object[T], row P) error {
	row.Fold()
	if err := session.DB(ctx).Create(row).Error; err != nil {
		return o.Conflict(err)
	}
	if err := o.StoreWords(ctx, false, row); err != nil {
		return err
	}
	if err := o.StoreCount(ctx, 1); err != nil {
		return err
	}
	wrote(ctx, d, o, created, row)
	return nil
}

// update makes a change in a row, stores the columns that it sets, and makes the row its next version; none: nothing is written. The
// row is one that was read with a lock, so that no version is given twice.
func update[T any, P written[T]](ctx context.Context, d *Directory, o *entity.Object[T], row P, change entity.Change[T]) error {
	words := o.Words(row)
	columns, err := change.Apply(row)
	if err != nil || len(columns) == 0 {
		return err
	}
	row.Fold()
	row.Advance()
	if err := session.DB(ctx).Model(row).Select(append(columns, "version")).Updates(row).Error; err != nil {
		return o.Conflict(err)
	}
	if !slices.Equal(words, o.Words(row)) {
		if err := o.StoreWords(ctx, true, row); err != nil {
			return err
		}
	}
	wrote(ctx, d, o, updated, row)
	return nil
}

// remove deletes a row, after what belongs to it.
func remove[T any](ctx context.Context, d *Directory, o *entity.Object[T], row *T, belongings func() error) error {
	if err := belongings(); err != nil {
		return err
	}
	if err := session.DB(ctx).Delete(row).Error; err != nil {
		return o.Conflict(err)
	}
	if err := o.StoreCount(ctx, -1); err != nil {
		return err
	}
	wrote(ctx, d, o, deleted, row)
	return nil
}

// wrote is called with each row that was written, as it is now.
func wrote[T any](ctx context.Context, d *Directory, o *entity.Object[T], kind writing, row *T) {
	batch.Clear(ctx)
	if kind != deleted {
		o.ByID().Prime(ctx, o.ID(row), row)
	}
	if o.Name() == d.users.Name() { // no subscription has changes of other types
		id := o.ID(row)
		session.AfterCommit(ctx, func() { d.Events.Publish(&model.UserChange{Kind: model.UserChangeKind(kind), UserID: id}) })
	}
}
