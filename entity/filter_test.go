package entity

import (
	"strings"
	"testing"
	"time"

	"github.com/vektah/gqlparser/v2"
	"github.com/vektah/gqlparser/v2/ast"

	"rollcall/keyset"
)

const filterSchema = `
scalar Time
enum Kind { OPEN SHUT }
type Row { id: ID! name: String! note: String kind: Kind! at: Time! owner: Row }
type RowConnection { nodes: [Row!]! }
type Query { rows(filter: RowFilter): RowConnection }
input RowFilter { and: [RowFilter!] or: [RowFilter!] not: RowFilter id: IDFilter name: StringFilter note: NoteFilter kind: KindFilter at: TimeFilter owner: OwnerFilter hot: Boolean near: ID within: Area }
input StringFilter { eq: String in: [String!] startsWith: String }
input NoteFilter { ne: String isNull: Boolean }
input KindFilter { in: [Kind!] }
input TimeFilter { lt: Time }
input IDFilter { in: [ID!] notIn: [ID!] }
input OwnerFilter { in: [ID!] isNull: Boolean }
input Area { size: Int! }
`

func TestStartUpNamesWhatTheFilterOfTheSchemaAndTheDeclarationsDoNotBothSay(t *testing.T) {
	type row struct {
		ID               int64
		Name, Note, Kind string
		At               time.Time
		OwnerID          *int64
	}
	for _, c := range []struct {
		what     string
		from, to string // in the schema
		left     string // the declaration that is left out
		want     []string
	}{
		{what: "both say the same"},
		{what: "a field that is not declared", left: "name", want: []string{"RowFilter.name", "Row declares no filter by it", "add .Filter() to the declaration of its name"}},
		{what: "a condition that is not declared", left: "hot", want: []string{"RowFilter.hot", `entity.FilterBy(rows, "hot", func(value bool) (keyset.Condition, error) { … })`}},
		{what: "one with an id", left: "near", want: []string{`entity.FilterBy(rows, "near", func(value entity.ID)`}},
		{what: "one with an input", left: "within", want: []string{`entity.FilterBy(rows, "within", func(value entity.Input)`}},
		{what: "a field that the schema lacks", from: "note: NoteFilter", want: []string{"Row declares a filter by note", "add note: NullableStringFilter to it"}},
		{what: "an enum that the schema lacks", from: "kind: KindFilter", want: []string{"add kind: KindFilter to it"}},
		{what: "a condition that the schema lacks", from: "near: ID", want: []string{"add near: ID to it"}},
		{what: "no input at all", from: "rows(filter: RowFilter)", to: "rows(a: Int)", want: []string{"no RowFilter: add input RowFilter { and: [RowFilter!]"}},
		{what: "another type's operators", from: "at: TimeFilter", to: "at: StringFilter", want: []string{"RowFilter.at is a StringFilter", "eq: String", "let it be a TimeFilter, with some of eq, gt, gte, lt, lte of Time"}},
		{what: "an operator that there is not", from: "{ lt: Time }", to: "{ lt: Time soon: Time }", want: []string{"RowFilter.at", "soon: Time"}},
		{what: "one for a list", from: "eq: String in: [String!]", to: "eq: [String!] in: [String!]", want: []string{"RowFilter.name", "eq: [String!]"}},
		{what: "a scalar in the place of an input", from: "kind: KindFilter", to: "kind: Kind", want: []string{"RowFilter.kind is a Kind", "eq, ne, in"}},
		{what: "isNull where nothing is null", from: "name: StringFilter", to: "name: NoteFilter", want: []string{"RowFilter.name", "the field is never null"}},
		{what: "no isNull where something may be", from: "note: NoteFilter", to: "note: StringFilter", want: []string{"RowFilter.note", "isNull: Boolean"}},
		{what: "a condition of another type", from: "hot: Boolean", to: "hot: ID", want: []string{"RowFilter.hot is a ID"}},
		{what: "filters of something else", from: "not: RowFilter", to: "not: [RowFilter!]", want: []string{"RowFilter.not: [RowFilter!]"}},
		{what: "an argument of another type", from: "rows(filter: RowFilter)", to: "rows(filter: Area)", want: []string{"Query.rows(filter:) is a Area: let it be a RowFilter"}},
	} {
		text := strings.Replace(filterSchema, c.from, c.to, 1)
		if c.what == "no input at all" {
			text, _, _ = strings.Cut(text, "input RowFilter")
		}
		schema, err := gqlparser.LoadSchema(&ast.Source{Input: text})
		if err != nil {
			t.Fatalf("%s: %v", c.what, err)
		}
		s := NewSchema(10)
		rows := Define(s, "Row", "rows", func(r *row) *int64 { return &r.ID })
		for name, declare := range map[string]func(){
			"name":   func() { Text(rows, "name", func(r *row) *string { return &r.Name }).Filter() },
			"note":   func() { Text(rows, "note", func(r *row) *string { return &r.Note }).Filter() },
			"kind":   func() { Text(rows, "kind", func(r *row) *string { return &r.Kind }).Filter() },
			"at":     func() { Time(rows, "at", func(r *row) *time.Time { return &r.At }).Filter() },
			"owner":  func() { One(rows, "owner", rows, func(r *row) **int64 { return &r.OwnerID }).Filter() },
			"hot":    func() { FilterBy(rows, "hot", func(bool) (keyset.Condition, error) { return keyset.All(), nil }) },
			"near":   func() { FilterBy(rows, "near", func(ID) (keyset.Condition, error) { return keyset.All(), nil }) },
			"within": func() { FilterBy(rows, "within", func(Input) (keyset.Condition, error) { return keyset.All(), nil }) },
		} {
			if name != c.left {
				declare()
			}
		}
		All(s, "rows", rows)
		if err := rows.finish(); err != nil {
			t.Fatal(err)
		}
		got := ""
		for _, err := range []error{s.checkArguments(schema), s.checkFilters(schema)} {
			if err != nil {
				got += err.Error() + "\n"
			}
		}
		if (got == "") != (c.want == nil) {
			t.Errorf("%s: %s", c.what, got)
		}
		for _, want := range c.want {
			if !strings.Contains(got, want) {
				t.Errorf("%s: %q is missing in: %s", c.what, want, got)
			}
		}
	}
}
