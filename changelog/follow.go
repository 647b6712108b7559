package changelog

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"rollcall/apierror"
)

// Signal carries wake-ups between the processes at a database. What it loses comes later.
type Signal interface {
	// Send wakes the processes that wait.
	Send(ctx context.Context) error
	// Wait calls woken whenever another process may have sent, until ctx ends or it can hear no more. The error is errors.ErrUnsupported
	// if it can never hear.
	Wait(ctx context.Context, woken func()) error
}

// FollowOptions is what a Follower needs besides the log.
type FollowOptions struct {
	// Poll is how often the clock's row is looked at while somebody subscribes; 0: 25 ms. It finds what other processes have changed.
	Poll time.Duration
	// Reads is the pool by which subscribers read what they have missed; nil: the log's own.
	Reads *sql.DB
	// Signal finds it sooner; nil: nothing does.
	Signal Signal
}

// Follower reads the log once for all its subscribers, while there are any. It keeps the last changes, from which they take
// theirs:
//
//	woken by this process, by others (Signal), by the clock (Poll)
//	  └▶ reads what is new ─▶ feed: the last changes ─▶ wakes the subscribers that wait for one of them
//	                                                       └▶ each takes its own, in its own time
//
// One that has not taken a change when the feed drops it is too slow, and ends.
type Follower struct {
	log    *Log
	missed *Log // reads for one subscriber
	FollowOptions

	woken  chan struct{}
	sender sender

	subscribers, slow, reads atomic.Int64

	mu   sync.Mutex // guards what follows, all that is in the feed, and what a Subscription says
	feed *feed      // nil: nobody follows
}

const (
	pageSize    = 1000             // changes that one statement reads for all subscribers
	readFor     = 10 * time.Second // how long one may take
	maxPause    = time.Second      // after a failure
	maxBehind   = 10 * time.Second // how long a database may be behind what was read of another one of its cluster
	defaultPoll = 25 * time.Millisecond
)

// NewFollower returns a follower of a log.
func NewFollower(log *Log, o FollowOptions) *Follower {
	o.Poll = cmp.Or(o.Poll, defaultPoll)
	f := &Follower{log: log, missed: log, FollowOptions: o, woken: make(chan struct{}, 1)}
	if o.Reads != nil {
		f.missed = &Log{DB: o.Reads, Dialect: log.Dialect, MaxScan: log.MaxScan}
	}
	log.OnNumbered(func() {
		f.wake()
		if f.Signal != nil {
			f.sender.send(f.Signal)
		}
	})
	return f
}

// Subscribers returns how many subscriptions there are.
func (f *Follower) Subscribers() int { return int(f.subscribers.Load()) }

// Slow returns how many have ended since they were too slow.
func (f *Follower) Slow() int64 { return f.slow.Load() }

// Reads returns how often changes were read for all subscribers.
func (f *Follower) Reads() int64 { return f.reads.Load() }

func (f *Follower) wake() {
	select {
	case f.woken <- struct{}{}:
	default:
	}
}

// start follows the log from a cursor on. The caller holds mu.
func (f *Follower) start(from Cursor) {
	ctx, cancel := context.WithCancel(context.Background())
	f.feed = newFeed(from, cancel)
	go f.follow(ctx, f.feed)
	if f.Signal != nil {
		go f.listen(ctx)
	}
}

// follow reads what is new into a feed, until ctx ends.
func (f *Follower) follow(ctx context.Context, d *feed) {
	ticks := time.NewTicker(f.Poll)
	defer ticks.Stop()
	var expired time.Time // when the cursor was first said to be too old, since it was not
	for failures := 0; ; {
		ticked := false
		select {
		case <-f.woken:
		case <-ticks.C:
			ticked = true
		case <-ctx.Done():
			return
		}
		err := f.advance(ctx, d, ticked)
		switch {
		case ctx.Err() != nil:
			return
		case err == nil && failures > 0:
			f.log.logger().Info("the log of changes can be read again: subscriptions go on")
			failures, expired = 0, time.Time{}
		case apierror.CodeOf(err) == CodeExpired && !f.behind(ctx, d.until, expired):
			f.end(d, err)
			return
		case err != nil:
			if apierror.CodeOf(err) == CodeExpired && expired.IsZero() {
				expired = time.Now()
			}
			if failures++; failures == 1 {
				f.log.logger().Warn("the log of changes cannot be read: subscriptions wait until it can", "error", err)
			}
			select {
			case <-time.After(min(time.Duration(failures)*f.Poll, maxPause)):
				f.wake()
			case <-ctx.Done():
			}
		}
	}
}

// behind reports whether the database is one that may yet come to a cursor, as a node of a cluster is that others are ahead of.
func (f *Follower) behind(ctx context.Context, at Cursor, since time.Time) bool {
	now, err := f.log.Now(ctx)
	return (err != nil || now.Cursor.Position < at.Position) && (since.IsZero() || time.Since(since) < maxBehind)
}

// advance reads all that is new. After a tick it looks first whether anything is.
func (f *Follower) advance(ctx context.Context, d *feed, ticked bool) error {
	ctx, cancel := context.WithTimeout(ctx, readFor)
	defer cancel()
	at := d.until // nobody else changes it
	if ticked {
		now, err := f.log.Now(ctx)
		if err != nil || now.Cursor == at {
			return err
		}
	}
	for more := true; more; {
		f.reads.Add(1)
		page, err := f.log.Read(ctx, Query{After: &at, Limit: pageSize})
		if err != nil {
			return err
		}
		f.publish(d, page)
		at, more = page.Until, page.More
	}
	return nil
}

// publish adds a page to a feed, and wakes those that wait for what it has.
func (f *Follower) publish(d *feed, page *Page) {
	f.mu.Lock()
	defer f.mu.Unlock()
	d.add(page)
}

// end ends a feed, and with it its subscriptions.
func (f *Follower) end(d *feed, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	d.err = err
	d.cancel()
	for s := range d.subscriptions {
		s.signal()
	}
	if f.feed == d {
		f.feed = nil
	}
}

// listen is woken by other processes, until ctx ends.
func (f *Follower) listen(ctx context.Context) {
	for ctx.Err() == nil {
		if err := f.Signal.Wait(ctx, f.wake); errors.Is(err, errors.ErrUnsupported) {
			return
		}
		select {
		case <-time.After(maxPause):
		case <-ctx.Done():
		}
	}
}

// sender sends one signal for all that is asked for while another is on its way.
type sender struct {
	mu             sync.Mutex
	working, again bool
}

func (s *sender) send(signal Signal) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.again = true
	if s.working {
		return
	}
	s.working = true
	go func() {
		for s.next() {
			ctx, cancel := context.WithTimeout(context.Background(), readFor)
			_ = signal.Send(ctx) // polls find what it has lost
			cancel()
		}
	}()
}

// next reports whether another signal is asked for.
func (s *sender) next() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.working, s.again = s.again, false
	return s.working
}

// WakeEvery looks every so often, until ctx ends, whether changes were left without positions, as those of a server are that has died, and
// has them numbered. failed is told of errors.
func (l *Log) WakeEvery(ctx context.Context, every time.Duration, failed func(error)) {
	if l.inOrder(l.Dialect) {
		return
	}
	ticks := time.NewTicker(every)
	defer ticks.Stop()
	for last := (Now{}); ; {
		select {
		case <-ticks.C:
		case <-ctx.Done():
			return
		}
		now, err := l.Now(ctx)
		switch {
		case ctx.Err() != nil:
			return
		case err != nil:
			failed(err)
		case now.Unnumbered && last.Unnumbered && now.Cursor == last.Cursor: // else another server is at it
			l.Wake()
		}
		last = now
	}
}
