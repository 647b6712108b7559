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
	clears          int // how often everything was forgotten
}

// contents is what a loader has, and is about to.
type contents[K comparable, V any] struct {
	index    map[K]int                // of a key's slot; nil where there are few
	slots    []slot[K, V]             // in the order in which they were asked for
	next     int                      // the slot after the one that was found last
	sent     int                      // how many of them a plan has gathered
	batch    gathered[K]              // what it has gathered last
	failures map[K]*failure           // errors that resolvers are to see
	others   *dataloader.Loader[K, V] // batches what no plan foresaw; nil until there is such a thing
	tracer   tracer[K, V]             // of others
}

// slot is where a key's value is, or is to be.
type slot[K comparable, V any] struct {
	key    K
	value  V
	loaded bool
	unmet  int32               // how many resolvers a plan has foreseen
	thunk  dataloader.Thunk[V] // what others is about to load, or nil
}

const (
	few  = 8  // slots, which are looked through without an index
	many = 64 // for which there is room when they are no longer few
)

// gathered is a batch that a plan has gathered.
type gathered[K comparable] struct {
	keys   []K
	from   int // the first of its slots; sent is after the last
	clears int // as it was then
}

// failure is an error that was read for some resolvers, which have yet to see it.
type failure struct {
	err   error
	unmet int32 // how many resolvers
}

// NewLoader returns a loader of the set.
func NewLoader[K comparable, V any](set *Set, fetch Fetch[K, V]) *Loader[K, V] {
	l := &Loader[K, V]{}
	l.Join(set, fetch)
	return l
}

// Join makes a loader of the set of a Loader that is part of something else: many loaders are so made at once.
func (l *Loader[K, V]) Join(set *Set, fetch Fetch[K, V]) {
	l.set, l.fetch = set, fetch
	set.loaders = append(set.loaders, l)
}

// Load returns the value of key: from what is loaded already, or with the next batch, which it stops
// waiting for when ctx ends.
func (l *Loader[K, V]) Load(ctx context.Context, key K) (V, error) {
	var none V
	if err := l.joined(nil); err != nil {
		return none, err
	}
	l.mu.Lock()
	l.open()
	narrowed := l.set.narrowed.Load() // what there is, is for an answer alone
	if !narrowed {
		if value, ok := l.get(key); ok {
			l.mu.Unlock()
			return value, nil
		}
		if err := l.unmet(key); err != nil {
			l.mu.Unlock()
			return none, err
		}
	}
	outlives := l.set.outlives(ctx)
	if !outlives && !(narrowed && ctx.Err() != nil) {
		thunk := l.unforeseen(key)
		l.mu.Unlock()
		return thunk()
	}
	if ctx.Err() != nil {
		l.mu.Unlock()
		return none, context.Cause(ctx)
	}
	thunk := l.unforeseen(key)
	l.mu.Unlock()
	return within(ctx, thunk)
}

// joined returns an error if the loader belongs to no set, or to another than a run's.
func (l *Loader[K, V]) joined(set *Set) error {
	switch {
	case l == nil || l.set == nil:
		return fmt.Errorf("batch: a %T has no set: make it with NewLoader, or have it Join the operation's set", l)
	case set != nil && set != l.set:
		return fmt.Errorf("batch: a %T belongs to another set than the operation's: make it with that", l)
	}
	return nil
}

// within waits for a thunk until ctx ends.
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

// open gives the loader room. The caller holds the lock.
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
		i, ok = l.lookUp(key)
	}
	if ok {
		l.next = i + 1
	}
	return i, ok
}

// lookUp is find for whatever order.
func (l *Loader[K, V]) lookUp(key K) (int, bool) {
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

// current tells that the slot was not replaced by a later one of its key.
func (s *slot[K, V]) current() bool { return s.loaded || s.thunk != nil }

// put keeps a value.
func (l *Loader[K, V]) put(key K, value V) {
	i, ok := l.find(key)
	if !ok {
		i = l.add(key)
	}
	s := &l.slots[i]
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

// unmet returns the error that is kept for a resolver of key, or nil.
func (l *Loader[K, V]) unmet(key K) error {
	f := l.failures[key]
	if f == nil {
		return nil
	}
	if f.unmet--; f.unmet == 0 {
		delete(l.failures, key)
	}
	return f.err
}

// foresee adds a key to the batch that a plan is gathering, once for each resolver that will ask for it. It returns the
// key's slot.
func (l *Loader[K, V]) foresee(key K) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.open()
	i, ok := l.find(key)
	if ok && l.slots[i].loaded {
		return i
	}
	if !ok {
		i = l.add(key)
	} else if i < l.sent { // an error is not kept
		waiting := l.slots[i].thunk
		l.slots[i].thunk = nil
		i = l.add(key)
		l.slots[i].thunk = waiting
	}
	l.slots[i].unmet++
	return i
}

// gather makes a batch of the keys that a plan has foreseen, unless there are none.
func (l *Loader[K, V]) gather() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.contents == nil {
		return false
	}
	from := l.sent
	l.sent = len(l.slots)
	if from == l.sent {
		return false
	}
	keys := make([]K, 0, l.sent-from)
	for _, s := range l.slots[from:] {
		if s.unmet > 0 && !s.loaded {
			keys = append(keys, s.key)
		}
	}
	l.batch = gathered[K]{keys, from, l.clears}
	return len(keys) > 0
}

// readGathered reads that batch.
func (l *Loader[K, V]) readGathered() {
	l.read(l.batch.keys, true, func(values map[K]V, err error) {
		l.mu.Lock()
		defer l.mu.Unlock()
		if l.batch.clears == l.clears {
			l.keep(l.slots[l.batch.from:l.sent], values, err)
		}
	})
}

// keep keeps what was read of foreseen keys.
func (l *Loader[K, V]) keep(slots []slot[K, V], values map[K]V, err error) {
	for i := range slots {
		switch s := &slots[i]; {
		case s.unmet == 0 || s.loaded: // otherwise
		case err != nil:
			l.fail(s.key, s.unmet, err)
		default:
			s.value, s.loaded = values[s.key], true
		}
	}
}

// fail keeps an error for a number of resolvers.
func (l *Loader[K, V]) fail(key K, unmet int32, err error) {
	if l.failures == nil {
		l.failures = map[K]*failure{}
	}
	if f := l.failures[key]; f != nil {
		f.unmet += unmet
	} else {
		l.failures[key] = &failure{err, unmet}
	}
}

// clear forgets everything. Who waits for a batch is not to wait longer, and who comes later is not to be in it.
func (l *Loader[K, V]) clear() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.clears++
	if l.contents == nil {
		return
	}
	l.index, l.slots, l.next, l.sent, l.failures = nil, nil, 0, 0, nil
	if l.others != nil {
		l.others.Flush()
		l.others = nil
	}
}

// unforeseen asks dataloader for a key that no plan foresaw.
func (l *Loader[K, V]) unforeseen(key K) dataloader.Thunk[V] {
	l.open()
	i, ok := l.find(key)
	if !ok {
		i = l.add(key)
	}
	if thunk := l.slots[i].thunk; thunk != nil {
		return thunk
	}
	if l.others == nil {
		const (
			never = 24 * time.Hour // the set's fallback ends a batch, not dataloader's timer
			queue = 300            // before a load waits for dataloader to note it down
		)
		clears := l.clears
		l.tracer.finish = func(dataloader.Thunk[V]) {}
		l.others = dataloader.NewBatchedLoader(
			func(_ context.Context, keys []K) []*dataloader.Result[V] { return l.readOthers(keys, clears) },
			dataloader.WithWait[K, V](never), dataloader.WithInputCapacity[K, V](queue),
			dataloader.WithCache[K, V](&dataloader.NoCache[K, V]{}), dataloader.WithTracer[K, V](&l.tracer))
	}
	thunk := l.others.Load(l.set.ctx, key)
	l.slots[i].thunk = thunk
	l.set.fallback.wait(l.set)
	return thunk
}

// readOthers reads a batch of dataloader's, and keeps it before anybody sees it, unless everything was to be
// forgotten since the first of its keys was asked for.
func (l *Loader[K, V]) readOthers(keys []K, clears int) []*dataloader.Result[V] {
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
					failed, _ := l.find(k)
					l.slots[failed].thunk = nil
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
	var others *dataloader.Loader[K, V]
	l.mu.Lock()
	if l.contents != nil {
		others = l.others
	}
	l.mu.Unlock()
	if others != nil {
		others.Flush()
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
