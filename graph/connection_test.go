package graph_test

import (
	"cmp"
	"encoding/base64"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"rollcall/fold"
	"rollcall/keyset"
)

// list is one of the directory's lists, as a query asks for it.
type list struct {
	name, field string
	within      string   // the field that it is in, or ""
	orders      []string // besides ID
}

var (
	userOrders = []string{"NAME", "EMAIL", "CREATED_AT", "UPDATED_AT"}
	teamOrders = []string{"NAME", "CREATED_AT", "UPDATED_AT"}
	ofEdges    = []string{"JOINED_AT", "ROLE"}
)

var lists = []list{
	{"Query.users", "users", "", userOrders},
	{"Query.teams", "teams", "", teamOrders},
	{"User.reports", "reports", `user(id: "User:1")`, userOrders},
	{"User.teams", "teams", `user(id: "User:1")`, slices.Concat(teamOrders, ofEdges)},
	{"Team.members", "members", `team(id: "Team:1")`, slices.Concat(userOrders, ofEdges)},
}

// edge is a row of a list, as a client sees it.
type edge struct {
	cursor, id string
	values     map[string]string // what it may be sorted by
}

// page is a page of a list, as a client sees it.
type page struct {
	edges                  []edge
	hasNext, hasPrevious   bool
	startCursor, endCursor string
}

// pages asks for pages of a list in one request.
func (l list) pages(d *directory, arguments ...string) (all []page) {
	d.tb.Helper()
	node, own := "id createdAt updatedAt name", ""
	if strings.Contains(fmt.Sprint(l.orders), "EMAIL") {
		node += " email"
	}
	if strings.Contains(fmt.Sprint(l.orders), "ROLE") {
		own = "role joinedAt"
	}
	var query strings.Builder
	for i, a := range arguments {
		field := fmt.Sprintf("p%d: %s(%s) { edges { cursor %s node { %s } } nodes { id } pageInfo { hasNextPage hasPreviousPage startCursor endCursor } }", i, l.field, a, own, node)
		if l.within != "" {
			field = fmt.Sprintf("p%d: %s { %s }", i, l.within, field)
		}
		query.WriteString(field + "\n")
	}
	a := d.must("{" + query.String() + "}")
	for i := range arguments {
		name := fmt.Sprintf("p%d", i)
		got, _ := a.Data[name].(map[string]any)
		if l.within != "" {
			got, _ = got[name].(map[string]any)
		}
		info, _ := got["pageInfo"].(map[string]any)
		p := page{hasNext: info["hasNextPage"] == true, hasPrevious: info["hasPreviousPage"] == true}
		p.startCursor, _ = info["startCursor"].(string)
		p.endCursor, _ = info["endCursor"].(string)
		nodes, _ := got["nodes"].([]any)
		for j, e := range got["edges"].([]any) {
			of := e.(map[string]any)
			node := of["node"].(map[string]any)
			values := map[string]string{}
			for name, value := range mapped(of, node) {
				values[name] = fmt.Sprint(value)
			}
			if nodes[j].(map[string]any)["id"] != node["id"] {
				d.tb.Errorf("%s: edges and nodes differ: %s", l.name, a.raw)
			}
			p.edges = append(p.edges, edge{of["cursor"].(string), node["id"].(string), values})
		}
		if len(nodes) != len(p.edges) {
			d.tb.Errorf("%s: %d nodes for %d edges", l.name, len(nodes), len(p.edges))
		}
		all = append(all, p)
	}
	return all
}

// mapped is what an edge and its node may be sorted by, by the names of the orders.
func mapped(e, node map[string]any) map[string]any {
	name, _ := node["name"].(string)
	return map[string]any{
		"NAME": fold.Text(name), "EMAIL": node["email"], "CREATED_AT": node["createdAt"], "UPDATED_AT": node["updatedAt"],
		"JOINED_AT": e["joinedAt"], "ROLE": e["role"],
	}
}

// inOrder compares two rows as an order has them, ascending.
func inOrder(order string) func(a, b edge) int {
	number := func(id string) (n int) {
		_, _ = fmt.Sscanf(id[strings.Index(id, ":")+1:], "%d", &n)
		return n
	}
	return func(a, b edge) int {
		return cmp.Or(cmp.Compare(a.values[order], b.values[order]), cmp.Compare(number(a.id), number(b.id)))
	}
}

// eachOrder runs fn with each list in each order and direction: all of it, as one page has it, and the argument of the order.
func eachOrder(t *testing.T, d *directory, fn func(t *testing.T, l list, orderBy string, all []edge)) {
	t.Helper()
	d.maxPage(1000)
	for _, l := range lists {
		for _, order := range append([]string{"ID"}, l.orders...) {
			for _, direction := range []string{"ASC", "DESC"} {
				orderBy := fmt.Sprintf("orderBy: {field: %s, direction: %s}", order, direction)
				all := l.pages(d, "first: 1000, "+orderBy)[0].edges
				t.Run(fmt.Sprintf("%s by %s %s", l.name, order, direction), func(t *testing.T) {
					compare := inOrder(order)
					if direction == "DESC" {
						compare = func(a, b edge) int { return inOrder(order)(b, a) }
					}
					if !slices.IsSortedFunc(all, compare) || len(all) < 3 {
						t.Fatalf("this is not in order: %v", all)
					}
					fn(t, l, orderBy, all)
				})
			}
		}
	}
}

// window is the arguments of a page, as the specification has them. A number below 0 and an empty cursor are left out.
type window struct {
	first, last   int
	after, before string
}

func (w window) String() string {
	var all []string
	for name, n := range map[string]int{"first": w.first, "last": w.last} {
		if n >= 0 {
			all = append(all, fmt.Sprintf("%s: %d", name, n))
		}
	}
	for name, cursor := range map[string]string{"after": w.after, "before": w.before} {
		if cursor != "" {
			all = append(all, fmt.Sprintf("%s: %q", name, cursor))
		}
	}
	return strings.Join(all, ", ")
}

// applyCursorsToEdges is ApplyCursorsToEdges of the specification of GraphQL's cursor connections, section 4.4.
func (w window) applyCursorsToEdges(all []edge) []edge {
	edges := all
	at := func(cursor string) int {
		return slices.IndexFunc(edges, func(e edge) bool { return e.cursor == cursor })
	}
	if w.after != "" {
		if i := at(w.after); i >= 0 {
			edges = edges[i+1:]
		}
	}
	if w.before != "" {
		if i := at(w.before); i >= 0 {
			edges = edges[:i]
		}
	}
	return edges
}

// edgesToReturn is EdgesToReturn of that section.
func (w window) edgesToReturn(all []edge) []edge {
	edges := w.applyCursorsToEdges(all)
	if w.first >= 0 && len(edges) > w.first {
		edges = edges[:w.first]
	}
	if w.last >= 0 && len(edges) > w.last {
		edges = edges[len(edges)-w.last:]
	}
	return edges
}

// hasPreviousPage is HasPreviousPage of section 4.5. Elements before after can be told efficiently: that at after itself is there.
func (w window) hasPreviousPage(all []edge) bool {
	if w.last >= 0 {
		return len(w.applyCursorsToEdges(all)) > w.last
	}
	return w.after != ""
}

// hasNextPage is HasNextPage of that section.
func (w window) hasNextPage(all []edge) bool {
	if w.first >= 0 {
		return len(w.applyCursorsToEdges(all)) > w.first
	}
	return w.before != ""
}

// windows are pages of a list: all kinds at its ends, and some at random.
func windows(all []edge) (ws []window) {
	cursor := func(i int) string { return all[min(max(i, 0), len(all)-1)].cursor }
	last := len(all) - 1
	for _, n := range []int{0, 2} {
		for _, c := range []string{"", cursor(0), cursor(1), cursor(last / 2), cursor(last)} {
			ws = append(ws, window{n, -1, c, ""}, window{n, -1, "", c}, window{-1, n, "", c}, window{-1, n, c, ""})
		}
	}
	for range 3 {
		i := rand.IntN(len(all))
		j := rand.IntN(len(all)) // before may be first
		ws = append(ws, window{1 + rand.IntN(4), -1, cursor(i), cursor(i + rand.IntN(5))}, window{-1, 1 + rand.IntN(4), cursor(j - rand.IntN(5)), cursor(j)},
			window{2, -1, cursor(i), cursor(j)}, window{-1, 2, cursor(i), cursor(j)})
	}
	return ws
}

func TestAPageIsThatOfTheRelaySpecification(t *testing.T) {
	onDemoData(t, func(t *testing.T, d *directory) {
		eachOrder(t, d, func(t *testing.T, l list, orderBy string, all []edge) {
			ws := windows(all)
			for some := range slices.Chunk(ws, 50) {
				var arguments []string
				for _, w := range some {
					arguments = append(arguments, w.String()+", "+orderBy)
				}
				for i, got := range l.pages(d, arguments...) {
					w := some[i]
					want := w.edgesToReturn(all)
					if w.after != "" && w.before != "" && position(all, w.before) <= position(all, w.after) {
						want = nil // nothing is after the one and before the other, whichever is applied first
					}
					if !slices.EqualFunc(got.edges, want, func(a, b edge) bool { return a.cursor == b.cursor && a.id == b.id && maps.Equal(a.values, b.values) }) {
						t.Errorf("%s: want %v, got %v", w, want, got.edges)
						continue
					}
					start, end := "", ""
					if len(want) > 0 {
						start, end = want[0].cursor, want[len(want)-1].cursor
					}
					if got.startCursor != start || got.endCursor != end {
						t.Errorf("%s: want the cursors %q and %q, got %q and %q", w, start, end, got.startCursor, got.endCursor)
					}
					if want == nil {
						continue // what comes before and after nothing is nowhere said
					}
					if next := w.hasNextPage(all); got.hasNext != next {
						t.Errorf("%s: hasNextPage: want %t", w, next)
					}
					if previous := w.hasPreviousPage(all); got.hasPrevious != previous {
						t.Errorf("%s: hasPreviousPage: want %t", w, previous)
					}
				}
			}
		})
	})
}

func position(all []edge, cursor string) int {
	return slices.IndexFunc(all, func(e edge) bool { return e.cursor == cursor })
}

func TestPagesCoverAListOnceInEachOrderForwardsAndBackwards(t *testing.T) {
	onDemoData(t, func(t *testing.T, d *directory) {
		eachOrder(t, d, func(t *testing.T, l list, orderBy string, all []edge) {
			size := max(2, len(all)/9)
			var want, forwards, backwards []string
			for _, e := range all {
				want = append(want, e.id)
			}
			for w := (window{size, -1, "", ""}); ; {
				ids, p := l.ids(d, w.String()+", "+orderBy)
				forwards = append(forwards, ids...)
				if w.after = p.endCursor; !p.hasNext {
					break
				}
			}
			for w := (window{-1, size, "", ""}); ; {
				ids, p := l.ids(d, w.String()+", "+orderBy)
				backwards = append(ids, backwards...)
				if w.before = p.startCursor; !p.hasPrevious {
					break
				}
			}
			for what, got := range map[string][]string{"forwards": forwards, "backwards": backwards} {
				if !slices.Equal(got, want) {
					t.Errorf("%s: want\n%q, got\n%q", what, want, got)
				}
			}
		})
	})
}

// ids asks for a page of a list, and for the ids in it alone.
func (l list) ids(d *directory, arguments string) (ids []string, p page) {
	d.tb.Helper()
	at, field := "page", fmt.Sprintf("%s(%s) { nodes { id } pageInfo { hasNextPage hasPreviousPage startCursor endCursor } }", l.field, arguments)
	if l.within != "" {
		at, field = "page."+l.field, fmt.Sprintf("%s { %s }", l.within, field)
	}
	a := d.must("{ page: " + field + " }")
	for _, node := range a.at(d.tb, at+".nodes").([]any) {
		ids = append(ids, node.(map[string]any)["id"].(string))
	}
	p.hasNext, p.hasPrevious = a.at(d.tb, at+".pageInfo.hasNextPage") == true, a.at(d.tb, at+".pageInfo.hasPreviousPage") == true
	p.startCursor, _ = a.at(d.tb, at+".pageInfo.startCursor").(string)
	p.endCursor, _ = a.at(d.tb, at+".pageInfo.endCursor").(string)
	return ids, p
}

func TestRowsThatComeAndGoNeitherRepeatNorSkipOthers(t *testing.T) {
	onEveryDatabase(t, func(t *testing.T, d *directory) {
		made := 0
		create := func(n int) (ids []string) {
			var all []input
			for range n {
				made++ // many names are the same
				all = append(all, input{"name": fmt.Sprint("Name ", rand.IntN(6)), "email": fmt.Sprintf("%c%d@example.com", 'a'+rand.IntN(26), made)})
			}
			a := d.try("createUsers", input{"users": all})
			for i := range all {
				ids = append(ids, a.at(t, fmt.Sprintf("createUsers.results.%d.user.id", i)).(string))
			}
			return ids
		}
		users := lists[0]
		for _, order := range append([]string{"ID"}, users.orders...) {
			for _, way := range []string{"ASC first", "DESC first", "ASC last", "DESC last"} {
				direction, size, _ := strings.Cut(way, " ")
				rows := create(15)
				rand.Shuffle(len(rows), func(i, j int) { rows[i], rows[j] = rows[j], rows[i] })
				stay, may, gone := rows[:9], rows[9:], map[string]bool{}
				seen := map[string]int{}
				for w, more := (window{-1, -1, "", ""}), true; more; {
					if w.first = 3; size == "last" {
						w.first, w.last = -1, 3
					}
					p := users.pages(d, fmt.Sprintf("%s, orderBy: {field: %s, direction: %s}", w, order, direction))[0]
					for _, e := range p.edges {
						if seen[e.id]++; gone[e.id] {
							t.Errorf("%s by %s: %s is deleted, and is there", way, order, e.id)
						}
					}
					var removed string // mostly the very row that the next page is read from
					if w.after, more = p.endCursor, p.hasNext; size == "last" {
						w.after, w.before, more = "", p.startCursor, p.hasPrevious
					}
					if len(p.edges) > 0 {
						removed = p.edges[len(p.edges)-1].id
						if size == "last" {
							removed = p.edges[0].id
						}
					}
					if i := slices.Index(may, removed); i < 0 && len(may) > 0 {
						removed = may[0]
					}
					if i := slices.Index(may, removed); i >= 0 {
						d.must(`mutation($id: ID!) { deleteUser(input: {id: $id}) { deletedUserId } }`, "id", removed)
						may, gone[removed] = slices.Delete(may, i, i+1), true
					}
					if len(seen) < 20 {
						create(1)
					}
				}
				for _, id := range stay {
					if seen[id] != 1 {
						t.Errorf("%s by %s: %s came %d times", way, order, id, seen[id])
					}
				}
				for id, n := range seen {
					if n > 1 {
						t.Errorf("%s by %s: %s came %d times", way, order, id, n)
					}
				}
				if err := d.db.Write.Exec("DELETE FROM users").Error; err != nil { // else each way would have more to read than the one before
					t.Fatal(err)
				}
			}
		}
	})
}

func TestTheItemThatAPageIsReadFromShowsThatTheListGoesOnThere(t *testing.T) {
	onEveryDatabase(t, func(t *testing.T, d *directory) {
		first, second := d.create("One", "one@example.com", nil), d.create("Two", "two@example.com", nil)
		d.create("Three", "three@example.com", first)
		d.create("Four", "four@example.com", first)
		d.create("Five", "five@example.com", second)
		all := lists[0].pages(d, "first: 5")[0].edges
		// The cursor of one user's report says nothing about another's.
		cursor := d.must(`{ user(id: "`+first+`") { reports(first: 1) { pageInfo { endCursor } } } }`).at(t, "user.reports.pageInfo.endCursor")
		a := d.must(`query($after: String) { users(first: 2) { nodes { reports(first: 1, after: $after) { nodes { name } pageInfo { hasPreviousPage } } } } }`, "after", cursor)
		if a.at(t, "users.nodes.0.reports.pageInfo.hasPreviousPage") != true || a.at(t, "users.nodes.1.reports.pageInfo.hasPreviousPage") != false {
			t.Errorf("got %s", a.raw)
		}
		d.must(`mutation($id: ID!) { deleteUser(input: {id: $id}) { deletedUserId } }`, "id", all[4].id)
		pages := lists[0].pages(d, window{1, -1, all[0].cursor, ""}.String(), window{-1, 9, "", all[4].cursor}.String())
		if !pages[0].hasPrevious || pages[1].hasNext {
			t.Errorf("got %+v", pages)
		}
	})
}

func TestACursorFromElsewhereIsBadInput(t *testing.T) {
	onDemoData(t, func(t *testing.T, d *directory) {
		cursor := func(list string, order keyset.Order, id int64, sorted string) string {
			return keyset.Cursor(list, keyset.Key{Order: order}, id, sorted)
		}
		name, created := keyset.Order{By: &keyset.Sort{Name: "NAME"}}, keyset.Order{By: &keyset.Sort{Name: "CREATED_AT"}}
		good := cursor("Query.users", name, 5, "Ada")
		if all := lists[0].pages(d, fmt.Sprintf("first: 1, after: %q, orderBy: {field: NAME}", good))[0].edges; len(all) != 1 {
			t.Fatalf("a good cursor gives %v", all)
		}
		later, _ := base64.RawURLEncoding.DecodeString(good)
		later[0]++
		filtered := keyset.Cursor("Query.users", keyset.Key{Order: name, Filter: keyset.Filter{}.And("t.id > ?", int64(1))}, 5, "Ada")
		for what, bad := range map[string]string{
			"another list":          cursor("Query.teams", name, 5, "Ada"),
			"another parent's type": cursor("User.reports", name, 5, "Ada"),
			"another order":         cursor("Query.users", keyset.Order{}, 5, ""),
			"another column":        cursor("Query.users", keyset.Order{By: &keyset.Sort{Name: "EMAIL"}}, 5, "ada"),
			"the other direction":   cursor("Query.users", keyset.Order{By: name.By, Descending: true}, 5, "Ada"),
			"a filter":              filtered,
			"another version":       base64.RawURLEncoding.EncodeToString(later),
			"an earlier form":       "VXNlcjox",
			"no row":                cursor("Query.users", name, 0, "Ada"),
			"a negative row":        cursor("Query.users", name, -1, "Ada"),
			"a null character":      cursor("Query.users", name, 5, "A\x00"),
			"what is no text":       cursor("Query.users", name, 5, "A\xff"),
			"one that is cut off":   good[:8],
			"a line break":          good + "\n",
			"padding":               good + "=",
			"garbage":               "not a cursor!",
			"nothing":               "",
			"a long text":           strings.Repeat("x", 5000),
		} {
			wantBadCursor(t, d, what, "NAME", bad)
		}
		for _, time := range []string{"", "yesterday", "infinity", "2024-02-30 00:00:00", "0000-01-01 00:00:00", "2024-01-01 00:00:00,5", "2024-01-01T00:00:00Z", "2024-01-01 00:00:00+02"} {
			wantBadCursor(t, d, "the time "+time, "CREATED_AT", cursor("Query.users", created, 5, time))
		}
		for _, time := range []string{"2024-01-01 00:00:00", "0001-01-01 00:00:00.000001+00", "9999-12-31 23:59:59.999999+00:00"} {
			d.must(`query($at: String) { users(first: 1, after: $at, orderBy: {field: CREATED_AT}) { nodes { id } } }`, "at", cursor("Query.users", created, 5, time))
		}
	})
}

// wantBadCursor asks for pages of users before and after a cursor.
func wantBadCursor(t *testing.T, d *directory, what, order, cursor string) {
	t.Helper()
	for _, argument := range []string{"after", "before"} {
		a := d.send(fmt.Sprintf(`query($at: String) { users(first: 1, %s: $at, orderBy: {field: %s}) { nodes { id } } }`, argument, order), "at", cursor)
		if a.code(t) != "BAD_USER_INPUT" || a.Errors[0].Extensions["field"] != argument || !strings.Contains(a.Errors[0].Message, "is not a cursor of this list with this order, filter and query") {
			t.Errorf("%s: got %s", what, a.raw)
		}
	}
}

func TestAPageHasOneSizeAndAListOneOrder(t *testing.T) {
	onDemoData(t, func(t *testing.T, d *directory) {
		for query, field := range map[string]string{
			`{ users(first: 1, last: 1) { nodes { id } } }`:                                    "last",
			`{ user(id: "User:1") { teams(first: 1, last: 1) { nodes { id } } } }`:             "last",
			`{ users(last: -1) { nodes { id } } }`:                                             "last",
			`{ users(last: 101) { nodes { id } } }`:                                            "last",
			`{ team(id: "Team:1") { members(last: 101) { nodes { id } } } }`:                   "last",
			`{ users(before: "nonsense") { nodes { id } } }`:                                   "before",
			`{ user(id: "User:1") { reports(last: 1, before: "nonsense") { nodes { id } } } }`: "before",
		} {
			if a := d.send(query); a.code(t) != "BAD_USER_INPUT" || a.Errors[0].Extensions["field"] != field {
				t.Errorf("%s: got %s", query, a.raw)
			}
		}
		for _, query := range []string{
			`{ teams(orderBy: {field: EMAIL}) { nodes { id } } }`,
			`{ users(orderBy: {field: ROLE}) { nodes { id } } }`,
			`{ users(orderBy: {direction: DESC}) { nodes { id } } }`,
			`{ users(orderBy: {field: NAME, direction: UP}) { nodes { id } } }`,
			`{ users(orderBy: {field: null}) { nodes { id } } }`,
		} {
			if code := d.send(query).code(t); code != "GRAPHQL_VALIDATION_FAILED" {
				t.Errorf("%s: got %s", query, code)
			}
		}
		a := d.must(`query($order: UserOrder, $way: OrderDirection) {
			plain: users(first: 2) { nodes { id } } null: users(first: 2, orderBy: null, last: null) { nodes { id } } variable: users(first: 2, orderBy: $order) { nodes { id } }
			ascending: users(first: 2, orderBy: {field: ID, direction: null}) { nodes { id } } way: users(first: 2, orderBy: {field: ID, direction: $way}) { nodes { id } }
			both: users(last: 2, orderBy: {field: ID, direction: DESC}) { nodes { id } }
		}`)
		for _, same := range []string{"null", "variable", "ascending", "way"} {
			if fmt.Sprint(a.at(t, same)) != fmt.Sprint(a.at(t, "plain")) {
				t.Errorf("%s: got %s", same, a.raw)
			}
		}
		if a.at(t, "both.nodes.0.id") != "User:2" || a.at(t, "both.nodes.1.id") != "User:1" {
			t.Errorf("got %s", a.raw)
		}
		b := d.must(`query($order: UserOrder) { users(first: 1, orderBy: $order) { nodes { id } } }`, "order", map[string]any{"field": "ID", "direction": "DESC"})
		if b.at(t, "users.nodes.0.id") != "User:1000" {
			t.Errorf("got %s", b.raw)
		}
	})
}
