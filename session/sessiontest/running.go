package sessiontest

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"

	"rollcall/session"
)

// running: promises of session.Run that a server has no need of.
var running = []promise{
	{name: "A panic in what Run runs takes everything back and goes on", test: panicGoesOn, only: byRun},
	{name: "Run returns the error of its function as it is", test: errorAsItIs, only: byRun},
	{name: "Run within a session, or in its hook, says so at once and hurts nothing", test: runWithin},
	{name: "Run on pools that are not installed says so", test: notInstalled, only: byRun},
	{name: "What Run has for the log goes to its own logger, and to the default one only if it has none", test: ownLogger, only: byRun},
}

// increment is what Run is given to increment counter 1.
func increment(ctx context.Context) error { return Add(session.DB(ctx), "counters", "value", 1, 1) }

func panicGoesOn(t *testing.T, backend Backend) {
	b := NewBank(t, backend, Setup{})
	value := errors.New("on purpose")
	for _, kind := range []session.Kind{session.Read, session.Snapshot, session.Write} {
		var hooks counter
		got := func() (p any) {
			defer func() { p = recover() }()
			return session.Run(t.Context(), b.pools, kind, "panics", func(ctx context.Context) error {
				session.AfterCommit(ctx, hooks.add)
				if err := b.read(ctx); err != nil {
					return err
				}
				if kind == session.Write {
					if err := increment(ctx); err != nil {
						return err
					}
				}
				panic(value)
			})
		}()
		if got != any(value) {
			t.Errorf("%s: want the panic, got %v", kind, got)
		}
		b.wantNothing(hooks.n.Load())
	}
}

func errorAsItIs(t *testing.T, backend Backend) {
	b := NewBank(t, backend, Setup{})
	want := errors.New("on purpose")
	for _, kind := range []session.Kind{session.Read, session.Snapshot, session.Write} {
		err := session.Run(t.Context(), b.pools, kind, "fails", func(ctx context.Context) error {
			if kind == session.Write {
				_ = increment(ctx)
			}
			return want
		})
		if err != want { //nolint:errorlint // not even wrapped
			t.Errorf("%s: want the function's error, got %v", kind, err)
		}
	}
	b.wantUntouched()
}

// runWithin would otherwise wait for SQLite's one writer, which waits for it.
func runWithin(t *testing.T, backend Backend) {
	b := NewBank(t, backend, Setup{})
	var within, hooked error
	b.Step("nest", func(ctx context.Context) (int, error) {
		within = session.Run(ctx, b.pools, session.Write, "inner", increment)
		session.AfterCommit(ctx, func() { hooked = session.Run(ctx, b.pools, session.Write, "hooked", increment) })
		return 1, b.read(ctx)
	})
	for _, kind := range kinds {
		within, hooked = nil, session.ErrWithin
		b.Must(kind + ` { run(step: "nest") { value } }`)
		if !errors.Is(within, session.ErrWithin) || !errors.Is(hooked, session.ErrWithin) {
			t.Errorf("%s: want ErrWithin, got %v, and in a hook %v", kind, within, hooked)
		}
	}
	hooked = nil
	b.Must(`mutation { run(step: "nest") { value } }`)
	if !errors.Is(hooked, session.ErrWithin) {
		t.Errorf("in a hook: want ErrWithin, got %v", hooked)
	}
	b.wantUntouched()

	ended := make(chan context.Context, 1)
	b.Step("end", func(ctx context.Context) (int, error) { ended <- ctx; return 1, nil })
	b.Must(`mutation { run(step: "end") { value } }`)
	after := context.WithoutCancel(<-ended) // of what has ended, nothing is left to wait for
	if err := session.Run(after, b.pools, session.Write, "after", increment); err != nil || b.Counter(1) != 1 {
		t.Errorf("after the session's end: got %v", err)
	}
}

func notInstalled(t *testing.T, backend Backend) {
	pools := backend.Open(t, Options{})
	for name, pools := range map[string]session.Pools{"no pool": {}, "not installed": {Write: pools.DB}} {
		err := session.Run(t.Context(), pools, session.Write, "", func(context.Context) error {
			t.Errorf("%s: the function ran", name)
			return nil
		})
		if !errors.Is(err, session.ErrNotInstalled) {
			t.Errorf("%s: want ErrNotInstalled, got %v", name, err)
		}
	}
}

func ownLogger(t *testing.T, backend Backend) {
	b := NewBank(t, backend, Setup{})
	var fallback SafeBuffer
	usual := slog.Default()
	slog.SetDefault(slog.New(slog.NewTextHandler(&fallback, nil)))
	defer slog.SetDefault(usual)
	panics := func(ctx context.Context) error {
		session.AfterCommit(ctx, func() { panic("a hook") })
		return nil
	}
	without := b.pools
	without.Logger = nil
	for n, pools := range []session.Pools{b.pools, without} {
		if err := session.Run(t.Context(), pools, session.Write, "import", panics); err != nil {
			t.Errorf("a hook's panic changes the outcome: %v", err)
		}
		own, other := strings.Count(b.Log.String(), "write import "), strings.Count(fallback.String(), "write import ")
		if own != 1 || other != n {
			t.Errorf("after %d panics the own log has %d and the default one %d", n+1, own, other)
		}
	}
}
