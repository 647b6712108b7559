package ratelimit

import (
	"cmp"
	"context"
	"errors"
	"io"
	"net/http"
	"sync"
	"time"
)

// Delays have refusals wait before they are answered, so that a client that comes back at once, however often it is refused, costs little. A refusal
// that is one too many is answered at once. Of a nil Delays all are.
type Delays struct {
	// For is how long a refusal waits; 0: a second. That is the unit of Retry-After, and is taken off what it says, so that whoever comes back as told is
	// not held up; more would hold them up.
	For         time.Duration
	Max         int // refusals that wait at once
	MaxOfClient int // those of one client

	mu      sync.Mutex
	waiting int
	clients map[Client]int // none has 0
	ended   chan struct{}  // nil: nobody has waited yet
	over    bool           // End was called
}

// Waiting returns how many refusals wait.
func (d *Delays) Waiting() int {
	if d == nil {
		return 0
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.waiting
}

// End ends the waiting of all, and from now on nobody waits.
func (d *Delays) End() {
	if d == nil {
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if !d.over {
		d.over = true
		close(d.channel())
	}
}

// channel is closed at the end. The caller holds mu.
func (d *Delays) channel() chan struct{} {
	if d.ended == nil {
		d.ended = make(chan struct{})
	}
	return d.ended
}

// enter counts a refusal that waits. It reports false if it is one too many.
func (d *Delays) enter(client Client) (ended <-chan struct{}, ok bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.waiting >= d.Max || d.clients[client] >= d.MaxOfClient {
		return nil, false
	}
	if d.clients == nil {
		d.clients = map[Client]int{}
	}
	d.waiting++
	d.clients[client]++
	return d.channel(), true
}

func (d *Delays) leave(client Client) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.waiting--
	if d.clients[client]--; d.clients[client] == 0 {
		delete(d.clients, client)
	}
}

func (d *Delays) duration() time.Duration { return cmp.Or(d.For, time.Second) }

// wait waits as long as a refusal does, or until ctx ends or End is called; first does something meanwhile, unless it is nil. It reports false if the refusal is
// one too many.
func (d *Delays) wait(ctx context.Context, client Client, first func()) bool {
	ended, ok := d.enter(client)
	if !ok {
		return false
	}
	defer d.leave(client)
	timer := time.NewTimer(d.duration())
	defer timer.Stop()
	if first != nil {
		first()
	}
	select {
	case <-timer.C:
	case <-ended:
	case <-ctx.Done():
	}
	return true
}

// Delay has a refusal of what costs so much wait, as Delays has it, and returns the verdict as it is then: what has flowed in meanwhile is in it. The
// client is that of ctx, whose end ends the waiting. waited: it is not one too many.
func (c *Clients) Delay(ctx context.Context, cost int, v Verdict) (_ Verdict, waited bool) {
	return c.delay(ctx, cost, v, nil)
}

func (c *Clients) delay(ctx context.Context, cost int, v Verdict, first func()) (_ Verdict, waited bool) {
	if c.Delays == nil {
		return v, true
	}
	client := c.Of(ctx)
	if !c.Delays.wait(ctx, client, first) {
		return v, false
	}
	return c.Limiter.still(client, cost, time.Since(c.Limiter.began)), true
}

// Refuse is Delay for a request that is then to be answered with the status 429, and says in the header when to come back. The connection of
// a refusal that is one too many is closed, if it is one of HTTP/1: so to come back costs the client something, too.
func (c *Clients) Refuse(w http.ResponseWriter, r *http.Request, cost int, v Verdict) Verdict {
	v, waited := c.delay(r.Context(), cost, v, func() { discard(w, r, c.Delays.duration()) })
	if !waited && r.ProtoMajor == 1 {
		w.Header().Set("Connection", "close")
	}
	c.Limiter.Tell(w.Header(), v)
	return v
}

// discard reads the body of a request that nobody will read, as far as it comes within a time: only at its end does the server notice that the client
// goes away.
func discard(w http.ResponseWriter, r *http.Request, within time.Duration) {
	if r.Header.Get("Expect") != "" { // the client sends it once it is asked to
		return
	}
	const enough = 256 << 10 // bytes, as of those that net/http would read after the answer
	limits := http.NewResponseController(w)
	_ = limits.SetReadDeadline(time.Now().Add(within)) // a recorder has none
	if _, err := io.CopyN(io.Discard, r.Body, enough); errors.Is(err, io.EOF) {
		_ = limits.SetReadDeadline(time.Time{})
	}
}
