package batch_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/99designs/gqlgen/graphql"
	"github.com/99designs/gqlgen/graphql/executor"

	"rollcall/batch"
)

// group runs queries together, each under its context, in a set under ctx, and returns their answers to come.
func (l *library) group(t *testing.T, ctx context.Context, members []context.Context, queries ...string) []chan *graphql.Response {
	t.Helper()
	exec := executor.New(l.schema())
	l.begun.Add(len(queries))
	exec.AroundResponses(func(ctx context.Context, next graphql.ResponseHandler) *graphql.Response {
		l.begun.Done()
		if l.respond != nil {
			l.respond(graphql.GetOperationContext(ctx).RawQuery)
		}
		return next(ctx)
	})
	exec.AroundFields(func(ctx context.Context, next graphql.Resolver) (any, error) {
		l.fields.Add(1)
		return next(ctx)
	})
	exec.Use(l.plan)
	exec.SetRecoverFunc(quiet)
	var operations []*graphql.OperationContext
	for _, query := range queries {
		op, errs := exec.CreateOperationContext(graphql.StartOperationTrace(ctx), &graphql.RawParams{Query: query})
		if len(errs) > 0 {
			t.Fatal(errs)
		}
		operations = append(operations, op)
	}
	ctx, _ = batch.NewSet(l.with(ctx), l.plan, operations...)
	l.set = ctx
	var answers []chan *graphql.Response
	for i, op := range operations {
		answer := make(chan *graphql.Response)
		answers = append(answers, answer)
		go func() {
			respond, ctx := exec.DispatchOperation(member{members[i], ctx}, op)
			answer <- respond(ctx)
		}()
	}
	return answers
}

// brokenAt is a library's fetch that fails where a batch has a key.
func brokenAt(key string) func(context.Context, string, []string) error {
	return func(_ context.Context, _ string, keys []string) error {
		if slices.Contains(keys, key) {
			return errBroken
		}
		return nil
	}
}

// member is a context with the values of its group's.
type member struct {
	context.Context
	group context.Context
}

func (m member) Value(key any) any {
	if v := m.Context.Value(key); v != nil {
		return v
	}
	return m.group.Value(key)
}

func TestTheQueriesOfAGroupAreReadTogether(t *testing.T) {
	for _, l := range []*library{newLibrary(), newFromPlan()} {
		members := []context.Context{t.Context(), t.Context(), t.Context()}
		l.columns = func(_ string, columns batch.Columns) {
			want := everyColumn // for the resolvers
			if l.answers {
				want = "[id name rival_id] [id] [id]"
			}
			if got := names(columns); got != want {
				t.Errorf("want %s, got %s", want, got)
			}
		}
		answers := l.group(t, t.Context(), members,
			`query($id: ID = 1) { author(id: $id) { rival { id } } }`,
			`query($id: ID = 2) { author(id: $id) { name rival { rival { id } } } }`,
			`{ author(id: 3) { id } }`)
		for i, want := range []string{`{"author":{"rival":{"id":"11"}}}`, `{"author":{"name":"A2","rival":{"rival":{"id":"22"}}}}`, `{"author":{"id":"3"}}`} {
			wantData(t, <-answers[i], want)
		}
		l.wantBatches(t, "authors[1 2 3]", "authors[11 12]", "authors[22]")
		l.wantResolvers(t, !l.answers)
	}
}

func TestTheEndOfOneQueryFailsNoOtherOfItsGroup(t *testing.T) {
	for i, l := range []*library{newLibrary(), newLibrary(), newFromPlan(), newFromPlan()} {
		first := i % 2
		t.Run(fmt.Sprintf("query %d, from the plan: %t", first, l.answers), func(t *testing.T) {
			ended, end := context.WithCancelCause(t.Context())
			members := []context.Context{t.Context(), t.Context()}
			members[first] = ended
			answered := make(chan struct{})
			l.fetch = func(ctx context.Context, _ string, keys []string) error {
				if slices.Contains(keys, "1") {
					l.begun.Wait()
					end(errBroken)
					<-answered
				}
				return ctx.Err()
			}
			answers := l.group(t, t.Context(), members, `{ author(id: 1) { rival { name } } }`, `{ author(id: 2) { rival { name } } }`)
			if a := <-answers[first]; len(a.Errors) != 1 || !errors.Is(a.Errors[0], errBroken) {
				t.Errorf("the query that ended got %v and %s", a.Errors, a.Data)
			}
			close(answered)
			wantData(t, <-answers[1-first], fmt.Sprintf(`{"author":{"rival":{"name":"A%d"}}}`, 12-first))
			l.wantBatches(t, "authors[1 2]", "authors[11 12]")
			if n := l.plan.Fallbacks(); n != 0 {
				t.Errorf("%d fallbacks", n)
			}
		})
	}
}

func TestAPanicInAKeyIsTheErrorOfItsQuery(t *testing.T) {
	l := newLibrary()
	l.key = func() { panic("no") }
	answers := l.group(t, t.Context(), []context.Context{t.Context(), t.Context()}, `{ author(id: 1) { editor { name } } }`, `{ author(id: 2) { rival { name } } }`)
	if a := <-answers[0]; len(a.Errors) != 1 || string(a.Data) != `{"author":{"editor":{"name":"A31"}}}` {
		t.Errorf("got %v and %s", a.Errors, a.Data)
	}
	wantData(t, <-answers[1], `{"author":{"rival":{"name":"A12"}}}`)
}

func wantData(t *testing.T, a *graphql.Response, want string) {
	t.Helper()
	if string(a.Data) != want || len(a.Errors) > 0 {
		t.Errorf("want %s, got %s and %v", want, a.Data, a.Errors)
	}
}
