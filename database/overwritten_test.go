package database_test

import (
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/ncruces/go-sqlite3"

	"rollcall/database/databasetest"
)

// TestWhatSQLiteItselfDoesToItsFileIsNoDamage has it grow and shrink by another's hand, while transactions look at it.
func TestWhatSQLiteItselfDoesToItsFileIsNoDamage(t *testing.T) {
	t.Parallel()
	url := databasetest.URL(t, "sqlite")
	db, other := databasetest.Open(t, url), databasetest.Open(t, url)
	migrate(t, db)
	done := make(chan struct{})
	var writing sync.WaitGroup
	writing.Go(func() {
		for n := 0; ; n++ {
			select {
			case <-done:
				return
			default:
			}
			tx := db.Write.Begin()
			err := tx.Exec("INSERT INTO directory_locks (name, changes) VALUES (?, 1)", fmt.Sprint(n)).Error
			if err == nil {
				err = tx.Commit().Error
			}
			if errors.Is(err, sqlite3.BUSY) { // the other one takes its time
				tx.Rollback()
			} else if err != nil {
				t.Errorf("transaction %d: %v", n, err)
				return
			}
			time.Sleep(2 * time.Millisecond) // the other one waits for its turn
		}
	})
	for range 5 {
		for _, statement := range []string{
			"CREATE TABLE filler AS WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 500) SELECT randomblob(1000) FROM n",
			"PRAGMA wal_checkpoint(TRUNCATE)", "DROP TABLE filler", "VACUUM", "PRAGMA wal_checkpoint(TRUNCATE)",
		} {
			if err := other.Write.Exec(statement).Error; err != nil {
				t.Errorf("%s: %v", statement, err)
			}
		}
	}
	close(done)
	writing.Wait()
}
