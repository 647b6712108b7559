package loader

import (
	"runtime"
	"sync"
	"time"
)

// dispatcher ends the batches of one operation: as soon as no resolver has asked for anything for
// a moment, all of them at once.
type dispatcher struct {
	loaders []func() // each ends one loader's batch

	mu     sync.Mutex
	loads  int // since the last dispatch
	last   time.Time
	active bool // watch is running
}

const (
	tick   = 100 * time.Microsecond // where the kernel's timers are that fine; else about a millisecond
	quiet  = 3 * tick               // without a load, after which no further one is expected
	yields = 16                     // to whatever resolver is ready to run and about to load
)

// loaded tells that a load is waiting.
func (d *dispatcher) loaded() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.loads++
	d.last = time.Now()
	if !d.active {
		d.active = true
		go d.watch()
	}
}

// watch waits until the loads have come to a rest and dispatches them.
func (d *dispatcher) watch() {
	for seen := 0; ; {
		time.Sleep(tick)
		for range yields {
			runtime.Gosched()
		}
		d.mu.Lock()
		if d.loads == seen && time.Since(d.last) >= quiet {
			d.loads, d.active = 0, false
			d.mu.Unlock()
			break
		}
		seen = d.loads
		d.mu.Unlock()
	}
	for _, flush := range d.loaders {
		flush()
	}
}
