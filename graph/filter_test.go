package graph_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"rollcall/model"
)

// staff makes a directory in which the numbers of the users are all that matters: 1 is at the top, 2 and 3 are below 1, 4 below 2, and 5
// is alone. Team 1 has 1 as its owner, 2 and 5; team 2 has 2 as its owner.
func (d *directory) staff() {
	d.tb.Helper()
	began := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	known := func(text string) *string {
		if text == "" {
			return nil
		}
		return &text
	}
	user := func(id int64, name, email string, manager int64, title, externalID string) model.User {
		u := model.User{
			ID: id, Name: name, Email: email, Title: known(title), Location: known(title), ExternalID: known(externalID),
			Status: model.StatusActive, Version: 1, CreatedAt: began.Add(time.Duration(id) * time.Microsecond), UpdatedAt: began,
		}
		if manager != 0 {
			u.ManagerID = &manager
		}
		if id == 3 {
			u.Status = model.StatusDeactivated
		}
		u.Fold()
		return u
	}
	team := func(id int64, name, description string) model.Team {
		t := model.Team{ID: id, Name: name, Description: known(description), Version: 1, CreatedAt: began, UpdatedAt: began}
		t.Fold()
		return t
	}
	member := func(team, user int64, role model.Role) model.Membership {
		return model.Membership{TeamID: team, UserID: user, Role: role, CreatedAt: began}
	}
	blue, red := team(2, "Blue", "One.\nTwo."), int64(1)
	blue.ParentID = &red
	for _, rows := range []any{
		[]model.User{
			user(1, "Ada", "ada@example.com", 0, "Straße", "X"),
			user(2, "Ben 100%", "ben@example.com", 1, "", "x y"),
			user(3, "Cléo_a", "cleo@example.org", 1, "Łódź", ""),
			user(4, `D'Arc\`, "élodie@example.org", 2, "strasse", "X%"),
			user(5, "日本\U0010ffff", "emil@example.net", 0, "", ""),
		},
		[]model.Team{team(1, "Red", ""), blue},
		[]model.Membership{member(1, 1, model.RoleOwner), member(1, 2, model.RoleMember), member(1, 5, model.RoleMember), member(2, 2, model.RoleOwner)},
	} {
		if err := d.db.Write.Create(rows).Error; err != nil {
			d.tb.Fatal(err)
		}
	}
	if err := d.db.Derive(d.tb.Context()); err != nil { // the counts
		d.tb.Fatal(err)
	}
}

// found returns the numbers of the users that meet a filter, as one text.
func found(tb testing.TB, a answer, path string) string {
	tb.Helper()
	var numbers strings.Builder
	for _, node := range a.at(tb, path).([]any) {
		_, number, _ := strings.Cut(node.(map[string]any)["id"].(string), ":")
		numbers.WriteString(number)
	}
	return numbers.String()
}

func TestAFilterSaysWhichUsersThereAre(t *testing.T) {
	onEveryDatabase(t, func(t *testing.T, d *directory) {
		d.staff()
		for _, c := range []struct{ filter, want string }{
			{`null`, "12345"},
			{`{}`, "12345"},
			{`{ not: {} }`, ""},
			{`{ and: null, or: null, not: null, name: null }`, "12345"},
			{`{ and: [] }`, "12345"},
			{`{ or: [] }`, ""},
			{`{ name: {} }`, "12345"},
			{`{ not: { or: [] } }`, "12345"},
			{`{ or: [{}] }`, "12345"},

			{`{ id: { in: ["User:4", "User:2", "User:2", "User:99"] } }`, "24"},
			{`{ id: { in: "User:3" } }`, "3"},
			{`{ id: { in: [] } }`, ""},
			{`{ id: { notIn: [] } }`, "12345"},
			{`{ id: { notIn: ["User:1", "User:5"] } }`, "234"},

			{`{ name: { eq: "Ada" } }`, "1"},
			{`{ name: { ne: "Ada" } }`, "2345"},
			{`{ name: { in: ["Ada", "Cléo_a", "Nobody"] } }`, "13"},
			{`{ name: { notIn: ["Ada", "Cleo_a", "Nobody"] } }`, "245"},
			{`{ name: { contains: "%" } }`, "2"},
			{`{ name: { contains: "_" } }`, "3"},
			{`{ name: { contains: "'" } }`, "4"},
			{`{ name: { endsWith: "\\" } }`, "4"},
			{`{ name: { endsWith: "a" } }`, "13"},
			{`{ name: { startsWith: "日本" } }`, "5"},
			{`{ name: { startsWith: "日本\u{10ffff}" } }`, "5"},
			{`{ name: { endsWith: "\u{10ffff}" } }`, "5"},
			{`{ name: { contains: "" } }`, "12345"},
			{`{ name: { startsWith: "" } }`, "12345"},
			{`{ name: { endsWith: "" } }`, "12345"},
			{`{ name: { startsWith: "Ben", endsWith: "%" } }`, "2"},
			{`{ name: { startsWith: "Ben", endsWith: "a" } }`, ""},
			{`{ name: { eq: "ＡＤÁ" } }`, "1"},
			{`{ name: { notIn: ["CLEO_A", "ada"] } }`, "245"},
			{`{ name: { contains: "LÉO" } }`, "3"},
			{`{ name: { eq: "Ada " } }`, ""},
			{`{ name: { startsWith: "Ada " } }`, ""},
			{`{ name: { startsWith: "ben " } }`, "2"},
			{`{ title: { eq: "STRASSE" } }`, "14"},
			{`{ title: { ne: "STRASSE" } }`, "235"},
			{`{ title: { in: ["lodz", "straße"] } }`, "134"},
			{`{ title: { notIn: ["lodz"] } }`, "1245"},
			{`{ title: { notIn: [] } }`, "12345"},
			{`{ title: { in: [] } }`, ""},
			{`{ title: { contains: "" } }`, "134"},
			{`{ title: { startsWith: "" } }`, "134"},
			{`{ title: { endsWith: "" } }`, "134"},
			{`{ title: { contains: "od" } }`, "3"},
			{`{ not: { title: { contains: "od" } } }`, "1245"},
			{`{ not: { title: { startsWith: "L" } } }`, "1245"},
			{`{ not: { title: { endsWith: "z" } } }`, "1245"},
			{`{ title: { isNull: true } }`, "25"},
			{`{ title: { isNull: false, ne: "Lodz" } }`, "14"},
			{`{ location: { endsWith: "SSE" } }`, "14"},
			{`{ department: { isNull: false } }`, ""},
			{`{ status: {} }`, "12345"},
			{`{ status: { in: [ACTIVE] } }`, "1245"},
			{`{ status: { notIn: ACTIVE } }`, "3"},
			{`{ status: { in: [] } }`, ""},

			{`{ externalId: { eq: "X" } }`, "1"},
			{`{ externalId: { eq: "X " } }`, ""},
			{`{ externalId: { eq: "x" } }`, ""},
			{`{ externalId: { ne: "X " } }`, "12345"},
			{`{ externalId: { ne: "X" } }`, "2345"},
			{`{ externalId: { in: ["X ", "X%"] } }`, "4"},
			{`{ externalId: { notIn: ["X ", "X%"] } }`, "1235"},
			{`{ externalId: { startsWith: "X" } }`, "14"},
			{`{ externalId: { startsWith: "X " } }`, ""},
			{`{ externalId: { startsWith: "x " } }`, "2"},
			{`{ not: { externalId: { startsWith: "X " } } }`, "12345"},
			{`{ externalId: { contains: "x " } }`, "2"},
			{`{ externalId: { contains: "X " } }`, ""},
			{`{ externalId: { endsWith: "X " } }`, ""},
			{`{ externalId: { endsWith: "%" } }`, "4"},
			{`{ externalId: { contains: "\u0000" } }`, ""},
			{`{ externalId: { in: ["X", "X\u0000"] } }`, "1"},
			{`{ externalId: { notIn: ["X", "X\u0000"] } }`, "2345"},
			{`{ externalId: { startsWith: "\u0000" } }`, ""},
			{`{ externalId: { endsWith: "\u0000" } }`, ""},
			{`{ externalId: { ne: "\u0000" } }`, "12345"},
			{`{ name: { in: ["Ada", "A\u0000da"] } }`, "1"},

			{`{ email: { eq: " ADA@Example.com" } }`, "1"},
			{`{ email: { startsWith: "E\u0301L" } }`, "4"},
			{`{ email: { contains: "@EXAMPLE" } }`, "12345"},
			{`{ email: { endsWith: ".ORG" } }`, "34"},
			{`{ email: { notIn: ["ADA@example.com", "BEN@example.com"] } }`, "345"},

			{`{ manager: { in: ["User:1"] } }`, "23"},
			{`{ manager: { notIn: ["User:1"] } }`, "145"},
			{`{ not: { manager: { in: ["User:1"] } } }`, "145"},
			{`{ not: { manager: { notIn: ["User:1"] } } }`, "23"},
			{`{ manager: { isNull: true } }`, "15"},
			{`{ manager: { isNull: false } }`, "234"},
			{`{ hasManager: true }`, "234"},
			{`{ hasManager: false }`, "15"},
			{`{ managedBy: "User:1" }`, "234"},
			{`{ managedBy: "User:2" }`, "4"},
			{`{ managedBy: "User:4" }`, ""},
			{`{ not: { managedBy: "User:1" } }`, "15"},
			{`{ inTeam: { id: "Team:1" } }`, "125"},
			{`{ inTeam: { id: "Team:1", role: OWNER } }`, "1"},
			{`{ inTeam: { id: "Team:99" } }`, ""},
			{`{ not: { inTeam: { id: "Team:1" } } }`, "34"},

			{`{ createdAt: { gt: "2026-01-01T00:00:00.000002Z" } }`, "345"},
			{`{ createdAt: { gte: "2026-01-01T01:00:00.000002+01:00" } }`, "2345"},
			{`{ createdAt: { lt: "2026-01-01T00:00:00.000002Z" } }`, "1"},
			{`{ createdAt: { lte: "2026-01-01T00:00:00.000002Z" } }`, "12"},
			{`{ createdAt: { eq: "2025-12-31T23:00:00.000002-01:00" } }`, "2"},
			{`{ createdAt: { eq: "2026-01-01T00:00:00.0000025Z" } }`, ""},
			{`{ createdAt: { gt: "2026-01-01T00:00:00.0000025Z" } }`, "345"},
			{`{ createdAt: { gte: "2026-01-01T00:00:00.0000025Z" } }`, "345"},
			{`{ createdAt: { lt: "2026-01-01T00:00:00.0000025Z" } }`, "12"},
			{`{ createdAt: { lte: "2026-01-01T00:00:00.0000025Z" } }`, "12"},
			{`{ createdAt: { gt: "0000-01-01T00:00:00Z", lt: "9999-12-31T23:59:59.9999999-23:59" } }`, "12345"},
			{`{ createdAt: { lte: "0001-01-01T00:00:00Z" } }`, ""},
			{`{ createdAt: { gte: "0001-01-01T00:00:00Z" } }`, "12345"},
			{`{ createdAt: { gte: "9999-12-31T23:59:59.9999999Z" } }`, ""},
			{`{ not: { createdAt: { gt: "2026-01-01T00:00:00.000002Z" } } }`, "12"},

			{`{ or: [{ name: { eq: "Ada" } }, { managedBy: "User:2" }] }`, "14"},
			{`{ hasManager: true, not: { name: { eq: "Cleo_a" } } }`, "24"},
			{`{ not: { hasManager: true, name: { startsWith: "C" } } }`, "1245"},
			{`{ and: [{ hasManager: true }, { or: [{ inTeam: { id: "Team:2" } }, { name: { contains: "rc" } }] }] }`, "24"},
			{`{ and: { hasManager: false }, or: { name: { eq: "Ada" } } }`, "1"},
		} {
			a := d.must(`{ users(filter: ` + c.filter + `) { totalCount nodes { id } } }`)
			if got, count := found(t, a, "users.nodes"), a.at(t, "users.totalCount"); got != c.want || count != float64(len(c.want)) {
				t.Errorf("%s: want %q, got %q, of %v", c.filter, c.want, got, count)
			}
		}
	})
}

func TestEveryListHasAFilter(t *testing.T) {
	onEveryDatabase(t, func(t *testing.T, d *directory) {
		d.staff()
		for _, c := range []struct{ query, path, want string }{
			{`{ user(id: "User:1") { reports(filter: { name: { startsWith: "B" } }) { totalCount nodes { id } } } }`, "user.reports", "2"},
			{`{ user(id: "User:1") { allReports(filter: { email: { endsWith: ".org" } }) { nodes { id } } } }`, "user.allReports", "34"},
			{`{ team(id: "Team:1") { children(filter: { description: { isNull: false } }) { totalCount nodes { id } } } }`, "team.children", "2"},
			{`{ teams(filter: { parent: { isNull: true } }) { totalCount nodes { id } } }`, "teams", "1"},
			{`{ teams(filter: { parent: { in: "Team:1" } }) { totalCount nodes { id } } }`, "teams", "2"},
			{`{ teams(filter: { parent: { notIn: "Team:1" } }) { totalCount nodes { id } } }`, "teams", "1"},
			{`{ user(id: "User:2") { teams(filter: { name: { ne: "Red" } }) { totalCount nodes { id } } } }`, "user.teams", "2"},
			{`{ teams(filter: { description: { ne: "One.\nTwo." } }) { totalCount nodes { id } } }`, "teams", "1"},
			{`{ teams(filter: { description: { endsWith: "Two." }, name: { eq: "BLUE" } }) { totalCount nodes { id } } }`, "teams", "2"},
			{`{ teams(filter: { id: { notIn: "Team:2" } }) { totalCount nodes { id } } }`, "teams", "1"},
			{`{ team(id: "Team:1") { members(filter: { or: [{ managedBy: "User:1" }, { email: { endsWith: ".net" } }] }) { totalCount nodes { id } } } }`, "team.members", "25"},
			{`query($f: UserFilter) { users(filter: $f) { totalCount nodes { id } } }`, "users", "12345"},
			{`query($x: String) { users(filter: { name: { eq: $x } }) { totalCount nodes { id } } }`, "users", "12345"},
		} {
			a := d.must(c.query)
			got, count := found(t, a, c.path+".nodes"), any(float64(len(c.want)))
			if strings.Contains(c.query, "totalCount") {
				count = a.at(t, c.path+".totalCount")
			}
			if got != c.want || count != float64(len(c.want)) {
				t.Errorf("%s: want %q, got %q, of %v", c.query, c.want, got, count)
			}
		}
	})
}

func TestThoseWhomSomebodyManagesAreFoundAsFarDownAsDatabasesGo(t *testing.T) {
	onEveryDatabase(t, func(t *testing.T, d *directory) {
		users := make([]model.User, 1200)
		for i := range users {
			id := int64(i + 1)
			users[i] = model.User{ID: id, Name: "x", Email: fmt.Sprintf("%d@example.com", i), Status: model.StatusActive, Version: 1}
			if i > 0 {
				manager := id - 1
				users[i].ManagerID = &manager
			}
		}
		if err := d.db.Write.CreateInBatches(&users, 600).Error; err != nil {
			t.Fatal(err)
		}
		count := func(id int) any {
			return d.must(fmt.Sprintf(`{ users(filter: { managedBy: "User:%d" }) { totalCount } }`, id)).at(t, "users.totalCount")
		}
		if a, b := count(1), count(1000); a != 500.0 || b != 200.0 {
			t.Errorf("%v and %v are managed", a, b)
		}
		if err := d.db.Write.Exec("UPDATE users SET manager_id = 1200 WHERE id = 1199").Error; err != nil { // past the server
			t.Fatal(err)
		}
		if n := count(1200); n != 2.0 {
			t.Errorf("%v of a circle of two are managed", n)
		}
	})
}

func TestAFilterCostsNoStatementMore(t *testing.T) {
	onDemoData(t, func(t *testing.T, d *directory) {
		query := func(filter string) string {
			return `{ teams { nodes { members(first: 3` + filter + `) { totalCount nodes { reports(first: 2` + filter + `) { totalCount nodes { id } } } } } } }`
		}
		values := make([]string, 500)
		for i := range values {
			values[i] = fmt.Sprintf(`"User:%d"`, i+1)
		}
		list := strings.Join(values, ", ")
		for _, filter := range []string{
			"", `, filter: { not: { name: { contains: "z" } } }`, `, filter: { managedBy: "User:1", inTeam: { id: "Team:1" } }`,
			`, filter: { or: [{ id: { in: [` + list + `] } }, { id: { notIn: [` + list + `] } }] }`,
		} {
			d.wantStatements(t, 5, func() { d.must(query(filter)) })
		}
	})
}

func TestAFilterThatIsWrongIsBadInput(t *testing.T) {
	onEveryDatabase(t, func(t *testing.T, d *directory) {
		deep := func(n int) string { return strings.Repeat(`{ not: `, n) + `{}` + strings.Repeat(` }`, n) }
		many := func(n int, item string) string { return `[` + strings.Repeat(item+" ", n) + `]` }
		for _, c := range []struct {
			filter, field string
			words         []string
		}{
			{`{ name: { eq: null } }`, "filter.name.eq", []string{"must not be null", "isNull asks for that"}},
			{`{ and: [{}, { not: { email: { in: null } } }] }`, "filter.and.1.not.email.in", []string{"must not be null"}},
			{`{ createdAt: { gt: null } }`, "filter.createdAt.gt", []string{"must not be null"}},
			{`{ manager: { isNull: null } }`, "filter.manager.isNull", []string{"must not be null: give true or false"}},
			{`{ hasManager: null }`, "filter.hasManager", []string{"must not be null"}},
			{`{ managedBy: null }`, "filter.managedBy", []string{"must not be null: leave it out"}},
			{`{ and: [` + strings.Repeat(`{ managedBy: "User:1" } `, 6) + strings.Repeat(`{ inTeam: { id: "Team:1" } } `, 5) + `] }`, "filter.and.10.inTeam", []string{"at most 10", "other objects"}},
			{`{ inTeam: { id: "Team:1", role: null } }`, "filter.inTeam.role", []string{"must not be null"}},
			{`{ id: { in: ["User:1", "Team:1"] } }`, "filter.id.in.1", []string{`"Team:1" is not the id of a user`}},
			{`{ id: { in: [42] } }`, "filter.id.in.0", []string{`"42" is not the id of a user`}},
			{`{ manager: { notIn: "Team:1" } }`, "filter.manager.notIn.0", []string{`"Team:1" is not the id of a user`}},
			{`{ managedBy: "Team:1" }`, "filter.managedBy", []string{`"Team:1" is not the id of a user`}},
			{`{ inTeam: { id: "User:1" } }`, "filter.inTeam.id", []string{`"User:1" is not the id of a team`}},
			{deep(8), "filter" + strings.Repeat(".not", 8), []string{"at most 8 filters deep"}},
			{`{ or: ` + many(101, `{ name: { eq: "a" } }`) + ` }`, "filter.or.100.name.eq", []string{"at most 100 conditions"}},
			{`{ or: ` + many(101, `{}`) + ` }`, "filter.or.100", []string{"at most 100 conditions"}},
			{`{ name: { in: ` + many(600, `"a"`) + `, notIn: ` + many(401, `"b"`) + ` } }`, "filter.name.notIn", []string{"at most 1000 values"}},
			{`{ name: { contains: "` + strings.Repeat("é", 2049) + `" } }`, "filter.name.contains", []string{"at most 2048 characters"}},
		} {
			a := d.send(`{ users(filter: ` + c.filter + `) { nodes { id } } }`)
			if a.code(t) != "BAD_USER_INPUT" || !strings.HasPrefix(fmt.Sprint(a.Errors[0].Extensions["field"]), c.field) ||
				slices.ContainsFunc(c.words, func(w string) bool {
					return !strings.Contains(a.Errors[0].Message, w) || !strings.Contains(a.Errors[0].Message, c.field)
				}) {
				t.Errorf("%.200s: got %s", c.filter, a.raw)
			}
		}
		var nested any = map[string]any{}
		for range 9 {
			nested = map[string]any{"and": []any{nested}}
		}
		for words, filter := range map[string]any{
			"at most 8 filters deep": nested,
			"at most 100 conditions": map[string]any{"or": slices.Repeat([]any{map[string]any{}}, 30_000)},
			"at most 1000 values":    map[string]any{"id": map[string]any{"in": slices.Repeat([]any{"User:1"}, 30_000)}},
			"must not be null":       map[string]any{"name": map[string]any{"eq": nil}},
		} {
			d.wantStatements(t, 0, func() {
				a := d.send(`query($f: UserFilter) { users(filter: $f) { nodes { id } } }`, "f", filter)
				if a.code(t) != "BAD_USER_INPUT" || !strings.Contains(a.Errors[0].Message, words) {
					t.Errorf("%s: got %s", words, a.raw)
				}
			})
		}
		// What no built-in scalar has gqlgen refuses, wherever it stands.
		for query, variables := range map[string][]any{
			`{ team(id: "Team:1") { id } it: users(filter: { and: [{}, { createdAt: { gt: "yesterday" } }] }) { nodes { id } } }`: nil,
			`query($t: Time) { it: users(filter: { and: [{}, { createdAt: { gt: $t } }] }) { nodes { id } } }`:                    {"t", "yesterday"},
			`query($t: Time = "yesterday") { it: users(filter: { and: [{}, { createdAt: { gt: $t } }] }) { nodes { id } } }`:      nil,
			`query($f: UserFilter) { it: users(filter: $f) { nodes { id } } }`:                                                    {"f", map[string]any{"and": []any{map[string]any{}, map[string]any{"createdAt": map[string]any{"gt": "yesterday"}}}}},
		} {
			a := d.send(query, variables...)
			const want = `filter.and.1.createdAt.gt: expected a Time (such as 2026-01-31T12:00:00Z), got the string "yesterday"`
			if a.code(t) != "BAD_USER_INPUT" || fmt.Sprint(a.Errors[0].Path) != "[it]" || a.Errors[0].Message != want ||
				a.Errors[0].Extensions["field"] != "filter.and.1.createdAt.gt" {
				t.Errorf("%s: got %s", query, a.raw)
			}
		}
		for _, filter := range []string{
			deep(7), `{ or: ` + many(100, `{ name: { eq: "a" } }`) + ` }`, `{ name: { in: ` + many(600, `"a"`) + `, notIn: ` + many(400, `"b"`) + ` } }`,
			`{ name: { contains: "` + strings.Repeat("é", 2048) + `" } }`,
		} {
			d.must(`{ users(filter: ` + filter + `) { nodes { id } } }`)
		}
	})
}

func TestACursorIsOfOneFilter(t *testing.T) {
	onEveryDatabase(t, func(t *testing.T, d *directory) {
		d.staff()
		const query = `query($filter: UserFilter, $after: String) { users(first: 2, after: $after, filter: $filter) { nodes { id } pageInfo { endCursor } } }`
		in := func(ids ...string) map[string]any { return map[string]any{"id": map[string]any{"in": ids}} }
		filter := in("User:1", "User:2", "User:4")
		cursor := d.must(query, "filter", filter).at(t, "users.pageInfo.endCursor")
		for _, same := range []any{filter, in("User:4", "User:2", "User:1", "User:1")} {
			if got := found(t, d.must(query, "filter", same, "after", cursor), "users.nodes"); got != "4" {
				t.Errorf("%v: %s follow", same, got)
			}
		}
		for _, other := range []any{nil, in("User:1", "User:2", "User:5"), map[string]any{"not": filter}, map[string]any{"manager": filter["id"]}} {
			if a := d.send(query, "filter", other, "after", cursor); a.code(t) != "BAD_USER_INPUT" || !strings.Contains(a.Errors[0].Message, "not a cursor of this list") {
				t.Errorf("%v: got %s", other, a.raw)
			}
		}
	})
}
