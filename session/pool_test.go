package session_test

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
	"weak"

	"github.com/go-sql-driver/mysql"
	"gorm.io/gorm"

	"rollcall/operation"
	"rollcall/session"
	"rollcall/session/sessiontest"
)

// operateOnce sends one operation to a server whose session has these pools.
func operateOnce(tb testing.TB, query string, e operation.Extension) string {
	tb.Helper()
	srv := bankServer(benchResolver{db: func(ctx context.Context, _ *gorm.DB) *gorm.DB { return session.DB(ctx) }})
	return send(tb, operation.Handler(srv, e), query)
}

// send posts an operation to a server.
func send(tb testing.TB, h http.Handler, query string) string {
	tb.Helper()
	req := httptest.NewRequestWithContext(tb.Context(), http.MethodPost, "/", strings.NewReader(`{"query": "`+query+`"}`))
	req.Header.Set("Content-Type", "application/json")
	w := httptest.NewRecorder()
	h.ServeHTTP(w, req)
	return w.Body.String()
}

// silentDriver has connections whose COMMIT is not answered until the server ends them.
type silentDriver struct {
	idleDriver
	killed chan string
}

func (d silentDriver) Connect(context.Context) (driver.Conn, error) { return &d, nil }

func (d silentDriver) BeginTx(context.Context, driver.TxOptions) (driver.Tx, error) { return d, nil }

func (d silentDriver) Commit() error {
	<-d.killed
	return io.ErrUnexpectedEOF
}

// killer is the server's other end of a silentDriver.
type killer struct {
	idleDriver
	killed chan string
}

func (k killer) Connect(context.Context) (driver.Conn, error) { return &k, nil }

// (GET_LOCK and the name of the server are what idleDriver answers.)
func (k killer) ExecContext(_ context.Context, query string, _ []driver.NamedValue) (driver.Result, error) {
	k.killed <- query
	return driver.RowsAffected(0), nil
}

func TestACommitThatIsNotAnsweredIsEndedFromElsewhere(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		killed := make(chan string, 1)
		side := sql.OpenDB(killer{killed: killed})
		defer func() { _ = side.Close() }()
		begun := time.Now()
		answer := operateOnce(t, `mutation { increment(id: 1) { id } }`,
			operation.Extension{Pools: session.Pools{Write: poolOf(t, silentDriver{killed: killed}), Side: side}})
		if !strings.Contains(answer, "OUTCOME_UNKNOWN") || !strings.Contains(answer, `"data":null`) {
			t.Errorf("want an unknown outcome, got %s", answer)
		}
		if took := time.Since(begun); took < time.Second || took > time.Minute {
			t.Errorf("want some patience, and some end of it, got %s", took)
		}
	})
}

// waitingDriver has connections whose statements wait for a lock until the server gives up, which is after 50 s by MySQL's default.
type waitingDriver struct {
	idleDriver
	waited *atomic.Int32
}

func (d waitingDriver) Connect(context.Context) (driver.Conn, error) { return &d, nil }

func (d waitingDriver) ExecContext(ctx context.Context, _ string, _ []driver.NamedValue) (driver.Result, error) {
	d.waited.Add(1)
	select {
	case <-time.After(50 * time.Second):
		return nil, &mysql.MySQLError{Number: 1205}
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func TestWithoutADeadlineNothingIsRunAgainAfterAMinute(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		waited := &atomic.Int32{}
		answer := operateOnce(t, `mutation { increment(id: 1) { id } }`, operation.Extension{Pools: session.Pools{Write: poolOf(t, waitingDriver{waited: waited})}})
		if !strings.Contains(answer, `"data":null`) || waited.Load() != 2 {
			t.Errorf("want an error after 2 attempts, got %s after %d", answer, waited.Load())
		}
	})
}

func TestTheLogTellsOfAStatementThatWaitsForDoOnAnotherGoroutine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := &sessiontest.SafeBuffer{}
		srv := bankServer(benchResolver{db: func(ctx context.Context, pool *gorm.DB) *gorm.DB {
			err := session.Do(ctx, func(*gorm.DB) error {
				failed := make(chan error)
				go func() { failed <- session.DB(ctx).Exec("SELECT 1").Error }()
				return <-failed
			})
			db := pool.Session(&gorm.Session{})
			_ = db.AddError(err)
			return db
		}, pool: idlePool(t)})
		h := operation.Handler(srv, operation.Extension{
			Pools: session.Pools{Write: idlePool(t), Deadline: 10 * time.Second, Logger: slog.New(slog.NewTextHandler(log, nil))},
		})
		answer := send(t, h, `mutation Late { increment(id: 1) { id } }`)
		if !strings.Contains(answer, "took longer than 10s") || strings.Count(log.String(), "session.Do") != 1 || !strings.Contains(log.String(), "mutation Late ") {
			t.Errorf("want one warning that names the operation, got %s; the answer is %s", log, answer)
		}
	})
}

func TestASessionOfAStreamIsKeptByNothingOnceItHasEnded(t *testing.T) {
	pools := session.Pools{Write: idlePool(t), Deadline: time.Hour}
	if err := pools.Install(); err != nil {
		t.Fatal(err)
	}
	ended := func() weak.Pointer[session.Session] {
		unit := &session.Unit{Pools: pools, Operation: session.NewOperation("", "subscription", "")}
		s := unit.Open(t.Context())
		defer s.Close()
		if err := session.Query(s.Context(), "SELECT 1", nil, func(*sql.Rows) error { return nil }); err != nil {
			t.Fatal(err)
		}
		return weak.Make(s)
	}()
	for end := time.Now().Add(10 * time.Second); ended.Value() != nil; runtime.GC() {
		if time.Now().After(end) {
			t.Fatal("its deadline would keep it for an hour")
		}
	}
}

// staleDriver has connections that are useless at first, as those are that an operation has left closed behind it in a
// pool for which many wait. database/sql gives up after three of them.
type staleDriver struct {
	idleDriver
	stale *atomic.Int32 // how many are left
}

func (d staleDriver) Connect(context.Context) (driver.Conn, error) {
	if d.stale.Add(-1) >= 0 {
		return nil, driver.ErrBadConn
	}
	return &d.idleDriver, nil
}

func TestUselessConnectionsInThePoolHurtNoOperation(t *testing.T) {
	for _, query := range []string{
		`query { account(id: 1) { balance } }`,
		`query @snapshot { account(id: 1) { balance } }`,
		`mutation { increment(id: 1) { id } }`,
	} {
		stale := &atomic.Int32{}
		pool := poolOf(t, staleDriver{stale: stale})
		stale.Store(10)
		answer := operateOnce(t, query, operation.Extension{Pools: session.Pools{Write: pool}})
		if strings.Contains(answer, "errors") || stale.Load() > 0 {
			t.Errorf("%s: want a success after 10 useless connections, got %s", query, answer)
		}
	}
}
