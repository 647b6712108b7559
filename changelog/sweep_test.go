package changelog_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"rollcall/apierror"
	"rollcall/changelog"
	"rollcall/database"
	"rollcall/database/databasetest"
	"rollcall/dialect"
	"rollcall/model"
	"rollcall/session"
)

// kept is a log that keeps changes for an hour.
type kept struct {
	*changelog.Log
	t     *testing.T
	db    *database.Database
	pools session.Pools
	now   time.Time
}

func eachKept(t *testing.T, fn func(t *testing.T, l *kept)) {
	databasetest.Each(t, func(t *testing.T, db *database.Database) {
		l := &kept{
			Log: &changelog.Log{DB: db.Side, Dialect: db.Dialect(), Keep: time.Hour}, t: t, db: db, now: time.Now(),
			pools: session.Pools{Write: db.Write, Read: db.Read, Side: db.Side, Deadline: 30 * time.Second},
		}
		if err := l.pools.Install(); err != nil {
			t.Fatal(err)
		}
		fn(t, l)
	})
}

// add commits changes of these ages in one operation.
func (l *kept) add(ages ...time.Duration) error {
	return session.Run(context.Background(), l.pools, session.Write, "add", func(ctx context.Context) error {
		for _, age := range ages {
			l.Append(ctx, func() *model.Change {
				return &model.Change{At: l.now.Add(-age), Kind: model.Created, Type: model.UserType, ObjectID: 1, Version: 1, Fields: []byte("[]")}
			})
		}
		return nil
	})
}

// mustAdd is add, and waits for the positions.
func (l *kept) mustAdd(ages ...time.Duration) {
	l.t.Helper()
	if err := errors.Join(l.add(ages...), l.Settle(l.t.Context())); err != nil {
		l.t.Fatal(err)
	}
}

func (l *kept) sweep(want int64) {
	l.t.Helper()
	if n, err := l.Sweep(l.t.Context(), l.db.Pools()["write"]); err != nil || n != want {
		l.t.Errorf("swept are %d, %v, want %d", n, err, want)
	}
}

// after returns the positions after a cursor; nil: all.
func (l *kept) after(c *changelog.Cursor) (positions []int64, err error) {
	page, err := l.Read(l.t.Context(), changelog.Query{After: c, Field: "after", Limit: 1000})
	if err != nil {
		return nil, err
	}
	for _, c := range page.Changes {
		positions = append(positions, c.Position)
	}
	return positions, nil
}

// oldest returns the cursor of the last change that was swept.
func (l *kept) oldest() *changelog.Cursor {
	var position int64
	var operation string
	err := l.db.Side.QueryRowContext(l.t.Context(), "SELECT expired, expired_operation_id FROM changes_clock").Scan(&position, &operation)
	if err != nil {
		l.t.Error(err)
	}
	return new(changelog.At(position, operation))
}

func (l *kept) wantAfter(c *changelog.Cursor, want ...int64) {
	l.t.Helper()
	if got, err := l.after(c); err != nil || fmt.Sprint(got) != fmt.Sprint(want) {
		l.t.Errorf("after %v are %v, %v, want %v", c, got, err, want)
	}
}

func (l *kept) wantExpired(c changelog.Cursor) {
	l.t.Helper()
	if got, err := l.after(&c); apierror.CodeOf(err) != changelog.CodeExpired {
		l.t.Errorf("after %v are %v, %v, want %s", c, got, err, changelog.CodeExpired)
	}
}

// cursors returns the cursors of all changes, by their positions.
func (l *kept) cursors() map[int64]changelog.Cursor {
	l.t.Helper()
	page, err := l.Read(l.t.Context(), changelog.Query{Limit: 1000})
	if err != nil {
		l.t.Fatal(err)
	}
	all := map[int64]changelog.Cursor{}
	for _, c := range page.Changes {
		all[c.Position] = changelog.CursorOf(c)
	}
	return all
}

const (
	aged  = 2 * time.Hour
	fresh = time.Minute
)

func TestASweepEndsBeforeTheFirstChangeThatIsKept(t *testing.T) {
	eachKept(t, func(_ *testing.T, l *kept) {
		l.mustAdd(aged, aged, aged)
		l.mustAdd(fresh, aged)
		at := l.cursors()
		l.sweep(3)
		l.wantAfter(nil, 4, 5)
		l.wantAfter(new(at[3]), 4, 5)
		l.wantAfter(new(at[4]), 5)
		l.wantAfter(new(at[5]))
		l.wantExpired(at[2])
		l.wantExpired(changelog.Cursor{})
		l.wantExpired(changelog.Cursor{Position: 3, Mark: at[3].Mark + 1})
		l.wantExpired(changelog.Cursor{Position: 4, Mark: at[4].Mark + 1})
		l.sweep(0)
		l.Keep = 0
		l.now = l.now.Add(-1000 * time.Hour)
		l.sweep(0)
		l.wantAfter(nil, 4, 5)
	})
}

func TestWhatOthersStillNeedIsNotSwept(t *testing.T) {
	eachKept(t, func(t *testing.T, l *kept) {
		l.mustAdd(aged, aged, aged)
		floor, ok, failure := int64(0), true, error(nil)
		l.Floor = func(context.Context) (int64, bool, error) { return floor, ok, failure }
		l.sweep(0)
		floor = 2
		l.sweep(2)
		l.wantAfter(nil, 3)
		ok, failure = false, errors.New("nobody knows")
		if n, err := l.Sweep(t.Context(), l.db.Pools()["write"]); n != 0 || !errors.Is(err, failure) {
			t.Errorf("without a floor: %d, %v", n, err)
		}
		l.wantAfter(nil, 3)
		failure = nil
		l.sweep(1)
	})
}

func TestTheCursorOfALogThatWasSweptEntirelyStaysValid(t *testing.T) {
	eachKept(t, func(t *testing.T, l *kept) {
		l.mustAdd(aged, aged)
		now, err := l.Now(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		l.sweep(2)
		l.wantAfter(&now.Cursor)
		l.wantExpired(changelog.Cursor{Position: 2, Mark: now.Cursor.Mark + 1})
		if again, err := l.Now(t.Context()); err != nil || again.Cursor != now.Cursor || again.Expired != 2 {
			t.Errorf("it was at %v, and is at %+v, %v", now.Cursor, again, err)
		}
		l.mustAdd(fresh)
		l.wantAfter(&now.Cursor, 3)
		l.wantExpired(changelog.Cursor{Position: 2, Mark: now.Cursor.Mark + 1})
	})
}

func TestAChangeWithoutAPositionIsNotSwept(t *testing.T) {
	eachKept(t, func(t *testing.T, l *kept) {
		l.mustAdd(aged)
		if err := l.db.Write.Exec(`INSERT INTO changes (at, kind, type, object_id, version, operation_id, ends_operation, fields)
			SELECT at, kind, type, object_id, version, 'other', ends_operation, fields FROM changes`).Error; err != nil {
			t.Fatal(err)
		}
		l.sweep(1)
		if now, err := l.Now(t.Context()); err != nil || !now.Unnumbered {
			t.Errorf("it is gone: %+v, %v", now, err)
		}
	})
}

// TestASweepWaitsForNoMutation has one that has inserted a change and not committed. On SQLite one writes at a time.
func TestASweepWaitsForNoMutation(t *testing.T) {
	eachKept(t, func(t *testing.T, l *kept) {
		for range 10 {
			l.mustAdd(aged, aged)
		}
		inserted, end := make(chan struct{}), make(chan struct{})
		var all sync.WaitGroup
		all.Go(func() {
			err := session.Run(t.Context(), l.pools, session.Write, "open", func(ctx context.Context) error {
				err := session.DB(ctx).Exec(`INSERT INTO changes (at, kind, type, object_id, version, operation_id, ends_operation, fields)
					VALUES (0, 'CREATED', 'USER', 1, 1, 'open', ?, '[]')`, true).Error
				close(inserted)
				<-end
				return err
			})
			if err != nil {
				t.Error(err)
			}
		})
		<-inserted
		if !l.db.Dialect().Embedded() {
			l.sweep(20)
		}
		close(end)
		all.Wait()
	})
}

// TestPositionsStayRightUnderReadersWritersAndSweeps has two servers sweep what eight writers go on writing, and readers page through it,
// some of which fall behind, and one of which begins with the first change that is there, over and over.
func TestPositionsStayRightUnderReadersWritersAndSweeps(t *testing.T) {
	eachKept(t, func(t *testing.T, l *kept) {
		const writers, operations = 8, 60
		for range 6 {
			l.mustAdd(make([]time.Duration, 500)...)
		}
		l.now = l.now.Add(-aged) // so that all are old from the first on
		if err := l.db.Write.Exec("UPDATE changes SET at = at - ?", aged.Microseconds()).Error; err != nil {
			t.Fatal(err)
		}
		other := &changelog.Log{DB: l.db.Side, Dialect: l.db.Dialect(), Keep: time.Hour}
		ctx, done := context.WithCancel(t.Context())
		defer done()
		var writing, all sync.WaitGroup
		var swept, expired, read atomic.Int64
		for _, log := range []*changelog.Log{l.Log, other} {
			all.Go(func() {
				for ctx.Err() == nil {
					n, err := log.Sweep(ctx, l.db.Pools()["write"])
					if swept.Add(n); err != nil && ctx.Err() == nil && !errors.Is(err, context.DeadlineExceeded) && !dialect.Is(err, dialect.Transient) {
						t.Errorf("sweep: %v", err)
					}
				}
			})
		}
		for reader := range 3 {
			all.Go(func() {
				var at *changelog.Cursor
				for ctx.Err() == nil {
					if reader == 0 {
						at = l.oldest()
					}
					page, err := l.Read(ctx, changelog.Query{After: at, Field: "after", Limit: 1 + rand.N(50)})
					switch {
					case ctx.Err() != nil:
						return
					case apierror.CodeOf(err) == changelog.CodeExpired:
						expired.Add(1)
						at = nil
						continue
					case err != nil:
						t.Errorf("read: %v", err)
						return
					}
					for i, c := range page.Changes {
						if before := c.Position - 1; i > 0 && page.Changes[i-1].Position != before || i == 0 && at != nil && at.Position != before {
							t.Errorf("a reader at %v gets the position %d at %d", at, c.Position, i)
							return
						}
					}
					read.Add(int64(len(page.Changes)))
					at = &page.Until
					time.Sleep(time.Duration(reader) * 5 * time.Millisecond)
				}
			})
		}
		for range writers {
			writing.Go(func() {
				for range operations {
					if err := l.add(0, 0); err != nil {
						t.Errorf("write: %v", err)
					}
				}
			})
		}
		writing.Wait()
		const want = 3000 + 2*writers*operations
		for until := time.Now().Add(20 * time.Second); swept.Load() < want && time.Now().Before(until); {
			time.Sleep(10 * time.Millisecond)
		}
		done()
		all.Wait()
		if swept.Load() != want || expired.Load() == 0 || read.Load() == 0 {
			t.Errorf("swept are %d, read %d, and %d times too late", swept.Load(), read.Load(), expired.Load())
		}
		if now, err := l.Now(t.Context()); err != nil || now.Expired != want || now.Cursor.Position != want {
			t.Errorf("the clock is at %+v, %v", now, err)
		}
	})
}

// TestASweepGoesOnHoweverLongItWaitsForAConnection keeps all connections for longer than a chunk may take.
func TestASweepGoesOnHoweverLongItWaitsForAConnection(t *testing.T) {
	eachKept(t, func(t *testing.T, l *kept) {
		l.mustAdd(aged, aged)
		pool := l.db.Pools()["write"]
		var kept []*sql.Conn
		for range pool.Stats().MaxOpenConnections {
			conn, err := pool.Conn(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			kept = append(kept, conn)
		}
		waiting := pool.Stats().WaitCount
		var n int64
		swept := make(chan error, 1)
		go func() {
			var err error
			n, err = l.Sweep(t.Context(), pool)
			swept <- err
		}()
		for pool.Stats().WaitCount == waiting {
			time.Sleep(time.Millisecond)
		}
		select {
		case err := <-swept:
			swept <- err
		case <-time.After(changelog.SweepLimit + 100*time.Millisecond):
		}
		for _, conn := range kept {
			if err := conn.Close(); err != nil {
				t.Fatal(err)
			}
		}
		if err := <-swept; err != nil || n != 2 {
			t.Errorf("%d are swept, %v", n, err)
		}
	})
}
