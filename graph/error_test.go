package graph

import (
	"errors"
	"log/slog"
	"testing"

	"github.com/vektah/gqlparser/v2/gqlerror"

	"rollcall/session"
)

func TestAnErrorThatNamesAnAttemptKeepsItsID(t *testing.T) {
	ctx, id := session.Identify(t.Context())
	lost := &session.OutcomeUnknownError{ID: "attempt", Err: errors.New("lost")}
	given := &gqlerror.Error{Err: lost, Extensions: map[string]any{"code": "OUTCOME_UNKNOWN", "operationId": lost.ID}}
	shown := presenter{log: slog.New(slog.DiscardHandler)}.present(ctx, given)
	if shown.Extensions["operationId"] != "attempt" || shown.Extensions["code"] != "OUTCOME_UNKNOWN" {
		t.Errorf("got %v", shown.Extensions)
	}
	shared := &gqlerror.Error{Message: "no", Extensions: map[string]any{"code": "NO"}}
	shown = presenter{}.present(ctx, shared)
	if shown.Extensions["operationId"] != id || len(shared.Extensions) != 1 {
		t.Errorf("shown %v, changed %v", shown.Extensions, shared.Extensions)
	}
}
