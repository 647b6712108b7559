package ratelimit

import (
	"cmp"
	"container/heap"
	"math/bits"
	"strconv"
	"sync"
	"sync/atomic"
	"time"
)

// Options are those of a Limiter.
type Options struct {
	Policy    string // its name in the fields of answers, in ASCII without quotes; "": default
	PerMinute int    // units that each client may ask for in a minute, at least 1
	Burst     int    // units that one may ask for at once, after it has asked for nothing; 0: those of a minute. No more than flow in during 73 years count.
	// MaxClients is how many clients have a bucket of their own, each of which takes about 200 bytes, beside a long name of the client's;
	// 0: 65,536. One more takes the place of the one that has the least to wait for until its bucket is full: so nobody empties a bucket
	// and has it forgotten by what others, or the same one by other addresses, ask for, unless each of them asks for as much.
	MaxClients int
}

// Limiter is a bucket of units for each client, which fills as time goes by (the generic cell rate algorithm). What it grants to a client in
// any time is at most a burst and what flows in during that time. A full bucket is as good as none, so clients that are not heard of are
// forgotten. A nil Limiter grants everything.
type Limiter struct {
	options Options
	began   time.Time
	whole   time.Duration // in which an empty bucket fills
	policy  []string      // the value of RateLimit-Policy; all answers share it, so it is never written to

	mu      sync.Mutex
	buckets map[Client]*bucket
	order   buckets

	refused [2]atomic.Int64 // of clients by their address, and by their name
}

// bucket is what is known of a client.
type bucket struct {
	client Client
	full   time.Duration // when the bucket will be full, from Limiter.began on
	place  int           // in Limiter.order
}

// New returns a limiter.
func New(options Options) *Limiter {
	options.Policy = cmp.Or(options.Policy, "default")
	options.PerMinute = max(options.PerMinute, 1)
	options.Burst = cmp.Or(options.Burst, options.PerMinute)
	options.MaxClients = cmp.Or(options.MaxClients, 1<<16)
	l := &Limiter{options: options, began: time.Now(), buckets: map[Client]*bucket{}}
	l.whole = l.flow(options.Burst)
	l.options.Burst = min(options.Burst, l.units(l.whole))
	l.policy = []string{strconv.Quote(options.Policy) + ";q=" + strconv.Itoa(l.options.Burst) + ";w=" + strconv.FormatInt(seconds(l.whole), 10)}
	return l
}

// longest is the longest time that is reckoned with, 73 years: sums of a few do not overflow.
const longest = 1 << 61

// flow returns how long it takes until so many units have flowed into a bucket. It is rounded up, so that never too much is granted.
func (l *Limiter) flow(units int) time.Duration {
	high, low := bits.Mul64(uint64(units), uint64(time.Minute))
	per := uint64(l.options.PerMinute)
	if high >= per {
		return longest
	}
	nanoseconds, rest := bits.Div64(high, low, per)
	if rest > 0 {
		nanoseconds++
	}
	return time.Duration(min(nanoseconds, longest))
}

// units returns how many whole units flow into a bucket in a time, which is at most that in which it fills.
func (l *Limiter) units(in time.Duration) int {
	high, low := bits.Mul64(uint64(max(in, 0)), uint64(l.options.PerMinute))
	n, _ := bits.Div64(high, low, uint64(time.Minute))
	return min(int(n), l.options.Burst)
}

// Verdict is what a limiter says to a request.
type Verdict struct {
	Granted bool
	Never   bool          // it costs more than a burst, so that there will never be enough
	Left    int           // units that the client has left
	Reset   time.Duration // until the client's bucket is full or, where a request is refused that may be granted later, until it may; 0: it is, or may now
}

// Take takes what a request costs, or refuses it and takes nothing. A request that costs nothing is refused where there is not one unit.
func (l *Limiter) Take(client Client, cost int) Verdict {
	if l == nil {
		return Verdict{Granted: true}
	}
	return l.take(client, cost, time.Since(l.began))
}

func (l *Limiter) take(client Client, cost int, now time.Duration) Verdict {
	l.mu.Lock()
	defer l.mu.Unlock()
	v, full := l.reckon(client, cost, now)
	switch {
	case !v.Granted:
		l.refused[client.named()].Add(1)
	case cost > 0:
		l.put(l.buckets[client], client, full, now)
	}
	return v
}

// still returns the verdict on a request that was refused as it is later. It takes nothing, and counts nothing.
func (l *Limiter) still(client Client, cost int, now time.Duration) Verdict {
	l.mu.Lock()
	defer l.mu.Unlock()
	v, _ := l.reckon(client, cost, now)
	if v.Granted {
		_, full := l.reckon(client, 0, now)
		v = Verdict{Left: l.units(l.whole - (full - now))}
	}
	return v
}

// reckon returns the verdict on a request, and when the client's bucket will be full after it. The caller holds mu.
func (l *Limiter) reckon(client Client, cost int, now time.Duration) (v Verdict, full time.Duration) {
	full = now
	if b := l.buckets[client]; b != nil {
		full = max(full, b.full)
	}
	after := full + l.flow(max(cost, 1))
	v.Reset = full - now
	switch {
	case cost > l.options.Burst: // for which after may be no time at all
		v.Never = true
	case after-now > l.whole:
		v.Reset = after - now - l.whole
	default:
		v.Granted = true
		if cost > 0 {
			full = after
			v.Reset = full - now
		}
	}
	v.Left = l.units(l.whole - (full - now))
	return v, full
}

// put notes when the bucket of a client, which is nil if it is not known, will be full.
func (l *Limiter) put(b *bucket, client Client, full, now time.Duration) {
	if b != nil {
		b.full = full
		heap.Fix(&l.order, b.place)
		return
	}
	l.forget(now)
	if len(l.order) >= l.options.MaxClients {
		delete(l.buckets, heap.Pop(&l.order).(*bucket).client)
	}
	b = &bucket{client: client, full: full}
	l.buckets[client] = b
	heap.Push(&l.order, b)
}

// forget drops the buckets that are full. The caller holds mu.
func (l *Limiter) forget(now time.Duration) {
	for len(l.order) > 0 && l.order[0].full <= now {
		delete(l.buckets, heap.Pop(&l.order).(*bucket).client)
	}
}

// Buckets returns how many clients have a bucket that is not full.
func (l *Limiter) Buckets() int {
	if l == nil {
		return 0
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.forget(time.Since(l.began))
	return len(l.order)
}

// Refused returns how many requests were refused so far, of clients that have a name or of those that have none.
func (l *Limiter) Refused(named bool) int64 {
	if l == nil {
		return 0
	}
	return l.refused[index(named)].Load()
}

// Burst returns how many units a client may ask for at once; 0: any number.
func (l *Limiter) Burst() int {
	if l == nil {
		return 0
	}
	return l.options.Burst
}

// buckets is a heap: the first is the one that will be full first.
type buckets []*bucket

func (b buckets) Len() int           { return len(b) }
func (b buckets) Less(i, j int) bool { return b[i].full < b[j].full }
func (b buckets) Swap(i, j int) {
	b[i], b[j] = b[j], b[i]
	b[i].place, b[j].place = i, j
}

// Push implements heap.Interface.
func (b *buckets) Push(x any) {
	one := x.(*bucket)
	one.place = len(*b)
	*b = append(*b, one)
}

// Pop implements heap.Interface.
func (b *buckets) Pop() any {
	last := len(*b) - 1
	one := (*b)[last]
	(*b)[last] = nil
	*b = (*b)[:last]
	return one
}
