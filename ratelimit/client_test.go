package ratelimit_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"sync"
	"sync/atomic"
	"testing"

	"rollcall/ratelimit"
)

func TestAClientIsANameOrAnAddressOrANetworkOfIPv6(t *testing.T) {
	of := func(name, addr string) ratelimit.Client {
		if addr == "" {
			return ratelimit.NewClient(name, netip.Addr{})
		}
		return ratelimit.NewClient(name, netip.MustParseAddr(addr))
	}
	for _, same := range [][2]ratelimit.Client{
		{of("ada", "192.0.2.1"), of("ada", "2001:db8::1")},
		{of("", "192.0.2.1"), of("", "::ffff:192.0.2.1")},
		{of("", "2001:db8:1:2::1"), of("", "2001:db8:1:2:ffff:ffff:ffff:ffff")},
		{of("", "fe80::1%eth0"), of("", "fe80::2%eth1")},
		{of("", ""), {}},
	} {
		if same[0] != same[1] {
			t.Errorf("%v and %v are two", same[0], same[1])
		}
	}
	for _, other := range [][2]ratelimit.Client{
		{of("ada", "192.0.2.1"), of("bob", "192.0.2.1")},
		{of("", "192.0.2.1"), of("", "192.0.2.2")},
		{of("", "2001:db8:1:2::1"), of("", "2001:db8:1:3::1")},
		{of("192.0.2.1", ""), of("", "192.0.2.1")},
	} {
		if other[0] == other[1] {
			t.Errorf("%v and %v are one", other[0], other[1])
		}
	}
}

type nameKey struct{}

func TestAServerCanChargeEachRequestToWhoeverSendsIt(t *testing.T) {
	clients := &ratelimit.Clients{
		Limiter: ratelimit.New(ratelimit.Options{PerMinute: 20}),
		Name:    func(ctx context.Context) string { name, _ := ctx.Value(nameKey{}).(string); return name },
	}
	served := 0
	next := http.HandlerFunc(func(http.ResponseWriter, *http.Request) { served++ })
	h := clients.Handler(clients.Charge(next, 10, func(w http.ResponseWriter, status int, message string) { http.Error(w, message, status) }))
	send := func(addr, name string) *httptest.ResponseRecorder {
		r := httptest.NewRequestWithContext(context.WithValue(t.Context(), nameKey{}, name), http.MethodGet, "/", nil)
		r.RemoteAddr = addr
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		return w
	}
	for _, c := range []struct {
		addr, name string
		status     int
	}{
		{"192.0.2.1:1", "", 200},
		{"192.0.2.1:2", "", 200},
		{"192.0.2.1:3", "", 429},
		{"192.0.2.2:1", "", 200},
		{"192.0.2.1:1", "ada", 200},
		{"192.0.2.2:1", "ada", 200},
		{"192.0.2.3:1", "ada", 429},
		{"@", "", 200}, // of no network
		{"@", "", 200},
		{"@", "", 429},
	} {
		before := served
		w := send(c.addr, c.name)
		if w.Code != c.status || served-before != map[int]int{200: 1, 429: 0}[w.Code] {
			t.Errorf("%+v: got %d, %d served", c, w.Code, served-before)
		}
		if policy, left := item(t, w.Header(), ratelimit.HeaderPolicy); policy != "default" || left["q"] != 20 {
			t.Errorf("%+v: got %v", c, w.Header())
		}
		if (w.Code == 429) != (w.Header().Get("Retry-After") == "30") {
			t.Errorf("%+v: got %v", c, w.Header())
		}
	}
	if clients.Limiter.Refused(true) != 1 || clients.Limiter.Refused(false) != 2 {
		t.Errorf("%d and %d were refused", clients.Limiter.Refused(true), clients.Limiter.Refused(false))
	}

	clients.Addr = func(r *http.Request) netip.Addr { return netip.MustParseAddr(r.Header.Get("X-Test")) }
	r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/", nil)
	r.RemoteAddr = "192.0.2.1:1"
	r.Header.Set("X-Test", "192.0.2.77")
	w := httptest.NewRecorder()
	if h.ServeHTTP(w, r); w.Code != http.StatusOK {
		t.Errorf("the address that Addr tells does not count: got %d", w.Code)
	}
}

func TestNoClientHasMoreStreamsThanItMayAndEachThatEndsMakesRoomForOne(t *testing.T) {
	s := &ratelimit.Streams{Max: 3}
	var most, open atomic.Int64
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 500 {
				end, ok := s.Open(named(1))
				if !ok {
					continue
				}
				for now := open.Add(1); now > most.Load(); {
					most.Store(now)
				}
				open.Add(-1)
				end()
				end() // which makes room for nobody else
			}
		})
	}
	wg.Wait()
	if most.Load() > 3 {
		t.Errorf("%d were open at once", most.Load())
	}
	var ends []func()
	for n := range 3 {
		end, ok := s.Open(named(1))
		if !ok {
			t.Fatalf("with %d open another one is refused", n)
		}
		ends = append(ends, end)
	}
	before := s.Refused(true)
	if _, ok := s.Open(named(1)); ok || s.Refused(true) != before+1 {
		t.Error("a fourth one is open")
	}
	if end, ok := s.Open(named(2)); !ok {
		t.Error("another client is refused")
	} else {
		end()
	}
	for _, end := range ends {
		end()
	}
	if clients := s.Clients(); clients != 0 {
		t.Errorf("%d clients are remembered that have none open", clients)
	}
}

func ExampleClients() {
	limits := ratelimit.Clients{Limiter: ratelimit.New(ratelimit.Options{PerMinute: 60, Burst: 1})}
	api := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = fmt.Fprintln(w, "hello") })
	h := limits.Handler(limits.Charge(api, 1, func(w http.ResponseWriter, status int, message string) { http.Error(w, message, status) }))
	for range 2 {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequestWithContext(context.Background(), http.MethodGet, "/", nil))
		fmt.Print(w.Code, " ", w.Header().Get("RateLimit-Policy"), " ", w.Header().Get("RateLimit"), " ", w.Body)
	}
	// Output:
	// 200 "default";q=1;w=1 "default";r=0;t=1 hello
	// 429 "default";q=1;w=1 "default";r=0;t=1 this client has asked for too much: try again in 1 s
}
