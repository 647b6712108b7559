package batch

import (
	"context"
	"slices"
	"sync"
	"time"
)

// Trace is what was read for an operation, where Plan.Traces asks for it.
type Trace struct {
	// Batches are in the order in which they began: each is one fetch.
	Batches []Batch
	// Fields are the relations and paths that are selected, as a tree.
	Fields []FieldTrace
}

// Batch is one fetch of a source.
type Batch struct {
	Field    string // the first that has waited for it, such as User.manager; "": none that the plan has followed
	Keys     int
	Planned  bool // a plan has gathered it, and not a pause of loads
	Began    time.Time
	Duration time.Duration
	Failed   bool
}

// FieldTrace is a field that the plan has followed for all objects of one selection.
type FieldTrace struct {
	Name    string // in the answer
	Field   string // in the schema, such as User.manager
	Objects int    // that have the field
	Keys    int    // that it has added to its batch
	Hits    int    // keys that had been read, or were asked for by others
	Batch   int    // the index of its batch; -1: it has needed none
	Fields  []FieldTrace
}

// tracer gathers a Trace.
type tracer struct {
	mu      sync.Mutex
	batches []Batch
	roots   [][]field // of selections
	lone    []*field
}

// readTrace is what a field has asked for.
type readTrace struct{ keys, hits, batch int }

// TraceOf returns what was read in the set of ctx; nil: it was not asked to tell.
func TraceOf(ctx context.Context) *Trace {
	s := fromContext(ctx)
	if s == nil || s.trace == nil {
		return nil
	}
	s.following.Lock()
	defer s.following.Unlock()
	t := s.trace
	t.mu.Lock()
	defer t.mu.Unlock()
	trace := &Trace{Batches: append([]Batch(nil), t.batches...)}
	for _, fields := range t.roots {
		trace.Fields = append(trace.Fields, tracesOf(fields, trace.Batches)...)
	}
	for _, f := range t.lone {
		trace.Fields = append(trace.Fields, tracesOf([]field{*f}, trace.Batches)...)
	}
	return trace
}

// tracesOf makes the tree of some fields, and names the batches that they have waited for.
func tracesOf(fields []field, batches []Batch) (all []FieldTrace) {
	for i := range fields {
		f := &fields[i]
		if f.value != nil {
			continue
		}
		one := FieldTrace{Name: f.Alias, Field: f.ObjectDefinition.Name + "." + f.Name, Batch: -1, Objects: f.objects}
		for _, read := range f.reads {
			one.Keys += read.keys
			one.Hits += read.hits
			if read.batch >= 0 {
				one.Batch = read.batch
				if batches[read.batch].Field == "" {
					batches[read.batch].Field = one.Field
				}
			}
		}
		for n := range f.below {
			one.Fields = append(one.Fields, tracesOf(f.below[n].fields, batches)...)
		}
		all = append(all, one)
	}
	return all
}

// restart forgets the fields that were kept: they are followed again.
func (t *tracer) restart() {
	if t == nil {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.roots, t.lone = nil, nil
}

// keep keeps the fields of a selection that was followed. A nil tracer does nothing, here and below.
func (t *tracer) keep(fields []field) {
	if t == nil {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.roots = append(t.roots, fields)
}

// keepOne is keep for one field, of which below is known later.
func (t *tracer) keepOne(f *field) {
	if t == nil {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.lone = append(t.lone, f)
}

// begin counts a batch.
func (t *tracer) begin(keys int, planned bool) (batch int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.batches = append(t.batches, Batch{Keys: keys, Planned: planned, Began: time.Now()})
	return len(t.batches) - 1
}

// end ends a batch.
func (t *tracer) end(batch int, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	one := &t.batches[batch]
	one.Duration, one.Failed = time.Since(one.Began), err != nil
}

// traces has the set tell what it reads, if its plan wants that of one of its operations.
func (s *Set) traces() {
	if s.plan.Traces != nil && slices.ContainsFunc(s.queries, func(q *query) bool { return s.plan.Traces(q.op) }) {
		s.trace = &tracer{}
	}
}

// traced notes what a field has waited for, if that is asked for.
func (f pendingField) traced(s *Set) {
	if s.trace != nil {
		f.field.reads = append(f.field.reads, f.request.trace())
	}
}
