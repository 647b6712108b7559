package batch

import (
	"slices"

	"github.com/99designs/gqlgen/graphql"
	"github.com/vektah/gqlparser/v2/ast"
)

// A directive of the schema's own may refuse what it stands at, or change it, and gqlgen's engine alone runs it. So what one
// stands at is not answered from the plan, wherever gqlgen would run it or an interceptor could find it.

// inert are the directives that do nothing when an operation runs, or what the plan does too: GraphQL's and those that
// gqlgen reads when it generates code.
var inert = map[string]bool{
	"skip": true, "include": true, "defer": true, "deprecated": true, "specifiedBy": true, "oneOf": true,
	"goModel": true, "goExtraField": true, "goField": true, "goTag": true, "goEnum": true, "goEmbedInterface": true,
}

// guarded reports whether one of some directives is not inert.
func (p *Plan) guarded(directives ast.DirectiveList) bool {
	return len(directives) > 0 && slices.ContainsFunc(directives, func(d *ast.Directive) bool { return !p.inert[d.Name] })
}

// operationGuarded reports whether a directive stands at an operation as a whole.
func (p *Plan) operationGuarded(op *graphql.OperationContext) bool {
	return p.guarded(op.Operation.Directives) ||
		slices.ContainsFunc(op.Operation.VariableDefinitions, func(v *ast.VariableDefinition) bool { return p.guarded(v.Directives) })
}

// setGuarded reports whether a directive stands in a selection set, or in the fragments in it. What is below its fields is
// in sets of their own.
func (p *Plan) setGuarded(op *graphql.OperationContext, set ast.SelectionSet) bool {
	return slices.ContainsFunc(set, func(s ast.Selection) bool {
		directives, below := parts(op, s)
		_, field := s.(*ast.Field)
		return p.guarded(directives) || !field && p.setGuarded(op, below)
	})
}

// fieldGuarded reports whether a directive of the schema stands at a field: at itself, its type, the type that it is of, or
// the interfaces and unions of that.
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

// argumentsGuarded reports whether a directive of the schema stands at an argument of a field, or in its input type. It may
// change the argument before the resolver sees it.
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
