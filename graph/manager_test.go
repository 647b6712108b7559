package graph_test

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"rollcall/database/databasetest"
	"rollcall/model"
	"rollcall/session/sessiontest"
)

// chain fills an empty directory with n users, numbered from 1, of whom each but the first has the one before as manager.
func (d *directory) chain(t *testing.T, n int) {
	t.Helper()
	at := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	users := make([]model.User, n)
	for i := range users {
		users[i] = model.User{Name: "N", Email: fmt.Sprintf("n%d@example.com", i+1), CreatedAt: at, UpdatedAt: at}
		if i > 0 {
			manager := int64(i)
			users[i].ManagerID = &manager
		}
	}
	if err := d.db.Write.CreateInBatches(users, 1000).Error; err != nil {
		t.Fatal(err)
	}
}

// setManager changes a user's manager past the API.
func (d *directory) setManager(t *testing.T, user, manager int64) {
	t.Helper()
	if err := d.db.Write.Model(&model.User{ID: user}).Update("manager_id", manager).Error; err != nil {
		t.Fatal(err)
	}
}

// managers returns each user's manager, 0 for none.
func (d *directory) managers(t *testing.T) map[int64]int64 {
	t.Helper()
	var users []model.User
	if err := d.db.Read.Find(&users).Error; err != nil {
		t.Fatal(err)
	}
	managers := map[int64]int64{}
	for _, u := range users {
		managers[u.ID] = 0
		if u.ManagerID != nil {
			managers[u.ID] = *u.ManagerID
		}
	}
	return managers
}

// inCircle reports whether a user manages themself through others.
func inCircle(managers map[int64]int64, user int64) bool {
	above := managers[user]
	for range managers {
		if above == user {
			return true
		}
		above = managers[above]
	}
	return false
}

func TestChangesOfManagersAtOnceNeverCloseACircle(t *testing.T) {
	for _, row := range []string{"there", "missing"} {
		t.Run("the common row is "+row, func(t *testing.T) {
			onEveryDatabase(t, func(t *testing.T, d *directory) {
				const rounds, users = 10, 6 // two circles of three, which each lack one change to be closed
				for round := range rounds {
					if row == "missing" {
						if err := d.db.Write.Exec("DELETE FROM directory_locks").Error; err != nil {
							t.Fatal(err)
						}
					}
					ids := make([]string, users)
					for i := range ids {
						ids[i] = d.create("N", fmt.Sprintf("n%d.%d@example.com", round, i), nil)
					}
					answers := make([]answer, users)
					var wg sync.WaitGroup
					for i, id := range ids {
						manager := ids[i/3*3+(i+1)%3]
						wg.Go(func() { answers[i] = d.send(updateMutation, "input", input{"id": id, "managerId": manager}) })
					}
					wg.Wait()
					for circle := 0; circle < users; circle += 3 {
						succeeded := 0
						for _, a := range answers[circle : circle+3] {
							if len(a.Errors) == 0 {
								succeeded++
							} else if a.code(t) != "BAD_USER_INPUT" || a.Errors[0].Extensions["field"] != "input.managerId" {
								t.Errorf("want the circle refused, got %s", a.raw)
							}
						}
						if succeeded != 2 {
							t.Errorf("want two of three to succeed, not %d", succeeded)
						}
					}
				}
				managers := d.managers(t)
				for user := range managers {
					if inCircle(managers, user) {
						t.Errorf("User:%d is in a circle", user)
					}
				}
			})
		})
	}
}

// TestAChangeOfManagerWaitsForThoseBefore holds the common row, so that a change of it waits, and then a user's row, which
// nothing that waits for the common row may have locked.
func TestAChangeOfManagerWaitsForThoseBefore(t *testing.T) {
	onEveryDatabase(t, func(t *testing.T, d *directory) {
		if d.db.Dialect().Name() == "sqlite" {
			return // one transaction writes at a time
		}
		boss := d.create("Boss", "boss@example.com", nil)
		other := d.create("Other", "other@example.com", nil)
		id := d.create("Ada", "ada@example.com", boss)
		d.must(updateMutation, "input", input{"id": other, "managerId": boss}) // makes the common row
		before := d.db.Write.Begin()
		defer before.Rollback()
		if err := before.Exec("UPDATE directory_locks SET changes = changes + 1 WHERE name = 'managers'").Error; err != nil {
			t.Fatal(err)
		}
		for what, in := range map[string]input{
			"another name":     {"id": id, "name": "Ada L."},
			"the same manager": {"id": id, "managerId": boss},
			"no manager":       {"id": other, "managerId": nil},
		} {
			began := time.Now()
			if d.must(updateMutation, "input", in); time.Since(began) > 5*time.Second {
				t.Errorf("%s waits for changes of managers", what)
			}
		}
		done := make(chan answer)
		go func() { done <- d.send(updateMutation, "input", input{"id": id, "managerId": other}) }()
		select {
		case a := <-done:
			t.Fatalf("another manager does not wait: %s", a.raw)
		case <-time.After(300 * time.Millisecond):
		}
		d.must(updateMutation, "input", input{"id": id, "name": "Ada K."}) // whoever waits has locked no user
		if err := before.Commit().Error; err != nil {
			t.Fatal(err)
		}
		if a := <-done; a.at(t, "updateUser.user.manager.id") != other || a.at(t, "updateUser.user.name") != "Ada K." {
			t.Errorf("got %s", a.raw)
		}
	})
}

func TestAChangeOfManagerRunsAFixedNumberOfStatements(t *testing.T) {
	onDemoData(t, func(t *testing.T, d *directory) {
		for _, c := range []struct {
			what       string
			in         input
			statements int
		}{
			{"another manager: read the user, write the common row, lock the user, go up, update", input{"id": "User:900", "managerId": "User:999"}, 5},
			{"the same manager: read the user, lock the user", input{"id": "User:900", "managerId": "User:999"}, 2},
			{"no manager: lock the user, update", input{"id": "User:900", "managerId": nil}, 2},
			{"a circle: read the user, write the common row, lock the user, go up", input{"id": "User:1", "managerId": "User:999"}, 4},
		} {
			d.wantStatements(t, c.statements, func() {
				d.send(`mutation($input: UpdateUserInput!) { updateUser(input: $input) { user { id } } }`, "input", c.in)
			})
		}
	})
}

func TestSeveralChangesOfManagersInOneMutationSeeEachOther(t *testing.T) {
	onEveryDatabase(t, func(t *testing.T, d *directory) {
		const two = `mutation($a: UpdateUserInput!, $b: UpdateUserInput!) {
			a: updateUser(input: $a) { user { manager { id } } } b: updateUser(input: $b) { user { manager { id } } } }`
		d.chain(t, 3)
		single := d.create("Single", "single@example.com", nil)
		a := d.must(two, "a", input{"id": "User:2", "managerId": nil}, "b", input{"id": "User:1", "managerId": "User:3"}) // turned over
		if a.at(t, "a.user.manager") != nil || a.at(t, "b.user.manager.id") != "User:3" {
			t.Errorf("got %s", a.raw)
		}
		a = d.send(two, "a", input{"id": "User:2", "managerId": single}, "b", input{"id": single, "managerId": "User:1"})
		if a.code(t) != "BAD_USER_INPUT" || a.Errors[0].Path[0] != "b" || a.Data != nil {
			t.Errorf("want the second refused and the first taken back, got %s", a.raw)
		}
		if got := d.managers(t); got[1] != 3 || got[2] != 0 || got[3] != 2 {
			t.Errorf("the managers are %v", got)
		}
	})
}

func TestACircleInTheDataIsNamedAtOnce(t *testing.T) {
	onEveryDatabase(t, func(t *testing.T, d *directory) {
		d.chain(t, 700)
		if err := d.db.Write.Exec("UPDATE users SET manager_id = NULL WHERE id IN (5, 100)").Error; err != nil {
			t.Fatal(err)
		}
		d.setManager(t, 1, 2)     // User:3 and User:4 are below the circle of User:1 and User:2
		d.setManager(t, 100, 700) // and 601 users are one
		for _, c := range []struct{ user, manager, circle string }{
			{"User:5", "User:2", "(User:2, User:1)"},
			{"User:5", "User:4", "(User:2, User:1)"},
			{"User:5", "User:700", "(User:700, User:699, User:698, User:697, User:696, User:695, User:694, User:693, User:692, User:691, 591 more)"},
		} {
			began := time.Now()
			a := d.send(updateMutation, "input", input{"id": c.user, "managerId": c.manager})
			if a.code(t) != "CONFLICT" || a.Errors[0].Extensions["field"] != "input.managerId" || !strings.Contains(a.Errors[0].Message, c.circle) {
				t.Errorf("%s below %s: got %s", c.user, c.manager, a.raw)
			}
			if took := time.Since(began); took > 5*time.Second {
				t.Errorf("%s below %s: took %s", c.user, c.manager, took)
			}
		}
		// What the message advises mends it.
		d.must(updateMutation, "input", input{"id": "User:1", "managerId": nil})
		d.must(updateMutation, "input", input{"id": "User:5", "managerId": "User:4"})
		d.must(updateMutation, "input", input{"id": "User:700", "managerId": "User:5"})
		d.must(updateMutation, "input", input{"id": "User:6", "managerId": "User:699"})
		managers := d.managers(t)
		for user := range managers {
			if inCircle(managers, user) {
				t.Errorf("User:%d is in a circle", user)
			}
		}
	})
}

func TestALongChainOfManagersIsCheckedToItsTop(t *testing.T) {
	onEveryDatabase(t, func(t *testing.T, d *directory) {
		const n = 5_000
		d.chain(t, n)
		checksChains(t, d, n, 1, 2, 499, 500, 501, 999, 1000, 1001, 1500, n)
		single := d.create("Single", "single@example.com", nil)
		// Reading the user, the common row, locking the user, 500 managers at a time, and the update.
		d.wantStatements(t, 4+n/500, func() {
			d.must(`mutation($input: UpdateUserInput!) { updateUser(input: $input) { user { id } } }`,
				"input", input{"id": single, "managerId": fmt.Sprintf("User:%d", n)})
		})
	})
}

// checksChains fails unless a chain of n users is refused to become circles of these lengths.
func checksChains(t *testing.T, d *directory, n int, lengths ...int) {
	t.Helper()
	for _, length := range lengths {
		user, low := fmt.Sprintf("User:%d", n-length+1), fmt.Sprintf("User:%d", n)
		a := d.send(updateMutation, "input", input{"id": user, "managerId": low})
		if a.code(t) != "BAD_USER_INPUT" || !strings.Contains(a.Errors[0].Message, "nobody manages themself") {
			t.Errorf("a circle of %d: got %s", length, a.raw)
		}
	}
}

func TestAServersLimitOnRecursionLetsNoCirclePass(t *testing.T) {
	limits := map[string]string{"mariadb": "--max-recursive-iterations=7", "mysql": "--cte-max-recursion-depth=7"}
	databasetest.EachOf(t, "mysql", func(t *testing.T, kind string) {
		db := databasetest.Open(t, databasetest.Start(t, kind, limits[kind]).URL)
		if _, err := db.Migrate(t.Context()); err != nil {
			t.Fatal(err)
		}
		d := newDirectory(t, db)
		d.chain(t, 600)
		checksChains(t, d, 600, 6, 7, 8, 9, 100, 600)
	})
}

func TestAManagerWhoIsDeletedMeanwhileIsBlamed(t *testing.T) {
	onEveryDatabase(t, func(t *testing.T, d *directory) {
		if d.db.Dialect().Name() == "sqlite" {
			return // one transaction writes at a time
		}
		id := d.create("Ada", "ada@example.com", nil)
		for _, c := range []struct {
			mutation, statement string
			in                  input
		}{
			{createMutation, "INSERT INTO%users%", input{"name": "Bob", "email": "bob@example.com"}},
			{updateMutation, "UPDATE%users%", input{"id": id}},
		} {
			boss := d.create("Boss", "boss@example.com", nil)
			c.in["managerId"] = boss
			deleting := d.db.Write.Begin()
			defer deleting.Rollback()
			if err := deleting.Exec("DELETE FROM users WHERE email = 'boss@example.com'").Error; err != nil {
				t.Fatal(err)
			}
			done := make(chan answer)
			go func() { done <- d.send(c.mutation, "input", c.in) }()
			sessiontest.Eventually(t, "it waits to refer to the manager", databasetest.WaitsForLock(t, d.db, c.statement))
			if err := deleting.Commit().Error; err != nil {
				t.Fatal(err)
			}
			if a := <-done; a.code(t) != "BAD_USER_INPUT" || a.Errors[0].Extensions["field"] != "input.managerId" {
				t.Errorf("got %s", a.raw)
			}
		}
	})
}
