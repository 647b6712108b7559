package database_test

import (
	"fmt"
	"testing"

	"rollcall/database"
	"rollcall/database/databasetest"
)

// TestTheCheckOfTheSchemaOpensOurTablesOnly counts what the server reads of its catalog: of others' tables there may be thousands.
func TestTheCheckOfTheSchemaOpensOurTablesOnly(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, db *database.Database) {
		if db.Dialect().Name() != "mysql" {
			return // the others read their catalog
		}
		db.Side.SetMaxOpenConns(1) // for its session's count
		read := func() (n int) {
			t.Helper()
			var name string
			row := db.Side.QueryRowContext(t.Context(), "SHOW SESSION STATUS LIKE 'Handler_read_rnd_next'")
			if err := row.Scan(&name, &n); err != nil {
				t.Fatal(err)
			}
			return n
		}
		check := func() int {
			t.Helper()
			before := read()
			if err := db.CheckSchema(t.Context()); err != nil {
				t.Fatal(err)
			}
			return read() - before
		}
		alone := check()
		const others = 60
		for i := range others {
			if err := db.Write.Exec(fmt.Sprintf("CREATE TABLE someone_elses%d (id int)", i)).Error; err != nil {
				t.Fatal(err)
			}
		}
		if n := check(); n >= alone+others {
			t.Errorf("%d rows were read, and %d without the others' tables", n, alone)
		}
	})
}
