package keyset

import (
	"slices"
	"strings"
	"unique"
)

// Search is what somebody looks for in a list. Its zero value is nothing: then the list has all of its rows.
type Search struct {
	looked unique.Handle[looked] // zero: nothing. So a key stays small.
}

type looked struct {
	phrase string
	words  string // with spaces between them
}

// NewSearch returns the search for the rows that have a word beginning with each of some words, which no other of them begins with.
// Without any it finds nothing. Rows that begin with the phrase come first; all of them have such words.
func NewSearch(phrase string, words []string) Search {
	return Search{unique.Make(looked{phrase, strings.Join(words, " ")})}
}

func (s Search) given() bool    { return s != Search{} }
func (s Search) phrase() string { return s.looked.Value().phrase }

// words returns the words, of which there are none in a search that finds nothing.
func (s Search) words() []string { return strings.Fields(s.looked.Value().words) }

// nothing reports whether it finds nothing.
func (s Search) nothing() bool { return s.given() && len(s.words()) == 0 }

// split returns the word that decides the order of what is found, which is the longest, and the others.
func (s Search) split() (decisive string, others []string) {
	words := s.words()
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

// has returns the condition that the node with an id has a word that begins with another.
func (w *Words) has(id, word string) (condition string, from, end any) {
	condition, from, end = matches("s", word)
	return "EXISTS (SELECT 1 FROM " + w.Table + " s WHERE s." + w.Node + " = " + id + " AND " + condition + ")", from, end
}

// matches returns the condition that the word in a table begins with another.
func matches(table, word string) (condition string, from, end any) {
	end, _ = successor(word)
	return table + ".word >= ? AND " + table + ".word < ?", word, end
}

// fewRows is how many rows take about as long to be sorted as it takes to find a page of them among others.
const fewRows int64 = 3000

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
	case !key.Search.given():
		return key
	case key.Search.nothing():
		key.Filter = key.Filter.And("1 = 0")
	case key.Order.By == Relevance:
		return key
	}
	for _, word := range key.Search.words() {
		key.Filter = key.Filter.And(l.Words.has(l.ID, word))
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
	for at, after := range map[*unique.Handle[place]]bool{&w.after: true, &w.before: false} {
		if *at == nowhere {
			continue
		}
		switch p := at.Value(); {
		case p.sorted[0] == half:
			*at = unique.Make(place{p.id, p.sorted[1:]})
		case (p.sorted[0] < half) == (after != k.Order.Descending): // all of the half is beyond the place
			*at = nowhere
		default:
			return w, false
		}
	}
	return w, true
}

// begun reads those that begin with the phrase.
func (l *List) begun(key Key, columns []string) Statement {
	end, _ := successor(key.Search.phrase())
	name := l.Words.Name
	key.Filter = key.Filter.And(name+" >= ? AND "+name+" < ?", key.Search.phrase(), end)
	key.Order.By = &Sort{Column: name}
	return Statement{Text: l.window(key, append(columns, "CONCAT('0', "+name+") AS sort_key")), Args: key.args(nil)}
}

// matched reads the others.
func (l *List) matched(key Key, columns []string) Statement {
	w := l.Words
	end, _ := successor(key.Search.phrase())
	words := &List{From: w.Table + " w", ID: "w." + w.Node}
	on := func(table string) string { return l.ID + " = " + table + "." + w.Node }
	selected := func(from string) []string {
		return append(slices.Clone(columns), "CONCAT('1', "+from+".word) AS sort_key")
	}
	m := l.wordRows(key, "("+w.Name+" < ? OR "+w.Name+" >= ?)", key.Search.phrase(), end)
	key.Order.By = &Sort{Column: "w.word"}
	few := key
	key.Filter, few.Filter = m.hidden, m.few
	s := Statement{
		Text: "SELECT " + strings.Join(selected("page"), ", ") + " FROM (" + words.window(key, []string{"w.word", words.ID}) + ") page JOIN " + l.From + " ON " + on("page") +
			" ORDER BY " + strings.ReplaceAll(words.order(key), "w.", "page."),
		Args: key.args(nil),
	}
	if m.count.Text != "" {
		words.Nodes, words.On = l.From, on("w")
		s.Few = &Few{Count: m.count, Below: fewRows, Instead: Statement{Text: words.window(few, selected("w")), Args: few.args(nil)}}
	}
	return s
}

// countedUpTo counts what a search finds, up to a limit.
func (l *List) countedUpTo(key Key, limit int64) Statement {
	words := &List{From: l.Words.Table + " w", ID: "w." + l.Words.Node}
	count := func(filter Filter) Statement {
		one := Key{Filter: filter}
		return Statement{Text: "SELECT COUNT(*) FROM (SELECT 1 AS one FROM " + words.from() + words.where(one, "") + " LIMIT ?) AS counted", Args: append(one.places(nil), limit)}
	}
	m := l.wordRows(key, "")
	s := count(m.hidden)
	if m.count.Text != "" {
		if key.Filter != (Filter{}) {
			words.Nodes, words.On = l.From, l.ID+" = "+words.ID
		}
		s.Few = &Few{Count: m.count, Below: fewRows, Instead: count(m.few)}
	}
	return s
}

// wordRows is how the rows of a search's words, as w, are found, of each node the one of its least word that begins with the search's
// decisive one. A database begins with the table of which a condition seems to leave the fewest rows, as if all of them were read. So the
// words that match are gone through in the order of their index, until there are enough, and what else a row has to meet is hidden in a
// CASE. But where few rows meet one of these conditions, it is begun with those.
type wordRows struct {
	hidden, few Filter
	count       Statement // that tells which; without a text: hidden
}

// wordRows returns them for a key's search and filter. apart is a condition about the node that no index serves, or "".
func (l *List) wordRows(key Key, apart string, args ...any) (m wordRows) {
	w := l.Words
	id := "w." + w.Node
	word, others := key.Search.split()
	filter, values := key.Filter.split()
	least := "(SELECT s.word FROM " + w.Table + " s WHERE s." + w.Node + " = " + id + " AND s.word >= ? ORDER BY s.word LIMIT 1)"
	guarded := func(conditions []string) string {
		return "CASE WHEN " + strings.Join(conditions, " AND ") + " THEN TRUE END"
	}

	hidden, hiddenArgs := []string{least + " = w.word"}, []any{word}
	first, firstArgs := slices.Clone(hidden), []any{word}
	one, oneArgs := "SELECT 1 FROM "+l.From+" WHERE "+l.ID+" = "+id, slices.Clone(args)
	if apart != "" {
		first, firstArgs, one = append(first, apart), append(firstArgs, args...), one+" AND "+apart
	}
	m.few = Filter{}.And(matches("w", word)).And(guarded(first), firstArgs...)
	var numbers []string
	count := func(from, condition string, args ...any) {
		numbers = append(numbers, "SELECT COUNT(*) FROM (SELECT 1 FROM "+from+" WHERE "+condition+" LIMIT ?) c")
		m.count.Args = append(append(m.count.Args, args...), fewRows)
	}
	for _, other := range others {
		condition, from, end := matches("w", other)
		hidden, hiddenArgs = append(hidden, least+" < ?"), append(hiddenArgs, from, end)
		m.few = m.few.And(w.has(id, other))
		count(w.Table+" w", condition, from, end)
	}
	if filter != "" {
		one, oneArgs = one+" AND "+filter, append(oneArgs, values...)
		m.few = m.few.And(filter, values...)
		count(l.From, filter, values...)
	}
	if apart != "" || filter != "" {
		hidden, hiddenArgs = append(hidden, "("+one+") = 1"), append(hiddenArgs, oneArgs...)
	}
	m.hidden = Filter{}.And(matches("w", word)).And(guarded(hidden), hiddenArgs...)
	m.count.Text = strings.Join(numbers, " UNION ALL ")
	return m
}
