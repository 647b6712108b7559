package graph

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"github.com/99designs/gqlgen/graphql"
	"github.com/vektah/gqlparser/v2/gqlerror"

	"rollcall/apierror"
	"rollcall/database"
	"rollcall/operation"
	"rollcall/session"
)

// maxMessage is how many bytes of a message about a request are shown.
const maxMessage = 500

// presenter turns the errors of resolvers into what a client may see: with a code, and the operation's id.
type presenter struct {
	log        *slog.Logger
	deadline   time.Duration
	production bool // nothing is suggested
}

// present shows an apierror.Error as it is, a passed deadline as TIMEOUT, what was cancelled as CANCELLED, and anything
// unexpected as an internal error whose cause is in the log under the operation's id.
func (p presenter) present(ctx context.Context, err error) *gqlerror.Error {
	shown := *graphql.DefaultErrorPresenter(ctx, err)
	shown.Extensions = maps.Clone(shown.Extensions) // others may hold the same map
	p.fill(ctx, &shown)
	shown.Err = nil
	if field := graphql.GetFieldContext(ctx); field != nil && field.Field.Field != nil && field.Field.Position != nil && len(shown.Locations) == 0 {
		// gqlgen adds it to the one that a resolver returns, but not to others.
		shown.Locations = []gqlerror.Location{{Line: field.Field.Position.Line, Column: field.Field.Position.Column}}
	}
	if shown.Extensions["operationId"] == nil {
		if id := operation.ID(ctx); id != "" {
			set(&shown, "operationId", id)
		}
	}
	return &shown
}

// fill sets the message and the code.
func (p presenter) fill(ctx context.Context, shown *gqlerror.Error) {
	if shown.Err == nil { // made by gqlgen itself
		if p.production {
			shown.Message, _, _ = strings.Cut(shown.Message, " Did you mean")
		}
		if len(shown.Message) > maxMessage { // gqlgen's and gqlparser's quote the request
			shown.Message = strings.ToValidUTF8(shown.Message[:maxMessage], "") + "…"
		}
		_, running := session.OperationFromContext(ctx)
		switch {
		case shown.Extensions["code"] != nil:
		case running:
			shown.Err = errors.New(shown.Message)
			p.hide(ctx, shown)
		default: // about the request
			set(shown, "code", apierror.CodeBadUserInput)
		}
		return
	}
	var known *apierror.Error
	var unknown *session.OutcomeUnknownError
	switch err := shown.Err; {
	case errors.As(err, &known):
		show(shown, inArguments(ctx, shown, known))
	case errors.As(err, &unknown):
		p.log.ErrorContext(ctx, "outcome unknown", "operation", unknown.Operation.Name, "id", unknown.ID, "error", err)
	case errors.Is(err, context.DeadlineExceeded), expired(ctx, 0) && database.Unreachable(err),
		expired(ctx, session.Leeway) && (database.OverTime(err) || database.Cancelled(err)):
		show(shown, apierror.TookTooLong(p.deadline))
	case errors.Is(err, context.Canceled):
		p.log.DebugContext(ctx, "operation cancelled", "path", shown.Path.String(), "error", err)
		show(shown, apierror.Cancelled())
	case database.OverTime(err):
		p.hide(ctx, shown)
		shown.Message = "a part of the operation took longer than the database allows"
		set(shown, "code", apierror.CodeTimeout)
	case database.Unavailable(err) != "":
		p.hide(ctx, shown)
		shown.Message = database.Unavailable(err) + ": try again later"
		set(shown, "code", apierror.CodeUnavailable)
	default:
		p.hide(ctx, shown)
	}
}

// expired reports whether an operation's deadline has passed, or will within some time: the network and the database may find that
// out before the context does.
func expired(ctx context.Context, within time.Duration) bool {
	deadline, ok := ctx.Deadline()
	return ok && time.Until(deadline) <= within
}

// hide logs an internal error and leaves none of it in the answer.
func (p presenter) hide(ctx context.Context, shown *gqlerror.Error) {
	attrs := []any{"error", shown.Err, "path", shown.Path.String()}
	if op, ok := session.OperationFromContext(ctx); ok {
		attrs = append(attrs, "operation", op.Name, "id", op.ID)
	}
	session.OnAnswer(ctx, func() { p.log.ErrorContext(ctx, "operation failed", attrs...) })
	show(shown, apierror.Internal())
}

// show makes known what a client sees.
func show(shown *gqlerror.Error, known *apierror.Error) {
	shown.Message = known.Message
	set(shown, "code", known.Code)
	if known.Field != "" {
		set(shown, "field", known.Field)
	}
	if known.CurrentVersion != 0 {
		set(shown, "currentVersion", known.CurrentVersion)
	}
	if known.Cursor != "" {
		set(shown, "cursor", known.Cursor)
	}
}

// inArguments returns an error with the input field that it is about, where gqlgen has found it in a value: its path goes on from the
// field that is answered into the arguments, as no path of an answer does.
func inArguments(ctx context.Context, shown *gqlerror.Error, known *apierror.Error) *apierror.Error {
	field := graphql.GetPath(ctx)
	if known.Code != apierror.CodeBadUserInput || known.Field != "" || len(shown.Path) <= len(field) || !slices.Equal(shown.Path[:len(field)], field) {
		return known
	}
	var path []string
	for _, element := range shown.Path[len(field):] {
		path = append(path, fmt.Sprint(element))
	}
	at := strings.Join(path, ".")
	shown.Path = field
	return &apierror.Error{Code: known.Code, Field: at, Message: at + ": " + known.Message}
}

func set(e *gqlerror.Error, key string, value any) {
	if e.Extensions == nil {
		e.Extensions = map[string]any{}
	}
	e.Extensions[key] = value
}

// recovered makes an internal error of a resolver's panic.
func recovered(_ context.Context, p any) error {
	return fmt.Errorf("panic: %v\n%s", p, debug.Stack())
}

// maxErrors is how many errors an answer holds, besides one that says how many more there are.
const maxErrors = 100

// boundErrors cuts the list of errors of an answer.
func boundErrors(ctx context.Context, next graphql.ResponseHandler) *graphql.Response {
	response := next(ctx)
	if response == nil || len(response.Errors) <= maxErrors {
		return response
	}
	rest := &gqlerror.Error{}
	show(rest, apierror.MoreErrors(len(response.Errors)-maxErrors))
	if id := operation.ID(ctx); id != "" {
		set(rest, "operationId", id)
	}
	response.Errors = append(response.Errors[:maxErrors:maxErrors], rest)
	return response
}
