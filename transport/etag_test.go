package transport_test

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/99designs/gqlgen/graphql"
	"github.com/99designs/gqlgen/graphql/handler/lru"
	"github.com/vektah/gqlparser/v2/gqlerror"

	"rollcall/document"
	"rollcall/transport"
)

// store is what answers are made of, and what has become of requests: it counts up to the order of versions and runs.
type store struct {
	tb  testing.TB
	url string
	api *transport.HTTP

	mu      sync.Mutex
	version string // "": it is not known
	viewer  string
	answer  *graphql.Response
	events  []string
}

// set changes what there is.
func (s *store) set(change func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	change()
}

// happened returns what has happened since it was called before.
func (s *store) happened() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	defer func() { s.events = nil }()
	return strings.Join(s.events, " ")
}

func (s *store) happen(event string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.events = append(s.events, event)
}

// twice has two operations, and named a variable.
const (
	twice = `query One($n: Int) { one(n: $n) } query Two($n: Int) { one(n: $n) }`
	named = `query Named($n: Int) { one(n: $n) }`
)

func serveStore(t *testing.T) *store {
	t.Helper()
	s := &store{tb: t, version: "1", answer: data(`{"one":1}`)}
	serve := func(context.Context) graphql.ResponseHandler {
		s.happen("run")
		return func(ctx context.Context) *graphql.Response {
			s.mu.Lock()
			defer s.mu.Unlock()
			answer := *s.answer
			for name, value := range answer.Extensions {
				graphql.RegisterExtension(ctx, name, value)
			}
			return &answer
		}
	}
	list := document.List{
		"twice": {Text: twice}, "named": {Text: named}, "same": {Text: named},
		"public":  {Text: named, CacheControl: "public, max-age=60"},
		"private": {Text: named, CacheControl: "private, max-age=60"},
		"never":   {Text: named, CacheControl: "no-store"},
		"wait":    {Text: `{ wait }`, CacheControl: "public, max-age=60"},
	}
	for id, text := range map[string]string{
		"beside": `{ one wait }`, "within": `{ one ... { wait } }`, "spread": `{ one ...F } fragment F on Query { wait }`, "skipped": `{ one wait @skip(if: true) }`,
		"typename": `{ __typename }`, "defer": `{ one ... @defer { other } }`, "mutation": `mutation { write }`, "ticks": `subscription { ticks }`,
	} {
		list[id] = document.Document{Text: text}
	}
	s.api = &transport.HTTP{MaxBatch: 5, Documents: document.NewListed(list), Validators: &transport.Validators{
		Version: func(context.Context) (string, bool) {
			s.happen("version")
			s.mu.Lock()
			defer s.mu.Unlock()
			return s.version, s.version != ""
		},
		Viewer: func(context.Context) string {
			s.mu.Lock()
			defer s.mu.Unlock()
			return s.viewer
		},
		Fields: map[string]bool{"one": true, "other": true},
	}}
	s.url = serveHTTP(t, s.api, fields{"one": serve, "wait": serve, "ticks": sequence(data(`{"ticks":1}`))},
		document.Extension{Listed: document.NewListed(list), Automatic: &document.Automatic{Memory: lru.New[*document.Text](10)}})
	return s
}

// get asks by GET; parameters are name, value, name, value.
func (s *store) get(etag string, parameters ...string) reply {
	s.tb.Helper()
	return s.ask(http.MethodGet, []string{"If-None-Match", etag}, parameters...)
}

func (s *store) ask(method string, headers []string, parameters ...string) reply {
	s.tb.Helper()
	return ask(s.tb, method, s.url+query(parameters...), "", headers...)
}

// tag is the ETag of an answer, which must be a weak one.
func (s *store) tag(r reply) string {
	s.tb.Helper()
	tags := r.Header.Values("Etag")
	if len(tags) != 1 || !strings.HasPrefix(tags[0], `W/"`) || r.StatusCode != http.StatusOK && r.StatusCode != http.StatusNotModified {
		s.tb.Fatalf("%s with the ETags %q: %s", r.Status, tags, r.text)
	}
	return tags[0]
}

func TestAClientThatHasTheCurrentAnswerIsToldSoAndNothingRuns(t *testing.T) {
	s := serveStore(t)
	const sent = `query Sent { one }`
	post(t, s.url, naming(sent, automatic(hash(sent))))
	s.happened()
	for i, parameters := range [][]string{
		{"documentId", "named"},
		{"documentId", "named", "variables", `{"n":1}`},
		{"extensions", automatic("named")},
		{"extensions", automatic(hash(sent))},
		{"query", sent, "extensions", automatic(hash(sent))},
	} {
		first := s.get("", parameters...)
		tag := s.tag(first)
		if got := s.happened(); got != "version run" || first.text != `{"data":{"one":1}}` {
			t.Errorf("%q: %s: %s", parameters, got, first.text)
		}
		again := s.get(tag, parameters...)
		if got := s.happened(); again.StatusCode != http.StatusNotModified || got != "version" || again.text != "" {
			t.Errorf("%q: %s, %s: %s", parameters, again.Status, got, again.text)
		}
		for _, name := range []string{"Etag", "Cache-Control", "Vary"} {
			if !slices.Equal(again.Header[name], first.Header[name]) {
				t.Errorf("%q: %s is %q, and %q in the 304", parameters, name, first.Header[name], again.Header[name])
			}
		}
		if id := again.Header.Get("Operation-Id"); id == "" || id == first.Header.Get("Operation-Id") {
			t.Errorf("%q: the operation's id is %q", parameters, id)
		}
		s.set(func() { s.version = fmt.Sprint("other ", i) })
		if later := s.get(tag, parameters...); s.tag(later) == tag || later.text != first.text || s.happened() != "version run" {
			t.Errorf("%q after a change: %s: %s", parameters, later.Status, later.text)
		}
		if n := s.api.NotModified(); n != int64(i)+1 {
			t.Errorf("%d are counted", n)
		}
	}
}

func TestTheETagCoversAllThatAnAnswerDependsOn(t *testing.T) {
	s := serveStore(t)
	seen := map[string]string{}
	differs := func(what string, r reply) {
		t.Helper()
		tag := s.tag(r)
		if other, again := seen[tag]; again {
			t.Errorf("%s and %s have one ETag", what, other)
		}
		seen[tag] = what
	}
	differs("a document", s.get("", "documentId", "named"))
	differs("another document", s.get("", "documentId", "twice", "operationName", "One"))
	differs("another operation", s.get("", "documentId", "twice", "operationName", "Two"))
	differs("a variable", s.get("", "documentId", "named", "variables", `{"n":1}`))
	differs("another value", s.get("", "documentId", "named", "variables", `{"n":2}`))
	differs("null", s.get("", "documentId", "named", "variables", `{"n":null}`))
	differs("an extension", s.get("", "documentId", "named", "extensions", `{"cost":true}`))
	differs("another media type", s.ask(http.MethodGet, []string{"Accept", graphqlType}, "documentId", "named"))
	s.set(func() { s.viewer = "somebody" })
	differs("a viewer", s.get("", "documentId", "named"))
	s.set(func() { s.viewer, s.version = "", "2" })
	differs("another version", s.get("", "documentId", "named"))
	s.set(func() { s.version, s.viewer = "21", "" })
	differs("a longer version", s.get("", "documentId", "named"))
	s.set(func() { s.version, s.viewer = "2", "1" })
	differs("a version and a viewer that are the longer version", s.get("", "documentId", "named"))
	s.set(func() { s.version, s.viewer = "1", "" })
	for what, parameters := range map[string][]string{
		"the same again":                     {"documentId", "named"},
		"the same document by another id":    {"documentId", "same"},
		"the same operation, which is named": {"documentId", "named", "operationName", "Named"},
	} {
		if tag := s.tag(s.get("", parameters...)); seen[tag] != "a document" {
			t.Errorf("%s: the ETag is of %q", what, seen[tag])
		}
	}
	one := s.tag(s.get("", "documentId", "named", "variables", `{"n":1}`))
	for _, variables := range []string{` { "n" : 1 }`, `{"n":1,"unknown":2}`} {
		if s.tag(s.get("", "documentId", "named", "variables", variables)) != one {
			t.Errorf("%s: another ETag", variables)
		}
	}
}

func TestIfNoneMatchIsReadAsTheSpecificationHasIt(t *testing.T) {
	s := serveStore(t)
	weak := s.tag(s.get("", "documentId", "named"))
	strong := strings.TrimPrefix(weak, "W/")
	bare := strings.Trim(strong, `"`)
	s.happened()
	for _, headers := range [][]string{
		{weak}, {strong}, {`"a", ` + weak}, {weak + ` ,W/"a"`}, {`"a,b",` + strong + `,"c"`}, {`W/"a"`, weak}, {strong, `""`},
	} {
		var given []string
		for _, h := range headers {
			given = append(given, "If-None-Match", h)
		}
		if r := s.ask(http.MethodGet, given, "documentId", "named"); r.StatusCode != http.StatusNotModified || s.tag(r) != weak || s.happened() != "version" {
			t.Errorf("%q: %s", headers, r.Status)
		}
	}
	for _, header := range []string{`"a"`, bare, `"` + bare, `W/"` + bare + `a"`, `"a` + bare + `"`, `"` + strings.ToUpper(bare) + `"`, `"*"`, `**`, `, ,`} {
		if r := s.get(header, "documentId", "named"); r.StatusCode != http.StatusOK || s.tag(r) != weak || s.happened() != "version run" {
			t.Errorf("%q: %s", header, r.Status)
		}
	}
	// Whether there is any answer shows when the operation has run.
	if r := s.get("*", "documentId", "named"); r.StatusCode != http.StatusNotModified || s.tag(r) != weak || s.happened() != "version run" || r.text != "" {
		t.Errorf("*: %s: %s", r.Status, r.text)
	}
	s.set(func() { s.answer = &graphql.Response{Errors: gqlerror.List{{Message: "wrong"}}, Data: []byte("null")} })
	if r := s.get("*", "documentId", "named"); r.StatusCode != http.StatusOK || !strings.Contains(r.text, "wrong") {
		t.Errorf("* where there is none: %s: %s", r.Status, r.text)
	}
}

func TestOnlyAnAnswerToANamedQueryThatDependsOnNothingElseHasAnETag(t *testing.T) {
	s := serveStore(t)
	for id, want := range map[string]string{"named": "version run", "typename": "version"} {
		r := s.get("", "documentId", id)
		if s.tag(r); s.happened() != want {
			t.Errorf("%s: %s", id, r.text)
		}
	}
	known := s.tag(s.get("", "documentId", "named"))
	s.happened()
	without := func(what, want string, r reply) {
		t.Helper()
		if got := s.happened(); r.Header["Etag"] != nil || r.StatusCode == http.StatusNotModified || got != want {
			t.Errorf("%s: %s with the ETag %q, and %s: %s", what, r.Status, r.Header["Etag"], got, r.text)
		}
	}
	without("a POST", "run", post(t, s.url, `{"documentId":"named"}`, "If-None-Match", known))
	without("an array", "run", post(t, s.url, `[{"documentId":"named"}]`, "If-None-Match", known))
	without("a text", "run", s.get(known, "query", named))
	without("an empty id", "run", s.get(known, "query", named, "documentId", ""))
	without("a hash that is none", "", s.get(known, "extensions", `{"persistedQuery":{"version":1,"sha256Hash":3}}`))
	without("an unknown hash", "", s.get(known, "extensions", automatic(hash(other))))
	without("an unknown id", "", s.get("*", "documentId", "none"))
	without("HEAD", "", s.ask(http.MethodHead, []string{"If-None-Match", known}, "documentId", "named"))
	without("a mutation", "", s.get(known, "documentId", "mutation"))
	without("a subscription", "", s.ask(http.MethodGet, []string{"Accept", eventType, "If-None-Match", "*"}, "documentId", "ticks"))
	without("events", "run", s.ask(http.MethodGet, []string{"Accept", eventType, "If-None-Match", known}, "documentId", "named"))
	without("an answer in parts", "run", s.ask(http.MethodGet, []string{"Accept", multipartType + ", " + jsonType, "If-None-Match", "*"}, "documentId", "defer"))
	for _, id := range []string{"beside", "within", "spread", "skipped", "wait"} {
		without("another field, "+id, "run", s.get("*", "documentId", id))
	}
	without("what must not be kept", "run", s.get("*", "documentId", "never"))
	without("no type that the client accepts", "", s.ask(http.MethodGet, []string{"Accept", "text/html", "If-None-Match", known}, "documentId", "named"))
	without("a variable that is wrong", "", s.get("*", "documentId", "named", "variables", `{"n":"x"}`))

	s.set(func() { s.version = "" })
	without("a version that is not known", "version run", s.get(known, "documentId", "named"))
	without("a version that is not known, and *", "version run", s.get("*", "documentId", "named"))
	s.set(func() { s.version = "2" })
	for what, answer := range map[string]*graphql.Response{
		"an error":          {Data: []byte("null"), Errors: gqlerror.List{{Message: "wrong"}}},
		"an error in parts": {Data: []byte(`{"one":null}`), Errors: gqlerror.List{{Message: "wrong"}}},
		"extensions":        {Data: []byte(`{"one":1}`), Extensions: map[string]any{"took": 1}},
	} {
		s.set(func() { s.answer = answer })
		without(what, "version run", s.get("*", "documentId", "named"))
		without(what, "version run", s.ask(http.MethodGet, []string{"Accept", graphqlType, "If-None-Match", known}, "documentId", "named"))
	}
	if url := serveHTTP(t, &transport.HTTP{}, nil, document.Extension{Listed: trusted}); get(t, url, "", "documentId", "9f2d").Header["Etag"] != nil {
		t.Error("there is an ETag without validators")
	}
}

func TestTheAnswersToADocumentMayBeKeptAsItsListSays(t *testing.T) {
	s := serveStore(t)
	const usual = "private, no-cache"
	want := func(what, cache, vary string, r reply) {
		t.Helper()
		if got := r.Header["Cache-Control"]; len(got) != 1 || got[0] != cache || strings.Join(r.Header["Vary"], ", ") != vary {
			t.Errorf("%s: Cache-Control is %q, and Vary %q", what, got, r.Header["Vary"])
		}
	}
	want("no words", usual, "Accept", s.get("", "documentId", "named"))
	want("public", "public, max-age=60", "Accept", s.get("", "documentId", "public"))
	want("private", "private, max-age=60", "Accept, Authorization", s.get("", "documentId", "private"))
	want("by hash", "private, max-age=60", "Accept, Authorization", s.get("", "extensions", automatic("private")))
	want("with a prefix", "private, max-age=60", "Accept, Authorization", s.get("", "documentId", "sha256:private"))
	want("no-store", "no-store", "Accept, Authorization", s.get("", "documentId", "never"))
	want("a field without an ETag", "public, max-age=60", "Accept", s.get("", "documentId", "wait"))
	want("304", "public, max-age=60", "Accept", s.get(s.tag(s.get("", "documentId", "public")), "documentId", "public"))
	want("POST", "no-store", "Accept", post(t, s.url, `{"documentId":"public"}`))
	want("HEAD", usual, "Accept", s.ask(http.MethodHead, nil, "documentId", "public"))
	want("the text alone", usual, "Accept", s.get("", "query", named))
	want("events", usual, "Accept", s.ask(http.MethodGet, []string{"Accept", eventType}, "documentId", "public"))
	want("what is refused", "no-store", "Accept", s.get("", "documentId", "public", "variables", `{"n":"x"}`))
	for _, answer := range []*graphql.Response{
		{Data: []byte("null"), Errors: gqlerror.List{{Message: "wrong"}}},
		{Data: []byte(`{"one":null}`), Errors: gqlerror.List{{Message: "wrong"}}},
	} {
		s.set(func() { s.answer = answer })
		want("an error", usual, "Accept", s.get("", "documentId", "public"))
		want("an error", usual, "Accept", s.get("*", "documentId", "private"))
	}
}
