package database

import (
	"context"
	"database/sql"
	"errors"

	"rollcall/dialect"
)

// errReadOnly is what Check returns where the database says of itself that it takes no writes.
var errReadOnly = errors.New("the database says that it is read-only")

// Check returns nil if the database can serve: its schema allows this program (else it is a *SchemaError), and it takes
// writes. It tries that with writes of no rows only where it has reason to, since even such writes wait for locks. After a
// refusal it asks on a new connection, since an old one may lead to a server that is not the primary any more. It
// changes nothing.
func (d *Database) Check(ctx context.Context) error {
	if err := d.NoWriter(); err != nil {
		return err
	}
	err := d.check(ctx, d.Side)
	if d.fresh != nil && (errors.Is(err, errReadOnly) || dialect.Is(err, ofConnection)) {
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

// NoWriter returns why no host takes writes, where the URL lists several, or nil. It asks nobody: each host is asked all the time.
func (d *Database) NoWriter() error { return d.hosts.failure() }

func (d *Database) check(ctx context.Context, side *sql.DB) error {
	if err := d.checkSchema(ctx, side); err != nil {
		return err
	}
	if d.product.readOnly == "" {
		return nil
	}
	var perhaps, readOnly bool
	if err := side.QueryRowContext(ctx, d.product.readOnly).Scan(&perhaps, &readOnly); err != nil {
		return err
	}
	if readOnly {
		return errReadOnly
	}
	if !perhaps && !d.renewal.refused.Load() {
		return nil
	}
	var err error
	for _, write := range emptyWrites {
		if _, err = side.ExecContext(ctx, write); err != nil {
			break
		}
	}
	d.renewal.refused.Store(err != nil && ctx.Err() == nil) // MySQL leaves one waiting that waits for a lock: don't add to them
	return err
}

// Lossy returns the settings of the server by which it may lose at a crash what it has acknowledged. They are its operator's choice.
func (d *Database) Lossy(ctx context.Context) ([]string, error) {
	return collect(ctx, d.Side, func(setting *string) []any { return []any{setting} }, d.product.lossy)
}

// emptyWrites are those of mutations, but change no row. None waits for a row's lock.
var emptyWrites = []string{
	"INSERT INTO session_operations (id, state) SELECT id, state FROM session_operations WHERE 1 = 0",
	"INSERT INTO directory_locks (name, changes) SELECT name, changes FROM directory_locks WHERE 1 = 0",
	"UPDATE directory_locks SET changes = changes WHERE 1 = 0",
	"INSERT INTO users (name, email, created_at, updated_at) SELECT name, email, created_at, updated_at FROM users WHERE 1 = 0",
	"UPDATE users SET name = name WHERE 1 = 0",
	"INSERT INTO user_words (word, user_id) SELECT word, user_id FROM user_words WHERE 1 = 0",
	"DELETE FROM user_words WHERE 1 = 0",
	"INSERT INTO directory_counts (name, delta) SELECT name, delta FROM directory_counts WHERE 1 = 0",
	"DELETE FROM directory_counts WHERE 1 = 0",
	"INSERT INTO idempotency_keys (id, fingerprint, operation_id, stored_at) SELECT id, fingerprint, operation_id, stored_at FROM idempotency_keys WHERE 1 = 0",
	"UPDATE idempotency_keys SET answer = answer WHERE 1 = 0",
	"DELETE FROM idempotency_keys WHERE 1 = 0",
	"INSERT INTO changes (at, kind, type, object_id, version, operation_id, ends_operation, fields) SELECT at, kind, type, object_id, version, operation_id, ends_operation, fields FROM changes WHERE 1 = 0",
	"UPDATE changes SET position = position WHERE 1 = 0",
	"DELETE FROM changes WHERE 1 = 0",
	"UPDATE changes_clock SET position = position WHERE 1 = 0",
	"INSERT INTO webhooks (name, position, mark, batch_until, owner, renewed_at) SELECT name, position, mark, batch_until, owner, renewed_at FROM webhooks WHERE 1 = 0",
	"UPDATE webhooks SET position = position WHERE 1 = 0",
	"INSERT INTO identities (issuer, subject, user_id, linked_at) SELECT issuer, subject, user_id, linked_at FROM identities WHERE 1 = 0",
	"INSERT INTO persisted_documents (hash, text, bytes, stored_at, used_at, days) SELECT hash, text, bytes, stored_at, used_at, days FROM persisted_documents WHERE 1 = 0",
	"UPDATE persisted_documents SET used_at = used_at WHERE 1 = 0",
	"DELETE FROM persisted_documents WHERE 1 = 0",
	"DELETE FROM memberships WHERE 1 = 0",
	"DELETE FROM users WHERE 1 = 0",
}
