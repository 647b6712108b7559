package entity

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/vektah/gqlparser/v2/ast"

	"rollcall/apierror"
	"rollcall/batch"
	"rollcall/dialect"
	"rollcall/scalar"
)

// Accept says that the inputs which create or update objects of the type may have a field that is none of the objects', of a scalar:
// whoever takes the input reads it.
func (o *objectBase) Accept(field, scalar string) {
	if o.accepted == nil {
		o.accepted = map[string]string{}
	}
	o.accepted[field] = scalar
}

// checkInputs compares the fields that may be written with those of the inputs that create and update objects of the type.
func (o *objectBase) checkInputs(schema *ast.Schema) error {
	var wrong []error
	taken := map[string]bool{}
	for _, name := range []string{"Create" + o.name + "Input", "Update" + o.name + "Input"} {
		input := schema.Types[name]
		if input == nil {
			continue
		}
		for _, field := range input.Fields {
			i := slices.IndexFunc(o.fields, func(f *fieldBase) bool { return f.input == field.Name })
			if scalar, accepted := o.accepted[field.Name]; accepted && batch.FitsScalar(scalar, schema.Types[field.Type.Name()]) {
				continue
			}
			if i < 0 && field.Name != "id" {
				wrong = append(wrong, fmt.Errorf("entity: the schema has %s.%s, and %s has no such field to write: add .Writable(…) to its declaration", name, field.Name, o.name))
			} else if i >= 0 && !batch.FitsScalar(o.fields[i].inputType(), schema.Types[field.Type.Name()]) {
				wrong = append(wrong, fmt.Errorf("entity: %s.%s is a %s, and %s takes a %s there: let both be the same", name, field.Name, field.Type.Name(), o.name, o.fields[i].inputType()))
			}
			taken[field.Name] = true
		}
	}
	for _, f := range o.fields {
		if name := f.input; name != "" && !taken[name] {
			wrong = append(wrong, fmt.Errorf("entity: %s declares %s as Writable, and neither Create%[1]sInput nor Update%[1]sInput has it: add it there, or leave Writable out", o.name, name))
		}
	}
	return errors.Join(wrong...)
}

// unknown notes the fields of an input that cannot be written.
func (o *objectBase) unknown(input Input, id bool, faults *faults) {
	for _, name := range slices.Sorted(maps.Keys(input)) {
		_, accepted := o.accepted[name]
		if !accepted && !(id && name == "id") && !slices.ContainsFunc(o.fields, func(f *fieldBase) bool { return f.input == name }) {
			faults.note(name, apierror.BadInput(name, "%s has no field %q that can be written", o.name, apierror.Clip(name)))
		}
	}
}

// New returns the object that an input describes, checked. A field that it does not have gets its zero value, if that may be stored.
// The error is BAD_USER_INPUT, for each field one.
func (o *Object[T]) New(input Input) (*T, error) {
	t := new(T)
	var wrong faults
	for _, m := range o.members {
		if m.input != "" {
			value, given := input.value(m.input)
			wrong.note(m.input, m.parse(value, given, t))
		}
	}
	o.unknown(input, false, &wrong)
	return t, wrong.err()
}

// Change is what an input changes of an object.
type Change[T any] struct {
	ID     int64
	Values T // the values that it gives, as they are stored

	parts []part[T]
}

// part is what a change does with a field.
type part[T any] struct {
	field   string   // of the input
	columns []string // that have it
	set     func(*T) (changed bool, err error)
}

// Change returns the change that an input with an id describes. A field that it does not have stays. The error is BAD_USER_INPUT, for each
// field one.
func (o *Object[T]) Change(input Input) (c Change[T], err error) {
	var wrong faults
	c.ID, err = o.InputID(input)
	wrong.note("id", err)
	for _, m := range o.members {
		value, given := input.value(m.input)
		if !given {
			continue
		}
		set, err := m.change(value, &c.Values)
		if err != nil {
			wrong.note(m.input, err)
			continue
		}
		c.parts = append(c.parts, part[T]{m.input, m.columns(), set})
	}
	o.unknown(input, true, &wrong)
	return c, wrong.err()
}

// Apply makes the change in a stored object and returns the columns that it sets, with those that are folded of them; none: the object
// is as the change wants it. The error is BAD_USER_INPUT, for each field one.
func (c Change[T]) Apply(to *T) (columns []string, err error) {
	var wrong faults
	for _, p := range c.parts {
		changed, err := p.set(to)
		wrong.note(p.field, err)
		if changed {
			columns = append(columns, p.columns...)
		}
	}
	return columns, wrong.err()
}

// Fields returns what the change may set, by the names of the input's fields; "" is what no input has.
func (c Change[T]) Fields() []string {
	fields := make([]string, len(c.parts))
	for i, p := range c.parts {
		fields[i] = p.field
	}
	return fields
}

// And returns the change with another one, which no input has: set makes it in an object, and reports whether that has changed what the
// column has.
func (c Change[T]) And(column string, set func(*T) (changed bool)) Change[T] {
	c.parts = append(slices.Clip(c.parts), part[T]{columns: []string{column}, set: func(t *T) (bool, error) { return set(t), nil }})
	return c
}

// Conflict returns the CONFLICT error for a write of the type that a unique or a foreign key has refused, with the driver's error within.
// Where it is a Unique field's, it blames that. Any other error is returned as it is.
func (o *objectBase) Conflict(err error) error {
	meaning := dialect.MeaningOf(err)
	conflict := &apierror.Error{Code: apierror.CodeConflict, Err: err}
	switch {
	case apierror.CodeOf(err) != "":
		return err
	case meaning.Is(dialect.Unique):
		conflict.Message = "a value that must be unique is already taken"
		for _, f := range o.fields {
			// MySQL and PostgreSQL tell the key's name, SQLite the columns.
			if at := meaning.Constraint; f.taken != "" && (at == o.table+"_"+f.column+"_key" || at == o.table+"."+f.column) {
				conflict.Field, conflict.Message = f.name, f.taken
			}
		}
	case meaning.Is(dialect.ForeignKey):
		conflict.Message = "this refers to something that does not exist, or something else still refers to it"
	default:
		return err
	}
	return conflict
}

// Unique calls taken for each of some objects, the one at i, with the CONFLICT about a value that another has, one of those before it or one
// that is stored: a value of a Unique field, which that writes of it. Others' values are read with one statement for each such field.
// nil stands for no object. It is for telling of all conflicts at once: what is stored meanwhile, the unique key finds. owner is the stored
// object that has the value, with its number and the values of all Unique fields; nil: one of objects has it.
func (o *Object[T]) Unique(
	ctx context.Context, objects []*T, writes func(i int, column string) bool, taken func(i int, owner *T, err *apierror.Error),
) error {
	columns := []string{"id"}
	for _, m := range o.members {
		if m.taken != "" {
			columns = append(columns, m.column)
		}
	}
	for _, m := range o.members {
		if m.taken == "" {
			continue
		}
		values, first := m.once(len(objects), func(i int) (string, bool) {
			if objects[i] == nil || !writes(i, m.column) {
				return "", false
			}
			return m.key(objects[i])
		}, func(i int, err *apierror.Error) { taken(i, nil, err) })
		owners, err := o.selected(ctx, columns, nil, having(o.from(columns), m.column, values, "", nil))
		if err != nil {
			return err
		}
		for _, owner := range owners {
			value, _ := m.key(owner)
			if i, ok := first[value]; ok && o.ID(owner) != o.ID(objects[i]) {
				taken(i, owner, m.conflict(m.taken))
			}
		}
	}
	return nil
}

// Uniques is how many values of Unique fields a write of an object has: those that may each be another's, of which a database tells one.
func (o *Object[T]) Uniques(object *T, writes func(column string) bool) (n int) {
	for _, m := range o.members {
		if m.taken == "" || !writes(m.column) {
			continue
		}
		if _, has := m.key(object); has {
			n++
		}
	}
	return n
}

// once returns the values of n objects, each once, and which has it first: for the others it calls taken.
func (f *fieldBase) once(n int, value func(i int) (string, bool), taken func(i int, err *apierror.Error)) (values []string, first map[string]int) {
	first = map[string]int{}
	for i := range n {
		value, ok := value(i)
		if !ok || value == "" { // which none is that is stored
			continue
		}
		if other, again := first[value]; again {
			taken(i, f.conflict(fmt.Sprintf("%s: that of entry %d", f.taken, other)))
			continue
		}
		first[value] = i
		values = append(values, value)
	}
	return values, first
}

// conflict returns the CONFLICT about the field's value.
func (f *fieldBase) conflict(message string) *apierror.Error {
	return &apierror.Error{Code: apierror.CodeConflict, Field: f.name, Message: message}
}

// JSON returns an object as JSON: its id and its fields, in the form of answers. The field of a relation is named as the input that has its
// global id.
func (o *Object[T]) JSON(object *T) []byte {
	b := appendGlobalID([]byte(`{"id":`), o.name, o.ID(object))
	for _, m := range o.members {
		b = m.append(append(scalar.AppendString(append(b, ','), m.name), ':'), object)
	}
	return append(b, '}')
}

// Differences returns in which fields an object differs before and after a change, as JSON such as
// [{"name":"title","before":null,"after":"Engineer"}]. Where before or after is nil, the object is not there, and all that is not null is
// listed. Values have the form of answers; the field of a relation is named as the input that has its global id. The fields but are left out.
func (o *Object[T]) Differences(before, after *T, but ...string) []byte {
	value := func(m member[T], t *T) []byte {
		if t == nil {
			return []byte("null")
		}
		return m.append(nil, t)
	}
	b := []byte{'['}
	for _, m := range o.members {
		if slices.Contains(but, m.name) {
			continue
		}
		was, is := value(m, before), value(m, after)
		if bytes.Equal(was, is) {
			continue
		}
		if len(b) > 1 {
			b = append(b, ',')
		}
		b = scalar.AppendString(append(b, `{"name":`...), m.name)
		b = append(append(b, `,"before":`...), was...)
		b = append(append(append(b, `,"after":`...), is...), '}')
	}
	return append(b, ']')
}
