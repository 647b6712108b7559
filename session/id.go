package session

import (
	"context"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"strings"
	"time"

	"github.com/google/uuid"
)

// Operation names one unit of work in logs and errors.
type Operation struct {
	ID   string // unique; a UUID of version 7 (RFC 9562), so that it holds when the operation began
	Name string // as its caller has it, or ""; of a long name the first bytes
	Kind string // of Run the kind's name
}

// NewOperation returns an operation with this id, or a new one where that is "".
func NewOperation(id, kind, name string) Operation {
	const maxName = 100 // bytes that a log shall hold
	if id == "" {
		id = NewID()
	}
	if len(name) > maxName {
		name = strings.ToValidUTF8(name[:maxName], "")
	}
	return Operation{ID: id, Name: name, Kind: kind}
}

func (o Operation) String() string {
	if o.Name == "" {
		return fmt.Sprintf("%s %s", o.Kind, o.ID)
	}
	return fmt.Sprintf("%s %s %s", o.Kind, o.Name, o.ID)
}

// OperationFromContext returns the operation that ctx belongs to.
func OperationFromContext(ctx context.Context) (Operation, bool) {
	if s, ok := ctx.Value(contextKey{}).(*Session); ok {
		return s.op, true
	}
	return Operation{}, false
}

// NewID returns an id for an operation.
func NewID() string { return uuid.Must(uuid.NewV7FromReader(random{})).String() }

// random reads the runtime's generator: ChaCha8, seeded by the system and without a lock. Ids are to be unique, and no secret.
type random struct{}

func (random) Read(b []byte) (int, error) {
	var word [8]byte
	binary.NativeEndian.PutUint64(word[:], rand.Uint64())
	return copy(b, word[:]), nil
}

// IDTime returns when an id was made. It reports false for what is not an id of ours.
func IDTime(id string) (time.Time, bool) {
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
