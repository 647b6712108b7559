package transport_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/99designs/gqlgen/graphql"
	"github.com/99designs/gqlgen/graphql/handler"

	"rollcall/document"
	"rollcall/ratelimit"
	"rollcall/transport"
)

// price is what each operation costs in these tests, but one that is called free.
const price = 10

type nameKey struct{}

// limited returns limits that let each client ask for as much, and have as many streams open.
func limited(units, streams int) *transport.Limits {
	clients := &ratelimit.Clients{
		Limiter: ratelimit.New(ratelimit.Options{PerMinute: 1, Burst: units}), // so that nothing flows in during a test
		Streams: &ratelimit.Streams{Max: streams},
		Name:    func(ctx context.Context) string { name, _ := ctx.Value(nameKey{}).(string); return name },
	}
	return &transport.Limits{Clients: clients, Cost: func(operations []*graphql.OperationContext) (sum int) {
		for _, oc := range operations {
			if !strings.Contains(oc.RawQuery, "free") {
				sum += price
			}
		}
		return sum
	}}
}

// serveLimited serves by HTTP and WebSockets what is limited. Who sends a request is in its header X-Name.
func serveLimited(t *testing.T, limits *transport.Limits, tr *transport.HTTP, f fields) *socketServer {
	tr.Limits = limits
	return serveSockets(t, &transport.WebSocket{Limits: limits}, f, func(srv *handler.Server) http.Handler {
		srv.AddTransport(tr)
		h := limits.Handler(srv)
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			h.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), nameKey{}, r.Header.Get("X-Name"))))
		})
	})
}

// retryAfter is that of the only error.
func (r reply) retryAfter() any {
	errs, _ := r.object()["errors"].([]any)
	extensions, _ := errs[0].(map[string]any)["extensions"].(map[string]any)
	return extensions["retryAfter"]
}

func TestEveryAnswerSaysWhatIsLeftAndARefusalWhenToComeBack(t *testing.T) {
	for _, media := range []string{jsonType, graphqlType} {
		for _, method := range []string{http.MethodGet, http.MethodPost} {
			var ran atomic.Int64
			one := func(context.Context) graphql.ResponseHandler {
				ran.Add(1)
				return graphql.OneShot(data(`{"one":1}`))
			}
			s := serveLimited(t, limited(25, 0), &transport.HTTP{}, fields{"one": one})
			send := func() reply {
				if method == http.MethodGet {
					return get(t, s.url, media, "query", `{ one }`)
				}
				return post(t, s.url, run(`{ one }`), "Accept", media)
			}
			for _, left := range []int{15, 5} {
				r := send()
				if r.StatusCode != http.StatusOK || r.Header.Get("RateLimit-Policy") != `"default";q=25;w=1500` || !strings.HasPrefix(r.Header.Get("RateLimit"), fmt.Sprintf(`"default";r=%d;t=`, left)) {
					t.Errorf("%s: got %d %v", method, r.StatusCode, r.Header)
				}
			}
			r := send()
			r.wantRefused(http.StatusTooManyRequests, transport.CodeRateLimited)
			if r.media() != media || r.Header.Get("Retry-After") != "300" || r.retryAfter() != 300.0 || r.Header.Get("RateLimit") != `"default";r=5;t=300` || ran.Load() != 2 {
				t.Errorf("%s: got %v, %s, and %d have run", method, r.Header, r.text, ran.Load())
			}
			if r := post(t, s.url, run(`{ one }`), "X-Name", "ada"); r.StatusCode != http.StatusOK {
				t.Errorf("somebody else is refused: %s", r.text)
			}
		}
	}
}

func TestAnArrayIsServedOrRefusedAsAWhole(t *testing.T) {
	var ran atomic.Int64
	one := func(context.Context) graphql.ResponseHandler {
		ran.Add(1)
		return graphql.OneShot(data(`{"one":1}`))
	}
	s := serveLimited(t, limited(55, 0), &transport.HTTP{MaxBatch: 10}, fields{"one": one})
	r := post(t, s.url, runs(`{ one }`, `{ none }`, `{ one }`, `{ one }`))
	if r.StatusCode != http.StatusOK || ran.Load() != 3 || !strings.HasPrefix(r.Header.Get("RateLimit"), `"default";r=24;`) { // one of them cannot run
		t.Errorf("got %d %v %s, and %d have run", r.StatusCode, r.Header, r.text, ran.Load())
	}
	r = post(t, s.url, runs(`{ one }`, `{ one }`, `{ one }`))
	r.wantRefused(http.StatusTooManyRequests, transport.CodeRateLimited)
	if ran.Load() != 3 {
		t.Errorf("%d of an array have run that is refused", ran.Load()-3)
	}
	if r := post(t, s.url, runs(`{ one }`, `{ one }`)); r.StatusCode != http.StatusOK || ran.Load() != 5 {
		t.Errorf("what the refused one would have cost is gone: %d %s", r.StatusCode, r.text)
	}
}

func TestWhatIsNotRunCostsOneAndWhatIsFreeNothing(t *testing.T) {
	s := serveLimited(t, limited(1000, 0), &transport.HTTP{MaxBody: 1000, MaxBatch: 2}, fields{"one": sequence(data(`{}`))})
	left := 1000
	for _, c := range []struct {
		what string
		send func() reply
		cost int
	}{
		{"a query", func() reply { return post(t, s.url, run(`{ one }`)) }, price},
		{"a free one", func() reply { return post(t, s.url, run(`query free { one }`)) }, 0},
		{"no GraphQL", func() reply { return post(t, s.url, run(`{`)) }, 1},
		{"an unknown field", func() reply { return post(t, s.url, run(`{ unheardOf }`)) }, 1},
		{"no JSON", func() reply { return post(t, s.url, `{`) }, 1},
		{"a long body", func() reply { return post(t, s.url, run(strings.Repeat(" ", 1000))) }, 1},
		{"a long array", func() reply { return post(t, s.url, runs(`{ one }`, `{ one }`, `{ one }`)) }, 1},
		{"HEAD", func() reply { return ask(t, http.MethodHead, s.url+query("query", `{ one }`), "") }, 1},
		{"HEAD of a free one", func() reply { return ask(t, http.MethodHead, s.url+query("query", `query free { one }`), "") }, 0},
		{"a mutation by GET", func() reply { return get(t, s.url, jsonType, "query", `mutation { write }`) }, 1},
		{"a subscription without a stream", func() reply { return post(t, s.url, run(`subscription { ticks }`)) }, 1},
		{"another method", func() reply { return ask(t, http.MethodPut, s.url, "") }, 1},
	} {
		left -= c.cost
		r := c.send()
		if got := r.Header.Get("RateLimit"); !strings.HasPrefix(got, fmt.Sprintf(`"default";r=%d`, left)) {
			t.Errorf("%s: want %d left, got %s (%d %s)", c.what, left, got, r.StatusCode, r.text)
		}
	}
	if r := ask(t, http.MethodOptions, s.url, ""); r.Header.Get("RateLimit") != "" || r.StatusCode != http.StatusNoContent {
		t.Errorf("OPTIONS: got %d %v", r.StatusCode, r.Header)
	}
}

func TestAnAnswerThatTheClientHasCostsOne(t *testing.T) {
	list := document.List{"named": document.Document{Text: `{ one }`}}
	tr := &transport.HTTP{Documents: document.NewListed(list), Validators: &transport.Validators{
		Fields: map[string]bool{"one": true}, Version: func(context.Context) (string, bool) { return "1", true },
	}}
	tr.Limits = limited(price+2, 0)
	h := newServer(tr, fields{}, document.Extension{Listed: document.NewListed(list)})
	server := httptest.NewServer(tr.Limits.Handler(h))
	defer server.Close()
	first := get(t, server.URL, "", "documentId", "named")
	if first.StatusCode != http.StatusOK || first.Header.Get("ETag") == "" {
		t.Fatalf("got %d %v %s", first.StatusCode, first.Header, first.text)
	}
	for _, left := range []string{`"default";r=1;`, `"default";r=0;`} {
		r := ask(t, http.MethodGet, server.URL+query("documentId", "named"), "", "If-None-Match", first.Header.Get("ETag"))
		if r.StatusCode != http.StatusNotModified || !strings.HasPrefix(r.Header.Get("RateLimit"), left) {
			t.Errorf("want %s, got %d %v", left, r.StatusCode, r.Header)
		}
	}
	if r := ask(t, http.MethodGet, server.URL+query("documentId", "named"), "", "If-None-Match", first.Header.Get("ETag")); r.StatusCode != http.StatusTooManyRequests || r.Header.Get("ETag") != "" {
		t.Errorf("got %d %v", r.StatusCode, r.Header)
	}
	http.DefaultClient.CloseIdleConnections()
}

func TestWhoHasNothingLeftIsRefusedBeforeTheBodyIsRead(t *testing.T) {
	limits := limited(price, 0)
	s := serveLimited(t, limits, &transport.HTTP{}, fields{})
	if r := post(t, s.url, run(`{ one }`)); r.StatusCode != http.StatusOK {
		t.Fatalf("got %s", r.text)
	}
	conn, err := new(net.Dialer).DialContext(t.Context(), "tcp", strings.TrimPrefix(s.url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	_, _ = fmt.Fprint(conn, "POST / HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Type: application/json\r\nContent-Length: 1000\r\n\r\n")
	res, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil || res.StatusCode != http.StatusTooManyRequests {
		t.Errorf("got %v, %v", res, err)
	}
}

func TestAnOperationOnASocketIsRefusedAloneAndToldWhenToComeBack(t *testing.T) {
	limits := limited(25, 0)
	s := serveLimited(t, limits, &transport.HTTP{}, fields{})
	c := s.connect(modern)
	c.subscribe("1", `{ one }`)
	c.want(`{"id":"1","type":"next","payload":{"data":{"one":1}}}`, `{"id":"1","type":"complete"}`)
	if r := post(t, s.url, run(`{ one }`)); r.StatusCode != http.StatusOK { // of the same client
		t.Fatalf("got %s", r.text)
	}
	c.subscribe("2", `{ one }`)
	text, err := c.read()
	var refusal struct {
		ID, Type string
		Payload  []struct {
			Message    string
			Extensions map[string]any
		}
	}
	if err != nil || json.Unmarshal([]byte(text), &refusal) != nil || refusal.ID != "2" || refusal.Type != "error" || len(refusal.Payload) != 1 {
		t.Fatalf("got %s, %v", text, err)
	}
	if e := refusal.Payload[0].Extensions; e["code"] != transport.CodeRateLimited || e["retryAfter"] != 300.0 {
		t.Errorf("got %s", text)
	}
	c.subscribe("3", `query free { one }`)
	c.want(`{"id":"3","type":"next","payload":{"data":{"one":1}}}`, `{"id":"3","type":"complete"}`)
	for n := range 5 { // each costs 1
		c.subscribe("4", `{`)
		if text, err := c.read(); err != nil || !strings.Contains(text, "GRAPHQL_PARSE_FAILED") {
			t.Errorf("%d: got %s, %v", n, text, err)
		}
	}
	c.subscribe("5", `{`)
	if text, err := c.read(); err != nil || !strings.Contains(text, transport.CodeRateLimited) {
		t.Errorf("got %s, %v", text, err)
	}
}

func TestStreamsOfAClientAreBoundedOverAllTransportsTogether(t *testing.T) {
	ended := make(chan struct{}, 10)
	s := serveLimited(t, limited(1000, 2), &transport.HTTP{}, fields{"ticks": stream(nil, ended), "one": sequence(data(`{"one":1}`))})
	const subscription = `subscription { ticks }`
	events := begin(t, http.MethodPost, s.url, run(subscription), "Accept", eventType)
	if events.StatusCode != http.StatusOK {
		t.Fatalf("got %d", events.StatusCode)
	}
	c := s.connect(modern)
	c.subscribe("1", subscription)
	third := func(headers ...string) reply {
		return post(t, s.url, run(subscription), append(headers, "Accept", eventType)...)
	}
	eventually(t, "a third stream is refused", func() bool {
		// Until the second has begun, this one is served: it is ended again.
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		req, _ := http.NewRequestWithContext(ctx, http.MethodPost, s.url, strings.NewReader(run(subscription)))
		req.Header.Set("Content-Type", jsonType)
		req.Header.Set("Accept", eventType)
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		_ = res.Body.Close()
		return res.StatusCode == http.StatusTooManyRequests
	})
	r := third()
	r.wantRefused(http.StatusTooManyRequests, transport.CodeTooManyStreams)
	if r.Header.Get("Retry-After") != "" {
		t.Errorf("it is told when to come back: %v", r.Header)
	}
	if r := post(t, s.url, run(deferring), "Accept", multipartType); r.StatusCode != http.StatusTooManyRequests {
		t.Errorf("an answer in parts: got %d %s", r.StatusCode, r.text)
	}
	c.subscribe("2", subscription)
	if text, err := c.read(); err != nil || !strings.Contains(text, transport.CodeTooManyStreams) {
		t.Errorf("got %s, %v", text, err)
	}
	c.subscribe("3", `{ one }`) // which is no stream
	c.want(`{"id":"3","type":"next","payload":{"data":{"one":1}}}`, `{"id":"3","type":"complete"}`)
	if other := begin(t, http.MethodPost, s.url, run(subscription), "Accept", eventType, "X-Name", "ada"); other.StatusCode != http.StatusOK {
		t.Errorf("another client is refused: %d", other.StatusCode)
	} else {
		_ = other.Body.Close()
	}

	c.send(`{"id":"1","type":"complete"}`)
	_ = events.Body.Close()
	for range 2 {
		eventually(t, "there is room again", func() bool {
			res := begin(t, http.MethodPost, s.url, run(subscription), "Accept", eventType)
			t.Cleanup(func() { _ = res.Body.Close() })
			return res.StatusCode == http.StatusOK
		})
	}
}

func TestLimitsBelongToWhoeverInitSaysTheClientIs(t *testing.T) {
	limits := limited(price, 0)
	ws := &transport.WebSocket{Limits: limits, Init: func(ctx context.Context, payload map[string]any) (context.Context, map[string]any, error) {
		return context.WithValue(ctx, nameKey{}, payload["name"]), nil, nil
	}}
	s := serveSockets(t, ws, fields{}, func(srv *handler.Server) http.Handler { return limits.Handler(srv) })
	for _, c := range []struct {
		name, want string
	}{{"ada", `"one":1`}, {"bob", `"one":1`}, {"ada", transport.CodeRateLimited}} {
		socket := s.dial(modern)
		socket.send(`{"type":"connection_init","payload":{"name":"` + c.name + `"}}`)
		socket.want(`{"type":"connection_ack"}`)
		socket.subscribe("1", `{ one }`)
		if text, err := socket.read(); err != nil || !strings.Contains(text, c.want) {
			t.Errorf("%s: want %s, got %s, %v", c.name, c.want, text, err)
		}
	}
}
