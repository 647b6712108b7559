package sessiontest

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/go-sql-driver/mysql"
	"github.com/ncruces/go-sqlite3"
	"gorm.io/gorm"
)

// conflict is a way to make a database end a transaction for the sake of another one.
type conflict struct {
	number string // what the server calls the error
	// prepare changes the pool for mutations. It may be nil, and reports false where the server has no such conflict.
	prepare func(b *Bank) bool
	// provoke is called with a new transaction, increments counter 7 in it if it can, and returns the error that
	// the server then gives. What stood in the way has gone when it returns.
	provoke func(ctx context.Context, b *Bank, tx *gorm.DB) error
	atBegin bool // the transaction cannot even begin
}

// conflicts returns those of a dialect.
func conflicts(dialect string) []conflict {
	switch dialect {
	case "mysql":
		return []conflict{
			{number: "1213", provoke: deadlock},
			{number: "1205", provoke: obstructed},
			{number: "1020", prepare: isolateSnapshots, provoke: overtaken},
		}
	case "postgres":
		return []conflict{
			{number: "40P01", provoke: deadlock},
			{number: "55P03", provoke: obstructed},
			{number: "40001", provoke: overtaken},
		}
	}
	return []conflict{{number: "5", prepare: impatient, provoke: obstructed, atBegin: true}}
}

// eachConflict runs a test with every conflict of the database.
func eachConflict(t *testing.T, backend Backend, test func(t *testing.T, b *Bank, c conflict)) {
	for _, c := range conflicts(backend.Dialect) {
		t.Run(c.number, func(t *testing.T) {
			b := NewBank(t, backend, Setup{Options: Options{PoolSize: 2}})
			if c.prepare != nil && !c.prepare(b) {
				t.Logf("%s does not exist on this server", c.number)
				return
			}
			test(t, b, c)
		})
	}
}

// numberOf returns what the server calls an error, or "" if it is not the server's.
func numberOf(err error) string {
	var my *mysql.MySQLError
	var pg interface{ SQLState() string }
	var lite sqlite3.ErrorCode
	switch {
	case errors.As(err, &my):
		return strconv.Itoa(int(my.Number))
	case errors.As(err, &pg):
		return pg.SQLState()
	case errors.As(err, &lite):
		return strconv.Itoa(int(lite))
	}
	return ""
}

// begin is the first statement of a transaction that is to meet a conflict. It makes the server see it at
// once, and before the other side does.
func begin(tx *gorm.DB) error {
	switch tx.Name() {
	case "mysql":
		return tx.Exec("SET SESSION innodb_lock_wait_timeout = 20").Error
	case "postgres":
		return tx.Exec("SET LOCAL deadlock_timeout = '10ms'").Error
	}
	return nil
}

// obstruct has a connection elsewhere hold the lock of counter 8, on SQLite that of the database.
func (b *Bank) obstruct(ctx context.Context) (free func(), err error) {
	tx, err := b.Side.BeginTx(context.WithoutCancel(ctx), nil)
	if err != nil {
		return nil, err
	}
	free = func() { _ = tx.Rollback() }
	if _, err := tx.ExecContext(ctx, "UPDATE counters SET value = value + 100 WHERE id = 8"); err != nil {
		free()
		return nil, err
	}
	return free, nil
}

// collide runs into what obstructs, and waits for it as briefly as it can.
func collide(tx *gorm.DB) error {
	if err := hurry(tx); err != nil {
		return err
	}
	return Add(tx, "counters", "value", 8, 1)
}

// hurry has a transaction wait for locks as briefly as it can.
func hurry(tx *gorm.DB) error {
	switch tx.Name() {
	case "mysql": // MySQL takes it for 1 second, MariaDB for none
		return tx.Exec("SET SESSION innodb_lock_wait_timeout = 0").Error
	case "postgres":
		return tx.Exec("SET LOCAL lock_timeout = '1ms'").Error
	}
	return nil
}

// impatient lets no connection wait for SQLite's lock.
func impatient(b *Bank) bool {
	b.Exec("PRAGMA busy_timeout = 0")
	return true
}

func obstructed(ctx context.Context, b *Bank, tx *gorm.DB) error {
	free, err := b.obstruct(ctx)
	if err != nil {
		return err
	}
	defer free()
	if b.Dialect != "sqlite" {
		if err := Add(tx, "counters", "value", 7, 1); err != nil {
			return err
		}
	}
	return collide(tx)
}

// deadlock has another transaction hold counter 8 and wait for counter 7, which tx holds, and then wants 8. The
// other one has written more, for which InnoDB spares it, and looks for deadlocks later, for which PostgreSQL does.
func deadlock(ctx context.Context, b *Bank, tx *gorm.DB) error {
	other, err := b.Side.Conn(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = other.Close() }()
	var id int
	if err := other.QueryRowContext(ctx, askNumber(b.Dialect)).Scan(&id); err != nil {
		return err
	}
	heavy := []string{"BEGIN", "UPDATE accounts SET balance = balance + 1", "UPDATE counters SET value = value + 100 WHERE id = 8"}
	if b.Dialect == "postgres" {
		heavy = append(heavy, "SET LOCAL deadlock_timeout = '1min'")
	}
	for _, statement := range heavy {
		if _, err := other.ExecContext(ctx, statement); err != nil {
			return err
		}
	}
	if err := errors.Join(begin(tx), Add(tx, "counters", "value", 7, 1)); err != nil {
		return err
	}
	waited := make(chan error, 1)
	go func() {
		_, err := other.ExecContext(ctx, "UPDATE counters SET value = value + 100 WHERE id = 7")
		waited <- err
	}()
	if err := b.untilWaiting(ctx, id); err != nil {
		return err
	}
	lost := Add(tx, "counters", "value", 8, 1)
	if err := <-waited; err != nil {
		return fmt.Errorf("the other transaction should have won: %w", err)
	}
	if _, err := other.ExecContext(ctx, "ROLLBACK"); err != nil {
		return err
	}
	return lost
}

// untilWaiting returns when a connection, by the server's number of it, waits for a lock.
func (b *Bank) untilWaiting(ctx context.Context, id int) error {
	for {
		waiting, err := b.isWaiting(ctx, id)
		if waiting || err != nil {
			return err
		}
		time.Sleep(time.Millisecond)
	}
}

func (b *Bank) isWaiting(ctx context.Context, id int) (bool, error) {
	if b.Dialect == "postgres" {
		n, err := b.beside(ctx, fmt.Sprintf("SELECT COUNT(*) FROM pg_stat_activity WHERE pid = %d AND wait_event_type = 'Lock'", id))
		return n > 0, err
	}
	// Unlike this report, the table innodb_trx stays as it is for as long as anybody asks for it often.
	var kind, name, report string
	if err := b.Side.QueryRowContext(ctx, "SHOW ENGINE INNODB STATUS").Scan(&kind, &name, &report); err != nil {
		return false, err
	}
	for _, transaction := range strings.Split(report, "---TRANSACTION ")[1:] {
		if strings.Contains(transaction, fmt.Sprintf(" thread id %d,", id)) {
			return strings.Contains(transaction, "LOCK WAIT "), nil
		}
	}
	return false, nil
}

// isolateSnapshots makes MariaDB refuse, as its later versions do by themselves, to change a row that has
// changed since the transaction's snapshot.
func isolateSnapshots(b *Bank) bool {
	pool, err := b.DB.DB()
	if err != nil {
		b.tb.Fatal(err)
	}
	var name, value string
	err = pool.QueryRowContext(b.tb.Context(), "SHOW VARIABLES LIKE 'innodb_snapshot_isolation'").Scan(&name, &value)
	if errors.Is(err, sql.ErrNoRows) { // MySQL
		return false
	}
	var all []*sql.Conn
	for range pool.Stats().MaxOpenConnections {
		conn, err := pool.Conn(b.tb.Context())
		if err != nil {
			b.tb.Fatal(err)
		}
		all = append(all, conn)
	}
	for _, conn := range all {
		for _, set := range []string{"innodb_snapshot_isolation = ON", "TRANSACTION ISOLATION LEVEL REPEATABLE READ"} {
			if _, err := conn.ExecContext(b.tb.Context(), "SET SESSION "+set); err != nil {
				b.tb.Fatal(err)
			}
		}
		_ = conn.Close()
	}
	return true
}

// overtaken changes counter 8 elsewhere between tx's snapshot and its write.
func overtaken(ctx context.Context, b *Bank, tx *gorm.DB) error {
	if b.Dialect == "postgres" {
		if err := tx.Exec("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ").Error; err != nil {
			return err
		}
	}
	if err := Add(tx, "counters", "value", 7, 1); err != nil {
		return err
	}
	var value int
	if err := tx.Raw("SELECT value FROM counters WHERE id = 8").Find(&value).Error; err != nil {
		return err
	}
	if _, err := b.Side.ExecContext(ctx, "UPDATE counters SET value = value + 100 WHERE id = 8"); err != nil {
		return err
	}
	return Add(tx, "counters", "value", 8, 1)
}
