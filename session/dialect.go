package session

import (
	"context"
	"errors"

	"rollcall/dialect"
)

// severity is what an error means for the transaction in which it occurred.
type severity int

const (
	harmless  severity = iota // the transaction goes on, as far as the server allows
	fatal                     // the transaction has ended
	transient                 // it has ended, and running the operation again may well succeed
	misplaced                 // it is of no use on this connection; on another one the operation may succeed
)

// classify returns what err means for a transaction.
func classify(err error) severity {
	var unknown *OutcomeUnknownError
	switch m := dialect.MeaningOf(err); {
	case errors.As(err, &unknown): // whatever made it so
		return fatal
	case m.Is(dialect.Transient):
		return transient
	case m.Is(dialect.Misplaced):
		return misplaced
	// A statement's own context, shorter than the operation's, has ended more than the statement.
	case m.Is(dialect.Lost), m.Number == "" && errors.Is(err, context.Canceled):
		return fatal
	}
	return harmless
}

// waited reports whether err is the end of a wait for a lock.
func waited(err error) bool { return dialect.Is(err, dialect.Waited) }
