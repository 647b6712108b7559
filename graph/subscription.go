package graph

import (
	"context"
	"encoding/json"

	"github.com/99designs/gqlgen/graphql"
	"github.com/vektah/gqlparser/v2/ast"

	"rollcall/changelog"
	"rollcall/model"
	"rollcall/operation"
)

// follow returns the changes that a Query asks for, unless err says what is wrong with it.
func (r subscriptionResolver) follow(ctx context.Context, q changelog.Query, err error, after *string) (<-chan *model.Change, error) {
	if err != nil {
		return nil, err
	}
	s, err := r.subscribe(ctx, q, after)
	if err != nil {
		return nil, err
	}
	return send(ctx, s, func(page *changelog.Page) []*model.Change { return page.Changes }), nil
}

// followAll is follow, with bookmarks.
func (r subscriptionResolver) followAll(ctx context.Context, q changelog.Query, err error, after *string) (<-chan *model.ChangeEvent, error) {
	if err != nil {
		return nil, err
	}
	s, err := r.subscribe(ctx, r.OwnChanges(ctx, q), after)
	if err != nil {
		return nil, err
	}
	s.Bookmark = r.Bookmark
	return send(ctx, s, func(page *changelog.Page) (events []*model.ChangeEvent) {
		for _, c := range page.Changes {
			events = append(events, &model.ChangeEvent{Cursor: c.Cursor, Change: r.Shown(ctx, c)})
		}
		if len(events) == 0 {
			events = append(events, &model.ChangeEvent{Cursor: page.Until.String()})
		}
		return events
	}), nil
}

// subscribe subscribes after the last event that the client has, by its header or else by its argument.
func (r subscriptionResolver) subscribe(ctx context.Context, q changelog.Query, after *string) (*changelog.Subscription, error) {
	q.Field = "after"
	if last := operation.LastEventID(ctx); last != "" {
		q.Field, after = "Last-Event-ID", &last
	}
	if after != nil {
		cursor, err := changelog.ParseCursor(q.Field, *after)
		if err != nil {
			return nil, err
		}
		q.After = &cursor
	}
	s, err := r.Follower.Subscribe(ctx, q)
	if err != nil {
		return nil, err
	}
	operation.SetEventID(ctx, s.Until().String())
	return s, nil
}

// ending is in the statistics of a subscription, by its name.
type ending struct {
	err  error // why it ended by itself; to be read when its channel is closed
	told bool
}

const endingName = "Ending"

// send sends what a subscription gets as events, until ctx ends, or the subscription does.
func send[E any](ctx context.Context, s *changelog.Subscription, eventsOf func(*changelog.Page) []E) <-chan E {
	events, end := make(chan E), &ending{}
	graphql.GetOperationContext(ctx).Stats.SetExtension(endingName, end)
	go func() {
		defer close(events)
		defer s.Close()
		for {
			page, err := s.Next(ctx)
			if err != nil {
				end.err = err
				return
			}
			for _, event := range eventsOf(page) {
				select {
				case events <- event:
				case <-ctx.Done():
					return
				}
			}
		}
	}()
	return events
}

// nameEvent names each event by its cursor.
func nameEvent(ctx context.Context, event any) {
	switch event := event.(type) {
	case *model.Change:
		operation.SetEventID(ctx, event.Cursor)
	case *model.ChangeEvent:
		operation.SetEventID(ctx, event.Cursor)
	}
}

// tellEnd is the response interceptor that answers the end of a subscription which its client has not ended.
func tellEnd(ctx context.Context, next graphql.ResponseHandler) *graphql.Response {
	response := next(ctx)
	if response != nil || ctx.Err() != nil {
		return response
	}
	oc := graphql.GetOperationContext(ctx) // only what was executed has no response
	end, ok := oc.Stats.GetExtension(endingName).(*ending)
	if !ok || oc.Operation.Operation != ast.Subscription || end.told || end.err == nil {
		return nil
	}
	end.told = true
	graphql.AddError(ctx, end.err)
	return &graphql.Response{Data: json.RawMessage("null"), Errors: graphql.GetErrors(ctx)}
}
