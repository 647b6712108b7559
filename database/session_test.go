package database_test

import (
	"os"
	"strings"
	"testing"

	"rollcall/dialect"
	"rollcall/idempotency"
	"rollcall/session"
)

func TestTheMigrationOfTheProofTableIsWhatTheSessionWants(t *testing.T) {
	for _, d := range []dialect.Dialect{dialect.MySQL, dialect.PostgreSQL} {
		file, err := os.ReadFile("migrations/" + d.Name() + "/00002_session.sql")
		if err != nil {
			t.Fatal(err)
		}
		migration := strings.Replace(string(file), "IF NOT EXISTS ", "", 1)
		if !strings.Contains(migration, session.ProofTable(d)+";") {
			t.Errorf("%s: want %s in %s", d.Name(), session.ProofTable(d), file)
		}
	}
}

func TestTheMigrationOfIdempotencyKeysIsWhatTheyWant(t *testing.T) {
	for _, d := range []dialect.Dialect{dialect.SQLite, dialect.MySQL, dialect.PostgreSQL} {
		file, err := os.ReadFile("migrations/" + d.Name() + "/00009_idempotency.sql")
		if err != nil {
			t.Fatal(err)
		}
		// On MySQL the index is created with the table, so that the migration may run again.
		migration := strings.NewReplacer("IF NOT EXISTS ", "", ",\n    INDEX idempotency_keys_stored_at (stored_at)", "").Replace(string(file))
		statements := idempotency.Table(d)
		if d == dialect.MySQL {
			statements = statements[:1]
		}
		for _, statement := range statements {
			if !strings.Contains(migration, statement+";") {
				t.Errorf("%s: want %s in %s", d.Name(), statement, file)
			}
		}
	}
}
