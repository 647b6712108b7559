package sessiontest

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"gorm.io/gorm"

	"rollcall/session"
)

// querying: what session.Query promises, beside the GORM session of the same operation.
var querying = []promise{
	{name: "Query reads rows in their order, with placeholders of every dialect", test: queryRows},
	{name: "Query reads what its mutation wrote, in the same transaction", test: queryOwnWrites},
	{name: "Query begins and ends no transaction, and a mutation that tries stores nothing", test: queryNoControl},
	{name: "A row function that fails, panics or leaves rows unread frees the connection", test: queryFailingRows},
	{name: "Query is refused once the operation has ended", test: queryAfterEnd},
	{name: "The statements of Query are counted and logged with their operation", test: queryCounted},
}

// queried reads one number.
func queried(ctx context.Context, query string, args ...any) (n int, err error) {
	err = session.Query(ctx, query, args, func(rows *sql.Rows) error { return rows.Scan(&n) })
	return n, err
}

func queryRows(t *testing.T, backend Backend) {
	b := NewBank(t, backend, Setup{})
	b.Step("rows", func(ctx context.Context) (int, error) {
		var args []any
		for id := range 12 { // PostgreSQL's $1 is not to be found in $12
			args = append(args, id+1)
		}
		var ids []int
		err := session.Query(ctx, "SELECT id, balance FROM accounts WHERE id IN ("+strings.Repeat("?, ", 11)+"?) AND balance = ? ORDER BY id DESC", append(args, Balance),
			func(rows *sql.Rows) error {
				var id, balance int
				err := rows.Scan(&id, &balance)
				ids = append(ids, id)
				return err
			})
		if want := "[12 11 10 9 8 7 6 5 4 3 2 1]"; fmt.Sprint(ids) != want {
			t.Errorf("want the ids %s, got %v", want, ids)
		}
		return len(ids), err
	})
	for _, kind := range kinds {
		b.Must(kind + ` { run(step: "rows") { value } }`)
	}
}

func queryOwnWrites(t *testing.T, backend Backend) {
	b := NewBank(t, backend, Setup{})
	const value = "SELECT value FROM counters WHERE id = ?"
	b.Step("write", func(ctx context.Context) (int, error) { return 0, Add(session.DB(ctx), "counters", "value", 1, 5) })
	b.Step("read", func(ctx context.Context) (int, error) { return queried(ctx, value, 1) })
	b.Step("outside", func(context.Context) (n int, err error) {
		return n, b.Reads.WithContext(context.Background()).Raw(value, 1).Scan(&n).Error
	})
	a := b.Must(`mutation { w: run(step: "write") { value } read: run(step: "read") { value } outside: run(step: "outside") { value } }`)
	if own, others := a.value("read"), a.value("outside"); own != 5.0 || others != 0.0 {
		t.Errorf("the mutation read %v, others %v", own, others)
	}
}

func queryNoControl(t *testing.T, backend Backend) {
	b := NewBank(t, backend, Setup{})
	for _, statement := range []string{"COMMIT", "/* now */ commit", "-- now\nROLLBACK", "BEGIN", "SAVEPOINT a"} {
		b.Step("control", func(ctx context.Context) (int, error) {
			if err := Add(session.DB(ctx), "counters", "value", 1, 1); err != nil {
				return 0, err
			}
			if _, err := queried(ctx, statement); !errors.Is(err, session.ErrTransaction) {
				t.Errorf("%s: got %v", statement, err)
			}
			return 0, nil // as if nothing were wrong
		})
		if a := b.Send(`mutation { run(step: "control") { value } }`); a.OK() || b.Counter(1) != 0 {
			t.Errorf("%s: got %s, and stored is %d", statement, a.Raw, b.Counter(1))
		}
		b.WantIdle()
	}
}

func queryFailingRows(t *testing.T, backend Backend) {
	b := NewBank(t, backend, Setup{})
	errEnough := errors.New("enough")
	for what, row := range map[string]func(*sql.Rows) error{
		"an error":     func(*sql.Rows) error { return errEnough },
		"a wrong Scan": func(rows *sql.Rows) error { return rows.Scan(new(int)) },
		"a panic":      func(*sql.Rows) error { panic("no") },
	} {
		b.Step("fail", func(ctx context.Context) (n int, err error) {
			func() {
				defer func() {
					if v := recover(); v != nil {
						err = errEnough
					}
				}()
				err = session.Query(ctx, "SELECT id, balance FROM accounts ORDER BY id", nil, row)
			}()
			if err == nil || what == "an error" && !errors.Is(err, errEnough) {
				t.Errorf("%s: got %v", what, err)
			}
			return queried(ctx, "SELECT count(*) FROM accounts")
		})
		for _, kind := range kinds {
			if n := b.Must(kind + ` { run(step: "fail") { value } }`).value("run"); n != float64(Accounts) {
				t.Errorf("%s in a %s: a later statement read %v", what, kind, n)
			}
			b.WantIdle()
		}
	}
}

func queryAfterEnd(t *testing.T, backend Backend) {
	b := NewBank(t, backend, Setup{})
	for _, kind := range kinds {
		ended := make(chan context.Context, 1)
		b.Step("keep", func(ctx context.Context) (int, error) { ended <- ctx; return 1, nil })
		b.Must(kind + ` { run(step: "keep") { value } }`)
		var closed *session.ClosedError
		if _, err := queried(<-ended, "SELECT 1"); !errors.As(err, &closed) {
			t.Errorf("after a %s: want a ClosedError, got %v", kind, err)
		}
	}
	defer func() {
		if recover() == nil {
			t.Error("no panic without a session")
		}
	}()
	_, _ = queried(t.Context(), "SELECT 1")
}

func queryCounted(t *testing.T, backend Backend) {
	reports := make(chan session.Report, 1)
	b := NewBank(t, backend, Setup{Extension: func(e *session.Extension) {
		e.Observe = func(_ session.Operation, r session.Report) { reports <- r }
	}})
	var log SafeBuffer
	for _, db := range []*gorm.DB{b.DB, b.Reads} {
		db.Config.Logger = session.Echo(slog.New(slog.NewTextHandler(&log, nil)))
	}
	b.Step("two", func(ctx context.Context) (int, error) {
		one, err := queried(ctx, "SELECT count(*) FROM accounts WHERE id < ?", 3)
		two, err2 := queried(ctx, "SELECT balance FROM accounts WHERE id = ? OR id = ?", 1, 2)
		return one + two, errors.Join(err, err2)
	})
	b.Must(`query Named { run(step: "two") { value } }`)
	if r := <-reports; r.Statements != 2 {
		t.Errorf("%d statements were counted", r.Statements)
	}
	for _, want := range []string{"id < 3", "id = 1 OR id = 2", "rows=1", "rows=2", "operation=Named", "duration="} {
		if !strings.Contains(log.String(), want) {
			t.Errorf("no %q in the log:\n%s", want, &log)
		}
	}
}
