package batch

import (
	"context"
	"reflect"
)

// column is what one field of the objects of a selection has: a value for each, nil where there is none, or, for a list,
// the values of all of them and which are whose.
type column struct {
	values []any
	spans  spans
}

// span is the values of one object's list; from is -1 where that is null.
type span struct{ from, to int32 }

type spans []span

// begin begins the list of the next object, where there is one, at the next value.
func (s *spans) begin(exists bool, next int) {
	if !exists {
		*s = append(*s, span{-1, -1})
		return
	}
	*s = append(*s, span{int32(next), int32(next)})
}

// end ends it before the next value.
func (s spans) end(next int) { s[len(s)-1].to = int32(next) }

// add appends a value, whatever kind of nil it may be. A struct becomes a pointer to it, as which gqlgen resolves its fields.
func (c *column) add(value any) {
	switch v := reflect.ValueOf(value); v.Kind() {
	case reflect.Pointer, reflect.Map, reflect.Slice:
		if v.IsNil() {
			value = nil
		}
	case reflect.Struct:
		pointer := reflect.New(v.Type())
		pointer.Elem().Set(v)
		value = pointer.Interface()
	}
	c.values = append(c.values, value)
}

// isList reports whether each value of a type is an object's whole list.
func isList[V any]() bool { return reflect.TypeFor[V]().Kind() == reflect.Slice }

// addList appends a slice as one object's list.
func (c *column) addList(slice any) {
	v := reflect.ValueOf(slice)
	exists := v.IsValid() && !v.IsNil()
	c.spans.begin(exists, len(c.values))
	if !exists {
		return
	}
	for i := range v.Len() {
		c.add(v.Index(i).Interface())
	}
	c.spans.end(len(c.values))
}

// merge takes over the values of another column where this one has none. It reports false if the two differ in their
// shape.
func (c *column) merge(other column) bool {
	if len(c.values) != len(other.values) || len(c.spans) != len(other.spans) {
		return false
	}
	for i, v := range other.values {
		if v != nil {
			c.values[i] = v
		}
	}
	return true
}

// loading is one relation of a selection's objects on its way.
type loading interface {
	// loaded appends what was loaded to an empty column. It reports false if that is not everything.
	loaded(into *column) (complete bool)
}

// waiting is a loading of a Loader.
type waiting[K comparable, V any] struct {
	*Loader[K, V]
	slots  []int32 // for each position, or -1
	spans  spans   // of a list with a key for each element
	list   bool    // each value is a list
	forgot int     // the loader's clears as they were
}

func newWaiting[K comparable, V any](ctx context.Context, l *Loader[K, V], positions int) *waiting[K, V] {
	if err := l.joined(fromContext(ctx)); err != nil {
		panic(err)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.open()
	if l.slots == nil {
		l.slots = make([]slot[K, V], 0, positions)
	}
	return &waiting[K, V]{Loader: l, slots: make([]int32, 0, positions), forgot: l.clears, list: isList[V]()}
}

// foresee adds a position: with a key, or with nothing to load.
func (w *waiting[K, V]) foresee(key K, ok bool) {
	i := -1
	if ok {
		i = w.Loader.foresee(key)
	}
	w.slots = append(w.slots, int32(i))
}

func (w *waiting[K, V]) loaded(into *column) (complete bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	complete = true
	into.spans = w.spans
	into.values = make([]any, 0, len(w.slots))
	for _, i := range w.slots {
		var value any
		switch {
		case i < 0:
		case w.forgot == w.clears && w.Loader.slots[i].loaded:
			value = w.Loader.slots[i].value
		default:
			complete = false
		}
		if w.list {
			into.addList(value)
		} else {
			into.add(value)
		}
	}
	return complete
}
