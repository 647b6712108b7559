package database_test

import (
	"os"
	"strings"
	"testing"

	"rollcall/dialect"
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
