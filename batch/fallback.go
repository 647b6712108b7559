package batch

import (
	"runtime"
	"sync/atomic"
	"time"
)

// Fallbacks returns how many times loads that the plan did not foresee had to be sent together after a moment. Where
// the plan covers the schema it stays 0.
func (p *Plan) Fallbacks() int64 { return p.fallbacks.Load() }

// fallback sends the batches of loads that no plan foresaw, as soon as none has been asked for for a moment.
type fallback struct {
	loads  atomic.Int64
	active atomic.Bool // watch is running, and has yet to send what is waiting
}

const (
	tick   = 100 * time.Microsecond // where the kernel's timers are that fine; else about a millisecond
	quiet  = 3 * tick               // without a load, after which no further one is expected
	yields = 16                     // to whatever resolver is ready to run and about to load
)

// wait tells that a load of the set is waiting in its batch.
func (f *fallback) wait(s *Set) {
	f.loads.Add(1)
	if f.active.CompareAndSwap(false, true) {
		go f.watch(s)
	}
}

// watch waits until the loads have come to a rest and sends them.
func (f *fallback) watch(s *Set) {
	seen, since := int64(0), time.Now()
	for {
		if loads := f.loads.Load(); loads != seen {
			seen, since = loads, time.Now()
		} else if time.Since(since) >= quiet {
			break
		}
		time.Sleep(tick)
		for range yields {
			runtime.Gosched()
		}
	}
	s.plan.fallbacks.Add(1)
	f.active.Store(false) // before the batches go out: whoever comes later needs another watch
	s.flush()
}
