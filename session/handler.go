package session

import (
	"context"
	"net/http"
	"sync"
)

// Handler wraps a GraphQL handler so that every session that a request opened is ended when the request is,
// whatever became of its answer: a client that goes away leaves nothing behind.
func Handler(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		r := &registry{}
		defer r.end()
		next.ServeHTTP(w, req.WithContext(context.WithValue(req.Context(), registryKey{}, r)))
	})
}

type registryKey struct{}

// registry is what one HTTP request has to end.
type registry struct {
	mu   sync.Mutex
	ends []func()
}

func (r *registry) add(end func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.ends = append(r.ends, end)
}

func (r *registry) end() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, end := range r.ends {
		end()
	}
}
