package sessiontest

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"rollcall/session"
)

// rollingBack: promise 10.
var rollingBack = []promise{
	{name: "A rollback that fails hides no error", test: rollbackFails, absent: map[string]string{
		"sqlite": "there is no connection to lose: ROLLBACK fails only where the transaction has ended, which takes nothing back",
	}},
	{name: "A mutation cancelled after its write is rolled back", test: cancelledIsRolledBack},
}

// counter counts what happens, such as hooks that run.
type counter struct{ n atomic.Int32 }

func (c *counter) add() { c.n.Add(1) }

// askNumber returns the query for the server's number of a connection.
func askNumber(dialect string) string {
	if dialect == "postgres" {
		return "SELECT pg_backend_pid()"
	}
	return "SELECT CONNECTION_ID()"
}

// killConnection has the server kill the connection of the transaction that ctx belongs to, and waits
// until it is gone, with its locks.
func (b *Bank) killConnection(ctx context.Context) error {
	var id int64
	if err := session.DB(ctx).Raw(askNumber(b.Dialect)).Find(&id).Error; err != nil {
		return err
	}
	side, err := b.Side.Conn(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = side.Close() }()
	return b.killFrom(ctx, side, id)
}

// killFrom has the server kill a connection from another one, and waits until it is gone: a connection that is still to go passes for one that works.
func (b *Bank) killFrom(ctx context.Context, from *sql.Conn, id int64) error {
	kill, left := "KILL %d", "SELECT COUNT(*) FROM "+processlist+" WHERE id = %d"
	if b.Dialect == "postgres" {
		kill, left = "SELECT pg_terminate_backend(%d)", "SELECT COUNT(*) FROM pg_stat_activity WHERE pid = %d"
	}
	if _, err := from.ExecContext(ctx, fmt.Sprintf(kill, id)); err != nil {
		return err
	}
	for {
		var n int
		if err := from.QueryRowContext(ctx, fmt.Sprintf(left, id)).Scan(&n); err != nil || n == 0 {
			return err
		}
		time.Sleep(time.Millisecond)
	}
}

func rollbackFails(t *testing.T, backend Backend) {
	b := NewBank(t, backend, Setup{})
	var hooks counter
	b.write(&hooks)
	b.Step("fail", func(ctx context.Context) (int, error) {
		return 0, errors.Join(errors.New("the first error"), b.killConnection(ctx))
	})
	a := b.Send(`mutation { run(step: "write") { run(step: "fail") { value } } }`)
	WantNull(t, a)
	if len(a.Errors) != 1 || a.Errors[0].Message != "the first error" {
		t.Errorf("want the first error alone, got %s", a.Raw)
	}
	if !strings.Contains(b.Log.String(), "cannot roll back") {
		t.Errorf("want the log to tell of the rollback that failed, got %q", b.Log)
	}
	b.wantNothing(hooks.n.Load())
}

func cancelledIsRolledBack(t *testing.T, backend Backend) {
	b := NewBank(t, backend, Setup{})
	var hooks counter
	b.write(&hooks)
	for name, end := range map[string]func(context.Context) error{
		"seen by its resolver":   context.Cause,
		"unseen by its resolver": func(context.Context) error { return nil },
	} {
		t.Run(name, func(t *testing.T) {
			wrote := make(chan struct{})
			b.Step("wait", func(ctx context.Context) (int, error) {
				close(wrote)
				<-ctx.Done()
				return 1, end(ctx)
			})
			ctx, leave := context.WithCancel(t.Context())
			go func() { <-wrote; leave() }()
			a, err := b.SendContext(ctx, `mutation { run(step: "write") { run(step: "wait") { value } } }`)
			if !errors.Is(err, context.Canceled) {
				t.Errorf("want the client's own cancellation, got %v %s", err, a.Raw)
			}
			b.wantNothing(hooks.n.Load())
		})
	}
}
