package batch

import (
	"context"
	"reflect"

	"github.com/99designs/gqlgen/graphql"
	"github.com/vektah/gqlparser/v2/ast"
)

// A subscription's events are each answered in a set of their own, which is made before the event comes, while
// gqlgen takes the event from the resolver's channel where no interceptor sees it. So the plan puts a
// channel of its own between the two: it takes an event, waits for the set that the event is to be answered in,
// follows the event's selections in it, and passes the event on.

// upcoming holds the set that the next event will be answered in.
type upcoming chan *Set

const statsName = "ReadPlan"

// announce tells a subscription of the set that its next event will be answered in.
func (s *Set) announce() {
	if !graphql.HasOperationContext(s.ctx) {
		return
	}
	op := graphql.GetOperationContext(s.ctx)
	if op.Operation == nil || op.Operation.Operation != ast.Subscription {
		return
	}
	if next, ok := op.Stats.GetExtension(statsName).(upcoming); ok {
		select {
		case <-next: // the one before had no event
		default:
		}
		next <- s
	}
}

// events returns a channel like source, a resolver's result, with each event followed before it is passed on.
func (p *Plan) events(ctx context.Context, field graphql.CollectedField, source any) any {
	from := reflect.ValueOf(source)
	if from.Kind() != reflect.Chan || from.Type().ChanDir()&reflect.RecvDir == 0 {
		return source
	}
	op := graphql.GetOperationContext(ctx)
	next := make(upcoming, 1)
	op.Stats.SetExtension(statsName, next)
	elem := from.Type().Elem()
	to := reflect.MakeChan(reflect.ChanOf(reflect.BothDir, elem), 0)
	done := reflect.SelectCase{Dir: reflect.SelectRecv, Chan: reflect.ValueOf(ctx.Done())}
	go func() {
		defer to.Close()
		for {
			chosen, event, ok := reflect.Select([]reflect.SelectCase{done, {Dir: reflect.SelectRecv, Chan: from}})
			if chosen == 0 || !ok {
				return
			}
			select {
			case set := <-next:
				p.follow(set.ctx, set, (&run{Plan: p}).split(field, appendObjects(nil, event.Interface()))...)
			case <-ctx.Done():
				return
			}
			if chosen, _, _ := reflect.Select([]reflect.SelectCase{done, {Dir: reflect.SelectSend, Chan: to, Send: event}}); chosen == 0 {
				return
			}
		}
	}()
	return to.Convert(reflect.ChanOf(reflect.RecvDir, elem)).Interface()
}
