package webhook

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"rollcall/apierror"
	"rollcall/changelog"
)

// row is what a sender needs of its webhook's row.
type row struct {
	after       changelog.Cursor
	batchUntil  int64
	owner       string
	renewedAt   int64
	attemptedAt sql.NullInt64
	lastError   sql.NullString
	failing     sql.NullInt64 // since
	disabledAt  sql.NullInt64
}

// errLost is why a turn ends whose lease is another's, or whose webhook has been disabled or moved.
var errLost = errors.New("the lease of the webhook was lost")

// exec runs a statement that changes one row, and reports whether it has.
func (w *Webhooks) exec(ctx context.Context, query string, args ...any) (changed bool, err error) {
	result, err := w.DB.ExecContext(ctx, w.Dialect.Rebind(query), args...)
	if err != nil {
		return false, err
	}
	n, err := result.RowsAffected()
	return n > 0, err
}

// store changes the row of a webhook as long as its lease is an owner's; else the error is errLost.
func (w *Webhooks) store(ctx context.Context, name, owner, set string, args ...any) error {
	mine, err := w.exec(ctx, "UPDATE webhooks SET "+set+" WHERE name = ? AND owner = ?", append(args, name, owner)...)
	if err == nil && !mine {
		err = errLost
	}
	return err
}

// register stores a webhook at the present position of the log, unless it is there.
func (w *Webhooks) register(ctx context.Context, name string) error {
	ctx, cancel := context.WithTimeout(ctx, statement)
	defer cancel()
	_ = w.Log.SettleAll(ctx) // what can't be given its position now is delivered, too
	now, err := w.Log.Now(ctx)
	if err != nil {
		return err
	}
	_, err = w.exec(ctx, "INSERT INTO webhooks (name, position, mark, batch_until, owner, renewed_at) VALUES (?, ?, ?, ?, '', ?) "+w.Dialect.UnlessStored("name"),
		name, now.Cursor.Position, now.Cursor.Mark, now.Cursor.Position, time.Now().UnixMicro())
	return err
}

func (w *Webhooks) read(ctx context.Context, name string) (r row, err error) {
	ctx, cancel := context.WithTimeout(ctx, statement)
	defer cancel()
	err = w.DB.QueryRowContext(ctx, w.Dialect.Rebind(
		"SELECT position, mark, batch_until, owner, renewed_at, last_attempt_at, last_error, failing_since, disabled_at FROM webhooks WHERE name = ?"), name,
	).Scan(&r.after.Position, &r.after.Mark, &r.batchUntil, &r.owner, &r.renewedAt, &r.attemptedAt, &r.lastError, &r.failing, &r.disabledAt)
	return r, err
}

// take gives the lease to an owner, if the row is still as it was read.
func (w *Webhooks) take(ctx context.Context, name, owner string, r row) (bool, error) {
	ctx, cancel := context.WithTimeout(ctx, statement)
	defer cancel()
	return w.exec(ctx, "UPDATE webhooks SET owner = ?, renewed_at = ? WHERE name = ? AND owner = ? AND renewed_at = ? AND disabled_at IS NULL",
		owner, time.Now().UnixMicro(), name, r.owner, r.renewedAt)
}

// Needed returns the position after which the log has changes that some webhook has still to send; ok is false where none has. Neither one
// that is disabled counts, nor one that no server has had in its configuration for a week.
func (w *Webhooks) Needed(ctx context.Context) (position int64, ok bool, err error) {
	var least sql.NullInt64
	err = w.DB.QueryRowContext(ctx, w.Dialect.Rebind("SELECT MIN(position) FROM webhooks WHERE disabled_at IS NULL AND renewed_at > ?"),
		time.Now().Add(-forgotten).UnixMicro()).Scan(&least)
	return least.Int64, least.Valid, err
}

// Enable has a disabled webhook go on, from where it has stopped, or from the present position of the log: then its receiver misses
// what lies between. It returns how many changes the receiver is behind.
func (w *Webhooks) Enable(ctx context.Context, name string, fromNow bool) (lag int64, err error) {
	r, err := w.read(ctx, name)
	if errors.Is(err, sql.ErrNoRows) {
		return 0, fmt.Errorf("there is no webhook %q: a server that has it in its configuration adds it", name)
	} else if err != nil {
		return 0, err
	}
	now, err := w.Log.Now(ctx)
	if err != nil {
		return 0, err
	}
	if fromNow { // who has the lease loses it
		_, err = w.exec(ctx, "UPDATE webhooks SET position = ?, mark = ?, batch_until = ?, owner = '', failing_since = NULL, disabled_at = NULL WHERE name = ?",
			now.Cursor.Position, now.Cursor.Mark, now.Cursor.Position, name)
		return 0, err
	}
	if _, err := w.Log.Read(ctx, changelog.Query{After: &r.after, Limit: 1}); apierror.CodeOf(err) == changelog.CodeExpired {
		return 0, fmt.Errorf("the changes that %s has not sent are not kept any more: add --from-now, and have its receiver read everything again", name)
	} else if err != nil {
		return 0, err
	}
	_, err = w.exec(ctx, "UPDATE webhooks SET failing_since = NULL, disabled_at = NULL WHERE name = ? AND disabled_at IS NOT NULL", name)
	return now.Cursor.Position - r.after.Position, err
}
