package graph_test

import (
	"context"
	"reflect"
	"strings"
	"sync"
	"testing"

	"rollcall/model"
)

const profile = `id name title department phone location timeZone photoUrl externalId status version`

func TestAUserHasWhatAnInputSaysOfIt(t *testing.T) {
	onEveryDatabase(t, func(t *testing.T, d *directory) {
		given := input{
			"name": "Ada", "email": "ada@example.com", "title": " Ingénieure ", "department": "R&D", "phone": "+33 (1) 99.00-01/00 x12", "location": "Łódź",
			"timeZone": "Europe/Warsaw", "photoUrl": "https://example.com/ada.jpg?s=1", "externalId": "E-Ä 7",
		}
		want := map[string]any{
			"id": "User:1", "name": "Ada", "title": "Ingénieure", "department": "R&D", "phone": "+33 (1) 99.00-01/00 x12", "location": "Łódź",
			"timeZone": "Europe/Warsaw", "photoUrl": "https://example.com/ada.jpg?s=1", "externalId": "E-Ä 7", "status": "ACTIVE", "version": 1.0,
		}
		check := func(from string, got any) {
			t.Helper()
			if !reflect.DeepEqual(got, want) {
				t.Errorf("%s: %v", from, got)
			}
			d.checkFolded(t)
		}
		check("created", d.must(`mutation($input: CreateUserInput!) { createUser(input: $input) { user { `+profile+` } } }`, "input", given).at(t, "createUser.user"))
		check("found", d.must(`query($id: String!) { userByExternalId(externalId: $id) { `+profile+` } }`, "id", "E-Ä 7").at(t, "userByExternalId"))
		for _, other := range []string{"e-ä 7", "E-Ä 7 ", "E-A 7", "", "\x00", strings.Repeat("é", 2000)} {
			if a := d.must(`query($id: String!) { userByExternalId(externalId: $id) { id } }`, "id", other); a.at(t, "userByExternalId") != nil {
				t.Errorf("%q finds %s", other, a.raw)
			}
		}

		update := func(change input) any {
			t.Helper()
			change["id"] = "User:1"
			return d.must(`mutation($input: UpdateUserInput!) { updateUser(input: $input) { user { `+profile+` } } }`, "input", change).at(t, "updateUser.user")
		}
		want["name"], want["title"], want["version"] = "Zoë", nil, 2.0
		check("title removed by null", update(input{"name": "Zoë", "title": nil}))
		want["location"], want["phone"], want["department"], want["externalId"], want["version"] = nil, nil, nil, nil, 3.0
		check("removed by empty texts", update(input{"location": "", "phone": "  ", "department": nil, "externalId": ""}))
		want["location"], want["version"] = "Ōsaka", 4.0
		check("said again", update(input{"location": "Ōsaka"}))
		check("read", d.must(`{ user(id: "User:1") { `+profile+` } }`).at(t, "user"))

		d.create("Without", "without@example.com", nil)
		if u := d.must(`{ user(id: "User:2") { `+profile+` } }`).at(t, "user").(map[string]any); u["title"] != nil || u["externalId"] != nil || u["version"] != 1.0 {
			t.Errorf("a user of whom nothing is said: %v", u)
		}
	})
}

// checkFolded fails unless what is folded of users is what it should be.
func (d *directory) checkFolded(t *testing.T) {
	t.Helper()
	var users []model.User
	if err := d.db.Read.WithContext(context.Background()).Find(&users).Error; err != nil {
		t.Fatal(err)
	}
	for _, u := range users {
		folded := u
		if folded.Fold(); !reflect.DeepEqual(u, folded) {
			t.Errorf("stored is %+v, not %+v", u, folded)
		}
	}
}

func TestAValueThatNoUserMayHaveIsRefusedByItsName(t *testing.T) {
	onEveryDatabase(t, func(t *testing.T, d *directory) {
		id := d.create("Ada", "ada@example.com", nil)
		for field, values := range map[string][]any{
			"title":      {strings.Repeat("a", 256), "a\u202eb", "a\nb", 7},
			"department": {strings.Repeat("é", 256), "\u200b"},
			"phone":      {strings.Repeat("1", 65), "call me", "+", "1\t2"},
			"location":   {strings.Repeat("a", 256)},
			"timeZone":   {"Europe/Berln", "Local", "posix/Europe/Paris", "../etc/passwd", "+02:00", strings.Repeat("a", 65)},
			"photoUrl": {
				"ada.jpg", "//example.com/ada.jpg", "ftp://example.com/ada.jpg", "javascript:alert(1)", "https://", "https://:80/", "https://a b.example/",
				"https://example.com/a b", "https://ada:secret@example.com/", "https://example.com/" + strings.Repeat("a", 2048),
			},
			"externalId": {" E-1", "E-1 ", "e\u0301", strings.Repeat("a", 256), "a\x00b"},
		} {
			for _, value := range values {
				for _, mutation := range []string{createMutation, updateMutation} {
					in := input{field: value, "id": id}
					if mutation == createMutation {
						in = input{field: value, "name": "Bob", "email": "bob@example.com"}
					}
					a := d.send(mutation, "input", in)
					if value == 7 {
						continue
					}
					if a.code(t) != "BAD_USER_INPUT" || a.Errors[0].Extensions["field"] != "input."+field {
						t.Errorf("%s %q: %s", field, value, a.raw)
					}
				}
			}
		}
		for field, value := range map[string]string{
			"timeZone": "UTC", "photoUrl": "http://[::1]:8080/é.png", "phone": "*123#", "title": strings.Repeat("é", 255), "externalId": strings.Repeat("漢", 255),
		} {
			d.must(updateMutation, "input", input{"id": id, field: value})
		}
	})
}

func TestAnExternalIDIsOneUsers(t *testing.T) {
	onEveryDatabase(t, func(t *testing.T, d *directory) {
		d.must(createMutation, "input", input{"name": "Ada", "email": "ada@example.com", "externalId": "E-1"})
		d.must(createMutation, "input", input{"name": "Bob", "email": "bob@example.com", "externalId": "e-1"}) // they are compared exactly
		for mutation, in := range map[string]input{
			createMutation: {"name": "Cleo", "email": "cleo@example.com", "externalId": "E-1"},
			updateMutation: {"id": "User:2", "externalId": "E-1"},
		} {
			a := d.send(mutation, "input", in)
			if a.code(t) != "CONFLICT" || a.Errors[0].Extensions["field"] != "input.externalId" || a.Errors[0].Message != "another user has this external id" {
				t.Errorf("%s", a.raw)
			}
		}
	})
}

func TestAVersionCountsTheChangesOfAUser(t *testing.T) {
	onEveryDatabase(t, func(t *testing.T, d *directory) {
		boss, id := d.create("Boss", "boss@example.com", nil), d.create("Ada", "ada@example.com", nil)
		read := func() map[string]any {
			t.Helper()
			return d.must(`query($id: ID!) { user(id: $id) { name email title manager { id } version updatedAt } }`, "id", id).at(t, "user").(map[string]any)
		}
		d.must(updateMutation, "input", input{"id": id, "managerId": boss, "title": "Engineer"})
		before := read()
		if before["version"] != 2.0 {
			t.Errorf("after one change: %v", before)
		}
		for _, same := range []input{{}, {"name": "Ada"}, {"name": " Ada "}, {"email": "ADA@example.com", "managerId": boss, "title": "Engineer"}} {
			same["id"] = id
			statements := d.sql.During(func() { d.must(updateMutation, "input", same) })
			if after := read(); !reflect.DeepEqual(before, after) {
				t.Errorf("%v: %v became %v", same, before, after)
			}
			for _, s := range statements {
				if strings.HasPrefix(s, "UPDATE") {
					t.Errorf("%v writes: %s", same, s)
				}
			}
		}
		const updates = 8
		var wg sync.WaitGroup
		for i := range updates {
			wg.Go(func() {
				d.must(updateMutation, "input", input{"id": id, "phone": strings.Repeat("1", i+1), "name": strings.Repeat("É", i+1)})
			})
		}
		wg.Wait()
		if after := read(); after["version"] != 2.0+updates {
			t.Errorf("after %d changes at once: %v", updates, after)
		}
		d.checkFolded(t)
	})
}

func TestAnEdgeNamesItsMembership(t *testing.T) {
	onDemoData(t, func(t *testing.T, d *directory) {
		a := d.must(`{
			team(id: "Team:1") { version description members(first: 1) { edges { membershipId membershipVersion node { id } } } }
			user(id: "User:1") { teams(first: 1) { edges { membershipId membershipVersion node { id } } } }
		}`)
		for path, want := range map[string]any{
			"team.version": 1.0, "team.description": "Platform engineering builds and runs what we offer.",
			"team.members.edges.0.membershipId": "Membership:1", "team.members.edges.0.membershipVersion": 1.0, "team.members.edges.0.node.id": "User:1",
			"user.teams.edges.0.membershipId": "Membership:1", "user.teams.edges.0.membershipVersion": 1.0, "user.teams.edges.0.node.id": "Team:1",
		} {
			if got := a.at(t, path); got != want {
				t.Errorf("%s is %v, not %v", path, got, want)
			}
		}
	})
}
