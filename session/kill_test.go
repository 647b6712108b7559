package session_test

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"fmt"
	"io"
	"net/url"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	driverMySQL "github.com/go-sql-driver/mysql"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"
	"gorm.io/driver/postgres"
	"gorm.io/gorm"
	"gorm.io/gorm/logger"

	"rollcall/database"
	"rollcall/database/databasetest"
	"rollcall/operation"
	"rollcall/session"
	"rollcall/session/sessiontest"
)

func host(tb testing.TB, raw string) string {
	tb.Helper()
	u, err := url.Parse(raw)
	if err != nil {
		tb.Fatal(err)
	}
	return u.Host
}

func TestAKillBehindABalancerHitsNobodyOnAnotherServer(t *testing.T) {
	databasetest.EachOf(t, "mysql", func(t *testing.T, kind string) {
		one, other := databasetest.Start(t, kind), databasetest.Start(t, kind)
		address := new(databasetest.Proxy).Listen(t, host(t, other.URL), host(t, one.URL)) // a balancer, in turns
		side := mysqlPool(t, address)
		b := sessiontest.NewBank(t, sessiontest.Backend{Dialect: "mysql", Open: func(tb testing.TB, opt sessiontest.Options) sessiontest.Pools {
			tb.Helper()
			db := databasetest.Open(tb, one.URL, database.Options{PoolSize: opt.PoolSize})
			return sessiontest.Pools{DB: db.Write, Reads: db.Read, Side: db.Side}
		}}, sessiontest.Setup{Extension: func(e *operation.Extension) { e.Side = side }})
		number := make(chan int64, 1)
		b.Step("grind", func(ctx context.Context) (int, error) {
			var id int64
			if err := session.DB(ctx).Raw("SELECT CONNECTION_ID()").Find(&id).Error; err != nil {
				return 0, err
			}
			number <- id
			return 0, b.Grind(session.DB(ctx))
		})
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		go func() { _, _ = b.SendContext(ctx, `mutation { increment(id: 1) { id } run(step: "grind") { value } }`) }()
		bystander := numbered(t, mysqlPool(t, host(t, other.URL)), <-number)
		sessiontest.Eventually(t, "the statement runs", b.Busy)
		cancel()
		sessiontest.Eventually(t, "the abandoned statement is ended", func() bool { return !b.Busy() })
		if err := bystander.PingContext(t.Context()); err != nil {
			t.Errorf("a connection with the same number on another server was hurt: %v", err)
		}
	})
}

func mysqlPool(tb testing.TB, address string) *sql.DB {
	tb.Helper()
	cfg := driverMySQL.NewConfig()
	cfg.Net, cfg.Addr, cfg.User = "tcp", address, "root"
	connector, err := driverMySQL.NewConnector(cfg)
	if err != nil {
		tb.Fatal(err)
	}
	pool := sql.OpenDB(connector)
	tb.Cleanup(func() { _ = pool.Close() })
	return pool
}

// numbered returns the connection of a server that has this number, which is yet to come.
func numbered(tb testing.TB, pool *sql.DB, number int64) *sql.Conn {
	tb.Helper()
	for {
		conn, err := pool.Conn(tb.Context())
		if err != nil {
			tb.Fatal(err)
		}
		tb.Cleanup(func() { _ = conn.Close() })
		var id int64
		if err := conn.QueryRowContext(tb.Context(), "SELECT CONNECTION_ID()").Scan(&id); err != nil {
			tb.Fatal(err)
		}
		if id == number {
			return conn
		}
		if id > number {
			tb.Fatalf("the other server's next connection is %d, want %d", id, number)
		}
	}
}

// forbiddenDriver has connections that may not have GET_LOCK.
type forbiddenDriver struct {
	idleDriver
	asked *atomic.Int32
}

func (d forbiddenDriver) Connect(context.Context) (driver.Conn, error) { return &d, nil }

func (d forbiddenDriver) QueryContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Rows, error) {
	if strings.Contains(query, "GET_LOCK") {
		d.asked.Add(1)
		return nil, &driverMySQL.MySQLError{Number: 1235}
	}
	return d.idleDriver.QueryContext(ctx, query, args)
}

func TestWhereGetLockIsForbiddenNothingIsKilledAndEverythingElseWorks(t *testing.T) {
	asked := &atomic.Int32{}
	side := sql.OpenDB(killer{killed: nil}) // a kill would block for ever
	defer func() { _ = side.Close() }()
	e := operation.Extension{Pools: session.Pools{Write: poolOf(t, forbiddenDriver{asked: asked}), Side: side}}
	for range 3 {
		if answer := operateOnce(t, `mutation { increment(id: 1) { id } }`, e); strings.Contains(answer, "errors") {
			t.Errorf("want a success, got %s", answer)
		}
	}
	if n := asked.Load(); n != 1 {
		t.Errorf("want one question for each connection, got %d", n)
	}
}

// lossyConn is a connection whose COMMIT is lost without anybody's notice, by a driver that does not tell its number.
type lossyConn struct {
	*pgxConn
	lossy *atomic.Bool
}

type pgxConn = stdlib.Conn

// Conn is not pgx's.
func (lossyConn) Conn() {}

func (c lossyConn) BeginTx(ctx context.Context, opts driver.TxOptions) (driver.Tx, error) {
	tx, err := c.pgxConn.BeginTx(ctx, opts)
	return lossyTx{tx, c.lossy}, err
}

type lossyTx struct {
	driver.Tx
	lossy *atomic.Bool
}

func (t lossyTx) Commit() error {
	if t.lossy.Load() {
		return io.ErrUnexpectedEOF
	}
	return t.Tx.Commit()
}

type lossyConnector struct {
	driver.Connector
	lossy *atomic.Bool
}

func (c lossyConnector) Connect(ctx context.Context) (driver.Conn, error) {
	conn, err := c.Connector.Connect(ctx)
	if err != nil {
		return nil, err
	}
	return lossyConn{conn.(*stdlib.Conn), c.lossy}, nil
}

// postgresPool opens pgx for a pooler.
func postgresPool(tb testing.TB, raw string, wrap func(driver.Connector) driver.Connector) *sql.DB {
	tb.Helper()
	cfg, err := pgx.ParseConfig(raw)
	if err != nil {
		tb.Fatal(err)
	}
	cfg.DefaultQueryExecMode = pgx.QueryExecModeExec
	pool := sql.OpenDB(wrap(stdlib.GetConnector(*cfg)))
	tb.Cleanup(func() { _ = pool.Close() })
	return pool
}

func asIs(c driver.Connector) driver.Connector { return c }

// postgresPools opens the three pools of a bank.
func postgresPools(tb testing.TB, raw string, size int, wrap func(driver.Connector) driver.Connector) sessiontest.Pools {
	tb.Helper()
	open := func() *gorm.DB {
		pool := postgresPool(tb, raw, wrap)
		pool.SetMaxOpenConns(size)
		pool.SetMaxIdleConns(size)
		db, err := gorm.Open(postgres.New(postgres.Config{Conn: pool}), &gorm.Config{SkipDefaultTransaction: true, Logger: logger.Discard})
		if err != nil {
			tb.Fatal(err)
		}
		return db
	}
	return sessiontest.Pools{DB: open(), Reads: open(), Side: postgresPool(tb, raw, asIs)}
}

func TestATransactionIsFoundByItsLabelWhereItsConnectionTellsNothing(t *testing.T) {
	if !slices.Contains(databasetest.Kinds(t), "postgres") {
		return
	}
	lossy := &atomic.Bool{}
	raw := databasetest.URL(t, "postgres")
	b := sessiontest.NewBank(t, sessiontest.Backend{Dialect: "postgres", Open: func(tb testing.TB, opt sessiontest.Options) sessiontest.Pools {
		tb.Helper()
		return postgresPools(tb, raw, opt.PoolSize, func(c driver.Connector) driver.Connector { return lossyConnector{c, lossy} })
	}}, sessiontest.Setup{Extension: func(e *operation.Extension) { e.Proof.Within = 20 * time.Second }})
	labels := func() (n int) {
		const query = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND application_name LIKE 'session %'"
		if err := b.Side.QueryRowContext(t.Context(), query).Scan(&n); err != nil {
			t.Error(err)
		}
		return n
	}
	b.Step("look", func(ctx context.Context) (int, error) {
		return labels(), session.DB(ctx).Exec("SET TRANSACTION ISOLATION LEVEL SERIALIZABLE").Error // which only a first statement may
	})
	if a := b.Must(`mutation { run(step: "look") { value } increment(id: 1) { id } }`); labels() != 0 || !strings.Contains(a.Raw, `"value":0`) {
		t.Errorf("want no label before the first statement and none after the end, got %s", a.Raw)
	}
	b.Step("look again", func(context.Context) (int, error) { return labels(), nil })
	if a := b.Must(`mutation { increment(id: 1) { id } run(step: "look again") { value } }`); !strings.Contains(a.Raw, `"value":1`) {
		t.Errorf("want one label in the transaction, got %s", a.Raw)
	}
	lossy.Store(true)
	if a := b.Send(`mutation { increment(id: 1) { id } }`); a.Code() != "INTERNAL_SERVER_ERROR" {
		t.Errorf("want the truth, since the transaction was ended, got %s", a.Raw)
	}
	lossy.Store(false)
	if n := b.Counter(1); n != 2 {
		t.Errorf("want the counter 2, got %d", n)
	}
}

func TestACancellationBehindPgBouncerHurtsNobody(t *testing.T) {
	if !slices.Contains(databasetest.Kinds(t), "postgres") {
		return
	}
	const cancellers, bystanders, rounds = 3, 4, 12
	direct := databasetest.URL(t, "postgres")
	pooled := databasetest.PgBouncer(t, direct, "transaction", cancellers+bystanders)
	b := sessiontest.NewBank(t, sessiontest.Backend{Dialect: "postgres", Open: func(tb testing.TB, opt sessiontest.Options) sessiontest.Pools {
		tb.Helper()
		return postgresPools(tb, pooled, opt.PoolSize, asIs)
	}}, sessiontest.Setup{})
	beside := postgresPool(t, direct, asIs)
	lock, err := beside.BeginTx(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = lock.Rollback() }()
	if _, err := lock.ExecContext(t.Context(), "UPDATE counters SET value = value + 1 WHERE id = 1"); err != nil {
		t.Fatal(err)
	}

	ctx, stop := context.WithCancel(t.Context())
	others := postgresPool(t, pooled, asIs)
	var standing, cancelling sync.WaitGroup
	var stood atomic.Int32
	for i := range bystanders {
		standing.Go(func() {
			for ctx.Err() == nil {
				if err := standBy(others, i+2); err != nil {
					t.Errorf("a bystander was hurt: %v", err)
					return
				}
				stood.Add(1)
			}
		})
	}
	for range cancellers {
		cancelling.Go(func() {
			for range rounds {
				late, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
				if a, err := b.SendContext(late, `mutation { increment(id: 1) { id } }`); err == nil {
					t.Errorf("want no answer, got %s", a.Raw)
				}
				cancel()
			}
		})
	}
	cancelling.Wait()
	sessiontest.Eventually(t, "nothing that was abandoned waits for the lock", func() bool {
		var n int
		const query = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
		if err := beside.QueryRowContext(t.Context(), query).Scan(&n); err != nil {
			t.Error(err)
		}
		return n == 0
	})
	stop()
	standing.Wait()
	if stood.Load() < bystanders {
		t.Error("there were no bystanders")
	}
}

// standBy is a transaction that takes a moment.
func standBy(pool *sql.DB, counter int) error {
	tx, err := pool.BeginTx(context.Background(), nil)
	if err != nil {
		return err
	}
	defer func() { _ = tx.Rollback() }()
	for range 3 {
		if _, err := tx.ExecContext(context.Background(), fmt.Sprintf("UPDATE counters SET value = value + 1 WHERE id = %d", counter)); err != nil {
			return err
		}
		time.Sleep(5 * time.Millisecond)
	}
	return tx.Commit()
}

func TestAConnectionThatIsGoneIsForgotten(t *testing.T) {
	databasetest.EachServer(t, func(t *testing.T, kind string) {
		b := sessiontest.NewBank(t, backend(kind), sessiontest.Setup{})
		b.Must(`mutation { increment(id: 1) { id } }`)
		for range 5 {
			ctx, cancel := context.WithCancel(t.Context())
			b.Step("grind", func(ctx context.Context) (int, error) {
				time.AfterFunc(20*time.Millisecond, cancel)
				return 0, b.Grind(session.DB(ctx))
			})
			if a, err := b.SendContext(ctx, `mutation { increment(id: 1) { id } run(step: "grind") { value } }`); err == nil {
				t.Errorf("want no answer, got %s", a.Raw)
			}
			cancel()
			b.WantIdle()
		}
		b.Must(`mutation { increment(id: 1) { id } }`)
		pool, err := b.DB.DB()
		if err != nil {
			t.Fatal(err)
		}
		if open, got := pool.Stats().OpenConnections, session.Remembered(b.DB); got > open {
			t.Errorf("%d connections are remembered, of which %d are open", got, open)
		}
	})
}
