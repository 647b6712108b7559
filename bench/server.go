package main

import (
	"bufio"
	"bytes"
	"context"
	"crypto/rand"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	mysql "github.com/go-sql-driver/mysql"
	_ "github.com/jackc/pgx/v5/stdlib" // the driver "pgx"
	"golang.org/x/sys/unix"

	"rollcall/bench/workload"
	"rollcall/database"
	"rollcall/model"
)

// The names of two servers; the others have those of --against.
const (
	raw      = "raw"
	rollcall = "rollcall"
)

// bench is all servers and their databases.
type bench struct {
	config
	about   string
	servers []*server // raw first, where it takes part, and this build of Rollcall last
	ends    []func()
}

// program is what a server runs.
type program struct{ name, file string }

// begin builds and starts the servers, those of other builds of Rollcall too.
func begin(ctx context.Context, cfg config, builds []program, folder string) (_ *bench, err error) {
	b := &bench{config: cfg}
	defer func() {
		if err != nil {
			b.end()
		}
	}()
	programs := append([]program{{rollcall, filepath.Join(folder, rollcall)}}, builds...)
	progress("building the servers")
	if err := build(ctx, programs[0].file, "rollcall", "."); err != nil {
		return nil, fmt.Errorf("go build rollcall: %w", err)
	}
	if cfg.Raw {
		programs = append(programs, program{raw, filepath.Join(folder, raw)})
		if err := build(ctx, filepath.Join(folder, raw), "rollcall/bench", "./raw"); err != nil {
			return nil, fmt.Errorf("go build raw: %w", err)
		}
	}
	var kind string
	for _, p := range programs {
		progress("loading %d users and %d teams for %s", workload.Users, workload.Teams, p.name)
		var owned string
		if owned, kind, err = b.database(ctx, folder, p.name); err != nil {
			return nil, fmt.Errorf("--database: %w", err)
		}
		args, env := []string{"--listen=127.0.0.1:0", "--metrics=127.0.0.1:0", "--max-page=1000", "--max-cost=10000000"}, []string(nil)
		if p.name != raw {
			args = append(args, withoutCredentials(ctx, p.file)...)
		} else {
			args = nil
			if env, err = b.servers[len(b.servers)-1].collector(ctx); err != nil {
				return nil, err
			}
		}
		s, err := launch(p.file, append(args, "--database="+owned), env)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", p.name, err)
		}
		s.name, s.database = p.name, owned
		b.servers = append([]*server{s}, b.servers...)
		b.ends = append(b.ends, s.end)
		if p.name != raw {
			if s.cursors, err = s.readCursors(ctx); err != nil {
				return nil, fmt.Errorf("%s: %w", p.name, err)
			}
		}
	}
	b.about = fmt.Sprintf("%s, %d connections, %d cores, %s", kind, cfg.Connections, runtime.NumCPU(), runtime.Version())
	return b, nil
}

// build builds a program in the folder of its module.
func build(ctx context.Context, file, module, pkg string) error {
	folder, err := exec.CommandContext(ctx, "go", "list", "-m", "-f", "{{.Dir}}", module).Output()
	if err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, "go", "build", "-o", file, pkg)
	cmd.Dir, cmd.Stderr = strings.TrimSpace(string(folder)), os.Stderr
	return cmd.Run()
}

// end ends the servers and drops their databases.
func (b *bench) end() {
	for _, end := range slices.Backward(b.ends) {
		end()
	}
	b.ends = nil
}

// kinds are the kinds of databases, by how a URL begins.
var kinds = map[string]string{"sqlite": "SQLite", "mysql": "MySQL or MariaDB", "postgres": "PostgreSQL"}

// database creates a database, fills it and returns its URL.
func (b *bench) database(ctx context.Context, folder, name string) (owned, kind string, err error) {
	scheme, _, _ := strings.Cut(b.Database, ":")
	if kinds[scheme] == "" {
		return "", "", errors.New("it must begin with sqlite:, mysql: or postgres:")
	}
	owned = "sqlite:" + filepath.Join(folder, name+".db")
	if scheme != "sqlite" {
		if owned, err = b.create(ctx, "rollcall_bench_"+strings.ToLower(rand.Text()[:8])); err != nil {
			return "", "", err
		}
	}
	db, err := database.Open(ctx, owned, database.Options{})
	if err != nil {
		return "", "", err
	}
	if _, err = db.Migrate(ctx); err == nil {
		err = workload.Load(db.Write.WithContext(ctx))
	}
	if err == nil {
		err = db.Derive(ctx)
	}
	return owned, kinds[scheme], errors.Join(err, db.Close())
}

// administer returns the server at a URL, and the URL.
func administer(server string) (admin *sql.DB, u *url.URL, err error) {
	if u, err = url.Parse(server); err != nil {
		return nil, nil, errors.New("it is malformed")
	}
	switch u.Scheme {
	case "mysql":
		cfg := mysql.NewConfig()
		cfg.Net, cfg.Addr, cfg.User = "tcp", u.Host, u.User.Username()
		cfg.Passwd, _ = u.User.Password()
		admin, err = sql.Open("mysql", cfg.FormatDSN())
	case "postgres":
		admin, err = sql.Open("pgx", server)
	default:
		err = errors.New("it must begin with sqlite:, mysql: or postgres:")
	}
	return admin, u, err
}

// create creates a database on a server, to be dropped at the end.
func (b *bench) create(ctx context.Context, name string) (string, error) {
	admin, u, err := administer(b.Database)
	if err != nil {
		return "", err
	}
	if _, err := admin.ExecContext(ctx, "CREATE DATABASE "+name); err != nil {
		return "", errors.Join(err, admin.Close())
	}
	b.ends = append(b.ends, func() {
		if _, err := admin.ExecContext(context.WithoutCancel(ctx), "DROP DATABASE "+name); err != nil {
			progress("cannot drop the database %s: %v", name, err)
		}
		_ = admin.Close()
	})
	u.Path = "/" + name
	return u.String(), nil
}

// server is one of the processes.
type server struct {
	name     string
	database string // its URL
	process  *os.Process
	api      string
	metrics  string
	done     chan struct{}
	cursors  []string // of the users, in order of their ids; nil: the server takes ids
}

// readCursors returns the cursors of all users.
func (s *server) readCursors(ctx context.Context) (all []string, err error) {
	for after := ""; len(all) < workload.Users; after = all[len(all)-1] {
		variables := map[string]any{}
		if after != "" {
			variables["after"] = after
		}
		body, err := json.Marshal(map[string]any{"query": `query($after: String) { users(first: 1000, after: $after) { edges { cursor } } }`, "variables": variables})
		if err != nil {
			return nil, err
		}
		answer, err := ask(ctx, http.DefaultClient, s, body)
		if err != nil {
			return nil, err
		}
		var page struct {
			Data struct {
				Users struct{ Edges []struct{ Cursor string } }
			}
		}
		if err := json.Unmarshal(answer, &page); err != nil {
			return nil, err
		}
		if len(page.Data.Users.Edges) == 0 {
			return nil, fmt.Errorf("there are only %d users", len(all))
		}
		for _, e := range page.Data.Users.Edges {
			all = append(all, e.Cursor)
		}
	}
	return all, nil
}

// after returns what stands for a place in the server's list of users.
func (s *server) after(at workload.After) string {
	if s.cursors == nil {
		return model.UserID(int64(at))
	}
	return s.cursors[at-1]
}

// withoutCredentials returns the flag by which a build of Rollcall asks nobody on this machine who they are, which older ones do not have.
func withoutCredentials(ctx context.Context, program string) []string {
	const flag = "--insecure-admin"
	if help, err := exec.CommandContext(ctx, program, "--help").Output(); err == nil && bytes.Contains(help, []byte(flag)) {
		return []string{flag}
	}
	return nil
}

// launch starts a server and waits until it has printed where it is. env beats our environment, of which
// what configures Rollcall is left out.
func launch(program string, args, env []string) (*server, error) {
	cmd := exec.Command(program, args...) //nolint:noctx // it ends by a signal, not by a kill
	cmd.Env = append(slices.DeleteFunc(os.Environ(), func(v string) bool { return strings.HasPrefix(v, "ROLLCALL_") }), env...)
	cmd.Stderr = os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // an interrupt of the terminal is ours to pass on
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	s := &server{process: cmd.Process, done: make(chan struct{})}
	lines := bufio.NewScanner(out)
	for s.api == "" && lines.Scan() {
		for word := range strings.FieldsSeq(lines.Text()) {
			switch {
			case strings.HasPrefix(word, "http://") && strings.HasSuffix(word, "/metrics"):
				s.metrics = word
			case strings.HasPrefix(word, "http://") && strings.HasSuffix(word, "/query"):
				s.api = word
			case strings.HasPrefix(word, "http://") && s.metrics == "": // raw's only line
				s.api, s.metrics = word+"/query", word+"/metrics"
			}
		}
	}
	go func() {
		_, _ = io.Copy(io.Discard, out)
		_ = cmd.Wait()
		close(s.done)
	}()
	if s.api == "" {
		s.end()
		return nil, errors.New("it ended before it served")
	}
	return s, nil
}

// end ends the process in good order.
func (s *server) end() {
	_ = s.process.Signal(syscall.SIGTERM)
	select {
	case <-s.done:
	case <-time.After(10 * time.Second):
		_ = s.process.Kill()
		<-s.done
	}
}

// cpu returns how much CPU time the process has had, in user mode and in the kernel. Linux has a clock of that for each
// process, see clock_getcpuclockid(3); /proc/PID/stat counts in steps of 10 ms only.
func (s *server) cpu() (time.Duration, error) {
	var t unix.Timespec
	err := unix.ClockGettime(int32(^s.process.Pid)<<3|2, &t)
	return time.Duration(t.Nano()), err
}

// resident returns how much memory the process has, in bytes.
func (s *server) resident() (int, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", s.process.Pid))
	if err != nil {
		return 0, err
	}
	pages, err := strconv.Atoi(strings.Fields(string(text))[1])
	return pages * os.Getpagesize(), err
}

// collector returns the settings of the process's garbage collector, as variables for another.
func (s *server) collector(ctx context.Context) ([]string, error) {
	values, err := s.values(ctx)
	setting := func(metric string) string {
		if n := values[metric]; n < math.MaxInt64 {
			return fmt.Sprintf("%.0f", n)
		}
		return "off"
	}
	return []string{"GOGC=" + setting("go_gc_gogc_percent"), "GOMEMLIMIT=" + setting("go_gc_gomemlimit_bytes")}, err
}

// counts is what a process has done since it began.
type counts struct{ allocations, collections, statements float64 }

func (s *server) counts(ctx context.Context) (counts, error) {
	values, err := s.values(ctx)
	return counts{
		allocations: values["go_memstats_mallocs_total"],
		collections: values["go_gc_duration_seconds_count"],
		statements:  values["raw_statements_total"] + values["rollcall_operation_statements_sum"],
	}, err
}

// values returns the metrics of the process, those with labels added up.
func (s *server) values(ctx context.Context) (map[string]float64, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.metrics, nil)
	if err != nil {
		return nil, err
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, err
	}
	defer func() { _ = res.Body.Close() }()
	values := map[string]float64{}
	lines := bufio.NewScanner(res.Body)
	for lines.Scan() {
		name, value, _ := strings.Cut(lines.Text(), " ")
		name, _, _ = strings.Cut(name, "{")
		n, _ := strconv.ParseFloat(value, 64)
		values[name] += n
	}
	return values, lines.Err()
}

func progress(format string, args ...any) { fmt.Fprintf(os.Stderr, format+"\n", args...) }
