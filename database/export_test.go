package database

import (
	"context"
	"database/sql"
)

// MigrateDown undoes every migration.
func (d *Database) MigrateDown(ctx context.Context) error {
	return d.maintain(ctx, func(pool *sql.DB) error {
		provider, err := d.provider(pool)
		if err == nil {
			_, err = provider.DownTo(ctx, 0)
		}
		return err
	})
}

// Locked runs fn under the lock of Migrate.
func (d *Database) Locked(ctx context.Context, fn func()) error {
	return d.maintain(ctx, func(*sql.DB) error { fn(); return nil })
}

// MigrateWithoutALock is Migrate on a node of a cluster that does not see the lock of another one.
func (d *Database) MigrateWithoutALock(ctx context.Context) error {
	_, err := d.up(ctx, d.Side)
	return err
}

// Tables are those that CheckSchema looks at.
var Tables = tables
