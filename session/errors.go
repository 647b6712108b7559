package session

import (
	"context"
	"errors"
	"fmt"
	"time"

	"rollcall/dialect"
)

// Errors that callers can test for with errors.Is. Each says what to do instead.
var (
	ErrReadOnly    = errors.New("session: a query cannot write; use a mutation, or session.Write")
	ErrRows        = errors.New("session: Rows, Row and Scan leave a result open on a connection that is shared; use Find, or session.Do")
	ErrPrepareStmt = errors.New("session: PrepareStmt takes statements past the operation's session; leave it out")
	// ErrNoOperation is what Proof.Outcome returns for something that is not the id of an operation.
	ErrNoOperation = errors.New("session: not the id of an operation")
	// ErrConnection is what DB and Connection get, and a statement that a plugin would run elsewhere.
	ErrConnection = errors.New("session: this would take a connection past the operation's session; use session.Do")
	ErrOutside    = errors.New("session: this statement belongs to an operation by its context, and would run outside the operation's transaction; use session.DB(ctx), or another context for what is to stay whatever becomes of the operation")
	ErrDone       = errors.New("session: the tx of session.Do was used after Do returned")
	ErrNested     = errors.New("session: the session was used within session.Do, or for a row of session.Query, which holds its connection until it returns; within Do use its tx, and read the rows before more is asked")
	// ErrWithin is what Run returns within a session. A unit of its own would wait for what that one has locked, on SQLite
	// for its very connection, and that one for it.
	ErrWithin       = errors.New("session: session.Run was called within a session, or in a hook after its commit: use session.DB(ctx) there, or call Run from another goroutine with another context for what is to stay whatever becomes of the session")
	ErrNotInstalled = errors.New("session: the pools are not installed: call session.Pools.Install once, before they are used")
	// ErrTransaction is what Begin and Transaction get, and raw SQL of that kind, after which a Write is not committed.
	ErrTransaction = errors.New("session: the operation's transaction is not to be begun, ended or marked by those who use it (nor by what MySQL commits by itself, such as CREATE TABLE); use session.Do, and within it Transaction for a savepoint")
)

// ClosedError is what a statement gets after its session has ended.
type ClosedError struct{ Operation Operation }

func (e *ClosedError) Error() string {
	return fmt.Sprintf("session: used after the end of %s", e.Operation)
}

// DeadError is what a statement gets after an error that ended the transaction on the server.
type DeadError struct {
	Operation Operation
	Err       error // the fatal error
}

func (e *DeadError) Error() string {
	return fmt.Sprintf("session: the transaction of %s has ended: %v", e.Operation, e.Err)
}

func (e *DeadError) Unwrap() error { return e.Err }

// DeadlineError is what ends an operation that takes longer than Pools.Deadline. It is context.DeadlineExceeded too.
type DeadlineError struct {
	Operation Operation
	Deadline  time.Duration
}

func (e *DeadlineError) Error() string {
	return fmt.Sprintf("session: %s took longer than %s", e.Operation, e.Deadline)
}

func (e *DeadlineError) Unwrap() error { return context.DeadlineExceeded }

// CommitError is the failure of a COMMIT: nothing was stored.
type CommitError struct {
	Operation Operation
	Err       error
}

func (e *CommitError) Error() string {
	return fmt.Sprintf("session: cannot commit %s: %v", e.Operation, e.Err)
}

func (e *CommitError) Unwrap() error { return e.Err }

// OutcomeUnknownError is what a Write gets whose COMMIT was not answered, or with an error that may not have
// prevented it, where it could not be learned in time whether it was stored. Proof.Outcome may know later, by the ID.
type OutcomeUnknownError struct {
	Operation Operation
	ID        string // of the attempt
	Err       error
}

func (e *OutcomeUnknownError) Error() string {
	return fmt.Sprintf("session: it is not known whether %s was stored (ask for %s later): %v", e.Operation, e.ID, e.Err)
}

func (e *OutcomeUnknownError) Unwrap() error { return e.Err }

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
	if _, again := errors.AsType[againError](err); again {
		return transient
	}
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

// moves reports whether what has failed so for a unit of a kind may succeed at another server.
func moves(err error, kind Kind) bool {
	if _, unknown := errors.AsType[*OutcomeUnknownError](err); unknown {
		return false
	}
	m := dialect.MeaningOf(err)
	if _, nothing := errors.AsType[*CommitError](err); nothing && m.Is(dialect.Outdated) { // so the proof says
		return true
	}
	return m.Is(dialect.Lost) || m.Is(dialect.Misplaced) && (kind == Write || !m.Is(dialect.ReadOnly))
}
