package graph_test

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
)

func TestUsersAreDeactivatedAndReactivated(t *testing.T) {
	withSubscribers(t, func(t *testing.T, d *directory) {
		boss := d.user("boss")
		ada := d.user("ada", "managerId", boss)
		team := d.team("Team")
		d.change("addTeamMembers", input{"teamId": team, "members": []input{{"userId": boss}}}, "")
		s := d.subscribe(usersChanged, nil)
		d.wantSubscribers(1)

		a := d.try("deactivateUser", input{"id": boss, "expectedVersion": 1})
		if len(a.Errors) > 0 || a.at(t, "deactivateUser.user.status") != "DEACTIVATED" || a.at(t, "deactivateUser.user.version") != 2.0 {
			t.Errorf("got %s", a.raw)
		}
		s.want(fmt.Sprintf(`{"kind":"UPDATED","userId":%q}`, boss))
		stored := d.must(`query($id: ID!) { user(id: $id) { `+ofUser+` } }`, "id", boss)
		if got, want := fmt.Sprint(stored.at(t, "user")), fmt.Sprint(a.at(t, "deactivateUser.user")); got != want {
			t.Errorf("answered %s, stored %s", want, got)
		}
		d.wantUnchanged(t, "what changes nothing, or is refused", func() {
			if again := d.must(changing("deactivateUser"), "input", input{"id": boss}); fmt.Sprint(again.at(t, "deactivateUser")) != fmt.Sprint(a.at(t, "deactivateUser")) {
				t.Errorf("got %s", again.raw)
			}
			d.change("reactivateUser", input{"id": ada, "expectedVersion": 1}, "")
			d.try("deactivateUser", input{"id": boss, "expectedVersion": 1}).conflict(t, "an old version", "input.expectedVersion", 2)
			d.try("reactivateUser", input{"id": boss, "expectedVersion": 1}).conflict(t, "an old version", "input.expectedVersion", 2)
			d.try("reactivateUser", input{"id": "User:999"}).refused(t, "no such user", "NOT_FOUND", "input.id")
			d.try("deactivateUser", input{"id": "Team:1"}).refused(t, "a team", "BAD_USER_INPUT", "input.id")
		})
		// The user stays in lists, in teams and as a manager, and can be one's manager.
		d.change("createUser", input{"name": "Bob", "email": "bob@example.com", "managerId": boss}, "")
		a = d.must(`query($id: ID!, $team: ID!) { user(id: $id) { reports { totalCount } } users { totalCount } team(id: $team) { members { nodes { status } } } }`,
			"id", boss, "team", team)
		if a.at(t, "user.reports.totalCount") != 2.0 || a.at(t, "users.totalCount") != 3.0 || a.at(t, "team.members.nodes.0.status") != "DEACTIVATED" {
			t.Errorf("got %s", a.raw)
		}
		s.want(fmt.Sprintf(`{"kind":"CREATED","userId":%q}`, "User:3")) // and none for what changed nothing
		if v := d.change("reactivateUser", input{"id": boss, "expectedVersion": 2}, "user.version"); v != 3.0 {
			t.Errorf("the version is %v", v)
		}
		s.want(fmt.Sprintf(`{"kind":"UPDATED","userId":%q}`, boss))
		s.cancel()
	})
}

func TestAChangeThatChangesNothingWritesNothing(t *testing.T) {
	withSubscribers(t, func(t *testing.T, d *directory) {
		boss := d.user("boss")
		ada := d.user("ada", "managerId", boss, "title", "Head", "externalId", "7")
		team := d.team("Team", "description", "Us")
		part := d.team("Part", "parentId", team)
		s := d.subscribe(usersChanged, nil)
		d.wantSubscribers(1)
		same := input{"id": ada, "name": " N ", "email": "ADA@example.com", "managerId": boss, "title": "Head", "externalId": "7", "phone": nil, "location": ""}
		d.wantUnchanged(t, "the same", func() {
			d.change("updateUser", same, "")
			d.change("updateUser", input{"id": ada}, "")
			d.change("updateTeam", input{"id": part, "name": "Part", "description": "", "parentId": team}, "")
			d.change("updateUsers", input{"users": []input{same, {"id": boss, "managerId": nil, "expectedVersion": 1}}}, "")
			d.change("upsertUsers", input{"by": "EMAIL", "users": []input{{"name": "N", "email": "Ada@example.com"}}}, "")
			d.change("upsertUsers", input{"by": "EXTERNAL_ID", "users": []input{{"name": "N", "email": "ada@example.com", "externalId": "7", "title": "Head"}}}, "")
			d.must(`mutation($input: UpdateUserInput!) { a: updateUser(input: $input) { user { id } } b: updateUser(input: $input) { user { id } } }`, "input", same)
		})
		d.change("updateUsers", input{"users": []input{{"id": boss, "name": "Boss"}, same}}, "")
		s.want(fmt.Sprintf(`{"kind":"UPDATED","userId":%q}`, boss)) // is the first event
		d.change("deactivateUser", input{"id": ada}, "")
		s.want(fmt.Sprintf(`{"kind":"UPDATED","userId":%q}`, ada)) // and the next
		if v := d.version(t, ada); v != 2 {
			t.Errorf("the version is %d", v)
		}
		s.cancel()
	})
}

func TestTheReportsOfARemovedUserGetAnotherManager(t *testing.T) {
	withSubscribers(t, func(t *testing.T, d *directory) {
		boss, heir := d.user("boss"), d.user("heir")
		chief := d.user("chief", "managerId", boss)
		ada, bob := d.user("ada", "managerId", chief), d.user("bob", "managerId", chief)
		low := d.user("low", "managerId", ada)
		team := d.team("Team")
		d.change("addTeamMembers", input{"teamId": team, "members": []input{{"userId": chief}, {"userId": ada}}}, "")
		for what, c := range map[string]struct{ code, field, reportsTo string }{
			"the user":           {"BAD_USER_INPUT", "input.reportsTo", chief},
			"one of the reports": {"BAD_USER_INPUT", "input.reportsTo", ada},
			"one below them":     {"BAD_USER_INPUT", "input.reportsTo", low},
			"nobody":             {"BAD_USER_INPUT", "input.reportsTo", "User:999"},
			"a team":             {"BAD_USER_INPUT", "input.reportsTo", team},
		} {
			d.wantUnchanged(t, what, func() {
				d.try("deleteUser", input{"id": chief, "reportsTo": c.reportsTo}).refused(t, what, c.code, c.field)
				a := d.try("deleteUsers", input{"users": []input{{"id": chief, "reportsTo": c.reportsTo}}})
				a.refused(t, what, c.code, strings.Replace(c.field, ".", ".users.0.", 1))
			})
		}
		d.wantUnchanged(t, "refusals", func() {
			d.try("deleteUser", input{"id": chief}).refused(t, "reports", "CONFLICT", "input.id")
			d.try("deleteUser", input{"id": chief, "reportsTo": nil}).refused(t, "reports", "CONFLICT", "input.id")
			d.try("deleteUser", input{"id": "User:999", "reportsTo": heir}).refused(t, "no such user", "NOT_FOUND", "input.id")
			d.try("deleteUser", input{"id": chief, "reportsTo": heir, "expectedVersion": 2}).conflict(t, "another version", "input.expectedVersion", 1)
		})
		s := d.subscribe(usersChanged, nil)
		d.wantSubscribers(1)
		d.change("deleteUser", input{"id": chief, "reportsTo": heir, "expectedVersion": 1}, "")
		got := []string{s.next(), s.next(), s.next()}
		slices.Sort(got)
		for i, want := range []string{`"DELETED","userId":"` + chief, `"UPDATED","userId":"` + ada, `"UPDATED","userId":"` + bob} {
			if !strings.Contains(got[i], want) {
				t.Errorf("want %s, got %s", want, got[i])
			}
		}
		s.cancel()
		a := d.must(`query($id: ID!) { user(id: $id) { reports { nodes { id version } } } }`, "id", heir)
		if fmt.Sprint(a.at(t, "user.reports.nodes")) != fmt.Sprintf("[map[id:%s version:2] map[id:%s version:2]]", ada, bob) {
			t.Errorf("got %s", a.raw)
		}
		// To the user's own manager, and where there are no reports.
		d.change("deleteUser", input{"id": ada, "reportsTo": heir}, "")
		d.change("deleteUser", input{"id": low, "reportsTo": boss}, "")
		if c := d.stored(t); len(c.Users) != 3 || len(c.Memberships) != 0 {
			t.Errorf("stored are %+v", c)
		}
	})
}

func TestAnHeirIsNotMovedBelowTheReportsMeanwhile(t *testing.T) {
	onEveryDatabase(t, func(t *testing.T, d *directory) {
		for round := range 10 {
			chief, heir := d.user(fmt.Sprint("chief", round)), d.user(fmt.Sprint("heir", round))
			ada := d.user(fmt.Sprint("ada", round), "managerId", chief)
			var deleted, moved answer
			var wg sync.WaitGroup
			wg.Go(func() { deleted = d.try("deleteUser", input{"id": chief, "reportsTo": heir}) })
			wg.Go(func() { moved = d.try("updateUser", input{"id": heir, "managerId": ada}) })
			wg.Wait()
			if (len(deleted.Errors) == 0) == (len(moved.Errors) == 0) {
				t.Errorf("want one of two to succeed, got %s and %s", deleted.raw, moved.raw)
			}
		}
		d.stored(t)
	})
}
