package database_test

import (
	"context"
	"net"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/stdlib"

	"rollcall/database"
	"rollcall/database/databasetest"
)

// slowWriter is a network connection on which a write takes so long that its answer is there before it ends.
type slowWriter struct {
	*net.TCPConn // that it can be looked at whether something has come
	slow         *atomic.Bool
	ended        chan struct{} // is told when what the connection is doing is to end
}

func (c slowWriter) Write(b []byte) (int, error) {
	n, err := c.TCPConn.Write(b)
	if c.slow.Load() {
		time.Sleep(100 * time.Millisecond)
	}
	return n, err
}

func (c slowWriter) SetDeadline(at time.Time) error {
	err := c.TCPConn.SetDeadline(at)
	if !at.IsZero() {
		c.ended <- struct{}{}
	}
	return err
}

// TestTheEndOfAContextFailsNobodyElsesStatement is about what is read in the background while a write takes long. (The drivers of the
// other databases close a connection whose context ends.)
func TestTheEndOfAContextFailsNobodyElsesStatement(t *testing.T) {
	databasetest.EachOf(t, "postgres", func(t *testing.T, kind string) {
		slow, ended := &atomic.Bool{}, make(chan struct{}, 10)
		pool, err := database.OpenPostgresThrough(databasetest.URL(t, kind), func(conn net.Conn) net.Conn {
			return slowWriter{conn.(*net.TCPConn), slow, ended}
		})
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = pool.Close() }()
		for range 2 { // pgx looks closely at a connection that it gives out for the second time
			if err := pool.PingContext(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		conn, err := pool.Conn(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		err = conn.Raw(func(c any) error {
			ctx, cancel := context.WithCancel(t.Context())
			slow.Store(true)
			rows, err := c.(*stdlib.Conn).Conn().Query(ctx, "SELECT 1")
			slow.Store(false)
			cancel() // once the answer is there, and before it is read
			if err != nil {
				return err
			}
			<-ended
			time.Sleep(50 * time.Millisecond) // until what reads in the background has failed
			rows.Close()
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		if err := conn.Close(); err != nil {
			t.Fatal(err)
		}
		var got int
		if err := pool.QueryRowContext(t.Context(), "SELECT 2").Scan(&got); err != nil || got != 2 {
			t.Errorf("the next one's statement: want 2, got %d and %v", got, err)
		}
	})
}
