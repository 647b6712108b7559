package database

import (
	"context"
	"database/sql"
	"errors"
)

// ErrReadOnly is what Check returns where the database says of itself that it takes no writes.
var ErrReadOnly = errors.New("the database says that it is read-only")

// Check returns nil if the database can serve: its schema has this program's version (else it is a *SchemaError), and it takes
// writes. It tries that with a write of no rows only where it has reason to, since even such a write waits for locks. After a
// refusal it asks on a new connection, since an old one may lead to a server that is not the primary any more. It
// changes nothing.
func (d *Database) Check(ctx context.Context) error {
	err := d.check(ctx, d.Side)
	if d.fresh != nil && (errors.Is(err, ErrReadOnly) || ofConnection(err)) {
		d.renewal.better.Store(true)
		side := d.fresh()
		defer func() { _ = side.Close() }()
		err = d.check(ctx, side)
	}
	if err == nil && d.renewal.better.CompareAndSwap(true, false) {
		d.renewal.renew()
	}
	return err
}

func (d *Database) check(ctx context.Context, side *sql.DB) error {
	if err := d.checkSchema(ctx, side); err != nil {
		return err
	}
	question := map[string]string{
		// The first is no bar to some users. MariaDB skips the comment.
		"mysql":    "SELECT @@read_only /*!50720 OR @@super_read_only */, @@innodb_read_only",
		"postgres": "SELECT false, pg_is_in_recovery() OR current_setting('transaction_read_only')::bool",
	}[d.dialect]
	if question == "" {
		return nil
	}
	var perhaps, readOnly bool
	if err := side.QueryRowContext(ctx, question).Scan(&perhaps, &readOnly); err != nil {
		return err
	}
	if readOnly {
		return ErrReadOnly
	}
	if !perhaps && !d.renewal.refused.Load() {
		return nil
	}
	_, err := side.ExecContext(ctx, "INSERT INTO session_operations (id, state) SELECT id, state FROM session_operations WHERE 1 = 0")
	d.renewal.refused.Store(err != nil && ctx.Err() == nil) // MySQL leaves one waiting that waits for a lock: don't add to them
	return err
}
