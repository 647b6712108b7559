package session

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"time"

	"github.com/99designs/gqlgen/graphql"
	"github.com/vektah/gqlparser/v2/ast"
	"github.com/vektah/gqlparser/v2/gqlerror"
	"gorm.io/gorm"
)

// Extension is the gqlgen extension that gives each operation its session. It must be the last
// operation interceptor that is installed: an operation may run more than once, and what other
// interceptors do around it should happen once.
type Extension struct {
	// DB is the pool that mutations take their transaction from. Its connections are set to the isolation
	// level that mutations want.
	DB *gorm.DB
	// Reads is the pool of queries, best of connections that cannot write; DB where it is nil.
	Reads *gorm.DB
	// Bind returns ctx with whatever lives and ends with the session, such as dataloaders. It is called
	// once for each session, so once more when an operation is run again.
	Bind func(ctx context.Context) context.Context
	// Deadline is how long an operation may take; 0 is no limit.
	Deadline time.Duration
	// ErrorPresenter shows the session's own errors; graphql.DefaultErrorPresenter where it is nil.
	ErrorPresenter graphql.ErrorPresenterFunc
	// Logger hears of failures that no answer tells; slog.Default() where it is nil.
	Logger *slog.Logger
}

var _ interface {
	graphql.HandlerExtension
	graphql.OperationInterceptor
} = Extension{}

// ExtensionName names the extension in gqlgen's statistics.
func (Extension) ExtensionName() string { return "Session" }

// Validate refuses a missing pool, and takes over the pools' GORM callbacks.
func (e Extension) Validate(graphql.ExecutableSchema) error {
	if e.DB == nil {
		return errors.New("session: Extension.DB is nil: set it to the pool for mutations")
	}
	for _, db := range []*gorm.DB{e.DB, e.reads()} {
		if err := db.Use(plugin{}); err != nil && !errors.Is(err, gorm.ErrRegistered) {
			return fmt.Errorf("session: %w", err)
		}
		if !db.SkipDefaultTransaction {
			return errors.New("session: open GORM with SkipDefaultTransaction: the session is the transaction")
		}
		if db.PrepareStmt {
			return ErrPrepareStmt
		}
		if _, err := db.DB(); err != nil {
			return fmt.Errorf("session: %w", err)
		}
	}
	return nil
}

func (e Extension) reads() *gorm.DB {
	if e.Reads == nil {
		return e.DB
	}
	return e.Reads
}

func (e Extension) logger() *slog.Logger {
	if e.Logger == nil {
		return slog.Default()
	}
	return e.Logger
}

// InterceptOperation runs the operation in a session of its own.
func (e Extension) InterceptOperation(ctx context.Context, next graphql.OperationHandler) graphql.ResponseHandler {
	oc := graphql.GetOperationContext(ctx)
	r := &run{Extension: e, oc: oc, op: newOperation(oc), next: next}
	switch {
	case oc.Operation.Operation == ast.Subscription:
		return next(ctx)
	case oc.Operation.Operation == ast.Mutation:
		r.mode, r.db = writing, e.DB
	case oc.Operation.Directives.ForName("snapshot") != nil:
		r.mode, r.db = snapshot, e.reads()
	default:
		r.mode, r.db = pooled, e.reads()
	}
	if e.Deadline > 0 {
		r.ctx, r.cancel = context.WithTimeout(ctx, e.Deadline)
	} else {
		r.ctx, r.cancel = context.WithCancel(ctx)
	}
	return r.respond
}

// run is one operation on its way to its answer.
type run struct {
	Extension
	oc      *graphql.OperationContext
	op      Operation
	mode    mode
	db      *gorm.DB
	ctx     context.Context
	cancel  context.CancelFunc
	next    graphql.OperationHandler
	session *Session
	more    graphql.ResponseHandler // the parts of a deferred answer, or nil
}

// respond returns the operation's answer, then the parts of it that were deferred, then nil.
func (r *run) respond(context.Context) *graphql.Response {
	if r.more != nil {
		return r.part()
	}
	if r.next == nil {
		return nil
	}
	response := r.answer()
	r.next = nil
	if response.HasNext == nil || !*response.HasNext {
		r.finish()
	}
	return response
}

// part returns the next part of a deferred answer.
func (r *run) part() *graphql.Response {
	response := r.more(r.session.ctx)
	if response == nil || response.HasNext == nil || !*response.HasNext {
		r.more = nil
		r.finish()
	}
	return response
}

// finish ends the session of an answer that is complete.
func (r *run) finish() {
	r.close(r.session)
	r.cancel()
}

// close ends a session whose work is not to be kept.
func (r *run) close(s *Session) {
	if err := s.close(); err != nil {
		r.logger().Error("cannot roll back", "operation", r.op.String(), "error", err)
	}
}

// answer runs the operation until it succeeds, fails for good or runs out of time. Nothing
// has been written to the client meanwhile.
func (r *run) answer() *graphql.Response {
	for attempt := 0; ; attempt++ {
		response := r.attempt()
		s := r.session
		if s.mode == pooled || classify(s.failure()) != transient || !r.pause(attempt) {
			return response
		}
		r.logger().Debug("running the operation again", "operation", r.op.String(), "attempt", attempt+2, "error", s.failure())
	}
}

// pause waits a moment that grows with the attempts and is different for each, so that operations
// that stood in each other's way do not meet again. It reports false once the operation's time is up.
func (r *run) pause(attempt int) bool {
	longest := min(time.Millisecond<<min(attempt, 10), 200*time.Millisecond)
	select {
	case <-time.After(rand.N(longest) + longest/2):
		return true
	case <-r.ctx.Done():
		return false
	}
}

// attempt runs the operation once, in a new session with new loaders, and ends its transaction.
func (r *run) attempt() (response *graphql.Response) {
	s := newSession(r.ctx, r.op, r.mode, r.db)
	r.session = s
	if registry, ok := r.ctx.Value(registryKey{}).(*registry); ok {
		registry.add(func() { r.close(s) })
	}
	ctx := s.ctx
	if r.Bind != nil {
		ctx = r.Bind(ctx)
	}
	response, more := r.execute(ctx)
	switch {
	case response == nil:
		response = r.failed(nil, s.cause())
	case s.mode == writing && len(response.Errors) == 0:
		if err := s.commit(); err != nil {
			response = r.failed(nil, err)
			break
		}
		s.committed()
	case s.mode == writing:
		response = r.failed(response, nil)
	}
	if response.HasNext != nil && *response.HasNext {
		r.more = more
	} else {
		r.close(s)
	}
	return response
}

// execute lets gqlgen resolve and marshal the operation. A panic of a marshaller, which gqlgen
// does not recover, becomes an error.
func (r *run) execute(ctx context.Context) (response *graphql.Response, more graphql.ResponseHandler) {
	defer func() {
		if p := recover(); p != nil {
			response = r.failed(nil, r.oc.RecoverFunc(ctx, p))
		}
	}()
	more = r.next(ctx)
	return more(ctx), more
}

// failed returns an answer without data: that of response with its errors, or one that tells err.
func (r *run) failed(response *graphql.Response, err error) *graphql.Response {
	if response == nil {
		response = &graphql.Response{}
	}
	response.Data = json.RawMessage("null")
	if err != nil {
		present := r.ErrorPresenter
		if present == nil {
			present = graphql.DefaultErrorPresenter
		}
		response.Errors = append(response.Errors, present(r.session.ctx, gqlerror.Wrap(err)))
	}
	return response
}

// committed runs the hooks.
func (s *Session) committed() {
	s.hooksMu.Lock()
	hooks := s.hooks
	s.hooks = nil
	s.hooksMu.Unlock()
	for _, fn := range hooks {
		fn()
	}
}
