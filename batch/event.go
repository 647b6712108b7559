package batch

import (
	"context"
	"reflect"

	"github.com/99designs/gqlgen/graphql"
)

// gqlgen takes a subscription's events from the resolver's channel where no interceptor sees them. So the plan puts a channel
// of its own between the two: before gqlgen asks for the next event, the plan takes it, follows it in the set that it is
// answered in, and passes it on.

// events is the two channels of one subscription. Only the goroutine that asks for the answers uses it.
type events struct {
	field    graphql.CollectedField
	from, to reflect.Value
	last     *Set // the resolver's, or the last event's
	event    reflect.Value
	again    bool // the next answer is to the last event
	ended    bool
}

// Repeat has the next answer of a subscription be to its last event once more, and reports whether it will be.
func (p *Plan) Repeat(oc *graphql.OperationContext) bool {
	e, ok := oc.Stats.GetExtension(p.ExtensionName()).(*events)
	if !ok || e.ended || !e.event.IsValid() {
		return false
	}
	e.again = true
	return true
}

// events returns the channel that takes the place of a resolver's.
func (p *Plan) events(ctx context.Context, set *Set, field graphql.CollectedField, source any) any {
	from := reflect.ValueOf(source)
	elem := from.Type().Elem()
	to := reflect.MakeChan(reflect.ChanOf(reflect.BothDir, elem), 1)
	stats := &graphql.GetOperationContext(ctx).Stats
	stats.SetExtension(p.ExtensionName(), &events{field: field, from: from, to: to, last: set})
	return to.Convert(reflect.ChanOf(reflect.RecvDir, elem)).Interface()
}

// pass waits for the next event, tells of it, follows it in its set, if it has one, and passes it on.
func (e *events) pass(ctx context.Context, set *Set, tell func(context.Context, any)) {
	if e.ended || e.to.Len() > 0 { // gqlgen has yet to take the last one
		return
	}
	if !e.again {
		done := reflect.SelectCase{Dir: reflect.SelectRecv, Chan: reflect.ValueOf(ctx.Done())}
		chosen, event, ok := reflect.Select([]reflect.SelectCase{done, {Dir: reflect.SelectRecv, Chan: e.from}})
		switch {
		case chosen == 0:
			return
		case !ok:
			e.ended = true
			e.to.Close()
			return
		}
		e.event = event
	}
	e.again = false
	event := e.event
	if tell != nil {
		tell(ctx, event.Interface())
	}
	if set != nil {
		if set == e.last { // the events share it, and each may say that what was loaded has changed
			set.clear(true)
			set.mu.Lock()
			set.deferred = nil
			set.mu.Unlock()
		}
		e.last = set
		set.event = event.Interface()
		set.followBelow(ctx, e.field, event.Interface())
	}
	e.to.Send(event)
}
