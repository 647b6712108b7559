package session

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"math/rand/v2"
	"sync/atomic"
	"time"

	"gorm.io/gorm"

	"rollcall/dialect"
)

// Kind is how a unit of work reaches the database.
type Kind int

// The kinds.
const (
	Read     Kind = iota // each statement on a connection of its own; no writes
	Snapshot             // one read-only transaction
	Write                // one transaction
)

func (k Kind) String() string { return [...]string{"read", "snapshot", "write"}[k] }

// Pools are one database, and how units of work are to use it.
type Pools struct {
	// Write is the pool that writes take their transaction from. Its connections are set to the isolation
	// level that these want.
	Write *gorm.DB
	// Read is the pool of the other kinds, best of connections that cannot write; Write where it is nil.
	Read *gorm.DB
	// Choose returns the replica at which a unit of the kinds Read and Snapshot is to read; where it is nil, or returns nil, that is Read.
	// It is asked once for each session.
	Choose func(ctx context.Context, needs Needs) Replica
	// Side is a small pool of its own from which connections are killed whose unit of work was cancelled during a statement.
	// Where it is nil, or MySQL allows no GET_LOCK, the locks of such a statement are kept until it has ended.
	Side *sql.DB
	// Proof finds out what became of a write whose connection was lost at COMMIT. Where it is
	// nil, such a write ends with an OutcomeUnknownError at once.
	Proof *Proof
	// Deadline is how long a unit of work may take, and until when what loses conflicts is run again. 0 is no limit; then it
	// is run ten times at most, and not again once a minute has passed.
	Deadline time.Duration
	// Moves says that the pools find another server by themselves where theirs is gone or takes no writes. Then what has lost its connection, or
	// found none, runs again until the deadline, unless it is not known whether it was stored.
	Moves bool
	// Logger hears of failures that no error reports; slog.Default() where it is nil.
	Logger *slog.Logger
}

// Install refuses pools that cannot work, and takes over their GORM callbacks. It must return before the pools are used,
// and may be called again.
func (p Pools) Install() error {
	if p.Write == nil {
		return errors.New("session: Pools.Write is nil: set it to the pool for writes")
	}
	if p.Proof != nil && p.Proof.DB == nil {
		return errors.New("session: Pools.Proof.DB is nil: set it to a pool of its own")
	}
	for _, db := range []*gorm.DB{p.Write, p.of(Read)} {
		if !db.SkipDefaultTransaction {
			return errors.New("session: open GORM with SkipDefaultTransaction: the session is the transaction")
		}
		if db.PrepareStmt {
			return ErrPrepareStmt
		}
		if err := install(db, p.Side); err != nil {
			return fmt.Errorf("session: %w", err)
		}
	}
	return nil
}

// of returns the pool for a kind.
func (p Pools) of(k Kind) *gorm.DB {
	if k == Write {
		return p.Write
	}
	return cmp.Or(p.Read, p.Write)
}

func (p Pools) logger() *slog.Logger { return cmp.Or(p.Logger, slog.Default()) }

// Run runs fn as one unit of work, under a context whose session DB, Query and Do use. What a Write has written is stored once
// Run has returned nil, and nothing of it is where Run returns an error: that of fn, a *DeadlineError, a *CommitError, a *DeadError, the
// context's own, or that of the last conflict. Without Pools.Install it is ErrNotInstalled. An *OutcomeUnknownError leaves it open. A panic in fn takes everything back and
// goes on.
//
// After a conflict with others fn is run again, as a whole, in a new session: it must not keep what an earlier attempt has
// computed. name is for logs and errors. Within a session, or in a hook after its commit, Run returns ErrWithin.
func Run(ctx context.Context, pools Pools, kind Kind, name string, fn func(ctx context.Context) error) error {
	u := Unit{Pools: pools, Kind: kind, Operation: NewOperation("", kind.String(), name)}
	return u.Call(ctx, fn)
}

// Call is the function Run for a unit that its caller names, and counts.
func (u *Unit) Call(ctx context.Context, fn func(ctx context.Context) error) error {
	if s, err := FromContext(ctx); err == nil && s.ctx.Err() == nil {
		return ErrWithin
	}
	if db := u.of(u.Kind); db == nil || sharedOf(db) == nil {
		return ErrNotInstalled
	}
	return u.Run(ctx, func(s *Session) error {
		if err := s.cause(); err != nil {
			return err
		}
		return fn(s.ctx)
	})
}

// Unit is one unit of work, for a caller that names it by itself, looks at each of its sessions, and counts. Others call Run.
type Unit struct {
	Pools      // installed
	Kind       Kind
	Operation  Operation
	Needs      Needs        // of a Read or a Snapshot
	Home       bool         // it reads at Pools.Read, and Choose is not asked
	Attempts   atomic.Int32 // that have begun
	Statements atomic.Int64 // that were run, in all attempts
	Rows       atomic.Int64 // that they have read or changed
	Spent      atomic.Int64 // nanoseconds at the database, with waits for connections; of what runs at once each counts
	Trace      *Trace       // keeps the statements; nil: nothing does

	until time.Time
	late  DeadlineError
}

// patientAttempts is how often a write that stands in others' way is run beside them, before it is run alone.
const patientAttempts = 4

// maxAttempts and maxRerunning bound a unit of work without a deadline.
const (
	maxAttempts  = 10
	maxRerunning = time.Minute
)

// Run calls fn until it succeeds, fails for good or runs out of time, each time with a new session that ends with it. It
// returns fn's error, or that of the session. fn is called even if ctx has ended.
func (u *Unit) Run(ctx context.Context, fn func(*Session) error) error {
	began, moved := time.Now(), false // moved to another connection, which is tried once
	elsewhere := false                // read again, which is tried once
	conflicts := 0
	u.until = began.Add(cmp.Or(u.Deadline, maxRerunning)) // without a deadline it is for those that are run again alone
	u.late = DeadlineError{u.Operation, u.Deadline}
	var s *Session
	defer func() { s.answered() }()
	for attempt := 1; ; attempt++ {
		u.Attempts.Add(1)
		within, end := u.context(ctx)
		s = newSession(within, end, u)
		if attempt > 1 {
			s.id = NewID()
		}
		s.exclusive = conflicts >= patientAttempts
		s.hooks.certain = s.hooks.certain && !u.Moves && u.Choose == nil // else it may be run again
		err := u.attempt(s, fn)
		if s.Useless() && !elsewhere && ctx.Err() == nil {
			elsewhere, u.Home = true, true
			u.logger().Debug("a replica has failed: reading again", "operation", u.Operation.String(), "error", err)
			continue
		}
		cause := s.dead // stands, as the session has been closed, unless it is a Read that goes on, which is never dead
		switch severity := classify(cause); {
		case u.lost(ctx, s) != nil:
			cause = u.lost(ctx, s)
			if err := u.pause(ctx, attempt, cause); err != nil {
				return because(err, cause)
			}
		case u.Kind != Read && severity == misplaced && !moved:
			moved = true
		case u.Kind == Read || severity != transient:
			return err
		case u.Deadline == 0 && (attempt == maxAttempts || time.Since(began) > maxRerunning):
			return fmt.Errorf("session: %s has lost conflicts in %d attempts: %w", u.Operation, attempt, cause)
		default:
			conflicts++
			if err := u.pause(ctx, attempt, cause); err != nil {
				return because(err, cause)
			}
		}
		u.logger().Debug("running the operation again", "operation", u.Operation.String(), "attempt", attempt+1, "error", cause)
	}
}

// lost returns the loss of a connection, or a refusal that another server would not make, after which the unit runs again since its pools move. What
// may have been stored does not, nor what has begun to be answered.
func (u *Unit) lost(ctx context.Context, s *Session) error {
	over := ctx.Err() != nil || time.Now().After(u.until)
	if !u.Moves || s.kept || over {
		return nil
	}
	cause := s.dead
	if lost := s.lost.Load(); u.Kind == Read && lost != nil {
		cause = *lost
	}
	if !moves(cause, u.Kind) {
		return nil
	}
	return cause
}

// attempt calls fn once and ends the session, even if fn panics.
func (u *Unit) attempt(s *Session, fn func(*Session) error) error {
	defer func() {
		if !s.kept {
			s.Close()
		}
	}()
	if err := fn(s); err != nil || u.Kind != Write {
		return err
	}
	if err := s.beforeCommit(); err != nil {
		return err
	}
	return s.commit()
}

// context returns ctx until the unit's deadline.
func (u *Unit) context(ctx context.Context) (context.Context, context.CancelFunc) {
	if u.Deadline == 0 {
		return context.WithCancel(ctx)
	}
	return context.WithDeadlineCause(ctx, u.until, &u.late)
}

// pause waits a moment, and returns why there is no time for that.
func (u *Unit) pause(ctx context.Context, attempt int, cause error) error {
	ctx, cancel := u.context(ctx)
	defer cancel()
	paused(ctx, attempt, cause)
	return context.Cause(ctx)
}

// paused waits a moment that grows with the attempts and is different for each, so that operations
// that stood in each other's way do not meet again: longer after a wait for a lock, which its holder may keep, and
// which a database may refuse at once. It reports whether the context has not ended.
func paused(ctx context.Context, attempt int, cause error) bool {
	maxPause := 100 * time.Millisecond
	if dialect.Is(cause, dialect.Waited) {
		maxPause = time.Second
	}
	select {
	case <-time.After(rand.N(min(time.Millisecond<<min(attempt, 10), maxPause))):
	case <-ctx.Done():
	}
	return ctx.Err() == nil
}

// Open returns a session of kind Read that lives until Close, or until ctx ends. The deadline begins with its first statement: a
// stream that waits for its next event has nothing to be late with.
func (u *Unit) Open(ctx context.Context) *Session {
	ctx, cancel := context.WithCancelCause(ctx)
	if u.Deadline == 0 {
		return newSession(ctx, func() { cancel(nil) }, u)
	}
	timer := time.AfterFunc(math.MaxInt64, func() { cancel(&DeadlineError{u.Operation, u.Deadline}) })
	s := newSession(ctx, func() { timer.Stop(); cancel(nil) }, u)
	s.timer = timer
	return s
}
