package session_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"gorm.io/gorm"

	"rollcall/schematest"
	"rollcall/session"
	"rollcall/sqlite"
)

// ExampleRun moves money between two accounts, over SQLite.
func ExampleRun() {
	folder, err := os.MkdirTemp("", "bank")
	if err != nil {
		panic(err)
	}
	defer func() { _ = os.RemoveAll(folder) }()
	// SkipDefaultTransaction, since the session is the transaction. Immediate, since a Write may read before it
	// writes: it must not find then that another one has written meanwhile.
	pool := sql.OpenDB(sqlite.Connector{
		Path:      filepath.Join(folder, "bank.db"),
		Immediate: true,
		Pragmas:   []string{"busy_timeout = 5000", "journal_mode = WAL"},
	})
	defer func() { _ = pool.Close() }()
	db, err := gorm.Open(sqlite.Dialector{Pool: pool}, &gorm.Config{SkipDefaultTransaction: true})
	if err != nil {
		panic(err)
	}
	err = errors.Join(db.AutoMigrate(&schematest.Account{}), db.Create([]schematest.Account{{ID: 1, Balance: 100}, {ID: 2, Balance: 100}}).Error)
	if err != nil {
		panic(err)
	}

	pools := session.Pools{Write: db, Deadline: 10 * time.Second}
	if err := pools.Install(); err != nil { // once
		panic(err)
	}
	for _, amount := range []int{30, 90} {
		err := session.Run(context.Background(), pools, session.Write, "transfer", func(ctx context.Context) error {
			session.AfterCommit(ctx, func() { fmt.Println("moved", amount) })
			for id, change := range map[int]int{1: -amount, 2: amount} {
				if err := session.DB(ctx).Model(&schematest.Account{ID: id}).Update("balance", gorm.Expr("balance + ?", change)).Error; err != nil {
					return err
				}
			}
			var from schematest.Account
			if err := session.DB(ctx).Take(&from, 1).Error; err != nil {
				return err
			}
			if from.Balance < 0 { // takes everything back
				return fmt.Errorf("account 1 is short of %d", -from.Balance)
			}
			return nil
		})
		if err != nil {
			fmt.Println(err)
		}
	}
	// Output:
	// moved 30
	// account 1 is short of 20
}
