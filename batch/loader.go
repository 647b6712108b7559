package batch

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/graph-gophers/dataloader/v7"
)

// Loader loads values by key through batches. It belongs to one Set, and keeps what it has loaded until
// the set is cleared.
type Loader[K comparable, V any] struct {
	set    *Set
	source *Source[K, V]

	mu        sync.Mutex
	index     map[K]int    // of a key's slot; nil where there are few
	slots     []slot[K, V] // in the order in which they were asked for
	next      int          // the slot after the one that was found last
	sent      int          // how many of the slots a plan has gathered
	keys      []K          // the batch that it has gathered last
	from      int          // the first slot of that batch; sent is after the last
	clears    int          // how often the set was cleared
	clearedAt int          // clears when the batch was gathered
	batch     int          // the index of that batch, where it is traced; -1: it has no keys
	unplanned *unplanned   // batches keys that no plan enqueued; nil until there are any
}

// unplanned is dataloader's loader. It is of one type, and so compiled once and not for each pair of types that is loaded.
type unplanned = dataloader.Loader[any, any]

// slot is the place of a key's value.
type slot[K comparable, V any] struct {
	key          K
	value        V
	err          error // of its batch, for the reads that are pending
	loaded       bool
	pendingReads int32                 // by resolvers, as the plan expects them
	thunk        dataloader.Thunk[any] // waits for the value of an unplanned key, or nil
}

const (
	few  = 8  // slots, which are searched without an index
	many = 64 // slots, for which there is room when they are no longer few
)

// Load returns the value of key: from what is loaded already, or with the next batch, which it stops
// waiting for when ctx ends. The error is the fetch's, or the cause of ctx's end.
func (l *Loader[K, V]) Load(ctx context.Context, key K) (V, error) {
	value, thunk, err := l.begin(ctx, key)
	if thunk == nil {
		return value, err
	}
	loaded, err := within(ctx, l.set, thunk)
	value, _ = loaded.(V)
	return value, err
}

// begin returns what is known of a key, or what waits for it.
func (l *Loader[K, V]) begin(ctx context.Context, key K) (value V, thunk dataloader.Thunk[any], err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	narrowed := l.set.narrowed.Load() // the values there are may lack columns: they are for an answer alone
	if i, ok := l.find(key); ok && !narrowed {
		switch s := &l.slots[i]; {
		case s.loaded:
			return s.value, nil, nil
		case s.err != nil && s.pendingReads > 0:
			s.pendingReads--
			return value, nil, s.err
		}
	}
	if ctx.Err() != nil && (narrowed || l.set.outlives(ctx)) {
		return value, nil, context.Cause(ctx)
	}
	return value, l.loadUnplanned(key), nil
}

// within waits for what a thunk returns until ctx ends, if that may be before the set's context does.
func within[V any](ctx context.Context, s *Set, thunk dataloader.Thunk[V]) (value V, err error) {
	if !s.outlives(ctx) {
		return thunk()
	}
	done := make(chan struct{})
	var loaded V
	var failed error
	go func() {
		defer close(done)
		loaded, failed = thunk()
	}()
	select {
	case <-done:
		return loaded, failed
	case <-ctx.Done():
		return value, context.Cause(ctx)
	}
}

// Prime stores a value that was read otherwise, unless key has one.
func (l *Loader[K, V]) Prime(key K, value V) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if s := l.slotOf(key); !s.loaded {
		s.value, s.loaded, s.thunk = value, true, nil
	}
}

// find returns the last slot of a key: mostly the next one, as keys are used in the order in which they were asked for. The caller
// holds the lock, here and below.
func (l *Loader[K, V]) find(key K) (int, bool) {
	i, ok := l.next, true
	switch {
	case i < len(l.slots) && l.slots[i].key == key && (l.slots[i].loaded || l.slots[i].thunk != nil): // there is none after it
	case l.index != nil:
		i, ok = l.index[key]
	default:
		for i = len(l.slots) - 1; i >= 0 && l.slots[i].key != key; {
			i--
		}
		ok = i >= 0
	}
	if ok {
		l.next = i + 1
	}
	return i, ok
}

// slotOf returns the slot of a key, which it gets if it has none.
func (l *Loader[K, V]) slotOf(key K) *slot[K, V] {
	i, ok := l.find(key)
	if !ok {
		i = l.add(key)
	}
	return &l.slots[i]
}

// add gives a key a new slot.
func (l *Loader[K, V]) add(key K) int {
	i := len(l.slots)
	switch {
	case l.slots == nil:
		l.slots = make([]slot[K, V], 0, few)
	case i == few && i == cap(l.slots):
		l.slots = slices.Grow(l.slots, many-few)
	}
	l.slots = append(l.slots, slot[K, V]{key: key})
	switch {
	case l.index != nil:
		l.index[key] = i
	case i == few:
		l.index = make(map[K]int, cap(l.slots))
		for i, s := range l.slots {
			l.index[s.key] = i
		}
	}
	return i
}

// enqueue adds a key to the batch that a plan is gathering, once for each resolver that will read it. It returns the
// key's slot, whether the key is new in the batch, and whether it is in one at all: its value may be there.
func (l *Loader[K, V]) enqueue(key K) (i int, added, waits bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	i, ok := l.find(key)
	switch {
	case !ok:
		i, added = l.add(key), true
	case l.slots[i].loaded:
		return i, false, false
	case i < l.sent: // it has failed, or is an unplanned batch's: it is read again
		old := l.slots[i]
		l.slots[i].thunk = nil
		i, added = l.add(key), true
		l.slots[i].thunk = old.thunk
		if old.err != nil {
			l.slots[i].err, l.slots[i].pendingReads = old.err, old.pendingReads
		}
	}
	l.slots[i].pendingReads++
	return i, added, true
}

// gather makes a batch of the keys that a plan has enqueued. It reports whether there are any.
func (l *Loader[K, V]) gather() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.sent == len(l.slots) {
		return false
	}
	l.from, l.sent, l.clearedAt, l.batch = l.sent, len(l.slots), l.clears, -1
	l.keys = make([]K, 0, l.sent-l.from)
	for _, s := range l.slots[l.from:] {
		if s.pendingReads > 0 && !s.loaded {
			l.keys = append(l.keys, s.key)
		}
	}
	return len(l.keys) > 0
}

// readGathered reads that batch.
func (l *Loader[K, V]) readGathered() {
	l.read(l.keys, true, func(values map[K]V, err error) {
		l.mu.Lock()
		defer l.mu.Unlock()
		if l.clearedAt != l.clears {
			return
		}
		for i := l.from; i < l.sent; i++ {
			switch s := &l.slots[i]; {
			case s.pendingReads == 0 || s.loaded: // not in the batch
			default:
				if s.err = errorOf(err, s.key); s.err == nil {
					s.value, s.loaded = values[s.key], true
				}
			}
		}
	})
}

// clear forgets everything. Loads that wait for a batch get it at once, and later ones are not in it.
func (l *Loader[K, V]) clear(firsts bool) {
	if l.source.first && !firsts {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.clears++
	l.index, l.slots, l.next, l.sent = nil, nil, 0, 0
	if l.unplanned != nil {
		l.unplanned.Flush()
		l.unplanned = nil
	}
}

// loadUnplanned asks dataloader for a key that no plan enqueued.
func (l *Loader[K, V]) loadUnplanned(key K) dataloader.Thunk[any] {
	s := l.slotOf(key)
	if s.thunk != nil {
		return s.thunk
	}
	if l.unplanned == nil {
		const (
			never = 24 * time.Hour // the set's fallback ends a batch, not dataloader's timer
			queue = 300            // loads, before one waits for dataloader to take it
		)
		clears := l.clears
		l.unplanned = dataloader.NewBatchedLoader(
			func(_ context.Context, keys []any) []*dataloader.Result[any] { return l.readUnplanned(keys, clears) },
			dataloader.WithWait[any, any](never), dataloader.WithInputCapacity[any, any](queue),
			dataloader.WithCache(&dataloader.NoCache[any, any]{}))
	}
	s.thunk = l.unplanned.Load(l.set.ctx, key)
	l.set.fallback.wait(l.set)
	return s.thunk
}

// readUnplanned reads a batch of dataloader's. It keeps the values before any load has them, unless the set was cleared since
// the first of the keys was asked for.
func (l *Loader[K, V]) readUnplanned(asked []any, clears int) []*dataloader.Result[any] {
	results := make([]*dataloader.Result[any], len(asked))
	keys := make([]K, len(asked))
	for i, key := range asked {
		keys[i] = key.(K)
	}
	var reading sync.WaitGroup
	reading.Go(func() { // the fetch may end its goroutine
		l.read(keys, false, func(values map[K]V, err error) {
			l.mu.Lock()
			defer l.mu.Unlock()
			all := make([]dataloader.Result[any], len(keys))
			for i, k := range keys {
				failed := errorOf(err, k)
				all[i] = dataloader.Result[any]{Data: values[k], Error: failed}
				results[i] = &all[i]
				if clears != l.clears {
					continue
				}
				s := l.slotOf(k)
				s.thunk = nil
				if failed == nil {
					s.value, s.loaded = values[k], true
				}
			}
		})
	})
	reading.Wait()
	return results
}

// flush ends dataloader's batch.
func (l *Loader[K, V]) flush() {
	l.mu.Lock()
	unplanned := l.unplanned
	l.mu.Unlock()
	if unplanned != nil {
		unplanned.Flush()
	}
}

var errGoexit = errors.New("batch: the fetch ended its goroutine")

// read reads keys and hands over what came of it, even of a panic or of runtime.Goexit.
func (l *Loader[K, V]) read(keys []K, planned bool, then func(map[K]V, error)) {
	var values map[K]V
	var err error
	ctx := l.set.ctx
	if t := l.set.trace; t != nil {
		batch := t.begin(len(keys), planned)
		if planned {
			l.batch = batch
		}
		defer func() { t.end(batch, err) }()
		if l.set.plan.Within != nil {
			ctx = l.set.plan.Within(ctx, batch)
		}
	}
	ended := true
	defer func() {
		if p := recover(); p != nil {
			err = l.set.recovered(p)
		} else if ended {
			err = l.set.recovered(errGoexit)
		}
		then(values, err)
	}()
	values, err = l.source.fetch(ctx, keys, Columns{l.set, planned})
	ended = false
}
