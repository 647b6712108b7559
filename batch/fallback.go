package batch

import (
	"runtime"
	"sync"
	"sync/atomic"
	"time"
)

// fallbacks counts the batches that no plan foresaw, since the process began.
var fallbacks atomic.Int64

// Fallbacks returns how many times loads that no plan foresaw had to be sent together after a moment. Where
// the plan covers the schema it stays 0.
func Fallbacks() int64 { return fallbacks.Load() }

// fallback sends the batches of loads that no plan foresaw, as soon as none has been asked for for a moment.
type fallback struct {
	mu     sync.Mutex
	loads  int // since the last flush
	last   time.Time
	active bool // watch is running
}

const (
	tick   = 100 * time.Microsecond // where the kernel's timers are that fine; else about a millisecond
	quiet  = 3 * tick               // without a load, after which no further one is expected
	yields = 16                     // to whatever resolver is ready to run and about to load
)

// wait tells that a load of the set is waiting.
func (f *fallback) wait(s *Set) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.loads++
	f.last = time.Now()
	if !f.active {
		f.active = true
		go f.watch(s)
	}
}

// watch waits until the loads have come to a rest and sends them.
func (f *fallback) watch(s *Set) {
	for seen := 0; ; {
		time.Sleep(tick)
		for range yields {
			runtime.Gosched()
		}
		f.mu.Lock()
		if f.loads == seen && time.Since(f.last) >= quiet {
			f.loads, f.active = 0, false
			f.mu.Unlock()
			break
		}
		seen = f.loads
		f.mu.Unlock()
	}
	fallbacks.Add(1)
	s.flush()
}
