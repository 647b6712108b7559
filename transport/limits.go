package transport

import (
	"context"
	"net/http"

	"github.com/99designs/gqlgen/graphql"
	"github.com/vektah/gqlparser/v2/gqlerror"

	"rollcall/ratelimit"
)

// Limits bound what each client may ask for. A nil Limits bounds nothing.
type Limits struct {
	*ratelimit.Clients
	// Cost returns what operations cost together that are to run.
	Cost func(operations []*graphql.OperationContext) int
}

// notRun is what an operation costs that is not run since it is refused for itself, or since the client wants no answer or has it already: to find
// that out is work, too.
const notRun = 1

// take takes what is to be done for a client from what it may ask for.
func (l *Limits) take(ctx context.Context, cost int) ratelimit.Verdict {
	if l == nil {
		return ratelimit.Verdict{Granted: true}
	}
	return l.Limiter.Take(l.Of(ctx), cost)
}

// cost returns what operations cost together.
func (l *Limits) cost(operations ...*graphql.OperationContext) int {
	if l == nil || l.Limiter == nil {
		return 0
	}
	return l.Cost(operations)
}

// less returns what a valid operation costs that is not run.
func (l *Limits) less(oc *graphql.OperationContext) int { return min(notRun, l.cost(oc)) }

// open counts a stream until end is called, or refuses it.
func (l *Limits) open(ctx context.Context) (end func(), refused *refusal) {
	if l == nil {
		return func() {}, nil
	}
	end, ok := l.Streams.Open(l.Of(ctx))
	if !ok {
		return nil, refuse(http.StatusTooManyRequests, CodeTooManyStreams,
			"this client has too many streams open: it may have %d at a time, over HTTP and on WebSockets together", l.Streams.Max)
	}
	return end, nil
}

// client returns whom the limits of a context are for.
func (l *Limits) client(ctx context.Context) ratelimit.Client {
	if l == nil {
		return ratelimit.Client{}
	}
	return l.Of(ctx)
}

// connect counts a WebSocket of a client until leave is called. It reports false if the client has as many as it may.
func (l *Limits) connect(client ratelimit.Client) (leave func(), ok bool) {
	if l == nil {
		return func() {}, true
	}
	return l.Sockets.Open(client)
}

// rateLimited returns the errors of a request that a limiter has refused.
func rateLimited(v ratelimit.Verdict) gqlerror.List {
	errs := coded(CodeRateLimited, "%s", v.Message())
	if after, ok := v.RetryAfter(); ok {
		errs[0].Extensions["retryAfter"] = after
	}
	return errs
}

// debt is what a client has too little left for.
type debt struct {
	cost    int
	verdict ratelimit.Verdict
}

// pay takes what something costs, and says in the header what is left. If there is not enough, it reports false: the request is to be left, and
// refuseDebt answers it when it holds nothing any more.
func (x *exchange) pay(ctx context.Context, cost int) bool {
	if x.Limits == nil {
		return true
	}
	v := x.Limits.take(ctx, cost)
	if !v.Granted {
		x.debt = &debt{cost, v}
		return false
	}
	x.Limits.Limiter.Tell(x.w.Header(), v)
	return true
}

// payLess pays for a valid operation that is not run.
func (x *exchange) payLess(ctx context.Context, oc *graphql.OperationContext) bool {
	return x.pay(ctx, x.Limits.less(oc))
}

// refuseDebt answers a request for which pay has found too little, after a while.
func (x *exchange) refuseDebt(ctx context.Context) {
	v := x.Limits.Refuse(x.w, x.r, x.debt.cost, x.debt.verdict)
	x.w.Header()["Cache-Control"] = noStore
	x.answer(ctx, http.StatusTooManyRequests, rateLimited(v))
}
