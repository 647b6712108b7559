package sessiontest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/99designs/gqlgen/graphql"

	"rollcall/operation"
	"rollcall/session"
)

// grouping: queries that one request sends together.
var grouping = []promise{
	{name: "The queries of a group share what is bound, and the session that it reads in", test: sharedByGroup, graphql: groups},
	{name: "A query that fails, is late or panics fails no other of its group", test: alone, graphql: groups},
	{name: "The session of a group ends with it", test: groupEnds, graphql: groups},
}

// together is a transport that runs the queries of a JSON array as a group.
type together struct{ closed chan struct{} }

func (together) Supports(*http.Request) bool { return true }

func (tr together) Do(w http.ResponseWriter, r *http.Request, exec graphql.GraphExecutor) {
	var queries []string
	if err := json.NewDecoder(r.Body).Decode(&queries); err != nil {
		panic(err)
	}
	operations := make([]*graphql.OperationContext, len(queries))
	for i, query := range queries {
		oc, errs := exec.CreateOperationContext(r.Context(), &graphql.RawParams{Query: query})
		if errs != nil {
			panic(errs)
		}
		operations[i] = oc
	}
	answers := make([]*graphql.Response, len(queries))
	g := operation.NewGroup(r.Context(), operations...)
	var all sync.WaitGroup
	for i, oc := range operations {
		all.Go(func() {
			ctx, request := operation.NewRequest(r.Context())
			defer request.End()
			request.Group = g
			respond, ctx := exec.DispatchOperation(ctx, oc)
			answers[i] = respond(ctx)
		})
	}
	all.Wait()
	g.Close()
	if tr.closed != nil {
		<-tr.closed // the request goes on
	}
	_ = json.NewEncoder(w).Encode(answers)
}

// group sends queries together and returns their answers, each as its text.
func (b *Bank) group(queries ...string) (answers []string) {
	b.tb.Helper()
	body, err := json.Marshal(queries)
	if err != nil {
		b.tb.Fatal(err)
	}
	req, err := http.NewRequestWithContext(b.tb.Context(), http.MethodPost, b.URL, strings.NewReader(string(body)))
	if err != nil {
		b.tb.Fatal(err)
	}
	res, err := b.Server.Client().Do(req)
	if err != nil {
		b.tb.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	var raw []json.RawMessage
	if err := json.NewDecoder(res.Body).Decode(&raw); err != nil {
		b.tb.Fatal(err)
	}
	for _, answer := range raw {
		answers = append(answers, string(answer))
	}
	return answers
}

// half is a query of half as many peers as make a batch, with ids from first.
func half(first int, more string) string {
	var b strings.Builder
	for i := range Siblings / 2 {
		fmt.Fprintf(&b, "p%d: peer(id: %d) { balance } ", i, first+i)
	}
	return "{ account(id: 1) { " + b.String() + more + " } }"
}

func sharedByGroup(t *testing.T, backend Backend) {
	var bound, sessions atomic.Int32
	b := NewBank(t, backend, Setup{Transport: together{}, Extension: func(e *operation.Extension) {
		e.Deadline = 20 * time.Second
		e.Bind = func(ctx context.Context, operations []*graphql.OperationContext) context.Context {
			bound.Add(1)
			if s, err := session.FromContext(ctx); err != nil || s == nil {
				t.Errorf("what is bound has no session: %v", err)
			}
			if n := len(operations); n != 2 {
				t.Errorf("want a group of 2, got %d", n)
			}
			return bindLoader(ctx, operations)
		}
	}})
	seen := &sync.Map{}
	b.Step("own", func(ctx context.Context) (int, error) {
		s, err := session.FromContext(ctx)
		if _, taken := seen.LoadOrStore(s, true); !taken {
			sessions.Add(1)
		}
		return 1, errors.Join(err, b.read(ctx))
	})
	// Neither has as many peers as make a batch, but both together do.
	first := half(1, `run(step: "own") { value }`)
	second := half(1+Siblings/2, `run(step: "own") { value } ... @defer { late: balance }`)
	for i, answer := range b.group(first, second) {
		if strings.Contains(answer, "errors") || strings.Contains(answer, "hasNext") || !strings.Contains(answer, `"balance":1000`) {
			t.Errorf("query %d: %s", i, answer)
		}
	}
	if bound.Load() != 1 || sessions.Load() != 2 {
		t.Errorf("want 1 binding and a session for each of 2 queries, got %d and %d", bound.Load(), sessions.Load())
	}
	b.WantIdle()
}

func alone(t *testing.T, backend Backend) {
	b := NewBank(t, backend, Setup{Transport: together{}, Extension: func(e *operation.Extension) { e.Deadline = 300 * time.Millisecond }})
	b.Step("fail", func(context.Context) (int, error) { return 0, errors.New("a failure") })
	b.Step("panic", func(context.Context) (int, error) { panic("in a step") })
	b.Step("late", func(ctx context.Context) (int, error) {
		<-ctx.Done()
		return 0, context.Cause(ctx)
	})
	b.Step("good", func(ctx context.Context) (int, error) { return 7, b.read(ctx) })
	const good = `{ run(step: "good") { value } }`
	for step, word := range map[string]string{"fail": "a failure", "panic": "panic", "late": "took longer"} {
		answers := b.group(good, fmt.Sprintf(`{ run(step: %q) { value } }`, step), good)
		if !strings.Contains(answers[1], word) {
			t.Errorf("%s: got %s", step, answers[1])
		}
		for _, i := range []int{0, 2} {
			if !strings.Contains(answers[i], `{"run":{"value":7}}`) || strings.Contains(answers[i], "errors") {
				t.Errorf("beside %s: got %s", step, answers[i])
			}
		}
		b.WantIdle()
	}
	wantGone(t)
}

func groupEnds(t *testing.T, backend Backend) {
	closed := make(chan struct{})
	bound := make(chan context.Context, 1)
	b := NewBank(t, backend, Setup{Transport: together{closed}, Extension: func(e *operation.Extension) {
		e.Bind = func(ctx context.Context, _ []*graphql.OperationContext) context.Context {
			bound <- ctx
			return ctx
		}
	}})
	b.Step("good", func(context.Context) (int, error) { return 1, nil })
	answered := make(chan struct{})
	go func() {
		defer close(answered)
		b.group(`{ run(step: "good") { value } }`, `{ run(step: "good") { value } }`)
	}()
	ctx := receive(t, "what is bound", bound)
	select {
	case <-ctx.Done(): // although the request goes on
	case <-time.After(20 * time.Second):
		t.Error("the group's context goes on")
	}
	op, _ := session.OperationFromContext(ctx)
	wantClosed(t, ctx, op.Name, "query")
	close(closed)
	<-answered
}
