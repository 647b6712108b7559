package graph_test

import (
	"fmt"
	"strings"
	"testing"
)

// sequence is a FROM that has the numbers i from 1 to n, of at most five digits.
func sequence(n int) string {
	const digits = "(SELECT 0 AS d UNION ALL SELECT 1 UNION ALL SELECT 2 UNION ALL SELECT 3 UNION ALL SELECT 4 UNION ALL " +
		"SELECT 5 UNION ALL SELECT 6 UNION ALL SELECT 7 UNION ALL SELECT 8 UNION ALL SELECT 9)"
	return fmt.Sprintf("(SELECT 1 + a.d + 10 * b.d + 100 * c.d + 1000 * e.d + 10000 * f.d AS i FROM %[1]s a CROSS JOIN %[1]s b CROSS JOIN %[1]s c "+
		"CROSS JOIN %[1]s e CROSS JOIN %[1]s f) s WHERE i <= %[2]d", digits, n)
}

func (d *directory) exec(t *testing.T, statement string) {
	t.Helper()
	if err := d.db.Write.WithContext(t.Context()).Exec(statement).Error; err != nil {
		t.Fatal(err)
	}
}

func TestAMutationChangesAtMost10000Objects(t *testing.T) {
	onEveryDatabase(t, func(t *testing.T, d *directory) {
		const n = 10_001
		now := "'2026-01-01 00:00:00.000000'"
		boss, heir, joiner := d.user("boss"), d.user("heir"), d.user("joiner") // 1 to 3
		top, crowd := d.team("Top"), d.team("Crowd")                           // 1 and 2
		d.exec(t, "INSERT INTO users (id, name, email, manager_id, name_folded, created_at, updated_at) SELECT i + 1000, 'N', CONCAT('r', i), 1, 'n', "+now+", "+now+
			" FROM "+sequence(n))
		d.exec(t, "INSERT INTO teams (id, name, parent_id, name_folded, created_at, updated_at) SELECT i + 1000, CONCAT('t', i), 1, 't', "+now+", "+now+" FROM "+sequence(n))
		d.exec(t, "INSERT INTO memberships (team_id, user_id, role, created_at) SELECT i + 1000, 3, 'MEMBER', "+now+" FROM "+sequence(n))
		d.exec(t, "INSERT INTO memberships (team_id, user_id, role, created_at) SELECT 2, i + 1000, 'MEMBER', "+now+" FROM "+sequence(n))
		rows := func() string {
			a := d.must(`{ team(id: "Team:2") { members { totalCount } } user(id: "User:1") { reports { totalCount } } joiner: user(id: "User:3") { teams { totalCount } }
				top: team(id: "Team:1") { children { totalCount } } }`)
			return a.raw
		}
		before := rows()
		members, ids := make([]input, n), make([]string, n)
		for i := range ids {
			ids[i] = fmt.Sprint("User:", i+1001)
			members[i] = input{"userId": ids[i]}
		}
		for _, c := range []struct {
			mutation, field, parts string
			in                     input
		}{
			{"deleteUser", "input.id", "updateUsers", input{"id": boss, "reportsTo": heir}},
			{"deleteUsers", "input.users", "updateUsers", input{"users": []input{{"id": heir}, {"id": boss, "reportsTo": joiner}}, "mode": "EACH"}},
			{"deleteUser", "input.id", "removeMemberships", input{"id": joiner}},
			{"deleteUsers", "input.users", "removeMemberships", input{"users": []input{{"id": heir}, {"id": joiner}}}},
			{"deleteTeam", "input.id", "removeMemberships", input{"id": crowd}},
			{"deleteTeam", "input.id", "updateTeam", input{"id": top, "children": "REPARENT"}},
			{"addTeamMembers", "input.members", "addMemberships", input{"teamId": crowd, "members": members}},
			{"removeTeamMembers", "input.userIds", "removeMemberships", input{"teamId": crowd, "userIds": ids}},
		} {
			a := d.try(c.mutation, c.in)
			if a.refused(t, c.mutation, "BAD_USER_INPUT", c.field); len(a.Errors) > 0 && !strings.Contains(a.Errors[0].Message, c.parts) {
				t.Errorf("%s does not name %s: %s", c.mutation, c.parts, a.raw)
			}
		}
		if after := rows(); after != before {
			t.Errorf("before: %s, after: %s", before, after)
		}
		// Just within the bound: 9,999 memberships and the user; 1 team, 4,999 of those within it and 5,000 members; 10,000 members.
		d.exec(t, "DELETE FROM memberships WHERE user_id = 3 AND team_id > 10999")
		d.try("deleteUser", input{"id": joiner}).mustHave(t, "deletedUserId")
		d.exec(t, "DELETE FROM teams WHERE parent_id = 1 AND id > 5999")
		d.exec(t, "INSERT INTO memberships (team_id, user_id, role, created_at) SELECT 1, i + 1000, 'MEMBER', "+now+" FROM "+sequence(5001))
		d.try("deleteTeam", input{"id": top, "children": "REPARENT"}).refused(t, "one too many in all", "BAD_USER_INPUT", "input.id")
		d.exec(t, "DELETE FROM memberships WHERE team_id = 1 AND user_id = 1001")
		d.try("deleteTeam", input{"id": top, "children": "REPARENT"}).mustHave(t, "deletedTeamId")
		d.exec(t, "DELETE FROM memberships WHERE team_id = 2")
		d.must(quiet("addTeamMembers", "team { id }"), "input", input{"teamId": crowd, "members": members[:n-1]})
		if a := d.must(`{ team(id: "Team:2") { members { totalCount } } }`); a.at(t, "team.members.totalCount") != float64(n-1) {
			t.Errorf("got %s", a.raw)
		}
		d.must(quiet("removeTeamMembers", "team { id }"), "input", input{"teamId": crowd, "userIds": ids[:n-1]})
	})
}

// mustHave fails unless a mutation has succeeded, and its payload has a word.
func (a answer) mustHave(t *testing.T, word string) {
	t.Helper()
	if len(a.Errors) > 0 || !strings.Contains(a.raw, word) {
		t.Errorf("got %s", a.raw)
	}
}
