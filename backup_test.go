package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"rollcall/changelog"
	"rollcall/database/databasetest"
	"rollcall/directory/directorytest"
	"rollcall/model"
)

// TestABackupThatIsMadeWhileAServerWritesIsADirectory backs up and restores as README.md says.
func TestABackupThatIsMadeWhileAServerWritesIsADirectory(t *testing.T) {
	t.Parallel()
	built(t) // before the clients begin
	databasetest.EachKind(t, func(t *testing.T, kind string) {
		t.Parallel()
		from, to := databasetest.With(t, kind, databasetest.Nothing), databasetest.URL(t, kind)
		s := start(t, "--database", from)
		w := writeAtOnce(s)
		eventually(t, "mutations are stored", func() bool { return w.last.Load() > 20 })
		before := w.last.Load()
		backUp(t, kind, from, to)
		w.end()
		if w.last.Load() == before {
			t.Error("nothing was stored meanwhile")
		}

		restored := start(t, "--database", to) // which numbers the changes that were not yet
		db := databasetest.Open(t, to)
		var replay directorytest.Replay
		err := replay.Read(t.Context(), &changelog.Log{DB: db.Side, Dialect: db.Dialect()})
		if err = errors.Join(err, replay.Compare(t.Context(), db)); err != nil {
			t.Errorf("the tables are not what the log tells: %v", err)
		}
		if !replay.Has(model.UserType, before, 1) {
			t.Errorf("User:%d, which was stored before, is missing", before)
		}
		text := restored.answer(`mutation { createUser(input: {name: "New", email: "new@example.com", managerId: "User:1"}) { user { manager { name } } } }`)
		if field(t, text, "createUser", "user", "manager", "name") == nil {
			t.Errorf("got %s", text)
		}
	})
}

// backUp copies a directory into an empty database.
func backUp(t *testing.T, kind, from, to string) {
	t.Helper()
	if file, ok := strings.CutPrefix(to, "sqlite:"); ok {
		if out, log, err := execute(t, built(t), "backup", file, "--database", from); err != nil || !strings.Contains(out, file) {
			t.Fatalf("%v: %s%s", err, out, log)
		}
		return
	}
	places := []string{"-u root -p", "--no-defaults $MARIADB"}
	tool, client := "mariadb", "mariadb"
	if kind == "postgres" {
		tool, client, places = "pg_", kind, []string{"-h 127.0.0.1 -U postgres", "", " OWNER rollcall", ""}
	}
	var scripts []string
	for _, b := range readBlocks(t) {
		if b.section == "Backup and upgrade" && b.language == "sh" && strings.Contains(b.text, tool) {
			scripts = append(scripts, strings.NewReplacer(places...).Replace(b.text))
		}
	}
	if len(scripts) != 2 {
		t.Fatalf("README.md is to have one script that backs up and one that restores: %q", scripts)
	}
	folder := t.TempDir()
	for i, url := range []string{from, to} {
		u := parseURL(t, url)
		script := regexp.MustCompile(`\brollcall\b(\.\w+)?`).ReplaceAllStringFunc(scripts[i], func(word string) string {
			if word == "rollcall" {
				return strings.Trim(u.Path, "/")
			}
			return word // a file
		})
		shell := exec.CommandContext(t.Context(), "sh", "-euc", script)
		shell.Dir, shell.Env = folder, append(os.Environ(), clientVariables(client, u)...)
		if kind == "postgres" { // one's own database cannot be dropped
			shell.Env = append(shell.Env, "PGDATABASE=postgres")
		}
		if text, err := shell.CombinedOutput(); err != nil {
			t.Fatalf("%v: %s\n%s", err, script, text)
		}
	}
}

// writers change a directory until they are ended.
type writers struct {
	last atomic.Int64 // the last user that was created and told of
	stop atomic.Bool
	done sync.WaitGroup
}

// write has three clients of a server create, move, join and delete users.
func writeAtOnce(s *server) *writers {
	s.answer(`mutation { createUser(input: {name: "Boss", email: "boss@example.com"}) { user { id } } createTeam(input: {name: "All"}) { team { id } } }`)
	w := &writers{}
	for n := range 3 {
		w.done.Go(func() {
			var own []int64
			for i := 0; !w.stop.Load(); i++ {
				var id int64
				text := s.post(request(fmt.Sprintf(`mutation { createUser(input: {name: "W", email: "w%d.%d@example.com", managerId: "User:1"}) { user { id } } }`, n, i)))
				if _, err := fmt.Sscanf(text, `{"data":{"createUser":{"user":{"id":"User:%d"`, &id); err != nil {
					s.tb.Errorf("%v: %s", err, text)
					return
				}
				w.last.Store(id)
				own = append(own, id)
				text = s.post(request(fmt.Sprintf(`mutation {
					addTeamMembers(input: {teamId: "Team:1", members: [{userId: "User:%d"}]}) { team { id } }
					updateUser(input: {id: "User:%[1]d", managerId: "User:%d", title: "Clerk"}) { user { id } }
					deleteUser(input: {id: "User:%[2]d", reportsTo: "User:1"}) { deletedUserId }
				}`, id, own[max(0, len(own)-5)])))
				if len(own) > 5 && strings.Contains(text, `"errors"`) {
					s.tb.Error(text)
				}
			}
		})
	}
	return w
}

func (w *writers) end() {
	w.stop.Store(true)
	w.done.Wait()
}

func TestABackupTakesNobodysPlaceAndIsWhole(t *testing.T) {
	t.Parallel()
	url := databasetest.With(t, "sqlite", directorytest.Demo)
	folder := t.TempDir()
	taken, file := filepath.Join(folder, "taken"), filepath.Join(folder, "backup.db")
	if err := os.WriteFile(taken, []byte("precious"), 0o600); err != nil {
		t.Fatal(err)
	}
	if text := refusal(t, "backup", taken, "--database", url); !contains(text, "backup: ", "is there already") {
		t.Error(text)
	}
	if text, err := os.ReadFile(taken); string(text) != "precious" {
		t.Errorf("what was there is %q, %v", text, err)
	}
	if text := refusal(t, "backup", filepath.Join(folder, "missing", "backup.db"), "--database", url); !contains(text, "no such file") {
		t.Error(text)
	}
	if text := refusal(t, "backup", file, "--database", "sqlite:"+filepath.Join(folder, "missing.db")); !contains(text, "there is no file") {
		t.Error(text)
	}
	output(t, "backup", file, "--database", url)
	info, err := os.Stat(file)
	if err != nil || info.Mode() != 0o600 {
		t.Errorf("its mode is %v, %v", info.Mode(), err)
	}
	if files, err := os.ReadDir(folder); len(files) != 2 {
		t.Errorf("the folder has %v, %v", files, err)
	}
	var found string
	if err := databasetest.Open(t, "sqlite:"+file).Side.QueryRowContext(t.Context(), "PRAGMA integrity_check").Scan(&found); found != "ok" {
		t.Errorf("the copy is %s, %v", found, err)
	}
}

// TestNoFileIsWrittenThatIsSQLitesOwn: nor one that SQLite would take for its own.
func TestNoFileIsWrittenThatIsSQLitesOwn(t *testing.T) {
	t.Parallel()
	url := databasetest.With(t, "sqlite", directorytest.Demo)
	path := strings.TrimPrefix(url, "sqlite:")
	folder := t.TempDir()
	linked, users := filepath.Join(folder, "linked"), filepath.Join(folder, "users.csv")
	if err := os.Symlink(filepath.Dir(path), linked); err != nil {
		t.Fatal(err)
	}
	write(t, users, []byte("email,name\nno address,N\n"))
	write(t, filepath.Join(folder, "stale.db-journal"), nil)
	for _, suffix := range []string{"", "-journal", "-wal", "-shm", "-lock"} {
		for _, file := range []string{path + suffix, filepath.Join(linked, filepath.Base(path)+suffix)} {
			for _, args := range [][]string{
				{"backup", file}, {"export", file}, {"import", users, "--kind=user", "--on-error=skip", "--errors", file},
			} {
				if text := refusal(t, append(args, "--database", url)...); !contains(text, "give another name") {
					t.Errorf("%s onto %q: %s", args[0], suffix, text)
				}
			}
		}
	}
	for _, name := range []string{"other.db-journal", "stale.db"} {
		if text := refusal(t, "backup", filepath.Join(folder, name), "--database", url); !contains(text, "backup: ", "give another name") {
			t.Errorf("%s: %s", name, text)
		}
	}
	var users1 int
	if err := databasetest.Open(t, url).Side.QueryRowContext(t.Context(), "SELECT COUNT(*) FROM users").Scan(&users1); err != nil || users1 != 1000 {
		t.Errorf("there are %d users, %v", users1, err)
	}
}

func TestABackupOfAServersDatabaseNamesTheServersTool(t *testing.T) {
	t.Parallel()
	databasetest.EachServer(t, func(t *testing.T, kind string) {
		file := filepath.Join(t.TempDir(), "backup.db")
		want := map[string]string{"mariadb": "mariadb-dump", "mysql": "mysqldump", "postgres": "pg_dump"}[kind]
		if text := refusal(t, "backup", file, "--database", databasetest.URL(t, kind)); !contains(text, "backup: ", want) {
			t.Error(text)
		}
		if _, err := os.Stat(file); err == nil {
			t.Error("there is a file")
		}
	})
}
