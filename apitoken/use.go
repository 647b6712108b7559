package apitoken

import (
	"cmp"
	"context"
	"log/slog"
	"maps"
	"sync"
	"time"
)

const (
	useEvery = time.Minute      // between two times that a use of a token is stored
	useFor   = 10 * time.Second // how long that may take
	maxUses  = 10_000           // tokens that are remembered although they were not used for long
)

// uses are when tokens were used. They are stored beside the requests, one after the other.
type uses struct {
	mu      sync.Mutex
	noted   map[int64]time.Time // by the token's number: the last one that was to be stored
	waiting map[int64]time.Time // those that are not stored yet
	storing bool
}

// used notes that a token is used at a time, and has that stored unless it was a moment ago. It never waits.
func (t *Tokens) used(id int64, now time.Time) {
	if t.Writes == nil {
		return
	}
	u := &t.uses
	u.mu.Lock()
	defer u.mu.Unlock()
	recent := func(_ int64, at time.Time) bool { since := now.Sub(at); return 0 <= since && since < useEvery }
	if at, ok := u.noted[id]; ok && recent(id, at) {
		return
	}
	if u.noted == nil {
		u.noted, u.waiting = map[int64]time.Time{}, map[int64]time.Time{}
	}
	if len(u.noted) >= maxUses {
		maps.DeleteFunc(u.noted, func(id int64, at time.Time) bool { return !recent(id, at) })
	}
	u.noted[id], u.waiting[id] = now, now
	if !u.storing {
		u.storing = true
		go t.store()
	}
}

// store stores what waits, until nothing does.
func (t *Tokens) store() {
	for {
		id, at, ok := t.uses.next()
		if !ok {
			return
		}
		ctx, cancel := context.WithTimeout(context.Background(), useFor)
		_, err := t.Writes.ExecContext(ctx, t.Dialect.Rebind("UPDATE api_tokens SET last_used_at = ? WHERE id = ? AND (last_used_at IS NULL OR last_used_at < ?)"), at, id, at)
		cancel()
		if err != nil {
			cmp.Or(t.Logger, slog.Default()).Warn("cannot store when an API token was last used", "token", id, "error", err)
		}
	}
}

// next takes one that waits.
func (u *uses) next() (id int64, at time.Time, ok bool) {
	u.mu.Lock()
	defer u.mu.Unlock()
	for id, at := range u.waiting {
		delete(u.waiting, id)
		return id, at, true
	}
	u.storing = false
	return 0, time.Time{}, false
}
