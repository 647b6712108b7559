// Package entity has one declaration for each type of a directory, its fields, its relations and its lists. From it come the
// columns that are read, the JSON that is written, what inputs set, the read plan, the relations' resolvers, the numbers of
// lists, and the objects that have a global id.
//
//	teams := entity.Define(s, "Team", "teams", func(t *Team) *int64 { return &t.ID })
//	entity.Text(teams, "name", func(t *Team) *string { return &t.Name }).Writable(checkName)
//	entity.One(teams, "lead", users, func(t *Team) **int64 { return &t.LeadID })
//	entity.Many(teams, "projects", projects, "team_id")
//
// What the schema and the declarations do not both say is refused when the server starts, with the line to write.
package entity

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strconv"
	"strings"

	"github.com/vektah/gqlparser/v2/ast"

	"rollcall/access"
	"rollcall/batch"
	"rollcall/dialect"
	"rollcall/keyset"
	"rollcall/scalar"
)

// Schema is all declarations of one server.
type Schema struct {
	maxSize     int
	fields      []func() batch.Field // made when all is declared, as later calls may say more of each
	objects     []object
	connections map[string]bool                                // that are declared, by what the names of their types begin with
	asOf        *batch.FirstSource[string]                     // see AsOf; nil: nothing tells it
	dated       []func(*batch.FirstSource[string]) batch.Field // declare it, in each type that has it
	counted     map[string]bool                                // connections that can be counted up to a limit
	lists       []*list
	arguments   []argument
	sizes       map[[2]string][]string  // by type and field: see Sized
	filters     map[string][]*filtering // by the type that they are about
	policy      access.Policy
	ruled       *ast.Schema            // whose rules were taken over; nil: none
	roots       map[string]access.Rule // at the fields of Query, Mutation and Subscription, as Query.changes
}

// object is an Object, whatever its Go type is. It has functions for the reason that a member does.
type object struct {
	*objectBase
	// finish takes note of the columns of the type, when all is declared. The error names declarations that cannot both be.
	finish func() error
	// node and nodes declare the fields of Query that have such objects; nil where these have no global ids.
	node  func(field string, key func(batch.Args) (func(batch.Root) (int64, bool), error)) batch.Field
	nodes func(field string, keys func(batch.Args) (func(batch.Root) iter.Seq2[int64, bool], error), list func([]any) any) batch.Field
}

// Decide has a policy decide what viewers may do whatever the object is, in place of access.Roles.
func (s *Schema) Decide(policy access.Policy) { s.policy = policy }

// NewSchema returns a schema without types. A page holds at most maxSize items.
func NewSchema(maxSize int) *Schema {
	s := &Schema{
		maxSize: maxSize, connections: map[string]bool{}, counted: map[string]bool{}, sizes: map[[2]string][]string{}, filters: map[string][]*filtering{},
		policy: access.Roles{}, roots: map[string]access.Rule{},
	}
	const info = "PageInfo"
	type pageInfo = *keyset.PageInfo
	s.AddFields(
		batch.Value(info, "hasNextPage", func(b []byte, i pageInfo) []byte { return strconv.AppendBool(b, i.HasNextPage) }),
		batch.Value(info, "hasPreviousPage", func(b []byte, i pageInfo) []byte { return strconv.AppendBool(b, i.HasPreviousPage) }),
		batch.Value(info, "startCursor", func(b []byte, i pageInfo) []byte { return scalar.AppendOptional(b, i.StartCursor) }),
		batch.Value(info, "endCursor", func(b []byte, i pageInfo) []byte { return scalar.AppendOptional(b, i.EndCursor) }),
	)
	return s
}

// add adds a declaration of batch's.
func (s *Schema) add(declare func() batch.Field) { s.fields = append(s.fields, declare) }

// AddFields adds declarations of batch's as they are.
func (s *Schema) AddFields(fields ...batch.Field) {
	for _, f := range fields {
		s.add(func() batch.Field { return f })
	}
}

// Sized says which arguments tell how many items a field has: a number, or a list of which each element makes one.
func (s *Schema) Sized(typ, field string, arguments ...string) {
	s.sizes[[2]string{typ, field}] = arguments
}

// Sizes returns the arguments that tell how many items a field has, for limit.Cost.
func (s *Schema) Sizes(field *ast.Field) []string {
	return s.sizes[[2]string{field.ObjectDefinition.Name, field.Name}]
}

// Plan returns the read plan of the schema. It is made once, when all is declared.
func (s *Schema) Plan() *batch.Plan {
	fields := make([]batch.Field, len(s.fields))
	for i, declare := range s.fields {
		fields[i] = declare()
	}
	if s.asOf != nil {
		for _, declare := range s.dated {
			fields = append(fields, declare(s.asOf))
		}
	}
	var wrong []error
	for _, o := range s.objects {
		wrong = append(wrong, o.finish())
	}
	plan := batch.NewPlan(fields...)
	return plan.Complete(suggest, func(schema *ast.Schema) error {
		wrong = append(wrong, s.checkAccess(schema, plan), s.checkArguments(schema), s.checkOrders(schema), s.checkFilters(schema), s.checkSearches(schema))
		for _, o := range s.objects {
			wrong = append(wrong, o.checkInputs(schema))
		}
		return errors.Join(wrong...)
	})
}

// scalars is which function declares a field of a scalar, and the Go type of its values.
var scalars = map[string]struct{ function, typ string }{
	"String": {"Text", "string"}, "Int": {"Int", "int64"}, "Boolean": {"Bool", "bool"}, "Time": {"Time", "time.Time"},
}

// suggest returns the line that may declare a field.
func suggest(of *ast.Definition, field *ast.FieldDefinition) string {
	object, goName := strings.ToLower(of.Name)+"s", strings.ToUpper(field.Name[:1])+field.Name[1:]
	line := func(function, rest, typ, name string) string {
		return fmt.Sprintf("entity.%s(%s, %q, %sfunc(o *%s) *%s { return &o.%s })", function, object, field.Name, rest, of.Name, typ, name)
	}
	to := field.Type.Name()
	declared, known := scalars[to]
	switch list := strings.HasSuffix(to, "Connection"); {
	case field.Name == asOfField:
		return "entity.AsOf(schema, …), and, to a type of pages that no list of entity has, entity.Dated[…](schema, \"" + of.Name + "\")"
	case of.Name != "Query" && of.Fields.ForName("id") == nil && !strings.HasSuffix(of.Name, "Edge"): // it has no table
		return fmt.Sprintf("batch.Path(%q, %q, …) if it leads to objects, or batch.Unplanned(%[1]q, %[2]q) if gqlgen alone answers it", of.Name, field.Name)
	case known:
		return line(declared.function, "", declared.typ, goName)
	case list && of.Name == "Query":
		return fmt.Sprintf("entity.All(schema, %q, %ss)", field.Name, strings.ToLower(strings.TrimSuffix(to, "Connection")))
	case list:
		return fmt.Sprintf("entity.Many(%s, %q, …, \"%s_id\"), or entity.Through", object, field.Name, snake(of.Name)[1:])
	case len(field.Arguments) == 0 && field.Type.Elem == nil && of.Name != "Query":
		return line("One", strings.ToLower(to)+"s, ", "*int64", goName+"ID") +
			fmt.Sprintf(", or batch.Unplanned(%q, %q) if gqlgen alone answers it", of.Name, field.Name)
	}
	return fmt.Sprintf("entity.Find or FindBy, or batch.Unplanned(%q, %q) if its resolver alone answers it", of.Name, field.Name)
}

// Check returns an error that names each declared column that a database does not have, and its type. A table that the database's
// user may not read, or not all columns of, is passed over: to serve the others is better than to serve nothing.
func (s *Schema) Check(ctx context.Context, db *sql.DB) error {
	var missing []error
	for _, o := range s.objects {
		table, columns := o.columns()
		if table == "" { // of edges that a statement makes
			continue
		}
		there, err := columnsOf(ctx, db, table)
		switch {
		case dialect.Is(err, dialect.NoRight):
			continue
		case err != nil:
			return fmt.Errorf("entity: cannot look at the table %s of %s: %w", table, o.Name(), err)
		}
		for _, column := range columns {
			if !slices.Contains(there, column) {
				missing = append(missing, fmt.Errorf(
					"entity: %s is declared with the column %s.%s, which the database does not have: add a migration with ALTER TABLE %[2]s ADD COLUMN %[3]s …, or name another with .Column(…)",
					o.Name(), table, column))
			}
		}
	}
	return errors.Join(missing...)
}

// columnsOf returns the names of a table's columns.
func columnsOf(ctx context.Context, db *sql.DB, table string) (names []string, err error) {
	rows, err := db.QueryContext(ctx, "SELECT * FROM "+table+" WHERE 1 = 0")
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, rows.Err(), rows.Close()) }()
	return rows.Columns()
}
