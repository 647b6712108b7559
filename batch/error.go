package batch

import (
	"errors"

	"github.com/99designs/gqlgen/graphql"
)

// recovered returns the error of every key in a batch whose fetch panicked: what the server's RecoverFunc makes of the panic,
// which is called while the panic's stack is still there to be logged.
func (s *Set) recovered(p any) (err error) {
	defer func() {
		if recover() != nil || err == nil {
			err = errors.New("internal system error")
		}
	}()
	if s.bound == 0 {
		return graphql.DefaultRecover(s.ctx, p)
	}
	op := s.queries[0].op // all of a group have the same
	return op.RecoverFunc(graphql.WithOperationContext(s.ctx, op), p)
}
