package graph_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"

	"golang.org/x/text/unicode/norm"

	"rollcall/keyset"
	"rollcall/model"
)

const (
	createMutation = `mutation($input: CreateUserInput!) { createUser(input: $input) { user { id name email manager { id } createdAt updatedAt } } }`
	updateMutation = `mutation($input: UpdateUserInput!) { updateUser(input: $input) { user { id name email manager { id } createdAt updatedAt } } }`
	deleteMutation = `mutation($id: ID!) { deleteUser(input: {id: $id}) { deletedUserId } }`
	readUser       = `query($id: ID!) { user(id: $id) { id name email manager { id } createdAt updatedAt } }`
)

type input = map[string]any

func TestACreatedUserIsStoredAsItWasAnswered(t *testing.T) {
	onEveryDatabase(t, func(t *testing.T, d *directory) {
		boss := d.create("Boss", "boss@example.com", nil)
		made := d.must(createMutation, "input", input{"name": "  Zoë Ω ", "email": "Zoe@Example.COM", "managerId": boss})
		if made.at(t, "createUser.user.name") != "Zoë Ω" || made.at(t, "createUser.user.email") != "zoe@example.com" ||
			made.at(t, "createUser.user.manager.id") != boss {
			t.Errorf("got %s", made.raw)
		}
		stored := d.must(readUser, "id", made.at(t, "createUser.user.id"))
		if got, want := fmt.Sprint(stored.at(t, "user")), fmt.Sprint(made.at(t, "createUser.user")); got != want {
			t.Errorf("answered %s, stored %s", want, got)
		}
	})
}

func TestAnEmailThatAUserHasMayBeSentBackInWhateverForm(t *testing.T) {
	onEveryDatabase(t, func(t *testing.T, d *directory) {
		for i, stored := range []string{"\ufeffada@example.com", "zoe\u0308@example.com", "ad\u200ba@example.com"} {
			id := d.create("Ada", fmt.Sprintf("ada%d@example.com", i), nil)
			_, key, _ := strings.Cut(id, ":")
			if err := d.db.Write.Exec("UPDATE users SET email = ? WHERE id = ?", stored, key).Error; err != nil {
				t.Fatal(err)
			}
			a := d.must(updateMutation, "input", input{"id": id, "name": "Grace", "email": stored})
			if a.at(t, "updateUser.user.email") != stored || a.at(t, "updateUser.user.name") != "Grace" {
				t.Errorf("%+q: got %s", stored, a.raw)
			}
			a = d.send(updateMutation, "input", input{"id": id, "name": "Mei", "email": stored + "\u200b"})
			if a.code(t) != "BAD_USER_INPUT" || a.Errors[0].Extensions["field"] != "input.email" {
				t.Errorf("%+q, changed: got %s", stored, a.raw)
			}
			if now := d.must(readUser, "id", id); now.at(t, "user.name") != "Grace" {
				t.Errorf("%+q, after a refusal: %s", stored, now.raw)
			}
		}
	})
}

func TestInputThatBreaksARuleIsRefusedAndStoresNothing(t *testing.T) {
	onEveryDatabase(t, func(t *testing.T, d *directory) {
		d.create("Ada", "ada@example.com", nil)
		for _, c := range []struct {
			what, field, code string
			in                input
		}{
			{"an empty name", "name", "BAD_USER_INPUT", input{"name": " ", "email": "b@example.com"}},
			{"a name of 256 characters", "name", "BAD_USER_INPUT", input{"name": strings.Repeat("é", 256), "email": "b@example.com"}},
			{"no address", "email", "BAD_USER_INPUT", input{"name": "B", "email": "b"}},
			{"an address with a name", "email", "BAD_USER_INPUT", input{"name": "B", "email": "B <b@example.com>"}},
			{"two addresses", "email", "BAD_USER_INPUT", input{"name": "B", "email": "b@example.com, c@example.com"}},
			{"a long address", "email", "BAD_USER_INPUT", input{"name": "B", "email": strings.Repeat("b", 320) + "@example.com"}},
			{"an address that is taken", "email", "CONFLICT", input{"name": "B", "email": "ADA@example.com"}},
			{"a manager who is a team", "managerId", "BAD_USER_INPUT", input{"name": "B", "email": "b@example.com", "managerId": "Team:1"}},
			{"a manager who is not there", "managerId", "BAD_USER_INPUT", input{"name": "B", "email": "b@example.com", "managerId": "User:999"}},
		} {
			a := d.send(createMutation, "input", c.in)
			if a.code(t) != c.code || a.Errors[0].Extensions["field"] != "input."+c.field || a.Data != nil {
				t.Errorf("%s: got %s", c.what, a.raw)
			}
		}
		if n := d.must(`{ users { totalCount } }`).at(t, "users.totalCount"); n != 1.0 {
			t.Errorf("want one user, got %v", n)
		}
		d.create(strings.Repeat("é", 255), "long@example.com", nil) // just within the bound
	})
}

func TestAnUpdateChangesWhatIsGivenAndKeepsTheRest(t *testing.T) {
	onEveryDatabase(t, func(t *testing.T, d *directory) {
		boss := d.create("Boss", "boss@example.com", nil)
		id := d.create("Ada", "ada@example.com", boss)
		before := d.must(readUser, "id", id)

		changed := d.must(updateMutation, "input", input{"id": id, "name": "Ada L."})
		if changed.at(t, "updateUser.user.name") != "Ada L." || changed.at(t, "updateUser.user.email") != "ada@example.com" ||
			changed.at(t, "updateUser.user.manager.id") != boss {
			t.Errorf("got %s", changed.raw)
		}
		if !(changed.at(t, "updateUser.user.updatedAt").(string) > before.at(t, "user.updatedAt").(string)) ||
			changed.at(t, "updateUser.user.createdAt") != before.at(t, "user.createdAt") {
			t.Errorf("times: before %s, after %s", before.raw, changed.raw)
		}
		cleared := d.must(updateMutation, "input", input{"id": id, "managerId": nil, "email": "A@example.com"})
		if cleared.at(t, "updateUser.user.manager") != nil || cleared.at(t, "updateUser.user.email") != "a@example.com" {
			t.Errorf("got %s", cleared.raw)
		}
		nothing := d.must(updateMutation, "input", input{"id": id})
		stored := d.must(readUser, "id", id)
		for _, a := range []answer{cleared, nothing} {
			if got, want := fmt.Sprint(stored.at(t, "user")), fmt.Sprint(a.at(t, "updateUser.user")); got != want {
				t.Errorf("answered %s, stored %s", want, got)
			}
		}
	})
}

func TestAnUpdateThatBreaksARuleIsRefused(t *testing.T) {
	onEveryDatabase(t, func(t *testing.T, d *directory) {
		top := d.create("Top", "top@example.com", nil)
		middle := d.create("Middle", "middle@example.com", top)
		low := d.create("Low", "low@example.com", middle)
		for _, c := range []struct {
			what, field, code string
			in                input
		}{
			{"an unknown user", ".id", "NOT_FOUND", input{"id": "User:999", "name": "X"}},
			{"a null name", ".name", "BAD_USER_INPUT", input{"id": low, "name": nil}},
			{"a null email", ".email", "BAD_USER_INPUT", input{"id": low, "email": nil}},
			{"another's email", ".email", "CONFLICT", input{"id": low, "email": "TOP@example.com"}},
			{"a user managing themself", ".managerId", "BAD_USER_INPUT", input{"id": low, "managerId": low}},
			{"a direct circle", ".managerId", "BAD_USER_INPUT", input{"id": middle, "managerId": low}},
			{"a circle through others", ".managerId", "BAD_USER_INPUT", input{"id": top, "managerId": low}},
			{"a manager who is not there", ".managerId", "BAD_USER_INPUT", input{"id": low, "managerId": "User:999"}},
		} {
			a := d.send(updateMutation, "input", c.in)
			if field, _ := a.Errors[0].Extensions["field"].(string); a.code(t) != c.code || field != "input"+c.field || a.Data != nil {
				t.Errorf("%s: got %s", c.what, a.raw)
			}
		}
	})
}

func TestOppositeUpdatesAtOnceNeverCloseACircle(t *testing.T) {
	onEveryDatabase(t, func(t *testing.T, d *directory) {
		const rounds = 20
		for i := range rounds {
			a := d.create("A", fmt.Sprintf("a%d@example.com", i), nil)
			b := d.create("B", fmt.Sprintf("b%d@example.com", i), nil)
			var answers [2]answer
			var wg sync.WaitGroup
			wg.Go(func() { answers[0] = d.send(updateMutation, "input", input{"id": a, "managerId": b}) })
			wg.Go(func() { answers[1] = d.send(updateMutation, "input", input{"id": b, "managerId": a}) })
			wg.Wait()
			succeeded := 0
			for _, got := range answers {
				if len(got.Errors) == 0 {
					succeeded++
				} else if got.code(t) != "BAD_USER_INPUT" {
					t.Errorf("want the circle refused, got %s", got.raw)
				}
			}
			if succeeded != 1 {
				t.Errorf("want one of two to succeed, got %s and %s", answers[0].raw, answers[1].raw)
			}
		}
	})
}

func TestADeletedUserLeavesNoMembership(t *testing.T) {
	onEveryDatabase(t, func(t *testing.T, d *directory) {
		id := d.create("Ada", "ada@example.com", nil)
		_, number, ok := keyset.ParseID(id)
		if !ok {
			t.Fatal(id)
		}
		team := model.Team{Name: "Engines"}
		if err := d.db.Write.Create(&team).Error; err != nil {
			t.Fatal(err)
		}
		if err := d.db.Write.Create(&model.Membership{TeamID: team.ID, UserID: number, Role: model.RoleOwner}).Error; err != nil {
			t.Fatal(err)
		}
		if a := d.must(deleteMutation, "id", id); a.at(t, "deleteUser.deletedUserId") != id {
			t.Errorf("got %s", a.raw)
		}
		a := d.must(`query($user: ID!, $team: ID!) { user(id: $user) { id } team(id: $team) { members { totalCount nodes { id } } } }`,
			"user", id, "team", team.GlobalID())
		if a.at(t, "user") != nil || a.at(t, "team.members.totalCount") != 0.0 {
			t.Errorf("got %s", a.raw)
		}
		if again := d.send(deleteMutation, "id", id); again.code(t) != "NOT_FOUND" {
			t.Errorf("got %s", again.raw)
		}
	})
}

func TestAUserWithReportsIsNotDeleted(t *testing.T) {
	onEveryDatabase(t, func(t *testing.T, d *directory) {
		boss := d.create("Boss", "boss@example.com", nil)
		report := d.create("Report", "report@example.com", boss)
		if a := d.send(deleteMutation, "id", boss); a.code(t) != "CONFLICT" || !strings.Contains(a.Errors[0].Message, "reports") {
			t.Errorf("got %s", a.raw)
		}
		d.must(deleteMutation, "id", report)
		d.must(deleteMutation, "id", boss)
	})
}

func TestAMutationIsStoredWholeOrNotAtAll(t *testing.T) {
	onEveryDatabase(t, func(t *testing.T, d *directory) {
		const two = `mutation($a: CreateUserInput!, $b: CreateUserInput!) { a: createUser(input: $a) { user { id } } b: createUser(input: $b) { user { id } } }`
		a := d.send(two, "a", input{"name": "A", "email": "a@example.com"}, "b", input{"name": "B", "email": "not an address"})
		if a.Data != nil || a.code(t) != "BAD_USER_INPUT" {
			t.Errorf("got %s", a.raw)
		}
		if n := d.must(`{ users { totalCount } }`).at(t, "users.totalCount"); n != 0.0 {
			t.Errorf("want no user, got %v", n)
		}
		// The second field sees what the first has written, and both are stored.
		d.must(two, "a", input{"name": "A", "email": "a@example.com"}, "b", input{"name": "B", "email": "b@example.com"})
		if n := d.must(`{ users { totalCount } }`).at(t, "users.totalCount"); n != 2.0 {
			t.Errorf("want two users, got %v", n)
		}
	})
}

func TestAMutationEndsWithTheFirstFieldThatFails(t *testing.T) {
	onEveryDatabase(t, func(t *testing.T, d *directory) {
		boss := d.create("Boss", "boss@example.com", nil)
		d.create("Report", "report@example.com", boss)
		for failing, field := range map[string]string{
			`createUser(input: {name: "N", email: "boss@example.com"}) { user { id } }`: "input.email",
			`deleteUser(input: {id: "` + boss + `"}) { deletedUserId }`:                 "input.id",
		} {
			a := d.send(`mutation { a: ` + failing + ` b: deactivateUser(input: {id: "` + boss + `", expectedVersion: 2}) { user { id } } c: ` + failing + ` }`)
			a.refused(t, failing, "CONFLICT", field)
		}
	})
}

func TestAMutationShowsItsOwnWritesAtEveryLevel(t *testing.T) {
	onEveryDatabase(t, func(t *testing.T, d *directory) {
		boss := d.create("Boss", "boss@example.com", nil)
		id := d.create("Ada", "ada@example.com", boss)
		a := d.must(`mutation($id: ID!, $boss: ID!) {
			before: updateUser(input: {id: $id, name: "1"}) { user { manager { name reports { totalCount nodes { name } } } } }
			rename: updateUser(input: {id: $boss, name: "Chief"}) { user { name } }
			after: updateUser(input: {id: $id, name: "2"}) { user { manager { name reports { totalCount nodes { name } } } } }
		}`, "id", id, "boss", boss)
		if a.at(t, "before.user.manager.name") != "Boss" || a.at(t, "before.user.manager.reports.nodes.0.name") != "1" ||
			a.at(t, "after.user.manager.name") != "Chief" || a.at(t, "after.user.manager.reports.nodes.0.name") != "2" {
			t.Errorf("got %s", a.raw)
		}
	})
}

func TestAMutationsRelationsAreBatchedWithinItsTransaction(t *testing.T) {
	onDemoData(t, func(t *testing.T, d *directory) {
		// Reading and locking the user, updating it, writing its words anew, its reports, their managers being known, and their teams.
		d.wantStatements(t, 6, func() {
			d.must(`mutation { updateUser(input: {id: "User:1", name: "Root"}) { user { reports(first: 10) { nodes { name manager { name } teams { nodes { name } } } } } } }`)
		})
	})
}

func TestNoConnectionIsHeldAfterAnAnswer(t *testing.T) {
	onDemoData(t, func(t *testing.T, d *directory) {
		var wg sync.WaitGroup
		for i := range 40 {
			wg.Go(func() {
				switch i % 3 {
				case 0:
					d.must(nestedQuery, "first", 5)
				case 1:
					d.must(updateMutation, "input", input{"id": fmt.Sprintf("User:%d", i+1), "name": "N"})
				default:
					d.send(updateMutation, "input", input{"id": "User:9999", "name": "N"})
				}
			})
		}
		wg.Wait()
		d.noneInUse(t)
	})
}

// noneInUse fails if a connection is still checked out.
func (d *directory) noneInUse(t *testing.T) {
	t.Helper()
	read, _ := d.db.Read.DB()
	write, _ := d.db.Write.DB()
	if n := read.Stats().InUse + write.Stats().InUse; n != 0 {
		t.Errorf("%d connections are in use", n)
	}
}

func TestAnInternalErrorShowsNothingInternal(t *testing.T) {
	onDemoData(t, func(t *testing.T, d *directory) {
		if err := d.db.Write.WithContext(context.Background()).Exec("ALTER TABLE users RENAME COLUMN name TO nickname").Error; err != nil {
			t.Fatal(err)
		}
		a := d.send(`{ user(id: "User:1") { name } }`)
		id, _ := a.Errors[0].Extensions["operationId"].(string)
		if a.code(t) != "INTERNAL_SERVER_ERROR" || a.Errors[0].Message != "internal server error" || id == "" {
			t.Errorf("got %s", a.raw)
		}
		if !strings.Contains(d.log.String(), id) {
			t.Errorf("the log does not name operation %s: %s", id, d.log.String())
		}
	})
}

func TestAnEmailInAnySpellingIsOneUsers(t *testing.T) {
	onEveryDatabase(t, func(t *testing.T, d *directory) {
		for i, c := range []struct{ stored, first, second string }{
			{"ada@example.com", " ADA@example.com", "ada@EXAMPLE.com\n"},
			{"zo\u00eb@example.com", "zoe\u0308@example.com", "ZO\u00cb@example.com"},
			{"a\u0323\u0301\u0302@example.com", "a\u0301\u0302\u0323@example.com", "\u1ea0\u0301\u0302@example.com"},
			{"kelvin@example.com", "\u212aelvin@example.com", "kelvin@example.com"},
			{"\u1112\u1161\u11ab@example.com", "\u1112\u1161\u11ab@example.com", "\ud55c@example.com"},
			{"ada@b\u00fccher.example", "ada@xn--bcher-kva.example", "ada@BU\u0308CHER.example"},
			{"bob@b\u00fccher.example", "bob@b\u00fccher\u3002example", "bob@\uff42\u00fc\uff43her.example"},
			{"\U0001f98a@example.com", "\U0001f98a@example.com", "\U0001f98a@Example.com"},
		} {
			stored := norm.NFC.String(c.stored)
			id := d.create("First", c.first, nil)
			other := d.create("Other", fmt.Sprintf("other%d@example.com", i), nil)
			for _, spelling := range []string{stored, c.first, c.second, norm.NFD.String(stored)} {
				a := d.must(`query($email: String!) { userByEmail(email: $email) { id email } }`, "email", spelling)
				if a.at(t, "userByEmail") == nil || a.at(t, "userByEmail.id") != id || a.at(t, "userByEmail.email") != stored {
					t.Errorf("looked up as %+q: %s", spelling, a.raw)
				}
				for _, a := range []answer{
					d.send(createMutation, "input", input{"name": "Second", "email": spelling}),
					d.send(updateMutation, "input", input{"id": other, "email": spelling}),
				} {
					if a.code(t) != "CONFLICT" || a.Errors[0].Extensions["field"] != "input.email" {
						t.Errorf("a second user with %+q: %s", spelling, a.raw)
					}
				}
				if a := d.must(updateMutation, "input", input{"id": id, "email": spelling}); a.at(t, "updateUser.user.email") != stored {
					t.Errorf("%+q became %s", spelling, a.raw)
				}
			}
		}
	})
}

func TestWhatCannotBeSeenIsRefusedInNamesAndEmails(t *testing.T) {
	onEveryDatabase(t, func(t *testing.T, d *directory) {
		id := d.create("Ada", "ada@example.com", nil)
		for field, values := range map[string][]string{
			"email": {"ada\u200b@example.com", "\ufeffada@example.com", "ada@exam\u00adple.com", "a\u202eda@example.com", "a\x7fda@example.com"},
			"name":  {"\u200b", "A\u200bda", "\ufeffAda", "\u202eadA", "A\nda", "\u3164", "Ada\u200d"},
		} {
			for _, value := range values {
				create := input{"name": "Bob", "email": "bob@example.com"}
				create[field] = value
				for _, a := range []answer{
					d.send(createMutation, "input", create),
					d.send(updateMutation, "input", input{"id": id, field: value}),
				} {
					if a.code(t) != "BAD_USER_INPUT" || a.Errors[0].Extensions["field"] != "input."+field {
						t.Errorf("%s %+q: got %s", field, value, a.raw)
					}
				}
			}
		}
		family := "\U0001f469\u200d\U0001f4bb \u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645" // joiners where they belong
		if a := d.must(updateMutation, "input", input{"id": id, "name": "\u3000" + family}); a.at(t, "updateUser.user.name") != family {
			t.Errorf("got %s", a.raw)
		}
	})
}
