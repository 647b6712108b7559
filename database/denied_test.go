package database_test

import (
	"database/sql"
	"fmt"
	"net/url"
	"strings"
	"testing"
	"time"

	"rollcall/database"
	"rollcall/database/databasetest"
)

// TestARightThatIsDeniedOnOneTableKeepsConnections counts the connections that each pool uses, while a second and more of reads and
// writes are denied what will never be granted.
func TestARightThatIsDeniedOnOneTableKeepsConnections(t *testing.T) {
	t.Parallel()
	databasetest.EachServer(t, func(t *testing.T, kind string) { // SQLite has no users
		t.Parallel()
		db := withoutTeams(t, kind)
		own := map[bool]string{true: "SELECT pg_backend_pid()", false: "SELECT CONNECTION_ID()"}[kind == "postgres"]
		used := map[string]map[int64]bool{}
		pools := db.Pools()
		for _, pool := range pools {
			pool.SetMaxOpenConns(1)
		}
		began := time.Now()
		for time.Since(began) < 2500*time.Millisecond {
			for name, pool := range pools {
				if used[name] == nil {
					used[name] = map[int64]bool{}
				}
				var id int64
				if err := pool.QueryRowContext(t.Context(), own).Scan(&id); err != nil {
					t.Fatal(err)
				}
				used[name][id] = true
			}
			for name, pool := range map[string]*sql.DB{"SELECT COUNT(*) FROM teams": pools["read"], "DELETE FROM teams": pools["write"]} {
				if _, err := pool.ExecContext(t.Context(), name); err == nil || database.Unavailable(err) != "the database denies a right to its user" {
					t.Fatalf("%s: %v", name, err)
				}
			}
			if err := db.Check(t.Context()); err != nil {
				t.Fatal(err)
			}
			time.Sleep(20 * time.Millisecond)
		}
		opened := 0
		for _, ids := range used {
			opened += len(ids)
		}
		if most := len(pools) + 3; opened > most { // one in each second
			t.Errorf("%d connections were opened, want %d at most: %v", opened, most, used)
		}
	})
}

// withoutTeams opens a database as a user who may do all on each of its tables but one.
func withoutTeams(t *testing.T, kind string) *database.Database {
	t.Helper()
	return limited(t, kind, "teams", "REFERENCES") // which shows MySQL's user that it is there
}

// limited opens a database as a user who may do all on each of its tables but one, and there only what rights say.
func limited(t *testing.T, kind, limitedTo, rights string) *database.Database {
	t.Helper()
	u, err := url.Parse(databasetest.URL(t, kind))
	if err != nil {
		t.Fatal(err)
	}
	owner, name := databasetest.Open(t, u.String()), strings.Trim(u.Path, "/")
	migrate(t, owner)
	user := name + "@'%'"
	statements, drop := []string{"CREATE USER " + user}, []string{"DROP USER " + user}
	if kind == "postgres" {
		user = name
		statements, drop = []string{"CREATE ROLE " + user + " LOGIN"}, []string{"DROP OWNED BY " + user, "DROP ROLE " + user}
	}
	for _, table := range database.Tables {
		granted := "ALL"
		if table == limitedTo {
			granted = rights
		}
		statements = append(statements, fmt.Sprintf("GRANT %s ON %s TO %s", granted, table, user))
	}
	for _, statement := range statements {
		if err := owner.Write.Exec(statement).Error; err != nil {
			t.Fatal(err)
		}
	}
	t.Cleanup(func() {
		for _, statement := range drop {
			if err := owner.Write.Exec(statement).Error; err != nil {
				t.Error(err)
			}
		}
	})
	u.User = url.User(name)
	return databasetest.Open(t, u.String())
}

// TestWhereAWriteOfAnyKindIsDeniedCheckSaysSo has all others allowed.
func TestWhereAWriteOfAnyKindIsDeniedCheckSaysSo(t *testing.T) {
	t.Parallel()
	databasetest.EachServer(t, func(t *testing.T, kind string) { // SQLite has no users
		for _, c := range []struct{ table, rights string }{
			{"users", "SELECT, INSERT, DELETE"},
			{"users", "SELECT, INSERT, UPDATE"},
			{"users", "SELECT, UPDATE, DELETE"},
			{"memberships", "SELECT, INSERT, UPDATE"},
			{"directory_locks", "SELECT, UPDATE"},
			{"directory_locks", "SELECT, INSERT"},
		} {
			t.Run(c.table+" "+c.rights, func(t *testing.T) {
				err := limited(t, kind, c.table, c.rights).Check(t.Context())
				if database.Unavailable(err) != "the database denies a right to its user" {
					t.Errorf("Check: %v", err)
				}
			})
		}
	})
}
