package graph

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"testing"
	"time"

	"github.com/go-sql-driver/mysql"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/vektah/gqlparser/v2/gqlerror"

	"rollcall/operation"
	"rollcall/session"
)

func TestAnErrorThatNamesAnAttemptKeepsItsID(t *testing.T) {
	ctx, request := operation.NewRequest(t.Context())
	defer request.End()
	lost := &session.OutcomeUnknownError{ID: "attempt", Err: errors.New("lost")}
	given := &gqlerror.Error{Err: lost, Extensions: map[string]any{"code": "OUTCOME_UNKNOWN", "operationId": lost.ID}}
	shown := presenter{log: slog.New(slog.DiscardHandler)}.present(ctx, given)
	if shown.Extensions["operationId"] != "attempt" || shown.Extensions["code"] != "OUTCOME_UNKNOWN" {
		t.Errorf("got %v", shown.Extensions)
	}
	shared := &gqlerror.Error{Message: "no", Extensions: map[string]any{"code": "NO"}}
	shown = presenter{}.present(ctx, shared)
	if shown.Extensions["operationId"] != request.ID || len(shared.Extensions) != 1 {
		t.Errorf("shown %v, changed %v", shown.Extensions, shared.Extensions)
	}
}

func TestADeadlineThatTheNetworkFindsOutFirstIsATimeout(t *testing.T) {
	present := presenter{log: slog.New(slog.DiscardHandler), deadline: time.Second}.present
	unreachable := &net.OpError{Op: "dial", Net: "tcp", Err: os.ErrDeadlineExceeded}
	for code, left := range map[string]time.Duration{"TIMEOUT": 0, "DATABASE_UNAVAILABLE": time.Hour} {
		ctx := late{t.Context(), time.Now().Add(left)}
		if shown := present(ctx, gqlerror.Wrap(unreachable)); fmt.Sprint(shown.Extensions["code"]) != code {
			t.Errorf("%s before the deadline: want %s, got %v", left, code, shown.Extensions)
		}
	}
}

// What the queries of an array read together has no deadline but the database's, which is theirs too.
func TestAStatementThatTheDatabaseEndsAtTheDeadlineIsATimeout(t *testing.T) {
	present := presenter{log: slog.New(slog.DiscardHandler), deadline: time.Second}.present
	for _, c := range []struct {
		err       error
		left      time.Duration
		code, say string
	}{
		{&pgconn.PgError{Code: "57014"}, session.Leeway / 2, "TIMEOUT", "the operation took longer than 1s"},
		{&mysql.MySQLError{Number: 1969}, session.Leeway / 2, "TIMEOUT", "the operation took longer than 1s"},
		{&mysql.MySQLError{Number: 3024}, session.Leeway / 2, "TIMEOUT", "the operation took longer than 1s"},
		{&mysql.MySQLError{Number: 1969}, time.Hour, "TIMEOUT", "a part of the operation took longer than the database allows"},
		{&pgconn.PgError{Code: "57014"}, time.Hour, "INTERNAL_SERVER_ERROR", "internal server error"},           // somebody's pg_cancel_backend
		{&mysql.MySQLError{Number: 1317}, session.Leeway / 2, "INTERNAL_SERVER_ERROR", "internal server error"}, // somebody's KILL QUERY
		{&mysql.MySQLError{Number: 1047}, time.Hour, "DATABASE_UNAVAILABLE", "the database is not ready: try again later"},
	} {
		shown := present(late{t.Context(), time.Now().Add(c.left)}, gqlerror.Wrap(c.err))
		if fmt.Sprint(shown.Extensions["code"]) != c.code || shown.Message != c.say {
			t.Errorf("%v, %s before the deadline: want %s: %s, got %v: %s", c.err, c.left, c.code, c.say, shown.Extensions, shown.Message)
		}
	}
}

// late is a context with a deadline, which it has yet to notice.
type late struct {
	context.Context
	deadline time.Time
}

func (l late) Deadline() (time.Time, bool) { return l.deadline, true }
