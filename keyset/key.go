// Package keyset reads lists page by page, by the keys of their rows: no page costs more than another, and rows that come or go
// meanwhile neither repeat nor skip others. It makes the statements and holds the pages; it runs nothing.
package keyset

import (
	"reflect"
	"strconv"
	"strings"
	"unique"

	"rollcall/apierror"
	"rollcall/scalar"
)

// Key is one window of one list. It is comparable, so that loaders can batch by it: rows are asked for by it, and the number
// of all rows by its Whole.
type Key struct {
	Parent Parent
	Filter Filter
	Depth  int32 // how far below its parent the rows are at most, in a list of what is below; else 0
	Search Search
	Order  Order
	Window Window
}

// Whole returns the key of the whole list, whatever its order and whoever reads it.
func (k Key) Whole() Key {
	k.Parent.Mark = 0
	return Key{Parent: k.Parent, Filter: k.Filter, Search: k.Search, Depth: k.Depth}
}

// Parent is the row that a list belongs to. Its zero value is none: the list is that of a whole table.
type Parent struct {
	id    int64
	given bool
	Mark  uint8 // what the list's reader is to know of the parent: no statement has it, and no number
}

// ID returns the row's id.
func (p Parent) ID() int64 { return p.id }

// Of returns the parent with an id.
func Of(id int64) Parent { return Parent{id: id, given: true} }

// Groups returns keys in groups in which they differ in their parents only, so that they are read together.
func Groups(keys []Key) map[Key][]Key {
	groups := map[Key][]Key{}
	for _, key := range keys {
		common := key
		common.Parent = Parent{}
		groups[common] = append(groups[common], key)
	}
	return groups
}

// parents returns the ids of the parents of a group.
func parents(group []Key) []int64 {
	ids := make([]int64, len(group))
	for i, key := range group {
		ids[i] = key.Parent.id
	}
	return ids
}

// Filter is which rows of a list there are. Its zero value is all.
type Filter struct {
	parts  any // an array, which is comparable: a condition in SQL and its arguments; nil: none
	ranges any // an array of those conditions among its own that an index may serve; nil: none
}

// And returns the filter that a row has to meet as well as a condition in SQL, in which t is the table of the list's nodes and ?
// a placeholder. The arguments are comparable.
func (f Filter) And(condition string, args ...any) Filter {
	condition = "(" + condition + ")" // it may have an OR
	if before, values := f.split(); before != "" {
		condition, args = before+" AND "+condition, append(values, args...)
	}
	return Filter{array(append([]any{condition}, args...)), f.ranges}
}

// array returns values as an array, which is comparable.
func array[V any](values []V) any {
	a := reflect.New(reflect.ArrayOf(len(values), reflect.TypeFor[V]())).Elem()
	reflect.Copy(a, reflect.ValueOf(values))
	return a.Interface()
}

// split returns the filter's condition, "" if there is none, and its arguments.
func (f Filter) split() (condition string, args []any) {
	if f.parts == nil {
		return "", nil
	}
	parts := reflect.ValueOf(f.parts)
	for i := 1; i < parts.Len(); i++ {
		args = append(args, parts.Index(i).Interface())
	}
	return parts.Index(0).Interface().(string), args
}

// Order is how a list is sorted. Its zero value is by id.
type Order struct {
	By         *Sort // before the id; nil: nothing
	Descending bool  // all of it
}

// Sort is what the rows of a list may be sorted by. It is never NULL.
type Sort struct {
	Name   string // in cursors, and in the enum of an order
	Column string // as a statement has it, such as t.name
	Time   bool   // it is a time
	Number bool   // it is a whole number
}

// key is the column that a statement selects for cursors: a time as the very text that the database compares with.
func (s *Sort) key() string {
	if s.Time {
		return "CONCAT(" + s.Column + ", '') AS sort_key"
	}
	return s.Column + " AS sort_key"
}

// Window is which rows of a list are asked for: the first ones after a place, or the last ones before one.
type Window struct {
	Size          int32 // how many at most
	Last          bool
	after, before unique.Handle[place] // zero: none. So a key stays small.
}

// place is where a row stands in a list.
type place struct {
	id     int64
	sorted string // the value that the list is sorted by, if it is not the id
}

// opening is the place that the window is read from.
func (w Window) opening() unique.Handle[place] {
	if w.Last {
		return w.before
	}
	return w.after
}

var nowhere unique.Handle[place]

// Number is the whole number at the place after which the window begins; 0: it has none.
func (w Window) Number() int64 {
	if w.after == nowhere {
		return 0
	}
	n, _ := strconv.ParseInt(w.after.Value().sorted, 10, 64)
	return n
}

// Full reports whether a number of rows is as many as are read for the window.
func (w Window) Full(rows int) bool { return int64(rows) >= w.limit() }

// limit is how many rows are read for the window: one more shows that the list goes on, and one where the window is read from that
// it goes on there.
func (w Window) limit() int64 {
	if w.opening() != nowhere {
		return int64(w.Size) + 2
	}
	return int64(w.Size) + 1
}

// DefaultSize is how many rows a window has where its size is not given.
const DefaultSize = 20

// ParseWindow returns the window that the arguments of a list field ask for: first and after, or last and before. A cursor has to be
// of the list, by its name, in the key's order and with its filter. The window has at most maxSize rows. The error is BAD_USER_INPUT
// and names the argument.
func ParseWindow(args map[string]any, list string, key Key, maxSize int) (w Window, err error) {
	w.Size = int32(min(DefaultSize, maxSize))
	for _, name := range []string{"first", "last"} {
		given := args[name]
		if given == nil {
			continue
		}
		if w.Last = name == "last"; w.Last && args["first"] != nil {
			return w, apierror.BadInput(name, "first and last exclude each other: give one of them")
		}
		size, err := scalar.UnmarshalInt(given)
		switch {
		case err != nil:
			return w, err
		case size < 0:
			return w, apierror.BadInput(name, "%s must not be negative", name)
		case size > maxSize:
			return w, TooLong(name, size, maxSize)
		}
		w.Size = int32(size)
	}
	if w.after, err = parsePlace(args, list, key, "after"); err == nil {
		w.before, err = parsePlace(args, list, key, "before")
	}
	return w, err
}

// parsePlace returns the place in an argument, if there is one.
func parsePlace(args map[string]any, list string, key Key, argument string) (unique.Handle[place], error) {
	if args[argument] == nil {
		return nowhere, nil
	}
	cursor, err := scalar.UnmarshalString(args[argument])
	if err != nil {
		return nowhere, err
	}
	id, sorted, ok := ParseCursor(list, key, cursor)
	if !ok {
		return nowhere, apierror.BadInput(argument, "%q is not a cursor of this list with this order, filter and query: give one of a page that was read with the same", apierror.Clip(cursor))
	}
	return unique.Make(place{id, sorted}), nil
}

// TooLong returns the BAD_USER_INPUT error about an argument that asks for more items than a page holds.
func TooLong(argument string, items, maxSize int) error {
	return apierror.BadInput(argument, "%s: %d is more than a page holds (%d)", argument, items, maxSize)
}

// ID returns the global id of a row: its type and its number, such as "User:42".
func ID(typ string, number int64) string { return typ + ":" + strconv.FormatInt(number, 10) }

// ParseID splits a global id. The form is strict, so that each row has one: no sign, no leading zero, no space.
func ParseID(id string) (typ string, number int64, ok bool) {
	typ, digits, _ := strings.Cut(id, ":")
	number, err := strconv.ParseInt(digits, 10, 64)
	return typ, number, err == nil && '1' <= digits[0] && digits[0] <= '9'
}
