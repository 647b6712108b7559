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
	later   [][]field // that were followed after the root fields
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
	s.mu.Lock()
	queries := s.queries
	s.mu.Unlock()
	t := s.trace
	t.mu.Lock()
	defer t.mu.Unlock()
	trace := &Trace{Batches: append([]Batch(nil), t.batches...)}
	for _, q := range queries {
		trace.Fields = append(trace.Fields, tracesOf(q.traced)...)
	}
	for _, fields := range t.later {
		trace.Fields = append(trace.Fields, tracesOf(fields)...)
	}
	return trace
}

// tracesOf makes the tree of some fields.
func tracesOf(fields []field) (all []FieldTrace) {
	for i := range fields {
		f := &fields[i]
		if f.value != nil {
			continue
		}
		one := FieldTrace{Name: f.Alias, Field: f.inSchema(), Batch: -1, Objects: f.objects}
		for _, read := range f.reads {
			one.Keys += read.keys
			one.Hits += read.hits
			if read.batch >= 0 {
				one.Batch = read.batch
			}
		}
		for n := range f.below {
			one.Fields = append(one.Fields, tracesOf(f.below[n].fields)...)
		}
		all = append(all, one)
	}
	return all
}

// keep keeps fields that are followed after the root fields. A nil tracer does nothing.
func (t *tracer) keep(fields []field) {
	if t == nil {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.later = append(t.later, fields)
}

// begin counts a batch.
func (t *tracer) begin(keys int, planned bool) (batch int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.batches = append(t.batches, Batch{Keys: keys, Planned: planned, Began: time.Now()})
	return len(t.batches) - 1
}

// name names a batch, unless it has a name.
func (t *tracer) name(batch int, field string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if one := &t.batches[batch]; one.Field == "" {
		one.Field = field
	}
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

// traced notes what a field has waited for, and names the batch by the first that has, if that is asked for.
func (f pendingField) traced(s *Set) {
	if s.trace == nil {
		return
	}
	read := f.request.trace()
	f.field.reads = append(f.field.reads, read)
	if read.batch >= 0 {
		s.trace.name(read.batch, f.field.inSchema())
	}
}

// inSchema is where the schema has the field, such as User.manager.
func (f *field) inSchema() string { return f.ObjectDefinition.Name + "." + f.Name }
