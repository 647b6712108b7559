package session

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"time"

	"gorm.io/gorm"
)

// Trace keeps what a unit of work has asked of the database. It belongs to one unit, and is safe for concurrent use.
type Trace struct {
	// Values has statements kept with their values too.
	Values bool

	mu         sync.Mutex
	statements []Statement
	dropped    int
}

// Statement is one that was run. BEGIN, with the wait for a connection, the INSERT of the proof, COMMIT and ROLLBACK of a transaction are, too, and as PROOF the
// search for what became of a COMMIT whose connection was lost, though Unit.Statements does not count them.
type Statement struct {
	SQL      string // with placeholders; of a long one the beginning
	Values   string // the same with its values; "": see Trace.Values
	For      any    // see For; nil: nothing has named it
	Attempt  int    // at the unit of work, from 1
	Began    time.Time
	Duration time.Duration // until its rows were read
	Rows     int64         // read or changed
	Failed   bool
}

const (
	maxTraced = 200  // statements of a trace, the first ones
	maxText   = 4000 // bytes of one
)

// Statements returns those that have ended, in the order in which they did, and how many more there were.
func (t *Trace) Statements() (all []Statement, more int) {
	if t == nil {
		return nil, 0
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	return slices.Clip(t.statements), t.dropped
}

// Join adds what another trace has kept.
func (t *Trace) Join(other *Trace) {
	if t == nil {
		return
	}
	all, more := other.Statements()
	for _, one := range all {
		t.add(one)
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.dropped += more
}

func (t *Trace) add(s Statement) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.statements) >= maxTraced {
		t.dropped++
		return
	}
	t.statements = append(t.statements, s)
}

type purpose struct{}

// For returns ctx under which statements are kept with a name, where the unit of work of ctx has a trace.
func For(ctx context.Context, name any) context.Context {
	if s, ok := ctx.Value(contextKey{}).(*Session); !ok || s.unit.Trace == nil {
		return ctx
	}
	return context.WithValue(ctx, purpose{}, name)
}

// ran counts a statement that has ended, and keeps it where that is asked for. ctx is its caller's.
func (s *Session) ran(ctx context.Context, began time.Time, text string, values []any, rows int64, err error) {
	s.unit.Statements.Add(1)
	s.unit.Rows.Add(rows)
	s.spent(ctx, began, text, values, rows, err)
}

// spent is ran for what is no statement of the caller's.
func (s *Session) spent(ctx context.Context, began time.Time, text string, values []any, rows int64, err error) {
	took := time.Since(began)
	s.unit.Spent.Add(int64(took))
	t := s.unit.Trace
	if t == nil {
		return
	}
	one := Statement{
		SQL: clipped(text), For: ctx.Value(purpose{}), Attempt: int(s.unit.Attempts.Load()), Began: began, Duration: took, Rows: rows,
		Failed: err != nil && !errors.Is(err, gorm.ErrRecordNotFound),
	}
	if t.Values && len(values) > 0 {
		one.Values = clipped(s.explained(text, values))
	}
	t.add(one)
}

// explained is a statement with those of its values that GORM's logger may be told.
func (s *Session) explained(text string, values []any) string {
	if filter, ok := s.base.Logger.(gorm.ParamsFilter); ok {
		text, values = filter.ParamsFilter(s.ctx, text, values...)
	}
	return s.base.Explain(text, values...)
}

// clipped is a text, or of a long one the beginning.
func clipped(text string) string {
	if len(text) <= maxText {
		return text
	}
	return strings.ToValidUTF8(text[:maxText], "") + "…"
}
