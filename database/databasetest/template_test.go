package databasetest_test

import (
	"context"
	"fmt"
	"slices"
	"testing"

	"rollcall/database"
	"rollcall/database/databasetest"
)

func TestMain(m *testing.M) { databasetest.Templates{M: m}.Run() }

// TestADatabaseHoldsItsContentWhateverAnEarlierTestHasDoneToIt has a test after each kind of change find nothing of it.
func TestADatabaseHoldsItsContentWhateverAnEarlierTestHasDoneToIt(t *testing.T) {
	content := databasetest.Content{Name: "two users", Fill: func(_ context.Context, db *database.Database) error {
		return db.Write.Exec("INSERT INTO users (id, name, email, created_at, updated_at) VALUES (1, 'Ada', 'ada', '2024-01-01', '2024-01-01'), (2, 'Kwame \"☃\"', 'kwame', '2024-01-01 12:34:56.789012', '2024-01-01')").Error
	}}
	changes := []string{
		"SELECT 1",
		"INSERT INTO users (id, name, email, created_at, updated_at) VALUES (3, 'Mei', 'mei', '2024-01-01', '2024-01-01')",
		"UPDATE users SET name = 'Augusta' WHERE id = 1",
		"UPDATE users SET manager_id = 2 WHERE id = 1",
		"DELETE FROM users",
		"DELETE FROM goose_db_version WHERE version_id = 4",
		"CREATE TABLE more (id INT)",
		"CREATE VIEW more AS SELECT id FROM users",
		"CREATE INDEX more ON users (name)",
		"ALTER TABLE teams ADD COLUMN more INT",
		"DROP TABLE memberships",
	}
	const deadlocks = "DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET deadlock_timeout = ''20ms''', current_database()); END $$"
	databasetest.EachKind(t, func(t *testing.T, kind string) {
		changes := append(slices.Clone(changes), "SELECT 2")
		if kind == "postgres" {
			changes = append(changes, deadlocks, "CREATE FUNCTION more() RETURNS int LANGUAGE SQL AS 'SELECT 1'", "SELECT 3")
		}
		for _, change := range changes {
			t.Run(change, func(t *testing.T) {
				db := databasetest.Open(t, databasetest.With(t, kind, content))
				if err := db.CheckSchema(t.Context()); err != nil {
					t.Error(err)
				}
				type row struct {
					ID        int
					Name      string
					ManagerID *int
				}
				var users []row
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
				timeout := "1s"
				if kind == "postgres" {
					_ = db.Write.Raw("SHOW deadlock_timeout").Scan(&timeout)
				}
				if timeout != "1s" {
					t.Errorf("the database's settings are another's: %s", timeout)
				}
				if err := db.Write.Exec("INSERT INTO teams (name, created_at, updated_at) VALUES ('Design', '2024-01-01', '2024-01-01')").Error; err != nil {
					t.Error(err)
				}
				id := 0
				if err := db.Write.Raw("SELECT id FROM teams").Scan(&id).Error; err != nil || id != 1 {
					t.Errorf("the first team has the id %d, %v", id, err)
				}
				if err := db.Write.Exec(change).Error; err != nil {
					t.Error(err)
				}
			})
		}
	})
}
