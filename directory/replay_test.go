package directory_test

import (
	"context"
	"errors"
	"math/rand/v2"
	"os"
	"strconv"
	"sync"
	"testing"
	"time"

	"rollcall/database/databasetest"
	"rollcall/directory/directorytest"
	"rollcall/session"
)

// TestTheTablesHoldWhatTheLogTellsAfterRandomMutations runs so many random mutations as ROLLCALL_TEST_REPLAY says, while connections are killed.
func TestTheTablesHoldWhatTheLogTellsAfterRandomMutations(t *testing.T) {
	mutations := 150
	if text := os.Getenv("ROLLCALL_TEST_REPLAY"); text != "" {
		var err error
		if mutations, err = strconv.Atoi(text); err != nil {
			t.Fatalf("ROLLCALL_TEST_REPLAY: %v", err)
		}
	}
	seed := rand.Uint64()
	onEveryDatabase(t, func(t *testing.T, w *work) {
		t.Logf("the seed is %d", seed)
		if !w.db.Dialect().Embedded() {
			w.pools.Proof = &session.Proof{DB: w.db.Side, Dialect: w.db.Dialect()}
		}
		w.again = true
		ctx, cancel := context.WithCancel(t.Context())
		var killer sync.WaitGroup
		killed := int64(0)
		killer.Go(func() { killed = databasetest.Kill(ctx, w.db, 20*time.Millisecond) })
		m := &memory{
			Rand: rand.New(rand.NewPCG(seed, 0)), users: map[int64]*person{}, teams: map[int64]*group{}, seats: map[[2]int64]*seat{},
		}
		for i := range mutations {
			m.step(t, w)
			if t.Failed() {
				t.Fatalf("after %d mutations, the last of which was %s", i+1, m.last)
			}
		}
		cancel()
		killer.Wait()
		m.compare(t, w)
		var replay directorytest.Replay
		if err := errors.Join(replay.Read(t.Context(), w.log), replay.Compare(t.Context(), w.db)); err != nil {
			t.Error(err)
		}
		t.Logf("%d changes by %d mutations; %d connections were killed", replay.Last, mutations, killed)
	})
}
