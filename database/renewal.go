package database

import (
	"context"
	"database/sql/driver"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgconn/ctxwatch"

	"rollcall/dialect"
)

// renewal replaces connections that are open but of no more use. After a failover behind the same address those to the old
// server go on well, but refuse every write; so does a connection whose settings or rights were taken over from a server that
// has been set right since. One that is refused is therefore never used again, nor is any that was opened before. Of a right that is
// denied that is not sure: a server may have taken it away.
type renewal struct {
	generation atomic.Int64 // connections of earlier ones are not used again; no clock, which may step back
	waiting    atomic.Bool  // for the end of the pause
	refused    atomic.Bool  // a write has been refused, or none been tried, and Check has not found since that one is accepted
	better     atomic.Bool  // Check has failed on a connection, so that any on which it succeeds later is better than those of before

	check func(context.Context) error // Check; nil: there is nothing to look at
	until context.Context             // when the database is closed
	close context.CancelFunc
	looks sync.WaitGroup

	mu      sync.Mutex
	renewed time.Time // when all connections were replaced
	denied  time.Time // when one was that had been denied a right
}

func newRenewal() *renewal {
	r := &renewal{}
	r.until, r.close = context.WithCancel(context.Background())
	r.refused.Store(true) // until a write has been tried
	return r
}

// end waits for what runs in the background.
func (r *renewal) end() {
	r.close()
	r.looks.Wait()
}

// renewalPause is how often all connections may be replaced: a database that goes on to refuse gets no flood of new ones.
const renewalPause = time.Second

// paused returns for how long the pause since last goes on. Where that is over, it begins again.
func (r *renewal) paused(last *time.Time) time.Duration {
	r.mu.Lock()
	defer r.mu.Unlock()
	if wait := renewalPause - time.Since(*last); !last.IsZero() && wait > 0 {
		return wait
	}
	*last = time.Now()
	return 0
}

// renew has every connection replaced that is open, now or once the pause is over.
func (r *renewal) renew() {
	if wait := r.paused(&r.renewed); wait == 0 {
		r.generation.Add(1)
	} else if r.waiting.CompareAndSwap(false, true) {
		time.AfterFunc(wait, func() {
			r.waiting.Store(false)
			r.renew()
		})
	}
}

// replace has every connection replaced at once, since another server is to be used.
func (r *renewal) replace() {
	r.refused.Store(true)
	r.generation.Add(1)
}

// look has Check find out whether a new connection may do what one was denied. It renews them all then.
func (r *renewal) look() {
	if r.check == nil || r.until.Err() != nil {
		return
	}
	r.looks.Go(func() {
		ctx, cancel := context.WithTimeout(r.until, connectTimeout)
		defer cancel()
		_ = r.check(ctx) // the denial itself is reported where it occurred
	})
}

// renewed is the guard of one connection under a renewal.
type renewed struct {
	*renewal
	writes  bool // those that it refuses are a failure of the database's
	since   int64
	useless bool
}

func (r *renewal) connection(writes bool) *renewed {
	return &renewed{renewal: r, writes: writes, since: r.generation.Load()}
}

// ofConnection are the facts of an error by which a connection that is opened now may do what one can't that was opened earlier.
const ofConnection = dialect.Misplaced | dialect.Outdated

func (r *renewed) failed(err error) {
	m := dialect.MeaningOf(err)
	denied := m.Fault == dialect.FaultDenied
	if r.writes && (denied || m.Is(ofConnection)) {
		r.refused.Store(true)
	}
	switch {
	case !m.Is(ofConnection), m.Is(dialect.ReadOnly) && !r.writes, r.since < r.generation.Load():
	case !denied:
		r.useless = true
		r.renew()
	case r.paused(&r.denied) == 0: // it is perhaps denied for good, and on some table only
		r.useless = true
		r.look()
	}
}

func (*renewed) mayCommit() error { return nil }

func (r *renewed) fit() error {
	if r.useless || r.since < r.generation.Load() {
		return driver.ErrBadConn
	}
	return nil
}

// renewedKey is where a connection of pgx's keeps its renewed.
const renewedKey = "rollcall.renewed"

// renewedOf returns the guard of a connection that is under a renewal.
func renewedOf(conn *pgconn.PgConn) (r *renewed, ok bool) {
	r, ok = conn.CustomData()[renewedKey].(*renewed)
	return r, ok
}

// postgres returns configurations for connections under the renewal.
func (r *renewal) postgres(nodes []*pgx.ConnConfig, writes bool) []*pgx.ConnConfig {
	all := make([]*pgx.ConnConfig, len(nodes))
	for i, node := range nodes {
		cfg := node.Copy()
		cfg.AfterConnect = func(_ context.Context, conn *pgconn.PgConn) error {
			conn.CustomData()[renewedKey] = r.connection(writes)
			return nil
		}
		failed := cfg.OnPgError
		cfg.OnPgError = func(conn *pgconn.PgConn, err *pgconn.PgError) bool {
			if renewed, ok := renewedOf(conn); ok {
				renewed.failed(err)
			}
			return failed(conn, err)
		}
		cfg.BuildContextWatcherHandler = func(conn *pgconn.PgConn) ctxwatch.Handler {
			return &cutShort{pgconn.DeadlineContextWatcherHandler{Conn: conn.Conn()}, conn}
		}
		all[i] = cfg
	}
	return all
}

// cutShort ends what a connection is doing when its context ends, as pgx does by itself, and has the connection never used again. After
// a write that took long pgx reads in the background, perhaps beyond the answer: then it is this read that fails, and pgx tells the error
// to whoever uses the connection next.
type cutShort struct {
	pgconn.DeadlineContextWatcherHandler
	conn *pgconn.PgConn
}

func (c *cutShort) HandleUnwatchAfterCancel() {
	c.DeadlineContextWatcherHandler.HandleUnwatchAfterCancel()
	if renewed, ok := renewedOf(c.conn); ok {
		renewed.useless = true
	}
}

// postgresFit is asked before a connection is used again.
func postgresFit(_ context.Context, conn *pgx.Conn) error {
	if renewed, ok := renewedOf(conn.PgConn()); ok {
		return renewed.fit()
	}
	return nil
}
