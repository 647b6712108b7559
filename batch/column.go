package batch

import (
	"context"

	"github.com/99designs/gqlgen/graphql"
	"github.com/vektah/gqlparser/v2/ast"
)

// column is what one field of a type is read from.
type column struct {
	field string // "": needed whatever is selected
	name  string
}

// Column declares that the field name of the type typ needs a column; with an empty name, that
// every reader of the type does.
func Column(typ, name, from string) Field { return Field{typ: typ, name: name, column: from} }

// Columns returns the columns of a type that the operation of ctx needs, in the order of their declarations,
// each once: those of every field of the type that is selected anywhere in the operation, so that a row
// that was read for one selection can serve any other. Outside an operation it is every column.
func Columns(ctx context.Context, typ string) []string {
	s := fromContext(ctx)
	s.columnsOnce.Do(func() { s.columns = s.plan.selected(ctx) })
	return s.columns[typ]
}

// selected returns the columns of every type that an operation needs.
func (p *Plan) selected(ctx context.Context) map[string][]string {
	fields := map[string]map[string]bool{} // selected, by type and name
	if graphql.HasOperationContext(ctx) {
		op := graphql.GetOperationContext(ctx)
		p.note(op, op.Operation.SelectionSet, fields)
	} else {
		fields = nil
	}
	columns := make(map[string][]string, len(p.columns))
	for typ, all := range p.columns {
		seen := make(map[string]bool, len(all))
		for _, c := range all {
			if (c.field == "" || fields == nil || fields[typ][c.field]) && !seen[c.name] {
				seen[c.name] = true
				columns[typ] = append(columns[typ], c.name)
			}
		}
	}
	return columns
}

// note marks the fields of a selection set, and of those below it, that are included.
func (p *Plan) note(op *graphql.OperationContext, set ast.SelectionSet, fields map[string]map[string]bool) {
	for _, f := range graphql.CollectFields(op, set, nil) {
		if def := f.ObjectDefinition; def != nil {
			mark(fields, def.Name, f.Name)
			if def.IsAbstractType() {
				for _, possible := range p.schema.GetPossibleTypes(def) {
					mark(fields, possible.Name, f.Name)
				}
			}
		}
		p.note(op, f.Selections, fields)
	}
}

func mark(fields map[string]map[string]bool, typ, name string) {
	if fields[typ] == nil {
		fields[typ] = map[string]bool{}
	}
	fields[typ][name] = true
}
