package ratelimit_test

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"rollcall/ratelimit"
)

// named returns the client of a number.
func named(n int) ratelimit.Client { return ratelimit.NewClient(strconv.Itoa(n), netip.Addr{}) }

// grant is what a client was granted at a time.
type grant struct {
	at   time.Duration
	cost int
}

// FuzzNoWindowHasMoreThanABurstAndWhatFlowsIn asks again and again, and looks at all windows.
func FuzzNoWindowHasMoreThanABurstAndWhatFlowsIn(f *testing.F) {
	f.Add(uint64(1), 600, 0)
	f.Add(uint64(2), 7, 3)
	f.Add(uint64(3), 1, 1)
	f.Add(uint64(4), 1<<30, 1<<30)
	f.Add(uint64(5), 59, 100_000)
	f.Add(uint64(6), 100_000, 10)
	f.Fuzz(func(t *testing.T, seed uint64, perMinute, burst int) {
		if perMinute < 1 || perMinute > 1<<30 || burst < 0 || burst > 1<<30 {
			t.Skip()
		}
		l := ratelimit.New(ratelimit.Options{PerMinute: perMinute, Burst: burst})
		burst = l.Burst()
		whole := time.Duration(float64(burst) / float64(perMinute) * float64(time.Minute))
		random := rand.New(rand.NewPCG(seed, 0))
		now, grants, refused := time.Duration(0), []grant(nil), 0
		for range 200 {
			now += time.Duration(random.ExpFloat64() * float64(whole) / 20)
			cost := 1 + random.IntN(max(1, burst/(1+random.IntN(20))))
			v := l.TakeAt(named(1), cost, now)
			if v.Granted {
				grants = append(grants, grant{now, cost})
				continue
			}
			refused++
			if early := l.TakeAt(named(1), cost, now+v.Reset-1); early.Granted {
				t.Fatalf("%d of %d were granted 1 ns before the client was to come back", cost, v.Left)
			}
			if random.IntN(2) == 0 {
				now += v.Reset
				if again := l.TakeAt(named(1), cost, now); !again.Granted {
					t.Fatalf("%d were refused when the client was to come back", cost)
				}
				grants = append(grants, grant{now, cost})
			}
		}
		if refused == 0 {
			t.Error("nothing was refused")
		}
		for i := range grants {
			sum := 0
			for _, g := range grants[i:] {
				sum += g.cost
				// In whole nanoseconds, times the units of a minute.
				if flows := float64(g.at-grants[i].at+1) / float64(time.Minute) * float64(perMinute); float64(sum) > (float64(burst)+flows)*(1+1e-12) {
					t.Fatalf("%d were granted in %s: at most %d and %.3f", sum, g.at-grants[i].at, burst, flows)
				}
			}
		}
	})
}

func TestWhoAsksForNoMoreThanTheRateIsNeverRefusedWhateverOthersDo(t *testing.T) {
	for _, perMinute := range []int{1, 7, 60, 999, 100_000} {
		l := ratelimit.New(ratelimit.Options{PerMinute: perMinute, Burst: 10, MaxClients: 5})
		random := rand.New(rand.NewPCG(uint64(perMinute), 1))
		interval := time.Duration(int(time.Minute)/perMinute + 1)
		now := time.Duration(0)
		for n := range 5_000 {
			cost := 1 + random.IntN(10)
			for range random.IntN(5) {
				l.TakeAt(named(1+random.IntN(100)), 1+random.IntN(10), now)
			}
			if v := l.TakeAt(named(0), cost, now); !v.Granted {
				t.Fatalf("%d a minute: request %d is refused for %s", perMinute, n, v.Reset)
			}
			now += time.Duration(cost) * interval
		}
	}
}

func TestARefusedRequestTakesNothing(t *testing.T) {
	l := ratelimit.New(ratelimit.Options{PerMinute: 60})
	if v := l.TakeAt(named(1), 50, 0); !v.Granted || v.Left != 10 {
		t.Fatalf("got %+v", v)
	}
	for range 100 {
		if v := l.TakeAt(named(1), 11, 0); v.Granted || v.Never || v.Left != 10 || v.Reset != time.Second {
			t.Fatalf("got %+v", v)
		}
	}
	if v := l.TakeAt(named(1), 10, 0); !v.Granted || v.Left != 0 {
		t.Errorf("what is left is refused: %+v", v)
	}
	if v := l.TakeAt(named(1), 0, 0); v.Granted || v.Reset != time.Second {
		t.Errorf("there is nothing left, and nothing was to be had: %+v", v)
	}
	if l.Refused(true) != 101 || l.Refused(false) != 0 {
		t.Errorf("%d and %d were counted as refused", l.Refused(true), l.Refused(false))
	}
}

func TestWhatIsMoreThanABurstIsToldThatItWillNeverBeGranted(t *testing.T) {
	l := ratelimit.New(ratelimit.Options{PerMinute: 60, Burst: 100})
	for _, cost := range []int{101, 1 << 50, 1<<63 - 1} {
		v := l.TakeAt(named(1), cost, 0)
		if _, later := v.RetryAfter(); v.Granted || !v.Never || v.Left != 100 || later {
			t.Errorf("%d: got %+v", cost, v)
		}
	}
	if v := l.TakeAt(named(1), 100, 0); !v.Granted || v.Left != 0 {
		t.Errorf("a burst is refused: %+v", v)
	}
}

func TestALookTakesNothingAndIsNotRemembered(t *testing.T) {
	l := ratelimit.New(ratelimit.Options{PerMinute: 60})
	for n := range 1000 {
		if v := l.Take(named(n), 0); !v.Granted || v.Left != 60 || v.Reset != 0 {
			t.Fatalf("got %+v", v)
		}
	}
	if l.Buckets() != 0 {
		t.Errorf("%d buckets are kept of clients that have asked for nothing", l.Buckets())
	}
}

func TestAFullBucketIsForgotten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := ratelimit.New(ratelimit.Options{PerMinute: 60})
		for n := range 30 {
			l.Take(named(n), n+1)
		}
		for n := range 31 {
			if got := l.Buckets(); got != 30-n {
				t.Fatalf("after %d s: %d buckets", n, got)
			}
			time.Sleep(time.Second)
		}
	})
}

// A flood of addresses neither makes the limiter grow nor empties its memory of those that have asked for more.
func TestAFloodOfClientsIsBoundedAndForgivesNobodyWhoHasAskedForMore(t *testing.T) {
	const most = 1000
	l := ratelimit.New(ratelimit.Options{PerMinute: 600, MaxClients: most})
	for n := range most / 2 { // half of them have asked for everything
		if v := l.TakeAt(named(-n-1), 600, 0); !v.Granted {
			t.Fatal("a first request is refused")
		}
	}
	random := rand.New(rand.NewPCG(1, 2))
	for n := range 100 * most {
		l.TakeAt(named(n), 1+random.IntN(100), 0)
	}
	for n := range most / 2 {
		if v := l.TakeAt(named(-n-1), 600, 0); v.Granted {
			t.Fatal("who has emptied the bucket has a full one after others have come")
		}
	}
	if buckets, order := l.Sizes(); buckets != most || order != most {
		t.Errorf("there are %d buckets, %d in order", buckets, order)
	}
}

func TestANilLimiterGrantsEverything(t *testing.T) {
	var l *ratelimit.Limiter
	if v := l.Take(named(1), 1<<62); !v.Granted || l.Buckets() != 0 || l.Refused(true) != 0 || l.Burst() != 0 {
		t.Errorf("got %+v", v)
	}
}

func BenchmarkTake(b *testing.B) {
	for _, clients := range []int{1, 1000, 65_536, 1 << 20} {
		b.Run(fmt.Sprintf("clients=%d", clients), func(b *testing.B) {
			l := ratelimit.New(ratelimit.Options{PerMinute: 1 << 20})
			all := make([]ratelimit.Client, clients)
			for n := range all {
				all[n] = ratelimit.NewClient("", netip.AddrFrom4([4]byte{10, byte(n >> 16), byte(n >> 8), byte(n)}))
			}
			b.ReportAllocs()
			for n := 0; b.Loop(); n++ {
				l.Take(all[n%clients], 10)
			}
		})
	}
}
