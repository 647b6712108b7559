package main

import (
	"bufio"
	"context"
	"crypto/rand"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"

	mysql "github.com/go-sql-driver/mysql"
	_ "github.com/jackc/pgx/v5/stdlib" // the driver "pgx"

	"rollcall/bench/workload"
	"rollcall/database"
)

// bench is both servers and their databases.
type bench struct {
	config
	about         string
	raw, rollcall *server
	ends          []func()
}

// begin builds and starts the servers.
func begin(ctx context.Context, cfg config, folder string) (_ *bench, err error) {
	b := &bench{config: cfg}
	defer func() {
		if err != nil {
			b.end()
		}
	}()
	progress("building both servers")
	for _, program := range []struct{ name, module, pkg string }{{"raw", "rollcall/bench", "./raw"}, {"rollcall", "rollcall", "."}} {
		if err := build(ctx, filepath.Join(folder, program.name), program.module, program.pkg); err != nil {
			return nil, fmt.Errorf("go build %s: %w", program.name, err)
		}
	}
	kind := "SQLite"
	for _, s := range []struct {
		to   **server
		name string
		args []string
	}{
		{&b.raw, "raw", nil},
		{&b.rollcall, "rollcall", []string{"--listen=127.0.0.1:0", "--metrics=127.0.0.1:0", "--max-page=1000", "--max-cost=10000000"}},
	} {
		progress("loading %d users and %d teams for %s", workload.Users, workload.Teams, s.name)
		owned, dialect, err := b.database(ctx, folder, s.name)
		if err != nil {
			return nil, fmt.Errorf("--database: %w", err)
		}
		kind = dialect
		if *s.to, err = launch(filepath.Join(folder, s.name), append(s.args, "--database="+owned)); err != nil {
			return nil, fmt.Errorf("%s: %w", s.name, err)
		}
		b.ends = append(b.ends, (*s.to).end)
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
	for i := len(b.ends) - 1; i >= 0; i-- {
		b.ends[i]()
	}
	b.ends = nil
}

// database creates a database, fills it and returns its URL.
func (b *bench) database(ctx context.Context, folder, name string) (owned, kind string, err error) {
	scheme, _, _ := strings.Cut(b.Database, ":")
	kinds := map[string]string{"sqlite": "SQLite", "mysql": "MySQL or MariaDB", "postgres": "PostgreSQL"}
	if kinds[scheme] == "" {
		return "", "", errors.New("it must begin with sqlite:, mysql: or postgres:")
	}
	owned = "sqlite:" + filepath.Join(folder, name+".db")
	if scheme != "sqlite" {
		if owned, err = b.create(ctx, scheme, "rollcall_bench_"+strings.ToLower(rand.Text()[:8])); err != nil {
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
	return owned, kinds[scheme], errors.Join(err, db.Close())
}

// create creates a database on a server, to be dropped at the end.
func (b *bench) create(ctx context.Context, scheme, name string) (string, error) {
	u, err := url.Parse(b.Database)
	if err != nil {
		return "", errors.New("it is malformed")
	}
	var admin *sql.DB
	if scheme == "mysql" {
		cfg := mysql.NewConfig()
		cfg.Net, cfg.Addr, cfg.User = "tcp", u.Host, u.User.Username()
		cfg.Passwd, _ = u.User.Password()
		admin, err = sql.Open("mysql", cfg.FormatDSN())
	} else {
		admin, err = sql.Open("pgx", b.Database)
	}
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
	process *os.Process
	api     string
	metrics string
	done    chan struct{}
}

// launch starts a server and waits until it has printed where it is.
func launch(program string, args []string) (*server, error) {
	cmd := exec.Command(program, args...) //nolint:noctx // it ends by a signal, not by a kill
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

// tick is the unit of CPU time in /proc/PID/stat: it is the same on every Linux that Go runs on.
const tick = 10 * time.Millisecond

// cpu returns how much CPU time the process has had, in user mode and in the kernel.
func (s *server) cpu() (time.Duration, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", s.process.Pid))
	if err != nil {
		return 0, err
	}
	_, rest, _ := strings.Cut(string(text), ") ")
	fields := strings.Fields(rest)
	user, _ := strconv.Atoi(fields[11]) // see proc_pid_stat(5): fields 14 and 15
	system, _ := strconv.Atoi(fields[12])
	return time.Duration(user+system) * tick, nil
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

// counters returns how many objects the process has allocated, and how many statements it has run.
func (s *server) counters(ctx context.Context) (allocations, statements float64, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.metrics, nil)
	if err != nil {
		return 0, 0, err
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, 0, err
	}
	defer func() { _ = res.Body.Close() }()
	lines := bufio.NewScanner(res.Body)
	for lines.Scan() {
		name, value, _ := strings.Cut(lines.Text(), " ")
		n, _ := strconv.ParseFloat(value, 64)
		switch {
		case name == "go_memstats_mallocs_total":
			allocations = n
		case name == "raw_statements_total", strings.HasPrefix(name, "rollcall_operation_statements_sum"):
			statements += n
		}
	}
	return allocations, statements, lines.Err()
}

func progress(format string, args ...any) { fmt.Fprintf(os.Stderr, format+"\n", args...) }
