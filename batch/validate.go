package batch

import (
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"

	"github.com/99designs/gqlgen/graphql"
	"github.com/vektah/gqlparser/v2/ast"
)

// Validate returns an error if the plan can't be right for the schema. The error says what to change.
func (p *Plan) Validate(es graphql.ExecutableSchema) error {
	switch {
	case p == nil:
		return errors.New("batch: the plan is nil: make one with NewPlan")
	case p.refused != nil:
		return p.refused
	case p.schema != nil:
		return errors.New("batch: the plan is in use already: call Use(plan) once, and make a plan for each server")
	case p.answered != nil && reflect.TypeOf(es).Comparable() && es == p.answered:
		return errors.New("batch: the server has the schema that was given to Plan.Answers: make it with the schema that Answers returned")
	}
	if wrapped, ok := es.(schema); ok {
		es = wrapped.ExecutableSchema
	}
	if _, ok := es.(graphql.ExecutableSchemaWithEventContext); ok {
		return errors.New("batch: a plan can't follow events that have contexts of their own: take @subscriptionContext out of the schema")
	}
	v := &validation{Plan: p, generated: generatedBy(es), parents: map[string]Field{}, left: map[string]bool{}}
	v.schema = es.Schema()
	if err := v.plan(); err != nil {
		p.schema = nil
		return err
	}
	v.cover()
	v.findFirsts()
	return nil
}

// validation is a plan that is being validated.
type validation struct {
	*Plan
	generated
	parents map[string]Field // a declaration of each type
	left    map[string]bool  // Unplanned fields, as "Type.field"
}

// plan checks all declarations and sorts them by type and field.
func (v *validation) plan() error {
	v.fields, v.satisfied, v.operations = map[string]map[string][]Field{}, map[string][]string{}, map[string]ast.Operation{}
	for operation, root := range map[ast.Operation]*ast.Definition{ast.Query: v.schema.Query, ast.Mutation: v.schema.Mutation, ast.Subscription: v.schema.Subscription} {
		if root != nil {
			v.operations[root.Name] = operation
		}
	}
	for i, f := range v.declared {
		var err error
		switch {
		case f.inert != nil:
			err = v.directives(f.inert)
		case f.unplanned != nil:
			err = v.unplanned(f)
		default:
			err = v.parent(f)
		}
		if err != nil {
			return err
		}
		if f.kind != "" {
			if v.fields[f.typ] == nil {
				v.fields[f.typ] = map[string][]Field{}
			}
			v.declared[i].again = v.fields[f.typ][f.name] != nil
			v.fields[f.typ][f.name] = append(v.fields[f.typ][f.name], f)
		}
	}
	if err := v.abstract(); err != nil {
		return err
	}
	for _, f := range v.declared {
		if f.kind == "" {
			continue
		}
		if err := v.field(f, v.schema.Types[f.typ].Fields.ForName(f.name)); err != nil {
			return err
		}
	}
	for typ, fields := range v.fields {
		def := v.schema.Types[typ]
		v.satisfied[typ] = []string{typ}
		for _, abstract := range v.schema.GetImplements(def) {
			v.satisfied[typ] = append(v.satisfied[typ], abstract.Name)
		}
		maps.DeleteFunc(fields, func(name string, _ []Field) bool {
			return v.argumentsGuarded(def.Fields.ForName(name)) // what arguments the resolver is given is not known before it runs
		})
	}
	return v.completeness()
}

// unplanned refuses Unplanned fields that the schema does not have.
func (v *validation) unplanned(f Field) error {
	for _, name := range f.unplanned {
		if _, err := v.object(f.typ, name); err != nil {
			return err
		}
		v.left[f.typ+"."+name] = true
	}
	return nil
}

// directives refuses an inert directive that the schema does not have, or that the generated code runs.
func (v *validation) directives(names []string) error {
	switch {
	case len(names) == 0:
		return errors.New("batch: Inert names no directive: give it the names, as in Inert(\"auth\"), or take it out of the plan")
	case slices.Contains(names, ""):
		return errors.New("batch: Inert has an empty name: give it the directive's")
	}
	for _, name := range names {
		switch {
		case inert[name]:
		case v.schema.Directives[name] == nil:
			return fmt.Errorf("batch: the schema has no directive @%s, which is declared with Inert", name)
		case v.runs(name):
			return fmt.Errorf("batch: @%s is declared with Inert, and the server has a function for it: take it out of Inert, or set skip_runtime for it in gqlgen.yml", name)
		}
	}
	return nil
}

// parent checks the type that a declaration is for.
func (v *validation) parent(f Field) error {
	def, err := v.object(f.typ, f.name)
	if err != nil {
		return err
	}
	operation := v.operations[f.typ]
	switch {
	case slices.Contains(f.columns, ""):
		return fmt.Errorf("batch: a column of %s has an empty name: give it the one that the table has", strings.TrimSuffix(f.typ+"."+f.name, "."))
	case f.kind != "" && f.name == "":
		return fmt.Errorf("batch: a %s of %s has an empty name: give it its field's", f.kind, f.typ)
	case operation != "" && f.name == "":
		return fmt.Errorf("batch: %s has no row: take its columns out of the plan", f.typ)
	case operation == ast.Mutation, operation == ast.Subscription:
		return fmt.Errorf("batch: %s.%s can't be declared: only its resolver knows what it has. Declare the fields of %s, which the plan follows once that has returned",
			f.typ, f.name, def.Fields.ForName(f.name).Type.Name())
	case operation == ast.Query && (len(f.columns) > 0 || f.kind == ""):
		return fmt.Errorf("batch: %s has no row: take the columns of %s.%s out of the plan", f.typ, f.typ, f.name)
	}
	if f.kind == "" {
		return nil
	}
	root := operation == ast.Query
	first, seen := v.parents[f.typ]
	bound := v.boundTo(f.typ)
	switch {
	case root != (f.parent == reflect.TypeFor[Root]()):
		return fmt.Errorf("batch: %s.%s is declared for %s: batch.Root is what the fields of %s, and no others, are declared for", f.typ, f.name, f.parent, v.schema.Query.Name)
	case !root && f.parent.Kind() == reflect.Struct:
		return fmt.Errorf("batch: %s.%s is declared for %s: gqlgen resolves the fields of %s, so declare it for that", f.typ, f.name, f.parent, reflect.PointerTo(f.parent))
	case seen && first.parent != f.parent:
		return fmt.Errorf("batch: %s.%s is declared for %s, and %s.%s for %s: declare both for the type that %s is bound to", f.typ, f.name, f.parent, first.typ, first.name, first.parent, f.typ)
	case !root && bound != nil && bound != f.parent && (bound.Kind() != reflect.Slice || bound.Elem() != f.parent): // gqlgen's own batches
		return fmt.Errorf("batch: %s.%s is declared for %s, and %s is bound to %s: declare it for that", f.typ, f.name, f.parent, f.typ, bound)
	}
	v.parents[f.typ] = f
	return nil
}

// abstract finds the types of interfaces' and unions' objects by their Go types.
func (v *validation) abstract() error {
	v.within = map[string]map[reflect.Type]string{}
	for _, def := range v.schema.Types {
		if !def.IsAbstractType() {
			continue
		}
		types := map[reflect.Type]string{}
		for _, possible := range v.schema.GetPossibleTypes(def) {
			parent := v.parents[possible.Name].parent
			if parent == nil {
				continue
			}
			if other := types[parent]; other != "" {
				return fmt.Errorf("batch: %s and %s are both declared for %s, so it can't be told which of them a %s is: bind them to different types", other, possible.Name, parent, def.Name)
			}
			types[parent] = possible.Name
		}
		v.within[def.Name] = types
	}
	return nil
}

// field checks a declaration of a field of the schema.
func (v *validation) field(f Field, field *ast.FieldDefinition) error {
	var (
		first  = v.fields[f.typ][f.name][0]
		name   = f.typ + "." + f.name
		leads  = v.schema.Types[field.Type.Name()]
		list   = field.Type.Elem != nil
		nested = list && field.Type.Elem.Elem != nil
	)
	switch {
	case f.again && (!leads.IsAbstractType() || f.load == nil || f.kind != first.kind || (f.resolve == nil) != (first.resolve == nil)):
		return fmt.Errorf("batch: %s is declared twice: a field has one declaration, and one of an interface or a union a Relation for each loader", name)
	case f.value != nil && leads.IsCompositeType():
		return fmt.Errorf("batch: %s is declared with Value, and leads to objects of %s: declare it with Path, or with Relation if a loader has them", name, leads.Name)
	case f.follow != nil && leads.IsLeafType():
		return fmt.Errorf("batch: %s is declared with %s, and has no objects, but a %s: declare it with Value", name, f.kind, leads.Name)
	case f.scalar != "" && !FitsScalar(f.scalar, leads):
		return fmt.Errorf("batch: %s is declared as %s, and the schema has %s: let both be the same", name, f.scalar, leads.Name)
	case f.resolve != nil && (v.fieldGuarded(v.schema.Types[f.typ], field) || v.argumentsGuarded(field)):
		return fmt.Errorf("batch: a directive stands at %s, which the plan resolves past it: declare the directive with Inert, or leave the field to its resolver with WithResolver", name)
	case f.resolve != nil && !v.writes(f, field):
		return fmt.Errorf("batch: %s is declared as a relation to %s, and the schema has a %s: let both be the same", name, f.of, leads.Name)
	case nested && f.value == nil:
		return fmt.Errorf("batch: %s is a list of lists, which only Value can be declared for", name)
	case f.value == nil && list && !f.list:
		return fmt.Errorf("batch: %s is a list, and its %s has one %s: declare it with Paths, Relations or a loader of a slice", name, f.kind, f.of)
	case f.value == nil && !list && f.list && (leads.IsCompositeType() || f.kind == relations):
		return fmt.Errorf("batch: %s is no list, and its %s has a list of %s: declare it with Path, or with a Relation whose loader has one", name, f.kind, f.of)
	case len(v.columns[f.typ]) > 0 && !f.from && !slices.ContainsFunc(v.columns[f.typ], func(d dependency) bool { return d.field == f.name }):
		return fmt.Errorf("batch: rows of %s are read with the columns that are declared, and %s doesn't say which it needs: add .From(\"a_column\") to its %s, or .From() if it needs none but those that every reader has", f.typ, name, f.kind)
	}
	if f.value != nil || leads.IsLeafType() {
		return nil
	}
	if err := v.leads(f, leads); err != nil {
		return err
	}
	if result := v.result(f.typ, f.name); result != nil && !fits(f.of, element(result)) {
		return fmt.Errorf("batch: the %s %s has %s, and its resolver returns %s: let both have the same", f.kind, name, f.of, result)
	}
	return nil
}

// leads compares the Go type that a relation or path leads to with the one that the fields there are declared for.
func (v *validation) leads(f Field, to *ast.Definition) error {
	var parents []reflect.Type
	for _, possible := range v.schema.GetPossibleTypes(to) {
		parent := v.parents[possible.Name].parent
		if parent == nil {
			parent = v.boundTo(possible.Name)
		}
		switch {
		case parent == nil:
		case fits(f.of, parent):
			return nil
		default:
			parents = append(parents, parent)
		}
	}
	if parents == nil {
		return nil
	}
	return fmt.Errorf("batch: the %s %s.%s has %s, and the fields of %s are those of %v: let both be the type that it is bound to", f.kind, f.typ, f.name, f.of, to.Name, parents)
}

// FitsScalar reports whether a scalar's values are a type's: of the scalar itself or, if it is String, of an enum.
func FitsScalar(scalar string, typ *ast.Definition) bool {
	return scalar == typ.Name || scalar == "String" && typ.Kind == ast.Enum
}

// fits reports whether a value, or its address, may be an object of a type.
func fits(value, object reflect.Type) bool {
	if object.Kind() == reflect.Struct {
		object = reflect.PointerTo(object)
	}
	switch {
	case value.Kind() == reflect.Struct && object.Kind() == reflect.Pointer:
		return value == object.Elem()
	case value.Kind() == reflect.Interface:
		return object.Kind() == reflect.Interface || object.Implements(value)
	}
	return value.AssignableTo(object)
}

// element returns the type of a list's elements, or of what is no list.
func element(result reflect.Type) reflect.Type {
	if result.Kind() == reflect.Slice {
		return result.Elem()
	}
	return result
}

// writes reports whether the plan can write a field into an answer. It can write a scalar of a loader only where GraphQL
// leaves gqlgen no choice how to write it.
func (v *validation) writes(f Field, field *ast.FieldDefinition) bool {
	if f.value != nil || v.schema.Types[field.Type.Name()].IsCompositeType() {
		return true
	}
	if f.list != (field.Type.Elem != nil) {
		return false
	}
	if result := v.result(f.typ, f.name); result != nil && element(result) != f.of { // the resolver converts it
		return false
	}
	if f.write != nil {
		return f.scalar != ""
	}
	switch field.Type.Name() {
	case "Int":
		return f.of == reflect.TypeFor[int]()
	case "Boolean":
		return f.of == reflect.TypeFor[bool]()
	}
	return false
}

// object returns the object type that a declaration is for, whose field may be "".
func (p *Plan) object(typ, field string) (*ast.Definition, error) {
	def := p.schema.Types[typ]
	switch {
	case typ == "":
		return nil, errors.New("batch: a declaration has no type's name: give it the one that the schema has")
	case def == nil:
		return nil, fmt.Errorf("batch: the schema has no type %s", typ)
	case def.Kind != ast.Object:
		return nil, fmt.Errorf("batch: %s is not an object type: declare its fields for each of its types", typ)
	case field != "" && def.Fields.ForName(field) == nil:
		return nil, fmt.Errorf("batch: the schema has no field %s.%s", typ, field)
	}
	return def, nil
}

// cover finds the fields that the plan can answer, and what they need. It can answer an interface's field if it can answer it
// in each of the interface's types.
func (v *validation) cover() {
	v.covers = map[*ast.FieldDefinition]*cover{}
	for _, def := range v.schema.Types {
		if !def.IsCompositeType() {
			continue
		}
		for _, field := range def.Fields {
			c := &cover{}
			v.covers[field] = c
			for _, typ := range v.schema.GetPossibleTypes(def) {
				if typ.IsAbstractType() { // an interface that implements this one
					continue
				}
				declared, own := v.fields[typ.Name][field.Name], typ.Fields.ForName(field.Name)
				if declared == nil || v.fieldGuarded(typ, own) || !v.writes(declared[0], own) {
					delete(v.covers, field)
					break
				}
				for _, d := range v.columns[typ.Name] {
					if d.field == field.Name {
						c.needs = append(c.needs, d.index)
					}
				}
				if valid := declared[0].valid; valid != nil && len(field.Arguments) > 0 && def != v.schema.Query { // those are known first
					c.valid = append(c.valid, valid)
				}
			}
		}
	}
}

// generated is what gqlgen's generated code shows of its Go types. It is empty for a schema that wraps another.
type generated struct {
	resolvers  reflect.Type // the interface ResolverRoot, or nil
	directives reflect.Type // the struct DirectiveRoot, or nil
}

// generatedBy looks into a graphql.ExecutableSchemaState, which is what gqlgen's executable schemas are.
func generatedBy(es graphql.ExecutableSchema) (g generated) {
	state := reflect.Indirect(reflect.ValueOf(es)).Type()
	if state.Kind() != reflect.Struct {
		return g
	}
	if f, ok := state.FieldByName("Resolvers"); ok && f.Type.Kind() == reflect.Interface {
		g.resolvers = f.Type
	}
	if f, ok := state.FieldByName("Directives"); ok && f.Type.Kind() == reflect.Struct {
		g.directives = f.Type
	}
	return g
}

// runs reports whether there is a function for a directive.
func (g generated) runs(directive string) bool {
	if g.directives == nil {
		return false
	}
	_, ok := g.directives.FieldByNameFunc(func(name string) bool { return sameName(name, directive) })
	return ok
}

// sameName reports whether a Go name is gqlgen's for a name of the schema.
func sameName(name, of string) bool { return strings.EqualFold(name, strings.ReplaceAll(of, "_", "")) }

// resolver returns the type of the method that resolves a field, or any field of a type, or nil.
func (g generated) resolver(typ, field string) reflect.Type {
	if g.resolvers == nil {
		return nil
	}
	for of := range g.resolvers.Methods() {
		if !sameName(of.Name, typ) || of.Type.NumOut() != 1 || of.Type.Out(0).Kind() != reflect.Interface {
			continue
		}
		for m := range of.Type.Out(0).Methods() {
			if field == "" || sameName(m.Name, field) {
				return m.Type
			}
		}
	}
	return nil
}

// boundTo returns the Go type that the resolvers of a type's fields are given, or nil. (gqlgen's own batch resolvers are given
// a slice.) It means nothing for Query.
func (g generated) boundTo(typ string) reflect.Type {
	if m := g.resolver(typ, ""); m != nil && m.NumIn() > 1 {
		return m.In(1)
	}
	return nil
}

// result returns the Go type that a field's resolver returns, or nil.
func (g generated) result(typ, field string) reflect.Type {
	if m := g.resolver(typ, field); m != nil && m.NumOut() == 2 {
		return m.Out(0)
	}
	return nil
}

// completeness names every field that lacks a declaration, or that gqlgen would answer in another way than it is declared.
func (v *validation) completeness() error {
	if v.suggest == nil {
		return nil
	}
	var wrong []error
	for _, name := range v.reachable() {
		def, operation := v.schema.Types[name], v.operations[name]
		for _, field := range def.Fields {
			declared := v.fields[def.Name][field.Name]
			needed := v.result(def.Name, field.Name) != nil // a resolver
			switch {
			case def.Kind != ast.Object, strings.HasPrefix(field.Name, "__"), operation == ast.Mutation, operation == ast.Subscription, v.argumentsGuarded(field):
			case declared == nil && !v.left[def.Name+"."+field.Name]:
				wrong = append(wrong, fmt.Errorf("batch: the schema has %s.%s, which is not declared: add %s", def.Name, field.Name, v.suggest(def, field)))
			case declared == nil, v.resolvers == nil, operation == ast.Query: // whose fields all have one
			case needed && declared[0].load == nil:
				wrong = append(wrong, fmt.Errorf("batch: %s.%s is declared with %s, and gqlgen finds nothing of that name in %s: give that a field or a method for it, and run go generate",
					def.Name, field.Name, declared[0].kind, declared[0].parent))
			case !needed && declared[0].load != nil:
				wrong = append(wrong, fmt.Errorf("batch: %s.%s is a relation, and gqlgen takes it from %s: rename what that has, or set resolver: true for it in gqlgen.yml",
					def.Name, field.Name, declared[0].parent))
			}
		}
	}
	return errors.Join(append(wrong, v.check(v.schema))...)
}

// reachable returns the names of the composite types that an operation can lead to, sorted.
func (v *validation) reachable() []string {
	seen := map[string]bool{}
	var visit func(def *ast.Definition)
	visit = func(def *ast.Definition) {
		if def == nil || seen[def.Name] || !def.IsCompositeType() || strings.HasPrefix(def.Name, "__") {
			return
		}
		seen[def.Name] = true
		for _, possible := range v.schema.GetPossibleTypes(def) {
			visit(possible)
		}
		for _, field := range def.Fields {
			visit(v.schema.Types[field.Type.Name()])
		}
	}
	visit(v.schema.Query)
	visit(v.schema.Mutation)
	visit(v.schema.Subscription)
	return slices.Sorted(maps.Keys(seen))
}
