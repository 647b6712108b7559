package keyset

import (
	"cmp"
	"reflect"
	"slices"
	"strings"
	"unicode/utf8"
)

// Condition is what a row has to meet, in SQL in which t is the table of a list's nodes. It is two-valued: a row meets either it or its
// opposite, also where a column is NULL. For that it has both in SQL, so that no NOT is ever put before what may be NULL.
type Condition struct {
	holds, fails clause
	ranges       []columnRange // that a row has to be in to meet it, as far as they are known
}

// columnRange says that a column has one of some values, or just one.
type columnRange struct {
	column string
	single bool
}

// clause is SQL, with a placeholder for each argument. Where it is NULL it does not hold.
type clause struct {
	text string
	args []any
}

const yes, no = "1 = 1", "1 = 0"

// Not returns the opposite of a condition.
func Not(c Condition) Condition { return Condition{holds: c.fails, fails: c.holds} }

// All returns the condition that all of some conditions hold: of none, any row does.
func All(of ...Condition) Condition {
	holds, fails := make([]clause, len(of)), make([]clause, len(of))
	var ranges []columnRange
	for i, c := range of {
		holds[i], fails[i] = c.holds, c.fails
		ranges = append(ranges, c.ranges...)
	}
	return Condition{joined(holds, " AND ", yes, no), joined(fails, " OR ", no, yes), ranges}
}

// Any returns the condition that one of some conditions holds: of none, no row does.
func Any(of ...Condition) Condition {
	opposites := make([]Condition, len(of))
	for i, c := range of {
		opposites[i] = Not(c)
	}
	return Not(All(opposites...))
}

// joined joins clauses, of which neutral ones change nothing and a decisive one decides.
func joined(clauses []clause, operator, neutral, decisive string) clause {
	var texts []string
	var args []any
	for _, c := range clauses {
		switch c.text {
		case neutral:
		case decisive:
			return c
		default:
			texts, args = append(texts, c.text), append(args, c.args...)
		}
	}
	switch len(texts) {
	case 0:
		return clause{text: neutral}
	case 1:
		return clause{texts[0], args}
	default:
		return clause{"(" + strings.Join(texts, operator) + ")", args}
	}
}

// compared returns the condition that a comparison holds, by a column's value, where its opposite is another comparison.
func compared(column, comparison, opposite string, args ...any) Condition {
	return Condition{
		holds: clause{column + comparison, args},
		fails: clause{"(" + column + " IS NULL OR " + column + opposite + ")", args},
	}
}

// within returns the condition with the range that a column has to be in.
func (c Condition) within(column string, single bool) Condition {
	c.ranges = []columnRange{{column, single}}
	return c
}

// IsNull returns the condition that a column is NULL.
func IsNull(column string) Condition {
	return Condition{holds: clause{text: column + " IS NULL"}, fails: clause{text: column + " IS NOT NULL"}}
}

// AtLeast returns the condition that a column has a value, or a greater one.
func AtLeast(column string, value any) Condition {
	return compared(column, " >= ?", " < ?", value).within(column, false)
}

// Below returns the condition that a column has a lesser value.
func Below(column string, value any) Condition {
	return compared(column, " < ?", " >= ?", value).within(column, false)
}

// OneOf returns the condition that a column has one of some values. Their list has few lengths: see In.
func OneOf[V cmp.Ordered](column string, values []V) Condition {
	values = slices.Compact(slices.Sorted(slices.Values(values)))
	switch len(values) {
	case 0:
		return Any()
	case 1:
		return compared(column, " = ?", " <> ?", values[0]).within(column, true)
	}
	values = padded(values, values[len(values)-1], MaxKeys)
	args := make([]any, len(values))
	for i, v := range values {
		args[i] = v
	}
	list := " IN (" + Marks(len(args)) + ")"
	return compared(column, list, " NOT"+list, args...).within(column, false)
}

// Among returns the condition that a column is in what a SELECT of one column reads. Neither is ever NULL.
func Among(column, query string, args ...any) Condition {
	return Condition{holds: clause{column + " IN (" + query + ")", args}, fails: clause{column + " NOT IN (" + query + ")", args}}
}

// Text is a column of texts. Where it is not Binary, MySQL ignores spaces at the end in comparisons, so no text in it ends in one.
type Text struct {
	Column string
	Binary bool // it is compared byte by byte on every database
}

// storable reports whether every database can hold a text: no other is sent to one. (PostgreSQL takes no null characters.)
func storable(text string) bool { return utf8.ValidString(text) && !strings.Contains(text, "\x00") }

func (t Text) endsInSpace(text string) bool { return !t.Binary && strings.HasSuffix(text, " ") }

// OneOf returns the condition that the column has one of some texts.
func (t Text) OneOf(texts []string) Condition {
	texts = slices.DeleteFunc(slices.Clone(texts), func(s string) bool { return !storable(s) || t.endsInSpace(s) })
	return OneOf(t.Column, texts)
}

// HasPrefix returns the condition that the column's text begins with another, as a range of an index.
func (t Text) HasPrefix(prefix string) Condition {
	switch {
	case !storable(prefix):
		return Any()
	case prefix == "":
		return Not(IsNull(t.Column))
	}
	conditions := []Condition{AtLeast(t.Column, prefix)}
	if end, ok := successor(prefix); ok {
		conditions = append(conditions, Below(t.Column, end))
	}
	if t.endsInSpace(prefix) {
		conditions = append(conditions, Not(OneOf(t.Column, []string{prefix}))) // which MySQL takes the text without the space for
	}
	return All(conditions...)
}

// successor returns the first text, in the order of UTF-8's bytes, behind all that begin with a prefix; ok reports whether there is one.
func successor(prefix string) (text string, ok bool) {
	for prefix != "" {
		last, n := utf8.DecodeLastRuneInString(prefix)
		prefix = prefix[:len(prefix)-n]
		switch last {
		case utf8.MaxRune:
			continue
		case 0xd7ff: // surrogates follow, which are no characters
			last = 0xdfff
		}
		return prefix + string(last+1), true
	}
	return "", false
}

// Contains returns the condition that the column's text has another within it. To leave that out makes a text shorter: unlike LIKE,
// INSTR and POSITION, this compares bytes on every database.
func (t Text) Contains(part string) Condition {
	switch {
	case !storable(part):
		return Any()
	case part == "":
		return Not(IsNull(t.Column))
	}
	return compared("LENGTH("+t.Column+")", " > LENGTH(REPLACE("+t.Column+", ?, ''))", " <= LENGTH(REPLACE("+t.Column+", ?, ''))", part)
}

// HasSuffix returns the condition that the column's text ends with another, which it does if it has that within it before a control
// character that is put behind it, and that is in no text.
func (t Text) HasSuffix(suffix string) Condition {
	const end = "\x01"
	switch {
	case !storable(suffix) || strings.Contains(suffix, end):
		return Any()
	case suffix == "":
		return Not(IsNull(t.Column))
	}
	rest := "LENGTH(REPLACE(CONCAT(" + t.Column + ", '" + end + "'), ?, ''))"
	return compared("LENGTH("+t.Column+")", " >= "+rest, " < "+rest, suffix+end)
}

// Compared returns the condition that the column's text comes after another in the order of their bytes (gt), before it (lt), or is it besides (gte, lte).
func (t Text) Compared(operator, text string) Condition {
	if !storable(text) {
		return Any()
	}
	same := OneOf(t.Column, []string{text})
	switch operator {
	case "gt":
		return All(AtLeast(t.Column, text), Not(same))
	case "gte":
		return AtLeast(t.Column, text)
	case "lt":
		return Below(t.Column, text)
	}
	return Any(Below(t.Column, text), same)
}

// SQL returns the condition as what follows WHERE, with its arguments.
func (c Condition) SQL() (text string, args []any) { return c.holds.text, c.holds.args }

// Where returns the filter that a row has to meet as well as a condition.
func (f Filter) Where(c Condition) Filter {
	if c.holds.text == yes {
		return f
	}
	if len(c.ranges) > 0 {
		f.ranges = array(append(f.columnRanges(), c.ranges...))
	}
	return f.And(c.holds.text, c.holds.args...)
}

// columnRanges returns what an index may serve of the filter.
func (f Filter) columnRanges() (all []columnRange) {
	if f.ranges == nil {
		return nil
	}
	ranges := reflect.ValueOf(f.ranges)
	for i := range ranges.Len() {
		all = append(all, ranges.Index(i).Interface().(columnRange))
	}
	return all
}
