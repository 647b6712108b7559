package graph_test

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
)

func TestTeamsAreAddedChangedAndRemoved(t *testing.T) {
	onEveryDatabase(t, func(t *testing.T, d *directory) {
		top := d.team("  Top ", "description", "The\r\nwhole", "parentId", nil)
		a := d.must(changing("createTeam"), "input", input{"name": "Middle", "parentId": top})
		if a.at(t, "createTeam.team.parent.id") != top || a.at(t, "createTeam.team.version") != 1.0 || a.at(t, "createTeam.team.description") != nil {
			t.Errorf("got %s", a.raw)
		}
		middle := a.at(t, "createTeam.team.id").(string)
		stored := d.must(`query($id: ID!) { team(id: $id) { `+ofTeam+` } }`, "id", middle)
		if got, want := fmt.Sprint(stored.at(t, "team")), fmt.Sprint(a.at(t, "createTeam.team")); got != want {
			t.Errorf("answered %s, stored %s", want, got)
		}
		a = d.must(changing("updateTeam"), "input", input{"id": top, "name": "All"})
		if a.at(t, "updateTeam.team.name") != "All" || a.at(t, "updateTeam.team.description") != "The\nwhole" || a.at(t, "updateTeam.team.version") != 2.0 {
			t.Errorf("got %s", a.raw)
		}
		low := d.team("Low", "parentId", middle)
		for what, c := range map[string]struct {
			mutation, code, field string
			in                    input
		}{
			"a name that is taken":       {"createTeam", "CONFLICT", "input.name", input{"name": "All"}},
			"another's name":             {"updateTeam", "CONFLICT", "input.name", input{"id": low, "name": "All"}},
			"an empty name":              {"createTeam", "BAD_USER_INPUT", "input.name", input{"name": " "}},
			"a null name":                {"updateTeam", "BAD_USER_INPUT", "input.name", input{"id": low, "name": nil}},
			"a long description":         {"updateTeam", "BAD_USER_INPUT", "input.description", input{"id": low, "description": strings.Repeat("x", 2001)}},
			"a parent that is a user":    {"createTeam", "BAD_USER_INPUT", "input.parentId", input{"name": "X", "parentId": "User:1"}},
			"a parent that is not there": {"createTeam", "BAD_USER_INPUT", "input.parentId", input{"name": "X", "parentId": "Team:999"}},
			"no parent to move to":       {"updateTeam", "BAD_USER_INPUT", "input.parentId", input{"id": low, "parentId": "Team:999"}},
			"an entry of no bulk":        {"createTeam", "BAD_USER_INPUT", "input.parentRef", input{"name": "X", "parentRef": 0}},
			"no such team":               {"updateTeam", "NOT_FOUND", "input.id", input{"id": "Team:999", "name": "X"}},
			"itself":                     {"updateTeam", "BAD_USER_INPUT", "input.parentId", input{"id": top, "parentId": top}},
			"a circle":                   {"updateTeam", "BAD_USER_INPUT", "input.parentId", input{"id": top, "parentId": low}},
			"no team to remove":          {"deleteTeam", "NOT_FOUND", "input.id", input{"id": "Team:999"}},
			"a user to remove":           {"deleteTeam", "BAD_USER_INPUT", "input.id", input{"id": "User:1"}},
			"a team with others within":  {"deleteTeam", "CONFLICT", "input.id", input{"id": middle}},
			"as much, said":              {"deleteTeam", "CONFLICT", "input.id", input{"id": middle, "children": "REFUSE"}},
			"null is the default":        {"deleteTeam", "CONFLICT", "input.id", input{"id": middle, "children": nil}},
		} {
			d.wantUnchanged(t, what, func() { d.try(c.mutation, c.in).refused(t, what, c.code, c.field) })
		}
		// All that is wrong at once.
		a = d.try("createTeam", input{"name": "", "description": strings.Repeat("x", 2001), "parentId": "x"})
		if got := a.faults(); !slices.Equal(got, []string{"BAD_USER_INPUT input.name", "BAD_USER_INPUT input.description", "BAD_USER_INPUT input.parentId"}) {
			t.Errorf("got %s", a.raw)
		}
		if id := d.change("deleteTeam", input{"id": low}, "deletedTeamId"); id != low {
			t.Errorf("got %v", id)
		}
		d.stored(t)
	})
}

func TestTheTeamsWithinARemovedOneMoveUp(t *testing.T) {
	onEveryDatabase(t, func(t *testing.T, d *directory) {
		top := d.team("Top")
		middle := d.team("Middle", "parentId", top)
		user := d.user("ada")
		d.change("addTeamMembers", input{"teamId": middle, "members": []input{{"userId": user}}}, "")
		var low []string
		for i := range 3 {
			low = append(low, d.team(fmt.Sprint("Low", i), "parentId", middle))
		}
		below := d.team("Below", "parentId", low[0])
		d.change("deleteTeam", input{"id": middle, "children": "REPARENT"}, "deletedTeamId")
		parents := func(want any, version float64) {
			t.Helper()
			for _, id := range low {
				a := d.must(`query($id: ID!) { team(id: $id) { version parent { id } } }`, "id", id)
				parent, _ := a.at(t, "team.parent").(map[string]any)
				if parent["id"] != want || a.at(t, "team.version") != version {
					t.Errorf("got %s", a.raw)
				}
			}
		}
		parents(top, 2)
		if v := d.version(t, below); v != 1 {
			t.Errorf("a team further below has the version %d", v)
		}
		d.change("deleteTeam", input{"id": top, "children": "REPARENT", "expectedVersion": 1}, "")
		parents(nil, 3)
		if a := d.must(`query($id: ID!) { user(id: $id) { teams { totalCount } } }`, "id", user); a.at(t, "user.teams.totalCount") != 0.0 {
			t.Errorf("got %s", a.raw)
		}
		d.change("deleteTeam", input{"id": below, "children": "REPARENT"}, "") // there is nothing within it
		if c := d.stored(t); len(c.Teams) != 3 || len(c.Memberships) != 0 {
			t.Errorf("stored are %+v", c)
		}
	})
}

func TestMovesOfTeamsAtOnceNeverCloseACircle(t *testing.T) {
	onEveryDatabase(t, func(t *testing.T, d *directory) {
		for round := range 10 {
			ids := make([]string, 3)
			for i := range ids {
				ids[i] = d.team(fmt.Sprint(round, ".", i))
			}
			answers := make([]answer, len(ids))
			var wg sync.WaitGroup
			for i, id := range ids {
				parent := ids[(i+1)%len(ids)]
				wg.Go(func() { answers[i] = d.try("updateTeam", input{"id": id, "parentId": parent}) })
			}
			wg.Wait()
			moved := 0
			for _, a := range answers {
				if len(a.Errors) == 0 {
					moved++
				} else {
					a.refused(t, "the circle", "BAD_USER_INPUT", "input.parentId")
				}
			}
			if moved != 2 {
				t.Errorf("want two of three to move, not %d", moved)
			}
		}
		d.stored(t)
	})
}

func TestMembersAreAddedRemovedAndGivenRoles(t *testing.T) {
	onEveryDatabase(t, func(t *testing.T, d *directory) {
		team, other := d.team("Team"), d.team("Other")
		ada, bob, cyd := d.user("ada"), d.user("bob"), d.user("cyd")
		add := func(in ...input) answer { return d.try("addTeamMembers", input{"teamId": team, "members": in}) }
		a := add(input{"userId": bob, "role": "OWNER"}, input{"userId": ada})
		if len(a.Errors) > 0 || a.at(t, "addTeamMembers.memberships.0.user.id") != bob || a.at(t, "addTeamMembers.memberships.0.role") != "OWNER" ||
			a.at(t, "addTeamMembers.memberships.1.role") != "MEMBER" || a.at(t, "addTeamMembers.memberships.1.version") != 1.0 ||
			a.at(t, "addTeamMembers.team.id") != team {
			t.Fatalf("got %s", a.raw)
		}
		first := a.at(t, "addTeamMembers.memberships.1.id")
		for _, id := range []string{team, ada, bob} {
			if v := d.version(t, id); v != 1 {
				t.Errorf("a membership made %s version %d", id, v)
			}
		}
		// Who is there stays; the order is that of the input.
		a = add(input{"userId": cyd}, input{"userId": ada})
		if len(a.Errors) > 0 || a.at(t, "addTeamMembers.memberships.1.id") != first || a.at(t, "addTeamMembers.memberships.0.user.id") != cyd {
			t.Errorf("got %s", a.raw)
		}
		role := func(user, role string, pairs ...any) answer {
			return d.try("setTeamMemberRole", with(input{"teamId": team, "userId": user, "role": role}, pairs...))
		}
		d.wantUnchanged(t, "what changes nothing", func() {
			d.change("addTeamMembers", input{"teamId": team, "members": []input{{"userId": ada}, {"userId": bob, "role": "OWNER"}}}, "")
			if a := role(ada, "MEMBER"); len(a.Errors) > 0 || a.at(t, "setTeamMemberRole.membership.version") != 1.0 {
				t.Errorf("got %s", a.raw)
			}
			for _, a := range []answer{
				d.try("addTeamMembers", input{"teamId": team, "members": []input{}}),
				d.try("removeTeamMembers", input{"teamId": team, "userIds": []string{}}),
			} {
				if len(a.Errors) > 0 {
					t.Errorf("nobody: got %s", a.raw)
				}
			}
		})
		if a := role(ada, "OWNER", "expectedVersion", 1); len(a.Errors) > 0 || a.at(t, "setTeamMemberRole.membership.version") != 2.0 ||
			a.at(t, "setTeamMemberRole.membership.role") != "OWNER" || a.at(t, "setTeamMemberRole.membership.id") != first {
			t.Errorf("got %s", a.raw)
		}
		d.wantUnchanged(t, "what is refused", func() {
			role(ada, "MEMBER", "expectedVersion", 1).conflict(t, "an old version", "input.expectedVersion", 2)
			role(ada, "OWNER", "expectedVersion", 1).conflict(t, "an old version, with nothing to change", "input.expectedVersion", 2)
			role("User:999", "OWNER").refused(t, "no such user", "NOT_FOUND", "input.userId")
			add(input{"userId": ada}).refused(t, "another role", "CONFLICT", "input.members.0.role")
			add(input{"userId": cyd}, input{"userId": "User:999"}).refused(t, "no such user", "NOT_FOUND", "input.members.1.userId")
			add(input{"userId": cyd}, input{"userId": cyd}).refused(t, "a user twice", "BAD_USER_INPUT", "input.members.1.userId")
			add(input{"userId": "Team:1"}).refused(t, "a team", "BAD_USER_INPUT", "input.members.0.userId")
			d.try("addTeamMembers", input{"teamId": "Team:999", "members": []input{{"userId": ada}}}).refused(t, "no such team", "NOT_FOUND", "input.teamId")
			d.try("removeTeamMembers", input{"teamId": "Team:999", "userIds": []string{ada}}).refused(t, "no such team", "NOT_FOUND", "input.teamId")
			d.try("removeTeamMembers", input{"teamId": other, "userIds": []string{ada}}).refused(t, "not a member", "NOT_FOUND", "input.userIds.0")
			d.try("removeTeamMembers", input{"teamId": team, "userIds": []string{ada, "x"}}).refused(t, "no id", "BAD_USER_INPUT", "input.userIds.1")
			d.try("removeTeamMembers", input{"teamId": team, "userIds": []string{ada, ada}}).refused(t, "a user twice", "BAD_USER_INPUT", "input.userIds.1")
			a := add(input{"userId": "x"}, input{"userId": ada, "role": "OWNER"}, input{"userId": "Team:1"})
			if !slices.Equal(a.faults(), []string{"BAD_USER_INPUT input.members.0.userId", "BAD_USER_INPUT input.members.2.userId"}) {
				t.Errorf("got %s", a.raw)
			}
		})
		removed := d.change("removeTeamMembers", input{"teamId": team, "userIds": []string{cyd, ada}}, "removedMembershipIds").([]any)
		if len(removed) != 2 || removed[1] != first {
			t.Errorf("got %v", removed)
		}
		a = add(input{"userId": ada})
		if len(a.Errors) > 0 || a.at(t, "addTeamMembers.memberships.0.id") == first || a.at(t, "addTeamMembers.memberships.0.version") != 1.0 {
			t.Errorf("a new membership is %s", a.raw)
		}
		if v := d.version(t, ada); v != 1 {
			t.Errorf("the user has the version %d", v)
		}
	})
}

func TestWhoMayNotChangeATeamsMembersIsRefusedAChangeOfNone(t *testing.T) {
	inWorld(t, func(t *testing.T, w *rightsWorld) {
		for mutation, none := range map[string]input{
			"addTeamMembers":    {"teamId": w.team, "members": []input{}},
			"removeTeamMembers": {"teamId": w.team, "userIds": []string{}},
		} {
			for _, k := range viewerKinds {
				a := w.as(k).try(mutation, none)
				if may := k.may([]string{"OWNER", "EDITOR"}, true); may != (len(a.Errors) == 0) || !may && a.code(t) != "FORBIDDEN" {
					t.Errorf("%s as %s: %s", mutation, k.name, a.raw)
				}
			}
		}
	})
}

func TestUsersWhoArePutIntoATeamTwiceAtOnceAreInItOnce(t *testing.T) {
	onEveryDatabase(t, func(t *testing.T, d *directory) {
		team := d.team("Team")
		for round := range 5 {
			members := []input{{"userId": d.user(fmt.Sprint("a", round))}, {"userId": d.user(fmt.Sprint("b", round))}}
			answers := make([]answer, 6)
			var wg sync.WaitGroup
			for i := range answers {
				wg.Go(func() { answers[i] = d.try("addTeamMembers", input{"teamId": team, "members": members}) })
			}
			wg.Wait()
			for _, a := range answers {
				if len(a.Errors) > 0 || a.at(t, "addTeamMembers.memberships.1.id") != answers[0].at(t, "addTeamMembers.memberships.1.id") {
					t.Errorf("got %s, and %s", answers[0].raw, a.raw)
				}
			}
		}
		if n := len(d.stored(t).Memberships); n != 10 {
			t.Errorf("want 10 memberships, got %d", n)
		}
	})
}
