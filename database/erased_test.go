package database_test

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"rollcall/database/databasetest"
)

// TestWhatIsDeletedIsNotLeftInTheFileOfSQLite looks at the files' bytes once the database was closed, in rows of every length.
func TestWhatIsDeletedIsNotLeftInTheFileOfSQLite(t *testing.T) {
	folder := t.TempDir()
	db := databasetest.Open(t, "sqlite:"+filepath.Join(folder, "rollcall.db"))
	migrate(t, db)
	run := func(statement string, args ...any) {
		t.Helper()
		if err := db.Write.Exec(statement, args...).Error; err != nil {
			t.Fatal(err)
		}
	}
	const secret = "quetzal"
	for i := range 60 {
		name := strings.TrimSpace(strings.Repeat(secret+" ", 1+i/3))
		run("INSERT INTO users (name, name_folded, email, version, created_at, updated_at) VALUES (?, ?, ?, 1, '2026-01-01', '2026-01-01')", name, name, secret+strings.Repeat("x", i))
	}
	run("UPDATE users SET name = 'x', name_folded = 'x', email = 'e' || id WHERE id % 2 = 0")
	run("DELETE FROM users WHERE id % 2 = 1")
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	files, err := os.ReadDir(folder)
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		content, err := os.ReadFile(filepath.Join(folder, file.Name()))
		if err != nil {
			t.Fatal(err)
		}
		if n := bytes.Count(content, []byte(secret)); n > 0 {
			t.Errorf("%s still has it %d times", file.Name(), n)
		}
	}
}
