package databasetest

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"
)

// PgBouncer starts Debian's PgBouncer until the end of the test, before the server of a PostgreSQL URL. It returns that URL by way
// of it. Its pool_mode is "session" or "transaction"; size is how many connections it keeps to the server for all its clients.
func PgBouncer(tb testing.TB, raw, mode string, size int) string {
	tb.Helper()
	u, err := url.Parse(raw)
	if err != nil {
		tb.Fatal(err)
	}
	folder, err := os.MkdirTemp("", "rollcall-") //nolint:usetesting // for another user to read
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = os.RemoveAll(folder) })
	as := &syscall.SysProcAttr{}
	if os.Getuid() == 0 { // as whom it refuses to run
		as.Credential = unprivileged(tb, "postgres", folder)
	}
	port, config := freePort(tb), filepath.Join(folder, "pgbouncer.ini")
	for name, text := range map[string]string{
		"users": fmt.Sprintf("%q \"\"\n", u.User.Username()),
		"pgbouncer.ini": fmt.Sprintf(`[databases]
* = host=%s port=%s
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = %s
unix_socket_dir =
auth_type = trust
auth_file = %s/users
pool_mode = %s
default_pool_size = %d
max_client_conn = 500
`, u.Hostname(), u.Port(), port, folder, mode, size),
	} {
		if err := os.WriteFile(filepath.Join(folder, name), []byte(text), 0o644); err != nil { //nolint:gosec // another user reads it, and nothing in it is secret
			tb.Fatal(err)
		}
	}
	var log bytes.Buffer
	process := exec.CommandContext(context.Background(), found(tb, "/usr/sbin/pgbouncer"), config) // until the end
	process.SysProcAttr, process.Stdout, process.Stderr, process.WaitDelay = as, &log, &log, time.Second
	if err := process.Start(); err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		_ = process.Process.Kill()
		_ = process.Wait()
	})
	u.Host = net.JoinHostPort("127.0.0.1", port)
	for deadline := time.Now().Add(startTimeout); ; time.Sleep(20 * time.Millisecond) {
		conn, err := (&net.Dialer{}).DialContext(tb.Context(), "tcp", u.Host)
		if err == nil {
			_ = conn.Close()
			return u.String()
		}
		if time.Now().After(deadline) {
			tb.Fatalf("PgBouncer does not start:\n%s", &log)
		}
	}
}
