package sessiontest

import (
	"context"
	"errors"
	"strings"
	"testing"

	"rollcall/dialect"
	"rollcall/session"
)

// discarding: what is answered and not stored.
var discarding = []promise{
	{name: "What is discarded succeeds, and leaves no row, no proof and no hook", test: discarded},
	{name: "What is discarded fails as it would otherwise, and runs again after a conflict", test: discardedInVain},
	{name: "A mutation whose fields all ask for a dry run is one, and one in which some do is refused", test: dryRuns, graphql: "Run is told by session.Discard"},
}

func discarded(t *testing.T, backend Backend) {
	b := NewBank(t, backend, Setup{})
	var hooks counter
	b.Step("discard", func(ctx context.Context) (int, error) {
		session.Discard(ctx)
		session.AfterCommit(ctx, hooks.add)
		return 1, nil
	})
	for range 3 {
		a := b.Must(`mutation { before: increment(id: 1) { value } run(step: "discard") { value } after: increment(id: 1, by: 2) { value } }`)
		if !strings.Contains(a.Raw, `"value":3`) {
			t.Errorf("want what it would have done, got %s", a.Raw)
		}
	}
	b.Must(`mutation { run(step: "discard") { value } }`)
	b.Must(`{ run(step: "discard") { value } }`)
	b.Must(`query @snapshot { run(step: "discard") { value } counter(id: 1) { value } }`)
	if b.Dialect != "sqlite" {
		if ids := operations(b); len(ids) > 0 {
			t.Errorf("these proofs are stored: %v", ids)
		}
	}
	b.wantNothing(hooks.n.Load())
}

func discardedInVain(t *testing.T, backend Backend) {
	b := NewBank(t, backend, Setup{})
	var hooks counter
	attempts := 0
	b.Step("discard", func(ctx context.Context) (int, error) {
		session.Discard(ctx)
		session.AfterCommit(ctx, hooks.add)
		return 1, increment(ctx)
	})
	b.Step("fail", func(context.Context) (int, error) { return 0, errors.New("on purpose") })
	b.Step("lose once", func(ctx context.Context) (int, error) {
		if attempts++; attempts == 1 && dialect.OfDB(b.DB) != dialect.SQLite {
			return 0, session.DB(ctx).Exec(transientFailure(b.Dialect)).Error
		}
		return attempts, nil
	})
	WantNull(t, b.Send(`mutation { run(step: "discard") { value } fail: run(step: "fail") { value } }`))
	b.Must(`mutation { run(step: "discard") { value } lose: run(step: "lose once") { value } }`)
	if attempts != 2 && b.Dialect != "sqlite" {
		t.Errorf("it ran %d times, want 2", attempts)
	}
	b.wantNothing(hooks.n.Load())
}

func dryRuns(t *testing.T, backend Backend) {
	b := NewBank(t, backend, Setup{})
	for _, c := range []struct {
		query     string
		variables map[string]any
		stored    int  // increments
		refused   bool // since some fields are a dry run
	}{
		{`mutation { adjust(input: {id: 1}) { value } }`, nil, 1, false},
		{`mutation { adjust(input: {id: 1, dryRun: false}) { value } }`, nil, 1, false},
		{`mutation { adjust(input: {id: 1, dryRun: null}) { value } }`, nil, 1, false},
		{`mutation { adjust(input: {id: 1, dryRun: true}) { value } __typename }`, nil, 0, false},
		{`mutation { a: adjust(input: {id: 1, dryRun: true}) { value } b: adjust(input: {id: 1, dryRun: true}) { value } }`, nil, 0, false},
		{`mutation($d: Boolean) { adjust(input: {id: 1, dryRun: $d}) { value } }`, map[string]any{"d": true}, 0, false},
		{`mutation($d: Boolean) { adjust(input: {id: 1, dryRun: $d}) { value } }`, map[string]any{"d": false}, 1, false},
		{`mutation($d: Boolean) { adjust(input: {id: 1, dryRun: $d}) { value } }`, nil, 1, false},
		{`mutation($d: Boolean = true) { adjust(input: {id: 1, dryRun: $d}) { value } }`, nil, 0, false},
		{`mutation($i: AdjustInput!) { adjust(input: $i) { value } }`, map[string]any{"i": map[string]any{"id": 1, "dryRun": true}}, 0, false},
		{`mutation($i: AdjustInput! = {id: 1, dryRun: true}) { adjust(input: $i) { value } }`, nil, 0, false},
		{`mutation { rehearse { value } }`, nil, 0, false},
		{`mutation { rehearse(input: {id: 1}) { value } }`, nil, 0, false},
		{`mutation { rehearse(input: {id: 1, dryRun: false}) { value } }`, nil, 1, false},
		{`mutation($i: RehearseInput!) { rehearse(input: $i) { value } }`, map[string]any{"i": map[string]any{"id": 1}}, 0, false},
		{`mutation($i: RehearseInput!) { rehearse(input: $i) { value } }`, map[string]any{"i": map[string]any{"id": 1, "dryRun": false}}, 1, false},
		{`mutation { ...F } fragment F on Mutation { rehearse { value } ... on Mutation { adjust(input: {id: 1, dryRun: true}) { value } } }`, nil, 0, false},
		{`mutation($s: Boolean = true) { rehearse { value } increment(id: 1) @skip(if: $s) { value } }`, nil, 0, false},
		{`mutation { rehearse { value } increment(id: 1) { value } }`, nil, 0, true},
		{`mutation { adjust(input: {id: 1}) { value } rehearse { value } }`, nil, 0, true},
		{`mutation { ...F increment(id: 1) { value } } fragment F on Mutation { rehearse { value } }`, nil, 0, true},
		{`query { counter(id: 1) { value } }`, nil, 0, false},
	} {
		hooks := b.adjusted.n.Load()
		a := b.Post(Sent{Query: c.query, Variables: c.variables})
		if c.refused {
			if a.Code() != "BAD_USER_INPUT" || a.Errors[0].Extensions["field"] != "input.dryRun" || a.Data != nil {
				t.Errorf("%s: want a refusal, got %s", c.query, a.Raw)
			}
		} else if !a.OK() || strings.Contains(a.Raw, `"value":0`) && strings.HasPrefix(c.query, "mutation") {
			t.Errorf("%s: got %d %s", c.query, a.Status, a.Raw)
		}
		if n := b.Counter(1); n != c.stored {
			t.Errorf("%s, %v: %d increments are stored, want %d", c.query, c.variables, n, c.stored)
		}
		if n := b.adjusted.n.Load() - hooks; n != int32(c.stored) {
			t.Errorf("%s: %d hooks ran, want %d", c.query, n, c.stored)
		}
		b.Exec("UPDATE counters SET value = 0")
	}
}
