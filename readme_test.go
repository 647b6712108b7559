package main

import (
	"bytes"
	"cmp"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"

	"rollcall/database/databasetest"
)

// ways says how each kind of command in README.md is run: as it stands, or what instead of its beginning, and why. A command that
// none of them matches fails the test: it is run once there is a way for it.
//
// $PROGRAM is this program, $REPOSITORY the folder of README.md, $CHECKOUT a git repository with a copy of it, and $MODULE
// the module of another server, with README.md's Go code.
var ways = []struct{ command, instead, why string }{
	{`^curl `, `$0`, ``},
	{`^export `, `$0`, ``},
	{`^echo '[^']*' > documents\.json$`, `$0`, ``},
	{`^printf '[^']*' > people\.csv$`, `$0`, ``},
	{`^(go run \.|rollcall)( |$)`, `"$$PROGRAM" `, `the tests have built it already`},
	{`^docker compose run --rm migrate `, `"$$PROGRAM" `, `not every machine has Docker: the test's database will do`},
	{`^docker (build|run|compose) .*`, `ls "$$CHECKOUT/Dockerfile" "$$CHECKOUT/compose.yaml"`, `see above: packaging_test.go looks at what it would read`},
	{`^(mkdir -m 700 secrets$|openssl rand |printf 'mysql:)`, `$0`, ``},
	{`^git worktree `, `cd "$$CHECKOUT"; export GOFLAGS=-n; $0`, `it changes the repository; and see above`},
	{`^go mod (edit|tidy)`, `cd "$$MODULE"; $0`, `it is for the module of another server`},
	{`^go test (-race )?\./\.\.\.$`, `cd "$$REPOSITORY"; go list ./...`, `this test is one of those that it runs`},
	{`^make( |$)`, `make --dry-run -C "$$CHECKOUT" `, `it takes minutes: this sees whether the target can be made`},
	{`^\.ci/run$`, `bash -n "$$REPOSITORY/.ci/run"`, `it takes half an hour: this sees whether it can be read`},
	{`^cluster/([a-z]+\.sh) ([a-z-]+).*$`, `bash -n "$$REPOSITORY/cluster/$1" && grep -P "^#\t$1 $2\b" "$$REPOSITORY/cluster/$1"`, `it starts database servers: this sees whether it can be read, and knows the command`},
	{`^rm -f rollcall\.db `, `mkdir -p restored; cp backup.db restored; cd restored; $0`, `a server has that file open`},
	{`^cp backup\.db rollcall\.db$`, `$0; "$$PROGRAM" export --database=sqlite:rollcall.db > export.jsonl`, `this sees whether it is a directory`},
	{`^npm install (.+)$`, `for name in $1; do grep "\"$$name\":" "$$REPOSITORY/e2e/package.json" || exit; done`, `e2e installs them, for the code that needs them`},
	{`^(mariadb|mariadb-dump) -u root -p`, `$1 --no-defaults $$MARIADB`, `it would ask for a password`},
	{`^(psql|pg_dump|pg_restore) -h 127\.0\.0\.1 -U postgres`, `$1`, `variables name the server of the tests`},
}

// TestEverythingInTheREADMEWorks does what README.md says from its beginning to its end, as a reader would. So it has to run as a whole.
func TestEverythingInTheREADMEWorks(t *testing.T) {
	t.Parallel()
	blocks := readBlocks(t)
	r := newReader(t, blocks)
	for i, b := range blocks {
		next := "" // language
		if i+1 < len(blocks) {
			next = blocks[i+1].language
		}
		t.Run(fmt.Sprint("line ", b.line), func(t *testing.T) {
			if err := r.read(t, b, next); err != nil {
				t.Errorf("README.md:%d: %v", b.line, err)
			}
		})
	}
}

// block is something in README.md that can be run.
type block struct {
	line     int    // where it begins
	language string // of a fenced block; "": it is code within a line
	text     string
	section  string // the heading above it
	code     string // of the error that it is an example of
}

var codeInLine = regexp.MustCompile("`([^`]+)`")

// readBlocks returns README.md's fenced blocks, and the code within its lines.
func readBlocks(tb testing.TB) (all []block) {
	tb.Helper()
	var fenced *block
	section := ""
	for i, line := range readLines(tb) {
		language, fence := strings.CutPrefix(line, "```")
		switch {
		case fence && fenced != nil:
			all, fenced = append(all, *fenced), nil
		case fence:
			fenced = &block{line: i + 2, language: cmp.Or(language, "no language"), section: section}
		case fenced != nil:
			fenced.text += line + "\n"
		case strings.HasPrefix(line, "    "):
			tb.Errorf("README.md:%d: fence this block with ```, and name its language", i+1)
		case strings.HasPrefix(line, "#"):
			section = strings.TrimLeft(line, "# ")
		default:
			cells := strings.Split(line, " | ")
			for n, cell := range cells {
				for _, code := range codeInLine.FindAllStringSubmatch(cell, -1) {
					b := block{line: i + 1, text: code[1], section: section}
					if section == "Error codes" && n == 2 {
						b.code = codeInLine.FindStringSubmatch(cells[0])[1]
					}
					all = append(all, b)
				}
			}
		}
	}
	return all
}

func readLines(tb testing.TB) []string {
	tb.Helper()
	text, err := os.ReadFile("README.md")
	if err != nil {
		tb.Fatal(err)
	}
	return strings.Split(string(text), "\n")
}

// reader is someone who follows README.md in a terminal.
type reader struct {
	t        *testing.T
	folder   string
	env      []string
	places   *strings.Replacer // from addresses and paths in README.md to those of the test
	database map[string]string // what the database and its user are named instead of rollcall, by kind

	section string
	exports string  // the variables that the section has set
	server  *server // the one that runs
	stream  *server // the command that shows events
	last    *server // the last command; nil: it was left out, since there is no database for it
	all     []*server

	again  func() string // sends the last operation once more
	answer *string       // to the last operation, if it was sent already
}

func newReader(t *testing.T, blocks []block) *reader {
	t.Helper()
	repository, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	r := &reader{t: t, folder: t.TempDir(), database: map[string]string{}}
	checkout, module, address := filepath.Join(r.folder, "checkout"), filepath.Join(r.folder, "module"), freeAddress(t)
	err = errors.Join(os.Mkdir(module, 0o700),
		os.WriteFile(filepath.Join(module, "go.mod"), []byte("module example.com/server\n\ngo 1.26\n"), 0o600),
		os.WriteFile(filepath.Join(module, "main.go"), []byte(goCode(blocks)), 0o600))
	if err != nil {
		t.Fatal(err)
	}
	r.env = slices.DeleteFunc(os.Environ(), func(variable string) bool {
		return strings.HasPrefix(variable, "GIT_") || strings.HasPrefix(variable, "PG")
	})
	r.env = append(r.env, "PROGRAM="+built(t), "REPOSITORY="+repository, "CHECKOUT="+checkout, "MODULE="+module, "ROLLCALL_LISTEN="+address,
		"CGO_ENABLED=0", "GOPROXY=off", "GOSUMDB=off", "GOFLAGS=-e", // -e: what only the tests of dependencies need may be missing
		"GIT_CONFIG_GLOBAL=/dev/null", "GIT_AUTHOR_NAME=a", "GIT_AUTHOR_EMAIL=a@example.com", "GIT_COMMITTER_NAME=a", "GIT_COMMITTER_EMAIL=a@example.com")
	places := []string{"127.0.0.1:8080", address, "127.0.0.1:8081", freeAddress(t), "https://login.example.com", "http://127.0.0.1:1", "/tmp/", r.folder + "/", "=rollcall=PATH", "=rollcall=" + repository}
	for _, kind := range databasetest.Kinds(t) {
		if port := map[string]string{"mariadb": "3306", "postgres": "5432"}[kind]; port != "" {
			u := parseURL(t, os.Getenv("ROLLCALL_TEST_"+strings.ToUpper(kind)))
			places = append(places, "127.0.0.1:"+port, u.Host)
			r.env = append(r.env, clientVariables(kind, u)...)
			r.database[kind] = strings.ToLower("rollcall_test_" + rand.Text()[:16])
		}
	}
	r.places = strings.NewReplacer(places...)
	t.Cleanup(r.leave)
	// The files as they are, committed or not, and one commit more: HEAD~1 is to be there.
	r.must(`git init --quiet "$CHECKOUT"
		cd "$REPOSITORY"
		export GIT_DIR="$CHECKOUT/.git" GIT_WORK_TREE="$REPOSITORY"
		git add .
		git commit --quiet --message=first
		git commit --quiet --message=second --allow-empty
		GIT_WORK_TREE="$CHECKOUT" git reset --quiet --hard`)
	return r
}

// clientVariables has the clients of a server find that of the tests.
func clientVariables(kind string, u *url.URL) []string {
	password, _ := u.User.Password()
	if kind == "mariadb" {
		return []string{"MARIADB=--host=" + u.Hostname() + " --port=" + cmp.Or(u.Port(), "3306") + " --user=" + u.User.Username(), "MYSQL_PWD=" + password}
	}
	return []string{
		"PGHOST=" + u.Hostname(), "PGPORT=" + cmp.Or(u.Port(), "5432"), "PGUSER=" + u.User.Username(), "PGPASSWORD=" + password,
		"PGDATABASE=" + strings.Trim(u.Path, "/"), "PGSSLMODE=" + cmp.Or(u.Query().Get("sslmode"), "prefer"),
	}
}

// leave stops what runs and drops the databases.
func (r *reader) leave() {
	r.stop()
	for _, s := range r.all {
		s.signal(syscall.SIGKILL)
		<-s.done
	}
	if name := r.database["mariadb"]; name != "" {
		r.must(fmt.Sprintf(`mariadb --no-defaults $MARIADB -e "DROP DATABASE IF EXISTS %[1]s; DROP USER IF EXISTS %[1]s"`, name))
	}
	if name := r.database["postgres"]; name != "" {
		r.must(fmt.Sprintf(`psql --quiet -c "DROP DATABASE IF EXISTS %[1]s" -c "DROP ROLE IF EXISTS %[1]s"`, name))
	}
}

// stop does as ctrl-C would.
func (r *reader) stop() {
	if r.server == nil {
		return
	}
	r.server.signal(os.Interrupt)
	if _ = r.server.wait(); !strings.Contains(r.server.log.String(), "stopping") {
		r.t.Errorf("ctrl-C does not stop the server in order:\n%s", &r.server.log)
	}
	r.server = nil
}

// read does what a block says, and returns what is wrong with it. next is the language of the block that follows.
func (r *reader) read(t *testing.T, b block, next string) error {
	if b.section != r.section {
		r.section, r.exports = b.section, ""
	}
	if r.server != nil {
		r.server.tb = t
	}
	switch b.language {
	case "":
		return r.readInLine(t, b)
	case "sh":
		return r.do(t, b, next)
	case "graphql":
		r.answer, r.again = nil, func() string { return r.server.post(request(b.text)) }
		if next != "json" {
			return errors.New("the answer is missing: a block of json is to follow")
		}
		return nil
	case "json":
		return r.compare(b)
	case "text":
		return r.shows(t, b)
	case "js":
		if _, err := os.Stat("e2e/test/readme.test.js"); err != nil {
			return fmt.Errorf("nothing runs it: %w", err)
		}
		return nil
	case "yaml":
		_, err := parse([]string{"--config", configured(t, b.text)}, io.Discard, io.Discard)
		return err
	case "nginx", "caddyfile", "yml": // proxy_test.go and monitoring_test.go try them
		return nil
	case "go": // newReader has written it there
		if s := r.run(t, `cd "$MODULE"; go build -o /dev/null .`); s.err != nil {
			return fmt.Errorf("it cannot be compiled:\n%s", s.end())
		}
		return nil
	}
	return fmt.Errorf("a block of %s: the test does not know how to run it", b.language)
}

var (
	commandInLine = regexp.MustCompile(`^(go|make|npm|git|curl|docker|rollcall|mariadb|mariadb-dump|psql|pg_dump) \S|^\.ci/|^cluster/\w+\.sh \S`)
	fieldInLine   = regexp.MustCompile(`^[a-z]\w*\(`)
	queryInLine   = regexp.MustCompile(`^\{ |^(query|mutation|subscription)\b.*\{|` + fieldInLine.String())
	mutationField = regexp.MustCompile(`^(create|update|upsert|delete|erase|deactivate|reactivate|add|remove|revoke|set)`)
)

// readInLine runs a command and sends an operation, which may be a field alone. Other code is not run: names, types, flags.
func (r *reader) readInLine(t *testing.T, b block) error {
	body := b.text
	if !strings.HasPrefix(body, `{"`) {
		if fieldInLine.MatchString(body) {
			if strings.HasSuffix(body, ")") {
				body += " { __typename }"
			}
			body = "{ " + body + " }"
			if mutationField.MatchString(b.text) {
				body = "mutation " + body
			}
		}
		body = request(body)
	}
	switch {
	case b.code != "":
		if got := r.server.post(body); !strings.Contains(got, `"code":"`+b.code+`"`) {
			return fmt.Errorf("want the code %s, got %s", b.code, got)
		}
	case commandInLine.MatchString(b.text):
		return r.do(t, b, "")
	case queryInLine.MatchString(b.text):
		if got := r.server.post(body); !strings.Contains(got, `"data":{`) || strings.Contains(got, `"errors"`) {
			return fmt.Errorf("the answer is %s", got)
		}
	}
	return nil
}

var (
	serves  = regexp.MustCompile(`(?m)^"\$PROGRAM" +(serve\b|--[a-z]|\|\|)`)
	clients = map[string]*regexp.Regexp{"mariadb": regexp.MustCompile(`\bmariadb\b`), "postgres": regexp.MustCompile(`\b(psql|pg_dump|pg_restore)\b`)}
	itsName = regexp.MustCompile(`\brollcall\b`)
)

// do runs the commands of a block, each in its way.
func (r *reader) do(t *testing.T, b block, next string) error {
	text := r.places.Replace(b.text)
	r.last, r.answer = nil, nil
	for kind, client := range clients {
		if client.MatchString(text) {
			if r.database[kind] == "" {
				t.Logf("README.md:%d is not run: set ROLLCALL_TEST_%s to a server's URL", b.line, strings.ToUpper(kind))
				return nil
			}
			text = itsName.ReplaceAllString(text, r.database[kind])
		}
	}
	script := r.exports
	for _, command := range commands(text) {
		i := slices.IndexFunc(ways, func(w struct{ command, instead, why string }) bool {
			return regexp.MustCompile(w.command).MatchString(command)
		})
		if i < 0 {
			return fmt.Errorf("the test has no way to run this command: %s", command)
		}
		if strings.HasPrefix(command, "export ") {
			r.exports += command + "\n"
		}
		script += regexp.MustCompile(ways[i].command).ReplaceAllString(command, ways[i].instead) + " || exit\n" // -e forgives what && follows
	}
	beside := strings.Contains(text, "--listen=") // another server
	if serves.MatchString(script) && !beside {
		r.stop()
	}
	s := r.run(t, script)
	switch {
	case s.base != "" && beside:
		s.answer("{ users { totalCount } }")
		s.signal(os.Interrupt)
	case s.base != "" && !opens(text):
		r.server = s
		if res, _ := s.ask(http.DefaultClient, http.MethodPost, request("{ users { totalCount } }")); res.StatusCode != http.StatusUnauthorized {
			return fmt.Errorf("without credentials the status is %d", res.StatusCode)
		}
	case s.base != "":
		s.answer("{ users { totalCount } }")
		r.server = s
	case strings.Contains(text, "curl -N"):
		r.stream = s
	case s.err != nil:
		return fmt.Errorf("it fails with %w:\n%s", s.err, s.end())
	case strings.Contains(text, "curl ") && next != "json" && strings.Contains(s.out.String(), `"errors"`):
		return fmt.Errorf("the answer is %s", &s.out)
	}
	answer := s.out.String()
	r.last, r.answer, r.again = s, &answer, func() string { return r.run(t, script).out.String() }
	return nil
}

// opens reports whether a command starts a server that asks nobody for credentials.
func opens(command string) bool {
	return strings.Contains(command, "--demo") && !strings.Contains(command, "--oidc-issuer") || strings.Contains(command, "--insecure-admin")
}

// commands returns the commands of a script. They end where a line does, but for one within quotes and one that \ continues.
func commands(script string) (all []string) {
	begin, quote, escaped := 0, ' ', false
	for i, r := range script + "\n" {
		switch {
		case escaped:
			escaped = false
		case r == '\\' && quote != '\'':
			escaped = true
		case r == quote:
			quote = ' '
		case quote == ' ' && (r == '"' || r == '\''):
			quote = r
		case r == '\n' && quote == ' ':
			if command := strings.TrimSpace(script[begin:min(i, len(script))]); command != "" {
				all = append(all, command)
			}
			begin = i + 1
		}
	}
	return all
}

var printedAddress = regexp.MustCompile(`API +(https?://\S+)/query\n`)

// run has a shell run a script: until it has ended, or serves, or shows events.
func (r *reader) run(tb testing.TB, script string) *server {
	tb.Helper()
	s := &server{tb: tb, done: make(chan struct{})}
	cmd := exec.Command("sh", "-euc", script)
	cmd.Dir, cmd.Env, cmd.Stdout, cmd.Stderr = r.folder, r.env, &s.out, &s.log
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // so that a signal comes to all of its processes, as a terminal's does
	if err := cmd.Start(); err != nil {
		tb.Fatal(err)
	}
	go func() {
		s.err = cmd.Wait() // for all that may write, so for all of its processes
		close(s.done)
	}()
	ended := func() bool {
		select {
		case <-s.done:
			return true
		default:
			return false
		}
	}
	s.signal = func(signal os.Signal) {
		if !ended() {
			_ = syscall.Kill(-cmd.Process.Pid, signal.(syscall.Signal))
		}
	}
	r.all = append(r.all, s)
	eventually(tb, "it has ended, or serves: "+script, func() bool {
		if found := printedAddress.FindStringSubmatch(s.out.String()); found != nil {
			s.base = found[1]
		}
		return ended() || s.base != "" || strings.Contains(script, "curl -N") && s.out.String() != ""
	})
	return s
}

// end returns the end of what was printed and logged.
func (s *server) end() string {
	text := s.out.String() + s.log.String()
	return text[max(0, len(text)-2000):]
}

// must runs a script that is the test's own.
func (r *reader) must(script string) {
	r.t.Helper()
	if s := r.run(r.t, script); s.err != nil {
		r.t.Fatalf("%v:\n%s", s.err, s.end())
	}
}

var operationID = regexp.MustCompile(`[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}`)

// compare compares the answer with what README.md shows: all but white space, and the ids of operations.
func (r *reader) compare(b block) error {
	if r.again == nil {
		return errors.New("an answer to what? A block of graphql or a curl command is to come first")
	}
	if r.answer == nil {
		answer := r.again()
		r.answer = &answer
	}
	got, want := plainJSON(*r.answer), plainJSON(b.text)
	r.answer = nil
	if got != want {
		return fmt.Errorf("the answer differs:\n got %s\nwant %s", got, want)
	}
	return nil
}

func plainJSON(text string) string {
	var compact bytes.Buffer
	if err := json.Compact(&compact, []byte(text)); err != nil {
		return fmt.Sprintf("%v: %s", err, text)
	}
	return operationID.ReplaceAllString(compact.String(), "(an operation's id)")
}

// shows compares what the last command has printed with the lines that README.md shows, or what the command prints that goes on.
func (r *reader) shows(t *testing.T, b block) error {
	printed := cmp.Or(r.stream, r.last)
	if printed == nil {
		t.Logf("README.md:%d is not compared, since the command was not run", b.line)
		return nil
	}
	wanted := strings.Split(strings.TrimSpace(r.places.Replace(b.text)), "\n")
	if !soon(func() bool { return contains(printed.out.String(), wanted...) || r.stream == nil }) || !contains(printed.out.String(), wanted...) {
		return fmt.Errorf("printed was: %s", &printed.out)
	}
	if r.stream != nil {
		r.stream.signal(os.Interrupt)
		r.stream = nil
	}
	return nil
}

// goCode is README.md's Go code, with what it takes for granted.
func goCode(blocks []block) string {
	code := `package main

import (
	"context"
	"log"
	"net/http"

	"github.com/99designs/gqlgen/graphql/handler"
	"github.com/99designs/gqlgen/graphql/handler/transport"
	"gorm.io/gorm"

	"rollcall/operation"
	"rollcall/schematest/generated"
	"rollcall/session"
)

type (
	Resolver      struct{ generated.ResolverRoot }
	queryResolver struct{ *Resolver }
	User          struct{ ID int }
)

var (
	ctx       context.Context
	dialector gorm.Dialector
	pools     session.Pools
	users     []User
)

func main() {}
`
	for _, b := range blocks {
		if b.language != "go" {
			continue
		}
		if strings.HasPrefix(b.text, "func ") {
			code += fmt.Sprintf("//line README.md:%d\n%s", b.line, b.text)
		} else {
			code += fmt.Sprintf("func _() (err error) {\n//line README.md:%d\n%s\nreturn err\n}\n", b.line, b.text)
		}
	}
	return code
}
