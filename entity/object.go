package entity

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"

	"github.com/vektah/gqlparser/v2/ast"

	"rollcall/apierror"
	"rollcall/batch"
	"rollcall/dialect"
	"rollcall/keyset"
	"rollcall/scalar"
)

// Object is the declaration of an object type: T is the struct of its rows, which a table has.
type Object[T any] struct {
	schema      *Schema
	name, table string
	members     []member[T]
	id          func(*T) *int64
	orders      []*keyset.Sort // of its lists, which no field has
	byID        *batch.Source[int64, *T]
	scans       map[string]func(*T) any // where columns go, by their names
	names       []string                // of all columns, in order, once all is declared
	filters     []*filtering
	search      *searching // nil: they are not searched
	words       func(*T) []string
	counted     bool // see Counted
}

// Define declares an object type with an id: at says where T has its number, which the column id holds. It is a node.
func Define[T any](s *Schema, name, table string, at func(*T) *int64) *Object[T] {
	o := &Object[T]{schema: s, name: name, table: table, id: at}
	o.byID = batch.NewSource(o.readByID)
	o.scans = map[string]func(*T) any{"id": func(t *T) any { return integer{at(t)} }}
	s.objects = append(s.objects, o)
	s.add(func() batch.Field { return batch.Column(name, "", "id") })
	s.add(func() batch.Field {
		return batch.Value(name, "id", func(b []byte, t *T) []byte {
			return appendGlobalID(b, name, *at(t))
		}).From().As("ID")
	})
	return o
}

// Link declares the edges of a list that a table between two others makes: T embeds a keyset.Edge, and its fields are columns of
// that table. prefix is what the names of the edge's and the connection's type begin with.
func Link[T any](s *Schema, prefix, table string) *Object[T] {
	o := &Object[T]{schema: s, name: prefix + "Edge", table: table, scans: map[string]func(*T) any{}}
	s.objects = append(s.objects, o)
	return o
}

// prefix is what the names of the types of an edge and of its connection begin with.
func (o *Object[T]) prefix() string { return strings.TrimSuffix(o.name, "Edge") }

func (o *Object[T]) finish() error {
	t, taken := new(T), map[any]string{}
	var wrong []error
	for _, m := range o.members {
		o.scans[m.columnName()] = m.target
		name, _ := m.unique()
		if other := taken[m.pointer(t)]; other != "" {
			wrong = append(wrong, fmt.Errorf("entity: %s.%s and %s.%s are declared for the same field of %T: give one of them its own", o.name, other, o.name, name, *t))
		}
		taken[m.pointer(t)] = name
	}
	o.names = slices.Sorted(maps.Keys(o.scans))
	o.finishFilters()
	return errors.Join(wrong...)
}

func (o *Object[T]) columns() (table string, names []string) { return o.table, o.names }

// targets returns where columns go.
func (o *Object[T]) targets(columns []string) []func(*T) any {
	all := make([]func(*T) any, len(columns))
	for i, column := range columns {
		if all[i] = o.scans[column]; all[i] == nil {
			panic(fmt.Errorf("entity: %s reads the column %s, which no field is declared with", o.name, column))
		}
	}
	return all
}

// checkInputs compares the fields that may be written with those of the inputs that create and update objects of the type.
func (o *Object[T]) checkInputs(schema *ast.Schema) error {
	var wrong []error
	taken := map[string]bool{}
	for _, name := range []string{"Create" + o.name + "Input", "Update" + o.name + "Input"} {
		input := schema.Types[name]
		if input == nil {
			continue
		}
		for _, field := range input.Fields {
			i := slices.IndexFunc(o.members, func(m member[T]) bool { return m.inputName() == field.Name })
			if i < 0 && field.Name != "id" {
				wrong = append(wrong, fmt.Errorf("entity: the schema has %s.%s, and %s has no such field to write: add .Writable(…) to its declaration", name, field.Name, o.name))
			} else if i >= 0 && !batch.FitsScalar(o.members[i].inputType(), schema.Types[field.Type.Name()]) {
				wrong = append(wrong, fmt.Errorf("entity: %s.%s is a %s, and %s takes a %s there: let both be the same", name, field.Name, field.Type.Name(), o.name, o.members[i].inputType()))
			}
			taken[field.Name] = true
		}
	}
	for _, m := range o.members {
		if name := m.inputName(); name != "" && !taken[name] {
			wrong = append(wrong, fmt.Errorf("entity: %s declares %s as Writable, and neither Create%[1]sInput nor Update%[1]sInput has it: add it there, or leave Writable out", o.name, name))
		}
	}
	return errors.Join(wrong...)
}

// Name returns the name of the type.
func (o *Object[T]) Name() string { return o.name }

// ID returns the number of an object.
func (o *Object[T]) ID(t *T) int64 { return *o.id(t) }

// ByID returns the source of objects by their numbers; nil where there is none.
func (o *Object[T]) ByID() *batch.Source[int64, *T] { return o.byID }

// selected reads whole rows, or rows with some columns.
func (o *Object[T]) selected(ctx context.Context, columns []string, statements []keyset.Statement) ([]*T, error) {
	targets := o.targets(columns)
	return read(ctx, statements, len(columns), func(t *T, to []any) {
		for i, target := range targets {
			to[i] = target(t)
		}
	})
}

// readByID reads objects by their numbers.
func (o *Object[T]) readByID(ctx context.Context, ids []int64, columns batch.Columns) (map[int64]*T, error) {
	names := columns.Of(o.name)
	var statements []keyset.Statement
	for marks, args := range keyset.In(ids) {
		statements = append(statements, keyset.Statement{Text: o.from(names) + " WHERE id IN (" + marks + ")", Args: args})
	}
	all, err := o.selected(ctx, names, statements)
	byID := make(map[int64]*T, len(all))
	for _, t := range all {
		byID[o.ID(t)] = t
	}
	return byID, err
}

func (o *Object[T]) from(columns []string) string {
	return "SELECT " + strings.Join(columns, ", ") + " FROM " + o.table
}

// Read reads a whole object past the batches, for a mutation. lock is what follows in the statement, such as FOR UPDATE. The error
// is NOT_FOUND where there is none.
func (o *Object[T]) Read(ctx context.Context, id int64, lock string) (*T, error) {
	all, err := o.Select(ctx, o.names, o.from(o.names)+" WHERE id = ?"+lock, id)
	switch {
	case err != nil:
		return nil, err
	case len(all) == 0:
		return nil, apierror.NotFound("there is no %s %s", strings.ToLower(o.name), keyset.ID(o.name, id))
	}
	return all[0], nil
}

// Select reads rows that have some columns, in their order, by a statement in which every ? is a placeholder.
func (o *Object[T]) Select(ctx context.Context, columns []string, query string, args ...any) ([]*T, error) {
	return o.selected(ctx, columns, []keyset.Statement{{Text: query, Args: args}})
}

// ParseID returns the number in a global id of the type. The error is BAD_USER_INPUT, and blames an input field.
func (o *Object[T]) ParseID(field, id string) (int64, error) {
	if typ, number, ok := keyset.ParseID(id); ok && typ == o.name {
		return number, nil
	}
	return 0, apierror.BadInput(field, "%q is not the id of a %s: expected a form like \"%s:42\"", apierror.Clip(id), strings.ToLower(o.name), o.name)
}

// parseID is ParseID for an input's value.
func (o *Object[T]) parseID(field string, value any) (int64, error) {
	id, err := scalar.UnmarshalID(value)
	if err != nil {
		return 0, err
	}
	return o.ParseID(field, id)
}

// InputID returns the number in the global id that an input has. The error is BAD_USER_INPUT.
func (o *Object[T]) InputID(input Input) (int64, error) {
	id, _ := input.value("id")
	return o.parseID("id", id)
}

// Conflict returns the CONFLICT error for a write of the type that a unique or a foreign key has refused, with the driver's error within.
// Where it is a Unique field's, it blames that. Any other error is returned as it is.
func (o *Object[T]) Conflict(err error) error {
	meaning := dialect.MeaningOf(err)
	conflict := &apierror.Error{Code: apierror.CodeConflict, Err: err}
	switch {
	case apierror.CodeOf(err) != "":
		return err
	case meaning.Is(dialect.Unique):
		conflict.Message = "a value that must be unique is already taken"
		for _, m := range o.members {
			// MySQL and PostgreSQL tell the key's name, SQLite the columns.
			field, message := m.unique()
			if at := meaning.Constraint; message != "" && (at == o.table+"_"+m.columnName()+"_key" || at == o.table+"."+m.columnName()) {
				conflict.Field, conflict.Message = field, message
			}
		}
	case meaning.Is(dialect.ForeignKey):
		conflict.Message = "this refers to something that does not exist, or something else still refers to it"
	default:
		return err
	}
	return conflict
}

// Input is an input object of the API: values by the names of its fields. A value may be behind a pointer, which is nil for null.
type Input map[string]any

// value returns what an input has for a field.
func (in Input) value(field string) (value any, given bool) {
	if field == "" {
		return nil, false
	}
	value, given = in[field]
	if v := reflect.ValueOf(value); v.Kind() == reflect.Pointer {
		if v.IsNil() {
			return nil, given
		}
		value = v.Elem().Interface()
	}
	return value, given
}

// unknown returns a BAD_USER_INPUT error about a field of an input that cannot be written, if there is one besides another.
func (o *Object[T]) unknown(input Input, besides string) error {
	unknown := ""
	for name := range input {
		written := name == besides || slices.ContainsFunc(o.members, func(m member[T]) bool { return m.inputName() == name })
		if !written && (unknown == "" || name < unknown) {
			unknown = name
		}
	}
	if unknown == "" {
		return nil
	}
	return apierror.BadInput(unknown, "%s has no field %q that can be written", o.name, apierror.Clip(unknown))
}

// New returns the object that an input describes, checked. A field that it does not have gets its zero value, if that may be stored.
// The error is BAD_USER_INPUT.
func (o *Object[T]) New(input Input) (*T, error) {
	t := new(T)
	for _, m := range o.members {
		if m.inputName() == "" {
			continue
		}
		value, given := input.value(m.inputName())
		if err := m.parse(value, given, t); err != nil {
			return nil, err
		}
	}
	return t, o.unknown(input, "")
}

// Change is what an input changes of an object.
type Change[T any] struct {
	ID     int64
	Values T // the values that it gives, as they are stored

	members []member[T]
	changes []func(*T) (bool, error)
}

// Change returns the change that an input with an id describes. A field that it does not have stays. The error is BAD_USER_INPUT.
func (o *Object[T]) Change(input Input) (c Change[T], err error) {
	if c.ID, err = o.InputID(input); err != nil {
		return c, err
	}
	if err := o.unknown(input, "id"); err != nil {
		return c, err
	}
	for _, m := range o.members {
		value, given := input.value(m.inputName())
		if !given {
			continue
		}
		change, err := m.change(value, &c.Values)
		if err != nil {
			return c, err
		}
		c.members, c.changes = append(c.members, m), append(c.changes, change)
	}
	return c, nil
}

// Apply makes the change in a stored object and returns the columns that it sets, with those that are folded of them; none: the object
// is as the change wants it. The error is BAD_USER_INPUT.
func (c Change[T]) Apply(to *T) (columns []string, err error) {
	for i, change := range c.changes {
		changed, err := change(to)
		if err != nil {
			return nil, err
		}
		if !changed {
			continue
		}
		columns = append(columns, c.members[i].columnName())
		if folded := c.members[i].foldedColumn(); folded != "" {
			columns = append(columns, folded)
		}
	}
	return columns, nil
}
