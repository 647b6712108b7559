package transport

import (
	"cmp"
	"context"
	"errors"
	"net/http"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/vektah/gqlparser/v2/gqlerror"
)

// CodeOverloaded is the code of the error that refuses a request while too many others run and wait.
const CodeOverloaded = "OVERLOADED"

// ErrOverloaded is why a Gate does not let a request in.
var ErrOverloaded = errors.New("transport: too many requests are running and waiting")

// Gate lets so many requests run at once, and so many more wait for that. An array of operations is one request. A
// request leaves when its answer, or the first part of it, is ready to be sent, and a subscription once it has begun, so
// that a client that reads slowly takes nobody's place. Its zero value lets nobody in; a nil Gate lets everybody in.
type Gate struct {
	// MostUnsent is about how many bytes of answers may be on their way to clients; 0: 64 MiB. It bounds the memory that
	// clients take who do not read.
	MostUnsent int

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

// NewGate returns a gate for running requests at once, with room for queue more, each of which waits for at most
// patience.
func NewGate(running, queue int, patience time.Duration) *Gate {
	return &Gate{slots: make(chan struct{}, running), queue: int64(queue), patience: patience}
}

// Enter waits until a request may run; leave is to be called, once or more often, when it has. The error is
// ErrOverloaded, or that of ctx.
func (g *Gate) Enter(ctx context.Context) (leave func(), err error) {
	if g == nil {
		return func() {}, nil
	}
	select {
	case g.slots <- struct{}{}:
		return g.leave(), nil
	default:
	}
	if g.waiting.Add(1) > g.queue {
		g.waiting.Add(-1)
		return nil, ErrOverloaded
	}
	defer g.waiting.Add(-1)
	late := time.NewTimer(g.patience)
	defer late.Stop()
	select {
	case g.slots <- struct{}{}:
		return g.leave(), nil
	case <-late.C:
		return nil, ErrOverloaded
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

func (g *Gate) leave() func() {
	var left atomic.Bool
	return func() {
		if !left.Swap(true) {
			<-g.slots
		}
	}
}

// mostUncounted is how many bytes of an answer are not worth to be counted: the buffers of its connection take as many.
const mostUncounted = 16 << 10

// Send counts an answer until sent is called. If there are too many bytes, those answers are cut off that have been on
// their way for longest: their clients are the slowest. A cut must not wait for anything, and is not called after sent.
func (g *Gate) Send(bytes int, cut func()) (sent func()) {
	if g == nil || bytes <= mostUncounted {
		return func() {}
	}
	one := &sending{bytes, cut}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.sends = append(g.sends, one)
	g.unsent += bytes
	for g.unsent > cmp.Or(g.MostUnsent, 64<<20) && len(g.sends) > 1 {
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

// retryAfter is for how long a client that was not let in should stay away, in seconds.
const retryAfter = 1

func overloaded() *refusal {
	return &refusal{
		status: http.StatusServiceUnavailable, code: CodeOverloaded,
		message: "the server has too much to do: try again in " + strconv.Itoa(retryAfter) + " s",
	}
}

// notAdmitted are the errors of a request that a Gate did not let in.
func notAdmitted(err error) gqlerror.List {
	if errors.Is(err, ErrOverloaded) {
		return overloaded().list()
	}
	return cancelled().Errors
}
