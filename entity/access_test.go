package entity_test

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/99designs/gqlgen/graphql/handler"
	"github.com/99designs/gqlgen/graphql/handler/transport"

	"rollcall/access"
	"rollcall/database"
	"rollcall/database/databasetest"
	"rollcall/entity"
	"rollcall/entity/entitytest"
	"rollcall/entity/entitytest/generated"
	"rollcall/operation"
	"rollcall/session"
)

func TestMain(m *testing.M) { databasetest.Templates{M: m}.Run() }

// filled is the office's tables and rows.
var filled = databasetest.Content{Name: "office", Fill: func(ctx context.Context, db *database.Database) error {
	return entitytest.Fill(db.Write.WithContext(ctx))
}}

// Viewers of the office: see entitytest.Visible.
var (
	program *access.Viewer
	editor  = &access.Viewer{Subject: "token:1", Role: access.RoleEditor}
	manager = &access.Viewer{Subject: "user:2", UserID: 2, Role: access.RoleViewer}
	leaf    = &access.Viewer{Subject: "user:40", UserID: 40}
	nobody  = &access.Viewer{Subject: "anonymous", Role: access.RoleViewer}
)

// served is the office as it is served on a database.
type served struct {
	http.Handler
	statements int64 // of the last operation
	resolved   func() int64
	planned    bool
}

// serve serves the office on a database, from the plan or by gqlgen's engine alone.
func serve(t *testing.T, db *database.Database, planned bool, more ...func(*entitytest.Office)) *served {
	t.Helper()
	office := entitytest.New(100)
	for _, change := range more {
		change(office)
	}
	schema := generated.NewExecutableSchema(generated.Config{Resolvers: officeResolver{Office: office}})
	if planned {
		schema = office.Plan.Answers(schema)
	}
	srv := handler.New(schema)
	srv.AddTransport(transport.POST{})
	srv.Use(office.Plan)
	srv.Use(entity.Access{Schema: office.Schema})
	if err := office.Check(t.Context(), db.Side); err != nil {
		t.Fatal(err)
	}
	s := &served{resolved: office.Plan.Resolved, planned: planned}
	s.Handler = operation.Handler(srv, operation.Extension{
		Pools:   session.Pools{Write: db.Write, Read: db.Read, Side: db.Side, Logger: slog.New(slog.DiscardHandler)},
		Bind:    office.Bind,
		Observe: func(_ session.Operation, r operation.Report) { s.statements = r.Statements },
	})
	return s
}

// eachOffice runs fn with the office on every database, answered from the plan and by the engine.
func eachOffice(t *testing.T, fn func(t *testing.T, o *served), more ...func(*entitytest.Office)) {
	t.Helper()
	databasetest.EachWith(t, filled, func(t *testing.T, url string) {
		db := databasetest.Open(t, url)
		for way, planned := range map[string]bool{"from the plan": true, "by the engine": false} {
			t.Run(way, func(t *testing.T) {
				o := serve(t, db, planned, more...)
				fn(t, o)
				if n := o.resolved(); planned && n > 0 {
					t.Errorf("resolvers have answered %d queries", n)
				}
			})
		}
	})
}

type (
	officeResolver struct {
		generated.ResolverRoot
		*entitytest.Office
	}
	officeMutations struct{ *entitytest.Office }
)

func (officeResolver) Query() generated.QueryResolver         { return nil }
func (r officeResolver) Mutation() generated.MutationResolver { return officeMutations{r.Office} }

// reply is an answer of the office.
type reply struct {
	raw    string
	Data   json.RawMessage
	Errors []struct {
		Message    string
		Path       []any
		Extensions map[string]string
	}
	Extensions struct{ Forbidden []string }
	statements int64
}

// as asks as a viewer.
func (s *served) as(t *testing.T, v *access.Viewer, query string) (r reply) {
	t.Helper()
	body, err := json.Marshal(map[string]string{"query": query})
	if err != nil {
		t.Fatal(err)
	}
	ctx := t.Context()
	if v != nil {
		ctx = access.WithViewer(ctx, v)
	}
	req := httptest.NewRequestWithContext(ctx, http.MethodPost, "/", strings.NewReader(string(body)))
	req.Header.Set("Content-Type", "application/json")
	res := httptest.NewRecorder()
	s.ServeHTTP(res, req)
	if err := json.Unmarshal(res.Body.Bytes(), &r); err != nil {
		t.Fatal(err, res.Body)
	}
	r.raw, r.statements = res.Body.String(), s.statements
	return r
}

// must is as without errors: it returns the data.
func (s *served) must(t *testing.T, v *access.Viewer, query string) (data string, statements int64) {
	t.Helper()
	r := s.as(t, v, query)
	if len(r.Errors) > 0 {
		t.Fatalf("%s: %s", query, r.raw)
	}
	return string(r.Data), r.statements
}

// listed is a page of a list, wherever in an answer it is.
type listed struct {
	Nodes          []struct{ ID string }
	Edges          []struct{ Cursor string }
	PageInfo       struct{ HasNextPage, HasPreviousPage bool }
	TotalCount     *int
	TotalCountUpTo int
}

// officeList is a list of persons in the office.
type officeList struct {
	what      string
	query     string // with the arguments of a window in the place of %s
	uncounted bool   // up to a limit alone
	searched  int64  // how many statements more there are at most where a condition is added: they count what it leaves before it is searched
}

var officeLists = []officeList{
	{what: "of all", query: `{ people(%s) { … } }`},
	{what: "sorted by name", query: `{ people(orderBy: {field: NAME} %s) { … } }`},
	{what: "in descending order", query: `{ people(orderBy: {field: NAME, direction: DESC} %s) { … } }`},
	{what: "filtered", query: `{ people(filter: {name: {startsWith: "p"}, not: {id: {in: ["Person:7"]}}} %s) { … } }`},
	{what: "searched", query: `{ people(query: "staff" %s) { … } }`, searched: 4},
	{what: "searched and sorted by name", query: `{ people(query: "staff" orderBy: {field: NAME} %s) { … } }`, searched: 2},
	{what: "of one", query: `{ person(id: "Person:2") { reports(%s) { … } } }`},
	{what: "between two tables", query: `{ club(id: "Club:1") { members(%s) { … } } }`},
	{what: "between two tables, sorted by name", query: `{ club(id: "Club:1") { members(orderBy: {field: NAME, direction: DESC} %s) { … } } }`},
	{what: "with what is within", query: `{ club(id: "Club:1") { members(of: ALL %s) { … } } }`},
	{what: "of what is below", query: `{ person(id: "Person:2") { below(%s) { … } } }`, uncounted: true},
	{what: "of what is below, not deep", query: `{ person(id: "Person:2") { below(maxDepth: 2 %s) { … } } }`, uncounted: true},
	{what: "of what is below, filtered", query: `{ person(id: "Person:2") { below(filter: {name: {startsWith: "p"}} %s) { … } } }`, uncounted: true},
}

// page asks for a window of the list.
func (l officeList) page(t *testing.T, o *served, v *access.Viewer, window string) (p listed, statements int64) {
	t.Helper()
	fields := "nodes { id } edges { cursor } pageInfo { hasNextPage hasPreviousPage } totalCountUpTo(limit: 4)"
	if !l.uncounted {
		fields += " totalCount"
	}
	data, statements := o.must(t, v, fmt.Sprintf(strings.ReplaceAll(l.query, "…", fields), window))
	of := json.RawMessage(data)
	for !strings.HasPrefix(string(of), `{"nodes"`) {
		var one map[string]json.RawMessage
		if err := json.Unmarshal(of, &one); err != nil || len(one) != 1 {
			t.Fatalf("no list is in %s", data)
		}
		for _, only := range one {
			of = only
		}
	}
	if err := json.Unmarshal(of, &p); err != nil {
		t.Fatal(err)
	}
	return p, statements
}

func (p listed) ids() (ids []string) {
	for _, n := range p.Nodes {
		ids = append(ids, n.ID)
	}
	return ids
}

// there returns which of some persons there are for a viewer.
func there(v *access.Viewer, ids []string) []string {
	return slices.DeleteFunc(slices.Clone(ids), func(id string) bool {
		if v == program || v == editor {
			return false
		}
		number := id[len("Person:"):]
		return id != fmt.Sprint("Person:", v.UserID) && !(v == manager && slices.Contains(entitytest.Visible, atoi(number)))
	})
}

func atoi(text string) (n int64) {
	_, _ = fmt.Sscan(text, &n)
	return n
}

func TestAPageHoldsAsManyAsItIsAskedForOfWhatThereIsForTheViewer(t *testing.T) {
	eachOffice(t, func(t *testing.T, o *served) {
		for _, l := range officeLists {
			t.Run(l.what, func(t *testing.T) {
				all, _ := l.page(t, o, program, "first: 100")
				for _, v := range []*access.Viewer{program, editor, manager} {
					l.walk(t, o, v, there(v, all.ids()))
				}
			})
		}
		whole, _ := officeLists[0].page(t, o, program, "first: 100")
		if len(whole.Nodes) != 40 || len(there(manager, whole.ids())) != len(entitytest.Visible) {
			t.Errorf("there are %d persons", len(whole.Nodes))
		}
		for _, v := range []*access.Viewer{leaf, nobody} {
			officeLists[0].walk(t, o, v, there(v, whole.ids()))
		}
	})
}

// walk fails unless a viewer gets these persons, forwards and backwards, in pages of five.
func (l officeList) walk(t *testing.T, o *served, v *access.Viewer, want []string) {
	t.Helper()
	for _, direction := range []struct{ size, from string }{{"first", "after"}, {"last", "before"}} {
		var got []string
		for window := direction.size + ": 5"; ; {
			p, statements := l.page(t, o, v, window)
			if _, as := l.page(t, o, program, window); statements > most(v, as)+l.searched {
				t.Errorf("%s as %s: %d statements, and %d without a viewer", window, name(v), statements, as)
			}
			left := len(want) - len(got)
			more, cursor := p.PageInfo.HasNextPage, 0
			if direction.size == "last" {
				more = p.PageInfo.HasPreviousPage
				got = append(p.ids(), got...)
			} else {
				got, cursor = append(got, p.ids()...), len(p.Edges)-1
			}
			if len(p.Nodes) != min(5, left) || more != (left > 5) {
				t.Fatalf("%s as %s: a page has %d of %d, and there are more: %t", window, name(v), len(p.Nodes), left, more)
			}
			if p.TotalCountUpTo != min(4, len(want)) || p.TotalCount != nil && *p.TotalCount != len(want) {
				t.Errorf("%s as %s: want %d, got %d counted, and up to 4 %d", window, name(v), len(want), *p.TotalCount, p.TotalCountUpTo)
			}
			if !more {
				break
			}
			window = fmt.Sprintf("%s: 5 %s: %q", direction.size, direction.from, p.Edges[cursor].Cursor)
		}
		if !slices.Equal(got, want) {
			t.Errorf("%s as %s: want %q, got %q", direction.size, name(v), want, got)
		}
	}
}

// most is how many statements there are at most for a viewer where there are so many for the program: each may be followed by another for who is above others.
func most(v *access.Viewer, as int64) int64 {
	if v == manager {
		return 2 * as
	}
	return as
}

func name(v *access.Viewer) string {
	if v == nil {
		return "the program"
	}
	return v.Subject
}

// someOf are the indexes of every fifth of n things, and of the last.
func someOf(n int) (indexes []int) {
	for i := range n {
		if i%5 == 0 || i == n-1 {
			indexes = append(indexes, i)
		}
	}
	return indexes
}

func TestACursorOfOneViewerIsGoodForAnother(t *testing.T) {
	eachOffice(t, func(t *testing.T, o *served) {
		for _, l := range officeLists {
			t.Run(l.what, func(t *testing.T) {
				all, _ := l.page(t, o, editor, "first: 100")
				for _, i := range someOf(len(all.Edges)) {
					e := all.Edges[i]
					p, _ := l.page(t, o, manager, fmt.Sprintf("first: 100 after: %q", e.Cursor))
					if want := there(manager, all.ids()[i+1:]); !slices.Equal(p.ids(), want) {
						t.Errorf("after %s: want %q, got %q", all.Nodes[i].ID, want, p.ids())
					}
					if p.PageInfo.HasPreviousPage && len(there(manager, all.ids()[:i+1])) == 0 {
						t.Errorf("after %s: there is something before the page", all.Nodes[i].ID)
					}
				}
				own, _ := l.page(t, o, manager, "first: 100")
				for _, i := range someOf(len(own.Edges)) {
					window := fmt.Sprintf("last: 100 before: %q", own.Edges[i].Cursor)
					as, _ := l.page(t, o, editor, window)
					mine, _ := l.page(t, o, manager, window)
					if want := there(manager, as.ids()); !slices.Equal(mine.ids(), want) {
						t.Errorf("before one of its own: want %q, got %q", want, mine.ids())
					}
				}
			})
		}
	})
}

func TestWhatIsHiddenIsFoundNowhere(t *testing.T) {
	eachOffice(t, func(t *testing.T, o *served) {
		for _, c := range []struct{ what, query, visible, hidden string }{
			{"by its id", `{ person(id: "ID") { id name } }`, `{"person":{"id":"Person:6","name":"p01"}}`, `{"person":null}`},
			{"as a node", `{ node(id: "ID") { id } }`, `{"node":{"id":"Person:6"}}`, `{"node":null}`},
			{"as one of several", `{ nodes(ids: ["Club:1", "ID", "Person:2"]) { id } }`, `{"nodes":[{"id":"Club:1"},{"id":"Person:6"},{"id":"Person:2"}]}`, `{"nodes":[{"id":"Club:1"},null,{"id":"Person:2"}]}`},
			{"by its id in a filter", `{ people(filter: {id: {in: ["ID"]}}) { totalCount nodes { id } } }`, `{"people":{"totalCount":1,"nodes":[{"id":"Person:6"}]}}`, `{"people":{"totalCount":0,"nodes":[]}}`},
			{"by its name", `{ personByName(name: "NAME") { id } }`, `{"personByName":{"id":"Person:6"}}`, `{"personByName":null}`},
		} {
			t.Run(c.what, func(t *testing.T) {
				query := func(id int) string {
					return strings.NewReplacer("ID", fmt.Sprint("Person:", id), "NAME", fmt.Sprintf("p%02d", id*7%41)).Replace(c.query)
				}
				for id, want := range map[int]string{6: c.visible, 9: c.hidden, 41: c.hidden} {
					got, statements := o.must(t, manager, query(id))
					if got != want {
						t.Errorf("%d: want %s, got %s", id, want, got)
					}
					if _, as := o.must(t, program, query(id)); statements > most(manager, as) {
						t.Errorf("%d: %d statements, and %d without a viewer", id, statements, as)
					}
				}
				if got, _ := o.must(t, editor, query(9)); got != strings.NewReplacer("Person:6", "Person:9", "p01", "p22").Replace(c.visible) {
					t.Errorf("as an editor: %s", got)
				}
			})
		}
	})
}

func TestARelationToWhatIsHiddenIsNull(t *testing.T) {
	eachOffice(t, func(t *testing.T, o *served) {
		for _, c := range []struct{ what, query, want, all string }{
			{"to one", `{ person(id: "Person:2") { boss { id } } other: person(id: "Person:6") { boss { id } } }`, `{"person":{"boss":null},"other":{"boss":{"id":"Person:2"}}}`, ""},
			{"of a list", `{ clubs { nodes { founder { id } } } }`, `{"clubs":{"nodes":[{"founder":null},{"founder":{"id":"Person:6"}},{"founder":null}]}}`, `{"clubs":{"nodes":[{"founder":{"id":"Person:1"}},{"founder":{"id":"Person:6"}},{"founder":{"id":"Person:9"}}]}}`},
			{"to those above", `{ people(filter: {id: {in: ["Person:18", "Person:2"]}}) { nodes { bosses { id } } } }`, `{"people":{"nodes":[{"bosses":[]},{"bosses":[{"id":"Person:6"},{"id":"Person:2"}]}]}}`, ""},
			{
				"to lists of several", `{ clubs { nodes { members(first: 2) { totalCount nodes { id } } } } }`,
				`{"clubs":{"nodes":[{"members":{"totalCount":8,"nodes":[{"id":"Person:2"},{"id":"Person:6"}]}},{"members":{"totalCount":4,"nodes":[{"id":"Person:6"},{"id":"Person:18"}]}},{"members":{"totalCount":0,"nodes":[]}}]}}`,
				`{"clubs":{"nodes":[{"members":{"totalCount":20,"nodes":[{"id":"Person:2"},{"id":"Person:4"}]}},{"members":{"totalCount":13,"nodes":[{"id":"Person:3"},{"id":"Person:6"}]}},{"members":{"totalCount":1,"nodes":[{"id":"Person:9"}]}}]}}`,
			},
			{"to a number alone", `{ clubs { nodes { members { totalCount } } } }`, `{"clubs":{"nodes":[{"members":{"totalCount":8}},{"members":{"totalCount":4}},{"members":{"totalCount":0}}]}}`, `{"clubs":{"nodes":[{"members":{"totalCount":20}},{"members":{"totalCount":13}},{"members":{"totalCount":1}}]}}`},
			{"to a bounded number", `{ people { totalCountUpTo(limit: 100) } }`, `{"people":{"totalCountUpTo":13}}`, `{"people":{"totalCountUpTo":40}}`},
			{"to another type", `{ person(id: "Person:6") { clubs { totalCount nodes { id } } } }`, `{"person":{"clubs":{"totalCount":2,"nodes":[{"id":"Club:1"},{"id":"Club:2"}]}}}`, ""},
		} {
			t.Run(c.what, func(t *testing.T) {
				got, statements := o.must(t, manager, c.query)
				if got != c.want {
					t.Errorf("want %s, got %s", c.want, got)
				}
				all, as := o.must(t, program, c.query)
				if c.all != "" && all != c.all {
					t.Errorf("without a viewer: want %s, got %s", c.all, all)
				}
				if statements > most(manager, as) {
					t.Errorf("%d statements, and %d without a viewer", statements, as)
				}
			})
		}
	})
}

func TestATokenThatMayNotWriteIsToldThatItMayChangeNothing(t *testing.T) {
	eachOffice(t, func(t *testing.T, o *served) {
		for scopes, may := range map[string]bool{"read": false, "read write": true} {
			bounded := *editor
			bounded.Scopes = strings.Fields(scopes)
			got, _ := o.must(t, &bounded, `{ person(id: "Person:2") { viewerCanUpdate viewerCanDelete } }`)
			if want := fmt.Sprintf(`{"person":{"viewerCanUpdate":%v,"viewerCanDelete":%[1]v}}`, may); got != want {
				t.Errorf("%s: want %s, got %s", scopes, want, got)
			}
		}
	})
}

func TestAFieldIsNullForWhoMayNotReadItOfThatObject(t *testing.T) {
	eachOffice(t, func(t *testing.T, o *served) {
		query := `{ people(filter: {id: {in: ["Person:2", "Person:6"]}}) { nodes { id badge phone clubs { totalCount } viewerCanUpdate viewerCanDelete } } }`
		for _, c := range []struct {
			as        *access.Viewer
			want      string
			forbidden []string
		}{
			{program, `[{"id":"Person:2","badge":"b2","phone":"2","clubs":{"totalCount":1},"viewerCanUpdate":true,"viewerCanDelete":true},{"id":"Person:6","badge":"b6","phone":"6","clubs":{"totalCount":2},"viewerCanUpdate":true,"viewerCanDelete":true}]`, nil},
			{editor, `[{"id":"Person:2","badge":"b2","phone":null,"clubs":{"totalCount":1},"viewerCanUpdate":true,"viewerCanDelete":true},{"id":"Person:6","badge":"b6","phone":null,"clubs":{"totalCount":2},"viewerCanUpdate":true,"viewerCanDelete":true}]`, []string{"people.nodes.phone"}},
			{manager, `[{"id":"Person:2","badge":"b2","phone":"2","clubs":{"totalCount":1},"viewerCanUpdate":true,"viewerCanDelete":true},{"id":"Person:6","badge":null,"phone":null,"clubs":{"totalCount":2},"viewerCanUpdate":false,"viewerCanDelete":false}]`, []string{"people.nodes.badge", "people.nodes.phone"}},
			{nobody, `[]`, nil},
		} {
			r := o.as(t, c.as, query)
			if got := string(r.Data); got != `{"people":{"nodes":`+c.want+`}}` || !slices.Equal(r.Extensions.Forbidden, c.forbidden) {
				t.Errorf("as %s: want %s and %q, got %s", name(c.as), c.want, c.forbidden, r.raw)
			}
			if _, as := o.must(t, program, query); r.statements > most(c.as, as) {
				t.Errorf("as %s: %d statements, and %d without a viewer", name(c.as), r.statements, as)
			}
		}
		for v, want := range map[*access.Viewer]string{editor: `{"office":{"id":"Club:1"}}`, leaf: `{"office":{"id":"Club:1"}}`, nobody: `{"office":null}`} {
			r := o.as(t, v, `{ office(id: "Club:1") { id } }`)
			if string(r.Data) != want || (v == nobody) != slices.Equal(r.Extensions.Forbidden, []string{"office"}) {
				t.Errorf("as %s: got %s", name(v), r.raw)
			}
		}
	})
}

// isBelow reports whether a person of the office is below another.
func isBelow(person, other int64) bool {
	for person > 1 {
		if person == 2 {
			person = 3 // whose boss is 1 too
		}
		if person /= 3; person == other {
			return true
		}
	}
	return false
}

func TestAUserIsAboveThoseBelowWhoeverElseIsRead(t *testing.T) {
	eachOffice(t, func(t *testing.T, o *served) {
		for _, query := range []string{
			`{ people(first: 100) { nodes { id review } } }`,
			`{ people(first: 100, query: "staff") { nodes { id review } } }`,
			`{ clubs { nodes { members(first: 100) { nodes { id review } } founder { id review } } } }`,
			`{ club(id: "Club:1") { members(first: 100, of: ALL) { nodes { id review } } } }`,
			`{ person(id: "Person:1") { id review below(first: 100) { nodes { id review } } reports { nodes { id review } } } }`,
			`{ nodes(ids: ["Person:1", "Person:2", "Person:6", "Person:9", "Person:18", "Person:27"]) { ... on Person { id review bosses { id review boss { id review } } } } }`,
			`{ a: personByName(name: "p01") { id review } b: personByName(name: "p22") { id review } }`,
			`mutation { a: rename(id: "Person:6", name: "p01") { id review boss { id review } } b: rename(id: "Person:9", name: "p22") { id review bosses { id review } } }`,
		} {
			for _, user := range []int64{1, 2, 40} {
				data, _ := o.must(t, &access.Viewer{Subject: "staff", UserID: user, Role: access.RoleEditor}, query) // for whom there is everybody
				told := 0
				for _, m := range regexp.MustCompile(`"id":"Person:(\d+)","review":("r\d+"|null)`).FindAllStringSubmatch(data, -1) {
					told++
					want := "null"
					if isBelow(atoi(m[1]), user) {
						want = fmt.Sprintf("%q", "r"+m[1])
					}
					if m[2] != want {
						t.Errorf("%s: the review of %s is %s for %d, and should be %s", query, m[1], m[2], user, want)
					}
				}
				if told != strings.Count(data, `"review"`) || told < 2 {
					t.Errorf("%s: got %s", query, data)
				}
			}
		}
	})
}

func TestRulesCostAStatementOnlyForWhoIsAboveOthersWhereThatMatters(t *testing.T) {
	eachOffice(t, func(t *testing.T, o *served) {
		if !o.planned { // which reads all that resolvers may ask for
			return
		}
		for _, c := range []struct {
			what, query           string
			program, above, below int64 // statements
		}{
			{"a field without a rule", `{ people(first: 5) { nodes { name } } }`, 1, 1, 1},
			{"a number", `{ people { totalCount } }`, 1, 1, 1},
			{"a field without such a relation", `{ people(first: 5) { nodes { phone } } }`, 1, 1, 1},
			{"a field with one", `{ people(first: 5) { nodes { clubs { nodes { id } } } } }`, 2, 3, 2},
			{"of nobody who is below", `{ person(id: "Person:2") { clubs { nodes { id } } } }`, 2, 3, 0},
			{"of one above", `{ person(id: "Person:18") { bosses { clubs { nodes { id } } } } }`, 3, 5, 0},
			{"of several lists", `{ clubs { nodes { members(first: 2) { nodes { clubs { totalCount } } } } } }`, 3, 4, 2},
		} {
			for v, want := range map[*access.Viewer]int64{program: c.program, editor: c.program, manager: c.above, leaf: c.below} {
				if _, n := o.must(t, v, c.query); n != want && (v != leaf || n > c.program) {
					t.Errorf("%s as %s: want %d statements, got %d", c.what, name(v), want, n)
				}
			}
		}
	})
}

func TestWhatWouldTellWhatIsHiddenIsRefused(t *testing.T) {
	eachOffice(t, func(t *testing.T, o *served) {
		for _, c := range []struct {
			what, query, field, want string
			also                     bool // an editor is refused it too
		}{
			{"a filter by a field", `{ people(filter: {phone: {eq: "9"}}) { totalCount } }`, "filter.phone", "nobody may filter by phone: to read it needs the relation SELF", true},
			{"one within others", `{ people(filter: {or: [{not: {and: [{phone: {isNull: true}}]}}]}) { totalCount } }`, "filter.or.0.not.and.0.phone", "nobody may filter by phone", true},
			{"a filter by a relation", `{ people(filter: {boss: {in: ["Person:3"]}}) { totalCount } }`, "filter.boss", "to filter by boss needs the role EDITOR", false},
			{"one of another type", `{ clubs(filter: {not: {founder: {isNull: true}}}) { totalCount } }`, "filter.not.founder", "to filter by founder needs the role EDITOR", false},
			{"a filter about other objects", `{ clubs(filter: {hasMember: "Person:9"}) { totalCount } }`, "filter.hasMember", "to filter by hasMember needs the role EDITOR", false},
			{"one of a list of an object", `{ club(id: "Club:1") { members(filter: {boss: {in: ["Person:3"]}}) { totalCount } } }`, "filter.boss", "to filter by boss needs the role EDITOR", false},
			{"an order of edges", `{ club(id: "Club:1") { members(orderBy: {field: JOINED}) { nodes { id } } } }`, "orderBy", "to sort by joined needs the role EDITOR", false},
			{"to find by a field", `{ personByBadge(badge: "b9") { id } }`, "badge", "to find by badge needs the role EDITOR", false},
			{"in a fragment", `{ ...F } fragment F on Query { found: personByBadge(badge: "b9") { id } }`, "badge", "to find by badge needs the role EDITOR", false},
		} {
			t.Run(c.what, func(t *testing.T) {
				for _, v := range []*access.Viewer{manager, nobody} {
					r := o.as(t, v, c.query)
					if len(r.Errors) != 1 || !strings.Contains(r.Errors[0].Message, c.want) || r.Errors[0].Extensions["code"] != "FORBIDDEN" || r.Errors[0].Extensions["field"] != c.field {
						t.Errorf("as %s: got %s", name(v), r.raw)
					}
				}
				for _, v := range []*access.Viewer{program, editor} {
					if r := o.as(t, v, c.query); (len(r.Errors) > 0) != (c.also && v == editor) {
						t.Errorf("as %s: got %s", name(v), r.raw)
					}
				}
			})
		}
		for query, want := range map[string]string{ // what tells nothing
			`{ people(filter: {founded: "Club:2"}) { nodes { id } } }`:                    `{"people":{"nodes":[{"id":"Person:6"}]}}`,
			`{ people(filter: {founded: "Club:3"}) { nodes { id } } }`:                    `{"people":{"nodes":[]}}`,
			`{ clubs(filter: {parent: {in: ["Club:1"]}}) { totalCount } }`:                `{"clubs":{"totalCount":2}}`,
			`{ club(id: "Club:3") { members(orderBy: {field: NAME}) { nodes { id } } } }`: `{"club":{"members":{"nodes":[]}}}`,
		} {
			if got, _ := o.must(t, manager, query); got != want {
				t.Errorf("%s: want %s, got %s", query, want, got)
			}
		}
	})
}

func TestWhatIsHiddenCannotBeWritten(t *testing.T) {
	eachOffice(t, func(t *testing.T, o *served) {
		for _, c := range []struct {
			as       *access.Viewer
			mutation string
			id       int
			want     string
		}{
			{manager, `rename(name: "new"`, 9, "there is no person Person:9"},
			{manager, `rename(name: "new"`, 41, "there is no person Person:41"},
			{manager, `rename(name: "new"`, 6, "to write name of this person needs the role EDITOR, or the relation SELF"},
			{nobody, `rename(name: "new"`, 2, "rename needs the role EDITOR, or the relation SELF"},
			{manager, `rename(name: "new"`, 2, ""},
			{editor, `rename(name: "new"`, 9, ""},
			{manager, "dismiss(", 2, "dismiss needs the role EDITOR"},
			{leaf, "dismiss(", 40, "dismiss needs the role EDITOR"},
			{editor, "dismiss(", 41, "there is no person Person:41"},
		} {
			r := o.as(t, c.as, fmt.Sprintf(`mutation { %s id: "Person:%d") { name boss { id } } }`, c.mutation, c.id))
			if c.want == "" && (len(r.Errors) > 0 || !strings.Contains(string(r.Data), `"name":"new"`)) ||
				c.want != "" && (len(r.Errors) != 1 || !strings.Contains(r.Errors[0].Message, c.want)) {
				t.Errorf("as %s, %s of %d: want %q, got %s", name(c.as), c.mutation, c.id, c.want, r.raw)
			}
		}
	})
}

// decided is a policy of another system: what subjects may, by name.
type decided map[string]bool

func (d decided) Allows(_ context.Context, v *access.Viewer, r access.Rule) bool {
	return d[fmt.Sprint(v.Subject, " ", r.Of, " ", r.Action)]
}

func TestAnotherPolicyDecidesInPlaceOfRoles(t *testing.T) {
	policy := decided{"app Person read": true, "app Person.phone read": true, "app Person write": true, "app Mutation.rename write": true, "user:2 Person.badge read": true}
	eachOffice(t, func(t *testing.T, o *served) {
		app, root := &access.Viewer{Subject: "app"}, &access.Viewer{Subject: "root", Role: access.RoleAdmin}
		for _, c := range []struct {
			as          *access.Viewer
			query, want string
		}{
			{app, `{ people(first: 2, filter: {phone: {eq: "9"}}) { totalCount nodes { id badge phone } } }`, `{"people":{"totalCount":1,"nodes":[{"id":"Person:9","badge":null,"phone":"9"}]}}`},
			{app, `mutation { rename(id: "Person:9", name: "p22") { name } }`, `{"rename":{"name":"p22"}}`},
			{root, `{ people { totalCount } person(id: "Person:9") { id } }`, `{"people":{"totalCount":0},"person":null}`},
			{manager, `{ people(first: 2) { totalCount nodes { badge phone } } }`, `{"people":{"totalCount":13,"nodes":[{"badge":"b2","phone":"2"},{"badge":"b6","phone":null}]}}`},
		} {
			if got, _ := o.must(t, c.as, c.query); got != c.want {
				t.Errorf("as %s, %s: want %s, got %s", name(c.as), c.query, c.want, got)
			}
		}
		if r := o.as(t, root, `mutation { dismiss(id: "Person:9") { id } }`); len(r.Errors) != 1 || r.Errors[0].Extensions["code"] != "FORBIDDEN" {
			t.Errorf("as root: got %s", r.raw)
		}
	}, func(o *entitytest.Office) { o.Decide(policy) })
}

func TestWhatAFilterFindsIsWhatThereIsForTheViewer(t *testing.T) {
	databasetest.EachWith(t, filled, func(t *testing.T, url string) {
		db, office := databasetest.Open(t, url), entitytest.New(100)
		srv := handler.New(generated.NewExecutableSchema(generated.Config{Resolvers: officeResolver{Office: office}}))
		srv.Use(office.Plan)
		pools := session.Pools{Write: db.Write, Read: db.Read, Side: db.Side}
		if err := pools.Install(); err != nil {
			t.Fatal(err)
		}
		filter := map[string]any{"name": map[string]any{"startsWith": "p"}}
		for v, want := range map[*access.Viewer]int{program: 40, editor: 40, manager: len(entitytest.Visible), leaf: 1, nobody: 0} {
			for _, filter := range []map[string]any{nil, filter} {
				err := session.Run(access.WithViewer(t.Context(), v), pools, session.Read, "find", func(ctx context.Context) error {
					n, err := office.People.CountFound(ctx, filter)
					if err != nil {
						return err
					}
					people, err := office.People.Found(ctx, filter, entity.Portion{Limit: 100})
					if int(n) != want || len(people) != want {
						t.Errorf("as %s: want %d, counted %d and found %d", name(v), want, n, len(people))
					}
					return err
				})
				if err != nil {
					t.Error(err)
				}
			}
		}
	})
}
