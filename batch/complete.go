package batch

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/vektah/gqlparser/v2/ast"
)

// Unplanned declares that gqlgen alone answers fields of a type, from its Go struct or by their resolvers: nothing is read ahead
// for them, nor below them.
func Unplanned(typ string, fields ...string) Field {
	return Field{typ: typ, unplanned: fields}
}

// Complete has Validate refuse a schema in which a field below Query, Mutation or Subscription has no declaration, or would need
// a resolver that there is none for. suggest returns the line that would declare a field, and check what else is wrong.
func (p *Plan) Complete(suggest func(of *ast.Definition, field *ast.FieldDefinition) string, check func(*ast.Schema) error) *Plan {
	p.suggest, p.check = suggest, check
	return p
}

// completeness names every field that lacks a declaration, or that gqlgen would answer in another way than it is declared.
func (v *validation) completeness() error {
	if v.suggest == nil {
		return nil
	}
	var missing []error
	for _, def := range v.reachable() {
		operation := v.operation(def.Name)
		for _, field := range def.Fields {
			k := v.fields[def.Name][field.Name]
			unplanned := v.left[def.Name+"."+field.Name]
			switch {
			case strings.HasPrefix(field.Name, "__"), operation == ast.Mutation, operation == ast.Subscription, v.argumentsGuarded(field):
			case k == nil && !unplanned:
				missing = append(missing, v.undeclared(def, field))
			case k != nil:
				missing = append(missing, v.engine(def, field, k))
			}
		}
	}
	return errors.Join(append(missing, v.check(v.schema))...)
}

// undeclared is the error about a field without a declaration.
func (v *validation) undeclared(def *ast.Definition, field *ast.FieldDefinition) error {
	return fmt.Errorf("batch: the schema has %s.%s, which is not declared: add %s", def.Name, field.Name, v.suggest(def, field))
}

// engine refuses a declared field that gqlgen would call a resolver for, or would not.
func (v *validation) engine(def *ast.Definition, field *ast.FieldDefinition, k *known) error {
	if v.resolvers == nil || v.operation(def.Name) != "" { // the root's fields all have one
		return nil
	}
	declared := k.declared[0]
	switch needed := v.result(def.Name, field.Name) != nil; {
	case needed && declared.resolve == nil:
		return fmt.Errorf("batch: %s.%s is declared with %s, and gqlgen finds nothing of that name in %s: give that a field or a method for it, and run go generate",
			def.Name, field.Name, declared.kind, declared.parent)
	case !needed && declared.resolve != nil:
		return fmt.Errorf("batch: %s.%s is a relation, and gqlgen takes it from %s: rename what that has, or set resolver: true for it in gqlgen.yml",
			def.Name, field.Name, declared.parent)
	}
	return nil
}

// reachable returns the object types that an operation can lead to, by their names.
func (v *validation) reachable() []*ast.Definition {
	seen := map[string]bool{}
	var all []*ast.Definition
	var visit func(def *ast.Definition)
	visit = func(def *ast.Definition) {
		if def == nil || seen[def.Name] || !def.IsCompositeType() || strings.HasPrefix(def.Name, "__") {
			return
		}
		seen[def.Name] = true
		for _, possible := range v.schema.GetPossibleTypes(def) {
			visit(possible)
		}
		if def.Kind != ast.Object {
			return
		}
		all = append(all, def)
		for _, field := range def.Fields {
			visit(v.schema.Types[field.Type.Name()])
		}
	}
	for _, root := range []*ast.Definition{v.schema.Query, v.schema.Mutation, v.schema.Subscription} {
		visit(root)
	}
	slices.SortFunc(all, func(a, b *ast.Definition) int { return strings.Compare(a.Name, b.Name) })
	return all
}
