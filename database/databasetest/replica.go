package databasetest

import (
	"context"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"
)

// ReplicaFlags are those that Start needs for a server of a kind that is to have replicas.
func ReplicaFlags(kind string) []string {
	if kind == "postgres" {
		return nil
	}
	return []string{"--log-bin=log", "--server-id=1"}
}

// Replica is a server that follows another one.
type Replica struct {
	*Server
	kind string
}

// Replicate starts a server to which the changes of another one come: a standby of PostgreSQL, or an asynchronous replica. It has all that the other one
// has, or will soon.
func (s *Server) Replicate(kind string) *Replica {
	s.tb.Helper()
	u, err := url.Parse(s.URL)
	if err != nil {
		s.tb.Fatal(err)
	}
	if kind == "postgres" {
		return &Replica{s.standby(u), kind}
	}
	r := &Replica{launch(s.tb, kind, "--log-bin=log", "--server-id=2", "--read-only=1"), kind}
	for _, statement := range map[string][]string{
		"mariadb": {"CHANGE MASTER TO MASTER_HOST = '127.0.0.1', MASTER_PORT = " + u.Port() + ", MASTER_USER = 'root', MASTER_CONNECT_RETRY = 1", "START SLAVE"},
		"mysql": {
			"CHANGE REPLICATION SOURCE TO SOURCE_HOST = '127.0.0.1', SOURCE_PORT = " + u.Port() + ", SOURCE_USER = 'root', SOURCE_CONNECT_RETRY = 1, GET_SOURCE_PUBLIC_KEY = 1",
			"START REPLICA",
		},
	}[kind] {
		r.execute(statement)
	}
	for deadline := time.Now().Add(startTimeout); ; time.Sleep(20 * time.Millisecond) {
		there, err := texts(s.tb.Context(), r.Admin(), "SHOW DATABASES LIKE 'rollcall'")
		if err == nil && len(there) == 1 {
			return r
		}
		if time.Now().After(deadline) {
			s.tb.Fatalf("nothing comes to the replica: %v", err)
		}
	}
}

// standby starts a copy of a server of PostgreSQL that goes on to follow it.
func (s *Server) standby(u *url.URL) *Server {
	s.tb.Helper()
	folder, err := os.MkdirTemp("", "rollcall-") // short, since a socket's path may not be long
	if err != nil {
		s.tb.Fatal(err)
	}
	s.tb.Cleanup(func() { _ = os.RemoveAll(folder) })
	port, data := freePort(s.tb), filepath.Join(folder, "data")
	copied := &Server{tb: s.tb, as: s.as, URL: "postgres://postgres@127.0.0.1:" + port + "/rollcall?sslmode=disable"}
	if os.Getuid() == 0 {
		copied.as.Credential = unprivileged(s.tb, "postgres", folder)
	}
	backup := exec.CommandContext(s.tb.Context(), found(s.tb, "/usr/lib/postgresql/*/bin/pg_basebackup"),
		"-h", "127.0.0.1", "-p", u.Port(), "-U", "postgres", "-D", data, "-R", "-X", "stream", "-c", "fast", "--no-sync")
	backup.SysProcAttr, backup.Dir = copied.as, folder
	if text, err := backup.CombinedOutput(); err != nil {
		s.tb.Fatalf("%v\n%s", err, text)
	}
	copied.command = []string{found(s.tb, "/usr/lib/postgresql/*/bin/postgres"), "-D", data, "-h", "127.0.0.1", "-p", port, "-k", folder, "-c", "shared_buffers=16MB"}
	s.tb.Cleanup(copied.Kill)
	copied.Start()
	return copied
}

// Lags has nothing come to the replica any more, until the function is called that it returns.
func (r *Replica) Lags() (resume func()) {
	r.tb.Helper()
	switch r.kind {
	case "postgres":
		r.execute("SELECT pg_wal_replay_pause()")
		admin := r.Admin()
		for {
			if state, err := texts(r.tb.Context(), admin, "SELECT pg_get_wal_replay_pause_state()"); err != nil {
				r.tb.Fatal(err)
			} else if state[0] == "paused" {
				break
			}
			time.Sleep(time.Millisecond)
		}
		return func() { r.execute("SELECT pg_wal_replay_resume()") }
	case "mariadb":
		r.execute("STOP SLAVE SQL_THREAD")
		return func() { r.execute("START SLAVE SQL_THREAD") }
	default:
		r.execute("STOP REPLICA SQL_THREAD")
		return func() { r.execute("START REPLICA SQL_THREAD") }
	}
}

func (r *Replica) execute(statement string) {
	r.tb.Helper()
	admin := r.open()
	defer func() { _ = admin.Close() }()
	if _, err := admin.ExecContext(context.Background(), statement); err != nil {
		r.tb.Fatalf("%s: %v", statement, err)
	}
}

// EachReplicated runs fn as a subtest on each of Kinds that has replicas, with a server of its own and a replica of that.
func EachReplicated(t *testing.T, fn func(t *testing.T, main *Server, replica *Replica)) {
	t.Helper()
	EachServer(t, func(t *testing.T, kind string) {
		main := Start(t, kind, ReplicaFlags(kind)...)
		fn(t, main, main.Replicate(kind))
	})
}
