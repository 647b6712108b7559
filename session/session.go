package session

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"gorm.io/gorm"

	"rollcall/dialect"
)

// Session is the hold on the database of one attempt at a unit of work. It is safe for concurrent use.
type Session struct {
	unit *Unit
	op   Operation // the unit's
	id   string    // of this attempt, for the proof of its commit
	kind Kind
	ctx  context.Context // the operation's: every statement runs under it
	end  context.CancelFunc
	base *gorm.DB // the pool of its kind
	once sync.Once
	db   *gorm.DB // what DB returns, once it was asked for
	pool sharedPool
	with *shared

	replica Replica     // at which a Read or a Snapshot reads; nil: at the pool of its kind
	again   atomic.Bool // see ReadAgain
	stored  string      // see Stored

	timer     *time.Timer  // of the deadline, where that begins with the first statement; else nil
	until     atomic.Int64 // when it passes then, in Unix nanoseconds; 0: no statement has begun
	exclusive bool         // the transaction wants to be the only one
	kept      bool         // see Keep

	closed    atomic.Bool
	discarded atomic.Bool           // see Discard
	reading   sync.RWMutex          // of a Read: each statement holds it for reading, and Close waits for them
	doing     atomic.Int32          // calls of Do that have not returned
	stays     atomic.Bool           // see Stay
	slot      chan struct{}         // holds one token: the right to use what follows
	tx        *transaction          // nil until the first statement, and after the end
	dead      error                 // the first fatal error
	lost      atomic.Pointer[error] // of a Read: the first error that another server would not have made
	conn      *sql.Conn             // on which a Read stays; nil until the first statement there, and after the end
	settling  bool                  // nothing has run on that yet

	hooks hooks
}

type contextKey struct{}

// FromContext returns the session of the operation that ctx belongs to.
func FromContext(ctx context.Context) (*Session, error) {
	if s, ok := ctx.Value(contextKey{}).(*Session); ok {
		return s, nil
	}
	return nil, errors.New("session: no session in the context: call this within session.Run, or in a resolver of a server that operation.Handler serves, and pass its context on")
}

// NewContext returns ctx with a session, which does not end it.
func NewContext(ctx context.Context, s *Session) context.Context {
	return context.WithValue(ctx, contextKey{}, s)
}

func mustFromContext(ctx context.Context) *Session {
	s, err := FromContext(ctx)
	if err != nil {
		panic(err)
	}
	return s
}

// KindOf returns the kind of what ctx belongs to. It panics where there is no session.
func KindOf(ctx context.Context) Kind { return mustFromContext(ctx).kind }

// DB returns the GORM session of the operation that ctx belongs to. Its statements run under the
// operation's context, and fail with a typed error once the session has ended. It panics
// where there is no session. GORM's Migrator is not for it: its HasTable takes an error for a no.
func DB(ctx context.Context) *gorm.DB {
	s := mustFromContext(ctx)
	db := *s.gorm() // a copy, since GORM's Rollback and SavePoint keep their error in it
	if s.unit.Trace != nil {
		return db.WithContext(context.WithValue(s.ctx, purpose{}, ctx.Value(purpose{})))
	}
	return &db
}

// gorm returns the GORM session that DB returns copies of.
func (s *Session) gorm() *gorm.DB {
	s.once.Do(func() {
		s.db = s.base.Session(&gorm.Session{NewDB: true})
		s.db.Config.ConnPool = &s.pool // Config is a copy; see astray
		s.db.Statement = &gorm.Statement{DB: s.db, ConnPool: &s.pool, Context: s.ctx}
	})
	return s.db
}

// newSession returns a session that lives as long as ctx, which end ends.
func newSession(ctx context.Context, end context.CancelFunc, u *Unit) *Session {
	db, replica := u.of(u.Kind), u.choose(ctx)
	if replica != nil {
		db = replica.DB()
	}
	s := &Session{unit: u, op: u.Operation, id: u.Operation.ID, kind: u.Kind, base: db, with: sharedOf(db), slot: make(chan struct{}, 1), end: end}
	s.hooks.certain = u.Kind == Read
	if replica != nil {
		ctx = s.readAt(ctx, replica)
	}
	s.ctx = NewContext(ctx, s)
	s.pool.s = s
	return s
}

// Context returns the context of the session, which ends with it.
func (s *Session) Context() context.Context { return s.ctx }

// Keep lets a session of kind Read go on when the function that Unit.Run has given it to returns. Close must follow.
func (s *Session) Keep() { s.kept = true }

// enter admits one statement, whose text is "" where GORM has yet to write it. In a transaction it waits until no other is
// running, and begins the transaction at the first. leave must follow where it returns nil.
func (s *Session) enter(text string, write bool) error {
	if s.closed.Load() { // and a hook may be running, which the slot would wait for
		return &ClosedError{s.op}
	}
	if write && s.kind != Write {
		return ErrReadOnly
	}
	if s.timer != nil && s.until.CompareAndSwap(0, time.Now().Add(s.unit.Deadline).UnixNano()) {
		s.timer.Reset(s.unit.Deadline)
	}
	if err := s.acquire(); err != nil {
		return err
	}
	err := s.ready()
	if err == nil && controls(text, s.with.dialect, false) {
		if err = ErrTransaction; s.kind != Read {
			s.dead = err // a Write is not committed: the error may be swallowed, and GORM's SavePoint and RollbackTo do
		}
	}
	if err != nil {
		s.leave()
	}
	return err
}

func (s *Session) leave() {
	if s.kind == Read {
		s.reading.RUnlock()
		return
	}
	<-s.slot
}

// cause returns why nothing more can be done in the session, or nil.
func (s *Session) cause() error {
	if s.closed.Load() {
		return &ClosedError{s.op}
	}
	return context.Cause(s.ctx)
}

// ready makes sure of a live transaction, unless the session has none. In a transaction the caller holds the slot.
func (s *Session) ready() error {
	err := s.usable()
	if err != nil || s.kind == Read || s.tx != nil {
		return err
	}
	began := time.Now()
	s.tx, err = begin(s)
	s.spent(s.ctx, began, "BEGIN", nil, 0, err)
	if err != nil {
		s.note(err)
		return s.explain(err)
	}
	return nil
}

// usable returns why no statement can run, or nil. In a transaction the caller holds the slot.
func (s *Session) usable() error {
	if err := s.cause(); err != nil {
		return err
	}
	if s.dead != nil {
		return &DeadError{s.op, s.dead}
	}
	return nil
}

// note marks the session dead if err has ended its transaction. That a Read or a Snapshot is refused its write, as it should be, ends nothing.
// In a transaction the caller holds the slot.
func (s *Session) note(err error) {
	s.noteReplica(err)
	if s.kind == Read {
		if s.unit.Moves && moves(err, Read) {
			s.lost.CompareAndSwap(nil, &err)
		}
		return
	}
	if s.dead != nil {
		return
	}
	if classify(err) != harmless && (s.kind == Write || !dialect.Is(err, dialect.ReadOnly)) {
		s.dead = err
	}
}

// explain adds to an error why the session has ended, where it is a consequence of that.
func (s *Session) explain(err error) error {
	if dialect.Is(err, dialect.OverTime|dialect.Cancelled) { // perhaps at its own limit of time
		until, ok := s.ctx.Deadline()
		if nanos := s.until.Load(); nanos != 0 {
			until, ok = time.Unix(0, nanos), true
		}
		if ok && time.Until(until) < Leeway {
			<-s.ctx.Done()
		}
	}
	return because(s.cause(), err)
}

// Leeway is how much earlier than the operation's deadline a database may end a statement that has the same limit.
const Leeway = 100 * time.Millisecond

// because is err with its cause, if it has one.
func because(cause, err error) error {
	if err != nil && cause != nil && !errors.Is(err, cause) {
		return fmt.Errorf("%w (%w)", cause, err)
	}
	return err
}

// after is called when a statement has failed. In a transaction the caller holds the slot.
func (s *Session) after(err error) error {
	s.note(err)
	if s.tx != nil {
		if s.kind == Write && s.dead == nil && s.with.dialect.RolledBack(context.WithoutCancel(s.ctx), s.tx.tx) {
			s.dead = err // later statements would be stored at once
		}
		if s.ctx.Err() != nil {
			s.tx.abandon()
		}
	}
	return s.explain(err)
}

// commit stores what the session wrote, unless that is discarded, after which it is closed. Where the error is nil or an
// *OutcomeUnknownError, it may have been stored; else nothing has. Close must follow.
func (s *Session) commit() error {
	s.slot <- struct{}{}
	defer func() { <-s.slot }()
	err := s.usable() // a cancelled operation is never committed
	s.closed.Store(true)
	if err != nil || s.discarded.Load() {
		return err
	}
	turn := s.queue()
	if s.tx != nil {
		err = s.tx.commit()
		if _, unknown := errors.AsType[*OutcomeUnknownError](err); s.unit.Proof != nil && (err == nil || unknown) {
			s.stored = s.id
		}
		s.note(err)
		s.tx.release()
		s.tx = nil
	}
	turn(err == nil)
	return err
}

// Close ends the session and takes back what it wrote but did not commit. It may be called at any time and more
// than once, but by no function of Do and for no row of Query: it waits until the statements that are under way have given way.
func (s *Session) Close() {
	s.closed.Store(true)
	cancelled := s.ctx.Err() != nil
	s.end() // the statements that are running, if any, give way
	s.reading.Lock()
	defer s.reading.Unlock()
	s.slot <- struct{}{}
	defer func() { <-s.slot }()
	s.unsettle()
	if s.tx == nil {
		return
	}
	err := s.tx.rollback()
	s.tx.release()
	s.tx = nil
	if err != nil && s.dead == nil && !cancelled && !errors.Is(err, sql.ErrTxDone) { // else it, or its connection, had ended already
		s.unit.logger().Error("cannot roll back", "operation", s.op.String(), "error", err)
	}
}
