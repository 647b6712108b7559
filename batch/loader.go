package batch

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/graph-gophers/dataloader/v7"
)

// Fetch reads the values of distinct keys in one go, from rows with the columns that it is given. A key that is missing in
// the map has V's zero value.
type Fetch[K comparable, V any] func(ctx context.Context, keys []K, columns Columns) (map[K]V, error)

// Loader loads values by key through batches. It belongs to one Set, and keeps what it has loaded until
// the set is cleared.
type Loader[K comparable, V any] struct {
	set    *Set
	fetch  Fetch[K, V]
	source *Source[K, V] // that it is the loader of, or nil

	mu              sync.Mutex
	*contents[K, V]     // nil until it is used: an operation uses few of its loaders
	clears          int // how often the set was cleared
}

// contents is what a loader has loaded, and what it is about to load.
type contents[K comparable, V any] struct {
	index     map[K]int                // of a key's slot; nil where there are few
	slots     []slot[K, V]             // in the order in which they were asked for
	next      int                      // the slot after the one that was found last
	sent      int                      // how many of the slots a plan has gathered
	keys      []K                      // the batch that it has gathered last
	from      int                      // the first slot of that batch; sent is after the last
	clearedAt int                      // the loader's clears when it was gathered
	failures  map[K]*failure           // errors that resolvers have yet to read
	unplanned *dataloader.Loader[K, V] // batches keys that no plan enqueued; nil until there are any
	tracer    tracer[K, V]             // of unplanned
}

// slot is the place of a key's value.
type slot[K comparable, V any] struct {
	key          K
	value        V
	loaded       bool
	pendingReads int32               // by resolvers, as the plan expects them
	thunk        dataloader.Thunk[V] // waits for the value of an unplanned key, or nil
}

const (
	few  = 8  // slots, which are searched without an index
	many = 64 // slots, for which there is room when they are no longer few
)

// failure is an error that resolvers have yet to read.
type failure struct {
	err          error
	pendingReads int32
}

// NewLoader returns a loader of the set.
func NewLoader[K comparable, V any](set *Set, fetch Fetch[K, V]) *Loader[K, V] {
	l := &Loader[K, V]{}
	l.Join(set, fetch)
	return l
}

// Join makes a zero Loader, such as one of many in a struct, a loader of the set.
func (l *Loader[K, V]) Join(set *Set, fetch Fetch[K, V]) {
	l.set, l.fetch = set, fetch
	set.loaders = append(set.loaders, l)
}

// Load returns the value of key: from what is loaded already, or with the next batch, which it stops
// waiting for when ctx ends. The error is the fetch's, or the cause of ctx's end.
func (l *Loader[K, V]) Load(ctx context.Context, key K) (V, error) {
	if err := l.joined(nil); err != nil {
		return *new(V), err
	}
	value, thunk, err := l.begin(ctx, key)
	switch {
	case thunk == nil:
		return value, err
	case l.set.outlives(ctx):
		return within(ctx, thunk)
	}
	return thunk()
}

// begin returns what is known of a key, or what waits for it.
func (l *Loader[K, V]) begin(ctx context.Context, key K) (value V, thunk dataloader.Thunk[V], err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.open()
	narrowed := l.set.narrowed.Load() // the values there are may lack columns: they are for an answer alone
	if !narrowed {
		if value, ok := l.get(key); ok {
			return value, nil, nil
		}
		if err := l.failed(key); err != nil {
			return value, nil, err
		}
	}
	if ctx.Err() != nil && (narrowed || l.set.outlives(ctx)) {
		return value, nil, context.Cause(ctx)
	}
	return value, l.loadUnplanned(key), nil
}

// joined returns an error if the loader belongs to no set, or to another than is given.
func (l *Loader[K, V]) joined(set *Set) error {
	switch {
	case l == nil || l.set == nil:
		return fmt.Errorf("batch: a %T has no set: make it with NewLoader, or have it Join the operation's set", l)
	case set != nil && set != l.set:
		return fmt.Errorf("batch: a %T belongs to another set than the operation's: make it with that", l)
	}
	return nil
}

// within waits for what a thunk returns until ctx ends.
func within[V any](ctx context.Context, thunk dataloader.Thunk[V]) (value V, err error) {
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

// open gives the loader contents. The caller holds the lock.
func (l *Loader[K, V]) open() {
	if l.contents == nil {
		l.contents = &contents[K, V]{}
	}
}

// Prime stores a value that was read otherwise, unless key has one.
func (l *Loader[K, V]) Prime(key K, value V) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.open()
	if _, ok := l.get(key); !ok {
		l.put(key, value)
	}
}

// get returns a value that is loaded. The caller holds the lock, here and below.
func (l *Loader[K, V]) get(key K) (value V, ok bool) {
	if i, ok := l.find(key); ok && l.slots[i].loaded {
		return l.slots[i].value, true
	}
	return value, false
}

// find returns the slot of a key: mostly the next one, as keys are used in the order in which they were asked for.
func (l *Loader[K, V]) find(key K) (int, bool) {
	i, ok := l.next, true
	if i >= len(l.slots) || l.slots[i].key != key || !l.slots[i].current() {
		i, ok = l.search(key)
	}
	if ok {
		l.next = i + 1
	}
	return i, ok
}

// search is find for whatever order.
func (l *Loader[K, V]) search(key K) (int, bool) {
	if l.index != nil {
		i, ok := l.index[key]
		return i, ok
	}
	for i, s := range slices.Backward(l.slots) {
		if s.key == key {
			return i, true
		}
	}
	return 0, false
}

// current reports whether the slot is certainly the last one of its key.
func (s *slot[K, V]) current() bool { return s.loaded || s.thunk != nil }

// slotOf returns the slot of a key, which it gets if it has none.
func (l *Loader[K, V]) slotOf(key K) *slot[K, V] {
	i, ok := l.find(key)
	if !ok {
		i = l.add(key)
	}
	return &l.slots[i]
}

// put keeps a value.
func (l *Loader[K, V]) put(key K, value V) {
	s := l.slotOf(key)
	s.value, s.loaded, s.thunk = value, true, nil
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
// key's slot.
func (l *Loader[K, V]) enqueue(key K) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.open()
	i, ok := l.find(key)
	switch {
	case !ok:
		i = l.add(key)
	case l.slots[i].loaded:
		return i
	case i < l.sent: // it has failed, or is an unplanned batch's: it is read again
		thunk := l.slots[i].thunk
		l.slots[i].thunk = nil
		i = l.add(key)
		l.slots[i].thunk = thunk
	}
	l.slots[i].pendingReads++
	return i
}

// gather makes a batch of the keys that a plan has enqueued. It reports whether there are any.
func (l *Loader[K, V]) gather() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.contents == nil || l.sent == len(l.slots) {
		return false
	}
	l.from, l.sent, l.clearedAt = l.sent, len(l.slots), l.clears
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
			case err != nil:
				l.fail(s.key, s.pendingReads, err)
			default:
				s.value, s.loaded = values[s.key], true
			}
		}
	})
}

// fail keeps an error for a number of reads.
func (l *Loader[K, V]) fail(key K, reads int32, err error) {
	if l.failures == nil {
		l.failures = map[K]*failure{}
	}
	if f := l.failures[key]; f != nil {
		f.pendingReads += reads
	} else {
		l.failures[key] = &failure{err, reads}
	}
}

// failed returns the error that is kept for one read of key, or nil.
func (l *Loader[K, V]) failed(key K) error {
	f := l.failures[key]
	if f == nil {
		return nil
	}
	if f.pendingReads--; f.pendingReads == 0 {
		delete(l.failures, key)
	}
	return f.err
}

// clear forgets everything. Loads that wait for a batch get it at once, and later ones are not in it.
func (l *Loader[K, V]) clear() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.clears++
	if l.contents == nil {
		return
	}
	l.index, l.slots, l.next, l.sent, l.failures = nil, nil, 0, 0, nil
	if l.unplanned != nil {
		l.unplanned.Flush()
		l.unplanned = nil
	}
}

// loadUnplanned asks dataloader for a key that no plan enqueued.
func (l *Loader[K, V]) loadUnplanned(key K) dataloader.Thunk[V] {
	l.open()
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
		l.tracer.finish = func(dataloader.Thunk[V]) {}
		l.unplanned = dataloader.NewBatchedLoader(
			func(_ context.Context, keys []K) []*dataloader.Result[V] { return l.readUnplanned(keys, clears) },
			dataloader.WithWait[K, V](never), dataloader.WithInputCapacity[K, V](queue),
			dataloader.WithCache[K, V](&dataloader.NoCache[K, V]{}), dataloader.WithTracer[K, V](&l.tracer))
	}
	s.thunk = l.unplanned.Load(l.set.ctx, key)
	l.set.fallback.wait(l.set)
	return s.thunk
}

// readUnplanned reads a batch of dataloader's. It keeps the values before any load has them, unless the set was cleared since
// the first of the keys was asked for.
func (l *Loader[K, V]) readUnplanned(keys []K, clears int) []*dataloader.Result[V] {
	results := make([]*dataloader.Result[V], len(keys))
	done := make(chan struct{})
	go func() { // the fetch may end its goroutine
		defer close(done)
		l.read(keys, false, func(values map[K]V, err error) {
			l.mu.Lock()
			defer l.mu.Unlock()
			all := make([]dataloader.Result[V], len(keys))
			for i, k := range keys {
				value := values[k]
				all[i].Data, all[i].Error = value, err
				results[i] = &all[i]
				switch {
				case clears != l.clears:
				case err == nil:
					l.put(k, value)
				default:
					l.slotOf(k).thunk = nil
				}
			}
		})
	}()
	<-done
	return results
}

// tracer traces nothing, like the one that it embeds, and does not allocate for each load.
type tracer[K comparable, V any] struct {
	dataloader.NoopTracer[K, V]
	finish dataloader.TraceLoadFinishFunc[V]
}

func (t *tracer[K, V]) TraceLoad(ctx context.Context, _ K) (context.Context, dataloader.TraceLoadFinishFunc[V]) {
	return ctx, t.finish
}

// flush ends dataloader's batch.
func (l *Loader[K, V]) flush() {
	var unplanned *dataloader.Loader[K, V]
	l.mu.Lock()
	if l.contents != nil {
		unplanned = l.unplanned
	}
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
	ended := true
	defer func() {
		if p := recover(); p != nil {
			err = l.set.recovered(p)
		} else if ended {
			err = l.set.recovered(errGoexit)
		}
		then(values, err)
	}()
	values, err = l.fetch(l.set.ctx, keys, Columns{l.set, planned})
	ended = false
}
