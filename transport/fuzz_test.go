package transport_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/99designs/gqlgen/graphql/handler"
	"github.com/99designs/gqlgen/graphql/handler/lru"

	"rollcall/document"
	"rollcall/transport"
)

func fuzzed() *handler.Server {
	return newServer(&transport.HTTP{MaxBody: 4000, MaxBatch: 5}, fields{
		"ticks": sequence(data(`{"ticks":1}`), data(`{"ticks":2}`)), "wait": inParts(),
	}, document.Extension{Listed: trusted, Automatic: &document.Automatic{Memory: lru.New[*document.Text](10)}})
}

// wantAnswer fails unless an answer is one that a client can understand: JSON, or events of JSON, and a refusal with a
// status and codes of its own.
func wantAnswer(t *testing.T, recorded *httptest.ResponseRecorder, head bool) {
	t.Helper()
	r := reply{Response: recorded.Result(), tb: t, text: recorded.Body.String()}
	_ = r.Body.Close()
	if r.StatusCode != http.StatusOK && r.StatusCode != 294 && (r.StatusCode < 400 || r.StatusCode >= 500) {
		t.Fatalf("status %d: %s", r.StatusCode, r.text)
	}
	if r.Header.Get("Operation-Id") == "" || r.Header.Get("Vary") != "Accept" || r.Header.Get("Cache-Control") == "" {
		t.Fatalf("a header is missing: %v", r.Header)
	}
	if head {
		return
	}
	var texts []string
	switch r.media() {
	case jsonType, graphqlType:
		texts = []string{r.text}
	case multipartType:
		texts = multiparts(t, r)
	case eventType:
		rest, complete := strings.CutSuffix(r.text, "event: complete\ndata:\n\n")
		if !complete {
			t.Fatalf("no end: %q", r.text)
		}
		for event := range strings.SplitSeq(strings.TrimPrefix(strings.TrimSuffix(rest, "\n\n"), ":\n\n"), "\n\n") {
			text, ok := strings.CutPrefix(event, "event: next\ndata: ")
			if !ok || strings.Contains(text, "\n") {
				t.Fatalf("no event: %q", event)
			}
			texts = append(texts, text)
		}
	default:
		t.Fatalf("an answer of type %q", r.Header.Get("Content-Type"))
	}
	for _, text := range texts {
		if !json.Valid([]byte(text)) {
			t.Fatalf("not JSON: %q", text)
		}
	}
	if r.StatusCode < 400 {
		return
	}
	var refused struct {
		Errors []struct {
			Message    string
			Extensions struct{ Code string }
		}
	}
	if err := json.Unmarshal([]byte(texts[0]), &refused); err != nil || len(refused.Errors) == 0 {
		t.Fatalf("%d without an error: %s", r.StatusCode, r.text)
	}
	for _, e := range refused.Errors {
		if e.Message == "" || e.Extensions.Code == "" {
			t.Fatalf("%d without a message or a code: %s", r.StatusCode, r.text)
		}
	}
	if _, there := r.object()["data"]; there {
		t.Fatalf("a refusal with data: %s", r.text)
	}
}

// FuzzBody posts a body.
func FuzzBody(f *testing.F) {
	for _, seed := range []string{
		"", " ", "{", "[", "null", "3", `"a"`, "[]", "[[]]", "[{}]", run(`{ one }`), runs(`{ one }`, `mutation { write }`, `{`), run(`subscription { ticks }`),
		run(`{ wait ... @defer { other } }`), runs(`{ wait ... @defer { other } }`, `subscription { ticks }`), run(`{ one }`) + "x", runs(`{ one }`) + "]",
		`{"query":"query($n: Int) { one(n: $n) }","variables":{"n":99999999999999999999},"operationName":""}`,
		`{"query":"query($n: Int) { one(n: $n) }","variables":{"n":{"a":[1e999]}}}`, `{"query":3,"query":"{ one }"}`, `{"QUERY":"{ one }","Variables":[]}`,
		naming("", automatic(hash(listed))), naming(other, automatic(hash(other))), naming(other, automatic("")), `{"documentId":"9f2d","query":null}`,
		`[{"documentId":"sha256:9f2d"},{"extensions":{"persistedQuery":3}}]`, "{\"query\":\"\xff\\ud800\\u0000\"}", strings.Repeat("[", 3000), strings.Repeat(" ", 4001),
		runs("", "", "", "", "", ""), `[null,1,"a",[],{}]`,
	} {
		for i := range fuzzedAccepts {
			f.Add([]byte(seed), uint8(i))
		}
	}
	srv := fuzzed()
	f.Fuzz(func(t *testing.T, body []byte, accept uint8) {
		r := httptest.NewRequest(http.MethodPost, "/", strings.NewReader(string(body)))
		r.Header.Set("Content-Type", jsonType)
		r.Header.Set("Accept", fuzzedAccepts[int(accept)%len(fuzzedAccepts)])
		w := httptest.NewRecorder()
		srv.ServeHTTP(w, r)
		wantAnswer(t, w, false)
	})
}

var fuzzedAccepts = []string{jsonType, graphqlType, eventType, multipartType, eventType + "," + jsonType}

// FuzzURL sends the query of a URL.
func FuzzURL(f *testing.F) {
	for _, seed := range []string{
		"", "&", "=", "query", "query=%", "query=%7B%20one%20%7D", "query={one}&query={one}", "query={one};a", "query={one}&variables=[", "query={one}&variables={}{}",
		"query=mutation{write}", "query=subscription{ticks}", "query={wait,...@defer{other}}", "query={one}&operationName=A&extensions={}&a=1&a=2",
		"documentId=9f2d", "documentId=sha256:9f2d&documentId=", "extensions={%22persistedQuery%22:{%22version%22:1,%22sha256Hash%22:%22a%22}}", "variables=%00&query=%ff",
		query("query", "query($n: Int) { one(n: $n) }", "variables", `{"n": "a"}`)[1:], query("extensions", automatic(hash(listed)))[1:],
	} {
		for i := range fuzzedAccepts {
			f.Add(seed, uint8(i), i == 0)
		}
	}
	srv := fuzzed()
	f.Fuzz(func(t *testing.T, raw string, accept uint8, head bool) {
		r := httptest.NewRequest(http.MethodGet, "/", nil)
		if head {
			r.Method = http.MethodHead
		}
		r.URL.RawQuery = raw
		r.Header.Set("Accept", fuzzedAccepts[int(accept)%len(fuzzedAccepts)])
		w := httptest.NewRecorder()
		srv.ServeHTTP(w, r)
		wantAnswer(t, w, head)
	})
}

// FuzzAccept sends an Accept header.
func FuzzAccept(f *testing.F) {
	for _, seed := range []string{
		"", "*/*", "*", ",", ";", "/", "a/b;q=", jsonType, graphqlType + ";q=0.5," + jsonType + ";q=NaN", "application/*;q=-1", "text/*, */*;q=0", jsonType + ";q=1e-400",
		multipartType + `;boundary="a,b";q=0.2,` + eventType, jsonType + ";charset=\"utf-8\"", eventType + ";q=Inf", "\x00", strings.Repeat("a/b,", 1000), graphqlType + ";q=0;q=1",
	} {
		f.Add(seed, false)
		f.Add(seed, true)
	}
	srv := fuzzed()
	f.Fuzz(func(t *testing.T, accept string, many bool) {
		body := run(`{ one }`)
		if many {
			body = runs(`{ one }`, `{ other }`)
		}
		r := httptest.NewRequest(http.MethodPost, "/", strings.NewReader(body))
		r.Header = http.Header{"Content-Type": {jsonType}, "Accept": strings.Split(accept, "\n")}
		w := httptest.NewRecorder()
		srv.ServeHTTP(w, r)
		wantAnswer(t, w, false)
		if w.Code != http.StatusOK && w.Code != http.StatusNotAcceptable {
			t.Fatalf("status %d", w.Code)
		}
	})
}
