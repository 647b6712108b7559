package transport_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"runtime"
	"strings"
	"testing"

	"github.com/99designs/gqlgen/graphql"
	"github.com/99designs/gqlgen/graphql/handler"
	"github.com/vektah/gqlparser/v2/gqlerror"

	"rollcall/database/databasetest"
	"rollcall/operation"
	"rollcall/session"
	"rollcall/session/sessiontest"
	"rollcall/transport"
)

const (
	jsonType      = "application/json"
	graphqlType   = "application/graphql-response+json"
	multipartType = "multipart/mixed"
	eventType     = "text/event-stream"
	allMethods    = "GET, HEAD, POST, OPTIONS"
)

// serveHTTP serves fields over HTTP and returns the URL. At the end of the test it wants all goroutines gone.
func serveHTTP(tb testing.TB, tr *transport.HTTP, f fields, extensions ...graphql.HandlerExtension) string {
	tb.Helper()
	goroutines := runtime.NumGoroutine()
	server := httptest.NewServer(newServer(tr, f, extensions...))
	tb.Cleanup(func() {
		server.Close()
		http.DefaultClient.CloseIdleConnections()
		eventually(tb, "all goroutines end", func() bool { return runtime.NumGoroutine() <= goroutines })
	})
	return server.URL
}

func newServer(tr *transport.HTTP, f fields, extensions ...graphql.HandlerExtension) *handler.Server {
	srv := handler.New(f)
	srv.AddTransport(tr)
	srv.SetRecoverFunc(func(_ context.Context, p any) error { return gqlerror.Errorf("recovered: %v", p) })
	for _, e := range extensions {
		srv.Use(e)
	}
	return srv
}

// newBank serves the world of the session's tests by HTTP.
func newBank(tb testing.TB, setup sessiontest.Setup) *sessiontest.Bank {
	tb.Helper()
	if setup.Transport == nil {
		setup.Transport = &transport.HTTP{MaxBatch: 50}
	}
	return sessiontest.NewBank(tb, sessiontest.Backend{Dialect: "sqlite", Open: func(tb testing.TB, _ sessiontest.Options) sessiontest.Pools {
		db := databasetest.New(tb, "sqlite")
		return sessiontest.Pools{DB: db.Write, Reads: db.Read, Side: db.Side}
	}}, setup)
}

// reply is an answer that has been read.
type reply struct {
	*http.Response
	tb   testing.TB
	text string
}

// ask sends a request; headers are name, value, name, value.
func ask(tb testing.TB, method, url, body string, headers ...string) reply {
	tb.Helper()
	res := begin(tb, method, url, body, headers...)
	defer func() { _ = res.Body.Close() }()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		tb.Fatal(err)
	}
	return reply{res, tb, string(text)}
}

// begin is ask for an answer that is not read yet. It must come whole within the time that only a hang exceeds.
func begin(tb testing.TB, method, url, body string, headers ...string) *http.Response {
	tb.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), hang)
	tb.Cleanup(cancel)
	req, err := http.NewRequestWithContext(ctx, method, url, strings.NewReader(body))
	if err != nil {
		tb.Fatal(err)
	}
	if method == http.MethodPost {
		req.Header.Set("Content-Type", jsonType)
	}
	for i := 0; i < len(headers); i += 2 {
		if headers[i+1] == "" {
			req.Header.Del(headers[i])
			continue
		}
		req.Header.Add(headers[i], headers[i+1])
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		tb.Fatal(err)
	}
	return res
}

func post(tb testing.TB, url, body string, headers ...string) reply {
	tb.Helper()
	return ask(tb, http.MethodPost, url, body, headers...)
}

// get sends parameters; they are name, value, name, value.
func get(tb testing.TB, address, accept string, parameters ...string) reply {
	tb.Helper()
	return ask(tb, http.MethodGet, address+query(parameters...), "", "Accept", accept)
}

func query(parameters ...string) string {
	values := url.Values{}
	for i := 0; i < len(parameters); i += 2 {
		values.Add(parameters[i], parameters[i+1])
	}
	return "?" + values.Encode()
}

// run is the body of a POST for a document.
func run(document string) string {
	text, _ := json.Marshal(map[string]string{"query": document})
	return string(text)
}

// media is the media type of an answer.
func (r reply) media() string {
	media, _, _ := strings.Cut(r.Header.Get("Content-Type"), ";")
	return media
}

// object is the body, which must be exactly one JSON object.
func (r reply) object() (object map[string]any) {
	r.tb.Helper()
	if err := json.Unmarshal([]byte(r.text), &object); err != nil {
		r.tb.Fatalf("%v: %q", err, r.text)
	}
	return object
}

// code is the code of the only error.
func (r reply) code() string {
	r.tb.Helper()
	errs, _ := r.object()["errors"].([]any)
	if len(errs) != 1 {
		r.tb.Fatalf("want one error: %s", r.text)
	}
	extensions, _ := errs[0].(map[string]any)["extensions"].(map[string]any)
	code, _ := extensions["code"].(string)
	return code
}

// wantRefused fails unless a request is refused by a document with one error and nothing else.
func (r reply) wantRefused(status int, code string) {
	r.tb.Helper()
	if r.StatusCode != status || r.code() != code || len(r.object()) != 1 {
		r.tb.Errorf("want %d with %s and nothing but an error, got %d: %s", status, code, r.StatusCode, r.text)
	}
	if goTypes.MatchString(r.text) || strings.Contains(r.text, "SECRET") {
		r.tb.Errorf("it echoes what was sent, or shows what the server is made of: %s", r.text)
	}
	if r.Header.Get("Cache-Control") != "no-store" {
		r.tb.Errorf("it may be stored: %s", r.Header.Get("Cache-Control"))
	}
}

// goTypes finds the names of Go's types and packages.
var goTypes = regexp.MustCompile(`json: (cannot|unknown|invalid)|\bGo |struct|float64|int64|uint|\bbool\b|map\[|interface|RawMessage|strconv|\bEOF\b|http:`)

func TestTheFormOfAnAnswerIsTheOneThatTheClientWantsMost(t *testing.T) {
	url := serveHTTP(t, &transport.HTTP{}, nil)
	for _, c := range []struct{ accept, media string }{
		{"", jsonType},
		{"*/*", jsonType},
		{"application/*", jsonType},
		{jsonType, jsonType},
		{"APPLICATION/JSON", jsonType},
		{graphqlType, graphqlType},
		{graphqlType + "; charset=UTF-8", graphqlType},
		{graphqlType + "; charset=utf8", graphqlType},
		{jsonType + `; charset="UTF8"`, jsonType},
		{graphqlType + ", " + jsonType, graphqlType},
		{jsonType + ", " + graphqlType, graphqlType},
		{graphqlType + ", " + jsonType + ";q=0.9", graphqlType},
		{graphqlType + ";q=0.5, " + jsonType + ";q=0.9", jsonType},
		{" " + jsonType + " ;q=0.5 ,, " + graphqlType + " ; q=1.0 ", graphqlType},
		{graphqlType + ";q=0, */*", jsonType},
		{jsonType + ";q=0, */*;q=0.1", graphqlType},
		{"application/*, " + jsonType + ";q=0", graphqlType},
		{"*/*;q=0, " + graphqlType + ";q=0.001", graphqlType},
		{"text/html, application/xml;q=0.9, */*;q=0.1", jsonType},
		{jsonType + "; charset=latin1, " + graphqlType + ";q=0.1", graphqlType},
		{jsonType + ";q=2, " + graphqlType + ";q=0.1", graphqlType},
		{jsonType + ";q=NaN, " + graphqlType + ";q=0.1", graphqlType},
		{jsonType + ";q=NaN, */*;q=0.1", jsonType},
		{jsonType + ";q=high, " + graphqlType + ";q=0.1", graphqlType},
		{"nonsense, ;;;, " + jsonType, jsonType},
		{multipartType + ", " + eventType + ", " + jsonType + ";q=0.1", jsonType}, // there is but one part
		{multipartType, multipartType},
		{eventType, eventType},
		{eventType + ";q=0.5, " + multipartType, multipartType},
		{eventType + ", " + multipartType + ";q=0.5", eventType},

		{"text/html", ""},
		{jsonType + ";q=0", ""},
		{jsonType + "; charset=utf-16", ""},
		{"*/*;q=0", ""},
		{"text/*, multipart/*", ""}, // a stream must be asked for by its name
		{"nonsense", ""},
	} {
		for _, r := range []reply{post(t, url, run(`{ one }`), "Accept", c.accept), get(t, url, c.accept, "query", "{ one }")} {
			switch {
			case c.media == "" && r.media() != jsonType:
				t.Errorf("%s: refused as %s", c.accept, r.media())
			case c.media == "":
				r.wantRefused(http.StatusNotAcceptable, transport.CodeNotAcceptable)
			case r.media() != c.media || r.StatusCode != http.StatusOK || !strings.Contains(r.text, `{"data":{"one":1}}`):
				t.Errorf("%s: want %s, got %d %s: %s", c.accept, c.media, r.StatusCode, r.media(), r.text)
			}
			if r.Header.Get("Vary") != "Accept" {
				t.Errorf("%s: Vary is %s", c.accept, r.Header.Get("Vary"))
			}
		}
	}
	res := begin(t, http.MethodPost, url, run(`{ one }`), "Accept", "text/html", "Accept", graphqlType)
	_ = res.Body.Close()
	if res.Header.Get("Content-Type") != graphqlType+"; charset=utf-8" {
		t.Errorf("of two headers only the first was read: %s", res.Header.Get("Content-Type"))
	}
}

// outcomes are well-formed requests, whatever becomes of them.
var outcomes = []struct {
	what, body string
	status     int // as application/graphql-response+json
	data       any // "" where there must be no such key
}{
	{"a success", run(`{ one }`), 200, map[string]any{"one": 1.0}},
	{"a failed field", run(`{ other }`), 294, map[string]any{"other": nil}},
	{"a failed operation", run(`mutation { write }`), 294, nil},
	{"a syntax error", run(`{ one`), 400, ""},
	{"an empty document", run(``), 400, ""},
	{"a validation error", run(`{ one { two } }`), 400, ""},
	{"an unknown operation", `{"query":"query A { one }","operationName":"B"}`, 400, ""},
	{"a variable of a wrong type", `{"query":"query($n: Int!) { one(n: $n) }","variables":{}}`, 400, ""},
	{"a subscription without a stream", run(`subscription { ticks }`), 400, ""},
}

var outcomesServed = fields{
	"other": sequence(&graphql.Response{Data: json.RawMessage(`{"other":null}`), Errors: gqlerror.List{gqlerror.Errorf("failed")}}),
	"write": sequence(&graphql.Response{Data: json.RawMessage("null"), Errors: gqlerror.List{gqlerror.Errorf("failed")}}),
}

func TestTheStatusTellsWhatBecameOfARequestExceptUnderPlainJSON(t *testing.T) {
	url := serveHTTP(t, &transport.HTTP{}, outcomesServed)
	for _, media := range []string{jsonType, graphqlType} {
		for _, c := range outcomes {
			status := c.status
			if media == jsonType {
				status = http.StatusOK
			}
			r := post(t, url, c.body, "Accept", media)
			data, there := r.object()["data"]
			if c.data == "" && there || c.data != "" && (!there || fmt.Sprint(data) != fmt.Sprint(c.data)) {
				t.Errorf("%s as %s: the data is wrong: %s", c.what, media, r.text)
			}
			if _, failed := r.object()["errors"]; r.StatusCode != status || r.media() != media || failed != (c.status != 200) {
				t.Errorf("%s as %s: want %d, got %d %s: %s", c.what, media, status, r.StatusCode, r.media(), r.text)
			}
		}
	}
}

func TestABodyThatIsNoRequestIsRefusedWithoutAnEcho(t *testing.T) {
	url := serveHTTP(t, &transport.HTTP{MaxBatch: 5}, nil)
	for _, body := range []string{
		"", " \r\n\t", "{", "[", "SECRET", `"SECRET"`, "3", "null", "true", "\xef\xbb\xbf\xef\xbb\xbf" + run(`{ one }`), "\xef\xbb\xbf", `{"query":"{ one }",}`,
		run(`{ one }`) + " SECRET", run(`{ one }`) + run(`{ one }`), run(`{ one }`) + "]", "[" + run(`{ one }`) + "] SECRET", "\x00",
		`{}`, `{"query":null}`, `{"query":3}`, `{"query":["SECRET"]}`, `{"query":{"SECRET":1}}`, `{"query":true}`, `{"id":"SECRET"}`,
		`{"query":"{ one }","variables":["SECRET"]}`, `{"query":"{ one }","variables":"SECRET"}`, `{"query":"{ one }","variables":1e9}`,
		`{"query":"{ one }","variables":false}`, `{"query":"{ one }","extensions":[]}`, `{"query":"{ one }","extensions":"SECRET"}`,
		`{"query":"{ one }","operationName":1}`, `{"query":"{ one }","operationName":{"SECRET":2}}`, `{"documentId":3}`,
		`{"query":"{ one }","variables":{"SECRET"}}`, strings.Repeat("[", 20000), strings.Repeat(`{"variables":`, 20000),
	} {
		for _, media := range []string{jsonType, graphqlType} {
			r := post(t, url, body, "Accept", media)
			r.wantRefused(http.StatusBadRequest, transport.CodeBadRequest)
			if r.media() != media || t.Failed() {
				t.Fatalf("%.100q as %s: %s", body, media, r.media())
			}
		}
	}
}

func TestABodyThatBreaksOffIsRefused(t *testing.T) {
	address := strings.TrimPrefix(serveHTTP(t, &transport.HTTP{}, nil), "http://")
	conn, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	if _, err := fmt.Fprintf(conn, "POST / HTTP/1.1\r\nHost: h\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n%s", run(`{ one }`)); err != nil {
		t.Fatal(err)
	}
	_ = conn.(*net.TCPConn).CloseWrite()
	res, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatal(err)
	}
	text, _ := io.ReadAll(res.Body)
	_ = res.Body.Close()
	reply{res, t, string(text)}.wantRefused(http.StatusBadRequest, transport.CodeBadRequest)
}

func TestAURLThatIsNoRequestIsRefusedWithoutAnEcho(t *testing.T) {
	url := serveHTTP(t, &transport.HTTP{}, nil)
	for _, parameters := range []string{
		"", "?", "?other=SECRET", "?query=%zzSECRET", "?query={one};SECRET=1",
		query("query", "{ one }", "query", "{ SECRET }"), query("query", "{ one }", "variables", "{}", "variables", "{}"),
		query("query", "{ one }", "extensions", "{}", "extensions", "{}"), query("query", "{ one }", "operationName", "A", "operationName", "A"),
		query("documentId", "SECRET", "documentId", "SECRET"),
		query("query", "{ one }", "variables", "SECRET"), query("query", "{ one }", "variables", "[1]"), query("query", "{ one }", "variables", `{"SECRET"`),
		query("query", "{ one }", "variables", `{} SECRET`), query("query", "{ one }", "variables", `{}{}`), query("query", "{ one }", "extensions", `"SECRET"`),
	} {
		if r := ask(t, http.MethodGet, url+parameters, ""); true {
			r.wantRefused(http.StatusBadRequest, transport.CodeBadRequest)
		}
		if t.Failed() {
			t.Fatal(parameters)
		}
	}
}

func TestOtherMethodsAreRefusedWithThoseThatAreAllowed(t *testing.T) {
	url := serveHTTP(t, &transport.HTTP{}, fields{"write": func(context.Context) graphql.ResponseHandler {
		t.Error("the mutation ran")
		return graphql.OneShot(data("null"))
	}})
	for _, method := range []string{http.MethodPut, http.MethodPatch, http.MethodDelete, "QUERY"} {
		r := ask(t, method, url, run(`{ one }`))
		r.wantRefused(http.StatusMethodNotAllowed, transport.CodeMethodNotAllowed)
		if r.Header.Get("Allow") != allMethods {
			t.Errorf("%s: Allow is %q", method, r.Header.Get("Allow"))
		}
	}
	for _, accept := range []string{jsonType, graphqlType, eventType, multipartType} {
		r := get(t, url, accept, "query", "mutation { write }")
		r.wantRefused(http.StatusMethodNotAllowed, transport.CodeMethodNotAllowed)
		if r.Header.Get("Allow") != "POST" {
			t.Errorf("%s: Allow is %q", accept, r.Header.Get("Allow"))
		}
	}
	if r := ask(t, http.MethodHead, url+query("query", "mutation { write }"), ""); r.StatusCode != http.StatusMethodNotAllowed {
		t.Errorf("a mutation by HEAD: %s", r.Status)
	}
	if r := ask(t, http.MethodOptions, url, ""); r.StatusCode != http.StatusNoContent || r.Header.Get("Allow") != allMethods || r.text != "" {
		t.Errorf("OPTIONS: %s, %q, %q", r.Status, r.Header.Get("Allow"), r.text)
	}
}

// Clients offer HTTP/2 in this way, and go on with HTTP/1.1 where the offer is not taken up.
func TestAnOfferOfAnotherProtocolIsNotTakenUp(t *testing.T) {
	server := httptest.NewServer(newServer(&transport.HTTP{}, fields{}))
	defer server.Close()
	for _, protocol := range []string{"h2c", "TLS/1.0, HTTP/2.0"} {
		r := post(t, server.URL, run(`{ one }`), "Connection", "Upgrade, HTTP2-Settings", "Upgrade", protocol, "HTTP2-Settings", "AAMAAABkAAQAoAAAAAIAAAAA")
		if r.StatusCode != http.StatusOK || r.text != `{"data":{"one":1}}` {
			t.Errorf("%s: got %s: %s", protocol, r.Status, r.text)
		}
	}
}

func TestABodyOfAFormThatIsNotUnderstoodIsRefused(t *testing.T) {
	url := serveHTTP(t, &transport.HTTP{}, nil)
	for _, c := range []struct {
		contentType, encoding string
		refused               bool
	}{
		{"application/json", "", false},
		{"Application/JSON; Charset=UTF-8", "", false},
		{"application/json; charset=utf-8; more=1", "identity", false},
		{"application/json; charset=utf8", "", false},
		{`application/json; charset="UTF-8"`, "", false},
		{"", "", true},
		{"text/plain", "", true},
		{"application/graphql", "", true},
		{"application/x-www-form-urlencoded", "", true},
		{"application/json; charset=latin1", "", true},
		{"application/json; charset=utf-16", "", true},
		{"application/json; charset=", "", true},
		{"application/json; =", "", true},
		{";", "", true},
		{"application/json", "gzip", true},
		{"application/json", "SECRET", true},
	} {
		r := post(t, url, run(`{ one }`), "Content-Type", "", "Content-Type", c.contentType, "Content-Encoding", c.encoding)
		if c.refused {
			r.wantRefused(http.StatusUnsupportedMediaType, transport.CodeMediaType)
		} else if r.text != `{"data":{"one":1}}` {
			t.Errorf("%+v: %s", c, r.text)
		}
		codings := r.Header.Get("Accept-Encoding") // says what is wrong, and what is not (RFC 7694)
		if unknown := c.encoding != "" && c.encoding != "identity"; t.Failed() || unknown && codings != "identity" || !unknown && codings != "" {
			t.Fatalf("%+v: Accept-Encoding is %q", c, codings)
		}
	}
}

func TestALongBodyIsRefused(t *testing.T) {
	body := run(`{ one }`)
	url := serveHTTP(t, &transport.HTTP{MaxBody: int64(len(body)), MaxBatch: 2}, nil)
	if r := post(t, url, body); r.text != `{"data":{"one":1}}` {
		t.Errorf("a body of the most bytes: %s", r.text)
	}
	post(t, url, body+" ").wantRefused(http.StatusRequestEntityTooLarge, transport.CodeTooLarge)
	post(t, url, "["+body+"]").wantRefused(http.StatusRequestEntityTooLarge, transport.CodeTooLarge)

	res, err := http.Post(url, jsonType, io.MultiReader(strings.NewReader(body), strings.NewReader(" "))) // its length is not announced
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	text, _ := io.ReadAll(res.Body)
	reply{res, t, string(text)}.wantRefused(http.StatusRequestEntityTooLarge, transport.CodeTooLarge)
}

func TestEveryParameterArrivesAsItWasSent(t *testing.T) {
	seen := make(capture, 1)
	url := serveHTTP(t, &transport.HTTP{}, nil, seen)
	const document, variables, extensions = `query A($n: Int) { one(n: $n) } query B { other }`, `{"n":9007199254740993,"a":{"b":[null]}}`, `{"x":1.50}`
	for what, send := range map[string]func(){
		"POST": func() {
			post(t, url, ` {"query":"`+document+`","operationName":"A","variables":`+variables+`,"extensions":`+extensions+`,"more":1} `, "X-Who", "me")
		},
		"GET": func() {
			ask(t, http.MethodGet, url+query("query", document, "operationName", "A", "variables", " "+variables+" ", "extensions", extensions, "more", "1", "more", "2"), "", "X-Who", "me")
		},
	} {
		send()
		p := receive(t, what, seen)
		vars, _ := json.Marshal(p.Variables)
		ext, _ := json.Marshal(p.Extensions)
		if p.Query != document || p.OperationName != "A" || p.Headers.Get("X-Who") != "me" || string(ext) != extensions {
			t.Errorf("%s: %+v", what, p)
		}
		if n, ok := p.Variables["n"].(json.Number); !ok || n != "9007199254740993" || !strings.Contains(string(vars), `"a":{"b":[null]}`) {
			t.Errorf("%s: the variables are %s", what, vars)
		}
	}
	for what, send := range map[string]func(){
		"null":    func() { post(t, url, `{"query":"{ one }","operationName":null,"variables":null,"extensions":null}`) },
		"nothing": func() { get(t, url, "", "query", "{ one }", "operationName", "", "variables", "", "extensions", "") },
		"nulls":   func() { get(t, url, "", "query", "{ one }", "variables", "null", "extensions", "null") },
	} {
		send()
		if p := receive(t, what, seen); p.OperationName != "" || len(p.Variables)+len(p.Extensions) > 0 {
			t.Errorf("%s: %+v", what, p)
		}
	}
}

func TestABodyMayBeginWithAByteOrderMark(t *testing.T) {
	url := serveHTTP(t, &transport.HTTP{MaxBatch: 5}, nil)
	for body, want := range map[string]string{
		"\ufeff" + run(`{ one }`):     `{"data":{"one":1}}`,
		"\ufeff \n" + run(`{ one }`):  `{"data":{"one":1}}`,
		"\ufeff" + runs(`{ one }`):    `[{"data":{"one":1}}]`,
		run(`{ one # ` + "\ufeff\n}"): `{"data":{"one":1}}`,
	} {
		if r := post(t, url, body); r.text != want {
			t.Errorf("%q: %s", body, r.text)
		}
	}
}

func TestHEADIsAnsweredAsGETWithoutTheBodyAndRunsNothing(t *testing.T) {
	running := func(context.Context) graphql.ResponseHandler {
		t.Error("something ran")
		return graphql.OneShot(data("null"))
	}
	url := serveHTTP(t, &transport.HTTP{}, fields{"one": running, "ticks": running})
	for _, c := range []struct{ query, accept, media string }{
		{"{ one }", graphqlType, graphqlType},
		{"{ one }", jsonType, jsonType},
		{"{ one }", eventType, eventType},
		{"{ one ... @defer { other } }", multipartType, multipartType},
		{"subscription { ticks }", eventType, eventType},
		{"subscription { ticks }", multipartType + ";subscriptionSpec=1.0", multipartType},
	} {
		head := ask(t, http.MethodHead, url+query("query", c.query), "", "Accept", c.accept)
		if head.text != "" || head.StatusCode != http.StatusOK || head.media() != c.media || head.ContentLength != -1 || head.Header.Get("Operation-Id") == "" {
			t.Errorf("%s: %s %v", c.query, head.Status, head.Header)
		}
	}
	for _, q := range []string{"{ one", "{ none }", "mutation { write }", "subscription { ticks }", "query A { one } query B { one }", ""} {
		head, get := ask(t, http.MethodHead, url+query("query", q), "", "Accept", graphqlType), get(t, url, graphqlType, "query", q)
		if head.text != "" || head.StatusCode != get.StatusCode || head.media() != get.media() || head.ContentLength != get.ContentLength {
			t.Errorf("%s: %s %d, for %s %d", q, head.Status, head.ContentLength, get.Status, get.ContentLength)
		}
	}
}

func TestNoSharedCacheMayStoreAnAnswer(t *testing.T) {
	url := serveHTTP(t, &transport.HTTP{MaxBatch: 2}, fields{"ticks": sequence(data(`{"ticks":1}`))})
	for _, c := range []struct {
		what, cache string
		r           reply
	}{
		{"GET", "private, no-cache", get(t, url, "", "query", "{ one }")},
		{"HEAD", "private, no-cache", ask(t, http.MethodHead, url+query("query", "{ one }"), "")},
		{"POST", "no-store", post(t, url, run(`{ one }`))},
		{"an array", "no-store", post(t, url, "["+run(`{ one }`)+"]")},
		{"a mutation", "no-store", post(t, url, run(`mutation { write }`))},
		{"an error by GET", "no-store", get(t, url, "", "query", "{ one")},
		{"a stream by GET", "no-store", get(t, url, eventType, "query", "subscription { ticks }")},
		{"parts by POST", "no-store", post(t, url, run("subscription { ticks }"), "Accept", multipartType)},
		{"OPTIONS", "no-store", ask(t, http.MethodOptions, url, "")},
	} {
		if got := c.r.Header["Cache-Control"]; len(got) != 1 || got[0] != c.cache || strings.Join(c.r.Header["Vary"], ", ") != "Accept" {
			t.Errorf("%s: Cache-Control is %q, Vary %q", c.what, got, c.r.Header["Vary"])
		}
	}
}

func TestTheHeaderNamesTheOperationAsTheSessionAndItsErrorsDo(t *testing.T) {
	presented := make(chan string, 1)
	b := newBank(t, sessiontest.Setup{Server: func(srv *handler.Server) {
		srv.SetErrorPresenter(func(ctx context.Context, err error) *gqlerror.Error {
			presented <- operation.ID(ctx)
			return graphql.DefaultErrorPresenter(ctx, err)
		})
	}})
	ran := make(chan string, 1)
	b.Step("tell", func(ctx context.Context) (int, error) {
		op, _ := session.OperationFromContext(ctx)
		ran <- op.ID
		return 1, nil
	})
	b.Step("fail", func(context.Context) (int, error) { return 0, errors.New("a failure") })
	const tell, fail, wrong = `{ run(step: "tell") { value } }`, `{ run(step: "fail") { value } }`, `{ run`
	seen := map[string]bool{}
	want := func(what string, from <-chan string, r reply) {
		id := r.Header.Get(transport.HeaderOperationID)
		if got := receive(t, what, from); got != id || seen[id] || !regexp.MustCompile(`^[0-9a-f-]{36}$`).MatchString(id) {
			t.Errorf("%s: the header names %q, else it is %q", what, id, got)
		}
		seen[id] = true
	}
	for _, accept := range []string{jsonType, graphqlType, eventType, multipartType} {
		want("a query", ran, post(t, b.URL, run(tell), "Accept", accept))
		want("a GET", ran, get(t, b.URL, accept, "query", tell))
		want("a mutation", ran, post(t, b.URL, run("mutation "+tell), "Accept", accept))
		want("a failed field", presented, post(t, b.URL, run(fail), "Accept", accept))
		want("a syntax error", presented, post(t, b.URL, run(wrong), "Accept", accept))
		want("a body that is no request", presented, post(t, b.URL, "SECRET", "Accept", accept))
	}
	want("what is not acceptable", presented, post(t, b.URL, run(tell), "Accept", "text/html"))

	items := []string{run("mutation " + tell), run("mutation " + fail), run(wrong), run("mutation " + tell)}
	r := post(t, b.URL, "["+items[2]+"]") // alone, for the order in which the items are checked and run
	want("an item with a syntax error", presented, r)
	go func() { r = post(t, b.URL, "["+strings.Join(items, ",")+"]"); close(presented) }()
	syntax := receive(t, "the third item", presented)
	first := receive(t, "the first item", ran)
	failed := receive(t, "the second item", presented)
	last := receive(t, "the last item", ran)
	receive(t, "the answer", presented)
	if got, want := r.Header.Get(transport.HeaderOperationID), strings.Join([]string{first, failed, syntax, last}, ", "); got != want {
		t.Errorf("want %s, got %s", want, got)
	}
}
