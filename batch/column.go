package batch

import (
	"context"
	"slices"

	"github.com/99designs/gqlgen/graphql"
	"github.com/vektah/gqlparser/v2/ast"
)

// dependency is what one field of a type is read from.
type dependency struct {
	field string // "": needed whatever is selected
	name  string
	index int // among the plan's
}

// Column declares that the field name of the type typ needs a column; with an empty name, that
// every reader of the type does.
func Column(typ, name, from string) Field { return Field{typ: typ, name: name, from: from} }

// Columns returns the columns of a type that the operation of ctx needs, in the order of their declarations,
// each once: those of every field of the type that is selected anywhere in the operation, so that a row
// that was read for one selection can serve any other. Outside an operation it is every column. The slice is the caller's.
func Columns(ctx context.Context, typ string) []string {
	s := mustFromContext(ctx)
	s.neededOnce.Do(func() { s.needed = s.plan.needed(s.operations) })
	declared := s.plan.columns[typ]
	columns := make([]string, 0, len(declared)+2) // a reader may need others
	for _, d := range declared {
		if (d.field == "" || s.needed[d.index]) && !slices.Contains(columns, d.name) {
			columns = append(columns, d.name)
		}
	}
	return columns
}

// depend finds the fields of the schema that columns are declared for, those of interfaces included.
func (p *Plan) depend() {
	p.needs = map[*ast.FieldDefinition][]int{}
	for typ, declared := range p.columns {
		def := p.schema.Types[typ]
		for _, of := range append(p.schema.GetImplements(def), def) {
			for _, d := range declared {
				if field := of.Fields.ForName(d.field); field != nil {
					p.needs[field] = append(p.needs[field], d.index)
				}
			}
		}
	}
}

// needed tells of each dependency whether some operations have it.
func (p *Plan) needed(operations []*graphql.OperationContext) []bool {
	needed := make([]bool, p.dependencies)
	for _, op := range operations {
		p.note(op, op.Operation.SelectionSet, needed, map[string]bool{})
	}
	for i := range needed {
		needed[i] = needed[i] || len(operations) == 0
	}
	return needed
}

// note marks what the fields of a selection set, and of those below it, depend on, as far as they are included. Each
// fragment is walked through once, wherever it is spread.
func (p *Plan) note(op *graphql.OperationContext, set ast.SelectionSet, needed []bool, fragments map[string]bool) {
	for _, s := range set {
		switch s := s.(type) {
		case *ast.Field:
			if included(op, s.Directives) {
				for _, i := range p.needs[s.Definition] {
					needed[i] = true
				}
				p.note(op, s.SelectionSet, needed, fragments)
			}
		case *ast.InlineFragment:
			if included(op, s.Directives) {
				p.note(op, s.SelectionSet, needed, fragments)
			}
		case *ast.FragmentSpread:
			if included(op, s.Directives) && !fragments[s.Name] {
				fragments[s.Name] = true
				p.note(op, op.Doc.Fragments.ForName(s.Name).SelectionSet, needed, fragments)
			}
		}
	}
}

// included evaluates @skip and @include, as gqlgen does.
func included(op *graphql.OperationContext, directives ast.DirectiveList) bool {
	for _, d := range directives {
		if d.Name != "skip" && d.Name != "include" {
			continue
		}
		if on, _ := d.Arguments.ForName("if").Value.Value(op.Variables); on == (d.Name == "skip") {
			return false
		}
	}
	return true
}
