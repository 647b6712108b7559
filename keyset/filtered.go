package keyset

import (
	"slices"
	"strings"
)

// whole is the statement that reads a window of a whole table. Where an index serves its filter and another one its order, a database
// guesses which of them leads to the window past fewer rows, and may go through all of the table, or sort a great part of it. So what
// matches is counted, as far as that is few. Where few rows match, they are found by the filter and sorted. Else the index of the order is
// gone through until the window is full, and the filter is hidden in a CASE, lest it is begun with.
func (l *List) whole(key Key, columns []string) Statement {
	if !l.crossed(key) {
		return Statement{Text: l.window(key, columns), Args: key.args(nil)}
	}
	filter, values := key.Filter.split()
	matching := func(selected ...string) string {
		return "(SELECT " + strings.Join(selected, ", ") + " FROM " + l.From + " WHERE " + filter + " LIMIT ?) "
	}
	values = append(values, fewRows)
	needed := []string{l.ID}
	if by := key.Order.By; by != nil {
		needed = append(needed, by.Column)
	}
	for _, column := range columns {
		if !slices.Contains(needed, column) && !strings.Contains(column, " ") {
			needed = append(needed, column)
		}
	}
	found, few, many := *l, key, key
	found.From, few.Filter = matching(needed...)+"t", Filter{}
	many.Filter = Filter{}.And("CASE WHEN "+filter+" THEN TRUE END", values[:len(values)-1]...)
	return Statement{
		Text: l.window(many, columns), Args: many.args(nil),
		Few: &Few{
			Count:   Statement{Text: "SELECT COUNT(*) FROM " + matching("1 AS one") + "c", Args: values},
			Below:   fewRows,
			Instead: Statement{Text: found.window(few, columns), Args: few.args(slices.Clone(values))},
		},
	}
}

// crossed reports whether an index serves a list's filter and another one its order: not where the filter is also about what the list is
// sorted by, nor where the filter's index has the order too, as that of one value has the ids.
func (l *List) crossed(key Key) (crossed bool) {
	if key.Search.given() {
		return false
	}
	for _, w := range key.Filter.columnRanges() {
		by := key.Order.By
		switch {
		case !slices.Contains(l.Indexed, w.column):
		case by != nil && by.Column == w.column, by == nil && w.single:
			return false
		default:
			crossed = true
		}
	}
	return crossed
}
