package batch

import (
	"errors"
	"fmt"
	"iter"
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
	v := &validation{Plan: p, generated: generatedBy(es), parents: map[string]Field{}}
	v.schema = es.Schema()
	if err := v.plan(); err != nil {
		p.schema = nil
		return err
	}
	p.cover()
	return nil
}

// validation is a plan that is being validated.
type validation struct {
	*Plan
	generated
	parents map[string]Field // a declaration of each type
}

// plan checks all declarations and sorts them by type and field.
func (v *validation) plan() error {
	for name := range v.inert {
		if err := v.directive(name); err != nil {
			return err
		}
	}
	v.fields, v.satisfied = map[string]map[string]*known{}, map[string][]string{}
	for _, f := range v.declared {
		if f.inert != nil {
			continue
		}
		if f.unplanned != nil {
			if err := v.unplanned(f); err != nil {
				return err
			}
			continue
		}
		if err := v.parent(f); err != nil {
			return err
		}
		if f.kind != "" {
			if v.fields[f.typ] == nil {
				v.fields[f.typ] = map[string]*known{}
			}
			if v.fields[f.typ][f.name] == nil {
				v.fields[f.typ][f.name] = &known{}
			}
			k := v.fields[f.typ][f.name]
			k.declared = append(k.declared, f)
		}
	}
	if err := v.abstract(); err != nil {
		return err
	}
	checked := map[string]bool{}
	for _, f := range v.declared {
		if f.kind == "" {
			continue
		}
		if err := v.field(f, v.schema.Types[f.typ].Fields.ForName(f.name), checked[f.typ+"."+f.name]); err != nil {
			return err
		}
		checked[f.typ+"."+f.name] = true
	}
	for typ, fields := range v.fields {
		def := v.schema.Types[typ]
		v.satisfied[typ] = []string{typ}
		for _, abstract := range v.schema.GetImplements(def) {
			v.satisfied[typ] = append(v.satisfied[typ], abstract.Name)
		}
		for name, k := range fields {
			field := def.Fields.ForName(name)
			k.resolved = v.fieldGuarded(def, field) || !v.writes(k.declared[0], field)
			if v.argumentsGuarded(field) {
				delete(fields, name) // what arguments the resolver is given is not known before it runs
			}
		}
	}
	return v.completeness()
}

// unplanned refuses Unplanned fields that the schema does not have.
func (v *validation) unplanned(f Field) error {
	for _, name := range f.unplanned {
		if _, err := v.object(f.typ, name); err != nil {
			return err
		}
	}
	return nil
}

// directive refuses an inert directive that the schema does not have, or that the generated code runs.
func (v *validation) directive(name string) error {
	switch {
	case inert[name]:
		return nil
	case v.schema.Directives[name] == nil:
		return fmt.Errorf("batch: the schema has no directive @%s, which is declared with Inert", name)
	case v.runs(name):
		return fmt.Errorf("batch: @%s is declared with Inert, and the server has a function for it: take it out of Inert, or set skip_runtime for it in gqlgen.yml", name)
	}
	return nil
}

// parent checks the type that a declaration is for.
func (v *validation) parent(f Field) error {
	def, err := v.object(f.typ, f.name)
	if err != nil {
		return err
	}
	switch operation := v.operation(f.typ); {
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
	root := v.operation(f.typ) == ast.Query
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

// field checks a declaration of a field of the schema. again: it is not the field's first.
func (v *validation) field(f Field, field *ast.FieldDefinition, again bool) error {
	var (
		name   = f.typ + "." + f.name
		leads  = v.schema.Types[field.Type.Name()]
		list   = field.Type.Elem != nil
		nested = list && field.Type.Elem.Elem != nil
	)
	switch {
	case again && (!leads.IsAbstractType() || f.load == nil || v.fields[f.typ][f.name].declared[0].load == nil):
		return fmt.Errorf("batch: %s is declared twice: a field has one declaration, and one of an interface or a union a Relation for each loader", name)
	case f.value != nil && leads.IsCompositeType():
		return fmt.Errorf("batch: %s is declared with Value, and leads to objects of %s: declare it with Path, or with Relation if a loader has them", name, leads.Name)
	case f.follow != nil && leads.IsLeafType():
		return fmt.Errorf("batch: %s is declared with %s, and has no objects, but a %s: declare it with Value", name, f.kind, leads.Name)
	case f.scalar != "" && f.scalar != leads.Name && (f.scalar != "String" || leads.Kind != ast.Enum):
		return fmt.Errorf("batch: %s is declared as a %s, and the schema has a %s: let both be the same", name, f.scalar, leads.Name)
	case f.resolve != nil && (v.fieldGuarded(v.schema.Types[f.typ], field) || v.argumentsGuarded(field)):
		return fmt.Errorf("batch: a directive stands at %s, which the plan resolves past it: declare the directive with Inert, or the field with Relation and a resolver", name)
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

// fits reports whether a value may be an object of a type.
func fits(value, object reflect.Type) bool {
	switch {
	case value.Kind() == reflect.Struct && object.Kind() == reflect.Pointer:
		return value == object.Elem() // its address is
	case value.Kind() == reflect.Interface:
		return object.Kind() == reflect.Interface || object.Implements(value)
	}
	return value.AssignableTo(object)
}

// element returns the type of a list's elements or of a single object, a struct as a pointer.
func element(result reflect.Type) reflect.Type {
	if result.Kind() == reflect.Slice {
		result = result.Elem()
	}
	if result.Kind() == reflect.Struct {
		result = reflect.PointerTo(result)
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
	result := v.result(f.typ, f.name)
	if result != nil && f.list && result.Kind() == reflect.Slice {
		result = result.Elem()
	}
	if result != nil && result != f.of { // the resolver converts it
		return false
	}
	switch field.Type.Name() {
	case "Int":
		return f.of == reflect.TypeFor[int]() || f.of == reflect.TypeFor[int32]() || f.of == reflect.TypeFor[int64]()
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
func (p *Plan) cover() {
	p.covers = map[*ast.FieldDefinition]*cover{}
	for _, def := range p.schema.Types {
		if !def.IsCompositeType() {
			continue
		}
		for _, field := range def.Fields {
			c := &cover{}
			p.covers[field] = c
			for _, typ := range p.schema.GetPossibleTypes(def) {
				if typ.IsAbstractType() { // an interface that implements this one
					continue
				}
				k := p.fields[typ.Name][field.Name]
				if k == nil || k.resolved {
					delete(p.covers, field)
					break
				}
				for _, d := range p.columns[typ.Name] {
					if d.field == field.Name {
						c.needs = append(c.needs, d.index)
					}
				}
				if valid := k.declared[0].valid; valid != nil && len(field.Arguments) > 0 && def != p.schema.Query { // those are known first
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
	state := reflect.TypeOf(es)
	if state.Kind() == reflect.Pointer {
		state = state.Elem()
	}
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

// methods returns the resolvers of a type's fields.
func (g generated) methods(typ string) iter.Seq[reflect.Method] {
	return func(yield func(reflect.Method) bool) {
		if g.resolvers == nil {
			return
		}
		for of := range g.resolvers.Methods() {
			if sameName(of.Name, typ) && of.Type.NumOut() == 1 && of.Type.Out(0).Kind() == reflect.Interface {
				of.Type.Out(0).Methods()(yield)
				return
			}
		}
	}
}

// boundTo returns the Go type that the resolvers of a type's fields are given, or nil. (gqlgen's own batch resolvers are given
// a slice.) It means nothing for Query.
func (g generated) boundTo(typ string) reflect.Type {
	for m := range g.methods(typ) {
		if m.Type.NumIn() > 1 {
			return m.Type.In(1)
		}
	}
	return nil
}

// result returns the Go type that a field's resolver returns, or nil.
func (g generated) result(typ, field string) reflect.Type {
	for m := range g.methods(typ) {
		if sameName(m.Name, field) && m.Type.NumOut() == 2 {
			return m.Type.Out(0)
		}
	}
	return nil
}
