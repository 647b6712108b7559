package session

import (
	"context"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/99designs/gqlgen/graphql"
	"github.com/vektah/gqlparser/v2/ast"
)

// gqlgen waits for the parts of a deferred answer without a context, and a part whose own context
// has ended may never be sent. So the engine runs under a context that does not end, while its resolvers and their
// statements see the operation's end, and return: then every part arrives, or is drained.

// part returns the next part of a deferred answer, or, once the operation was cancelled, the last one.
func (r *run) part() *graphql.Response {
	next := make(chan *graphql.Response, 1)
	more := r.more
	go func() { next <- r.take(more) }()
	select {
	case response := <-next:
		switch {
		case response == nil || response.Label == "": // a panic's
			r.parts = nil
		default:
			r.parts.take(response)
		}
		return r.sent(response)
	case <-r.session.ctx.Done():
		r.parts = nil
		response := r.sent(r.lastPart(r.session.cause()))
		go func() {
			if !last(<-next) {
				r.drain(more)
			}
		}()
		return response
	}
}

// last reports whether no part follows a response.
func last(response *graphql.Response) bool {
	return response == nil || response.HasNext == nil || !*response.HasNext
}

// lastPart is an answer's last part, which tells why there are no more.
func (r *run) lastPart(err error) *graphql.Response {
	response, hasNext := r.failed(nil, err), false
	response.HasNext = &hasNext
	return response
}

// take takes one part from the engine. A panic of a marshaller makes it the last one.
func (r *run) take(more graphql.ResponseHandler) (response *graphql.Response) {
	defer func() {
		if p := recover(); p != nil {
			response = r.lastPart(r.oc.RecoverFunc(r.session.ctx, p))
			go r.drain(more)
		}
	}()
	return more(r.session.ctx)
}

// drain takes the parts that nobody waits for any more. They all come: their resolvers are cancelled, and each has
// a label of its own.
func (r *run) drain(more graphql.ResponseHandler) {
	for panics := 0; panics < mostPanics; {
		response, panicked := r.taken(more)
		switch {
		case panicked:
			panics++ // the parts after it may be well
		case last(response):
			return
		}
	}
}

// mostPanics is with how many of them draining puts up: a handler may panic at every call.
const mostPanics = 100

// taken takes a part of which only the end matters.
func (r *run) taken(more graphql.ResponseHandler) (response *graphql.Response, panicked bool) {
	defer func() {
		if p := recover(); p != nil {
			_ = r.oc.RecoverFunc(r.session.ctx, p)
			panicked = true
		}
	}()
	return more(r.session.ctx), false
}

// InterceptField shows the resolvers of a streamed answer the end of the operation.
func (Extension) InterceptField(ctx context.Context, next graphql.Resolver) (any, error) {
	s, ok := ctx.Value(contextKey{}).(*Session)
	if !ok || !s.stream {
		return next(ctx)
	}
	running := &resolverContext{Context: ctx, operation: s.ctx}
	defer running.returned.Store(true)
	return next(running)
}

// resolverContext ends with the operation while a resolver runs, and not afterwards, when it is
// the engine's for what is below the resolver.
type resolverContext struct {
	context.Context
	operation context.Context
	returned  atomic.Bool
}

func (c *resolverContext) Done() <-chan struct{} {
	if c.returned.Load() {
		return c.Context.Done()
	}
	return c.operation.Done()
}

func (c *resolverContext) Err() error {
	if c.returned.Load() {
		return c.Context.Err()
	}
	return c.operation.Err()
}

func (c *resolverContext) Deadline() (time.Time, bool) { return c.operation.Deadline() }

// subscribe runs a subscription: its resolver in a session of its own, then each event in another, so that
// an event sees what is stored when it comes.
func (r *run) subscribe() graphql.ResponseHandler {
	var events graphql.ResponseHandler
	r.tally.attempted(1, nil)
	endWithRequest(r.parent, r.observed)
	if failure, panicked := r.within(r.parent, func(ctx context.Context) *graphql.Response {
		events = r.next(ctx)
		return nil
	}, true); panicked {
		r.tally.add(failure)
		r.observed()
		return graphql.OneShot(failure)
	}
	return func(ctx context.Context) *graphql.Response {
		if r.done {
			return nil
		}
		response, panicked := r.within(ctx, events, false)
		r.tally.add(response)
		if r.done = response == nil || panicked; r.done {
			r.observed()
		}
		return response
	}
}

// within calls a handler in a new session, which it ends. The deadline begins with the first statement: until
// the event comes there is nothing to be late with. The context of a handler that lasts does not end with the session:
// the resolver's goroutine, which sends the events, goes by it.
func (r *run) within(parent context.Context, handler graphql.ResponseHandler, lasts bool) (response *graphql.Response, panicked bool) {
	ctx, cancel := context.WithCancelCause(parent)
	s := newSession(ctx, func() { cancel(nil) }, r.op, newID(), pooled, r.db)
	s.deadline, s.expire = r.Deadline, cancel
	s.statements = &r.tally.statements
	r.session = s
	defer r.close(s)
	defer func() {
		if p := recover(); p != nil {
			response, panicked = r.failed(nil, r.oc.RecoverFunc(s.ctx, p)), true
		}
	}()
	ctx = s.ctx
	if lasts {
		ctx = context.WithValue(parent, contextKey{}, s)
	}
	return handler(r.bind(ctx)), false
}

// inlineDeferred lets an operation answer as if it deferred nothing.
func inlineDeferred(oc *graphql.OperationContext) {
	editDirectives(oc, func(directives ast.DirectiveList) ast.DirectiveList {
		return slices.DeleteFunc(slices.Clone(directives), isDefer)
	})
}

// labelDeferred gives each @defer of an operation a label of its own, its index in what is returned: the
// label that the client gave it. A field that is deferred twice under one label has gqlgen wait for it twice, so for ever.
func labelDeferred(oc *graphql.OperationContext) (labels []string) {
	editDirectives(oc, func(directives ast.DirectiveList) ast.DirectiveList {
		i := slices.IndexFunc(directives, isDefer)
		if i < 0 {
			return directives
		}
		own := *directives[i]
		label, _ := own.ArgumentMap(oc.Variables)["label"].(string)
		own.Arguments = append(slices.DeleteFunc(slices.Clone(own.Arguments), func(a *ast.Argument) bool { return a.Name == "label" }),
			&ast.Argument{Name: "label", Value: &ast.Value{Kind: ast.StringValue, Raw: strconv.Itoa(len(labels))}})
		labels = append(labels, label)
		directives = slices.Clone(directives)
		directives[i] = &own
		return directives
	})
	return labels
}

func isDefer(d *ast.Directive) bool { return d.Name == "defer" }

// editDirectives edits the directives of an operation's fragments. The document is shared with other
// operations, so that what has to change in it is copied.
func editDirectives(oc *graphql.OperationContext, edit func(ast.DirectiveList) ast.DirectiveList) {
	if !strings.Contains(oc.RawQuery, "defer") { // it may stand as "@ defer"
		return
	}
	doc := *oc.Doc
	doc.Fragments = nil
	for _, f := range oc.Doc.Fragments {
		fragment := *f
		fragment.SelectionSet = edited(f.SelectionSet, edit)
		doc.Fragments = append(doc.Fragments, &fragment)
	}
	operation := *oc.Operation
	operation.SelectionSet = edited(oc.Operation.SelectionSet, edit)
	oc.Doc, oc.Operation = &doc, &operation
}

// edited returns a copy of a selection set, with the directives of its fragments edited.
func edited(set ast.SelectionSet, edit func(ast.DirectiveList) ast.DirectiveList) ast.SelectionSet {
	copied := make(ast.SelectionSet, len(set))
	for i, selection := range set {
		switch s := selection.(type) {
		case *ast.Field:
			field := *s
			field.SelectionSet = edited(s.SelectionSet, edit)
			copied[i] = &field
		case *ast.InlineFragment:
			fragment := *s
			fragment.SelectionSet, fragment.Directives = edited(s.SelectionSet, edit), edit(s.Directives)
			copied[i] = &fragment
		case *ast.FragmentSpread:
			spread := *s
			spread.Directives = edit(s.Directives)
			copied[i] = &spread
		}
	}
	return copied
}
