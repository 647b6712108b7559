package transport

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// maxUncounted is how many bytes an answer may have that Gate.send does not count: its connection's buffers take as many.
const maxUncounted = 16 << 10

// errOverloaded is why a Gate does not let a request in.
var errOverloaded = errors.New("transport: too many requests are running and waiting")

// Gate limits how many requests run at once, and how many more wait for that. An array of operations is one request. A
// request leaves when its answer, or the first part of it, is ready to be sent, and a subscription once it has begun, so
// that a client that reads slowly takes no other's place. The zero value lets no request in; a nil Gate lets all in.
type Gate struct {
	// MaxUnsent is about how many bytes of answers may be on their way to clients; 0: 64 MiB. It bounds the memory that
	// clients take that do not read.
	MaxUnsent int

	slots    chan struct{}
	waiting  atomic.Int64
	queue    int64
	patience time.Duration

	mu     sync.Mutex
	sends  []*sending // the oldest first
	unsent int        // bytes of them
}

// sending is an answer on its way.
type sending struct {
	bytes int
	cut   func()
}

// NewGate returns a gate that lets running requests run at once, and queue more wait, each for at most patience.
func NewGate(running, queue int, patience time.Duration) *Gate {
	return &Gate{slots: make(chan struct{}, running), queue: int64(queue), patience: patience}
}

// Enter waits until a request may run; leave is to be called when it has, once or more often. The error is
// that there are too many, or the cause of ctx.
func (g *Gate) Enter(ctx context.Context) (leave func(), err error) {
	if g == nil {
		return func() {}, nil
	}
	select {
	case g.slots <- struct{}{}:
		return g.leave(), nil
	default:
	}
	defer g.waiting.Add(-1)
	if g.waiting.Add(1) > g.queue {
		return nil, errOverloaded
	}
	ctx, cancel := context.WithTimeoutCause(ctx, g.patience, errOverloaded)
	defer cancel()
	select {
	case g.slots <- struct{}{}:
		return g.leave(), nil
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

func (g *Gate) leave() func() { return sync.OnceFunc(func() { <-g.slots }) }

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
	return len(g.slots)
}

// Waiting returns how many requests wait.
func (g *Gate) Waiting() int {
	if g == nil {
		return 0
	}
	return int(g.waiting.Load())
}
