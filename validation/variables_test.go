package validation_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/99designs/gqlgen/graphql"
	"github.com/vektah/gqlparser/v2"
	"github.com/vektah/gqlparser/v2/ast"
	"github.com/vektah/gqlparser/v2/parser"

	"rollcall/validation"
)

func TestAWrongVariableIsBlamedByThePathFromTheArgumentThatUsesItFirst(t *testing.T) {
	schema := gqlparser.MustLoadSchema(&ast.Source{Input: `
		directive @key(key: Int!, at: [User!]) on QUERY
		input User { email: String!, roles: [Int!], manager: User }
		input Users { users: [User!]! }
		type Query { add(input: Users, size: Int): Query, one(by: [Int], input: User): Int }`})
	for _, c := range []struct{ query, value, want string }{
		{`query($v: Users) { add(input: $v) { one } }`, `{"users": [{"email": "a"}, {"email": 1}]}`, "input.users.1.email"},
		{`query($v: Users) { add(input: $v) { one } }`, `{"users": {"email": 1}}`, "input.users.email"},
		{`query($v: Users) { add(input: $v) { one } }`, `{"users": [{"email": "a", "manager": {"email": "b", "roles": [1, "2"]}}]}`, "input.users.0.manager.roles.1"},
		{`query($v: Users) { add(input: $v) { one } }`, `{}`, "input.users"},
		{`query($v: Users) { add(input: $v) { one } }`, `{"users": [], "size": 1}`, "input.size"},
		{`query($v: Users) { add(input: $v) { one } }`, `5`, "input"},
		{`query($v: Int) { add(size: 1) { one(by: [1, $v]) } again: add(size: $v) { one } }`, `"1"`, "by.1"},
		{`query($v: String!) { one(input: {email: "a", manager: {email: $v}}) }`, `null`, "input.manager.email"},
		{`query($v: Int!) { one(input: {email: "a", roles: [1, $v]}) }`, ``, "input.roles.1"},
		{`query($v: User!) { add(input: {users: [{email: "a"}, $v]}) { one } }`, `{"email": "b", "roles": ["1"]}`, "input.users.1.roles.0"},
		{`query($v: Int!) @key(key: $v) { add(size: $v) { one } }`, `"1"`, "key"},
		{`query($v: User!) @key(key: 1, at: [$v]) { one }`, `{"email": 1}`, "at.0.email"},
		{`query($v: Int = 1) @key(key: $v) { one }`, `null`, "key"},
		{`query($v: Boolean!) { one @skip(if: $v) }`, `0`, "if"},
		{`query($v: Boolean!) { ... @include(if: $v) { one } }`, `0`, "if"},
		{`query($v: Int) { ...A } fragment A on Query { ...B } fragment B on Query { add(size: $v) { ...C } } fragment C on Query { one }`, `true`, "size"},
	} {
		doc, err := gqlparser.LoadQueryWithRules(schema, c.query, validation.Rules())
		if err != nil {
			t.Fatal(err)
		}
		wrong := validation.Request(schema, doc, &graphql.RawParams{Variables: valueOf(t, c.value)})
		if wrong == nil || wrong.Extensions["field"] != c.want {
			t.Errorf("%s with %s: want the field %s, got %v", c.query, c.value, c.want, wrong)
		}
	}
}

// valueOf returns variables that have a value, in JSON, for v; "" is none.
func valueOf(t *testing.T, value string) map[string]any {
	t.Helper()
	values := map[string]any{}
	if value != "" {
		decoder := json.NewDecoder(strings.NewReader(`{"v": ` + value + `}`))
		decoder.UseNumber()
		if err := decoder.Decode(&values); err != nil {
			t.Fatal(err)
		}
	}
	return values
}

func TestVariablesOfEveryKindAreChecked(t *testing.T) {
	schema := gqlparser.MustLoadSchema(&ast.Source{Input: `
		scalar Time
		enum Role { MEMBER OWNER }
		input Filter { role: Role!, roles: [Role!] = [MEMBER], size: Int! = 5, within: Filter }
		type Query { rows(role: Role, filter: Filter, filters: [[Filter!]!], at: Time, on: Boolean): Int }`})
	for _, c := range []struct{ typ, value, want string }{
		{"Role", `"OWNER"`, ""},
		{"Role", `null`, ""},
		{"Role", `"owner"`, `$v: expected Role, got the string "owner"`},
		{"Role!", `1`, `$v: expected Role!, got 1`},
		{"Role", `["OWNER"]`, `$v: expected Role, got a list`},
		{"Role", `{}`, `$v: expected Role, got an object`},
		{"Filter", `{"role": "MEMBER"}`, ""},
		{"Filter", `{"role": "MEMBER", "size": null}`, `$v.size: expected Int!, got null`},
		{"Filter", `{"role": "MEMBER", "roles": "OWNER"}`, ""},
		{"Filter", `{"role": "MEMBER", "roles": ["OWNER", "X"]}`, `$v.roles[1]: expected Role!, got the string "X"`},
		{"Filter", `{"role": "MEMBER", "within": {"role": "MEMBER", "within": {"size": 1}}}`, `$v.within.within.role: expected Role!, got nothing`},
		{"[[Filter!]!]", `{"role": "MEMBER"}`, ""},
		{"[[Filter!]!]", `[[{"role": "MEMBER"}], [{"role": "MEMBER"}, null]]`, `$v[1][1]: expected Filter!, got null`},
		{"[[Filter!]!]", `[null]`, `$v[0]: expected [Filter!]!, got null`},
		{"Time", `5`, ""}, // which checks itself
		{"Boolean", `0`, `$v: expected a Boolean (true or false), got 0`},
		{"Query", `5`, ""},  // the document is wrong
		{"Nobody", `5`, ""}, // likewise
		{"Int!", ``, `$v: expected Int!, got nothing`},
		{"Int! = 5", ``, ""},
		{"Int! = 5", `null`, `$v: expected Int!, got null`},
	} {
		doc, err := parser.ParseQuery(&ast.Source{Input: "query($v: " + c.typ + ") { rows }"})
		if err != nil {
			t.Fatal(err)
		}
		got := ""
		if wrong := validation.Request(schema, doc, &graphql.RawParams{Variables: valueOf(t, c.value)}); wrong != nil {
			got = wrong.Message
		}
		if got != c.want {
			t.Errorf("%s for %s: want %q, got %q", c.value, c.typ, c.want, got)
		}
	}
}
