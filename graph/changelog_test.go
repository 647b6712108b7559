package graph_test

import (
	"fmt"
	"regexp"
	"strings"
	"testing"
	"time"

	"rollcall/changelog"
	"rollcall/database"
	"rollcall/database/databasetest"
)

// logged returns the changes after a cursor, in short, and the next cursor.
func (d *directory) logged(after *changelog.Cursor) (changes []string, until changelog.Cursor) {
	d.tb.Helper()
	d.settle()
	page, err := d.changes.Read(d.tb.Context(), changelog.Query{After: after, Limit: 1000})
	if err != nil {
		d.tb.Fatal(err)
	}
	for _, c := range page.Changes {
		text := fmt.Sprintf("%d %s %s %d %s", c.Position, c.Kind, c.GlobalID(), c.Version, c.Fields)
		if c.EndsOperation {
			text += "."
		}
		changes = append(changes, text)
	}
	return changes, page.Until
}

func TestEachChangeIsLoggedWithWhatItChanged(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, db *database.Database) {
		d := newDirectory(t, db)
		ada := d.create("Ada", "ada@example.com", nil)
		bob := d.create("Bob", "bob@example.com", &ada)
		d.must(updateMutation, "input", input{"id": bob, "title": "Engineer", "managerId": nil})
		d.must(updateMutation, "input", input{"id": bob, "title": "Engineer"}) // changes nothing
		d.must(`mutation { createTeam(input: {name: "Core"}) { team { id } } addTeamMembers(input: {teamId: "Team:1", members: [{userId: "User:2", role: OWNER}]}) { team { id } } }`)
		if a := d.send(createAndFail); a.code(t) != "NOT_FOUND" {
			t.Fatalf("got %s", a.raw)
		}
		d.must(deleteMutation, "id", bob)
		changes, until := d.logged(nil)
		times := regexp.MustCompile(`"\d{4}-[^"]+Z"`)
		got := times.ReplaceAllString(strings.Join(changes, "\n"), `"T"`)
		const want = `1 CREATED User:1 1 [{"name":"name","before":null,"after":"Ada"},{"name":"email","before":null,"after":"ada@example.com"},{"name":"status","before":null,"after":"ACTIVE"},{"name":"createdAt","before":null,"after":"T"}].
2 CREATED User:2 1 [{"name":"name","before":null,"after":"Bob"},{"name":"email","before":null,"after":"bob@example.com"},{"name":"status","before":null,"after":"ACTIVE"},{"name":"managerId","before":null,"after":"User:1"},{"name":"createdAt","before":null,"after":"T"}].
3 UPDATED User:2 2 [{"name":"title","before":null,"after":"Engineer"},{"name":"managerId","before":"User:1","after":null}].
4 CREATED Team:1 1 [{"name":"name","before":null,"after":"Core"},{"name":"createdAt","before":null,"after":"T"}]
5 CREATED Membership:1 1 [{"name":"userId","before":null,"after":"User:2"},{"name":"teamId","before":null,"after":"Team:1"},{"name":"role","before":null,"after":"OWNER"},{"name":"joinedAt","before":null,"after":"T"}].
6 DELETED Membership:1 1 [{"name":"userId","before":"User:2","after":null},{"name":"teamId","before":"Team:1","after":null},{"name":"role","before":"OWNER","after":null},{"name":"joinedAt","before":"T","after":null}]
7 DELETED User:2 2 [{"name":"name","before":"Bob","after":null},{"name":"email","before":"bob@example.com","after":null},{"name":"title","before":"Engineer","after":null},{"name":"status","before":"ACTIVE","after":null},{"name":"createdAt","before":"T","after":null}].`
		if at := d.must(`{ node(id: "User:1") { ... on User { createdAt } } }`).at(t, "node.createdAt"); !strings.Contains(changes[0], fmt.Sprint(at)) {
			t.Errorf("want %s, got %s", at, changes[0])
		}
		page, err := d.changes.Read(t.Context(), changelog.Query{Limit: 1})
		if err != nil || !strings.Contains(string(page.Changes[0].Fields), page.Changes[0].At.Format(time.RFC3339Nano)) {
			t.Errorf("got %v, %v", page, err)
		}
		if got != want || until.Position != 7 {
			t.Errorf("until %d:\n%s", until.Position, got)
		}
	})
}

func TestTheLogIsWrittenByOneStatementOfAMutationThatChangesSomething(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, db *database.Database) {
		d := newDirectory(t, db)
		id := d.create("Ada", "ada@example.com", nil)
		many := make([]input, 100)
		for i := range many {
			many[i] = newUser(fmt.Sprint("u", i))
		}
		want := 1
		if db.Dialect().Embedded() { // and the clock
			want = 2
		}
		for _, c := range []struct {
			document string
			in       input
			want     int
		}{
			{updateMutation, input{"id": id, "title": "Engineer"}, want},
			{updateMutation, input{"id": id, "title": "Engineer"}, 0},
			{`mutation($input: CreateUsersInput!) { createUsers(input: $input) { results { error { code } } } }`, input{"users": many}, want},
			{`mutation($input: CreateUsersInput!) { createUsers(input: $input) { results { error { code } } } }`, input{"users": []input{newUser("x")}, "dryRun": true}, 0},
		} {
			statements := d.sql.During(func() { d.must(c.document, "input", c.in) })
			if n := len(statements) - len(d.withoutLog(statements)); n != c.want || strings.Contains(strings.Join(d.withoutLog(statements), " "), "changes_clock") {
				t.Errorf("want %d statements of the log, got %d of %q", c.want, n, statements)
			}
		}
	})
}
