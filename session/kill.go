package session

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"

	"github.com/go-sql-driver/mysql"
	"github.com/jackc/pgx/v5"
)

// A connection is killed by a number that its server gives it. What remembers that number may hit somebody else's: a
// balancer leads to another server, and a pooler gives a server's connection to one client after the other. So a connection is
// found by what it alone has at that moment.

// handle is how one of the session's connections is found. The zero value finds none.
type handle struct {
	kill  string // the statement that ends the connection
	node  string // MySQL: the server that must run it
	label bool   // PostgreSQL: each transaction needs a label instead
	conn  any    // the driver's connection, under which it is remembered, or nil
}

// fewHandles is how many connections are remembered at least: of those that database/sql closes, nobody is told.
const fewHandles = 128

// handle returns how a connection is found, which is asked for once. The driver's connection is kept with it, so that its
// address can't come to stand for another one, until it is forgotten.
func (s *shared) handle(ctx context.Context, conn *sql.Conn) (handle, error) {
	if s.side == nil || s.dialect == "sqlite" {
		return handle{}, nil
	}
	var key any
	if err := conn.Raw(func(c any) error { key = c; return nil }); err != nil {
		return handle{}, err
	}
	s.mu.Lock()
	h, known := s.handles[key]
	s.mu.Unlock()
	if known {
		return h, nil
	}
	var err error
	if s.dialect == "postgres" {
		h, err = postgresHandle(ctx, conn, key)
	} else {
		h, err = mysqlHandle(ctx, conn)
	}
	if err != nil {
		return handle{}, err
	}
	h.conn = key
	most := max(fewHandles, 2*s.pool.Stats().OpenConnections)
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.handles) >= most {
		clear(s.handles)
	}
	s.handles[key] = h
	return h, nil
}

// forget gives up a connection that is gone, with all that its driver keeps in it.
func (s *shared) forget(h handle) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.handles, h.conn)
}

// gone reports whether the connection is of no more use to anybody, without asking the server.
func (t *transaction) gone() bool {
	gone := t.killed.Load()
	err := t.conn.Raw(func(c any) error {
		switch c := c.(type) {
		case driver.Validator:
			gone = gone || !c.IsValid()
		case interface{ Conn() *pgx.Conn }:
			gone = gone || c.Conn().IsClosed()
		}
		return nil
	})
	return gone || err != nil
}

// mysqlNode names a server, well enough to tell it from others behind the same address.
const mysqlNode = "CONCAT_WS(' ', @@hostname, @@port, @@server_id)"

// mysqlHandle has a connection take a lock under a random name. Such locks are local to a server, so that it alone finds its
// holder, and a pooler keeps the connection for the client that has one. Where they are forbidden, as in some clusters, nothing
// is killed.
func mysqlHandle(ctx context.Context, conn *sql.Conn) (handle, error) {
	lock := "session " + NewID()
	var got sql.NullInt64
	var node string
	err := conn.QueryRowContext(ctx, fmt.Sprintf("SELECT GET_LOCK('%s', 0), %s", lock, mysqlNode)).Scan(&got, &node)
	if serverError(err) != "" && !lost(err) || err == nil && got.Int64 != 1 {
		return handle{}, nil
	}
	return handle{kill: fmt.Sprintf("KILL IS_USED_LOCK('%s')", lock), node: node}, err
}

// postgresHandle finds a connection by its server process and when that began, as the system may give a process's number
// again. Behind a pooler, where it differs from the number that the client was given, the process may be another client's by then.
func postgresHandle(ctx context.Context, conn *sql.Conn, driverConn any) (handle, error) {
	var pid uint32
	var kill string
	err := conn.QueryRowContext(ctx, `SELECT pid, 'SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid = ' || pid ||
		' AND extract(epoch FROM backend_start) = ' || extract(epoch FROM backend_start)
		FROM pg_stat_activity WHERE pid = pg_backend_pid()`).Scan(&pid, &kill)
	if direct, ok := driverConn.(interface{ Conn() *pgx.Conn }); !ok || direct.Conn().PgConn().PID() != pid {
		return handle{label: true}, err
	}
	return handle{kill: kill}, err
}

// labelled marks the transaction where the connection tells nothing: the name is there until the transaction ends. (A
// query for its number would be its first, before which its caller may want to set its isolation level.)
func (t *transaction) labelled() error {
	if !t.handle.label {
		return nil
	}
	name := "session " + t.s.id
	if _, err := t.tx.ExecContext(t.s.ctx, fmt.Sprintf("SET LOCAL application_name = '%s'", name)); err != nil {
		return errors.Join(err, t.tx.Rollback())
	}
	t.handle.kill = fmt.Sprintf("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = '%s' AND xact_start IS NOT NULL", name)
	return nil
}

// maxKills is how often a kill is tried: the side pool's connections may have been lost too, or lead to other servers.
const maxKills = 8

// free has the server end the connection, and with it the transaction. It is called only while the
// connection is the session's and is of no more use, so that no other operation can be using it.
func (t *transaction) free() {
	if t.handle.kill == "" || t.killed.Swap(true) {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(t.s.ctx), patience)
	defer cancel()
	for range maxKills {
		if t.s.with.kill(ctx, t.handle) {
			return
		}
	}
}

// kill tries to end a connection. It reports false if another connection of the side pool may do what this one could not.
func (s *shared) kill(ctx context.Context, h handle) (done bool) {
	conn, err := s.side.Conn(ctx)
	if err != nil {
		return ctx.Err() != nil
	}
	defer func() { _ = conn.Close() }()
	_, err = conn.ExecContext(ctx, h.kill)
	const noSuchThread = 1094
	if my, ok := errors.AsType[*mysql.MySQLError](err); !ok || my.Number != noSuchThread {
		return !lost(err)
	}
	var node string // the connection may have ended already, or be another server's
	if err := conn.QueryRowContext(ctx, "SELECT "+mysqlNode).Scan(&node); err == nil && node == h.node {
		return true
	}
	_ = conn.Raw(func(any) error { return driver.ErrBadConn }) // the next one may be led elsewhere
	return false
}
