package graph_test

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"rollcall/database"
	"rollcall/directory/directorytest"
	"rollcall/fold"
	"rollcall/model"
)

// searchable is a user as a model of search in memory has it.
type searchable struct {
	id          int
	name, email string   // the name as it is folded
	words       []string // in order
}

// populate fills a directory with users whose names have accents, by its own mutations, and returns them.
func populate(t *testing.T, d *directory, random *rand.Rand, n int) []searchable {
	t.Helper()
	first := []string{"José", "Maria", "MARÍA", "Łucja", "Ørn", "Straßer", "Ana", "Anna", "Àn", "Zoë", "Mar", "D'Ana"}
	last := []string{"López", "Lopez", "Mar", "Márquez", "Łódź", "O’Brien", "Ana-Maria", "Ánder", "Lo", "ß", "陳", "Zo·la"}
	titles := []string{"Marketing", "Analyst", "Łotr", "O'Maria"}
	pick := func(of []string) string { return of[random.IntN(len(of))] }
	var users []searchable
	for len(users) < n {
		var mutation strings.Builder
		for range min(20, n-len(users)) {
			i := len(users)
			name := pick(first) + " " + pick(last)
			if i%3 == 0 {
				name = pick(first) + "  " + name
			}
			email := fmt.Sprintf("%s.%d", pick([]string{"lo", "mar", "ana.lopez", "x"}), i)
			title, words := "null", fold.Text(name)+" "+strings.ReplaceAll(email, ".", " ")
			if i%2 == 0 {
				given := pick(titles)
				title, words = fmt.Sprintf("%q", given), words+" "+fold.Text(given)
			}
			fmt.Fprintf(&mutation, "m%d: createUser(input: {name: %q, email: %q, title: %s}) { user { id } }\n", i, name, email+"@lopez.example", title)
			users = append(users, searchable{name: fold.Text(name), email: email, words: wordsOf(words)})
		}
		a := d.must("mutation {" + mutation.String() + "}")
		for name, payload := range a.Data {
			var i int
			_, _ = fmt.Sscanf(name, "m%d", &i)
			_, _ = fmt.Sscanf(payload.(map[string]any)["user"].(map[string]any)["id"].(string), "User:%d", &users[i].id)
		}
	}
	return users
}

// wordsOf returns the words of a folded text: O'Brien has two.
func wordsOf(text string) (words []string) {
	for _, word := range strings.FieldsFunc(strings.ReplaceAll(text, "·", ""), func(r rune) bool { return r == ' ' || r == '-' }) {
		words = append(words, strings.ReplaceAll(word, "'", ""))
		if _, end, found := strings.Cut(word, "'"); found {
			words = append(words, end)
		}
	}
	slices.Sort(words)
	return slices.Compact(words)
}

// byRelevance returns what a query of folded words finds, by relevance.
func byRelevance(users []searchable, query string) (all []searchable) {
	terms := strings.Fields(query)
	longest := slices.MinFunc(terms, func(a, b string) int { return cmp.Or(len(b)-len(a), cmp.Compare(a, b)) })
	begins := func(with string) func(string) bool {
		return func(word string) bool { return strings.HasPrefix(word, with) }
	}
	for _, u := range users {
		if !slices.ContainsFunc(terms, func(term string) bool { return !slices.ContainsFunc(u.words, begins(term)) }) {
			all = append(all, u)
		}
	}
	key := func(u searchable) string {
		if strings.HasPrefix(u.name, strings.Join(terms, " ")) {
			return "0" + u.name
		}
		return "1" + u.words[slices.IndexFunc(u.words, begins(longest))]
	}
	slices.SortFunc(all, func(a, b searchable) int { return cmp.Or(cmp.Compare(key(a), key(b)), a.id-b.id) })
	return all
}

func idsOf(users []searchable) (all []string) {
	for _, u := range users {
		all = append(all, fmt.Sprintf("User:%d", u.id))
	}
	return all
}

func TestSearchFindsWhatAModelFindsInItsOrderPageByPageBothWays(t *testing.T) {
	onEveryDatabase(t, func(t *testing.T, d *directory) {
		random := rand.New(rand.NewPCG(1, 2))
		users := populate(t, d, random, 120)
		terms := []string{"a", "an", "ana", "lo", "lop", "lopez", "m", "mar", "maria", "z", "zo", "zol", "o", "ob", "brien", "lodz", "ł", "ss", "strasser", "陳", "1", "x", "nobody"}
		for range 60 {
			var words []string
			for range 1 + random.IntN(3) {
				words = append(words, terms[random.IntN(len(terms))])
			}
			query := fold.Text(strings.Join(words, " "))
			want := byRelevance(users, query)
			if random.IntN(3) == 0 && len(want) > 0 { // how names begin
				query = string([]rune(want[0].name)[:random.IntN(len([]rune(want[0].name)))+1])
				if strings.Trim(query, "-' ") != query || strings.ContainsAny(query, "-'·") || strings.Contains(query, "  ") {
					continue
				}
				want = byRelevance(users, query)
			}
			filter, all := "", want
			if random.IntN(3) == 0 {
				filter = `, filter: {not: {email: {startsWith: "mar"}}}`
				want = slices.DeleteFunc(slices.Clone(all), func(u searchable) bool { return strings.HasPrefix(u.email, "mar") })
			}
			wantPages(t, d, fmt.Sprintf("query: %q%s", spelt(random, query), filter), idsOf(want), random)
		}
	})
}

// spelt returns a folded query as people may spell it.
func spelt(random *rand.Rand, query string) string {
	switch random.IntN(3) {
	case 0:
		return strings.ToUpper(query)
	case 1:
		return strings.NewReplacer("o", "ó", "a", "a\u0301", "l", "Ł").Replace(query)
	}
	return "  " + query + " "
}

// wantPages fails unless pages of a list, in both directions and read both ways, have the users that it should have.
func wantPages(t *testing.T, d *directory, arguments string, want []string, random *rand.Rand) {
	t.Helper()
	size := 1 + len(want)/4 + random.IntN(len(want)+2)
	for _, order := range []string{"", ", orderBy: {field: RELEVANCE}", ", orderBy: {field: RELEVANCE, direction: DESC}", ", orderBy: {field: ID, direction: DESC}"} {
		ordered := slices.Clone(want)
		switch {
		case strings.Contains(order, "ID"):
			slices.SortFunc(ordered, func(a, b string) int { return cmp.Or(len(b)-len(a), strings.Compare(b, a)) })
		case strings.Contains(order, "DESC"):
			slices.Reverse(ordered)
		}
		for _, way := range []string{"first", "last"} {
			var got []string
			for place, pages := "", 0; ; pages++ {
				a := d.must(fmt.Sprintf("{ users(%s%s, %s: %d%s) { totalCount nodes { id } pageInfo { hasNextPage hasPreviousPage startCursor endCursor } } }",
					arguments, order, way, size, place))
				if count := a.at(t, "users.totalCount"); count != float64(len(want)) {
					t.Errorf("%s: totalCount %v, want %d", arguments, count, len(want))
				}
				page := nodes(t, a)
				more, back := a.at(t, "users.pageInfo.hasNextPage"), a.at(t, "users.pageInfo.hasPreviousPage")
				if got = append(got, page...); way == "last" {
					more, back = back, more
					got = append(page, got[:len(got)-len(page)]...)
				}
				if back != (place != "") {
					t.Errorf("%s%s, %s %d: a page that is the %dth says %v of what is before it", arguments, order, way, size, pages, back)
				}
				if more != true || len(page) == 0 || len(got) > len(want) {
					break
				}
				place = fmt.Sprintf(", after: %q", a.at(t, "users.pageInfo.endCursor"))
				if way == "last" {
					place = fmt.Sprintf(", before: %q", a.at(t, "users.pageInfo.startCursor"))
				}
			}
			if !slices.Equal(got, ordered) {
				t.Errorf("%s%s, %s %d: got %v, want %v", arguments, order, way, size, got, ordered)
			}
		}
	}
}

// TestSearchAmongManyUsersReadsByIndexes has words that many users have, and such as few have: a database begins with those.
func TestSearchAmongManyUsersReadsByIndexes(t *testing.T) {
	onEveryDatabase(t, func(t *testing.T, d *directory) {
		random := rand.New(rand.NewPCG(5, 6))
		var rows []model.User
		var users []searchable
		title := "Marketing Manager"
		for i := range 4000 {
			u := model.User{
				ID: int64(i + 1), Name: []string{"Ana", "Zoë", "Maria", "José"}[random.IntN(4)] + " " + []string{"López", "Mar", "Ana", "Mendes"}[random.IntN(4)],
				Email: fmt.Sprintf("mar.%d@example.com", i), Title: &title, Version: 1, Status: model.StatusActive, CreatedAt: time.Now(), UpdatedAt: time.Now(),
			}
			if i%400 == 7 {
				u.Name += " Xzara"
			}
			u.Fold()
			rows, users = append(rows, u), append(users, searchable{i + 1, u.NameFolded, u.Email, u.Words()})
		}
		if err := d.db.Write.WithContext(t.Context()).CreateInBatches(rows, 500).Error; err != nil {
			t.Fatal(err)
		}
		if err := d.db.Derive(t.Context()); err != nil {
			t.Fatal(err)
		}
		d.analyze(t)
		for _, c := range []struct {
			query, filter string
			statements    int
			few           bool // the last of them begins with what few users meet
		}{
			{"m", "", 1, false},
			{"mar", "", 1, false},
			{"mend", "", 2, false},
			{"lop mar", "", 3, false},
			{"m a", "", 3, false},
			{"market xz", "", 3, true},
			{"mar nobody", "", 3, false},
			{"mar", `, filter: {email: {startsWith: "mar.1"}}`, 1, false},
			{"man", `, filter: {name: {startsWith: "zoe"}}`, 3, true},
			{"man mar", `, filter: {id: {in: ["User:5", "User:77", "User:3999"]}}`, 3, true},
			{"man mar", `, filter: {id: {notIn: ["User:5", "User:77", "User:3999"]}}`, 3, false},
		} {
			want := byRelevance(users, c.query)
			want = slices.DeleteFunc(want, func(u searchable) bool {
				few := slices.Contains([]int{5, 77, 3999}, u.id)
				return strings.Contains(c.filter, "mar.1") && !strings.HasPrefix(u.email, "mar.1") || strings.Contains(c.filter, "zoe") && !strings.HasPrefix(u.name, "zoe") ||
					strings.Contains(c.filter, "in:") && !few || strings.Contains(c.filter, "notIn:") && few
			})
			for _, way := range []string{"first", "last"} {
				var a answer
				run := d.sql.During(func() {
					a = d.must(fmt.Sprintf("{ users(query: %q%s, %s: 20) { nodes { id } pageInfo { endCursor startCursor } } }", c.query, c.filter, way))
				})
				for _, statement := range run {
					counts := strings.Contains(statement, "COUNT(*)")                       // which ends after some thousand rows
					if weak := strings.Contains(c.filter, "startsWith"); !counts && !weak { // it leaves a fourth of them
						d.wantNoScan(t, statement)
					}
				}
				first := want[:min(20, len(want))]
				if way == "last" {
					first = want[max(0, len(want)-20):]
				}
				if got := nodes(t, a); !slices.Equal(got, idsOf(first)) {
					t.Errorf("%s%s, %s: got %v, want %v", c.query, c.filter, way, got, idsOf(first))
				}
				if few := !strings.Contains(run[len(run)-1], ") page"); way == "first" && (len(run) != c.statements || c.statements == 3 && few != c.few) {
					t.Errorf("%s%s: %d statements, want %d; begins with few: %t", c.query, c.filter, len(run), c.statements, few)
				}
			}
		}
	})
}

// nodes returns the ids of the users of a page.
func nodes(t *testing.T, a answer) (all []string) {
	t.Helper()
	for _, node := range a.at(t, "users.nodes").([]any) {
		all = append(all, node.(map[string]any)["id"].(string))
	}
	return all
}

// analyze has the database look at what it holds, for its planner.
func (d *directory) analyze(t *testing.T) {
	t.Helper()
	statement := map[string]string{"sqlite": "ANALYZE", "mysql": "ANALYZE TABLE users, user_words", "postgres": "ANALYZE users, user_words"}[d.db.Dialect().Name()]
	if err := d.db.Write.WithContext(t.Context()).Exec(statement).Error; err != nil {
		t.Fatal(err)
	}
}

// wantNoScan fails if a statement reads the users or their words otherwise than by an index, and a part of that.
func (d *directory) wantNoScan(t *testing.T, statement string) {
	t.Helper()
	explain := map[string]string{"sqlite": "EXPLAIN QUERY PLAN ", "mysql": "EXPLAIN ", "postgres": "EXPLAIN "}[d.db.Dialect().Name()]
	if d.db.Dialect().Name() == "sqlite" { // whose values GORM shows in double quotes
		statement = strings.ReplaceAll(statement, `"`, "'")
	}
	var steps []map[string]any
	if err := d.db.Write.WithContext(t.Context()).Raw(explain + statement).Find(&steps).Error; err != nil {
		t.Fatalf("%v: %s", err, statement)
	}
	var plan []string
	for _, step := range steps {
		line := fmt.Sprint(step["detail"], step["QUERY PLAN"], step["type"])
		plan = append(plan, fmt.Sprint(step))
		if typ, _ := step["type"].([]byte); typ != nil {
			line = string(typ)
		}
		derived := strings.HasPrefix(fmt.Sprint(step["table"]), "<")
		if strings.Contains(line, "Seq Scan on user") || !derived && slices.Contains([]string{"ALL", "index"}, line) ||
			slices.ContainsFunc([]string{"SCAN t", "SCAN w", "SCAN s"}, func(scan string) bool { return strings.HasPrefix(line, scan) }) {
			t.Errorf("%s scans: %s\n%s", line, statement, strings.Join(plan, "\n"))
		}
	}
}

// names returns the names of the users that a query finds, by relevance.
func (d *directory) names(query string) string {
	d.tb.Helper()
	var names []string
	for _, node := range d.must("query($query: String) { users(query: $query) { nodes { name } } }", "query", query).at(d.tb, "users.nodes").([]any) {
		names = append(names, node.(map[string]any)["name"].(string))
	}
	return strings.Join(names, ", ")
}

func TestSearchFindsPeopleAsTheirNamesAreTyped(t *testing.T) {
	onEveryDatabase(t, func(t *testing.T, d *directory) {
		for i, name := range []string{"José Łódź", "Strauß Ørsted", "Pat O’Brien", "Guy l'Hôpital", "Anna-Maria Lopez", "Maria Lopez", "Maria", "Mario Rossi", "Rosa Maria", "山田 太郎", "🎉"} {
			d.create(name, fmt.Sprintf("user.%d@example.com", i), nil)
		}
		for query, want := range map[string]string{
			"jose":                "José Łódź",
			"LODZ":                "José Łódź",
			"Łódź josé":           "José Łódź",
			"ＪＯＳＥ":                "José Łódź",
			"jo\u0301s":           "José Łódź",
			"orsted strauss":      "Strauß Ørsted",
			"obrien":              "Pat O’Brien",
			"o'brien":             "Pat O’Brien",
			"o’b":                 "Pat O’Brien",
			"o brien":             "Pat O’Brien",
			"brien":               "Pat O’Brien",
			"hopital":             "Guy l'Hôpital",
			"山田":                  "山田 太郎",
			"太":                   "山田 太郎",
			"maria":               "Maria, Maria Lopez, Anna-Maria Lopez, Rosa Maria",
			"mari":                "Maria, Maria Lopez, Mario Rossi, Anna-Maria Lopez, Rosa Maria",
			"maria lopez":         "Maria Lopez, Anna-Maria Lopez",
			"anna-maria lo":       "Anna-Maria Lopez",
			"lopez m":             "Anna-Maria Lopez, Maria Lopez",
			"lopez, maria":        "Anna-Maria Lopez, Maria Lopez",
			"user.3":              "Guy l'Hôpital",
			"USER.3@example.com":  "Guy l'Hôpital",
			"example":             "",
			"aria":                "",
			"maria nobody":        "",
			"🎉":                   "",
			"":                    "",
			" - ' ":               "",
			"\x00":                "",
			"maria\x00lopez":      "Maria Lopez, Anna-Maria Lopez",
			"%":                   "",
			"mari_":               "Anna-Maria Lopez, Maria Lopez, Maria, Rosa Maria, Mario Rossi",
			`\`:                   "",
			"\U0010ffff maria r":  "Rosa Maria",
			"a' OR 1 = 1 --":      "",
			"Łódź\u00a0\u3000jos": "José Łódź",
		} {
			if got := d.names(query); got != want {
				t.Errorf("%q finds %s; want %s", query, got, want)
			}
		}
		if a := d.must(`{ none: users(query: "-") { totalCount nodes { id } } all: users(query: null) { totalCount } sorted: users(query: "?", orderBy: {field: NAME}) { nodes { id } } }`); a.raw !=
			`{"data":{"none":{"totalCount":0,"nodes":[]},"all":{"totalCount":11},"sorted":{"nodes":[]}}}` {
			t.Error(a.raw)
		}
	})
}

func TestAQueryHasBounds(t *testing.T) {
	onEveryDatabase(t, func(t *testing.T, d *directory) {
		long := strings.Repeat("ä", 64)
		id := d.create(long+"bc", "long@example.com", nil)
		var words []string
		for i := range 17 {
			words = append(words, fmt.Sprint("w", 10+i))
		}
		d.create(strings.Join(words, " "), "words@example.com", nil)
		for query, want := range map[string]string{
			long:                              "",
			long + "b":                        "a word of query must have at most 64 characters, not 65",
			strings.Join(words[:16], " "):     "",
			strings.Join(words, " "):          "query must have at most 16 words, not 17",
			strings.Repeat("w10 ", 63) + "w1": "",
			strings.Repeat(" ", 256):          "query must have at most 255 characters, not 256",
		} {
			a := d.send("query($query: String) { users(query: $query) { totalCount nodes { id } } }", "query", query)
			switch {
			case want == "" && (len(a.Errors) > 0 || a.at(t, "users.totalCount") != 1.0):
				t.Errorf("%q: %s", query, a.raw)
			case want != "" && (a.code(t) != "BAD_USER_INPUT" || a.Errors[0].Message != want || a.Errors[0].Extensions["field"] != "query"):
				t.Errorf("%q: want %s, got %s", query, want, a.raw)
			}
		}
		if a := d.must("query($query: String) { users(query: $query) { nodes { id } } }", "query", long); a.at(t, "users.nodes.0.id") != id {
			t.Error(a.raw)
		}
	})
}

func TestRelevanceNeedsAQueryAndACursorIsOfItsQuery(t *testing.T) {
	onDemoData(t, func(t *testing.T, d *directory) {
		cursor := d.must(`{ users(query: "a", first: 1) { pageInfo { endCursor } } }`).at(t, "users.pageInfo.endCursor")
		for query, field := range map[string]string{
			`{ users(orderBy: {field: RELEVANCE}) { nodes { id } } }`:                                                               "orderBy",
			`{ users(query: null, orderBy: {field: RELEVANCE}) { nodes { id } } }`:                                                  "orderBy",
			`{ user(id: "User:1") { reports(orderBy: {field: RELEVANCE}) { nodes { id } } } }`:                                      "orderBy",
			fmt.Sprintf(`{ users(query: "an", after: %q) { nodes { id } } }`, cursor):                                               "after",
			fmt.Sprintf(`{ users(query: "a", after: %q, orderBy: {field: NAME}) { nodes { id } } }`, cursor):                        "after",
			fmt.Sprintf(`{ users(query: "a", before: %q, orderBy: {field: RELEVANCE, direction: DESC}) { nodes { id } } }`, cursor): "before",
			fmt.Sprintf(`{ users(query: "a", after: %q, filter: {email: {contains: "a"}}) { nodes { id } } }`, cursor):              "after",
			fmt.Sprintf(`{ users(after: %q) { nodes { id } } }`, cursor):                                                            "after",
		} {
			if a := d.send(query); a.code(t) != "BAD_USER_INPUT" || a.Errors[0].Extensions["field"] != field {
				t.Errorf("%s: %s", query, a.raw)
			}
		}
		// One query however it is spelt.
		d.must(fmt.Sprintf(`{ users(query: " Á", after: %q) { nodes { id } } }`, cursor))
	})
}

func TestWhatIsWrittenIsFoundAtOnceAndFormerWordsAreNot(t *testing.T) {
	onEveryDatabase(t, func(t *testing.T, d *directory) {
		id := d.create("José López", "jl@example.com", nil)
		update := func(statements int, input string) {
			t.Helper()
			n := 0
			for _, s := range d.sql.During(func() { d.must(fmt.Sprintf("mutation { updateUser(input: {id: %q, %s}) { user { id } } }", id, input)) }) {
				if strings.Contains(s, "user_words") {
					n++
				}
			}
			if n != statements {
				t.Errorf("%s: %d statements write words, want %d", input, n, statements)
			}
		}
		wantFound := func(want string, queries ...string) {
			t.Helper()
			for _, query := range queries {
				if got := d.names(query); got != want {
					t.Errorf("%q finds %q, want %q", query, got, want)
				}
			}
		}
		wantFound("José López", "jose", "jl", "lop jos")
		update(2, `name: "Łucja Ørsted"`)
		wantFound("Łucja Ørsted", "lucja", "ors luc", "jl")
		wantFound("", "jose", "lopez")
		update(0, `name: "lucja ORSTED"`)
		wantFound("lucja ORSTED", "lucja")
		update(2, `title: "Senior Engineer"`)
		wantFound("lucja ORSTED", "engineer", "lucja senior")
		update(2, `title: null`)
		wantFound("", "engineer")
		update(0, `email: "jl@example.org", department: "Sales"`)
		update(2, `email: "new@example.org"`)
		wantFound("", "jl")
		wantFound("lucja ORSTED", "new")
		d.must(fmt.Sprintf("mutation { deleteUser(input: {id: %q}) { deletedUserId } }", id))
		wantFound("", "lucja", "new")
		var left int64
		if err := d.db.Write.WithContext(t.Context()).Table("user_words").Count(&left).Error; err != nil || left != 0 {
			t.Errorf("%d words are left, %v", left, err)
		}
	})
}

func TestRowsThatComeAndGoNeitherRepeatNorSkipWhatASearchFinds(t *testing.T) {
	onEveryDatabase(t, func(t *testing.T, d *directory) {
		users := populate(t, d, rand.New(rand.NewPCG(3, 4)), 40)
		want := idsOf(byRelevance(users, "a"))
		read := func(place string) answer {
			return d.must(fmt.Sprintf(`{ users(query: "a", first: 5%s) { nodes { id } pageInfo { hasNextPage endCursor } } }`, place))
		}
		var got []string
		for place, n := "", 0; ; n++ {
			a := read(place)
			got = append(got, nodes(t, a)...)
			if a.at(t, "users.pageInfo.hasNextPage") != true || n > len(users) {
				break
			}
			place = fmt.Sprintf(", after: %q", a.at(t, "users.pageInfo.endCursor"))
			last := got[len(got)-1] // at the cursor
			d.must(fmt.Sprintf("mutation { deleteUser(input: {id: %q}) { deletedUserId } }", last))
			d.create("A new one", fmt.Sprintf("before.%d@example.com", n), nil)
		}
		if got = slices.DeleteFunc(got, func(id string) bool { return !slices.Contains(want, id) }); !slices.Equal(got, want) {
			t.Errorf("got %v, want %v", got, want)
		}
	})
}

func TestASearchHasExactlyItsStatements(t *testing.T) {
	onDemoData(t, func(t *testing.T, d *directory) {
		for _, c := range []struct {
			query      string
			statements int
		}{
			{`{ users(query: "a", first: 5) { nodes { name } } }`, 1},                                          // names that begin so fill the page
			{`{ users(query: "zzz", first: 5) { nodes { name } } }`, 2},                                        // they do not
			{`{ users(query: "a", first: 5) { totalCount nodes { name manager { name } } } }`, 3},              //
			{`{ users(query: "-", first: 5) { nodes { name } } }`, 0},                                          // there are none
			{`{ users(query: "a", first: 5, orderBy: {field: NAME}) { nodes { name } } }`, 1},                  // a condition
			{`{ a: users(query: "a", first: 5) { nodes { name } } b: users(query: "A") { nodes { id } } }`, 2}, // two pages
			{`{ a: users(query: "a", first: 5) { nodes { name } } b: users(query: "A", first: 5) { nodes { id } } }`, 1},
		} {
			d.wantStatements(t, c.statements, func() { d.must(c.query) })
		}
	})
}

func TestTheModelOfSearchHasTheWordsOfUsers(t *testing.T) {
	title := "O'Maria Łotr"
	u := model.User{Name: "José  O’Brien-Zo·la", Email: "ana.lopez.7@mar.example", Title: &title}
	if got, want := u.Words(), wordsOf("jose  o'brien-zo·la ana lopez 7 o'maria lotr"); !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
}

func TestConditionsWithASubqueryEachAreAnsweredInTime(t *testing.T) {
	directorytest.EachDemo(t, func(t *testing.T, db *database.Database) { // one after the other, for their time
		d, managed := newDirectory(t, db), make([]any, 10)
		for i := range managed {
			managed[i] = map[string]any{"managedBy": fmt.Sprintf("User:%d", 1+i%3)}
		}
		start := time.Now()
		a := d.must(`query($filter: UserFilter) { users(query: "a b c d e f g h i j k l m n o p", filter: $filter) { totalCount nodes { id } } all: users(filter: $filter) { totalCount } }`,
			"filter", map[string]any{"and": managed})
		if a.at(t, "users.totalCount") != 0.0 || a.at(t, "all.totalCount") != 0.0 {
			t.Errorf("got %s", a.raw)
		}
		if took := time.Since(start); took > 8*time.Second { // a choice among all orders of joins takes minutes
			t.Errorf("took %s", took)
		}
	})
}

func TestANameIsFoundFirstHoweverManySpacesItHas(t *testing.T) {
	onEveryDatabase(t, func(t *testing.T, d *directory) {
		d.create("Zoë Ann Zabel", "zoe3@example.com", nil)
		spaced := d.create("Zoë  Ann", "zoe1@example.com", nil)
		plain := d.create("Zoe Ann", "zoe2@example.com", nil)
		for _, query := range []string{"zoe ann", "ZOE  ANN"} {
			a := d.must(`query($q: String) { users(query: $q) { nodes { id } } }`, "q", query)
			if a.at(t, "users.nodes.0.id") != spaced || a.at(t, "users.nodes.1.id") != plain {
				t.Errorf("%s: got %s", query, a.raw)
			}
		}
	})
}
