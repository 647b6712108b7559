package graph_test

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"rollcall/model"
)

// some stores users of whom a few are in a department, most in another, all have names, times and titles, and two words that begin with n.
func some(t *testing.T, d *directory) []*model.User {
	t.Helper()
	random := rand.New(rand.NewPCG(5, 6))
	began := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	users := make([]*model.User, 4500)
	for i := range users {
		department := "Large"
		if i%40 == 0 {
			department = "Small"
		}
		u := &model.User{
			ID: int64(i + 1), Name: fmt.Sprintf("N %d", random.IntN(300)), Email: fmt.Sprintf("u%d@example.com", i), Title: new("Nurse"), Department: &department,
			Status: model.StatusActive, Version: 1, CreatedAt: began.Add(time.Duration(random.IntN(1000)) * time.Minute), UpdatedAt: began,
		}
		u.Fold()
		users[i] = u
	}
	if err := d.db.Write.WithContext(t.Context()).CreateInBatches(users, 300).Error; err != nil {
		t.Fatal(err)
	}
	return users
}

func TestWhatASearchFindsIsCountedOnceHoweverManyOfItsWordsMatch(t *testing.T) {
	onEveryDatabase(t, func(t *testing.T, d *directory) {
		users := some(t, d)
		if err := d.db.Derive(t.Context()); err != nil {
			t.Fatal(err)
		}
		d.analyze(t)
		for _, c := range []struct {
			query, filter string
			found         func(u *model.User) bool
			statements    int
		}{
			{"n", "", func(*model.User) bool { return true }, 1},
			{"n u", "", func(*model.User) bool { return true }, 2},                                // which many have
			{"n u7", "", func(u *model.User) bool { return strings.HasPrefix(u.Email, "u7") }, 2}, // which few have
			{"nobody u", "", func(*model.User) bool { return false }, 2},
			{"n", `{department: {eq: "large"}}`, func(u *model.User) bool { return *u.Department == "Large" }, 2},
			{"n u", `{department: {eq: "large"}}`, func(u *model.User) bool { return *u.Department == "Large" }, 2},
			{"n u", `{department: {eq: "small"}}`, func(u *model.User) bool { return *u.Department == "Small" }, 2},
			{"n", `{hasManager: true}`, func(*model.User) bool { return false }, 2},
		} {
			want := 0
			for _, u := range users {
				if c.found(u) {
					want++
				}
			}
			for _, limit := range []int{1, 100, 10_000} {
				filter := ""
				if c.filter != "" {
					filter = ", filter: " + c.filter
				}
				var a answer
				run := d.sql.During(func() {
					a = d.must(fmt.Sprintf(`{ users(query: %q%s) { totalCountUpTo(limit: %d) } }`, c.query, filter, limit))
				})
				if n := a.at(t, "users.totalCountUpTo"); n != float64(min(want, limit)) || len(run) != c.statements {
					t.Errorf("%s %s: %v up to %d, by %d statements; want %d, by %d", c.query, c.filter, n, limit, len(run), want, c.statements)
				}
				if all := d.must(fmt.Sprintf(`{ users(query: %q%s) { totalCount } }`, c.query, filter)).at(t, "users.totalCount"); all != float64(want) {
					t.Errorf("%s %s: %v in all, want %d", c.query, c.filter, all, want)
				}
			}
		}
	})
}

// TestAFilterOfOneIndexInTheOrderOfAnotherIsCountedFirst reads pages of filters that few users meet, which are found by the filter, and of
// others that many meet, which are found by the order.
func TestAFilterOfOneIndexInTheOrderOfAnotherIsCountedFirst(t *testing.T) {
	onEveryDatabase(t, func(t *testing.T, d *directory) {
		users := some(t, d)
		d.analyze(t)

		in := func(department string) func(u *model.User) bool {
			return func(u *model.User) bool { return *u.Department == department }
		}
		byName := func(a, b *model.User) int {
			return cmp.Or(cmp.Compare(a.NameFolded, b.NameFolded), cmp.Compare(a.ID, b.ID))
		}
		byTime := func(a, b *model.User) int { return cmp.Or(a.CreatedAt.Compare(b.CreatedAt), cmp.Compare(a.ID, b.ID)) }
		byID := func(a, b *model.User) int { return cmp.Compare(a.ID, b.ID) }
		const createdBefore = `{createdAt: {lt: "2026-01-01T%s:00:00Z"}}`
		for _, c := range []struct {
			filter     string
			meets      func(u *model.User) bool
			order      string
			compare    func(a, b *model.User) int
			statements int // of a page
			many       bool
		}{
			{`{department: {eq: "small"}}`, in("Small"), "NAME", byName, 2, false},
			{`{department: {eq: "large"}}`, in("Large"), "NAME", byName, 2, true},
			{`{department: {eq: "large"}}`, in("Large"), "CREATED_AT", byTime, 2, true},
			{`{department: {in: ["small", "nobody's"]}}`, in("Small"), "ID", byID, 2, false},
			{`{department: {startsWith: "l"}}`, in("Large"), "ID", byID, 2, true},
			{fmt.Sprintf(createdBefore, "02"), func(u *model.User) bool { return u.CreatedAt.Hour() < 2 && u.CreatedAt.Day() == 1 }, "ID", byID, 2, false},
			{fmt.Sprintf(createdBefore, "15"), func(u *model.User) bool { return u.CreatedAt.Hour() < 15 && u.CreatedAt.Day() == 1 }, "ID", byID, 2, true},
			{`{department: {eq: "nobody's"}}`, in("Nobody's"), "NAME", byName, 2, false},

			// What one index serves, or none, is not counted.
			{`{department: {eq: "small"}}`, in("Small"), "ID", byID, 1, false},
			{`{name: {startsWith: "n 1"}}`, func(u *model.User) bool { return strings.HasPrefix(u.NameFolded, "n 1") }, "NAME", byName, 1, false},
			{`{department: {ne: "small"}}`, in("Large"), "NAME", byName, 1, false},
			{`{or: [{department: {eq: "small"}}, {department: {eq: "large"}}]}`, func(*model.User) bool { return true }, "NAME", byName, 1, false},
			{`{email: {eq: "u7@example.com"}}`, func(u *model.User) bool { return u.ID == 8 }, "NAME", byName, 1, false},
		} {
			var want []string
			sorted := slices.Clone(users)
			slices.SortFunc(sorted, c.compare)
			for _, u := range sorted {
				if c.meets(u) {
					want = append(want, model.UserID(u.ID))
				}
			}
			for _, direction := range []string{"ASC", "DESC"} {
				if direction == "DESC" {
					slices.Reverse(want)
				}
				read := func(window string) (answer, []string) {
					var a answer
					run := d.sql.During(func() {
						a = d.must(fmt.Sprintf(`{ users(%s, filter: %s, orderBy: {field: %s, direction: %s}) { nodes { id } pageInfo { startCursor endCursor hasNextPage hasPreviousPage } } }`,
							window, c.filter, c.order, direction))
					})
					if many := strings.Contains(run[len(run)-1], "CASE WHEN"); len(run) != c.statements || many != c.many {
						t.Errorf("%s by %s: %d statements, want %d; in the order of the list: %t", c.filter, c.order, len(run), c.statements, many)
					}
					return a, nodes(t, a)
				}
				for _, way := range []struct{ size, place, cursor string }{{"first", "after", "endCursor"}, {"last", "before", "startCursor"}} {
					var got []string
					place := ""
					for range 3 { // pages
						a, page := read(way.size + ": 7" + place)
						if way.size == "last" {
							got = append(page, got...)
						} else {
							got = append(got, page...)
						}
						place = fmt.Sprintf(", %s: %q", way.place, fmt.Sprint(a.at(t, "users.pageInfo."+way.cursor)))
						if len(page) < 7 {
							break
						}
					}
					n := min(21, len(want))
					if expected := want[:n]; way.size == "first" && !slices.Equal(got, expected) {
						t.Errorf("%s by %s %s: got %v, want %v", c.filter, c.order, direction, got, expected)
					}
					if expected := want[len(want)-n:]; way.size == "last" && !slices.Equal(got, expected) {
						t.Errorf("%s by %s %s, at the end: got %v, want %v", c.filter, c.order, direction, got, expected)
					}
				}
			}
		}
	})
}
