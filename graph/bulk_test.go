package graph_test

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// newUser is an entry of createUsers.
func newUser(email string, pairs ...any) input {
	return with(input{"name": "N", "email": email + "@example.com"}, pairs...)
}

// bulk runs a bulk with entries, and with further fields of its input, in the mode EACH.
func (d *directory) each(mutation, field string, entries []input, pairs ...any) answer {
	d.tb.Helper()
	return d.try(mutation, with(input{field: entries, "mode": "EACH"}, pairs...))
}

func TestABulkHasAResultForEachEntryInOrder(t *testing.T) {
	onEveryDatabase(t, func(t *testing.T, d *directory) {
		boss := d.user("boss")
		a := d.try("createUsers", input{"users": []input{newUser("c", "managerId", boss, "title", "T"), newUser("a", "name", " A  b "), newUser("b")}})
		a.wantResults(t, "createUsers", "", "", "")
		var ids []string
		for i, email := range []string{"c", "a", "b"} {
			at := fmt.Sprintf("createUsers.results.%d.user", i)
			if a.at(t, at+".email") != email+"@example.com" || a.at(t, at+".version") != 1.0 || a.at(t, at+".status") != "ACTIVE" {
				t.Errorf("got %s", a.raw)
			}
			ids = append(ids, a.at(t, at+".id").(string))
			stored := d.must(`query($id: ID!) { user(id: $id) { `+ofUser+` } }`, "id", ids[i])
			if got, want := fmt.Sprint(stored.at(t, "user")), fmt.Sprint(a.at(t, at)); got != want {
				t.Errorf("answered %s, stored %s", want, got)
			}
		}
		a = d.try("updateUsers", input{"users": []input{
			{"id": ids[2], "name": "B", "expectedVersion": 1}, {"id": ids[0], "managerId": nil, "title": ""}, {"id": boss}, {"id": ids[1], "managerId": ids[2]},
		}})
		a.wantResults(t, "updateUsers", "", "", "", "")
		for i, id := range []string{ids[2], ids[0], boss, ids[1]} {
			stored := d.must(`query($id: ID!) { user(id: $id) { `+ofUser+` } }`, "id", id)
			if got, want := fmt.Sprint(stored.at(t, "user")), fmt.Sprint(a.at(t, fmt.Sprintf("updateUsers.results.%d.user", i))); got != want {
				t.Errorf("answered %s, stored %s", want, got)
			}
		}
		if a.at(t, "updateUsers.results.1.user.manager") != nil || a.at(t, "updateUsers.results.2.user.version") != 1.0 {
			t.Errorf("got %s", a.raw)
		}
		a = d.try("createTeams", input{"teams": []input{{"name": "Low", "parentRef": 1}, {"name": "Top"}}})
		a.wantResults(t, "createTeams", "", "")
		low, top := a.at(t, "createTeams.results.0.team.id"), a.at(t, "createTeams.results.1.team.id")
		if a.at(t, "createTeams.results.0.team.parent.id") != top || a.at(t, "createTeams.results.0.team.version") != 1.0 {
			t.Errorf("got %s", a.raw)
		}
		seats := []input{{"teamId": low, "userId": ids[0]}, {"teamId": top, "userId": ids[1], "role": "OWNER"}, {"teamId": top, "userId": ids[0]}}
		a = d.try("addMemberships", input{"memberships": seats})
		a.wantResults(t, "addMemberships", "", "", "")
		if a.at(t, "addMemberships.results.1.membership.user.id") != ids[1] || a.at(t, "addMemberships.results.1.membership.role") != "OWNER" ||
			a.at(t, "addMemberships.results.2.membership.team.id") != top {
			t.Errorf("got %s", a.raw)
		}
		first := a.at(t, "addMemberships.results.0.membership.id")
		a = d.try("setMembershipRoles", input{"memberships": []input{
			{"teamId": low, "userId": ids[0], "role": "OWNER", "expectedVersion": 1}, {"teamId": top, "userId": ids[0], "role": "MEMBER"},
		}})
		a.wantResults(t, "setMembershipRoles", "", "")
		if a.at(t, "setMembershipRoles.results.0.membership.version") != 2.0 || a.at(t, "setMembershipRoles.results.1.membership.version") != 1.0 {
			t.Errorf("got %s", a.raw)
		}
		a = d.try("removeMemberships", input{"memberships": []input{{"teamId": top, "userId": ids[1]}, {"teamId": low, "userId": ids[0], "expectedVersion": 2}}})
		a.wantResults(t, "removeMemberships", "", "")
		if a.at(t, "removeMemberships.results.1.removedMembershipId") != first {
			t.Errorf("got %s", a.raw)
		}
		a = d.try("deleteUsers", input{"users": []input{{"id": ids[2]}, {"id": ids[1], "expectedVersion": 2}}})
		a.wantResults(t, "deleteUsers", "", "")
		if a.at(t, "deleteUsers.results.0.deletedUserId") != ids[2] || a.at(t, "deleteUsers.results.1.deletedUserId") != ids[1] {
			t.Errorf("got %s", a.raw)
		}
		if c := d.stored(t); len(c.Users) != 2 || len(c.Teams) != 2 || len(c.Memberships) != 1 {
			t.Errorf("stored are %+v", c)
		}
	})
}

func TestWhatIsWrongByItselfHidesNothingThatTheDatabaseKnows(t *testing.T) {
	onEveryDatabase(t, func(t *testing.T, d *directory) {
		d.user("ada")
		bob := d.user("bob")
		for mutation, c := range map[string]struct {
			in     input
			faults []string
		}{
			"createUser": {newUser("ada", "name", "", "managerId", "User:999"), []string{
				"BAD_USER_INPUT input.managerId", "BAD_USER_INPUT input.name", "CONFLICT input.email",
			}},
			"updateUser": {input{"id": bob, "name": "", "email": "ada@example.com", "managerId": "User:999", "expectedVersion": 7}, []string{
				"BAD_USER_INPUT input.managerId", "BAD_USER_INPUT input.name", "CONFLICT input.email", "CONFLICT input.expectedVersion",
			}},
			"addMemberships": {input{"memberships": []input{{"teamId": "Team:9", "userId": bob}, {"teamId": "x", "userId": "User:999"}}}, []string{
				"BAD_USER_INPUT input.memberships.1.teamId", "NOT_FOUND input.memberships.0.teamId", "NOT_FOUND input.memberships.1.userId",
			}},
			"createUsers": {input{"users": []input{newUser("eve"), newUser("fay", "managerId", "x", "managerRef", 0)}}, []string{
				"BAD_USER_INPUT input.users.1.managerId", // once
			}},
			"upsertUsers": {input{"by": "EMAIL", "users": []input{newUser("ada"), newUser("bob", "name", ""), newUser("eve", "managerId", "User:999")}}, []string{
				"BAD_USER_INPUT input.users.1.name", "BAD_USER_INPUT input.users.2.managerId",
			}},
		} {
			d.wantUnchanged(t, mutation, func() {
				if a := d.try(mutation, c.in); !slices.Equal(slices.Sorted(slices.Values(a.faults())), c.faults) {
					t.Errorf("%s: got %s", mutation, a.raw)
				}
			})
		}
	})
}

func TestABulkTellsAllThatIsWrong(t *testing.T) {
	onEveryDatabase(t, func(t *testing.T, d *directory) {
		ada, other, team := d.user("ada", "externalId", "7"), d.user("bob"), d.team("Team")
		wrong := []input{newUser("ok"), newUser("x y", "name", "", "managerId", "Team:1"), newUser("ada", "externalId", "7"), newUser("ok"), newUser("z", "managerId", "User:999")}
		d.wantUnchanged(t, "wrong entries", func() {
			a := d.try("createUsers", input{"users": wrong})
			if got := a.faults(); a.Data != nil || !slices.Equal(got, []string{
				"BAD_USER_INPUT input.users.1.name", "BAD_USER_INPUT input.users.1.email", "BAD_USER_INPUT input.users.1.managerId",
				"CONFLICT input.users.2.email", "CONFLICT input.users.2.externalId", "CONFLICT input.users.3.email", "BAD_USER_INPUT input.users.4.managerId",
			}) {
				t.Errorf("got %s", a.raw)
			}
			wrong[1] = newUser("other")
			a = d.try("createUsers", input{"users": wrong})
			if got := a.faults(); a.Data != nil || !slices.Equal(got, []string{
				"CONFLICT input.users.2.email", "CONFLICT input.users.2.externalId",
				"CONFLICT input.users.3.email", "BAD_USER_INPUT input.users.4.managerId",
			}) {
				t.Errorf("got %s", a.raw)
			}
			if a = d.try("createUser", newUser("ada", "externalId", "7", "managerId", "User:999")); !slices.Equal(a.faults(), []string{
				"BAD_USER_INPUT input.managerId", "CONFLICT input.email", "CONFLICT input.externalId",
			}) {
				t.Errorf("got %s", a.raw)
			}
			both := []string{"CONFLICT input.email", "CONFLICT input.externalId"}
			if a = d.try("createUser", newUser("ada", "externalId", "7")); !slices.Equal(a.faults(), both) {
				t.Errorf("got %s", a.raw)
			}
			if a = d.try("updateUser", newUser("ada", "externalId", "7", "id", other)); !slices.Equal(a.faults(), both) {
				t.Errorf("got %s", a.raw)
			}
			// Up to 100 errors, and one that tells how many more there are.
			a = d.try("createUsers", input{"users": many(75, func(int) input { return input{"name": "", "email": "x"} })})
			if got := a.faults(); len(got) != 101 || got[99] != "BAD_USER_INPUT input.users.49.email" || a.Errors[100].Extensions["code"] != "TOO_MANY_ERRORS" ||
				a.Errors[100].Message != "there are 50 more errors" {
				t.Errorf("got %d errors, the last of which is %v", len(got), a.Errors[len(got)-1])
			}
			a = d.try("createUsers", input{"users": many(50, func(int) input { return input{"name": "", "email": "x"} })})
			if got := a.faults(); len(got) != 100 || got[99] != "BAD_USER_INPUT input.users.49.email" {
				t.Errorf("got %d errors", len(got))
			}
			a = d.each("createUsers", "users", many(75, func(int) input { return input{"name": "", "email": "x"} }))
			if got := a.results(t, "createUsers"); len(got) != 75 || got[74] != "BAD_USER_INPUT input.users.74.name" {
				t.Errorf("got %s", a.raw)
			}
			for mutation, field := range bulks {
				none := input{field: []input{}}
				tooMany := input{field: many(1001, func(int) input { return entryOf(mutation, ada, team) })}
				if mutation == "upsertUsers" {
					none["by"], tooMany["by"] = "EMAIL", "EMAIL"
				}
				for _, in := range []input{none, tooMany} {
					a := d.try(mutation, in)
					a.refused(t, mutation, "BAD_USER_INPUT", "input."+field)
				}
				twice := input{field: []input{entryOf(mutation, ada, team), entryOf(mutation, ada, team)}}
				if mutation == "upsertUsers" {
					twice["by"] = "EMAIL"
				}
				a := d.try(mutation, twice)
				if faults := a.faults(); len(faults) == 0 || !strings.Contains(strings.Join(faults, " "), " input."+field+".1.") {
					t.Errorf("%s, an object twice: got %s", mutation, a.raw)
				}
			}
		})
		d.each("createUsers", "users", append(wrong, newUser("y", "managerId", ada))).wantResults(t, "createUsers",
			"", "", "CONFLICT input.users.2.email", "CONFLICT input.users.3.email", "BAD_USER_INPUT input.users.4.managerId", "")
		if n := len(d.stored(t).Users); n != 5 {
			t.Errorf("there are %d users", n)
		}
	})
}

// bulks are the fields that their inputs have their entries in.
var bulks = map[string]string{
	"createUsers": "users", "updateUsers": "users", "upsertUsers": "users", "deleteUsers": "users", "createTeams": "teams",
	"addMemberships": "memberships", "setMembershipRoles": "memberships", "removeMemberships": "memberships",
}

// entryOf is an entry of a bulk about a user and a team.
func entryOf(mutation, user, team string) input {
	switch mutation {
	case "createUsers", "upsertUsers":
		return newUser("new")
	case "updateUsers", "deleteUsers":
		return input{"id": user}
	case "createTeams":
		return input{"name": "New"}
	case "setMembershipRoles":
		return input{"teamId": team, "userId": user, "role": "OWNER"}
	default:
		return input{"teamId": team, "userId": user}
	}
}

func TestTheEntriesOfABulkDoNotMakeRoomForEachOther(t *testing.T) {
	onEveryDatabase(t, func(t *testing.T, d *directory) {
		ada, bob, cyd := d.user("ada", "externalId", "1"), d.user("bob", "externalId", "2"), d.user("cyd")
		d.wantUnchanged(t, "an email that is freed", func() {
			a := d.try("updateUsers", input{"users": []input{{"id": ada, "email": "bob@example.com"}, {"id": bob, "email": "ada@example.com"}}})
			if !slices.Equal(a.faults(), []string{"CONFLICT input.users.0.email", "CONFLICT input.users.1.email"}) {
				t.Errorf("got %s", a.raw)
			}
			a = d.try("upsertUsers", input{"by": "EXTERNAL_ID", "users": []input{newUser("x", "externalId", "1"), newUser("ada", "externalId", "2")}})
			a.refused(t, "an email that is freed", "CONFLICT", "input.users.1.email")
		})
		d.each("updateUsers", "users", []input{
			{"id": ada, "email": "new@example.com"},
			{"id": bob, "email": "ada@example.com"},
			{"id": cyd, "email": "new@example.com"},
			{"id": ada, "name": "Again"},
			{"id": bob, "externalId": "1"},
			{"id": "User:999"},
			{"id": "x"},
			{"id": cyd, "expectedVersion": 2},
		}).wantResults(t, "updateUsers", "", "CONFLICT input.users.1.email", "CONFLICT input.users.2.email", "BAD_USER_INPUT input.users.3.id",
			"BAD_USER_INPUT input.users.4.id", "NOT_FOUND input.users.5.id", "BAD_USER_INPUT input.users.6.id", "BAD_USER_INPUT input.users.7.id")
		if v := d.version(t, bob); v != 1 {
			t.Errorf("the version is %d", v)
		}
		a := d.each("updateUsers", "users", []input{{"id": ada, "name": "X", "expectedVersion": 1}, {"id": bob, "name": "Y", "expectedVersion": 1}})
		a.wantResults(t, "updateUsers", "CONFLICT input.users.0.expectedVersion", "")
		if a.at(t, "updateUsers.results.0.error.currentVersion") != 2.0 {
			t.Errorf("got %s", a.raw)
		}
		a = d.try("updateUsers", input{"users": []input{{"id": bob, "name": "Z"}, {"id": ada, "name": "X", "expectedVersion": 1}}})
		a.conflict(t, "an old version", "input.users.1.expectedVersion", 2)
		d.stored(t)
	})
}

func TestManagersMayBeEntriesOfTheSameBulk(t *testing.T) {
	onEveryDatabase(t, func(t *testing.T, d *directory) {
		a := d.try("createUsers", input{"users": []input{
			newUser("0", "managerRef", 2), newUser("1"), newUser("2", "managerRef", 1), newUser("3", "managerRef", 1, "managerId", nil),
		}})
		a.wantResults(t, "createUsers", "", "", "", "")
		for i, manager := range map[int]int{0: 2, 2: 1, 3: 1} {
			at := fmt.Sprintf("createUsers.results.%d.user", i)
			if a.at(t, at+".manager.id") != a.at(t, fmt.Sprintf("createUsers.results.%d.user.id", manager)) || a.at(t, at+".version") != 1.0 {
				t.Errorf("got %s", a.raw)
			}
			stored := d.must(`query($id: ID!) { user(id: $id) { `+ofUser+` } }`, "id", a.at(t, at+".id"))
			if got, want := fmt.Sprint(stored.at(t, "user")), fmt.Sprint(a.at(t, at)); got != want {
				t.Errorf("answered %s, stored %s", want, got)
			}
		}
		one := d.try("createUsers", input{"users": []input{newUser("below", "managerRef", 1), newUser("above")}}) // an edit of one row
		stored := d.must(`query($id: ID!) { user(id: $id) { `+ofUser+` } }`, "id", one.at(t, "createUsers.results.0.user.id"))
		if got, want := fmt.Sprint(stored.at(t, "user")), fmt.Sprint(one.at(t, "createUsers.results.0.user")); got != want {
			t.Errorf("answered %s, stored %s", want, got)
		}
		boss := a.at(t, "createUsers.results.1.user.id").(string)
		d.wantUnchanged(t, "wrong references", func() {
			for what, users := range map[string][]input{
				"itself":        {newUser("a", "managerRef", 0)},
				"below 0":       {newUser("a", "managerRef", -1)},
				"beyond":        {newUser("a", "managerRef", 1)},
				"both":          {newUser("a", "managerRef", 1, "managerId", boss), newUser("b")},
				"a circle":      {newUser("a", "managerRef", 1), newUser("b", "managerRef", 2), newUser("c", "managerRef", 0)},
				"to a circle":   {newUser("a", "managerRef", 1), newUser("b", "managerRef", 2), newUser("c", "managerRef", 1)},
				"a refused one": {newUser("a", "managerRef", 1), newUser("n0", "email", "0@example.com", "managerRef", 2), newUser("c")},
			} {
				a := d.try("createUsers", input{"users": users})
				if len(a.Errors) == 0 || a.Data != nil || !strings.Contains(fmt.Sprint(a.faults()), "BAD_USER_INPUT input.users.0.managerRef") {
					t.Errorf("%s: got %s", what, a.raw)
				}
			}
			d.try("createUser", newUser("a", "managerRef", 0)).refused(t, "no bulk", "BAD_USER_INPUT", "input.managerRef")
			a := d.try("createTeams", input{"teams": []input{{"name": "A", "parentRef": 1}, {"name": "B", "parentRef": 0}}})
			if !slices.Equal(a.faults(), []string{"BAD_USER_INPUT input.teams.0.parentRef", "BAD_USER_INPUT input.teams.1.parentRef"}) {
				t.Errorf("got %s", a.raw)
			}
		})
		d.each("createUsers", "users", []input{
			newUser("a", "managerRef", 1), newUser("b", "managerRef", 2), newUser("0"), newUser("d", "managerRef", 4), newUser("e"),
			newUser("f", "managerRef", 6), newUser("g", "managerRef", 5), newUser("h", "managerRef", 6),
		}).wantResults(t, "createUsers",
			"BAD_USER_INPUT input.users.0.managerRef", "BAD_USER_INPUT input.users.1.managerRef", "CONFLICT input.users.2.email", "", "",
			"BAD_USER_INPUT input.users.5.managerRef", "BAD_USER_INPUT input.users.6.managerRef", "BAD_USER_INPUT input.users.7.managerRef")
		if n := len(d.stored(t).Users); n != 8 {
			t.Errorf("there are %d users", n)
		}
	})
}

func TestUpsertsAddUsersOrChangeThem(t *testing.T) {
	onEveryDatabase(t, func(t *testing.T, d *directory) {
		boss := d.user("boss")
		ada := d.user("ada", "title", "T", "externalId", "7", "managerId", boss)
		upsert := func(by string, users ...input) answer { return d.try("upsertUsers", input{"by": by, "users": users}) }
		a := upsert("EMAIL", newUser("new"), newUser("ADA", "phone", "+1"))
		a.wantResults(t, "upsertUsers", "", "")
		if a.at(t, "upsertUsers.results.0.created") != true || a.at(t, "upsertUsers.results.1.created") != false || a.at(t, "upsertUsers.results.1.user.id") != ada ||
			a.at(t, "upsertUsers.results.1.user.title") != "T" || a.at(t, "upsertUsers.results.1.user.manager.id") != boss || a.at(t, "upsertUsers.results.1.user.version") != 2.0 {
			t.Errorf("got %s", a.raw)
		}
		a = upsert("EXTERNAL_ID", newUser("lovelace", "externalId", "7", "title", nil), newUser("8", "externalId", "8", "managerRef", 0))
		a.wantResults(t, "upsertUsers", "", "")
		if a.at(t, "upsertUsers.results.0.user.email") != "lovelace@example.com" || a.at(t, "upsertUsers.results.0.user.title") != nil ||
			a.at(t, "upsertUsers.results.0.user.manager.id") != boss || a.at(t, "upsertUsers.results.1.user.manager.id") != ada {
			t.Errorf("got %s", a.raw)
		}
		d.wantUnchanged(t, "refusals", func() {
			upsert("EXTERNAL_ID", newUser("x")).refused(t, "no key", "BAD_USER_INPUT", "input.users.0.externalId")
			upsert("EXTERNAL_ID", newUser("boss", "externalId", "9")).refused(t, "another's email", "CONFLICT", "input.users.0.email")
			upsert("EMAIL", newUser("boss", "externalId", "8")).refused(t, "another's external id", "CONFLICT", "input.users.0.externalId")
			upsert("EMAIL", newUser("Boss"), newUser("boss")).refused(t, "a user twice", "BAD_USER_INPUT", "input.users.1.email")
			// A manager's manager who is one of these, through a user who is new, and directly.
			a := upsert("EMAIL", newUser("boss", "managerRef", 1), newUser("between", "managerRef", 2), newUser("8"))
			a.refused(t, "a circle through a new user", "BAD_USER_INPUT", "input.users.0.managerRef")
			upsert("EMAIL", newUser("boss", "managerRef", 1), newUser("lovelace")).refused(t, "a circle", "BAD_USER_INPUT", "input.users.0.managerRef")
			upsert("EMAIL", newUser("boss", "managerId", ada)).refused(t, "a circle", "BAD_USER_INPUT", "input.users.0.managerId")
			a = upsert("EMAIL", newUser("boss", "managerRef", 1), newUser("x", "managerId", "User:999"))
			if !slices.Equal(a.faults(), []string{"BAD_USER_INPUT input.users.0.managerRef", "BAD_USER_INPUT input.users.1.managerId"}) &&
				!slices.Equal(a.faults(), []string{"BAD_USER_INPUT input.users.1.managerId"}) {
				t.Errorf("below a refused entry: got %s", a.raw)
			}
			same := upsert("EMAIL", newUser("lovelace", "managerRef", 1, "managerId", nil), newUser("boss"))
			if same.wantResults(t, "upsertUsers", "", ""); same.at(t, "upsertUsers.results.0.user.manager.id") != boss {
				t.Errorf("got %s", same.raw)
			}
		})
		d.each("upsertUsers", "users", []input{newUser("boss", "managerRef", 1), newUser("x", "managerId", "User:999"), newUser("y", "managerRef", 0), newUser("z", "managerRef", 1)}, "by", "EMAIL").
			wantResults(t, "upsertUsers", "BAD_USER_INPUT input.users.0.managerRef", "BAD_USER_INPUT input.users.1.managerId", "", "BAD_USER_INPUT input.users.3.managerRef")
		// Turned over, by users who are there and one who is new.
		a = upsert("EMAIL", newUser("lovelace", "managerId", nil), newUser("boss", "managerRef", 2), newUser("between", "managerRef", 0))
		a.wantResults(t, "upsertUsers", "", "", "")
		if a.at(t, "upsertUsers.results.1.user.manager.id") != a.at(t, "upsertUsers.results.2.user.id") || a.at(t, "upsertUsers.results.2.user.manager.id") != ada {
			t.Errorf("got %s", a.raw)
		}
		d.stored(t)
	})
}

func TestManagersAreRemovedTogetherWithTheirReports(t *testing.T) {
	onEveryDatabase(t, func(t *testing.T, d *directory) {
		tree := func(round string) (boss, chief, ada, bob, heir string) {
			boss = d.user("boss" + round)
			chief = d.user("chief"+round, "managerId", boss)
			ada, bob = d.user("ada"+round, "managerId", chief), d.user("bob"+round, "managerId", chief)
			return boss, chief, ada, bob, d.user("heir" + round)
		}
		team := d.team("Team")
		boss, chief, ada, bob, heir := tree("1")
		d.change("addTeamMembers", input{"teamId": team, "members": []input{{"userId": boss}, {"userId": ada}}}, "")
		d.wantUnchanged(t, "one is left", func() {
			a := d.try("deleteUsers", input{"users": []input{{"id": boss}, {"id": ada}, {"id": chief}}})
			if !slices.Equal(a.faults(), []string{"CONFLICT input.users.0.id", "CONFLICT input.users.2.id"}) {
				t.Errorf("got %s", a.raw)
			}
			// One that is refused is left, and so are those above.
			d.each("deleteUsers", "users", []input{{"id": boss}, {"id": chief}, {"id": ada, "expectedVersion": 2}, {"id": "User:999"}, {"id": boss}}).
				wantResults(t, "deleteUsers", "CONFLICT input.users.0.id", "CONFLICT input.users.1.id", "CONFLICT input.users.2.expectedVersion",
					"NOT_FOUND input.users.3.id", "BAD_USER_INPUT input.users.4.id")
			d.each("deleteUsers", "users", []input{{"id": chief, "reportsTo": boss}, {"id": boss}}).
				wantResults(t, "deleteUsers", "BAD_USER_INPUT input.users.0.reportsTo", "CONFLICT input.users.1.id")
		})
		d.try("deleteUsers", input{"users": []input{{"id": boss}, {"id": ada}, {"id": chief}, {"id": bob}}}).wantResults(t, "deleteUsers", "", "", "", "")
		if c := d.stored(t); len(c.Users) != 1 || len(c.Memberships) != 0 {
			t.Errorf("stored are %+v", c)
		}
		// Reports that are left, and those who are refused, get the heir. Who is removed does not.
		boss, chief, ada, bob, _ = tree("2")
		cyd := d.user("cyd", "managerId", chief)
		d.each("deleteUsers", "users", []input{{"id": ada, "expectedVersion": 7}, {"id": chief, "reportsTo": heir}, {"id": bob}, {"id": boss}}).
			wantResults(t, "deleteUsers", "CONFLICT input.users.0.expectedVersion", "", "", "")
		a := d.must(`query($id: ID!) { user(id: $id) { reports { nodes { id version } } } }`, "id", heir)
		if fmt.Sprint(a.at(t, "user.reports.nodes")) != fmt.Sprintf("[map[id:%s version:2] map[id:%s version:2]]", ada, cyd) {
			t.Errorf("got %s", a.raw)
		}
		// Two, each of whose reports would be below the other's.
		boss, chief, ada, _, _ = tree("3")
		other := d.user("other")
		below := d.user("below", "managerId", other)
		d.each("deleteUsers", "users", []input{{"id": chief, "reportsTo": below}, {"id": other, "reportsTo": ada}}).
			wantResults(t, "deleteUsers", "", "BAD_USER_INPUT input.users.1.reportsTo")
		d.try("deleteUsers", input{"users": []input{{"id": boss}, {"id": other, "reportsTo": heir}}}).wantResults(t, "deleteUsers", "", "")
		d.stored(t)
	})
}

func TestMembershipsOfABulkStandForThemselves(t *testing.T) {
	onEveryDatabase(t, func(t *testing.T, d *directory) {
		ada, bob, team := d.user("ada"), d.user("bob"), d.team("Team")
		d.each("addMemberships", "memberships", []input{
			{"teamId": team, "userId": ada},
			{"teamId": team, "userId": "User:999"},
			{"teamId": "Team:999", "userId": ada},
			{"teamId": ada, "userId": team},
			{"teamId": team, "userId": ada, "role": "OWNER"},
			{"teamId": team, "userId": bob, "role": "OWNER"},
		}).wantResults(t, "addMemberships", "", "NOT_FOUND input.memberships.1.userId", "NOT_FOUND input.memberships.2.teamId",
			"BAD_USER_INPUT input.memberships.3.teamId", "BAD_USER_INPUT input.memberships.4.userId", "")
		d.wantUnchanged(t, "refusals", func() {
			a := d.try("addMemberships", input{"memberships": []input{{"teamId": "Team:998", "userId": "User:999"}, {"teamId": team, "userId": bob}}})
			if !slices.Equal(a.faults(), []string{"NOT_FOUND input.memberships.0.teamId", "NOT_FOUND input.memberships.0.userId", "CONFLICT input.memberships.1.role"}) {
				t.Errorf("got %s", a.raw)
			}
			a = d.try("setMembershipRoles", input{"memberships": []input{{"teamId": team, "userId": bob, "role": "MEMBER", "expectedVersion": 3}}})
			a.conflict(t, "another version", "input.memberships.0.expectedVersion", 1)
			a = d.try("removeMemberships", input{"memberships": []input{{"teamId": team, "userId": bob, "expectedVersion": 3}}})
			a.conflict(t, "another version", "input.memberships.0.expectedVersion", 1)
			d.each("addMemberships", "memberships", []input{{"teamId": team, "userId": ada}}).wantResults(t, "addMemberships", "") // as it is
		})
		d.each("setMembershipRoles", "memberships", []input{
			{"teamId": team, "userId": ada, "role": "OWNER"}, {"teamId": team, "userId": "User:999", "role": "OWNER"}, {"teamId": team, "userId": bob, "role": "MEMBER", "expectedVersion": 2},
		}).wantResults(t, "setMembershipRoles", "", "NOT_FOUND input.memberships.1.userId", "CONFLICT input.memberships.2.expectedVersion")
		d.each("removeMemberships", "memberships", []input{
			{"teamId": team, "userId": bob}, {"teamId": "Team:999", "userId": bob}, {"teamId": team, "userId": ada, "expectedVersion": 1}, {"teamId": team, "userId": bob},
		}).wantResults(t, "removeMemberships", "", "NOT_FOUND input.memberships.1.userId", "CONFLICT input.memberships.2.expectedVersion", "BAD_USER_INPUT input.memberships.3.userId")
		if c := d.stored(t); len(c.Memberships) != 1 || c.Memberships[0].Version != 2 {
			t.Errorf("stored are %+v", c.Memberships)
		}
	})
}

func TestBulksOfTheSameEmailsAtOnceShareThem(t *testing.T) {
	onEveryDatabase(t, func(t *testing.T, d *directory) {
		const rounds, clients, n = 3, 4, 30
		for round := range rounds {
			added := make([]answer, clients)
			var wg sync.WaitGroup
			for c := range clients {
				users := many(n, func(i int) input { return newUser(fmt.Sprintf("u%d.%d", round, (i*7+c*11)%n)) })
				mutation, in := "createUsers", input{"users": users, "mode": "EACH"}
				if c == clients-1 {
					mutation, in["by"] = "upsertUsers", "EMAIL"
				}
				wg.Go(func() {
					added[c] = d.try(mutation, in)
					if len(added[c].Errors) > 0 {
						t.Errorf("got %s", added[c].raw)
					}
				})
			}
			wg.Wait()
			created := 0
			for _, a := range added {
				if upserts, _ := a.Data["upsertUsers"].(map[string]any); upserts != nil {
					for _, r := range upserts["results"].([]any) {
						if r.(map[string]any)["created"] == true {
							created++
						}
					}
					continue
				}
				for _, result := range a.results(t, "createUsers") {
					if result == "" {
						created++
					} else if !strings.HasPrefix(result, "CONFLICT") {
						t.Errorf("got %s", result)
					}
				}
			}
			if got := len(d.stored(t).Users); created != n || got != n*(round+1) {
				t.Errorf("%d users were created, and %d are there", created, got)
			}
		}
	})
}

func TestALargeBulkIsDoneInGoodTime(t *testing.T) {
	onEveryDatabase(t, func(t *testing.T, d *directory) {
		began := time.Now()
		chain := many(1000, func(i int) input { return newUser(fmt.Sprint(i), "managerRef", i+1) })
		delete(chain[999], "managerRef")
		a := d.must(`mutation($input: CreateUsersInput!) { createUsers(input: $input) { results { user { id manager { id } } } } }`, "input", input{"users": chain})
		if a.at(t, "createUsers.results.0.user.manager.id") != a.at(t, "createUsers.results.1.user.id") {
			t.Errorf("got %.200s", a.raw)
		}
		// What is below a refused entry is refused, however far.
		users := many(1000, func(i int) input { return newUser(fmt.Sprint("x", i), "managerRef", i+1) })
		users[999] = newUser("1")
		got := d.each("createUsers", "users", users).results(t, "createUsers")
		if got[0] != "BAD_USER_INPUT input.users.0.managerRef" || got[999] != "CONFLICT input.users.999.email" {
			t.Errorf("got %s", got[0])
		}
		turned := many(1000, func(i int) input { return newUser(fmt.Sprint(999-i), "managerRef", 998-i+1) })
		for i := range turned {
			if turned[i]["managerRef"] = i - 1; i == 0 {
				delete(turned[i], "managerRef")
				turned[i]["managerId"] = nil
			}
		}
		d.try("upsertUsers", input{"by": "EMAIL", "users": turned})
		a = d.must(`{ users(first: 1) { totalCount } found: users(query: "n 77", first: 2) { nodes { email } } }`)
		if a.at(t, "users.totalCount") != 1000.0 || a.at(t, "found.nodes.0.email") != "77@example.com" {
			t.Errorf("got %s", a.raw)
		}
		all := many(1000, func(i int) input { return input{"id": fmt.Sprint("User:", i+1)} })
		d.must(`mutation($input: DeleteUsersInput!) { deleteUsers(input: $input) { results { deletedUserId } } }`, "input", input{"users": all})
		if c := d.stored(t); len(c.Users) != 0 {
			t.Errorf("%d users are left", len(c.Users))
		}
		t.Logf("took %s", time.Since(began))
	})
}
