package sessiontest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"

	"gorm.io/gorm"

	"rollcall/schematest"
	"rollcall/session"
)

// isolating: promises 16 to 19, of what resolvers, operations and other clients do not see of each other.
var isolating = []promise{
	{name: "A resolver's conditions are not another's", test: noLeaks},
	{name: "A resolver's errors are not another's", test: noSharedErrors},
	{name: "Every finisher of GORM works or says what to use instead", test: finishers},
	{name: "Do has the finishers that a shared session refuses", test: finishersInDo},
	{name: "A mutation that tried to end its transaction is not committed", test: noRawControl},
	{name: "A statement of the pool with an operation's context says what to use instead of leaving the transaction", test: pastTheSession},
	{name: "Eight operations at once read, then write, and none is busy", test: readThenWrite, absent: manyWriters},
	{name: "Nobody writes between an operation's read and its write", test: nobodyBetween, absent: manyWriters},
	{name: "A snapshot sees one state of the database at all levels", test: oneState},
	{name: "A query takes a connection for each statement only", test: connectionPerStatement},
	{name: "A query cannot write", test: cannotWrite},
	{name: "A query's raw SQL that writes is refused by the server", test: cannotWriteRaw},
	{name: "The session is the innermost operation interceptor, whatever is installed after it", test: innermost, graphql: interceptors},
	{name: "A server without its handler, or with two, and a transport that drops the request are told so", test: misused, graphql: interceptors},
	{name: "Set-up refuses pools that cannot work", test: validates},
	{name: "What other interceptors put into the context survives a retry", test: survivesRetry, graphql: interceptors},
}

// manyWriters is why a mutation that reads and then writes is never refused as busy there.
var manyWriters = map[string]string{
	"mysql":    "it has many writers, which lock rows and not the database",
	"postgres": "it has many writers, which lock rows and not the database",
}

func noLeaks(t *testing.T, backend Backend) {
	b := NewBank(t, backend, Setup{})
	b.Step("start", func(context.Context) (int, error) { return 1, nil })
	for _, kind := range kinds {
		const resolvers = 16
		conditioned, finished := expect(resolvers), expect(resolvers)
		for i := range resolvers {
			b.Step(fmt.Sprintf("only %d", i), func(ctx context.Context) (int, error) {
				db := session.DB(ctx)
				query := db.Model(&schematest.Account{}).Where("id = ?", i+1).Select("id").Limit(1)
				if err := conditioned.arrive(ctx); err != nil {
					return 0, err
				}
				var found []int
				if err := query.Find(&found).Error; err != nil {
					return 0, err
				}
				if err := finished.arrive(ctx); err != nil {
					return 0, err
				}
				// Neither its own conditions nor the others' are in what comes next.
				for range 2 {
					var all []schematest.Account
					if err := db.Find(&all).Error; err != nil || len(all) != Accounts {
						return 0, fmt.Errorf("%d accounts without a condition: %w", len(all), err)
					}
				}
				if len(found) != 1 {
					return 0, fmt.Errorf("found %v", found)
				}
				return found[0], nil
			})
		}
		a := b.Must(kind + ` { run(step: "start") ` + aliased(resolvers, func(i int) string { return fmt.Sprintf(`run(step: "only %d") { value }`, i) }) + ` }`)
		for i := range resolvers {
			if got := a.value("run", fmt.Sprintf("a%d", i)); got != float64(i+1) {
				t.Errorf("%s: the resolver that looked for account %d found %v", kind, i+1, got)
			}
		}
	}
}

// noSharedErrors: GORM keeps an error of these in the very *gorm.DB that they are called on.
func noSharedErrors(t *testing.T, backend Backend) {
	b := NewBank(t, backend, Setup{})
	b.Step("spoil", func(ctx context.Context) (int, error) {
		session.DB(ctx).Rollback()
		session.DB(ctx).Commit()
		_ = session.DB(ctx).AddError(errors.New("on purpose"))
		return 1, nil
	})
	for _, kind := range kinds {
		b.Must(kind + ` { run(step: "spoil") { account(id: 1) { id } } }`)
	}
}

// noRawControl: GORM does not tell of SavePoint's error on each database, so that a resolver might go on.
func noRawControl(t *testing.T, backend Backend) {
	b := NewBank(t, backend, Setup{})
	for name, call := range map[string]func(db *gorm.DB){
		"SavePoint":  func(db *gorm.DB) { db.SavePoint("here") },
		"RollbackTo": func(db *gorm.DB) { db.RollbackTo("here") },
		"Exec":       func(db *gorm.DB) { db.Exec(" commit") },
		"Find":       func(db *gorm.DB) { db.Raw("COMMIT").Find(&[]int{}) },
		"a comment":  func(db *gorm.DB) { db.Exec("/* not */ -- now\n COMMIT") },
	} {
		b.Step("control", func(ctx context.Context) (int, error) {
			if err := Add(session.DB(ctx), "counters", "value", 1, 1); err != nil {
				return 0, err
			}
			call(session.DB(ctx))
			_ = Add(session.DB(ctx), "counters", "value", 2, 1)
			return 1, nil
		})
		WantNull(t, b.Send(`mutation { run(step: "control") { value } }`))
		for id := range 2 {
			if got := b.Counter(id + 1); got != 0 {
				t.Fatalf("%s: counter %d is %d", name, id+1, got)
			}
		}
	}
	b.WantIdle()
}

// pastTheSession uses the pool with the context of a resolver, as services do that know no session.
func pastTheSession(t *testing.T, backend Backend) {
	b := NewBank(t, backend, Setup{})
	add := func(db *gorm.DB) error { return Add(db, "counters", "value", 1, 1) }
	attempts := map[string]func(db *gorm.DB) error{
		"Exec":        add,
		"Create":      func(db *gorm.DB) error { return db.Create(&schematest.Counter{ID: 100}).Error },
		"Update":      func(db *gorm.DB) error { return db.Model(&schematest.Counter{ID: 1}).Update("value", 1).Error },
		"Delete":      func(db *gorm.DB) error { return db.Delete(&schematest.Counter{ID: 1}).Error },
		"Find":        func(db *gorm.DB) error { return db.Find(&[]schematest.Counter{}).Error },
		"Scan":        func(db *gorm.DB) error { return db.Raw("SELECT 1").Scan(new(int)).Error },
		"Row":         func(db *gorm.DB) error { return db.Raw("SELECT 1").Row().Scan(new(int)) },
		"Transaction": func(db *gorm.DB) error { return db.Transaction(add) },
		"Connection":  func(db *gorm.DB) error { return db.Connection(add) },
	}
	b.Step("escape", func(ctx context.Context) (int, error) {
		for _, pool := range []*gorm.DB{b.DB, b.Reads} {
			for name, attempt := range attempts {
				if err := attempt(pool.WithContext(ctx)); !errors.Is(err, session.ErrOutside) {
					t.Errorf("%s: want ErrOutside, got %v", name, err)
				}
			}
		}
		return 1, nil
	})
	var hooked error
	b.Step("later", func(ctx context.Context) (int, error) {
		session.AfterCommit(ctx, func() { hooked = add(b.DB.WithContext(ctx)) })
		return 1, nil
	})
	b.Step("read", func(ctx context.Context) (int, error) {
		return 1, b.Reads.WithContext(ctx).Find(&[]schematest.Counter{}).Error
	})
	for _, kind := range kinds[:2] {
		b.Must(kind + ` { run(step: "escape") { value } }`)
	}
	b.Must(`query { run(step: "read") { value } }`)
	b.wantUntouched()
	if b.Must(`mutation { run(step: "later") { value } }`); hooked != nil || b.Counter(1) != 1 {
		t.Errorf("a hook could not use the pool: %v, the counter is %d", hooked, b.Counter(1))
	}
}

// readThenWrite is tried with the writers that the database was opened with, and with several.
func readThenWrite(t *testing.T, backend Backend) {
	const operations = 8
	for name, writers := range map[string]int{"the pool as it is": 0, "a connection for each": operations} {
		t.Run(name, func(t *testing.T) {
			b := NewBank(t, backend, Setup{})
			if writers != 0 {
				pool, _ := b.DB.DB()
				pool.SetMaxOpenConns(writers)
			}
			started := expect(operations)
			b.Step("count", func(ctx context.Context) (int, error) {
				started.come()
				var c schematest.Counter
				if err := session.DB(ctx).Take(&c, "id = ?", 1).Error; err != nil {
					return 0, err
				}
				return c.Value, session.DB(ctx).Model(&c).Update("value", c.Value+1).Error
			})
			// All of them find another client writing.
			tx, err := b.Side.BeginTx(t.Context(), nil)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := tx.ExecContext(t.Context(), "UPDATE counters SET value = 100 WHERE id = 1"); err != nil {
				t.Fatal(err)
			}
			answers := make(chan Answer, operations)
			for range operations {
				go func() { answers <- b.Send(`mutation { run(step: "count") { value } }`) }()
			}
			<-started.all
			if err := tx.Commit(); err != nil {
				t.Fatal(err)
			}
			for range operations {
				if a := <-answers; !a.OK() {
					t.Errorf("got %s", a.Raw)
				}
			}
			if got := b.Counter(1); got != 100+operations {
				t.Errorf("the counter is %d after %d operations from 100", got, operations)
			}
		})
	}
}

// nobodyBetween: a write there would make the operation's own impossible, however long it waits.
func nobodyBetween(t *testing.T, backend Backend) {
	b := NewBank(t, backend, Setup{})
	other, err := b.Side.Conn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = other.Close() }()
	if _, err := other.ExecContext(t.Context(), "PRAGMA busy_timeout = 0"); err != nil {
		t.Fatal(err)
	}
	b.Step("count", func(ctx context.Context) (int, error) {
		var c schematest.Counter
		if err := session.DB(ctx).Take(&c, "id = ?", 1).Error; err != nil {
			return 0, err
		}
		const busy = "5"
		if _, err := other.ExecContext(ctx, "UPDATE counters SET value = 100 WHERE id = 1"); numberOf(err) != busy {
			t.Errorf("another client wrote between a read and a write: %v", err)
		}
		return 0, session.DB(ctx).Model(&c).Update("value", c.Value+1).Error
	})
	b.Must(`mutation { run(step: "count") { value } }`)
	if got := b.Counter(1); got != 1 {
		t.Errorf("the counter is %d", got)
	}
}

// oneState reads at three levels, with another client's writes before the second and the third, once with
// @snapshot and once without, which shows that the other client's writes are there to be seen.
func oneState(t *testing.T, backend Backend) {
	b := NewBank(t, backend, Setup{})
	b.Step("read", func(ctx context.Context) (int, error) {
		var c schematest.Counter
		err := session.DB(ctx).Take(&c, "id = ?", 1).Error
		return c.Value, err
	})
	b.Step("others write", func(context.Context) (int, error) {
		b.Must(`mutation { increment(id: 1) { id } transfer(from: 1, to: 2, amount: 10) { id } }`)
		return 0, nil
	})
	const query = `{
		a: run(step: "read") { value run(step: "others write") {
			b: run(step: "read") { value account(id: 1) { balance run(step: "others write") {
				c: run(step: "read") { value } account(id: 2) { balance }
			} } }
		} }
	}`
	for kind, seen := range map[string]string{
		"query @snapshot": "0 0 1000 0 1000",
		"query":           "0 1 990 2 1020",
	} {
		for _, undo := range []string{"UPDATE counters SET value = 0", "UPDATE accounts SET balance = 1000"} {
			b.Exec(undo)
		}
		a := b.Must(kind + " " + query)
		level1 := a.Data["a"].(map[string]any)
		level2 := level1["run"].(map[string]any)["b"].(map[string]any)
		account := level2["account"].(map[string]any)
		level3 := account["run"].(map[string]any)
		got := fmt.Sprint(level1["value"], level2["value"], account["balance"],
			level3["c"].(map[string]any)["value"], level3["account"].(map[string]any)["balance"])
		if got != seen {
			t.Errorf("%s saw %s, want %s", kind, got, seen)
		}
		if got := b.Counter(1); got != 2 {
			t.Errorf("%s: the other client has written %d times", kind, got)
		}
	}
	b.WantIdle()
}

func connectionPerStatement(t *testing.T, backend Backend) {
	b := NewBank(t, backend, Setup{})
	var kind string
	idle := func(when string) {
		if n := b.InUse(); n != 0 {
			t.Errorf("%s: %d connections are in use %s", kind, n, when)
		}
	}
	b.Step("read", func(ctx context.Context) (int, error) {
		idle("before the first statement")
		for range 3 {
			if err := session.DB(ctx).Find(&[]schematest.Account{}).Error; err != nil {
				return 0, err
			}
			if kind == "query" {
				idle("between statements")
			} else if n := b.InUse(); n != 1 {
				t.Errorf("%s: %d connections are in use in its transaction", kind, n)
			}
		}
		if kind != "query" {
			return 0, nil
		}
		err := session.Do(ctx, func(tx *gorm.DB) error {
			if n := b.InUse(); n != 1 {
				t.Errorf("%d connections are in use within Do", n)
			}
			return tx.Find(&[]schematest.Account{}).Error
		})
		idle("after Do")
		return 0, err
	})
	for _, kind = range kinds {
		b.Must(kind + ` { run(step: "read") { value } }`)
		b.WantIdle()
	}
}

// cannotWrite tries what finishers does not: writes within Do.
func cannotWrite(t *testing.T, backend Backend) {
	b := NewBank(t, backend, Setup{})
	b.Step("write", func(ctx context.Context) (int, error) {
		for name, write := range map[string]func(db *gorm.DB) error{
			"Create": func(db *gorm.DB) error { return db.Create(&schematest.Counter{ID: 100}).Error },
			"Update": func(db *gorm.DB) error {
				return db.Model(&schematest.Counter{}).Where("id = ?", 1).Update("value", 1).Error
			},
			"Delete": func(db *gorm.DB) error { return db.Delete(&schematest.Counter{}, "id = ?", 1).Error },
			"Exec":   func(db *gorm.DB) error { return Add(db, "counters", "value", 1, 1) },
		} {
			if err := write(session.DB(ctx)); !errors.Is(err, session.ErrReadOnly) {
				t.Errorf("%s: %v", name, err)
			}
			if err := session.Do(ctx, write); !errors.Is(err, session.ErrReadOnly) {
				t.Errorf("%s in Do: %v", name, err)
			}
			_ = session.Do(ctx, func(tx *gorm.DB) error { // it is SAVEPOINT that is refused first, where GORM tells
				return tx.Transaction(func(tx *gorm.DB) error {
					if err := write(tx); !errors.Is(err, session.ErrReadOnly) {
						t.Errorf("%s in a transaction in Do: %v", name, err)
					}
					return nil
				})
			})
		}
		return 1, session.DB(ctx).Find(&[]schematest.Counter{}).Error // it has done no harm
	})
	for _, kind := range kinds[1:] {
		b.Must(kind + ` { run(step: "write") { value } }`)
	}
	b.wantUntouched()
}

// wantUntouched fails if the counters are not those of a new bank.
func (b *Bank) wantUntouched() {
	b.tb.Helper()
	var counters []schematest.Counter
	if err := b.DB.Order("id").Find(&counters).Error; err != nil {
		b.tb.Fatal(err)
	}
	if len(counters) != Counters || slices.ContainsFunc(counters, func(c schematest.Counter) bool { return c.Value != 0 }) {
		b.tb.Errorf("the counters are %v", counters)
	}
}

// cannotWriteRaw sends the writes by GORM's reads, each in an operation of its own, since PostgreSQL's
// transaction ends with a refusal.
func cannotWriteRaw(t *testing.T, backend Backend) {
	b := NewBank(t, backend, Setup{})
	writes := []string{"INSERT INTO counters VALUES (100, 1)", "UPDATE counters SET value = 1", "DELETE FROM counters"}
	if b.Dialect != "mysql" { // MariaDB has some of them
		writes = append(writes, "INSERT INTO counters VALUES (100, 1) RETURNING id", "UPDATE counters SET value = 1 RETURNING id",
			"DELETE FROM counters RETURNING id")
	}
	var kind, write string
	wants := map[string]string{
		"mysql":    "1792",  // ER_CANT_EXECUTE_IN_READ_ONLY_TRANSACTION
		"postgres": "25006", // read_only_sql_transaction
		"sqlite":   "8",     // SQLITE_READONLY
	}
	b.Step("write", func(ctx context.Context) (int, error) {
		var ids []int
		if err := session.DB(ctx).Raw(write).Find(&ids).Error; numberOf(err) != wants[b.Dialect] {
			t.Errorf("%s { %s }: %v", kind, write, err)
		}
		return 0, nil
	})
	b.Step("write by Query", func(ctx context.Context) (int, error) {
		if err := session.Query(ctx, write, nil, ignore); numberOf(err) != wants[b.Dialect] {
			t.Errorf("%s { %s } by Query: %v", kind, write, err)
		}
		return 0, nil
	})
	b.Step("write in Do", func(ctx context.Context) (int, error) {
		return 0, session.Do(ctx, func(tx *gorm.DB) error {
			if err := closed(tx.Raw(write).Rows()); numberOf(err) != wants[b.Dialect] {
				t.Errorf("%s { %s } in Do: %v", kind, write, err)
			}
			return nil
		})
	})
	for _, kind = range kinds[1:] {
		for _, write = range writes {
			b.Must(kind + ` { run(step: "write") { value } }`)
			b.Must(kind + ` { run(step: "write by Query") { value } }`)
			b.Must(kind + ` { run(step: "write in Do") { value } }`)
		}
	}
	b.wantUntouched()
}
