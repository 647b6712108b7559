package idempotency

import (
	"context"
	"database/sql"
	"fmt"
	"time"

	"rollcall/dialect"
	"rollcall/session"
)

// Table returns the statements that create the table idempotency_keys, which the application's migrations are to run.
func Table(d dialect.Dialect) []string {
	return []string{fmt.Sprintf(`CREATE TABLE idempotency_keys (
    id varchar(64) NOT NULL PRIMARY KEY,
    fingerprint varchar(64) NOT NULL,
    operation_id varchar(64) NOT NULL,
    stored_at bigint NOT NULL,
    answer %s
)%s`, d.Bytes(), d.TableOptions()), "CREATE INDEX idempotency_keys_stored_at ON idempotency_keys (stored_at)"}
}

// sweepBatch is how many keys one transaction sweeps.
const sweepBatch = 500

// Sweep deletes the keys that were stored longer ago than Retention, and returns how many there were. The processes' clocks count, so neither
// the database's nor a time zone matters.
func (k *Keys) Sweep(ctx context.Context, pools session.Pools) (n int, err error) {
	for {
		var ids []string
		err := session.Run(ctx, pools, session.Write, "(sweeps idempotency keys)", func(ctx context.Context) error {
			ids = ids[:0]
			err := session.Query(ctx, "SELECT id FROM idempotency_keys WHERE stored_at < ? ORDER BY stored_at LIMIT ?",
				[]any{time.Now().Add(-k.retention()).UnixMilli(), sweepBatch}, func(rows *sql.Rows) error {
					var id string
					err := rows.Scan(&id)
					ids = append(ids, id)
					return err
				})
			if err != nil {
				return err
			}
			if len(ids) == 0 {
				session.Discard(ctx)
			}
			// One by one: for a list MySQL and MariaDB may scan the table, and wait for the rows of those that have not committed.
			for _, id := range ids {
				if err := session.DB(ctx).Exec("DELETE FROM idempotency_keys WHERE id = ?", id).Error; err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return n, err
		}
		if n += len(ids); len(ids) < sweepBatch {
			return n, nil
		}
	}
}

// SweepEvery sweeps at an interval until ctx ends. Failures go to report.
func (k *Keys) SweepEvery(ctx context.Context, pools session.Pools, interval time.Duration, report func(error)) {
	session.Every(ctx, interval, func(ctx context.Context) (int, error) { return k.Sweep(ctx, pools) }, report)
}
