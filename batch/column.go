package batch

import (
	"context"

	"github.com/99designs/gqlgen/graphql"
	"github.com/vektah/gqlparser/v2/ast"
)

// dependency is what one field of a type is read from.
type dependency struct {
	field string // "": needed whatever is selected
	name  string
}

// Column declares that the field name of the type typ needs a column; with an empty name, that
// every reader of the type does.
func Column(typ, name, from string) Field { return Field{typ: typ, name: name, from: from} }

// Columns returns the columns of a type that the operation of ctx needs, in the order of their declarations,
// each once: those of every field of the type that is selected anywhere in the operation, so that a row
// that was read for one selection can serve any other. Outside an operation it is every column.
func Columns(ctx context.Context, typ string) []string {
	s := mustFromContext(ctx)
	s.columnsOnce.Do(func() { s.columns = s.plan.selected(s.operations) })
	return s.columns[typ]
}

// selected returns the columns of every type that some operations need.
func (p *Plan) selected(operations []*graphql.OperationContext) map[string][]string {
	selected := selected{}
	for _, op := range operations {
		p.note(op, op.Operation.SelectionSet, selected, map[string]bool{})
	}
	columns := make(map[string][]string, len(p.columns))
	for typ, all := range p.columns {
		seen := make(map[string]bool, len(all))
		for _, c := range all {
			if (c.field == "" || len(operations) == 0 || selected[typ][c.field]) && !seen[c.name] {
				seen[c.name] = true
				columns[typ] = append(columns[typ], c.name)
			}
		}
	}
	return columns
}

// selected tells the fields that are selected, by type and name.
type selected map[string]map[string]bool

// note marks the fields of a selection set, and of those below it, that are included. Each fragment is walked
// through once, wherever it is spread.
func (p *Plan) note(op *graphql.OperationContext, set ast.SelectionSet, fields selected, fragments map[string]bool) {
	for _, s := range set {
		switch s := s.(type) {
		case *ast.Field:
			if included(op, s.Directives) {
				p.mark(fields, s)
				p.note(op, s.SelectionSet, fields, fragments)
			}
		case *ast.InlineFragment:
			if included(op, s.Directives) {
				p.note(op, s.SelectionSet, fields, fragments)
			}
		case *ast.FragmentSpread:
			if included(op, s.Directives) && !fragments[s.Name] {
				fragments[s.Name] = true
				p.note(op, op.Doc.Fragments.ForName(s.Name).SelectionSet, fields, fragments)
			}
		}
	}
}

// mark marks a field of a type, or of all types that an abstract one may be.
func (p *Plan) mark(fields selected, f *ast.Field) {
	for _, typ := range p.schema.GetPossibleTypes(f.ObjectDefinition) {
		if fields[typ.Name] == nil {
			fields[typ.Name] = map[string]bool{}
		}
		fields[typ.Name][f.Name] = true
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
