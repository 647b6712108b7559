package transport_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"mime/multipart"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/99designs/gqlgen/graphql"
	"github.com/vektah/gqlparser/v2/ast"
	"github.com/vektah/gqlparser/v2/gqlerror"

	"rollcall/operation"
	"rollcall/session"
	"rollcall/session/sessiontest"
	"rollcall/transport"
)

// inParts is an answer of which something is deferred.
func inParts() func(context.Context) graphql.ResponseHandler {
	more, last := true, false
	return sequence(
		&graphql.Response{Data: json.RawMessage(`{"one":1}`), HasNext: &more},
		&graphql.Response{Data: json.RawMessage("{\n\"other\":2}"), Path: ast.Path{ast.PathName("a"), ast.PathIndex(3)}, Label: "late", HasNext: &more},
		&graphql.Response{Data: json.RawMessage("null"), Path: ast.Path{ast.PathName("b")}, Errors: gqlerror.List{gqlerror.Errorf("failed")}, HasNext: &last},
	)
}

const deferring = `{ one ... @defer { other } }`

// The parts of the answer, each as one JSON document on one line.
var deferredParts = []string{
	`{"data":{"one":1},"hasNext":true}`,
	`{"incremental":[{"data":{ "other":2},"path":["a",3],"label":"late"}],"hasNext":true}`,
	`{"incremental":[{"data":null,"path":["b"],"errors":[{"message":"failed"}]}],"hasNext":false}`,
}

// asEvents are server-sent events up to the end.
func asEvents(parts ...string) string {
	var b strings.Builder
	b.WriteString(":\n\n")
	for _, p := range parts {
		b.WriteString("event: next\ndata: " + p + "\n\n")
	}
	return b.String() + "event: complete\ndata:\n\n"
}

// bothWays sends a document by POST and by GET.
func bothWays(tb testing.TB, url, document, accept string, check func(method string, r reply)) {
	tb.Helper()
	check("POST", post(tb, url, run(document), "Accept", accept))
	check("GET", get(tb, url, accept, "query", document))
}

func TestADeferredAnswerIsSentAsEvents(t *testing.T) {
	url := serveHTTP(t, &transport.HTTP{}, fields{"one": inParts()})
	bothWays(t, url, deferring, eventType+", "+jsonType, func(method string, r reply) {
		if r.text != asEvents(deferredParts...) || r.Header.Get("Content-Type") != eventType+"; charset=utf-8" || r.StatusCode != http.StatusOK {
			t.Errorf("%s: %v\n%s", method, r.Header, r.text)
		}
	})
}

func TestASubscriptionIsSentAsEvents(t *testing.T) {
	url := serveHTTP(t, &transport.HTTP{}, fields{"ticks": sequence(data(`{"ticks":1}`), data(`{"ticks":2}`))})
	bothWays(t, url, `subscription { ticks }`, eventType, func(method string, r reply) {
		if r.text != asEvents(`{"data":{"ticks":1}}`, `{"data":{"ticks":2}}`) || r.media() != eventType || r.Header.Get("X-Accel-Buffering") != "no" {
			t.Errorf("%s: %v\n%s", method, r.Header, r.text)
		}
	})
}

func TestASubscriptionComesInPartsOnlyToWhoKnowsTheirForm(t *testing.T) {
	url := serveHTTP(t, &transport.HTTP{}, fields{"ticks": sequence(data(`{"ticks":1}`))})
	for accept, media := range map[string]string{
		multipartType: multipartType, // and nothing else
		eventType + ", " + multipartType + ", " + jsonType:                                                     eventType,
		multipartType + ", " + eventType + ";q=0.1":                                                            eventType,
		multipartType + ";subscriptionSpec=1.0, " + eventType + ";q=0.1":                                       multipartType,
		multipartType + `;boundary="graphql";subscriptionSpec=1.0,` + graphqlType + "," + jsonType + ";q=0.9":  multipartType,
		multipartType + ";q=0, " + eventType:                                                                   eventType,
		graphqlType + ", application/graphql+json, " + jsonType + ", " + eventType + ", " + multipartType + "": eventType,
	} {
		bothWays(t, url, `subscription { ticks }`, accept, func(method string, r reply) {
			if r.media() != media || !strings.Contains(r.text, `{"data":{"ticks":1}}`) {
				t.Errorf("%s by %s: want %s, got %s: %s", accept, method, media, r.media(), r.text)
			}
		})
	}
}

func TestWhoTakesNothingButEventsGetsEveryAnswerAsOne(t *testing.T) {
	url := serveHTTP(t, &transport.HTTP{}, outcomesServed)
	for _, c := range outcomes[:len(outcomes)-1] { // without the subscription, which is served
		r := post(t, url, c.body, "Accept", eventType)
		events := strings.SplitAfter(strings.TrimPrefix(r.text, ":\n\n"), "\n\n")
		if len(events) != 3 || !strings.HasPrefix(events[0], "event: next\ndata: {") || events[1] != "event: complete\ndata:\n\n" || r.StatusCode != http.StatusOK {
			t.Errorf("%s: %s %q", c.what, r.Status, r.text)
			continue
		}
		answer := reply{tb: t, text: strings.TrimPrefix(events[0], "event: next\ndata: ")}.object()
		if data, there := answer["data"]; c.data == "" && there || c.data != "" && fmt.Sprint(data) != fmt.Sprint(c.data) {
			t.Errorf("%s: %q", c.what, r.text)
		}
	}
	post(t, url, "SECRET", "Accept", eventType).wantRefused(http.StatusBadRequest, transport.CodeBadRequest)
}

func TestASubscriptionThatFailsAtOnceIsAnEventToo(t *testing.T) {
	b := newBank(t, sessiontest.Setup{})
	const document = `subscription { counterChanged(id: 0) { value } }`
	bothWays(t, b.URL, document, eventType, func(method string, r reply) {
		if !strings.HasPrefix(r.text, ":\n\nevent: next\n"+`data: {"errors":[{"message":"no counter 0"`) || strings.Contains(r.text, "data: {\"data") || !strings.HasSuffix(r.text, "\n\nevent: complete\ndata:\n\n") {
			t.Errorf("%s: %s", method, r.text)
		}
	})
	parts := multiparts(t, post(t, b.URL, run(document), "Accept", multipartType))
	if len(parts) != 1 || !strings.HasPrefix(parts[0], `{"payload":null,"errors":[{"message":"no counter 0"`) {
		t.Errorf("got %q", parts)
	}
}

// multiparts parses an answer of type multipart/mixed.
func multiparts(tb testing.TB, r reply) (texts []string) {
	tb.Helper()
	media, parameters, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil || media != multipartType || r.StatusCode != http.StatusOK {
		tb.Fatalf("got %d %s: %v: %s", r.StatusCode, r.Header.Get("Content-Type"), err, r.text)
	}
	reader := multipart.NewReader(strings.NewReader(r.text), parameters["boundary"])
	for {
		part, err := reader.NextPart()
		if errors.Is(err, io.EOF) {
			return texts
		}
		if err != nil {
			tb.Fatalf("%v: %q", err, r.text)
		}
		text, err := io.ReadAll(part)
		if got := part.Header.Get("Content-Type"); err != nil || got != jsonType+"; charset=utf-8" || !json.Valid(text) {
			tb.Errorf("a part of %q: %v: %s", got, err, text)
		}
		texts = append(texts, string(text))
	}
}

func TestADeferredAnswerIsSentInParts(t *testing.T) {
	url := serveHTTP(t, &transport.HTTP{}, fields{"one": inParts()})
	bothWays(t, url, deferring, "multipart/mixed;deferSpec=20220824, "+jsonType, func(method string, r reply) {
		if !slices.Equal(multiparts(t, r), deferredParts) || !strings.Contains(r.Header.Get("Content-Type"), "deferSpec=20220824") {
			t.Errorf("%s: %v\n%s", method, r.Header, r.text)
		}
		if !strings.HasPrefix(r.text, "---\r\nContent-Type") || !strings.HasSuffix(r.text, "\r\n-----\r\n") {
			t.Errorf("%s: the delimiters are wrong: %q", method, r.text)
		}
	})
}

func TestTheEventsOfASubscriptionAreSentInPartsAsPayloads(t *testing.T) {
	url := serveHTTP(t, &transport.HTTP{}, fields{"ticks": sequence(
		data(`{"ticks":1}`), &graphql.Response{Data: json.RawMessage(`{"ticks":null}`), Errors: gqlerror.List{gqlerror.Errorf("failed")}})})
	bothWays(t, url, `subscription { ticks }`, `multipart/mixed;boundary="graphql";subscriptionSpec=1.0, `+jsonType, func(method string, r reply) {
		want := []string{`{"payload":{"data":{"ticks":1}}}`, `{"payload":{"errors":[{"message":"failed"}],"data":{"ticks":null}}}`}
		if got := multiparts(t, r); !slices.Equal(got, want) || !strings.Contains(r.Header.Get("Content-Type"), "subscriptionSpec=1.0") {
			t.Errorf("%s: want %q, got %q", method, want, got)
		}
	})
}

func TestAnAnswerOfWhichNothingIsDeferredComesInOnePiece(t *testing.T) {
	b := newBank(t, sessiontest.Setup{})
	b.Step("late", func(context.Context) (int, error) { return 7, nil })
	for _, document := range []string{
		`{ account(id: 1) { id ... @defer(if: false) { run(step: "late") { value } } } }`,
		`mutation { transfer(from: 1, to: 2, amount: 0) { ... @defer { run(step: "late") { value } } } }`,
		`query @snapshot { account(id: 1) { ... @defer { run(step: "late") { value } } } }`,
	} {
		for _, parts := range []string{multipartType, eventType} {
			r := post(t, b.URL, run(document), "Accept", parts+", "+graphqlType)
			if r.media() != graphqlType || !strings.Contains(r.text, `"run":{"value":7}`) || strings.Contains(r.text, "hasNext") || r.StatusCode != http.StatusOK {
				t.Errorf("%s as %s: %s: %s", document, parts, r.media(), r.text)
			}
		}
	}
}

// reading is an answer that is read as it comes.
type reading struct {
	tb testing.TB
	*http.Response
	r *bufio.Reader
}

func read(tb testing.TB, res *http.Response) *reading {
	tb.Cleanup(func() { _ = res.Body.Close() })
	return &reading{tb, res, bufio.NewReader(res.Body)}
}

// want fails unless this is what comes next.
func (r *reading) want(text string) {
	r.tb.Helper()
	got := make([]byte, len(text))
	if n, err := io.ReadFull(r.r, got); err != nil || string(got) != text {
		r.tb.Fatalf("want %q, got %q: %v", text, got[:n], err)
	}
}

// rest is what comes until the end, which must be a good one.
func (r *reading) rest() string {
	r.tb.Helper()
	text, err := io.ReadAll(r.r)
	if err != nil {
		r.tb.Fatalf("%v after %q", err, text)
	}
	return string(text)
}

// give sends a value, which must be taken.
func give(tb testing.TB, to chan<- string, value string) {
	tb.Helper()
	select {
	case to <- value:
	case <-time.After(hang):
		tb.Fatalf("nobody takes %s", value)
	}
}

func TestEachPartIsSentBeforeTheNextOneIsMade(t *testing.T) {
	for accept, form := range map[string]struct{ opening, before, after, closing string }{
		eventType:     {":\n\n", "event: next\ndata: ", "\n\n", "event: complete\ndata:\n\n"},
		multipartType: {"---", "\r\nContent-Type: application/json; charset=utf-8\r\n\r\n{\"payload\":", "}\r\n---", "--\r\n"},
	} {
		events := make(chan string)
		url := serveHTTP(t, &transport.HTTP{}, fields{"ticks": stream(events, nil)})
		r := read(t, begin(t, http.MethodPost, url, run(`subscription { ticks }`), "Accept", accept)) // before any event
		r.want(form.opening)
		for i := range 3 {
			give(t, events, fmt.Sprint(i))
			r.want(form.before + fmt.Sprintf(`{"data":{"ticks":%d}}`, i) + form.after)
		}
		close(events)
		if rest := r.rest(); rest != form.closing {
			t.Errorf("%s ends with %q", accept, rest)
		}
	}
}

func TestASilentStreamGivesSignsOfLife(t *testing.T) {
	for accept, c := range map[string]struct{ opening, sign, closing string }{
		eventType:     {":\n\n", ":\n\n", "event: complete\ndata:\n\n"},
		multipartType: {"---", "\r\nContent-Type: application/json; charset=utf-8\r\n\r\n{}\r\n---", "--\r\n"},
	} {
		events := make(chan string)
		url := serveHTTP(t, &transport.HTTP{KeepAlive: time.Millisecond}, fields{"ticks": stream(events, nil)})
		r := read(t, begin(t, http.MethodPost, url, run(`subscription { ticks }`), "Accept", accept))
		r.want(c.opening)
		r.want(c.sign)
		r.want(c.sign)
		close(events)
		rest := r.rest()
		for strings.HasPrefix(rest, c.sign) {
			rest = rest[len(c.sign):]
		}
		if rest != c.closing {
			t.Errorf("%s ends with %q", accept, rest)
		}
	}
}

func TestAClientThatGoesAwayEndsItsStream(t *testing.T) {
	for _, accept := range []string{eventType, multipartType} {
		events, ended := make(chan string), make(chan struct{}, 1)
		url := serveHTTP(t, &transport.HTTP{}, fields{"ticks": stream(events, ended)})
		res := begin(t, http.MethodPost, url, run(`subscription { ticks }`), "Accept", accept)
		give(t, events, "1")
		_ = res.Body.Close()
		receive(t, "the end of the subscription", ended)
	}
}

// net/http waits for one byte after a request to see whether the client is there, and for nothing once that has come.
func TestAClientThatGoesAwayAfterSendingMoreEndsItsStreamToo(t *testing.T) {
	ended := make(chan struct{}, 1)
	tr := &transport.HTTP{KeepAlive: 10 * time.Millisecond}
	address := strings.TrimPrefix(serveHTTP(t, tr, fields{"ticks": stream(nil, ended)}), "http://")
	body := run(`subscription { ticks }`)
	for _, request := range []string{
		"GET /" + query("query", "subscription { ticks }") + " HTTP/1.1\r\nHost: h\r\nAccept: text/event-stream\r\n\r\n",
		"GET /" + query("query", "subscription { ticks }") + " HTTP/1.0\r\nAccept: text/event-stream\r\n\r\n",
		"GET /" + query("query", "subscription { ticks }") + " HTTP/1.1\r\nHost: h\r\nAccept: multipart/mixed;subscriptionSpec=1.0\r\n\r\n",
		"GET /" + query("query", "subscription { ticks }") + " HTTP/1.1\r\nHost: h\r\nAccept: text/event-stream\r\nContent-Length: 5\r\n\r\nabcde",
		fmt.Sprintf("POST / HTTP/1.1\r\nHost: h\r\nAccept: text/event-stream\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s", len(body), body),
	} {
		conn, err := net.Dial("tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(conn, request); err != nil {
			t.Fatal(err)
		}
		if status, err := bufio.NewReader(conn).ReadString('\n'); err != nil || !strings.Contains(status, " 200 ") {
			t.Fatalf("%s %v", status, err)
		}
		_, _ = io.WriteString(conn, "G")
		_ = conn.Close()
		receive(t, "the end of the subscription", ended)
		eventually(t, "the stream is closed", func() bool { return tr.Streams() == 0 })
	}
}

func TestHEADOpensNoStreamThatOutlivesIt(t *testing.T) {
	tr := &transport.HTTP{}
	address := strings.TrimPrefix(serveHTTP(t, tr, fields{"ticks": stream(nil, nil)}), "http://")
	for range 10 {
		conn, err := net.Dial("tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(conn, "HEAD /"+query("query", "subscription { ticks }")+" HTTP/1.1\r\nHost: h\r\nAccept: text/event-stream\r\n\r\n"); err != nil {
			t.Fatal(err)
		}
		if status, err := bufio.NewReader(conn).ReadString('\n'); err != nil || !strings.Contains(status, " 200 ") {
			t.Fatalf("%s %v", status, err)
		}
		_, _ = io.WriteString(conn, "G")
		_ = conn.Close()
	}
	eventually(t, "no stream is open", func() bool { return tr.Streams() == 0 })
}

func TestAClientThatGoesAwayFromADeferredAnswerLeavesNothingBehind(t *testing.T) {
	b := newBank(t, sessiontest.Setup{})
	started, ended := make(chan struct{}), make(chan struct{})
	b.Step("stall", func(ctx context.Context) (int, error) {
		started <- struct{}{}
		<-ctx.Done()
		ended <- struct{}{}
		return 0, ctx.Err()
	})
	for _, accept := range []string{eventType, multipartType} {
		res := begin(t, http.MethodPost, b.URL, run(`{ account(id: 1) { id ... @defer { run(step: "stall") { value } } } }`), "Accept", accept)
		receive(t, "the deferred field", started)
		_ = res.Body.Close()
		receive(t, "its end", ended)
		b.WantIdle()
	}
}

func TestAClientThatDoesNotReadIsCutOff(t *testing.T) {
	ended := make(chan struct{}, 1)
	large := `{"ticks":"` + strings.Repeat("x", 1<<20) + `"}`
	url := serveHTTP(t, &transport.HTTP{WriteTimeout: 100 * time.Millisecond}, fields{"ticks": func(ctx context.Context) graphql.ResponseHandler {
		context.AfterFunc(ctx, func() { ended <- struct{}{} })
		return func(ctx context.Context) *graphql.Response {
			if ctx.Err() != nil {
				return nil
			}
			return data(large)
		}
	}})
	conn, err := net.Dial("tcp", strings.TrimPrefix(url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	body := run(`subscription { ticks }`)
	if _, err := fmt.Fprintf(conn, "POST / HTTP/1.1\r\nHost: h\r\nAccept: text/event-stream\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s", len(body), body); err != nil {
		t.Fatal(err)
	}
	receive(t, "the end of the subscription", ended)
}

func TestAStreamMayBeSilentForLongerThanAPartMayTakeToBeSent(t *testing.T) {
	const timeout = 50 * time.Millisecond
	silent := make(chan string)
	server := httptest.NewUnstartedServer(newServer(&transport.HTTP{WriteTimeout: timeout}, fields{"ticks": stream(silent, nil)}))
	server.EnableHTTP2 = true
	server.StartTLS()
	defer server.Close()
	ctx, cancel := context.WithTimeout(t.Context(), hang)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, server.URL+query("query", "subscription { ticks }"), nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Accept", eventType)
	res, err := server.Client().Do(req)
	if err != nil {
		t.Fatal(err)
	}
	if res.ProtoMajor != 2 {
		t.Errorf("not by HTTP/2, but %s", res.Proto)
	}
	r := read(t, res)
	give(t, silent, "1")
	r.want(":\n\nevent: next\ndata: {\"data\":{\"ticks\":1}}\n\n")
	<-time.After(4 * timeout)
	give(t, silent, "2")
	r.want("event: next\ndata: {\"data\":{\"ticks\":2}}\n\n")
	close(silent)
	if rest := r.rest(); rest != "event: complete\ndata:\n\n" {
		t.Errorf("it ends with %q", rest)
	}
}

func TestShutdownBreaksStreamsOff(t *testing.T) {
	tr := &transport.HTTP{}
	events, ended := make(chan string), make(chan struct{}, 9)
	url := serveHTTP(t, tr, fields{"ticks": stream(events, ended)})
	var all []*reading
	for _, accept := range []string{eventType, multipartType, eventType} {
		all = append(all, read(t, begin(t, http.MethodPost, url, run(`subscription { ticks }`), "Accept", accept)))
	}
	tr.Shutdown()
	all = append(all, read(t, begin(t, http.MethodPost, url, run(`subscription { ticks }`), "Accept", eventType))) // a late one
	for i, r := range all {
		if rest := r.rest(); strings.Contains(rest, "complete") || strings.Contains(rest, "-----") {
			t.Errorf("stream %d seems to be complete: %q", i, rest)
		}
		receive(t, "the end of a subscription", ended)
	}
	if r := post(t, url, run(`{ one }`)); r.text != `{"data":{"one":1}}` {
		t.Errorf("a query is answered by %s", r.text)
	}
}

func TestAPanicEndsItsStreamAlone(t *testing.T) {
	url := serveHTTP(t, &transport.HTTP{}, fields{"ticks": func(context.Context) graphql.ResponseHandler {
		return func(context.Context) *graphql.Response { panic("in an event") }
	}})
	for _, accept := range []string{eventType, multipartType} {
		r := post(t, url, run(`subscription { ticks }`), "Accept", accept)
		if strings.Contains(r.text, "in an event") || strings.Contains(r.text, "next") {
			t.Errorf("%s: %q", accept, r.text)
		}
	}
}

// diary is what happens to the session of one request, and when the answer is written.
type diary struct {
	mu       sync.Mutex
	sessions []context.Context
	events   []string
	first    chan struct{} // gets a value when the first of several parts is written
}

func (d *diary) note(event string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.events = append(d.events, event)
}

// state reports whether any session that was opened is open.
func (d *diary) state() string {
	d.mu.Lock()
	all := slices.Clone(d.sessions)
	d.mu.Unlock()
	for _, ctx := range all {
		if _, closed := errors.AsType[*session.ClosedError](session.DB(ctx).Exec("SELECT 1").Error); !closed {
			return "open"
		}
	}
	return "closed"
}

func (d *diary) take() []string {
	d.mu.Lock()
	defer d.mu.Unlock()
	defer func() { d.events, d.sessions = nil, nil }()
	return d.events
}

// witness notes what the state of the sessions is when something is written.
type witness struct {
	http.ResponseWriter
	d *diary
}

func (w witness) Unwrap() http.ResponseWriter { return w.ResponseWriter }

func (w witness) Write(p []byte) (int, error) {
	what := "answer"
	switch text := string(p); {
	case strings.Contains(text, `"hasNext":true`):
		what = "part"
		defer func() { w.d.first <- struct{}{} }()
	case strings.Contains(text, `"hasNext":false`):
		what = "last part"
	case strings.HasPrefix(text, "event: complete"), text == "--\r\n":
		what = "end"
	case text == ":\n\n" || text == "---":
		return w.ResponseWriter.Write(p)
	}
	w.d.note(what + ", " + w.d.state())
	return w.ResponseWriter.Write(p)
}

func TestASessionIsOpenedCommittedAndClosedBeforeTheAnswerIsWritten(t *testing.T) {
	d := &diary{first: make(chan struct{}, 1)}
	b := newBank(t, sessiontest.Setup{
		Wrap: func(next http.Handler) http.Handler {
			return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { next.ServeHTTP(witness{w, d}, r) })
		},
		Extension: func(e *operation.Extension) {
			e.Bind = func(ctx context.Context, _ []*graphql.OperationContext) context.Context {
				d.note("opened")
				d.mu.Lock()
				defer d.mu.Unlock()
				d.sessions = append(d.sessions, ctx)
				return ctx
			}
		},
	})
	b.Step("write", func(ctx context.Context) (int, error) {
		session.AfterCommit(ctx, func() { d.note("committed, " + d.state()) })
		return 1, sessiontest.Add(session.DB(ctx), "counters", "value", 1, 1)
	})
	const query, mutation = `{ account(id: 1) { balance } }`, `mutation { run(step: "write") { value } }`
	b.Step("late", func(context.Context) (int, error) {
		<-d.first
		return 1, nil
	})
	const deferred = `{ account(id: 1) { id ... @defer(label: "a") { run(step: "late") { value } } } }`
	read := []string{"opened", "answer, closed"}
	wrote := []string{"opened", "committed, closed", "answer, closed"}
	parts := []string{"opened", "part, open", "last part, closed", "end, closed"}
	for _, c := range []struct {
		what, accept, document string
		send                   func(document, accept string) reply
		want                   []string
	}{
		{"a query by POST", jsonType, query, func(d, a string) reply { return post(t, b.URL, run(d), "Accept", a) }, read},
		{"a query by GET", jsonType, query, func(d, a string) reply { return get(t, b.URL, a, "query", d) }, read},
		{"a query in an array", jsonType, query, func(d, a string) reply { return post(t, b.URL, runs(d), "Accept", a) }, read},
		{"a query as an event", eventType, query, func(d, a string) reply { return post(t, b.URL, run(d), "Accept", a) }, append(read, "end, closed")},
		{"a mutation by POST", graphqlType, mutation, func(d, a string) reply { return post(t, b.URL, run(d), "Accept", a) }, wrote},
		{"a mutation in an array", jsonType, mutation, func(d, a string) reply { return post(t, b.URL, runs(d), "Accept", a) }, wrote},
		{"a mutation as an event", eventType, mutation, func(d, a string) reply { return post(t, b.URL, run(d), "Accept", a) }, append(wrote, "end, closed")},
		{"deferred events", eventType, deferred, func(d, a string) reply { return post(t, b.URL, run(d), "Accept", a) }, parts},
		{"deferred events by GET", eventType, deferred, func(d, a string) reply { return get(t, b.URL, a, "query", d) }, parts},
		{"deferred parts", multipartType, deferred, func(d, a string) reply { return post(t, b.URL, run(d), "Accept", a) }, parts},
	} {
		r := c.send(c.document, c.accept)
		if got := d.take(); !slices.Equal(got, c.want) || strings.Contains(r.text, "errors") {
			t.Errorf("%s: want %q, got %q: %s", c.what, c.want, got, r.text)
		}
	}
}

func TestEachEventOfAStreamHasASessionThatIsClosedBeforeItIsWritten(t *testing.T) {
	for _, accept := range []string{eventType, multipartType} {
		var opened sessions
		events := make(chan string)
		server := httptest.NewServer(opened.serve(t)(newServer(&transport.HTTP{}, fields{"ticks": stream(events, nil)})))
		r := read(t, begin(t, http.MethodPost, server.URL, run(`subscription { ticks }`), "Accept", accept))
		want := "closed" // the subscription's own
		for i := range 3 {
			give(t, events, fmt.Sprint(i))
			for line := ""; !strings.Contains(line, fmt.Sprintf(`{"ticks":%d}`, i)); {
				var err error
				if line, err = r.r.ReadString('}'); err != nil {
					t.Fatal(err)
				}
			}
			want += " closed"
			if got := opened.state(); got != want && got != want+" open" { // the next event's, which is waited for
				t.Errorf("%s: after event %d: want %s, got %s", accept, i, want, got)
			}
		}
		close(events)
		r.rest()
		eventually(t, "the last session is closed", func() bool { return !strings.Contains(opened.state(), "open") })
		server.Close()
	}
}

func TestServerSentEventsHaveTheIDsOfTheirEventsAndTellTheLastOne(t *testing.T) {
	url := serveHTTP(t, &transport.HTTP{}, fields{"ticks": func(ctx context.Context) graphql.ResponseHandler {
		last := operation.LastEventID(ctx)
		if last != "" {
			operation.SetEventID(ctx, last)
		}
		n := 0
		return func(ctx context.Context) *graphql.Response {
			switch n++; n {
			case 1, 2:
				operation.SetEventID(ctx, fmt.Sprintf("after %s: %d", last, n))
				return data(fmt.Sprintf(`{"ticks":%d}`, n))
			case 3:
				return data(`null`) // has no id of its own
			}
			return nil
		}
	}})
	first := "event: next\nid: after : 1\ndata: {\"data\":{\"ticks\":1}}\n\nevent: next\nid: after : 2\ndata: {\"data\":{\"ticks\":2}}\n\n" +
		"event: next\nid: after : 2\ndata: {\"data\":null}\n\nevent: complete\ndata:\n\n"
	for _, c := range []struct{ what, method, accept, id, want string }{
		{"from now on", http.MethodPost, eventType, "", ":\n\n" + first},
		{"after an event", http.MethodPost, eventType, "7", "id: 7\n:\n\n" + strings.ReplaceAll(first, "after ", "after 7")},
		{"EventSource", http.MethodGet, eventType, "7", "id: 7\n:\n\n" + strings.ReplaceAll(first, "after ", "after 7")},
		{"in parts", http.MethodPost, "multipart/mixed;subscriptionSpec=1.0", "7", ""},
	} {
		at, body := url, run(`subscription { ticks }`)
		if c.method == http.MethodGet {
			at, body = url+query("query", "subscription { ticks }"), ""
		}
		res := begin(t, c.method, at, body, "Accept", c.accept, "Last-Event-ID", c.id)
		got, err := io.ReadAll(res.Body)
		_ = res.Body.Close()
		if err != nil || c.want != "" && string(got) != c.want {
			t.Errorf("%s: want %q, got %q, %v", c.what, c.want, got, err)
		}
		if c.want == "" && (strings.Contains(string(got), "id:") || strings.Contains(string(got), "7") || !strings.Contains(string(got), `{"ticks":2}`)) {
			t.Errorf("%s: got %q", c.what, got)
		}
	}
}
