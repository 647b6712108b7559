package transport_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/99designs/gqlgen/graphql"
	"github.com/vektah/gqlparser/v2/ast"

	"rollcall/ratelimit"
	"rollcall/transport"
)

func TestAGateLetsSoManyRunAndSoManyWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		gate := transport.NewGate(2, 3, time.Minute)
		var leaves []func()
		for range 2 {
			leave, err := gate.Enter(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			leaves = append(leaves, leave)
		}
		var waiting sync.WaitGroup
		for range 3 {
			waiting.Go(func() {
				leave, err := gate.Enter(t.Context())
				if err != nil {
					t.Error(err)
					return
				}
				leave()
			})
		}
		synctest.Wait()
		if running, queued := gate.Running(), gate.Waiting(); running != 2 || queued != 3 {
			t.Errorf("want 2 running and 3 waiting, got %d and %d", running, queued)
		}
		if _, err := gate.Enter(t.Context()); !errors.Is(err, transport.ErrOverloaded) {
			t.Errorf("beyond the queue: want ErrOverloaded, got %v", err)
		}
		for _, leave := range leaves {
			leave()
			leave() // which frees nobody else's place
		}
		waiting.Wait()
		if running, queued := gate.Running(), gate.Waiting(); running != 0 || queued != 0 {
			t.Errorf("at the end %d run and %d wait", running, queued)
		}
	})
}

func TestNobodyWaitsAtAGateForEver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		gate := transport.NewGate(1, 3, time.Minute)
		leave, err := gate.Enter(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		defer leave()
		begun := time.Now()
		if _, err := gate.Enter(t.Context()); !errors.Is(err, transport.ErrOverloaded) || time.Since(begun) != time.Minute {
			t.Errorf("want ErrOverloaded after a minute, got %v after %s", err, time.Since(begun))
		}
		ctx, cancel := context.WithTimeoutCause(t.Context(), time.Second, errSeen)
		defer cancel()
		if _, err := gate.Enter(ctx); !errors.Is(err, errSeen) {
			t.Errorf("want the reason of the cancellation, got %v", err)
		}
	})
}

// visitors is a gate with requests of clients that have names.
type visitors struct {
	t     *testing.T
	gate  *transport.Gate
	all   sync.WaitGroup
	mu    sync.Mutex
	order []string          // in which requests were let in; refused ones have a - before
	out   map[string]func() // lets the requests of a name leave
}

func visit(t *testing.T, places, queue, each int) *visitors {
	v := &visitors{t: t, gate: transport.NewGate(places, queue, time.Minute), out: map[string]func(){}}
	v.gate.MaxRunning = each
	v.gate.Clients = &ratelimit.Clients{Name: func(ctx context.Context) string { name, _ := ctx.Value(nameKey{}).(string); return name[:1] }}
	return v
}

// come has requests arrive one after the other, each of which runs until leave is called. The first letter of a name is the client.
func (v *visitors) come(names ...string) {
	for _, name := range names {
		v.all.Go(func() {
			leave, err := v.gate.Enter(context.WithValue(v.t.Context(), nameKey{}, name))
			v.mu.Lock()
			defer v.mu.Unlock()
			if err != nil {
				name = "-" + name
			}
			v.order = append(v.order, name)
			v.out[name] = leave
		})
		synctest.Wait()
	}
}

// leave has requests leave that run.
func (v *visitors) leave(names ...string) {
	for _, name := range names {
		v.mu.Lock()
		leave := v.out[name]
		v.mu.Unlock()
		if leave == nil {
			v.t.Fatalf("%s does not run", name)
		}
		leave()
		synctest.Wait()
	}
}

// want compares what has happened since the last call.
func (v *visitors) want(order ...string) {
	v.t.Helper()
	v.mu.Lock()
	defer v.mu.Unlock()
	if !slices.Equal(v.order, order) {
		v.t.Errorf("want %q, got %q", order, v.order)
	}
	v.order = nil
}

func TestClientsTakeTurnsAtAGateHoweverManyRequestsOneHas(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := visit(t, 1, 100, 0)
		v.come("a1", "a2", "a3", "a4", "b1", "b2", "c1")
		v.want("a1")
		v.leave("a1", "a2", "b1", "c1", "a3", "b2", "a4")
		v.want("a2", "b1", "c1", "a3", "b2", "a4")
		v.all.Wait()
	})
}

func TestWhereNobodyMoreCanWaitTheClientWithMostRequestsGivesWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := visit(t, 1, 3, 0)
		v.come("a1", "a2", "a3", "a4")
		v.come("a5") // it has most itself
		v.want("a1", "-a5")
		v.come("b1")
		v.want("-a4") // its last one
		v.come("b2")  // which would be as many as those of a
		v.want("-b2")
		v.come("c1")
		v.want("-a3")
		v.come("d1") // now each has one
		v.want("-d1")
		v.leave("a1", "a2", "b1", "c1")
		v.want("a2", "b1", "c1")
		if running, waiting := v.gate.Running(), v.gate.Waiting(); running != 0 || waiting != 0 {
			t.Errorf("at the end %d run and %d wait", running, waiting)
		}
		v.all.Wait()
	})
}

func TestAClientRunsNoMoreAtOnceThanItMayAndLeavesPlacesToOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := visit(t, 4, 100, 2)
		v.come("a1", "a2", "a3", "a4")
		v.want("a1", "a2")
		v.come("b1", "c1", "b2")
		v.want("b1", "c1")
		v.leave("b1") // b2 may run, a3 may not
		v.want("b2")
		v.leave("a2")
		v.want("a3")
		v.leave("a1", "a3", "a4", "b2", "c1")
		v.want("a4")
		v.all.Wait()
	})
}

// Requests come, run, give up and leave at random: whatever happens, no bound is passed, nobody is forgotten, and nothing is left.
func TestAGateForgetsNobodyAndPassesNoBound(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const places, queue, each = 5, 20, 2
		v := visit(t, places, queue, each)
		var mu sync.Mutex
		running, in, out := map[string]int{}, 0, 0
		var all sync.WaitGroup
		for n := range 3000 {
			name := string(rune('a' + rand.IntN(6)))
			all.Go(func() {
				time.Sleep(time.Duration(n) * time.Millisecond)
				ctx, cancel := context.WithTimeout(context.WithValue(t.Context(), nameKey{}, name), time.Duration(rand.IntN(100))*time.Millisecond)
				defer cancel()
				leave, err := v.gate.Enter(ctx)
				mu.Lock()
				if err != nil {
					out++
					mu.Unlock()
					return
				}
				in++
				running[name]++
				sum := 0
				for _, n := range running {
					sum += n
				}
				if running[name] > each || sum > places || v.gate.Waiting() > queue {
					t.Errorf("%v run and %d wait", running, v.gate.Waiting())
				}
				mu.Unlock()
				time.Sleep(time.Duration(rand.IntN(12)) * time.Millisecond)
				mu.Lock()
				running[name]--
				mu.Unlock()
				leave()
			})
		}
		all.Wait()
		if in == 0 || out == 0 || in+out != 3000 {
			t.Errorf("%d were let in and %d were not", in, out)
		}
		if running, waiting, clients := v.gate.Running(), v.gate.Waiting(), v.gate.Visitors(); running+waiting+clients != 0 {
			t.Errorf("at the end %d run and %d wait, of %d clients", running, waiting, clients)
		}
	})
}

var errSeen = errors.New("gone")

// occupied is a server with room for one request, which takes it until release is called.
func occupied(t *testing.T, f fields) (gate *transport.Gate, url string, release func()) {
	t.Helper()
	gate = transport.NewGate(1, 0, time.Minute)
	began, end := make(chan struct{}), make(chan struct{})
	f["wait"] = func(context.Context) graphql.ResponseHandler {
		close(began)
		<-end
		return graphql.OneShot(data(`{"wait":1}`))
	}
	url = serveHTTP(t, &transport.HTTP{Gate: gate, MaxBatch: 5}, f)
	answered := make(chan reply, 1)
	go func() { answered <- post(t, url, run(`{ wait }`)) }()
	<-began
	return gate, url, func() {
		close(end)
		if r := receive(t, "the answer", answered); r.StatusCode != http.StatusOK {
			t.Errorf("who was let in got %d: %s", r.StatusCode, r.text)
		}
	}
}

func TestARequestBeyondWhatTheServerCanDoIsToldToComeBack(t *testing.T) {
	_, url, release := occupied(t, fields{})
	for what, send := range map[string]func() reply{
		"POST":  func() reply { return post(t, url, run(`{ one }`)) },
		"GET":   func() reply { return get(t, url, jsonType, "query", `{ one }`) },
		"array": func() reply { return post(t, url, runs(`{ one }`, `{ one }`)) },
		"event": func() reply { return get(t, url, eventType, "query", `subscription { ticks }`) },
	} {
		r := send()
		if r.StatusCode != http.StatusServiceUnavailable || r.Header.Get("Retry-After") == "" || r.code() != transport.CodeOverloaded {
			t.Errorf("%s: got %d %v: %s", what, r.StatusCode, r.Header, r.text)
		}
	}
	release()
	if r := post(t, url, run(`{ one }`)); r.StatusCode != http.StatusOK {
		t.Errorf("afterwards: got %d: %s", r.StatusCode, r.text)
	}
}

func TestASubscriptionTakesNobodysPlace(t *testing.T) {
	ticks := make(chan string)
	gate := transport.NewGate(1, 0, time.Minute)
	url := serveHTTP(t, &transport.HTTP{Gate: gate}, fields{"ticks": stream(ticks, nil)})
	res := begin(t, http.MethodPost, url, run(`subscription { ticks }`), "Accept", eventType)
	defer func() { _ = res.Body.Close() }()
	give(t, ticks, "1")
	if r := post(t, url, run(`{ one }`)); r.StatusCode != http.StatusOK {
		t.Errorf("beside a subscription: got %d: %s", r.StatusCode, r.text)
	}
	close(ticks)
}

func TestWhoWaitsForWhatWasDeferredTakesNobodysPlace(t *testing.T) {
	late := make(chan struct{})
	gate := transport.NewGate(1, 0, time.Minute)
	more, all := true, false
	url := serveHTTP(t, &transport.HTTP{Gate: gate}, fields{"one": func(context.Context) graphql.ResponseHandler {
		part := 0
		return func(context.Context) *graphql.Response {
			switch part++; part {
			case 1:
				return &graphql.Response{Data: []byte(`{"one":1}`), HasNext: &more}
			case 2:
				<-late
				return &graphql.Response{Data: []byte(`{"other":2}`), Path: ast.Path{}, HasNext: &all}
			}
			return nil
		}
	}})
	res := begin(t, http.MethodPost, url, run(deferring), "Accept", eventType)
	defer func() { _ = res.Body.Close() }()
	if r := post(t, url, run(`{ other }`)); r.StatusCode != http.StatusOK {
		t.Errorf("beside the first part: got %d: %s", r.StatusCode, r.text)
	}
	close(late)
}

func TestAnOperationOnASocketIsAdmittedToo(t *testing.T) {
	gate, _, release := occupied(t, fields{})
	s := serveSockets(t, &transport.WebSocket{Gate: gate}, fields{})
	c := s.connect(modern)
	c.subscribe("1", `{ one }`)
	if text, err := c.read(); err != nil || !strings.Contains(text, `"type":"error"`) || !strings.Contains(text, transport.CodeOverloaded) {
		t.Errorf("got %s, %v", text, err)
	}
	release()
	c.subscribe("1", `{ one }`)
	c.want(`{"id":"1","type":"next","payload":{"data":{"one":1}}}`, `{"id":"1","type":"complete"}`)
}

func TestABodyThatTakesTooLongIsRefused(t *testing.T) {
	server := httptest.NewServer(newServer(&transport.HTTP{ReadTimeout: 50 * time.Millisecond}, fields{}))
	defer server.Close()
	conn, err := new(net.Dialer).DialContext(t.Context(), "tcp", server.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	if _, err := fmt.Fprint(conn, "POST / HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{"); err != nil {
		t.Fatal(err)
	}
	_ = conn.SetReadDeadline(time.Now().Add(hang))
	buffer := make([]byte, 1<<10)
	n, err := conn.Read(buffer)
	if got := string(buffer[:n]); err != nil || !strings.HasPrefix(got, "HTTP/1.1 408 ") || !strings.Contains(got, transport.CodeTimeout) {
		t.Errorf("got %q, %v", got, err)
	}
}

// A limit on reading or writing is a request's: the next one on the connection, and an operation that lasts, have their own.
func TestALimitOfOneRequestIsNoneOfTheNext(t *testing.T) {
	const limit = 50 * time.Millisecond
	slow := func(context.Context) graphql.ResponseHandler {
		time.Sleep(4 * limit)
		return graphql.OneShot(data(`{"wait":1}`))
	}
	url := serveHTTP(t, &transport.HTTP{ReadTimeout: limit, WriteTimeout: limit}, fields{"wait": slow})
	for range 2 {
		if r := post(t, url, run(`{ wait }`)); r.StatusCode != http.StatusOK || r.text != `{"data":{"wait":1}}` {
			t.Errorf("got %d: %s", r.StatusCode, r.text)
		}
		if r := get(t, url, jsonType, "query", `{ wait }`); r.text != `{"data":{"wait":1}}` {
			t.Errorf("got %d: %s", r.StatusCode, r.text)
		}
	}
}

func TestWhatIsUnsentIsBounded(t *testing.T) {
	gate := transport.NewGate(1, 0, time.Minute)
	gate.MaxUnsent = 250 << 10
	var cut []int
	send := func(i, bytes int) func() { return gate.Send(bytes, func() { cut = append(cut, i) }) }
	send(0, 1<<10) // too little to count
	first := send(1, 100<<10)
	send(2, 100<<10)
	first()
	send(3, 100<<10)
	if len(cut) > 0 {
		t.Errorf("cut off are %v although there is room", cut)
	}
	send(4, 100<<10)
	send(5, 500<<10) // alone it may be longer
	if want := []int{2, 3, 4}; !slices.Equal(cut, want) {
		t.Errorf("want %v cut off, got %v", want, cut)
	}
}

// long has an answer that no buffer between the server and its client takes.
func long(context.Context) graphql.ResponseHandler {
	return graphql.OneShot(data(`{"wait":"` + strings.Repeat("x", 16<<20) + `"}`))
}

func TestASlowReaderTakesNobodysPlaceAndIsCutOffForAnother(t *testing.T) {
	gate := transport.NewGate(1, 0, time.Minute)
	gate.MaxUnsent = 20 << 20
	url := serveHTTP(t, &transport.HTTP{Gate: gate, MaxBatch: 2}, fields{"wait": long})
	for what, body := range map[string]string{"alone": run(`{ wait }`), "in an array": runs(`{ wait }`)} {
		slow := begin(t, http.MethodPost, url, body)
		if r := post(t, url, run(`{ one }`)); r.StatusCode != http.StatusOK {
			t.Errorf("%s: beside it got %d: %s", what, r.StatusCode, r.text)
		}
		another := begin(t, http.MethodPost, url, body)
		if n, err := io.Copy(io.Discard, slow.Body); err == nil {
			t.Errorf("%s: a slow reader got all of %d bytes", what, n)
		}
		_, _ = slow.Body.Close(), another.Body.Close()
	}
}
