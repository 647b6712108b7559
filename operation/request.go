package operation

import (
	"context"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/99designs/gqlgen/graphql"

	"rollcall/idempotency"
	"rollcall/session"
)

// Request is one operation that a transport was sent, from before it is parsed to after its answer.
type Request struct {
	// ID is the operation's, which has it even if it cannot be parsed. Where its answer is replayed, it is that of the operation which
	// had the answer first.
	ID string
	// Replayed says that the answer is the one that was kept with the operation's idempotency key.
	Replayed bool
	// Parts says that the transport sends an answer in parts, as they come: what a query defers is not waited for then.
	Parts bool
	// LastEventID is what the client of a stream has in the header Last-Event-ID: the EventID of the last event that it got before; "": none.
	LastEventID string
	// EventID names the last event that a subscription has answered, so that it can go on behind it, or where it begins; "": it has no names
	// for events.
	EventID string
	// After are the ids of mutations whose writes a query has to see: Stored of their requests.
	After []string
	// Stored are the ids of the mutation that the request has stored, or may have, as session.Session.Stored has them, where it matters where queries
	// read. Where its answer is replayed, it is that of the operation which had it first.
	Stored []string
	// Group is what a query belongs to that is sent with others, or nil.
	Group *Group
	// Sent is for Extension.Ended.
	Sent Sent

	ctx     context.Context // of the request
	began   time.Time
	ended   func(context.Context, session.Operation, Report, Sent) // Extension.Ended
	running atomic.Pointer[run]
	kind    string // of the operation; "": it is not known yet
	name    string

	keys   []string // of the header Idempotency-Key
	at     session.Replica
	pinned bool        // at is where queries are to read
	header http.Header // of the answer to the only operation, for a transport of gqlgen's; else nil

	mu    sync.Mutex
	ends  []func()
	one   [1]func() // room for the usual number
	noted *noted    // what has become of the operation, as long as nobody was told
}

// HeaderID is the header of an answer that has the id of its operation.
const HeaderID = "Operation-Id"

type contextKey struct{}

// NewRequest returns a request, and the context that its operation is to be created and dispatched under. End must follow. The header
// Idempotency-Key of an HTTP request is that of its operation: a transport refuses it where there are several.
func NewRequest(ctx context.Context) (context.Context, *Request) {
	parent := fromContext(ctx)
	ctx, r := newRequest(ctx, session.NewID())
	if parent != nil {
		r.keys, r.After, r.ended = parent.keys, parent.After, parent.ended
		if parent.ID != "" { // an array: it began with the first byte of it
			r.began = parent.began
		}
	}
	return ctx, r
}

// newRequest returns a request. Where it has no id, each of its operations gets one.
func newRequest(ctx context.Context, id string) (context.Context, *Request) {
	r := &Request{ID: id, began: time.Now()}
	r.ends = r.one[:0]
	r.ctx = context.WithValue(ctx, contextKey{}, r)
	return r.ctx, r
}

// fromContext returns the request that ctx belongs to, or nil.
func fromContext(ctx context.Context) *Request {
	r, _ := ctx.Value(contextKey{}).(*Request)
	return r
}

// ID returns the id of the operation that ctx belongs to, which may not have begun; "" if there is none.
func ID(ctx context.Context) string {
	if op, ok := session.OperationFromContext(ctx); ok {
		return op.ID
	}
	if r := fromContext(ctx); r != nil {
		return r.ID
	}
	return ""
}

// LastEventID returns the Request.LastEventID of the operation that ctx belongs to.
func LastEventID(ctx context.Context) string {
	if r := fromContext(ctx); r != nil {
		return r.LastEventID
	}
	return ""
}

// SetEventID sets the Request.EventID of the subscription that ctx belongs to: by its resolver, or while an event is answered.
func SetEventID(ctx context.Context, id string) {
	if r := fromContext(ctx); r != nil {
		r.EventID = id
	}
}

// replay notes that the answer was kept of an operation.
func (r *Request) replay(id string) {
	if r.ID != "" { // else it may be the request of others too
		r.ID, r.Replayed = id, true
	}
	if r.header != nil {
		r.header.Set(HeaderID, id)
		r.header.Set(idempotency.ReplayedHeader, "true")
	}
}

// onEnd has end called when the request is over.
func (r *Request) onEnd(end func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.ends = append(r.ends, end)
}

// End ends every session that the request has opened, and has Extension.Ended told of its operation.
func (r *Request) End() {
	r.mu.Lock()
	ends := r.ends
	r.mu.Unlock()
	for _, end := range ends {
		end()
	}
	r.tell()
}

// Parts is a transport of gqlgen's that sends an answer in parts: transport.MultipartMixed, SSE and Websocket do. Any other one
// would send the first part and leave the rest unsaid.
func Parts(t graphql.Transport) graphql.Transport { return partsTransport{t} }

type partsTransport struct{ graphql.Transport }

// Do answers a request.
func (t partsTransport) Do(w http.ResponseWriter, r *http.Request, exec graphql.GraphExecutor) {
	if request := fromContext(r.Context()); request != nil {
		request.Parts = true
	}
	t.Transport.Do(w, r, exec)
}
