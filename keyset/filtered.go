package keyset

import (
	"slices"
	"strings"
)

// whole is the statement that reads a window of a whole table. Where an index serves its filter and another one its order, no database
// knows how many rows it will go through by either. So they are counted, but no further than to a number that is sorted in no time: where
// there are fewer, all of them are read by their filter, and sorted. Else they are found by going through the index of the order, and
// what their filter says is hidden in a CASE, or else a database may sort a great part of the table.
func (l *List) whole(key Key, columns []string) Statement {
	sorted, apart := l.ranges(key)
	if !apart {
		return Statement{Text: l.window(key, columns), Args: key.args(nil)}
	}
	filter, values := key.Filter.split()
	matching := func(selected []string) string {
		return "(SELECT " + strings.Join(selected, ", ") + " FROM " + l.From + " WHERE " + filter + " LIMIT ?)"
	}
	counted := append(slices.Clone(values), fewRows)

	some := *l
	needed := []string{l.ID}
	if by := key.Order.By; by != nil {
		needed = append(needed, by.Column)
	}
	for _, column := range columns {
		if !slices.Contains(needed, column) && !strings.Contains(column, " ") {
			needed = append(needed, column)
		}
	}
	some.From = matching(needed) + " t"
	few, many := key, key
	few.Filter = Filter{}
	many.Filter = sorted.And("CASE WHEN "+filter+" THEN TRUE END", values...)
	return Statement{
		Text: l.window(many, columns), Args: many.args(nil),
		Few: &Few{
			Count:   Statement{Text: "SELECT COUNT(*) FROM " + matching([]string{"1 AS one"}) + " c", Args: counted},
			Below:   fewRows,
			Instead: Statement{Text: some.window(few, columns), Args: few.args(counted)},
		},
	}
}

// ranges returns what the filter of a key says about the column that its list is sorted by, and whether an index serves something else in it,
// and does not have that in the list's order.
func (l *List) ranges(key Key) (sorted Filter, apart bool) {
	if key.Search.given() {
		return sorted, false
	}
	for _, w := range key.Filter.within() {
		by := key.Order.By
		switch {
		case !slices.Contains(l.Indexed, w.column):
		case by != nil && by.Column == w.column && w.values != several:
			condition, args := w.where.split()
			sorted = sorted.And(condition, args...)
		case by == nil && w.values == one:
			return Filter{}, false
		default:
			apart = true
		}
	}
	return sorted, apart
}
