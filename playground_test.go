package main

import (
	"bytes"
	"encoding/json"
	"html"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"rollcall/auth/authtest"
	"rollcall/database/databasetest"
	"rollcall/directory/directorytest"
)

// example is an operation that the Playground offers.
type example struct {
	file      string
	query     string
	variables json.RawMessage
}

// examples reads the Playground's examples, in the order in which it shows them.
func examples(t *testing.T) (all []example) {
	t.Helper()
	paths, err := filepath.Glob("playground/app/examples/*.graphql")
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range paths {
		query, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		variables, err := os.ReadFile(strings.TrimSuffix(path, "graphql") + "json")
		if err != nil && !os.IsNotExist(err) {
			t.Fatal(err)
		}
		all = append(all, example{filepath.Base(path), string(query), variables})
	}
	return all
}

// operations returns the names of the example's operations.
func (e example) operations() (names []string) {
	for _, found := range regexp.MustCompile(`(?m)^(?:query|mutation|subscription) (\w+)`).FindAllStringSubmatch(e.query, -1) {
		names = append(names, found[1])
	}
	return names
}

// request is what the Playground sends to run an operation of the example.
func (e example) request(t *testing.T, operation string) string {
	t.Helper()
	body := map[string]any{"query": e.query, "operationName": operation}
	if len(e.variables) > 0 {
		body["variables"] = e.variables
	}
	text, err := json.Marshal(body)
	if err != nil {
		t.Fatalf("%s: %v", e.file, err)
	}
	return string(text)
}

func TestEveryExampleOfThePlaygroundWorksOnTheDemoData(t *testing.T) {
	t.Parallel()
	all := examples(t)
	databasetest.EachWith(t, directorytest.Demo, func(t *testing.T, url string) {
		s := start(t, "--database", url)
		ran := 0
		for _, e := range all {
			for _, operation := range e.operations() {
				var answer string
				if strings.Contains(e.query, "subscription ") {
					answer = s.firstEvent(e.request(t, operation))
				} else {
					res, text := s.ask(http.DefaultClient, http.MethodPost, e.request(t, operation),
						"Content-Type", "application/json", "Accept", "text/event-stream, application/json")
					answer = string(text)
					if res.StatusCode != http.StatusOK {
						t.Errorf("%s: %s", operation, res.Status)
					}
					if parts := strings.Count(answer, "event: next"); (parts > 1) != strings.Contains(e.query, "@defer") {
						t.Errorf("%s comes in %d parts", operation, parts)
					}
				}
				if strings.Contains(answer, `"errors"`) || !regexp.MustCompile(`"data":\{"\w+":[^n]`).MatchString(answer) {
					t.Errorf("%s answers %s", operation, answer)
				}
				ran++
			}
		}
		if ran <= len(all) {
			t.Errorf("%d operations of %d examples: none has several", ran, len(all))
		}
	})
}

// firstEvent runs a subscription to changes of User:42 until it has had one.
func (s *server) firstEvent(body string) string {
	s.tb.Helper()
	text, _ := s.stream(body)
	eventually(s.tb, "an event", func() bool {
		s.answer(`mutation { updateUser(input: {id: "User:42", name: "Kwame Weber"}) { user { name } } }`)
		return strings.Contains(text.String(), "event: next")
	})
	return text.String()
}

func TestTheExamplesHaveOneOfEachKindWithATitleAndADescription(t *testing.T) {
	all, titles, text := examples(t), map[string]bool{}, ""
	for _, e := range all {
		found := regexp.MustCompile(`^# (.+)\n(# .+\n)+(query|mutation|subscription) \w+`).FindStringSubmatch(e.query)
		if found == nil {
			t.Errorf("%s does not begin with a title, a description and a named operation", e.file)
			continue
		}
		if titles[found[1]] {
			t.Errorf("two are called %s", found[1])
		}
		titles[found[1]] = true
		text += e.query + string(e.variables)
	}
	if len(all) < 12 {
		t.Errorf("there are only %d", len(all))
	}
	for _, kind := range []string{
		"  user(id:", "  users(first:", "after:", "before:", "query:", "filter:", "orderBy:", "manager {", "teams {", "query UserByEmail($email: String!)", "fragment ", ": user(", "__typename", "__type(",
		"@include", "@skip", "@defer", "@snapshot", "createUser(", "updateUser(", "deleteUser(", "expectedVersion", "createTeam(", "addTeamMembers(", "createUsers(", "subscription ", "mutationOutcome(",
	} {
		if !strings.Contains(text, kind) {
			t.Errorf("none has %q", kind)
		}
	}
}

func TestTheTourInTheREADMEIsAmongTheExamples(t *testing.T) {
	plain := func(query string) string { // without comments, the operation's name and white space
		return strings.Join(strings.Fields(regexp.MustCompile(`(?m)^(# .*|query \w+)|,`).ReplaceAllString(query, "")), "")
	}
	offered, queries := map[string]bool{}, 0
	for _, e := range examples(t) {
		offered[plain(e.query)] = true
	}
	for _, b := range readBlocks(t) {
		if b.section != "A tour of ten queries" || b.language != "graphql" {
			continue
		}
		if queries++; !offered[plain(b.text)] {
			t.Errorf("README.md:%d: no example is this query", b.line)
		}
	}
	if queries != 10 {
		t.Errorf("the tour has %d queries", queries)
	}
}

func TestThePlaygroundOpensWithAQueryThatShowsSomething(t *testing.T) {
	t.Parallel()
	s := start(t, "--database", databasetest.With(t, "sqlite", directorytest.Demo))
	first := examples(t)[0]
	nodes, _ := field(t, s.answer(first.query), "users", "nodes").([]any)
	if len(nodes) == 0 {
		t.Error("it shows no users")
	}
	for _, node := range nodes {
		if user, err := json.Marshal(node); err != nil || bytes.Contains(user, []byte("null")) || bytes.Contains(user, []byte("[]")) {
			t.Errorf("it shows a user without a manager or teams: %s", user)
		}
	}
}

func TestThePlaygroundNeedsNothingFromOutside(t *testing.T) {
	s := start(t, "--database", databasetest.With(t, "sqlite", databasetest.Nothing))
	links := regexp.MustCompile(`(?:src|href|data-\w+-worker)="([^"]*)"`).FindAllStringSubmatch(get(t, s.base+"/").body, -1)
	if len(links) < 3 {
		t.Fatalf("the page links to %q only", links)
	}
	types := map[string]string{
		".css": "text/css; charset=utf-8", ".js": "text/javascript; charset=utf-8", ".svg": "image/svg+xml", ".txt": "text/plain; charset=utf-8",
	}
	for _, link := range links {
		if !strings.HasPrefix(link[1], "playground/") {
			t.Errorf("%s is not on this server", link[1])
			continue
		}
		asset := get(t, s.base+"/"+link[1])
		if want := types[filepath.Ext(link[1])]; asset.contentType != want || asset.body == "" {
			t.Errorf("%s is %d bytes of %q, want %q", link[1], len(asset.body), asset.contentType, want)
		}
	}
}

func TestThePlaygroundLogsPeopleInAtTheFirstProviderIfAClientIsNamed(t *testing.T) {
	t.Parallel()
	first, second := authtest.New(t), authtest.New(t)
	for _, test := range []struct {
		args           []string
		login, connect string
	}{
		{nil, "null", "'self'"},
		{
			[]string{"--oidc-client-id=page", "--oidc-scopes=openid  groups", "--oidc-parameter=audience=a=b&c resource=urn:d"},
			`{"issuer":"` + first.URL + `","clientId":"page","scope":"openid groups","parameters":{"audience":"a=b\u0026c","resource":"urn:d"}}`,
			"'self' " + first.URL,
		},
	} {
		s := start(t, append([]string{
			"--database", databasetest.With(t, "sqlite", databasetest.Nothing), "--oidc-audience=rollcall", "--oidc-issuer", first.URL, "--oidc-issuer", second.URL,
		}, test.args...)...)
		res, err := http.Get(s.base + "/")
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(res.Body)
		if err != nil {
			t.Fatal(err)
		}
		_ = res.Body.Close()
		if want := ` data-login="` + html.EscapeString(test.login) + `"`; !bytes.Contains(body, []byte(want)) {
			t.Errorf("%v: want%s in %s", test.args, want, body)
		}
		if policy := res.Header.Get("Content-Security-Policy"); !strings.HasSuffix(policy, "; connect-src "+test.connect) {
			t.Errorf("%v: the policy is %s", test.args, policy)
		}
	}
}

func TestNoOtherPageIsServed(t *testing.T) {
	s := start(t, "--database", databasetest.With(t, "sqlite", databasetest.Nothing))
	for _, path := range []string{"/playground", "/playground/", "/playground/index.html", "/query/index.html", "/index.html", "/nowhere", "/scim", "/scim/v2/index.html"} {
		res, err := http.Get(s.base + path)
		if err != nil {
			t.Fatal(err)
		}
		_ = res.Body.Close()
		if res.StatusCode != http.StatusNotFound {
			t.Errorf("%s: %s", path, res.Status)
		}
	}
}
