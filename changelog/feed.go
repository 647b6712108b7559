package changelog

import (
	"slices"

	"rollcall/model"
)

// feed is the last changes of the log, and who waits for what comes behind them.
type feed struct {
	until         Cursor
	changes       []*model.Change // all after dropped, up to until
	dropped       int64           // a position
	bytes         int             // about as many as the changes have
	waiting       map[key]map[*Subscription]struct{}
	subscriptions map[*Subscription]struct{}
	err           error // has ended it
	cancel        func()
}

// What a feed keeps: more than a bulk changes.
const (
	maxFeed      = 16_384
	maxFeedBytes = 32 << 20
)

func newFeed(from Cursor, cancel func()) *feed {
	return &feed{
		until: from, dropped: from.Position, cancel: cancel,
		waiting: map[key]map[*Subscription]struct{}{}, subscriptions: map[*Subscription]struct{}{},
	}
}

// size is about how many bytes a change has.
func size(c *model.Change) int { return 400 + len(c.Fields) }

// add adds a page, and wakes those that wait for what it has.
func (d *feed) add(page *Page) {
	for _, c := range page.Changes {
		d.changes = append(d.changes, c)
		d.bytes += size(c)
		for _, k := range keysOf(c) {
			for s := range d.waiting[k] {
				if c.Position > s.after && s.matches(c) {
					d.forget(s)
					s.next = c.Position
					s.signal()
				}
			}
		}
	}
	d.until = page.Until
	n := 0
	for n < len(d.changes) && (len(d.changes)-n > maxFeed || d.bytes > maxFeedBytes) {
		d.bytes -= size(d.changes[n])
		d.dropped = d.changes[n].Position
		n++
	}
	clear(d.changes[:n])
	d.changes = d.changes[n:]
}

// from returns the changes that have a position or a later one.
func (d *feed) from(position int64) []*model.Change {
	i, _ := slices.BinarySearchFunc(d.changes, position, func(c *model.Change, position int64) int { return int(c.Position - position) })
	return d.changes[i:]
}

// wait has a subscription woken by the next change that it wants.
func (d *feed) wait(s *Subscription) {
	for _, k := range s.keys {
		if d.waiting[k] == nil {
			d.waiting[k] = map[*Subscription]struct{}{}
		}
		d.waiting[k][s] = struct{}{}
	}
}

// forget undoes wait.
func (d *feed) forget(s *Subscription) {
	for _, k := range s.keys {
		if delete(d.waiting[k], s); len(d.waiting[k]) == 0 {
			delete(d.waiting, k)
		}
	}
}

// key is what changes are found by.
type key struct {
	by  string // "", "type", "object", "user" or "team"
	typ model.ChangeType
	id  int64
}

// keysOf returns the keys of a change.
func keysOf(c *model.Change) []key {
	keys := []key{{}, {by: "type", typ: c.Type}, {"object", c.Type, c.ObjectID}}
	if c.UserID != nil {
		keys = append(keys, key{by: "user", id: *c.UserID})
	}
	if c.TeamID != nil {
		keys = append(keys, key{by: "team", id: *c.TeamID})
	}
	return keys
}

// filter is what a Query asks for, as a question about one change.
type filter struct {
	kinds        []model.ChangeKind
	types        []model.ChangeType
	except       []model.ChangeType
	objects      map[Object]struct{}
	users, teams map[int64]struct{}
	keys         []key // each change that matches has one of them
}

func setOf[V comparable](values []V) map[V]struct{} {
	set := make(map[V]struct{}, len(values))
	for _, v := range values {
		set[v] = struct{}{}
	}
	return set
}

func filterOf(q Query) filter {
	f := filter{kinds: q.Kinds, types: q.Types, except: q.Except, objects: setOf(q.Objects), users: setOf(q.Users), teams: setOf(q.Teams)}
	switch {
	case len(f.objects) > 0:
		for o := range f.objects {
			f.keys = append(f.keys, key{"object", o.Type, o.ID})
		}
	case len(f.users) > 0:
		for id := range f.users {
			f.keys = append(f.keys, key{by: "user", id: id})
		}
	case len(f.teams) > 0:
		for id := range f.teams {
			f.keys = append(f.keys, key{by: "team", id: id})
		}
	case len(f.types) > 0:
		for _, typ := range f.types {
			f.keys = append(f.keys, key{by: "type", typ: typ})
		}
	default:
		f.keys = []key{{}}
	}
	return f
}

// matches reports whether a Query asks for a change.
func (f *filter) matches(c *model.Change) bool {
	return (len(f.kinds) == 0 || slices.Contains(f.kinds, c.Kind)) && (len(f.types) == 0 || slices.Contains(f.types, c.Type)) &&
		!slices.Contains(f.except, c.Type) && within(f.objects, &Object{c.Type, c.ObjectID}) && within(f.users, c.UserID) && within(f.teams, c.TeamID)
}

// within reports whether a set has a value, or is none.
func within[V comparable](set map[V]struct{}, value *V) bool {
	if len(set) == 0 {
		return true
	}
	if value == nil {
		return false
	}
	_, there := set[*value]
	return there
}
