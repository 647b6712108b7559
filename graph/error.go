package graph

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"
	"time"

	"github.com/99designs/gqlgen/graphql"
	"github.com/vektah/gqlparser/v2/gqlerror"

	"rollcall/database"
	"rollcall/model"
	"rollcall/session"
)

// Codes that the server gives besides the directory's own and gqlgen's.
const (
	codeTimeout  model.Code = "TIMEOUT"
	codeInternal model.Code = "INTERNAL_SERVER_ERROR"
)

// presenter turns the errors of resolvers into what a client may see.
type presenter struct {
	log      *slog.Logger
	deadline time.Duration
}

// present shows a model.Error as it is, a passed deadline as TIMEOUT, and anything unexpected as an
// internal error whose cause is in the log under the operation's id.
func (p presenter) present(ctx context.Context, err error) *gqlerror.Error {
	shown := graphql.DefaultErrorPresenter(ctx, err)
	if shown.Err == nil { // made by gqlgen itself, about the request
		return shown
	}
	var known *model.Error
	var unknown *session.OutcomeUnknownError
	switch err := database.Translate(shown.Err); {
	case errors.As(err, &known):
		shown.Message = known.Message
		set(shown, "code", known.Code)
		if known.Field != "" {
			set(shown, "field", known.Field)
		}
	case errors.As(err, &unknown):
		p.log.ErrorContext(ctx, "outcome unknown", "operation", unknown.Operation.Name, "id", unknown.ID, "error", err)
	case errors.Is(err, context.DeadlineExceeded):
		shown.Message = fmt.Sprintf("the operation took longer than %s", p.deadline)
		set(shown, "code", codeTimeout)
	default:
		p.hide(ctx, shown)
	}
	shown.Err = nil
	return shown
}

// hide logs an internal error and leaves only the operation's id in the answer.
func (p presenter) hide(ctx context.Context, shown *gqlerror.Error) {
	attrs := []any{"error", shown.Err, "path", shown.Path.String()}
	if op, ok := session.OperationFromContext(ctx); ok {
		attrs = append(attrs, "operation", op.Name, "id", op.ID)
		set(shown, "operationId", op.ID)
	}
	level := slog.LevelError
	if errors.Is(shown.Err, context.Canceled) { // the client is gone
		level = slog.LevelDebug
	}
	p.log.Log(ctx, level, "operation failed", attrs...)
	shown.Message = "internal server error"
	set(shown, "code", codeInternal)
}

func set(e *gqlerror.Error, key string, value any) {
	if e.Extensions == nil {
		e.Extensions = map[string]any{}
	}
	e.Extensions[key] = value
}

// recovered makes an internal error of a resolver's panic.
func recovered(p any) error {
	return fmt.Errorf("panic: %v\n%s", p, debug.Stack())
}
