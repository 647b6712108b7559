package changelog

import (
	"context"
	"time"

	"rollcall/apierror"
)

// Subscription gets the changes that a Query asks for, as they come. It is for one goroutine.
type Subscription struct {
	// Bookmark is the time without a change after which Next returns none; 0: it waits for one, however long.
	Bookmark time.Duration

	filter
	follower *Follower
	query    Query
	until    Cursor // everything up to here was returned
	page     Page   // that was read for this subscription alone
	current  bool   // Next has said that nothing is missing

	wake   chan struct{}
	feed   *feed // nil: it has not caught up. It is set under the follower's mu, as these are:
	next   int64 // the position of the first change that is there to be taken; 0: it waits
	after  int64 // where it waits: everything up to this position was taken
	closed bool
}

const (
	missedSize = 200 // changes that are read at a time for one subscriber
	takeSize   = 100 // changes that one takes at a time
)

// Subscribe returns a subscription of what is asked for by a Query, whose Limit does not matter: of what was changed after its cursor, or
// from now on. ctx may belong to a session, in which is read what is read at once. The error is CURSOR_EXPIRED. Close must follow.
func (f *Follower) Subscribe(ctx context.Context, q Query) (*Subscription, error) {
	q.Limit = missedSize
	s := &Subscription{follower: f, query: q, filter: filterOf(q), wake: make(chan struct{}, 1)}
	if q.After != nil {
		page, err := f.missed.Read(ctx, q)
		if err != nil {
			return nil, err
		}
		s.until, s.page = *q.After, *page
	} else {
		now, err := f.now(ctx)
		if err != nil {
			return nil, err
		}
		s.until, s.page.Until = now.Cursor, now.Cursor
	}
	if len(s.page.Changes) == 0 {
		s.until = s.page.Until
	}
	f.subscribers.Add(1)
	return s, nil
}

// now returns where the log is once all that was committed before has its position, whichever server has committed it: what was answered
// before is not news.
func (f *Follower) now(ctx context.Context) (now Now, err error) {
	_, err = f.log.Settled(ctx, func() (unnumbered bool, err error) {
		now, err = f.missed.Now(ctx)
		return now.Unnumbered, err
	})
	return now, err
}

// Until returns the cursor up to which everything was returned by Next.
func (s *Subscription) Until() Cursor { return s.until }

// Close ends the subscription.
func (s *Subscription) Close() {
	f := s.follower
	f.mu.Lock()
	defer f.mu.Unlock()
	if s.closed {
		return
	}
	s.closed = true
	f.subscribers.Add(-1)
	d := s.feed
	if d == nil {
		return
	}
	d.forget(s)
	delete(d.subscriptions, s)
	if len(d.subscriptions) == 0 && f.feed == d {
		d.cancel()
		f.feed = nil
	}
}

// Next returns the next changes, at least one, as soon as there are any. Where there is a Bookmark, it also returns a page of none, when the
// subscription has caught up and when that time has passed. The error is SLOW_SUBSCRIBER or CURSOR_EXPIRED, or the context's.
func (s *Subscription) Next(ctx context.Context) (*Page, error) {
	var due <-chan time.Time
	if s.Bookmark > 0 {
		timer := time.NewTimer(s.Bookmark)
		defer timer.Stop()
		due = timer.C
	}
	for passed := false; ; {
		page, err := s.take(ctx)
		if err != nil {
			return nil, err
		}
		s.until = page.Until
		if len(page.Changes) > 0 || passed || s.Bookmark > 0 && !s.current {
			s.current = s.current || len(page.Changes) == 0
			return page, nil
		}
		select {
		case <-s.wake:
		case <-due:
			passed = true
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
}

// take returns some changes, or none: then it is woken when there are any.
func (s *Subscription) take(ctx context.Context) (*Page, error) {
	for failures := 0; s.feed == nil; {
		if page := s.page; len(page.Changes) > 0 {
			s.page.Changes = nil
			return &page, nil
		}
		if !s.page.More && s.join() {
			break
		}
		q := s.query
		q.After = &s.page.Until
		reading, cancel := context.WithTimeout(alone{ctx}, readFor)
		page, err := s.follower.missed.Read(reading, q)
		cancel()
		switch {
		case err == nil:
			s.page, failures = *page, 0
		case ctx.Err() != nil:
			return nil, context.Cause(ctx)
		case apierror.CodeOf(err) != "":
			return nil, err
		default:
			failures++
			s.follower.log.logger().Warn("a subscription cannot read what it has missed: it tries again", "error", err)
			select {
			case <-time.After(min(time.Duration(failures)*100*time.Millisecond, maxPause)):
			case <-ctx.Done():
			}
		}
	}
	return s.fromFeed()
}

// join has the subscription go on with the feed, unless that begins later than what was read ends.
func (s *Subscription) join() bool {
	f, at := s.follower, s.page.Until
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.feed == nil {
		f.start(at)
	}
	if at.Position < f.feed.dropped {
		return false
	}
	s.feed, s.until, s.next = f.feed, at, at.Position+1
	s.feed.subscriptions[s] = struct{}{}
	return true
}

// fromFeed takes some changes from the feed.
func (s *Subscription) fromFeed() (*Page, error) {
	s.follower.mu.Lock()
	defer s.follower.mu.Unlock()
	d, page := s.feed, &Page{Until: s.until}
	switch {
	case d.err != nil:
		return nil, d.err
	case s.next == 0:
		if d.until.Position > page.Until.Position {
			page.Until = d.until
		}
		return page, nil
	case s.next <= d.dropped:
		s.follower.slow.Add(1)
		return nil, &apierror.Error{
			Code: apierror.CodeSlowSubscriber, Cursor: s.until.String(),
			Message: "the events were not read as fast as they came: subscribe again after the cursor",
		}
	}
	for _, c := range d.from(s.next) {
		if !s.matches(c) {
			continue
		}
		if len(page.Changes) == takeSize {
			s.next, page.More = c.Position, true
			return page, nil
		}
		page.Changes, page.Until = append(page.Changes, c), CursorOf(c)
	}
	if d.until.Position > page.Until.Position {
		page.Until = d.until
	}
	s.next, s.after = 0, page.Until.Position
	d.wait(s)
	return page, nil
}

// signal wakes the subscription.
func (s *Subscription) signal() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// alone is a context without its values, and so without a session, which has ended.
type alone struct{ context.Context }

func (alone) Value(any) any { return nil }
