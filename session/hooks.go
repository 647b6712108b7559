package session

import (
	"context"
	"fmt"
	"reflect"
	"runtime/debug"
	"sync"
)

// AfterCommit has fn run once the Write that ctx belongs to is committed, before Run returns or the operation is answered. It
// does not run if that is rolled back or discarded, nor in a session that cannot write. Hooks run one after the other, those of two transactions that wrote
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
	certain := true
	if s, ok := ctx.Value(contextKey{}).(*Session); ok {
		s.hooks.mu.Lock()
		if certain = s.hooks.certain; !certain {
			s.hooks.waiting = append(s.hooks.waiting, fn)
		}
		s.hooks.mu.Unlock()
	}
	if certain {
		fn()
	}
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

// hooks are what one session has to run at its end.
type hooks struct {
	mu        sync.Mutex
	before    []func() error       // the commit
	collected map[reflect.Type]any // see BeforeCommit
	fns       []func()             // after the commit
	waiting   []func()             // for the answer
	certain   bool                 // there will be no other attempt
}

// queue takes the session's turn among the transactions that have hooks. That is before COMMIT is sent, so that a transaction
// which could write a row only after another's commit has the later turn. The function returned ends the turn; if the commit has
// succeeded, it runs the hooks, after those of every earlier turn.
func (s *Session) queue() (turn func(committed bool)) {
	s.hooks.mu.Lock()
	fns := s.hooks.fns
	s.hooks.mu.Unlock()
	if len(fns) == 0 {
		return func(bool) {}
	}
	mine := make(chan struct{})
	earlier, waits := s.with.lastTurn.Swap(mine).(chan struct{})
	end := func(fns []func()) {
		defer close(mine)
		if waits {
			<-earlier
		}
		for _, fn := range fns {
			s.runHook(fn)
		}
	}
	return func(committed bool) {
		if committed {
			end(fns)
		} else {
			go end(nil) // which nothing needs to wait for
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
