package transport_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"
	"weak"

	"github.com/99designs/gqlgen/graphql"
	"github.com/99designs/gqlgen/graphql/handler"
	"github.com/coder/websocket"

	"rollcall/ratelimit"
	"rollcall/transport"
)

// delayed is a server at which a gate lets one request run at a time, each client may ask for 15 units, and refusals wait for an hour.
type delayed struct {
	*socketServer
	limits *transport.Limits
	gate   *transport.Gate

	mu    sync.Mutex
	asked []weak.Pointer[graphql.OperationContext] // whose cost was asked for
}

func serveDelayed(t *testing.T) *delayed {
	d := &delayed{limits: limited(price+5, 0), gate: transport.NewGate(1, 10, hang)}
	d.limits.Delays = &ratelimit.Delays{For: time.Hour, Max: 10, MaxOfClient: 10}
	cost := d.limits.Cost
	d.limits.Cost = func(operations []*graphql.OperationContext) int {
		d.mu.Lock()
		defer d.mu.Unlock()
		for _, oc := range operations {
			d.asked = append(d.asked, weak.Make(oc))
		}
		return cost(operations)
	}
	tr := &transport.HTTP{Limits: d.limits, Gate: d.gate, MaxBatch: 5}
	d.socketServer = serveSockets(t, &transport.WebSocket{Limits: d.limits, Gate: d.gate}, fields{}, func(srv *handler.Server) http.Handler {
		srv.AddTransport(tr)
		h := d.limits.Handler(srv)
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			h.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), nameKey{}, r.Header.Get("X-Name"))))
		})
	})
	t.Cleanup(d.limits.Delays.End)
	return d
}

// wait waits until so many refusals wait.
func (d *delayed) wait(t *testing.T, n int) {
	t.Helper()
	eventually(t, fmt.Sprintf("%d refusals wait", n), func() bool { return d.limits.Delays.Waiting() == n })
}

// wantNothingHeld checks that what waits holds no place, and nothing of its operation.
func (d *delayed) wantNothingHeld(t *testing.T) {
	t.Helper()
	if running, waiting := d.gate.Running(), d.gate.Waiting(); running != 0 || waiting != 0 {
		t.Errorf("at the gate %d run and %d wait", running, waiting)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	for i, oc := range d.asked {
		eventually(t, fmt.Sprintf("nothing is left of operation %d", i), func() bool {
			runtime.GC()
			return oc.Value() == nil
		})
	}
	if len(d.asked) == 0 {
		t.Error("there was no operation")
	}
}

// later posts a body, and receives the answer.
func later(t *testing.T, ctx context.Context, url, body string, headers ...string) <-chan reply {
	t.Helper()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", jsonType)
	for i := 0; i < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	answered := make(chan reply, 1)
	go func() {
		defer close(answered)
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			return
		}
		defer func() { _ = res.Body.Close() }()
		text, _ := io.ReadAll(res.Body)
		answered <- reply{Response: res, tb: t, text: string(text)}
	}()
	return answered
}

func TestARefusalThatWaitsHoldsNeitherAPlaceNorItsOperation(t *testing.T) {
	for what, body := range map[string]string{"one": run(`{ one }`), "an array": runs(`{ one }`, `{ one }`)} {
		t.Run(what, func(t *testing.T) {
			d := serveDelayed(t)
			if r := post(t, d.url, run(`{ one }`)); r.StatusCode != http.StatusOK {
				t.Fatalf("got %s", r.text)
			}
			answered := later(t, t.Context(), d.url, body)
			d.wait(t, 1)
			d.wantNothingHeld(t)
			if r := post(t, d.url, run(`{ one }`), "X-Name", "ada"); r.StatusCode != http.StatusOK {
				t.Errorf("another client: got %d %s", r.StatusCode, r.text)
			}
			select {
			case r := <-answered:
				t.Errorf("it has not waited: %s", r.text)
			default:
			}
			d.limits.Delays.End()
			r := receive(t, "the answer", answered)
			r.wantRefused(http.StatusTooManyRequests, transport.CodeRateLimited)
		})
	}
}

func TestAnOperationOnASocketThatIsRefusedWaitsWhileTheOthersGoOn(t *testing.T) {
	d := serveDelayed(t)
	c := d.connect(modern)
	one := func(id string) {
		c.want(`{"id":"`+id+`","type":"next","payload":{"data":{"one":1}}}`, `{"id":"`+id+`","type":"complete"}`)
	}
	c.subscribe("1", `{ one }`)
	one("1")
	c.subscribe("2", `{ one }`)
	d.wait(t, 1)
	d.wantNothingHeld(t)
	c.subscribe("3", `query free { one }`)
	one("3")
	c.subscribe("4", `{ one }`)
	d.wait(t, 2)
	c.send(`{"id":"4","type":"complete"}`) // the client wants no more of it
	d.wait(t, 1)
	d.limits.Delays.End()
	if text, err := c.read(); err != nil || !strings.Contains(text, `"id":"2"`) || !strings.Contains(text, transport.CodeRateLimited) {
		t.Errorf("got %s, %v", text, err)
	}
}

func TestWaitingEndsWithTheClientThatHasGone(t *testing.T) {
	d := serveDelayed(t)
	if r := post(t, d.url, run(`{ one }`)); r.StatusCode != http.StatusOK { // which leaves 5
		t.Fatalf("got %s", r.text)
	}
	ctx, cancel := context.WithCancel(t.Context())
	before := later(t, ctx, d.url, run(`{ one }`))
	d.wait(t, 1)
	cancel()
	<-before
	d.wait(t, 0)

	for range 5 { // until there is nothing left, so that no body is read
		post(t, d.url, run(`{`))
	}
	ctx, cancel = context.WithCancel(t.Context())
	unread := later(t, ctx, d.url, run(`{ one }`))
	d.wait(t, 1)
	cancel()
	<-unread
	d.wait(t, 0)

	c := d.connect(modern)
	c.subscribe("1", `{`)
	d.wait(t, 1)
	_ = c.conn.CloseNow()
	d.wait(t, 0)
}

// TestABodyThatIsNotSentIsNotAskedForWhileARefusalWaits: to ask for it would be to read it.
func TestABodyThatIsNotSentIsNotAskedForWhileARefusalWaits(t *testing.T) {
	d := serveDelayed(t)
	d.limits.Limiter.Take(ratelimit.NewClient("ada", netip.Addr{}), price+5)
	conn, err := new(net.Dialer).DialContext(t.Context(), "tcp", strings.TrimPrefix(d.url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	_, _ = fmt.Fprint(conn, "POST / HTTP/1.1\r\nHost: x\r\nX-Name: ada\r\nExpect: 100-continue\r\nContent-Type: application/json\r\nContent-Length: 1000\r\n\r\n")
	d.wait(t, 1)
	d.limits.Delays.End()
	res, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil || res.StatusCode != http.StatusTooManyRequests {
		t.Errorf("got %v, %v", res, err)
	}
}

func TestWebSocketsOfAClientAreBounded(t *testing.T) {
	limits := limited(1000, 0)
	limits.Sockets = &ratelimit.Streams{Max: 2}
	ws := &transport.WebSocket{Limits: limits, Init: func(ctx context.Context, payload map[string]any) (context.Context, map[string]any, error) {
		if payload["name"] == nil {
			return ctx, nil, nil
		}
		return context.WithValue(ctx, nameKey{}, payload["name"]), nil, nil
	}}
	s := serveSockets(t, ws, fields{}, func(srv *handler.Server) http.Handler { return limits.Handler(srv) })
	as := func(name string) *client {
		t.Helper()
		c := s.dial(modern)
		c.send(`{"type":"connection_init","payload":{"name":"` + name + `"}}`)
		return c
	}
	var open []*client
	for range 2 { // however many others their address has, before and after
		c := as("ada")
		c.want(`{"type":"connection_ack"}`)
		open = append(open, c)
	}
	as("ada").wantClosed(1013)
	eventually(t, "it has gone", func() bool { return s.ws.Sockets() == 2 })
	bob := as("bob")
	bob.want(`{"type":"connection_ack"}`)
	for range 2 {
		open = append(open, s.connect(modern)) // without a name: the address counts
	}
	_, res, err := websocket.Dial(t.Context(), s.url, &websocket.DialOptions{Subprotocols: []string{modern}})
	if err == nil || res == nil || res.StatusCode != http.StatusTooManyRequests {
		t.Errorf("a third one: got %v, %v", res, err)
	}
	if limits.Sockets.Refused(true) != 1 || limits.Sockets.Refused(false) != 1 {
		t.Errorf("%d and %d refusals are counted", limits.Sockets.Refused(true), limits.Sockets.Refused(false))
	}
	for _, c := range open {
		_ = c.conn.CloseNow()
	}
	eventually(t, "they have gone", func() bool { return s.ws.Sockets() == 1 })
	as("ada").want(`{"type":"connection_ack"}`)
}
