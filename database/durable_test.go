package database_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"rollcall/database"
	"rollcall/database/databasetest"
)

// hostile are flags of a server whose defaults are the wrong ones for every table, each by another kind of server.
var hostile = map[string][]string{
	"mariadb": {
		"--default-storage-engine=Aria", "--character-set-server=latin1", "--innodb-default-row-format=redundant", "--sql-mode=",
		"--innodb-strict-mode=OFF", "--explicit-defaults-for-timestamp=OFF", "--lower-case-table-names=1",
		"--innodb-flush-log-at-trx-commit=0",
	},
	"mysql": {
		"--default-storage-engine=MyISAM", "--disabled-storage-engines=MyISAM", "--character-set-server=latin1",
		"--innodb-default-row-format=redundant", "--sql-mode=", "--innodb-strict-mode=OFF", "--explicit-defaults-for-timestamp=OFF",
		"--sql-require-primary-key=ON", "--innodb-flush-log-at-trx-commit=0",
	},
}

func TestTheSchemaIsTheSameWhateverTheServersDefaults(t *testing.T) {
	databasetest.EachOf(t, "mysql", func(t *testing.T, kind string) { // the others' tables have no such choices
		want := schema(t, databasetest.New(t, kind))
		db := databasetest.Open(t, databasetest.Start(t, kind, hostile[kind]...).URL)
		migrate(t, db)
		if got := schema(t, db); got != want {
			t.Errorf("%s\nwant:\n%s", got, want)
		}
		if n := strings.Count(want, "ENGINE=InnoDB"); n != tables(t, db) || strings.Count(want, "ROW_FORMAT=DYNAMIC") != n {
			t.Errorf("%d tables in InnoDB:\n%s", n, want)
		}
		if got, err := db.Lossy(t.Context()); err != nil || fmt.Sprint(got) != "[innodb_flush_log_at_trx_commit = 0]" {
			t.Errorf("said to be lossy: %q, %v", got, err)
		}
	})
}

func TestMigrateGivesTablesOfTheServersEngineOurs(t *testing.T) {
	databasetest.EachOf(t, "mysql", func(t *testing.T, kind string) {
		db := databasetest.New(t, kind)
		want := schema(t, db)
		for _, statement := range []string{ // as it was when the migrations named no engine
			"DROP TABLE session_operations",
			`CREATE TABLE session_operations (id varchar(64) NOT NULL PRIMARY KEY, state smallint NOT NULL,
				created_at datetime(6) NOT NULL DEFAULT CURRENT_TIMESTAMP(6)) ENGINE = MyISAM DEFAULT CHARACTER SET = latin1`,
			"INSERT INTO session_operations (id, state) VALUES ('kept', 1)",
			"ALTER TABLE goose_db_version ENGINE = MyISAM",
			"DELETE FROM goose_db_version WHERE version_id > 2",
		} {
			if err := db.Write.Exec(statement).Error; err != nil {
				t.Fatal(err)
			}
		}
		checkSchemaError(t, db, 2, "rollcall migrate")
		migrate(t, db)
		if got := schema(t, db); got != want {
			t.Errorf("%s\nwant:\n%s", got, want)
		}
		if n := count(t, db, "session_operations"); n != 1 {
			t.Errorf("%d rows are left", n)
		}
	})
}

func TestATableThatWouldLoseOrChangeWhatIsStoredIsRefused(t *testing.T) {
	damages := map[string][]string{
		"sqlite": {"DROP TABLE memberships"},
		"mysql": {
			"ALTER TABLE session_operations ENGINE = MyISAM",
			"ALTER TABLE goose_db_version ENGINE = MyISAM",
			"ALTER TABLE users CONVERT TO CHARACTER SET latin1",
			"ALTER TABLE teams MODIFY name varchar(255) CHARACTER SET utf8mb4 COLLATE utf8mb4_unicode_ci NOT NULL",
			"DROP TABLE memberships",
		},
		"postgres": {"ALTER TABLE session_operations SET UNLOGGED", "ALTER TABLE memberships SET UNLOGGED", "DROP TABLE memberships"},
	}
	databasetest.Each(t, func(t *testing.T, db *database.Database) {
		exec := func(statement string) {
			t.Helper()
			if err := db.Write.Exec(statement).Error; err != nil {
				t.Fatalf("%s: %v", statement, err)
			}
		}
		exec("CREATE TABLE someone_elses (id varchar(9))")
		if db.Dialect().Name() == "mysql" {
			exec("ALTER TABLE someone_elses ENGINE = MyISAM, CONVERT TO CHARACTER SET latin1")
		}
		for _, damage := range damages[db.Dialect().Name()] {
			exec(damage)
			table := strings.Fields(damage)[2]
			for name, err := range map[string]error{"CheckSchema": db.CheckSchema(t.Context()), "Migrate": migrationError(t, db)} {
				var flawed *database.SchemaError
				if !errors.As(err, &flawed) || !strings.HasPrefix(err.Error(), "the table "+table+" ") || strings.Contains(err.Error(), "\n") {
					t.Errorf("%s after %s: %v", name, damage, err)
				}
			}
			_, mend, said := strings.Cut(fmt.Sprint(db.CheckSchema(t.Context())), ": run ")
			if strings.HasPrefix(damage, "DROP") {
				continue // to be restored; it is the last
			}
			if !said {
				t.Fatalf("after %s nothing is said to mend it", damage)
			}
			exec(mend)
			if err := db.CheckSchema(t.Context()); err != nil {
				t.Errorf("%s does not mend %s: %v", mend, damage, err)
			}
		}
	})
}

func migrationError(t *testing.T, db *database.Database) error {
	t.Helper()
	_, err := db.Migrate(t.Context())
	return err
}

func TestEveryTableOfTheSchemaIsLookedAt(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, db *database.Database) {
		names, err := db.Write.Migrator().GetTables()
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range names {
			if !slices.Contains(database.Tables, name) && name != "sqlite_sequence" {
				t.Errorf("CheckSchema does not look at %s", name)
			}
		}
	})
}

func TestSettingsThatLoseAcknowledgedRowsAreNamed(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, db *database.Database) {
		if got, err := db.Lossy(t.Context()); err != nil || len(got) > 0 {
			t.Errorf("%q, %v", got, err)
		}
	})
	databasetest.EachOf(t, "postgres", func(t *testing.T, kind string) {
		url := databasetest.URL(t, kind)
		db := databasetest.Open(t, url)
		if err := db.Write.Exec("DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET synchronous_commit = off', current_database()); END $$").Error; err != nil {
			t.Fatal(err)
		}
		if got, err := databasetest.Open(t, url).Lossy(t.Context()); err != nil || fmt.Sprint(got) != "[synchronous_commit = off]" {
			t.Errorf("%q, %v", got, err)
		}
	})
}
