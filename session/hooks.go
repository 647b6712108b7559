package session

import (
	"context"
	"fmt"
	"runtime/debug"
	"sync"
)

// AfterCommit has fn run once the mutation is committed, before the answer is written. It does not run if
// the mutation is rolled back, nor in a query. Hooks run one after the other, those of two transactions that wrote
// the same row in the order in which these were committed: so fn must be quick, and wait for no other
// mutation. The operation's session is closed by then.
func AfterCommit(ctx context.Context, fn func()) {
	s := mustFromContext(ctx)
	s.hooks.mu.Lock()
	defer s.hooks.mu.Unlock()
	s.hooks.fns = append(s.hooks.fns, fn)
}

// hooks are what one session has to run after its commit.
type hooks struct {
	mu  sync.Mutex
	fns []func()
}

// queue takes the session's turn among those that are about to commit. The function returned
// ends the turn; if the commit has succeeded, it runs the hooks, after those of every earlier turn.
func (h *hooks) queue(s *Session) (turn func(committed bool)) {
	h.mu.Lock()
	fns := h.fns
	h.fns = nil
	h.mu.Unlock()
	if len(fns) == 0 {
		return func(bool) {}
	}
	earlier, done := s.with.commits.join()
	return func(committed bool) {
		if !committed {
			go func() { <-earlier; done() }() // nobody needs to wait for that
			return
		}
		<-earlier
		defer done()
		for _, fn := range fns {
			s.runHook(fn)
		}
	}
}

// runHook runs a hook. Its panic changes nothing: the transaction is committed.
func (s *Session) runHook(fn func()) {
	defer func() {
		if p := recover(); p != nil {
			s.logger.Error("panic in a hook after a commit", "operation", s.op.String(), "error", fmt.Errorf("%v\n%s", p, debug.Stack()))
		}
	}()
	fn()
}

// queue lines up the transactions that have hooks. A turn is taken before COMMIT is sent, so that a
// transaction which could write a row only after another's commit has the later turn.
type queue struct {
	mu   sync.Mutex
	last chan struct{} // closed when the last turn taken has ended
}

func (q *queue) join() (earlier <-chan struct{}, done func()) {
	mine := make(chan struct{})
	q.mu.Lock()
	defer q.mu.Unlock()
	before := q.last
	if before == nil {
		before = make(chan struct{})
		close(before)
	}
	q.last = mine
	return before, func() { close(mine) }
}
