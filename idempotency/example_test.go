package idempotency_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"gorm.io/gorm"

	"rollcall/dialect"
	"rollcall/idempotency"
	"rollcall/session"
	"rollcall/sqlite"
)

// Example pays a bill once, however often it is asked to, over SQLite.
func Example() {
	folder, err := os.MkdirTemp("", "bank")
	if err != nil {
		panic(err)
	}
	defer func() { _ = os.RemoveAll(folder) }()
	pool := sql.OpenDB(sqlite.Connector{Path: filepath.Join(folder, "bank.db"), Immediate: true})
	defer func() { _ = pool.Close() }()
	db, err := gorm.Open(sqlite.Dialector{Pool: pool}, &gorm.Config{SkipDefaultTransaction: true})
	if err != nil {
		panic(err)
	}
	for _, statement := range append(idempotency.Table(dialect.SQLite), "CREATE TABLE payments (amount INT NOT NULL)") {
		if err := db.Exec(statement).Error; err != nil {
			panic(err)
		}
	}
	pools := session.Pools{Write: db}
	if err := pools.Install(); err != nil { // once
		panic(err)
	}

	keys := &idempotency.Keys{}
	pay := func(ctx context.Context, key string, amount int) (answer string, err error) {
		m := keys.Mutation(ctx, key, "pay", fmt.Sprint(amount))
		defer m.End()
		err = session.Run(ctx, pools, session.Write, "pay", func(ctx context.Context) error {
			kept, err := m.Claim(ctx)
			if err != nil {
				return err
			}
			if kept != nil {
				answer = string(kept.Answer)
				return nil
			}
			var payments int64
			err = errors.Join(session.DB(ctx).Exec("INSERT INTO payments VALUES (?)", amount).Error,
				session.DB(ctx).Table("payments").Count(&payments).Error)
			answer = fmt.Sprintf("payment %d, of %d", payments, amount)
			return errors.Join(err, m.Keep(ctx, []byte(answer)))
		})
		return answer, m.Failure(err)
	}
	fmt.Println(pay(context.Background(), "a", 30))
	fmt.Println(pay(context.Background(), "a", 30)) // the answer was lost
	fmt.Println(pay(context.Background(), "b", 30))
	_, err = pay(context.Background(), "a", 31)
	fmt.Println(err)
	// Output:
	// payment 1, of 30 <nil>
	// payment 1, of 30 <nil>
	// payment 2, of 30 <nil>
	// the idempotency key was used before for another document, operation or variables: a new mutation needs a new key
}
