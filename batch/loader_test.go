package batch

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"sync"
	"testing"
)

var errBroken = errors.New("broken")

// source is a fetch that records its batches.
type source struct {
	mu      sync.Mutex
	batches [][]int
	fetch   func(ctx context.Context, keys []int) (map[int]string, error)
}

func (s *source) read(ctx context.Context, keys []int, _ Columns) (map[int]string, error) {
	s.mu.Lock()
	sorted := slices.Clone(keys)
	slices.Sort(sorted)
	s.batches = append(s.batches, sorted)
	s.mu.Unlock()
	if s.fetch != nil {
		return s.fetch(ctx, keys)
	}
	values := map[int]string{}
	for _, k := range keys {
		values[k] = fmt.Sprint(k)
	}
	return values, nil
}

// want fails unless the batches were these.
func (s *source) want(t *testing.T, batches ...[]int) {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	if fmt.Sprint(s.batches) != fmt.Sprint(batches) {
		t.Errorf("want the batches %v, got %v", batches, s.batches)
	}
}

func newTestLoader(ctx context.Context, s *source) *Loader[int, string] {
	ctx, _ = NewSet(ctx, NewPlan())
	return NewSource(s.read).Loader(ctx)
}

// loadAll loads keys at once, as resolvers do, and returns their values and errors.
func loadAll(l *Loader[int, string], keys ...int) ([]string, []error) {
	values, errs := make([]string, len(keys)), make([]error, len(keys))
	var wg sync.WaitGroup
	for i, k := range keys {
		wg.Go(func() { values[i], errs[i] = l.Load(context.Background(), k) })
	}
	wg.Wait()
	return values, errs
}

func TestUnplannedLoadsGoOutTogetherAndAreCounted(t *testing.T) {
	s := &source{}
	l := newTestLoader(t.Context(), s)
	values, errs := loadAll(l, 1, 2, 3, 2)
	if fmt.Sprint(values) != "[1 2 3 2]" || errors.Join(errs...) != nil {
		t.Errorf("got %v, %v", values, errs)
	}
	s.want(t, []int{1, 2, 3})
	if n := l.set.plan.Fallbacks(); n != 1 {
		t.Errorf("want one fallback, got %d", n)
	}
	if n := newTestLoader(t.Context(), s).set.plan.Fallbacks(); n != 0 {
		t.Errorf("another plan has %d fallbacks", n)
	}
}

func TestWhatIsLoadedIsKeptUntilTheSetIsCleared(t *testing.T) {
	s := &source{}
	l := newTestLoader(t.Context(), s)
	loadAll(l, 1)
	loadAll(l, 1)
	l.Prime(1, "one")
	l.Prime(2, "two")
	if values, _ := loadAll(l, 1, 2); values[0] != "1" || values[1] != "two" {
		t.Errorf("got %v", values)
	}
	s.want(t, []int{1})
	l.set.Clear()
	loadAll(l, 1, 2)
	s.want(t, []int{1}, []int{1, 2})
}

// versions is a source whose value of every key is how many batches were read before; each begins with a channel
// that lets it go on.
func versions() (*source, chan chan struct{}) {
	s := &source{}
	begun := make(chan chan struct{})
	s.fetch = func(_ context.Context, keys []int) (map[int]string, error) {
		s.mu.Lock()
		version := fmt.Sprint(len(s.batches) - 1)
		s.mu.Unlock()
		release := make(chan struct{})
		begun <- release
		<-release
		values := map[int]string{}
		for _, k := range keys {
			values[k] = version
		}
		return values, nil
	}
	return s, begun
}

func TestWhatIsEnqueuedWhenTheSetIsClearedIsNotKept(t *testing.T) {
	s, begun := versions()
	l := newTestLoader(t.Context(), s)
	enqueue(l, 1)
	read := make(chan struct{})
	go func() {
		defer close(read)
		l.set.read()
	}()
	old := <-begun
	l.set.Clear()
	close(old)
	<-read
	go func() { close(<-begun) }()
	if v, err := l.Load(t.Context(), 1); v != "1" || err != nil {
		t.Errorf("got %q, %v", v, err)
	}
	s.want(t, []int{1}, []int{1})
}

func TestWhatIsOnItsWayWhenTheSetIsClearedReachesOnlyThoseWhoWaited(t *testing.T) {
	s, begun := versions()
	l := newTestLoader(t.Context(), s)
	load := func() chan string {
		loaded := make(chan string)
		go func() {
			v, err := l.Load(t.Context(), 1)
			loaded <- fmt.Sprint(v, err)
		}()
		return loaded
	}
	before := load()
	first := <-begun
	l.set.Clear()
	after := load()
	second := <-begun
	close(second)
	if got := <-after; got != "1<nil>" {
		t.Errorf("who came after got %s", got)
	}
	close(first)
	if got := <-before; got != "0<nil>" {
		t.Errorf("who had waited got %s", got)
	}
	if v, err := l.Load(t.Context(), 1); v != "1" || err != nil {
		t.Errorf("got %q, %v", v, err)
	}
	s.want(t, []int{1}, []int{1})
}

func TestAKeyThatIsAskedForOnBothSidesOfAClearIsInABatchOnce(t *testing.T) {
	s := &source{}
	l := newTestLoader(t.Context(), s)
	var all sync.WaitGroup
	load := func() {
		all.Go(func() {
			if v, err := l.Load(t.Context(), 1); v != "1" || err != nil {
				t.Errorf("got %q, %v", v, err)
			}
		})
	}
	l.mu.Lock() // so that no batch goes out between
	thunk := l.loadUnplanned(1)
	l.mu.Unlock()
	l.set.Clear()
	load()
	all.Wait()
	if v, err := thunk(); v != "1" || err != nil {
		t.Errorf("got %q, %v", v, err)
	}
	for _, keys := range s.batches {
		if len(keys) != 1 {
			t.Errorf("a batch of %v", keys)
		}
	}
}

func TestAKeyThatAPlanEnqueuesWhileItIsWaitedForIsInABatchOnce(t *testing.T) {
	s := &source{}
	l := newTestLoader(t.Context(), s)
	l.set.fallback.active.Store(true) // so that nothing is sent before it is asked for
	wait := func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.loadUnplanned(1)
	}
	wait()
	enqueue(l, 2)
	l.set.read()
	s.fetch = func(context.Context, []int) (map[int]string, error) { return nil, errBroken }
	enqueue(l, 1)
	wait()
	l.set.read()
	wait()
	l.flush()
	for l.waits(1) {
		runtime.Gosched()
	}
	s.want(t, []int{2}, []int{1}, []int{1})
}

func TestABatchThatFailsAfterTheSetWasClearedHarmsNobody(t *testing.T) {
	s := &source{fetch: func(context.Context, []int) (map[int]string, error) { return nil, errBroken }}
	l := newTestLoader(t.Context(), s)
	l.set.fallback.active.Store(true) // so that nothing is sent before the set is cleared
	failed := make(chan error)
	go func() {
		_, err := l.Load(t.Context(), 1)
		failed <- err
	}()
	for !l.waits(1) {
		runtime.Gosched()
	}
	l.set.Clear()
	if err := <-failed; !errors.Is(err, errBroken) {
		t.Errorf("got %v", err)
	}
}

func TestAKeyWithoutARowHasNoValueAndNoError(t *testing.T) {
	s := &source{fetch: func(context.Context, []int) (map[int]string, error) {
		return map[int]string{3: "three", 1: "one", 9: "nobody asked"}, nil
	}}
	values, errs := loadAll(newTestLoader(t.Context(), s), 1, 2, 3)
	if fmt.Sprint(values) != "[one  three]" || errors.Join(errs...) != nil {
		t.Errorf("got %q, %v", values, errs)
	}
}

func TestAnErrorIsNotKept(t *testing.T) {
	fail := true
	s := &source{}
	s.fetch = func(context.Context, []int) (map[int]string, error) {
		if fail {
			return nil, errBroken
		}
		return map[int]string{1: "one"}, nil
	}
	l := newTestLoader(t.Context(), s)
	if _, errs := loadAll(l, 1); !errors.Is(errs[0], errBroken) {
		t.Errorf("got %v", errs)
	}
	fail = false
	if values, errs := loadAll(l, 1); values[0] != "one" || errs[0] != nil {
		t.Errorf("got %v, %v", values, errs)
	}
}

// enqueue adds keys to a batch, as a plan does.
func enqueue[K comparable, V any](l *Loader[K, V], keys ...K) *keyRequest[K, V] {
	w := newRequest(l, len(keys))
	for _, k := range keys {
		w.enqueue(k, true)
	}
	return w
}

func TestAnErrorOfAPlannedReadReachesEachResolverWithoutAnotherBatch(t *testing.T) {
	s := &source{fetch: func(context.Context, []int) (map[int]string, error) { return nil, errBroken }}
	l := newTestLoader(t.Context(), s)
	w := enqueue(l, 1, 1, 2)
	l.set.read()
	var got results
	if complete := w.take(&got); complete || !slices.Equal(got.values, []any{nil, nil, nil}) {
		t.Errorf("the plan got %v, complete: %t", got.values, complete)
	}
	for _, key := range []int{1, 1, 2} {
		if _, err := l.Load(t.Context(), key); !errors.Is(err, errBroken) {
			t.Errorf("a resolver of %d: got %v", key, err)
		}
	}
	s.want(t, []int{1, 2})
	s.fetch = nil
	if values, errs := loadAll(l, 1); values[0] != "1" || errs[0] != nil { // no plan expected that
		t.Errorf("got %v, %v", values, errs)
	}
}

func TestAKeyThatFailsAloneLeavesTheOthersOfItsBatch(t *testing.T) {
	s := &source{fetch: func(context.Context, []int) (map[int]string, error) {
		return map[int]string{1: "one", 3: "three"}, fmt.Errorf("some: %w", KeysError[int]{2: errBroken})
	}}
	l := newTestLoader(t.Context(), s)
	w := enqueue(l, 1, 2, 3)
	l.set.read()
	var got results
	if complete := w.take(&got); complete || !slices.Equal(got.values, []any{"one", nil, "three"}) {
		t.Errorf("the plan got %v, complete: %t", got.values, complete)
	}
	for range 2 { // as it is planned, and unplanned
		values, errs := loadAll(l, 1, 2, 3)
		if !slices.Equal(values, []string{"one", "", "three"}) || errs[0] != nil || !errors.Is(errs[1], errBroken) || errs[2] != nil {
			t.Errorf("got %v, %v", values, errs)
		}
	}
	s.want(t, []int{1, 2, 3}, []int{2}) // what failed is read again
	if text := (KeysError[int]{2: errBroken}).Error(); text != errBroken.Error() {
		t.Errorf("got %q", text)
	}
}

func TestWhatWasEnqueuedIsReadOnceAndWithoutTheFallback(t *testing.T) {
	s := &source{}
	l := newTestLoader(t.Context(), s)
	l.Prime(4, "four")
	enqueue(l, 3, 1, 3, 4)
	l.set.read()
	if values, errs := loadAll(l, 3, 1, 4); fmt.Sprint(values) != "[3 1 four]" || errors.Join(errs...) != nil {
		t.Errorf("got %v, %v", values, errs)
	}
	s.want(t, []int{1, 3})
	if n := l.set.plan.Fallbacks(); n != 0 {
		t.Errorf("%d fallbacks", n)
	}
}

func TestAPanicOrAnEndedGoroutineFailsItsBatchAlone(t *testing.T) {
	for _, c := range []struct {
		what  string
		fetch func(context.Context, []int) (map[int]string, error)
	}{
		{"a panic", func(context.Context, []int) (map[int]string, error) { panic("no") }},
		{"runtime.Goexit", func(context.Context, []int) (map[int]string, error) { runtime.Goexit(); return nil, nil }},
	} {
		t.Run(c.what, func(t *testing.T) {
			s := &source{fetch: c.fetch}
			l := newTestLoader(t.Context(), s)
			if _, errs := loadAll(l, 1, 2); errs[0] == nil || errs[1] == nil {
				t.Errorf("got %v", errs)
			}
			s.fetch = nil
			if values, errs := loadAll(l, 1); values[0] != "1" || errs[0] != nil {
				t.Errorf("got %v, %v", values, errs)
			}
		})
	}
}

func TestABatchRunsUnderTheSetsContextAndNotItsFirstCallers(t *testing.T) {
	type key struct{}
	release := make(chan struct{})
	s := &source{fetch: func(ctx context.Context, _ []int) (map[int]string, error) {
		<-release
		return map[int]string{1: ctx.Value(key{}).(string)}, ctx.Err()
	}}
	l := newTestLoader(context.WithValue(t.Context(), key{}, "the set's"), s)
	gone, cancel := context.WithCancelCause(context.Background())
	first := make(chan error)
	go func() {
		_, err := l.Load(gone, 1)
		first <- err
	}()
	for !l.waits(1) {
		runtime.Gosched()
	}
	cancel(errBroken)
	if err := <-first; !errors.Is(err, errBroken) {
		t.Errorf("the first caller got %v", err)
	}
	if _, err := l.Load(gone, 2); !errors.Is(err, errBroken) {
		t.Errorf("a later caller got %v", err)
	}
	close(release)
	for _, ctx := range []context.Context{t.Context(), gone} { // what is loaded needs no waiting
		if v, err := l.Load(ctx, 1); v != "the set's" || err != nil {
			t.Errorf("got %q, %v", v, err)
		}
	}
	s.want(t, []int{1})
}

// waits reports whether an unplanned key is waited for.
func (l *Loader[K, V]) waits(key K) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	i, ok := l.find(key)
	return ok && l.slots[i].thunk != nil
}

func TestTheEndOfASetsContextFailsItsLoads(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	s := &source{fetch: func(ctx context.Context, _ []int) (map[int]string, error) {
		<-ctx.Done()
		return nil, context.Cause(ctx)
	}}
	l := newTestLoader(ctx, s)
	enqueue(l, 1)
	cancel()
	l.set.read()
	if _, err := l.Load(t.Context(), 1); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}

func TestKeysAreFoundInAnyOrderAndAgainAfterAnError(t *testing.T) {
	for _, n := range []int{1, few, few + 1, many, 2 * many} {
		t.Run(fmt.Sprintf("keys=%d", n), func(t *testing.T) {
			broken := true
			s := &source{}
			s.fetch = func(_ context.Context, keys []int) (map[int]string, error) {
				if broken {
					return nil, errBroken
				}
				values := map[int]string{}
				for _, k := range keys {
					values[k] = fmt.Sprint(k)
				}
				return values, nil
			}
			l := newTestLoader(t.Context(), s)
			keys := make([]int, n)
			for i := range keys {
				keys[i] = i + 1
			}
			load := func(want error) {
				enqueue(l, keys...)
				l.set.read()
				for _, k := range slices.Backward(keys) {
					if v, err := l.Load(t.Context(), k); !errors.Is(err, want) || err == nil && v != fmt.Sprint(k) {
						t.Errorf("of %d got %q, %v", k, v, err)
					}
				}
			}
			load(errBroken)
			broken = false
			load(nil)
			load(nil)
			s.want(t, keys, keys)
		})
	}
}
