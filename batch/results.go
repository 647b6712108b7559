package batch

import (
	"reflect"
)

// results is the values of one field of a selection's objects: one for each, possibly nil, or, for a list, the elements of
// all of them, with a span for each object.
type results struct {
	values []any
	spans  spans
}

// span is the elements of one object's list; from is -1 where that is null.
type span struct{ from, to int32 }

type spans []span

// begin adds the list of the next object, which begins with the next value, or null.
func (s *spans) begin(exists bool, next int) {
	from := int32(-1)
	if exists {
		from = int32(next)
	}
	*s = append(*s, span{from, from})
}

// end ends that list before the next value.
func (s spans) end(next int) { s[len(s)-1].to = int32(next) }

// add appends a value, as an untyped nil if it is nil.
func (r *results) add(value any) { r.values = append(r.values, addressed(value)) }

// addressed returns a value as gqlgen resolves fields on it: a struct by its address, and nil without a type.
func addressed(value any) any {
	switch v := reflect.ValueOf(value); v.Kind() {
	case reflect.Pointer, reflect.Map, reflect.Slice:
		if v.IsNil() {
			return nil
		}
	case reflect.Struct:
		pointer := reflect.New(v.Type())
		pointer.Elem().Set(v)
		return pointer.Interface()
	}
	return value
}

// isList reports whether each value of a type is an object's whole list.
func isList[V any]() bool { return reflect.TypeFor[V]().Kind() == reflect.Slice }

// addList appends a slice as one object's list.
func (r *results) addList(slice any) {
	v := reflect.ValueOf(slice)
	exists := v.IsValid() && !v.IsNil()
	r.spans.begin(exists, len(r.values))
	if !exists {
		return
	}
	for i := range v.Len() {
		r.add(v.Index(i).Interface())
	}
	r.spans.end(len(r.values))
}

// merge takes over the values of other results where these have none. It reports whether the two have the same shape.
func (r *results) merge(other results) bool {
	if r.values == nil {
		*r = other
		return true
	}
	if len(r.values) != len(other.values) || len(r.spans) != len(other.spans) {
		return false
	}
	for i, v := range other.values {
		if v != nil {
			r.values[i] = v
		}
	}
	return true
}

// request is what one relation of a selection's objects waits for.
type request interface {
	// take adds what was loaded to the results of other requests for the same objects, if there are any. It reports whether that
	// is everything.
	take(into *results) (complete bool)
	// trace returns what it has waited for.
	trace() readTrace
}

// keyRequest is a request for keys of a Loader.
type keyRequest[K comparable, V any] struct {
	loader    *Loader[K, V] // not embedded, or its methods would be compiled once more
	slots     []int32       // for each position, or -1
	spans     spans         // of a list with a key for each element
	list      bool          // each value is a list
	clearedAt int           // the loader's clears when it was made

	added, asked int  // keys for the batch, and all
	waits        bool // some of them are read
}

func newRequest[K comparable, V any](l *Loader[K, V], positions int) *keyRequest[K, V] {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.slots == nil {
		l.slots = make([]slot[K, V], 0, positions)
	}
	return &keyRequest[K, V]{loader: l, slots: make([]int32, 0, positions), clearedAt: l.clears, list: isList[V]()}
}

// enqueue adds a position: with a key, or with nothing to load.
func (r *keyRequest[K, V]) enqueue(key K, ok bool) {
	i := -1
	if ok {
		var added, waits bool
		i, added, waits = r.loader.enqueue(key)
		r.waits = r.waits || waits
		r.asked++
		if added {
			r.added++
		}
	}
	r.slots = append(r.slots, int32(i))
}

func (r *keyRequest[K, V]) trace() readTrace {
	r.loader.mu.Lock()
	defer r.loader.mu.Unlock()
	t := readTrace{r.added, r.asked - r.added, -1}
	if r.waits {
		t.batch = r.loader.batch
	}
	return t
}

func (r *keyRequest[K, V]) take(into *results) (complete bool) {
	r.loader.mu.Lock()
	defer r.loader.mu.Unlock()
	complete = true
	read := results{spans: r.spans, values: make([]any, 0, len(r.slots))}
	for _, i := range r.slots {
		var value any
		switch {
		case i < 0:
		case r.clearedAt == r.loader.clears && r.loader.slots[i].loaded:
			value = r.loader.slots[i].value
		default:
			complete = false
		}
		if r.list {
			read.addList(value)
		} else {
			read.add(value)
		}
	}
	return into.merge(read) && complete
}
