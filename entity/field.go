package entity

import (
	"cmp"
	"database/sql"
	"fmt"
	"reflect"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/99designs/gqlgen/graphql"

	"rollcall/apierror"
	"rollcall/batch"
	"rollcall/keyset"
	"rollcall/scalar"
)

// kind is how the values of a scalar are read from a column, written as JSON and taken from an input.
type kind[V any] struct {
	scalar string       // "": none
	scan   func(*V) any // what database/sql scans the value into
	append func([]byte, V) []byte
	parse  func(any) (V, error)
	check  func(V) (V, error) // see Writable; nil: any value may be stored

	nullable bool // an input may have null
}

// Field is one field of T, of the Go type V, that a column has.
type Field[T, V any] struct {
	fieldBase
	at   func(*T) *V
	kind kind[V]
}

// fieldBase is what a Field is declared with, whatever its Go types are. What it does is compiled once, and not for each of them.
type fieldBase struct {
	name, column string
	input        string                                    // its name there; "": no input has it
	scalar       string                                    // of its kind
	keep         bool                                      // an update passes over the stored value
	to           func(field string, id any) (int64, error) // of a relation: reads a global id
	leads        string                                    // of a relation: the type that it leads to
	taken        string                                    // the message of the CONFLICT where another object has the value; "": it is not Unique

	filterable bool
	form       func(operand string, whole bool) string // see FilterAs
	ordered    bool                                    // lists may be sorted by it
	folded     string                                  // the column by which they are, if it is another
}

// member is a Field, whatever the Go type of its values is. It has functions, and is no interface: of a type that becomes one, the linker
// keeps every method that is exported.
type member[T any] struct {
	*fieldBase
	target  func(t *T) any              // where its column goes
	pointer func(t *T) any              // where t has its value
	append  func(b []byte, t *T) []byte // its value, as JSON
	// parse puts an input's value into t, or the zero value where none is given. The error is BAD_USER_INPUT.
	parse func(value any, given bool, t *T) error
	// change returns what puts an input's value into a stored t, or leaves that as it is. Its own error is that of a value which
	// may not be given to any; that of what it returns is about this t.
	change func(value any, into *T) (func(t *T) (changed bool, err error), error)
}

// key returns t's value, of a Unique text, if it is one.
func (m member[T]) key(t *T) (value string, is bool) { return textOf(m.pointer(t)) }

// kindOf returns the kind of the scalar that has a Go type.
func kindOf[V string | int64 | bool | time.Time]() kind[V] {
	var k any
	switch any(*new(V)).(type) {
	case string:
		k = textKind[string]()
	case int64:
		k = kind[int64]{
			scalar: "Int",
			scan:   func(n *int64) any { return integer{n} },
			append: func(b []byte, n int64) []byte { return strconv.AppendInt(b, n, 10) },
			parse:  scalar.UnmarshalInt64,
		}
	case bool:
		k = kind[bool]{scalar: "Boolean", scan: func(is *bool) any { return boolField{is} }, append: strconv.AppendBool, parse: scalar.UnmarshalBoolean}
	case time.Time:
		k = kind[time.Time]{scalar: "Time", scan: func(t *time.Time) any { return instant{t} }, append: scalar.AppendTime, parse: scalar.UnmarshalTime}
	}
	return k.(kind[V])
}

// textKind is the kind of strings of any type.
func textKind[S ~string]() kind[S] {
	scan := func(s *S) any { return text[S]{s} }
	if plain, ok := any(func(s *string) any { return s }).(func(*S) any); ok { // which database/sql scans at once
		scan = plain
	}
	return kind[S]{
		scalar: "String",
		scan:   scan,
		append: func(b []byte, s S) []byte { return scalar.AppendString(b, string(s)) },
		parse: func(v any) (S, error) {
			if s, ok := v.(S); ok { // as gqlgen or Go code has it
				return s, nil
			}
			s, err := scalar.UnmarshalString(v)
			return S(s), err
		},
	}
}

// Text declares a field that holds a string, or one of an enum's values.
func Text[T any, S ~string](o *Object[T], name string, at func(*T) *S) *Field[T, S] {
	return add(o, name, at, textKind[S]())
}

// OptionalText declares a field that holds a string or nothing: null in an answer. An input removes what is there by null or by an
// empty string, and no empty one is stored. See Optional for its check.
func OptionalText[T any](o *Object[T], name string, at func(*T) **string) *Field[T, *string] {
	return add(o, name, at, kind[*string]{
		scalar: "String", nullable: true,
		scan:   func(s **string) any { return optionalText{s} },
		append: scalar.AppendOptional,
		parse: func(v any) (*string, error) {
			if v == nil {
				return nil, nil
			}
			s, err := scalar.UnmarshalString(v)
			if s == "" {
				return nil, err
			}
			return &s, err
		},
	})
}

// Optional returns the check of an OptionalText that lets nothing pass, and all that another check lets. What that makes empty is nothing.
func Optional(check func(string) (string, error)) func(*string) (*string, error) {
	return func(given *string) (*string, error) {
		if given == nil {
			return nil, nil
		}
		s, err := check(*given)
		if s == "" {
			return nil, err
		}
		return &s, err
	}
}

// GlobalID declares a field with the global id of what has a number, such as Membership:12: typ is what it begins with. The column has
// the number.
func GlobalID[T any](o *Object[T], name, typ string, at func(*T) *int64) *Field[T, int64] {
	return add(o, name, at, kind[int64]{
		scalar: "ID",
		scan:   func(n *int64) any { return integer{n} },
		append: func(b []byte, n int64) []byte { return appendGlobalID(b, typ, n) },
		parse:  func(any) (int64, error) { return 0, fmt.Errorf("entity: %s cannot be written", name) },
	})
}

// appendGlobalID appends a global id.
func appendGlobalID(b []byte, typ string, n int64) []byte {
	b = append(append(append(b, '"'), typ...), ':')
	return append(strconv.AppendInt(b, n, 10), '"')
}

// Int declares a field that holds a whole number of 32 bits.
func Int[T any](o *Object[T], name string, at func(*T) *int64) *Field[T, int64] {
	return add(o, name, at, kindOf[int64]())
}

// Bool declares a field that is true or false.
func Bool[T any](o *Object[T], name string, at func(*T) *bool) *Field[T, bool] {
	return add(o, name, at, kindOf[bool]())
}

// Time declares a field that holds a point in time.
func Time[T any](o *Object[T], name string, at func(*T) *time.Time) *Field[T, time.Time] {
	return add(o, name, at, kindOf[time.Time]())
}

// OptionalTime declares a field that holds a point in time or nothing: null in an answer.
func OptionalTime[T any](o *Object[T], name string, at func(*T) **time.Time) *Field[T, *time.Time] {
	return add(o, name, at, kind[*time.Time]{
		scalar: "Time", nullable: true,
		scan: func(t **time.Time) any { return optionalInstant{t} },
		append: func(b []byte, t *time.Time) []byte {
			if t == nil {
				return append(b, "null"...)
			}
			return scalar.AppendTime(b, *t)
		},
		parse: func(v any) (*time.Time, error) {
			if v == nil {
				return nil, nil
			}
			t, err := scalar.UnmarshalTime(v)
			return &t, err
		},
	})
}

// Texts declares a field that holds a list of strings, such as values of an enum, which P reads from its column. An input may have null, for
// an empty list.
func Texts[T any, L ~[]string, P interface {
	*L
	sql.Scanner
}](o *Object[T], name string, at func(*T) *L,
) *Field[T, L] {
	return add(o, name, at, kind[L]{
		scalar: "String", nullable: true,
		scan: func(l *L) any { return P(l) },
		append: func(b []byte, l L) []byte {
			b = append(b, '[')
			for i, s := range l {
				if i > 0 {
					b = append(b, ',')
				}
				b = scalar.AppendString(b, s)
			}
			return append(b, ']')
		},
		parse: func(v any) (l L, err error) {
			if v == nil {
				return nil, nil
			}
			for i, one := range graphql.CoerceList(v) {
				s, err := scalar.UnmarshalString(one)
				if err != nil {
					return nil, about(strconv.Itoa(i), err)
				}
				l = append(l, s)
			}
			return l, nil
		},
	})
}

// add declares a field whose column has its name in lower case, with underscores.
func add[T, V any](o *Object[T], name string, at func(*T) *V, k kind[V]) *Field[T, V] {
	f := declare(o, name, snake(name), at, k)
	o.schema.add(func() batch.Field {
		return batch.Value(o.name, name, func(b []byte, t *T) []byte { return k.append(b, *at(t)) }).From(f.column).As(f.scalar)
	})
	return f
}

// declare declares a field of a kind that a column has.
func declare[T, V any](o *Object[T], name, column string, at func(*T) *V, k kind[V]) *Field[T, V] {
	f := &Field[T, V]{fieldBase{name: name, column: column, scalar: k.scalar}, at, k}
	o.fields = append(o.fields, &f.fieldBase)
	o.members = append(o.members, member[T]{
		fieldBase: &f.fieldBase,
		target:    func(t *T) any { return k.scan(at(t)) },
		pointer:   func(t *T) any { return at(t) },
		append:    func(b []byte, t *T) []byte { return k.append(b, *at(t)) },
		parse: func(value any, given bool, t *T) (err error) {
			*at(t), err = f.kind.valueOf(&f.fieldBase, value, given)
			return err
		},
		change: func(value any, into *T) (func(*T) (bool, error), error) {
			v, change, err := f.kind.change(&f.fieldBase, value)
			if err != nil {
				return nil, err
			}
			*at(into) = v
			return func(t *T) (bool, error) { return change(at(t)) }, nil
		},
	})
	return f
}

// Column names the field's column, where that is not the field's name in lower case.
func (f *Field[T, V]) Column(name string) *Field[T, V] {
	f.column = name
	return f
}

// Writable lets inputs set the field. Their values pass check, which returns the one to store, or a BAD_USER_INPUT error; nil:
// any value may be stored.
func (f *Field[T, V]) Writable(check func(V) (V, error)) *Field[T, V] {
	f.input, f.kind.check = f.name, check
	return f
}

// KeepStored has an update pass over the very value that is stored, even if check would refuse it: forms send all fields.
func (f *Field[T, V]) KeepStored() *Field[T, V] {
	f.keep = true
	return f
}

// Unique says that no two objects share a value, which a unique key named table_column_key holds. To write another object's value is a
// CONFLICT with this message.
func (f *Field[T, V]) Unique(message string) *Field[T, V] {
	f.taken = message
	return f
}

// Order lets lists of the objects be sorted by a Text or Time field that is never null: see order.go.
func (f *Field[T, V]) Order() *Field[T, V] {
	f.ordered = true
	return f
}

// Folded names the column with the field's values in the form in which they are compared, which decides the order of lists. Who
// changes the field changes that column too: Change.Apply returns both.
func (f *Field[T, V]) Folded(column string) *Field[T, V] {
	f.folded = column
	return f
}

// sort is how lists are sorted by the field, where a statement has its table by a name; nil: they are not.
func (f *fieldBase) sort(table string) *keyset.Sort {
	if !f.ordered {
		return nil
	}
	return &keyset.Sort{Name: orderName(f.name), Column: table + cmp.Or(f.folded, f.column), Time: f.scalar == "Time"}
}

// indexed is the column by whose index filters find many; "": there is none. It takes it that there is an index of what lists are sorted by
// and of what is folded. What is unique is not shared by many.
func (f *fieldBase) indexed() string {
	if f.folded == "" && (!f.ordered || f.taken != "") {
		return ""
	}
	return cmp.Or(f.folded, f.column)
}

func (f *fieldBase) inputType() string {
	if f.scalar == "" { // of a relation
		return "ID"
	}
	return f.scalar
}

// columns returns those that change when the field does.
func (f *fieldBase) columns() []string {
	if f.folded == "" {
		return []string{f.column}
	}
	return []string{f.column, f.folded}
}

// textOf returns the text that a pointer leads to, if it is one.
func textOf(at any) (text string, is bool) {
	switch at := at.(type) {
	case *string:
		return *at, true
	case **string:
		if *at != nil {
			return **at, true
		}
	}
	return "", false
}

// valueOf returns the value that an input gives to a field, or the zero value where it gives none.
func (k kind[V]) valueOf(f *fieldBase, value any, given bool) (v V, err error) {
	switch {
	case given && value == nil && !k.nullable:
		return v, apierror.BadInput(f.input, "%s cannot be null", f.input)
	case given:
		v, err = k.parse(value)
	}
	if err == nil && k.check != nil {
		v, err = k.check(v)
	}
	return v, err
}

// change returns the value that an input gives to a field, and what puts it in the place of a stored one.
func (k kind[V]) change(f *fieldBase, value any) (v V, change func(to *V) (changed bool, err error), err error) {
	if value == nil && !k.nullable {
		return v, nil, apierror.BadInput(f.input, "%s cannot be null: leave it out to keep it as it is", f.input)
	}
	given, err := k.parse(value)
	if err != nil {
		return v, nil, err
	}
	checked, refusal := given, error(nil)
	if k.check != nil {
		checked, refusal = k.check(given)
	}
	if refusal != nil && !f.keep {
		return v, nil, refusal
	}
	return checked, func(to *V) (bool, error) {
		switch {
		case f.keep && equal(*to, given):
			return false, nil
		case refusal != nil:
			return false, refusal
		case equal(*to, checked):
			return false, nil
		default:
			*to = checked
			return true, nil
		}
	}, nil
}

// equal reports whether a field would not be changed.
func equal(a, b any) bool {
	if at, ok := a.(time.Time); ok {
		return at.Equal(b.(time.Time))
	}
	return reflect.DeepEqual(a, b)
}

// snake returns a name of the schema in lower case, with underscores.
func snake(name string) string {
	var b strings.Builder
	for _, r := range name {
		if unicode.IsUpper(r) {
			b.WriteByte('_')
		}
		b.WriteRune(unicode.ToLower(r))
	}
	return b.String()
}

// Required is One for a relation to exactly one object, whose number no input sets.
func Required[T, N any](o *Object[T], name string, to *Object[N], at func(*T) *int64) {
	number := kindOf[int64]()
	number.append = func(b []byte, n int64) []byte { return appendGlobalID(b, to.name, n) }
	f := declare(o, name+"Id", snake(name)+"_id", at, number)
	o.schema.add(func() batch.Field {
		return batch.Relation(o.name, name, to.byID, batch.Key(func(t *T) (int64, bool) { return *at(t), true })).From(f.column)
	})
}

// One declares a relation to at most one object, whose number T has, or nil: the field name leads to the object, the column of that
// name with _id behind it has its number, and the input of that name with Id behind it, if it is writable, takes its global id.
func One[T, N any](o *Object[T], name string, to *Object[N], at func(*T) **int64) *Field[T, *int64] {
	field := name + "Id"
	f := declare(o, field, snake(name)+"_id", at, kind[*int64]{
		nullable: true,
		scan:     func(id **int64) any { return optionalInteger{id} },
		append: func(b []byte, id *int64) []byte {
			if id == nil {
				return append(b, "null"...)
			}
			return appendGlobalID(b, to.name, *id)
		},
		parse: func(v any) (*int64, error) {
			if v == nil {
				return nil, nil
			}
			id, err := to.parseID(field, v)
			if err != nil {
				return nil, err
			}
			return &id, nil
		},
	})
	f.to, f.leads = to.parseID, to.name
	o.schema.add(func() batch.Field {
		return batch.Relation(o.name, name, to.byID, batch.Key(func(t *T) (int64, bool) {
			if id := *at(t); id != nil {
				return *id, true
			}
			return 0, false
		})).From(f.column)
	})
	return f
}
