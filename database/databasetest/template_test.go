package databasetest_test

import (
	"context"
	"fmt"
	"testing"

	"rollcall/database"
	"rollcall/database/databasetest"
)

func TestMain(m *testing.M) { databasetest.Templates{M: m}.Run() }

// TestADatabaseHoldsItsContentWhateverAnEarlierTestHasDoneToIt has a test after each change find nothing of it. On servers the
// database is the same one, unless the change was one of the schema.
func TestADatabaseHoldsItsContentWhateverAnEarlierTestHasDoneToIt(t *testing.T) {
	content := databasetest.Content{Name: "two users", Fill: func(_ context.Context, db *database.Database) error {
		return db.Write.Exec("INSERT INTO users (id, name, email, created_at, updated_at) VALUES (1, 'Ada', 'ada', '2024-01-01', '2024-01-01'), (2, 'Kwame \"☃\"', 'kwame', '2024-01-01 12:34:56.789012', '2024-01-01')").Error
	}}
	changes := []struct {
		statement string
		again     bool   // the database is used again
		dialect   string // "": all
	}{
		{"SELECT 1", true, ""},
		{"INSERT INTO users (id, name, email, created_at, updated_at) VALUES (3, 'Mei', 'mei', '2024-01-01', '2024-01-01')", true, ""},
		{"UPDATE users SET name = 'Augusta' WHERE id = 1", true, ""},
		{"UPDATE users SET manager_id = 2 WHERE id = 1", true, ""},
		{"DELETE FROM users", true, ""},
		{"DELETE FROM goose_db_version WHERE version_id = 4", true, ""},
		{"CREATE TABLE more (id INT)", true, ""},
		{"CREATE VIEW more AS SELECT id FROM users", false, ""},
		{"CREATE INDEX more ON users (name)", false, ""},
		{"ALTER TABLE teams ADD COLUMN more INT", false, ""},
		{"CREATE FUNCTION more() RETURNS int LANGUAGE SQL AS 'SELECT 1'", false, "postgres"},
		{"DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET deadlock_timeout = ''20ms''', current_database()); END $$", false, "postgres"},
		{"DROP TABLE memberships", false, ""},
		{"SELECT 2", true, ""},
	}
	databasetest.EachKind(t, func(t *testing.T, kind string) {
		earlier, again := "", false
		for _, change := range changes {
			if change.dialect != "" && change.dialect != databasetest.Dialect(kind) {
				continue
			}
			t.Run(change.statement, func(t *testing.T) {
				url := databasetest.With(t, kind, content)
				if kind != "sqlite" && (url == earlier) != again {
					t.Errorf("the database is %s after %s", url, earlier)
				}
				earlier, again = url, change.again
				db := databasetest.Open(t, url)
				wantTwoUsers(t, db)
				if err := db.Write.Exec(change.statement).Error; err != nil {
					t.Error(err)
				}
			})
		}
	})
}

// wantTwoUsers fails if there is anything but the content, and adds a team.
func wantTwoUsers(t *testing.T, db *database.Database) {
	t.Helper()
	if err := db.CheckSchema(t.Context()); err != nil {
		t.Error(err)
	}
	var users []struct {
		ID        int
		Name      string
		ManagerID *int
	}
	if err := db.Write.Table("users").Order("id").Find(&users).Error; err != nil {
		t.Fatal(err)
	}
	if got := fmt.Sprint(users); got != "[{1 Ada <nil>} {2 Kwame \"☃\" <nil>}]" {
		t.Errorf("the users are %s", got)
	}
	for _, gone := range []string{"SELECT * FROM more", "SELECT more FROM teams", "SELECT more()"} {
		if db.Write.Exec(gone).Error == nil {
			t.Errorf("%s: there is something more", gone)
		}
	}
	if timeout := ""; db.Dialect().Name() == "postgres" {
		if err := db.Write.Raw("SHOW deadlock_timeout").Scan(&timeout).Error; err != nil || timeout != "1s" {
			t.Errorf("the database's settings are another's: %s, %v", timeout, err)
		}
	}
	if err := db.Write.Exec("INSERT INTO teams (name, created_at, updated_at) VALUES ('Design', '2024-01-01', '2024-01-01')").Error; err != nil {
		t.Error(err)
	}
	id := 0
	if err := db.Write.Raw("SELECT id FROM teams").Scan(&id).Error; err != nil || id != 1 {
		t.Errorf("the first team has the id %d, %v", id, err)
	}
}
