package document

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/99designs/gqlgen/graphql"
)

// Store keeps documents under their hashes for several servers. It is safe for concurrent use.
type Store interface {
	// Find returns the document that is stored under a hash; nil: none is.
	Find(ctx context.Context, hash string) (*Stored, error)
	// Keep stores a document under its hash, unless there is one.
	Keep(ctx context.Context, hash, text string) error
	// Use notes that a document is in use, and stores it if it has gone.
	Use(ctx context.Context, hash, text string) error
	// Remove removes the document of a hash, if it still has that text.
	Remove(ctx context.Context, hash, text string) error
}

// Stored is a document in a Store.
type Stored struct {
	Text string
	Used time.Time // when it was last noted to be in use; zero: never
}

// Automatic is the documents that clients send together with their hash. A document is kept once an operation of it is run, so that one that is
// refused is not. The store is told beside the operation, which does not fail by it.
type Automatic struct {
	// Memory has those that this server has used lately.
	Memory graphql.Cache[*Text]
	// Store has those of all servers. It is asked for what is not in the memory; nil: there is none.
	Store Store
	// Admit reports whether whoever sends the request of a context may have one more document stored; nil: anybody may.
	Admit func(ctx context.Context) bool
	// Logger is told when the store fails, and that a stored document is not that of its hash; nil: slog.Default().
	Logger *slog.Logger

	failing atomic.Bool // the store, when it was last asked

	mu      sync.Mutex
	jobs    []job         // for the store, in their order
	bytes   int           // of their texts
	working chan struct{} // is closed once none is left; nil: none is done
}

// Text is the text of a document in the memory, with what its store knows of it.
type Text struct {
	text   string
	stored atomic.Bool
	next   atomic.Int64 // when the store is next to be told, in milliseconds of Unix time
}

// Len returns how many bytes a text has.
func (t *Text) Len() int { return len(t.text) }

const (
	findFor  = time.Second      // how long the store is asked for a document
	storeFor = time.Second / 10 // how long an answer waits for its document to be stored, from the beginning of its operation
	useEvery = 24 * time.Hour   // between two times that the use of a document is noted
	retry    = time.Minute      // after the store could not be told of a document
	jobFor   = 10 * time.Second // how long that may take
	maxJobs  = 1_000            // that wait for the store; no more are taken
	maxBytes = 16 << 20         // of their texts
)

// run is an operation of a document that was named by its hash.
type run struct {
	automatic *Automatic
	hash      string
	*Text
	sent bool // by the client, and it is not in the memory
}

// Run notes that an operation is run whose document was named by its hash. Operations that the server dispatches need no call: it is for one that
// is answered otherwise.
func Run(ctx context.Context, oc *graphql.OperationContext) { ran(ctx, oc) }

// ran is Run. Where it has a document stored, stored is closed once that has been tried; else it is nil.
func ran(ctx context.Context, oc *graphql.OperationContext) (stored <-chan struct{}) {
	if r, ok := oc.Stats.GetExtension(extensionName).(*run); ok {
		return r.automatic.ran(ctx, r)
	}
	return nil
}

// IsHash reports whether a text can be the hash of a document: SHA-256, in lower-case hexadecimal.
func IsHash(text string) bool {
	return len(text) == hex.EncodedLen(sha256.Size) && strings.Trim(text, "0123456789abcdef") == ""
}

func hashOfText(text string) string {
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:])
}

// find returns the document of a hash; nil: none is known, or the store cannot say.
func (a *Automatic) find(ctx context.Context, hash string) *Text {
	if a == nil {
		return nil
	}
	if known, ok := a.Memory.Get(ctx, hash); ok {
		return known
	}
	if a.Store == nil || !IsHash(hash) {
		return nil
	}
	within, cancel := context.WithTimeout(ctx, findFor)
	defer cancel()
	found, err := a.Store.Find(within, hash)
	if ctx.Err() == nil {
		a.report("cannot look for a persisted document", err)
	}
	if err != nil || found == nil {
		return nil
	}
	if hashOfText(found.Text) != hash {
		a.logger().Error("a persisted document is not that of its hash, and is removed", "hash", hash)
		a.enqueue(job{hash: hash, text: found.Text, tell: a.Store.Remove})
		return nil
	}
	text := &Text{text: found.Text}
	text.stored.Store(true)
	if !found.Used.IsZero() {
		text.next.Store(found.Used.Add(useEvery).UnixMilli())
	}
	a.Memory.Add(ctx, hash, text)
	return text
}

// ran keeps a document that is run, and has the store told of it. What is stored now, and can be, is to be waited for until the channel is closed.
func (a *Automatic) ran(ctx context.Context, r *run) <-chan struct{} {
	if r.sent {
		a.Memory.Add(ctx, r.hash, r.Text)
	}
	if a.Store == nil {
		return nil
	}
	now := time.Now()
	next := r.next.Load()
	if now.UnixMilli() < next {
		return nil
	}
	stored := r.stored.Load()
	if !stored && a.Admit != nil && !a.Admit(ctx) || !r.next.CompareAndSwap(next, now.Add(retry).UnixMilli()) {
		return nil
	}
	if stored {
		a.enqueue(job{hash: r.hash, text: r.text, tell: a.Store.Use, done: func() { r.next.Store(now.Add(useEvery).UnixMilli()) }})
		return nil
	}
	tried := make(chan struct{})
	accepted := a.enqueue(job{hash: r.hash, text: r.text, tried: tried, tell: a.Store.Keep, done: func() {
		r.stored.Store(true)
		r.next.Store(0)
	}})
	if !accepted || a.failing.Load() {
		return nil
	}
	return tried
}

// job is something to tell the store.
type job struct {
	hash, text string
	tell       func(ctx context.Context, hash, text string) error
	done       func()        // is called once that has succeeded; nil: nothing is
	tried      chan struct{} // is closed once it has succeeded or failed; nil: nobody waits for that
}

// enqueue has a job done behind those that wait, unless there are too many. It never waits.
func (a *Automatic) enqueue(j job) (accepted bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if len(a.jobs) >= maxJobs || a.bytes+len(j.text) > maxBytes {
		return false
	}
	a.jobs = append(a.jobs, j)
	a.bytes += len(j.text)
	if a.working == nil {
		a.working = make(chan struct{})
		go a.work()
	}
	return true
}

// Drain waits until the store has been told all, or until ctx ends.
func (a *Automatic) Drain(ctx context.Context) {
	if a == nil {
		return
	}
	a.mu.Lock()
	working := a.working
	a.mu.Unlock()
	if working == nil {
		return
	}
	select {
	case <-working:
	case <-ctx.Done():
	}
}

// work does the jobs that wait, one after the other, until none does.
func (a *Automatic) work() {
	for {
		j, ok := a.dequeue()
		if !ok {
			return
		}
		ctx, cancel := context.WithTimeout(context.Background(), jobFor)
		err := j.tell(ctx, j.hash, j.text)
		cancel()
		a.report("cannot store a persisted document for the other servers", err)
		if err == nil && j.done != nil {
			j.done()
		}
		if j.tried != nil {
			close(j.tried)
		}
	}
}

func (a *Automatic) dequeue() (j job, ok bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if len(a.jobs) == 0 {
		close(a.working)
		a.jobs, a.working = nil, nil
		return job{}, false
	}
	j, a.jobs = a.jobs[0], a.jobs[1:]
	a.bytes -= len(j.text)
	return j, true
}

// report logs the first of several failures in a row.
func (a *Automatic) report(message string, err error) {
	if a.failing.Swap(err != nil) || err == nil {
		return
	}
	a.logger().Warn(message, "error", err)
}

func (a *Automatic) logger() *slog.Logger { return cmp.Or(a.Logger, slog.Default()) }
