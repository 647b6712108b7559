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
		values := map[string]any{}
		if c.value != "" {
			decoder := json.NewDecoder(strings.NewReader(`{"v": ` + c.value + `}`))
			decoder.UseNumber()
			if err := decoder.Decode(&values); err != nil {
				t.Fatal(err)
			}
		}
		got := ""
		if wrong := validation.Request(schema, doc, &graphql.RawParams{Variables: values}); wrong != nil {
			got = wrong.Message
		}
		if got != c.want {
			t.Errorf("%s for %s: want %q, got %q", c.value, c.typ, c.want, got)
		}
	}
}
