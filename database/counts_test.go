package database_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"rollcall/database"
	"rollcall/database/databasetest"
	"rollcall/dialect"
	"rollcall/directory/directorytest"
)

// counted are the number of users that is kept and the one that is counted, in one statement.
const counted = "SELECT (SELECT COALESCE(SUM(delta), 0) FROM directory_counts WHERE name = 'User'), (SELECT COUNT(*) FROM users)"

// TestACountIsAlwaysThatOfItsMoment has users come and go while two servers fold and one recounts, past the lock that would keep them apart.
func TestACountIsAlwaysThatOfItsMoment(t *testing.T) {
	directorytest.EachDemo(t, func(t *testing.T, db *database.Database) {
		ctx, done := context.WithCancel(t.Context())
		defer done()
		var all, writers sync.WaitGroup
		var folded, seen, waits atomic.Int64
		run := func(group *sync.WaitGroup, what string, fn func() error) {
			group.Go(func() {
				for ctx.Err() == nil {
					if err := fn(); err != nil && ctx.Err() == nil && !database.IsOvertaken(err) {
						t.Errorf("%s: %v", what, err)
						return
					}
				}
			})
		}
		for range 2 {
			run(&all, "fold", func() error {
				n, err := db.FoldCounts(ctx)
				folded.Add(int64(n))
				return err
			})
		}
		run(&all, "recount", func() error {
			time.Sleep(50 * time.Millisecond)
			return db.RecountWithoutALock(ctx)
		})
		run(&all, "read", func() error {
			var sum, count int64
			if err := db.Side.QueryRowContext(ctx, counted).Scan(&sum, &count); err != nil {
				return err
			}
			seen.Add(1)
			if sum != count {
				return fmt.Errorf("%d is kept, and there are %d", sum, count)
			}
			return nil
		})
		run(&all, "read a snapshot", func() error {
			return snapshot(ctx, db, func(one func(string) int64) error {
				before := one("SELECT COALESCE(SUM(delta), 0) FROM directory_counts WHERE name = 'User'")
				time.Sleep(time.Millisecond)
				count := one("SELECT COUNT(*) FROM users")
				if after := one("SELECT COALESCE(SUM(delta), 0) FROM directory_counts WHERE name = 'User'"); before != count || after != count {
					return fmt.Errorf("in a snapshot %d and %d are kept, and there are %d", before, after, count)
				}
				return nil
			})
		})
		for w := range 3 {
			writers.Go(func() {
				r := rand.New(rand.NewPCG(1, uint64(w)))
				for i := range 60 {
					began := time.Now()
					if err := comeAndGo(t.Context(), db, r, fmt.Sprintf("%d.%d", w, i)); err != nil && !database.IsOvertaken(err) {
						t.Errorf("write: %v", err)
					}
					if time.Since(began) > 3*time.Second {
						waits.Add(1)
					}
				}
			})
		}
		writers.Wait()
		done()
		all.Wait()
		if folded.Load() == 0 || seen.Load() == 0 || waits.Load() > 0 {
			t.Errorf("%d deltas were folded, the counts read %d times, and %d writes have waited for long", folded.Load(), seen.Load(), waits.Load())
		}
		var sum, count int64
		if err := db.Side.QueryRowContext(t.Context(), counted).Scan(&sum, &count); err != nil || sum != count {
			t.Errorf("at last %d is kept, and there are %d: %v", sum, count, err)
		}
	})
}

// snapshot runs fn with what reads a number in one transaction.
func snapshot(ctx context.Context, db *database.Database, fn func(one func(string) int64) error) (err error) {
	options := &sql.TxOptions{Isolation: sql.LevelRepeatableRead, ReadOnly: true}
	pool := db.Pools()["read"]
	if db.Dialect().Embedded() {
		options = nil
	}
	tx, err := pool.BeginTx(ctx, options)
	if err != nil {
		return err
	}
	defer func() { _ = tx.Rollback() }()
	var failed error
	err = fn(func(query string) (n int64) {
		failed = errors.Join(failed, tx.QueryRowContext(ctx, query).Scan(&n))
		return n
	})
	if failed != nil {
		return failed
	}
	return err
}

// comeAndGo adds some users, or removes some, as a mutation does: each with its delta, in one transaction, which sometimes fails.
func comeAndGo(ctx context.Context, db *database.Database, r *rand.Rand, name string) error {
	tx, err := db.Pools()["write"].BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer func() { _ = tx.Rollback() }()
	for i := range 1 + r.IntN(4) {
		delta, statement := 1, fmt.Sprintf("INSERT INTO users (name, email, created_at, updated_at) VALUES ('N', 'n%s.%d@example.com', '2024-01-01 00:00:00', '2024-01-01 00:00:00')", name, i)
		if r.IntN(3) == 0 {
			delta, statement = -1, fmt.Sprintf("DELETE FROM users WHERE email LIKE 'n%%.%d@example.com' AND id = %d", i, 1001+r.IntN(100))
		}
		result, err := tx.ExecContext(ctx, statement)
		if err != nil {
			return err
		}
		if n, err := result.RowsAffected(); err != nil || n == 0 {
			continue
		}
		if _, err := tx.ExecContext(ctx, fmt.Sprintf("INSERT INTO directory_counts (name, delta) VALUES ('User', %d)", delta)); err != nil {
			return err
		}
	}
	if r.IntN(5) == 0 {
		return nil
	}
	return tx.Commit()
}

func TestDeltasAreFoldedInBatchesAndFewAreLeft(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, db *database.Database) {
		for name, n := range map[string]int{"User": 2500, "Team": 10} {
			if err := db.Write.Exec("INSERT INTO directory_counts (name, delta) VALUES " + strings.TrimSuffix(strings.Repeat("('"+name+"', 1), ", n), ", ")).Error; err != nil {
				t.Fatal(err)
			}
		}
		if folded := foldAll(t, db); folded < 2400 {
			t.Errorf("FoldCounts = %d", folded)
		}
		for name, want := range map[string][2]int64{"User": {2500, 64}, "Team": {10, 10}} {
			var sum, rows int64
			if err := db.Side.QueryRowContext(t.Context(), "SELECT SUM(delta), COUNT(*) FROM directory_counts WHERE name = '"+name+"'").Scan(&sum, &rows); err != nil {
				t.Fatal(err)
			}
			if sum != want[0] || rows > want[1] {
				t.Errorf("%s: %d rows, whose sum is %d", name, rows, sum)
			}
		}
		if folded := foldAll(t, db); folded != 0 {
			t.Errorf("once more: %d", folded)
		}
	})
}

// foldAll folds counts. A machine that has much to do may need several calls, as the limit of one batch is for mutations' sake.
func foldAll(t *testing.T, db *database.Database) (folded int) {
	t.Helper()
	for range 20 {
		n, err := db.FoldCounts(t.Context())
		folded += n
		if err == nil {
			return folded
		}
		if !errors.Is(err, context.DeadlineExceeded) && !dialect.Is(err, dialect.OverTime) {
			t.Fatalf("FoldCounts: %v, after %d", err, folded)
		}
	}
	t.Fatalf("FoldCounts is late again and again, after %d", folded)
	return folded
}

// TestAFolderWaitsForNoMutationForLong leaves one open that has inserted its delta.
func TestAFolderWaitsForNoMutationForLong(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, db *database.Database) {
		if err := db.Write.Exec("INSERT INTO directory_counts (name, delta) VALUES " + strings.TrimSuffix(strings.Repeat("('User', 1), ", 100), ", ")).Error; err != nil {
			t.Fatal(err)
		}
		tx, err := db.Side.BeginTx(t.Context(), nil)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = tx.Rollback() }()
		if _, err := tx.ExecContext(t.Context(), "INSERT INTO directory_counts (name, delta) VALUES ('User', 7)"); err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		folded, err := db.FoldCounts(t.Context())
		if took := time.Since(began); took > 3*time.Second {
			t.Errorf("it took %s", took)
		}
		if alone := db.Dialect().Embedded(); alone != (err != nil) || !alone && folded != 99 {
			t.Errorf("FoldCounts = %d, %v", folded, err)
		}
		if err := tx.Commit(); err != nil {
			t.Fatal(err)
		}
		var sum int64
		if _, err := db.FoldCounts(t.Context()); err != nil {
			t.Error(err)
		}
		if err := db.Side.QueryRowContext(t.Context(), "SELECT SUM(delta) FROM directory_counts").Scan(&sum); err != nil || sum != 107 {
			t.Errorf("the sum is %d, %v", sum, err)
		}
	})
}

func TestAFailureToFoldIsReportedOnceUntilItHasPassed(t *testing.T) {
	db := databasetest.New(t, "sqlite")
	if err := db.Write.Exec("ALTER TABLE directory_counts RENAME TO gone").Error; err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	var reported atomic.Int64
	ended := make(chan struct{})
	go func() {
		db.FoldCountsEvery(ctx, time.Millisecond, func(error) { reported.Add(1) })
		close(ended)
	}()
	time.Sleep(200 * time.Millisecond)
	cancel()
	<-ended
	if n := reported.Load(); n != 1 {
		t.Errorf("reported %d times", n)
	}
}
