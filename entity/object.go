package entity

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"rollcall/access"
	"rollcall/apierror"
	"rollcall/batch"
	"rollcall/keyset"
)

// Object is the declaration of an object type: T is the struct of its rows, which a table has.
type Object[T any] struct {
	rows[T]
	id      func(*T) *int64
	related func(*T) *access.Relations // nil: viewers have no relations to it
	byID    *batch.Source[int64, *T]   // nil: it is no node
	words   func(*T) []string
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
	hasID       bool // its objects have numbers
	isNode      bool // and are nodes, by their global ids
	fields      []*fieldBase
	orders      []*keyset.Sort // of its lists, which no field has
	names       []string       // of all columns, in order, once all is declared
	filters     []*filtering
	search      *searching        // nil: they are not searched
	counted     bool              // see Counted
	accepted    map[string]string // see Accept
	guards
}

// Define declares an object type with an id: at says where T has its number, which the column id holds. It is a node.
func Define[T any](s *Schema, name, table string, at func(*T) *int64) *Object[T] {
	o := &Object[T]{id: at}
	o.objectBase = objectBase{
		schema: s, name: name, table: table, hasID: true, isNode: true, guards: guards{policy: &s.policy, writable: access.EditorWrites(name)},
	}
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

// NoNode says that the type is no node: its objects have global ids, and what finds any node by its id does not find them.
func (o *objectBase) NoNode() { o.isNode = false }

// Link declares the edges of a list that a table between two others makes: T embeds a keyset.Edge, and its fields are columns of
// that table. prefix is what the names of the edge's and the connection's type begin with.
func Link[T any](s *Schema, prefix, table string) *Object[T] {
	o := &Object[T]{}
	o.objectBase, o.scans = objectBase{schema: s, name: prefix + "Edge", table: table, guards: guards{policy: &s.policy}}, map[string]func(*T) any{}
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
	if o.hasID {
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
func (o *Object[T]) selected(ctx context.Context, columns []string, asked []*relation, statements []keyset.Statement) ([]*T, error) {
	targets := append(o.targets(columns), o.relationTargets(asked)...)
	return readRelated(ctx, o, asked, func(t *T) *T { return t }, statements, len(targets), func(t *T, to []any) {
		for i, target := range targets {
			to[i] = target(t)
		}
	})
}

// readByID reads objects by their numbers.
func (o *Object[T]) readByID(ctx context.Context, ids []int64, columns batch.Columns) (map[int64]*T, error) {
	return o.numbered(ctx, columns.Of(o.name), o.asked(ctx, selects(columns, o.name), false), ids, "")
}

// selects reports whether fields of a type may be selected.
func selects(columns batch.Columns, typ string) func(field string) bool {
	return func(field string) bool { return columns.Selects(typ, field) }
}

// everything is for whoever reads whole objects.
func everything(string) bool { return true }

// numbered reads the objects with some numbers, by these. rest is what follows in the statement.
func (o *Object[T]) numbered(ctx context.Context, columns []string, asked []*relation, ids []int64, rest string) (map[int64]*T, error) {
	all, err := o.selected(ctx, columns, asked, o.withNumbers(ctx, columns, asked, ids, rest))
	byID := make(map[int64]*T, len(all))
	for _, t := range all {
		byID[o.ID(t)] = t
	}
	return byID, err
}

// withNumbers returns statements that read the objects with some numbers. rest is what follows in each.
func (o *objectBase) withNumbers(ctx context.Context, columns []string, asked []*relation, ids []int64, rest string) (all []keyset.Statement) {
	begin, within, more := o.begin(ctx, columns, asked)
	for marks, args := range keyset.In(ids) {
		all = append(all, keyset.Statement{Text: begin + " WHERE id IN (" + marks + ")" + within + rest, Args: append(args, more...)})
	}
	return all
}

// begin returns how a statement begins that reads columns of objects and relations to them, and what follows its WHERE and a condition, with arguments,
// so that it has no other objects than there are for the viewer of ctx.
func (o *objectBase) begin(ctx context.Context, columns []string, asked []*relation) (begin, within string, args []any) {
	condition, all := o.visible(ctx)
	if all && len(asked) == 0 {
		return o.from(columns), "", nil
	}
	if !all {
		within, args = condition.SQL()
		within = " AND " + within
	}
	return o.from(relationColumns(ctx, asked, slices.Clone(columns))) + " t", within, args
}

// having returns statements that begin in a way and read what has one of some values in a column. within is what follows that, with its arguments.
func having(begin, column string, values []string, within string, more []any) (all []keyset.Statement) {
	for chunk := range slices.Chunk(values, keyset.MaxKeys) {
		args := make([]any, len(chunk))
		for i, value := range chunk {
			args[i] = value
		}
		all = append(all, keyset.Statement{Text: begin + " WHERE " + column + " IN (" + keyset.Marks(len(args)) + ")" + within, Args: append(args, more...)})
	}
	return all
}

func (o *objectBase) from(columns []string) string {
	return "SELECT " + strings.Join(columns, ", ") + " FROM " + o.table
}

// Where reads whole objects past the batches, for a mutation, with what the viewer of ctx is to them. condition is what follows WHERE in the statement, and may end with a lock,
// such as FOR UPDATE.
func (o *Object[T]) Where(ctx context.Context, condition string, args ...any) ([]*T, error) {
	asked := o.asked(ctx, everything, true)
	text := o.from(o.names)
	if len(asked) > 0 {
		text = o.from(relationColumns(ctx, asked, slices.Clone(o.names))) + " t"
	}
	return o.selected(ctx, o.names, asked, []keyset.Statement{{Text: text + " WHERE " + condition, Args: args}})
}

// There returns those of the objects with some numbers that are there, by these: of each its number, and what the viewer of ctx is to it.
func (o *Object[T]) There(ctx context.Context, ids []int64) (map[int64]*T, error) {
	return o.numbered(ctx, []string{"id"}, o.asked(ctx, everything, true), slices.Compact(slices.Sorted(slices.Values(ids))), "")
}

// Read is Where for the objects with some numbers, by these, with what the viewer of ctx is to them: see Writable. lock is what follows in the statement.
func (o *Object[T]) Read(ctx context.Context, ids []int64, lock string) (map[int64]*T, error) {
	return o.numbered(ctx, o.names, o.asked(ctx, everything, true), ids, " ORDER BY id"+lock)
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
	return o.selected(ctx, columns, nil, []keyset.Statement{{Text: query, Args: args}})
}
