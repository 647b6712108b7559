package session

import (
	"context"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/99designs/gqlgen/graphql"
	"github.com/google/uuid"
	"github.com/vektah/gqlparser/v2/ast"
)

// Operation names one GraphQL operation in logs and errors.
type Operation struct {
	ID   string // unique; a UUID of version 7 (RFC 9562), so that it tells when the operation began
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
	return Operation{ID: newID(), Name: oc.Operation.Name, Kind: oc.Operation.Operation}
}

func newID() string { return uuid.Must(uuid.NewV7FromReader(random{})).String() }

// random reads the runtime's generator: ChaCha8, seeded by the system and without a lock. Ids are to be unique, and no secret.
type random struct{}

func (random) Read(b []byte) (int, error) {
	var word [8]byte
	for rest := b; len(rest) > 0; rest = rest[copy(rest, word[:]):] {
		binary.NativeEndian.PutUint64(word[:], rand.Uint64())
	}
	return len(b), nil
}

// idTime returns when an id was made. It reports false for what is not an id of ours.
func idTime(id string) (time.Time, bool) {
	parsed, err := uuid.Parse(id)
	if err != nil || parsed.Version() != 7 || parsed.String() != id {
		return time.Time{}, false
	}
	return time.Unix(parsed.Time().UnixTime()), true
}

// OperationFromContext returns the operation that ctx belongs to.
func OperationFromContext(ctx context.Context) (Operation, bool) {
	if s, ok := ctx.Value(contextKey{}).(*Session); ok {
		return s.op, true
	}
	return Operation{}, false
}
