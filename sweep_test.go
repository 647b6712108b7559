package main

import (
	"testing"

	"rollcall/database/databasetest"
)

func TestAServerSweepsChangesThatAreOlderThanItKeepsThem(t *testing.T) {
	t.Parallel()
	databasetest.EachWith(t, databasetest.Nothing, func(t *testing.T, url string) {
		s := start(t, "--database", url)
		s.answer(`mutation { createUser(input: {name: "A", email: "a@example.com"}) { user { id } } }`)
		db := databasetest.Open(t, url)
		number := func(query string) (n int) {
			if err := db.Side.QueryRowContext(t.Context(), query).Scan(&n); err != nil {
				t.Fatal(err)
			}
			return n
		}
		eventually(t, "the change has a position", func() bool { return number("SELECT position FROM changes_clock") == 1 })
		s.stop()
		if err := db.Write.Exec("UPDATE changes SET at = at - 7200000000").Error; err != nil { // by two hours
			t.Fatal(err)
		}
		for _, keep := range []string{"0", "3h", "1h"} {
			s = start(t, "--database", url, "--keep-changes", keep)
			s.answer(`{ users { totalCount } }`)
			if keep == "1h" {
				eventually(t, "the change is swept", func() bool { return number("SELECT expired FROM changes_clock") == 1 })
			}
			s.stop()
			if left := number("SELECT COUNT(*) FROM changes"); left != 1 && keep != "1h" || left != 0 && keep == "1h" {
				t.Errorf("with --keep-changes %s %d are left", keep, left)
			}
		}
	})
}
