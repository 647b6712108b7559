// Package event carries changes from the mutations that store them to the subscriptions that wait for them.
package event

import (
	"context"
	"sync"

	"rollcall/model"
)

// Broker carries changes. What is published on one is received in the order of publication.
type Broker interface {
	// Publish hands a change on to its subscribers. It never waits for them.
	Publish(change *model.UserChange)
	// Subscribe returns the changes of some users, or of all if users is empty, that are published from its return until
	// ctx ends. The channel is closed only if the subscriber falls too far behind; until then it has missed nothing.
	Subscribe(ctx context.Context, users []int64) (<-chan *model.UserChange, error)
}

// Local carries changes within this process. Its zero value is ready.
type Local struct {
	mu sync.Mutex
	n  int
	of map[int64]map[*subscriber]struct{} // by user
}

var _ Broker = &Local{}

// buffer is how many changes a subscriber may be behind: more than a bulk makes, though not the most that a removal moves.
const buffer = 1024

// allUsers is subscribed to in place of a user's id by what wants the changes of all users.
const allUsers = 0

type subscriber struct {
	users   []int64
	changes chan *model.UserChange
}

// Publish hands a change on. A subscriber whose buffer is full is dropped.
func (l *Local) Publish(change *model.UserChange) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, key := range []int64{allUsers, change.UserID} {
		for s := range l.of[key] {
			select {
			case s.changes <- change:
			default:
				l.remove(s)
				close(s.changes)
			}
		}
	}
}

// Subscribe returns the changes of some users, or of all.
func (l *Local) Subscribe(ctx context.Context, users []int64) (<-chan *model.UserChange, error) {
	if len(users) == 0 {
		users = []int64{allUsers}
	}
	s := &subscriber{users, make(chan *model.UserChange, buffer)}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.of == nil {
		l.of = map[int64]map[*subscriber]struct{}{}
	}
	for _, key := range users {
		if l.of[key] == nil {
			l.of[key] = map[*subscriber]struct{}{}
		}
		l.of[key][s] = struct{}{}
	}
	l.n++
	context.AfterFunc(ctx, func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.remove(s)
	})
	return s.changes, nil
}

// remove forgets a subscriber, if it is still there. The caller holds mu.
func (l *Local) remove(s *subscriber) {
	if _, there := l.of[s.users[0]][s]; !there {
		return
	}
	for _, key := range s.users {
		delete(l.of[key], s)
		if len(l.of[key]) == 0 {
			delete(l.of, key)
		}
	}
	l.n--
}

// Subscribers returns how many there are.
func (l *Local) Subscribers() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.n
}
