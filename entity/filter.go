package entity

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/99designs/gqlgen/graphql"
	"github.com/vektah/gqlparser/v2/ast"

	"rollcall/apierror"
	"rollcall/batch"
	"rollcall/fold"
	"rollcall/keyset"
	"rollcall/scalar"
)

// filterArgument is the argument of a list whose input says which objects there are in it. For lists of the type User the input is
// UserFilter: it has and, or, not, what declarations of fields say with Filter, and what FilterBy declares.
const filterArgument = "filter"

// Bounds of one filter. Within them its SQL has no more arguments than every database takes.
const (
	maxFilterDepth  = 8    // of filters in and, or and not
	maxFilterTerms  = 100  // conditions
	maxFilterJoins  = 10   // conditions about other rows: of many, databases try in which order to join them
	maxFilterValues = 1000 // of all its lists
	maxFilterText   = 2048 // characters of a text
)

// filtering is what a field of a filter's input does.
type filtering struct {
	name  string
	input string // the type that the field is to have in the schema, or may have: see fits
	// operators of the field's own input, each with what it takes; nil: the field takes a value itself.
	operators []string
	scalar    string
	condition func(operator string, operands []any) (keyset.Condition, error) // with one operand where the operator is not in or notIn
	parse     func(any) (any, error)
	column    string   // that isNull is about; "": nothing can be null
	inner     bool     // the schema has no such field: see InnerFilterBy
	about     []string // the types of the other objects that it tells something of
}

// isValue reports whether the field takes a value, and not an input, which may be null.
func (f *filtering) isValue() bool { return f.operators == nil && f.scalar != "" }

var operators = struct{ text, time, id []string }{
	text: []string{"eq", "ne", "in", "notIn", "contains", "startsWith", "endsWith", "gt", "gte", "lt", "lte"},
	time: []string{"eq", "gt", "gte", "lt", "lte"},
	id:   []string{"in", "notIn"},
}

// isList reports whether an operator takes a list.
func isList(operator string) bool { return operator == "in" || operator == "notIn" }

// Filter lets the filters of lists compare the field: a Text by eq, ne, in, notIn, contains, startsWith, endsWith, gt, gte, lt and lte, an enum and a
// relation by in and notIn, a Time by eq, gt, gte, lt and lte, and what may be null by isNull. The schema says which of them there are. A
// Folded text is compared in its folded form.
func (f *Field[T, V]) Filter() *Field[T, V] {
	f.filterable = true
	return f
}

// FilterAs is Filter for a Text: operands are compared in the form that a function returns of them, whole ones (eq, ne, in, notIn) and
// parts (contains, startsWith, endsWith).
func (f *Field[T, V]) FilterAs(form func(operand string, whole bool) string) *Field[T, V] {
	f.form = form
	return f.Filter()
}

// filtering returns what the field does in a filter, or nil.
func (f *fieldBase) filtering() *filtering {
	if !f.filterable {
		return nil
	}
	column := "t." + f.column
	do := &filtering{name: f.name, scalar: f.scalar, column: column}
	switch f.scalar {
	case "String":
		do.input, do.operators = "StringFilter", operators.text
		do.parse = parser(scalar.UnmarshalString)
		do.condition = textCondition(keyset.Text{Column: column}, f.form)
		if f.folded != "" {
			do.condition = textCondition(keyset.Text{Column: "t." + f.folded, Binary: true}, func(text string, _ bool) string { return fold.Text(text) })
		}
	case "Time":
		do.input, do.operators = "TimeFilter", operators.time
		do.parse = parser(scalar.UnmarshalTime)
		do.condition = timeCondition(column)
	case "": // a relation
		do.name, do.input, do.scalar, do.operators = strings.TrimSuffix(f.name, "Id"), "IDFilter", "ID", operators.id
		do.about = []string{f.leads}
		do.parse = func(v any) (any, error) { return f.to("", v) }
		do.condition = idCondition(column)
	}
	return do
}

func parser[V any](parse func(any) (V, error)) func(any) (any, error) {
	return func(v any) (any, error) { return parse(v) }
}

// textCondition compares a column of texts, in a form; nil: operands as they are.
func textCondition(column keyset.Text, form func(string, bool) string) func(string, []any) (keyset.Condition, error) {
	return func(operator string, operands []any) (keyset.Condition, error) {
		texts := make([]string, len(operands))
		for i, o := range operands {
			texts[i] = o.(string)
			if utf8.RuneCountInString(texts[i]) > maxFilterText {
				return keyset.Condition{}, apierror.BadInput("", "a text has at most %d characters in a filter", maxFilterText)
			}
			if form != nil {
				texts[i] = form(texts[i], !slices.Contains([]string{"contains", "startsWith", "endsWith"}, operator))
			}
		}
		switch operator {
		case "contains":
			return column.Contains(texts[0]), nil
		case "startsWith":
			return column.HasPrefix(texts[0]), nil
		case "endsWith":
			return column.HasSuffix(texts[0]), nil
		case "gt", "gte", "lt", "lte":
			return column.Compared(operator, texts[0]), nil
		}
		return negated(operator, column.OneOf(texts)), nil
	}
}

// negated returns a condition, or for ne and notIn its opposite.
func negated(operator string, c keyset.Condition) keyset.Condition {
	if operator == "ne" || operator == "notIn" {
		return keyset.Not(c)
	}
	return c
}

func idCondition(column string) func(string, []any) (keyset.Condition, error) {
	return func(operator string, operands []any) (keyset.Condition, error) {
		ids := make([]int64, len(operands))
		for i, o := range operands {
			ids[i] = o.(int64)
		}
		return negated(operator, keyset.OneOf(column, ids)), nil
	}
}

// timeCondition compares a column of times in whole microseconds, as databases keep them, with any time. A time that no client can be
// told is not sent to the database, which may not take it.
func timeCondition(column string) func(string, []any) (keyset.Condition, error) {
	const before, atLeast = false, true
	compare := func(atLeast bool, t time.Time) keyset.Condition {
		switch early, late := !t.After(scalar.FirstTime), t.After(scalar.LastTime); {
		case early && atLeast, late && !atLeast:
			return keyset.Not(keyset.IsNull(column))
		case early, late:
			return keyset.Any()
		case atLeast:
			return keyset.AtLeast(column, t)
		}
		return keyset.Below(column, t)
	}
	return func(operator string, operands []any) (keyset.Condition, error) {
		t := operands[0].(time.Time).UTC()
		from := t.Truncate(time.Microsecond) // of the microsecond that t is, if there is one
		to := from.Add(time.Microsecond)
		if !from.Equal(t) {
			from = to
		}
		switch operator {
		case "lt":
			return compare(before, from), nil
		case "lte":
			return compare(before, to), nil
		case "gt":
			return compare(atLeast, to), nil
		case "gte":
			return compare(atLeast, from), nil
		}
		return keyset.All(compare(atLeast, from), compare(before, to)), nil
	}
}

// ID is the value of an ID in a filter: see FilterBy.
type ID string

// FilterBy declares a field of the filters of T that is about no column of T alone: condition returns what its value asks for, in which
// t is T's table, or a BAD_USER_INPUT error, which blames a field of the value's if it is an input, or the value itself. about is the other objects
// that it tells something of: it is for those alone who may read all of them.
func FilterBy[V bool | ID | Input, T any](o *Object[T], name string, condition func(V) (keyset.Condition, error), about ...interface{ Name() string }) {
	do := filteringBy(name, condition)
	for _, of := range about {
		do.about = append(do.about, of.Name())
	}
	o.filters = append(o.filters, do)
}

// InnerFilterBy is FilterBy for filters that the program makes itself: the schema has no such field.
func InnerFilterBy[V bool | ID | Input, T any](o *Object[T], name string, condition func(V) (keyset.Condition, error)) {
	do := filteringBy(name, condition)
	do.inner = true
	o.filters = append(o.filters, do)
}

func filteringBy[V bool | ID | Input](name string, condition func(V) (keyset.Condition, error)) *filtering {
	do := &filtering{name: name, condition: func(_ string, operands []any) (keyset.Condition, error) {
		return condition(operands[0].(V))
	}}
	switch any(*new(V)).(type) {
	case bool:
		do.scalar, do.parse = "Boolean", parser(scalar.UnmarshalBoolean)
	case ID:
		do.scalar, do.parse = "ID", func(v any) (any, error) {
			id, err := scalar.UnmarshalID(v)
			return ID(id), err
		}
	case Input:
		do.parse = func(v any) (any, error) {
			in, ok := v.(map[string]any)
			if !ok {
				return nil, apierror.BadInput("", "expected an object, got %s", scalar.Describe(v))
			}
			return Input(in), nil
		}
	}
	do.input = do.scalar
	return do
}

// finishFilters takes note of what can be filtered by, when all is declared: if there is anything, then by id too.
func (o *objectBase) finishFilters() {
	for _, f := range o.fields {
		if do := f.filtering(); do != nil {
			o.filters = append(o.filters, do)
		}
	}
	if len(o.filters) > 0 && o.hasID {
		o.filters = append(o.filters, &filtering{
			name: "id", input: "IDFilter", operators: operators.id, scalar: "ID", column: "t.id", condition: idCondition("t.id"),
			parse: func(v any) (any, error) { return o.parseID("", v) },
		})
	}
	if len(o.filters) > 0 {
		o.schema.filters[o.name] = o.filters
	}
}

// Inputs returns the arguments of a field whose values cost something, for limit.Cost.
func (s *Schema) Inputs(field *ast.Field) []string {
	if field.ObjectDefinition.Name == "Mutation" {
		return []string{"input"}
	}
	if !slices.ContainsFunc(s.lists, func(l *list) bool { return l.typ == field.ObjectDefinition.Name && l.field == field.Name }) {
		return nil
	}
	return []string{filterArgument}
}

// filter returns the condition that a filter of a type asks for, or a BAD_USER_INPUT error that names the path to what is wrong in it.
func (s *Schema) filter(typ string, value any) (keyset.Condition, error) {
	r := &filterReader{fields: s.filters[typ]}
	return r.filter(filterArgument, value, 1)
}

// filterReader reads one filter.
type filterReader struct {
	fields               []*filtering
	terms, joins, values int // so far
}

// refused returns the BAD_USER_INPUT error about a part of a filter.
func refused(path, format string, args ...any) error {
	return apierror.BadInput(path, "%s %s", path, fmt.Sprintf(format, args...))
}

func (r *filterReader) filter(path string, value any, depth int) (none keyset.Condition, err error) {
	filter, ok := value.(map[string]any)
	switch {
	case !ok:
		return none, refused(path, "must be a filter, not %s", scalar.Describe(value))
	case depth > maxFilterDepth:
		return none, refused(path, "is too deep: and, or and not are at most %d filters deep", maxFilterDepth)
	}
	var all []keyset.Condition
	before := r.terms
	for _, name := range slices.Sorted(maps.Keys(filter)) {
		value, path := filter[name], path+"."+name
		var c keyset.Condition
		switch i := slices.IndexFunc(r.fields, func(f *filtering) bool { return f.name == name }); {
		case name == "and" || name == "or":
			if value == nil {
				continue
			}
			c, err = r.list(name, path, value, depth)
		case name == "not":
			if value == nil {
				continue
			}
			c, err = r.filter(path, value, depth+1)
			c = keyset.Not(c)
		case i < 0:
			return none, refused(path, "is nothing to filter by")
		case value == nil && !r.fields[i].isValue():
			continue
		case r.fields[i].operators == nil:
			c, err = r.compare(r.fields[i], "", path, value)
		default:
			c, err = r.field(r.fields[i], path, value)
		}
		if err != nil {
			return none, err
		}
		all = append(all, c)
	}
	if r.terms == before { // it is empty, and there may be many such
		err = r.term(path)
	}
	return keyset.All(all...), err
}

// list reads the filters of and, or of or.
func (r *filterReader) list(name, path string, value any, depth int) (keyset.Condition, error) {
	var all []keyset.Condition
	for i, one := range graphql.CoerceList(value) {
		c, err := r.filter(fmt.Sprintf("%s.%d", path, i), one, depth+1)
		if err != nil {
			return c, err
		}
		all = append(all, c)
	}
	if name == "or" {
		return keyset.Any(all...), nil
	}
	return keyset.All(all...), nil
}

// field reads the operators of a field.
func (r *filterReader) field(f *filtering, path string, value any) (none keyset.Condition, err error) {
	given, ok := value.(map[string]any)
	if !ok {
		return none, refused(path, "must be an object, not %s", scalar.Describe(value))
	}
	var all []keyset.Condition
	for _, operator := range slices.Sorted(maps.Keys(given)) {
		c, err := r.compare(f, operator, path+"."+operator, given[operator])
		if err != nil {
			return none, err
		}
		all = append(all, c)
	}
	return keyset.All(all...), nil
}

// compare reads what an operator is given, or a field without operators.
func (r *filterReader) compare(f *filtering, operator, path string, value any) (none keyset.Condition, err error) {
	if err := r.term(path); err != nil {
		return none, err
	}
	if f.operators == nil && f.scalar != "Boolean" {
		if r.joins++; r.joins > maxFilterJoins {
			return none, refused(path, "is too much: a filter has at most %d conditions about other objects, as this one is", maxFilterJoins)
		}
	}
	switch {
	case value == nil && operator == "isNull":
		return none, refused(path, "must not be null: give true or false")
	case value == nil && len(f.operators) > 0:
		return none, refused(path, "must not be null: where a field may be null, isNull asks for that")
	case value == nil:
		return none, refused(path, "must not be null: leave it out")
	case operator == "isNull":
		is, err := scalar.UnmarshalBoolean(value)
		if !is {
			return keyset.Not(keyset.IsNull(f.column)), at(path, err)
		}
		return keyset.IsNull(f.column), at(path, err)
	}
	operands := []any{value}
	if isList(operator) {
		operands = slices.Clone(graphql.CoerceList(value))
		if r.values += len(operands); r.values > maxFilterValues {
			return none, refused(path, "is too long: the lists of a filter have at most %d values together", maxFilterValues)
		}
	}
	for i, o := range operands {
		of := path
		if isList(operator) {
			of = fmt.Sprintf("%s.%d", path, i)
		}
		if o == nil {
			return none, refused(of, "must not be null")
		}
		if operands[i], err = f.parse(o); err != nil {
			return none, at(of, err)
		}
	}
	c, err := f.condition(operator, operands)
	return c, at(path, err)
}

// term counts a condition.
func (r *filterReader) term(path string) error {
	if r.terms++; r.terms > maxFilterTerms {
		return refused(path, "is too much: a filter has at most %d conditions", maxFilterTerms)
	}
	return nil
}

// at returns an error that says where in a filter it is.
func at(path string, err error) error {
	e, ok := errors.AsType[*apierror.Error](err)
	if !ok {
		return err
	}
	if e.Field != "" {
		path += "." + e.Field
	}
	return apierror.BadInput(path, "%s: %s", path, e.Message)
}

// checkFilters compares the inputs of filters with what is declared.
func (s *Schema) checkFilters(schema *ast.Schema) error {
	var wrong []error
	for _, o := range s.objects {
		typ, input, declared := o.Name(), o.Name()+"Filter", s.filters[o.Name()]
		def := schema.Types[input]
		if def == nil {
			for _, f := range declared {
				if f.name != "id" && !f.inner {
					wrong = append(wrong, fmt.Errorf("entity: %s declares a filter by %s, and the schema has no %s: add input %[3]s { and: [%[3]s!] or: [%[3]s!] not: %[3]s %[2]s: %[4]s … }, or take the declaration out", typ, f.name, input, f.suggested(schema, typ)))
				}
			}
			continue
		}
		for _, field := range def.Fields {
			name := input + "." + field.Name
			i := slices.IndexFunc(declared, func(f *filtering) bool { return f.name == field.Name })
			switch own := schema.Types[typ].Fields.ForName(field.Name); {
			case field.Name == "and" || field.Name == "or" || field.Name == "not":
				if field.Type.Name() != input || (field.Type.Elem != nil) != (field.Name != "not") {
					wrong = append(wrong, fmt.Errorf("entity: the schema has %s: %s: let and and or be [%s!], and not %[3]s", name, field.Type, input))
				}
			case i >= 0:
				wrong = append(wrong, declared[i].fits(schema, name, field.Type, own))
			case own != nil:
				wrong = append(wrong, fmt.Errorf("entity: the schema has %s, and %s declares no filter by it: add .Filter() to the declaration of its %s", name, typ, field.Name))
			default:
				wrong = append(wrong, fmt.Errorf("entity: the schema has %s, which is not declared: add entity.FilterBy(%ss, %q, func(value %s) (keyset.Condition, error) { … })",
					name, strings.ToLower(typ), field.Name, filterValue(schema, field.Type)))
			}
		}
		for _, f := range declared {
			if def.Fields.ForName(f.name) == nil && f.name != "id" && !f.inner {
				wrong = append(wrong, fmt.Errorf("entity: %s declares a filter by %s, and %s has no such field: add %[2]s: %[4]s to it, or take the declaration out", typ, f.name, input, f.suggested(schema, typ)))
			}
		}
	}
	return errors.Join(wrong...)
}

// filterValue is the Go type of a value that FilterBy takes.
func filterValue(schema *ast.Schema, typ *ast.Type) string {
	switch schema.Types[typ.Name()].Name {
	case "Boolean":
		return "bool"
	case "ID":
		return "entity.ID"
	}
	return "entity.Input"
}

// suggested is a type that the filter's field may have in the schema, in the filter of a type.
func (f *filtering) suggested(schema *ast.Schema, typ string) string {
	own := schema.Types[typ].Fields.ForName(f.name)
	if own == nil {
		return cmp.Or(f.input, "…")
	}
	input := f.input
	if def := schema.Types[own.Type.Name()]; def.Kind == ast.Enum {
		input = def.Name + "Filter"
	}
	if !own.Type.NonNull {
		input = "Nullable" + input
	}
	return input
}

// fits returns an error unless the type of a filter's field is such as it can read. own is the field of the object that has its name.
func (f *filtering) fits(schema *ast.Schema, name string, typ *ast.Type, own *ast.FieldDefinition) error {
	def := schema.Types[typ.Name()]
	if f.operators == nil {
		if typ.Elem == nil && (f.scalar == def.Name || f.scalar == "" && def.Kind == ast.InputObject) {
			return nil
		}
		return fmt.Errorf("entity: %s is a %s, and its FilterBy takes another type: let both be the same", name, typ)
	}
	nullable := own != nil && !own.Type.NonNull
	if def.Kind != ast.InputObject || typ.Elem != nil {
		return fmt.Errorf("entity: %s is a %s, and is to be an input with the operators of a %s: %s", name, typ, f.input, strings.Join(f.operators, ", "))
	}
	for _, o := range def.Fields {
		takes := schema.Types[o.Type.Name()]
		switch {
		case o.Name == "isNull" && nullable && takes.Name == "Boolean":
		case o.Name == "isNull":
			return fmt.Errorf("entity: %s is a %s, which has isNull, and the field is never null: let it be an input without isNull, as %s", name, typ, f.input)
		case !slices.Contains(f.operators, o.Name), isList(o.Name) != (o.Type.Elem != nil), !batch.FitsScalar(f.scalar, takes):
			return fmt.Errorf("entity: %s is a %s, whose %s: %s a filter of this kind does not have: let it be a %s, with some of %s of %s",
				name, typ, o.Name, o.Type, f.input, strings.Join(f.operators, ", "), f.scalar)
		}
	}
	if nullable && def.Fields.ForName("isNull") == nil {
		return fmt.Errorf("entity: %s is a %s, and the field may be null: let it be an input that has isNull: Boolean too", name, typ)
	}
	return nil
}
