package database

import (
	"context"
	"crypto/rand"
	"database/sql"
	"errors"
	"time"

	"rollcall/dialect"
)

// leaseTimes are those of a lease. They are the same in every process at one database.
type leaseTimes struct {
	renewed time.Duration // how often its owner renews it
	silence time.Duration // after which an owner that has not is asked for a sign
	answer  time.Duration // within which it gives one, counted from a write that the whole cluster has taken
}

var usualLease = leaseTimes{time.Second, 8 * time.Second, 4 * time.Second}

// errLeaseLost is why fn is cancelled when another process has taken the lease.
var errLeaseLost = errors.New("another process has begun to change the database's schema, since this one did not answer in time")

// lease excludes those that change the schema through different nodes of a cluster, each of which has locks of its own. It is a row that every
// change of it counts up: of two nodes that change it at once, certification lets one win. A process that waits goes by its own clock and by
// whether the row was changed. While one node alters a table, the writes of all nodes wait, those of renewals too: so
// a row that has been silent is marked first, which cannot happen before such a statement has ended, and is then watched once more.
type lease struct {
	leaseTimes
	pool  *sql.DB
	owner string
}

// leaseTable is created by whoever needs it: the lease is for those who run the migrations.
var leaseTable = `CREATE TABLE IF NOT EXISTS schema_lease (
    name varchar(16) NOT NULL PRIMARY KEY,
    owner varchar(64) NOT NULL,
    changes bigint NOT NULL
)` + dialect.MySQL.TableOptions()

// mysqlLeased runs fn, where the server is a node of Galera's or a member of a group under a lease.
func mysqlLeased(ctx context.Context, pool *sql.DB, fn func(ctx context.Context, pool *sql.DB) error) error {
	cluster, err := mysqlClusterOf(ctx, pool)
	if err != nil {
		return err
	}
	if cluster == noCluster {
		return fn(ctx, pool)
	}
	return leased(ctx, pool, usualLease, fn)
}

// leased runs fn under the lease. Its context ends with errLeaseLost if another process has taken that.
func leased(ctx context.Context, pool *sql.DB, times leaseTimes, fn func(ctx context.Context, pool *sql.DB) error) error {
	l := lease{times, pool, rand.Text()}
	if err := l.acquire(ctx); err != nil {
		return err
	}
	within, cancel := context.WithCancelCause(ctx)
	renewed := make(chan struct{})
	go func() {
		defer close(renewed)
		l.renew(within, cancel)
	}()
	err := fn(within, pool)
	if cause := context.Cause(within); errors.Is(cause, errLeaseLost) {
		err = errors.Join(cause, err)
	}
	cancel(nil)
	<-renewed
	releasing, done := context.WithTimeout(context.WithoutCancel(ctx), connectTimeout)
	defer done()
	_, releaseErr := l.change(releasing, "owner = ''", "owner = ?", l.owner)
	if err == nil && dialect.Is(releaseErr, dialect.Lost) { // its time passes
		releaseErr = nil
	}
	return errors.Join(err, releaseErr)
}

// change changes the row if it is as condition says, and reports whether it was. Another's change that was first is no error.
func (l lease) change(ctx context.Context, set, condition string, args ...any) (bool, error) {
	result, err := l.pool.ExecContext(ctx, "UPDATE schema_lease SET changes = changes + 1, "+set+" WHERE name = 'maintain' AND "+condition, args...)
	if dialect.Is(err, dialect.Transient) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	n, err := result.RowsAffected()
	return n == 1, err
}

func (l lease) acquire(ctx context.Context) error {
	if err := unlessOvertaken(func() error { _, err := l.pool.ExecContext(ctx, leaseTable); return err }); err != nil {
		return err
	}
	const first = "INSERT INTO schema_lease (name, owner, changes) VALUES ('maintain', '', 0) ON DUPLICATE KEY UPDATE name = name"
	if err := unlessOvertaken(func() error { _, err := l.pool.ExecContext(ctx, first); return err }); err != nil {
		return err
	}
	var seen int64 = -1
	var marked bool
	var until time.Time
	for {
		var owner string
		var changes int64
		if err := l.pool.QueryRowContext(ctx, "SELECT owner, changes FROM schema_lease WHERE name = 'maintain'").Scan(&owner, &changes); err != nil {
			return err
		}
		if changes != seen {
			seen, marked, until = changes, false, time.Now().Add(l.silence)
		}
		switch silent := time.Now().After(until); {
		case owner == "", silent && marked:
			if got, err := l.change(ctx, "owner = ?", "changes = ?", l.owner, seen); got || err != nil {
				return err
			}
			seen = -1
		case silent:
			got, err := l.change(ctx, "owner = owner", "changes = ?", seen)
			if err != nil {
				return err
			}
			if got {
				seen, marked, until = seen+1, true, time.Now().Add(l.answer)
			}
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(100 * time.Millisecond):
		}
	}
}

// renew renews the lease until ctx ends. It cancels what is done under it when that is another's.
func (l lease) renew(ctx context.Context, cancel context.CancelCauseFunc) {
	for tick := time.Tick(l.renewed); ; {
		select {
		case <-ctx.Done():
			return
		case <-tick:
		}
		var mine bool
		err := l.pool.QueryRowContext(ctx, "SELECT owner = ? FROM schema_lease WHERE name = 'maintain'", l.owner).Scan(&mine)
		if err == nil && !mine {
			cancel(errLeaseLost)
			return
		}
		_, _ = l.change(ctx, "owner = owner", "owner = ?", l.owner) // what fails is tried again
	}
}
