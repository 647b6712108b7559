package sessiontest

import (
	"bytes"
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"gorm.io/gorm"

	"rollcall/operation"
	"rollcall/schematest"
	"rollcall/session"
)

// closing: promises 2 to 7.
var closing = []promise{
	{name: "An operation that was cancelled before it began runs no resolver and takes no connection", test: cancelledBefore},
	{name: "A cancelled mutation frees its locks and its connection at once, wherever it is", test: cancelledMidway},
	{name: "A mutation whose deadline passes frees its locks and its connection at once, wherever it is", test: lateMidway},
	{name: "A cancelled query gives its connection back at once", test: cancelledReading},
	{
		name: "A mutation that is cancelled while its proof is stored frees its locks and stores nothing", test: cancelledProving,
		absent: map[string]string{"sqlite": "its COMMIT cannot be lost, so that there is no proof"},
	},
	{
		name: "A mutation that is cancelled during COMMIT is stored and says so", test: cancelledCommitting,
		absent: map[string]string{"sqlite": "COMMIT is a call in this process, which takes no notice of a context"},
	},
	{
		name: "A statement that the server ends at the deadline's moment is late", test: lateByTheServer,
		absent: map[string]string{"sqlite": "it is in this process, and has no clock of its own"},
	},
	{name: "Cancellations never hurt a bystander", test: bystanders},

	{name: "The error of a subscription's resolver closes its session", test: refusedSubscription, graphql: streams},
	{name: "Every event of a subscription has a new session and sees what is stored", test: events, graphql: streams},

	{name: "Ten times as many operations as connections all finish, and none needs a second connection", test: crowd},
	{name: "A slow reader holds no connection and no transaction", test: slowReader, graphql: answers},
	{name: "A session that is used after its end says so and names the operation", test: usedAfterEnd},
	{name: "Holding names the operations that hold a connection", test: holding},

	{name: "A mutation resolves what it defers before its commit, in its one answer", test: deferredInMutation, graphql: inParts},
	{name: "A transport with one response gets all that a query defers", test: deferredInOneResponse, graphql: inParts},
	{name: "A query with @snapshot resolves what it defers in its transaction", test: deferredInSnapshot, graphql: inParts},
	{name: "The session of a streamed query lives until its last part", test: deferredInStream, graphql: inParts},
	{name: "A deadline or a client that goes away amid deferred parts leaves nothing behind", test: deferredCutOff, graphql: inParts},
	{name: "A field that is deferred twice comes once, under the client's labels", test: deferredTwiceInStream, graphql: inParts},
	{name: "Each deferred fragment of each object comes in a part of its own, once", test: deferredEachInStream, graphql: inParts},
	{name: "An event has what its subscription defers", test: deferredInEvent, graphql: inParts},
	{name: "A panic in a marshaller amid deferred parts is one error", test: deferredPanic, graphql: inParts},
}

// An ending is how an operation ends early.
type ending struct {
	name  string
	apply func(l *line)
	word  string // in the answer, whether or not a client is there to read it
}

var endings = []ending{
	{"the client goes away", func(l *line) { l.hangUp() }, "cancel"},
	{"the server cancels", func(l *line) { l.cancel() }, "cancel"},
}

// A line is one request and both of its ends.
type line struct {
	hangUp context.CancelFunc // at the client's
	cancel context.CancelFunc // at the server's
	ended  <-chan struct{}    // closed when the server knows that the request has ended
	answer chan string        // what the server has written, once its handler has returned
}

// exchange is a server's wrapping that gives tests a line to its requests.
type exchange struct {
	requests chan *line
	ended    bool // requests come with a context that has ended already
}

func newExchange() *exchange { return &exchange{requests: make(chan *line, 1)} }

func (x *exchange) wrap(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ctx, cancel := context.WithCancel(r.Context())
		defer cancel()
		if x.ended {
			cancel()
		}
		l := &line{cancel: cancel, ended: ctx.Done(), answer: make(chan string, 1)}
		x.requests <- l
		copied := &copier{ResponseWriter: w}
		next.ServeHTTP(copied, r.WithContext(ctx))
		l.answer <- copied.written.String()
	})
}

// copier keeps what is written to a client.
type copier struct {
	http.ResponseWriter
	written bytes.Buffer
}

func (c *copier) Write(p []byte) (int, error) {
	c.written.Write(p)
	return c.ResponseWriter.Write(p)
}

func (c *copier) Flush() { c.ResponseWriter.(http.Flusher).Flush() }

// send sends an operation and returns at once.
func (x *exchange) send(tb testing.TB, b *Bank, query string) *line {
	tb.Helper()
	ctx, hangUp := context.WithCancel(context.Background())
	tb.Cleanup(hangUp)
	if b.way == byRun {
		if x.ended {
			hangUp()
		}
		l := &line{hangUp: hangUp, cancel: hangUp, ended: ctx.Done(), answer: make(chan string, 1)}
		go func() { l.answer <- b.direct(ctx, query).Raw }()
		return l
	}
	go func() { _, _ = b.SendContext(ctx, query) }()
	l := receive(tb, "the request", x.requests)
	l.hangUp = hangUp
	return l
}

// receive takes what a channel has. It fails after a time that only a hang exceeds.
func receive[T any](tb testing.TB, what string, from <-chan T) (value T) {
	tb.Helper()
	select {
	case value = <-from:
	case <-time.After(20 * time.Second):
		tb.Fatalf("20 s have passed without %s", what)
	}
	return value
}

func cancelledBefore(t *testing.T, backend Backend) {
	x := newExchange()
	x.ended = true
	b := NewBank(t, backend, Setup{Wrap: x.wrap})
	b.Step("never", func(context.Context) (int, error) {
		t.Error("a resolver ran")
		return 0, nil
	})
	reads, _ := b.Reads.DB()
	writes, _ := b.DB.DB()
	reads.SetMaxIdleConns(0) // whoever takes a connection now closes one afterwards
	writes.SetMaxIdleConns(0)
	closed := func() int64 { return reads.Stats().MaxIdleClosed + writes.Stats().MaxIdleClosed }
	before := closed()
	for _, query := range []string{
		`mutation { run(step: "never") { value } }`,
		`query { run(step: "never") { value } }`,
		`query @snapshot { run(step: "never") { value } }`,
	} {
		l := x.send(t, b, query)
		wantCancelled(t, receive(t, "an answer", l.answer), "cancel")
	}
	for _, accept := range []string{parts, sse} {
		answer := b.stream(t.Context(), accept, `query { run(step: "never") { value } }`).rest(t)
		<-x.requests
		wantCancelled(t, answer, "cancel")
	}
	if after := closed(); after != before {
		t.Errorf("%d connections were taken", after-before)
	}
	b.WantIdle()
}

// wantCancelled fails unless an answer names the cancellation, and its consequence at most in brackets after it.
func wantCancelled(tb testing.TB, answer, word string) {
	tb.Helper()
	alone := strings.NewReplacer(" ("+sql.ErrTxDone.Error()+")", "", " ("+driver.ErrBadConn.Error()+")", "").Replace(answer)
	if !strings.Contains(answer, word) || strings.Contains(alone, sql.ErrTxDone.Error()) || strings.Contains(alone, "bad connection") {
		tb.Errorf("want an answer that speaks of the cancellation (%q), got %s", word, answer)
	}
}

// moments are where a mutation can be when it ends early: steps that go on until then. reached is called when the
// mutation is there, or as late as can be before it is.
var moments = map[string]func(b *Bank, reached func()) func(context.Context) (int, error){
	"in a resolver": func(_ *Bank, reached func()) func(context.Context) (int, error) {
		return func(ctx context.Context) (int, error) {
			reached()
			<-ctx.Done()
			return 0, context.Cause(ctx)
		}
	},
	"in a resolver that takes no notice": func(_ *Bank, reached func()) func(context.Context) (int, error) {
		return func(ctx context.Context) (int, error) {
			reached()
			<-ctx.Done()
			return 1, nil
		}
	},
	"in a statement": func(b *Bank, reached func()) func(context.Context) (int, error) {
		return b.during(reached, func(ctx context.Context) error { return b.Grind(session.DB(ctx)) })
	},
	"in a Query": func(b *Bank, reached func()) func(context.Context) (int, error) {
		return b.during(reached, func(ctx context.Context) error { return session.Query(ctx, b.grinding(), nil, ignore) })
	},
	"amid the rows of a Query": func(b *Bank, reached func()) func(context.Context) (int, error) {
		return b.amid(reached)
	},
	"between statements": func(_ *Bank, reached func()) func(context.Context) (int, error) {
		return func(ctx context.Context) (int, error) {
			reached()
			<-ctx.Done()
			return 0, Add(session.DB(ctx), "counters", "value", 1, 1)
		}
	},
	"amid the rows of a statement": func(b *Bank, reached func()) func(context.Context) (int, error) {
		return func(ctx context.Context) (int, error) {
			return 0, session.Do(ctx, func(tx *gorm.DB) error {
				rows, err := tx.Raw(b.slowRows()).Rows()
				if err != nil {
					return err
				}
				defer func() { _ = rows.Close() }()
				for rows.Next() {
					reached()
				}
				return rows.Err()
			})
		}
	},
}

// amid is a step that is among the rows of a session.Query.
func (b *Bank) amid(reached func()) func(context.Context) (int, error) {
	return func(ctx context.Context) (int, error) {
		return 0, session.Query(ctx, b.slowRows(), nil, func(*sql.Rows) error {
			reached()
			return nil
		})
	}
}

// during is a step that runs a statement, of which reached tells.
func (b *Bank) during(reached func(), statement func(context.Context) error) func(context.Context) (int, error) {
	return func(ctx context.Context) (int, error) {
		go func() { // the statement has the step's goroutine to itself
			for !b.Busy() && ctx.Err() == nil {
				time.Sleep(time.Millisecond)
			}
			reached()
		}()
		return 0, statement(ctx)
	}
}

// endless is an expression of SQLite that is never evaluated to its end.
const endless = "(SELECT count(*) FROM (WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT i FROM n))"

// Sleep runs a statement that goes on for a minute and more unless it is stopped. MySQL looks whether the client is
// there while it sleeps.
func (b *Bank) Sleep(db *gorm.DB) error {
	var out []struct{ Slept string }
	return db.Raw(b.sleeping()).Find(&out).Error
}

func (b *Bank) sleeping() string {
	return "SELECT " + map[string]string{
		"mysql": "SLEEP(60)", "postgres": "CAST(pg_sleep(60) AS text)", "sqlite": endless,
	}[b.Dialect] + " AS slept"
}

// Grind is Sleep, save that MySQL does not look whether the client is there.
func (b *Bank) Grind(db *gorm.DB) error {
	var out []struct{ Slept string }
	return db.Raw(b.grinding()).Find(&out).Error
}

func (b *Bank) grinding() string {
	if b.Dialect != "mysql" {
		return b.sleeping()
	}
	return "SELECT " + grind + " AS slept"
}

// processlist is MariaDB's and MySQL's table of what each connection does. MySQL's in information_schema fails while any text in
// it does not fit an older charset.
const processlist = "/*M! information_schema.processlist */ /*!80022 performance_schema.processlist */"

// grind is an expression of MySQL that takes minutes.
const grind = "BENCHMARK(100000000000, SHA2('x', 256))"

// lateByTheServer has the server's limit come just before the deadline, and once long before it.
func lateByTheServer(t *testing.T, backend Backend) {
	for limit, deadline := range map[time.Duration]time.Duration{370 * time.Millisecond: 400 * time.Millisecond, 100 * time.Millisecond: 20 * time.Second} {
		for _, kind := range kinds {
			t.Run(fmt.Sprintf("%s, %s", kind, limit), func(t *testing.T) {
				b := NewBank(t, backend, Setup{Extension: func(e *operation.Extension) { e.Deadline = deadline }})
				var failed error
				b.Step("late", func(ctx context.Context) (int, error) {
					failed = session.Do(ctx, func(tx *gorm.DB) error {
						var out []string
						if b.Dialect == "postgres" {
							if err := tx.Raw("SELECT set_config('statement_timeout', ?, false)", fmt.Sprint(limit.Milliseconds())).Find(&out).Error; err != nil {
								return err
							}
						}
						return tx.Raw(b.limited(limit)).Find(&out).Error
					})
					return 0, failed
				})
				if a := b.Send(kind + ` { run(step: "late") { value } }`); a.OK() {
					t.Errorf("got %s", a.Raw)
				}
				late, ok := errors.AsType[*session.DeadlineError](failed)
				if ok != (limit > deadline/2) {
					t.Errorf("got %v, late is %v", failed, late)
				}
			})
		}
	}
}

// limited is what takes minutes, within a limit that MariaDB and MySQL each read in a comment of its own.
func (b *Bank) limited(limit time.Duration) string {
	if b.Dialect == "postgres" {
		return b.sleeping()
	}
	return fmt.Sprintf("/*M! SET STATEMENT max_statement_time = %.3f FOR */ SELECT /*+ MAX_EXECUTION_TIME(%d) */ COUNT(*) AS slept"+
		" FROM accounts a, accounts b, accounts c, accounts d, accounts e, accounts f, accounts g"+
		" WHERE a.balance + b.balance + c.balance + d.balance + e.balance + f.balance + g.balance = 1", limit.Seconds(), limit.Milliseconds())
}

// stopGrinding ends what was abandoned outside a transaction, which MySQL would go on with until its time limit.
func (b *Bank) stopGrinding() {
	if b.Dialect != "mysql" {
		return
	}
	var ids []int64
	if err := b.DB.Raw("SELECT id FROM " + processlist + " WHERE db = DATABASE() AND info LIKE 'SELECT%BENCHMARK(%' AND id <> CONNECTION_ID()").Find(&ids).Error; err != nil {
		b.tb.Error(err)
	}
	for _, id := range ids {
		_, _ = b.Side.ExecContext(context.Background(), fmt.Sprintf("KILL %d", id)) // it may have ended
	}
}

// slowRows is a query that sends a row and then none for a minute and more. Two rows fill the server's buffer, but not
// two buffers: what has sent the first was its last write for that time.
func (b *Bank) slowRows() string {
	return map[string]string{
		"mysql":    "SELECT IF(id = 3, " + grind + ", 0), REPEAT('x', 10000) FROM accounts ORDER BY id",
		"postgres": "SELECT CASE WHEN id = 3 THEN CAST(pg_sleep(60) AS text) END, repeat('x', 10000) FROM accounts ORDER BY id",
		"sqlite":   "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT i FROM n",
	}[b.Dialect]
}

// Busy reports whether a statement of Sleep or Grind is running. A database within this process is seen by its
// goroutine.
func (b *Bank) Busy() bool {
	switch b.Dialect {
	case "mysql":
		return b.count("SELECT COUNT(*) FROM "+processlist+" WHERE db = DATABASE() AND (info LIKE 'SELECT SLEEP(60)%' OR info LIKE 'SELECT BENCHMARK%')") > 0
	case "postgres": // which lets a cancellation pass that comes before the statement is executed
		return b.count("SELECT COUNT(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event = 'PgSleep' AND query LIKE 'SELECT CAST(pg_sleep(60)%'") > 0
	}
	return strings.Contains(goroutines(), "sqlite3_step")
}

// count runs a query for a number beside the server.
func (b *Bank) count(query string) (n int) {
	if err := b.Side.QueryRowContext(context.Background(), query).Scan(&n); err != nil {
		b.tb.Error(err)
	}
	return n
}

// goroutines returns the stacks of all goroutines.
func goroutines() string {
	buf := make([]byte, 1<<20)
	for {
		if n := runtime.Stack(buf, true); n < len(buf) {
			return string(buf[:n])
		}
		buf = make([]byte, 2*len(buf))
	}
}

// midway is a mutation that has locked a counter and changed it when it gets to its moment.
const midway = `mutation Midway { increment(id: 1) { id } run(step: "midway") { value } }`

func cancelledMidway(t *testing.T, backend Backend) {
	x := newExchange()
	b := NewBank(t, backend, Setup{Wrap: x.wrap})
	for name, moment := range moments {
		for _, e := range endings {
			if !t.Run(name+", "+e.name, func(t *testing.T) {
				there := make(chan struct{})
				b.Step("midway", moment(b, sync.OnceFunc(func() { close(there) })))
				l := x.send(t, b, midway)
				receive(t, "the moment", there)
				e.apply(l)
				b.wantFree(t)
				wantCancelled(t, receive(t, "an answer", l.answer), e.word)
				b.WantIdle()
			}) {
				return // others would only wait for what this one has left
			}
		}
	}
}

// wantFree takes the lock of the counter 1 from another connection, and fails unless the counter was 0. Nobody who
// waits for an abandoned statement would get it in time.
func (b *Bank) wantFree(tb testing.TB) {
	tb.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	tx, err := b.Side.BeginTx(ctx, nil)
	if err != nil {
		tb.Fatalf("the lock was not freed: %v", err)
	}
	defer func() { _ = tx.Rollback() }()
	if _, err := tx.ExecContext(ctx, "UPDATE counters SET value = value + 0 WHERE id = 1"); err != nil {
		tb.Fatalf("the lock was not freed: %v", err)
	}
	var value int
	if err := tx.QueryRowContext(ctx, "SELECT value FROM counters WHERE id = 1").Scan(&value); err != nil {
		tb.Fatal(err)
	}
	if value != 0 {
		tb.Errorf("the cancelled mutation has stored %d", value)
	}
}

func lateMidway(t *testing.T, backend Backend) {
	const deadline = 150 * time.Millisecond
	b := NewBank(t, backend, Setup{Extension: func(e *operation.Extension) { e.Deadline = deadline }})
	for name, moment := range moments {
		if !t.Run(name, func(t *testing.T) {
			var there atomic.Bool
			b.Step("midway", moment(b, func() { there.Store(true) }))
			for range 20 { // where the machine is busy, the deadline may pass before the moment comes
				a := b.Send(midway)
				b.wantFree(t)
				if !strings.Contains(a.Raw, `"data":null`) {
					t.Errorf("want data: null, got %s", a.Raw)
				}
				wantCancelled(t, a.Raw, "took longer than")
				b.WantIdle()
				if name == "in a resolver that takes no notice" && a.Code() != "TIMEOUT" {
					t.Errorf("want the code TIMEOUT, got %s", a.Raw)
				}
				if there.Load() {
					return
				}
			}
			t.Error("the moment never came")
		}) {
			return
		}
	}
}

func cancelledReading(t *testing.T, backend Backend) {
	x := newExchange()
	b := NewBank(t, backend, Setup{Wrap: x.wrap})
	steps := map[string]func(reached func()) func(context.Context) (int, error){
		"in a resolver": func(reached func()) func(context.Context) (int, error) { return moments["in a resolver"](b, reached) },
		"in a statement": func(reached func()) func(context.Context) (int, error) {
			return b.during(reached, func(ctx context.Context) error { return b.Sleep(session.DB(ctx)) })
		},
		"in a Query": func(reached func()) func(context.Context) (int, error) {
			return b.during(reached, func(ctx context.Context) error { return session.Query(ctx, b.sleeping(), nil, ignore) })
		},
		"amid the rows of a Query": b.amid,
	}
	for _, operation := range []string{"query", "query @snapshot"} {
		for name, step := range steps {
			for _, e := range endings {
				t.Run(operation+", "+name+", "+e.name, func(t *testing.T) {
					there := make(chan struct{})
					b.Step("reading", step(sync.OnceFunc(func() { close(there) })))
					l := x.send(t, b, operation+` { accounts { id } run(step: "reading") { value } }`)
					receive(t, "the moment", there)
					e.apply(l)
					wantCancelled(t, receive(t, "an answer", l.answer), e.word)
					b.WantIdle()
					if b.Dialect != "mysql" || operation != "query" { // a read that locks nothing is left to MySQL's time limit
						Eventually(t, "no abandoned statement runs", func() bool { return !b.Busy() })
					} else {
						b.killAll()
						b.stopGrinding()
					}
				})
			}
		}
	}
}

// killAll ends what MySQL has been left to do.
func (b *Bank) killAll() {
	rows, err := b.Side.QueryContext(context.Background(), "SELECT id FROM "+processlist+" WHERE db = DATABASE() AND info LIKE 'SELECT SLEEP(60)%'")
	if err != nil {
		b.tb.Fatal(err)
	}
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		var id int
		if err := rows.Scan(&id); err != nil {
			b.tb.Fatal(err)
		}
		_, _ = b.Side.ExecContext(context.Background(), fmt.Sprintf("KILL %d", id)) // it may have ended
	}
	if err := rows.Err(); err != nil {
		b.tb.Fatal(err)
	}
}

func cancelledProving(t *testing.T, backend Backend) {
	x := newExchange()
	b := NewBank(t, backend, Setup{Wrap: x.wrap})
	for _, e := range endings {
		blocker := b.blockProof("block")
		l := x.send(t, b, `mutation { increment(id: 1) { id } run(step: "block") { value } }`)
		Eventually(t, "the proof waits for a lock", b.proving)
		e.apply(l)
		b.wantFree(t)
		wantCancelled(t, receive(t, "an answer", l.answer), e.word)
		if err := (<-blocker).Rollback(); err != nil {
			t.Error(err)
		}
		b.WantIdle()
	}

	late := NewBank(t, backend, Setup{Extension: func(e *operation.Extension) { e.Deadline = 300 * time.Millisecond }})
	blocker := late.blockProof("block")
	a := late.Send(`mutation { increment(id: 1) { id } run(step: "block") { value } }`)
	late.wantFree(t)
	if WantNull(t, a); a.Code() != "TIMEOUT" {
		t.Errorf("want the code TIMEOUT, got %s", a.Raw)
	}
	if err := (<-blocker).Rollback(); err != nil {
		t.Error(err)
	}
	late.WantIdle()
}

// blockProof adds a step after which its operation must wait for the transaction returned to store its proof.
func (b *Bank) blockProof(step string) <-chan *sql.Tx {
	blocker := make(chan *sql.Tx, 1)
	b.Step(step, func(ctx context.Context) (int, error) {
		op, _ := session.OperationFromContext(ctx)
		tx, err := b.Side.BeginTx(context.Background(), nil)
		if err != nil {
			return 0, err
		}
		blocker <- tx
		_, err = tx.ExecContext(ctx, fmt.Sprintf("/* blocker */ INSERT INTO session_operations (id, state) VALUES ('%s', 0)", op.ID))
		return 0, err
	})
	return blocker
}

// proving reports whether the statement runs that stores a proof. MySQL's own list of who waits is a tenth of a second
// behind, and further behind for each who looks at it.
func (b *Bank) proving() bool {
	if b.Dialect == "postgres" {
		return b.count("SELECT COUNT(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'") > 0
	}
	return b.count("SELECT COUNT(*) FROM "+processlist+" WHERE db = DATABASE() AND info LIKE 'INSERT INTO session_operations%'") > 0
}

func cancelledCommitting(t *testing.T, backend Backend) {
	g := newCommitGate(t)
	x := newExchange()
	b := NewBank(t, backend, Setup{
		Options: Options{Via: g.via}, Wrap: x.wrap,
		Extension: func(e *operation.Extension) { e.Proof = nil }, // which would find out, had COMMIT been given up
	})
	for n, e := range endings {
		g.closed.Store(true)
		l := x.send(t, b, `mutation { increment(id: 1) { value } }`)
		receive(t, "a COMMIT", g.held)
		e.apply(l)
		<-l.ended
		g.open <- struct{}{}
		if answer := receive(t, "an answer", l.answer); !strings.Contains(answer, `"data":{`) || strings.Contains(answer, "errors") {
			t.Errorf("want a success, got %s", answer)
		}
		if value := b.Counter(1); value != n+1 {
			t.Errorf("want %d stored, got %d", n+1, value)
		}
		b.WantIdle()
	}
}

// cancelKey is where the context of a request has the function that cancels a request.
type cancelKey struct{}

// cancelling adds steps that cancel their own operation: between statements, where the connection is as good as
// before, and within one.
func (b *Bank) cancelling() {
	b.Step("between", func(ctx context.Context) (int, error) {
		if err := session.DB(ctx).Find(&[]schematest.Counter{}).Error; err != nil {
			return 0, err
		}
		ctx.Value(cancelKey{}).(context.CancelFunc)()
		return 0, errors.New("cancelled")
	})
	b.Step("within", func(ctx context.Context) (int, error) {
		if err := session.DB(ctx).Find(&[]schematest.Counter{}).Error; err != nil {
			return 0, err
		}
		time.AfterFunc(rand.N(2*time.Millisecond), ctx.Value(cancelKey{}).(context.CancelFunc))
		return 0, b.Sleep(session.DB(ctx))
	})
}

func bystanders(t *testing.T, backend Backend) {
	cancellable := func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			ctx, cancel := context.WithCancel(r.Context())
			defer cancel()
			next.ServeHTTP(w, r.WithContext(context.WithValue(ctx, cancelKey{}, cancel)))
		})
	}
	// There are few connections, so that one that a cancelled operation gives back is used again at once.
	b := NewBank(t, backend, Setup{Options: Options{PoolSize: 2}, Wrap: cancellable})
	b.cancelling()
	const cancellers, cancellations, others = 4, 36, 4
	var cancelling, going sync.WaitGroup
	for n := range cancellers {
		cancelling.Go(func() {
			for i := range cancellations {
				kind := []string{"mutation", "query @snapshot", "query"}[i%3]
				step := []string{"between", "between", "within"}[(i/3+n)%3]
				if a := b.Send(fmt.Sprintf(`%s { run(step: "%s") { value } }`, kind, step)); a.OK() {
					t.Errorf("a cancelled operation succeeded: %s", a.Raw)
				}
			}
		})
	}
	must := func(query string) {
		if a := b.Send(query); !a.OK() { // Must would end this goroutine alone
			t.Errorf("a bystander was hurt: %s: %d %s", query, a.Status, a.Raw)
		}
	}
	var done atomic.Bool
	var increments [others]int
	for n := range others {
		going.Go(func() {
			for ; !done.Load(); increments[n]++ {
				must(fmt.Sprintf(`mutation { a: increment(id: %d) { value } b: increment(id: %[1]d) { value } }`, n+1))
				must(`query @snapshot { accounts { id } counter(id: 1) { value } }`)
				must(`query { accounts { id } counter(id: 1) { value } }`)
			}
		})
	}
	cancelling.Wait()
	done.Store(true)
	going.Wait()
	b.WantIdle()
	for n, want := range increments {
		if value := b.Counter(n + 1); value != 2*want || want == 0 {
			t.Errorf("counter %d is %d after %d mutations that add 2", n+1, value, want)
		}
	}
}
