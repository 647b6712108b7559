package loader

import (
	"sync"
	"time"
)

// dispatcher ends the batches of one operation: as soon as no resolver has asked for anything for
// a moment, all of them at once.
type dispatcher struct {
	loaders []func() // each ends one loader's batch

	mu     sync.Mutex
	loads  int  // since the last dispatch
	active bool // watch is running
}

const (
	tick  = 100 * time.Microsecond
	quiet = 3 // ticks without a load after which no further one is expected
)

// loaded tells that a load is waiting.
func (d *dispatcher) loaded() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.loads++
	if !d.active {
		d.active = true
		go d.watch()
	}
}

// watch waits until the loads have come to a rest and dispatches them.
func (d *dispatcher) watch() {
	for seen, rest := 0, 0; rest < quiet; {
		before := time.Now()
		time.Sleep(tick)
		late := time.Since(before) > 10*tick // others had no chance to run either

		d.mu.Lock()
		if d.loads == seen && !late {
			rest++
		} else {
			seen, rest = d.loads, 0
		}
		if rest == quiet {
			d.loads, d.active = 0, false
		}
		d.mu.Unlock()
	}
	for _, flush := range d.loaders {
		flush()
	}
}
