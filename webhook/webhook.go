package webhook

import (
	"context"
	"database/sql"
	"fmt"
	"log/slog"
	"reflect"
	"sync"
	"sync/atomic"
	"time"

	"rollcall/changelog"
	"rollcall/dialect"
	"rollcall/model"
)

// Webhooks are those at one database.
type Webhooks struct {
	// DB is a pool that may write; of a database in which one connection writes at a time, that one's.
	DB      *sql.DB
	Dialect dialect.Dialect // DB's
	Log     *changelog.Log  // of the same database
	// Receivers are the webhooks that this server may deliver, until Replace names others; none have the same name.
	Receivers []Receiver
	Logger    *slog.Logger
	// Times are the usual ones where they are nil.
	Times *Times

	mu      sync.RWMutex
	senders []*sender
	replace context.CancelFunc // has Run go on with other senders; nil: it does not run

	latest atomic.Pointer[[]*model.Webhook]
}

// Times are how long things may take.
type Times struct {
	Poll time.Duration // between two looks for changes that nothing has told of

	Renew     time.Duration // between two renewals of a lease, and between two looks at another's
	HoldFor   time.Duration // how long a lease may be used after the beginning of its last renewal
	TakeAfter time.Duration // how long a lease has to stay as it is until another server takes it; more than HoldFor

	Attempt  time.Duration // until a receiver has to have answered
	Finish   time.Duration // the same once the server ends
	MinPause time.Duration // until the second attempt
	MaxPause time.Duration // between two later ones
	GiveUp   time.Duration // how long a receiver may fail until it is disabled
}

var usual = Times{
	Poll:  time.Second,
	Renew: 2 * time.Second, HoldFor: 6 * time.Second, TakeAfter: 8 * time.Second,
	Attempt: 15 * time.Second, Finish: 2 * time.Second, MinPause: time.Second, MaxPause: 5 * time.Minute, GiveUp: 24 * time.Hour,
}

const (
	statement = 5 * time.Second // how long one may take where no lease bounds it
	watching  = 5 * time.Second // how often the metrics are read
	// forgotten is how long ago the lease of a webhook was renewed that is in no server's configuration any more.
	forgotten = 7 * 24 * time.Hour
)

// Register stores the receivers that are new, which get the changes from now on. It is to be called before Run, and before the server takes
// mutations.
func (w *Webhooks) Register(ctx context.Context) error {
	if w.Times == nil {
		w.Times = &usual
	}
	return w.Replace(ctx, w.Receivers)
}

// Replace has other receivers take the place of those that there are, and stores the ones that are new. After an error all stays as it is.
func (w *Webhooks) Replace(ctx context.Context, receivers []Receiver) error {
	for _, r := range receivers {
		if err := w.register(ctx, r.Name); err != nil {
			return fmt.Errorf("the webhook %s cannot be stored: %w", r.Name, err)
		}
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	next := make([]*sender, len(receivers))
	for i, r := range receivers {
		next[i] = newSender(w, r)
		for _, s := range w.senders {
			if s.Name == r.Name {
				next[i].attempts = s.attempts
			}
		}
	}
	if w.replace != nil && reflect.DeepEqual(receiversOf(w.senders), receiversOf(next)) {
		return nil // those at work need not be disturbed
	}
	w.senders = next
	if w.replace != nil {
		w.replace()
	}
	return nil
}

func receiversOf(senders []*sender) (all []Receiver) {
	for _, s := range senders {
		all = append(all, s.Receiver)
	}
	return all
}

// Run delivers until ctx ends, and returns when the leases have been given back, which takes no longer than Times.Finish and a statement.
func (w *Webhooks) Run(ctx context.Context) {
	for ctx.Err() == nil {
		current, replaced := context.WithCancel(ctx)
		w.mu.Lock()
		senders := w.senders
		w.replace = replaced
		w.mu.Unlock()
		var running sync.WaitGroup
		for _, s := range senders {
			running.Go(func() { s.run(current) })
		}
		if len(senders) > 0 {
			running.Go(func() { w.watch(current) })
		}
		<-current.Done()
		running.Wait()
		replaced()
	}
}

// current returns the senders of the moment.
func (w *Webhooks) current() []*sender {
	w.mu.RLock()
	defer w.mu.RUnlock()
	return w.senders
}

// Wake has the webhooks look for changes now. It returns at once.
func (w *Webhooks) Wake() {
	for _, s := range w.current() {
		select {
		case s.woken <- struct{}{}:
		default:
		}
	}
}

// pause waits, unless ctx ends before.
func pause(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}
