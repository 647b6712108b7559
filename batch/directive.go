package batch

import (
	"slices"

	"github.com/99designs/gqlgen/graphql"
	"github.com/vektah/gqlparser/v2/ast"
)

// A directive of the schema may refuse or change what it is applied to, and only gqlgen runs it. So the plan does not answer
// what has one, wherever gqlgen would run it or an interceptor could find it.

// inert are GraphQL's directives, which the plan heeds itself, and those that gqlgen reads only when it generates code.
var inert = map[string]bool{
	"skip": true, "include": true, "defer": true, "deprecated": true, "specifiedBy": true, "oneOf": true,
	"goModel": true, "goExtraField": true, "goField": true, "goTag": true, "goEnum": true, "goEmbedInterface": true,
}

// guarded reports whether one of some directives is not inert.
func (p *Plan) guarded(directives ast.DirectiveList) bool {
	return len(directives) > 0 && slices.ContainsFunc(directives, func(d *ast.Directive) bool { return !p.inert[d.Name] })
}

// operationGuarded reports whether an operation or one of its variables has a directive that is not inert.
func (p *Plan) operationGuarded(op *graphql.OperationContext) bool {
	return p.guarded(op.Operation.Directives) ||
		slices.ContainsFunc(op.Operation.VariableDefinitions, func(v *ast.VariableDefinition) bool { return p.guarded(v.Directives) })
}

// fieldGuarded reports whether the schema has such a directive at a field, at its type, or at the object type that has the
// field, its interfaces and its unions.
func (p *Plan) fieldGuarded(of *ast.Definition, field *ast.FieldDefinition) bool {
	for _, def := range append(p.schema.GetImplements(of), of) {
		if f := def.Fields.ForName(field.Name); p.typeGuarded(def) || f != nil && p.guarded(f.Directives) {
			return true
		}
	}
	return p.typeGuarded(p.schema.Types[field.Type.Name()])
}

func (p *Plan) typeGuarded(def *ast.Definition) bool {
	return p.guarded(def.Directives) ||
		slices.ContainsFunc(def.EnumValues, func(v *ast.EnumValueDefinition) bool { return p.guarded(v.Directives) })
}

// argumentsGuarded reports whether the schema has such a directive at an argument of a field, or in its input type: it may
// change the argument before the resolver gets it.
func (p *Plan) argumentsGuarded(field *ast.FieldDefinition) bool {
	return slices.ContainsFunc(field.Arguments, func(a *ast.ArgumentDefinition) bool {
		return p.guarded(a.Directives) || p.inputGuarded(a.Type, map[string]bool{})
	})
}

func (p *Plan) inputGuarded(typ *ast.Type, seen map[string]bool) bool {
	def := p.schema.Types[typ.Name()]
	if seen[def.Name] {
		return false
	}
	seen[def.Name] = true
	return p.typeGuarded(def) || def.Kind == ast.InputObject && slices.ContainsFunc(def.Fields, func(f *ast.FieldDefinition) bool {
		return p.guarded(f.Directives) || p.inputGuarded(f.Type, seen)
	})
}
