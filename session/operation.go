package session

import (
	"context"
	"crypto/rand"
	"fmt"

	"github.com/99designs/gqlgen/graphql"
	"github.com/vektah/gqlparser/v2/ast"
)

// Operation names one GraphQL operation in logs and errors.
type Operation struct {
	ID   string // unique
	Name string // as the client called it, or ""
	Kind ast.Operation
}

func (o Operation) String() string {
	if o.Name == "" {
		return fmt.Sprintf("%s %s", o.Kind, o.ID)
	}
	return fmt.Sprintf("%s %s %s", o.Kind, o.Name, o.ID)
}

func newOperation(oc *graphql.OperationContext) Operation {
	return Operation{ID: rand.Text(), Name: oc.Operation.Name, Kind: oc.Operation.Operation}
}

// OperationFromContext returns the operation that ctx belongs to.
func OperationFromContext(ctx context.Context) (Operation, bool) {
	if s, ok := ctx.Value(contextKey{}).(*Session); ok {
		return s.op, true
	}
	return Operation{}, false
}
