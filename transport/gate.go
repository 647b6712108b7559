package transport

import (
	"context"
	"errors"
	"net/http"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/vektah/gqlparser/v2/gqlerror"
)

// CodeOverloaded is the code of the error that refuses a request while too many others run and wait.
const CodeOverloaded = "OVERLOADED"

// ErrOverloaded is why a Gate does not let a request in.
var ErrOverloaded = errors.New("transport: too many requests are running and waiting")

// Gate lets so many requests run at once, and so many more wait for that. An array of operations is one request, and a
// subscription leaves once it has begun. Its zero value lets nobody in; a nil Gate lets everybody in.
type Gate struct {
	slots    chan struct{}
	waiting  atomic.Int64
	queue    int64
	patience time.Duration
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
