package database_test

import (
	"fmt"
	"testing"

	"rollcall/database"
	"rollcall/database/databasetest"
)

func TestASchemaIsUsedByThoseProgramsOnlyThatItAllows(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, db *database.Database) {
		schema, err := db.Schema(t.Context())
		if err != nil || schema.Have != schema.Want || schema.Newer() || schema.Lowest != 10 {
			t.Fatalf("after Migrate: %+v, %v", schema, err)
		}
		own := schema.Want
		exec := func(statement string, args ...any) {
			t.Helper()
			if err := db.Write.Exec(statement, args...).Error; err != nil {
				t.Fatalf("%s: %v", statement, err)
			}
		}
		exec("CREATE TABLE novelties (id int NOT NULL PRIMARY KEY)") // as newer schemas may have
		exec("ALTER TABLE teams ADD COLUMN novelty varchar(9)")
		last := own
		set := func(version, lowest int64) { // 0: it is not stored
			t.Helper()
			exec("UPDATE goose_db_version SET version_id = ? WHERE version_id = ?", version, last)
			last = version
			exec("DELETE FROM schema_requirement")
			if lowest != 0 {
				exec("INSERT INTO schema_requirement (id, lowest_version) VALUES (1, ?)", lowest)
			}
		}
		check := func(have int64, refusal string) {
			t.Helper()
			if refusal != "" {
				checkSchemaError(t, db, have, refusal)
				return
			}
			if err := db.CheckSchema(t.Context()); err != nil {
				t.Errorf("CheckSchema: %v", err)
			}
			if err := db.Check(t.Context()); err != nil {
				t.Errorf("Check: %v", err)
			}
			if applied, err := db.Migrate(t.Context()); err != nil || applied != 0 {
				t.Errorf("Migrate = %d, %v", applied, err)
			}
			if schema, err := db.Schema(t.Context()); err != nil || schema.Have != have || schema.Newer() != (have > own) {
				t.Errorf("%+v, %v", schema, err)
			}
		}
		for _, c := range []struct {
			version, lowest int64
			refusal         string // "": it is used
		}{
			{own, 1, ""},
			{own, own, ""},
			{own, 0, ""},
			{own, own + 1, "run a newer rollcall"}, // which is being migrated
			{own + 1, own, ""},
			{own + 9, own, ""},
			{own + 9, 1, ""},
			{own + 9, own + 1, fmt.Sprintf("is for programs that know version %d or newer, and this one knows version %d: run a newer rollcall", own+1, own)},
			{own + 9, own + 9, "run a newer rollcall"},
			{own + 9, 0, fmt.Sprintf("has version %d, newer than version %d that this program knows: run a newer rollcall", own+9, own)},
		} {
			set(c.version, c.lowest)
			check(c.version, c.refusal)
			if c.refusal == "" {
				continue
			}
			if applied, err := db.Migrate(t.Context()); err == nil || applied != 0 {
				t.Errorf("Migrate with %+v: %d, %v", c, applied, err)
			}
		}
		set(own, own)
		exec("DELETE FROM goose_db_version WHERE version_id = ?", own)
		checkSchemaError(t, db, versionOf(t, db), "rollcall migrate")
		exec("INSERT INTO goose_db_version (version_id, is_applied) VALUES (?, ?)", own, true)
		check(own, "")

		exec("DROP TABLE schema_requirement")
		check(own, "the table schema_requirement is missing")
		exec("INSERT INTO goose_db_version (version_id, is_applied) VALUES (?, ?)", own+1, true)
		check(own+1, "newer than version")
	})
}

// versionOf returns the schema's version.
func versionOf(t *testing.T, db *database.Database) (version int64) {
	t.Helper()
	if err := db.Side.QueryRowContext(t.Context(), "SELECT max(version_id) FROM goose_db_version").Scan(&version); err != nil {
		t.Fatal(err)
	}
	return version
}

// TestAnOlderProgramThatWaitedForANewerOneToMigrateMigratesNothing is about the moment after its own check of the schema.
func TestAnOlderProgramThatWaitedForANewerOneToMigrateMigratesNothing(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, db *database.Database) {
		if err := db.Write.Exec("INSERT INTO goose_db_version (version_id, is_applied) VALUES (99, ?)", true).Error; err != nil {
			t.Fatal(err)
		}
		before := count(t, db, "goose_db_version")
		if err := db.MigrateWithoutALock(t.Context()); err != nil {
			t.Error(err)
		}
		if n := count(t, db, "goose_db_version"); n != before {
			t.Errorf("%d rows of versions became %d", before, n)
		}
	})
}

func TestAMigrationThatRunsAgainDoesNotLowerWhatTheSchemaRequires(t *testing.T) {
	databasetest.EachOf(t, "mysql", func(t *testing.T, kind string) { // elsewhere none does
		db := databasetest.New(t, kind)
		for _, statement := range []string{
			"UPDATE schema_requirement SET lowest_version = 99",
			"DELETE FROM goose_db_version WHERE version_id >= 11",
		} {
			if err := db.Write.Exec(statement).Error; err != nil {
				t.Fatal(err)
			}
		}
		if err := db.MigrateWithoutALock(t.Context()); err != nil {
			t.Fatal(err)
		}
		if schema, err := db.Schema(t.Context()); err != nil || schema.Have != schema.Want || schema.Lowest != 99 {
			t.Errorf("%+v, %v", schema, err)
		}
	})
}
