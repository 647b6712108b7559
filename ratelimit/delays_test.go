package ratelimit_test

import (
	"context"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"rollcall/ratelimit"
)

// delaying are clients who may ask for a burst at once and for 60 units a minute, and whose refusals wait.
func delaying(burst int) *ratelimit.Clients {
	return &ratelimit.Clients{
		Limiter: ratelimit.New(ratelimit.Options{PerMinute: 60, Burst: burst}),
		Delays:  &ratelimit.Delays{Max: 5, MaxOfClient: 3},
	}
}

// charge has a client ask for what costs so much, and returns the answer and how long it took.
func charge(clients *ratelimit.Clients, address string, cost int, change ...func(*http.Request)) (*httptest.ResponseRecorder, time.Duration) {
	next := http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})
	h := clients.Handler(clients.Charge(next, cost, func(w http.ResponseWriter, status int, message string) { http.Error(w, message, status) }))
	r := httptest.NewRequestWithContext(context.Background(), http.MethodPost, "/", strings.NewReader("body"))
	r.RemoteAddr = address + ":1"
	for _, fn := range change {
		fn(r)
	}
	w, began := httptest.NewRecorder(), time.Now()
	h.ServeHTTP(w, r)
	return w, time.Since(began)
}

func TestARefusalWaitsForASecondAndSaysWhatIsLeftThenSoThatNobodyIsHeldUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		random := rand.New(rand.NewPCG(1, 2))
		zeros := 0
		for range 200 {
			clients := delaying(100)
			charge(clients, "192.0.2.1", 100)
			time.Sleep(time.Duration(random.Int64N(int64(10 * time.Second))))
			cost := 1 + random.IntN(20)
			began := time.Now()
			undelayed := *clients
			undelayed.Delays = nil
			at, _ := charge(&undelayed, "192.0.2.1", cost)
			if at.Code == http.StatusOK {
				continue
			}
			w, took := charge(clients, "192.0.2.1", cost)
			_, left := item(t, w.Header(), ratelimit.HeaderLimit)
			told, err := strconv.Atoi(w.Header().Get("Retry-After"))
			if w.Code != http.StatusTooManyRequests || took != time.Second || err != nil || left["t"] != int64(told) {
				t.Fatalf("got %d %v after %s", w.Code, w.Header(), took)
			}
			if without := at.Header().Get("Retry-After"); strconv.Itoa(told+1) != without {
				t.Errorf("a refusal that waits says %d s after 1 s, and one that does not %s s", told, without)
			}
			if told == 0 {
				zeros++
			}
			if _, before := item(t, at.Header(), ratelimit.HeaderLimit); left["r"] != before["r"]+1 && left["r"] != 100 { // what flows in within a second
				t.Errorf("%d were left, and %d are a second later", before["r"], left["r"])
			}
			time.Sleep(time.Duration(told) * time.Second)
			if w, _ := charge(clients, "192.0.2.1", cost); w.Code != http.StatusOK {
				t.Fatalf("who comes back as told after %s is refused: %v", time.Since(began), w.Header())
			}
			if refused := clients.Limiter.Refused(false); refused != 2 { // one of them without a delay
				t.Errorf("%d refusals are counted", refused)
			}
		}
		if zeros == 0 {
			t.Error("nobody was told to come back at once")
		}
	})
}

func TestARefusalTooManyIsAnsweredAtOnceAndItsConnectionClosed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		clients := delaying(10)
		for n := range 4 {
			charge(clients, "192.0.2."+strconv.Itoa(n), 10)
		}
		waits := func(address string) {
			go func() {
				if w, took := charge(clients, address, 10); w.Code != http.StatusTooManyRequests || took != time.Second || w.Header().Get("Connection") != "" {
					t.Errorf("%s: got %d %v after %s", address, w.Code, w.Header(), took)
				}
			}()
			synctest.Wait()
		}
		at := func(address string, want int, change ...func(*http.Request)) {
			t.Helper()
			w, took := charge(clients, address, 10, change...)
			closed := w.Header().Get("Connection") == "close"
			if w.Code != http.StatusTooManyRequests || took != 0 || closed != (len(change) == 0) || w.Header().Get("Retry-After") != "10" || clients.Delays.Waiting() != want {
				t.Errorf("%s: got %d %v after %s, and %d wait", address, w.Code, w.Header(), took, clients.Delays.Waiting())
			}
		}
		for range 3 {
			waits("192.0.2.0")
		}
		at("192.0.2.0", 3) // one too many of that client
		at("192.0.2.0", 3, func(r *http.Request) { r.ProtoMajor = 2 })
		waits("192.0.2.1")
		waits("192.0.2.2")
		at("192.0.2.3", 5) // one too many in all
		time.Sleep(time.Second)
		synctest.Wait()
		if n := clients.Delays.Waiting(); n != 0 {
			t.Errorf("%d wait for longer", n)
		}
		waits("192.0.2.0") // there is room again
		time.Sleep(time.Second)
	})
}

func TestWaitingEndsWithTheClientAndWithTheServer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		clients := delaying(10)
		charge(clients, "192.0.2.1", 10)
		ctx, cancel := context.WithCancel(t.Context())
		answered := make(chan time.Duration)
		for _, of := range []context.Context{ctx, t.Context()} {
			go func() {
				_, took := charge(clients, "192.0.2.1", 10, func(r *http.Request) { *r = *r.WithContext(of) })
				answered <- took
			}()
		}
		synctest.Wait()
		if cancel(); <-answered != 0 || clients.Delays.Waiting() != 1 {
			t.Errorf("%d wait after one has gone", clients.Delays.Waiting())
		}
		clients.Delays.End()
		clients.Delays.End()
		if <-answered != 0 || clients.Delays.Waiting() != 0 {
			t.Errorf("%d wait at the end", clients.Delays.Waiting())
		}
		if w, took := charge(clients, "192.0.2.1", 10); took != 0 || w.Code != http.StatusTooManyRequests {
			t.Errorf("after the end: got %d after %s", w.Code, took)
		}
	})
}

func TestADelaysThatIsNilHasNobodyWait(t *testing.T) {
	var d *ratelimit.Delays
	if d.End(); d.Waiting() != 0 {
		t.Error("somebody waits")
	}
}
