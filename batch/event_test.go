package batch_test

import (
	"context"
	"testing"

	"github.com/99designs/gqlgen/graphql"
	"github.com/vektah/gqlparser/v2/ast"

	"rollcall/schematest"
)

const events = "text/event-stream"

func TestEachEventIsFollowedInItsSet(t *testing.T) {
	for _, c := range []struct {
		what string
		bind func(*library) func(context.Context, graphql.OperationHandler) graphql.ResponseHandler
	}{
		{"a set for each event", func(l *library) func(context.Context, graphql.OperationHandler) graphql.ResponseHandler {
			return l.perEvent
		}},
		{"one set for all events", func(l *library) func(context.Context, graphql.OperationHandler) graphql.ResponseHandler {
			return l.perOperation
		}},
	} {
		t.Run(c.what, func(t *testing.T) {
			l := serve(t)
			l.bind = c.bind(l)
			s := l.stream(t.Context(), t, events, `subscription { published { title author { name rival { name } } } }`)
			for _, e := range []struct {
				rival      int
				want, read string
			}{
				{11, `{"data":{"published":{"title":"B101","author":{"name":"A1","rival":{"name":"A11"}}}}}`, "authors[11]"},
				{11, `{"data":{"published":{"title":"B101","author":{"name":"A1","rival":{"name":"A11"}}}}}`, "authors[11]"},
				{12, `{"data":{"published":{"title":"B101","author":{"name":"A1","rival":{"name":"A12"}}}}}`, "authors[12]"},
			} {
				l.mu.Lock()
				l.rivals[1] = e.rival
				l.mu.Unlock()
				l.published <- book(101)
				if got := s.next(); got != e.want {
					t.Errorf("want %s, got %s", e.want, got)
				}
				l.wantBatches(t, "authors[1]", e.read)
			}
			close(l.published)
			if got := s.next(); got != "" {
				t.Errorf("after the last event: %s", got)
			}
		})
	}
}

func TestAnEventIsNotTakenBeforeItIsAskedFor(t *testing.T) {
	l := serve(t)
	l.published = make(chan *schematest.Book, 3)
	for range 3 {
		l.published <- book(101)
	}
	asked := make(chan struct{})
	l.bind = func(ctx context.Context, next graphql.OperationHandler) graphql.ResponseHandler {
		respond := l.perEvent(ctx, next)
		return func(ctx context.Context) *graphql.Response {
			<-asked
			return respond(ctx)
		}
	}
	s := l.stream(t.Context(), t, events, `subscription { published { author { name } } }`)
	for left := 2; left >= 0; left-- {
		asked <- struct{}{}
		s.next()
		if n := len(l.published); n != left {
			t.Errorf("want %d events left, got %d", left, n)
		}
	}
	close(asked)
}

func TestAPanicInAKeyFailsItsEventAlone(t *testing.T) {
	l := serve(t)
	l.fallbacks = -1
	l.key = func() { panic("no") }
	s := l.stream(t.Context(), t, events, `subscription { published { author { editor { name } } } }`)
	l.published <- book(101)
	if got, want := s.next(), `{"errors":[{"message":"internal system error"}],"data":{"published":{"author":{"editor":{"name":"A31"}}}}}`; got != want {
		t.Errorf("want %s, got %s", want, got)
	}
	l.key = nil
	l.published <- book(201)
	if got, want := s.next(), `{"data":{"published":{"author":{"editor":{"name":"A32"}}}}}`; got != want {
		t.Errorf("want %s, got %s", want, got)
	}
	l.wantBatches(t, "authors[1]", "authors[31]", "authors[2]", "authors[32]")
}

func TestASubscriptionEndsWithItsClient(t *testing.T) {
	l := serve(t)
	ended := make(chan struct{})
	l.bind = func(ctx context.Context, next graphql.OperationHandler) graphql.ResponseHandler {
		respond := l.perEvent(ctx, next)
		return func(ctx context.Context) *graphql.Response {
			response := respond(ctx)
			if response == nil && graphql.GetOperationContext(ctx).Operation.Operation == ast.Subscription {
				close(ended)
			}
			return response
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	s := l.stream(ctx, t, events, `subscription { published { author { name } } }`)
	l.published <- book(101)
	s.next()
	cancel()
	<-ended
	l.wantBatches(t, "authors[1]")
}
