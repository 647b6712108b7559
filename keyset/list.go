package keyset

import (
	"cmp"
	"iter"
	"math"
	"math/bits"
	"slices"
	"strconv"
	"strings"
	"unique"
)

// List is where the rows of a list are, and how they are counted.
type List struct {
	Name   string // in cursors, such as User.reports
	From   string // the table that says what is in the list
	Nodes  string // the table of the nodes, with its name t; "": it is From
	On     string // the condition that joins it to From
	Parent string // the column that has the id of the row that the list belongs to; "": it is that of a whole table
	ID     string // the column that has the ids of the nodes, by which the list is sorted at last
	Tree   *Tree  // that the table below, of which From is made, has; nil: From is a table of the database
	Where  string // which rows of From there are; "": all
	Total  string // the statement that tells how many rows there are, if that is kept; "": they are counted
	// Few says that a parent has few rows: to number those of all parents costs less then than one limited select for each.
	Few bool
	// Words is by what its nodes are found; nil: nothing is searched there.
	Words *Words
	// Indexed are the columns of a whole table, such as t.name, that an index has, with the ids behind them.
	Indexed []string
}

const (
	// MaxKeys bounds an IN list: SQLite takes 32,766 parameters.
	MaxKeys = 16384
	// maxArms is how many parents one statement serves: a UNION ALL of more arms is slower to plan than two statements.
	maxArms = 128
	// maxBytes bounds the arms together, each with its filter. An argument counts as argBytes at least, for SQLite takes 32,766.
	maxBytes, argBytes = 512 << 10, 32
	// noID is an id that no row has: its arm of a UNION ALL has no rows.
	noID = 0
)

// Statement is a statement that reads, and its arguments. Every ? is a placeholder.
type Statement struct {
	Text string
	Args []any
	// Limit is how many rows are enough: once so many have been read, the statement is not run. 0: it is.
	Limit int
	// Few says what is run instead where there are few rows of some kind; nil: nothing.
	Few *Few
}

// Few is a statement that is run in place of another where the least of the numbers that Count selects is below Below.
type Few struct {
	Count   Statement
	Below   int64
	Instead Statement
}

// Rows returns the statements that read the windows of a group of lists, one row more of each than it holds. They select columns, such
// as t.name or e.role AS edge_role, each with a name of its own, and behind them what the list is sorted by, unless it is the id, and the
// parent's id, if there is one. The rows of one list come one after the other, in the order in which they are read: see Page.
func (l *List) Rows(group []Key, columns []string) []Statement {
	key := l.searched(group[0])
	switch {
	case key.Search.nothing():
		return nil
	case key.Order.By == Relevance:
		return l.found(key, columns)
	}
	if by := key.Order.By; by != nil {
		columns = append(columns, by.key())
	}
	if l.Parent == "" {
		return []Statement{l.whole(key, columns)}
	}
	columns = append(columns, l.Parent+" AS list_parent")
	one, same := l.window(key, columns), key.args(nil)
	if l.Few || l.Tree != nil || min(len(group), maxArms)*size(one, same) > maxBytes {
		return l.numbered(key, parents(group), columns)
	}
	const arm, union = "SELECT * FROM (", ") AS list UNION ALL " // SQLite takes no arms in parentheses
	var all []Statement
	for ids := range slices.Chunk(slices.Sorted(slices.Values(parents(group))), maxArms) {
		ids = padded[int64](ids, noID, maxArms)
		args := make([]any, 0, len(ids)*(1+len(same)))
		for _, id := range ids {
			args = append(append(args, id), same...)
		}
		all = append(all, Statement{Text: strings.TrimSuffix(strings.Repeat(arm+one+union, len(ids)), " UNION ALL "), Args: args})
	}
	return all
}

// size is about how many bytes a statement has.
func size(text string, args []any) int {
	n := len(text) + argBytes*len(args)
	for _, arg := range args {
		s, _ := arg.(string)
		n += len(s)
	}
	return n
}

// window is the select of one list's window.
func (l *List) window(key Key, columns []string) string {
	parent := ""
	if l.Parent != "" {
		parent = l.Parent + " = ?"
	}
	return "SELECT " + strings.Join(columns, ", ") + " FROM " + l.from() + l.where(key, parent) +
		" ORDER BY " + l.order(key) + " LIMIT ?"
}

// from is the tables of a statement. What is below is read before its nodes: SQLite would go through all nodes, unless they are a CROSS
// JOIN, whose condition stands in where.
func (l *List) from() string {
	switch {
	case l.Nodes == "":
		return l.From
	case l.Tree != nil:
		return l.From + " CROSS JOIN " + l.Nodes
	default:
		return l.From + " JOIN " + l.Nodes + " ON " + l.On
	}
}

// counted returns the list for a statement that counts its rows: without the nodes where no filter needs them, since each row has one.
func (l *List) counted(key Key) *List {
	if key.Filter != (Filter{}) {
		return l
	}
	alone := *l
	alone.Nodes = ""
	return &alone
}

// where is the clause that leaves out what is not in a window.
func (l *List) where(key Key, parent string) string {
	conditions := make([]string, 0, 5)
	filter, _ := key.Filter.split()
	on := ""
	if l.Tree != nil && l.Nodes != "" {
		on = l.On
	}
	for _, condition := range []string{parent, l.Where, on, filter} {
		if condition != "" {
			conditions = append(conditions, condition)
		}
	}
	w := key.Window
	if w.after != nowhere {
		conditions = append(conditions, l.beyond(key, !key.Order.Descending, !w.Last))
	}
	if w.before != nowhere {
		conditions = append(conditions, l.beyond(key, key.Order.Descending, w.Last))
	}
	if len(conditions) == 0 {
		return ""
	}
	return " WHERE " + strings.Join(conditions, " AND ")
}

// beyond is the condition of rows that come after a place, by greater values or by smaller ones. The window opens with the row at the
// place itself. (MariaDB scans where two columns are compared as one.)
func (l *List) beyond(key Key, greater, opens bool) string {
	than, or := " < ?", " <= ?"
	if greater {
		than, or = " > ?", " >= ?"
	}
	id := l.ID + than
	if opens {
		id = l.ID + or
	}
	by := key.Order.By
	if by == nil {
		return id
	}
	return by.Column + or + " AND (" + by.Column + than + " OR " + id + ")"
}

// order is the order in which the rows are read.
func (l *List) order(key Key) string {
	direction := ""
	if key.Order.Descending != key.Window.Last {
		direction = " DESC"
	}
	if by := key.Order.By; by != nil {
		return by.Column + direction + ", " + l.ID + direction
	}
	return l.ID + direction
}

// places appends the arguments of where behind the parent's.
func (k Key) places(args []any) []any {
	_, filter := k.Filter.split()
	args = append(args, filter...)
	for _, at := range []unique.Handle[place]{k.Window.after, k.Window.before} {
		if at == nowhere {
			continue
		}
		p := at.Value()
		switch {
		case k.Order.By == nil:
			args = append(args, p.id)
		case k.Order.By.Number:
			n, _ := strconv.ParseInt(p.sorted, 10, 64) // it is one: see has
			args = append(args, n, n, p.id)
		case k.Order.By.Time:
			args = append(args, plainTime(p.sorted), plainTime(p.sorted), p.id)
		default:
			args = append(args, p.sorted, p.sorted, p.id)
		}
	}
	return args
}

// args appends the arguments of a window, behind the parent's.
func (k Key) args(args []any) []any { return append(k.places(args), k.Window.limit()) }

// numbered returns the statements that read the windows of lists by numbering the rows of each.
func (l *List) numbered(key Key, parents []int64, columns []string) []Statement {
	names := make([]string, len(columns))
	for i, column := range columns {
		names[i] = column[strings.LastIndexAny(column, ". ")+1:]
	}
	numbered, joined, condition := *l, "", ""
	if l.withoutNodes(key) { // which are read of the windows alone, then
		const node = "ranked.list_node"
		joined, condition = " CROSS JOIN "+l.Nodes, " AND "+strings.ReplaceAll(l.On, l.ID, node)
		numbered.Nodes = ""
		selected := []string{l.ID + " AS list_node"}
		for i, column := range columns {
			if strings.HasPrefix(column, "t.") {
				names[i] = column
			} else {
				selected = append(selected, column)
			}
		}
		columns = selected
	}
	text := strings.Join(names, ", ") + " FROM (SELECT " + strings.Join(columns, ", ") +
		", ROW_NUMBER() OVER (PARTITION BY " + l.Parent + " ORDER BY " + l.order(key) + ") AS place FROM " + numbered.from()
	limit := ") AS ranked" + joined + " WHERE place <= ?" + condition + " ORDER BY list_parent, place"
	var all []Statement
	for of := range l.of(parents, key) {
		all = append(all, Statement{Text: of.begin + text + numbered.where(key, of.condition) + limit, Args: key.args(of.args)})
	}
	return all
}

// withoutNodes reports whether the rows below others can be numbered without their nodes, which nothing is asked of then.
func (l *List) withoutNodes(key Key) bool {
	return l.Tree != nil && l.Nodes != "" && key.Filter == (Filter{}) && (key.Order.By == nil || strings.HasPrefix(key.Order.By.Column, "e."))
}

// some is what a statement has about some parents: how it begins, a condition, and the arguments of both.
type some struct {
	begin, condition string
	args             []any
}

// of yields it for at most MaxKeys parents at a time. The table below has no rows of other parents.
func (l *List) of(parents []int64, key Key) iter.Seq[some] {
	return func(yield func(some) bool) {
		for marks, args := range In(parents) {
			s := some{"SELECT ", l.Parent + " IN (" + marks + ")", args}
			if l.Tree != nil {
				s = some{begin: l.Tree.below(marks) + Recursion, args: append(args, key.Depth)}
			}
			if !yield(s) {
				return
			}
		}
	}
}

// kept reports whether the number of a list is kept: that of a whole table.
func (l *List) kept(key Key) bool {
	return l.Parent == "" && l.Total != "" && key.Filter == (Filter{}) && !key.Search.given()
}

// Count returns the statements that count the rows of a group of whole lists. They select the number and, if there is one, the parent's
// id.
func (l *List) Count(group []Key) []Statement {
	if found := group[0].Search; found.given() && !found.nothing() {
		return []Statement{l.countFound(group[0], math.MaxInt64)}
	}
	key := l.searched(group[0])
	counted := l.counted(key)
	from := counted.from()
	switch {
	case l.kept(key):
		return []Statement{{Text: l.Total}}
	case l.Parent == "":
		return []Statement{{Text: "SELECT COUNT(*) FROM " + from + counted.where(key, ""), Args: key.places(nil)}}
	}
	var all []Statement
	for of := range l.of(parents(group), key) {
		all = append(all, Statement{
			Text: of.begin + "COUNT(*), " + l.Parent + " FROM " + from + counted.where(key, of.condition) + " GROUP BY " + l.Parent,
			Args: key.places(of.args),
		})
	}
	return all
}

// MaxCount is how far CountUpTo counts at most.
const MaxCount = 10_000

// CountUpTo returns the statements that count the rows of a group of whole lists, but of each at most as many as its limit, unless the number
// of all is kept. They select the number and, if there is one, the parent's id, or 0 where there are no rows. It is for lists without a Tree.
func (l *List) CountUpTo(group []Key, limits []int64) []Statement {
	switch key := group[0]; {
	case l.kept(key):
		return []Statement{{Text: l.Total}}
	case key.Search.given() && !key.Search.nothing():
		return []Statement{l.countFound(key, limits[0])}
	}
	key := l.searched(group[0])
	from := l.counted(key).from()
	if l.Parent == "" {
		return []Statement{{Text: "SELECT COUNT(*) FROM (SELECT 1 AS one FROM " + from + l.where(key, "") + " LIMIT ?) AS counted", Args: append(key.places(nil), limits[0])}}
	}
	const union = " UNION ALL "
	arm := "SELECT COUNT(*), COALESCE(MIN(counted.list_parent), 0) FROM (SELECT " + l.Parent + " AS list_parent FROM " + from + l.where(key, l.Parent+" = ?") + " LIMIT ?) AS counted" + union
	arms := max(1, min(maxArms, maxBytes/size(arm, key.places(nil))))
	type bounded struct{ parent, limit int64 }
	lists := make([]bounded, len(group))
	for i, key := range group {
		lists[i] = bounded{key.Parent.id, limits[i]}
	}
	slices.SortFunc(lists, func(a, b bounded) int { return cmp.Compare(a.parent, b.parent) })
	var all []Statement
	for chunk := range slices.Chunk(lists, arms) {
		chunk = padded(chunk, bounded{parent: noID}, arms)
		var args []any
		for _, of := range chunk {
			args = append(key.places(append(args, of.parent)), of.limit)
		}
		all = append(all, Statement{Text: strings.TrimSuffix(strings.Repeat(arm, len(chunk)), union), Args: args})
	}
	return all
}

// Parents is how many columns of a row tell its parent: one, or none.
func (l *List) Parents() int {
	if l.Parent == "" {
		return 0
	}
	return 1
}

// ParentOf returns the parent whose id a row of the list has, or none.
func (l *List) ParentOf(id int64) Parent { return Parent{id: id, given: l.Parent != ""} }

// In yields, for at most MaxKeys keys at a time, the placeholders of an IN list and its arguments: in order, and, so that a database
// sees few different statements, as many as a power of two, the last one being repeated.
func In(keys []int64) func(yield func(marks string, args []any) bool) {
	return func(yield func(string, []any) bool) {
		for chunk := range slices.Chunk(slices.Sorted(slices.Values(keys)), MaxKeys) {
			keys := padded(chunk, chunk[len(chunk)-1], MaxKeys)
			args := make([]any, len(keys), len(keys)+3) // and what follows in the statement
			for i, key := range keys {
				args[i] = key
			}
			if !yield(Marks(len(keys)), args) {
				return
			}
		}
	}
}

// Marks is a list of n placeholders, of which there are at most MaxKeys.
func Marks(n int) string { return allMarks[:2*n-1] }

var allMarks = strings.Repeat("?,", MaxKeys)

// padded returns keys with as many more as make a power of two, or limit.
func padded[V any](keys []V, with V, limit int) []V {
	n := min(1<<bits.Len(uint(len(keys)-1)), limit)
	return append(slices.Clone(keys), slices.Repeat([]V{with}, n-len(keys))...)
}
