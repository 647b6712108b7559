package graph_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"rollcall/model"
)

// What the tests of mutations select of an answer.
const (
	ofUser       = `id name email title externalId status version manager { id } createdAt updatedAt`
	ofTeam       = `id name description version parent { id } createdAt updatedAt`
	ofMembership = `id user { id } team { id } role joinedAt version`
	ofError      = `error { code field message currentVersion }`
)

// selections are what change selects of each mutation's payload.
var selections = map[string]string{
	"createUser":         "user { " + ofUser + " }",
	"updateUser":         "user { " + ofUser + " }",
	"deactivateUser":     "user { " + ofUser + " }",
	"reactivateUser":     "user { " + ofUser + " }",
	"deleteUser":         "deletedUserId",
	"eraseUser":          "erasedUserId",
	"createTeam":         "team { " + ofTeam + " }",
	"updateTeam":         "team { " + ofTeam + " }",
	"deleteTeam":         "deletedTeamId",
	"addTeamMembers":     "team { " + ofTeam + " } memberships { " + ofMembership + " }",
	"removeTeamMembers":  "team { " + ofTeam + " } removedMembershipIds",
	"setTeamMemberRole":  "membership { " + ofMembership + " }",
	"createUsers":        "results { user { " + ofUser + " } " + ofError + " }",
	"updateUsers":        "results { user { " + ofUser + " } " + ofError + " }",
	"upsertUsers":        "results { user { " + ofUser + " } created " + ofError + " }",
	"deleteUsers":        "results { deletedUserId " + ofError + " }",
	"createTeams":        "results { team { " + ofTeam + " } " + ofError + " }",
	"addMemberships":     "results { membership { " + ofMembership + " } " + ofError + " }",
	"setMembershipRoles": "results { membership { " + ofMembership + " } " + ofError + " }",
	"removeMemberships":  "results { removedMembershipId " + ofError + " }",
}

// changing is the document of one mutation.
func changing(mutation string) string {
	return fmt.Sprintf("mutation($input: %s%sInput!) { %s(input: $input) { %s } }",
		strings.ToUpper(mutation[:1]), mutation[1:], mutation, selections[mutation])
}

// try runs a mutation.
func (d *directory) try(mutation string, in input) answer {
	d.tb.Helper()
	return d.send(changing(mutation), "input", in)
}

// change runs a mutation that has to succeed, and returns what is at a path of its payload.
func (d *directory) change(mutation string, in input, path string) any {
	d.tb.Helper()
	return d.must(changing(mutation), "input", in).at(d.tb, strings.TrimSuffix(mutation+"."+path, "."))
}

// user adds a user and returns its id. pairs are further fields, name, value, name, value.
func (d *directory) user(email string, pairs ...any) string {
	d.tb.Helper()
	return d.change("createUser", with(input{"name": "N", "email": email + "@example.com"}, pairs...), "user.id").(string)
}

// team adds a team and returns its id.
func (d *directory) team(name string, pairs ...any) string {
	d.tb.Helper()
	return d.change("createTeam", with(input{"name": name}, pairs...), "team.id").(string)
}

func with(in input, pairs ...any) input {
	for i := 0; i < len(pairs); i += 2 {
		in[pairs[i].(string)] = pairs[i+1]
	}
	return in
}

// refused fails unless an answer has the one error, with a code and a field, and no data.
func (a answer) refused(t *testing.T, what, code, field string) {
	t.Helper()
	if len(a.Errors) != 1 || a.Data != nil || a.Errors[0].Extensions["code"] != code || a.Errors[0].Extensions["field"] != field {
		t.Errorf("%s: want %s of %s, got %s", what, code, field, a.raw)
	}
}

// conflict fails unless an answer tells that another version is there.
func (a answer) conflict(t *testing.T, what, field string, version int) {
	t.Helper()
	if a.refused(t, what, "CONFLICT", field); len(a.Errors) == 1 && a.Errors[0].Extensions["currentVersion"] != float64(version) {
		t.Errorf("%s: want the version %d, got %s", what, version, a.raw)
	}
}

// faults are the codes and fields of all errors, in order.
func (a answer) faults() (all []string) {
	for _, e := range a.Errors {
		all = append(all, fmt.Sprint(e.Extensions["code"], " ", e.Extensions["field"]))
	}
	return all
}

// results are what became of the entries of a bulk: "" for each that was done, and else its error's code and field.
func (a answer) results(t *testing.T, mutation string) (all []string) {
	t.Helper()
	if len(a.Errors) > 0 {
		t.Fatalf("%s: got %s", mutation, a.raw)
	}
	for _, r := range a.at(t, mutation+".results").([]any) {
		result := r.(map[string]any)
		e, refused := result["error"].(map[string]any)
		all = append(all, "")
		if refused {
			all[len(all)-1] = fmt.Sprint(e["code"], " ", e["field"])
		}
		for key, object := range result {
			if key != "error" && (object == nil) != refused {
				t.Errorf("%s: a result has both an object and an error, or neither: %v", mutation, result)
			}
		}
	}
	return all
}

// wantResults fails unless what became of the entries of a bulk is this.
func (a answer) wantResults(t *testing.T, mutation string, want ...string) {
	t.Helper()
	if got := a.results(t, mutation); !slices.Equal(got, want) {
		t.Errorf("%s: want %q, got %s", mutation, want, a.raw)
	}
}

// content is all that a directory stores.
type content struct {
	Users       []model.User
	Teams       []model.Team
	Memberships []model.Membership
	Words       []string
	Counts      map[string]int
}

// stored reads all that the directory stores, and fails where some of it does not fit the rest.
func (d *directory) stored(t *testing.T) content {
	t.Helper()
	c := content{Counts: map[string]int{}}
	db := d.db.Write.WithContext(t.Context())
	var words []struct {
		Word   string
		UserID int64
	}
	var counts []struct {
		Name  string
		Delta int
	}
	for _, err := range []error{
		db.Order("id").Find(&c.Users).Error, db.Order("id").Find(&c.Teams).Error, db.Order("id").Find(&c.Memberships).Error,
		db.Raw("SELECT word, user_id FROM user_words ORDER BY user_id, word").Find(&words).Error,
		db.Raw("SELECT name, delta FROM directory_counts").Find(&counts).Error,
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	for _, w := range words {
		c.Words = append(c.Words, fmt.Sprint(w.UserID, " ", w.Word))
	}
	for _, n := range counts {
		c.Counts[n.Name] += n.Delta
	}
	c.check(t)
	return c
}

// check fails where words, folded texts, numbers or trees do not fit what they are made of.
func (c content) check(t *testing.T) {
	t.Helper()
	var words []string
	above := map[int64]int64{}
	for _, u := range c.Users {
		folded := u
		folded.Fold()
		if folded.NameFolded != u.NameFolded || fmt.Sprint(text(folded.TitleFolded)) != fmt.Sprint(text(u.TitleFolded)) {
			t.Errorf("User:%d is folded as %q and %v", u.ID, u.NameFolded, text(u.TitleFolded))
		}
		for _, word := range slices.Sorted(slices.Values(u.Words())) {
			words = append(words, fmt.Sprint(u.ID, " ", word))
		}
		above[u.ID] = 0
		if u.ManagerID != nil {
			above[u.ID] = *u.ManagerID
		}
	}
	if !slices.Equal(words, c.Words) {
		t.Errorf("users are found by %v, which should be %v", c.Words, words)
	}
	within := map[int64]int64{}
	for _, team := range c.Teams {
		within[team.ID] = 0
		if team.ParentID != nil {
			within[team.ID] = *team.ParentID
		}
	}
	for what, tree := range map[string]map[int64]int64{"User": above, "Team": within} {
		if n := c.Counts[what]; n != len(tree) {
			t.Errorf("%d are counted as %ss, which are %d", n, what, len(tree))
		}
		for id := range tree {
			if inCircle(tree, id) {
				t.Errorf("%s:%d is in a circle", what, id)
			}
		}
	}
}

func text(s *string) any {
	if s == nil {
		return nil
	}
	return *s
}

// wantUnchanged fails if fn changes anything that is stored.
func (d *directory) wantUnchanged(t *testing.T, what string, fn func()) {
	t.Helper()
	before := asJSON(t, d.stored(t))
	fn()
	if after := asJSON(t, d.stored(t)); after != before {
		t.Errorf("%s: before:\n%s\nafter:\n%s", what, before, after)
	}
}

func asJSON(t *testing.T, value any) string {
	t.Helper()
	b, err := json.Marshal(value)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// version returns the version of a user or of a team.
func (d *directory) version(t *testing.T, id string) int {
	t.Helper()
	a := d.must(`query($id: ID!) { node(id: $id) { ... on User { version } ... on Team { version } } }`, "id", id)
	return int(a.at(t, "node.version").(float64))
}

// many fills a slice with n entries.
func many(n int, entry func(i int) input) []input {
	all := make([]input, n)
	for i := range all {
		all[i] = entry(i)
	}
	return all
}
