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

	least := "(SELECT s.word FROM " + w.Table + " s WHERE s." + w.Node + " = " + words.ID + " AND s.word >= ? ORDER BY s.word LIMIT 1)"
	end, _ := successor(key.Search.phrase())
	apart := "(" + w.Name + " < ? OR " + w.Name + " >= ?)" // from those that begin with the phrase
	hidden, args := least+" = w.word", []any{word}
	few := key
	few.Filter = Filter{}.And(matches("w", word)).And("CASE WHEN "+hidden+" AND "+apart+" THEN TRUE END", word, key.Search.phrase(), end)
	var numbers []string
	var counted []any
	for _, other := range others {
		condition, from, end := matches("w", other)
		hidden, args = hidden+" AND "+least+" < ?", append(args, from, end)
		few.Filter = few.Filter.And(w.has(words.ID, other))
		numbers, counted = append(numbers, w.Table+" w WHERE "+condition), append(counted, from, end, fewRows)
	}
	one := "SELECT 1 FROM " + l.From + " WHERE " + l.ID + " = " + words.ID + " AND " + apart
	args = append(args, key.Search.phrase(), end)
	if filter != "" {
		one, args = one+" AND "+filter, append(args, values...)
		few.Filter = few.Filter.And(filter, values...)
		numbers, counted = append(numbers, l.From+" WHERE "+filter), append(append(counted, values...), fewRows)
	}
	key.Filter = Filter{}.And(matches("w", word)).And("CASE WHEN "+hidden+" AND ("+one+") = 1 THEN TRUE END", args...)
	s := Statement{
		Text: "SELECT " + strings.Join(selected("page"), ", ") + " FROM (" + words.window(key, []string{"w.word", words.ID}) + ") page JOIN " + l.From + " ON " + on("page") +
			" ORDER BY " + strings.ReplaceAll(words.order(key), "w.", "page."),
		Args: key.args(nil),
	}
	if len(numbers) > 0 {
		words.Nodes, words.On = l.From, on("w")
		for i, of := range numbers {
			numbers[i] = "SELECT COUNT(*) FROM (SELECT 1 FROM " + of + " LIMIT ?) c"
		}
		s.Few = &Few{
			Count: Statement{Text: strings.Join(numbers, " UNION ALL "), Args: counted}, Below: fewRows,
			Instead: Statement{Text: words.window(few, selected("w")), Args: few.args(nil)},
		}
	}
	return s
}
