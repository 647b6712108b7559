package graph_test

import (
	"fmt"
	"strings"
	"testing"
)

// quiet is the document of a mutation that asks for nothing that would be read.
func quiet(mutation, selection string) string {
	return fmt.Sprintf("mutation($input: %s%sInput!) { %s(input: $input) { %s } }", strings.ToUpper(mutation[:1]), mutation[1:], mutation, selection)
}

// TestABulkRunsAFixedNumberOfStatements has each number with what its statements are. The servers run one more for each kind of object of
// which several are added: it tells the step between their numbers, or these.
func TestABulkRunsAFixedNumberOfStatements(t *testing.T) {
	onEveryDatabase(t, func(t *testing.T, d *directory) {
		step := 0
		if d.db.Dialect().Name() != "sqlite" {
			step = 1
		}
		nextUser, nextTeam := 1, 1
		for _, n := range []int{10, 1000} {
			user := func(i int) string { return fmt.Sprint("User:", nextUser+i) }
			team := func(i int) string { return fmt.Sprint("Team:", nextTeam+i) }
			for _, c := range []struct {
				mutation, what string
				statements     int
				entry          func(i int) input
				pairs          []any
			}{
				{
					"createUsers", "the emails that are taken, the users, their words, their number", 4 + step,
					func(i int) input { return newUser(fmt.Sprint(n, ".", i)) }, nil,
				},
				{
					"updateUsers", "locking the users, updating them, taking their words away, writing them anew", 4,
					func(i int) input { return input{"id": user(i), "name": fmt.Sprint("N", i)} }, nil,
				},
				{
					"updateUsers", "locking the users", 1,
					func(i int) input { return input{"id": user(i), "name": fmt.Sprint("N", i)} }, nil,
				},
				{
					"updateUsers", "reading the users, the common row, locking the users, the managers above, updating the users", 5,
					func(i int) input {
						if i == 0 {
							return input{"id": user(0), "title": nil}
						}
						return input{"id": user(i), "managerId": user(0)}
					}, nil,
				},
				{
					"upsertUsers", "finding the users by their emails, locking them, the external ids that are taken, updating them", 4,
					func(i int) input {
						return newUser(fmt.Sprint(n, ".", i), "name", fmt.Sprint("N", i), "externalId", fmt.Sprint(n, ".", i))
					},
					[]any{"by", "EMAIL"},
				},
				{
					"createTeams", "the names that are taken, the teams, their number, and the edit of those below others", 4 + step,
					func(i int) input {
						if i == 0 {
							return input{"name": fmt.Sprint(n, ".", i)}
						}
						return input{"name": fmt.Sprint(n, ".", i), "parentRef": 0}
					}, nil,
				},
				{
					"addMemberships", "the teams and the users that are there, the memberships that are there, adding the others", 4 + step,
					func(i int) input { return input{"teamId": team(i), "userId": user(i)} }, nil,
				},
				{
					"setMembershipRoles", "locking the memberships, updating them", 2,
					func(i int) input { return input{"teamId": team(i), "userId": user(i), "role": "OWNER"} }, nil,
				},
				{
					"removeMemberships", "locking the memberships, removing them", 2,
					func(i int) input { return input{"teamId": team(i), "userId": user(i)} }, nil,
				},
				{
					"deleteUsers", "locking the users, whether others are below them, those below each other, their API tokens, how many memberships they have, removing the users, their number", 7,
					func(i int) input { return input{"id": user(i)} }, nil,
				},
			} {
				in := with(input{bulks[c.mutation]: many(n, c.entry)}, c.pairs...)
				d.wantStatements(t, c.statements, func() {
					if a := d.send(quiet(c.mutation, "results { error { message } }"), "input", in); len(a.Errors) > 0 {
						t.Errorf("%s: got %.500s", c.mutation, a.raw)
					}
				})
				if t.Failed() {
					t.Fatalf("%d entries of %s: %s", n, c.mutation, c.what)
				}
			}
			nextUser, nextTeam = nextUser+n, nextTeam+n
		}
	})
}

func TestAMutationRunsFewStatements(t *testing.T) {
	onEveryDatabase(t, func(t *testing.T, d *directory) {
		ada, bob := d.user("ada"), d.user("bob")
		d.user("cyd", "managerId", bob)
		top := d.team("Top")
		d.team("Low", "parentId", top)
		step := 0
		if d.db.Dialect().Name() != "sqlite" {
			step = 1
		}
		for _, c := range []struct {
			mutation, selection, what string
			statements                int
			in                        input
		}{
			{"createUser", "user { id }", "the user, their words, their number", 3, newUser("dan")},
			{"createUser", "user { id }", "the manager, the user, their words, their number", 4, newUser("eve", "managerId", ada)},
			{"updateUser", "user { id }", "locking the user, updating them", 2, input{"id": ada, "phone": "+1"}},
			{"updateUser", "user { id }", "locking the user", 1, input{"id": ada, "phone": "+1", "expectedVersion": 2}},
			{"deactivateUser", "user { id }", "locking the user, updating them", 2, input{"id": ada}},
			{"deactivateUser", "user { id }", "locking the user", 1, input{"id": ada}},
			{"reactivateUser", "user { id }", "locking the user, updating them", 2, input{"id": ada}},
			{"createTeam", "team { id }", "the team, their number", 2, input{"name": "X"}},
			{"createTeam", "team { id }", "the parent, the team, their number", 3, input{"name": "Y", "parentId": "Team:2"}},
			{"updateTeam", "team { id }", "locking the team, updating it", 2, input{"id": top, "name": "T"}},
			{"updateTeam", "team { id }", "reading the team, the common row, locking the team, those above, updating it", 5, input{"id": "Team:2", "parentId": "Team:3"}},
			{
				"addTeamMembers", "team { id }", "the team, the teams and the users that are there, the memberships that are there, adding the others", 5 + step,
				input{"teamId": top, "members": []input{{"userId": ada}, {"userId": bob}}},
			},
			{"addTeamMembers", "team { id }", "the team, the teams and the users that are there, the memberships that are there", 4, input{"teamId": top, "members": []input{{"userId": ada}}}},
			{"setTeamMemberRole", "membership { id }", "locking the membership, updating it", 2, input{"teamId": top, "userId": ada, "role": "OWNER"}},
			{"removeTeamMembers", "team { id }", "the team, locking the membership, removing it", 3, input{"teamId": top, "userIds": []string{ada}}},
			{"deleteTeam", "deletedTeamId", "locking the team, how many memberships it has, removing them, removing it, their number", 5, input{"id": top}},
			{
				"deleteTeam", "deletedTeamId", "the common row, locking the team, those within, those above the parent, updating the first, how many memberships, removing the team, their number", 8,
				input{"id": "Team:2", "children": "REPARENT"},
			},
			{"deleteUser", "deletedUserId", "locking the user, their API tokens, how many memberships they have, removing them, their number", 5, input{"id": "User:4"}},
			{
				"deleteUser", "deletedUserId", "the common row, locking the user, the reports, those above the heir, updating the report, API tokens, how many memberships, removing the user, their number", 9,
				input{"id": bob, "reportsTo": ada},
			},
			{"eraseUser", "erasedUserId", "those of deleteUser, and emptying what the log has, behind the clock where that is the mutation's", 6 + 1 - step, input{"id": "User:5"}},
			{"eraseUser", "erasedUserId", "locking the user, who is not there, waiting for other erasures, what the log has, emptying it", 4 + 1 - step, input{"id": "User:4"}},
			{"eraseUser", "erasedUserId", "locking the user, who is not there, waiting for other erasures, what the log has", 3, input{"id": "User:4"}},
		} {
			d.wantStatements(t, c.statements, func() {
				if a := d.send(quiet(c.mutation, c.selection), "input", c.in); len(a.Errors) > 0 {
					t.Errorf("got %.500s", a.raw)
				}
			})
			if t.Failed() {
				t.Fatalf("%s: %s", c.mutation, c.what)
			}
		}
	})
}
