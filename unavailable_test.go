package main

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"rollcall/database/databasetest"
	"rollcall/directory/directorytest"
)

func TestWhereTheUserMayNotWriteTheServerSaysSo(t *testing.T) {
	t.Parallel()
	databasetest.EachServer(t, func(t *testing.T, kind string) {
		u := parseURL(t, databasetest.With(t, kind, databasetest.Nothing))
		name := strings.Trim(u.Path, "/")
		create, drop := fmt.Sprintf("CREATE USER '%s'@'%%'", name), fmt.Sprintf("DROP USER '%s'@'%%'", name)
		read, write := fmt.Sprintf("GRANT SELECT ON %[1]s.* TO '%[1]s'@'%%'", name), fmt.Sprintf("GRANT ALL ON %[1]s.* TO '%[1]s'@'%%'", name)
		if kind == "postgres" {
			create, drop = fmt.Sprintf("CREATE ROLE %s LOGIN", name), fmt.Sprintf("DROP OWNED BY %[1]s; DROP ROLE %[1]s", name)
			read, write = fmt.Sprintf("GRANT SELECT ON ALL TABLES IN SCHEMA public TO %s", name), fmt.Sprintf("GRANT ALL ON ALL TABLES IN SCHEMA public TO %s", name)
		}
		admin(t, u, create, drop)
		admin(t, u, read, "")
		limited := *u
		limited.User = url.User(name)
		s := start(t, "--database", limited.String())
		s.becomesUnready("the database denies a right to its user")
		only(t, "without the right", s.creates(), "DATABASE_UNAVAILABLE")
		only(t, "without the right", s.reads(), "")
		admin(t, u, write, "")
		s.recovers(t)
	})
}

func TestADatabaseThatIsDroppedIsUnavailable(t *testing.T) {
	t.Parallel()
	databasetest.EachServer(t, func(t *testing.T, kind string) {
		d := databasetest.Start(t, kind)
		s := start(t, "--database", d.URL, "--migrate")
		only(t, "at first", s.creates(), "")
		executed(t, d, "DROP DATABASE rollcall"+map[string]string{"postgres": " WITH (FORCE)"}[kind])
		only(t, "without a database", s.creates(), "DATABASE_UNAVAILABLE")
		only(t, "without a database", s.reads(), "DATABASE_UNAVAILABLE")
		eventually(t, "it is not ready", func() bool {
			status, text := s.probe("/readyz")
			return status == http.StatusServiceUnavailable && (strings.Contains(text, "missing") || strings.Contains(text, "version 0"))
		})
		executed(t, d, "CREATE DATABASE rollcall")
		output(t, "migrate", "--database", d.URL)
		s.recovers(t)
	})
}

func TestAServerThatCannotLogChangesIsUnavailable(t *testing.T) {
	t.Parallel()
	databasetest.EachServer(t, func(t *testing.T, kind string) {
		if kind == "postgres" {
			return // its log has one format
		}
		d := databasetest.Start(t, kind, "--log-bin=binlog", "--server-id=1")
		output(t, "migrate", "--database", d.URL)
		executed(t, d, "SET GLOBAL binlog_format = STATEMENT")
		s := start(t, "--database", d.URL)
		s.becomesUnready("the database cannot log changes")
		only(t, "by statement", s.creates(), "DATABASE_UNAVAILABLE")
		only(t, "by statement", s.reads(), "")
		executed(t, d, "SET GLOBAL binlog_format = ROW")
		s.recovers(t)
	})
}

// TestAServerWithNoRoomForAConnectionIsUnavailable has operations hold all connections that a user may have: fewer than operations, and more than the server
// has for its own needs.
func TestAServerWithNoRoomForAConnectionIsUnavailable(t *testing.T) {
	t.Parallel()
	databasetest.EachServer(t, func(t *testing.T, kind string) {
		u := parseURL(t, databasetest.With(t, kind, directorytest.Demo))
		owner := databasetest.Open(t, u.String())
		name := strings.Trim(u.Path, "/")
		if kind == "postgres" {
			admin(t, u, fmt.Sprintf("CREATE ROLE %s LOGIN CONNECTION LIMIT 12", name), fmt.Sprintf("DROP OWNED BY %[1]s; DROP ROLE %[1]s", name))
			admin(t, u, fmt.Sprintf("GRANT ALL ON ALL TABLES IN SCHEMA public TO %s", name), "")
		} else {
			admin(t, u, fmt.Sprintf("CREATE USER '%s'@'%%' WITH MAX_USER_CONNECTIONS 12", name), fmt.Sprintf("DROP USER '%s'@'%%'", name))
			admin(t, u, fmt.Sprintf("GRANT ALL ON %[1]s.* TO '%[1]s'@'%%'", name), "")
		}
		limited := *u
		limited.User = url.User(name)
		s := start(t, "--database", limited.String(), "--deadline", "60s")
		s.becomes(http.StatusOK, "ok")
		release := lockUser42(t, owner)
		released := make(chan struct{})
		time.AfterFunc(2*time.Second, func() {
			release()
			close(released)
		})
		got := s.codes(func(i int) string {
			return fmt.Sprintf(`mutation { updateUser(input: {id: "User:42", name: "N%d"}) { user { id } } }`, i)
		})
		<-released
		if got[""] == 0 || got["DATABASE_UNAVAILABLE"] == 0 || got[""]+got["DATABASE_UNAVAILABLE"] != busy {
			t.Errorf("want some successes, and DATABASE_UNAVAILABLE for the others, got %v", got)
		}
		s.becomes(http.StatusOK, "ok")
	})
}

// TestNobodyNoticesThatAColumnChangesItsType has every connection know the statements from before.
func TestNobodyNoticesThatAColumnChangesItsType(t *testing.T) {
	t.Parallel()
	databasetest.EachServer(t, func(t *testing.T, kind string) {
		u := parseURL(t, databasetest.With(t, kind, directorytest.Demo))
		s := start(t, "--database", u.String(), "--log-level", "warn")
		statement := "ALTER TABLE users MODIFY name varchar(300) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL"
		if kind == "postgres" {
			statement = "ALTER TABLE users ALTER COLUMN name TYPE varchar(300)"
		}
		ask := func() map[string]int {
			return s.codes(func(i int) string {
				return []string{
					`{ users(first: 100) { nodes { name manager { name } teams { nodes { name } } } } }`,
					`query @snapshot { users(first: 100) { nodes { name manager { name } } } }`,
					`mutation { updateUser(input: {id: "User:42", name: "N"}) { user { name manager { name } teams { nodes { name } } } } }`,
					fmt.Sprintf(`mutation { updateUser(input: {id: "User:%d", managerId: "User:1"}) { user { name } } }`, i+2),
				}[i%4]
			})
		}
		for range 5 {
			only(t, "before", ask(), "")
		}
		admin(t, u, statement, "")
		only(t, "at once", ask(), "")
		only(t, "later", ask(), "")
		if log := s.logged(); log != "" {
			t.Errorf("what nobody noticed is in the log:\n%s", log)
		}
	})
}

const moved = "the database's file has been deleted or replaced, and the server must be started again"

func TestNothingIsWrittenOnceSQLitesFilesAreDeletedOrReplaced(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		do   func(t *testing.T, path, other string)
		kept bool // what was stored before is there after the end
	}{
		"the log is deleted": {func(t *testing.T, path, _ string) {
			removed(t, path+"-wal")
			removed(t, path+"-shm")
		}, true},
		"the log's index is deleted": {func(t *testing.T, path, _ string) { removed(t, path+"-shm") }, true},
		"everything is deleted": {func(t *testing.T, path, _ string) {
			for _, each := range []string{"", "-wal", "-shm", "-lock"} {
				removed(t, path+each)
			}
		}, false},
		"the file is replaced": {func(t *testing.T, path, other string) { renamed(t, other, path) }, false},
		"the file is emptied":  {func(t *testing.T, path, _ string) { overwritten(t, path, nil) }, false},
		"the file is no database": {func(t *testing.T, path, _ string) {
			overwritten(t, path, bytes.Repeat([]byte("text"), 1<<20))
		}, false},
		"an older file is copied over it": {func(t *testing.T, path, other string) {
			older, err := os.ReadFile(other)
			if err != nil {
				t.Fatal(err)
			}
			overwritten(t, path, older)
		}, false},
		"the log is replaced": {func(t *testing.T, path, other string) { renamed(t, other, path+"-wal") }, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path, other := filepath.Join(t.TempDir(), "x.db"), filepath.Join(t.TempDir(), "y.db")
			output(t, "migrate", "--database", "sqlite:"+path)
			backup, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(other, backup, 0o600); err != nil {
				t.Fatal(err)
			}
			s := launch(t, built(t), "--database", "sqlite:"+path, "--demo")
			s.signal(os.Interrupt) // so that all is in the file itself, unlike the backup
			if err := s.wait(); err != nil {
				t.Fatal(err)
			}
			s = launch(t, built(t), "--database", "sqlite:"+path)
			only(t, "at first", s.creates(), "")
			only(t, "at first", s.reads(), "")
			c.do(t, path, other)
			before := written(t, path)
			only(t, "afterwards", s.creates(), "DATABASE_UNAVAILABLE")
			s.becomesUnready(moved)
			only(t, "afterwards", s.reads(), "DATABASE_UNAVAILABLE")
			s.signal(os.Interrupt)
			if err := s.wait(); err != nil {
				t.Error(err)
			}
			if after := written(t, path); !c.kept && after != before {
				t.Errorf("there was %s, and now there is %s", before, after)
			}
			if !c.kept {
				return
			}
			var users int64
			if err := databasetest.Open(t, "sqlite:"+path).Read.Table("users").Count(&users).Error; err != nil || users != 1000+busy {
				t.Errorf("there are %d users, want the %d that were acknowledged: %v", users, 1000+busy, err)
			}
		})
	}
}

// overwritten writes to the file by that name.
func overwritten(t *testing.T, path string, content []byte) {
	t.Helper()
	if err := os.WriteFile(path, content, 0); err != nil {
		t.Fatal(err)
	}
}

// TestAMutationUnderWayIsNotStoredInADeletedFile deletes the file while a transaction is open.
func TestAMutationUnderWayIsNotStoredInADeletedFile(t *testing.T) {
	t.Parallel()
	url := databasetest.With(t, "sqlite", directorytest.Demo)
	path := strings.TrimPrefix(url, "sqlite:")
	s := start(t, "--database", url, "--metrics", "127.0.0.1:0")
	release := lockUser42(t, databasetest.Open(t, url)) // so that the mutation waits to begin
	var answered sync.WaitGroup
	var code string
	answered.Go(func() { code = s.code(create("late@example.com")) })
	eventually(t, "the mutation has begun", s.mutates)
	for _, each := range []string{"", "-wal", "-shm"} {
		renamed(t, path+each, path+each+".away")
	}
	release()
	answered.Wait()
	if code != "DATABASE_UNAVAILABLE" {
		t.Errorf("it was answered with %q", code)
	}
	s.becomesUnready(moved)
	for _, each := range []string{"", "-wal", "-shm"} {
		renamed(t, path+each+".away", path+each)
	}
	s.becomes(http.StatusOK, "ok")
	if got := s.answer(`{ userByEmail(email: "late@example.com") { name } }`); !strings.Contains(got, "null") {
		t.Errorf("what was refused is stored: %s", got)
	}
	only(t, "back again", s.creates(), "")
}

func removed(t *testing.T, path string) {
	t.Helper()
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
}

func renamed(t *testing.T, from, to string) {
	t.Helper()
	if err := os.Rename(from, to); err != nil {
		t.Fatal(err)
	}
}

// written is what a database's files hold by their names.
func written(t *testing.T, path string) string {
	t.Helper()
	var all strings.Builder
	for _, name := range []string{path, path + "-wal"} {
		content, err := os.ReadFile(name)
		if err != nil {
			content = nil
		}
		fmt.Fprintf(&all, "%s of %d bytes (%x) ", filepath.Base(name), len(content), sha256.Sum256(content))
	}
	return all.String()
}

func TestAFileThatCannotGrowStoresNothingAndSaysSo(t *testing.T) {
	t.Parallel()
	s := launch(t, limited(t, "-f 1000"), "--database", databasetest.With(t, "sqlite", databasetest.Nothing)) // half a megabyte
	const most = 2000
	name, stored, code := strings.Repeat("n", 250), 0, ""
	for ; stored < most && code == ""; stored++ {
		code = s.code(fmt.Sprintf(`mutation { createUser(input: {name: %q, email: "u%d@example.com"}) { user { id } } }`, name, stored))
	}
	if stored--; code != "DATABASE_UNAVAILABLE" {
		t.Fatalf("after %d users: want DATABASE_UNAVAILABLE, got %q\n%s", stored, code, &s.log)
	}
	if got := s.answer("{ users { totalCount } }"); got != fmt.Sprintf(`{"data":{"users":{"totalCount":%d}}}`, stored) {
		t.Errorf("%d were stored, and now %s", stored, got)
	}
}
