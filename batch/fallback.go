package batch

import (
	"runtime"
	"sync/atomic"
	"time"
)

// Fallbacks returns how many times loads of keys that the plan did not enqueue had to be sent together after a pause. Where
// the plan covers the schema it stays 0.
func (p *Plan) Fallbacks() int64 { return p.fallbacks.Load() }

// fallback sends the batches of unplanned loads once none has been added for a while.
type fallback struct {
	loads  atomic.Int64
	active atomic.Bool // watch is running, and has yet to send the batches
}

const (
	tick   = 100 * time.Microsecond // where the kernel's timers are that fine; else about a millisecond
	quiet  = 3 * tick               // without a load, before the batches are sent
	yields = 16                     // to resolvers that are ready to run and about to load
)

// wait counts a load that waits in its batch, which will be sent.
func (f *fallback) wait(s *Set) {
	f.loads.Add(1)
	if f.active.CompareAndSwap(false, true) {
		go f.watch(s)
	}
}

// watch waits until no more loads are added, and sends them.
func (f *fallback) watch(s *Set) {
	seen, since := int64(0), time.Now()
	for time.Since(since) < quiet {
		time.Sleep(tick)
		for range yields {
			runtime.Gosched()
		}
		if loads := f.loads.Load(); loads != seen {
			seen, since = loads, time.Now()
		}
	}
	s.plan.fallbacks.Add(1)
	f.active.Store(false) // before the batches are sent: later loads need another watch
	for _, l := range s.all() {
		l.flush()
	}
}
