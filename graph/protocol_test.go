package graph_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"rollcall/database/databasetest"
	"rollcall/document"
	"rollcall/graph"
)

func TestAStringIsStoredAsItWasSent(t *testing.T) {
	onEveryDatabase(t, func(t *testing.T, d *directory) {
		id := d.create("Ann", "ann@example.com", nil)
		for literal, want := range map[string]string{
			`"Ann \ud83d\ude00"`:                               "Ann 😀",
			`"Ann \u{1F600}"`:                                  "Ann 😀",
			`"Ren\u00e9e \u{1D400}"`:                           "Renée 𝐀",
			`"""Ann \u{1F600}"""`:                              `Ann \u{1F600}`,
			"\"\"\"\n   Ann of \\\"\"\"Arc\\\"\"\"\n   \"\"\"": `Ann of """Arc"""`,
		} {
			renamed := d.must(`mutation { updateUser(input: {id: "` + id + `", name: ` + literal + `}) { user { name } } }`)
			read := d.must(`query($id: ID!) { user(id: $id) { name } }`, "id", id)
			if got, stored := renamed.at(t, "updateUser.user.name"), read.at(t, "user.name"); got != want || stored != want {
				t.Errorf("%s: want %q, got %q, stored as %q", literal, want, got, stored)
			}
		}
	})
}

// everywhere sends documents to the demo directory by each way that there is, and shows the answers.
func everywhere(t *testing.T, documents []string, show func(document, way, answer string)) {
	t.Helper()
	listed := document.List{}
	for _, text := range documents {
		listed[fmt.Sprint(len(listed))] = document.Document{Text: text}
	}
	d := newDirectory(t, databasetest.New(t, "sqlite"))
	d.url = serve(t, func(cfg *graph.Config) { cfg.Documents = document.NewListed(listed) })
	for id, l := range listed {
		show(l.Text, "a listed document", sent(t, d.url, map[string]string{"documentId": id}))
		for way, send := range ways {
			show(l.Text, way, send(d, operation{Query: l.Text}).raw)
		}
	}
}

func TestAStringMeansTheSameByWhateverWayItComes(t *testing.T) {
	wants := map[string]string{
		`{ userByEmail(email: "\u{6B}wame.weber.42@example.com") { id } }`: `{"data":{"userByEmail":{"id":"User:42"}}}`,
		"{ user(id: \"\"\"User:42\n    \"\"\") { email } }":                `{"data":{"user":{"email":"kwame.weber.42@example.com"}}}`,
		"{ user(id: \"\"\"a\r\n    b\n      c\"\"\") { id } }":             `"message":"\"a\\nb\\n  c\" is not the id of a user`,
		`{ __typename user(id: "\ud83d") { id } }`:                         `"message":"Invalid Unicode escape sequence: \\ud83d.","locations":[{"line":1,"column":24}],"extensions":{"code":"GRAPHQL_PARSE_FAILED"`,
		`{ __typename user(id: """a"""") { id } }`:                         `"message":"Unterminated string.","locations":[{"line":1,"column":41}],"extensions":{"code":"GRAPHQL_PARSE_FAILED"`,
		"{ user(id: \"\"\"\n\"\"\") { nobody } }":                          `"locations":[{"line":2,"column":8}]`,
	}
	everywhere(t, slices.Collect(maps.Keys(wants)), func(document, way, answer string) {
		if !strings.Contains(answer, wants[document]) {
			t.Errorf("%s by %s: want %s, got %s", document, way, wants[document], answer)
		}
	})
}

func TestASubscriptionHasOneFieldHoweverItIsSelected(t *testing.T) {
	everywhere(t, []string{
		`subscription { a: userChanged { kind } b: userChanged { kind } }`,
		`subscription { userChanged { kind } b: userChanged { kind } }`,
		`subscription { userChanged @skip(if: true) { kind } }`,
		`subscription { userChanged @include(if: false) { kind } }`,
		`subscription { userChanged @include(if: true) { kind } }`,
		`subscription { ... @skip(if: false) { userChanged { kind } } }`,
		`subscription { ...F @skip(if: false) } fragment F on Subscription { userChanged { kind } }`,
		`subscription { ...F } fragment F on Subscription { userChanged @include(if: true) { kind } }`,
		`subscription { userChanged { kind } ...F } fragment F on Subscription { ... on Subscription { b: userChanged { kind } } }`,
		`subscription { __typename }`,
		`subscription { userChanged { kind } __typename }`,
		`subscription { __schema { queryType { name } } }`,
		`subscription { ...F } fragment F on Subscription { userChanged { kind } t: __typename }`,
	}, func(document, way, answer string) {
		if !strings.Contains(answer, "GRAPHQL_VALIDATION_FAILED") || strings.Contains(answer, "INTERNAL") {
			t.Errorf("%s by %s: got %s", document, way, answer)
		}
	})
	withSubscribers(t, func(_ *testing.T, d *directory) {
		for _, document := range []string{
			`subscription { userChanged { kind } ...F } fragment F on Subscription { userChanged { kind userId @skip(if: true) } }`,
			`subscription { ... { userChanged { kind } } userChanged { kind __typename @include(if: false) } }`,
		} {
			s := d.subscribe(document, nil)
			d.create("Ada", fmt.Sprintf("ada%d@example.com", time.Now().UnixNano()), nil)
			s.want(`{"kind":"CREATED"}`)
			s.cancel()
		}
	})
}

func TestNullForTheVariableOfADirectiveIsRefused(t *testing.T) {
	onEveryDatabase(t, func(t *testing.T, d *directory) {
		for _, document := range []string{
			`query($v: Boolean = true) { users { totalCount @include(if: $v) } }`,
			`query($v: Boolean = true) { users { totalCount @skip(if: $v) __typename } }`,
			`query($v: Boolean = true) { users @skip(if: $v) { totalCount } __typename }`,
			`query($v: Boolean = true) { __typename @skip(if: $v) }`,
			`query($v: Boolean = true) { users { ... @include(if: $v) { totalCount } } }`,
			`query($v: Boolean = true) { users { ...F @include(if: $v) } } fragment F on UserConnection { totalCount }`,
			`query($v: Boolean = true) { users { ...F } } fragment F on UserConnection { nodes { ...G } } fragment G on User { id @skip(if: $v) }`,
			`query($v: Boolean = true) { __schema { types @include(if: $v) { name } } }`,
			`query($v: Boolean = true) @snapshot { users { totalCount @include(if: $v) } }`,
			`mutation($v: Boolean = true) { createUser(input: {name: "A", email: "a@example.com"}) { user { id @include(if: $v) } } }`,
			`subscription($v: Boolean = true) { userChanged { kind @include(if: $v) } }`,
		} {
			body, err := json.Marshal(map[string]any{"query": document, "variables": map[string]any{"v": nil}})
			if err != nil {
				t.Fatal(err)
			}
			for range 2 { // the second time its document is known
				status, a := d.post(string(body))
				wantRefused(t, document, status, a)
				if len(a.Errors) != 1 || a.Errors[0].Extensions["code"] != "BAD_USER_INPUT" || !strings.Contains(a.Errors[0].Message, "$v") || !strings.Contains(a.raw, `"locations"`) {
					t.Errorf("%s: got %s", document, a.raw)
				}
			}
		}
		if n := d.must(`query($v: Boolean = true) { users { totalCount @include(if: $v) } }`).at(t, "users.totalCount"); n != 0.0 {
			t.Errorf("want no user, got %v", n)
		}
		for document, reason := range map[string]string{
			`query($v: [ID!] = ["User:1"]) { nodes(ids: $v) { id } }`:                                                       "$v: nodes(ids:) expects [ID!]!, got null",
			`query($v: [ID!] = ["User:1"]) { ...F } fragment F on Query { nodes(ids: $v) { id } }`:                          "$v: nodes(ids:) expects [ID!]!, got null",
			`mutation($v: CreateUserInput = {name: "a", email: "b@example.com"}) { createUser(input: $v) { user { id } } }`: "$v: createUser(input:) expects CreateUserInput!, got null",
			`mutation($v: DeleteUserInput = {id: "User:1"}) { deleteUser(input: $v) { deletedUserId } }`:                    "$v: deleteUser(input:) expects DeleteUserInput!, got null",
		} {
			for range 2 {
				if a := d.send(document, "v", nil); a.code(t) != "BAD_USER_INPUT" || a.Errors[0].Message != reason {
					t.Errorf("%s: got %s", document, a.raw)
				}
			}
		}
		// Elsewhere the field is refused that is given the null, and the others are answered.
		for _, document := range []string{
			`query($v: ID = "User:1") { user(id: $v) { id } __typename }`,
			`query($v: String = "a") { userByEmail(email: $v) { id } __typename }`,
			`query($v: ID = "User:1") { nodes(ids: [$v]) { id } }`,
			`query($v: Boolean = true) { __type(name: "User") { fields(includeDeprecated: $v) { name } } }`,
			`mutation($v: String = "A") { createUser(input: {name: $v, email: "a@example.com"}) { user { id } } }`,
			`mutation($v: ID = "User:1") { deleteUser(input: {id: $v}) { deletedUserId } }`,
		} {
			if a := d.send(document, "v", nil); a.code(t) != "BAD_USER_INPUT" {
				t.Errorf("%s: got %s", document, a.raw)
			}
		}
		if log := d.log.String(); strings.Contains(log, "panic") || strings.Contains(log, "level=ERROR") {
			t.Errorf("the log: %s", log)
		}
	})
}

func TestAnIDMayBeAnyWholeNumberInADocumentAsInAVariable(t *testing.T) {
	onEveryDatabase(t, func(t *testing.T, d *directory) {
		d.create("Ada", "ada@example.com", nil)
		for _, number := range []string{"0", "-1", "9223372036854775807", "9223372036854775808", "-9223372036854775809", "1" + strings.Repeat("0", 40)} {
			for document, withVariable := range map[string]string{
				`{ user(id: %s) { id } }`:                                                       `query($v: ID!) { user(id: $v) { id } }`,
				`{ nodes(ids: %s) { id } }`:                                                     `query($v: [ID!]!) { nodes(ids: $v) { id } }`,
				`{ nodes(ids: ["User:1", %s]) { id } }`:                                         `query($v: ID!) { nodes(ids: ["User:1", $v]) { id } }`,
				`query($v: ID! = %s) { user(id: $v) { id } }`:                                   `query($v: ID!) { user(id: $v) { id } }`,
				`mutation { deleteUser(input: {id: %s}) { deletedUserId } }`:                    `mutation($v: ID!) { deleteUser(input: {id: $v}) { deletedUserId } }`,
				`mutation { updateUser(input: {id: "User:1", managerId: %s}) { user { id } } }`: `mutation($v: ID!) { updateUser(input: {id: "User:1", managerId: $v}) { user { id } } }`,
			} {
				literal, variable := d.send(fmt.Sprintf(document, number)), d.send(withVariable, "v", json.Number(number))
				if literal.code(t) != "BAD_USER_INPUT" || literal.Errors[0].Message != variable.Errors[0].Message {
					t.Errorf("%s with %s: got %s, with a variable %s", document, number, literal.raw, variable.raw)
				}
			}
		}
		for _, literal := range []string{"1e3", "1.0", "9223372036854775808.0"} {
			if a := d.send(`{ user(id: ` + literal + `) { id } }`); a.code(t) != "GRAPHQL_VALIDATION_FAILED" {
				t.Errorf("%s: got %s", literal, a.raw)
			}
		}
		if a := d.send(`{ users(first: 9223372036854775808) { totalCount } }`); a.code(t) != "GRAPHQL_VALIDATION_FAILED" || !strings.Contains(a.Errors[0].Message, "32-bit") {
			t.Errorf("got %s", a.raw)
		}
	})
}

func TestTheOperationToRunIsNamedWhereThereAreSeveral(t *testing.T) {
	onEveryDatabase(t, func(t *testing.T, d *directory) {
		const two = `"query":"query A { a: __typename } query B { b: __typename }"`
		for body, want := range map[string]string{
			`{` + two + `,"operationName":"B"}`:                        `{"data":{"b":"Query"}}`,
			`{"query":"query A { a: __typename }","operationName":""}`: `{"data":{"a":"Query"}}`,
			`{"query":"{ a: __typename }","operationName":""}`:         `{"data":{"a":"Query"}}`,
			`{` + two + `}`:                                     `"message":"the document has 2 operations: say which one to run in operationName"`,
			`{` + two + `,"operationName":null}`:                `"message":"the document has 2 operations: say which one to run in operationName"`,
			`{` + two + `,"operationName":""}`:                  `"message":"the document has 2 operations: say which one to run in operationName"`,
			`{` + two + `,"operationName":"C"}`:                 `"message":"the document has no operation named \"C\""`,
			`{"query":"{ a: __typename }","operationName":"C"}`: `"message":"the document has no operation named \"C\""`,
			`{"query":"query($v: Int!) { users(first: $v) { totalCount } }","operationName":"C"}`: `"message":"the document has no operation named \"C\""`,
			`{"query":"fragment F on User { id }","operationName":"C"}`:                           `"message":"no operation provided"`,
			`{"query":"","operationName":"C"}`:                                                    `"message":"no operation provided"`,
		} {
			for range 2 { // the second time its document is known
				if _, a := d.post(body); !strings.Contains(a.raw, want) || len(a.Errors) > 0 && a.code(t) != "GRAPHQL_VALIDATION_FAILED" {
					t.Errorf("%s: want %s, got %s", body, want, a.raw)
				}
			}
		}
	})
}

func TestIntrospectionAnswersNullForWhatATypeDoesNotHave(t *testing.T) {
	address := serve(t, func(*graph.Config) {})
	const fields = `{ kind specifiedByURL fields { __typename } interfaces { __typename } possibleTypes { __typename } enumValues { __typename } inputFields { __typename } isOneOf ofType { __typename } }`
	for name, has := range map[string]string{
		"User": "fields interfaces", "Node": "fields interfaces possibleTypes", "Role": "enumValues", "CreateUserInput": "inputFields isOneOf", "ID": "", "__Type": "fields interfaces",
	} {
		for _, document := range []string{
			`{ t: __type(name: "` + name + `") ` + fields + ` }`,
			`query Q { ...F } fragment F on Query { t: __type (name: "` + name + `") { ...G } } fragment G on __Type ` + fields,
			`{ __schema { types { name } } t: __type(name: "` + name + `") ` + fields + ` __typename }`,
		} {
			var answer struct {
				Data struct{ T map[string]any }
			}
			text := sent(t, address, operation{Query: document})
			if err := json.Unmarshal([]byte(text), &answer); err != nil || answer.Data.T["kind"] == nil {
				t.Fatalf("%s: %s", name, text)
			}
			for _, field := range []string{"specifiedByURL", "fields", "interfaces", "possibleTypes", "enumValues", "inputFields", "isOneOf", "ofType"} {
				if wants := strings.Contains(has, field); (answer.Data.T[field] != nil) != wants {
					t.Errorf("%s: %s is %v", name, field, answer.Data.T[field])
				}
			}
		}
	}
	// A list and a value that must not be null have none of them.
	text := sent(t, address, operation{Query: `{ __type(name: "UserConnection") { fields { type { kind fields { name } isOneOf ofType { kind enumValues { name } } } } } }`})
	if !strings.Contains(text, `{"kind":"NON_NULL","fields":null,"isOneOf":null,"ofType":{"kind":"LIST","enumValues":null}}`) {
		t.Errorf("got %s", text)
	}
}

func TestAListedDocumentIsJudgedAsItWillBeRun(t *testing.T) {
	var log bytes.Buffer
	serve(t, func(cfg *graph.Config) {
		cfg.Logger = slog.New(slog.NewTextHandler(&log, nil))
		cfg.Documents = document.NewListed(document.List{
			"good-pair":   {Text: `{ userByEmail(email: "\ud83d\ude00") { id } }`},
			"good-point":  {Text: `{ userByEmail(email: "\u{1F600}") { id } }`},
			"good-number": {Text: `{ user(id: 9223372036854775808) { id } }`},
			"bad-half":    {Text: `{ userByEmail(email: "\ud83d") { id } }`},
			"bad-keys":    {Text: `subscription { a: userChanged { kind } b: userChanged { kind } }`},
		})
	})
	for _, id := range []string{"bad-half", "bad-keys"} {
		if !strings.Contains(log.String(), "document="+id) {
			t.Errorf("no warning of %s: %s", id, &log)
		}
	}
	if strings.Contains(log.String(), "document=good") {
		t.Errorf("a warning: %s", &log)
	}
}

func TestFieldsOfOneNameWithDifferentArgumentsAreRefusedAndNeverBecomeOne(t *testing.T) {
	onEveryDatabase(t, func(t *testing.T, d *directory) {
		one := d.create("One", "one@example.com", nil)
		for _, document := range []string{
			`mutation { createUser(input: {name: "A", email: "a@example.com"}) { user { name } } createUser(input: {name: "B", email: "b@example.com"}) { user { id } } }`,
			`mutation { createUser(input: {name: "A", email: "a@example.com"}) { user { name } } ...F } fragment F on Mutation { createUser(input: {name: "B", email: "b@example.com"}) { user { id } } }`,
			`{ nodes(ids: ["User:1"]) { id } nodes(ids: ["User:2"]) { id } }`,
			`{ nodes(ids: ["User:1"]) { id } nodes(ids: ["User:1", "User:1"]) { id } }`,
			`query($a: ID = "User:1", $b: ID = "User:2") { nodes(ids: [$a]) { id } nodes(ids: [$b]) { id } }`,
			`subscription { userChanged(ids: ["User:1"]) { kind } userChanged(ids: ["User:2"]) { userId } }`,
		} {
			if a := d.send(document); a.code(t) != "GRAPHQL_VALIDATION_FAILED" || !strings.Contains(a.Errors[0].Message, "differing arguments") {
				t.Errorf("%s: got %s", document, a.raw)
			}
		}
		if n := d.must(`{ users { totalCount } }`).at(t, "users.totalCount"); n != 1.0 {
			t.Errorf("want one user, got %v", n)
		}
		// Those whose arguments are equal are one.
		d.must(`query($i: ID!) { nodes(ids: [$i]) { id } nodes(ids: [$i]) { __typename } }`, "i", one)
		d.must(`mutation { createUser(input: {name: "A", email: "a@example.com"}) { user { name } } createUser(input: {email: "a@example.com", name: "A"}) { user { id } } }`)
	})
}
