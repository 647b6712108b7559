package session

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/99designs/gqlgen/graphql"
	"github.com/vektah/gqlparser/v2/ast"
	"gorm.io/gorm"
)

// Extension is the gqlgen extension that gives each operation its session. It must be the last
// operation interceptor that is installed, which Handler checks: an operation may run more than once, and
// what other interceptors do around it should happen once. Response interceptors run before the
// commit: what they see may still come to nothing.
type Extension struct {
	// DB is the pool that mutations take their transaction from. Its connections are set to the isolation
	// level that mutations want.
	DB *gorm.DB
	// Reads is the pool of queries, best of connections that cannot write; DB where it is nil.
	Reads *gorm.DB
	// Side is a small pool of its own from which connections are killed whose operation was cancelled
	// during a statement. Where it is nil, or MySQL allows no GET_LOCK, the locks of such a statement are kept until it has
	// ended.
	Side *sql.DB
	// Proof finds out what became of a mutation whose connection was lost at COMMIT. Where it is
	// nil, such a mutation is answered with an OutcomeUnknownError at once.
	Proof *Proof
	// Bind returns ctx with whatever lives and ends with the session, such as dataloaders. It is called
	// once for each session, so once more when an operation is run again, and once for a Group (see GroupOf).
	Bind func(ctx context.Context) context.Context
	// Deadline is how long an operation may take, or in a subscription the answer to one event, and until when what loses
	// conflicts is run again. 0 is no limit; then it is run ten times at most, and not again once a minute has passed.
	Deadline time.Duration
	// ErrorPresenter shows the session's own errors; graphql.DefaultErrorPresenter where it is nil.
	ErrorPresenter graphql.ErrorPresenterFunc
	// Observe, unless it is nil, is told of each operation once: when its answer is complete, before that is
	// written, or when it has been refused. An operation that is refused before it is known has no name and no kind.
	Observe func(Operation, Report)
	// Logger hears of failures that no answer tells; slog.Default() where it is nil.
	Logger *slog.Logger
}

var _ interface {
	graphql.HandlerExtension
	graphql.OperationInterceptor
	graphql.ResponseInterceptor
	graphql.FieldInterceptor
} = Extension{}

// ExtensionName names the extension in gqlgen's statistics.
func (Extension) ExtensionName() string { return "Session" }

// Validate refuses pools that can't work, and takes over their GORM callbacks.
func (e Extension) Validate(graphql.ExecutableSchema) error {
	if e.DB == nil {
		return errors.New("session: Extension.DB is nil: set it to the pool for mutations")
	}
	if e.Proof != nil && e.Proof.DB == nil {
		return errors.New("session: Extension.Proof.DB is nil: set it to a pool of its own")
	}
	for _, db := range []*gorm.DB{e.DB, e.reads()} {
		if !db.SkipDefaultTransaction {
			return errors.New("session: open GORM with SkipDefaultTransaction: the session is the transaction")
		}
		if db.PrepareStmt {
			return ErrPrepareStmt
		}
		if err := install(db, e.Side); err != nil {
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

// InterceptOperation runs the operation in a session of its own, and a subscription in one for each event.
func (e Extension) InterceptOperation(ctx context.Context, next graphql.OperationHandler) graphql.ResponseHandler {
	oc := graphql.GetOperationContext(ctx)
	r := &run{Extension: e, oc: oc, op: newOperation(ctx, oc), next: next, parent: ctx, began: time.Now()}
	switch {
	case oc.Operation.Operation == ast.Subscription:
		r.mode, r.db = pooled, e.reads()
		inlineDeferred(oc) // gqlgen never sends what an event defers
		return r.subscribe()
	case oc.Operation.Operation == ast.Mutation:
		r.mode, r.db = writing, e.DB
	case oc.Operation.Directives.ForName("snapshot") != nil:
		r.mode, r.db = snapshot, e.reads()
	default:
		r.mode, r.db = pooled, e.reads()
		r.stream = streams(ctx)
	}
	switch {
	case GroupOf(ctx) != nil: // NewGroup has done it
		r.stream = false
	case r.stream:
		r.labels = labelDeferred(oc)
	default:
		inlineDeferred(oc)
	}
	return r.respond
}
