package keyset

import (
	"strconv"
	"strings"
)

// Tree is a table whose rows have the id of another row of it, which they are below.
type Tree struct {
	Table  string
	Parent string // the column that has the id of the row above, or NULL
	// Self has each row be below itself, at the depth 0. Else the rows directly below it are the first, at the depth 1.
	Self bool
}

// MaxDepth is how far up or down a tree is read. MySQL and MariaDB end a recursion after 1,000 steps, the latter in silence.
const MaxDepth = 500

// Recursion has MySQL take as many steps as it does unless it is told otherwise. It stands behind a SELECT.
const Recursion = "/*+ SET_VAR(cte_max_recursion_depth = 1000) */ "

// below returns how a SELECT begins that has the table below: root, the id of a row, id, that of a row below it, and depth, how
// far. Its arguments are the roots, of which marks is the list, and the greatest depth.
func (t *Tree) below(marks string) string {
	first := "SELECT " + t.Parent + ", id, 1 FROM " + t.Table + " WHERE " + t.Parent + " IN (" + marks + ")"
	if t.Self {
		first = "SELECT id, id, 0 FROM " + t.Table + " WHERE id IN (" + marks + ")"
	}
	return "WITH RECURSIVE below (root, id, depth) AS (" + first + " UNION ALL SELECT b.root, n.id, b.depth + 1 FROM below b JOIN " +
		t.Table + " n ON n." + t.Parent + " = b.id WHERE b.depth < ?) SELECT "
}

// Under returns the condition that a row, by the column that has its id, is below another, or is that one itself where Self says so.
func (t *Tree) Under(column string, id int64) Condition {
	return Among(column, t.below("?")+"id FROM below", id, int64(MaxDepth))
}

// Begun returns the condition that anything is below a row, which holds for every row or for none.
func (t *Tree) Begun(id int64) Condition {
	one := "EXISTS (SELECT 1 FROM " + t.Table + " b WHERE b." + t.Parent + " = ?)"
	return Condition{holds: clause{one, []any{id}}, fails: clause{"NOT " + one, []any{id}}}
}

// climb returns how a statement begins that has the table above: root, the id of one of some rows, of whose ids marks is the list, id, that of a row
// above it, and depth, how far. Which of those above are gone past is a condition on n.
func (t *Tree) climb(marks, past string) string {
	return "WITH RECURSIVE above (root, id, depth) AS (SELECT id, " + t.Parent + ", 1 FROM " + t.Table + " WHERE id IN (" + marks + ") AND " +
		t.Parent + " IS NOT NULL UNION ALL SELECT a.root, n." + t.Parent + ", a.depth + 1 FROM above a JOIN " + t.Table +
		" n ON n.id = a.id WHERE n." + t.Parent + " IS NOT NULL AND " + past + "a.depth < " + strconv.Itoa(MaxDepth) + ") SELECT " + Recursion
}

// Those returns the statements that read the ids of those of some rows that are below another, where Self is not set. They go up from these rows, which
// takes no longer where more is below the other.
func (t *Tree) Those(ids []int64, id int64) []Statement {
	var all []Statement
	for marks, args := range In(ids) {
		all = append(all, Statement{Text: t.climb(marks, "n.id <> ? AND ") + "DISTINCT a.root FROM above a WHERE a.id = ?", Args: append(args, id, id)})
	}
	return all
}

// Above returns the statements that read, for each of some rows, the rows above it, the nearest first: some columns of each, as t has
// them, then the id of the row below, and one statement after the other. At most MaxDepth are gone through of each, and those read that meet a condition.
func (t *Tree) Above(ids []int64, columns []string, those Condition) []Statement {
	var all []Statement
	condition, more := "", []any(nil)
	if those.holds.text != yes {
		condition, more = " AND "+those.holds.text, those.holds.args
	}
	for marks, args := range In(ids) {
		all = append(all, Statement{
			Text: t.climb(marks, "") +
				strings.Join(columns, ", ") + ", a.root AS list_parent FROM above a CROSS JOIN " + t.Table + " t WHERE t.id = a.id" + condition + " ORDER BY a.root, a.depth",
			Args: append(args, more...),
		})
	}
	return all
}
