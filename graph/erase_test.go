package graph_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"rollcall/changelog"
	"rollcall/model"
)

// secret is in all values of a user that is to be erased, and in none of others.
const secret = "quetzal"

// secretUser adds a user all whose values are secret.
func (d *directory) secretUser(pairs ...any) string {
	d.tb.Helper()
	return d.user(secret, append([]any{
		"name", secret + " name", "title", secret + " title", "department", secret, "phone", "+49 30 7770777", "location", secret,
		"photoUrl", "https://example.com/" + secret, "externalId", secret,
	}, pairs...)...)
}

// leaks returns the rows of all tables that have a secret in them.
func (d *directory) leaks(t *testing.T) (found []string) {
	t.Helper()
	tables := map[string]string{
		"sqlite":   "SELECT name FROM sqlite_master WHERE type = 'table'",
		"mysql":    "SELECT table_name FROM information_schema.tables WHERE table_schema = DATABASE()",
		"postgres": "SELECT table_name FROM information_schema.tables WHERE table_schema = current_schema()",
	}[d.db.Dialect().Name()]
	var names []string
	if err := d.db.Write.Raw(tables).Scan(&names).Error; err != nil || len(names) < 8 {
		t.Fatalf("the tables are %q, %v", names, err)
	}
	for _, name := range names {
		var rows []map[string]any
		if err := d.db.Write.Raw("SELECT * FROM " + name).Scan(&rows).Error; err != nil {
			t.Fatal(err)
		}
		for _, row := range rows {
			for column, value := range row {
				if bytes, ok := value.([]byte); ok {
					value = string(bytes)
				}
				if text := fmt.Sprint(value); strings.Contains(text, secret) || strings.Contains(text, "7770777") {
					found = append(found, fmt.Sprintf("%s.%s: %s", name, column, text))
				}
			}
		}
	}
	return found
}

func (d *directory) wantNoLeak(t *testing.T) {
	t.Helper()
	if found := d.leaks(t); len(found) > 0 {
		t.Errorf("these are left:\n%s", strings.Join(found, "\n"))
	}
}

// log returns the changes that have positions.
func (d *directory) allChanges(t *testing.T) []*model.Change {
	t.Helper()
	d.changes.Wake()
	d.settle()
	page, err := d.changes.Read(t.Context(), changelog.Query{Limit: 10_000})
	if err != nil {
		t.Fatal(err)
	}
	return page.Changes
}

// wantErased fails unless the log has values of every object but a user and the user's memberships, and its last row says that.
func (d *directory) wantErased(t *testing.T, user string) {
	t.Helper()
	all := d.allChanges(t)
	for _, c := range all {
		of := c.UserID != nil && model.UserID(*c.UserID) == user
		if of != c.Erased || of != (string(c.Fields) == "[]") {
			t.Errorf("%d %s of %s is erased: %t, with %s", c.Position, c.Kind, c.GlobalID(), c.Erased, c.Fields)
		}
	}
	last := all[len(all)-1]
	if last.Kind != model.Erased || last.GlobalID() != user || !last.EndsOperation {
		t.Errorf("the last is %+v", *last)
	}
}

func TestOfAnErasedUserNothingIsLeftButIds(t *testing.T) {
	onEveryDatabase(t, func(t *testing.T, d *directory) {
		heir := d.user("heir")
		boss := d.secretUser("managerId", heir)
		report := d.user("report", "managerId", boss)
		team := d.team("Team")
		d.change("addTeamMembers", input{"teamId": team, "members": []input{{"userId": boss}, {"userId": heir}}}, "")
		d.change("setTeamMemberRole", input{"teamId": team, "userId": boss, "role": "OWNER"}, "")
		d.change("updateUser", input{"id": boss, "title": "other " + secret}, "")
		if len(d.leaks(t)) == 0 {
			t.Fatal("nothing of the user is found even now")
		}
		a := d.try("eraseUser", input{"id": boss, "reportsTo": heir, "expectedVersion": 2})
		if len(a.Errors) > 0 || a.at(t, "eraseUser.erasedUserId") != boss {
			t.Fatalf("got %s", a.raw)
		}
		d.wantNoLeak(t)
		d.wantErased(t, boss)
		d.stored(t)
		var kinds []string
		all := d.allChanges(t)
		for _, c := range all[len(all)-4:] {
			kinds = append(kinds, fmt.Sprint(c.Kind, " ", c.GlobalID(), " ", c.Version))
		}
		want := []string{"UPDATED " + report + " 2", "DELETED Membership:1 2", "DELETED " + boss + " 2", "ERASED " + boss + " 2"}
		if !slices.Equal(kinds, want) {
			t.Errorf("got %q, want %q", kinds, want)
		}
		if text := string(all[len(all)-4].Fields); text != fmt.Sprintf(`[{"name":"managerId","before":%q,"after":%q}]`, boss, heir) {
			t.Errorf("the report's change is %s", text)
		}
	})
}

func TestWhatAMutationWritesBeforeItErasesIsErasedToo(t *testing.T) {
	onEveryDatabase(t, func(t *testing.T, d *directory) {
		ada, team := d.user("ada"), d.team("Team")
		d.must(`mutation($id: ID!, $name: String!, $team: ID!) {
			updateUser(input: {id: $id, name: $name}) { user { id } }
			addTeamMembers(input: {teamId: $team, members: [{userId: $id}]}) { team { id } }
			eraseUser(input: {id: $id}) { erasedUserId }
		}`, "id", ada, "name", secret, "team", team)
		d.wantNoLeak(t)
		d.wantErased(t, ada)
		a := d.must(`mutation($name: String!, $email: String!) {
			createUser(input: {name: $name, email: $email}) { user { id } }
			eraseUser(input: {id: "User:2"}) { erasedUserId }
		}`, "name", secret, "email", secret+"@example.com")
		if a.at(t, "createUser.user.id") != "User:2" {
			t.Errorf("got %s", a.raw)
		}
		d.wantNoLeak(t)
	})
}

func TestAnErasureIsToldOnceAndWithTheVersionThatTheSameMutationHasMade(t *testing.T) {
	onEveryDatabase(t, func(t *testing.T, d *directory) {
		ada := d.secretUser()
		d.must(`mutation($id: ID!) {
			a: updateUser(input: {id: $id, title: "other"}) { user { version } }
			b: deleteUser(input: {id: $id}) { deletedUserId }
			c: eraseUser(input: {id: $id}) { erasedUserId }
			d: eraseUser(input: {id: $id}) { erasedUserId }
		}`, "id", ada)
		d.wantNoLeak(t)
		d.wantErased(t, ada)
		var told []string
		for _, c := range d.allChanges(t) {
			told = append(told, fmt.Sprint(c.Kind, " ", c.Version))
		}
		if want := []string{"CREATED 1", "UPDATED 2", "DELETED 2", "ERASED 2"}; !slices.Equal(told, want) {
			t.Errorf("the log tells %q, not %q", told, want)
		}
	})
}

func TestOfManyWhoEraseAUserWhoWasDeletedOneIsTold(t *testing.T) {
	onEveryDatabase(t, func(t *testing.T, d *directory) {
		ada := d.secretUser()
		d.change("deleteUser", input{"id": ada}, "")
		var all sync.WaitGroup
		for range 8 {
			all.Go(func() {
				if a := d.try("eraseUser", input{"id": ada}); len(a.Errors) > 0 {
					t.Errorf("eraseUser: %s", a.raw)
				}
			})
		}
		all.Wait()
		d.wantErased(t, ada)
		if n := len(d.allChanges(t)); n != 3 {
			t.Errorf("the log has %d changes", n)
		}
	})
}

// TestAUserWhoWasDeletedBeforeIsErasedFromTheLog has no server that gives positions, but on SQLite, where mutations do.
func TestAUserWhoWasDeletedBeforeIsErasedFromTheLog(t *testing.T) {
	onEveryDatabase(t, func(t *testing.T, d *directory) {
		d.changes.DB = nil
		d.user("other")
		ada := d.secretUser()
		team := d.team("Team")
		d.change("addTeamMembers", input{"teamId": team, "members": []input{{"userId": ada}}}, "")
		d.change("updateUser", input{"id": ada, "title": nil}, "")
		d.change("deleteUser", input{"id": ada}, "")
		if len(d.leaks(t)) == 0 {
			t.Fatal("the log has nothing of the user")
		}
		for range 2 { // again, to no effect
			if id := d.change("eraseUser", input{"id": ada, "reportsTo": "User:999", "expectedVersion": 77}, "erasedUserId"); id != ada {
				t.Errorf("erased is %v", id)
			}
		}
		d.wantNoLeak(t)
		d.changes.DB = d.db.Side
		d.wantErased(t, ada)
		all := d.allChanges(t)
		if last, before := all[len(all)-1], all[len(all)-2]; last.Version != 2 || before.Kind != model.Deleted {
			t.Errorf("the last are %+v and %+v", *before, *last)
		}
	})
}

func TestWhatCannotBeErasedIsToldAndStays(t *testing.T) {
	onEveryDatabase(t, func(t *testing.T, d *directory) {
		boss := d.secretUser()
		d.user("report", "managerId", boss)
		before, log := len(d.leaks(t)), asJSON(t, d.allChanges(t))
		d.wantUnchanged(t, "refused", func() {
			d.try("eraseUser", input{"id": boss}).refused(t, "reports", "CONFLICT", "input.id")
			d.try("eraseUser", input{"id": boss, "expectedVersion": 7}).conflict(t, "another version", "input.expectedVersion", 1)
			d.try("eraseUser", input{"id": boss, "reportsTo": "User:999"}).refused(t, "no such heir", "BAD_USER_INPUT", "input.reportsTo")
			d.try("eraseUser", input{"id": "User:999"}).refused(t, "no such user", "NOT_FOUND", "input.id")
			d.try("eraseUser", input{"id": "Team:1"}).refused(t, "a team", "BAD_USER_INPUT", "input.id")
			a := d.send(`mutation($id: ID!) { eraseUser(input: {id: $id, reportsTo: "User:2"}) { erasedUserId } deleteUser(input: {id: "User:999"}) { deletedUserId } }`, "id", boss)
			if len(a.Errors) == 0 {
				t.Errorf("got %s", a.raw)
			}
		})
		if after := asJSON(t, d.allChanges(t)); after != log || len(d.leaks(t)) != before {
			t.Errorf("the log was %s, and is %s", log, after)
		}
	})
}

// TestNoValueOutlivesAnErasureWhatOthersWriteMeanwhile erases users while others change them, and put them into teams and take them out.
func TestNoValueOutlivesAnErasureWhatOthersWriteMeanwhile(t *testing.T) {
	onEveryDatabase(t, func(t *testing.T, d *directory) {
		const users, writers = 6, 4
		team := d.team("Team")
		heir := d.user("heir")
		for n := range users {
			user := d.user(fmt.Sprint(secret, n), "name", secret, "managerId", heir)
			var all sync.WaitGroup
			refused := make([]string, writers)
			for w := range writers {
				all.Go(func() {
					for i := 0; refused[w] == ""; i++ {
						in, mutation := input{"id": user, "title": fmt.Sprint(secret, w, i)}, "updateUser"
						switch {
						case w == 2 && i%2 == 0:
							in, mutation = input{"teamId": team, "members": []input{{"userId": user}}}, "addTeamMembers"
						case w == 2:
							in, mutation = input{"teamId": team, "userIds": []string{user}}, "removeTeamMembers"
						case w == 3:
							in, mutation = input{"users": []input{{"id": user, "name": fmt.Sprint(secret, i)}}}, "updateUsers"
						}
						if a := d.try(mutation, in); len(a.Errors) > 0 {
							refused[w] = fmt.Sprint(a.Errors[0].Extensions["code"])
						}
					}
				})
			}
			all.Go(func() {
				for range 3 {
					d.must(`{ users { nodes { id } } }`)
				}
				if a := d.try("eraseUser", input{"id": user}); len(a.Errors) > 0 {
					t.Errorf("eraseUser: %s", a.raw)
				}
			})
			all.Wait()
			if slices.ContainsFunc(refused, func(code string) bool { return code != "NOT_FOUND" }) {
				t.Errorf("the writers end with %q", refused)
			}
			d.wantNoLeak(t)
		}
		d.stored(t)
		for _, c := range d.allChanges(t) {
			var fields []struct{ Name string }
			if err := json.Unmarshal(c.Fields, &fields); err != nil {
				t.Fatal(err)
			}
			if erased := c.UserID != nil && model.UserID(*c.UserID) != heir; erased != c.Erased || erased != (len(fields) == 0) {
				t.Errorf("%d %s of %s has %s", c.Position, c.Kind, c.GlobalID(), c.Fields)
			}
		}
	})
}

// TestAnErasureWaitsForNoOtherMutation has one that has inserted a change of another user and not committed.
func TestAnErasureWaitsForNoOtherMutation(t *testing.T) {
	onEveryDatabase(t, func(t *testing.T, d *directory) {
		if d.db.Dialect().Embedded() {
			return // one transaction writes at a time
		}
		ada := d.secretUser()
		other := d.db.Write.Begin()
		defer other.Rollback()
		err := other.Exec(`INSERT INTO changes (at, kind, type, object_id, version, user_id, operation_id, ends_operation, fields)
			VALUES (0, 'CREATED', 'USER', 99, 1, 99, 'other', ?, '[]')`, true).Error
		if err != nil {
			t.Fatal(err)
		}
		if a := d.try("eraseUser", input{"id": ada}); len(a.Errors) > 0 { // else it is a TIMEOUT
			t.Errorf("got %s", a.raw)
		}
	})
}
