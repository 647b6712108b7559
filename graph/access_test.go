package graph_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/vektah/gqlparser/v2/ast"

	"rollcall/access"
	"rollcall/keyset"
)

// viewerKind is a kind of viewer, and what it is to the objects that the tests below look at: a user and a team.
type viewerKind struct {
	name      string
	user      string // of rightsWorld.ids; "": it is no user
	role      string
	relations []string // to the user and the team
	gone      bool     // it was one: its credentials have expired or were revoked
}

var viewerKinds = []viewerKind{
	{name: "anonymous", role: "VIEWER"},
	{name: "viewer", user: "other", role: "VIEWER"},
	{name: "self", user: "self", role: "VIEWER", relations: []string{"SELF"}},
	{name: "manager", user: "manager", role: "VIEWER", relations: []string{"MANAGER"}},
	{name: "manager above", user: "chief", role: "VIEWER", relations: []string{"MANAGER"}},
	{name: "report", user: "report", role: "VIEWER"},
	{name: "owner", user: "owner", role: "VIEWER", relations: []string{"OWNER"}},
	{name: "no role", user: "other"},
	{name: "self without a role", user: "self", relations: []string{"SELF"}},
	{name: "editor", role: "EDITOR"},
	{name: "admin", user: "other", role: "ADMIN"},
}

// may is what a rule of the schema says of a kind of viewer; nil: there is no rule.
func (k viewerKind) may(rule []string, relations bool) bool {
	if k.gone { // main's TestAnExpiredOrRevokedTokenOpensNothing
		return false
	}
	order := []string{"VIEWER", "EDITOR", "ADMIN"}
	for _, name := range rule {
		if i := slices.Index(order, name); i >= 0 && slices.Index(order, k.role) >= i {
			return true
		}
		if relations && slices.Contains(k.relations, name) {
			return true
		}
	}
	return rule == nil
}

// ruleAt reads a rule of the schema.
func ruleAt(directives ast.DirectiveList, action string) []string {
	d := directives.ForName("access")
	if d == nil || d.Arguments.ForName(action) == nil {
		return nil
	}
	rule := []string{}
	for _, child := range d.Arguments.ForName(action).Value.Children {
		rule = append(rule, child.Value.Raw)
	}
	return rule
}

// rightsWorld is a directory in which each kind of viewer is somebody.
type rightsWorld struct {
	*directory
	ids        map[string]string // of users
	team       string            // which owner owns, and in which self is
	lone       string            // in which nobody is
	membership string            // of self
}

// inWorld runs fn on every database.
func inWorld(t *testing.T, fn func(t *testing.T, w *rightsWorld)) {
	onEveryDatabase(t, func(t *testing.T, d *directory) {
		w := &rightsWorld{directory: d, ids: map[string]string{}}
		for _, u := range [][2]string{{"chief", ""}, {"manager", "chief"}, {"self", "manager"}, {"report", "self"}, {"other", ""}, {"owner", ""}} {
			in := newUser(u[0], "phone", fmt.Sprintf("+1 %d", len(w.ids)), "externalId", "x-"+u[0], "location", "Rome")
			if u[1] != "" {
				in["managerId"] = w.ids[u[1]]
			}
			w.ids[u[0]] = d.try("createUser", in).at(t, "createUser.user.id").(string)
		}
		w.team = d.try("createTeam", input{"name": "Team"}).at(t, "createTeam.team.id").(string)
		w.lone = d.try("createTeam", input{"name": "Lone"}).at(t, "createTeam.team.id").(string)
		seats := []input{{"userId": w.ids["owner"], "role": "OWNER"}, {"userId": w.ids["self"]}}
		d.try("addTeamMembers", input{"teamId": w.team, "members": seats})
		d.settle()
		w.membership = d.must(`query($id: ID!) { user(id: $id) { teams { edges { membershipId } } } }`, "id", w.ids["self"]).at(t, "user.teams.edges.0.membershipId").(string)
		server := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
			i := slices.IndexFunc(viewerKinds, func(k viewerKind) bool { return "/"+strings.ReplaceAll(k.name, " ", "-") == r.URL.Path })
			if i >= 0 {
				r = r.WithContext(access.WithViewer(r.Context(), w.viewer(viewerKinds[i])))
			}
			d.handler.ServeHTTP(rw, r)
		}))
		t.Cleanup(server.Close)
		d.url = server.URL
		fn(t, w)
	})
}

func (w *rightsWorld) viewer(k viewerKind) *access.Viewer {
	v := &access.Viewer{Subject: k.name, Role: k.role}
	if k.user != "" {
		_, v.UserID, _ = keyset.ParseID(w.ids[k.user])
	}
	return v
}

// as is the API as a kind of viewer uses it.
func (w *rightsWorld) as(k viewerKind) *directory {
	own := *w.directory
	own.url += "/" + strings.ReplaceAll(k.name, " ", "-")
	return &own
}

// forbidden is what an answer says was hidden.
func (a answer) forbidden(tb testing.TB) []string {
	tb.Helper()
	var whole struct {
		Extensions struct{ Forbidden []string }
	}
	if err := json.Unmarshal([]byte(a.raw), &whole); err != nil {
		tb.Fatal(err)
	}
	return whole.Extensions.Forbidden
}

// path is a way to the object that the tests look at: a document in which %s is what is selected of it, and where that is in the answer.
type accessPath struct{ document, at string }

func (w *rightsWorld) paths(of string) []accessPath {
	if of == "Team" {
		return []accessPath{
			{`{ team(id: "` + w.team + `") { %s } }`, "team"},
			{`{ teams(filter: {name: {eq: "Team"}}) { totalCount nodes { %s } } }`, "teams.nodes.0"},
			{`{ node(id: "` + w.team + `") { ... on Team { %s } } }`, "node"},
			{`{ user(id: "` + w.ids["self"] + `") { teams { edges { node { %s } } } } }`, "user.teams.edges.0.node"},
		}
	}
	self := w.ids["self"]
	return []accessPath{
		{`{ user(id: "` + self + `") { %s } }`, "user"},
		{`{ a: user(id: "` + self + `") { %s } }`, "a"},
		{`{ userByEmail(email: "self@example.com") { ...F } } fragment F on User { %s }`, "userByEmail"},
		{`{ users(filter: {id: {in: ["` + self + `"]}}) { totalCount nodes { %s } } }`, "users.nodes.0"},
		{`{ users(query: "self") { edges { node { %s } } } }`, "users.edges.0.node"},
		{`{ users(orderBy: {field: EMAIL}, first: 1, after: null, filter: {email: {eq: "self@example.com"}}) { nodes { %s } } }`, "users.nodes.0"},
		{`{ user(id: "` + w.ids["manager"] + `") { reports { nodes { %s } } } }`, "user.reports.nodes.0"},
		{`{ user(id: "` + w.ids["report"] + `") { manager { %s } } }`, "user.manager"},
		{`{ user(id: "` + w.ids["report"] + `") { managementChain { %s } } }`, "user.managementChain.0"},
		{`{ user(id: "` + w.ids["chief"] + `") { allReports(maxDepth: 2) { edges { depth node { %s } } } } }`, "user.allReports.edges.1.node"},
		{`{ team(id: "` + w.team + `") { members(filter: {email: {eq: "self@example.com"}}) { nodes { %s } } } }`, "team.members.nodes.0"},
		{`{ node(id: "` + self + `") { ... on User { %s } } }`, "node"},
		{`{ nodes(ids: ["` + self + `"]) { id ... on User { %s } } }`, "nodes.0"},
		{`{ node(id: "` + w.membership + `") { ... on Membership { user { %s } } } }`, "node.user"},
	}
}

// TestEachViewerReadsOfEachFieldWhatItsRuleSays tries each field with a rule, each kind of viewer and each path to the object.
func TestEachViewerReadsOfEachFieldWhatItsRuleSays(t *testing.T) {
	inWorld(t, func(t *testing.T, w *rightsWorld) {
		tried := 0
		for _, of := range []string{"User", "Team"} {
			for _, field := range schema.Types[of].Fields {
				rule := ruleAt(field.Directives, "read")
				if rule == nil {
					continue
				}
				selected := "f: " + field.Name
				if schema.Types[field.Type.Name()].IsCompositeType() {
					selected += " { totalCount }"
				}
				for _, path := range w.paths(of) {
					if !w.has(path) { // an object of which there is none yet
						continue
					}
					for _, k := range viewerKinds {
						w.wantRead(t, k, path, of+"."+field.Name, selected, k.may(rule, true))
						tried++
					}
				}
			}
		}
		if tried < 400 {
			t.Errorf("only %d were tried", tried)
		}
	})
}

func (w *rightsWorld) has(path accessPath) bool {
	a := w.send(fmt.Sprintf(path.document, "id"))
	if len(a.Errors) > 0 || a.at(w.tb, path.at) == nil {
		w.tb.Errorf("%s: %s", path.document, a.raw)
		return false
	}
	return true
}

func (w *rightsWorld) wantRead(t *testing.T, k viewerKind, path accessPath, field, selected string, may bool) {
	t.Helper()
	document := fmt.Sprintf(path.document, selected)
	a := w.as(k).send(document)
	var names []string
	for name := range strings.SplitSeq(path.at+".f", ".") {
		if len(name) > 1 || name == "a" || name == "f" {
			names = append(names, name)
		}
	}
	want := []string(nil)
	if !may {
		want = []string{strings.Join(names, ".")}
	}
	got := a.forbidden(t)
	if of, only := strings.CutSuffix(path.at, "managementChain.0"); only && !may && len(got) == 1 { // all of the chain are at the same path
		want = []string{of + "managementChain.f"}
	}
	if len(a.Errors) > 0 || (a.at(t, path.at+".f") != nil) != may || !slices.Equal(got, want) && !strings.Contains(path.at, "managementChain") && !strings.Contains(path.at, "allReports") {
		t.Errorf("%s as %s: may: %t, want forbidden %v: %s got %s", field, k.name, may, want, document, a.raw)
	}
}

// TestPagesAndNumbersAreTheSameForAllViewers: no rule of the schema leaves users or teams out.
func TestPagesAndNumbersAreTheSameForAllViewers(t *testing.T) {
	inWorld(t, func(t *testing.T, w *rightsWorld) {
		const document = `{ users(first: 5) { totalCount totalCountUpTo(limit: 3) pageInfo { hasNextPage } nodes { id phone } }
			teams { totalCount nodes { members { totalCount nodes { id externalId } } } } }`
		for _, k := range viewerKinds {
			a := w.as(k).must(document)
			if nodes, _ := a.at(t, "users.nodes").([]any); len(nodes) != 5 || a.at(t, "users.totalCount") != 6.0 || a.at(t, "users.totalCountUpTo") != 3.0 ||
				a.at(t, "users.pageInfo.hasNextPage") != true || a.at(t, "teams.nodes.0.members.totalCount") != 2.0 {
				t.Errorf("as %s: %s", k.name, a.raw)
			}
		}
	})
}

// TestNobodyFiltersOrFindsByWhatTheyMayNotRead: that would tell what it is, one answer after the other.
func TestNobodyFiltersOrFindsByWhatTheyMayNotRead(t *testing.T) {
	inWorld(t, func(t *testing.T, w *rightsWorld) {
		operands := map[string]string{
			"StringFilter": `{startsWith: "a"}`, "NullableStringFilter": `{startsWith: "a"}`, "IDFilter": `{in: []}`, "NullableIDFilter": `{in: []}`, "TimeFilter": `{gt: "2020-01-01T00:00:00Z"}`,
			"UserStatusFilter": `{in: []}`, "Boolean": "true", "ID": `"` + w.ids["self"] + `"`, "InTeamFilter": `{id: "` + w.team + `"}`,
		}
		for _, of := range []string{"User", "Team"} {
			for _, field := range schema.Types[of+"Filter"].Fields {
				operand := operands[field.Type.Name()]
				if field.Name == "and" || field.Name == "or" || field.Name == "not" {
					continue
				}
				if operand == "" {
					t.Fatalf("no operand for %s", field.Type)
				}
				var rule []string
				if read := schema.Types[of].Fields.ForName(field.Name); read != nil {
					rule = ruleAt(read.Directives, "read")
				}
				list := strings.ToLower(of) + "s"
				for _, filter := range []string{"{%s: %s}", "{and: [{}, {not: {or: [{%s: %s}]}}]}"} {
					filter = fmt.Sprintf(filter, field.Name, operand)
					for _, document := range []string{
						`{ ` + list + `(filter: ` + filter + `) { totalCount } }`,
						`{ ` + list + ` { ...F } l: ` + list + ` { nodes { id } } } fragment F on ` + of + `Connection { nodes { ` +
							map[string]string{"User": "reports", "Team": "children"}[of] + `(filter: ` + filter + `) { nodes { id } } } }`,
					} {
						w.wantRefused(t, document, func(k viewerKind) bool { return k.may(rule, false) })
					}
				}
			}
		}
		external := ruleAt(schema.Types["User"].Fields.ForName("externalId").Directives, "read")
		for _, id := range []string{"x-self", "x-nobody"} {
			w.wantRefused(t, `{ userByExternalId(externalId: "`+id+`") { id } }`, func(k viewerKind) bool { return k.may(external, false) })
		}
	})
}

// TestOneFilterWhereAListIsDueIsLookedThroughAsWell sends it in variables, where it becomes a list of another type than those of a document have.
func TestOneFilterWhereAListIsDueIsLookedThroughAsWell(t *testing.T) {
	inWorld(t, func(t *testing.T, w *rightsWorld) {
		for _, field := range []string{"phone", "externalId", "location"} {
			rule := ruleAt(schema.Types["User"].Fields.ForName(field).Directives, "read")
			may := func(k viewerKind) bool { return k.may(rule, false) }
			one := map[string]any{field: map[string]any{"startsWith": "a"}}
			for _, list := range []string{"and", "or"} {
				const whole = `query($f: UserFilter) { users(filter: $f) { totalCount } }`
				w.wantRefused(t, whole, may, "f", map[string]any{list: one})
				w.wantRefused(t, whole, may, "f", map[string]any{"not": map[string]any{"or": map[string]any{list: one}}})
				part := `query($f: [UserFilter!]) { team(id: "` + w.team + `") { members(filter: {` + list + `: $f}) { nodes { id } } } }`
				w.wantRefused(t, part, may, "f", one)
				w.wantRefused(t, part, may, "f", []any{map[string]any{}, map[string]any{list: one}})
			}
		}
	})
}

// wantRefused fails unless an operation is FORBIDDEN to those kinds of viewers that may not do it, and to nobody else.
func (w *rightsWorld) wantRefused(t *testing.T, document string, may func(viewerKind) bool, variables ...any) {
	t.Helper()
	for _, k := range viewerKinds {
		var a answer
		statements := w.sql.During(func() { a = w.as(k).send(document, variables...) })
		switch refused := len(a.Errors) > 0 && a.Errors[0].Extensions["code"] == "FORBIDDEN"; {
		case refused == may(k), !refused && len(a.Errors) > 0:
			t.Errorf("as %s: %s with %v got %s", k.name, document, variables, a.raw)
		case refused && (len(statements) > 0 || a.Data != nil):
			t.Errorf("as %s: %s got %s after %v", k.name, document, a.raw, statements)
		}
	}
}

// accessInputs has an input for each mutation, which is about self and the team.
func (w *rightsWorld) accessInputs() map[string]input {
	self := w.ids["self"]
	seat, role := input{"teamId": w.team, "userId": self}, input{"teamId": w.team, "userId": self, "role": "MEMBER"}
	return map[string]input{
		"createUser": newUser("new"), "createUsers": {"users": []input{newUser("new")}},
		"updateUser": {"id": self, "location": "Oslo"}, "updateUsers": {"users": []input{{"id": self, "location": "Oslo"}}},
		"deactivateUser": {"id": self}, "reactivateUser": {"id": self},
		"deleteUser": {"id": self}, "deleteUsers": {"users": []input{{"id": self}}}, "eraseUser": {"id": self},
		"upsertUsers": {"by": "EMAIL", "users": []input{{"email": "self@example.com", "name": "N"}}},
		"createTeam":  {"name": "New"}, "createTeams": {"teams": []input{{"name": "New"}}},
		"updateTeam": {"id": w.team, "description": "New"}, "deleteTeam": {"id": w.team},
		"addTeamMembers":    {"teamId": w.team, "members": []input{{"userId": w.ids["other"]}}},
		"removeTeamMembers": {"teamId": w.team, "userIds": []string{self}},
		"setTeamMemberRole": role, "addMemberships": {"memberships": []input{role}}, "setMembershipRoles": {"memberships": []input{role}},
		"removeMemberships": {"memberships": []input{seat}},
		"createApiToken":    {"name": "New"}, "revokeApiToken": {"id": "ApiToken:1"},
	}
}

// TestEachViewerDoesWhatTheRulesOfMutationsSay tries each mutation as each kind of viewer. What is not FORBIDDEN may fail for another reason.
func TestEachViewerDoesWhatTheRulesOfMutationsSay(t *testing.T) {
	inWorld(t, func(t *testing.T, w *rightsWorld) {
		for _, m := range schema.Mutation.Fields {
			rule := ruleAt(m.Directives, "write")
			if rule == nil {
				rule = []string{"EDITOR"}
			}
			if w.accessInputs()[m.Name] == nil {
				t.Errorf("add an input for %s to accessInputs", m.Name)
				continue
			}
			for _, k := range viewerKinds {
				w.settle()
				before, in := w.must(`{ asOf }`).at(t, "asOf"), w.accessInputs()[m.Name]
				a := w.as(k).send(fmt.Sprintf(`mutation($input: %s!) { %s(input: $input) { __typename } }`, m.Arguments.ForName("input").Type.Name(), m.Name), "input", in)
				refused := len(a.Errors) > 0 && a.Errors[0].Extensions["code"] == "FORBIDDEN"
				if refused == k.may(rule, true) || len(a.Errors) > 0 && a.Data[m.Name] != nil {
					t.Errorf("%s as %s: %s", m.Name, k.name, a.raw)
				}
				w.settle()
				if refused && w.must(`{ asOf }`).at(t, "asOf") != before {
					t.Errorf("%s as %s was refused, and has changed something", m.Name, k.name)
				}
				w.mend()
			}
		}
	})
}

// mend brings back what a mutation may have removed.
func (w *rightsWorld) mend() {
	w.tb.Helper()
	if w.must(`query($id: ID!) { user(id: $id) { id } }`, "id", w.ids["self"]).Data["user"] == nil {
		in := newUser("self", "phone", "+1", "externalId", "x-self", "managerId", w.ids["manager"])
		w.ids["self"] = w.try("createUser", in).at(w.tb, "createUser.user.id").(string)
	}
	if w.must(`query($id: ID!) { team(id: $id) { id } }`, "id", w.team).Data["team"] == nil {
		w.team = w.try("createTeam", input{"name": "Team"}).at(w.tb, "createTeam.team.id").(string)
		w.try("addTeamMembers", input{"teamId": w.team, "members": []input{{"userId": w.ids["owner"], "role": "OWNER"}}})
	}
	_ = w.send(`mutation($input: AddTeamMembersInput!) { addTeamMembers(input: $input) { __typename } }`, "input", input{"teamId": w.team, "members": []input{{"userId": w.ids["self"]}}})
}

// TestEachViewerWritesTheFieldsThatTheirRulesSay tries each field of the inputs that update, alone and in a bulk.
func TestEachViewerWritesTheFieldsThatTheirRulesSay(t *testing.T) {
	inWorld(t, func(t *testing.T, w *rightsWorld) {
		values := map[string]any{
			"name": "N", "email": "self@example.com", "managerId": w.ids["manager"], "parentId": nil, "timeZone": "Europe/Rome", "photoUrl": "https://example.com/a.png", "phone": "+1 2",
		}
		for of, id := range map[string]string{"User": w.ids["self"], "Team": w.team} {
			for _, field := range schema.Types["Update"+of+"Input"].Fields {
				if field.Name == "id" || field.Name == "expectedVersion" {
					continue
				}
				value, known := values[field.Name]
				if !known {
					value = "text"
				}
				if of == "Team" && field.Name == "name" {
					value = "Team"
				}
				rule := []string{"EDITOR"}
				if f := schema.Types[of].Fields.ForName(strings.TrimSuffix(field.Name, "Id")); f != nil && ruleAt(f.Directives, "write") != nil {
					rule = ruleAt(f.Directives, "write")
				}
				for _, k := range viewerKinds {
					a := w.as(k).send(fmt.Sprintf(`mutation($input: Update%[1]sInput!) { update%[1]s(input: $input) { __typename } }`, of), "input", input{"id": id, field.Name: value})
					if refused := len(a.Errors) > 0; refused == k.may(rule, true) || refused && a.Errors[0].Extensions["code"] != "FORBIDDEN" {
						t.Errorf("Update%sInput.%s as %s: %s", of, field.Name, k.name, a.raw)
					}
				}
			}
		}
	})
}

func TestWhatTellsOfTheSchemaIsRefusedToNobody(t *testing.T) {
	inWorld(t, func(t *testing.T, w *rightsWorld) {
		const update, create = `updateUser(input: {id: "ID", phone: "+1 3"}) { user { id } }`, `createTeam(input: {name: "New"}) { __typename }`
		for document, may := range map[string]func(k viewerKind) bool{
			`mutation { __typename }`: func(viewerKind) bool { return true },
			`mutation { a: __typename ...F b: __typename } fragment F on Mutation { UPDATE }`: func(k viewerKind) bool { return k.may([]string{"SELF", "EDITOR"}, true) },
			`mutation { ... on Mutation { __typename } CREATE }`:                              func(k viewerKind) bool { return k.may([]string{"EDITOR"}, true) && k.role == "EDITOR" },
		} {
			document = strings.NewReplacer("UPDATE", strings.ReplaceAll(update, "ID", w.ids["self"]), "CREATE", create).Replace(document)
			for _, k := range viewerKinds {
				if k.role == "ADMIN" { // the team is there already
					continue
				}
				if a := w.as(k).send(document); may(k) != (len(a.Errors) == 0) || !may(k) && a.code(t) != "FORBIDDEN" {
					t.Errorf("%s as %s: %s", document, k.name, a.raw)
				}
			}
		}
	})
}

func TestABulkTellsForWhichEntriesAViewerHasNoRight(t *testing.T) {
	inWorld(t, func(t *testing.T, w *rightsWorld) {
		self := w.as(viewerKinds[2])
		a := self.each("updateUsers", "users", []input{{"id": w.ids["self"], "phone": "+1 7"}, {"id": w.ids["other"], "phone": "+1 7"}, {"id": w.ids["self"], "title": "Boss"}})
		a.wantResults(t, "updateUsers", "", "FORBIDDEN input.users.1.phone", "BAD_USER_INPUT input.users.2.id")
		owner := w.as(viewerKinds[6])
		a = owner.each("addMemberships", "memberships", []input{{"teamId": w.team, "userId": w.ids["report"]}, {"teamId": w.lone, "userId": w.ids["report"]}})
		a.wantResults(t, "addMemberships", "", "FORBIDDEN input.memberships.1.teamId")
		a = owner.each("removeMemberships", "memberships", []input{{"teamId": w.team, "userId": w.ids["report"]}, {"teamId": w.lone, "userId": w.ids["report"]}})
		a.wantResults(t, "removeMemberships", "", "NOT_FOUND input.memberships.1.userId")
		_ = w.try("addTeamMembers", input{"teamId": w.lone, "members": []input{{"userId": w.ids["other"]}}})
		a = owner.each("setMembershipRoles", "memberships", []input{{"teamId": w.lone, "userId": w.ids["other"], "role": "OWNER"}})
		a.wantResults(t, "setMembershipRoles", "FORBIDDEN input.memberships.0.teamId")
	})
}

func TestWhoMayChangeNothingOfAnObjectIsRefusedAChangeOfNothing(t *testing.T) {
	inWorld(t, func(t *testing.T, w *rightsWorld) {
		for _, k := range viewerKinds {
			a := w.as(k).send(`mutation($input: UpdateUserInput!) { updateUser(input: $input) { __typename } }`, "input", input{"id": w.ids["self"]})
			if may := k.may([]string{"SELF", "EDITOR"}, true); may != (len(a.Errors) == 0) || !may && a.code(t) != "FORBIDDEN" {
				t.Errorf("as %s: %s", k.name, a.raw)
			}
		}
	})
}

func TestAViewerIsToldWhatTheyMayChange(t *testing.T) {
	inWorld(t, func(t *testing.T, w *rightsWorld) {
		const document = `query($user: ID!, $team: ID!, $lone: ID!) { user(id: $user) { viewerCanUpdate viewerCanDelete } team(id: $team) { viewerCanUpdate viewerCanDelete }
			lone: team(id: $lone) { viewerCanUpdate viewerCanDelete } viewer { role scopes user { id phone } } }`
		for _, k := range viewerKinds {
			a := w.as(k).must(document, "user", w.ids["self"], "team", w.team, "lone", w.lone)
			edits := k.role == "EDITOR" || k.role == "ADMIN"
			want := []any{
				edits || k.user == "self", edits, edits || k.user == "owner", edits, edits, edits,
			}
			var got []any
			for _, object := range []string{"user", "team", "lone"} {
				got = append(got, a.at(t, object+".viewerCanUpdate"), a.at(t, object+".viewerCanDelete"))
			}
			if fmt.Sprint(got) != fmt.Sprint(want) {
				t.Errorf("as %s: want %v, got %s", k.name, want, a.raw)
			}
			if role, _ := a.at(t, "viewer.role").(string); role != k.role || a.at(t, "viewer.scopes") != nil {
				t.Errorf("as %s: %s", k.name, a.raw)
			}
			if k.user == "" && a.at(t, "viewer.user") != nil || k.user != "" && (a.at(t, "viewer.user.id") != w.ids[k.user] || a.at(t, "viewer.user.phone") == nil) {
				t.Errorf("as %s: %s", k.name, a.raw)
			}
		}
	})
}

// TestTheLogShowsAViewerNoValueThatTheObjectDoesNotShow looks at histories, at the log, and at what is subscribed to.
func TestTheLogShowsAViewerNoValueThatTheObjectDoesNotShow(t *testing.T) {
	inWorld(t, func(t *testing.T, w *rightsWorld) {
		w.try("updateUser", input{"id": w.ids["self"], "phone": "+1 9", "externalId": "x-9", "title": "T"})
		w.settle()
		const fields = `kind objectId fields { name } object { ... on User { phone externalId } }`
		for _, k := range viewerKinds {
			d := w.as(k)
			edits, own := k.role == "EDITOR" || k.role == "ADMIN", slices.Contains(k.relations, "SELF")
			want := "[title]"
			if edits || own {
				want = "[title phone externalId]"
			} else if slices.Contains(k.relations, "MANAGER") {
				want = "[title phone]"
			}
			names := func(a answer, at string) string {
				var all []any
				list, _ := a.at(t, at).([]any)
				for _, f := range list {
					all = append(all, f.(map[string]any)["name"])
				}
				return fmt.Sprint(all)
			}
			a := d.must(`query($id: ID!) { user(id: $id) { history { totalCount nodes { `+fields+` } } } }`, "id", w.ids["self"])
			if a.at(t, "user.history") != nil {
				if got := names(a, "user.history.nodes.0.fields"); got != want {
					t.Errorf("history as %s: want %s, got %s", k.name, want, a.raw)
				}
			}
			a = d.must(`query($ids: [ID!]) { changes(kinds: [UPDATED], ids: $ids) { nodes { `+fields+` } } all: changes { nodes { objectId } } }`, "ids", []string{w.ids["self"]})
			nodes, _ := a.at(t, "all").(map[string]any)
			switch {
			case k.user == "" && !edits:
				if nodes != nil || !slices.Equal(a.forbidden(t), []string{"all", "changes"}) {
					t.Errorf("changes as %s: %s", k.name, a.raw)
				}
			case edits || own:
				if got := names(a, "changes.nodes.0.fields"); got != want {
					t.Errorf("changes as %s: want %s, got %s", k.name, want, a.raw)
				}
			default:
				if of, _ := a.at(t, "changes.nodes").([]any); len(of) != 0 {
					t.Errorf("changes as %s: %s", k.name, a.raw)
				}
			}
			if nodes != nil && !edits {
				list, _ := nodes["nodes"].([]any)
				for _, c := range list {
					if id := c.(map[string]any)["objectId"]; id != w.ids[k.user] {
						t.Errorf("as %s: a change of %s is shown", k.name, id)
					}
				}
			}
		}
	})
}

func TestSubscriptionsShowAViewerWhatTheyMayRead(t *testing.T) {
	inWorld(t, func(t *testing.T, w *rightsWorld) {
		after := w.must(`{ asOf }`).at(t, "asOf")
		w.try("updateUser", input{"id": w.ids["self"], "phone": "+1 9", "title": "T"})
		w.settle()
		phone := ruleAt(schema.Types["User"].Fields.ForName("phone").Directives, "read")
		for _, k := range viewerKinds {
			d := w.as(k)
			edits, own := k.role == "EDITOR" || k.role == "ADMIN", slices.Contains(k.relations, "SELF")
			s := d.subscribe(`subscription($after: String) { userChanged(after: $after) { user { phone } } }`, map[string]any{"after": after})
			got := s.next()
			s.cancel()
			if want := `{"data":{"userChanged":{"user":{"phone":"+1 9"}}}}`; k.may(phone, true) && got != want ||
				!k.may(phone, true) && got != `{"data":{"userChanged":{"user":{"phone":null}}},"extensions":{"forbidden":["userChanged.user.phone"]}}` {
				t.Errorf("userChanged as %s: %s", k.name, got)
			}
			s = d.subscribe(`subscription($after: String) { changes(after: $after) { change { objectId fields { name } } } }`, map[string]any{"after": after})
			got = s.next()
			s.cancel()
			switch {
			case k.user == "" && !edits:
				if !strings.Contains(got, `"FORBIDDEN"`) {
					t.Errorf("changes as %s: %s", k.name, got)
				}
			case edits || own:
				if !strings.Contains(got, `"name":"phone"`) {
					t.Errorf("changes as %s: %s", k.name, got)
				}
			default: // a bookmark
				if got != `{"data":{"changes":{"change":null}}}` {
					t.Errorf("changes as %s: %s", k.name, got)
				}
			}
		}
	})
}

// TestRulesCostNoStatementButForWhoIsAboveOthers: what a viewer is to objects comes with them, and whose manager it is with one more for each statement.
func TestRulesCostNoStatementButForWhoIsAboveOthers(t *testing.T) {
	inWorld(t, func(t *testing.T, w *rightsWorld) {
		for _, document := range []string{
			`{ users { totalCount nodes { name phone externalId history { totalCount nodes { kind fields { name } } } manager { phone } viewerCanUpdate teams { nodes { name viewerCanUpdate } } } } }`,
			`{ team(id: "` + w.team + `") { viewerCanDelete members { nodes { phone reports { nodes { phone externalId } } managementChain { phone } allReports { nodes { phone } } } } } }`,
			`{ nodes(ids: ["` + w.ids["self"] + `", "` + w.team + `"]) { id ... on User { phone } ... on Team { viewerCanUpdate } } }`,
			`mutation { updateUser(input: {id: "` + w.ids["self"] + `", phone: "+1 5"}) { user { phone externalId manager { phone } } } }`,
			`mutation { updateTeam(input: {id: "` + w.team + `", description: "d"}) { team { members { nodes { phone } } } } }`,
			`mutation { addTeamMembers(input: {teamId: "` + w.team + `", members: [{userId: "` + w.ids["self"] + `"}]}) { team { name } } }`,
		} {
			w.must(document) // what is changed is so from then on
			most := len(w.withoutLog(w.sql.During(func() { w.must(document) })))
			for _, k := range viewerKinds {
				var a answer
				got := w.withoutLog(w.sql.During(func() { a = w.as(k).send(document) }))
				without := slices.DeleteFunc(slices.Clone(got), func(s string) bool { return strings.Contains(s, "DISTINCT a.root FROM above a") })
				above := slices.Contains([]string{"self", "manager", "chief"}, k.user) && k.role != "EDITOR" && k.role != "ADMIN"
				if climbed := len(got) - len(without); climbed > len(without) || climbed > 0 && !above {
					t.Errorf("as %s: %s takes %d statements for whose manager it is:\n%s", k.name, document, climbed, strings.Join(got, "\n"))
				}
				if refused := len(a.Errors) > 0; len(without) > most || refused && a.Errors[0].Extensions["code"] != "FORBIDDEN" {
					t.Errorf("as %s: %s takes %d statements instead of %d:\n%s\n%s", k.name, document, len(without), most, strings.Join(got, "\n"), a.raw)
				}
			}
		}
	})
}

// TestTheREADMEHasTheMatrixOfRights makes the table of the rules and compares it with that in README.md.
func TestTheREADMEHasTheMatrixOfRights(t *testing.T) {
	columns := []viewerKind{viewerKinds[0], viewerKinds[1], viewerKinds[2], viewerKinds[3], viewerKinds[6], viewerKinds[9], viewerKinds[10], {gone: true, role: "ADMIN"}}
	table := "| | " + strings.Join([]string{"anonymous", "VIEWER", "self", "managers above", "team's OWNER", "EDITOR", "ADMIN", "expired or revoked"}, " | ") + " |\n|---|" + strings.Repeat("---|", len(columns)) + "\n"
	row := func(name string, cell func(k viewerKind) string) {
		cells := make([]string, len(columns))
		for i, k := range columns {
			cells[i] = cell(k)
		}
		table += "| " + name + " | " + strings.Join(cells, " | ") + " |\n"
	}
	for _, of := range []string{"User", "Team", "Query", "Subscription"} {
		for _, f := range schema.Types[of].Fields {
			read, write := ruleAt(f.Directives, "read"), ruleAt(f.Directives, "write")
			if read == nil && write == nil {
				continue
			}
			switch {
			case write != nil:
			case (of == "User" || of == "Team") && schema.Types["Update"+of+"Input"].Fields.ForName(f.Name) != nil:
				write = []string{"EDITOR"}
			default:
				write = []string{}
			}
			row("`"+of+"."+f.Name+"`", func(k viewerKind) string {
				var may []string
				switch {
				case (of == "Query" || of == "Subscription") && slices.Contains(read, "SELF") && k.user != "" && !k.may(read, false):
					may = append(may, "their own")
				case k.may(read, true):
					may = append(may, "read")
				}
				if k.may(write, true) {
					may = append(may, "write")
				}
				return strings.Join(may, ", ")
			})
		}
	}
	for _, f := range schema.Mutation.Fields {
		rule := ruleAt(f.Directives, "write")
		if rule == nil {
			rule = []string{"EDITOR"}
		}
		row("`"+f.Name+"`", func(k viewerKind) string {
			if k.may(rule, true) {
				return "yes"
			}
			return ""
		})
	}
	text, err := os.ReadFile("../README.md")
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(text), table) {
		t.Errorf("README.md does not have the table of rights as the rules are:\n%s", table)
	}
}

func TestDescriptionsSayWhoMayReadAndWrite(t *testing.T) {
	inWorld(t, func(t *testing.T, w *rightsWorld) {
		a := w.must(`{ user: __type(name: "User") { description fields { name description type { name } } } membership: __type(name: "Membership") { description }
			mutation: __type(name: "Mutation") { fields { name description } } }`)
		for path, want := range map[string]string{
			"user.phone":         "\n\nRead by SELF, MANAGER, EDITOR alone. Written by SELF, EDITOR alone.",
			"user.externalId":    "\n\nRead by SELF, EDITOR alone.",
			"mutation.eraseUser": "\n\nWritten by ADMIN alone.",
			"membership":         "\n\nWritten by OWNER, EDITOR alone.",
			"user":               "A person in the directory.",
			"user.name":          "The full name, 1 to 255 characters.",
		} {
			of, field, _ := strings.Cut(path, ".")
			text := a.at(t, of+".description")
			if field != "" {
				fields, _ := a.at(t, of+".fields").([]any)
				for _, f := range fields {
					if f := f.(map[string]any); f["name"] == field {
						text = f["description"]
					}
				}
			}
			if got, _ := text.(string); !strings.HasSuffix(got, want) || got == want && strings.HasPrefix(want, "\n") {
				t.Errorf("%s: want …%q, got %q", path, want, got)
			}
		}
	})
}
