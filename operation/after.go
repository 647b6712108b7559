package operation

import (
	"context"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/99designs/gqlgen/graphql"
	"github.com/vektah/gqlparser/v2/ast"

	"rollcall/session"
)

// HeaderAfter is the header, and the name of the cookie, by which whoever writes sees it when it reads, wherever that is: an answer to a mutation
// that was stored has its id there, and a query that brings the id sees what the mutation has written.
const HeaderAfter = "Rollcall-After"

const (
	maxAfter = 16             // ids of a request that count, the newest
	afterFor = 24 * time.Hour // what was written longer ago is everywhere
	clocks   = time.Minute    // by how much those of two servers may differ
)

// tracks reports whether it matters where a query reads, so that it is told what it has to see.
func (e Extension) tracks() bool { return e.Choose != nil && e.Proof != nil }

// afterOf returns the ids that a request brings, in its headers and its cookie. What can't be an id, and what is too old to matter, is left out.
func afterOf(req *http.Request) []string {
	var ids []string
	add := func(text string) {
		for id := range strings.SplitSeq(text, ",") {
			id = strings.TrimSpace(id)
			made, ok := session.IDTime(id)
			if age := time.Since(made); ok && -clocks < age && age < afterFor {
				ids = append(ids, id)
			}
		}
	}
	for _, header := range req.Header[HeaderAfter] {
		add(header)
	}
	if req.Header["Cookie"] != nil {
		for _, cookie := range req.CookiesNamed(HeaderAfter) {
			add(cookie.Value)
		}
	}
	return newest(ids)
}

// newest returns the newest ids, each once. An id begins with when it was made.
func newest(ids []string) []string {
	if len(ids) < 2 {
		return ids
	}
	ids = slices.Clone(ids)
	slices.Sort(ids)
	ids = slices.Compact(ids)
	return ids[max(0, len(ids)-maxAfter):]
}

// SeeAfter has the request's queries see what mutations with some ids have written, besides what they see.
func (r *Request) SeeAfter(ids ...string) {
	if len(ids) > 0 {
		r.After = newest(append(slices.Clone(r.After), ids...))
	}
}

// ReadAt has the queries of the request that ctx belongs to read at a replica; nil: at Pools.Read. It is called before they run.
func ReadAt(ctx context.Context, replica session.Replica) {
	if r := fromContext(ctx); r != nil {
		r.at, r.pinned = replica, true
	}
}

// Needs returns what a query has to see that is sent with the request of ctx.
func Needs(ctx context.Context) session.Needs {
	if r := fromContext(ctx); r != nil {
		return session.Needs{After: r.After}
	}
	return session.Needs{}
}

// store notes that a mutation is stored.
func (r *run) store(id string) {
	if id == "" || !r.tracks() {
		return
	}
	r.request.Stored = append(r.request.Stored, id)
	if r.request.header != nil {
		r.request.header.Set(HeaderAfter, id)
	}
}

// place decides where a query is to read.
func (r *run) place(oc *graphql.OperationContext) {
	r.fresh = oc.Operation.Directives.ForName("fresh") != nil
	if r.Choose == nil {
		return
	}
	r.Needs = session.Needs{After: r.request.After, Current: r.fresh || r.current(oc.Operation)}
	r.Needs.Current = r.Needs.Current || len(r.labels) > 0 // of an answer in parts what was sent can't be read again
	switch at := r.request.at; {
	case r.request.Group != nil: // whose session reads
		r.Home = true
	case r.request.pinned && !r.Needs.Current:
		r.Choose = func(context.Context, session.Needs) session.Replica { return at }
	}
}

// current reports whether something is selected that is to be read where everything is that is committed.
func (e Extension) current(op *ast.OperationDefinition) bool {
	seen := map[*ast.FragmentDefinition]bool{}
	var in func(set ast.SelectionSet) bool
	in = func(set ast.SelectionSet) bool {
		return slices.ContainsFunc(set, func(selection ast.Selection) bool {
			switch s := selection.(type) {
			case *ast.InlineFragment:
				return in(s.SelectionSet)
			case *ast.FragmentSpread:
				if seen[s.Definition] {
					return false
				}
				seen[s.Definition] = true
				return in(s.Definition.SelectionSet)
			case *ast.Field:
				return slices.Contains(e.Current, s.Name) || in(s.SelectionSet)
			}
			return false
		})
	}
	return in(op.SelectionSet)
}
