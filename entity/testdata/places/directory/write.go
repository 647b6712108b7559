package directory

import (
	"context"

	"rollcall/batch"
	"rollcall/entity"
	"rollcall/session"
)

// Every write of the directory goes through this file: it is stored, and what was loaded before it is forgotten.

// insert adds a row.
func insert[T any](ctx context.Context, d *Directory, o *entity.Object[T], row *T) error {
	if err := session.DB(ctx).Create(row).Error; err != nil {
		return err
	}
	wrote(ctx, d, o, row)
	return nil
}

// update stores some columns of a row; none: nothing is written.
func update[T any](ctx context.Context, d *Directory, o *entity.Object[T], row *T, columns []string) error {
	if len(columns) == 0 {
		return nil
	}
	if err := session.DB(ctx).Model(row).Select(columns).Updates(row).Error; err != nil {
		return err
	}
	wrote(ctx, d, o, row)
	return nil
}

// wrote is called with each row that was written, as it is now.
func wrote[T any](ctx context.Context, _ *Directory, o *entity.Object[T], row *T) {
	batch.Clear(ctx)
	o.ByID().Loader(ctx).Prime(o.ID(row), row)
}
