package changelog

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"rollcall/dialect"
	"rollcall/session"
)

const (
	sweepChunk = 500                   // changes that one transaction deletes
	sweepPause = 50 * time.Millisecond // between two of these
	sweepLimit = time.Second           // for one, from its BEGIN on
	maxSweeps  = 10                    // how often one that others stand in the way of is tried
)

// Sweep deletes the changes that are older than Keep, in the order of their positions: none that comes after one that stays. It
// returns how many it has deleted. pool is that of mutations, so that on SQLite, where one writes at a time, it waits in their queue.
//
// Each chunk is a transaction of its own. The same transaction says in the clock up to where changes are gone: so Read, which is
// one statement, sees both or neither. Like the numberer it locks the clock first, and for a few milliseconds. Of several servers that
// sweep at a time one goes on, and the others leave it to that.
func (l *Log) Sweep(ctx context.Context, pool *sql.DB) (deleted int64, err error) {
	if l.Keep == 0 {
		return 0, nil
	}
	for failures := 0; ; {
		n, more, err := l.sweepSome(ctx, pool, time.Now().Add(-l.Keep))
		deleted += n
		inTheWay := dialect.Is(err, dialect.Transient) || errors.Is(err, context.DeadlineExceeded)
		switch {
		case ctx.Err() != nil:
			return deleted, context.Cause(ctx)
		case err != nil && (!inTheWay || failures == maxSweeps):
			return deleted, err
		case err != nil:
			failures++
		case !more:
			return deleted, nil
		default:
			failures = 0
		}
		select {
		case <-time.After(sweepPause << failures):
		case <-ctx.Done():
			return deleted, context.Cause(ctx)
		}
	}
}

// SweepEvery sweeps at an interval until ctx ends. Failures go to report.
func (l *Log) SweepEvery(ctx context.Context, pool *sql.DB, interval time.Duration, report func(error)) {
	session.Every(ctx, interval, func(ctx context.Context) (int64, error) { return l.Sweep(ctx, pool) }, report)
}

// end is where a chunk of old changes ends: a change that goes.
type end struct {
	position  int64
	operation string
}

// sweepSome deletes a chunk of the changes from before a time. more says that there may be others. For a connection it waits as long as
// it takes, since it holds nothing meanwhile.
func (l *Log) sweepSome(ctx context.Context, pool *sql.DB, before time.Time) (n int64, more bool, err error) {
	gone, last, more, err := l.old(ctx, before)
	if err != nil || last.position == gone {
		return 0, false, err
	}
	tx, err := pool.BeginTx(ctx, nil)
	if err != nil {
		return 0, false, err
	}
	defer func() { _ = tx.Rollback() }() // of no effect after COMMIT
	ctx, cancel := context.WithTimeout(ctx, sweepLimit)
	defer cancel()
	moved, err := tx.ExecContext(ctx, l.Dialect.Rebind("UPDATE changes_clock SET expired = ?, expired_operation_id = ? WHERE id = 1 AND expired = ?"),
		last.position, last.operation, gone)
	if err != nil {
		return 0, false, err
	}
	if rows, err := moved.RowsAffected(); err != nil || rows == 0 { // another server is sweeping
		return 0, false, err
	}
	result, err := tx.ExecContext(ctx, l.Dialect.Rebind(l.Dialect.DeleteBy("changes", "changes_position_key")+" WHERE position > ? AND position <= ?"), gone, last.position)
	if err != nil {
		return 0, false, err
	}
	if n, err = result.RowsAffected(); err != nil {
		return 0, false, err
	}
	if err := tx.Commit(); err != nil { // on a cluster another node may have moved the clock
		return 0, false, err
	}
	return n, more, nil
}

// old returns up to where changes are gone, and up to where the next chunk of those from before a time goes, which is the same where there is
// none. What it finds stays so: positions and times of changes never change.
func (l *Log) old(ctx context.Context, before time.Time) (gone int64, last end, more bool, err error) {
	if err := l.DB.QueryRowContext(ctx, "SELECT expired FROM changes_clock WHERE id = 1").Scan(&gone); err != nil {
		return 0, end{}, false, err
	}
	last.position = gone
	floor, bound := int64(0), false
	if l.Floor != nil {
		if floor, bound, err = l.Floor(ctx); err != nil {
			return 0, end{}, false, err
		}
	}
	rows, err := l.DB.QueryContext(ctx, l.Dialect.Rebind("SELECT position, operation_id, at FROM changes WHERE position > ? ORDER BY position LIMIT ?"), gone, sweepChunk)
	if err != nil {
		return 0, end{}, false, err
	}
	defer func() { _ = rows.Close() }()
	for n := 0; rows.Next(); n++ {
		var next end
		var at int64
		if err := rows.Scan(&next.position, &next.operation, &at); err != nil {
			return 0, end{}, false, err
		}
		if at >= before.UnixMicro() || bound && next.position > floor {
			return gone, last, false, nil
		}
		last, more = next, n == sweepChunk-1
	}
	return gone, last, more, rows.Err()
}
