package database

import (
	"context"
	"errors"
	"time"

	"rollcall/dialect"
)

const (
	countsBatch = 250         // deltas that one transaction makes one
	countsKept  = 64          // deltas of a name that are not worth it
	countsLimit = time.Second // for a transaction, with its wait for a connection and for others
)

// FoldCounts makes few of the many deltas that mutations leave in directory_counts, whose sums stay what they are at every moment. Any number of
// servers may do so at once. It returns how many deltas there are fewer.
//
// Mutations do not wait for it, except on SQLite, where one writes at a time: it changes only rows that are committed, and adds one.
// Of two that fold, or recount, one waits for the other, as both change a common row; on two nodes of a cluster one fails.
func (d *Database) FoldCounts(ctx context.Context) (folded int, err error) {
	names, err := collect(ctx, d.Side, func(name *string) []any { return []any{name} },
		d.product.Rebind("SELECT name FROM directory_counts GROUP BY name HAVING COUNT(*) > ?"), countsKept)
	if err != nil {
		return 0, err
	}
	for _, name := range names {
		for more := true; more; {
			n, err := d.foldCounts(ctx, name)
			if err != nil {
				return folded, err
			}
			folded, more = folded+n, n == countsBatch-1
		}
	}
	return folded, nil
}

// foldCounts makes one of some deltas of a name.
func (d *Database) foldCounts(ctx context.Context, name string) (folded int, err error) {
	ctx, cancel := context.WithTimeout(ctx, countsLimit)
	defer cancel()
	tx, err := d.pools.write.BeginTx(ctx, nil)
	if err != nil {
		return 0, err
	}
	defer func() { _ = tx.Rollback() }() // of no effect after COMMIT
	if _, err := tx.ExecContext(ctx, d.product.lockCounts); err != nil {
		return 0, err
	}
	type row struct{ id, delta int64 }
	rows, err := collect(ctx, tx, func(r *row) []any { return []any{&r.id, &r.delta} },
		d.product.Rebind("SELECT id, delta FROM directory_counts WHERE name = ? ORDER BY id LIMIT ?"), name, countsBatch)
	if err != nil || len(rows) < 2 {
		return 0, err
	}
	var sum int64
	for _, r := range rows {
		sum += r.delta
	}
	// One by one: for a list MySQL and MariaDB may scan the table, and wait for the rows of those that have not committed.
	for _, r := range rows[1:] {
		if _, err := tx.ExecContext(ctx, d.product.Rebind("DELETE FROM directory_counts WHERE id = ?"), r.id); err != nil {
			return 0, err
		}
	}
	if _, err := tx.ExecContext(ctx, d.product.Rebind("UPDATE directory_counts SET delta = ? WHERE id = ?"), sum, rows[0].id); err != nil {
		return 0, err
	}
	return len(rows) - 1, tx.Commit()
}

// FoldCountsEvery folds counts at an interval until ctx ends. Failures go to report: the first, and later ones after a success. That others
// were in the way is none.
func (d *Database) FoldCountsEvery(ctx context.Context, interval time.Duration, report func(error)) {
	reported := false
	for {
		_, err := d.FoldCounts(ctx)
		failed := err != nil && ctx.Err() == nil && !errors.Is(err, context.DeadlineExceeded) && !dialect.Is(err, dialect.Transient)
		if failed && !reported {
			report(err)
		}
		reported = failed
		select {
		case <-ctx.Done():
			return
		case <-time.After(interval):
		}
	}
}
