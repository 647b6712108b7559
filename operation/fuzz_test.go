package operation_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"mime/multipart"
	"net/http"
	"net/http/httptest"
	"net/url"
	"runtime/debug"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/99designs/gqlgen/graphql/handler"

	"rollcall/database/databasetest"
	"rollcall/operation"
	"rollcall/session"
	"rollcall/session/sessiontest"
)

// newFuzzBank serves a bank whose steps succeed, fail, panic and write. panics receives what nobody meant to panic.
func newFuzzBank(f *testing.F) (b *sessiontest.Bank, panics chan string) {
	f.Helper()
	panics = make(chan string, 100)
	meant := errors.New("meant to panic")
	backend := sessiontest.Backend{Dialect: "sqlite", Open: func(tb testing.TB, _ sessiontest.Options) sessiontest.Pools {
		db := databasetest.New(tb, "sqlite")
		return sessiontest.Pools{DB: db.Write, Reads: db.Read, Side: db.Side}
	}}
	b = sessiontest.NewBank(f, backend, sessiontest.Setup{
		// Without its loader, which waits for siblings, a peer panics.
		Extension: func(e *operation.Extension) { e.Bind, e.Deadline = nil, 5*time.Second },
		Server: func(srv *handler.Server) {
			srv.SetRecoverFunc(func(_ context.Context, p any) error {
				text := fmt.Sprint(p)
				if p != any(meant) && text != "a loud value" && !strings.Contains(text, "dataloader") {
					select {
					case panics <- fmt.Sprintf("%v\n%s", p, debug.Stack()):
					default:
					}
				}
				return meant
			})
		},
	})
	close(b.Events) // a subscription ends at once
	b.Step("one", func(context.Context) (int, error) { return 1, nil })
	b.Step("fail", func(context.Context) (int, error) { return 0, errors.New("a failure") })
	b.Step("panic", func(context.Context) (int, error) { panic(meant) })
	b.Step("read", func(ctx context.Context) (int, error) {
		return 1, session.DB(ctx).Table("accounts").Find(&[]map[string]any{}).Error
	})
	b.Step("write", func(ctx context.Context) (int, error) {
		return 1, sessiontest.Add(session.DB(ctx), "counters", "value", 1, 1)
	})
	return b, panics
}

// wantCalm fails if anything has panicked that should not, or is still held.
func wantCalm(t *testing.T, b *sessiontest.Bank, panics chan string) {
	t.Helper()
	select {
	case p := <-panics:
		t.Errorf("a panic: %s", p)
	default:
	}
	if n := b.InUse(); n != 0 {
		t.Errorf("%d connections are in use after the answer", n)
	}
	if ops := append(session.Holding(b.DB), session.Holding(b.Reads)...); len(ops) != 0 {
		t.Errorf("these operations hold a connection after the answer: %v", ops)
	}
}

// serve calls the bank's handler without a server, which would hide a panic.
func serve(t *testing.T, b *sessiontest.Bank, req *http.Request) *httptest.ResponseRecorder {
	t.Helper()
	w := httptest.NewRecorder()
	done := make(chan any, 1)
	go func() {
		defer func() { done <- recover() }()
		b.Server.Config.Handler.ServeHTTP(w, req)
	}()
	select {
	case p := <-done:
		if p != nil {
			t.Fatalf("the handler panics: %v", p)
		}
	case <-time.After(20 * time.Second):
		t.Fatal("the handler hangs")
	}
	return w
}

// one fails unless a text is one JSON document.
func one(t *testing.T, text string) {
	t.Helper()
	decoder := json.NewDecoder(strings.NewReader(text))
	var document any
	if err := decoder.Decode(&document); err != nil {
		t.Errorf("not JSON: %v: %q", err, text)
		return
	}
	if rest, err := decoder.Token(); err != io.EOF {
		t.Errorf("more than one JSON document: %v, %v: %q", rest, err, text)
	}
}

// wantJSON fails unless an answer is one JSON document, or consists of parts each of which is one.
func wantJSON(t *testing.T, w *httptest.ResponseRecorder) {
	t.Helper()
	kind, params, _ := mime.ParseMediaType(w.Header().Get("Content-Type"))
	switch kind {
	case "multipart/mixed":
		if w.Body.Len() == 0 { // a subscription without an event
			return
		}
		parts := multipart.NewReader(w.Body, params["boundary"])
		for {
			part, err := parts.NextPart()
			if err == io.EOF {
				return
			}
			if err != nil {
				t.Errorf("broken parts: %v: %q", err, w.Body)
				return
			}
			text, _ := io.ReadAll(part)
			one(t, string(text))
		}
	case "text/event-stream":
		for line := range strings.Lines(w.Body.String()) {
			if data, ok := strings.CutPrefix(line, "data: "); ok {
				one(t, data)
			}
		}
	default:
		one(t, w.Body.String())
	}
}

// FuzzHandler sends arbitrary requests.
func FuzzHandler(f *testing.F) {
	b, panics := newFuzzBank(f)
	for _, query := range []string{
		`{ __typename }`, `{ nothing }`, `{`, "", `query @snapshot { accounts { id } }`, `{ accounts { id } counter(id: 1) { value } }`,
		`mutation { transfer(from: 1, to: 2, amount: 3) { id balance } }`, `mutation { increment(id: 1) { value } run(step: "fail") { value } }`,
		`mutation { run(step: "write") { run(step: "panic") { value } } }`, `mutation { run(step: "write") { loud } }`, `{ run(step: "one") { loud } }`,
		`{ run(step: "write") { value } }`, `query @snapshot { run(step: "write") { value } }`, `{ run(step: "read") { value } }`,
		`{ account(id: 1) { id ... @defer { run(step: "one") { value } } } }`, `mutation { transfer(from: 1, to: 2, amount: 3) { ... @defer { run(step: "write") { value } } } }`,
		`subscription { counterChanged(id: 0) { value } }`, `subscription { counterChanged(id: 1) { value } }`,
		`query A { __typename } mutation B { increment(id: 1) { id } }`, `{ account(id: 1) { peer(id: 2) { id } } }`, `{ account(id: 1000) { id } }`,
	} {
		body, _ := json.Marshal(map[string]string{"query": query})
		for _, accept := range []string{"", "application/json", "multipart/mixed", "text/event-stream"} {
			f.Add(true, string(body), "application/json", accept, "")
		}
		f.Add(false, "query="+url.QueryEscape(query), "", "multipart/mixed", "")
	}
	f.Add(true, `{"query": `, "application/json", "", "")
	f.Add(true, `[]`, "application/json", "text/event-stream", "")
	f.Add(true, `{"query": "{ __typename }", "operationName": "A", "variables": 1}`, "application/json", "multipart/mixed", "")
	f.Add(true, `{"query": "{ __typename }"}`, "text/plain", "", "")
	f.Add(true, `{"query": "{ accounts { id } }"}`, "application/json", "", "websocket")
	f.Add(false, "query={accounts{id}}&variables=1&extensions=x", "", "", "x")
	f.Fuzz(func(t *testing.T, post bool, body, contentType, accept, upgrade string) {
		method, target, content := http.MethodPost, "/", body
		if !post {
			method, target, content = http.MethodGet, "/?"+(&url.URL{RawQuery: body}).Query().Encode(), ""
		}
		req := httptest.NewRequestWithContext(t.Context(), method, target, strings.NewReader(content))
		for name, value := range map[string]string{"Content-Type": contentType, "Accept": accept, "Upgrade": upgrade} {
			if value != "" {
				req.Header.Set(name, value)
			}
		}
		w := serve(t, b, req)
		if upgrade == "" { // else a WebSocket refuses its handshake, in words
			wantJSON(t, w)
		}
		wantCalm(t, b, panics)
	})
}

// choices makes a selection out of the fuzzer's bytes.
type choices struct {
	bytes     []byte
	fields    int
	fragments []string
}

func (c *choices) next(n int) int {
	if len(c.bytes) == 0 {
		return 0
	}
	choice := int(c.bytes[0]) % n
	c.bytes = c.bytes[1:]
	return choice
}

// deferHere stands in a query where @defer may.
const deferHere = "\x00"

// selection returns fields of a type, some of them in fragments.
func (c *choices) selection(on string, depth int) string {
	var s strings.Builder
	s.WriteString("{ __typename")
	for range c.next(4) + 1 {
		switch c.next(4) {
		case 0:
			if depth > 0 {
				s.WriteString(" ..." + deferHere + " " + c.selection(on, depth-1))
			}
		case 1:
			if depth > 0 {
				text := c.selection(on, depth-1)
				name := fmt.Sprintf("F%d", len(c.fragments))
				c.fragments = append(c.fragments, fmt.Sprintf(" fragment %s on %s %s", name, on, text))
				s.WriteString(" ..." + name + deferHere)
			}
		default:
			s.WriteString(" " + c.field(on, depth))
		}
	}
	return s.String() + " }"
}

// field returns a field of a type under a name of its own.
func (c *choices) field(on string, depth int) string {
	c.fields++
	alias := fmt.Sprintf("f%d: ", c.fields)
	if depth > 0 && on != "Counter" {
		step := []string{"one", "fail", "panic", "nowhere"}[c.next(4)]
		switch c.next(3) {
		case 0:
			return alias + fmt.Sprintf("run(step: %q) ", step) + c.selection("Step", depth-1)
		case 1:
			if on == "Query" || on == "Step" {
				return alias + fmt.Sprintf("account(id: %d) ", c.next(3)) + c.selection("Account", depth-1) // 0 is none
			}
		case 2:
			if on == "Query" {
				return alias + fmt.Sprintf("counter(id: %d) ", c.next(3)) + c.selection("Counter", depth-1)
			}
		}
	}
	switch on {
	case "Account":
		return alias + []string{"id", "balance"}[c.next(2)]
	case "Counter":
		return alias + []string{"id", "value"}[c.next(2)]
	case "Step":
		return alias + "value"
	}
	return alias + "__typename"
}

// requests are the ways to send a query to a transport that gives one answer, whatever the client accepts besides.
var requests = []func(ctx context.Context, query, variables string) *http.Request{
	func(ctx context.Context, query, variables string) *http.Request {
		body, _ := json.Marshal(map[string]any{"query": query, "variables": json.RawMessage(variables)})
		req := httptest.NewRequestWithContext(ctx, http.MethodPost, "/", strings.NewReader(string(body)))
		req.Header.Set("Content-Type", "application/json")
		req.Header.Add("Accept", "application/json")
		req.Header.Add("Accept", "multipart/mixed")
		return req
	},
	func(ctx context.Context, query, variables string) *http.Request {
		values := url.Values{"query": {query}, "variables": {variables}}
		req := httptest.NewRequestWithContext(ctx, http.MethodGet, "/?"+values.Encode(), nil)
		req.Header.Set("Accept", "multipart/mixed, text/event-stream")
		return req
	},
}

// ask sends a query and returns the data of its answer, and its errors in any order.
func ask(t *testing.T, b *sessiontest.Bank, how int, query string) (data string, errs []string) {
	t.Helper()
	w := serve(t, b, requests[how](t.Context(), query, `{"yes": true, "no": false}`))
	one(t, w.Body.String())
	var answer struct {
		Data    json.RawMessage
		Errors  []json.RawMessage
		HasNext *bool
	}
	if err := json.Unmarshal(w.Body.Bytes(), &answer); err != nil {
		t.Fatal(err)
	}
	if answer.HasNext != nil {
		t.Errorf("%s: the answer promises parts: %s", query, w.Body)
	}
	for _, e := range answer.Errors {
		errs = append(errs, string(e))
	}
	slices.Sort(errs)
	return string(answer.Data), errs
}

// FuzzDeferInOneAnswer makes queries of its bytes and compares their answers with and without @defer.
func FuzzDeferInOneAnswer(f *testing.F) {
	b, panics := newFuzzBank(f)
	for i := range 64 {
		seed := make([]byte, 48)
		for j := range seed {
			seed[j] = byte((i*31 + j*j*7 + i*j) >> (j % 3))
		}
		f.Add(seed, byte(i))
	}
	f.Fuzz(func(t *testing.T, bytes []byte, kind byte) {
		c := &choices{bytes: bytes[:min(len(bytes), 200)]}
		start, mark, root, how := "query", "", "Query", int(kind/3)%len(requests)
		switch kind % 3 {
		case 1:
			mark = " @snapshot"
		case 2:
			start, root, how = "mutation", "Mutation", 0 // GET takes none
		}
		query := start + " ($yes: Boolean!, $no: Boolean!)" + mark +
			" { __typename @include(if: $yes) @skip(if: $no) ..." + deferHere + " " + c.selection(root, 4) + " }" + strings.Join(c.fragments, "")

		spelled := []string{"@defer", `@defer(label: "l")`, "@defer(if: $yes)", "@defer(if: $no)", "@ defer"}
		others := []string{"", " @include(if: $yes)", "", " @skip(if: $yes)", "", " @skip(if: $no)"}
		deferred, plain := query, query
		for n := int(kind); strings.Contains(deferred, deferHere); n++ {
			spelling, other := " "+spelled[n%len(spelled)], others[n%len(others)]
			deferred = strings.Replace(deferred, deferHere, spelling+other, 1)
			plain = strings.Replace(plain, deferHere, strings.Repeat(" ", len(spelling))+other, 1) // errors tell the column
		}
		data, errs := ask(t, b, how, deferred)
		wantData, wantErrs := ask(t, b, how, plain)
		if data != wantData || !slices.Equal(errs, wantErrs) {
			t.Errorf("%s\n got %s %s\nwant %s %s", deferred, data, errs, wantData, wantErrs)
		}
		wantCalm(t, b, panics)
	})
}
