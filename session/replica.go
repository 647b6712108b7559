package session

import (
	"context"
	"errors"
	"sync"

	"gorm.io/gorm"

	"rollcall/dialect"
)

// Needs are what a unit of work that only reads has to see.
type Needs struct {
	After   []string // the Writes that have these ids, as Session.Stored has them
	Current bool     // all that is committed: it reads at Pools.Read
}

// Replica is a database to which the changes of Pools.Write's come, later, and at which units of work of the kinds Read and Snapshot
// may read. It is safe for concurrent use.
type Replica interface {
	// DB returns its pool, which is installed.
	DB() *gorm.DB
	// Begin counts a unit that begins to read. The context ends once the replica does not answer any more: the unit is run again then.
	Begin() (gone context.Context)
	// End counts the unit's end.
	End()
	// Failed is told of an error of the replica, which a unit has met.
	Failed(err error)
}

// errGone is why a session at a replica ends that does not answer any more.
var errGone = errors.New("session: the replica does not answer any more")

// choose returns the replica at which the unit is to read; nil: at its own pool.
func (u *Unit) choose(ctx context.Context) Replica {
	if u.Kind == Write || u.Choose == nil || u.Home {
		return nil
	}
	return u.Choose(ctx, u.Needs)
}

// readAt has the session read at a replica, and returns its context, which ends once that has gone.
func (s *Session) readAt(ctx context.Context, replica Replica) context.Context {
	s.replica = replica
	gone, end := replica.Begin(), s.end
	ctx, cancel := context.WithCancelCause(ctx)
	stop := context.AfterFunc(gone, func() {
		s.again.Store(true)
		cancel(errGone)
	})
	s.end = sync.OnceFunc(func() {
		stop()
		end()
		cancel(nil)
		replica.End()
	})
	return ctx
}

// noteReplica has the unit run once more if err is the replica's and not the unit's own: a read leaves nothing, and another database may well
// answer it.
func (s *Session) noteReplica(err error) {
	if s.replica == nil || s.ctx.Err() != nil {
		return
	}
	if m := dialect.MeaningOf(err); m.Number != "" || m.Is(dialect.Lost) {
		s.again.Store(true)
		s.replica.Failed(err)
	}
}

// ReadAgain has Unit.Run run a Read once more, at Pools.Read, in whose session it is called: what it was given from elsewhere is of no use.
func (s *Session) ReadAgain() { s.again.Store(true) }

// Useless reports whether a replica at which the session reads has failed: what was read may lack something.
func (s *Session) Useless() bool { return s.again.Load() }

// Replica returns where the session reads; nil: at the pool of its kind.
func (s *Session) Replica() Replica { return s.replica }

// Stored returns the id by which Proof knows that the session's transaction was stored, or may have been; "": it has stored nothing, or
// there is no proof. A database that has a row of that id in session_operations has all that the transaction has written.
func (s *Session) Stored() string { return s.stored }
