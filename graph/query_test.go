package graph_test

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
)

func TestAnObjectIsFoundByItsID(t *testing.T) {
	onDemoData(t, func(t *testing.T, d *directory) {
		a := d.must(`{
			user(id: "User:42") { id name email manager { id } createdAt updatedAt }
			team(id: "Team:7") { id name createdAt }
			node(id: "Team:7") { __typename id ... on Team { name } }
			nodes(ids: ["Team:2", "User:9999", "User:3", "Team:2"]) { __typename id ... on User { email } }
			none: user(id: "User:9999") { id }
			noTeam: team(id: "Team:9999") { id }
			noNode: node(id: "User:9999") { id }
		}`)
		if got := a.at(t, "user.id"); got != "User:42" {
			t.Errorf("user: got %v", got)
		}
		if a.at(t, "user.manager.id") == nil || a.at(t, "user.name") == "" || a.at(t, "user.createdAt") == "" {
			t.Errorf("fields are missing: %s", a.raw)
		}
		if a.at(t, "node.__typename") != "Team" || a.at(t, "node.name") != a.at(t, "team.name") {
			t.Errorf("node: got %s", a.raw)
		}
		if a.at(t, "nodes.0.id") != "Team:2" || a.at(t, "nodes.1") != nil || a.at(t, "nodes.2.id") != "User:3" ||
			a.at(t, "nodes.3.id") != "Team:2" || a.at(t, "nodes.2.email") == "" {
			t.Errorf("nodes: got %s", a.raw)
		}
		for _, none := range []string{"none", "noTeam", "noNode"} {
			if a.at(t, none) != nil {
				t.Errorf("%s: want null, got %s", none, a.raw)
			}
		}
	})
}

func TestAMalformedIDIsBadInput(t *testing.T) {
	onEveryDatabase(t, func(t *testing.T, d *directory) {
		for query, field := range map[string]string{
			`{ user(id: "42") { id } }`:                        "id",
			`{ user(id: "Team:1") { id } }`:                    "id",
			`{ user(id: "User:01") { id } }`:                   "id",
			`{ user(id: "User:-1") { id } }`:                   "id",
			`{ user(id: "User:99999999999999999999") { id } }`: "id",
			`{ team(id: "User:1") { id } }`:                    "id",
			`{ node(id: "Role:1") { id } }`:                    "id",
			`{ nodes(ids: ["User:1", ""]) { id } }`:            "ids.1",
		} {
			a := d.send(query)
			if a.code(t) != "BAD_USER_INPUT" || a.Errors[0].Extensions["field"] != field {
				t.Errorf("%s: got %s", query, a.raw)
			}
		}
	})
}

func TestAUserIsFoundByEmailInAnyCase(t *testing.T) {
	onEveryDatabase(t, func(t *testing.T, d *directory) {
		id := d.create("Ada", "Ada.Lovelace@Example.com", nil)
		a := d.must(`{ userByEmail(email: " ADA.lovelace@example.COM") { id email } none: userByEmail(email: "nobody@example.com") { id } }`)
		if a.at(t, "userByEmail.id") != id || a.at(t, "userByEmail.email") != "ada.lovelace@example.com" || a.at(t, "none") != nil {
			t.Errorf("got %s", a.raw)
		}
	})
}

func TestNoDatabaseIsAskedForAnEmailThatNobodyCanHave(t *testing.T) {
	onEveryDatabase(t, func(t *testing.T, d *directory) {
		for what, email := range map[string]string{"null character": "a\x00@example.com", "very long": strings.Repeat("a", 2_000) + "@example.com"} {
			d.wantStatements(t, 0, func() {
				a := d.send(`query($email: String!) { userByEmail(email: $email) { id } }`, "email", email)
				if len(a.Errors) > 0 || a.at(t, "userByEmail") != nil {
					t.Errorf("%s: got %.200s", what, a.raw)
				}
			})
		}
	})
}

func TestPagesFollowEachOtherAndCoverTheListOnce(t *testing.T) {
	onDemoData(t, func(t *testing.T, d *directory) {
		for _, list := range []struct {
			name, query, path string
			want              int
		}{
			{"all users", `query($first: Int, $after: String) { list: users(first: $first, after: $after) { totalCount nodes { id } pageInfo { hasNextPage hasPreviousPage endCursor } } }`, "list", 1000},
			{"all teams", `query($first: Int, $after: String) { list: teams(first: $first, after: $after) { totalCount nodes { id } pageInfo { hasNextPage hasPreviousPage endCursor } } }`, "list", 50},
			{"a user's reports", `query($first: Int, $after: String) { user(id: "User:1") { list: reports(first: $first, after: $after) { totalCount nodes { id } pageInfo { hasNextPage hasPreviousPage endCursor } } } }`, "user.list", -1},
			{"a user's teams", `query($first: Int, $after: String) { user(id: "User:1") { list: teams(first: $first, after: $after) { totalCount nodes { id } pageInfo { hasNextPage hasPreviousPage endCursor } } } }`, "user.list", 3},
			{"a team's members", `query($first: Int, $after: String) { team(id: "Team:1") { list: members(first: $first, after: $after) { totalCount nodes { id } pageInfo { hasNextPage hasPreviousPage endCursor } } } }`, "team.list", -1},
		} {
			t.Run(list.name, func(t *testing.T) { walk(t, d, list.query, list.path, list.want) })
		}
	})
}

// walk reads a list page by page. The list has want items, or as many as it says where want is negative.
func walk(t *testing.T, d *directory, query, path string, want int) {
	t.Helper()
	var ids []string
	for after := any(nil); ; {
		a := d.must(query, "first", 7, "after", after)
		if total := int(a.at(t, path+".totalCount").(float64)); want < 0 {
			want = total
		} else if total != want {
			t.Fatalf("totalCount: want %d, got %d", want, total)
		}
		for _, n := range a.at(t, path+".nodes").([]any) {
			ids = append(ids, n.(map[string]any)["id"].(string))
		}
		if a.at(t, path+".pageInfo.hasPreviousPage") != (after != nil) {
			t.Errorf("hasPreviousPage after %v: want %t", after, after != nil)
		}
		after = a.at(t, path+".pageInfo.endCursor")
		if a.at(t, path+".pageInfo.hasNextPage") == false {
			break
		}
	}
	if len(ids) != want || want == 0 {
		t.Fatalf("want %d items, got %d", want, len(ids))
	}
	number := func(id string) (n int) {
		_, _ = fmt.Sscanf(id[strings.Index(id, ":")+1:], "%d", &n)
		return n
	}
	for i := 1; i < len(ids); i++ {
		if number(ids[i]) <= number(ids[i-1]) {
			t.Fatalf("%s comes after %s", ids[i], ids[i-1])
		}
	}
}

func TestACursorStaysGoodWhenItsRowIsGone(t *testing.T) {
	onEveryDatabase(t, func(t *testing.T, d *directory) {
		d.create("One", "one@example.com", nil)
		two := d.create("Two", "two@example.com", nil)
		three := d.create("Three", "three@example.com", nil)
		cursor := d.must(`{ users(first: 2) { pageInfo { endCursor } } }`).at(t, "users.pageInfo.endCursor")
		d.must(`mutation($id: ID!) { deleteUser(input: {id: $id}) { deletedUserId } }`, "id", two)
		four := d.create("Four", "four@example.com", nil)
		a := d.must(`query($after: String) { users(after: $after) { nodes { id } } }`, "after", cursor)
		if a.at(t, "users.nodes.0.id") != three || a.at(t, "users.nodes.1.id") != four {
			t.Errorf("got %s", a.raw)
		}
	})
}

func TestAPageHasBounds(t *testing.T) {
	onDemoData(t, func(t *testing.T, d *directory) {
		a := d.must(`{ none: users(first: 0) { nodes { id } pageInfo { hasNextPage startCursor endCursor } }
			omitted: users { nodes { id } } most: users(first: 100) { nodes { id } } }`)
		if len(a.at(t, "none.nodes").([]any)) != 0 || a.at(t, "none.pageInfo.hasNextPage") != true || a.at(t, "none.pageInfo.endCursor") != nil {
			t.Errorf("first: 0 gives %v", a.at(t, "none"))
		}
		if n := len(a.at(t, "omitted.nodes").([]any)); n != 20 {
			t.Errorf("an omitted first gives %d users", n)
		}
		if n := len(a.at(t, "most.nodes").([]any)); n != 100 {
			t.Errorf("first: 100 gives %d users", n)
		}
		teamCursor := d.must(`{ teams(first: 1) { pageInfo { endCursor } } }`).at(t, "teams.pageInfo.endCursor")
		for _, query := range []string{
			`{ users(first: 101) { nodes { id } } }`,
			`{ users(first: -1) { nodes { id } } }`,
			`{ users(after: "nonsense") { nodes { id } } }`,
			`{ users(after: "` + teamCursor.(string) + `") { nodes { id } } }`,
			`{ user(id: "User:1") { reports(first: 101) { nodes { id } } } }`,
			`{ nodes(ids: [` + strings.Repeat(`"User:1" `, 101) + `]) { id } }`,
		} {
			if a := d.send(query); a.code(t) != "BAD_USER_INPUT" {
				t.Errorf("%s: got %s", query, a.raw)
			}
		}
	})
}

func TestAMembershipEdgeTellsTheRoleAndWhenItBegan(t *testing.T) {
	onDemoData(t, func(t *testing.T, d *directory) {
		a := d.must(`{ team(id: "Team:1") { members(first: 100) { edges { cursor role joinedAt node { id teams { edges { role joinedAt node { id } } } } } } } }`)
		owners := 0
		for _, e := range a.at(t, "team.members.edges").([]any) {
			edge := e.(map[string]any)
			if edge["role"] == "OWNER" {
				owners++
			}
			found := false
			for _, back := range edge["node"].(map[string]any)["teams"].(map[string]any)["edges"].([]any) {
				b := back.(map[string]any)
				if b["node"].(map[string]any)["id"] == "Team:1" {
					found = b["role"] == edge["role"] && b["joinedAt"] == edge["joinedAt"] && b["joinedAt"] != ""
				}
			}
			if !found {
				t.Errorf("the user's edge does not match the team's: %v", edge)
			}
		}
		if owners == 0 {
			t.Error("nobody owns the team")
		}
	})
}

// The page is far down the tree, so that none of its managers is in it.
const nestedQuery = `query($first: Int!, $after: String = "AVN9Sc0DXfQD") {
	users(first: $first, after: $after) { nodes { name manager { name } teams { nodes { name members(first: 10) { nodes { name } } } } } }
}`

func TestAPageOfUsersWithManagersTeamsAndMembersIsFourStatements(t *testing.T) {
	onDemoData(t, func(t *testing.T, d *directory) {
		for _, first := range []int{2, 10, 50, 100} {
			d.wantStatements(t, 4, func() { d.must(nestedQuery, "first", first) })
		}
	})
}

func TestAListOfManyParentsIsOneStatementForEachStartedChunk(t *testing.T) {
	onDemoData(t, func(t *testing.T, d *directory) {
		const query = `query($first: Int!) { users(first: $first) { nodes { reports(first: 1) { nodes { name } } } } }`
		d.wantStatements(t, 2, func() { d.must(query, "first", 100) })
		// The 99 users below the first and one more have two reports each: 199 or so parents on the second level.
		d.wantStatements(t, 2+2, func() {
			d.must(`{ users(first: 100) { nodes { reports(first: 2) { nodes { reports(first: 2) { nodes { name } } } } } } }`)
		})
	})
}

func TestATotalCountIsOneMoreStatement(t *testing.T) {
	onDemoData(t, func(t *testing.T, d *directory) {
		// The page, its reports and teams, and a count of each of the three.
		d.wantStatements(t, 3+3, func() {
			d.must(`{ users(first: 50) { totalCount nodes { reports(first: 1) { totalCount nodes { id } } teams { totalCount nodes { name } } } } }`)
		})
	})
}

func TestTwentyAliasedUsersAreOneStatement(t *testing.T) {
	onDemoData(t, func(t *testing.T, d *directory) {
		var query strings.Builder
		query.WriteString("{")
		for i := range 20 {
			fmt.Fprintf(&query, ` u%d: user(id: "User:%d") { name }`, i, i*7+1)
		}
		query.WriteString(" }")
		d.wantStatements(t, 1, func() { d.must(query.String()) })
	})
}

func TestAskingForNoDataIssuesNoStatement(t *testing.T) {
	onEveryDatabase(t, func(t *testing.T, d *directory) {
		d.wantStatements(t, 0, func() {
			d.must(`{ __typename __schema { types { name fields { name type { name } } } } }`)
			if code := d.send(`{ nothing }`).code(t); code != "GRAPHQL_VALIDATION_FAILED" {
				t.Errorf("got %s", code)
			}
			if code := d.send(`{`).code(t); code != "GRAPHQL_PARSE_FAILED" {
				t.Errorf("got %s", code)
			}
		})
	})
}

func TestEveryTypeAndFieldIsDescribed(t *testing.T) {
	onEveryDatabase(t, func(t *testing.T, d *directory) {
		a := d.must(`{ __schema { types { name description fields { name description args { name description } } inputFields { name description } enumValues { name description } } } }`)
		for _, v := range a.at(t, "__schema.types").([]any) {
			typ := v.(map[string]any)
			name := typ["name"].(string)
			if strings.HasPrefix(name, "__") {
				continue
			}
			described(t, name, typ)
			for _, kind := range []string{"fields", "inputFields", "enumValues"} {
				parts, _ := typ[kind].([]any)
				for _, p := range parts {
					part := p.(map[string]any)
					described(t, name+"."+part["name"].(string), part)
					args, _ := part["args"].([]any)
					for _, arg := range args {
						described(t, fmt.Sprintf("%s.%s(%s)", name, part["name"], arg.(map[string]any)["name"]), arg.(map[string]any))
					}
				}
			}
		}
	})
}

func described(t *testing.T, what string, v map[string]any) {
	t.Helper()
	if d, _ := v["description"].(string); d == "" {
		t.Errorf("%s has no description", what)
	}
}

func TestADeferredFieldComesLaterWhereTheClientTakesParts(t *testing.T) {
	onDemoData(t, func(t *testing.T, d *directory) {
		for _, header := range []string{"", "Accept: multipart/mixed", "Accept: text/event-stream"} {
			name, value, _ := strings.Cut(header, ": ")
			req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, d.url,
				strings.NewReader(`{"query": "{ user(id: \"User:42\") { id ... @defer { manager { name } } } }"}`))
			if err != nil {
				t.Fatal(err)
			}
			req.Header.Set("Content-Type", "application/json")
			if name != "" {
				req.Header.Set(name, value)
			}
			res, err := http.DefaultClient.Do(req)
			if err != nil {
				t.Fatal(err)
			}
			body, _ := io.ReadAll(res.Body)
			_ = res.Body.Close()
			parts := header != ""
			if !strings.Contains(string(body), `"manager":{"name"`) || strings.Contains(string(body), `"hasNext":true`) != parts {
				t.Errorf("%s: got %s", header, body)
			}
		}
	})
}

// Apollo Kotlin, for one, takes a fragment for absent until a part with its label has come.
func TestEachDeferredFragmentComesUnderItsLabel(t *testing.T) {
	onDemoData(t, func(t *testing.T, d *directory) {
		for _, c := range []struct {
			query  string
			labels int
			parts  []string
		}{
			{`{ user(id: "User:42") { id ... on User @defer(label: "card") { name } ... on User @defer(label: "teams") { teams { totalCount } } } }`, 2, []string{
				`{"data":{"name":"`, `"path":["user"],"label":"card"}`, `{"data":{"teams":{"totalCount":`, `"path":["user"],"label":"teams"}`,
			}},
			{`{ user(id: "User:1") { ... @defer(label: "top") { manager { id } } } }`, 1, []string{`{"data":{"manager":null},"path":["user"],"label":"top"}`}},
			{`{ node(id: "Team:1") { __typename ... on User @defer(label: "user") { name } ... on Team @defer(label: "team") { name } } }`, 1, []string{`"path":["node"],"label":"team"}`}},
			{`{ ... @defer(label: "root") { user(id: "User:42") { id } } }`, 1, []string{`{"data":{"user":{"id":"User:42"}},"path":[],"label":"root"}`}},
		} {
			req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, d.url, strings.NewReader(fmt.Sprintf(`{"query": %q}`, c.query)))
			if err != nil {
				t.Fatal(err)
			}
			req.Header.Set("Content-Type", "application/json")
			req.Header.Set("Accept", "multipart/mixed;deferSpec=20220824, application/json")
			res, err := http.DefaultClient.Do(req)
			if err != nil {
				t.Fatal(err)
			}
			body, _ := io.ReadAll(res.Body)
			_ = res.Body.Close()
			for _, part := range c.parts {
				if strings.Count(string(body), part) != 1 {
					t.Errorf("%s: want %s once, got %s", c.query, part, body)
				}
			}
			if strings.Count(string(body), `"label"`) != c.labels || strings.Count(string(body), `"hasNext":false`) != 1 {
				t.Errorf("%s: want %d labels and an end, got %s", c.query, c.labels, body)
			}
		}
	})
}
