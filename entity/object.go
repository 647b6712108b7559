package entity

import (
	"cmp"
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
	rows[T]
	id    func(*T) *int64
	byID  *batch.Source[int64, *T] // nil: it is no node
	words func(*T) []string
}

// rows is where the columns of rows go: T is their struct.
type rows[T any] struct {
	objectBase
	members []member[T]             // the fields, in their order
	scans   map[string]func(*T) any // by the columns' names
}

// objectBase is what an Object is declared with, whatever its Go type is. What it does is compiled once, and not for each type.
type objectBase struct {
	schema      *Schema
	name, table string
	isNode      bool // its objects have global ids
	fields      []*fieldBase
	orders      []*keyset.Sort // of its lists, which no field has
	names       []string       // of all columns, in order, once all is declared
	filters     []*filtering
	search      *searching        // nil: they are not searched
	counted     bool              // see Counted
	accepted    map[string]string // see Accept
}

// Define declares an object type with an id: at says where T has its number, which the column id holds. It is a node.
func Define[T any](s *Schema, name, table string, at func(*T) *int64) *Object[T] {
	o := &Object[T]{id: at}
	o.objectBase = objectBase{schema: s, name: name, table: table, isNode: true}
	o.byID = batch.NewSource(o.readByID)
	o.scans = map[string]func(*T) any{"id": func(t *T) any { return integer{at(t)} }}
	s.objects = append(s.objects, object{&o.objectBase, o.finish, o.node, o.nodes})
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
	o := &Object[T]{}
	o.objectBase, o.scans = objectBase{schema: s, name: prefix + "Edge", table: table}, map[string]func(*T) any{}
	s.objects = append(s.objects, object{objectBase: &o.objectBase, finish: o.finish})
	return o
}

// prefix is what the names of the types of an edge and of its connection begin with.
func (o *objectBase) prefix() string { return strings.TrimSuffix(o.name, "Edge") }

func (o *rows[T]) finish() error {
	t, places := new(T), make([]any, len(o.members))
	for i, m := range o.members {
		o.scans[m.column], places[i] = m.target, m.pointer(t)
	}
	return o.finishFields(*t, places)
}

// finishFields finishes the fields, which have their values in some places of an object. The error names those that have the same.
func (o *objectBase) finishFields(of any, places []any) error {
	taken := map[any]string{}
	var wrong []error
	if o.isNode {
		o.names = []string{"id"}
	}
	for i, f := range o.fields {
		if other := taken[places[i]]; other != "" {
			wrong = append(wrong, fmt.Errorf("entity: %s.%s and %s.%s are declared for the same field of %T: give one of them its own", o.name, other, o.name, f.name, of))
		}
		taken[places[i]] = f.name
		o.names = append(o.names, f.column)
	}
	slices.Sort(o.names)
	o.names = slices.Compact(o.names)
	o.finishFilters()
	return errors.Join(wrong...)
}

// columns returns the type's table and the columns that it is declared with.
func (o *objectBase) columns() (table string, names []string) { return o.table, o.names }

// targets returns where columns go.
func (o *rows[T]) targets(columns []string) []func(*T) any {
	all := make([]func(*T) any, len(columns))
	for i, column := range columns {
		if all[i] = o.scans[column]; all[i] == nil {
			panic(fmt.Errorf("entity: %s reads the column %s, which no field is declared with", o.name, column))
		}
	}
	return all
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

// Table returns the table of its rows.
func (o *objectBase) Table() string { return o.table }

// SetID gives an object its number.
func (o *Object[T]) SetID(t *T, id int64) { *o.id(t) = id }

// Name returns the name of the type.
func (o *objectBase) Name() string { return o.name }

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
	return o.numbered(ctx, columns.Of(o.name), ids, "")
}

// numbered reads the objects with some numbers, by these. rest is what follows in the statement.
func (o *Object[T]) numbered(ctx context.Context, columns []string, ids []int64, rest string) (map[int64]*T, error) {
	all, err := o.selected(ctx, columns, o.withNumbers(columns, ids, rest))
	byID := make(map[int64]*T, len(all))
	for _, t := range all {
		byID[o.ID(t)] = t
	}
	return byID, err
}

// withNumbers returns statements that read the objects with some numbers. rest is what follows in each.
func (o *objectBase) withNumbers(columns []string, ids []int64, rest string) (all []keyset.Statement) {
	for marks, args := range keyset.In(ids) {
		all = append(all, keyset.Statement{Text: o.from(columns) + " WHERE id IN (" + marks + ")" + rest, Args: args})
	}
	return all
}

// having returns statements that read the objects that have one of some values in a column.
func (o *objectBase) having(columns []string, column string, values []string) (all []keyset.Statement) {
	for chunk := range slices.Chunk(values, keyset.MaxKeys) {
		args := make([]any, len(chunk))
		for i, value := range chunk {
			args[i] = value
		}
		all = append(all, keyset.Statement{Text: o.from(columns) + " WHERE " + column + " IN (" + keyset.Marks(len(args)) + ")", Args: args})
	}
	return all
}

func (o *objectBase) from(columns []string) string {
	return "SELECT " + strings.Join(columns, ", ") + " FROM " + o.table
}

// Where reads whole objects past the batches, for a mutation. condition is what follows WHERE in the statement, and may end with a lock,
// such as FOR UPDATE.
func (o *Object[T]) Where(ctx context.Context, condition string, args ...any) ([]*T, error) {
	return o.Select(ctx, o.names, o.from(o.names)+" WHERE "+condition, args...)
}

// Read is Where for the objects with some numbers, by these. lock is what follows in the statement.
func (o *Object[T]) Read(ctx context.Context, ids []int64, lock string) (map[int64]*T, error) {
	return o.numbered(ctx, o.names, ids, " ORDER BY id"+lock)
}

// Numbers reads whole numbers past the batches, for a mutation.
func Numbers(ctx context.Context, query string, args ...any) ([]int64, error) {
	all, err := read(ctx, []keyset.Statement{{Text: query, Args: args}}, 1, func(n *int64, to []any) { to[0] = integer{n} })
	numbers := make([]int64, len(all))
	for i, n := range all {
		numbers[i] = *n
	}
	return numbers, err
}

// Missing returns the NOT_FOUND error about an object.
func (o *objectBase) Missing(id int64) *apierror.Error {
	return apierror.NotFound("there is no %s %s", strings.ToLower(o.name), keyset.ID(o.name, id))
}

// Select reads rows that have some columns, in their order, by a statement in which every ? is a placeholder.
func (o *Object[T]) Select(ctx context.Context, columns []string, query string, args ...any) ([]*T, error) {
	return o.selected(ctx, columns, []keyset.Statement{{Text: query, Args: args}})
}

// ParseID returns the number in a global id of the type. The error is BAD_USER_INPUT, and blames an input field.
func (o *objectBase) ParseID(field, id string) (int64, error) {
	if typ, number, ok := keyset.ParseID(id); ok && typ == o.name {
		return number, nil
	}
	return 0, apierror.BadInput(field, "%q is not the id of a %s: expected a form like \"%s:42\"", apierror.Clip(id), strings.ToLower(o.name), o.name)
}

// parseID is ParseID for an input's value.
func (o *objectBase) parseID(field string, value any) (int64, error) {
	id, err := scalar.UnmarshalID(value)
	if err != nil {
		return 0, err
	}
	return o.ParseID(field, id)
}

// InputID returns the number in the global id that an input has. The error is BAD_USER_INPUT.
func (o *objectBase) InputID(input Input) (int64, error) { return o.RequiredID(input, "id") }

// RequiredID returns the number in the global id that an input has in a field. The error is BAD_USER_INPUT.
func (o *objectBase) RequiredID(input Input, field string) (int64, error) {
	id, err := o.OptionalID(input, field)
	if err == nil && id == nil {
		err = apierror.BadInput(field, "%s must be the id of a %s", field, strings.ToLower(o.name))
	}
	if err != nil {
		return 0, err
	}
	return *id, nil
}

// OptionalID returns the number in the global id that an input has in a field; nil: none is given, or null. The error is BAD_USER_INPUT.
func (o *objectBase) OptionalID(input Input, field string) (*int64, error) {
	given, _ := input.value(field)
	if given == nil {
		return nil, nil
	}
	id, err := o.parseID(field, given)
	return &id, about(field, err)
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

// Int returns the whole number that an input has in a field; nil: none is given, or null. The error is BAD_USER_INPUT.
func (in Input) Int(field string) (*int64, error) {
	given, _ := in.value(field)
	if given == nil {
		return nil, nil
	}
	n, err := scalar.UnmarshalInt64(given)
	return &n, about(field, err)
}

// Bool returns what an input has in a field that is true or false: false where none is given, or null. The error is BAD_USER_INPUT.
func (in Input) Bool(field string) (bool, error) {
	given, _ := in.value(field)
	if given == nil {
		return false, nil
	}
	is, err := scalar.UnmarshalBoolean(given)
	return is, about(field, err)
}

// Choice returns which of some words an input has in a field: the first of them where none is given, or null. The error is BAD_USER_INPUT.
func Choice[S ~string](in Input, field string, words ...S) (S, error) {
	given, _ := in.value(field)
	if given == nil {
		return words[0], nil
	}
	word, err := textKind[S]().parse(given)
	if err == nil && !slices.Contains(words, word) {
		err = apierror.BadInput(field, "%s must be one of %v, not %q", field, words, apierror.Clip(string(word)))
	}
	return word, about(field, err)
}

// List returns the inputs that an input has in a field; null is none. The error is BAD_USER_INPUT.
func (in Input) List(field string) ([]Input, error) {
	given, _ := in.value(field)
	if given == nil {
		return nil, nil
	}
	list := reflect.ValueOf(given)
	if list.Kind() != reflect.Slice {
		return nil, apierror.BadInput(field, "%s must be a list of inputs", field)
	}
	all := make([]Input, list.Len())
	for i := range all {
		switch one := list.Index(i).Interface().(type) {
		case map[string]any:
			all[i] = one
		case Input:
			all[i] = one
		default:
			return nil, apierror.BadInput(fmt.Sprintf("%s.%d", field, i), "%s must be a list of inputs", field)
		}
	}
	return all, nil
}

// Strings returns the strings that an input has in a field; null is none. The error is BAD_USER_INPUT.
func (in Input) Strings(field string) ([]string, error) {
	given, _ := in.value(field)
	switch list := given.(type) {
	case nil:
		return nil, nil
	case []string:
		return list, nil
	case []any:
		all := make([]string, len(list))
		for i, one := range list {
			var err error
			if all[i], err = scalar.UnmarshalID(one); err != nil {
				return nil, about(fmt.Sprintf("%s.%d", field, i), err)
			}
		}
		return all, nil
	}
	return nil, apierror.BadInput(field, "%s must be a list of strings", field)
}

// about has an error about a value blame an input's field, unless it blames one.
func about(field string, err error) error {
	if e, ok := errors.AsType[*apierror.Error](err); ok && e.Field == "" {
		return apierror.Within(field, err)
	}
	return err
}

// Accept says that the inputs which create or update objects of the type may have a field that is none of the objects', of a scalar:
// whoever takes the input reads it.
func (o *objectBase) Accept(field, scalar string) {
	if o.accepted == nil {
		o.accepted = map[string]string{}
	}
	o.accepted[field] = scalar
}

// faults are what is wrong with an input, in the order in which it was found.
type faults struct {
	list  apierror.Errors
	other error // the first that no client may see
}

// note notes an error about a field, or nil.
func (f *faults) note(field string, err error) {
	if err == nil {
		return
	}
	list, ok := apierror.ErrorsOf(about(field, err))
	if !ok {
		f.other = cmp.Or(f.other, err)
	}
	f.list = append(f.list, list...)
}

// err returns all that was noted.
func (f *faults) err() error {
	switch {
	case f.other != nil:
		return f.other
	case len(f.list) == 0:
		return nil
	case len(f.list) == 1:
		return f.list[0]
	}
	return f.list
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
		wrong.note(m.input, err)
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

// And returns the change with another one, which no input has: set makes it in an object, and reports whether that has changed what the
// column has.
func (c Change[T]) And(column string, set func(*T) (changed bool)) Change[T] {
	c.parts = append(slices.Clip(c.parts), part[T]{columns: []string{column}, set: func(t *T) (bool, error) { return set(t), nil }})
	return c
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
		owners, err := o.selected(ctx, columns, o.having(columns, m.column, values))
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
		if !ok {
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
