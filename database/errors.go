package database

import (
	"errors"
	"time"

	"rollcall/dialect"
)

// unlessOvertaken runs a transaction, and again as long as another one has written the same rows or altered the same table first, ten
// times at most. One that has waited for another in vain is not run again.
func unlessOvertaken(transaction func() error) (err error) {
	for range 10 {
		err = transaction()
		if m := dialect.MeaningOf(err); !m.Is(dialect.Unique|dialect.Exists|dialect.Transient) || m.Is(dialect.Waited) {
			break
		}
		time.Sleep(100 * time.Millisecond)
	}
	return err
}

// Unavailable returns why the database cannot serve now, in words for people, or "" if err does not say that. What ends at a
// deadline counts too, as far as the network says so: look for context.DeadlineExceeded first.
func Unavailable(err error) string {
	if _, ok := errors.AsType[*movedError](err); ok {
		return "the database's file has been deleted or replaced, and the server must be started again"
	}
	if none, ok := errors.AsType[*noHostError](err); ok {
		return none.Error()
	}
	if errors.Is(err, errReadOnly) {
		return string(dialect.FaultReadOnly)
	}
	return string(dialect.MeaningOf(err).Fault)
}

// Unreachable reports whether err means that the server can't be reached, or has closed the connection.
func Unreachable(err error) bool { return dialect.MeaningOf(err).Fault == dialect.FaultUnreachable }

// OverTime reports whether the server has ended a statement since that took too long.
func OverTime(err error) bool { return dialect.Is(err, dialect.OverTime) }

// Cancelled reports whether PostgreSQL has ended a statement, for taking too long or at a request: it gives both one code.
func Cancelled(err error) bool { return dialect.Is(err, dialect.Cancelled) }
