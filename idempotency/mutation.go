package idempotency

import (
	"cmp"
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"time"

	"gorm.io/gorm"

	"rollcall/dialect"
	"rollcall/session"
)

// Keys are the idempotency keys at one database. They are safe for concurrent use.
type Keys struct {
	// Viewer returns whose keys those of a context are: two viewers never have one in common. nil: all are the same viewer's.
	Viewer func(ctx context.Context) string
	// Retention is for how long an answer is kept at least; a day where it is 0.
	Retention time.Duration
	// MaxAnswer is how many bytes an answer may have; 1 MiB where it is 0, and at most 16 MiB. A mutation with a larger one is refused, so
	// that there is none that was stored and whose answer is lost.
	MaxAnswer int

	turns turns
}

func (k *Keys) retention() time.Duration { return cmp.Or(k.Retention, 24*time.Hour) }

// Mutation is one mutation with a key, in all its attempts. It belongs to one goroutine.
type Mutation struct {
	keys            *Keys
	id, fingerprint string
	leave           func() // ends its turn; nil until it has that
	waits           bool   // for another's transaction
	replays         bool   // what another one had for an answer
}

// Kept is what is kept of a mutation that has run.
type Kept struct {
	OperationID string // of its session's operation
	Answer      []byte
}

// Mutation returns the mutation that was sent with a key, which Check takes. It is the same mutation as another one if all of its
// parts are the same. End must follow.
func (k *Keys) Mutation(ctx context.Context, key string, parts ...string) *Mutation {
	viewer := ""
	if k.Viewer != nil {
		viewer = k.Viewer(ctx)
	}
	return &Mutation{keys: k, id: digest(viewer, key), fingerprint: digest(parts...)}
}

// digest returns one text of 64 characters for texts, and another for others. So the table has the same order and the same equality
// on every database, and tells no key.
func digest(texts ...string) string {
	h := sha256.New()
	for _, text := range texts {
		part(h, text)
	}
	return hex.EncodeToString(h.Sum(nil))
}

func part(h hash.Hash, text string) {
	var length [8]byte
	binary.BigEndian.PutUint64(length[:], uint64(len(text)))
	_, _ = h.Write(length[:])
	_, _ = h.Write([]byte(text)) // of a hash, these never fail
}

// Claim is to come first in each attempt, in a session of kind Write. It waits until no other mutation with the key is under way. If one
// has been stored, Claim returns what is kept of it, and the session is to be committed all the same, with its proof: a standby for which
// commits wait has the first mutation then, which others see before. If that was not the same mutation, the error has CodeMismatch. Else
// Claim returns nil, the mutation is to run, and Keep is to come last.
func (m *Mutation) Claim(ctx context.Context) (*Kept, error) {
	if m.leave == nil {
		leave, err := m.keys.turns.take(ctx, m.id)
		if err != nil {
			m.waits = true
			return nil, err
		}
		m.leave = leave
	}
	// The transaction begins by itself, so that a wait for a connection is not taken for one for the key.
	if err := session.Do(ctx, func(*gorm.DB) error { return nil }); err != nil {
		return nil, err
	}
	m.replays = false
	for {
		m.waits = true
		isNew, err := m.insert(ctx)
		if err != nil {
			return nil, err
		}
		m.waits = false
		if isNew {
			return nil, nil
		}
		if kept, err := m.read(ctx); err != nil || kept != nil {
			return kept, err
		}
		// It was swept in between.
	}
}

// insert stores the key, unless it is there.
func (m *Mutation) insert(ctx context.Context) (isNew bool, err error) {
	db := session.DB(ctx)
	op, _ := session.OperationFromContext(ctx)
	result := db.Exec("INSERT INTO idempotency_keys (id, fingerprint, operation_id, stored_at) VALUES (?, ?, ?, ?) "+
		dialect.OfDB(db).IfNew("id", "stored_at"), m.id, m.fingerprint, op.ID, time.Now().UnixMilli())
	return result.RowsAffected == 1, result.Error
}

// read returns what is kept with the key; nil: nothing is.
func (m *Mutation) read(ctx context.Context) (kept *Kept, err error) {
	fingerprint := ""
	err = session.Query(ctx, "SELECT fingerprint, operation_id, answer FROM idempotency_keys WHERE id = ?", []any{m.id}, func(rows *sql.Rows) error {
		kept = &Kept{}
		return rows.Scan(&fingerprint, &kept.OperationID, &kept.Answer)
	})
	switch {
	case err != nil:
		return nil, err
	case kept != nil && fingerprint != m.fingerprint:
		return nil, mismatch()
	}
	m.replays = kept != nil
	return kept, nil
}

// Keep stores the mutation's answer, with CodeTooLarge as the error's code if it is too long.
func (m *Mutation) Keep(ctx context.Context, answer []byte) error {
	if limit := cmp.Or(m.keys.MaxAnswer, 1<<20); len(answer) > limit {
		return tooLarge(len(answer), limit)
	}
	result := session.DB(ctx).Exec("UPDATE idempotency_keys SET answer = ? WHERE id = ?", answer, m.id)
	if result.Error == nil && result.RowsAffected != 1 {
		return fmt.Errorf("idempotency: %d rows have the key that Claim has stored: has the mutation deleted it?", result.RowsAffected)
	}
	return result.Error
}

// Failure returns the error that the session of the mutation has ended with: it has CodeInProgress if the time was up, or had to be, in a
// wait for another mutation with the key, or if that one is stored, but not at the standbys yet, as far as is known.
func (m *Mutation) Failure(err error) error {
	if _, unknown := errors.AsType[*session.OutcomeUnknownError](err); unknown && m.replays {
		return inProgress(err)
	}
	if m.waits && (errors.Is(err, context.DeadlineExceeded) || dialect.Is(err, dialect.Waited)) {
		return inProgress(err)
	}
	return err
}

// End lets the next mutation with the key have its turn. It is to be called once the session has ended.
func (m *Mutation) End() {
	if m.leave != nil {
		m.leave()
		m.leave = nil
	}
}
