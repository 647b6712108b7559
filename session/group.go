package session

import (
	"context"
	"fmt"
	"sync"

	"github.com/99designs/gqlgen/graphql"
	"github.com/vektah/gqlparser/v2/ast"
)

// Group is queries that one request sends together. They share what Extension.Bind binds, such as dataloaders, and the
// session that it reads in; apart from that each is an operation of its own, which can fail or be late alone.
type Group struct {
	ctx     context.Context
	queries []*graphql.OperationContext

	once    sync.Once
	session *Session        // nil until the first query needs it
	bound   context.Context // what Bind has returned
	first   *run            // which needed it first
}

type groupKey struct{}

// NewGroup returns a group of plain queries. Each is to be dispatched, at any time and at once, under a context from
// Join. The group lives until Close, or until ctx ends.
func NewGroup(ctx context.Context, queries ...*graphql.OperationContext) *Group {
	g := &Group{queries: queries}
	g.ctx = g.Join(ctx)
	for _, oc := range queries { // now, since each may look at the others'
		inlineDeferred(oc)
	}
	return g
}

// Join returns the context of one of the group's queries.
func (g *Group) Join(ctx context.Context) context.Context {
	return context.WithValue(ctx, groupKey{}, g)
}

// Close ends the group's session, after the last answer.
func (g *Group) Close() {
	g.once.Do(func() {}) // it will not be opened any more
	if g.session != nil {
		_ = g.session.close() // it has no transaction
		g.first.observed()
	}
}

// GroupOf returns the queries that share what is bound to ctx, for Extension.Bind; none if an operation has it
// to itself.
func GroupOf(ctx context.Context) []*graphql.OperationContext {
	if g, ok := ctx.Value(groupKey{}).(*Group); ok {
		return g.queries
	}
	return nil
}

// bind returns ctx with what belongs to the operation's session or to its group's.
func (r *run) bind(ctx context.Context) context.Context {
	g, grouped := ctx.Value(groupKey{}).(*Group)
	switch {
	case r.Bind == nil:
		return ctx
	case !grouped:
		return r.Bind(ctx)
	}
	g.once.Do(func() {
		within, end := context.WithCancel(g.ctx)
		op := Operation{ID: newID(), Name: fmt.Sprintf("(a group of %d)", len(g.queries)), Kind: ast.Query}
		g.session = newSession(within, end, op, op.ID, pooled, r.db)
		g.session.statements, g.first = &r.tally.statements, r
		r.tally.waits.Store(true)
		g.bound = r.Bind(g.session.ctx)
	})
	if g.bound == nil {
		return ctx // closed; the request is over
	}
	return member{ctx, g.bound}
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
