package sessiontest

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
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

// rerunning: promise 12.
var rerunning = []promise{
	{name: "What loses a conflict is run again from the start, and its hooks once", test: runsAgain},
	{
		name: "A COMMIT that loses a conflict is run again", test: commitRunsAgain,
		absent: map[string]string{
			"mysql":  "transactions wait for each other's locks in their statements, never in COMMIT",
			"sqlite": "one transaction writes at a time, so that none can lose at COMMIT",
		},
	},
	{name: "After an error that ended the transaction nothing reaches the database", test: nothingReachesTheDatabase},
	{
		name: "After an error for which SQLite rolled back nothing reaches the database", test: rolledBackBySQLite,
		absent: map[string]string{
			"mysql":    "no clause of a statement or a constraint ends its transaction",
			"postgres": "a transaction that has failed takes no statement",
		},
	},
	{name: "An error that another attempt mends is never told, and one that is answered is told once", test: mendedIsNotTold},
	{
		name: "What is refused since its connection leads to a server that is read-only is run again on another", test: movesOn,
		absent: map[string]string{
			"sqlite": "there is no other server that a connection could lead to",
		},
	},
	{name: "What never gets through is answered at its deadline", test: deadlineEndsReruns},
	{name: "Without a deadline, what never gets through is run ten times", test: attemptsEnd},
	{
		name: "After four failures an operation runs alone", test: runsAlone,
		absent: map[string]string{
			"sqlite": "its one writer is always alone",
		},
	},
	{
		name: "64 mutations that deadlock by construction all succeed", test: deadlocksSucceed,
		absent: map[string]string{
			"sqlite": "one transaction writes at a time, so that no two wait for each other",
		},
	},
}

// attempts follows an operation's attempts by what each must have of its own.
type attempts struct {
	mu       sync.Mutex
	sessions map[*session.Session]bool
	loaders  map[any]bool
}

// enter returns the attempt's number.
func (a *attempts) enter(ctx context.Context) (int, error) {
	s, err := session.FromContext(ctx)
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.sessions == nil {
		a.sessions, a.loaders = map[*session.Session]bool{}, map[any]bool{}
	}
	a.sessions[s], a.loaders[ctx.Value(loaderKey{})] = true, true
	return len(a.sessions), err
}

func (a *attempts) want(tb testing.TB, n int) {
	tb.Helper()
	a.mu.Lock()
	defer a.mu.Unlock()
	if len(a.sessions) != n || len(a.loaders) != n {
		tb.Errorf("there were %d sessions and %d loaders, want %d of each", len(a.sessions), len(a.loaders), n)
	}
}

// wantError returns an error unless the server calls err by this number.
func wantError(err error, number string) error {
	if got := numberOf(err); got != number {
		return fmt.Errorf("want the server's error %s, got %q: %w", number, got, err)
	}
	return nil
}

func runsAgain(t *testing.T, backend Backend) {
	eachConflict(t, backend, func(t *testing.T, b *Bank, c conflict) {
		var tries attempts
		var hooks counter
		b.Step("lose", func(ctx context.Context) (int, error) {
			session.AfterCommit(ctx, hooks.add)
			n, err := tries.enter(ctx)
			if err != nil || n > 1 {
				return n, errors.Join(err, Add(session.DB(ctx), "counters", "value", 7, 1))
			}
			err = c.provoke(ctx, b, session.DB(ctx))
			if wrong := wantError(err, c.number); wrong != nil {
				t.Error(wrong)
			}
			return 0, err
		})
		b.Must(`mutation { run(step: "lose") { value } increment(id: 1) { value } }`)
		tries.want(t, 2)
		if n := hooks.n.Load(); n != 1 {
			t.Errorf("the hook ran %d times, want once", n)
		}
		if one, seven := b.Counter(1), b.Counter(7); one != 1 || seven != 1 {
			t.Errorf("the counters are %d and %d, want 1 and 1", one, seven)
		}
		b.WantIdle()
	})
}

// mendedIsNotTold has an error presenter log as it should: by OnAnswer.
func mendedIsNotTold(t *testing.T, backend Backend) {
	for _, c := range conflicts(backend.Dialect) {
		t.Run(c.number, func(t *testing.T) {
			var told counter
			b := NewBank(t, backend, Setup{
				Options: Options{PoolSize: 2},
				OnError: func(ctx context.Context) { session.OnAnswer(ctx, told.add) },
			})
			if c.prepare != nil && !c.prepare(b) {
				t.Logf("%s does not exist on this server", c.number)
				return
			}
			var tries attempts
			b.Step("lose", func(ctx context.Context) (int, error) {
				n, err := tries.enter(ctx)
				if err != nil || n > 1 {
					return n, err
				}
				return 0, c.provoke(ctx, b, session.DB(ctx))
			})
			b.Must(`mutation { run(step: "lose") { value } increment(id: 1) { value } }`)
			tries.want(t, 2)
			if n := told.n.Load(); n != 0 {
				t.Errorf("%d errors were told that nobody was answered with", n)
			}
			b.Step("fail", func(ctx context.Context) (int, error) { return 0, errors.Join(b.read(ctx), errors.New("it failed")) })
			for i, kind := range kinds {
				b.Send(kind + ` { run(step: "fail") { value } }`)
				if n := told.n.Load(); n != int32(i)+1 {
					t.Errorf("after %d failures %d were told", i+1, n)
				}
			}
		})
	}
}

// movesOn makes the one connection for mutations read-only, as after a failover, before the transaction begins.
func movesOn(t *testing.T, backend Backend) {
	b := NewBank(t, backend, Setup{Options: Options{PoolSize: 1}})
	var tries attempts
	var hooks counter
	b.Step("write", func(ctx context.Context) (int, error) {
		session.AfterCommit(ctx, hooks.add)
		n, err := tries.enter(ctx)
		return n, errors.Join(err, Add(session.DB(ctx), "counters", "value", 1, 1))
	})
	b.Exec(map[string]string{
		"mysql": "SET SESSION TRANSACTION READ ONLY", "postgres": "SET default_transaction_read_only = on",
	}[b.Dialect])
	b.Must(`mutation { run(step: "write") { value } }`)
	tries.want(t, 2)
	if n, value := hooks.n.Load(), b.Counter(1); n != 1 || value != 1 {
		t.Errorf("the hook ran %d times, and the counter is %d", n, value)
	}
	b.WantIdle()
}

// commitRunsAgain has two serializable transactions read what the other one writes. The first to commit wins.
func commitRunsAgain(t *testing.T, backend Backend) {
	eachProof(t, backend, func(t *testing.T, b *Bank, _ bool) {
		var tries attempts
		var hooks counter
		b.Step("lose", func(ctx context.Context) (int, error) {
			db := session.DB(ctx)
			session.AfterCommit(ctx, hooks.add)
			n, err := tries.enter(ctx)
			if err != nil || n > 1 {
				return n, errors.Join(err, Add(db, "counters", "value", 2, 1))
			}
			other, err := b.Side.BeginTx(ctx, &sql.TxOptions{Isolation: sql.LevelSerializable})
			if err != nil {
				return 0, err
			}
			defer func() { _ = other.Rollback() }()
			var read [2]int
			err = errors.Join(
				db.Exec("SET TRANSACTION ISOLATION LEVEL SERIALIZABLE").Error,
				db.Raw("SELECT value FROM counters WHERE id = 1").Find(&read[0]).Error,
				other.QueryRowContext(ctx, "SELECT value FROM counters WHERE id = 2").Scan(&read[1]),
				Add(db, "counters", "value", 2, 1))
			if err != nil {
				return 0, err
			}
			if _, err := other.ExecContext(ctx, "UPDATE counters SET value = value + 1 WHERE id = 1"); err != nil {
				return 0, err
			}
			return n, other.Commit()
		})
		b.Must(`mutation { run(step: "lose") { value } }`)
		tries.want(t, 2)
		if n := hooks.n.Load(); n != 1 {
			t.Errorf("the hook ran %d times, want once", n)
		}
		if one, two := b.Counter(1), b.Counter(2); one != 1 || two != 1 {
			t.Errorf("the counters are %d and %d, want 1 and 1", one, two)
		}
	})
}

// nothingReachesTheDatabase has a resolver swallow the error and go on to write. After MySQL's 1213 and 1020
// such a write would be stored at once, by itself.
func nothingReachesTheDatabase(t *testing.T, backend Backend) {
	eachConflict(t, backend, func(t *testing.T, b *Bank, c conflict) {
		t.Run("in a resolver", func(t *testing.T) {
			swallow(t, b, func(ctx context.Context) error {
				if err := wantError(c.provoke(ctx, b, session.DB(ctx)), c.number); err != nil {
					return err
				}
				alone := session.Do(ctx, func(tx *gorm.DB) error { return Add(tx, "counters", "value", 3, 1) })
				return errors.Join(wantDead(Add(session.DB(ctx), "counters", "value", 3, 1)), wantDead(alone))
			})
		})
		if c.atBegin {
			return // session.Do calls nobody without a transaction
		}
		t.Run("in session.Do", func(t *testing.T) {
			swallow(t, b, func(ctx context.Context) error {
				var failed error
				_ = session.Do(ctx, func(tx *gorm.DB) error {
					if failed = wantError(c.provoke(ctx, b, tx), c.number); failed != nil {
						return failed
					}
					saved := tx.Transaction(func(tx *gorm.DB) error { return Add(tx, "counters", "value", 3, 1) })
					failed = errors.Join(wantDead(Add(tx, "counters", "value", 3, 1)), wantDead(saved))
					return nil
				})
				return failed
			})
		})
	})
}

// wantDead returns an error unless err tells that the transaction has ended.
func wantDead(err error) error {
	if _, dead := errors.AsType[*session.DeadError](err); !dead {
		return errors.Join(errors.New("want a DeadError, got"), err)
	}
	return nil
}

// swallow sends a mutation whose first attempt meets an error that nobody sees. The second one looks at the
// database first, before it does what the first should have done.
func swallow(t *testing.T, b *Bank, meet func(context.Context) error) {
	b.Exec("UPDATE counters SET value = 0")
	var tries attempts
	b.Step("swallow", func(ctx context.Context) (int, error) {
		n, err := tries.enter(ctx)
		if err != nil {
			return 0, err
		}
		if n == 1 {
			if wrong := meet(ctx); wrong != nil {
				t.Error(wrong)
			}
			return n, nil
		}
		sum, err := b.beside(ctx, "SELECT SUM(value) FROM counters WHERE id < 8")
		if err != nil || sum != 0 {
			t.Errorf("after the first attempt the counters' sum is %d, %v; want 0", sum, err)
		}
		return n, Add(session.DB(ctx), "counters", "value", 3, 1)
	})
	b.Must(`mutation { run(step: "swallow") { value } increment(id: 5) { value } }`)
	tries.want(t, 2)
	for id, want := range map[int]int{3: 1, 5: 1, 7: 0} {
		if n := b.Counter(id); n != want {
			t.Errorf("counter %d is %d, want %d", id, n, want)
		}
	}
	b.WantIdle()
}

// rolledBackBySQLite has a statement end its transaction by an error that is no conflict: it is not run again.
func rolledBackBySQLite(t *testing.T, backend Backend) {
	b := NewBank(t, backend, Setup{})
	var hooks counter
	b.write(&hooks)
	var statement string
	b.Step("swallow", func(ctx context.Context) (int, error) {
		db := session.DB(ctx)
		if db.Exec("INSERT OR ABORT INTO counters VALUES (1, 0)").Error == nil || Add(db, "counters", "value", 2, 1) != nil {
			t.Error("want the first statement to fail, and the transaction to go on")
		}
		if db.Exec(statement).Error == nil {
			t.Error("want the statement to fail")
		}
		if wrong := wantDead(Add(db, "counters", "value", 3, 1)); wrong != nil {
			t.Error(wrong)
		}
		return 1, nil
	})
	b.Exec("CREATE TABLE big (bytes BLOB)")
	b.Exec("PRAGMA max_page_count = 100")
	for _, statement = range []string{
		"INSERT OR ROLLBACK INTO counters VALUES (1, 0)",
		"INSERT INTO big VALUES (zeroblob(1000000))", // the disk is full
	} {
		WantNull(t, b.Send(`mutation { run(step: "write") { value } b: run(step: "swallow") { value } increment(id: 5) { id } }`))
		b.wantNothing(hooks.n.Load())
	}
}

// obstructedAtOnce is obstruct where nobody waits for long.
func obstructedAtOnce(t *testing.T, b *Bank) (free func()) {
	t.Helper()
	if b.Dialect == "sqlite" {
		impatient(b)
	}
	free, err := b.obstruct(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return free
}

func deadlineEndsReruns(t *testing.T, backend Backend) {
	b := NewBank(t, backend, Setup{Extension: func(e *operation.Extension) { e.Deadline = 3 * time.Second }})
	free := obstructedAtOnce(t, b)
	defer free()
	var tries attempts
	var hooks counter
	b.Step("collide", func(ctx context.Context) (int, error) {
		session.AfterCommit(ctx, hooks.add)
		n, err := tries.enter(ctx)
		return n, errors.Join(err, collide(session.DB(ctx)))
	})
	a := b.Send(`mutation { run(step: "collide") { value } }`)
	WantNull(t, a)
	if !strings.Contains(a.Raw, "took longer than 3s") {
		t.Errorf("want an error that tells of the deadline, got %s", a.Raw)
	}
	tries.mu.Lock()
	n := len(tries.sessions)
	tries.mu.Unlock()
	if n < 2 || n > 40 {
		t.Errorf("there were %d attempts, want it to be run again at growing intervals", n)
	}
	free()
	b.wantNothing(hooks.n.Load())
	tries.want(t, n)
}

func attemptsEnd(t *testing.T, backend Backend) {
	b := NewBank(t, backend, Setup{Extension: func(e *operation.Extension) { e.Deadline = 0 }})
	free := obstructedAtOnce(t, b)
	defer free()
	var tries attempts
	var hooks counter
	b.Step("collide", func(ctx context.Context) (int, error) {
		session.AfterCommit(ctx, hooks.add)
		n, err := tries.enter(ctx)
		if n > 10 { // it would go on for as long as it meets an obstruction
			free()
		}
		return n, errors.Join(err, collide(session.DB(ctx)))
	})
	a := b.Send(`mutation { run(step: "collide") { value } }`)
	WantNull(t, a)
	if a.Code() != "INTERNAL_SERVER_ERROR" {
		t.Errorf("want an internal error, got %s", a.Raw)
	}
	tries.want(t, 10)
	free()
	b.wantNothing(hooks.n.Load())
}

// runsAlone has an operation fail four times amid others. From the fifth attempt on it sees none of them.
func runsAlone(t *testing.T, backend Backend) {
	b := NewBank(t, backend, Setup{})
	free, err := b.obstruct(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer free()
	var open, served, intruders atomic.Int32 // open is raised and lowered while a bystander's transaction is open
	b.Step("stand by", func(ctx context.Context) (int, error) {
		err := readOften(ctx, 1, func() {})
		open.Add(1)
		defer open.Add(-1)
		return 1, errors.Join(err, readOften(ctx, 5, func() {}))
	})
	var tries attempts
	b.Step("collide", func(ctx context.Context) (int, error) {
		n, err := tries.enter(ctx)
		if err != nil || n <= 4 {
			return n, errors.Join(err, collide(session.DB(ctx)))
		}
		err = readOften(ctx, 50, func() { intruders.Add(open.Load()) })
		if n == 6 {
			free()
		}
		return n, errors.Join(err, collide(session.DB(ctx)))
	})
	end := make(chan struct{})
	var bystanders sync.WaitGroup
	for range 6 {
		bystanders.Go(func() {
			for {
				select {
				case <-end:
					return
				default:
					if a := b.Send(`mutation { run(step: "stand by") { value } }`); !a.OK() {
						t.Errorf("a bystander got %s", a.Raw)
					}
					served.Add(1)
				}
			}
		})
	}
	Eventually(t, "there are bystanders", func() bool { return served.Load() > 6 })
	b.Must(`mutation { run(step: "collide") { value } }`)
	before := served.Load()
	Eventually(t, "the bystanders go on", func() bool { return served.Load() > before+6 })
	close(end)
	bystanders.Wait()
	tries.want(t, 6)
	if n := intruders.Load(); n != 0 {
		t.Errorf("other mutations were seen in the midst of an attempt that should be alone (%d)", n)
	}
	if n := b.Counter(8); n != 1 {
		t.Errorf("the counter is %d, want 1", n)
	}
	b.WantIdle()
}

// readOften reads in the operation's transaction, and calls look after each time.
func readOften(ctx context.Context, times int, look func()) error {
	for range times {
		if err := session.DB(ctx).Take(&schematest.Counter{}).Error; err != nil {
			return err
		}
		look()
	}
	return nil
}

// meeting is two transfers between the same accounts in opposite directions, each of which holds its first account
// when they meet: one of them must lose.
type meeting struct {
	accounts [2]int
	come     atomic.Int32
	met      chan struct{}
}

// wait returns when both have come.
func (m *meeting) wait(ctx context.Context) error {
	if m.come.Add(1) == 2 {
		close(m.met)
	}
	select {
	case <-m.met:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

func deadlocksSucceed(t *testing.T, backend Backend) {
	const transfers = 64
	b := NewBank(t, backend, Setup{})
	for id := Accounts + 1; id <= transfers; id++ {
		b.Exec(fmt.Sprintf("INSERT INTO accounts VALUES (%d, %d)", id, Balance))
	}
	meetings := make([]*meeting, transfers/2)
	for i := range meetings {
		meetings[i] = &meeting{accounts: [2]int{2*i + 1, 2*i + 2}, met: make(chan struct{})}
	}
	// Whoever has begun takes the next place: so only one is without its partner at any time, and no
	// pool can be full of those who wait for partners that have no connection.
	var places, attempts atomic.Int32
	var all sync.WaitGroup
	for i := range transfers {
		name := fmt.Sprintf("transfer %d", i)
		place := -1
		b.Step(name, func(ctx context.Context) (int, error) {
			attempts.Add(1)
			db := session.DB(ctx)
			if err := begin(db); err != nil {
				return 0, err
			}
			again := place >= 0
			if !again {
				place = int(places.Add(1)) - 1
			}
			m, amount := meetings[place/2], place%2+1
			if err := Add(db, "accounts", "balance", m.accounts[place%2], -amount); err != nil {
				return 0, err
			}
			if !again {
				if err := m.wait(ctx); err != nil {
					return 0, err
				}
			}
			return place, errors.Join(
				Add(db, "accounts", "balance", m.accounts[1-place%2], amount),
				Add(db, "counters", "value", 1, 1))
		})
		all.Go(func() {
			if a := b.Send(fmt.Sprintf(`mutation { run(step: %q) { value } }`, name)); !a.OK() {
				t.Errorf("%s: want a success, got %s", name, a.Raw)
			}
		})
	}
	all.Wait()
	b.wantTransfers(transfers, int(attempts.Load()))
}

// wantTransfers fails unless each two of the transfers have moved 1 and 2, and one of them was run again.
func (b *Bank) wantTransfers(transfers, attempts int) {
	b.tb.Helper()
	if attempts < transfers+transfers/2 {
		b.tb.Errorf("there were %d attempts: not every two deadlocked", attempts)
	}
	if n := b.Counter(1); n != transfers {
		b.tb.Errorf("%d transfers were counted, want %d", n, transfers)
	}
	if sum := b.Total(); sum != transfers*Balance {
		b.tb.Errorf("the total is %d, want %d", sum, transfers*Balance)
	}
	var accounts []schematest.Account
	if err := b.DB.Order("id").Find(&accounts).Error; err != nil {
		b.tb.Fatal(err)
	}
	for _, a := range accounts {
		if want := Balance + 1 - 2*((a.ID+1)%2); a.Balance != want {
			b.tb.Errorf("account %d has %d, want %d", a.ID, a.Balance, want)
		}
	}
	b.WantIdle()
}
