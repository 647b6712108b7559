package graph_test

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"rollcall/database/databasetest"
	"rollcall/session/sessiontest"
)

// meanwhile runs a mutation, and stores what others have written before, once one of the mutation's statements waits for that.
func (d *directory) meanwhile(t *testing.T, others, waiting, mutation string, in input) answer {
	t.Helper()
	writing := d.db.Write.Begin()
	defer writing.Rollback()
	for statement := range strings.SplitSeq(others, "; ") {
		if err := writing.Exec(statement).Error; err != nil {
			t.Fatal(err)
		}
	}
	done := make(chan answer)
	go func() { done <- d.try(mutation, in) }()
	sessiontest.Eventually(t, mutation+" waits", databasetest.WaitsForLock(t, d.db, waiting))
	if err := writing.Commit().Error; err != nil {
		t.Fatal(err)
	}
	return <-done
}

func TestWhatOthersStoreAfterTheChecksIsAnswered(t *testing.T) {
	onEveryDatabase(t, func(t *testing.T, d *directory) {
		if d.db.Dialect().Name() == "sqlite" {
			return // one transaction writes at a time
		}
		const now = "'2026-01-01 00:00:00.000000'"
		user := func(email string) string {
			return "INSERT INTO users (name, email, name_folded, created_at, updated_at) VALUES ('N', '" + email + "@example.com', 'n', " + now + ", " + now + ")"
		}
		without := func(id string) string { return "DELETE FROM users WHERE id = " + id[len("User:"):] }
		a := d.meanwhile(t, user("a1"), "INSERT INTO%users%", "createUsers", input{"users": []input{newUser("b1"), newUser("a1")}})
		a.refused(t, "an email that another has by now", "CONFLICT", "input.users.1.email")
		a = d.meanwhile(t, user("a2"), "INSERT INTO%users%", "createUsers", input{"users": []input{newUser("b2"), newUser("a2")}, "mode": "EACH"})
		a.wantResults(t, "createUsers", "", "CONFLICT input.users.1.email")
		d.meanwhile(t, user("a3"), "INSERT INTO%users%", "createUser", newUser("a3")).refused(t, "an email that another has by now", "CONFLICT", "input.email")

		// Who is found may be another by the time of the change.
		ada := d.user("ada")
		a = d.meanwhile(t, "UPDATE users SET email = 'moved@example.com' WHERE email = 'ada@example.com'", "SELECT%FOR UPDATE", "upsertUsers",
			input{"by": "EMAIL", "users": []input{newUser("ada", "title", "T"), newUser("ok")}})
		if a.wantResults(t, "upsertUsers", "", ""); a.at(t, "upsertUsers.results.0.created") != true || a.at(t, "upsertUsers.results.0.user.id") == ada {
			t.Errorf("got %s", a.raw)
		}
		a = d.meanwhile(t, without(ada), "SELECT%FOR UPDATE", "upsertUsers", input{"by": "EMAIL", "users": []input{newUser("moved")}})
		if a.at(t, "upsertUsers.results.0.created") != true {
			t.Errorf("got %s", a.raw)
		}
		// Who was not found may be there by the time of the checks: here the first entry waits until the second's user is there.
		d.user("lea", "externalId", "L")
		for by, late := range map[string]string{"EMAIL": "late", "EXTERNAL_ID": "later"} {
			stored := strings.NewReplacer("(name", "(external_id, name", "('N'", "('"+late+"', 'N'").Replace(user(late))
			a = d.meanwhile(t, stored+"; UPDATE users SET phone = '"+late+"' WHERE external_id = 'L'", "SELECT%FOR UPDATE", "upsertUsers",
				input{"by": by, "mode": "EACH", "users": []input{newUser("lea", "externalId", "L"), newUser(late, "externalId", late, "title", "T")}})
			if a.wantResults(t, "upsertUsers", "", ""); a.at(t, "upsertUsers.results.1.created") != false {
				t.Errorf("got %s", a.raw)
			}
		}
		// Memberships of who is no longer there, and those that are there by now.
		team, bob, cyd := d.team("Team"), d.user("bob"), d.user("cyd")
		a = d.meanwhile(t, without(bob), "INSERT INTO%memberships%", "addTeamMembers", input{"teamId": team, "members": []input{{"userId": cyd}, {"userId": bob}}})
		a.refused(t, "a user who is gone", "NOT_FOUND", "input.members.1.userId")
		dan := d.user("dan")
		a = d.meanwhile(t, without(dan), "INSERT INTO%memberships%", "addMemberships",
			input{"memberships": []input{{"teamId": team, "userId": dan}, {"teamId": team, "userId": cyd}}, "mode": "EACH"})
		a.wantResults(t, "addMemberships", "NOT_FOUND input.memberships.0.userId", "")
		eve := d.user("eve")
		a = d.meanwhile(t, fmt.Sprintf("INSERT INTO memberships (team_id, user_id, role, created_at) VALUES (1, %s, 'OWNER', %s)", eve[len("User:"):], now),
			"INSERT INTO%memberships%", "addMemberships", input{"memberships": []input{{"teamId": team, "userId": eve}}})
		a.refused(t, "another role by now", "CONFLICT", "input.memberships.0.role")

		boss, heir := d.user("boss"), d.user("heir")
		d.user("report", "managerId", boss)
		a = d.meanwhile(t, without(heir), "UPDATE%users%", "deleteUser", input{"id": boss, "reportsTo": heir})
		a.refused(t, "an heir who is gone", "BAD_USER_INPUT", "input.reportsTo")
		heir = d.user("heir")
		a = d.meanwhile(t, without(heir), "UPDATE%users%", "deleteUsers", input{"users": []input{{"id": boss, "reportsTo": heir}}})
		a.refused(t, "an heir who is gone", "BAD_USER_INPUT", "input.users.0.reportsTo")
	})
}

// A change of who is referred to meanwhile locks nothing that the reference needs, or of two changes each could wait for the other.
func TestAChangeOfAManagerDoesNotWaitForNewReports(t *testing.T) {
	onEveryDatabase(t, func(t *testing.T, d *directory) {
		if d.db.Dialect().Name() != "postgres" {
			return // a reference locks all of the row that it refers to
		}
		boss, heir := d.user("boss"), d.user("heir")
		report := d.user("report", "managerId", boss)
		others := d.db.Write.Begin()
		defer others.Rollback()
		for _, id := range []string{boss, report} {
			if err := others.Exec("INSERT INTO users (name, email, name_folded, manager_id, created_at, updated_at) VALUES ('N', ?, 'n', ?, now(), now())", id, id[len("User:"):]).Error; err != nil {
				t.Fatal(err)
			}
		}
		for mutation, in := range map[string]input{
			"updateUser":  {"id": boss, "title": "T"},
			"updateUsers": {"users": []input{{"id": boss, "title": "U"}, {"id": report, "managerId": heir}}},
		} {
			if a := d.try(mutation, in); len(a.Errors) > 0 {
				t.Errorf("%s: got %s", mutation, a.raw)
			}
		}
	})
}

func TestBulksThatAddTheSamePeopleInOtherOrdersDoNotWaitForEachOther(t *testing.T) {
	onEveryDatabase(t, func(t *testing.T, d *directory) {
		const bulks, people = 8, 300
		before := deadlocks(t, d)
		for round := range 3 {
			var added atomic.Int64
			var wg sync.WaitGroup
			for range bulks {
				wg.Go(func() {
					var users []input
					for _, i := range rand.Perm(people) {
						users = append(users, newUser(fmt.Sprint("round", round, "user", i)))
					}
					a := d.each("createUsers", "users", users)
					if len(a.Errors) > 0 {
						t.Errorf("got %s", a.raw)
						return
					}
					for _, result := range a.at(t, "createUsers.results").([]any) {
						if result.(map[string]any)["error"] == nil {
							added.Add(1)
						}
					}
				})
			}
			wg.Wait()
			if n := added.Load(); n != people {
				t.Errorf("%d users were added, want %d", n, people)
			}
		}
		if n := deadlocks(t, d) - before; n > 0 {
			t.Errorf("%d deadlocks", n)
		}
	})
}

// deadlocks is how many the database has had, or its tests before, on PostgreSQL, which looks for one when it has lasted for a second.
func deadlocks(t *testing.T, d *directory) (n int64) {
	t.Helper()
	if d.db.Dialect().Name() != "postgres" {
		return 0
	}
	if err := d.db.Write.Raw("SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()").Scan(&n).Error; err != nil {
		t.Fatal(err)
	}
	return n
}
