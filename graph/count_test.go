package graph_test

import (
	"fmt"
	"strings"
	"sync"
	"testing"
)

func TestAListIsCountedUpToALimit(t *testing.T) {
	onDemoData(t, func(t *testing.T, d *directory) {
		for query, want := range map[string]float64{
			`users { totalCountUpTo(limit: 1000) }`:                                                                 1000,
			`users { totalCountUpTo(limit: 10000) }`:                                                                1000,
			`users(first: 1) { totalCountUpTo(limit: 999) }`:                                                        999,
			`users { totalCountUpTo(limit: 0) }`:                                                                    0,
			`users(filter: {name: {startsWith: "søren "}}) { totalCountUpTo(limit: 30) }`:                           25,
			`users(filter: {name: {startsWith: "søren "}}) { totalCountUpTo(limit: 24) }`:                           24,
			`users(query: "zoe") { totalCountUpTo(limit: 30) }`:                                                     25,
			`teams { totalCountUpTo(limit: 30) }`:                                                                   30,
			`user(id: "User:2") { reports { totalCountUpTo(limit: 7) } }`:                                           7,
			`user(id: "User:2") { reports { totalCountUpTo(limit: 70) } }`:                                          10,
			`user(id: "User:900") { reports { totalCountUpTo(limit: 70) } }`:                                        0,
			`user(id: "User:2") { teams(filter: {name: {startsWith: "Payments"}}) { totalCountUpTo(limit: 70) } }`:  1,
			`team(id: "Team:1") { members { totalCountUpTo(limit: 50) } }`:                                          50,
			`team(id: "Team:1") { members { totalCountUpTo(limit: 5000) } }`:                                        60,
			`user(id: "User:1") { allReports { totalCountUpTo(limit: 5) } }`:                                        5,
			`user(id: "User:1") { allReports { totalCountUpTo(limit: 500) } }`:                                      500,
			`user(id: "User:1") { allReports { totalCountUpTo(limit: 5000) } }`:                                     999,
			`user(id: "User:1") { allReports(maxDepth: 2) { totalCountUpTo(limit: 5000) } }`:                        110,
			`user(id: "User:900") { allReports { totalCountUpTo(limit: 5000) } }`:                                   0,
			`user(id: "User:1") { allReports(filter: {email: {startsWith: "zoe."}}) { totalCountUpTo(limit: 9) } }`: 9,
		} {
			a := d.must(`{ ` + query + ` }`)
			var got any
			var find func(any)
			find = func(in any) {
				if object, ok := in.(map[string]any); ok {
					for key, value := range object {
						if key == "totalCountUpTo" {
							got = value
						}
						find(value)
					}
				}
			}
			if find(a.Data); got != want {
				t.Errorf("%s is %v, not %v", query, got, want)
			}
		}
	})
}

func TestALimitThatIsNoneIsRefused(t *testing.T) {
	onDemoData(t, func(t *testing.T, d *directory) {
		for _, limit := range []string{"-1", "10001", "2147483647"} {
			for _, query := range []string{
				`{ users { totalCountUpTo(limit: %s) } }`, `{ user(id: "User:1") { allReports { totalCountUpTo(limit: %s) } } }`,
			} {
				a := d.send(fmt.Sprintf(query, limit))
				if a.code(t) != "BAD_USER_INPUT" || !strings.HasPrefix(a.Errors[0].Message, "limit must be 0 to 10000, not ") {
					t.Errorf("%s: %s", limit, a.raw)
				}
			}
		}
	})
}

func TestCountsUpToLimitsAreOneStatementForAllParentsAndLimits(t *testing.T) {
	onDemoData(t, func(t *testing.T, d *directory) {
		for _, c := range []struct {
			query      string
			statements int
		}{
			{`{ users(first: 100) { totalCountUpTo(limit: 10) } }`, 1},
			{`{ users(first: 100) { totalCountUpTo(limit: 10) pageInfo { hasNextPage } } }`, 2},
			{`{ users(query: "a") { totalCountUpTo(limit: 10) } }`, 1},
			{`{ users(query: "a m") { totalCountUpTo(limit: 10) } }`, 2}, // which of the words is begun with
			{`{ users(query: "a m") { totalCountUpTo(limit: 10) totalCount nodes { id } } }`, 2 + 2 + 3},
			{`{ users(first: 100) { totalCountUpTo(limit: 10) more: totalCountUpTo(limit: 500) totalCount } }`, 2},
			{`{ users(first: 100) { nodes { reports(first: 1) { totalCountUpTo(limit: 10) } } } }`, 3},
			{`{ users(first: 100) { nodes { reports(first: 1) { totalCountUpTo(limit: 10) more: totalCountUpTo(limit: 3) totalCount } } } }`, 4},
			{`{ users(first: 100) { nodes { a: reports(first: 1) { totalCountUpTo(limit: 10) } b: reports(first: 1) { totalCountUpTo(limit: 3) } } } }`, 3},
			{`{ users(first: 100) { nodes { reports(first: 1, filter: {name: {startsWith: "a"}}) { totalCountUpTo(limit: 10) } } } }`, 3},
			// Here no page of the lists is read: nothing of one is asked for anywhere.
			{`{ users(first: 100) { nodes { teams(first: 1) { totalCountUpTo(limit: 2) } } } }`, 2},
			{`{ teams { nodes { members(first: 1) { totalCountUpTo(limit: 2) } } } }`, 2},
		} {
			d.wantStatements(t, c.statements, func() { d.must(c.query) })
		}
		d.maxPage(1000)
		d.wantStatements(t, 1+8+8, func() { // 128 parents each
			d.must(`{ users(first: 1000) { nodes { reports(first: 1) { totalCountUpTo(limit: 10) } } } }`)
		})
	})
}

// TestTheNumberOfUsersIsThatOfTheSnapshot compares the number that is kept with the one that is counted, as a filter has it.
func TestTheNumberOfUsersIsThatOfTheSnapshot(t *testing.T) {
	onDemoData(t, func(t *testing.T, d *directory) {
		var writers, others sync.WaitGroup
		done := make(chan struct{})
		others.Go(func() {
			for {
				select {
				case <-done:
					return
				default:
				}
				a := d.must(`query @snapshot { users(first: 0) { totalCount } counted: users(first: 0, filter: {id: {notIn: []}, not: {name: {eq: "nobody"}}}) { totalCount } }`)
				if kept, counted := a.at(t, "users.totalCount"), a.at(t, "counted.totalCount"); kept != counted {
					t.Errorf("%v are kept, and there are %v", kept, counted)
				}
			}
		})
		others.Go(func() {
			for {
				select {
				case <-done:
					return
				default:
				}
				if _, err := d.db.FoldCounts(t.Context()); err != nil {
					t.Logf("fold: %v", err) // others may be in the way
				}
			}
		})
		for w := range 4 {
			writers.Go(func() {
				for i := range 25 {
					a := d.must(fmt.Sprintf(`mutation { a: createUser(input: {name: "N", email: "n%d.%d@example.com"}) { user { id } } b: createUser(input: {name: "N", email: "m%[1]d.%[2]d@example.com"}) { user { id } } }`, w, i))
					d.must(`mutation($id: ID!) { deleteUser(input: {id: $id}) { deletedUserId } }`, "id", a.at(t, "a.user.id"))
					d.send(`mutation($id: ID!) { deleteUser(input: {id: $id}) { deletedUserId } again: deleteUser(input: {id: $id}) { deletedUserId } }`, "id", a.at(t, "b.user.id"))
				}
			})
		}
		writers.Wait()
		close(done)
		others.Wait()
		if n := d.must(`{ users(first: 0) { totalCount } }`).at(t, "users.totalCount"); n != 1100.0 {
			t.Errorf("at last there are %v", n)
		}
	})
}
