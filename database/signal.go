package database

import (
	"context"
	"crypto/rand"
	"database/sql"
	"errors"

	"github.com/jackc/pgx/v5"
)

// Signal carries wake-ups between the processes at one database of PostgreSQL, by LISTEN and NOTIFY. It is for changelog.Follower.
type Signal struct {
	channel string
	id      string // of this process, which need not be woken by itself
	pool    *sql.DB
	config  *pgx.ConnConfig // nil: a pooler in transaction mode gives no connection that could wait
}

// Signal returns the signal of a name; ok reports whether the database has any.
func (d *Database) Signal(name string) (s *Signal, ok bool) {
	if d.signal == nil {
		return nil, false
	}
	return &Signal{name, rand.Text(), d.Side, d.signal()}, true
}

// Send wakes the processes that wait. In a transaction that writes it would keep the commits of all others waiting, so it has its own.
func (s *Signal) Send(ctx context.Context) error {
	_, err := s.pool.ExecContext(ctx, "SELECT pg_notify($1, $2)", s.channel, s.id)
	return err
}

// Wait calls woken when it begins to hear, and whenever another process has sent, until ctx ends or the connection, which is its own, is lost.
// Behind a pooler in transaction mode the error is errors.ErrUnsupported.
func (s *Signal) Wait(ctx context.Context, woken func()) error {
	if s.config == nil {
		return errors.ErrUnsupported
	}
	connecting, cancel := context.WithTimeout(ctx, connectTimeout)
	defer cancel()
	conn, err := pgx.ConnectConfig(connecting, s.config)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
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
