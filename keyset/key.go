// Package keyset reads lists page by page, by the keys of their rows: no page costs more than another, and rows that come or go
// meanwhile neither repeat nor skip others. It makes the statements and holds the pages; it runs nothing.
package keyset

import (
	"encoding/base64"
	"math"
	"reflect"
	"strconv"
	"strings"

	"rollcall/apierror"
	"rollcall/scalar"
)

// Key is one window of one list. It is comparable, so that loaders can batch by it: rows are asked for by it, and the number
// of all rows by its Whole.
type Key struct {
	Parent Parent
	Filter Filter
	Order  Order
	Window Window
}

// Whole returns the key of the whole list, whatever its order.
func (k Key) Whole() Key { return Key{Parent: k.Parent, Filter: k.Filter} }

// Parent is the row that a list belongs to. Its zero value is none: the list is that of a whole table.
type Parent struct {
	id    int64
	given bool
}

// Of returns the parent with an id.
func Of(id int64) Parent { return Parent{id, true} }

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
	parts any // an array, which is comparable: a condition in SQL and its arguments; nil: none
}

// And returns the filter that a row has to meet as well as a condition in SQL, in which t is the table of the list's nodes and ?
// a placeholder. The arguments are comparable.
func (f Filter) And(condition string, args ...any) Filter {
	condition = "(" + condition + ")" // it may have an OR
	if before, values := f.split(); before != "" {
		condition, args = before+" AND "+condition, append(values, args...)
	}
	parts := reflect.New(reflect.ArrayOf(1+len(args), reflect.TypeFor[any]())).Elem()
	reflect.Copy(parts, reflect.ValueOf(append([]any{condition}, args...)))
	return Filter{parts.Interface()}
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

// Order is how a list is sorted: by id.
type Order struct {
	Descending bool
}

// Window is which rows of a list are asked for: the first ones after a place, or the last ones before one.
type Window struct {
	Size          int32 // how many at most
	Last          bool
	after, before bool  // whether there is a place
	afterID       int64 // in the list
	beforeID      int64
}

// DefaultSize is how many rows a window has where its size is not given.
const DefaultSize = 20

// ParseWindow returns the window that the arguments of a list field ask for: first and after, or last and before. Its rows are
// of the type typ, and at most maxSize. The error is BAD_USER_INPUT and names the argument.
func ParseWindow(args map[string]any, typ string, maxSize int) (w Window, err error) {
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
		w.Size = int32(min(size, math.MaxInt32-1)) // room for one row more, which shows that the list goes on
	}
	if w.afterID, w.after, err = parsePlace(args, typ, "after"); err == nil {
		w.beforeID, w.before, err = parsePlace(args, typ, "before")
	}
	return w, err
}

// parsePlace returns the place in an argument, if there is one.
func parsePlace(args map[string]any, typ, argument string) (id int64, given bool, err error) {
	if args[argument] == nil {
		return 0, false, nil
	}
	cursor, err := scalar.UnmarshalString(args[argument])
	if err != nil {
		return 0, false, err
	}
	id, ok := ParseCursor(typ, cursor)
	if !ok {
		return 0, false, apierror.BadInput(argument, "%q is not a cursor of this list", apierror.Clip(cursor))
	}
	return id, true, nil
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

// Cursor returns the opaque cursor of a row in a list of its type.
func Cursor(typ string, number int64) string {
	return base64.RawURLEncoding.EncodeToString([]byte(ID(typ, number)))
}

// ParseCursor returns the number of the row that a cursor of a list of a type is of.
func ParseCursor(typ, cursor string) (number int64, ok bool) {
	id, err := base64.RawURLEncoding.DecodeString(cursor)
	of, number, ok := ParseID(string(id))
	return number, ok && err == nil && of == typ
}
