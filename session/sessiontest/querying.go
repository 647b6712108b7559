package sessiontest

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"gorm.io/gorm"
	"gorm.io/gorm/logger"

	"rollcall/operation"
	"rollcall/schematest"
	"rollcall/session"
)

// querying: promises of session.Query. That its statements end with their operation is among those of closing.
var querying = []promise{
	{name: "Query's rows come in order, with any number of placeholders", test: rowsInOrder},
	{name: "Query runs more different statements than any database keeps", test: manyTexts},
	{name: "Query is in its mutation's transaction", test: queriesOwnWrites},
	{name: "Query sees the one state of its snapshot", test: queriesOneState},
	{name: "Query and other statements take turns on a transaction's connection", test: takeTurns},
	{name: "A hundred siblings use Query and GORM at once", test: queryingSiblings},
	{
		name: "A query that stays runs its statements on one connection, which it gives back", test: queryStays,
		absent: map[string]string{"sqlite": "it is in this process"},
	},
	{name: "A mutation that tried to end its transaction by Query is not committed", test: noControlByQuery},
	{name: "A row that fails or panics ends its Query and nothing else", test: failingRows},
	{name: "A Query that loses a conflict has its operation run again, whatever has been read of its rows", test: queriesConflict},
	{
		name: "After a connection was lost amid a Query its transaction is dead", test: queryLosesConnection,
		absent: map[string]string{"sqlite": "it has no connection to lose"},
	},
	{name: "What ends a Query early is its error's cause", test: queryTellsCause},
	{name: "Query is counted, and GORM's logger told of it", test: queryIsLogged},
	{name: "A read that is left behind is counted: the session ends after it", test: leftBehind},
	{name: "A logger that hides parameters gets Query's text without them", test: queryHidesParameters},
	{name: "Query without a session says what to install", test: queryWithoutSession},
}

func ignore(*sql.Rows) error { return nil }

// queried is the last row of a query for a number.
func queried(ctx context.Context, query string, args ...any) (n int, err error) {
	err = session.Query(ctx, query, args, func(rows *sql.Rows) error { return rows.Scan(&n) })
	return n, err
}

const counterByID = "SELECT value FROM counters WHERE id = ?"

func rowsInOrder(t *testing.T, backend Backend) {
	b := NewBank(t, backend, Setup{})
	b.Exec("UPDATE accounts SET balance = 1000 + id")
	ids := []any{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13}
	query := "SELECT id, CASE WHEN id = ? THEN NULL ELSE balance END FROM accounts WHERE id IN (" +
		strings.TrimSuffix(strings.Repeat("?, ", len(ids)), ", ") + ") AND balance < ? ORDER BY id DESC LIMIT ?"
	args := slices.Concat([]any{4}, ids, []any{1011, 9})
	b.Step("read", func(ctx context.Context) (int, error) {
		var got []string
		err := session.Query(ctx, query, args, func(rows *sql.Rows) error {
			var id int
			var balance sql.NullInt64
			err := rows.Scan(&id, &balance)
			got = append(got, fmt.Sprint(id, balance.Int64))
			return err
		})
		want := []string{"10 1010", "9 1009", "8 1008", "7 1007", "6 1006", "5 1005", "4 0", "3 1003", "2 1002"}
		if !slices.Equal(got, want) {
			t.Errorf("got the rows %q, want %q", got, want)
		}
		none := session.Query(ctx, "SELECT id FROM accounts WHERE id = ?", []any{-1}, func(*sql.Rows) error {
			return errors.New("there is a row")
		})
		return b.InUse(), errors.Join(err, none)
	})
	for kind, connections := range map[string]float64{"mutation": 1, "query @snapshot": 1, "query": 0} {
		a := b.Must(kind + ` { run(step: "read") { value } }`)
		if got := a.value("run"); got != connections {
			t.Errorf("%s: %v connections are in use after a Query, want %v", kind, got, connections)
		}
	}
}

func queriesOwnWrites(t *testing.T, backend Backend) {
	b := NewBank(t, backend, Setup{})
	b.Step("write", func(ctx context.Context) (int, error) {
		if err := Add(session.DB(ctx), "counters", "value", 1, 5); err != nil {
			return 0, err
		}
		n, err := queried(ctx, counterByID, 1)
		if n != 5 || err != nil {
			t.Errorf("Query sees %d, %v in a mutation that has written 5", n, err)
		}
		if n, err := b.beside(ctx, "SELECT value FROM counters WHERE id = 1"); n != 0 || err != nil {
			t.Errorf("others see %d, %v", n, err)
		}
		return 0, errors.New("on purpose")
	})
	WantNull(t, b.Send(`mutation { run(step: "write") { value } }`))
	b.wantUntouched()
}

// queriesOneState has another client write between two reads, with @snapshot and without.
func queriesOneState(t *testing.T, backend Backend) {
	b := NewBank(t, backend, Setup{})
	b.Step("read twice", func(ctx context.Context) (int, error) {
		before, err := queried(ctx, counterByID, 1)
		if err != nil {
			return 0, err
		}
		b.Must(`mutation { increment(id: 1) { id } }`)
		after, err := queried(ctx, counterByID, 1)
		return after - before, err
	})
	for kind, want := range map[string]float64{"query @snapshot": 0, "query": 1} {
		if got := b.Must(kind + ` { run(step: "read twice") { value } }`).value("run"); got != want {
			t.Errorf("%s: the second read is %v ahead of the first, want %v", kind, got, want)
		}
	}
}

// uses are the ways to read in a session, each of which calls amid before it ends.
var uses = map[string]func(ctx context.Context, amid func() error) error{
	"Query": func(ctx context.Context, amid func() error) error {
		return session.Query(ctx, "SELECT id FROM accounts WHERE id < ?", []any{3}, func(rows *sql.Rows) error {
			var id int
			if err := rows.Scan(&id); err != nil || id != 1 {
				return err
			}
			return amid()
		})
	},
	"Do": func(ctx context.Context, amid func() error) error {
		return session.Do(ctx, func(tx *gorm.DB) error {
			return errors.Join(amid(), tx.Find(&[]schematest.Counter{}).Error)
		})
	},
	"GORM": func(ctx context.Context, amid func() error) error {
		return errors.Join(session.DB(ctx).Find(&[]schematest.Counter{}).Error, amid())
	},
}

func takeTurns(t *testing.T, backend Backend) {
	b := NewBank(t, backend, Setup{})
	b.Step("start", func(context.Context) (int, error) { return 1, nil })
	for _, pair := range [][2]string{{"Query", "Query"}, {"Query", "Do"}, {"Query", "GORM"}, {"Do", "Query"}} {
		for _, kind := range kinds {
			begun, other := make(chan struct{}), make(chan struct{})
			b.Step("one", func(ctx context.Context) (int, error) {
				return 0, uses[pair[0]](ctx, sync.OnceValue(func() error {
					close(begun)
					if kind == "query" { // each statement has a connection of its own
						return await(ctx, other)
					}
					select {
					case <-other:
						t.Errorf("%s: %s has read amid a %s", kind, pair[1], pair[0])
					case <-time.After(30 * time.Millisecond):
					}
					return nil
				}))
			})
			b.Step("other", func(ctx context.Context) (int, error) {
				if err := await(ctx, begun); err != nil {
					return 0, err
				}
				defer close(other)
				return 0, uses[pair[1]](ctx, func() error { return nil })
			})
			b.Must(kind + ` { run(step: "start") { one: run(step: "one") { value } other: run(step: "other") { value } } }`)
		}
	}
	b.WantIdle()
}

func queryingSiblings(t *testing.T, backend Backend) {
	const siblings = 100
	b := NewBank(t, backend, Setup{})
	b.Step("start", func(context.Context) (int, error) { return 1, nil })
	for _, kind := range kinds {
		together := expect(siblings)
		use := func(read func(ctx context.Context) (int, error)) func(context.Context) (int, error) {
			return func(ctx context.Context) (int, error) {
				if err := together.arrive(ctx); err != nil {
					return 0, err
				}
				return read(ctx)
			}
		}
		b.Step("Query", use(func(ctx context.Context) (int, error) { return queried(ctx, "SELECT COUNT(*) FROM accounts") }))
		b.Step("GORM", use(func(ctx context.Context) (int, error) {
			var all []schematest.Account
			err := session.DB(ctx).Find(&all).Error
			return len(all), err
		}))
		a := b.Must(kind + ` { run(step: "start") ` + aliased(siblings, func(i int) string {
			return fmt.Sprintf(`run(step: %q) { value }`, []string{"Query", "GORM"}[i%2])
		}) + ` }`)
		for i := range siblings {
			if got := a.value("run", fmt.Sprintf("a%d", i)); got != float64(Accounts) {
				t.Fatalf("%s: sibling %d has read %v", kind, i, got)
			}
		}
	}
	b.WantIdle()
}

// queryStays has siblings of a query stay, each before it asks for its connection by another way.
func queryStays(t *testing.T, backend Backend) {
	const siblings = 30
	b := NewBank(t, backend, Setup{})
	connection := map[string]string{"mysql": "SELECT CONNECTION_ID()", "postgres": "SELECT pg_backend_pid()"}[backend.Dialect]
	together := expect(siblings)
	var long sync.Once
	stay := func(read func(ctx context.Context, n *int) error) func(context.Context) (int, error) {
		return func(ctx context.Context) (n int, err error) {
			if err := together.arrive(ctx); err != nil {
				return 0, err
			}
			session.Stay(ctx)
			err = read(ctx, &n)
			return n, err
		}
	}
	b.Step("Query", stay(func(ctx context.Context, n *int) (err error) {
		*n, err = queried(ctx, connection)
		return err
	}))
	b.Step("GORM", stay(func(ctx context.Context, n *int) error { return session.DB(ctx).Raw(connection).Find(n).Error }))
	b.Step("Do", stay(func(ctx context.Context, n *int) error {
		return session.Do(ctx, func(tx *gorm.DB) error {
			long.Do(func() { time.Sleep(300 * time.Millisecond) }) // so that the others look whether they wait for themselves
			return tx.Raw(connection).Scan(n).Error
		})
	}))
	b.Step("fails", func(ctx context.Context) (int, error) {
		session.Stay(ctx)
		_, _ = queried(ctx, "SELECT nothing")
		return queried(ctx, connection)
	})
	all := aliased(siblings, func(i int) string {
		return fmt.Sprintf(`run(step: %q) { value }`, []string{"Query", "GORM", "Do"}[i%3])
	})
	b.Step("start", func(context.Context) (int, error) { return 1, nil })
	a := b.Must(`query { run(step: "start") ` + all + " }")
	for i := range siblings {
		if got, want := a.value("run", fmt.Sprintf("a%d", i)), a.value("run", "a0"); got != want || want == nil || want == 0.0 {
			t.Errorf("sibling %d is on the connection %v, and the first on %v", i, got, want)
		}
	}
	if a := b.Must(`query { run(step: "fails") { value } }`); a.value("run") == 0.0 {
		t.Error("a statement that fails ends the query")
	}
	b.WantIdle()
}

// noControlByQuery has a resolver go on as though nothing had been refused. In a query siblings are refused at once.
func noControlByQuery(t *testing.T, backend Backend) {
	b := NewBank(t, backend, Setup{})
	controls := []string{
		"COMMIT", " commit", ";COMMIT", "/* not */ -- now\n COMMIT", "ROLLBACK", "ROLLBACK TO here", "BEGIN", "START TRANSACTION",
		"SAVEPOINT here", "RELEASE SAVEPOINT here", "END",
	}
	if b.Dialect == "mysql" { // it commits by itself
		controls = append(controls, "CREATE TABLE more (id INT)", "/* not now */ DROP TABLE IF EXISTS more", "TRUNCATE TABLE accounts")
	}
	b.Step("start", func(context.Context) (int, error) { return 1, nil })
	var kind, control string
	b.Step("control", func(ctx context.Context) (int, error) {
		if kind == "mutation" {
			if err := Add(session.DB(ctx), "counters", "value", 1, 1); err != nil {
				return 0, err
			}
		}
		if err := session.Query(ctx, control, nil, ignore); !errors.Is(err, session.ErrTransaction) {
			t.Errorf("%s { %s }: want ErrTransaction, got %v", kind, control, err)
		}
		if kind == "mutation" {
			_ = Add(session.DB(ctx), "counters", "value", 2, 1)
		}
		return 1, nil
	})
	b.Step("control by GORM", func(ctx context.Context) (int, error) {
		if err := session.DB(ctx).Raw(control).Find(&[]int{}).Error; !errors.Is(err, session.ErrTransaction) {
			t.Errorf("%s { %s } by GORM: want ErrTransaction, got %v", kind, control, err)
		}
		return 1, nil
	})
	for _, control = range controls {
		kind = "mutation"
		if WantNull(t, b.Send(`mutation { run(step: "control") { value } }`)); b.Total() != Accounts*Balance {
			t.Fatalf("%s has changed the accounts", control)
		}
		kind = "query @snapshot"
		b.Must(`query @snapshot { run(step: "control") { value } }`)
		kind = "query"
		b.Must(`query { run(step: "start") { a: run(step: "control") { value } b: run(step: "control by GORM") { value } c: run(step: "control") { value } account(id: 1) { id } } }`)
	}
	b.wantUntouched()
	b.WantIdle()
}

var errRow = errors.New("on purpose")

// failures are what row may do at the second row: errors that would end the transaction if they were its statement's are
// among them.
var failures = map[string]func(rows *sql.Rows) error{
	"an error":            func(*sql.Rows) error { return errRow },
	"the end of a stream": func(*sql.Rows) error { return errors.Join(errRow, io.EOF) },
	"an inner deadline":   func(*sql.Rows) error { return errors.Join(errRow, context.DeadlineExceeded) },
	"a panic":             func(*sql.Rows) error { panic(errRow) },
	"a Scan": func(rows *sql.Rows) error {
		var at time.Time
		if err := rows.Scan(&at); err != nil {
			return errors.Join(errRow, err)
		}
		return nil
	},
}

// readTo queries for rows of which the second ends the reading.
func readTo(ctx context.Context, query string, end func(*sql.Rows) error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err, _ = p.(error)
		}
	}()
	n := 0
	return session.Query(ctx, query, nil, func(rows *sql.Rows) error {
		if n++; n < 2 {
			return nil
		}
		return end(rows)
	})
}

func failingRows(t *testing.T, backend Backend) {
	b := NewBank(t, backend, Setup{})
	for name, end := range failures {
		for _, kind := range kinds {
			b.Step("fail", func(ctx context.Context) (int, error) {
				// Of some length, so that it is not in one piece.
				err := readTo(ctx, "SELECT a.id FROM accounts a, accounts b, accounts c", end)
				if !errors.Is(err, errRow) {
					t.Errorf("%s: %s: got %v", kind, name, err)
				}
				if n := b.InUse(); kind == "query" && n != 0 {
					t.Errorf("%s: %s: %d connections are in use after it", kind, name, n)
				}
				if n, err := queried(ctx, "SELECT COUNT(*) FROM accounts"); n != Accounts || err != nil {
					t.Errorf("%s: %s: the next Query has read %d, %v", kind, name, n, err)
				}
				if kind == "mutation" {
					return 1, Add(session.DB(ctx), "counters", "value", 1, 1)
				}
				return 1, session.DB(ctx).Find(&[]schematest.Account{}).Error
			})
			b.Must(kind + ` { run(step: "fail") { value } }`)
			b.WantIdle()
		}
	}
	if n := b.Counter(1); n != len(failures) {
		t.Errorf("%d of %d mutations are stored", n, len(failures))
	}
}

// queriesConflict has a Query wait for a lock at its eighth row. Nobody has seen the error but the session where the row
// before has ended the reading. A conflict at once is tried by a statement that fails like one.
func queriesConflict(t *testing.T, backend Backend) {
	b := NewBank(t, backend, Setup{Options: Options{PoolSize: 2}})
	query, want := "SELECT id FROM counters ORDER BY id FOR UPDATE", map[string]string{"mysql": "1205", "postgres": "55P03", "sqlite": "5"}
	if b.Dialect == "sqlite" {
		query = "SELECT id FROM counters"
		impatient(b)
	}
	for name, end := range map[string]func(*sql.Rows) error{
		"at once": nil, "every row is read": ignore, "an error": failures["an error"], "a panic": failures["a panic"],
	} {
		t.Run(name, func(t *testing.T) {
			swallow(t, b, func(ctx context.Context) error {
				free, err := b.obstruct(ctx)
				if err != nil {
					return err
				}
				defer free()
				if err := hurry(session.DB(ctx)); err != nil {
					return err
				}
				if end == nil && b.Dialect != "sqlite" {
					number := map[string]string{"mysql": "1213", "postgres": "40P01"}[b.Dialect]
					err := session.Query(ctx, transientFailure(b.Dialect), nil, ignore)
					return errors.Join(wantError(err, number), wantDead(session.Query(ctx, "SELECT 1", nil, ignore)))
				}
				switch err = readTo(ctx, query, end); {
				case b.Dialect == "sqlite" || name != "a panic":
					err = wantError(err, want[b.Dialect])
				case errors.Is(err, errRow):
					err = nil
				}
				return errors.Join(err, wantDead(session.Query(ctx, "SELECT 1", nil, ignore)), wantDead(Add(session.DB(ctx), "counters", "value", 3, 1)))
			})
		})
	}
}

// queryLosesConnection has a row kill the connection that it comes from.
func queryLosesConnection(t *testing.T, backend Backend) {
	b := NewBank(t, backend, Setup{})
	kill := map[string]string{"mysql": "KILL %d", "postgres": "SELECT pg_terminate_backend(%d)"}[b.Dialect]
	b.Step("lose", func(ctx context.Context) (int, error) {
		id, err := queried(ctx, askNumber(b.Dialect))
		if err != nil {
			return 0, err
		}
		err = session.Query(ctx, b.slowRows(), nil, func(*sql.Rows) error {
			_, err := b.Side.ExecContext(ctx, fmt.Sprintf(kill, id))
			return err
		})
		if err == nil {
			t.Error("a Query has not met the loss of its connection")
		}
		if session.Query(ctx, "SELECT 1", nil, ignore) == nil { // PostgreSQL's driver may have to find out by this one
			t.Error("a Query has got through after it")
		}
		if wrong := wantDead(session.Query(ctx, "SELECT 1", nil, ignore)); wrong != nil {
			t.Error(wrong)
		}
		return 1, nil
	})
	WantNull(t, b.Send(`mutation { increment(id: 1) { id } run(step: "lose") { value } }`))
	b.Must(`query @snapshot { run(step: "lose") { value } }`)
	b.wantUntouched()
	b.WantIdle()
}

// queryTellsCause tries a deadline, and a cancellation when the statement is under way.
func queryTellsCause(t *testing.T, backend Backend) {
	x := newExchange()
	late := NewBank(t, backend, Setup{Extension: func(e *operation.Extension) { e.Deadline = 200 * time.Millisecond }})
	cancelled := NewBank(t, backend, Setup{Wrap: x.wrap})
	for name, query := range map[string]string{"before its rows": late.sleeping(), "amid its rows": late.slowRows()} {
		for _, kind := range kinds {
			ends := make(chan error, 1)
			for _, b := range []*Bank{late, cancelled} {
				b.Step("slow", func(ctx context.Context) (int, error) {
					ends <- session.Query(ctx, query, nil, ignore)
					return 0, context.Cause(ctx)
				})
			}
			late.Send(kind + ` { run(step: "slow") { value } }`)
			err := receive(t, "the deadline", ends)
			if _, ok := errors.AsType[*session.DeadlineError](err); !ok || !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("%s: %s: want a DeadlineError, got %v", kind, name, err)
			}
			l := x.send(t, cancelled, kind+` { run(step: "slow") { value } }`)
			time.Sleep(20 * time.Millisecond) // before it or in it, its error is the same
			l.cancel()
			if err := receive(t, "the cancellation", ends); !errors.Is(err, context.Canceled) {
				t.Errorf("%s: %s: want context.Canceled, got %v", kind, name, err)
			}
			receive(t, "an answer", l.answer)
			for _, b := range []*Bank{late, cancelled} {
				b.WantIdle()
				if b.Dialect == "mysql" { // a read that locks nothing is left to its time limit
					b.killAll()
					b.stopGrinding()
				}
			}
		}
	}
}

func queryIsLogged(t *testing.T, backend Backend) {
	var log SafeBuffer
	reports := make(chan operation.Report, 1)
	b := NewBank(t, backend, Setup{Extension: func(e *operation.Extension) {
		echo := session.Echo(slog.New(slog.NewJSONHandler(&log, nil)))
		e.Write = e.Write.Session(&gorm.Session{Logger: echo})
		e.Read = e.Read.Session(&gorm.Session{Logger: echo})
		e.Observe = func(_ session.Operation, r operation.Report) { reports <- r }
	}})
	ids := make(chan string, 1)
	b.Step("read", func(ctx context.Context) (int, error) {
		op, _ := session.OperationFromContext(ctx)
		ids <- op.ID
		if err := session.Query(ctx, "SELECT id FROM accounts WHERE id < ? AND balance = ?", []any{4, Balance}, ignore); err != nil {
			return 0, err
		}
		if err := session.DB(ctx).Find(&[]schematest.Counter{}).Error; err != nil {
			return 0, err
		}
		_ = session.Query(ctx, "SELECT nothing FROM nowhere", nil, ignore)
		return 1, nil
	})
	for _, kind := range kinds {
		log.reset()
		b.Send(strings.Replace(kind, " ", " Logged ", 1) + ` { run(step: "read") { value } }`)
		if b.way == overHTTP { // session.Run has no reports
			if r := receive(t, "a report", reports); r.Statements != 3 {
				t.Errorf("%s: %d statements were counted, want 3", kind, r.Statements)
			}
		}
		id := receive(t, "an id", ids)
		var lines []logged
		for line := range strings.SplitSeq(strings.TrimSpace(log.String()), "\n") {
			var l logged
			if err := json.Unmarshal([]byte(line), &l); err != nil {
				t.Fatal(err)
			}
			lines = append(lines, l)
		}
		if len(lines) != 3 {
			t.Fatalf("%s: want a line for each statement, got %s", kind, log.String())
		}
		if l := lines[0]; l.SQL != fmt.Sprintf("SELECT id FROM accounts WHERE id < 4 AND balance = %d", Balance) || l.Rows != 3 || l.Error != "" {
			t.Errorf("%s: got the line %+v", kind, l)
		}
		if l := lines[2]; l.SQL != "SELECT nothing FROM nowhere" || l.Rows != 0 || l.Error == "" {
			t.Errorf("%s: got the line %+v", kind, l)
		}
		for _, l := range lines {
			if l.ID != id || l.Duration <= 0 {
				t.Errorf("%s: want a line of the operation %s with a duration, got %+v", kind, id, l)
			}
		}
	}
}

// leftBehind leaves a read under way when the answer is complete.
func leftBehind(t *testing.T, backend Backend) {
	reports := make(chan operation.Report, 1)
	b := NewBank(t, backend, Setup{Extension: func(e *operation.Extension) {
		e.Observe = func(_ session.Operation, r operation.Report) { reports <- r }
	}})
	ends := make(chan error, 1)
	b.Step("leave", func(ctx context.Context) (int, error) {
		go func() { ends <- session.Query(ctx, b.sleeping(), nil, ignore) }()
		time.Sleep(200 * time.Millisecond)
		return 1, nil
	})
	for _, kind := range []string{"query", "query @snapshot"} {
		b.Must(kind + ` { run(step: "leave") { value } }`)
		if b.way == overHTTP { // session.Run has no reports
			if r := receive(t, "a report", reports); r.Statements != 1 || r.Spent < 100*time.Millisecond {
				t.Errorf("%s: want one statement and its time, got %d and %v", kind, r.Statements, r.Spent)
			}
		}
		if err := receive(t, "the end of the read", ends); err == nil {
			t.Errorf("%s: the read has not given way", kind)
		}
		b.WantIdle()
	}
}

// logged is a line of session.Echo.
type logged struct {
	SQL      string
	Rows     int
	Duration time.Duration
	ID       string
	Error    string
}

// reset forgets what was written.
func (s *SafeBuffer) reset() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.b = bytes.Buffer{}
}

// discreet is a GORM logger that must not see values.
type discreet struct{ statements }

func (d *discreet) LogMode(logger.LogLevel) logger.Interface { return d }

func (*discreet) ParamsFilter(_ context.Context, text string, _ ...any) (string, []any) {
	return text, nil
}

func queryHidesParameters(t *testing.T, backend Backend) {
	list := discreet{statements{Interface: logger.Discard}}
	b := NewBank(t, backend, Setup{Extension: func(e *operation.Extension) {
		e.Write = e.Write.Session(&gorm.Session{Logger: &list})
		e.Read = e.Read.Session(&gorm.Session{Logger: &list})
	}})
	b.Step("read", func(ctx context.Context) (int, error) {
		if _, err := queried(ctx, counterByID, 7); err != nil {
			return 0, err
		}
		return 1, session.DB(ctx).Raw(counterByID, 7).Find(&[]int{}).Error
	})
	for _, kind := range kinds {
		b.Must(kind + ` { run(step: "read") { value } }`)
		if got := list.take(); len(got) != 2 || got[0] != got[1] || strings.Contains(got[0], "7") {
			t.Errorf("%s: the logger got %q, want the same text without the parameter from Query and GORM", kind, got)
		}
	}
}

func queryWithoutSession(t *testing.T, _ Backend) {
	said := panicOf(func() { _ = session.Query(t.Context(), "SELECT 1", nil, ignore) })
	if !strings.Contains(said, "call this within session.Run") || said != panicOf(func() { session.DB(t.Context()) }) {
		t.Errorf("Query says %q", said)
	}
}

// manyTexts runs each statement twice, since some are kept from the first time on.
func manyTexts(t *testing.T, backend Backend) {
	b := NewBank(t, backend, Setup{})
	const texts = 300
	b.Step("sum", func(ctx context.Context) (sum int, err error) {
		for i := range 2 * texts {
			err = errors.Join(err, session.Query(ctx, fmt.Sprintf("SELECT %d + id FROM accounts WHERE id = ?", i/2), []any{1}, func(rows *sql.Rows) error {
				var n int
				err := rows.Scan(&n)
				sum += n
				return err
			}))
		}
		return sum, err
	})
	for range 2 {
		if got, want := b.Must(`{ run(step: "sum") { value } }`).value("run"), float64(texts*(texts-1)+2*texts); got != want {
			t.Errorf("want the sum %v, got %v", want, got)
		}
	}
	b.WantIdle()
}
