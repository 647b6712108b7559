package databasetest

import (
	"bytes"
	"context"
	"database/sql"
	"fmt"
	"net"
	"net/url"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// Server is a database server that a test has to itself.
type Server struct {
	URL string // of its database "rollcall"

	tb      testing.TB
	command []string
	as      *syscall.SysProcAttr
	process *exec.Cmd
}

// startTimeout is how long a server may take until it answers.
const startTimeout = time.Minute

// Start starts a server of a kind ("mariadb", "mysql" or "postgres") with these flags besides its own, on a free port of
// 127.0.0.1 and in a folder of its own, until the end of the test. Its administrator ("root", "postgres") needs no password.
func Start(tb testing.TB, kind string, flags ...string) *Server {
	tb.Helper()
	s := launch(tb, kind, flags...)
	if _, err := s.Admin().ExecContext(tb.Context(), "CREATE DATABASE rollcall"); err != nil {
		tb.Fatal(err)
	}
	return s
}

// launch is Start without the database.
func launch(tb testing.TB, kind string, flags ...string) *Server {
	tb.Helper()
	folder, err := os.MkdirTemp("", "rollcall-") //nolint:usetesting // short, since a socket's path may not be long
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = os.RemoveAll(folder) })
	port := freePort(tb)
	s := &Server{tb: tb, as: &syscall.SysProcAttr{}}
	data := filepath.Join(folder, "data")
	var install []string
	s.URL = fmt.Sprintf("mysql://root@127.0.0.1:%s/rollcall", port)
	switch kind {
	case "mariadb":
		install = []string{
			"mariadb-install-db", "--no-defaults", "--datadir=" + data, "--auth-root-authentication-method=normal", "--skip-test-db",
			"--tmpdir=" + folder, // in a folder that is another's too, its temporary tables may have the names of another's
		}
		s.command = []string{
			found(tb, "/usr/sbin/mariadbd"), "--no-defaults", "--datadir=" + data, "--bind-address=127.0.0.1", "--port=" + port,
			"--socket=" + filepath.Join(folder, "s"), "--skip-name-resolve", "--innodb-buffer-pool-size=16M", "--tmpdir=" + folder,
		}
		if os.Getuid() == 0 {
			install, s.command = append(install, "--user=root"), append(s.command, "--user=root")
		}
	case "mysql":
		letRootIn := filepath.Join(folder, "root.sql") // it is let in by the socket alone, where names are not resolved
		if err := os.WriteFile(letRootIn, []byte("CREATE USER IF NOT EXISTS root@'127.0.0.1' IDENTIFIED BY '';\n"+
			"GRANT ALL ON *.* TO root@'127.0.0.1' WITH GRANT OPTION;\n"), 0o600); err != nil {
			tb.Fatal(err)
		}
		script := mysqlScript(tb)
		install = []string{script, "init", data}
		s.command = []string{
			script, "run", data, "--bind-address=127.0.0.1", "--port=" + port,
			"--socket=" + filepath.Join(folder, "s"), "--pid-file=" + filepath.Join(folder, "pid"), "--init-file=" + letRootIn,
		}
	case "postgres":
		s.URL = fmt.Sprintf("postgres://postgres@127.0.0.1:%s/rollcall?sslmode=disable", port)
		install = []string{found(tb, "/usr/lib/postgresql/*/bin/initdb"), "--no-sync", "-A", "trust", "-U", "postgres", "-D", data}
		s.command = []string{
			found(tb, "/usr/lib/postgresql/*/bin/postgres"), "-D", data, "-h", "127.0.0.1", "-p", port, "-k", folder,
			"-c", "shared_buffers=16MB",
		}
		if os.Getuid() == 0 { // as whom it refuses to run
			s.as.Credential = unprivileged(tb, "postgres", folder)
		}
	default:
		tb.Fatalf("there is no server of the kind %q", kind)
	}
	s.command = append(s.command, flags...)
	setup := exec.CommandContext(tb.Context(), install[0], install[1:]...)
	setup.SysProcAttr, setup.Dir = s.as, folder
	if text, err := setup.CombinedOutput(); err != nil {
		tb.Fatalf("%v\n%s", err, text)
	}
	tb.Cleanup(s.Kill)
	s.Start()
	return s
}

// Start starts the server again after Kill, and waits until it answers.
func (s *Server) Start() {
	s.tb.Helper()
	var log bytes.Buffer
	s.process = exec.CommandContext(context.Background(), s.command[0], s.command[1:]...) // until Kill
	s.process.SysProcAttr, s.process.Dir = s.as, "/"
	s.process.Stdout, s.process.Stderr = &log, &log
	s.process.WaitDelay = time.Second
	if err := s.process.Start(); err != nil {
		s.tb.Fatal(err)
	}
	admin := s.open()
	defer func() { _ = admin.Close() }()
	for deadline := time.Now().Add(startTimeout); admin.PingContext(s.tb.Context()) != nil; time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			s.Kill()
			s.tb.Fatalf("the database does not start:\n%s", &log)
		}
	}
}

// Admin returns connections of the server's administrator, without Rollcall's settings and with no database of the server's chosen.
func (s *Server) Admin() *sql.DB {
	s.tb.Helper()
	admin := s.open()
	s.tb.Cleanup(func() { _ = admin.Close() })
	return admin
}

func (s *Server) open() *sql.DB {
	s.tb.Helper()
	u, err := url.Parse(s.URL)
	if err != nil {
		s.tb.Fatal(err)
	}
	if u.Scheme == "postgres" {
		u.Path = "/postgres"
		return postgresServer(s.tb, u)
	}
	return mysqlServer(s.tb, u)
}

// Kill ends the server's processes at once, PostgreSQL's children too.
func (s *Server) Kill() {
	if s.process == nil {
		return
	}
	s.signal(syscall.SIGKILL)
	_ = s.process.Wait()
	s.process = nil
}

// Pause stops the server without a word, as a machine that is cut off, until the function is called that it returns.
func (s *Server) Pause() (resume func()) {
	s.signal(syscall.SIGSTOP)
	return func() { s.signal(syscall.SIGCONT) }
}

func (s *Server) signal(signal syscall.Signal) {
	pid := s.process.Process.Pid
	children, _ := os.ReadFile(fmt.Sprintf("/proc/%d/task/%[1]d/children", pid))
	for _, id := range append([]string{strconv.Itoa(pid)}, strings.Fields(string(children))...) {
		if id, err := strconv.Atoi(id); err == nil {
			_ = syscall.Kill(id, signal)
		}
	}
}

// mysqlScript is the script that unpacks a real MySQL and runs it. Tests run in the folder of their package, which is within the checkout.
func mysqlScript(tb testing.TB) string {
	tb.Helper()
	folder, err := os.Getwd()
	for ; err == nil && folder != filepath.Dir(folder); folder = filepath.Dir(folder) {
		script := filepath.Join(folder, "database", "databasetest", "mysql.sh")
		if _, err := os.Stat(script); err == nil {
			return script
		}
	}
	tb.Fatalf("mysql.sh is in no folder above: %v", err)
	return ""
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

// freePort returns one that nobody listens on.
func freePort(tb testing.TB) string {
	tb.Helper()
	listener, err := (&net.ListenConfig{}).Listen(tb.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	defer func() { _ = listener.Close() }()
	_, port, _ := net.SplitHostPort(listener.Addr().String())
	return port
}
