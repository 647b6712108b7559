package entity

import (
	"context"

	"rollcall/batch"
	"rollcall/scalar"
)

// asOfField tells of when what is read is, in Query and in each type of pages.
const asOfField = "asOf"

// AsOf declares the field asOf, a String!, of Query and of each type of pages: what read reads before anything else of an operation, and once.
func AsOf(s *Schema, read func(ctx context.Context) (string, error)) {
	s.asOf = batch.NewFirst(read)
	s.AddFields(batch.First[batch.Root]("Query", asOfField, s.asOf, scalar.AppendString).As("String"))
}

// Dated says that a type of pages, which is bound to P, has it. Those of the lists that are declared here have it anyway.
func Dated[P any](s *Schema, typ string) {
	s.dated = append(s.dated, func(source *batch.FirstSource[string]) batch.Field {
		return batch.First[P](typ, asOfField, source, scalar.AppendString).From().As("String")
	})
}
