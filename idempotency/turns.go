package idempotency

import (
	"context"
	"sync"
)

// turns let one at a time do something, of all that have an id in common.
type turns struct {
	mu   sync.Mutex
	byID map[string]*turn
}

// turn is that of all with one id.
type turn struct {
	token chan struct{} // has room for one, and holds it while somebody has the turn
	users int           // that have the turn or wait for it
}

// take waits for a turn, which leave ends. The error is the cause of ctx.
func (t *turns) take(ctx context.Context, id string) (leave func(), err error) {
	t.mu.Lock()
	if t.byID == nil {
		t.byID = map[string]*turn{}
	}
	one := t.byID[id]
	if one == nil {
		one = &turn{token: make(chan struct{}, 1)}
		t.byID[id] = one
	}
	one.users++
	t.mu.Unlock()
	select {
	case one.token <- struct{}{}:
		return func() { <-one.token; t.forget(id, one) }, nil
	case <-ctx.Done():
		t.forget(id, one)
		return nil, context.Cause(ctx)
	}
}

// forget counts one user less of a turn.
func (t *turns) forget(id string, one *turn) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if one.users--; one.users == 0 {
		delete(t.byID, id)
	}
}
