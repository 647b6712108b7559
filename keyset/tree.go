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
			Text: "WITH RECURSIVE above (root, id, depth) AS (SELECT id, " + t.Parent + ", 1 FROM " + t.Table + " WHERE id IN (" + marks + ") AND " +
				t.Parent + " IS NOT NULL UNION ALL SELECT a.root, n." + t.Parent + ", a.depth + 1 FROM above a JOIN " + t.Table +
				" n ON n.id = a.id WHERE n." + t.Parent + " IS NOT NULL AND a.depth < " + strconv.Itoa(MaxDepth) + ") SELECT " + Recursion +
				strings.Join(columns, ", ") + ", a.root AS list_parent FROM above a CROSS JOIN " + t.Table + " t WHERE t.id = a.id" + condition + " ORDER BY a.root, a.depth",
			Args: append(args, more...),
		})
	}
	return all
}
