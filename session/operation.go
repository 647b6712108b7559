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
	Name string // as the client called it, or ""; of a long name the first bytes
	Kind ast.Operation
}

func (o Operation) String() string {
	if o.Name == "" {
		return fmt.Sprintf("%s %s", o.Kind, o.ID)
	}
	return fmt.Sprintf("%s %s %s", o.Kind, o.Name, o.ID)
}

func newOperation(ctx context.Context, oc *graphql.OperationContext) Operation {
	id, ok := ctx.Value(idKey{}).(string)
	if !ok {
		id = newID()
	}
	name := oc.Operation.Name
	return Operation{ID: id, Name: name[:min(len(name), mostName)], Kind: oc.Operation.Operation} // GraphQL's names are ASCII
}

// mostName is how many bytes of a name a log shall hold.
const mostName = 100

type idKey struct{}

// Identify gives the operation that is to run under ctx its id, so that a transport can tell it before and where
// there is no operation, as with a syntax error. It is for one operation.
func Identify(ctx context.Context) (context.Context, string) {
	id := newID()
	return context.WithValue(ctx, idKey{}, id), id
}

// OperationID returns the id of the operation that ctx belongs to, which may not have begun.
func OperationID(ctx context.Context) (string, bool) {
	if op, ok := OperationFromContext(ctx); ok {
		return op.ID, true
	}
	id, ok := ctx.Value(idKey{}).(string)
	return id, ok
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

// firstID returns what no id that was made at a time, or later, sorts before.
func firstID(made time.Time) string {
	var id uuid.UUID
	binary.BigEndian.PutUint64(id[:], uint64(made.UnixMilli())<<16)
	return id.String()
}

// OperationFromContext returns the operation that ctx belongs to.
func OperationFromContext(ctx context.Context) (Operation, bool) {
	if s, ok := ctx.Value(contextKey{}).(*Session); ok {
		return s.op, true
	}
	return Operation{}, false
}
