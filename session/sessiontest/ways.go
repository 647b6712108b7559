package sessiontest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"sync"

	"github.com/vektah/gqlparser/v2/ast"
	"github.com/vektah/gqlparser/v2/parser"

	"rollcall/schematest"
	"rollcall/session"
)

// way is a way into a unit of work. Both are given the same operations, in GraphQL, and the same steps.
type way string

const (
	overHTTP way = "over HTTP"      // as an operation of a gqlgen server
	byRun    way = "by session.Run" // as a function that does what the resolvers do
)

// runStep is an operation's function for session.Run, on its way to an answer.
type runStep struct {
	*Bank
	op *ast.OperationDefinition

	data   any
	failed error // what the function has returned
}

// direct runs an operation by session.Run and answers as a server does.
func (b *Bank) direct(ctx context.Context, query string) Answer {
	doc, err := parser.ParseQuery(&ast.Source{Input: query})
	if err != nil {
		return (&runStep{Bank: b}).answer(err)
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	ctx = context.WithValue(ctx, cancelKey{}, cancel)
	s := &runStep{Bank: b, op: doc.Operations[0]}
	kind := session.Read
	switch {
	case s.op.Operation == ast.Mutation:
		kind = session.Write
	case s.op.Directives.ForName("snapshot") != nil:
		kind = session.Snapshot
	}
	var failed error
	if p := panicOf(func() { failed = session.Run(ctx, b.pools, kind, s.op.Name, s.attempt) }); p != "" {
		return s.answer(fmt.Errorf("panic: %s", p))
	}
	return s.answer(failed)
}

// attempt is what session.Run runs.
func (s *runStep) attempt(ctx context.Context) error {
	if s.bind != nil {
		ctx = s.bind(ctx, nil)
	}
	s.data, s.failed = s.object(ctx, s.op.SelectionSet, nil, s.op.Operation == ast.Mutation)
	return s.failed
}

// answer is what a server would say.
func (s *runStep) answer(err error) Answer {
	type failure struct {
		Message    string         `json:"message"`
		Extensions map[string]any `json:"extensions,omitempty"`
	}
	body := map[string]any{"data": s.data}
	if err != nil {
		shown := failure{"internal server error", map[string]any{"code": "INTERNAL_SERVER_ERROR"}}
		unknown, isUnknown := errors.AsType[*session.OutcomeUnknownError](err)
		late, isLate := errors.AsType[*session.DeadlineError](err)
		switch {
		case err == s.failed: //nolint:errorlint // it is the function's own, as it was
			shown = failure{Message: err.Error()}
		case isUnknown:
			shown.Extensions = map[string]any{"code": "OUTCOME_UNKNOWN", "operationId": unknown.ID}
		case isLate:
			shown = failure{late.Error(), map[string]any{"code": "TIMEOUT"}}
		case errors.Is(err, context.Canceled):
			shown = failure{err.Error(), map[string]any{"code": "CANCELLED"}}
		}
		body = map[string]any{"data": nil, "errors": []failure{shown}}
	}
	raw, err := json.Marshal(body)
	a := Answer{Status: http.StatusOK, Raw: string(raw)}
	if err := errors.Join(err, json.Unmarshal(raw, &a)); err != nil {
		s.tb.Error(err)
	}
	return a
}

// object resolves fields of an object, all at once unless they are to run serially.
func (s *runStep) object(ctx context.Context, set ast.SelectionSet, of any, serially bool) (any, error) {
	object := make(map[string]any, len(set))
	errs, panics := make([]error, len(set)), make([]any, len(set))
	var mu sync.Mutex
	var all sync.WaitGroup
	for i, selection := range set {
		field := selection.(*ast.Field)
		all.Go(func() {
			defer func() { panics[i] = recover() }()
			value, err := s.field(ctx, field, of)
			errs[i] = err
			mu.Lock()
			defer mu.Unlock()
			object[field.Alias] = value
		})
		if serially {
			all.Wait()
			if errs[i] != nil || panics[i] != nil {
				break
			}
		}
	}
	all.Wait()
	for _, p := range panics {
		if p != nil {
			panic(p)
		}
	}
	return object, errors.Join(errs...)
}

// field resolves a field as the bank's resolvers do, and what is selected below it.
func (s *runStep) field(ctx context.Context, field *ast.Field, of any) (any, error) {
	var value any
	var err error
	id := func(name string) int { n, _ := strconv.Atoi(s.argument(field, name)); return n }
	switch field.Name {
	case "run":
		value, err = s.run(ctx, s.argument(field, "step"))
	case "account":
		value, err = account(ctx, id("id"))
	case "accounts":
		value, err = queryResolver{b: s.Bank}.Accounts(ctx)
	case "peer":
		value, err = accountResolver{s.Bank}.Peer(ctx, nil, id("id"))
	case "counter":
		value = &schematest.Counter{ID: id("id")}
	case "increment":
		by := 1
		if field.Arguments.ForName("by") != nil {
			by = id("by")
		}
		value, err = mutationResolver{b: s.Bank}.Increment(ctx, id("id"), by)
	case "transfer":
		value, err = mutationResolver{b: s.Bank}.Transfer(ctx, id("from"), id("to"), id("amount"))
	default:
		return s.leaf(ctx, field.Name, of)
	}
	if err != nil {
		if s.onError != nil {
			s.onError(ctx)
		}
		return nil, err
	}
	if accounts, ok := value.([]*schematest.Account); ok {
		list := make([]any, len(accounts))
		for i, a := range accounts {
			if list[i], err = s.object(ctx, field.SelectionSet, a, false); err != nil {
				return nil, err
			}
		}
		return list, nil
	}
	return s.object(ctx, field.SelectionSet, value, false)
}

func (*runStep) argument(field *ast.Field, name string) string {
	return field.Arguments.ForName(name).Value.Raw
}

// leaf is a value that nothing is selected below.
func (s *runStep) leaf(ctx context.Context, name string, of any) (any, error) {
	switch of := of.(type) {
	case *schematest.Account:
		return map[string]int{"id": of.ID, "balance": of.Balance}[name], nil
	case *schematest.Counter:
		if name == "value" {
			return counterResolver{}.Value(ctx, of)
		}
		return of.ID, nil
	case *schematest.Step:
		if name == "loud" {
			panic("a loud value")
		}
		return of.Value, nil
	}
	if strings.HasPrefix(name, "__") {
		return nil, nil
	}
	return nil, fmt.Errorf("no field %s", name)
}

// kind is what a session's operation is called by that is sent as this kind of GraphQL's.
func (b *Bank) kind(operation string) string {
	if b.way == byRun {
		return map[string]string{"query": "read", "query @snapshot": "snapshot", "mutation": "write"}[operation]
	}
	kind, _, _ := strings.Cut(operation, " ")
	return kind
}
