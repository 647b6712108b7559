package session_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"gorm.io/driver/sqlite"
	"gorm.io/gorm"
	_ "modernc.org/sqlite" // the driver "sqlite"

	"rollcall/schematest"
	"rollcall/session"
)

// ExampleRun moves money between two accounts, over SQLite.
func ExampleRun() {
	folder, err := os.MkdirTemp("", "bank")
	if err != nil {
		panic(err)
	}
	defer func() { _ = os.RemoveAll(folder) }()
	// SkipDefaultTransaction, since the session is the transaction. _txlock, since a Write may read before it
	// writes: it must not find then that another one has written meanwhile.
	file := "file:" + filepath.Join(folder, "bank.db") + "?_txlock=immediate&_busy_timeout=5000&_journal_mode=WAL"
	db, err := gorm.Open(sqlite.New(sqlite.Config{DriverName: "sqlite", DSN: file}), &gorm.Config{SkipDefaultTransaction: true})
	if err != nil {
		panic(err)
	}
	pool, err := db.DB()
	if err != nil {
		panic(err)
	}
	defer func() { _ = pool.Close() }()
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
