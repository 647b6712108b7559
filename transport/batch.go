package transport

import (
	"context"
	"encoding/json"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/99designs/gqlgen/graphql"
	"github.com/vektah/gqlparser/v2/ast"
	"github.com/vektah/gqlparser/v2/gqlerror"

	"rollcall/idempotency"
	"rollcall/operation"
)

// item is one operation of an array.
type item struct {
	ctx     context.Context
	request *operation.Request
	oc      *graphql.OperationContext
	answer  *graphql.Response // nil until it has one
}

// byArray is how operations have come that came in arrays.
const byArray = "array"

// plain reports whether an item is a query that needs no transaction of its own.
func (i *item) plain() bool {
	return i.oc.Operation.Operation == ast.Query &&
		i.oc.Extensions["report"] == nil && // what the group reads is not one operation's
		i.oc.Operation.Directives.ForName("snapshot") == nil && i.oc.Operation.Directives.ForName("fresh") == nil
}

// batch answers an array of operations. Plain queries that follow each other run at once, as a group that reads together;
// each other operation runs alone, in its turn.
func (x *exchange) batch(ctx context.Context, body []byte) {
	if x.r.Header[idempotency.Header] != nil {
		x.refuseArray(ctx, badRequest("%s names one operation, and this is an array of them: put @idempotent(key: …) on each mutation", idempotency.Header))
		return
	}
	items, refused := x.items(ctx, body)
	for _, one := range items {
		defer one.request.End()
	}
	if refused == nil && x.wanted.one() == "" {
		refused = refuse(http.StatusNotAcceptable, CodeNotAcceptable, "an array of operations is answered as %s: accept it", jsonType)
	}
	if refused != nil {
		x.refuseArray(ctx, refused)
		return
	}
	var operations []*graphql.OperationContext // that can be run
	for _, one := range items {
		if one.answer == nil {
			operations = append(operations, one.oc)
		}
	}
	if x.CheckBatch != nil {
		if err := x.CheckBatch(operations); err != nil {
			if x.pay(ctx, notRun*len(items)) {
				x.write(x.exec.DispatchError(ctx, gqlerror.List{err}))
			}
			return
		}
	}
	if !x.pay(ctx, x.Limits.cost(operations...)+notRun*(len(items)-len(operations))) {
		return
	}
	x.runAll(ctx, items)
	ids, replayed := make([]string, len(items)), make([]string, len(items))
	var b []byte
	for i, one := range items {
		ids[i], replayed[i] = one.request.ID, strconv.FormatBool(one.request.Replayed)
		before := len(b)
		b = appendResponse(append(b, ','), one.answer)
		one.request.Sent.Status, one.request.Sent.Bytes = http.StatusOK, int64(len(b)-before-1)
	}
	b[0] = '['
	x.w.Header()[HeaderOperationID] = []string{strings.Join(ids, ", ")}
	if slices.Contains(replayed, "true") {
		x.w.Header()[idempotency.ReplayedHeader] = []string{strings.Join(replayed, ", ")}
	}
	media := jsonType
	if x.wanted.json == 0 {
		media = graphqlType
	}
	x.send(media, http.StatusOK, append(b, ']'))
}

// runAll runs those operations of an array that have no answer yet, in its order. Queries see what mutations before them have written.
func (x *exchange) runAll(ctx context.Context, items []*item) {
	var group []*item
	var stored []string
	for _, one := range items {
		switch {
		case one.answer != nil:
		case one.plain():
			group = append(group, one)
		default:
			x.runGroup(ctx, group)
			group = nil
			x.dispatch(one)
			stored = append(stored, one.request.Stored...)
			x.request.SeeAfter(one.request.Stored...)
		}
	}
	x.runGroup(ctx, group)
	x.stored(stored)
}

// refuseArray answers an array that is refused for itself.
func (x *exchange) refuseArray(ctx context.Context, refused *refusal) {
	if x.pay(ctx, notRun) {
		x.refuse(ctx, refused)
	}
}

// items decodes an array. An operation that is refused has its answer.
func (x *exchange) items(ctx context.Context, body []byte) ([]*item, *refusal) {
	var texts []json.RawMessage
	if err := json.Unmarshal(body, &texts); err != nil {
		return nil, syntax(body)
	}
	switch {
	case len(texts) == 0:
		return nil, badRequest("the array is empty")
	case x.MaxBatch == 0:
		return nil, badRequest("one operation can be sent at a time, and no array of them")
	case len(texts) > x.MaxBatch:
		return nil, refuse(http.StatusBadRequest, CodeBatchTooLarge, "the array holds %d operations; at most %d are allowed", len(texts), x.MaxBatch)
	}
	items := make([]*item, len(texts))
	for i, text := range texts {
		ctx, request := operation.NewRequest(ctx)
		request.Sent.By = byArray
		items[i] = &item{ctx: ctx, request: request}
		params, refused := parse(text)
		if refused != nil {
			items[i].answer = x.exec.DispatchError(ctx, refused.list())
			continue
		}
		oc, errs := x.operation(ctx, params)
		switch {
		case errs != nil:
			items[i].answer = x.exec.DispatchError(graphql.WithOperationContext(ctx, oc), errs)
		case oc.Operation.Operation == ast.Subscription:
			items[i].answer = x.exec.DispatchError(ctx, streamRequired())
		}
		items[i].oc = oc
	}
	return items, nil
}

// runGroup runs queries at once.
func (x *exchange) runGroup(ctx context.Context, group []*item) {
	switch len(group) {
	case 0:
		return
	case 1:
		x.dispatch(group[0])
		return
	}
	queries := make([]*graphql.OperationContext, len(group))
	for i, one := range group {
		queries[i] = one.oc
	}
	g := operation.NewGroup(ctx, queries...)
	defer g.Close()
	var all sync.WaitGroup
	for _, one := range group {
		one.request.Group = g
		all.Go(func() { x.dispatch(one) })
	}
	all.Wait()
}

// dispatch runs one operation. A panic that reaches it is that operation's answer, and does not end the others.
func (x *exchange) dispatch(one *item) {
	defer func() {
		if p := recover(); p != nil {
			one.answer = x.exec.DispatchError(one.ctx, gqlerror.List{gqlerror.Wrap(one.oc.RecoverFunc(one.ctx, p))})
		}
		if one.answer == nil {
			one.answer = cancelled()
		}
	}()
	one.request.SeeAfter(x.request.After...)
	respond, ctx := x.exec.DispatchOperation(one.ctx, one.oc)
	one.answer = respond(ctx)
}
