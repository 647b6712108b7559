package limit_test

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/99designs/gqlgen/graphql"
	"github.com/vektah/gqlparser/v2/ast"
	"github.com/vektah/gqlparser/v2/gqlerror"
	"github.com/vektah/gqlparser/v2/parser"
	"github.com/vektah/gqlparser/v2/validator/core"

	"rollcall/limit"
)

// sizes names the arguments that say how many items a list has.
func sizes(*ast.Field) []string { return []string{"first", "last", "ids"} }

func newPricedServer(tb testing.TB, cost limit.Cost) *server {
	tb.Helper()
	s := newServer(tb, limit.Documents{})
	cost.Sizes, cost.Page = sizes, 20
	cost.Inputs = func(*ast.Field) []string { return []string{"filter"} }
	cost.Searches = func(field *ast.Field) (string, func(string) int) {
		if field.Name != "page" {
			return "", nil
		}
		return "query", func(text string) int { return len(strings.Fields(text)) }
	}
	cost.Counts, cost.MaxCount = func(field *ast.Field) string { return map[string]string{"upTo": "limit"}[field.Name] }, 1000
	s.use(tb, &cost)
	s.price = &cost
	return s
}

func TestAnOperationCostsItsObjectsAndATenthForEachValue(t *testing.T) {
	s := newPricedServer(t, limit.Cost{MaxPage: 100, Max: 1 << 40})
	types, fields, longest := len(newSchema().ast.Types), 0, 0
	for _, def := range newSchema().ast.Types {
		if def.Kind != ast.InputObject {
			fields, longest = fields+len(def.Fields), max(longest, len(def.Fields))
		}
	}
	mean := (fields + types - 1) / types
	for _, c := range []struct {
		query string
		cost  int
	}{
		{`{ __typename }`, 1},
		{`{ name }`, 1},
		{`{` + each(10, " a#:name") + `}`, 1},
		{`{` + each(11, " a#:name") + `}`, 2},
		{`{ self { self { self { name } } } }`, 4},
		{`{ page(first: 0) { nodes { self { name } } } }`, 1},
		{`{ page(first: 10) { total nodes { self { name } } } }`, 1 + 10*2 + 2},
		{`{ page(first: 10) { edges { cursor node { name } } } }`, 1 + 10*2 + 2},
		{`{ page(first: 10) { a: nodes { name } b: nodes { name } } }`, 1 + 20 + 2},
		{`{ page(first: 10) { nodes { page(first: 10) { nodes { page(first: 10) { nodes { name } } } } } } }`, 1 + 10*(2+10*(2+10)) + 100},
		{`{ page(last: 10) { nodes { self { self { name } } } } }`, 1 + 10*3 + 1},
		{`{ page(first: 2, last: 10) { nodes { self { self { name } } } } }`, 1 + 10*3 + 1},
		{`{ page { nodes { self { self { self { name } } } } } }`, 1 + 20*4 + 2},
		{`{ page(first: null) { nodes { self { self { self { name } } } } } }`, 1 + 20*4 + 2},
		{`{ small { nodes { self } } }`, 0},
		{`{ small { nodes { self { self { total: __typename } } } } }`, 1 + 3*3 + 1},
		{`{ page(first: 101) { nodes { total: __typename } } }`, 1 + 100 + 10},
		{`{ page(first: -1) { nodes { name } } }`, 1},
		{`{ items { items { name } } }`, 20 * (1 + 20*1 + 2)},
		{`{ page(first: 2) { nodes { items { self { name } } } } }`, 1 + 2*(1+20*2+2)},
		{`{ names }`, 2},
		{`{ page(first: 10) { nodes { names } } }`, 1 + 10*(1+2)},
		{`{ nodes(ids: ["a", "b", "c"]) { self { name } } }`, 3*2 + 1},
		{`{ nodes(ids: "a") { self { name } } }`, 3},
		{`{ nodes(ids: []) { self { name } } }`, 0},
		{`{ nodes(ids: ["a", "b"], first: 10) { self { name } } }`, 10*2 + 1},
		{`{ nodes { self { name } } }`, 20*2 + 2},
		{`{ nodes(ids: ["a"]) { items { name } } }`, 1 + 20 + 2},
		{`{ self @skip(if: true) { name } a: self @include(if: false) { name } b: self @include(if: true) @skip(if: false) { name } }`, 2},
		{`{ ... @skip(if: true) { self { name } } ...F @include(if: false) } fragment F on Query { self { name } }`, 0},
		{`{ page(first: 10) { ...P } } fragment P on Page { nodes { ...Q } } fragment Q on Query { self { name } }`, 1 + 10*2 + 1},
		{`{ a: page(first: 10) { ...P } b: page(first: 50) { ...P } } fragment P on Page { nodes { self { name } } }`, 2 + 60*2 + 6},
		{`{ thing { ... on Cat { cat { id } } ... on Dog { dog { id } } } }`, 4},
		{`{ ` + strings.Repeat("a", 63) + `: name }`, 1},
		{`{ page(first: 10) { nodes { ` + strings.Repeat("a", 640) + `: name } } }`, 1 + 10*(1+1) + 1},
		{`{ ` + strings.Repeat("a", 640) + `: self { name } }`, 3},
		{`{ page { upTo(limit: 0) } }`, 2},
		{`{ page { upTo(limit: 90) } }`, 1 + 1},
		{`{ page { upTo(limit: 91) } }`, 1 + 2},
		{`{ page { upTo(limit: 1000) } }`, 1 + 11},
		{`{ page { upTo(limit: 2000000000) } }`, 1 + 11},
		{`{ page(first: 5) { nodes { page { upTo(limit: 190) } } } }`, 1 + 5*(1+1+2)},
		{`{ page(first: 2, filter: {}) { nodes { name } } }`, 1 + 1 + 2 + 1},
		{`{ page(first: 2, filter: null) { nodes { name } } }`, 1 + 2 + 1},
		{`{ page(first: 2, filter: { in: { ids: ["a", "b"] }, list: [{}, { ids: "c" }] }) { nodes { name } } }`, 1 + 4 + 2 + 1},
		{`{ page(first: 9) { nodes { page(first: 1, filter: { ids: [` + strings.Repeat("1 ", 90) + `] }) { nodes { name } } } } }`, 1 + 9*(1+1+10+1) + 1},
		{`{ page(first: 2, query: "") { nodes { name } } }`, 1 + 2 + 1},
		{`{ page(first: 2, query: null) { nodes { name } } }`, 1 + 2 + 1},
		{`{ page(first: 2, query: "lop mar") { nodes { name } } }`, 1 + 2 + 2 + 1},
		{`{ page(first: 9) { nodes { page(first: 1, query: "a b c", filter: {}) { nodes { name } } } } }`, 1 + 9*(1+1+3+1+1) + 1},
		{`{ __schema { types { kind } } }`, 1 + (types*11+9)/10},
		{`{ __schema { types { fields { name } } } }`, 1 + (types*(10+mean*11)+9)/10},
		{`{ __schema { types { ...f } queryType { ...f } } } fragment f on __Type { fields { name } }`, 1 + (types*(10+mean*11)+10+longest*11+9)/10},
		{`{ __schema { types { fields { type { fields { name } } } } } }`, 1 + (types*(10+mean*(10+10+longest*11))+9)/10},
		{introspection, 0},
	} {
		if got := s.cost(t, c.query); c.cost != 0 && got != c.cost {
			t.Errorf("%s: want %d, got %d", c.query, c.cost, got)
		}
	}
	if cost := s.cost(t, introspection); cost < 2_000 || cost > 100_000/2 {
		t.Errorf("introspection costs %d", cost)
	}
}

// cost is what an operation costs, or 0 if it is invalid.
func (s *server) cost(tb testing.TB, query string, variables ...any) int {
	tb.Helper()
	vars := map[string]any{}
	for i := 0; i < len(variables); i += 2 {
		vars[variables[i].(string)] = variables[i+1]
	}
	oc, errs := s.ask(&graphql.RawParams{Query: query, Variables: vars})
	if errs == nil {
		return s.price.Of(oc).Requested
	}
	if errs[0].Extensions["code"] != invalid {
		tb.Errorf("%s: got %v", query, errs)
	}
	return 0
}

func TestVariablesTellHowManyItemsThereAre(t *testing.T) {
	s := newPricedServer(t, limit.Cost{MaxPage: 100})
	const page = `query($n: Int) { page(first: $n) { nodes { self { name } } } }`
	const normal = `query($n: Int = 10) { small(first: $n) { nodes { self { name } } } }`
	const nodes = `query($ids: [ID!], $id: ID! = "a") { a: nodes(ids: $ids) { self { name } } b: nodes(ids: [$id, $id]) { self { name } } }`
	for _, c := range []struct {
		cost      int
		query     string
		variables []any
	}{
		{1 + 10*2 + 1, page, []any{"n", json.Number("10")}},
		{1 + 10*2 + 1, page, []any{"n", int64(10)}},
		{1 + 100*2 + 10, page, []any{"n", json.Number("2147483647")}},
		{1 + 20*2 + 2, page, []any{"n", nil}},
		{1 + 20*2 + 2, page, nil},
		{1, page, []any{"n", json.Number("-5")}},
		{1 + 10*2 + 1, normal, nil},
		{1 + 20*2 + 2, normal, []any{"n", nil}},
		{1 + 3*2 + 1, `query($n: Int) { small(first: $n) { nodes { self { name } } } }`, nil},
		{(3+2)*2 + 1, nodes, []any{"ids", []any{"a", "b", "c"}}},
		{(1+2)*2 + 1, nodes, []any{"ids", "a"}},
		{(20+2)*2 + 3, nodes, []any{"ids", nil}},
		{1 + 3 + 2 + 1, `query($f: In, $x: In) { page(first: 2, filter: { in: $f, list: [$x] }) { nodes { name } } }`, []any{"f", map[string]any{"in": map[string]any{}}}},
		{1 + 2 + 2 + 1, `query($f: In) { page(first: 2, filter: $f) { nodes { name } } }`, []any{"f", map[string]any{"list": []any{map[string]any{"ids": []any{"a", "b", "c"}}}}}},
		{1 + 2 + 2 + 1, `query($f: In) { page(first: 2, filter: $f) { nodes { name } } }`, []any{"f", map[string]any{"list": map[string]any{"ids": []any{"a", "b", "c"}}}}},
		{1 + 3 + 2 + 1, `query($q: String = "x") { page(first: 2, query: $q) { nodes { name } } }`, []any{"q", "a b c"}},
		{1 + 1 + 2 + 1, `query($q: String = "x") { page(first: 2, query: $q) { nodes { name } } }`, nil},
		{4, `query($no: Boolean = false) { a: self @include(if: $no) { name } b: self @skip(if: $no) { self { self { name } } } }`, nil},
	} {
		if got := s.cost(t, c.query, c.variables...); got != c.cost {
			t.Errorf("%s with %v: want %d, got %d", c.query, c.variables, c.cost, got)
		}
	}
}

func TestAnOperationThatCostsTooMuchIsRefused(t *testing.T) {
	s := newPricedServer(t, limit.Cost{Max: 101})
	if _, errs := s.ask(&graphql.RawParams{Query: `{ page(first: 99) { nodes { name @include(if: false) } total } }`}); errs != nil {
		t.Error(errs)
	}
	oc, errs := s.ask(&graphql.RawParams{Query: `{ page(first: 101) { nodes { name @include(if: false) } total } }`})
	want := limit.Costs{Requested: 103, Limit: 101}
	if len(errs) != 1 || errs[0].Extensions["code"] != limit.CodeCost || errs[0].Extensions["cost"] != want || s.price.Of(oc) != want {
		t.Fatalf("got %v", errs)
	}
	if errs[0].Message != "it costs 103, and at most 101 is allowed: ask for fewer or smaller pages" {
		t.Errorf("got %q", errs[0].Message)
	}
	text, err := json.Marshal(errs[0].Extensions)
	if err != nil || string(text) != `{"code":"COST_LIMIT","cost":{"requested":103,"limit":101}}` {
		t.Errorf("got %s", text)
	}
}

func TestAPageThatIsTooLongIsRefusedWhateverItCosts(t *testing.T) {
	s := newPricedServer(t, limit.Cost{MaxPage: 100, Max: 120, TooLong: func(argument string, items int) error {
		return fmt.Errorf("%s: %d", argument, items)
	}})
	const nodes = `{ self { nodes(ids: ["`
	for query, want := range map[string]string{
		`{ page(first: 100) { nodes { name } } }`:                                     "",
		`{ page(first: 101) { total } }`:                                              "first: 101",
		`{ page(last: 1000) { nodes { a: name } edges { node { a: name } } } }`:       "last: 1000",
		`{ page(first: 101) @skip(if: true) { total } name }`:                         "",
		`{ self { ...F } } fragment F on Query { page(first: 2147483647) { total } }`: "first: 2147483647",
		nodes + strings.Repeat(`a", "`, 100) + `"]) { name } } }`:                     "ids: 101",
		nodes + strings.Repeat(`a", "`, 99) + `"]) { name } } }`:                      "",
	} {
		_, errs := s.ask(&graphql.RawParams{Query: query})
		switch {
		case want == "" && errs != nil, want != "" && (len(errs) != 1 || errs[0].Message != want || len(errs[0].Locations) != 1):
			t.Errorf("%.80s: want %q, got %v", query, want, errs)
		}
	}
}

func TestAnEnormousCostDoesNotOverflow(t *testing.T) {
	s := newPricedServer(t, limit.Cost{})
	huge := nest(7, "page(first: 1073741824) { nodes {", "name", "} }")
	for _, query := range []string{huge, each(200, " a#: page(first: 1073741824) { nodes { page(first: 1073741824) { nodes { name } } } }")} {
		oc, errs := s.ask(&graphql.RawParams{Query: "{" + query + "}"})
		if len(errs) != 1 || errs[0].Extensions["code"] != limit.CodeCost || s.price.Of(oc).Requested != (1<<50+9)/10 {
			t.Errorf("got %v, %d", errs, s.price.Of(oc).Requested)
		}
	}
}

func TestFragmentsThatDoubleAreCountedOnceEach(t *testing.T) {
	query, want := "{ ...F0 }", 1
	for i := range 40 {
		query += fmt.Sprintf(" fragment F%d on Query { a: self { ...F%d } b: self { ...F%d } }", i, i+1, i+1)
		want = 2 * (10 + want)
	}
	doc, err := parser.ParseQuery(&ast.Source{Input: query + " fragment F40 on Query { name }"})
	if err != nil {
		t.Fatal(err)
	}
	core.Walk(newSchema().ast, doc, &core.Events{})
	oc := &graphql.OperationContext{Doc: doc, Operation: doc.Operations[0]}
	cost := &limit.Cost{Page: 20, Max: 1 << 60}
	if err := cost.MutateOperationContext(t.Context(), oc); err != nil || cost.Of(oc).Requested != (want+9)/10 {
		t.Errorf("want %d, got %v, %v", (want+9)/10, cost.Of(oc), err)
	}
}

func TestTheCostIsToldToClientsThatAsk(t *testing.T) {
	cost := &limit.Cost{Page: 20}
	s := newServer(t, limit.Documents{})
	s.use(t, cost)
	respond := func(extensions map[string]any) *graphql.Response {
		oc, errs := s.ask(&graphql.RawParams{Query: "{ self { self { __typename } } }", Extensions: extensions})
		if errs != nil {
			t.Fatal(errs)
		}
		return s.DispatchError(graphql.WithOperationContext(context.Background(), oc), gqlerror.List{})
	}
	if got := respond(map[string]any{"cost": true}).Extensions["cost"]; got != (limit.Costs{Requested: 3, Limit: 100_000}) {
		t.Errorf("got %v", got)
	}
	for _, extensions := range []map[string]any{nil, {"cost": false}, {"cost": "true"}, {"costs": true}} {
		if got := respond(extensions).Extensions; len(got) != 0 {
			t.Errorf("%v: got %v", extensions, got)
		}
	}
	s.DispatchError(context.Background(), gqlerror.List{}) // where there is no operation
}
