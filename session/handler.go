package session

import (
	"context"
	"fmt"
	"net/http"
	"reflect"
	"strings"
	"sync"

	"github.com/99designs/gqlgen/graphql"
	"github.com/99designs/gqlgen/graphql/handler"
	"github.com/99designs/gqlgen/graphql/handler/transport"
)

// Handler wraps a GraphQL handler so that every session that a request opened is ended when the request is,
// whatever became of its answer: a client that goes away leaves nothing behind. It panics if next is a
// gqlgen server whose Extension is missing, installed twice, or not the last operation interceptor.
func Handler(next http.Handler) http.Handler {
	var transports []graphql.Transport
	if server, ok := next.(*handler.Server); ok {
		if err := checkOrder(server); err != nil {
			panic(err)
		}
		transports = transportsOf(server)
	}
	return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		ctx, end := newRequest(req.Context(), takesParts(transports, req))
		defer end()
		next.ServeHTTP(w, req.WithContext(ctx))
	})
}

// NewRequest returns ctx for a request, and what ends every session that the request has opened. Handler
// calls it for HTTP requests. A transport that gets many requests on one connection calls it for each.
func NewRequest(ctx context.Context) (context.Context, func()) {
	return newRequest(ctx, streams(ctx))
}

func newRequest(ctx context.Context, streams bool) (context.Context, func()) {
	r := &request{streams: streams}
	r.ends = r.one[:0]
	return context.WithValue(ctx, requestKey{}, r), r.end
}

// checkOrder looks at the extensions of a server, which gqlgen does not show.
func checkOrder(server *handler.Server) error {
	extensions := reflect.ValueOf(server).Elem().FieldByName("exec").Elem().FieldByName("extensions")
	interceptor := reflect.TypeFor[graphql.OperationInterceptor]()
	var last reflect.Type
	sessions := 0
	for i := range extensions.Len() {
		if t := extensions.Index(i).Elem().Type(); t.Implements(interceptor) {
			last = t
			if t.Kind() == reflect.Pointer {
				last = t.Elem()
			}
			if last == reflect.TypeFor[Extension]() {
				sessions++
			}
		}
	}
	switch want := reflect.TypeFor[Extension](); {
	case last == nil:
		return fmt.Errorf("session: install the session.Extension with srv.Use before session.Handler")
	case sessions > 1:
		return fmt.Errorf("session: the session.Extension is installed %d times", sessions)
	case last != want:
		return fmt.Errorf("session: %s is installed after the session.Extension: an operation interceptor must come before it, since the session may run an operation more than once", last)
	}
	return nil
}

type requestKey struct{}

// request is what one HTTP request has to end.
type request struct {
	streams bool
	mu      sync.Mutex
	ends    []func()
	one     [1]func() // room for the usual number
}

// transportsOf returns a server's transports, in the order in which it asks them.
func transportsOf(server *handler.Server) []graphql.Transport {
	field := reflect.ValueOf(server).Elem().FieldByName("transports")
	return *(*[]graphql.Transport)(field.Addr().UnsafePointer())
}

// takesParts reports whether the transport that will serve a request sends an answer in parts. Any other one
// would send the first part and leave the rest unsaid.
func takesParts(transports []graphql.Transport, r *http.Request) bool {
	if accept := strings.Join(r.Header.Values("Accept"), ","); r.Header.Get("Upgrade") == "" &&
		!strings.Contains(accept, "multipart/mixed") && !strings.Contains(accept, "text/event-stream") {
		return false
	}
	for _, t := range transports {
		if t.Supports(r) {
			switch t.(type) {
			case transport.MultipartMixed, *transport.MultipartMixed, transport.SSE, *transport.SSE, transport.Websocket, *transport.Websocket:
				return true
			}
			return false
		}
	}
	return false
}

type partsKey struct{}

// WithParts returns ctx for a transport that sends an answer in parts, as they come: what a query defers is
// not waited for then. The transports of gqlgen that do are known.
func WithParts(ctx context.Context) context.Context {
	return context.WithValue(ctx, partsKey{}, true)
}

func streams(ctx context.Context) bool {
	r, ok := ctx.Value(requestKey{}).(*request)
	return ok && r.streams || ctx.Value(partsKey{}) != nil
}

// endWithRequest has end called when the HTTP request is over.
func endWithRequest(ctx context.Context, end func()) {
	if r, ok := ctx.Value(requestKey{}).(*request); ok {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.ends = append(r.ends, end)
	}
}

func (r *request) end() {
	r.mu.Lock()
	ends := r.ends
	r.mu.Unlock()
	for _, end := range ends {
		end()
	}
}
