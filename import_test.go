package main

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"rollcall/database/databasetest"
)

// peopleFile is a file of so many people, most of whom have managers, some of these further down, with a team of all of the last ones.
func peopleFile(t *testing.T, people int) (path string) {
	t.Helper()
	var b strings.Builder
	for i := range people {
		manager := i / 10
		if i%9 == 4 && i < people/2 {
			manager = people - 1 - i
		}
		fmt.Fprintf(&b, `{"kind":"user","name":"Person %d","email":"p%[1]d@example.com","managerEmail":"p%d@example.com"}`+"\n", i, manager)
	}
	text := strings.Replace(b.String(), `,"managerEmail":"p0@example.com"}`, "}", 1) // who would be their own
	for i := range people / 10 {
		text += fmt.Sprintf(`{"kind":"membership","teamName":"Team","userEmail":"p%d@example.com","role":"MEMBER"}`+"\n", i)
	}
	text += `{"kind":"team","name":"Team"}` + "\n"
	path = filepath.Join(t.TempDir(), "people.jsonl")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func exportedLines(t *testing.T, url string) string {
	t.Helper()
	lines := strings.Split(output(t, "export", "--snapshot", "--database", url), "\n")
	slices.Sort(lines)
	return strings.Join(lines, "\n")
}

func TestAnImportThatIsKilledGoesOnWithTheSameCommandAndDoublesNothing(t *testing.T) {
	t.Parallel()
	program := built(t)
	const people = 6000
	file := peopleFile(t, people)
	whole := "sqlite:" + filepath.Join(t.TempDir(), "whole.db")
	if text := output(t, "import", file, "--database", whole); !contains(text, fmt.Sprint("created ", people+people/10+1, ", updated 0, unchanged 0, refused 0")) {
		t.Error(text)
	}
	want := exportedLines(t, whole)
	databasetest.EachURL(t, func(t *testing.T, url string) {
		output(t, "migrate", "--database", url)
		kills := 0
		for run := 0; ; run++ {
			cmd := exec.Command(program, "import", file, "--database", url)
			var out, log writings
			cmd.Stdout, cmd.Stderr = &out, &log
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			var kill *time.Timer
			if run < 12 {
				kill = time.AfterFunc(100*time.Millisecond+rand.N(700*time.Millisecond), func() { _ = cmd.Process.Kill() })
			}
			err := cmd.Wait()
			if kill != nil && !kill.Stop() && err != nil && !cmd.ProcessState.Exited() {
				kills++
				var imported int // 0 while the import goes on
				row := databasetest.Open(t, url).Side.QueryRowContext(t.Context(), "SELECT COUNT(*) FROM users WHERE NOT EXISTS (SELECT 1 FROM imports)")
				if err := row.Scan(&imported); err != nil {
					t.Fatal(err)
				}
				if imported > 0 {
					break
				}
				continue
			}
			if err != nil {
				t.Fatalf("%v: %s", err, log.String())
			}
			break
		}
		if kills == 0 {
			t.Error("it was never killed")
		}
		if got := exportedLines(t, url); got != want {
			t.Errorf("after %d kills the directory is another one", kills)
		}
		db := databasetest.Open(t, url)
		var rows, created int64
		row := db.Side.QueryRowContext(t.Context(), "SELECT (SELECT COUNT(*) FROM imports) + (SELECT COUNT(*) FROM import_waiting), (SELECT COUNT(*) FROM changes WHERE kind = 'CREATED')")
		if err := row.Scan(&rows, &created); err != nil || rows != 0 || created != people+people/10+1 {
			t.Errorf("%d rows of the import are left, the log has %d objects: %v", rows, created, err)
		}
	})
}

func TestAnImportSaysWhatItHasDoneAndWhatToDo(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	url := "sqlite:" + filepath.Join(folder, "directory.db")
	write := func(name, text string) string {
		path := filepath.Join(folder, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	bad := write("bad.csv", "Mail;Name\nada@example.com;Ada\nnobody;B\n")
	if text := refusal(t, "import", bad, "--database", url); !contains(text, `"Mail"`, "--map COLUMN=FIELD") {
		t.Error(text)
	}
	out, err := execution(t, "import", bad, "--map", "Mail=email", "--database", url)
	if err == nil || !contains(err.Error(), "nothing is stored", "run the same command again") {
		t.Errorf("%q, %v", out, err)
	}
	text := output(t, "import", bad, "--map", "Mail=email", "--on-error", "skip", "--dry-run", "--database", url)
	if !contains(text, "would be created 1, updated 0, unchanged 0, refused 1", bad+".errors.csv") {
		t.Error(text)
	}
	text = output(t, "import", bad, "--map", "Mail=email", "--on-error", "skip", "--restart", "--database", url)
	told, err := os.ReadFile(bad + ".errors.csv")
	if err != nil || !contains(text, "Up to line 3: created 1,", "refused 1; why is in") || !regexp.MustCompile(`(?m)^3,email,BAD_USER_INPUT,`).Match(told) {
		t.Errorf("%s, %s, %v", text, told, err)
	}
	if text := refusal(t, "import", bad, "--map", "Mail=email", "--errors", bad, "--on-error", "skip", "--database", url); !contains(text, "is the file that is imported") {
		t.Error(text)
	}
	if text := refusal(t, "import", write("again.csv", "email,name\nada@example.com,Ada\n"), "--database", url); !contains(text, "is there already", "--mode=upsert") {
		t.Error(text)
	}
	good := write("good.csv", "email,name\nada@example.com,Ada\n")
	if text := output(t, "import", good, "--mode", "upsert", "--on-error", "skip", "--database", url); !contains(text, "unchanged 1,") {
		t.Error(text)
	}
	if _, err := os.Stat(good + ".errors.csv"); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("an errors file without an error: %v", err)
	}
	teams := write("teams.csv", "name,description\nA,\n")
	if text := output(t, "import", teams, "--kind", "teams", "--database", url); !contains(text, "created 1,") {
		t.Error(text)
	}
	for _, name := range []string{"all.jsonl", "all.jsonl.zst", "users.csv.gz"} {
		args := []string{"export", filepath.Join(folder, name), "--database", url}
		if strings.HasPrefix(name, "users") {
			if text := refusal(t, args...); !contains(text, "--kind") {
				t.Error(text)
			}
			args = append(args, "--kind", "users")
		}
		if text := output(t, args...); !contains(text, name) {
			t.Error(text)
		}
		other := "sqlite:" + filepath.Join(t.TempDir(), "other.db")
		if text := output(t, "import", filepath.Join(folder, name), "--database", other); !contains(text, "updated 0, unchanged 0, refused 0") {
			t.Error(text)
		}
	}
	for _, c := range []struct {
		args []string
		want string
	}{
		{[]string{"import", filepath.Join(folder, "none.csv")}, "no such file"},
		{[]string{"import", bad, "--kind", "cars"}, "--kind"},
		{[]string{"import", bad, "--deactivate-missing"}, "they need --mode=upsert"},
		{[]string{"import", write("umlaut.csv", "email,name\na@x.org,Jürgen\n"), "--encoding", "windows-1252"}, "the file is in UTF-8"},
		{[]string{"export", filepath.Join(folder, "a.json")}, "call it .jsonl"},
		{[]string{"export", filepath.Join(folder, "none", "a.jsonl")}, filepath.Join(folder, "none", "a.jsonl") + ": no such file"},
		{[]string{"import", bad, "--mode", "merge"}, "--mode"},
		{[]string{"export", "--user", "1", "--snapshot"}, "--user is alone"},
	} {
		if text := refusal(t, append(c.args, "--database", url)...); !contains(text, c.want) {
			t.Errorf("%q: %s", c.args, text)
		}
	}
}

func TestSubscribersOfARunningServerSeeWhatIsImported(t *testing.T) {
	databasetest.EachURL(t, func(t *testing.T, url string) {
		output(t, "migrate", "--database", url)
		s := start(t, "--database", url)
		events, _ := s.stream(request("subscription { changes { change { kind operationId object { ... on User { email } } } } }"))
		const people = 1200
		output(t, "import", peopleFile(t, people), "--name", "people", "--database", url)
		var operations map[string]bool
		eventually(t, "all are told", func() bool {
			told := regexp.MustCompile(`"kind":"CREATED","operationId":"([^"]+)"`).FindAllStringSubmatch(events.String(), -1)
			operations = map[string]bool{}
			for _, created := range told {
				operations[created[1]] = true
			}
			return len(told) >= people+people/10+1
		})
		if n := strings.Count(events.String(), `"kind":"CREATED"`); n != people+people/10+1 {
			t.Errorf("%d are told", n)
		}
		if len(operations) < 2 || len(operations) > 4 {
			t.Errorf("there are %d operations", len(operations))
		}
	})
}

func TestAnExportKeepsLinksAndPipes(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	url := "sqlite:" + filepath.Join(folder, "directory.db")
	output(t, "migrate", "--database", url)
	file, link, pipe := filepath.Join(folder, "all.jsonl"), filepath.Join(folder, "link.jsonl"), filepath.Join(folder, "pipe.jsonl")
	if err := errors.Join(os.WriteFile(file, []byte("old"), 0o600), os.Symlink(file, link), syscall.Mkfifo(pipe, 0o600)); err != nil {
		t.Fatal(err)
	}
	output(t, "export", link, "--database", url)
	if text, err := os.ReadFile(file); err != nil || len(text) != 0 {
		t.Errorf("behind the link is %q, %v", text, err)
	}
	read := make(chan string)
	go func() {
		text, err := os.ReadFile(pipe)
		read <- fmt.Sprint(string(text), err)
	}()
	output(t, "export", pipe, "--database", url)
	if got := <-read; got != "<nil>" {
		t.Errorf("the pipe had %q", got)
	}
	for name, kind := range map[string]os.FileMode{link: os.ModeSymlink, pipe: os.ModeNamedPipe} {
		if info, err := os.Lstat(name); err != nil || info.Mode().Type() != kind {
			t.Errorf("%s is another kind of file now: %v", name, err)
		}
	}
}
