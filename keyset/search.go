package keyset

import (
	"slices"
	"strings"
)

// Search is what somebody looks for in a list. Its zero value is nothing: then the list has all of its rows.
type Search struct {
	phrase string
	words  string // with spaces between them
	given  bool
}

// NewSearch returns the search for the rows that have a word beginning with each of some words, which no other of them begins with.
// Without any it finds nothing. Rows that begin with the phrase come first; all of them have such words.
func NewSearch(phrase string, words []string) Search {
	return Search{phrase, strings.Join(words, " "), true}
}

// nothing reports whether it finds nothing.
func (s Search) nothing() bool { return s.given && s.words == "" }

// split returns the word that decides the order of what is found, which is the longest, and the others.
func (s Search) split() (decisive string, others []string) {
	words := strings.Fields(s.words)
	slices.SortStableFunc(words, func(a, b string) int { return len(b) - len(a) })
	return words[0], words[1:]
}

// Words is the table of the words by which the nodes of a list are found: the columns word and Node, in this order its primary key,
// and in the other one an index.
type Words struct {
	Table string
	Node  string // the column that has the ids of the nodes
	Name  string // the column of the nodes' table that may begin with a phrase, such as t.name
}

// Relevance is the order of what is found: first the rows that begin with the phrase, by this, so that the first of them is the phrase;
// then all others, by the least of their words that begins with the search's longest word. Each of the two has an index. What a
// row is sorted by tells, in its first byte, to which of them it belongs.
var Relevance = &Sort{Name: "RELEVANCE"}

const (
	beginning = '0'
	matching  = '1'
)

// searched returns the key of a list in which a filter does what its search asks for, unless the order does.
func (l *List) searched(key Key) Key {
	switch {
	case key.Search.nothing():
		key.Filter = key.Filter.And("1 = 0")
	case key.Order.By == Relevance:
		return key
	}
	for word := range strings.FieldsSeq(key.Search.words) {
		end, _ := successor(word)
		key.Filter = key.Filter.And("EXISTS (SELECT 1 FROM "+l.Words.Table+" w WHERE w."+l.Words.Node+" = "+l.ID+" AND w.word >= ? AND w.word < ?)", word, end)
	}
	return key
}

// found returns the statements that read the window of a list in order of relevance: one for each half of the list that the window may
// reach. The second is needed only where the first has not filled the window.
func (l *List) found(key Key, columns []string) (all []Statement) {
	halves := []byte{beginning, matching}
	if key.Order.Descending != key.Window.Last {
		slices.Reverse(halves)
	}
	for _, half := range halves {
		part := key
		var reached bool
		if part.Window, reached = key.within(half); !reached {
			continue
		}
		var s Statement
		if half == beginning {
			s = l.begun(part, columns)
		} else {
			s = l.matched(part, columns)
		}
		s.Limit = int(key.Window.limit())
		all = append(all, s)
	}
	return all
}

// within returns the window of one half of the rows; reached reports whether there is any.
func (k Key) within(half byte) (w Window, reached bool) {
	w = k.Window
	for p, after := range map[*place]bool{&w.after: true, &w.before: false} {
		switch {
		case !p.given():
		case p.sorted[0] == half:
			p.sorted = p.sorted[1:]
		case (p.sorted[0] < half) == (after != k.Order.Descending): // all of the half is beyond the place
			*p = place{}
		default:
			return w, false
		}
	}
	return w, true
}

// begun reads those that begin with the phrase.
func (l *List) begun(key Key, columns []string) Statement {
	end, _ := successor(key.Search.phrase)
	name := l.Words.Name
	key.Filter = key.Filter.And(name+" >= ? AND "+name+" < ?", key.Search.phrase, end)
	key.Order.By = &Sort{Column: name}
	return Statement{Text: l.window(key, append(columns, "CONCAT('0', "+name+") AS sort_key")), Args: key.args(nil)}
}

// matched reads the others. Databases take a condition with EXISTS for a join, and begin with what seems to be the least of the tables,
// as if all rows were read. So the words are read alone, in the order of their index, and the conditions are subqueries that have one
// value; with a filter, which may be what leaves the fewest rows, they may choose.
func (l *List) matched(key Key, columns []string) Statement {
	w, filter := l.Words, key.Filter
	word, others := key.Search.split()
	end, _ := successor(word)
	from, _ := successor(key.Search.phrase)
	least := "(SELECT s.word FROM " + w.Table + " s WHERE s." + w.Node + " = w." + w.Node + " AND s.word >= ? ORDER BY s.word LIMIT 1)"
	key.Filter = Filter{}.And("w.word >= ? AND w.word < ?", word, end).And(least+" = w.word", word)
	for _, other := range others {
		end, _ := successor(other)
		key.Filter = key.Filter.And(least+" < ?", other, end)
	}
	key.Order.By = &Sort{Column: "w.word"}
	columns = append(columns, "CONCAT('1', w.word) AS sort_key")
	words := &List{From: w.Table + " w", ID: "w." + w.Node}
	join := " JOIN " + l.From + " ON " + l.ID + " = w." + w.Node
	// Not as a range, for which MariaDB would read an index of the names.
	apart := "CASE WHEN " + w.Name + " < ? OR " + w.Name + " >= ? THEN 1 END"
	if condition, args := filter.split(); condition != "" {
		words.Join = join
		key.Filter = key.Filter.And(apart+" = 1", key.Search.phrase, from).And(condition, args...)
		return Statement{Text: words.window(key, columns), Args: key.args(nil)}
	}
	key.Filter = key.Filter.And("(SELECT "+apart+" FROM "+l.From+" WHERE "+l.ID+" = w."+w.Node+") = 1", key.Search.phrase, from)
	return Statement{
		Text: "SELECT " + strings.Join(columns, ", ") + " FROM (" + words.window(key, []string{"w.word", "w." + w.Node}) + ") w" + join +
			" ORDER BY " + words.order(key),
		Args: key.args(nil),
	}
}
