package operation

import (
	"context"
	"fmt"
	"sync"

	"github.com/99designs/gqlgen/graphql"
	"github.com/vektah/gqlparser/v2/ast"

	"rollcall/session"
)

// Group is queries that one request sends together. They share what Extension.Bind binds, such as dataloaders, and the
// session that it reads in; apart from that each is an operation of its own, which can fail or be late alone.
type Group struct {
	ctx     context.Context
	queries []*graphql.OperationContext

	once    sync.Once
	unit    session.Unit
	session *session.Session // nil until the first query needs it
	bound   context.Context  // what Bind has returned
	first   *run             // which needed it first
}

// NewGroup returns a group of plain queries. Each is to be dispatched, at any time and at once, with a Request that names
// the group. The group lives until Close, or until ctx ends.
func NewGroup(ctx context.Context, queries ...*graphql.OperationContext) *Group {
	for _, oc := range queries { // now, since each may look at the others'
		inlineDeferred(oc)
	}
	return &Group{ctx: ctx, queries: queries}
}

// Close ends the group's session, after the last answer.
func (g *Group) Close() {
	g.once.Do(func() {}) // it will not be opened any more
	if g.session != nil {
		g.session.Close()
		g.first.Statements.Add(g.unit.Statements.Load())
		g.first.Rows.Add(g.unit.Rows.Load())
		g.first.Spent.Add(g.unit.Spent.Load())
		g.first.Unit.Trace.Join(g.unit.Trace)
		g.first.observed()
	}
}

// bind returns ctx with what belongs to the operation's session or to its group's.
func (r *run) bind(ctx context.Context) context.Context {
	g := r.request.Group
	switch {
	case r.Bind == nil:
		return ctx
	case g == nil:
		r.readWith = ""
		return r.Bind(ctx, r.operations[:])
	}
	g.once.Do(func() {
		g.first = r
		r.recorder.waits.Store(true)
		g.unit.Pools = r.Pools
		g.unit.Attempts.Store(1)
		if r.Unit.Trace != nil {
			g.unit.Trace = &session.Trace{Values: r.Unit.Trace.Values}
		}
		g.unit.Deadline = 0 // each query has its own
		g.unit.Needs = r.groupNeeds()
		g.unit.Operation = session.NewOperation("", string(ast.Query), fmt.Sprintf("(a group of %d)", len(g.queries)))
		g.session = g.unit.Open(g.ctx)
		g.bound = r.Bind(g.session.Context(), g.queries)
	})
	if g.bound == nil {
		return ctx // closed; the request is over
	}
	if r != g.first {
		r.readWith = g.first.Operation.ID
	}
	return member{ctx, g.bound}
}

// groupNeeds returns what the queries of the operation's group have to see, together.
func (r *run) groupNeeds() session.Needs {
	needs := Needs(r.request.Group.ctx)
	for _, oc := range r.request.Group.queries {
		needs.Current = needs.Current || r.current(oc.Operation)
	}
	return needs
}

// useless reports whether a replica has failed at which the operation, or its group, has read. Then it is run once more: of a group, alone.
func (r *run) useless(response *graphql.Response) bool {
	if g := r.request.Group; g != nil && g.session != nil && g.session.Useless() && (response == nil || len(response.Errors) > 0) {
		r.request.Group = nil
		r.session.ReadAgain()
	}
	return r.session.Useless()
}

// member is the context of one query of a group: its own, but with what is bound to the group.
type member struct {
	context.Context
	bound context.Context
}

func (m member) Value(key any) any {
	if v := m.Context.Value(key); v != nil {
		return v
	}
	return m.bound.Value(key)
}
