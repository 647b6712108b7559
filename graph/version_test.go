package graph_test

import (
	"fmt"
	"sync"
	"testing"
)

func TestAChangeOfAnotherVersionIsAConflict(t *testing.T) {
	onEveryDatabase(t, func(t *testing.T, d *directory) {
		user, team := d.user("ada"), d.team("Team")
		d.change("updateUser", input{"id": user, "name": "Ada", "expectedVersion": 1}, "")
		d.change("updateTeam", input{"id": team, "name": "Us", "expectedVersion": 1}, "")
		d.change("addTeamMembers", input{"teamId": team, "members": []input{{"userId": user}}}, "")
		d.wantUnchanged(t, "other versions", func() {
			for mutation, in := range map[string]input{
				"updateUser":     {"id": user, "name": "X"},
				"deactivateUser": {"id": user},
				"reactivateUser": {"id": user},
				"deleteUser":     {"id": user},
				"updateTeam":     {"id": team, "name": "X"},
				"deleteTeam":     {"id": team},
			} {
				for _, version := range []int{1, 3, 0, -1} {
					in["expectedVersion"] = version
					d.try(mutation, in).conflict(t, mutation, "input.expectedVersion", 2)
				}
				a := d.must(`query($id: ID!) { node(id: $id) { id } }`, "id", in["id"])
				if a.at(t, "node.id") != in["id"] {
					t.Errorf("%s: got %s", mutation, a.raw)
				}
			}
			// With all else that is wrong.
			a := d.try("updateUser", input{"id": user, "expectedVersion": 1, "managerId": "User:999"})
			if got := fmt.Sprint(a.faults()); got != "[CONFLICT input.expectedVersion BAD_USER_INPUT input.managerId]" && got != "[CONFLICT input.expectedVersion]" {
				t.Errorf("got %s", a.raw)
			}
		})
		// null is any, and one mutation sees its own versions.
		d.change("updateUser", input{"id": user, "name": "A", "expectedVersion": nil}, "")
		a := d.must(`mutation($a: UpdateUserInput!, $b: UpdateUserInput!) { a: updateUser(input: $a) { user { version } } b: updateUser(input: $b) { user { version } } }`,
			"a", input{"id": user, "name": "B", "expectedVersion": 3}, "b", input{"id": user, "name": "C", "expectedVersion": 4})
		if a.at(t, "a.user.version") != 4.0 || a.at(t, "b.user.version") != 5.0 {
			t.Errorf("got %s", a.raw)
		}
	})
}

func TestOfChangesOfTheSameVersionAtOnceOneIsStored(t *testing.T) {
	onEveryDatabase(t, func(t *testing.T, d *directory) {
		const clients = 5
		for round, c := range []struct {
			mutation string
			in       func(user, team string, client int) input
			others   string // the code of those that come too late
		}{
			{"updateUser", func(user, _ string, i int) input { return input{"id": user, "name": fmt.Sprint(i)} }, "CONFLICT"},
			{"updateUser", func(user, _ string, i int) input { return input{"id": user, "managerId": fmt.Sprint("User:", i+1)} }, "CONFLICT"},
			{"deactivateUser", func(user, _ string, _ int) input { return input{"id": user} }, "CONFLICT"},
			{"updateUsers", func(user, _ string, i int) input {
				return input{"users": []input{{"id": user, "name": fmt.Sprint(i), "expectedVersion": 1}, {"id": fmt.Sprint("User:", i+1)}}}
			}, "CONFLICT"},
			{"updateTeam", func(_, team string, i int) input { return input{"id": team, "description": fmt.Sprint(i)} }, "CONFLICT"},
			{"setTeamMemberRole", func(user, team string, _ int) input { return input{"teamId": team, "userId": user, "role": "OWNER"} }, "CONFLICT"},
			{"deleteTeam", func(_, team string, _ int) input { return input{"id": team} }, "NOT_FOUND"},
			{"deleteUser", func(user, _ string, _ int) input { return input{"id": user} }, "NOT_FOUND"},
		} {
			for i := range clients { // managers to choose from, in the first round
				if round == 0 {
					d.user(fmt.Sprint("boss", i))
				}
			}
			user, team := d.user(fmt.Sprint("u", round)), d.team(fmt.Sprint("T", round))
			d.change("addTeamMembers", input{"teamId": team, "members": []input{{"userId": user}}}, "")
			answers := make([]answer, clients)
			var wg sync.WaitGroup
			for i := range answers {
				in := c.in(user, team, i)
				if in["users"] == nil {
					in["expectedVersion"] = 1
				}
				wg.Go(func() { answers[i] = d.try(c.mutation, in) })
			}
			wg.Wait()
			won := 0
			for _, a := range answers {
				if len(a.Errors) == 0 {
					won++
				} else if a.code(t) != c.others || c.others == "CONFLICT" && a.Errors[0].Extensions["currentVersion"] != 2.0 {
					t.Errorf("%s: got %s", c.mutation, a.raw)
				}
			}
			if won != 1 {
				t.Errorf("%s: %d of %d were stored", c.mutation, won, clients)
			}
		}
		d.stored(t)
	})
}
