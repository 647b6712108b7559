package transport

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"rollcall/ratelimit"
)

// maxUncounted is how many bytes an answer may have that Gate.send does not count: its connection's buffers take as many.
const maxUncounted = 16 << 10

// errOverloaded is why a Gate does not let a request in.
var errOverloaded = errors.New("transport: too many requests are running and waiting")

// Gate limits how many requests run at once, and how many more wait for that. An array of operations is one request. A
// request leaves when its answer, or the first part of it, is ready to be sent, and a subscription once it has begun, so
// that a client that reads slowly takes no other's place. The zero value lets no request in; a nil Gate lets all in.
//
// It is fair: while requests of several clients wait, these take turns, however many of one there are; and where there is no room for another
// one to wait, the client that has most has its last one refused.
type Gate struct {
	// MaxUnsent is about how many bytes of answers may be on their way to clients; 0: 64 MiB. It bounds the memory that
	// clients take that do not read.
	MaxUnsent int
	// Clients tell whose a request is; nil: all are one client's.
	Clients *ratelimit.Clients
	// MaxRunning is how many requests of one client run at once; 0: as many as of all.
	MaxRunning int

	places, queue int
	patience      time.Duration

	mu       sync.Mutex
	running  int
	waiting  int
	visitors map[ratelimit.Client]*visitor // that have requests which run or wait
	turns    []*visitor                    // whose requests wait for nothing but a place, the next one first

	sends  []*sending // the oldest first
	unsent int        // bytes of them
}

// visitor is a client at a gate.
type visitor struct {
	client  ratelimit.Client
	running int
	waiting []*waiter // in the order in which they came
	turn    bool      // it is among Gate.turns
}

// waiter is a request that waits.
type waiter struct {
	decided chan struct{} // closed when it is let in or refused
	in      bool          // it was let in
}

// sending is an answer on its way.
type sending struct {
	bytes int
	cut   func()
}

// NewGate returns a gate that lets running requests run at once, and queue more wait, each for at most patience.
func NewGate(running, queue int, patience time.Duration) *Gate {
	return &Gate{places: running, queue: queue, patience: patience, visitors: map[ratelimit.Client]*visitor{}}
}

// Enter waits until a request may run; leave is to be called when it has, once or more often. The error is
// that there are too many, or the cause of ctx.
func (g *Gate) Enter(ctx context.Context) (leave func(), err error) {
	if g == nil {
		return func() {}, nil
	}
	v, w, err := g.arrive(g.Clients.Of(ctx))
	if err != nil {
		return nil, err
	}
	leave = sync.OnceFunc(func() { g.leave(v) })
	if w == nil {
		return leave, nil
	}
	ctx, cancel := context.WithTimeoutCause(ctx, g.patience, errOverloaded)
	defer cancel()
	select {
	case <-w.decided:
	case <-ctx.Done():
		err = context.Cause(ctx)
	}
	if !g.decided(v, w) {
		return nil, cmp.Or(err, errOverloaded)
	}
	return leave, nil
}

// arrive lets a request in, or has it wait.
func (g *Gate) arrive(client ratelimit.Client) (*visitor, *waiter, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	v := g.visitors[client]
	if v == nil {
		v = &visitor{client: client}
	}
	if g.running < g.places && g.mayRun(v) {
		g.visitors[client] = v
		g.running++
		v.running++
		return v, nil, nil
	}
	if g.waiting >= g.queue && !g.makeRoom(len(v.waiting)) {
		return nil, nil, errOverloaded
	}
	g.visitors[client] = v
	w := &waiter{decided: make(chan struct{})}
	v.waiting = append(v.waiting, w)
	g.waiting++
	g.queueUp(v)
	return v, w, nil
}

// decided reports whether a request was let in. If nothing has been decided, it waits no more.
func (g *Gate) decided(v *visitor, w *waiter) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if i := slices.Index(v.waiting, w); i >= 0 {
		g.remove(v, i)
	}
	return w.in
}

// leave gives a place to whoever is next.
func (g *Gate) leave(v *visitor) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.running--
	v.running--
	g.queueUp(v)
	g.tidy(v)
	for g.running < g.places && len(g.turns) > 0 {
		next := g.turns[0]
		g.turns = slices.Delete(g.turns, 0, 1)
		next.turn = false
		if len(next.waiting) == 0 || !g.mayRun(next) {
			continue
		}
		g.running++
		next.running++
		first := next.waiting[0]
		g.remove(next, 0)
		first.in = true
		close(first.decided)
		g.queueUp(next)
	}
}

func (g *Gate) mayRun(v *visitor) bool { return g.MaxRunning <= 0 || v.running < g.MaxRunning }

// queueUp has a client wait for its turn, if it waits for that.
func (g *Gate) queueUp(v *visitor) {
	if !v.turn && len(v.waiting) > 0 && g.mayRun(v) {
		v.turn = true
		g.turns = append(g.turns, v)
	}
}

// makeRoom refuses a request of the client that has most of those that wait, if it has more than another one would have with one more.
func (g *Gate) makeRoom(waiting int) bool {
	var most *visitor
	for _, v := range g.visitors {
		if len(v.waiting) > waiting+1 && (most == nil || len(v.waiting) > len(most.waiting)) {
			most = v
		}
	}
	if most == nil {
		return false
	}
	last := most.waiting[len(most.waiting)-1]
	g.remove(most, len(most.waiting)-1)
	close(last.decided)
	return true
}

// remove takes a request off those that wait.
func (g *Gate) remove(v *visitor, i int) {
	v.waiting = slices.Delete(v.waiting, i, i+1)
	g.waiting--
	g.tidy(v)
}

// tidy forgets a client that has no more requests.
func (g *Gate) tidy(v *visitor) {
	if v.running == 0 && len(v.waiting) == 0 {
		delete(g.visitors, v.client)
	}
}

// send counts an answer until sent is called. If there are too many bytes, it cuts off the answers that have been on their
// way for longest: their clients are the slowest. A cut must not wait for anything, and is not called after sent.
func (g *Gate) send(bytes int, cut func()) (sent func()) {
	if g == nil || bytes <= maxUncounted {
		return func() {}
	}
	one := &sending{bytes, cut}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.sends = append(g.sends, one)
	g.unsent += bytes
	for g.unsent > cmp.Or(g.MaxUnsent, 64<<20) && len(g.sends) > 1 {
		oldest := g.sends[0]
		g.forget(oldest)
		oldest.cut()
	}
	return func() {
		g.mu.Lock()
		defer g.mu.Unlock()
		g.forget(one)
	}
}

// forget takes an answer off the count, unless that has been done. The caller holds mu.
func (g *Gate) forget(one *sending) {
	if i := slices.Index(g.sends, one); i >= 0 {
		g.sends = slices.Delete(g.sends, i, i+1)
		g.unsent -= one.bytes
	}
}

// Running returns how many requests run.
func (g *Gate) Running() int {
	if g == nil {
		return 0
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.running
}

// Waiting returns how many requests wait.
func (g *Gate) Waiting() int {
	if g == nil {
		return 0
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.waiting
}
