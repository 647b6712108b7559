package sessiontest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"rollcall/schematest"
	"rollcall/session"
)

// hooking: promise 11.
var hooking = []promise{
	{name: "Hooks run once, after the commit and before the answer", test: hooksRunOnce},
	{name: "Hooks of a mutation that wrote nothing run", test: hooksOfNothing},
	{name: "What is collected is written once, last and with all else, and not by what fails, is discarded or runs again", test: collected},
	{name: "An error of what is written last takes everything back", test: collectedInVain},
	{name: "The session in a hook is closed", test: sessionInHook},
	{name: "A hook's panic changes nothing, and is in the extension's log", test: hookPanics},
	{name: "Hooks wait for those of an earlier commit", test: hooksWait},
	{name: "Hooks run in the order of their commits", test: hooksInOrder},
}

func hooksRunOnce(t *testing.T, backend Backend) {
	b := NewBank(t, backend, Setup{})
	var first, second counter
	b.Step("hook", func(ctx context.Context) (int, error) {
		session.AfterCommit(ctx, func() {
			first.add()
			// The row is stored, and its lock is free: so the transaction has ended.
			ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
			defer cancel()
			if n, err := b.counterBeside(ctx); err != nil || n != 1 {
				t.Errorf("in the hook the counter is %d, %v; want 1", n, err)
			}
			if _, err := b.Side.ExecContext(ctx, "UPDATE counters SET value = value + 10 WHERE id = 1"); err != nil {
				t.Error(err)
			}
		})
		session.AfterCommit(ctx, second.add)
		if err := Add(session.DB(ctx), "counters", "value", 1, 1); err != nil {
			return 0, err
		}
		if first.n.Load()+second.n.Load() != 0 {
			return 0, errors.New("a hook ran while the transaction is open")
		}
		return 1, nil
	})
	b.Must(`mutation { run(step: "hook") { value } increment(id: 2) { value } }`)
	if first.n.Load() != 1 || second.n.Load() != 1 {
		t.Errorf("the hooks ran %d and %d times before the answer", first.n.Load(), second.n.Load())
	}
	if n := b.Counter(1); n != 11 {
		t.Errorf("the counter is %d, want 11", n)
	}
	b.WantIdle()
	if first.n.Load() != 1 || second.n.Load() != 1 {
		t.Errorf("the hooks ran %d and %d times in the end", first.n.Load(), second.n.Load())
	}
}

// collect has the session increment counter 2 by what it collects, as the last that it does.
func collect(ctx context.Context, n int, written *counter) {
	*session.BeforeCommit(ctx, func(ctx context.Context, sum *int) error {
		written.add()
		return Add(session.DB(ctx), "counters", "value", 2, *sum)
	}) += n
}

func collected(t *testing.T, backend Backend) {
	b := NewBank(t, backend, Setup{})
	var written counter
	attempts := 0
	for name, then := range map[string]func(context.Context) error{
		"collect": func(context.Context) error { return nil },
		"discard": func(ctx context.Context) error { session.Discard(ctx); return nil },
		"fail":    func(context.Context) error { return errors.New("on purpose") },
		"lose once": func(ctx context.Context) error {
			if attempts++; attempts == 1 && b.Dialect != "sqlite" {
				return session.DB(ctx).Exec(transientFailure(b.Dialect)).Error
			}
			return nil
		},
	} {
		b.Step(name, func(ctx context.Context) (int, error) {
			collect(ctx, 1, &written)
			if written.n.Load() != 0 {
				return 0, errors.New("it was written before the end")
			}
			return 1, then(ctx)
		})
	}
	b.Must(`mutation { run(step: "discard") { value } }`)
	WantNull(t, b.Send(`mutation { run(step: "collect") { value } b: run(step: "fail") { value } }`))
	if n := b.Counter(2); n != 0 || written.n.Load() != 0 {
		t.Errorf("it was written %d times, and the counter is %d", written.n.Load(), n)
	}
	b.Must(`mutation { run(step: "collect") { value } b: run(step: "lose once") { value } }`)
	if n := b.Counter(2); n != 2 || written.n.Load() != 1 {
		t.Errorf("it was written %d times, and the counter is %d, want 2", written.n.Load(), n)
	}
}

func collectedInVain(t *testing.T, backend Backend) {
	b := NewBank(t, backend, Setup{})
	var hooks counter
	b.Step("fail last", func(ctx context.Context) (int, error) {
		session.AfterCommit(ctx, hooks.add)
		session.BeforeCommit(ctx, func(ctx context.Context, _ *int) error {
			return errors.Join(Add(session.DB(ctx), "counters", "value", 2, 1), errors.New("on purpose"))
		})
		return 1, Add(session.DB(ctx), "counters", "value", 1, 1)
	})
	WantNull(t, b.Send(`mutation { run(step: "fail last") { value } }`))
	if first, second := b.Counter(1), b.Counter(2); first+second != 0 || hooks.n.Load() != 0 {
		t.Errorf("the counters are %d and %d, and hooks ran %d times", first, second, hooks.n.Load())
	}
}

func hooksOfNothing(t *testing.T, backend Backend) {
	b := NewBank(t, backend, Setup{})
	var hooks counter
	b.Step("tell", func(ctx context.Context) (int, error) {
		session.AfterCommit(ctx, hooks.add)
		return 1, nil
	})
	b.Must(`mutation { run(step: "tell") { value } }`)
	if n := hooks.n.Load(); n != 1 {
		t.Errorf("the hook ran %d times", n)
	}
	b.Step("fail", func(context.Context) (int, error) { return 0, errors.New("it failed") })
	WantNull(t, b.Send(`mutation { run(step: "tell") { value } b: run(step: "fail") { value } }`))
	if n := hooks.n.Load(); n != 1 {
		t.Errorf("the hook of a mutation that failed ran")
	}
}

func sessionInHook(t *testing.T, backend Backend) {
	b := NewBank(t, backend, Setup{})
	got := make(chan error, 1)
	b.Step("hook", func(ctx context.Context) (int, error) {
		session.AfterCommit(ctx, func() {
			tried := make(chan error, 1)
			go func() { tried <- session.DB(ctx).Take(&schematest.Account{}).Error }()
			select {
			case err := <-tried:
				got <- err
			case <-time.After(20 * time.Second):
				got <- errors.New("it hangs")
			}
		})
		return 1, Add(session.DB(ctx), "counters", "value", 1, 1)
	})
	b.Must(`mutation { run(step: "hook") { value } }`)
	var closed *session.ClosedError
	if err := <-got; !errors.As(err, &closed) {
		t.Errorf("want a ClosedError, got %v", err)
	}
}

func hookPanics(t *testing.T, backend Backend) {
	b := NewBank(t, backend, Setup{})
	var hooks counter
	b.Step("panic later", func(ctx context.Context) (int, error) {
		session.AfterCommit(ctx, func() { panic("a hook") })
		session.AfterCommit(ctx, hooks.add)
		return 1, Add(session.DB(ctx), "counters", "value", 1, 1)
	})
	b.Must(`mutation Panics { run(step: "panic later") { value } }`)
	b.Must(`mutation Panics { run(step: "panic later") { value } }`)
	if n, h := b.Counter(1), hooks.n.Load(); n != 2 || h != 2 {
		t.Errorf("the counter is %d and %d other hooks ran, want 2 and 2", n, h)
	}
	if log := b.Log.String(); strings.Count(log, "panic in a hook") != 2 || strings.Count(log, "hookPanics") < 2 || strings.Count(log, b.kind("mutation")+" Panics ") != 2 {
		t.Errorf("want each panic in the extension's log, with its operation and stack, got %s", log)
	}
}

// order is what hooks write down.
type order struct {
	mu     sync.Mutex
	values []int
}

func (o *order) add(n int) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.values = append(o.values, n)
}

func (o *order) list() []int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return slices.Clone(o.values)
}

// hooksWait holds the hook of a first commit until a second one has stored the same row.
func hooksWait(t *testing.T, backend Backend) {
	b := NewBank(t, backend, Setup{})
	var got order
	began := make(chan struct{})
	b.Step("first", func(ctx context.Context) (int, error) {
		session.AfterCommit(ctx, func() {
			close(began)
			ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
			defer cancel()
			for n := 0; n != 2; {
				var err error
				if n, err = b.counterBeside(ctx); err != nil {
					t.Errorf("the second commit does not come: %v", err)
					break
				}
			}
			for range 50 { // time enough for a hook that does not wait
				_, _ = b.counterBeside(ctx)
			}
			got.add(1)
		})
		return 1, Add(session.DB(ctx), "counters", "value", 1, 1)
	})
	b.Step("second", func(ctx context.Context) (int, error) {
		session.AfterCommit(ctx, func() { got.add(2) })
		return 1, Add(session.DB(ctx), "counters", "value", 1, 1)
	})
	var clients sync.WaitGroup
	clients.Go(func() { b.Send(`mutation { run(step: "first") { value } }`) })
	<-began
	b.Must(`mutation { run(step: "second") { value } }`)
	clients.Wait()
	if list := got.list(); !slices.Equal(list, []int{1, 2}) {
		t.Errorf("the hooks ran in the order %v", list)
	}
}

func hooksInOrder(t *testing.T, backend Backend) {
	const clients, each = 16, 12
	b := NewBank(t, backend, Setup{})
	var got order
	b.Step("count", func(ctx context.Context) (int, error) {
		db := session.DB(ctx)
		if err := Add(db, "counters", "value", 1, 1); err != nil {
			return 0, err
		}
		var stored schematest.Counter
		err := db.Where("id = 1").Take(&stored).Error
		session.AfterCommit(ctx, func() { got.add(stored.Value) })
		return stored.Value, err
	})
	var all sync.WaitGroup
	for range clients {
		all.Go(func() {
			for range each {
				if a := b.Send(`mutation { run(step: "count") { value } }`); !a.OK() {
					t.Errorf("want a success, got %s", a.Raw)
				}
			}
		})
	}
	all.Wait()
	want := make([]int, clients*each)
	for i := range want {
		want[i] = i + 1
	}
	if list := got.list(); !slices.Equal(list, want) {
		t.Errorf("the hooks ran in the order %s", fmt.Sprint(list))
	}
}
