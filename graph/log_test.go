package graph_test

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"

	"rollcall/changelog"
)

const logQuery = `query($after: String, $first: Int, $kinds: [ChangeKind!], $types: [ChangeType!], $ids: [ID!]) {
	changes(after: $after, first: $first, kinds: $kinds, types: $types, ids: $ids) {
		nodes { cursor at kind type objectId version object { __typename id ... on User { name } } fields { name before after } erased operationId endsOperation actor }
		edges { cursor node { objectId } } pageInfo { hasNextPage hasPreviousPage startCursor endCursor } upToDate } }`

const addToTeam = `mutation($team: ID!, $user: ID!) { addTeamMembers(input: {teamId: $team, members: [{userId: $user}]}) { memberships { id } } }`

// aFewChanges makes those of fewChanges.
func (d *directory) aFewChanges() {
	d.tb.Helper()
	ada := d.create("Ada", "ada@example.com", nil)
	ben := d.create("Ben", "ben@example.com", ada)
	d.must(renameUser, "id", ada, "name", "Ada L.")
	team := d.must(`mutation { createTeam(input: {name: "Red"}) { team { id } } }`).at(d.tb, "createTeam.team.id").(string)
	d.must(addToTeam, "team", team, "user", ben)
	d.must(deleteMutation, "id", ben)
	d.create("Cleo", "cleo@example.com", nil)
	d.must(renameUser, "id", ada, "name", "Ada Lovelace")
}

var fewChanges = []string{
	"CREATED User:1 1", "CREATED User:2 1", "UPDATED User:1 2", "CREATED Team:1 1", "CREATED Membership:1 1",
	"DELETED Membership:1 1", "DELETED User:2 1", "CREATED User:3 1", "UPDATED User:1 3",
}

// asOf is where the log is once all that was stored so far has its place in it.
func (d *directory) asOf() string {
	d.tb.Helper()
	d.settle()
	return d.must(`{ asOf }`).at(d.tb, "asOf").(string)
}

// short is the changes at a path of an answer, in short.
func (a answer) short(tb testing.TB, path string) (all []string) {
	tb.Helper()
	for _, node := range a.at(tb, path).([]any) {
		c := node.(map[string]any)
		all = append(all, fmt.Sprintf("%s %s %v", c["kind"], c["objectId"], c["version"]))
	}
	return all
}

func TestChangesComeInTheirOrderWithTheirObjects(t *testing.T) {
	onEveryDatabase(t, func(t *testing.T, d *directory) {
		d.aFewChanges()
		a := d.must(logQuery)
		d.wantStatements(t, 4, func() { d.must(logQuery) }) // the page, and one for each type of objects
		if got := a.short(t, "changes.nodes"); !slices.Equal(got, fewChanges) {
			t.Errorf("got %q", got)
		}
		for i, want := range []string{"Ada Lovelace", "", "Ada Lovelace", "", "", "", "", "Cleo", "Ada Lovelace"} {
			node := a.at(t, fmt.Sprintf("changes.nodes.%d", i)).(map[string]any)
			object, _ := node["object"].(map[string]any)
			if name, _ := object["name"].(string); name != want || (object == nil) != slices.Contains([]int{1, 4, 5, 6}, i) {
				t.Errorf("the object of the change %d is %v", i, object)
			}
			if ends := node["endsOperation"]; ends != (i != 5) || node["erased"] != false || node["actor"] != nil {
				t.Errorf("got %v", node)
			}
			if edge := a.at(t, fmt.Sprintf("changes.edges.%d", i)).(map[string]any); edge["cursor"] != node["cursor"] {
				t.Errorf("got %v", edge)
			}
		}
		if a.at(t, "changes.nodes.5.operationId") != a.at(t, "changes.nodes.6.operationId") || a.at(t, "changes.nodes.6.operationId") == a.at(t, "changes.nodes.7.operationId") {
			t.Errorf("got %s", a.raw)
		}
		fields, _ := json.Marshal(a.at(t, "changes.nodes.2.fields"))
		if want := `[{"after":"\"Ada L.\"","before":"\"Ada\"","name":"name"}]`; string(fields) != want {
			t.Errorf("want %s, got %s", want, fields)
		}
		var names []string
		for _, f := range a.at(t, "changes.nodes.1.fields").([]any) {
			names = append(names, fmt.Sprint(f.(map[string]any)["name"]))
			if f.(map[string]any)["before"] != nil || f.(map[string]any)["after"] == nil {
				t.Errorf("got %v", f)
			}
		}
		if want := []string{"name", "email", "status", "managerId", "createdAt"}; !slices.Equal(names, want) {
			t.Errorf("got %q", names)
		}
		last := a.at(t, "changes.nodes.8.cursor")
		info := map[string]any{"hasNextPage": false, "hasPreviousPage": false, "startCursor": a.at(t, "changes.nodes.0.cursor"), "endCursor": last}
		if got := a.at(t, "changes.pageInfo"); fmt.Sprint(got) != fmt.Sprint(info) || a.at(t, "changes.upToDate") != true {
			t.Errorf("got %v", got)
		}
	})
}

func TestPagesOfTheLogLeadToItsEndWhateverTheirFilterLetsPass(t *testing.T) {
	onEveryDatabase(t, func(t *testing.T, d *directory) {
		d.aFewChanges()
		end := any(d.asOf())
		d.changes.MaxScan = 2
		only := func(part string) (want []string) {
			for _, change := range fewChanges {
				if strings.Contains(change, part) {
					want = append(want, change)
				}
			}
			return want
		}
		for _, c := range []struct {
			filter []any
			want   []string
		}{
			{nil, fewChanges},
			{[]any{"kinds", []string{"UPDATED"}}, only("UPDATED")},
			{[]any{"kinds", []string{"DELETED", "DELETED"}}, only("DELETED")},
			{[]any{"kinds", []string{"ERASED"}}, nil},
			{[]any{"types", []string{"USER"}}, only("User")},
			{[]any{"types", []string{"USER", "TEAM"}, "kinds", []string{"CREATED"}}, []string{fewChanges[0], fewChanges[1], fewChanges[3], fewChanges[7]}},
			{[]any{"ids", []string{"User:1"}}, only("User:1")},
			{[]any{"ids", []string{"User:2", "Membership:1", "Team:1", "User:99"}}, []string{fewChanges[1], fewChanges[3], fewChanges[4], fewChanges[5], fewChanges[6]}},
			{[]any{"ids", []string{"User:2", "Team:1"}, "types", []string{"TEAM"}}, only("Team")},
			{[]any{"ids", []string{"Team:9"}}, nil},
		} {
			for _, size := range []int{1, 2, 100} {
				var got []string
				var after any
				for pages := 0; ; pages++ {
					a := d.must(logQuery, append([]any{"after", after, "first", size}, c.filter...)...)
					got = append(got, a.short(t, "changes.nodes")...)
					after = a.at(t, "changes.pageInfo.endCursor")
					if upToDate := a.at(t, "changes.upToDate"); upToDate == a.at(t, "changes.pageInfo.hasNextPage") || pages > 12 {
						t.Fatalf("got %s", a.raw)
					} else if upToDate == true {
						break
					}
				}
				if !slices.Equal(got, c.want) || after != end {
					t.Errorf("%v, %d at a time: got %q until %v, and the log ends at %v", c.filter, size, got, after, end)
				}
			}
		}
		a := d.must(logQuery, "first", 0)
		if b := d.must(logQuery, "after", a.at(t, "changes.pageInfo.endCursor"), "first", 100); !slices.Equal(b.short(t, "changes.nodes"), fewChanges) {
			t.Errorf("after a page of none: %s", b.raw)
		}
		later := d.must(logQuery, "after", end)
		if later.at(t, "changes.pageInfo.endCursor") != end || later.at(t, "changes.pageInfo.startCursor") != nil {
			t.Errorf("got %s", later.raw)
		}
	})
}

func TestWhatIsWrongInAQueryOfTheLogIsTold(t *testing.T) {
	onEveryDatabase(t, func(t *testing.T, d *directory) {
		d.aFewChanges()
		other := changelog.At(3, "an operation of another database").String()
		many := make([]string, 101)
		for i := range many {
			many[i] = fmt.Sprintf("User:%d", i+1)
		}
		for _, c := range []struct {
			variables   []any
			code, field string
		}{
			{[]any{"after", other}, "CURSOR_EXPIRED", "after"},
			{[]any{"after", "nonsense"}, "BAD_USER_INPUT", "after"},
			{[]any{"after", ""}, "BAD_USER_INPUT", "after"},
			{[]any{"after", "AVN9Sc0DXfQD"}, "BAD_USER_INPUT", "after"},
			{[]any{"first", -1}, "BAD_USER_INPUT", "first"},
			{[]any{"first", 101}, "BAD_USER_INPUT", "first"},
			{[]any{"ids", []string{"User:1", "Role:2"}}, "BAD_USER_INPUT", "ids.1"},
			{[]any{"ids", []string{"User:01"}}, "BAD_USER_INPUT", "ids.0"},
			{[]any{"ids", []string{}}, "BAD_USER_INPUT", "ids"},
			{[]any{"ids", many}, "BAD_USER_INPUT", "ids"},
			{[]any{"kinds", []string{}}, "BAD_USER_INPUT", "kinds"},
			{[]any{"types", []string{}}, "BAD_USER_INPUT", "types"},
		} {
			a := d.send(logQuery, c.variables...)
			if code := a.code(t); code != c.code || a.Errors[0].Extensions["field"] != c.field {
				t.Errorf("%v: got %s", c.variables, a.raw)
			}
		}
		d.exec(t, "UPDATE changes_clock SET expired = 4")
		d.exec(t, "DELETE FROM changes WHERE position <= 3") // and 4 is about to be
		if a := d.must(logQuery); !slices.Equal(a.short(t, "changes.nodes"), fewChanges[4:]) {
			t.Errorf("got %s", a.raw)
		}
		for _, alone := range []bool{true, false} { // an error of one cursor is not another's
			query := `{ a: changes(first: 2) { nodes { cursor } } }`
			if !alone {
				query = `{ a: changes(first: 2) { nodes { cursor } } b: changes(after: "` + other + `") { upToDate } }`
			}
			if a := d.send(query); alone == (len(a.Errors) > 0) {
				t.Errorf("got %s", a.raw)
			}
		}
	})
}

func TestTheLogCostsAsOtherListsDo(t *testing.T) {
	onEveryDatabase(t, func(t *testing.T, d *directory) {
		for query, want := range map[string]float64{
			`{ changes(first: 10) { nodes { kind } } }`:                                          12,   // 1 + 10 × 1.1
			`{ changes { edges { node { object { id } } } } }`:                                   63,   // 1 + 20 × 3.1
			`{ users(first: 10) { nodes { history(first: 5) { nodes { fields { name } } } } } }`: 1171, // 1 + 10 × (1 + 1 + 5 × (1 + 20 × 1.1))
			`{ asOf users(first: 0) { asOf } }`:                                                  2,
		} {
			a := d.postAs(map[string]any{"query": query, "extensions": map[string]any{"cost": true}}, "application/json")
			var extensions struct {
				Extensions struct{ Cost struct{ Requested float64 } }
			}
			if err := json.Unmarshal([]byte(a.raw), &extensions); err != nil || extensions.Extensions.Cost.Requested != want {
				t.Errorf("%s costs %v, not %v: %s", query, extensions.Extensions.Cost.Requested, want, a.raw)
			}
		}
	})
}

// asOfIn are queries of which asOf is part somewhere, with the number of their statements without it.
var asOfIn = []struct {
	query      string
	statements int
}{
	{`{ asOf }`, 0},
	{`{ users(first: 2) { asOf } }`, 0},
	{`{ users(first: 2) { nodes { name } asOf } asOf again: asOf }`, 1},
	{`{ users(first: 3) { totalCount nodes { reports { asOf nodes { teams { asOf nodes { members { asOf nodes { name } } } } } } } } teams(first: 2) { nodes { children { asOf totalCount } } } }`, 8},
	{`{ user(id: "User:2") { name ...F } } fragment F on User { allReports(first: 2) { ... { asOf } nodes { history(first: 1) { asOf nodes { kind } } } } }`, 3},
	{`query($yes: Boolean = true) { users(first: 1) { asOf @include(if: $yes) nodes { name } } }`, 1},
	{`query @snapshot { users(first: 1) { nodes { name } asOf } }`, 1},
	{`{ changes(first: 1) { asOf nodes { kind } } }`, 1},
}

func TestAsOfIsReadBeforeEverythingElseAndOnce(t *testing.T) {
	onDemoData(t, func(t *testing.T, d *directory) {
		d.create("Ada", "ada@example.com", nil)
		now := d.asOf()
		isAsOf := func(statement string) bool {
			return strings.Contains(statement, "changes_clock") && !strings.Contains(statement, "LEFT JOIN")
		}
		for _, c := range asOfIn {
			var a answer
			statements := d.sql.During(func() { a = d.must(c.query) })
			if len(statements) != c.statements+1 || !isAsOf(statements[0]) {
				t.Errorf("%s: want %d statements and asOf first, got\n%s", c.query, c.statements+1, strings.Join(statements, "\n"))
			}
			if n := strings.Count(a.raw, `"asOf":"`+now+`"`); n != strings.Count(a.raw, `"asOf":`) || n == 0 {
				t.Errorf("%s: asOf should be %s: %s", c.query, now, a.raw)
			}
		}
		for _, query := range []string{
			`{ users(first: 2) { nodes { name } } }`, `query($no: Boolean = false) { users(first: 2) { asOf @include(if: $no) nodes { name } } }`,
			`{ users(first: 2) { ... @skip(if: true) { asOf } nodes { name } } }`,
		} {
			if statements := d.sql.During(func() { d.must(query) }); len(statements) != 1 || isAsOf(statements[0]) {
				t.Errorf("%s: got %q", query, statements)
			}
		}
		d.allowArrays(10)
		queries := make([]string, len(asOfIn)-2)
		for i, c := range asOfIn[:len(queries)] {
			queries[i] = c.query
		}
		if statements := d.sql.During(func() { d.sendArray(queries...) }); !isAsOf(statements[0]) || slices.ContainsFunc(statements[1:], isAsOf) {
			t.Errorf("an array: got\n%s", strings.Join(statements, "\n"))
		}
	})
}

func TestAsOfInAMutationIsReadBeforeItsPayload(t *testing.T) {
	onDemoData(t, func(t *testing.T, d *directory) {
		d.create("Ada", "ada@example.com", nil)
		asOf := any(d.asOf())
		var a answer
		statements := d.sql.During(func() {
			a = d.must(`mutation { a: updateUser(input: {id: "User:2", name: "A"}) { user { manager { name } } } b: updateUser(input: {id: "User:3", name: "B"}) { user { manager { name } reports(first: 1) { asOf nodes { name } } } } }`)
		})
		if got := a.at(t, "b.user.reports.asOf"); got != asOf {
			t.Errorf("asOf is %v, and was %v", got, asOf)
		}
		reads := func(part string) int {
			return slices.IndexFunc(statements, func(s string) bool { return strings.HasPrefix(s, "SELECT") && strings.Contains(s, part) })
		}
		clock := reads("EXISTS (SELECT 1 FROM changes")
		manager := slices.IndexFunc(statements[clock+1:], func(s string) bool { return strings.Contains(s, "users WHERE id IN") })
		if clock < 0 || manager < 0 || strings.Count(strings.Join(statements, "\n"), "EXISTS (SELECT 1 FROM changes") != 1 {
			t.Errorf("got\n%s", strings.Join(statements, "\n"))
		}
		page := d.must(logQuery, "after", asOf)
		if got := page.short(t, "changes.nodes"); len(got) != 2 || !strings.HasPrefix(got[0], "UPDATED User:2") {
			t.Errorf("after the asOf of a mutation should come what it has done itself: %q", got)
		}
	})
}

// replica is what a client has of the directory: objects by their ids, each with its version.
type replica map[string]float64

// follow applies the changes after a cursor, and returns the cursor up to which all are applied.
func (r replica) follow(t *testing.T, d *directory, after any) any {
	t.Helper()
	for {
		a := d.must(logQuery, "after", after, "first", 7)
		for _, node := range a.at(t, "changes.nodes").([]any) {
			c := node.(map[string]any)
			id, version := c["objectId"].(string), c["version"].(float64)
			switch {
			case c["kind"] == "DELETED":
				delete(r, id)
			case version > r[id]:
				r[id] = version
			}
		}
		after = a.at(t, "changes.pageInfo.endCursor")
		if a.at(t, "changes.upToDate") == true {
			return after
		}
	}
}

// list reads all users, a page at a time, and returns the asOf of the first page.
func (r replica) list(t *testing.T, d *directory) (asOf any) {
	t.Helper()
	var after any
	for {
		a := d.must(`query($after: String) { users(first: 5, after: $after) { asOf nodes { id version } pageInfo { hasNextPage endCursor } } }`, "after", after)
		if asOf == nil {
			asOf = a.at(t, "users.asOf")
		}
		for _, node := range a.at(t, "users.nodes").([]any) {
			u := node.(map[string]any)
			r[u["id"].(string)] = u["version"].(float64)
		}
		if a.at(t, "users.pageInfo.hasNextPage") != true {
			return asOf
		}
		after = a.at(t, "users.pageInfo.endCursor")
	}
}

func TestWhoListsAndThenFollowsHasWhatIsStored(t *testing.T) {
	onEveryDatabase(t, func(t *testing.T, d *directory) {
		for i := range 30 {
			d.create("N", fmt.Sprintf("n%d@example.com", i), nil)
		}
		var clients sync.WaitGroup
		for client := range 3 {
			clients.Go(func() {
				for i := range 30 {
					id := fmt.Sprintf("User:%d", 1+rand.IntN(40))
					switch rand.IntN(3) {
					case 0:
						d.send(`mutation($input: CreateUserInput!) { createUser(input: $input) { user { id } } }`, "input", map[string]any{"name": "M", "email": fmt.Sprintf("m%d-%d@example.com", client, i)})
					case 1:
						d.send(renameUser, "id", id, "name", fmt.Sprintf("N%d-%d", client, i))
					default:
						d.send(deleteMutation, "id", id)
					}
				}
			})
		}
		r := replica{}
		after := r.list(t, d)
		for range 3 {
			after = r.follow(t, d, after)
		}
		clients.Wait()
		r.follow(t, d, after)
		stored := replica{}
		stored.list(t, d)
		for id := range r {
			if !strings.HasPrefix(id, "User:") {
				delete(r, id)
			}
		}
		if fmt.Sprint(r) != fmt.Sprint(stored) {
			t.Errorf("the client has %v, and stored is %v", r, stored)
		}
	})
}

const historyQuery = `query($id: ID!, $first: Int, $after: String, $last: Int, $before: String) { node(id: $id) {
	... on User { history(first: $first, after: $after, last: $last, before: $before) { ...H } } ... on Team { history(first: $first, after: $after, last: $last, before: $before) { ...H } } } }
	fragment H on HistoryConnection { nodes { kind objectId version fields { name before after } } edges { cursor node { version } } pageInfo { hasNextPage hasPreviousPage startCursor endCursor } totalCount totalCountUpTo(limit: 2) }`

func TestAHistoryHasAnObjectsOwnChangesNewestFirst(t *testing.T) {
	onEveryDatabase(t, func(t *testing.T, d *directory) {
		d.aFewChanges()
		want := []string{"UPDATED User:1 3", "UPDATED User:1 2", "CREATED User:1 1"}
		a := d.must(historyQuery, "id", "User:1")
		if got := a.short(t, "node.history.nodes"); !slices.Equal(got, want) || a.at(t, "node.history.totalCount") != 3.0 || a.at(t, "node.history.totalCountUpTo") != 2.0 {
			t.Errorf("got %s", a.raw)
		}
		if a := d.must(historyQuery, "id", "Team:1"); !slices.Equal(a.short(t, "node.history.nodes"), []string{"CREATED Team:1 1"}) {
			t.Errorf("got %s", a.raw)
		}
		for _, way := range [][2]string{{"first", "after"}, {"last", "before"}} {
			var got []string
			var at any
			for {
				a := d.must(historyQuery, "id", "User:1", way[0], 1, way[1], at)
				page := a.short(t, "node.history.nodes")
				more, cursor := "hasNextPage", "endCursor"
				if way[0] == "last" {
					more, cursor = "hasPreviousPage", "startCursor"
					got = append(page, got...)
				} else {
					got = append(got, page...)
				}
				if at = a.at(t, "node.history.pageInfo."+cursor); a.at(t, "node.history.pageInfo."+more) != true {
					break
				}
			}
			if !slices.Equal(got, want) {
				t.Errorf("%s: got %q", way[0], got)
			}
		}
		if a := d.must(`{ user(id: "User:2") { history { totalCount } } changes(ids: ["User:2"]) { nodes { kind objectId version } } }`); a.at(t, "user") != nil ||
			!slices.Equal(a.short(t, "changes.nodes"), []string{"CREATED User:2 1", "DELETED User:2 1"}) {
			t.Errorf("of a user who is gone: %s", a.raw)
		}
		log := d.must(`{ changes(first: 1) { pageInfo { endCursor } } }`).at(t, "changes.pageInfo.endCursor")
		if a := d.send(historyQuery, "id", "User:1", "after", log); a.code(t) != "BAD_USER_INPUT" {
			t.Errorf("a cursor of the log: got %s", a.raw)
		}
		own := d.must(`mutation { updateUser(input: {id: "User:1", name: "Ada B."}) { user { history(first: 1) { nodes { kind objectId version } } } } }`)
		if got := own.short(t, "updateUser.user.history.nodes"); !slices.Equal(got, want[:1]) {
			t.Errorf("a mutation sees what was stored before: got %q", got)
		}
	})
}

func TestHistoriesOfManyObjectsAreOneStatement(t *testing.T) {
	onDemoData(t, func(t *testing.T, d *directory) {
		d.must(renameUser, "id", "User:1", "name", "Ada")
		d.settle()
		for query, statements := range map[string]int{
			`{ users(first: 100) { nodes { history(first: 2) { nodes { kind version } } } } }`:                                                                                           2,
			`{ users(first: 100) { nodes { a: history(first: 2) { nodes { kind } } b: history(first: 2) { totalCount edges { cursor } } } } }`:                                           3,
			`{ users(first: 9) { nodes { history(first: 1) { nodes { object { id ... on User { manager { name } } } } } } } }`:                                                           2, // the users are there
			`{ teams(first: 9) { nodes { history(first: 1) { nodes { object { id ... on Team { parent { name } } } } } } } user(id: "User:2") { history { nodes { object { id } } } } }`: 4,
			`{ users(first: 3) { nodes { history { totalCount } } } teams(first: 3) { nodes { history(last: 1) { nodes { kind } } } } }`:                                                 5,
		} {
			d.wantStatements(t, statements, func() { d.must(query) })
		}
		a := d.must(`{ users(first: 3) { nodes { history(first: 2) { nodes { kind objectId version } } } } }`)
		for i, want := range [][]string{{"UPDATED User:1 2", "CREATED User:1 1"}, {"CREATED User:2 2"}, {"CREATED User:3 3"}} {
			if got := a.short(t, fmt.Sprintf("users.nodes.%d.history.nodes", i)); !slices.Equal(got, want) {
				t.Errorf("got %q, want %q", got, want)
			}
		}
	})
}

func TestWhatAnotherServerHasJustCommittedIsInTheLogAndInHistories(t *testing.T) {
	onEveryDatabase(t, func(t *testing.T, d *directory) {
		if d.db.Dialect().Embedded() {
			return // whose mutations give the positions
		}
		ada := d.create("Ada", "ada@example.com", nil)
		d.settle()
		for i, read := range []struct {
			query, path string
			statements  int
		}{
			{`query($after: String) { changes(first: 10, after: $after) { nodes { kind objectId version } upToDate } }`, "changes.nodes", 1},
			{`{ user(id: "User:1") { history(first: 1) { nodes { kind objectId version } } } }`, "user.history.nodes", 2},
		} {
			after, version := d.asOf(), i+2
			ask := func(statements int) []string {
				var a answer
				d.wantStatements(t, statements, func() { a = d.must(read.query, "after", after) })
				return a.short(t, read.path)
			}
			ask(read.statements)
			d.changedElsewhere(t, version)
			want := []string{fmt.Sprintf("UPDATED %s %d", ada, version)}
			if got := ask(read.statements + 1); !slices.Equal(got, want) {
				t.Errorf("got %q, want %q", got, want)
			}
			if got := ask(read.statements); !slices.Equal(got, want) {
				t.Errorf("then %q, want %q", got, want)
			}
		}
	})
}

func TestWhoReadsTheLogIsAnsweredWhileNobodyCanGivePositions(t *testing.T) {
	onEveryDatabase(t, func(t *testing.T, d *directory) {
		if d.db.Dialect().Embedded() {
			return // whose mutations give the positions
		}
		d.create("Ada", "ada@example.com", nil)
		d.settle()
		tx, err := d.db.Side.BeginTx(t.Context(), nil)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = tx.Rollback() }()
		if _, err := tx.ExecContext(t.Context(), "UPDATE changes_clock SET position = position"); err != nil {
			t.Fatal(err)
		}
		d.changedElsewhere(t, 2)
		var more strings.Builder // pages, for each of which to wait would take longer than the deadline
		for n := range 12 {
			fmt.Fprintf(&more, " p%d: changes(first: %d) { upToDate }", n, 11+n)
		}
		a := d.must(`{ changes(first: 10) { nodes { kind objectId version } upToDate } user(id: "User:1") { history(first: 9) { nodes { kind objectId version } } }` +
			more.String() + ` }`)
		want := []string{"CREATED User:1 1"}
		if changes, history := a.short(t, "changes.nodes"), a.short(t, "user.history.nodes"); !slices.Equal(changes, want) || !slices.Equal(history, want) || a.at(t, "changes.upToDate") != false {
			t.Errorf("got %s", a.raw)
		}
	})
}
