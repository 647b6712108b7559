package sessiontest

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"gorm.io/gorm"
	"gorm.io/gorm/clause"
	"gorm.io/gorm/logger"

	"rollcall/operation"
	"rollcall/schematest"
	"rollcall/session"
)

// sharing: promises 14 and 15, of one transaction that many resolvers use.
var sharing = []promise{
	{name: "A thousand siblings read at once in one transaction", test: thousandSiblings},
	{name: "Siblings read and write at once in one transaction", test: readingWhileWriting},
	{name: "The siblings of a relation are one statement in a mutation too", test: oneStatement},
	{name: "An inner rollback takes back its own writes while others write", test: innerRollback},
	{name: "A statement refused within a savepoint leaves the rest of the transaction as it was", test: refusedWithinSavepoint},
	{name: "A panic in Do frees the connection for the other resolvers", test: panicInDo},
	{name: "A session that is used within its own Do, Query or statement says so at once", test: nesting},
	{name: "Whoever waits for another resolver's Do gets its turn", test: waitsForDo},
	{name: "What Do leaves open is closed, and its tx refused, once it returns", test: leftOpenByDo},
	{name: "Do reads open rows beside the other resolvers of a query", test: openRows},
}

// kinds are the operations that differ in how their session reaches the database.
var kinds = []string{"mutation", "query @snapshot", "query"}

// arrivals counts those who arrive, up to a number.
type arrivals struct {
	mu   sync.Mutex
	left int
	all  chan struct{}
}

func expect(n int) *arrivals { return &arrivals{left: n, all: make(chan struct{})} }

// arrive counts one and returns once everybody has come, or with an error when ctx ends.
func (a *arrivals) arrive(ctx context.Context) error {
	a.come()
	return await(ctx, a.all)
}

func (a *arrivals) come() {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.left--; a.left == 0 {
		close(a.all)
	}
}

func await(ctx context.Context, event <-chan struct{}) error {
	select {
	case <-event:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// aliased is a selection set of n fields with aliases a0, a1, and so on.
func aliased(n int, field func(i int) string) string {
	var b strings.Builder
	b.WriteString("{")
	for i := range n {
		fmt.Fprintf(&b, " a%d: %s", i, field(i))
	}
	b.WriteString(" }")
	return b.String()
}

// value is what a step returned, found by the names in the answer that lead to it.
func (a Answer) value(names ...string) any {
	var at any = a.Data
	for _, name := range append(names, "value") {
		object, ok := at.(map[string]any)
		if !ok {
			return nil
		}
		at = object[name]
	}
	return at
}

func thousandSiblings(t *testing.T, backend Backend) {
	b := NewBank(t, backend, Setup{})
	b.Step("start", func(context.Context) (int, error) { return 1, nil })
	for kind, siblings := range map[string]int{"mutation": 1000, "query @snapshot": 200, "query": 200} {
		together := expect(siblings)
		b.Step("read", func(ctx context.Context) (int, error) {
			if err := together.arrive(ctx); err != nil {
				return 0, err
			}
			var account schematest.Account
			err := session.DB(ctx).Take(&account, "id = ?", 7).Error
			return account.Balance, err
		})
		a := b.Must(kind + ` { run(step: "start") ` + aliased(siblings, func(int) string { return `run(step: "read") { value }` }) + ` }`)
		for i := range siblings {
			if got := a.value("run", fmt.Sprintf("a%d", i)); got != float64(Balance) {
				t.Fatalf("%s: sibling %d read %v, want %d", kind, i, got, Balance)
			}
		}
	}
	b.WantIdle()
}

func readingWhileWriting(t *testing.T, backend Backend) {
	const siblings = 100
	b := NewBank(t, backend, Setup{})
	b.Step("start", func(context.Context) (int, error) { return 1, nil })
	together := expect(2 * siblings)
	b.Step("read", func(ctx context.Context) (int, error) {
		if err := together.arrive(ctx); err != nil {
			return 0, err
		}
		var accounts []schematest.Account
		return 0, session.DB(ctx).Find(&accounts).Error
	})
	b.Step("write", func(ctx context.Context) (int, error) {
		if err := together.arrive(ctx); err != nil {
			return 0, err
		}
		return 0, Add(session.DB(ctx), "counters", "value", 1, 1)
	})
	b.Must(`mutation { run(step: "start") ` + aliased(2*siblings, func(i int) string {
		return fmt.Sprintf(`run(step: %q) { value }`, []string{"read", "write"}[i%2])
	}) + ` }`)
	if got := b.Counter(1); got != siblings {
		t.Errorf("%d of %d writes were stored", got, siblings)
	}
}

// statements is a GORM logger that keeps the texts of the statements.
type statements struct {
	logger.Interface
	mu   sync.Mutex
	list []string
}

func (s *statements) LogMode(logger.LogLevel) logger.Interface { return s }

func (s *statements) Trace(_ context.Context, _ time.Time, statement func() (string, int64), _ error) {
	sql, _ := statement()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.list = append(s.list, sql)
}

// take returns the statements since the last call.
func (s *statements) take() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	list := s.list
	s.list = nil
	return list
}

// listen makes an extension's pools tell of their statements.
func (s *statements) listen(e *operation.Extension) {
	s.Interface = logger.Discard
	e.Write = e.Write.Session(&gorm.Session{Logger: s})
	e.Read = e.Read.Session(&gorm.Session{Logger: s})
}

func oneStatement(t *testing.T, backend Backend) {
	var list statements
	b := NewBank(t, backend, Setup{Extension: list.listen})
	b.Step("start", func(context.Context) (int, error) { return 1, nil })
	for _, kind := range kinds {
		list.take()
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second) // a load that is left over waits for a minute
		a, err := b.SendContext(ctx, kind+` { run(step: "start") { account(id: 1) `+
			aliased(Siblings, func(i int) string { return fmt.Sprintf(`peer(id: %d) { id }`, i+2) })+` } }`)
		cancel()
		if err != nil || !a.OK() {
			t.Fatalf("%s: %v %s", kind, err, a.Raw)
		}
		got := list.take()
		if len(got) != 2 || !strings.Contains(got[1], "IN (") {
			t.Errorf("%s: want one statement for the account and one for all its peers, got %d: %q", kind, len(got), got)
		}
	}
}

// innerRollback: a savepoint belongs to the connection, so that whatever else is written between it and its
// rollback goes too.
func innerRollback(t *testing.T, backend Backend) {
	const writers, within, mutations = 20, 20, 2
	b := NewBank(t, backend, Setup{})
	errInner := errors.New("on purpose")
	b.Step("start", func(context.Context) (int, error) { return 1, nil })
	for range mutations {
		inside, about := make(chan struct{}), expect(writers)
		b.Step("nest", func(ctx context.Context) (int, error) {
			return 0, session.Do(ctx, func(tx *gorm.DB) error {
				return tx.Transaction(func(tx *gorm.DB) error { // of the operation's own: it stays
					if err := Add(tx, "counters", "value", 1, 1); err != nil {
						return err
					}
					close(inside)
					if err := await(ctx, about.all); err != nil {
						return err
					}
					if err := tx.Transaction(func(tx *gorm.DB) error { // all of it is taken back
						for range within {
							if err := Add(tx, "counters", "value", 2, 1); err != nil {
								return err
							}
						}
						if err := tx.Transaction(func(tx *gorm.DB) error { return Add(tx, "counters", "value", 3, 1) }); err != nil {
							return err
						}
						return errInner
					}); !errors.Is(err, errInner) {
						return fmt.Errorf("the inner transaction returned %w", err)
					}
					return tx.Transaction(func(tx *gorm.DB) error { return Add(tx, "counters", "value", 4, 1) })
				})
			})
		})
		b.Step("write", func(ctx context.Context) (int, error) {
			if err := await(ctx, inside); err != nil {
				return 0, err
			}
			about.come()
			return 0, Add(session.DB(ctx), "counters", "value", 5, 1)
		})
		b.Must(`mutation { run(step: "start") { nest: run(step: "nest") { value } ` +
			strings.Trim(aliased(writers, func(int) string { return `run(step: "write") { value }` }), "{}") + ` } }`)
	}
	for id, want := range map[int]int{1: mutations, 2: 0, 3: 0, 4: mutations, 5: mutations * writers} {
		if got := b.Counter(id); got != want {
			t.Errorf("counter %d is %d, want %d", id, got, want)
		}
	}
}

func refusedWithinSavepoint(t *testing.T, backend Backend) {
	b := NewBank(t, backend, Setup{})
	b.Step("nest", func(ctx context.Context) (int, error) {
		if err := Add(session.DB(ctx), "counters", "value", 1, 1); err != nil {
			return 0, err
		}
		err := session.Do(ctx, func(tx *gorm.DB) error {
			refused := tx.Transaction(func(tx *gorm.DB) error {
				if err := Add(tx, "counters", "value", 2, 1); err != nil {
					return err
				}
				return tx.Create(&schematest.Account{ID: 1, Balance: 1}).Error // there is one
			})
			if refused == nil {
				return errors.New("a second account 1 was stored")
			}
			return Add(tx, "counters", "value", 3, 1)
		})
		if err != nil {
			return 0, err
		}
		return 1, Add(session.DB(ctx), "counters", "value", 4, 1)
	})
	b.Must(`mutation { run(step: "nest") { value } }`)
	for id, want := range map[int]int{1: 1, 2: 0, 3: 1, 4: 1} {
		if got := b.Counter(id); got != want {
			t.Errorf("counter %d is %d, want %d", id, got, want)
		}
	}
}

func panicInDo(t *testing.T, backend Backend) {
	b := NewBank(t, backend, Setup{})
	inside, read := make(chan struct{}), make(chan error, 1)
	b.Step("start", func(context.Context) (int, error) { return 1, nil })
	b.Step("panic", func(ctx context.Context) (int, error) {
		return 0, session.Do(ctx, func(tx *gorm.DB) error {
			if err := Add(tx, "counters", "value", 1, 1); err != nil {
				return err
			}
			return tx.Transaction(func(*gorm.DB) error {
				close(inside)
				panic("on purpose")
			})
		})
	})
	b.Step("read", func(ctx context.Context) (int, error) {
		if err := await(ctx, inside); err != nil {
			return 0, err
		}
		err := session.DB(ctx).Find(&[]schematest.Counter{}).Error
		read <- err
		return 0, err
	})
	a := b.Send(`mutation { run(step: "start") { a: run(step: "panic") { value } b: run(step: "read") { value } } }`)
	WantNull(t, a)
	if err := <-read; err != nil {
		t.Errorf("the sibling of the panic: %v", err)
	}
	if got := b.Counter(1); got != 0 {
		t.Errorf("the counter is %d: the mutation was not rolled back", got)
	}
	b.WantIdle()
}

func leftOpenByDo(t *testing.T, backend Backend) {
	b := NewBank(t, backend, Setup{})
	b.Step("leave", func(ctx context.Context) (int, error) {
		var kept *gorm.DB
		err := session.Do(ctx, func(tx *gorm.DB) error {
			kept = tx
			rows, err := tx.Table("accounts").Rows() //nolint:sqlclosecheck // on purpose
			if err != nil {
				return err
			}
			rows.Next()
			return rows.Err()
		})
		if err != nil {
			return 0, err
		}
		for name, call := range map[string]func() error{
			"Find": func() error { return kept.Find(&[]schematest.Account{}).Error },
			"Exec": func() error { return Add(kept, "counters", "value", 1, 1) },
			"Row":  func() error { return kept.Table("accounts").Row().Err() },
		} {
			if err := call(); !errors.Is(err, session.ErrDone) {
				t.Errorf("%s on the tx of a Do that has returned: %v", name, err)
			}
		}
		return 1, nil
	})
	for _, kind := range kinds {
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		if _, err := b.SendContext(ctx, kind+` { run(step: "leave") { value } }`); err != nil {
			t.Errorf("%s: %v", kind, err)
		}
		cancel()
		b.WantIdle()
	}
	b.Must(`mutation { increment(id: 1) { value } }`)
}

func openRows(t *testing.T, backend Backend) {
	b := NewBank(t, backend, Setup{})
	b.Step("start", func(context.Context) (int, error) { return 1, nil })
	for _, kind := range kinds {
		first, other := make(chan struct{}), make(chan struct{})
		b.Step("rows", func(ctx context.Context) (sum int, err error) {
			return sum, session.Do(ctx, func(tx *gorm.DB) error {
				rows, err := tx.Model(&schematest.Account{}).Order("id").Rows()
				if err != nil {
					return err
				}
				defer func() { _ = rows.Close() }()
				for n := 0; rows.Next(); n++ {
					if n == 1 {
						close(first)
						if kind == "query" { // each statement has a connection of its own
							if err := await(ctx, other); err != nil {
								return err
							}
						}
					}
					var a schematest.Account
					if err := tx.ScanRows(rows, &a); err != nil {
						return err
					}
					sum += a.Balance
				}
				return rows.Err()
			})
		})
		b.Step("other", func(ctx context.Context) (int, error) {
			if err := await(ctx, first); err != nil {
				return 0, err
			}
			defer close(other)
			var a schematest.Account
			err := session.DB(ctx).Where("id = ?", 1).Take(&a).Error
			return a.Balance, err
		})
		a := b.Must(kind + ` { run(step: "start") { rows: run(step: "rows") { value } other: run(step: "other") { value } } }`)
		if got := a.value("run", "rows"); got != float64(Accounts*Balance) {
			t.Errorf("%s: the rows add up to %v", kind, got)
		}
		if got := a.value("run", "other"); got != float64(Balance) {
			t.Errorf("%s: the other resolver read %v", kind, got)
		}
	}
	b.WantIdle()
}

// asking is a value that GORM asks for while it writes its statement.
type asking struct{ ask func() error }

func (a asking) GormValue(_ context.Context, db *gorm.DB) clause.Expr {
	_ = db.AddError(a.ask())
	return gorm.Expr("1")
}

func nesting(t *testing.T, backend Backend) {
	b := NewBank(t, backend, Setup{Extension: func(e *operation.Extension) { e.Deadline = 0 }})
	outer := map[string]func(ctx context.Context, amid func() error) error{
		"Do":    func(ctx context.Context, amid func() error) error { return uses["Do"](ctx, amid) },
		"Query": func(ctx context.Context, amid func() error) error { return uses["Query"](ctx, sync.OnceValue(amid)) },
		"a statement": func(ctx context.Context, amid func() error) error {
			return session.DB(ctx).Where("id = ?", asking{amid}).Find(&[]schematest.Counter{}).Error
		},
		"a statement in Do": func(ctx context.Context, amid func() error) error {
			return session.Do(ctx, func(tx *gorm.DB) error {
				return tx.Where("id = ?", asking{amid}).Find(&[]schematest.Counter{}).Error
			})
		},
	}
	for name, use := range outer {
		for inner, again := range uses {
			for _, kind := range kinds {
				if kind == "query" && !strings.HasSuffix(name, "Do") {
					continue // each has a connection of its own
				}
				var got error
				b.Step("nest", func(ctx context.Context) (int, error) {
					_ = use(ctx, func() error {
						got = again(ctx, func() error { return nil })
						return got
					})
					return 1, session.DB(ctx).Find(&[]schematest.Counter{}).Error // the session goes on
				})
				answer := make(chan Answer, 1)
				go func() { answer <- b.Send(kind + ` { run(step: "nest") { value } }`) }()
				if a := receive(t, "an answer: it hangs", answer); !a.OK() || !errors.Is(got, session.ErrNested) {
					t.Errorf("%s: %s in %s: want ErrNested, got %v and the answer %s", kind, inner, name, got, a.Raw)
				}
				b.WantIdle()
			}
		}
	}
}

func waitsForDo(t *testing.T, backend Backend) {
	b := NewBank(t, backend, Setup{})
	const others = 8
	b.Step("start", func(context.Context) (int, error) { return 1, nil })
	for _, kind := range kinds {
		inside, waiting := make(chan struct{}), expect(others)
		b.Step("do", func(ctx context.Context) (int, error) {
			return 0, session.Do(ctx, func(tx *gorm.DB) error {
				close(inside)
				if err := waiting.arrive(ctx); err != nil {
					return err
				}
				time.Sleep(50 * time.Millisecond) // they are in their statements
				return tx.Find(&[]schematest.Counter{}).Error
			})
		})
		b.Step("wait", func(ctx context.Context) (int, error) {
			if err := await(ctx, inside); err != nil {
				return 0, err
			}
			waiting.come()
			return 0, errors.Join(
				uses["GORM"](ctx, func() error { return nil }),
				uses["Do"](ctx, func() error { return nil }),
				uses["Query"](ctx, func() error { return nil }))
		})
		b.Must(kind + ` { run(step: "start") ` + aliased(others+1, func(i int) string {
			if i == others {
				return `run(step: "do") { value }`
			}
			return `run(step: "wait") { value }`
		}) + ` }`)
	}
}
