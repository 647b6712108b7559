package database_test

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"rollcall/database"
	"rollcall/database/databasetest"
	"rollcall/dialect"
)

func TestOneProcessAtATimeHasTheLease(t *testing.T) {
	databasetest.EachOf(t, "mysql", func(t *testing.T, kind string) {
		url := databasetest.URL(t, kind)
		var inside, ran atomic.Int64
		var all sync.WaitGroup
		for range 4 {
			db := databasetest.Open(t, url, database.Options{PoolSize: 1})
			all.Go(func() {
				err := database.Leased(t.Context(), db.Side, time.Second, time.Minute, time.Minute, func(context.Context) error {
					if n := inside.Add(1); n != 1 {
						t.Errorf("%d at a time", n)
					}
					time.Sleep(20 * time.Millisecond)
					inside.Add(-1)
					ran.Add(1)
					return nil
				})
				if err != nil {
					t.Error(err)
				}
			})
		}
		all.Wait()
		if n := ran.Load(); n != 4 {
			t.Errorf("%d have run", n)
		}
	})
}

func TestALeaseWhoseOwnerIsSilentIsTakenAndItsOwnerHearsOfIt(t *testing.T) {
	databasetest.EachOf(t, "mysql", func(t *testing.T, kind string) {
		db := databasetest.Open(t, databasetest.URL(t, kind))
		const beat = 20 * time.Millisecond
		took := false
		silent := database.Leased(t.Context(), db.Side, 40*beat, beat, beat, func(ctx context.Context) error { // it renews far too seldom
			if err := database.Leased(t.Context(), db.Side, beat, 3*beat, 3*beat, func(context.Context) error { took = true; return nil }); err != nil {
				return err
			}
			<-ctx.Done()
			return ctx.Err()
		})
		if !took || !errors.Is(silent, database.ErrLeaseLost) {
			t.Errorf("taken: %t; its owner heard %v", took, silent)
		}
	})
}

func TestALeaseThatIsRenewedIsWaitedFor(t *testing.T) {
	databasetest.EachOf(t, "mysql", func(t *testing.T, kind string) {
		db := databasetest.Open(t, databasetest.URL(t, kind))
		const silence = time.Second
		err := database.Leased(t.Context(), db.Side, silence/10, silence, silence, func(context.Context) error {
			ctx, cancel := context.WithTimeout(t.Context(), 3*silence)
			defer cancel()
			if err := database.Leased(ctx, db.Side, silence/10, silence, silence, func(context.Context) error { return nil }); ctx.Err() == nil {
				t.Errorf("a lease was taken from an owner that renews it: %v", err)
			}
			return nil
		})
		if err != nil {
			t.Error(err)
		}
	})
}

// TestAWaitAtANodeThatHasLostItsClusterIsNoConflict has such a node say what it says where wsrep_sync_wait is set: what runs again after a conflict would run
// until its deadline.
func TestAWaitAtANodeThatHasLostItsClusterIsNoConflict(t *testing.T) {
	for status, transient := range map[string]bool{"": true, "Primary": true, "Disconnected": true, "non-Primary": false} {
		err := database.ErrOfWait(t.Context(), status)
		if dialect.Is(err, dialect.Transient) != transient || dialect.Is(err, dialect.Misplaced) == transient {
			t.Errorf("where the status is %q it is %v", status, err)
		}
	}
}
