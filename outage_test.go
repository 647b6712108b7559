package main

import (
	"bytes"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"rollcall/database"
	"rollcall/database/databasetest"
)

// databaseServer is a server of a database that a test has to itself.
type databaseServer struct {
	tb      testing.TB
	url     string
	command []string
	as      *syscall.SysProcAttr
	process *exec.Cmd
}

// ownServer starts one, in a folder of its own, until the end of the test.
func ownServer(tb testing.TB, dialect string) *databaseServer {
	tb.Helper()
	folder, err := os.MkdirTemp("", "rollcall-") //nolint:usetesting // short, since a socket's path may not be long
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = os.RemoveAll(folder) })
	host, port, _ := net.SplitHostPort(freeAddress(tb))
	d := &databaseServer{tb: tb, as: &syscall.SysProcAttr{}}
	data := filepath.Join(folder, "data")
	var install []string
	switch dialect {
	case "mysql":
		d.url = fmt.Sprintf("mysql://root@%s:%s/rollcall", host, port)
		install = []string{"mariadb-install-db", "--no-defaults", "--datadir=" + data, "--auth-root-authentication-method=normal", "--skip-test-db"}
		d.command = []string{
			found(tb, "/usr/sbin/mariadbd"), "--no-defaults", "--datadir=" + data, "--bind-address=" + host, "--port=" + port,
			"--socket=" + filepath.Join(folder, "s"), "--skip-name-resolve", "--innodb-buffer-pool-size=16M",
		}
		if os.Getuid() == 0 {
			install, d.command = append(install, "--user=root"), append(d.command, "--user=root")
		}
	case "postgres":
		d.url = fmt.Sprintf("postgres://postgres@%s:%s/rollcall?sslmode=disable", host, port)
		install = []string{found(tb, "/usr/lib/postgresql/*/bin/initdb"), "--no-sync", "-A", "trust", "-U", "postgres", "-D", data}
		d.command = []string{
			found(tb, "/usr/lib/postgresql/*/bin/postgres"), "-D", data, "-h", host, "-p", port, "-k", folder,
			"-c", "shared_buffers=16MB",
		}
		if os.Getuid() == 0 { // as whom it refuses to run
			d.as.Credential = unprivileged(tb, "postgres", folder)
		}
	}
	setup := exec.Command(install[0], install[1:]...)
	setup.SysProcAttr, setup.Dir = d.as, folder
	if text, err := setup.CombinedOutput(); err != nil {
		tb.Fatalf("%v\n%s", err, text)
	}
	tb.Cleanup(d.kill)
	d.start()
	create := strings.Replace(d.url, "/rollcall", map[string]string{"mysql": "/mysql", "postgres": "/postgres"}[dialect], 1)
	admin(tb, parseURL(tb, create), "CREATE DATABASE rollcall", "")
	return d
}

// found returns the last program that a pattern names. On a machine whose tests are to run on a database, that is there.
func found(tb testing.TB, pattern string) string {
	tb.Helper()
	programs, err := filepath.Glob(pattern)
	if err != nil || len(programs) == 0 {
		tb.Fatalf("there is no %s", pattern)
	}
	return programs[len(programs)-1]
}

// unprivileged gives a folder to a user.
func unprivileged(tb testing.TB, name, folder string) *syscall.Credential {
	tb.Helper()
	u, err := user.Lookup(name)
	if err != nil {
		tb.Fatal(err)
	}
	uid, _ := strconv.ParseUint(u.Uid, 10, 32)
	gid, _ := strconv.ParseUint(u.Gid, 10, 32)
	if err := os.Chown(folder, int(uid), int(gid)); err != nil {
		tb.Fatal(err)
	}
	return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
}

// freeAddress returns one that nobody listens on.
func freeAddress(tb testing.TB) string {
	tb.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	defer func() { _ = listener.Close() }()
	return listener.Addr().String()
}

// start waits until the server answers.
func (d *databaseServer) start() {
	d.tb.Helper()
	var log bytes.Buffer
	d.process = exec.Command(d.command[0], d.command[1:]...)
	d.process.SysProcAttr, d.process.Dir = d.as, "/"
	d.process.Stdout, d.process.Stderr = &log, &log
	d.process.WaitDelay = time.Second
	if err := d.process.Start(); err != nil {
		d.tb.Fatal(err)
	}
	anything := strings.Replace(strings.Replace(d.url, "postgresql", "postgres", 1), "/rollcall", map[bool]string{true: "/mysql", false: "/postgres"}[strings.HasPrefix(d.url, "mysql")], 1)
	if !soon(func() bool {
		db, err := database.Open(d.tb.Context(), anything, database.Options{PoolSize: 1})
		if err == nil {
			_ = db.Close()
		}
		return err == nil
	}) {
		d.kill()
		d.tb.Fatalf("the database does not start:\n%s", &log)
	}
}

// kill ends the server's processes at once, PostgreSQL's children too.
func (d *databaseServer) kill() {
	if d.process == nil {
		return
	}
	pid := d.process.Process.Pid
	children, _ := os.ReadFile(fmt.Sprintf("/proc/%d/task/%[1]d/children", pid))
	_ = d.process.Process.Kill()
	for child := range strings.FieldsSeq(string(children)) {
		if id, err := strconv.Atoi(child); err == nil {
			_ = syscall.Kill(id, syscall.SIGKILL)
		}
	}
	_ = d.process.Wait()
	d.process = nil
}

// pause stops the server without a word, as a machine that is cut off, until the function is called that it returns.
func (d *databaseServer) pause() (resume func()) {
	pids := []int{d.process.Process.Pid}
	children, _ := os.ReadFile(fmt.Sprintf("/proc/%d/task/%[1]d/children", pids[0]))
	for child := range strings.FieldsSeq(string(children)) {
		if id, err := strconv.Atoi(child); err == nil {
			pids = append(pids, id)
		}
	}
	for _, pid := range pids {
		_ = syscall.Kill(pid, syscall.SIGSTOP)
	}
	return func() {
		for _, pid := range pids {
			_ = syscall.Kill(pid, syscall.SIGCONT)
		}
	}
}

// prompt is how long an answer may take while the database is away: what was being stored is asked about for 5 s.
const prompt = 7 * time.Second

func TestTheDatabaseGoesAwayAndComesBack(t *testing.T) {
	t.Parallel()
	for _, dialect := range databasetest.Dialects(t) {
		if dialect == "sqlite" { // it is in the process
			continue
		}
		t.Run(dialect, func(t *testing.T) {
			t.Parallel()
			d := ownServer(t, dialect)
			s := launch(t, built(t), "--database", d.url, "--migrate", "--demo", "--deadline", "30s", "--log-level", "error")
			l := putThrough(s, 8)
			defer l.stop()
			l.succeeds(t)
			d.kill()
			l.fails(t)
			s.becomes(http.StatusServiceUnavailable, unanswered)
			if status, text := s.probe("/healthz"); status != http.StatusOK {
				t.Errorf("%d %s", status, text)
			}
			d.start()
			s.becomes(http.StatusOK, "ok")
			l.succeeds(t)

			// With nobody asking meanwhile, so that the pools are full of connections that are gone.
			l.stop()
			d.kill()
			d.start()
			quiet := putThrough(s, 8)
			defer quiet.stop()
			quiet.succeeds(t)
			quiet.stop()
			if n := quiet.failed.Load(); n > 0 {
				t.Errorf("%d operations failed on connections that had gone", n)
			}
			for _, each := range []*persistent{l, quiet} {
				if took := time.Duration(each.slowest.Load()); took > prompt {
					t.Errorf("an answer took %s", took)
				} else {
					t.Logf("the slowest answer took %s; %d failed", took, each.failed.Load())
				}
				each.check(t, d.url)
			}
			noticesSilence(t, s, d)
		})
	}
}

// noticesSilence pauses the database. Nobody hears of that; probes find out, and wait no longer than they have to.
// Queries are answered at their deadline, and nothing is left of them.
func noticesSilence(t *testing.T, s *server, d *databaseServer) {
	t.Helper()
	const deadline = time.Second
	hasty := launch(t, built(t), "--database", d.url, "--deadline", deadline.String(), "--metrics", "127.0.0.1:0")
	hasty.answer("{ users { totalCount } }")
	resume := d.pause()
	defer resume()
	time.Sleep(readyFor)
	var asked sync.WaitGroup
	for i := range 20 {
		asked.Go(func() {
			c := newClient(hasty.base, i%2 == 0)
			defer c.CloseIdleConnections()
			began := time.Now()
			a, err := c.send("{ users(first: 5) { nodes { name } } }")
			if took := time.Since(began); err != nil || a.code() != "TIMEOUT" || took > deadline+2*time.Second {
				t.Errorf("answered with %q, %v after %s", a.code(), err, took)
			}
		})
		asked.Go(func() {
			began := time.Now()
			status, text := s.probe("/readyz")
			if took := time.Since(began); status != http.StatusServiceUnavailable || text != unanswered || took > 2*time.Second {
				t.Errorf("%d %s after %s", status, text, took)
			}
		})
	}
	asked.Wait()
	resume()
	s.becomes(http.StatusOK, "ok")
	hasty.becomes(http.StatusOK, "ok")
	hasty.answer("{ users { totalCount } }")
	eventually(t, "no connection is in use", func() bool {
		m := hasty.metrics()
		return m[`go_sql_in_use_connections{db_name="read"}`] == 0 && m[`go_sql_in_use_connections{db_name="side"}`] == 0
	})
}

// becomes waits until /readyz is answered so.
func (s *server) becomes(status int, text string) {
	s.tb.Helper()
	eventually(s.tb, fmt.Sprintf("/readyz answers %d %s", status, text), func() bool {
		got, answer := s.probe("/readyz")
		return got == status && answer == text
	})
}

const unanswered = "the database does not answer"

// persistent is clients that go on whatever they are answered.
type persistent struct {
	load
	ended     chan struct{}
	end       sync.Once
	succeeded atomic.Int64
	failed    atomic.Int64
	slowest   atomic.Int64
	s         *server
}

func putThrough(s *server, clients int) *persistent {
	p := &persistent{ended: make(chan struct{}), s: s}
	run := time.Now().UnixNano()
	for i := range clients {
		p.wg.Go(func() {
			c := newClient(s.base, false)
			defer c.CloseIdleConnections()
			for n := 0; ; n++ {
				select {
				case <-p.ended:
					return
				default:
				}
				p.one(c, fmt.Sprintf("c%d.%d.%d@example.com", run, i, n), n%2 == 0)
				time.Sleep(time.Millisecond)
			}
		})
	}
	return p
}

func (p *persistent) one(c *client, email string, mutates bool) {
	query := `{ users(first: 5) { nodes { name } } }`
	if mutates {
		query = create(email)
	}
	began := time.Now()
	a, err := c.send(query)
	if took := int64(time.Since(began)); took > p.slowest.Load() {
		p.slowest.Store(took)
	}
	if err != nil {
		p.s.tb.Errorf("no answer: %v", err)
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case !a.ok():
		p.failed.Add(1)
		if code := a.code(); code != "DATABASE_UNAVAILABLE" && code != "OUTCOME_UNKNOWN" {
			p.s.tb.Errorf("an answer has the code %q", code)
		}
		if mutates && a.code() != "OUTCOME_UNKNOWN" {
			p.rejected = append(p.rejected, email)
		}
		return
	case mutates:
		p.stored = append(p.stored, email)
	}
	p.succeeded.Add(1)
}

// succeeds waits until many operations have succeeded, those of each client among them.
func (p *persistent) succeeds(t *testing.T) {
	t.Helper()
	before := p.succeeded.Load()
	eventually(t, "operations succeed", func() bool { return p.succeeded.Load() > before+200 })
}

// fails waits until operations fail at the rate at which they come: none hangs.
func (p *persistent) fails(t *testing.T) {
	t.Helper()
	before := p.failed.Load()
	eventually(t, "operations fail", func() bool { return p.failed.Load() > before+200 })
}

func (p *persistent) stop() {
	p.end.Do(func() { close(p.ended) })
	p.wg.Wait()
}
