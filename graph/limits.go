package graph

import (
	"cmp"
	"context"
	"slices"
	"strings"

	"github.com/99designs/gqlgen/graphql"
	"github.com/vektah/gqlparser/v2/ast"

	"rollcall/access"
	"rollcall/limit"
	"rollcall/ratelimit"
	"rollcall/transport"
)

// How many refusals for the rate wait at once, each of which takes about 20 KB: those of all clients, and those of one.
const (
	delayed         = 1000
	delayedOfClient = 100
)

// clients are those of the API, with what each may ask for.
func (cfg Config) clients() *ratelimit.Clients {
	clients := &ratelimit.Clients{Addr: cfg.Client, Name: named, Streams: &ratelimit.Streams{Max: cfg.MaxStreams}, Sockets: &ratelimit.Streams{Max: cfg.MaxStreams}}
	if cfg.Rate > 0 {
		clients.Delays = &ratelimit.Delays{Max: delayed, MaxOfClient: delayedOfClient}
		clients.Limiter = ratelimit.New(ratelimit.Options{Policy: "cost", PerMinute: cfg.Rate, Burst: cfg.RateBurst})
	}
	return clients
}

// maxCost is the most that an operation may cost: what costs more than a client may ever ask for at once is refused as too costly, since it would be
// in vain to wait.
func (cfg Config) maxCost(clients *ratelimit.Clients) int {
	most := cmp.Or(cfg.MaxCost, 100_000)
	if burst := clients.Limiter.Burst(); burst > 0 {
		most = min(most, burst)
	}
	return most
}

// named returns the name that a client has: who has no credentials has none.
func named(ctx context.Context) string {
	viewer := access.ViewerOf(ctx)
	if viewer == nil || !viewer.Named() {
		return ""
	}
	return viewer.Subject
}

// limits are those of the transports.
func limits(clients *ratelimit.Clients, cost *limit.Cost) *transport.Limits {
	return &transport.Limits{Clients: clients, Cost: func(operations []*graphql.OperationContext) int {
		return cost.Sum(slices.DeleteFunc(slices.Clone(operations), introspects))
	}}
}

// introspects reports whether an operation asks for the schema alone, which is free.
func introspects(oc *graphql.OperationContext) bool { return onlyMeta(oc.Operation.SelectionSet) }

func onlyMeta(set ast.SelectionSet) bool {
	return !slices.ContainsFunc(set, func(selection ast.Selection) bool {
		switch s := selection.(type) {
		case *ast.InlineFragment:
			return !onlyMeta(s.SelectionSet)
		case *ast.FragmentSpread:
			return !onlyMeta(s.Definition.SelectionSet)
		case *ast.Field:
			return !strings.HasPrefix(s.Name, "__")
		}
		return true
	})
}
