package session

import (
	"context"
	"fmt"
	"runtime/debug"
	"sync"
)

// AfterCommit has fn run once the Write that ctx belongs to is committed, before Run returns or the operation is answered. It
// does not run if that is rolled back, nor in a session that cannot write. Hooks run one after the other, those of two transactions that wrote
// the same row in the order in which these were committed: so fn must be quick, and wait for no other
// Write. The session is closed by then. A panic of fn changes nothing, and goes to Pools.Logger.
func AfterCommit(ctx context.Context, fn func()) {
	s := mustFromContext(ctx)
	s.hooks.mu.Lock()
	defer s.hooks.mu.Unlock()
	s.hooks.fns = append(s.hooks.fns, fn)
}

// OnAnswer has fn run once what happens now is what the operation ends with: in a Read, and outside a session, at once, and else
// after the last attempt. If the operation is run again, fn does not run. It is for a log of errors: one that another attempt
// mends is none.
func OnAnswer(ctx context.Context, fn func()) {
	s, ok := ctx.Value(contextKey{}).(*Session)
	if !ok || !s.hooks.wait(fn) {
		fn()
	}
}

// wait keeps fn for the answer, unless that is given already or is to be given in any case.
func (h *hooks) wait(fn func()) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.certain {
		return false
	}
	h.waiting = append(h.waiting, fn)
	return true
}

// answered runs what waits for the answer.
func (s *Session) answered() {
	s.hooks.mu.Lock()
	waiting := s.hooks.waiting
	s.hooks.waiting, s.hooks.certain = nil, true
	s.hooks.mu.Unlock()
	for _, fn := range waiting {
		fn()
	}
}

// hooks are what one session has to run after its commit.
type hooks struct {
	mu      sync.Mutex
	fns     []func()
	waiting []func() // for the answer
	certain bool     // there will be no other attempt
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
			go func() { <-earlier; done() }() // which nothing needs to wait for
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
			s.unit.logger().Error("panic in a hook after a commit", "operation", s.op.String(), "error", fmt.Errorf("%v\n%s", p, debug.Stack()))
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
