package main

import (
	"bufio"
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/coder/websocket"

	"rollcall/database/databasetest"
	"rollcall/directory/directorytest"
	"rollcall/graph/graphtest"
	"rollcall/transport"
)

// TestANormalClientIsServedUnderSiege has idle, slow and hostile clients beset the server, while another one reads and writes.
// ROLLCALL_TEST_SOAK is how long they do, in full number and on each database; `make soak` sets it.
func TestANormalClientIsServedUnderSiege(t *testing.T) {
	value := os.Getenv("ROLLCALL_TEST_SOAK")
	if value == "" {
		t.Parallel()
		(&siege{lasts: 3 * time.Second, idle: 200, slow: 40, concurrency: 12}).run(t, "sqlite")
		return
	}
	lasts, err := time.ParseDuration(value)
	if err != nil {
		t.Fatalf("ROLLCALL_TEST_SOAK: %v", err)
	}
	databasetest.EachKind(t, func(t *testing.T, kind string) {
		(&siege{lasts: lasts, idle: 2000, slow: 200, concurrency: 128}).run(t, kind)
	})
}

const (
	// maxMemory is what the server may take, in MiB. It takes about 40 alone and has been seen to take 650 under siege, two
	// thirds of which may be garbage that is not yet collected.
	maxMemory = 768
	// leeway is how much longer than the server's limits say a client may last, on a busy machine.
	leeway = 30 * time.Second
)

// siege is what the server has to withstand.
type siege struct {
	lasts       time.Duration
	idle, slow  int // clients at a time
	concurrency int // the server's

	s       *server
	wg      sync.WaitGroup
	door    chan struct{} // through which a few come at a time: more at once than --concurrency allows would be refused
	refused atomic.Int64  // attacks
}

func (g *siege) run(t *testing.T, kind string) {
	g.mayOpen(t, g.idle+g.slow)
	g.door = make(chan struct{}, g.concurrency)
	g.s = launch(t, built(t), "--database", databasetest.With(t, kind, directorytest.Demo), "--metrics", "127.0.0.1:0",
		"--concurrency", strconv.Itoa(g.concurrency), "--log-level", "error")

	alone := g.normal(t, time.Now().Add(max(g.lasts/10, time.Second)))
	before, began := g.s.metrics(), time.Now()

	ctx, end := context.WithCancel(t.Context())
	defer end()
	crowds := append(spread(g.idle, idlers()), spread(g.slow, slowpokes())...)
	var joined sync.WaitGroup
	for _, c := range crowds {
		g.gather(ctx, c, &joined)
	}
	joined.Wait()
	for _, way := range []func(context.Context, *testing.T, attack){g.byPOST, g.byGET, g.byArray, g.bySocket} {
		g.wg.Go(func() { g.attack(ctx, t, way) })
	}
	g.wg.Go(func() { g.watch(ctx, t, began) })
	besieged := g.normal(t, time.Now().Add(g.lasts))
	during, took := g.s.metrics(), time.Since(began).Seconds()
	end()
	g.wg.Wait()

	t.Logf("alone:    %s", alone)
	t.Logf("besieged: %s", besieged)
	t.Logf("%d attacks were refused, %.0f in a second; the server took %.0f %% of a processor", g.refused.Load(),
		float64(g.refused.Load())/took, 100*(during["process_cpu_seconds_total"]-before["process_cpu_seconds_total"])/took)
	for _, c := range crowds {
		c.check(t)
	}
	if g.refused.Load() == 0 {
		t.Error("nobody attacked")
	}
	g.wantPeace(t, before, during)
}

// mayOpen sees to it that there may be so many clients.
func (g *siege) mayOpen(t *testing.T, clients int) {
	t.Helper()
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		t.Fatal(err)
	}
	if need := uint64(clients + 500); limit.Cur < need { // Go has raised it as far as it goes
		t.Fatalf("a process may open %d files and needs %d: raise it with ulimit -n", limit.Cur, need)
	}
}

// wantPeace checks that nothing is left of the siege, and what it has cost.
func (g *siege) wantPeace(t *testing.T, before, during map[string]float64) {
	t.Helper()
	http.DefaultClient.CloseIdleConnections()
	var after map[string]float64
	const goroutines, files = "go_goroutines", "process_open_fds"
	if !soon(func() bool {
		after = g.s.metrics()
		return after[goroutines] <= before[goroutines]+50 && after[files] <= before[files]+50 && // the pools keep connections
			after[`rollcall_requests{state="running"}`]+after[`rollcall_requests{state="waiting"}`] == 0 &&
			after[`rollcall_open_streams{transport="http"}`]+after[`rollcall_open_streams{transport="websocket"}`] == 0
	}) {
		t.Error("something is left of the siege")
	}
	for _, name := range []string{goroutines, files} {
		t.Logf("%s: %.0f before, %.0f at the end, %.0f after", name, before[name], during[name], after[name])
	}
	const memory, mib = "process_resident_memory_bytes", 1 << 20
	peak := g.s.peakMemory()
	t.Logf("memory: %.0f MiB before, %.0f MiB at most, %.0f MiB after", before[memory]/mib, peak, after[memory]/mib)
	if peak > maxMemory {
		t.Errorf("the server took %.0f MiB; at most %d are expected", peak, maxMemory)
	}
}

// peakMemory is the most memory that the server's process has had, in MiB.
func (s *server) peakMemory() float64 {
	s.tb.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", s.pid))
	if err != nil {
		s.tb.Fatal(err)
	}
	_, peak, _ := strings.Cut(string(status), "VmHWM:")
	var kib float64
	if _, err := fmt.Sscan(peak, &kib); err != nil {
		s.tb.Fatal(err)
	}
	return kib / 1024
}

// watch tells every 10 seconds how things are.
func (g *siege) watch(ctx context.Context, t *testing.T, began time.Time) {
	ticker := time.NewTicker(10 * time.Second)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		m := g.s.metrics()
		t.Logf("%3.0f s: %.0f MiB, %.0f files, %.0f goroutines, %d attacks refused, %.0f requests running, %.0f waiting", time.Since(began).Seconds(),
			m["process_resident_memory_bytes"]/(1<<20), m["process_open_fds"], m["go_goroutines"], g.refused.Load(),
			m[`rollcall_requests{state="running"}`], m[`rollcall_requests{state="waiting"}`])
	}
}

// latencies are those of a client's requests.
type latencies []time.Duration

func (l latencies) String() string {
	slices.Sort(l)
	at := func(share float64) time.Duration { return l[int(share*float64(len(l)-1))].Round(10 * time.Microsecond) }
	return fmt.Sprintf("%d requests: p50 %s, p99 %s, at most %s", len(l), at(.5), at(.99), at(1))
}

// normal reads, and now and then writes, until a time. Each of its requests must succeed.
func (g *siege) normal(t *testing.T, until time.Time) (all latencies) {
	t.Helper()
	c := newClient(g.s.base, false)
	defer c.CloseIdleConnections()
	for n := 0; time.Now().Before(until) && !t.Failed(); n++ {
		query := `{ users(first: 20) { nodes { name manager { name } teams { nodes { name } } } } }`
		switch n % 50 {
		case 0:
			query = create(strings.ToLower(rand.Text()) + "@example.com")
		case 25:
			c.CloseIdleConnections() // new ones are accepted too
		}
		began := time.Now()
		a, err := c.send(query)
		if err != nil || !a.ok() {
			t.Errorf("after %s: %v, %v", time.Since(began), a.Errors, err)
		}
		all = append(all, time.Since(began))
		time.Sleep(time.Millisecond)
	}
	return all
}

// A crowd is clients of one kind, which come back when they have been cut off.
type crowd struct {
	what  string
	lasts time.Duration // before the server cuts one off at the latest; 0: it does not
	size  int
	// come returns when the server has cut the client off, or ctx has ended. It calls joined once it is where it means to stay.
	come func(ctx context.Context, base string, joined func()) error

	mu      sync.Mutex
	cut     int
	longest time.Duration // that one has stayed
}

// spread divides a number of clients among crowds.
func spread(n int, crowds []*crowd) []*crowd {
	for i, c := range crowds {
		c.size = n*(i+1)/len(crowds) - n*i/len(crowds)
	}
	return crowds
}

// gather has a crowd come until ctx ends.
func (g *siege) gather(ctx context.Context, c *crowd, joined *sync.WaitGroup) {
	for range c.size {
		joined.Add(1)
		here := sync.OnceFunc(joined.Done)
		g.wg.Go(func() {
			defer here()
			for ctx.Err() == nil {
				g.door <- struct{}{}
				in := sync.OnceFunc(func() { <-g.door })
				began := time.Now()
				_ = c.come(ctx, g.s.base, func() { in(); here() }) // how it ends is all the same
				in()
				c.mu.Lock()
				c.longest = max(c.longest, time.Since(began))
				if ctx.Err() == nil {
					c.cut++
				}
				c.mu.Unlock()
				select {
				case <-time.After(time.Second):
				case <-ctx.Done():
				}
			}
		})
	}
}

// check compares how long the clients stayed with how long they may.
func (c *crowd) check(t *testing.T) {
	t.Helper()
	t.Logf("%4d x %s: %d cut off, the last after %s", c.size, c.what, c.cut, c.longest.Round(100*time.Millisecond))
	switch {
	case c.lasts == 0 && c.cut > 0:
		t.Errorf("%s: %d were cut off", c.what, c.cut)
	case c.lasts > 0 && c.longest > c.lasts+leeway:
		t.Errorf("%s: one was there for %s, and not cut off after %s", c.what, c.longest, c.lasts)
	}
}

// idlers are clients that do nothing.
func idlers() []*crowd {
	return []*crowd{
		{what: "connections without a byte", lasts: 10 * time.Second, come: func(ctx context.Context, base string, joined func()) error {
			conn, leave, err := dial(ctx, base)
			if err != nil {
				return err
			}
			defer leave()
			joined()
			_, err = io.Copy(io.Discard, conn)
			return err
		}},
		{what: "connections kept alive", lasts: 2 * time.Minute, come: func(ctx context.Context, base string, joined func()) error {
			conn, leave, err := dial(ctx, base)
			if err != nil {
				return err
			}
			defer leave()
			_, _ = io.WriteString(conn, "GET /query?query={__typename} HTTP/1.1\r\nHost: localhost\r\n\r\n")
			r := bufio.NewReader(conn)
			res, err := http.ReadResponse(r, nil)
			if err != nil {
				return err
			}
			_, _ = io.Copy(io.Discard, res.Body)
			_ = res.Body.Close()
			joined()
			_, err = r.ReadByte()
			return err
		}},
		{what: "connections by HTTP/2", lasts: 2 * time.Minute, come: func(ctx context.Context, base string, joined func()) error {
			c := newClient(base, true)
			defer c.CloseIdleConnections()
			if _, err := c.send(`{ __typename }`); err != nil {
				return err
			}
			joined()
			<-ctx.Done()
			return nil
		}},
		{what: "event streams", come: func(ctx context.Context, base string, joined func()) error {
			return subscribed(ctx, base, `subscription { userChanged(ids: ["User:42"]) { kind } }`, joined)
		}},
		{what: "WebSockets", lasts: 10 * time.Minute, come: func(ctx context.Context, base string, joined func()) error {
			return besocketed(ctx, base, joined, `{"type":"connection_init"}`)
		}},
		{what: "WebSockets without connection_init", lasts: 10 * time.Second, come: func(ctx context.Context, base string, joined func()) error {
			return besocketed(ctx, base, joined)
		}},
	}
}

// narrow opens connections that buffer little: on the way to this machine itself there would be room for megabytes.
var narrow = net.Dialer{Control: func(_, _ string, conn syscall.RawConn) error {
	return conn.Control(func(fd uintptr) {
		_ = syscall.SetsockoptInt(int(fd), syscall.IPPROTO_TCP, syscall.TCP_MAXSEG, 536)
		_ = syscall.SetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_RCVBUF, 4<<10)
	})
}}

// dial opens a connection, which ends when ctx does or leave is called.
func dial(ctx context.Context, base string) (conn net.Conn, leave func(), err error) {
	c, err := narrow.DialContext(ctx, "tcp", strings.TrimPrefix(base, "http://"))
	if err != nil {
		return nil, nil, err
	}
	stop := context.AfterFunc(ctx, func() { _ = c.Close() })
	return c, func() { stop(); _ = c.Close() }, nil
}

// subscribed reads a stream of events until it ends.
func subscribed(ctx context.Context, base, query string, joined func()) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, base+"/query", strings.NewReader(request(query)))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Accept", "text/event-stream")
	own := &http.Transport{DisableKeepAlives: true}
	res, err := own.RoundTrip(req)
	if err != nil {
		return err
	}
	defer func() { _ = res.Body.Close() }()
	joined()
	_, err = io.Copy(io.Discard, res.Body)
	return err
}

func openSocket(ctx context.Context, base string, over *http.Transport) (*websocket.Conn, error) {
	conn, _, err := websocket.Dial(ctx, base+"/query", &websocket.DialOptions{
		HTTPClient: &http.Client{Transport: over}, Subprotocols: []string{"graphql-transport-ws"},
	})
	if err != nil {
		return nil, err
	}
	conn.SetReadLimit(-1)
	return conn, nil
}

// besocketed sends messages over a WebSocket and reads what comes until it closes.
func besocketed(ctx context.Context, base string, joined func(), messages ...string) error {
	conn, err := openSocket(ctx, base, &http.Transport{})
	if err != nil {
		return err
	}
	defer func() { _ = conn.CloseNow() }()
	for _, message := range messages {
		if err := conn.Write(ctx, websocket.MessageText, []byte(message)); err != nil {
			return err
		}
		if strings.Contains(message, "connection_init") {
			if _, _, err := conn.Read(ctx); err != nil { // the acknowledgement
				return err
			}
		}
	}
	joined()
	for {
		if _, _, err := conn.Read(ctx); err != nil {
			return err
		}
	}
}

// bigQuery has an answer of 0.5 MB, more than the buffers between the server and its client take.
var bigQuery = "{ users(first: 100) { nodes {" + graphtest.Numbered(130, " a%d: email") + "} } }"

// slowpokes are clients that send or read so slowly that they would never be done.
func slowpokes() []*crowd {
	const post = "POST /query HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: "
	return []*crowd{
		{what: "senders of a header byte by byte", lasts: 10 * time.Second, come: func(ctx context.Context, base string, joined func()) error {
			return dribble(ctx, base, joined, "POST /query HTTP/1.1\r\nX: ")
		}},
		{what: "senders of a body byte by byte", lasts: 30 * time.Second, come: func(ctx context.Context, base string, joined func()) error {
			return dribble(ctx, base, joined, post+"1000000\r\n\r\n{")
		}},
		{what: "readers of an answer byte by byte", lasts: 30 * time.Second, come: func(ctx context.Context, base string, joined func()) error {
			body := request(bigQuery)
			return dribble(ctx, base, joined, post+strconv.Itoa(len(body))+"\r\n\r\n"+body)
		}},
		{what: "readers by HTTP/2", lasts: 30 * time.Second, come: sip},
		{what: "readers of a WebSocket", lasts: 10 * time.Second, come: ignore},
	}
}

// dribble sends a beginning, and from then on a byte at a time, and reads as slowly, until it cannot any more.
func dribble(ctx context.Context, base string, joined func(), beginning string) error {
	conn, leave, err := dial(ctx, base)
	if err != nil {
		return err
	}
	defer leave()
	if _, err := io.WriteString(conn, beginning); err != nil {
		return err
	}
	joined()
	one := make([]byte, 1)
	for {
		time.Sleep(250 * time.Millisecond)
		if _, err := conn.Write([]byte("x")); err != nil { // a connection that the server has closed is reset
			return err
		}
		_ = conn.SetReadDeadline(time.Now().Add(time.Millisecond))
		if _, err := conn.Read(one); err != nil && !errors.Is(err, os.ErrDeadlineExceeded) {
			return err
		}
	}
}

// sip reads an answer over HTTP/2 bit by bit.
func sip(ctx context.Context, base string, joined func()) error {
	own := &http.Transport{DisableCompression: true, Protocols: &http.Protocols{}, HTTP2: &http.HTTP2Config{MaxReceiveBufferPerStream: 64 << 10}}
	own.Protocols.SetUnencryptedHTTP2(true)
	defer own.CloseIdleConnections()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, base+"/query", strings.NewReader(request(bigQuery)))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	joined() // it may take a while until all have been answered
	res, err := own.RoundTrip(req)
	if err != nil {
		return err
	}
	defer func() { _ = res.Body.Close() }()
	for ctx.Err() == nil {
		time.Sleep(250 * time.Millisecond)
		if _, err := io.CopyN(io.Discard, res.Body, 4<<10); err != nil {
			return err
		}
	}
	return nil
}

// ignore asks for much over a WebSocket and reads nothing.
func ignore(ctx context.Context, base string, joined func()) error {
	conn, err := openSocket(ctx, base, &http.Transport{DialContext: narrow.DialContext})
	if err != nil {
		return err
	}
	defer func() { _ = conn.CloseNow() }()
	for _, message := range []string{
		`{"type":"connection_init"}`,
		`{"id":"1","type":"subscribe","payload":` + request("subscription { userChanged { kind user { name } } }") + `}`,
		`{"id":"2","type":"subscribe","payload":` + request(bigQuery) + `}`,
	} {
		if err := conn.Write(ctx, websocket.MessageText, []byte(message)); err != nil {
			return err
		}
		if strings.Contains(message, "connection_init") {
			if _, _, err := conn.Read(ctx); err != nil { // the acknowledgement
				return err
			}
		}
	}
	joined()
	for {
		time.Sleep(250 * time.Millisecond)
		if err := conn.Write(ctx, websocket.MessageText, []byte(`{"type":"pong"}`)); err != nil {
			return err
		}
	}
}

// attack is a request, or a document, that is to be refused.
type attack struct {
	what, body string
	query      string // its document, if there is nothing else in it
	code       string
}

func attacks() (all []attack) {
	for what, a := range graphtest.Attacks() {
		all = append(all, attack{what, request(a.Query), a.Query, a.Code})
	}
	nested := strings.Repeat(`{"a":`, 5_000) + "1" + strings.Repeat("}", 5_000)
	return append(all,
		attack{"a long body", request(strings.Repeat(" ", 1<<20)), "", transport.CodeTooLarge},
		attack{"deep variables", `{"query":"{ __typename }","variables":` + nested + `}`, "", transport.CodeNesting},
		attack{"a deep array", strings.Repeat("[", 1_000_000), "", transport.CodeBadRequest},
		attack{"a long array", "[" + strings.Repeat("{},", 300_000) + "{}]", "", transport.CodeBatchTooLarge},
		attack{"garbage", rand.Text() + "\x00\xff", "", transport.CodeBadRequest},
	)
}

// attack sends all attacks in one way, again and again.
func (g *siege) attack(ctx context.Context, t *testing.T, send func(context.Context, *testing.T, attack)) {
	all := attacks()
	for n := 0; ctx.Err() == nil && !t.Failed(); n++ {
		send(ctx, t, all[n%len(all)])
	}
}

func (g *siege) byPOST(ctx context.Context, t *testing.T, a attack) {
	g.byHTTP(ctx, t, a, http.MethodPost, g.s.base+"/query", a.body)
}

func (g *siege) byGET(ctx context.Context, t *testing.T, a attack) {
	to := g.s.base + "/query?" + url.Values{"query": {a.query}}.Encode()
	if a.query != "" && len(to) < 60_000 { // headers have a limit of their own
		g.byHTTP(ctx, t, a, http.MethodGet, to, "")
	}
}

func (g *siege) byArray(ctx context.Context, t *testing.T, a attack) {
	if a.query != "" {
		g.byHTTP(ctx, t, a, http.MethodPost, g.s.base+"/query", "["+a.body+"]")
	}
}

func (g *siege) byHTTP(ctx context.Context, t *testing.T, a attack, method, to, body string) {
	req, err := http.NewRequestWithContext(ctx, method, to, strings.NewReader(body))
	if err != nil {
		t.Error(err)
		return
	}
	req.Header.Set("Content-Type", "application/json")
	res, err := http.DefaultClient.Do(req)
	if err == nil {
		defer func() { _ = res.Body.Close() }()
		var text []byte
		text, err = io.ReadAll(res.Body)
		g.wantRefusal(ctx, t, a, text, err)
		return
	}
	g.wantRefusal(ctx, t, a, nil, err)
}

// bySocket sends an attack over a WebSocket, which the server may close in answer.
func (g *siege) bySocket(ctx context.Context, t *testing.T, a attack) {
	conn, err := openSocket(ctx, g.s.base, &http.Transport{})
	if err != nil {
		g.wantRefusal(ctx, t, a, nil, err)
		return
	}
	defer func() { _ = conn.CloseNow() }()
	for _, message := range []string{`{"type":"connection_init"}`, `{"id":"1","type":"subscribe","payload":` + a.body + `}`} {
		if err = conn.Write(ctx, websocket.MessageText, []byte(message)); err != nil {
			break
		}
		if strings.Contains(message, "connection_init") {
			if _, _, err = conn.Read(ctx); err != nil { // the acknowledgement
				break
			}
		}
	}
	var text []byte
	for err == nil && !bytes.Contains(text, []byte(`"error"`)) {
		_, text, err = conn.Read(ctx)
	}
	closes := []websocket.StatusCode{4400, websocket.StatusMessageTooBig, websocket.StatusInvalidFramePayloadData}
	if a.query == "" && slices.Contains(closes, websocket.CloseStatus(err)) {
		text, err = []byte(`"`+a.code+`"`), nil
	}
	g.wantRefusal(ctx, t, a, text, err)
}

func (g *siege) wantRefusal(ctx context.Context, t *testing.T, a attack, answer []byte, err error) {
	switch {
	case ctx.Err() != nil:
	case err != nil || !bytes.Contains(answer, []byte(`"`+a.code+`"`)):
		t.Errorf("%s: want %s, got %v, %.300s", a.what, a.code, err, answer)
	default:
		g.refused.Add(1)
	}
}
