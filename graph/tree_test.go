package graph_test

import (
	"cmp"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"gorm.io/gorm"

	"rollcall/model"
)

// person is a user as a list of what is below another has it.
type person struct {
	id    string
	depth float64
}

// grow stores some users below random others, teams likewise, and random memberships. It returns whom each user manages, and the rest
// as it is stored.
func grow(t *testing.T, d *directory) (reports map[int64][]int64, teams []model.Team, memberships []model.Membership) {
	t.Helper()
	random, at := rand.New(rand.NewPCG(7, 16)), time.Date(2025, 1, 1, 9, 0, 0, 0, time.UTC)
	reports = map[int64][]int64{}
	var users []model.User
	for id := int64(1); id <= 60; id++ {
		user := model.User{ID: id, Name: fmt.Sprintf("Name %c", 'A'+random.IntN(26)), Email: fmt.Sprintf("u%d@example.com", id), Status: model.StatusActive, CreatedAt: at, UpdatedAt: at}
		if id > 3 {
			manager := 1 + random.Int64N(min(id-1, 20))
			user.ManagerID = &manager
			reports[manager] = append(reports[manager], id)
		}
		user.Fold()
		users = append(users, user)
	}
	for id := int64(1); id <= 12; id++ {
		team := model.Team{ID: id, Name: fmt.Sprintf("Team %d", id), CreatedAt: at, UpdatedAt: at}
		if id > 2 {
			parent := 1 + random.Int64N(id-1)
			team.ParentID = &parent
		}
		team.Fold()
		teams = append(teams, team)
		for user := int64(1); user <= 60; user++ {
			if random.IntN(6) == 0 {
				role := []model.Role{model.RoleMember, model.RoleOwner}[random.IntN(2)]
				memberships = append(memberships, model.Membership{TeamID: id, UserID: user, Role: role, CreatedAt: at.Add(time.Duration(id*user) * time.Minute)})
			}
		}
	}
	err := d.db.Write.WithContext(t.Context()).Transaction(func(tx *gorm.DB) error {
		for _, rows := range []any{users, teams, memberships} {
			if err := tx.CreateInBatches(rows, 100).Error; err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return reports, teams, memberships
}

// below returns all users below one, by their depth, then by id.
func below(reports map[int64][]int64, user int64) (all []person) {
	level := []int64{user}
	for depth := 1.; len(level) > 0; depth++ {
		var next []int64
		for _, manager := range level {
			next = append(next, reports[manager]...)
		}
		slices.Sort(next)
		for _, id := range next {
			all = append(all, person{model.UserID(id), depth})
		}
		level = next
	}
	return all
}

func people(t *testing.T, a answer, path string) (all []person) {
	t.Helper()
	for _, edge := range a.at(t, path).([]any) {
		e := edge.(map[string]any)
		all = append(all, person{e["node"].(map[string]any)["id"].(string), e["depth"].(float64)})
	}
	return all
}

func TestAllReportsAreReadBothWaysByDepth(t *testing.T) {
	onEveryDatabase(t, func(t *testing.T, d *directory) {
		reports, _, _ := grow(t, d)
		const page = `list: allReports(first: $first, after: $after, last: $last, before: $before, maxDepth: $maxDepth) {
			edges { depth node { id } } pageInfo { hasNextPage hasPreviousPage startCursor endCursor } }`
		const query = `query($id: ID!, $first: Int, $after: String, $last: Int, $before: String, $maxDepth: Int) { user(id: $id) { ` + page + ` } }`
		for _, user := range []int64{1, 2, 3, 6, 9, 16, 25} {
			for _, maxDepth := range []any{nil, 1, 2, 3} {
				want := below(reports, user)
				if depth, limited := maxDepth.(int); limited {
					want = slices.DeleteFunc(want, func(p person) bool { return p.depth > float64(depth) })
				}
				size := 1 + int(user)%7
				var forth, back []person
				for after := any(nil); ; {
					a := d.must(query, "id", model.UserID(user), "first", size, "after", after, "maxDepth", maxDepth)
					forth = append(forth, people(t, a, "user.list.edges")...)
					if after = a.at(t, "user.list.pageInfo.endCursor"); a.at(t, "user.list.pageInfo.hasNextPage") == false {
						break
					}
				}
				for before := any(nil); ; {
					a := d.must(query, "id", model.UserID(user), "last", size, "before", before, "maxDepth", maxDepth)
					back = append(people(t, a, "user.list.edges"), back...)
					if before = a.at(t, "user.list.pageInfo.startCursor"); a.at(t, "user.list.pageInfo.hasPreviousPage") == false {
						break
					}
				}
				if !slices.Equal(forth, want) || !slices.Equal(back, want) {
					t.Fatalf("user %d, pages of %d, at most %v deep:\nforth %v\nback  %v\nwant  %v", user, size, maxDepth, forth, back, want)
				}
			}
		}

		for id, statements := range map[string]int{"User:3": 3, "User:60": 2} { // the user, two levels below, and more of them once
			d.wantStatements(t, statements, func() { d.must(query, "id", id, "first", 100) })
		}

		a := d.must(`{ users(first: 60) { nodes { id allReports(first: 9) { edges { depth node { id } } } managementChain { id } } } }`)
		chain := map[string][]string{}
		for i := range 60 {
			id := int64(i + 1)
			all := below(reports, id)
			if got := people(t, a, fmt.Sprintf("users.nodes.%d.allReports.edges", i)); !slices.Equal(got, all[:min(9, len(all))]) {
				t.Errorf("user %d among others: got %v", id, got)
			}
			for _, p := range all {
				chain[p.id] = append(chain[p.id], fmt.Sprintf("%03.0f %s", p.depth, model.UserID(id)))
			}
		}
		for i := range 60 {
			want, got := chain[model.UserID(int64(i+1))], []string{}
			slices.Sort(want)
			for _, manager := range a.at(t, fmt.Sprintf("users.nodes.%d.managementChain", i)).([]any) {
				got = append(got, fmt.Sprintf("%03d %s", len(got)+1, manager.(map[string]any)["id"]))
			}
			if !slices.Equal(got, want) {
				t.Errorf("above user %d: got %v, want %v", i+1, got, want)
			}
		}
	})
}

func TestAllReportsAreFiltered(t *testing.T) {
	onEveryDatabase(t, func(t *testing.T, d *directory) {
		reports, _, _ := grow(t, d)
		a := d.must(`{ user(id: "User:3") { allReports(first: 100, filter: {id: {in: ["User:3", "User:20", "User:55", "User:60", "User:59"]}}) { edges { depth node { id } } } } }`)
		want := slices.DeleteFunc(below(reports, 3), func(p person) bool {
			return !slices.Contains([]string{"User:20", "User:55", "User:60", "User:59"}, p.id)
		})
		if got := people(t, a, "user.allReports.edges"); !slices.Equal(got, want) || len(want) == 0 {
			t.Errorf("got %v, want %v", got, want)
		}
	})
}

func TestTooManyReportsAreNotFiltered(t *testing.T) {
	onEveryDatabase(t, func(t *testing.T, d *directory) {
		top := d.create("Top", "top@example.com", nil)
		const digits = "(SELECT 0 AS n UNION ALL SELECT 1 UNION ALL SELECT 2 UNION ALL SELECT 3 UNION ALL SELECT 4 UNION ALL SELECT 5 UNION ALL SELECT 6 UNION ALL SELECT 7 UNION ALL SELECT 8 UNION ALL SELECT 9) "
		const insert = "INSERT INTO users (name, name_folded, email, manager_id, created_at, updated_at) " +
			"SELECT 'x', 'x', CONCAT('x', a.n, b.n, c.n, e.n, '@example.com'), t.id, t.created_at, t.updated_at FROM users t, " +
			digits + "a, " + digits + "b, " + digits + "c, " + digits + "e"
		if err := d.db.Write.WithContext(t.Context()).Exec(insert).Error; err != nil {
			t.Fatal(err)
		}
		const query = `query($id: ID!) { user(id: $id) { allReports(first: 1, filter: {name: {eq: "x"}}) { nodes { name } } } }`
		if a := d.must(query, "id", top); a.at(t, "user.allReports.nodes.0.name") != "x" {
			t.Errorf("10,000: got %s", a.raw)
		}
		d.create("One more", "more@example.com", top)
		if a := d.send(query, "id", top); a.code(t) != "BAD_USER_INPUT" || a.Errors[0].Extensions["field"] != "filter" {
			t.Errorf("10,001: got %s", a.raw)
		}
		// It is refused alone, and others are not that are read with it.
		const both = `query($ids: [ID!]!) { nodes(ids: $ids) { id ... on User { allReports(first: 1, filter: {name: {eq: "x"}}) { totalCountUpTo(limit: 5) nodes { name } } } } }`
		other := d.create("Other", "other@example.com", nil)
		d.must(`mutation($manager: ID!) { createUser(input: {name: "x", email: "below@example.com", managerId: $manager}) { user { id } } }`, "manager", other)
		a := d.send(both, "ids", []string{top, other})
		if a.code(t) != "BAD_USER_INPUT" || fmt.Sprint(a.Errors[0].Path) != "[nodes 0 allReports]" || a.at(t, "nodes.0") != nil || a.at(t, "nodes.1.allReports.nodes.0.name") != "x" {
			t.Errorf("with another: got %s", a.raw)
		}
		d.allowArrays(2)
		batched := d.postAs([]map[string]any{{"query": query, "variables": map[string]any{"id": other}}, {"query": query, "variables": map[string]any{"id": top}}}, "application/json")
		if want := `{"data":{"user":{"allReports":{"nodes":[{"name":"x"}]}}}},{"errors":[`; !strings.HasPrefix(batched.raw, want) {
			t.Errorf("in an array: want %s…, got %s", want, batched.raw)
		}
	})
}

func TestADepthOutOfBoundsIsBadInput(t *testing.T) {
	onEveryDatabase(t, func(t *testing.T, d *directory) {
		id := d.create("Ada", "ada@example.com", nil)
		for _, depth := range []int{0, -1, 501} {
			a := d.send(`query($id: ID!, $depth: Int) { user(id: $id) { allReports(maxDepth: $depth) { nodes { id } } } }`, "id", id, "depth", depth)
			if a.code(t) != "BAD_USER_INPUT" || a.Errors[0].Extensions["field"] != "maxDepth" {
				t.Errorf("%d: got %s", depth, a.raw)
			}
		}
	})
}

func TestACircleOfManagersThatSQLMadeIsReadToItsEnd(t *testing.T) {
	onEveryDatabase(t, func(t *testing.T, d *directory) {
		a := d.create("A", "a@example.com", nil)
		b := d.create("B", "b@example.com", a)
		c := d.create("C", "c@example.com", b)
		if err := d.db.Write.WithContext(t.Context()).Exec("UPDATE users SET manager_id = ? WHERE id = ?",
			strings.TrimPrefix(b, "User:"), strings.TrimPrefix(a, "User:")).Error; err != nil {
			t.Fatal(err)
		}
		got := d.must(`query($id: ID!) { user(id: $id) { managementChain { id } allReports(maxDepth: 3) { edges { depth } } } }`, "id", c)
		if chain := got.at(t, "user.managementChain").([]any); len(chain) != 2 {
			t.Errorf("got %s", got.raw)
		}
	})
}

func TestMembersOfNestedTeamsAreThereOnceByTheNearestMembership(t *testing.T) {
	onEveryDatabase(t, func(t *testing.T, d *directory) {
		_, teams, memberships := grow(t, d)
		for _, team := range teams {
			depth := map[int64]int{team.ID: 0} // of the teams below
			for _, other := range teams {      // a parent's id is lower
				if other.ParentID == nil {
					continue
				}
				if above, is := depth[*other.ParentID]; is {
					depth[other.ID] = above + 1
				}
			}
			nearest := map[int64]model.Membership{}
			for _, m := range memberships {
				at, is := depth[m.TeamID]
				best, there := nearest[m.UserID]
				if is && (!there || cmp.Or(at-depth[best.TeamID], int(m.TeamID-best.TeamID)) < 0) {
					nearest[m.UserID] = m
				}
			}
			want := []string{}
			for _, user := range slices.Sorted(maps.Keys(nearest)) {
				m := nearest[user]
				want = append(want, fmt.Sprint(model.UserID(user), m.Role, "Team:", m.TeamID, m.CreatedAt.Format(time.RFC3339)))
			}
			read := func(query string, args ...any) (got []string, a answer) {
				a = d.must(query, append(args, "id", team.GlobalID())...)
				for _, edge := range a.at(t, "team.list.edges").([]any) {
					e := edge.(map[string]any)
					got = append(got, fmt.Sprint(e["node"].(map[string]any)["id"], e["role"], e["team"].(map[string]any)["id"], e["joinedAt"]))
				}
				return got, a
			}
			const edges = `{ totalCount edges { role joinedAt team { id } node { id } } pageInfo { hasNextPage endCursor } }`
			var got []string
			for after := any(nil); ; {
				part, a := read(`query($id: ID!, $after: String) { team(id: $id) { list: members(membership: ALL, first: 7, after: $after) `+edges+` } }`, "after", after)
				if got = append(got, part...); int(a.at(t, "team.list.totalCount").(float64)) != len(want) {
					t.Errorf("%s: %s", team.GlobalID(), a.raw)
				}
				if after = a.at(t, "team.list.pageInfo.endCursor"); a.at(t, "team.list.pageInfo.hasNextPage") == false {
					break
				}
			}
			if !slices.Equal(got, want) {
				t.Errorf("%s:\ngot  %v\nwant %v", team.GlobalID(), got, want)
			}
			sorted, _ := read(`query($id: ID!) { team(id: $id) { list: members(membership: ALL, first: 100, orderBy: {field: JOINED_AT, direction: DESC}) ` + edges + ` } }`)
			slices.SortFunc(want, func(a, b string) int { return cmp.Compare(b[len(b)-20:], a[len(a)-20:]) })
			slices.Sort(got)
			inOrder := slices.IsSortedFunc(sorted, func(a, b string) int { return cmp.Compare(b[len(b)-20:], a[len(a)-20:]) })
			if slices.Sort(sorted); !inOrder || !slices.Equal(sorted, got) {
				t.Errorf("%s, by JOINED_AT: got %v, want %v", team.GlobalID(), sorted, got)
			}
		}
		direct := d.must(`{ team(id: "Team:1") { a: members(membership: DIRECT, first: 100) { nodes { id } edges { cursor team { id } } } b: members(first: 100) { nodes { id } } parent { id } } b: team(id: "Team:3") { parent { children { nodes { parent { id } } } } } }`)
		if fmt.Sprint(direct.at(t, "team.a.nodes")) != fmt.Sprint(direct.at(t, "team.b.nodes")) || direct.at(t, "team.parent") != nil ||
			direct.at(t, "team.a.edges.0.team.id") != "Team:1" || direct.at(t, "b.parent.children.nodes.0.parent.id") == nil {
			t.Errorf("got %s", direct.raw)
		}
		foreign := d.send(`query($after: String) { team(id: "Team:1") { members(membership: ALL, after: $after) { nodes { id } } } }`, "after", direct.at(t, "team.a.edges.0.cursor"))
		if foreign.code(t) != "BAD_USER_INPUT" {
			t.Errorf("a cursor of the direct members: got %s", foreign.raw)
		}
	})
}
