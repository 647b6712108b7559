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

// least is the first of the words of the node with an id that do not come before another word.
func (w *Words) least(id string) string {
	return "(SELECT s.word FROM " + w.Table + " s WHERE s." + w.Node + " = " + id + " AND s.word >= ? ORDER BY s.word LIMIT 1)"
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

// matched reads the others. A database begins with the table of which a condition seems to leave the fewest rows, as if all of them were
// read, and then sorts. So the words that match are gone through in the order of their index, until the window is full, and what else
// a row has to meet is hidden in a CASE. But where few rows meet one of these conditions, it is begun with those.
func (l *List) matched(key Key, columns []string) Statement {
	w, words := l.Words, &List{From: l.Words.Table + " w", ID: "w." + l.Words.Node}
	word, others := key.Search.split()
	filter, values := key.Filter.split()
	selected := func(from string) []string {
		return append(slices.Clone(columns), "CONCAT('1', "+from+".word) AS sort_key")
	}
	on := func(table string) string { return l.ID + " = " + table + "." + w.Node }
	key.Order.By = &Sort{Column: "w.word"}

	least := w.least(words.ID)
	end, _ := successor(key.Search.phrase())
	apart := "(" + w.Name + " < ? OR " + w.Name + " >= ?)" // from those that begin with the phrase
	hidden, args := least+" = w.word", []any{word}
	few := key
	few.Filter = Filter{}.And(matches("w", word)).And("CASE WHEN "+hidden+" AND "+apart+" THEN TRUE END", word, key.Search.phrase(), end)
	for _, other := range others {
		_, from, end := matches("s", other)
		hidden, args = hidden+" AND "+least+" < ?", append(args, from, end)
		few.Filter = few.Filter.And(w.has(words.ID, other))
	}
	one := "SELECT 1 FROM " + l.From + " WHERE " + l.ID + " = " + words.ID + " AND " + apart
	args = append(args, key.Search.phrase(), end)
	if filter != "" {
		one, args = one+" AND "+filter, append(args, values...)
		few.Filter = few.Filter.And(filter, values...)
	}
	key.Filter = Filter{}.And(matches("w", word)).And("CASE WHEN "+hidden+" AND ("+one+") = 1 THEN TRUE END", args...)
	s := Statement{
		Text: "SELECT " + strings.Join(selected("page"), ", ") + " FROM (" + words.window(key, []string{"w.word", words.ID}) + ") page JOIN " + l.From + " ON " + on("page") +
			" ORDER BY " + strings.ReplaceAll(words.order(key), "w.", "page."),
		Args: key.args(nil),
	}
	if count := l.countBesides(key.Search, filter, values); count.Text != "" {
		words.Nodes, words.On = l.From, on("w")
		s.Few = &Few{Count: count, Below: fewRows, Instead: Statement{Text: words.window(few, selected("w")), Args: few.args(nil)}}
	}
	return s
}

// countBesides returns the statement that counts, as far as that is few, the rows that meet each condition of a search besides its decisive
// word, and a filter; without a text if there is none.
func (l *List) countBesides(search Search, filter string, values []any) (count Statement) {
	var all []string
	add := func(from string, args ...any) {
		all = append(all, "SELECT COUNT(*) FROM (SELECT 1 FROM "+from+" LIMIT ?) c")
		count.Args = append(append(count.Args, args...), fewRows)
	}
	_, others := search.split()
	for _, other := range others {
		condition, from, end := matches("w", other)
		add(l.Words.Table+" w WHERE "+condition, from, end)
	}
	if filter != "" {
		add(l.From+" WHERE "+filter, values...)
	}
	count.Text = strings.Join(all, " UNION ALL ")
	return count
}

// countFound returns the statement that counts what a search finds, up to a limit. It begins as that of a page does: see matched.
func (l *List) countFound(key Key, limit int64) Statement {
	w, words := l.Words, &List{From: l.Words.Table + " w", ID: "w." + l.Words.Node}
	word, others := key.Search.split()
	filter, values := key.Filter.split()
	count := func(selected string, where Filter) Statement {
		one := Key{Filter: where}
		return Statement{
			Text: "SELECT COUNT(*) FROM (SELECT " + selected + " FROM " + words.from() + words.where(one, "") + " LIMIT ?) AS counted",
			Args: append(one.places(nil), limit),
		}
	}
	few := Filter{}.And(matches("w", word))
	if len(others) == 0 && filter == "" {
		return count("DISTINCT "+words.ID, few)
	}
	var hidden Filter
	for _, other := range others {
		condition, from, end := w.has(words.ID, other)
		hidden, few = hidden.And(w.least(words.ID)+" < ?", from, end), few.And(condition, from, end)
	}
	if filter != "" {
		hidden = hidden.And("(SELECT 1 FROM "+l.From+" WHERE "+l.ID+" = "+words.ID+" AND "+filter+") = 1", values...)
		few = few.And(filter, values...)
	}
	condition, args := hidden.And(w.least(words.ID)+" = w.word", word).split() // each once
	s := count("1 AS one", Filter{}.And(matches("w", word)).And("CASE WHEN "+condition+" THEN TRUE END", args...))
	if filter != "" {
		words.Nodes, words.On = l.From, l.ID+" = "+words.ID
	}
	s.Few = &Few{Count: l.countBesides(key.Search, filter, values), Below: fewRows, Instead: count("DISTINCT "+words.ID, few)}
	return s
}
