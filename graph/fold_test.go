package graph_test

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"testing"
	"unicode"

	"rollcall/fold"
	"rollcall/fold/foldtest"
	"rollcall/model"
)

// folded is a user of the directory that the table of pairs is tried on.
type folded struct{ id, name string }

// createFolded adds a user for each name, who is also somewhere with the name within.
func (d *directory) createFolded(names []string) (users []folded) {
	d.tb.Helper()
	for chunk := range slices.Chunk(names, 100) {
		var inputs, creates strings.Builder
		var variables []any
		for i, name := range chunk {
			fmt.Fprintf(&inputs, "$u%d: CreateUserInput! ", i)
			fmt.Fprintf(&creates, "u%d: createUser(input: $u%[1]d) { user { id } }\n", i)
			variables = append(variables, fmt.Sprintf("u%d", i),
				map[string]any{"name": name, "email": fmt.Sprintf("qq%d@example.com", len(users)+i), "location": "Qq " + name + " qQ"})
		}
		a := d.must("mutation("+inputs.String()+") {"+creates.String()+"}", variables...)
		for i, name := range chunk {
			users = append(users, folded{a.at(d.tb, fmt.Sprintf("u%d.user.id", i)).(string), name})
		}
	}
	return users
}

// searchFinds reports whether a name is found by a query, as the words of both are in memory.
func searchFinds(name, query string) bool {
	words, terms := fold.Words(name), fold.Terms(query)
	return len(terms) > 0 && !slices.ContainsFunc(terms, func(term string) bool {
		return !slices.ContainsFunc(words, func(word string) bool { return strings.HasPrefix(word, term) })
	})
}

func TestEveryDatabaseFindsAndSortsNamesAsTheTableOfPairsSays(t *testing.T) {
	type trial struct {
		foldtest.Pair
		user  folded
		asked string // the other form of the name
	}
	var names []string
	var trials []trial
	for _, p := range foldtest.Pairs() {
		named, asked := p.Left, p.Right
		if _, err := model.CheckName(named); err != nil { // it has what cannot be seen, and may be asked for alone
			named, asked = asked, named
		}
		names, trials = append(names, named), append(trials, trial{Pair: p, asked: asked})
	}
	for _, p := range trials {
		if _, err := model.CheckName(p.asked); err == nil {
			names = append(names, p.asked)
		}
	}
	onEveryDatabase(t, func(t *testing.T, d *directory) {
		users := d.createFolded(names)
		trials := slices.Clone(trials)
		for i := range trials {
			trials[i].user = users[i]
		}

		for what, filter := range map[string]struct {
			condition func(asked string) map[string]any
			finds     func(p trial) bool
		}{
			"name eq": {
				func(asked string) map[string]any { return map[string]any{"name": map[string]any{"eq": asked}} },
				func(p trial) bool { return p.Same },
			},
			"name startsWith": {
				func(asked string) map[string]any { return map[string]any{"name": map[string]any{"startsWith": asked}} },
				func(p trial) bool { return p.Same || strings.HasPrefix(fold.Text(p.user.name), fold.Text(p.asked)) },
			},
			"name contains": {
				func(asked string) map[string]any { return map[string]any{"name": map[string]any{"contains": asked}} },
				func(p trial) bool { return p.Same || strings.Contains(fold.Text(p.user.name), fold.Text(p.asked)) },
			},
			"location contains": {
				func(asked string) map[string]any {
					return map[string]any{"location": map[string]any{"contains": "q " + asked + " Q"}}
				},
				func(p trial) bool { return p.Same },
			},
		} {
			for chunk := range slices.Chunk(trials, 50) { // of two conditions each
				var either []any
				for _, p := range chunk {
					condition := filter.condition(p.asked)
					condition["id"] = map[string]any{"in": []any{p.user.id}}
					either = append(either, condition)
				}
				found := nodes(t, d.must(`query($f: UserFilter) { users(first: 50, filter: $f) { nodes { id } } }`, "f", map[string]any{"or": either}))
				for _, p := range chunk {
					if got := slices.Contains(found, p.user.id); got != filter.finds(p) {
						t.Errorf("%s, %s: %+q finds %+q: %t", p, what, p.asked, p.user.name, got)
					}
				}
			}
		}

		for chunk := range slices.Chunk(trials, 100) {
			var types, searches strings.Builder
			var variables []any
			for i, p := range chunk {
				fmt.Fprintf(&types, "$q%d: String ", i)
				fmt.Fprintf(&searches, "u%d: users(query: $q%[1]d, filter: {id: {in: [%q]}}) { nodes { id } }\n", i, p.user.id)
				variables = append(variables, fmt.Sprintf("q%d", i), p.asked)
			}
			a := d.must("query("+types.String()+") {"+searches.String()+"}", variables...)
			for i, p := range chunk {
				found := len(a.at(t, fmt.Sprintf("u%d.nodes", i)).([]any)) == 1
				want := searchFinds(p.user.name, p.asked)
				if p.Same {
					want = strings.ContainsFunc(p.asked, func(r rune) bool { return unicode.In(r, unicode.L, unicode.N, unicode.M) })
				}
				if found != want {
					t.Errorf("%s, search: %+q finds %+q: %t", p, p.asked, p.user.name, found)
				}
			}
		}

		var got []string
		for after, more := any(nil), true; more; {
			a := d.must(`query($after: String) { users(first: 100, after: $after, orderBy: {field: NAME}) { nodes { id } pageInfo { hasNextPage endCursor } } }`, "after", after)
			got = append(got, nodes(t, a)...)
			after, more = a.at(t, "users.pageInfo.endCursor"), a.at(t, "users.pageInfo.hasNextPage") == true
		}
		slices.SortStableFunc(users, func(a, b folded) int { return cmp.Compare(fold.Text(a.name), fold.Text(b.name)) })
		for i, u := range users {
			if i >= len(got) || got[i] != u.id {
				t.Fatalf("by name, the place %d is not that of %+q: %s", i, u.name, got)
			}
		}
	})
}
