package graph_test

import (
	"context"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"

	"rollcall/database/databasetest"
)

// selects returns what the statements select, without prefixes.
func selects(statements []string) []string {
	var lists []string
	for _, s := range statements {
		s = strings.NewReplacer("`", "", `"`, "", "e.", "", "t.", "").Replace(s)
		s = regexp.MustCompile(`^SELECT \* FROM \(`).ReplaceAllString(s, "")
		s = regexp.MustCompile(`,\s*`).ReplaceAllString(s, ", ")
		lists = append(lists, strings.TrimSpace(regexp.MustCompile(`(?s)SELECT (.*?),?\s*(ROW_NUMBER.*)?FROM.*`).ReplaceAllString(s, "$1")))
	}
	slices.Sort(lists)
	return lists
}

func TestOnlyTheColumnsThatAreSelectedAreRead(t *testing.T) {
	onDemoData(t, func(t *testing.T, d *directory) {
		for _, c := range []struct {
			query string
			want  []string
		}{
			{`{ user(id: "User:500") { name } }`, []string{"id, name"}},
			{`{ user(id: "User:500") { id __typename } }`, []string{"id"}},
			{`{ node(id: "User:500") { id ... on User { email } } }`, []string{"id, email"}},
			{`{ users(first: 2, after: "AVN9Sc0DXfQD") { nodes { email manager { updatedAt } } } }`, []string{
				"id, email, manager_id, updated_at", "id, email, manager_id, updated_at",
			}},
			{`{ user(id: "User:500") { id teams(first: 1) { edges { role node { name } } } } }`, []string{"id", "id, name, edge_role, list_parent"}},
			{`{ team(id: "Team:5") { id members(first: 1) { edges { joinedAt node { name } } } } }`, []string{"id", "id, name, created_at AS edge_created_at, team_id AS list_parent"}},
			{`{ user(id: "User:1") { reports(first: 1) { nodes { name } } } }`, []string{"id, name", "id, name, manager_id AS list_parent"}},
			{`query($no: Boolean = false) { user(id: "User:500") { name email @include(if: $no) } }`, []string{"id, name"}},
			{`{ userByEmail(email: "x@example.com") { name } }`, []string{"id, name, email"}},
		} {
			if got := selects(d.sql.During(func() { d.must(c.query) })); fmt.Sprint(got) != fmt.Sprint(c.want) {
				t.Errorf("%s: want %q, got %q", c.query, c.want, got)
			}
		}
	})
}

func TestANarrowRowNeverServesAWideReader(t *testing.T) {
	onDemoData(t, func(t *testing.T, d *directory) {
		// The same user under two aliases, as the manager of others, and through the node interface.
		a := d.must(`{
			narrow: user(id: "User:2") { id }
			wide: user(id: "User:2") { name email createdAt }
			below: users(first: 2, after: "AVN9Sc0DXQs") { nodes { manager { updatedAt } } }
			node(id: "User:2") { ... on User { manager { name } } }
		}`)
		if a.at(t, "wide.name") == "" || a.at(t, "wide.email") == "" || a.at(t, "wide.createdAt") == "0001-01-01T00:00:00Z" ||
			a.at(t, "node.manager.name") == "" || a.at(t, "below.nodes.0.manager.updatedAt") == "0001-01-01T00:00:00Z" {
			t.Errorf("got %s", a.raw)
		}
		// In a mutation the later root field reads more than the earlier.
		m := d.must(`mutation {
			a: updateUser(input: {id: "User:500", name: "A"}) { user { manager { id } } }
			b: updateUser(input: {id: "User:500", name: "B"}) { user { manager { id name email } } }
		}`)
		if m.at(t, "b.user.manager.name") == "" || m.at(t, "b.user.manager.email") == "" {
			t.Errorf("got %s", m.raw)
		}
	})
}

// texts is a GORM logger that keeps the distinct statements, without their values.
type texts struct {
	databasetest.Statements
}

func (*texts) ParamsFilter(_ context.Context, sql string, _ ...any) (string, []any) { return sql, nil }

func TestStatementTextsStayFew(t *testing.T) {
	onDemoData(t, func(t *testing.T, d *directory) {
		const bound = 12 // for each relation and set of columns
		d.maxPage(1000)
		seen := &texts{}
		d.logStatements(seen)
		for _, relation := range []string{"manager { name }", "reports(first: 1) { nodes { name } }", "teams(first: 1) { nodes { name } }", "reports(first: 1) { totalCount }"} {
			distinct := map[string]map[string]bool{} // by what they begin with
			for n := 1; n <= 1000; n += 1 + n/2 {
				for _, sql := range seen.During(func() {
					d.must(fmt.Sprintf(`{ users(first: %d) { nodes { %s } } }`, n, relation))
				}) {
					head := sql[:strings.Index(sql+" FROM", " FROM")]
					if distinct[head] == nil {
						distinct[head] = map[string]bool{}
					}
					distinct[head][sql] = true
				}
			}
			for head, texts := range distinct {
				if len(texts) > bound {
					t.Errorf("%s: %d distinct statements like %s", relation, len(texts), head)
				}
			}
		}
	})
}
