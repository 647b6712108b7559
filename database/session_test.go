package database_test

import (
	"os"
	"strings"
	"testing"

	"rollcall/session"
)

func TestTheMigrationOfTheProofTableIsWhatTheSessionWants(t *testing.T) {
	for _, dialect := range []string{"mysql", "postgres"} {
		file, err := os.ReadFile("migrations/" + dialect + "/00002_session.sql")
		if err != nil {
			t.Fatal(err)
		}
		migration := strings.Replace(string(file), "IF NOT EXISTS ", "", 1)
		if !strings.Contains(migration, session.ProofTable(dialect)+";") {
			t.Errorf("%s: want %s in %s", dialect, session.ProofTable(dialect), file)
		}
	}
}
