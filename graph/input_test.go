package graph_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"strings"
	"testing"
)

// goTypes matches what only a Go programmer would say.
var goTypes = regexp.MustCompile(`\b(u?int(8|16|32|64)?|float(32|64)|bool|slice|map|ptr|struct|interface|reflect|strconv|runtime|json\.\w+|model\.\w+|graphql\.\w+|nil|panic|any)\b|\[\]\w|%!|0x`)

// post sends a body as it is.
func (d *directory) post(body string) (status int, a answer) {
	d.tb.Helper()
	req, err := http.NewRequest(http.MethodPost, d.url, strings.NewReader(body))
	if err != nil {
		d.tb.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Accept", "application/graphql-response+json")
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		d.tb.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	raw, err := io.ReadAll(res.Body)
	if err != nil {
		d.tb.Fatal(err)
	}
	a.raw = string(raw)
	if err := json.Unmarshal(raw, &a); err != nil {
		d.tb.Fatalf("not JSON: %s", raw)
	}
	return res.StatusCode, a
}

// wantRefused fails unless a request is refused before anything runs, in words that a client understands.
func wantRefused(t *testing.T, what string, status int, a answer) {
	t.Helper()
	if status != http.StatusBadRequest || len(a.Errors) == 0 || strings.Contains(a.raw, `"data"`) {
		t.Errorf("%s: want it refused, got %d %s", what, status, a.raw)
		return
	}
	for _, e := range a.Errors {
		if code := e.Extensions["code"]; code != "BAD_USER_INPUT" && code != "GRAPHQL_VALIDATION_FAILED" {
			t.Errorf("%s: code %v in %s", what, code, a.raw)
		}
		if id, _ := e.Extensions["operationId"].(string); id == "" {
			t.Errorf("%s: no operationId in %s", what, a.raw)
		}
		if found := goTypes.FindString(e.Message); found != "" {
			t.Errorf("%s: %q in %s", what, found, e.Message)
		}
	}
}

const (
	withInt     = `query($v: Int) { users(first: $v) { totalCount } }`
	withNonNull = `query($v: Int!) { users(first: $v) { totalCount } }`
	withDefault = `query($v: Int = 1) { users(first: $v) { totalCount } }`
	withID      = `query($v: ID!) { user(id: $v) { id } }`
	withIDs     = `query($v: [ID!]!) { nodes(ids: $v) { id } }`
	withString  = `query($v: String!) { userByEmail(email: $v) { id } }`
	withBoolean = `query($v: Boolean!) { __typename @skip(if: $v) users { totalCount } }`
	withInput   = `mutation($v: CreateUserInput!) { createUser(input: $v) { user { id } } }`
	withUpdate  = `mutation($v: UpdateUserInput!) { updateUser(input: $v) { user { id } } }`
)

func TestAVariableThatDoesNotFitItsTypeIsRefused(t *testing.T) {
	onEveryDatabase(t, func(t *testing.T, d *directory) {
		for _, c := range []struct{ query, value, message, field string }{
			{withInt, `"5"`, `$v: expected an Int (a whole number of 32 bits), got the string "5"`, "first"},
			{withInt, `5.5`, `$v: expected an Int (a whole number of 32 bits), got 5.5`, "first"},
			{withInt, `5.0`, "", "first"},
			{withInt, `1e2`, "", "first"},
			{withInt, `2147483648`, `$v: expected an Int (a whole number of 32 bits), got 2147483648`, "first"},
			{withInt, `-2147483649`, "", "first"},
			{withInt, `9223372036854775808`, "", "first"},
			{withInt, `1` + strings.Repeat("0", 400), "", "first"},
			{withInt, `true`, `$v: expected an Int (a whole number of 32 bits), got true`, "first"},
			{withInt, `[5]`, `$v: expected an Int (a whole number of 32 bits), got a list`, "first"},
			{withInt, `{"a": 5}`, `$v: expected an Int (a whole number of 32 bits), got an object`, "first"},
			{withDefault, `"x"`, "", "first"},
			{withNonNull, `null`, `$v: expected Int!, got null`, "first"},
			{withNonNull, ``, `$v: expected Int!, got nothing`, "first"},
			{withNonNull, `{}`, "", "first"},
			{withID, `1.5`, `$v: expected an ID (a string or a whole number), got 1.5`, "id"},
			{withID, `true`, "", "id"},
			{withID, `["User:1"]`, "", "id"},
			{withID, `{"id": 1}`, "", "id"},
			{withID, `null`, "", "id"},
			{withID, ``, "", "id"},
			{withIDs, `[null]`, `$v[0]: expected ID!, got null`, "ids.0"},
			{withIDs, `["User:1", [2]]`, `$v[1]: expected an ID (a string or a whole number), got a list`, "ids.1"},
			{withIDs, `[true]`, "", "ids.0"},
			{withIDs, `{"0": "User:1"}`, "", "ids"},
			{withIDs, `null`, "", "ids"},
			{withString, `5`, `$v: expected a String, got 5`, "email"},
			{withString, `false`, "", "email"},
			{withString, `["a"]`, "", "email"},
			{withString, `{}`, "", "email"},
			{withBoolean, `"true"`, `$v: expected a Boolean (true or false), got the string "true"`, "if"},
			{withBoolean, `1`, "", "if"},
			{withBoolean, `[true]`, "", "if"},
			{withBoolean, `null`, "", "if"},
			{withInput, `[]`, `$v: expected CreateUserInput!, got a list`, "input"},
			{withInput, `"x"`, "", "input"},
			{withInput, `7`, "", "input"},
			{withInput, `null`, "", "input"},
			{withInput, `{}`, `$v.name: expected String!, got nothing`, "input.name"},
			{withInput, `{"name": "A"}`, `$v.email: expected String!, got nothing`, "input.email"},
			{withInput, `{"name": null, "email": "a@example.com"}`, `$v.name: expected String!, got null`, "input.name"},
			{withInput, `{"name": 5, "email": "a@example.com"}`, `$v.name: expected a String, got 5`, "input.name"},
			{withInput, `{"name": ["A"], "email": "a@example.com"}`, "", "input.name"},
			{withInput, `{"name": "A", "email": {"a": 1}}`, "", "input.email"},
			{withInput, `{"name": "A", "email": "a@example.com", "nick": 1}`, `$v: CreateUserInput has no field "nick"`, "input.nick"},
			{withInput, `{"name": "A", "email": "a@example.com", "__typename": "CreateUserInput"}`, "", "input.__typename"},
			{withInput, `{"name": "A", "email": "a@example.com", "managerId": 1.5}`, "", "input.managerId"},
			{withUpdate, `{"id": {"a": [1]}}`, "", "input.id"},
			{withUpdate, `{"id": "User:1", "name": true}`, "", "input.name"},
			{`subscription($v: [ID!]) { userChanged(ids: $v) { kind } }`, `[1.5]`, "", "ids.0"},
		} {
			body, err := json.Marshal(map[string]string{"query": c.query})
			if err != nil {
				t.Fatal(err)
			}
			variables := `{}`
			if c.value != "" {
				variables = `{"v":` + c.value + `}`
			}
			for range 2 { // the second time its document is known
				status, a := d.post(string(body[:len(body)-1]) + `,"variables":` + variables + `}`)
				what := fmt.Sprintf("%s with %.40s", c.query, variables)
				wantRefused(t, what, status, a)
				if len(a.Errors) == 0 {
					continue
				}
				if field, _ := a.Errors[0].Extensions["field"].(string); field != c.field {
					t.Errorf("%s: want field %q, got %s", what, c.field, a.raw)
				}
				if c.message != "" && a.Errors[0].Message != c.message {
					t.Errorf("%s: want %s, got %s", what, c.message, a.Errors[0].Message)
				}
				if len(a.Errors[0].Message) > 250 {
					t.Errorf("%s: a message of %d bytes", what, len(a.Errors[0].Message))
				}
			}
		}
		if n := d.must(`{ users { totalCount } }`).at(t, "users.totalCount"); n != 0.0 {
			t.Errorf("want no user, got %v", n)
		}
	})
}

func TestALiteralThatDoesNotFitItsTypeIsRefused(t *testing.T) {
	onEveryDatabase(t, func(t *testing.T, d *directory) {
		for _, field := range []string{
			`users(first: "5") { totalCount }`,
			`users(first: 5.5) { totalCount }`,
			`users(first: 1e2) { totalCount }`,
			`users(first: 2147483648) { totalCount }`,
			`users(first: -2147483649) { totalCount }`,
			`users(first: 9223372036854775808) { totalCount }`,
			`users(first: true) { totalCount }`,
			`users(first: MANY) { totalCount }`,
			`users(first: [5]) { totalCount }`,
			`users(first: {}) { totalCount }`,
			`users(first: {a: 5}) { totalCount }`,
			`users(frist: 5) { totalCount }`,
			`user(id: 1.5) { id }`,
			`user(id: true) { id }`,
			`user(id: FOO) { id }`,
			`user(id: ["User:1"]) { id }`,
			`user(id: {}) { id }`,
			`user(id: {a: 1}) { id }`,
			`user(id: null) { id }`,
			`user { id }`,
			`nodes(ids: [null]) { id }`,
			`nodes(ids: [["User:1"]]) { id }`,
			`nodes(ids: {}) { id }`,
			`nodes(ids: [true]) { id }`,
			`userByEmail(email: 5) { id }`,
			`userByEmail(email: a) { id }`,
			`userByEmail(email: {}) { id }`,
			`userByEmail(email: null) { id }`,
			`__typename @skip(if: "true")`,
			`__typename @skip(if: 1)`,
			`__typename @skip(if: {})`,
			`__typename @skip(if: null)`,
			`__typename @skip`,
		} {
			body, err := json.Marshal(map[string]string{"query": "{" + field + "}"})
			if err != nil {
				t.Fatal(err)
			}
			status, a := d.post(string(body))
			wantRefused(t, field, status, a)
		}
		for _, in := range []string{
			`5`, `"x"`, `[]`, `null`, `{}`, `FOO`, `true`, `1.5`,
			`{name: "A"}`, `{name: 5, email: "a@example.com"}`, `{name: null, email: "a@example.com"}`, `{name: {}, email: "a@example.com"}`,
			`{name: "A", email: "a@example.com", nick: 1}`, `{name: "A", email: "a@example.com", managerId: 1.5}`,
		} {
			body, err := json.Marshal(map[string]string{"query": "mutation { createUser(input: " + in + ") { user { id } } }"})
			if err != nil {
				t.Fatal(err)
			}
			status, a := d.post(string(body))
			wantRefused(t, in, status, a)
		}
		if n := d.must(`{ users { totalCount } }`).at(t, "users.totalCount"); n != 0.0 {
			t.Errorf("want no user, got %v", n)
		}
	})
}

func TestInputThatFitsIsTaken(t *testing.T) {
	onEveryDatabase(t, func(t *testing.T, d *directory) {
		for _, c := range []struct {
			query string
			value any
			code  string // of what is wrong later
		}{
			{withInt, 5, ""},
			{withInt, 0, ""},
			{withInt, nil, ""},
			{withInt, 2147483647, "BAD_USER_INPUT"}, // more than a page holds
			{withInt, -2147483648, "BAD_USER_INPUT"},
			{withDefault, nil, ""},
			{withID, "User:1", ""},
			{withID, 1, "BAD_USER_INPUT"}, // an ID, but not a user's
			{withIDs, []string{"User:1", "Team:2"}, ""},
			{withIDs, "User:1", ""},
			{withIDs, []string{}, ""},
			{withString, "a@example.com", ""},
			{withBoolean, false, ""},
			{withInput, input{"name": "A", "email": "a@example.com"}, ""},
			{withInput, input{"name": "B", "email": "b@example.com", "managerId": nil}, ""},
		} {
			a := d.send(c.query, "v", c.value)
			if c.code == "" && len(a.Errors) > 0 || c.code != "" && a.code(t) != c.code {
				t.Errorf("%s with %v: got %s", c.query, c.value, a.raw)
			}
		}
		d.must(withInt)
		d.must(withDefault)
		d.must(`{ nodes(ids: "User:1") { id } users(first: 2, after: null) { totalCount } }`)
		// A null that comes by way of a default is refused where it would be used.
		a := d.send(`query($v: String = "x") { userByEmail(email: $v) { id } }`, "v", nil)
		if a.code(t) != "BAD_USER_INPUT" || goTypes.MatchString(a.Errors[0].Message) {
			t.Errorf("got %s", a.raw)
		}
	})
}

func TestAValueThatIsRefusedWhereItIsReadIsBlamedByItsPath(t *testing.T) {
	onEveryDatabase(t, func(t *testing.T, d *directory) {
		for _, c := range []struct{ query, path, field string }{ // in which a null overrides a default
			{`query($v: String = "x") { userByEmail(email: $v) { id } }`, "userByEmail", "email"},
			{`query($v: ID = "User:1") { nodes(ids: ["User:2", $v]) { id } }`, "nodes", "ids.1"},
			{`query($v: ID = "User:1") { users(filter: {id: {in: [$v]}}) { totalCount } }`, "users", "filter.id.in.0"},
			{`query($v: Int = 1) { users { totalCountUpTo(limit: $v) } }`, "users.totalCountUpTo", "limit"},
			{`query($v: Boolean) { users(filter: {hasManager: $v}) { totalCount } }`, "users", "filter.hasManager"},
			{`query($v: Int) { nodes(ids: ["User:1", "x"]) { id } users(first: $v) { totalCount } }`, "nodes", "ids.1"},
			{`query($v: Int) { users(first: $v, filter: {and: [{}, {createdAt: {eq: "x"}}]}) { totalCount } }`, "users", "filter.and.1.createdAt.eq"},
			{`mutation($v: String = "A") { createUser(input: {name: $v, email: "a@example.com"}) { user { id } } }`, "createUser", "input.name"},
			{`mutation($v: String = "A") { createUsers(input: {users: [{name: $v, email: "a@example.com"}]}) { results { user { id } } } }`, "createUsers", "input.users.0.name"},
		} {
			a := d.send(c.query, "v", nil)
			if a.code(t) != "BAD_USER_INPUT" || a.Errors[0].Extensions["field"] != c.field || !strings.Contains(a.raw, `"path":["`+strings.ReplaceAll(c.path, ".", `","`)+`"]`) {
				t.Errorf("%s: want the path %s and the field %s, got %s", c.query, c.path, c.field, a.raw)
			}
		}
	})
}

func TestAnAnswerHoldsAHundredErrorsAtMost(t *testing.T) {
	onEveryDatabase(t, func(t *testing.T, d *directory) {
		failing := func(n int, field string) string {
			var query strings.Builder
			query.WriteString("{")
			for i := range n {
				fmt.Fprintf(&query, " a%d: %s", i, field)
			}
			return query.String() + "}"
		}
		for _, field := range []string{`user(id: "x") { id }`, `user(id: 1.5) { id }`, `nothing`} {
			a := d.send(failing(800, field))
			if len(a.Errors) != 101 || a.Errors[100].Extensions["code"] != "TOO_MANY_ERRORS" || a.Errors[100].Message != "there are 700 more errors" {
				t.Errorf("%s: got %d errors: %.500s", field, len(a.Errors), a.raw)
			}
			for _, e := range a.Errors {
				if e.Extensions["code"] == nil || e.Extensions["operationId"] != a.Errors[0].Extensions["operationId"] {
					t.Errorf("%s: got %v", field, e)
				}
			}
		}
		if a := d.send(failing(100, `user(id: "x") { id }`)); len(a.Errors) != 100 {
			t.Errorf("want 100 errors, got %d", len(a.Errors))
		}
	})
}

func TestEveryErrorHasACodeAndTheIDOfItsOperation(t *testing.T) {
	onEveryDatabase(t, func(t *testing.T, d *directory) {
		for _, c := range []struct{ body, code string }{
			{`{"query": "{"}`, "GRAPHQL_PARSE_FAILED"},
			{`{"query": "{ nothing }"}`, "GRAPHQL_VALIDATION_FAILED"},
			{`{"query": "query A { __typename } query B { __typename }", "operationName": "C"}`, "GRAPHQL_VALIDATION_FAILED"},
			{`{"query": "fragment F on User { id }"}`, "GRAPHQL_VALIDATION_FAILED"},
			{`{"query": "{ user(id: \"x\") { id } }"}`, "BAD_USER_INPUT"},
			{`{"query": "mutation { deleteUser(input: {id: \"User:9\"}) { deletedUserId } }"}`, "NOT_FOUND"},
			{`{"query": "query($v: Int!) { __typename }"}`, "GRAPHQL_VALIDATION_FAILED"}, // it is not used
			{`{"query": "query($v: Int!) { users(first: $v) { totalCount } }"}`, "BAD_USER_INPUT"},
			{`{"query": "query($v: Int!) { users(first: $v) { totalCount } }", "variables": {"v": "1"}}`, "BAD_USER_INPUT"},
			{`{`, "BAD_REQUEST"},
		} {
			_, a := d.post(c.body)
			if len(a.Errors) == 0 {
				t.Errorf("%s: want %s, got %s", c.body, c.code, a.raw)
			}
			for _, e := range a.Errors {
				id, _ := e.Extensions["operationId"].(string)
				if e.Extensions["code"] != c.code || id == "" {
					t.Errorf("%s: want %s, got %s", c.body, c.code, a.raw)
				}
			}
		}
	})
}
