package dialect

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"fmt"
)

// Handle is how a server can be told to end one connection. What remembers a connection's number may hit another's: a balancer
// leads to another server, and a pooler gives a server's connection to one client after the other. So a connection is found by
// what it alone has at that moment. The zero value finds none.
type Handle struct {
	kill       string // the statement that ends the connection
	node       string // MySQL: the server that must run it
	unlabelled bool   // PostgreSQL: the connection has nothing to find it by, so that each transaction needs a label
}

// Finds reports whether Kill can end the connection.
func (h Handle) Finds() bool { return h.kill != "" }

// Label returns the handle of a transaction that has just begun on the connection, and marks it with a name that no other has
// where the connection itself has nothing to find it by: the name is there until the transaction ends. (A query for its number would be
// its first, before which the transaction's isolation level may be set.) After an error the transaction is of no use.
func (h Handle) Label(ctx context.Context, tx *sql.Tx, name string) (Handle, error) {
	if !h.unlabelled {
		return h, nil
	}
	if _, err := tx.ExecContext(ctx, fmt.Sprintf("SET LOCAL application_name = '%s'", name)); err != nil {
		return h, err
	}
	h.kill = fmt.Sprintf("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = '%s' AND xact_start IS NOT NULL", name)
	return h, nil
}

// Kill has the server end the connection, by one of another pool. It is to be called only while nothing else can be using the
// connection. It reports false if another connection of that pool may do what this one could not.
func (h Handle) Kill(ctx context.Context, pool *sql.DB) (done bool) {
	side, err := pool.Conn(ctx)
	if err != nil {
		return ctx.Err() != nil
	}
	defer func() { _ = side.Close() }()
	_, err = side.ExecContext(ctx, h.kill)
	if m := MeaningOf(err); !m.Is(NoConnection) {
		return !m.Is(Lost | Interrupted)
	}
	var node string // the connection may have ended already, or be another server's
	if err := side.QueryRowContext(ctx, "SELECT "+mysqlNode).Scan(&node); err == nil && node == h.node {
		return true
	}
	_ = side.Raw(func(any) error { return driver.ErrBadConn }) // the next one may be led elsewhere
	return false
}

// Closed reports whether a driver's connection is known to be of no more use, without asking the server.
func Closed(conn any) bool {
	switch c := conn.(type) {
	case driver.Validator:
		return !c.IsValid()
	case pgxConn:
		return c.Conn().IsClosed()
	}
	return false
}
