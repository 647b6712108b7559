package batch_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/99designs/gqlgen/graphql"

	"rollcall/batch"
	"rollcall/schematest"
)

func vault() *schematest.Vault {
	door := &schematest.Door{Name: "d"}
	return &schematest.Vault{Open: "o", Noted: "n", Field: "f", Object: door, Interface: door, Union: door, Door: door, Scalar: "s", Enum: "YES", Value: "A", Values: []string{"B"}}
}

func (queryResolver) Vault(context.Context) (*schematest.Vault, error) { return vault(), nil }

func (vaultResolver) Relation(ctx context.Context, _ *schematest.Vault) (*schematest.Author, error) {
	return loaded(ctx, authors, 1)
}

func (vaultResolver) Argument(context.Context, *schematest.Vault, *int) (string, error) {
	return "a", nil
}

func (vaultResolver) Keyed(ctx context.Context, _ *schematest.Vault, of int) (*schematest.Author, error) {
	return loaded(ctx, authors, of)
}

func (vaultResolver) InputField(context.Context, *schematest.Vault, *schematest.GuardedInput) (string, error) {
	return "i", nil
}

func (vaultResolver) Input(context.Context, *schematest.Vault, *schematest.GuardedInput) (string, error) {
	return "i", nil
}

func (vaultResolver) InputEnum(context.Context, *schematest.Vault, *string) (string, error) {
	return "i", nil
}

func ofVault(field string, of func(*schematest.Vault) string) batch.Field {
	return value("Vault", field, of)
}

func doorOf[V any](field string, of func(*schematest.Vault) V) batch.Field {
	return batch.Path("Vault", field, of)
}

// vaults are the declarations of Vault, all of it.
var vaults = []batch.Field{
	batch.Inert("@note"),
	batch.Path("Query", "vault", func(batch.Root) *schematest.Vault { return vault() }),
	ofVault("open", func(v *schematest.Vault) string { return v.Open }),
	ofVault("noted", func(v *schematest.Vault) string { return v.Noted }),
	ofVault("field", func(v *schematest.Vault) string { return v.Field }),
	ofVault("argument", func(*schematest.Vault) string { return "a" }),
	ofVault("inputField", func(*schematest.Vault) string { return "i" }),
	ofVault("input", func(*schematest.Vault) string { return "i" }),
	ofVault("inputEnum", func(*schematest.Vault) string { return "i" }),
	ofVault("scalar", func(v *schematest.Vault) string { return v.Scalar }),
	ofVault("enum", func(v *schematest.Vault) string { return v.Enum }),
	ofVault("value", func(v *schematest.Vault) string { return v.Value }),
	batch.Value("Vault", "values", func(b []byte, v *schematest.Vault) []byte { return append(b, fmt.Sprintf("%q", v.Values)...) }),
	doorOf("object", func(v *schematest.Vault) *schematest.Door { return v.Object }),
	value("GuardedObject", "name", func(d *schematest.Door) string { return d.Name }),
	doorOf("interface", func(v *schematest.Vault) schematest.Lock { return v.Interface }),
	doorOf("union", func(v *schematest.Vault) schematest.Lock { return v.Union }),
	doorOf("door", func(v *schematest.Vault) *schematest.Door { return v.Door }),
	value("Door", "name", func(d *schematest.Door) string { return d.Name }),
	relation("Vault", "relation", authors, batch.Key(func(*schematest.Vault) (int, bool) { return 1, true })),
	relation("Vault", "keyed", authors, func(args batch.Args) (func(*schematest.Vault) (int, bool), error) {
		of, err := graphql.UnmarshalInt(args["of"])
		return func(*schematest.Vault) (int, bool) { return of, true }, err
	}),
}

// guardedQueries are queries with a directive wherever one may stand.
var guardedQueries = []struct {
	what, query string
	resolved    bool
	engine      bool // runs the directive
}{
	{"nothing is guarded", `{ vault { open } }`, false, false},
	{"an inert directive", `query @note { vault { noted open @note } }`, false, false},
	{"GraphQL's own directives", `query($yes: Boolean = true) { vault { open @include(if: $yes) noted @skip(if: $yes) } }`, false, false},
	{"an operation", `query @guard { vault { open } }`, true, true},
	{"a variable", `query($v: Boolean = true @guard) { vault { open @include(if: $v) } }`, true, false},
	{"a selected field", `{ vault { open @guard } }`, true, true},
	{"a root field", `{ vault @guard { open } }`, true, true},
	{"__typename", `{ vault { __typename @guard } }`, true, false},
	{"a field that is selected twice", `{ vault { open open @guard } }`, true, false},
	{"a field that is skipped", `{ vault { open noted @guard @skip(if: true) } }`, true, false},
	{"a spread", `{ vault { ...F @guard } } fragment F on Vault { open }`, true, false},
	{"a spread at the root", `{ ...F @guard } fragment F on Query { vault { open } }`, true, false},
	{"a fragment", `{ vault { ...F } } fragment F on Vault @guard { open }`, true, false},
	{"an inline fragment", `{ vault { ... @guard { open } } }`, true, false},
	{"a field within fragments", `{ vault { ... { ...F } } } fragment F on Vault { open @guard }`, true, true},
	{"a field of the schema", `{ vault { field } }`, true, true},
	{"a field of the schema beside others", `{ a: vault { open } b: vault { open x: field } }`, true, true},
	{"a relation", `{ vault { relation { name } } }`, true, true},
	{"an argument", `{ vault { argument(of: 1) } }`, true, true},
	{"an argument that is left out", `{ vault { argument } }`, true, false},
	{"an argument that is a key", `{ vault { keyed(of: 2) { name } } }`, true, true},
	{"an input's field", `{ vault { inputField(of: {of: 1}) } }`, true, true},
	{"an input", `{ vault { input(of: {of: 1}) } }`, true, true},
	{"an input's enum", `{ vault { inputEnum(of: YES) } }`, true, false},
	{"an object", `{ vault { object { name } } }`, true, true},
	{"an interface", `{ vault { interface { name } } }`, true, true},
	{"a union", `{ vault { union { ... on Door { name } } } }`, true, true},
	{"a type of a guarded interface", `{ vault { door { name } } }`, true, false},
	{"a scalar", `{ vault { scalar } }`, true, true},
	{"an enum", `{ vault { enum } }`, true, true},
	{"an enum's value", `{ vault { value values } }`, true, false},
}

func TestWhatADirectiveStandsAtIsNotAnsweredFromThePlan(t *testing.T) {
	refuse := func(graphql.Resolver, context.Context) (any, error) { return nil, errors.New("refused") }
	for what, guard := range map[string]func(graphql.Resolver, context.Context) (any, error){"allowed": nil, "refused": refuse} {
		for _, c := range guardedQueries {
			t.Run(c.what+", "+what, func(t *testing.T) {
				type seen struct {
					data, errors string
					run          int32
				}
				got := map[string]seen{}
				for way, serve := range ways {
					l := serve(t, vaults...)
					l.guard, l.fallbacks = guard, -2
					a := l.ask(t, c.query)
					got[way] = seen{string(a.Data), fmt.Sprint(a.Errors), l.guarded.Load()}
					if resolved := l.plan.Resolved() > 0; l.answers && resolved != c.resolved {
						t.Errorf("was it resolved? %t", resolved)
					}
				}
				if got["from the plan"] != got["by resolvers"] {
					t.Errorf("got %v", got)
				}
				if s := got["from the plan"]; (s.run > 0) != c.engine || strings.Contains(s.errors, "refused") != (c.engine && what == "refused") {
					t.Errorf("got %v", s)
				}
			})
		}
	}
}

// A directive may refuse an operation, or change an argument, before anything is read.
func TestNothingIsReadBeforeADirectiveThatMayForbidOrChangeIt(t *testing.T) {
	refuse := func(graphql.Resolver, context.Context) (any, error) { return nil, errors.New("refused") }
	l := serveFromPlan(t, vaults...)
	l.guard = refuse
	l.ask(t, `query @guard { author(id: 1) { rival { name } } }`).want(t, "null", 1)
	l.ask(t, `{ vault { keyed(of: 2) { name } } }`).want(t, `{"vault":{"keyed":null}}`, 1)
	l.wantBatches(t)

	l.fallbacks = -1
	l.guard = func(next graphql.Resolver, ctx context.Context) (any, error) {
		arg, err := next(ctx)
		if n, ok := arg.(int); ok {
			return n + 10, err
		}
		return arg, err
	}
	l.ask(t, `{ vault { keyed(of: 2) { name } } }`).want(t, `{"vault":{"keyed":{"name":"A12"}}}`, 0)
	l.wantBatches(t, "authors[12]")

	// A relation that is guarded is read ahead, whole as it is for resolvers, and answered by them.
	l.guard = nil
	l.ask(t, `{ vault { a: relation { name } b: relation { rival { name } } } }`).want(t, `{"vault":{"a":{"name":"A1"},"b":{"rival":{"name":"A11"}}}}`, 0)
	l.wantBatches(t, "authors[1]", "authors[11]")
}

func TestAGuardedQueryOfAGroupIsReadByItselfAfterItsDirective(t *testing.T) {
	l := newFromPlan(vaults...)
	allow := make(chan struct{})
	l.guard = func(graphql.Resolver, context.Context) (any, error) {
		<-allow
		return nil, errors.New("refused")
	}
	answers := l.group(t, t.Context(), []context.Context{t.Context(), t.Context()}, `query @guard { author(id: 1) { name } }`, `{ author(id: 2) { name } }`)
	wantData(t, <-answers[1], `{"author":{"name":"A2"}}`)
	close(allow)
	if a := <-answers[0]; string(a.Data) != "null" || len(a.Errors) != 1 {
		t.Errorf("got %s and %v", a.Data, a.Errors)
	}
	l.wantBatches(t, "authors[2]")
}

func TestADirectiveThatTheServerRunsIsNotInert(t *testing.T) {
	for name, want := range map[string]string{
		"guard":       "@guard is declared with Inert, and the server has a function for it",
		"@guardInput": "@guardInput is declared with Inert, and the server",
		"guards":      "the schema has no directive @guards",
	} {
		l := newFromPlan(batch.Inert("@note", name))
		if err := l.plan.Validate(l.schema()); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v", name, err)
		}
	}
}
