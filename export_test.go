package main

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"rollcall/database/databasetest"
)

// exported is what the command export prints.
type exported struct {
	ID          string
	User        map[string]any
	Memberships []map[string]any
	Teams       []struct{ ID, Name string }
	Reports     []string
	Changes     []struct {
		Position *int64
		Kind     string
		ObjectID string
		Erased   bool
		Fields   []struct {
			Name          string
			Before, After any
		}
	}
}

func exportOf(t *testing.T, url, user string) (e exported, text string) {
	t.Helper()
	text = output(t, "export", "--database", url, "--user", user)
	if err := json.Unmarshal([]byte(text), &e); err != nil {
		t.Fatalf("%v: %s", err, text)
	}
	return e, text
}

func TestAnExportHasAllThatIsHeldAboutAUser(t *testing.T) {
	t.Parallel()
	databasetest.EachURL(t, func(t *testing.T, url string) {
		want := "rollcall migrate"
		if strings.HasPrefix(url, "sqlite:") {
			want = "there is no file"
		}
		if text := refusal(t, "export", "--database", url, "--user", "1"); !contains(text, "--database", want) {
			t.Errorf("an empty database: %s", text)
		}
		s := start(t, "--database", url, "--migrate")
		s.answer(`mutation {
			boss: createUser(input: {name: "Boss", email: "boss@example.com"}) { user { id } }
			ada: createUser(input: {name: "Ada <& Co>", email: "Ada@Example.com", phone: "+1", managerId: "User:1"}) { user { id } }
			one: createUser(input: {name: "One", email: "one@example.com", managerId: "User:2"}) { user { id } }
			createTeam(input: {name: "Compilers"}) { team { id } }
			addTeamMembers(input: {teamId: "Team:1", members: [{userId: "User:1"}, {userId: "User:2"}]}) { team { id } }
		}`)
		s.answer(`mutation { updateUser(input: {id: "User:2", phone: null, title: "Engineer"}) { user { id } } }`)
		db := databasetest.Open(t, url)
		eventually(t, "all changes have positions", func() bool {
			var n int
			err := db.Side.QueryRowContext(t.Context(), "SELECT COUNT(*) FROM changes WHERE position IS NULL").Scan(&n)
			return err == nil && n == 0
		})
		ada, text := exportOf(t, url, "User:2")
		for _, reference := range []string{"2", "ADA@example.com"} {
			if _, again := exportOf(t, url, reference); again != text {
				t.Errorf("by %s: %s\nby the id: %s", reference, again, text)
			}
		}
		u := ada.User
		if ada.ID != "User:2" || u["id"] != "User:2" || u["name"] != "Ada <& Co>" || u["title"] != "Engineer" || u["phone"] != nil || u["managerId"] != "User:1" ||
			u["version"] != 2.0 || u["createdAt"] == nil || len(ada.Memberships) != 1 || ada.Memberships[0]["role"] != "MEMBER" ||
			fmt.Sprint(ada.Teams, ada.Reports) != "[{Team:1 Compilers}] [User:3]" {
			t.Errorf("got %s", text)
		}
		var kinds []string
		for _, c := range ada.Changes {
			kinds = append(kinds, c.Kind+" "+c.ObjectID)
		}
		if want := []string{"CREATED User:2", "CREATED Membership:2", "UPDATED User:2"}; !slices.Equal(kinds, want) {
			t.Errorf("the changes are %q, want %q", kinds, want)
		} else if fields := ada.Changes[2].Fields; fmt.Sprint(fields) != "[{title <nil> Engineer} {phone +1 <nil>}]" {
			t.Errorf("the update is %v", fields)
		}
		if strings.Contains(text, "boss@") || strings.Contains(text, "one@") {
			t.Errorf("it tells of others: %s", text)
		}

		s.answer(`mutation { deleteUser(input: {id: "User:2", reportsTo: "User:1"}) { deletedUserId } }`)
		gone, text := exportOf(t, url, "2")
		if gone.User != nil || gone.Memberships == nil || len(gone.Memberships)+len(gone.Teams)+len(gone.Reports) > 0 || len(gone.Changes) != 5 || !strings.Contains(text, "Ada <& Co>") {
			t.Errorf("of one who was deleted: %s", text)
		}
		if text := refusal(t, "export", "--database", url, "--user", "ada@example.com"); !contains(text, "ada@example.com", "give the id") {
			t.Errorf("by the email of one who was deleted: %s", text)
		}
		s.answer(`mutation { eraseUser(input: {id: "User:2"}) { erasedUserId } }`)
		erased, text := exportOf(t, url, "2")
		if last := erased.Changes[len(erased.Changes)-1]; len(erased.Changes) != 6 || strings.Contains(text, "Ada") || strings.Contains(text, "MEMBER\"") || last.Kind != "ERASED" || !last.Erased {
			t.Errorf("of one who was erased: %s", text)
		}
		for reference, want := range map[string]string{"User:99": "nothing is held about User:99", "Team:1": "User:5", "me": "an email address", "": "User:5"} {
			if text := refusal(t, "export", "--database", url, "--user", reference); !contains(text, "export: ", want) {
				t.Errorf("%q: %s", reference, text)
			}
		}
	})
}
