package transport_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"runtime"
	"runtime/pprof"
	"strings"
	"sync"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/99designs/gqlgen/graphql"
	"github.com/99designs/gqlgen/graphql/handler"
	"github.com/99designs/gqlgen/graphql/handler/lru"
	"github.com/coder/websocket"
	"github.com/vektah/gqlparser/v2"
	"github.com/vektah/gqlparser/v2/ast"
	"github.com/vektah/gqlparser/v2/gqlerror"

	"rollcall/database/databasetest"
	"rollcall/document"
	"rollcall/operation"
	"rollcall/session"
	"rollcall/transport"
)

const (
	modern = "graphql-transport-ws"
	legacy = "graphql-ws"
	// hang is a time that only a hang exceeds.
	hang = 10 * time.Second
)

// fields is a schema whose operations are served by functions, one for each root field.
type fields map[string]func(ctx context.Context) graphql.ResponseHandler

var fieldsSchema = gqlparser.MustLoadSchema(&ast.Source{Input: `
	type Query { one(n: Int): Int  wait: Int  other: Int }
	type Mutation { write: Int }
	type Subscription { ticks: Int }`})

func (fields) Schema() *ast.Schema { return fieldsSchema }

func (fields) Complexity(context.Context, string, string, int, map[string]any) (int, bool) {
	return 0, false
}

func (f fields) Exec(ctx context.Context) graphql.ResponseHandler {
	name := graphql.GetOperationContext(ctx).Operation.SelectionSet[0].(*ast.Field).Name
	if serve := f[name]; serve != nil {
		return serve(ctx)
	}
	return graphql.OneShot(data(`{"one":1}`))
}

func data(text string) *graphql.Response { return &graphql.Response{Data: json.RawMessage(text)} }

// sequence is a handler of these responses.
func sequence(responses ...*graphql.Response) func(context.Context) graphql.ResponseHandler {
	return func(context.Context) graphql.ResponseHandler {
		left := responses
		return func(context.Context) *graphql.Response {
			if len(left) == 0 {
				return nil
			}
			defer func() { left = left[1:] }()
			return left[0]
		}
	}
}

// stream is a subscription to a channel. It tells ended when its context has ended.
func stream(events <-chan string, ended chan<- struct{}) func(context.Context) graphql.ResponseHandler {
	return func(ctx context.Context) graphql.ResponseHandler {
		if ended != nil {
			context.AfterFunc(ctx, func() { ended <- struct{}{} })
		}
		return func(ctx context.Context) *graphql.Response {
			select {
			case event, ok := <-events:
				if !ok {
					return nil
				}
				return data(fmt.Sprintf(`{"ticks":%s}`, event))
			case <-ctx.Done():
				return nil
			}
		}
	}
}

// socketServer serves WebSockets for a test.
type socketServer struct {
	tb  testing.TB
	url string
	ws  *transport.WebSocket
}

// serveSockets serves fields. At the end of the test it wants all goroutines gone.
func serveSockets(tb testing.TB, ws *transport.WebSocket, f fields, setup ...func(*handler.Server) http.Handler) *socketServer {
	tb.Helper()
	srv := handler.New(f)
	srv.AddTransport(ws)
	srv.SetRecoverFunc(func(_ context.Context, p any) error { return gqlerror.Errorf("recovered: %v", p) })
	var h http.Handler = srv
	for _, fn := range setup {
		h = fn(srv)
	}
	goroutines := runtime.NumGoroutine()
	server := httptest.NewServer(h)
	tb.Cleanup(func() {
		server.Close()
		http.DefaultClient.CloseIdleConnections()
		eventually(tb, "all goroutines end", func() bool { return runtime.NumGoroutine() <= goroutines })
	})
	return &socketServer{tb: tb, url: server.URL, ws: ws}
}

func eventually(tb testing.TB, what string, condition func() bool) {
	tb.Helper()
	for end := time.Now().Add(hang); !condition(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			var stacks strings.Builder
			_ = pprof.Lookup("goroutine").WriteTo(&stacks, 1)
			tb.Fatalf("it did not happen that %s\n%s", what, &stacks)
		}
	}
}

// receive takes a value, which must come.
func receive[T any](tb testing.TB, what string, from <-chan T) (value T) {
	tb.Helper()
	select {
	case value = <-from:
	case <-time.After(hang):
		tb.Fatalf("waited in vain for %s", what)
	}
	return value
}

// client is the other end of a socket.
type client struct {
	tb   testing.TB
	conn *websocket.Conn
}

// dial connects with these subprotocols and says nothing.
func (s *socketServer) dial(protocols ...string) *client {
	s.tb.Helper()
	return s.dialWith(&websocket.DialOptions{Subprotocols: protocols})
}

func (s *socketServer) dialWith(opt *websocket.DialOptions) *client {
	s.tb.Helper()
	conn, _, err := websocket.Dial(s.tb.Context(), s.url, opt)
	if err != nil {
		s.tb.Fatal(err)
	}
	conn.SetReadLimit(-1)
	s.tb.Cleanup(func() { _ = conn.CloseNow() })
	return &client{s.tb, conn}
}

// connect dials and is acknowledged.
func (s *socketServer) connect(protocol string) *client {
	s.tb.Helper()
	c := s.dial(protocol)
	c.send(`{"type":"connection_init"}`)
	c.want(`{"type":"connection_ack"}`)
	if protocol == legacy && s.ws.PingInterval >= 0 {
		c.want(`{"type":"ka"}`)
	}
	return c
}

func (c *client) send(text string) {
	c.tb.Helper()
	if err := c.conn.Write(c.tb.Context(), websocket.MessageText, []byte(text)); err != nil {
		c.tb.Fatalf("%s: %v", text, err)
	}
}

// subscribe sends an operation.
func (c *client) subscribe(id, query string) {
	c.tb.Helper()
	c.send(fmt.Sprintf(`{"id":%q,"type":"subscribe","payload":{"query":%q}}`, id, query))
}

// read returns the next message, or why there is none.
func (c *client) read() (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), hang)
	defer cancel()
	_, text, err := c.conn.Read(ctx)
	if ctx.Err() != nil {
		c.tb.Error("waited in vain for a message")
	}
	return string(text), err
}

// want fails unless these are the next messages, in this order.
func (c *client) want(messages ...string) {
	c.tb.Helper()
	for _, want := range messages {
		if got, err := c.read(); err != nil || got != want {
			c.tb.Fatalf("want %s, got %s %v", want, got, err)
		}
	}
}

// wantClosed fails unless the socket is closed next, with a code, and returns the reason.
func (c *client) wantClosed(code websocket.StatusCode) string {
	c.tb.Helper()
	text, err := c.read()
	var closed websocket.CloseError
	if !errors.As(err, &closed) || closed.Code != code {
		c.tb.Fatalf("want close code %d, got %q, %v", code, text, err)
	}
	return closed.Reason
}

// wantAlive fails unless the server answers a ping next.
func (c *client) wantAlive() {
	c.tb.Helper()
	c.send(`{"type":"ping","payload":{"alive":true}}`)
	c.want(`{"type":"pong","payload":{"alive":true}}`)
}

func TestASocketServesOperationsOfEveryKind(t *testing.T) {
	s := serveSockets(t, &transport.WebSocket{}, fields{
		"write": sequence(data(`{"write":2}`)),
		"ticks": sequence(data(`{"ticks":1}`), data(`{"ticks":2}`)),
	})
	c := s.connect(modern)
	c.subscribe("q", `{ one }`)
	c.want(`{"id":"q","type":"next","payload":{"data":{"one":1}}}`, `{"id":"q","type":"complete"}`)
	c.subscribe("m", `mutation { write }`)
	c.want(`{"id":"m","type":"next","payload":{"data":{"write":2}}}`, `{"id":"m","type":"complete"}`)
	c.subscribe("s", `subscription { ticks }`)
	c.want(`{"id":"s","type":"next","payload":{"data":{"ticks":1}}}`, `{"id":"s","type":"next","payload":{"data":{"ticks":2}}}`, `{"id":"s","type":"complete"}`)
	c.subscribe("q", `{ one }`) // the id is free again
	c.want(`{"id":"q","type":"next","payload":{"data":{"one":1}}}`, `{"id":"q","type":"complete"}`)
}

func TestPingsAreAnsweredAtAnyTime(t *testing.T) {
	s := serveSockets(t, &transport.WebSocket{}, nil)
	c := s.dial(modern)
	c.send(`{"type":"pong","payload":{"unasked":true}}`)
	c.send(`{"type":"ping"}`)
	c.want(`{"type":"pong"}`)
	c.wantAlive()
	c.send(`{"type":"connection_init","payload":null}`)
	c.want(`{"type":"connection_ack"}`)
	c.wantAlive()
}

func TestAnInvalidMessageClosesTheSocketWithoutAnEcho(t *testing.T) {
	s := serveSockets(t, &transport.WebSocket{}, nil)
	for _, text := range []string{
		``, `SECRET`, `{"type":"ping"`, `{"type":"ping"} SECRET`, `null`, `[]`, `"SECRET"`, `1`,
		`{}`, `{"type":null}`, `{"type":1}`, `{"type":"SECRET"}`, `{"Type":"ping"}`, `{"type":"next","id":"1"}`,
		`{"type":"ping","payload":"SECRET"}`, `{"type":"pong","payload":[]}`, `{"type":"connection_init","payload":1}`,
		`{"type":"complete"}`, `{"type":"complete","id":""}`, `{"type":"complete","id":1}`, `{"type":"complete","id":null}`,
		`{"type":"subscribe","payload":{"query":"{one}"}}`, `{"type":"subscribe","id":"","payload":{"query":"{one}"}}`,
		`{"type":"subscribe","id":7,"payload":{"query":"{one}"}}`, `{"type":"subscribe","id":"1"}`, `{"type":"subscribe","id":"1","payload":null}`,
		`{"type":"subscribe","id":"1","payload":"SECRET"}`, `{"type":"subscribe","id":"1","payload":{}}`,
		`{"type":"subscribe","id":"1","payload":{"query":null}}`, `{"type":"subscribe","id":"1","payload":{"query":["SECRET"]}}`,
		`{"type":"subscribe","id":"1","payload":{"query":"{one}","variables":["SECRET"]}}`,
		`{"type":"subscribe","id":"1","payload":{"query":"{one}","variables":"SECRET"}}`,
		`{"type":"subscribe","id":"1","payload":{"query":"{one}","extensions":3}}`,
		`{"type":"subscribe","id":"1","payload":{"query":"{one}","operationName":{"SECRET":1}}}`,
		`{"type":"start","id":"1","payload":{"query":"{one}"}}`, `{"type":"stop","id":"1"}`, `{"type":"connection_terminate"}`,
	} {
		c := s.connect(modern)
		c.send(text)
		reason := c.wantClosed(4400)
		if !strings.HasPrefix(reason, "Invalid message: ") || strings.Contains(reason, "SECRET") {
			t.Errorf("%s: the reason is %q", text, reason)
		}
	}
	c := s.connect(modern)
	if err := c.conn.Write(t.Context(), websocket.MessageBinary, []byte(`{"type":"ping"}`)); err != nil {
		t.Fatal(err)
	}
	c.wantClosed(4400)
}

func TestTextThatIsNotUTF8ClosesTheSocket(t *testing.T) {
	c := serveSockets(t, &transport.WebSocket{}, nil).connect(modern)
	c.send("{\"type\":\"ping\",\"payload\":{\"a\":\"\xff\"}}")
	c.wantClosed(websocket.StatusInvalidFramePayloadData)
}

func TestWhatMayBeNullOrLeftOutMay(t *testing.T) {
	s := serveSockets(t, &transport.WebSocket{}, nil)
	c := s.connect(modern)
	c.send(`{"id":"1","type":"subscribe","payload":{"query":"{one}","operationName":null,"variables":null,"extensions":null,"more":1},"more":2}`)
	c.want(`{"id":"1","type":"next","payload":{"data":{"one":1}}}`, `{"id":"1","type":"complete"}`)
	c.send(`{"id":"1","type":"subscribe","payload":{"query":"query A($n:Int){one(n:$n)} query B{other}","operationName":"A","variables":{"n":2},"extensions":{}}}`)
	c.want(`{"id":"1","type":"next","payload":{"data":{"one":1}}}`, `{"id":"1","type":"complete"}`)
}

// capture hands out the parameters of operations.
type capture chan *graphql.RawParams

func (capture) ExtensionName() string                   { return "Capture" }
func (capture) Validate(graphql.ExecutableSchema) error { return nil }
func (c capture) MutateOperationParameters(_ context.Context, params *graphql.RawParams) *gqlerror.Error {
	c <- params
	return nil
}

func TestAnOperationHasTheHeadersOfTheSocketAndExactNumbers(t *testing.T) {
	seen := make(capture, 1)
	ws := &transport.WebSocket{}
	s := serveSockets(t, ws, nil, func(srv *handler.Server) http.Handler { srv.Use(seen); return srv })
	c := s.dialWith(&websocket.DialOptions{Subprotocols: []string{modern}, HTTPHeader: http.Header{"X-Who": {"me"}}})
	c.send(`{"type":"connection_init"}`)
	c.want(`{"type":"connection_ack"}`)
	c.send(`{"id":"1","type":"subscribe","payload":{"query":"{one}","variables":{"n":9007199254740993}}}`)
	params := receive(t, "the parameters", seen)
	if n, ok := params.Variables["n"].(json.Number); !ok || n != "9007199254740993" || params.Headers.Get("X-Who") != "me" {
		t.Errorf("got %#v %v", params.Variables, params.Headers)
	}
	c.want(`{"id":"1","type":"next","payload":{"data":{"one":1}}}`, `{"id":"1","type":"complete"}`)
}

func TestAnOperationBeforeTheAcknowledgementClosesTheSocket(t *testing.T) {
	hold := make(chan struct{})
	ws := &transport.WebSocket{Init: func(ctx context.Context, _ map[string]any) (context.Context, map[string]any, error) {
		select {
		case <-hold:
		case <-ctx.Done():
		}
		return ctx, nil, ctx.Err()
	}}
	s := serveSockets(t, ws, nil)
	c := s.dial(modern)
	c.subscribe("1", `{ one }`)
	c.wantClosed(4401)

	c = s.dial(modern)
	c.send(`{"type":"connection_init"}`)
	c.subscribe("1", `{ one }`)
	c.wantClosed(4401)

	c = s.dial(legacy)
	c.send(`{"id":"1","type":"start","payload":{"query":"{one}"}}`)
	c.wantClosed(4401)
}

type whoKey struct{}

func TestInitMakesTheContextOfOperations(t *testing.T) {
	ws := &transport.WebSocket{Init: func(ctx context.Context, payload map[string]any) (context.Context, map[string]any, error) {
		return context.WithValue(ctx, whoKey{}, payload["who"]), map[string]any{"hello": payload["who"]}, nil
	}}
	s := serveSockets(t, ws, fields{"one": func(ctx context.Context) graphql.ResponseHandler {
		return graphql.OneShot(data(fmt.Sprintf(`{"one":%q}`, ctx.Value(whoKey{}))))
	}})
	c := s.dial(modern)
	c.send(`{"type":"connection_init","payload":{"who":"me"}}`)
	c.want(`{"type":"connection_ack","payload":{"hello":"me"}}`)
	c.subscribe("1", `{ one }`)
	c.want(`{"id":"1","type":"next","payload":{"data":{"one":"me"}}}`, `{"id":"1","type":"complete"}`)
}

func TestAClientThatInitRefusesHearsNoReason(t *testing.T) {
	ws := &transport.WebSocket{Init: func(_ context.Context, payload map[string]any) (context.Context, map[string]any, error) {
		if payload != nil {
			panic("SECRET")
		}
		return nil, nil, errors.New("SECRET")
	}}
	s := serveSockets(t, ws, nil)
	c := s.dial(modern)
	c.send(`{"type":"connection_init"}`)
	if reason := c.wantClosed(4403); reason != "Forbidden" {
		t.Errorf("the reason is %q", reason)
	}
	c = s.dial(legacy)
	c.send(`{"type":"connection_init"}`)
	c.want(`{"type":"connection_error","payload":{"message":"Forbidden"}}`)
	c.wantClosed(4403)

	c = s.dial(modern)
	c.send(`{"type":"connection_init","payload":{}}`)
	if reason := c.wantClosed(4500); strings.Contains(reason, "SECRET") {
		t.Errorf("the reason is %q", reason)
	}
}

func TestAnUnknownSubprotocolClosesTheSocket(t *testing.T) {
	s := serveSockets(t, &transport.WebSocket{}, nil)
	s.dial().wantClosed(4406)
	s.dial("graphql-over-pigeons").wantClosed(4406)
	for offered, chosen := range map[string][]string{modern: {"x", legacy, modern}, legacy: {"x", legacy}} {
		if got := s.dial(chosen...).conn.Subprotocol(); got != offered {
			t.Errorf("%v: got %s", chosen, got)
		}
	}
}

func TestAClientThatIsNotAcknowledgedInTimeIsClosed(t *testing.T) {
	ws := &transport.WebSocket{InitTimeout: 20 * time.Millisecond, Init: func(ctx context.Context, _ map[string]any) (context.Context, map[string]any, error) {
		<-ctx.Done()
		return ctx, nil, ctx.Err()
	}}
	s := serveSockets(t, ws, nil)
	for _, protocol := range []string{modern, legacy} {
		s.dial(protocol).wantClosed(4408)
		c := s.dial(protocol)
		c.send(`{"type":"connection_init"}`)
		c.wantClosed(4408)
	}
}

func TestASecondInitClosesTheSocket(t *testing.T) {
	wait := make(chan struct{})
	defer close(wait)
	ws := &transport.WebSocket{Init: func(ctx context.Context, payload map[string]any) (context.Context, map[string]any, error) {
		if payload != nil {
			<-ctx.Done()
		}
		return ctx, nil, nil
	}}
	s := serveSockets(t, ws, nil)
	for _, protocol := range []string{modern, legacy} {
		c := s.connect(protocol)
		c.send(`{"type":"connection_init"}`)
		c.wantClosed(4429)
	}
	c := s.dial(modern)
	c.send(`{"type":"connection_init","payload":{"slow":true}}`)
	c.send(`{"type":"connection_init","payload":{"slow":true}}`)
	c.wantClosed(4429)
}

func TestASecondOperationOfAnIDClosesTheSocket(t *testing.T) {
	ended := make(chan struct{}, 1)
	s := serveSockets(t, &transport.WebSocket{}, fields{"ticks": stream(nil, ended), "wait": stream(nil, nil)})
	c := s.connect(modern)
	c.subscribe("1", `subscription { ticks }`)
	c.subscribe("1", `{ one }`)
	if reason := c.wantClosed(4409); reason != "Subscriber for 1 already exists" {
		t.Errorf("the reason is %q", reason)
	}
	receive(t, "the end of the first operation", ended)

	c = s.connect(modern)
	c.subscribe("1", `{ wait }`)
	c.subscribe("1", `{ wait }`)
	c.wantClosed(4409)

	long := strings.Repeat("ä", 500) // a close frame has room for 123 bytes
	c = s.connect(modern)
	c.subscribe(long, `{ wait }`)
	c.subscribe(long, `{ wait }`)
	if reason := c.wantClosed(4409); len(reason) < 120 || !utf8.ValidString(reason) {
		t.Errorf("the reason is %q", reason)
	}
}

func TestALongMessageClosesTheSocket(t *testing.T) {
	s := serveSockets(t, &transport.WebSocket{MaxMessage: 100}, nil)
	message := func(size int) string {
		return `{"type":"pong","payload":{"a":"` + strings.Repeat("x", size-34) + `"}}`
	}
	c := s.connect(modern)
	c.send(message(100))
	c.wantAlive()
	c.send(message(101))
	c.wantClosed(websocket.StatusMessageTooBig)

	c = s.connect(modern)
	c.send(message(1 << 20)) // the client is not cut off while it writes
	c.wantClosed(websocket.StatusMessageTooBig)
}

func TestAnErrorOfTheRequestIsAnErrorMessageAndNoComplete(t *testing.T) {
	s := serveSockets(t, &transport.WebSocket{}, nil)
	c := s.connect(modern)
	for query, code := range map[string]string{`{`: "GRAPHQL_PARSE_FAILED", `{ none never }`: "GRAPHQL_VALIDATION_FAILED"} {
		c.subscribe("1", query)
		text, err := c.read()
		if err != nil {
			t.Fatal(err)
		}
		var m struct {
			ID, Type string
			Payload  []struct {
				Message    string
				Extensions struct{ Code string }
			}
		}
		if err := json.Unmarshal([]byte(text), &m); err != nil || m.ID != "1" || m.Type != "error" || len(m.Payload) == 0 ||
			m.Payload[0].Message == "" || m.Payload[0].Extensions.Code != code {
			t.Errorf("%s: got %s", query, text)
		}
		c.wantAlive() // and nothing came between
	}
}

func TestAnErrorOfTheExecutionIsInTheResult(t *testing.T) {
	failed := &graphql.Response{Data: json.RawMessage(`null`), Errors: gqlerror.List{{Message: "no"}}}
	s := serveSockets(t, &transport.WebSocket{}, fields{
		"one":   sequence(failed),
		"other": sequence(&graphql.Response{Errors: failed.Errors}),
		"ticks": sequence(failed, data(`{"ticks":1}`)),
	})
	c := s.connect(modern)
	c.subscribe("1", `{ one }`)
	c.want(`{"id":"1","type":"next","payload":{"errors":[{"message":"no"}],"data":null}}`, `{"id":"1","type":"complete"}`)
	c.subscribe("1", `{ other }`)
	c.want(`{"id":"1","type":"next","payload":{"errors":[{"message":"no"}]}}`, `{"id":"1","type":"complete"}`)
	c.subscribe("1", `subscription { ticks }`)
	c.want(`{"id":"1","type":"next","payload":{"errors":[{"message":"no"}],"data":null}}`,
		`{"id":"1","type":"next","payload":{"data":{"ticks":1}}}`, `{"id":"1","type":"complete"}`)
}

func TestADeferredAnswerIsSeveralResults(t *testing.T) {
	yes, no := true, false
	s := serveSockets(t, &transport.WebSocket{}, fields{"one": sequence(
		&graphql.Response{Data: json.RawMessage(`{}`), HasNext: &yes},
		&graphql.Response{Data: json.RawMessage(`{"one":1}`), Path: ast.Path{ast.PathName("a")}, Label: "l", HasNext: &no},
	)})
	c := s.connect(modern)
	c.subscribe("1", `{ one }`)
	c.want(`{"id":"1","type":"next","payload":{"data":{},"hasNext":true}}`,
		`{"id":"1","type":"next","payload":{"incremental":[{"data":{"one":1},"path":["a"],"label":"l"}],"hasNext":false}}`,
		`{"id":"1","type":"complete"}`)
}

func TestAQueryIsAnsweredOnceEvenByAHandlerWithoutEnd(t *testing.T) {
	s := serveSockets(t, &transport.WebSocket{}, fields{"one": func(context.Context) graphql.ResponseHandler {
		return func(context.Context) *graphql.Response { return data(`{"one":1}`) }
	}})
	c := s.connect(modern)
	c.subscribe("1", `{ one }`)
	c.want(`{"id":"1","type":"next","payload":{"data":{"one":1}}}`, `{"id":"1","type":"complete"}`)
	c.wantAlive()
}

func TestAClientsCompleteEndsTheOperationAndItsMessages(t *testing.T) {
	for protocol, words := range map[string][3]string{modern: {"subscribe", "complete", ""}, legacy: {"start", "stop", `{"id":"1","type":"complete"}`}} {
		t.Run(protocol, func(t *testing.T) {
			started, ended, release := make(chan struct{}, 1), make(chan struct{}, 1), make(chan struct{})
			s := serveSockets(t, &transport.WebSocket{PingInterval: -1}, fields{"ticks": func(ctx context.Context) graphql.ResponseHandler {
				return func(context.Context) *graphql.Response { // it sends even though it has been cancelled
					started <- struct{}{}
					<-ctx.Done()
					ended <- struct{}{}
					<-release
					return data(`{"ticks":"late"}`)
				}
			}})
			c := s.connect(protocol)
			c.send(fmt.Sprintf(`{"id":"1","type":%q,"payload":{"query":"subscription{ticks}"}}`, words[0]))
			receive(t, "the operation", started)
			c.send(fmt.Sprintf(`{"id":"1","type":%q}`, words[1]))
			receive(t, "the end of its context", ended)
			if words[2] != "" {
				c.want(words[2])
			}
			next := map[string]string{modern: "next", legacy: "data"}[protocol]
			c.send(fmt.Sprintf(`{"id":"1","type":%q,"payload":{"query":"{one}"}}`, words[0])) // the id is free at once
			c.want(`{"id":"1","type":"`+next+`","payload":{"data":{"one":1}}}`, `{"id":"1","type":"complete"}`)
			close(release)
			c.send(fmt.Sprintf(`{"id":"1","type":%q}`, words[1])) // too late, which is no mistake
			c.send(fmt.Sprintf(`{"id":"2","type":%q,"payload":{"query":"{one}"}}`, words[0]))
			c.want(`{"id":"2","type":"`+next+`","payload":{"data":{"one":1}}}`, `{"id":"2","type":"complete"}`)
		})
	}
}

func TestALostSocketEndsItsOperations(t *testing.T) {
	ended, started := make(chan struct{}, 2), make(chan struct{}, 2)
	wait := func(ctx context.Context) graphql.ResponseHandler {
		started <- struct{}{}
		return stream(nil, ended)(ctx)
	}
	s := serveSockets(t, &transport.WebSocket{}, fields{"ticks": wait, "wait": wait})
	for _, leave := range []func(*client){
		func(c *client) { _ = c.conn.CloseNow() },
		func(c *client) { _ = c.conn.Close(websocket.StatusNormalClosure, "") },
		func(c *client) { c.send(`nonsense`) },
	} {
		c := s.connect(modern)
		c.subscribe("1", `subscription { ticks }`)
		c.subscribe("2", `{ wait }`)
		for range 2 {
			receive(t, "the operation", started)
		}
		leave(c)
		for range 2 {
			receive(t, "the end of its context", ended)
		}
	}
}

// breaking panics wherever a request tells it to.
type breaking struct{ capture }

func (breaking) MutateOperationParameters(_ context.Context, params *graphql.RawParams) *gqlerror.Error {
	if params.OperationName == "early" {
		panic("early")
	}
	return nil
}

// broken is a handler of these responses, which panics in place of the next.
func broken(responses ...*graphql.Response) func(context.Context) graphql.ResponseHandler {
	return func(context.Context) graphql.ResponseHandler {
		calls := 0
		next := sequence(responses...)(nil)
		return func(ctx context.Context) *graphql.Response {
			if calls++; calls == len(responses)+1 {
				panic("broken")
			}
			return next(ctx)
		}
	}
}

func TestAPanicIsAnErrorOfItsOperationOnly(t *testing.T) {
	s := serveSockets(t, &transport.WebSocket{}, fields{
		"one":   func(context.Context) graphql.ResponseHandler { panic("one") },
		"other": broken(),
		"write": sequence(&graphql.Response{Errors: gqlerror.List{{Extensions: map[string]any{"bad": loud{}}}}}),
		"ticks": broken(data(`{"ticks":1}`)),
	}, func(srv *handler.Server) http.Handler { srv.Use(breaking{}); return srv })
	c := s.connect(modern)
	for _, query := range []string{`{ one }`, `{ other }`, `mutation { write }`} {
		c.subscribe("1", query)
		if text, err := c.read(); err != nil || !strings.HasPrefix(text, `{"id":"1","type":"error","payload":[{"message":"recovered: `) {
			t.Errorf("%s: got %s %v", query, text, err)
		}
		c.wantAlive() // nothing comes after it
	}
	c.subscribe("1", `subscription { ticks }`)
	c.want(`{"id":"1","type":"next","payload":{"data":{"ticks":1}}}`)
	if text, err := c.read(); err != nil || !strings.Contains(text, "recovered: broken") {
		t.Errorf("got %s %v", text, err)
	}
	c = s.connect(modern)
	c.send(`{"id":"1","type":"subscribe","payload":{"query":"query early{one}","operationName":"early"}}`)
	c.want(`{"id":"1","type":"error","payload":[{"message":"recovered: early"}]}`)
	c.wantAlive()
}

// loud panics when it is sent.
type loud struct{}

func (loud) MarshalJSON() ([]byte, error) { panic("loud") }

func TestASlowClientIsCutOffAndHoldsUpNobody(t *testing.T) {
	ended := make(chan struct{}, 1)
	flood := data(`{"ticks":"` + strings.Repeat("x", 1<<20) + `"}`)
	s := serveSockets(t, &transport.WebSocket{WriteTimeout: 200 * time.Millisecond}, fields{"ticks": func(ctx context.Context) graphql.ResponseHandler {
		context.AfterFunc(ctx, func() { ended <- struct{}{} })
		return func(context.Context) *graphql.Response { return flood }
	}})
	slow, other := s.connect(modern), s.connect(modern)
	slow.subscribe("1", `subscription { ticks }`) // and reads nothing
	slow.subscribe("2", `{ one }`)
	for cut := false; !cut; {
		other.subscribe("1", `{ one }`)
		other.want(`{"id":"1","type":"next","payload":{"data":{"one":1}}}`, `{"id":"1","type":"complete"}`)
		select {
		case <-ended:
			cut = true
		default:
		}
	}
	for {
		if _, err := slow.read(); err != nil {
			if websocket.CloseStatus(err) != -1 {
				t.Errorf("want the connection cut, got %v", err)
			}
			break
		}
	}
}

func TestAClientThatDoesNotAnswerPingsIsCutOff(t *testing.T) {
	ended := make(chan struct{}, 1)
	s := serveSockets(t, &transport.WebSocket{PingInterval: 10 * time.Millisecond, PongTimeout: 50 * time.Millisecond}, fields{"ticks": stream(nil, ended)})
	c := s.dialWith(&websocket.DialOptions{Subprotocols: []string{modern}, OnPingReceived: func(context.Context, []byte) bool { return false }})
	c.send(`{"type":"connection_init"}`)
	c.subscribe("1", `subscription { ticks }`)
	// The acknowledgement may not have been first.
	for {
		if _, err := c.read(); err != nil {
			break
		}
	}
}

func TestAClientThatAnswersPingsStays(t *testing.T) {
	pings := make(chan struct{}, 100)
	s := serveSockets(t, &transport.WebSocket{PingInterval: time.Millisecond}, nil)
	c := s.dialWith(&websocket.DialOptions{Subprotocols: []string{modern}, OnPingReceived: func(context.Context, []byte) bool {
		select {
		case pings <- struct{}{}:
		default:
		}
		return true
	}})
	go func() {
		for range 10 {
			<-pings
		}
		_ = c.conn.Write(context.Background(), websocket.MessageText, []byte(`{"type":"ping"}`))
	}()
	c.want(`{"type":"pong"}`)
}

func TestAnIdleSocketIsClosed(t *testing.T) {
	events, ended := make(chan string), make(chan struct{}, 1)
	s := serveSockets(t, &transport.WebSocket{IdleTimeout: 100 * time.Millisecond}, fields{"ticks": stream(events, ended)})
	s.connect(modern).wantClosed(websocket.StatusNormalClosure)

	c := s.connect(modern)
	c.subscribe("1", `subscription { ticks }`)
	select { // an operation keeps it open
	case <-ended:
		t.Error("the socket was closed in use")
	case <-time.After(300 * time.Millisecond):
		close(events)
	}
	c.want(`{"id":"1","type":"complete"}`)
	c.wantClosed(websocket.StatusNormalClosure)
}

func TestOperationsBeyondTheLimitAreRefusedAndTheOthersGoOn(t *testing.T) {
	ended, events := make(chan struct{}, 3), make(chan string)
	s := serveSockets(t, &transport.WebSocket{MaxOperations: 2}, fields{"ticks": stream(events, ended)})
	c := s.connect(modern)
	for _, id := range []string{"1", "2", "3"} {
		c.subscribe(id, `subscription { ticks }`)
	}
	c.want(`{"id":"3","type":"error","payload":[{"message":"there are too many operations on this connection: it may have 2 at a time","extensions":{"code":"TOO_MANY_REQUESTS"}}]}`)
	c.send(`{"id":"1","type":"complete"}`)
	receive(t, "the end of the first operation", ended)
	events <- "1"
	c.want(`{"id":"2","type":"next","payload":{"data":{"ticks":1}}}`)
	c.subscribe("3", `{ one }`)
	c.want(`{"id":"3","type":"next","payload":{"data":{"one":1}}}`, `{"id":"3","type":"complete"}`)
}

func TestCancelledOperationsThatGoOnCountToo(t *testing.T) {
	release := make(chan struct{})
	s := serveSockets(t, &transport.WebSocket{MaxOperations: 2}, fields{"wait": func(context.Context) graphql.ResponseHandler {
		<-release
		return graphql.OneShot(data(`{}`))
	}})
	defer close(release)
	c := s.connect(modern)
	for range 4 {
		c.subscribe("1", `{ wait }`)
		c.send(`{"id":"1","type":"complete"}`)
	}
	c.subscribe("1", `{ one }`)
	if text, err := c.read(); err != nil || !strings.Contains(text, transport.CodeTooManyRequests) {
		t.Errorf("got %s %v", text, err)
	}
}

func TestPagesOfOtherOriginsMayNotConnect(t *testing.T) {
	s := serveSockets(t, &transport.WebSocket{}, nil)
	status := func(origin string) int {
		conn, res, err := websocket.Dial(t.Context(), s.url, &websocket.DialOptions{Subprotocols: []string{modern}, HTTPHeader: http.Header{"Origin": {origin}}})
		if err == nil {
			_ = conn.CloseNow()
		}
		return res.StatusCode
	}
	for origin, want := range map[string]int{
		s.url:                 http.StatusSwitchingProtocols,
		"":                    http.StatusSwitchingProtocols,
		"https://example.org": http.StatusForbidden,
		"null":                http.StatusForbidden,
		"://":                 http.StatusForbidden,
	} {
		if got := status(origin); got != want {
			t.Errorf("%s: want %d, got %d", origin, want, got)
		}
	}
	s.ws.CheckOrigin = func(r *http.Request) bool { return r.Header.Get("Origin") == "https://example.org" }
	if got := status("https://example.org"); got != http.StatusSwitchingProtocols {
		t.Errorf("allowed: got %d", got)
	}
	if got := status(s.url); got != http.StatusForbidden {
		t.Errorf("not allowed: got %d", got)
	}
}

func TestOnlyARequestForAWebSocketIsOne(t *testing.T) {
	for upgrade, want := range map[string]bool{"websocket": true, "WebSocket": true, "h2c, websocket": true, "h2c": false, "": false, "websockets": false} {
		r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/", nil)
		r.Header.Set("Upgrade", upgrade)
		if got := (&transport.WebSocket{}).Supports(r); got != want {
			t.Errorf("%q: got %v", upgrade, got)
		}
	}
}

func TestShutdownAnswersWhatRunsAndStartsNothing(t *testing.T) {
	started, release, ended := make(chan struct{}, 1), make(chan struct{}), make(chan struct{}, 1)
	events := make(chan string)
	s := serveSockets(t, &transport.WebSocket{}, fields{
		"wait": func(context.Context) graphql.ResponseHandler {
			started <- struct{}{}
			<-release
			return graphql.OneShot(data(`{"wait":1}`))
		},
		"ticks": stream(events, ended),
	})
	idle, busy, subscribed := s.connect(modern), s.connect(modern), s.connect(legacy)
	busy.subscribe("1", `{ wait }`)
	receive(t, "the query", started)
	subscribed.send(`{"id":"1","type":"start","payload":{"query":"subscription{ticks}"}}`)
	events <- "1"
	subscribed.want(`{"id":"1","type":"data","payload":{"data":{"ticks":1}}}`)

	down := make(chan error, 1)
	go func() { down <- s.ws.Shutdown(t.Context()) }()
	idle.wantClosed(websocket.StatusGoingAway)
	subscribed.wantClosed(websocket.StatusGoingAway)
	receive(t, "the end of the subscription", ended)
	_, res, err := websocket.Dial(t.Context(), s.url, &websocket.DialOptions{Subprotocols: []string{modern}})
	if err == nil || res.StatusCode != http.StatusServiceUnavailable {
		t.Errorf("want a new socket refused, got %v %v", res, err)
	}
	busy.subscribe("2", `{ one }`)
	busy.wantAlive()
	close(release)
	busy.want(`{"id":"1","type":"next","payload":{"data":{"wait":1}}}`, `{"id":"1","type":"complete"}`)
	busy.wantClosed(websocket.StatusGoingAway)
	if err := receive(t, "the end of Shutdown", down); err != nil {
		t.Error(err)
	}
}

func TestShutdownCancelsWhatDoesNotEndInTime(t *testing.T) {
	ended, started := make(chan struct{}, 1), make(chan struct{}, 1)
	s := serveSockets(t, &transport.WebSocket{}, fields{"wait": func(ctx context.Context) graphql.ResponseHandler {
		started <- struct{}{}
		return stream(nil, ended)(ctx)
	}})
	c := s.connect(modern)
	c.subscribe("1", `{ wait }`)
	receive(t, "the query", started)
	ctx, cancel := context.WithCancel(t.Context())
	down := make(chan error, 1)
	go func() { down <- s.ws.Shutdown(ctx) }()
	cancel()
	c.wantClosed(websocket.StatusGoingAway)
	receive(t, "the end of the query", ended)
	if err := receive(t, "the end of Shutdown", down); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}

func TestTheOlderProtocolIsServedToo(t *testing.T) {
	slow := make(chan struct{})
	ws := &transport.WebSocket{Init: func(ctx context.Context, payload map[string]any) (context.Context, map[string]any, error) {
		if payload["slow"] == true {
			<-slow
		}
		return ctx, nil, nil
	}}
	ended := make(chan struct{}, 1)
	s := serveSockets(t, ws, fields{"ticks": sequence(data(`{"ticks":1}`), data(`{"ticks":2}`)), "wait": stream(nil, ended)})
	c := s.dial(legacy)
	c.send(`{"type":"connection_init","payload":{"slow":true}}`)
	c.send(`{"id":"1","type":"start","payload":{"query":"subscription{ticks}"}}`) // without waiting, as its client does
	close(slow)
	c.want(`{"type":"connection_ack"}`, `{"type":"ka"}`,
		`{"id":"1","type":"data","payload":{"data":{"ticks":1}}}`, `{"id":"1","type":"data","payload":{"data":{"ticks":2}}}`, `{"id":"1","type":"complete"}`)
	c.send(`{"id":"1","type":"start","payload":{"query":"{none}"}}`)
	text, err := c.read()
	var failure struct {
		Type    string
		Payload struct {
			Message string
			Errors  []struct{ Message string }
		}
	}
	if err != nil || json.Unmarshal([]byte(text), &failure) != nil || failure.Type != "error" || failure.Payload.Message == "" || len(failure.Payload.Errors) != 1 {
		t.Errorf("got %s %v", text, err)
	}
	c.send(`{"id":"1","type":"start","payload":{"query":"{wait}"}}`)
	c.send(`{"id":"1","type":"start","payload":{"query":"{one}"}}`) // takes the place of the first
	receive(t, "the end of the first operation", ended)
	c.want(`{"id":"1","type":"data","payload":{"data":{"one":1}}}`, `{"id":"1","type":"complete"}`)
	c.send(`{"type":"connection_terminate"}`)
	c.wantClosed(websocket.StatusNormalClosure)

	for _, text := range []string{`{"type":"ping"}`, `{"id":"1","type":"subscribe","payload":{"query":"{one}"}}`, `{"type":"start","payload":{"query":"{one}"}}`} {
		c := s.connect(legacy)
		c.send(text)
		c.wantClosed(4400)
	}
}

func TestAnErrorOfTheOlderProtocolHasTheMessageOfTheFirstOne(t *testing.T) {
	documents := func(srv *handler.Server) http.Handler {
		srv.Use(document.Extension{Automatic: &document.Automatic{Memory: lru.New[*document.Text](10)}})
		return srv
	}
	c := serveSockets(t, &transport.WebSocket{MaxOperations: 1}, fields{"wait": stream(nil, nil)}, documents).connect(legacy)
	for _, m := range []struct{ payload, message string }{
		{`{"extensions":{"persistedQuery":{"version":1,"sha256Hash":"00"}}}`, "PersistedQueryNotFound"},
		{`{"documentId":"9f2d"}`, "there is no document of this id"},
		{`{"query":"{"}`, "Expected Name, found <EOF>"},
		{`{"query":"{ unheardOf never }"}`, `Cannot query field "unheardOf" on type "Query".`},
		{`{"query":"{ one }","variables":` + strings.Repeat(`{"a":`, 51) + "1" + strings.Repeat("}", 52), "variables are nested in more than 50 levels"},
	} {
		c.send(`{"id":"1","type":"start","payload":` + m.payload + `}`)
		text, err := c.read()
		var got struct {
			Type    string
			Payload struct {
				Message string
				Errors  []struct{ Message string }
			}
		}
		if err != nil || json.Unmarshal([]byte(text), &got) != nil || got.Type != "error" || got.Payload.Message != m.message || len(got.Payload.Errors) == 0 || got.Payload.Errors[0].Message != m.message {
			t.Errorf("%s: got %s %v", m.payload, text, err)
		}
	}
	c.send(`{"id":"1","type":"start","payload":{"query":"{ wait }"}}`)
	c.send(`{"id":"2","type":"start","payload":{"query":"{ one }"}}`)
	if text, err := c.read(); err != nil || !strings.Contains(text, `{"message":"there are too many operations`) {
		t.Errorf("got %s %v", text, err)
	}
}

func TestTheOlderProtocolIsKeptAlive(t *testing.T) {
	s := serveSockets(t, &transport.WebSocket{PingInterval: time.Millisecond}, nil)
	c := s.connect(legacy)
	c.want(`{"type":"ka"}`, `{"type":"ka"}`)
}

// sessions are those that operations have had.
type sessions struct {
	mu  sync.Mutex
	all []context.Context
}

// serve gives a server sessions.
func (s *sessions) serve(tb testing.TB) func(*handler.Server) http.Handler {
	db := databasetest.New(tb, "sqlite")
	return func(srv *handler.Server) http.Handler {
		return operation.Handler(srv, operation.Extension{
			Pools: session.Pools{Write: db.Write, Read: db.Read},
			Bind: func(ctx context.Context, _ []*graphql.OperationContext) context.Context {
				s.mu.Lock()
				defer s.mu.Unlock()
				s.all = append(s.all, ctx)
				return ctx
			},
		})
	}
}

// state tells of each session whether it is open, in the order in which they were opened.
func (s *sessions) state() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	words := make([]string, len(s.all))
	for i, ctx := range s.all {
		words[i] = "open"
		if _, ok := errors.AsType[*session.ClosedError](session.DB(ctx).Exec("SELECT 1").Error); ok {
			words[i] = "closed"
		}
	}
	return strings.Join(words, " ")
}

func TestEachEventHasASessionThatIsClosedBeforeItIsSent(t *testing.T) {
	var opened sessions
	events := make(chan string)
	s := serveSockets(t, &transport.WebSocket{}, fields{"ticks": stream(events, nil)}, opened.serve(t))
	c := s.connect(modern)
	c.subscribe("1", `subscription { ticks }`)
	want := "closed" // the subscription's own
	for i := range 3 {
		events <- fmt.Sprint(i)
		c.want(fmt.Sprintf(`{"id":"1","type":"next","payload":{"data":{"ticks":%d}}}`, i))
		want += " closed"
		if got := opened.state(); got != want && got != want+" open" { // the next event's, which is waited for
			t.Errorf("after event %d: want %s, got %s", i, want, got)
		}
	}
	c.send(`{"id":"1","type":"complete"}`)
	eventually(t, "the last session is closed", func() bool { return !strings.Contains(opened.state(), "open") })
}

func TestAnOperationsSessionEndsWithItAndNotWithTheSocket(t *testing.T) {
	var opened sessions
	yes := true
	s := serveSockets(t, &transport.WebSocket{}, fields{
		"write": sequence(data(`{"write":1}`)),
		"other": sequence(&graphql.Response{Data: json.RawMessage(`{}`), HasNext: &yes}), // and no more
	}, opened.serve(t))
	c := s.connect(modern)
	want := ""
	for _, query := range []string{`{ one }`, `mutation { write }`, `{ other }`, `{ one }`} {
		c.subscribe("1", query)
		for text := ""; !strings.Contains(text, "complete"); {
			var err error
			if text, err = c.read(); err != nil {
				t.Fatal(err)
			}
		}
		want = strings.TrimSpace(want + " closed")
		if got := opened.state(); got != want {
			t.Errorf("%s: want %s, got %s", query, want, got)
		}
	}
	c.wantAlive()
}

func TestAnOperationThatIsStoppedBetweenPartsLeavesNoSession(t *testing.T) {
	var opened sessions
	started, release := make(chan struct{}, 1), make(chan struct{})
	yes := true
	s := serveSockets(t, &transport.WebSocket{PingInterval: -1}, fields{"wait": func(context.Context) graphql.ResponseHandler {
		return func(context.Context) *graphql.Response {
			started <- struct{}{}
			<-release
			return &graphql.Response{Data: json.RawMessage(`{}`), HasNext: &yes}
		}
	}}, opened.serve(t))
	c := s.connect(legacy)
	c.send(`{"id":"1","type":"start","payload":{"query":"{wait}"}}`)
	receive(t, "the operation", started)
	c.send(`{"id":"1","type":"stop"}`)
	c.want(`{"id":"1","type":"complete"}`)
	close(release)
	eventually(t, "the session is closed", func() bool { return opened.state() == "closed" })
}

func TestALostSocketClosesTheSessionsOfItsOperations(t *testing.T) {
	var opened sessions
	events := make(chan string)
	s := serveSockets(t, &transport.WebSocket{}, fields{"ticks": stream(events, nil), "write": stream(events, nil)}, opened.serve(t))
	c := s.connect(modern)
	c.subscribe("1", `subscription { ticks }`)
	c.subscribe("2", `mutation { write }`)
	eventually(t, "the operations run", func() bool { return strings.Count(opened.state(), "open") == 2 })
	_ = c.conn.CloseNow()
	eventually(t, "their sessions are closed", func() bool { return !strings.Contains(opened.state(), "open") })
}

// pipes listens for connections in memory.
type pipes chan net.Conn

func (p pipes) Accept() (net.Conn, error) {
	if conn, ok := <-p; ok {
		return conn, nil
	}
	return nil, net.ErrClosed
}
func (p pipes) Close() error   { return nil }
func (p pipes) Addr() net.Addr { return &net.TCPAddr{} }

// greeting is a first message that lets a client in.
const greeting = `{"type":"connection_init"}`

// FuzzSocketMessage sends lines, as messages, after a first one. Whatever they are, the socket either lives on or is closed
// with a code that they have earned.
func FuzzSocketMessage(f *testing.F) {
	for _, seed := range []string{
		"", "{", "null", `{"type":"ping"}`, `{"type":"ping","payload":{"a":[1,{"b":null}]}}`, `{"type":"pong","payload":3}`,
		`{"type":"connection_init"}`, `{"id":"1","type":"subscribe","payload":{"query":"{one}"}}`,
		`{"id":"1","type":"subscribe","payload":{"query":"query($n:Int){one(n:$n)}","variables":{"n":1e400},"extensions":{"persistedQuery":{}}}}`,
		`{"id":"1","type":"subscribe","payload":{"query":"subscription{ticks}"}}` + "\n" + `{"id":"1","type":"complete"}`,
		`{"id":"1","type":"subscribe","payload":{"query":"subscription{ticks}"}}` + "\n" + `{"id":"1","type":"subscribe","payload":{"query":"{one}"}}`,
		`{"id":"\ud800","type":"subscribe","payload":{"query":"{"}}`, "\xff", `{"type":"start","id":"1","payload":{"query":"{one}"}}`,
		`{"type":"connection_terminate"}`, `{"type":"stop","id":"1"}`, strings.Repeat("[", 5000), strings.Repeat("x", 5000),
	} {
		f.Add(true, greeting, seed)
		f.Add(false, greeting, seed)
	}
	for _, payload := range []string{"null", "3", `"x"`, "[]", "{}", `{"a":{"b":[1e400,"\ud800"]}}`, `{"a":1,"a":2}`, strings.Repeat(`{"a":`, 700), "{"} {
		f.Add(true, `{"type":"connection_init","payload":`+payload+"}", "")
		f.Add(false, `{"type":"connection_init","payload":`+payload+"}", "")
	}
	ws := &transport.WebSocket{
		MaxMessage: 4000, PingInterval: -1, MaxOperations: 3, InitTimeout: 500 * time.Millisecond,
		Init: func(ctx context.Context, payload map[string]any) (context.Context, map[string]any, error) {
			return ctx, payload, nil
		},
	}
	srv := handler.New(fields{"ticks": stream(nil, nil)})
	srv.AddTransport(ws)
	listener := make(pipes)
	server := &http.Server{Handler: srv, ReadHeaderTimeout: hang}
	go func() { _ = server.Serve(listener) }()
	f.Cleanup(func() { close(listener); _ = server.Close() })
	dialer := &http.Client{Transport: &http.Transport{DisableKeepAlives: true, DialContext: func(context.Context, string, string) (net.Conn, error) {
		here, there := net.Pipe()
		listener <- there
		return here, nil
	}}}
	earned := map[websocket.StatusCode]bool{1007: true, 1009: true, 4400: true, 4429: true}
	f.Fuzz(func(t *testing.T, old bool, init, lines string) {
		protocol, query := modern, "subscribe"
		if old {
			protocol, query = legacy, "start"
		}
		conn, _, err := websocket.Dial(t.Context(), "http://memory", &websocket.DialOptions{HTTPClient: dialer, Subprotocols: []string{protocol}})
		if err != nil {
			t.Fatal(err)
		}
		conn.SetReadLimit(-1)
		defer func() { _ = conn.CloseNow() }()
		c := &client{t, conn}
		if conn.Write(t.Context(), websocket.MessageText, []byte(init)) != nil {
			return
		}
		if init == greeting {
			if text, err := c.read(); err != nil || !strings.Contains(text, "connection_ack") {
				t.Fatalf("not let in: %q, %v", text, err)
			}
		}
		go func() { // a closed socket takes no more
			messages := strings.Split(lines, "\n")
			messages = append(messages, `{"id":"last","type":"`+query+`","payload":{"query":"{"}}`)
			for _, m := range messages {
				if conn.Write(t.Context(), websocket.MessageText, []byte(m)) != nil {
					return
				}
			}
		}()
		for {
			text, err := c.read()
			if code := websocket.CloseStatus(err); err != nil && !earned[code] && (code != 4401 && code != 4408 || init == greeting) && (code != 4409 || old) && (code != 1000 || !old) {
				t.Fatalf("%q: %v", lines, err)
			}
			if err != nil || strings.HasPrefix(text, `{"id":"last","type":"error"`) {
				return
			}
			if !json.Valid([]byte(text)) {
				t.Fatalf("%q: got %q", lines, text)
			}
		}
	})
}
