package database

import (
	"context"
	"crypto/rand"
	"database/sql"

	"github.com/jackc/pgx/v5"
)

// Signal carries wake-ups between the processes at one database of PostgreSQL, by LISTEN and NOTIFY. It is for changelog.Follower.
type Signal struct {
	channel string
	id      string // of this process, which need not be woken by itself
	pool    *sql.DB
	listen  listen
}

// listen connects for waiting. The connection is lost when another host becomes the writer, and end is to be called when it is not needed any more.
// The error is errors.ErrUnsupported where a pooler in transaction mode gives no connection that could wait.
type listen func(ctx context.Context) (conn *pgx.Conn, end func(), err error)

// Signal returns the signal of a name; ok reports whether the database has any.
func (d *Database) Signal(name string) (s *Signal, ok bool) {
	if d.signal == nil {
		return nil, false
	}
	return &Signal{name, rand.Text(), d.Side, d.signal}, true
}

// Send wakes the processes that wait. In a transaction that writes it would keep the commits of all others waiting, so it has its own.
func (s *Signal) Send(ctx context.Context) error {
	_, err := s.pool.ExecContext(ctx, "SELECT pg_notify($1, $2)", s.channel, s.id)
	return err
}

// Wait calls woken when it begins to hear, and whenever another process has sent, until ctx ends or the connection, which is its own, is lost.
// Behind a pooler in transaction mode the error is errors.ErrUnsupported.
func (s *Signal) Wait(ctx context.Context, woken func()) error {
	connecting, cancel := context.WithTimeout(ctx, connectTimeout)
	defer cancel()
	conn, end, err := s.listen(connecting)
	if err != nil {
		return err
	}
	defer end()
	if _, err := conn.Exec(connecting, "LISTEN "+pgx.Identifier{s.channel}.Sanitize()); err != nil {
		return err
	}
	for {
		woken() // what was sent before is known of now
		for {
			n, err := conn.WaitForNotification(ctx)
			if err != nil {
				return err
			}
			if n.Payload != s.id {
				break
			}
		}
	}
}
