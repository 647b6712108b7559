package main

import (
	"bytes"
	"cmp"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"runtime/pprof"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"rollcall/database"
	"rollcall/database/databasetest"
	"rollcall/directory/directorytest"
)

// TestMain sees to it that only the tests' own variables count, and that nothing goes on after the last test.
func TestMain(m *testing.M) {
	for _, variable := range os.Environ() {
		name, _, _ := strings.Cut(variable, "=")
		if strings.HasPrefix(name, "ROLLCALL_") && !strings.HasPrefix(name, "ROLLCALL_TEST_") {
			_ = os.Unsetenv(name)
		}
	}
	if base := os.Getenv(greedyVariable); base != "" {
		beGreedy(base)
		return
	}
	before := runtime.NumGoroutine()
	failed := databasetest.Templates{M: m}.Run() != 0
	if folder, err := program(); err == nil {
		_ = os.RemoveAll(folder)
	}
	if failed {
		return
	}
	http.DefaultClient.CloseIdleConnections()
	if !soon(func() bool { return runtime.NumGoroutine() <= before }) {
		_ = pprof.Lookup("goroutine").WriteTo(os.Stderr, 1)
		panic("goroutines have outlived the tests")
	}
}

func TestADirectoryOfDemoDataServesWhatItPrints(t *testing.T) {
	t.Parallel()
	databasetest.EachURL(t, func(t *testing.T, url string) {
		const everything = `{
			users(first: 1000) {
				totalCount
				nodes { id name email createdAt updatedAt manager { id } teams { edges { role joinedAt node { id name } } } }
			}
			teams { totalCount }
		}`
		args := []string{"--database", url, "--migrate", "--demo", "--max-page", "1000"}

		first := start(t, args...)
		if page := get(t, first.base+"/"); !strings.Contains(first.out.String(), "Playground  "+first.base+"/\n") ||
			page.contentType != "text/html; charset=utf-8" {
			t.Errorf("the Playground is %s in:\n%s", page.contentType, &first.out)
		}
		if strings.Contains(first.out.String(), "already") {
			t.Errorf("an empty directory is said to have users:\n%s", &first.out)
		}
		if nodes, _ := field(t, first.tryPrinted(), "users", "nodes").([]any); len(nodes) == 0 {
			t.Error("the printed query shows no users")
		}
		loaded := first.answer(everything)
		users, teams := field(t, loaded, "users", "totalCount"), field(t, loaded, "teams", "totalCount")
		if users != 1000.0 || teams != 50.0 {
			t.Errorf("%v users and %v teams", users, teams)
		}
		first.stop()

		second := start(t, args...)
		if !strings.Contains(second.out.String(), "The directory has users already: no demo data was loaded.\n") {
			t.Errorf("the second start says nothing of the users that are there:\n%s", &second.out)
		}
		if second.answer(everything) != loaded {
			t.Error("the second start has changed the data")
		}
	})
}

func TestADatabaseServerIsMigratedOnlyWhenThatIsAskedFor(t *testing.T) {
	t.Parallel()
	databasetest.EachServer(t, func(t *testing.T, kind string) { // SQLite always is
		url := databasetest.URL(t, kind)
		for range 2 {
			if text := refusal(t, "--database", url); !contains(text, "--database", "rollcall migrate", "--migrate") {
				t.Fatalf("an empty database: %s", text)
			}
		}
		if text := output(t, "migrate", "--database", url); !regexp.MustCompile(`applied: [1-9]`).MatchString(text) {
			t.Errorf("migrate says %s", text)
		}
		if text := output(t, "migrate", "--database", url); !strings.Contains(text, "applied: 0") {
			t.Errorf("migrate says at the second time %s", text)
		}
		start(t, "--database", url).answer("{ users { totalCount } }")
		start(t, "--database", databasetest.URL(t, kind), "--migrate").answer("{ users { totalCount } }")
	})
}

func TestANewerSchemaIsRefusedUnlessItAllowsTheProgram(t *testing.T) {
	t.Parallel()
	databasetest.EachWith(t, directorytest.Demo, func(t *testing.T, url string) {
		db := databasetest.Open(t, url)
		newer(t, db)
		require(t, db, 99999)
		for _, args := range [][]string{{}, {"--migrate"}, {"migrate"}} {
			if text := refusal(t, append(args, "--database", url)...); !contains(text, "99999", "run a newer rollcall") {
				t.Errorf("%q: %s", args, text)
			}
		}

		require(t, db, 10)
		for _, args := range [][]string{{}, {"--migrate"}, {"--demo"}} {
			s := start(t, append(args, "--database", url)...)
			if !contains(s.log.String(), "newer than this program", "schema=99999") {
				t.Errorf("%q: logged: %s", args, &s.log)
			}
			s.answer(`mutation { updateUser(input: {id: "User:42", title: "Pilot"}) { user { id } } }`)
			if answer := s.answer(`{ user(id: "User:42") { title teams { nodes { name } } } }`); !strings.Contains(answer, `"Pilot"`) {
				t.Errorf("%q: %s", args, answer)
			}
			s.stop()
		}
		if err := db.Write.Exec("UPDATE users SET name_folded = 'as a newer program folds' WHERE id = 1").Error; err != nil {
			t.Fatal(err)
		}
		if text := output(t, "migrate", "--database", url); !contains(text, "99999", "newer", "applied: 0", "Nothing was derived") ||
			strings.Contains(text, "up to date") {
			t.Errorf("migrate: %s", text)
		}
		var folded string
		if err := db.Side.QueryRowContext(t.Context(), "SELECT name_folded FROM users WHERE id = 1").Scan(&folded); err != nil || folded != "as a newer program folds" {
			t.Errorf("migrate has derived %q, %v", folded, err)
		}
	})
}

// newer makes of the schema one that is newer than the program, with a table and a column that this does not know.
func newer(tb testing.TB, db *database.Database) {
	tb.Helper()
	for _, statement := range []string{
		"CREATE TABLE novelties (id int NOT NULL PRIMARY KEY)", "ALTER TABLE users ADD COLUMN novelty varchar(9) DEFAULT 'new'",
		"INSERT INTO goose_db_version (version_id, is_applied) VALUES (99999, true)",
	} {
		if err := db.Write.Exec(statement).Error; err != nil {
			tb.Fatal(err)
		}
	}
}

// require sets the lowest version that a program must know.
func require(tb testing.TB, db *database.Database, version int) {
	tb.Helper()
	if err := db.Write.Exec("UPDATE schema_requirement SET lowest_version = ?", version).Error; err != nil {
		tb.Fatal(err)
	}
}

func TestARefusalNamesTheFlagOnOneLineWithoutThePassword(t *testing.T) {
	taken := listen(t)
	sqlite := databasetest.URL(t, "sqlite")
	for _, c := range []struct {
		args []string
		want []string
	}{
		{[]string{"--database", "oracle://u:s3cret@h/x"}, []string{"--database", "sqlite:FILE", "mysql://", "postgres://"}},
		{[]string{"--database", "mysql://u:s3cret@127.0.0.1:1/x", "--wait=0s"}, []string{"--database", "cannot reach MySQL at 127.0.0.1:1"}},
		{[]string{"--database", "postgres://u:s3cret@127.0.0.1:1/x", "--wait=0s"}, []string{"--database", "cannot reach PostgreSQL at 127.0.0.1:1"}},
		{[]string{"--database", "sqlite:" + t.TempDir() + "/no/rollcall.db"}, []string{"--database", "does not exist"}},
		{[]string{"--database", sqlite, "--listen", taken}, []string{"--listen", taken, "in use"}},
		{[]string{"--database", sqlite, "--listen", "here"}, []string{"--listen", "here"}},
		{[]string{"--database", sqlite, "--metrics", taken}, []string{"--metrics", taken, "in use"}},
	} {
		if text := refusal(t, c.args...); !contains(text, c.want...) {
			t.Errorf("%q: %s", c.args, text)
		}
	}
}

func TestASignalEndsAStartThatWaitsForTheDatabase(t *testing.T) {
	t.Parallel()
	for _, url := range []string{"mysql://u@%s/x", "postgres://u@%s/x"} {
		cfg := parsed(t, "--listen", "127.0.0.1:0", "--database", fmt.Sprintf(url, listen(t))) // where nobody says anything
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(50*time.Millisecond, cancel)
		began := time.Now()
		if err := run(ctx, cfg); err != nil || time.Since(began) > 3*time.Second {
			t.Errorf("%s: ended after %s with %v", url, time.Since(began), err)
		}
	}
}

func TestAPasswordIsCheckedAndNeverShown(t *testing.T) {
	databasetest.EachOf(t, "mysql", func(t *testing.T, kind string) { // a file has no password, and the tests' PostgreSQL asks for none
		u := parseURL(t, databasetest.URL(t, kind))
		name := strings.Trim(u.Path, "/")
		admin(t, u, fmt.Sprintf("CREATE USER '%s'@'%%' IDENTIFIED BY 's3cret'", name), fmt.Sprintf("DROP USER '%s'@'%%'", name))
		admin(t, u, fmt.Sprintf("GRANT ALL ON %[1]s.* TO '%[1]s'@'%%'", name), "")

		u.User = url.UserPassword(name, "s3cret")
		s := start(t, "--database", u.String(), "--migrate", "--demo", "--echo", "--log-level", "debug")
		s.answer("{ users { totalCount } }")
		s.stop()
		if all := s.out.String() + s.log.String(); strings.Contains(all, "s3cret") || !strings.Contains(all, u.Host) {
			t.Errorf("the output shows the password, or not the server:\n%s", &s.out)
		}

		u.User = url.UserPassword(name, "wrong-s3cret")
		if text := refusal(t, "--database", u.String()); !contains(text, "--database", `the user "`+name+`"`, "password") {
			t.Errorf("a wrong password: %s", text)
		}
	})
}

func TestADatabaseIsShownWithoutItsPassword(t *testing.T) {
	for shown, url := range map[string]string{
		"sqlite:a b.db":                "sqlite:a b.db",
		"mysql://u:xxxxx@h:1/x":        "mysql://u:s3cret@h:1/x?tls=true",
		"postgres://u@h/x":             "postgres://u@h/x?password=s3cret",
		"postgres://u:xxxxx@h/x":       "postgres://u:s3%20cret@h/x?sslmode=disable",
		"postgres":                     "postgres:///x?host=/run&password=s3cret",
		"mysql://u:xxxxx@127.0.0.1/x":  "mysql://u:s3cret@127.0.0.1/x",
		"mysql":                        "mysql:%zz",
		"postgresql://u:xxxxx@[::1]/x": "postgresql://u:s3cret@[::1]/x",
	} {
		if got := redacted(url); got != shown {
			t.Errorf("%s is shown as %s, want %s", url, got, shown)
		}
	}
}

func TestTheAddressThatIsPrintedCanBeReached(t *testing.T) {
	for _, listen := range []string{":0", "0.0.0.0:0", "localhost:0"} {
		s := start(t, "--database", databasetest.With(t, "sqlite", databasetest.Nothing), "--listen", listen, "--allow-anonymous")
		s.answer("{ users { totalCount } }")
		if strings.Contains(s.base, "//0.0.0.0") || strings.Contains(s.base, "//[::]") {
			t.Errorf("%s is reachable on some systems only", s.base)
		}
	}
}

func TestThePrintedQueryHasAnAnswerInAnEmptyDirectoryToo(t *testing.T) {
	s := start(t, "--database", databasetest.With(t, "sqlite", databasetest.Nothing))
	if got := s.tryPrinted(); got != `{"data":{"users":{"totalCount":0,"nodes":[]}}}` {
		t.Errorf("got %s", got)
	}
}

func TestEchoLogsEachStatementWithItsOperation(t *testing.T) {
	t.Parallel()
	for _, format := range []string{"text", "json"} {
		t.Run(format, func(t *testing.T) {
			s := start(t, "--database", databasetest.With(t, "sqlite", directorytest.Demo), "--echo", "--log-format", format)
			s.answer(`query Find { user(id: "User:42") { name teams { nodes { name } } } }`)
			s.answer(`mutation Rename { updateUser(input: {id: "User:42", name: "A new name"}) { user { id } } }`)
			s.stop()

			statements, ids := map[string][]string{}, map[string]map[string]bool{"Find": {}, "Rename": {}}
			for _, record := range records(t, format, s.log.String()) {
				operation, within := record["operation"]
				if record["msg"] != "statement" || !within || ids[operation] == nil { // within none are those that load the demo data, within others the server's own
					continue
				}
				statements[operation] = append(statements[operation], record["sql"])
				ids[operation][record["id"]] = true
				if took, err := strconv.ParseFloat(record["duration_ms"], 64); err != nil || took <= 0 {
					t.Errorf("a duration of %q: %v", record["duration_ms"], err)
				}
				if rows, err := strconv.Atoi(record["rows"]); err != nil || rows < 1 {
					t.Errorf("%q rows of %s", record["rows"], record["sql"])
				}
			}
			if len(ids["Find"]) != 1 || len(ids["Rename"]) != 1 || ids["Find"][""] || fmt.Sprint(ids["Find"]) == fmt.Sprint(ids["Rename"]) {
				t.Errorf("want one id for each operation, got %v", ids)
			}
			if all := strings.Join(statements["Find"], "\n"); !contains(all, "users", "memberships") {
				t.Errorf("the query's statements: %s", all)
			}
			if all := strings.Join(statements["Rename"], "\n"); !contains(all, "UPDATE", "A new name") {
				t.Errorf("the mutation's statements: %s", all)
			}
		})
	}
}

func TestTheProgram(t *testing.T) {
	t.Parallel()
	program := built(t)

	t.Run("ends with status 0 at a signal", func(t *testing.T) {
		for _, signal := range []syscall.Signal{syscall.SIGTERM, syscall.SIGINT} {
			s := launch(t, program, "--database", databasetest.URL(t, "sqlite"))
			s.answer("{ users { totalCount } }")
			s.signal(signal)
			if err := s.wait(); err != nil || !strings.Contains(s.log.String(), "stopping") {
				t.Errorf("at %s: %v\n%s", signal, err, &s.log)
			}
		}
	})
	t.Run("lets a request in flight have its whole answer", func(t *testing.T) {
		databasetest.EachWith(t, directorytest.Demo, func(t *testing.T, url string) { finishesWhatIsInFlight(t, program, url) })
	})
	t.Run("fails with status 1 and one line", func(t *testing.T) {
		for _, args := range [][]string{
			{"--bogus"},
			{"mysql://u:s3cret@h/x"},
			{"--database", "sqlite:no/rollcall.db"},
			{"--database", "mysql://u:s3cret@127.0.0.1:1/x", "--wait=0s"},
			{"--listen", listen(t)},
		} {
			failsOnOneLine(t, program, args...)
		}
	})
	t.Run("shows a driver's error of many lines as one", func(t *testing.T) {
		databasetest.EachOf(t, "postgres", func(t *testing.T, kind string) {
			u := parseURL(t, databasetest.URL(t, kind))
			name := strings.ToLower("rollcall_test_" + rand.Text()[:16])
			admin(t, u, "CREATE ROLE "+name+" LOGIN CONNECTION LIMIT 3", "DROP ROLE "+name) // one for each pool
			u.User, u.RawQuery = url.User(name), ""                                         // with TLS and without: an error of each
			failsOnOneLine(t, program, "migrate", "--database", u.String())
		})
	})
	t.Run("prints its help and its version with status 0", func(t *testing.T) {
		for want, args := range map[string]string{"Usage: rollcall": "--help", release: "version"} {
			out, log, err := execute(t, program, args)
			if err != nil || log != "" || !strings.Contains(out, want) {
				t.Errorf("%s: %v\n%s%s", args, err, out, log)
			}
		}
	})
}

// program builds the program, once, in a folder of its own.
var program = sync.OnceValues(func() (folder string, err error) {
	if _, err := os.Stat("server.go"); err != nil { // so that a change of main alone, which is not in the tests' binary, counts as one
		return "", err
	}
	if folder, err = os.MkdirTemp("", "rollcall-test-"); err != nil {
		return "", err
	}
	build := exec.Command("go", "build", "-trimpath", "-buildvcs=false", "-o", filepath.Join(folder, "rollcall"), ".")
	build.Env = append(build.Environ(), "CGO_ENABLED=0")
	if text, err := build.CombinedOutput(); err != nil {
		return folder, fmt.Errorf("%w\n%s", err, text)
	}
	return folder, nil
})

// built returns the path of the program.
func built(tb testing.TB) string {
	tb.Helper()
	folder, err := program()
	if err != nil {
		tb.Fatal(err)
	}
	return filepath.Join(folder, "rollcall")
}

// finishesWhatIsInFlight ends the program while a mutation waits for a lock.
func finishesWhatIsInFlight(t *testing.T, program, url string) {
	s := launch(t, program, "--database", url)
	db := databasetest.Open(t, url)
	release := lockUser42(t, db)

	type result struct {
		body string
		err  error
	}
	answered, reading := make(chan result, 1), make(chan struct{})
	go func() {
		body, err := s.postExpectingContinue(`mutation {
			updateUser(input: {id: "User:42", name: "In Flight"}) {
				user { name teams { nodes { members(first: 100) { nodes { name email teams { nodes { name } } } } } } }
			}
		}`, reading)
		answered <- result{body, err}
	}()
	<-reading // its body: the request is in flight
	waits := waitsForLock(t, db)
	eventually(t, "the mutation waits", waits)

	s.signal(syscall.SIGTERM)
	eventually(t, "no more connections are accepted", func() bool {
		conn, err := net.Dial("tcp", strings.TrimPrefix(s.base, "http://"))
		if err == nil {
			_ = conn.Close()
		}
		return err != nil
	})
	select {
	case r := <-answered:
		t.Fatalf("answered before the lock was released: %v %s", r.err, r.body)
	case <-s.done:
		t.Fatalf("ended with an operation in flight: %v\n%s", s.err, &s.log)
	default:
	}
	eventually(t, "the mutation still waits", waits)

	release()
	r := <-answered
	if r.err != nil {
		t.Fatal(r.err)
	}
	if name := field(t, r.body, "updateUser", "user", "name"); name != "In Flight" {
		t.Errorf("the answer has the name %v", name)
	}
	if err := s.wait(); err != nil {
		t.Errorf("ended with %v\n%s", err, &s.log)
	}
	var stored string
	if err := db.Side.QueryRowContext(t.Context(), "SELECT name FROM users WHERE id = 42").Scan(&stored); err != nil || stored != "In Flight" {
		t.Errorf("stored is %q, %v", stored, err)
	}
}

// lockUser42 locks a row until release is called, or the test ends.
func lockUser42(tb testing.TB, db *database.Database) (release func()) {
	tb.Helper()
	lock := db.Write.Begin() // on SQLite this alone locks, since it is an IMMEDIATE one
	release = sync.OnceFunc(func() { lock.Rollback() })
	tb.Cleanup(release)
	if err := lock.Exec("UPDATE users SET name = name WHERE id = 42").Error; err != nil {
		tb.Fatal(err)
	}
	return release
}

// waitsForLock reports whether a SELECT FOR UPDATE waits for a lock. SQLite does not tell: there s.mutates does.
func waitsForLock(tb testing.TB, db *database.Database) func() bool {
	return databasetest.WaitsForLock(tb, db, "SELECT%FOR UPDATE")
}

// mutates reports whether a mutation has its connection, on which it begins at once. The server needs --metrics.
func (s *server) mutates() bool { return s.metrics()[`go_sql_in_use_connections{db_name="write"}`] > 0 }

func failsOnOneLine(tb testing.TB, program string, args ...string) {
	tb.Helper()
	out, log, err := execute(tb, program, args...)
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.ExitCode() != 1 {
		tb.Errorf("%q: ended with %v", args, err)
	}
	log = regexp.MustCompile(`^time=.* msg=starting .*\n`).ReplaceAllString(log, "")
	if out != "" || !strings.HasPrefix(log, "rollcall: ") || strings.Index(log, "\n") != len(log)-1 || strings.Contains(log, "s3cret") {
		tb.Errorf("%q: printed %q and logged %q", args, out, log)
	}
}

// server is rollcall at work, within the test's process or in one of its own.
type server struct {
	tb       testing.TB
	base     string // http://127.0.0.1:port
	pid      int    // of its own process
	out, log writings
	signal   func(os.Signal)
	done     chan struct{}
	err      error // that it ended with, once done is closed
}

// start serves within this process until the test ends. Unless the arguments say who may come, everybody is ADMIN.
func start(tb testing.TB, args ...string) *server {
	tb.Helper()
	return startAs(tb, open(args)...)
}

// open returns arguments with which a test that is about something else needs no credentials, and has no lines of operations that are slow since the machine
// is busy.
func open(args []string) []string {
	if !slices.ContainsFunc(args, func(arg string) bool { return strings.HasPrefix(arg, "--slow") }) {
		args = append([]string{"--slow=0s"}, args...)
	}
	for _, arg := range args {
		for _, flag := range []string{"--allow-anonymous", "--oidc-issuer", "--trust-proxy"} {
			if strings.HasPrefix(arg, flag) {
				return args
			}
		}
	}
	return append([]string{"--insecure-admin"}, args...)
}

// startAs is start with no other arguments than these.
func startAs(tb testing.TB, args ...string) *server {
	tb.Helper()
	s := &server{tb: tb, done: make(chan struct{})}
	cfg, err := parse(append([]string{"--listen", "127.0.0.1:0"}, args...), &s.out, &s.log)
	if err != nil {
		tb.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background()) // the test's own ends before its clean-up does
	s.signal = func(os.Signal) { cancel() }
	go func() {
		s.err = run(ctx, cfg)
		close(s.done)
	}()
	tb.Cleanup(s.stop)
	s.ready()
	return s
}

// launch is start in a process of its own, which is killed at the end of the test if it has not ended before.
func launch(tb testing.TB, program string, args ...string) *server {
	tb.Helper()
	s := &server{tb: tb, done: make(chan struct{})}
	cmd := exec.Command(program, append([]string{"--listen", "127.0.0.1:0"}, open(args)...)...)
	cmd.Dir, cmd.Stdout, cmd.Stderr = tb.TempDir(), &s.out, &s.log
	if err := cmd.Start(); err != nil {
		tb.Fatal(err)
	}
	s.pid = cmd.Process.Pid
	s.signal = func(sig os.Signal) {
		if err := cmd.Process.Signal(sig); err != nil {
			tb.Fatal(err)
		}
	}
	go func() {
		s.err = cmd.Wait()
		close(s.done)
	}()
	tb.Cleanup(func() {
		_ = cmd.Process.Kill()
		<-s.done
	})
	s.ready()
	return s
}

// ready reads the address that the server prints.
func (s *server) ready() {
	s.tb.Helper()
	printed := regexp.MustCompile(`(?:API +|"api":")(https?://\S+?)/query["\n]`)
	eventually(s.tb, "the server prints its address", func() bool {
		select {
		case <-s.done:
			s.tb.Fatalf("it ended with %v\n%s", s.err, &s.log)
		default:
		}
		if found := printed.FindStringSubmatch(s.out.String() + s.log.String()); found != nil {
			s.base = found[1]
		}
		return s.base != ""
	})
}

// logged is the log without the line that says how one gets in.
func (s *server) logged() string {
	return regexp.MustCompile(`(?m)^.*without credentials.*\n`).ReplaceAllString(s.log.String(), "")
}

// wait returns the error that the server ends with.
func (s *server) wait() error {
	<-s.done
	return s.err
}

func (s *server) stop() {
	s.tb.Helper()
	s.signal(os.Interrupt)
	if err := s.wait(); err != nil {
		s.tb.Errorf("the server ended with %v", err)
	}
}

// answer returns the body of the answer to an operation that must succeed.
func (s *server) answer(query string) string {
	s.tb.Helper()
	body, err := json.Marshal(map[string]string{"query": query})
	if err != nil {
		s.tb.Fatal(err)
	}
	res, err := http.Post(s.base+"/query", "application/json", bytes.NewReader(body))
	return s.succeeded(res, err)
}

// tryPrinted does as the printed curl command would.
func (s *server) tryPrinted() string {
	s.tb.Helper()
	printed := regexp.MustCompile(`curl (\S+) -H 'Content-Type: ([^']+)' \\\n +-d '([^']+)'\n`).FindStringSubmatch(s.out.String())
	if printed == nil {
		s.tb.Fatalf("no command to try in:\n%s", &s.out)
	}
	res, err := http.Post(printed[1], printed[2], strings.NewReader(printed[3]))
	return s.succeeded(res, err)
}

func (s *server) succeeded(res *http.Response, err error) string {
	s.tb.Helper()
	if err != nil {
		s.tb.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	body, err := io.ReadAll(res.Body)
	if err != nil || res.StatusCode != http.StatusOK || bytes.Contains(body, []byte(`"errors"`)) {
		s.tb.Fatalf("%s: %s, %v", res.Status, body, err)
	}
	return string(body)
}

// postExpectingContinue closes reading when the server begins to read the operation.
func (s *server) postExpectingContinue(query string, reading chan<- struct{}) (string, error) {
	body, err := json.Marshal(map[string]string{"query": query})
	if err != nil {
		return "", err
	}
	ctx := httptrace.WithClientTrace(s.tb.Context(), &httptrace.ClientTrace{Got100Continue: func() { close(reading) }})
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, s.base+"/query", bytes.NewReader(body))
	if err != nil {
		return "", err
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Expect", "100-continue")
	transport := &http.Transport{ExpectContinueTimeout: time.Minute}
	defer transport.CloseIdleConnections()
	res, err := transport.RoundTrip(req)
	if err != nil {
		return "", err
	}
	defer func() { _ = res.Body.Close() }()
	answer, err := io.ReadAll(res.Body)
	return string(answer), err
}

// field follows the names of fields into an answer's data.
func field(tb testing.TB, answer string, names ...string) any {
	tb.Helper()
	var value any
	if err := json.Unmarshal([]byte(answer), &value); err != nil {
		tb.Fatalf("%v: %s", err, answer)
	}
	for _, name := range append([]string{"data"}, names...) {
		object, _ := value.(map[string]any)
		if value = object[name]; value == nil {
			tb.Fatalf("no %s in %s", name, answer)
		}
	}
	return value
}

type page struct{ contentType, body string }

// get fetches what must be there.
func get(tb testing.TB, url string) page {
	tb.Helper()
	res, err := http.Get(url)
	if err != nil {
		tb.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	body, err := io.ReadAll(res.Body)
	if err != nil || res.StatusCode != http.StatusOK {
		tb.Fatalf("%s: %s, %v", url, res.Status, err)
	}
	return page{res.Header.Get("Content-Type"), string(body)}
}

// refusal returns the text of the error with which a start must fail.
func refusal(tb testing.TB, args ...string) string {
	tb.Helper()
	out, err := execution(tb, args...)
	if err == nil {
		tb.Fatalf("%q: no error", args)
	}
	if strings.Contains(err.Error(), "\n") || strings.Contains(err.Error(), "s3cret") || out != "" {
		tb.Errorf("%q: more than one line, or the password, or %q printed: %v", args, out, err)
	}
	return err.Error()
}

// output returns what a command prints that must succeed.
func output(tb testing.TB, args ...string) string {
	tb.Helper()
	out, err := execution(tb, args...)
	if err != nil {
		tb.Fatalf("%q: %v", args, err)
	}
	return out
}

// execution runs a command that ends by itself.
func execution(tb testing.TB, args ...string) (string, error) {
	tb.Helper()
	ctx, cancel := context.WithTimeout(tb.Context(), patience)
	defer cancel()
	var out, log writings
	cfg, err := parse(append([]string{"--listen", "127.0.0.1:0", "--wait=0s"}, args...), &out, &log)
	if err == nil {
		err = run(ctx, cfg)
	}
	return out.String(), cmp.Or(err, ctx.Err())
}

// execute runs the program with a command that ends by itself.
func execute(tb testing.TB, program string, args ...string) (out, log string, err error) {
	tb.Helper()
	ctx, cancel := context.WithTimeout(tb.Context(), patience)
	defer cancel()
	var stdout, stderr writings
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Dir, cmd.Stdout, cmd.Stderr = tb.TempDir(), &stdout, &stderr
	err = cmd.Run()
	return stdout.String(), stderr.String(), err
}

// admin has a database's owner execute a statement now, and another at the end of the test unless it is empty.
func admin(tb testing.TB, owner *url.URL, now, atTheEnd string) {
	tb.Helper()
	db := databasetest.Open(tb, owner.String())
	if err := db.Write.Exec(now).Error; err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if atTheEnd == "" {
			return
		}
		if err := db.Write.Exec(atTheEnd).Error; err != nil {
			tb.Error(err)
		}
	})
}

func parseURL(tb testing.TB, raw string) *url.URL {
	tb.Helper()
	u, err := url.Parse(raw)
	if err != nil {
		tb.Fatal(err)
	}
	return u
}

// listen takes a port until the end of the test and returns its address.
func listen(tb testing.TB) string {
	tb.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = listener.Close() })
	return listener.Addr().String()
}

// records reads a log.
func records(tb testing.TB, format, log string) (all []map[string]string) {
	tb.Helper()
	attribute := regexp.MustCompile(`(\w+)=("(?:[^"\\]|\\.)*"|\S*)`)
	for line := range strings.Lines(log) {
		record := map[string]string{}
		if format == "json" {
			var object map[string]any
			if err := json.Unmarshal([]byte(line), &object); err != nil {
				tb.Fatalf("%v: %s", err, line)
			}
			for key, value := range object {
				record[key] = fmt.Sprint(value)
			}
		} else {
			for _, found := range attribute.FindAllStringSubmatch(line, -1) {
				record[found[1]] = found[2]
				if text, err := strconv.Unquote(found[2]); err == nil {
					record[found[1]] = text
				}
			}
		}
		if record["time"] == "" || record["level"] == "" || record["msg"] == "" {
			tb.Errorf("not a record: %s", line)
		}
		all = append(all, record)
	}
	return all
}

// writings is what a program has written so far.
type writings struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (w *writings) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.text.Write(p)
}

func (w *writings) String() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.text.String()
}

func contains(text string, parts ...string) bool {
	for _, part := range parts {
		if !strings.Contains(text, part) {
			return false
		}
	}
	return true
}

// patience is how long something may take before it is taken to be broken.
const patience = 2 * time.Minute

// soon reports whether a condition comes true.
func soon(condition func() bool) bool {
	for deadline := time.Now().Add(patience); !condition(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(deadline) {
			return false
		}
	}
	return true
}

func eventually(tb testing.TB, what string, condition func() bool) {
	tb.Helper()
	if !soon(condition) {
		tb.Fatalf("not within %s: %s", patience, what)
	}
}
