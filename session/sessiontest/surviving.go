package sessiontest

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"runtime"
	"runtime/pprof"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"rollcall/operation"
	"rollcall/session"
)

// surviving: everything at once.
var surviving = []promise{
	{name: "Chaos leaves nothing behind, loses nothing that was acknowledged and keeps nothing that was refused", test: survive},
}

// chaosClients is how many clients send operations at once, and patientClients how many go on where that was too much for a busy machine.
const (
	chaosClients   = 32
	patientClients = 4
)

// chaos is a bank in trouble. Connections are neither killed nor cut on SQLite, where there are none.
type chaos struct {
	*Bank
	tb      testing.TB
	seed    uint64
	lasts   time.Duration
	pool    int           // the size of the bank's pools
	late    chan struct{} // closed when its time is up
	over    chan struct{} // closed when it ends
	serving atomic.Int64  // requests that the server has not done with
	ended   atomic.Int64  // operations of its clients
	kills   atomic.Int64
	commits atomic.Int64 // that reached the proxy
	between atomic.Int64 // of so many of them, one connection is cut
	cuts    atomic.Int64

	mu     sync.Mutex
	fates  map[string]fate   // of mutations, by name
	lookup map[string]string // the ids to ask the outcomes of, by the mutation's name
	lost   []Sent            // mutations with a key that have no answer
	counts [fates]int
	whys   map[string]int // why mutations were refused: the first error's code, or else its message
}

// fate is what a client knows of its mutation.
type fate int

const (
	acknowledged fate = iota
	refused
	unknown // for now, but its id is known
	gone    // the client went away before the answer
	fates   // how many there are
)

// chaosTime and chaosSeed read the environment: how long the chaos lasts, and what its random choices come
// from, so that a failure can be tried again.
func chaosTime(tb testing.TB) time.Duration {
	tb.Helper()
	value := os.Getenv("ROLLCALL_TEST_CHAOS")
	if value == "" {
		return 1500 * time.Millisecond
	}
	d, err := time.ParseDuration(value)
	if err != nil {
		tb.Fatalf("ROLLCALL_TEST_CHAOS: %v", err)
	}
	return d
}

func chaosSeed(tb testing.TB) uint64 {
	tb.Helper()
	value := os.Getenv("ROLLCALL_TEST_CHAOS_SEED")
	if value == "" {
		return rand.Uint64()
	}
	seed, err := strconv.ParseUint(value, 10, 64)
	if err != nil {
		tb.Fatalf("ROLLCALL_TEST_CHAOS_SEED: %v", err)
	}
	return seed
}

func survive(t *testing.T, backend Backend) {
	c := newChaos(t, backend)
	c.quiet()
	baseline := runtime.NumGoroutine()

	var clients, trouble sync.WaitGroup
	trouble.Go(c.end)
	for i := range chaosClients {
		clients.Go(func() { c.client(i) })
	}
	trouble.Go(c.trouble)
	trouble.Go(c.events)
	clients.Wait()
	trouble.Wait()

	Eventually(t, "every request is done with", func() bool { return c.serving.Load() == 0 })
	c.quiet()
	c.WantIdle()
	c.wantNoMoreGoroutines(baseline)
	replayed := c.retry()
	c.wantFates()
	if total := c.Total(); total != Accounts*Balance {
		t.Errorf("the accounts held %d, and now %d", Accounts*Balance, total)
	}
	t.Logf("ROLLCALL_TEST_CHAOS_SEED=%d: of the mutations %d were acknowledged, %d refused (%v), %d unknown and %d left alone; %d attempts were repeated, %d connections killed and %d cut at COMMIT; %d were sent again with their key, and %d of them replayed",
		c.seed, c.counts[acknowledged], c.counts[refused], c.whys, c.counts[unknown], c.counts[gone],
		strings.Count(c.Log.String(), "running the operation again"), c.kills.Load(), c.cuts.Load(), len(c.lost), replayed)
	if !c.variety() || c.kills.Load() == 0 && c.Dialect != "sqlite" {
		t.Error("of some fate there was no mutation at all, or no connection was killed")
	}
}

func newChaos(t *testing.T, backend Backend) *chaos {
	c := &chaos{
		tb: t, seed: chaosSeed(t), lasts: chaosTime(t), pool: 8, late: make(chan struct{}), over: make(chan struct{}),
		fates: map[string]fate{}, lookup: map[string]string{}, whys: map[string]int{},
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("the seed was %d", c.seed)
		}
	})
	opt := Options{PoolSize: c.pool}
	if backend.Dialect != "sqlite" {
		kinds := []cut{before, during, after, hold}
		c.between.Store(25)
		opt.Via = newProxy(t, backend.Dialect, func() cut {
			if c.commits.Add(1)%c.between.Load() != 0 {
				return pass
			}
			return kinds[int(c.cuts.Add(1))%len(kinds)]
		}).via
	}
	c.Bank = marked(NewBank(t, backend, Setup{
		Options: opt,
		Extension: func(e *operation.Extension) {
			e.Deadline = 500 * time.Millisecond
			if e.Proof != nil {
				e.Proof.Within = 500 * time.Microsecond // so that some outcomes are unknown at first
			}
		},
		Wrap: func(next http.Handler) http.Handler {
			return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				c.serving.Add(1)
				defer c.serving.Add(-1)
				next.ServeHTTP(w, r)
			})
		},
	}))
	if c.Dialect == "postgres" { // with a second for each deadlock there would be little else
		c.Exec("DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET deadlock_timeout = ''20ms''', current_database()); END $$")
	}
	c.Server.Client().Transport.(*http.Transport).MaxIdleConnsPerHost = chaosClients
	c.Step("read", func(ctx context.Context) (int, error) {
		var n int64
		err := session.DB(ctx).Table("marks").Count(&n).Error
		return int(n), err
	})
	c.Step("fail", func(context.Context) (int, error) { return 0, fmt.Errorf("a failure") })
	c.Step("panic", func(context.Context) (int, error) { panic("in a step") })
	c.Step("stall", func(ctx context.Context) (int, error) {
		<-ctx.Done()
		return 0, ctx.Err()
	})
	c.Step("nothing", func(context.Context) (int, error) { return 1, nil })
	return c
}

// quiet closes all connections that nobody uses, whose goroutines would be counted, and which may have been killed.
func (c *chaos) quiet() {
	c.tb.Helper()
	c.Server.Client().CloseIdleConnections()
	reads, _ := c.Reads.DB()
	writes, _ := c.DB.DB()
	pools := []*sql.DB{reads, writes, c.Side}
	c.idle(0, pools...)
	Eventually(c.tb, "all connections are back and closed", func() bool {
		return !slices.ContainsFunc(pools, func(p *sql.DB) bool { return p.Stats().OpenConnections > 0 })
	})
	c.idle(c.pool, pools...)
}

// restart closes the idle connections of both pools.
func (c *chaos) restart() {
	reads, _ := c.Reads.DB()
	writes, _ := c.DB.DB()
	c.idle(0, reads, writes)
	c.idle(c.pool, reads, writes)
}

func (*chaos) idle(most int, pools ...*sql.DB) {
	for _, p := range pools {
		p.SetMaxIdleConns(most)
	}
}

// end ends the chaos when its time is up and, on a machine too busy for that, every fate has been met: then few clients go on, of whose connections
// more are cut.
func (c *chaos) end() {
	defer close(c.over)
	time.Sleep(c.lasts)
	close(c.late)
	c.between.Store(5)
	for end := time.Now().Add(time.Minute); !c.variety() && time.Now().Before(end); {
		time.Sleep(10 * time.Millisecond)
	}
}

// variety reports whether mutations have been acknowledged, refused, of unknown outcome and left alone.
func (c *chaos) variety() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return (c.counts[unknown] > 0 || c.Dialect == "sqlite") && c.counts[acknowledged] > 0 && c.counts[refused] > 0 && c.counts[gone] > 0
}

// trouble kills connections and restarts pools, each time after some operations, so that on a slow machine it leaves time for others.
func (c *chaos) trouble() {
	random := rand.New(rand.NewPCG(c.seed, chaosClients))
	for due := int64(0); ; {
		select {
		case <-c.over:
			return
		case <-time.After(upTo(random, 30*time.Millisecond)):
		}
		if c.ended.Load() < due {
			continue
		}
		due = c.ended.Load() + chaosClients/4
		if random.IntN(4) == 0 {
			c.restart()
		} else if c.Dialect != "sqlite" {
			c.kill(random)
		}
	}
}

// kill kills one connection of this database, whoever's it is but its own.
func (c *chaos) kill(random *rand.Rand) {
	list := "SELECT id FROM " + processlist + " WHERE db = DATABASE() AND id <> CONNECTION_ID()"
	if c.Dialect == "postgres" {
		list = "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
	}
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	conn, err := c.Side.Conn(ctx)
	if err != nil {
		c.tb.Errorf("no connection to kill another one from: %v", err)
		return
	}
	defer func() { _ = conn.Close() }()
	rows, err := conn.QueryContext(ctx, list)
	if err != nil {
		return // it is one that was killed
	}
	defer func() { _ = rows.Close() }()
	var ids []int64
	for rows.Next() {
		var id int64
		if err := rows.Scan(&id); err != nil {
			c.tb.Error(err)
			return
		}
		ids = append(ids, id)
	}
	if err := rows.Err(); err != nil {
		c.tb.Error(err)
		return
	}
	if len(ids) == 0 {
		return
	}
	if c.killFrom(ctx, conn, ids[random.IntN(len(ids))]) == nil { // else it was faster
		c.kills.Add(1)
	}
}

// upTo is a random time up to a limit.
func upTo(random *rand.Rand, limit time.Duration) time.Duration {
	return time.Duration(random.Int64N(int64(limit)))
}

// events sends events to whoever has subscribed.
func (c *chaos) events() {
	for id := 1; ; id = id%Counters + 1 {
		select {
		case <-c.over:
			return
		case c.Events <- id:
		}
	}
}

// client sends one operation after the other. It goes away from some before they are answered.
func (c *chaos) client(number int) {
	random := rand.New(rand.NewPCG(c.seed, uint64(number)))
	stop := c.late
	if number < patientClients {
		stop = c.over
	}
	for i := 0; ; i++ {
		select {
		case <-stop:
			return
		default:
		}
		ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
		if random.IntN(4) == 0 {
			ctx, cancel = context.WithTimeout(context.Background(), upTo(random, 60*time.Millisecond))
		}
		switch random.IntN(10) {
		case 0:
			c.snapshot(ctx)
		case 1:
			c.query(ctx, random)
		case 2:
			c.stream(ctx, random)
		default:
			c.mutate(ctx, fmt.Sprintf("M%d_%d", number, i), random)
		}
		cancel()
		c.ended.Add(1)
	}
}

// mutate sends a transfer and an increment that leave a mark, and end in one of several ways.
func (c *chaos) mutate(ctx context.Context, name string, random *rand.Rand) {
	ends := []string{
		`run(step: "fail") { value }`, `run(step: "panic") { value }`, `run(step: "nothing") { loud }`,
		`run(step: "stall") { value }`, `transfer(from: 1, to: 2, amount: 0) { run(step: "read") { run(step: "fail") { value } } }`,
	}
	end := ""
	if n := random.IntN(3 * len(ends)); n < len(ends) {
		end = "end: " + ends[n]
	}
	if strings.Contains(end, "stall") && random.IntN(8) != 0 { // few wait for the deadline, since they lock what others want
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, upTo(random, 60*time.Millisecond))
		defer cancel()
	}
	const few = 6 // accounts, so that transfers deadlock
	from := random.IntN(few)
	to := (from + 1 + random.IntN(few-1)) % few
	key := ""
	if c.way != byRun && random.IntN(2) == 0 {
		key = fmt.Sprintf("@idempotent(key: %q)", name)
	}
	query := fmt.Sprintf(
		`mutation %s %s { transfer(from: %d, to: %d, amount: %d) { id } increment(id: %d) { value } run(step: "mark") { value } %s }`,
		name, key, from+1, to+1, random.IntN(10), random.IntN(Counters)+1, end)
	a, err := c.SendContext(ctx, query)
	id := ""
	got := refused
	switch {
	case ctx.Err() != nil:
		got = gone
	case err != nil:
		c.tb.Errorf("%s: %v", name, err)
	case a.OK():
		got = acknowledged
	case a.Code() == "OUTCOME_UNKNOWN":
		got = unknown
		id, _ = a.Errors[0].Extensions["operationId"].(string)
	}
	if err == nil && !a.OK() && a.Data != nil || a.OK() && end != "" {
		c.tb.Errorf("%s ending in %q: got %s", name, end, a.Raw)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.fates[name] = got
	c.counts[got]++
	switch got {
	case refused:
		c.whys[a.why()]++
	case unknown:
		c.lookup[name] = id
	}
	if key != "" && (got == unknown || got == gone) && !strings.Contains(end, "stall") {
		c.lost = append(c.lost, Sent{Query: query, Operation: name})
	}
}

// retry sends the mutations with a key again whose answers were lost, once nothing is in their way. A second run would be refused, since
// each leaves a mark of its name.
func (c *chaos) retry() (replayed int) {
	c.tb.Helper()
	for _, s := range c.lost {
		var was bool
		var a Answer
		for range 20 { // the proxy goes on cutting connections
			was = marks(c.Bank)[s.Operation]
			a = c.Post(s)
			if !slices.Contains([]string{"OUTCOME_UNKNOWN", "TIMEOUT", "IDEMPOTENCY_IN_PROGRESS"}, a.Code()) {
				break
			}
		}
		is := marks(c.Bank)[s.Operation]
		if again := a.Header.Get("Idempotent-Replayed") != ""; again != was || a.OK() != is || was && !is {
			c.tb.Errorf("%s, sent again: stored was %t and is %t, and the answer is %s", s.Operation, was, is, a.Raw)
		} else if again {
			replayed++
		}
		delete(c.lookup, s.Operation) // the outcome is that of the last attempt
		c.fates[s.Operation] = map[bool]fate{true: acknowledged, false: refused}[is]
	}
	return replayed
}

// snapshot sees transfers, and mutations, that are complete.
func (c *chaos) snapshot(ctx context.Context) {
	query := `query @snapshot { accounts { balance } run(step: "read") { value }`
	for id := range Counters {
		query += fmt.Sprintf(" c%d: counter(id: %d) { value }", id, id+1)
	}
	a, err := c.SendContext(ctx, query+" }")
	if err != nil || !a.OK() {
		return
	}
	value := func(of any, name string) int { return int(of.(map[string]any)[name].(float64)) }
	sum, increments := 0, 0
	for _, account := range a.Data["accounts"].([]any) {
		sum += value(account, "balance")
	}
	for id := range Counters {
		increments += value(a.Data[fmt.Sprintf("c%d", id)], "value")
	}
	if sum != Accounts*Balance {
		c.tb.Errorf("a snapshot saw %d in the accounts instead of %d", sum, Accounts*Balance)
	}
	if n := value(a.Data["run"], "value"); n != increments {
		c.tb.Errorf("a snapshot saw %d mutations and %d increments", n, increments)
	}
}

// query sends a query in which something may go wrong.
func (c *chaos) query(ctx context.Context, random *rand.Rand) {
	steps := []string{"read", "fail", "panic", "stall"}
	_, err := c.SendContext(ctx, fmt.Sprintf(`{ accounts { id } counter(id: 1) { value } run(step: %q) { value } more: run(step: "read") { run(step: %q) { value } } }`,
		steps[random.IntN(len(steps))], steps[random.IntN(len(steps))]))
	if err != nil && ctx.Err() == nil {
		c.tb.Errorf("a query: %v", err)
	}
}

// stream reads a subscription or a deferred answer until it ends or the client has enough of it.
func (c *chaos) stream(ctx context.Context, random *rand.Rand) {
	accept, query := "text/event-stream", `subscription { counterChanged(id: 1) { value } }`
	if random.IntN(2) == 0 {
		steps := []string{"read", "fail", "panic", "stall"}
		accept, query = "multipart/mixed", fmt.Sprintf(`{ account(id: 1) { id ... @defer(label: "a") { run(step: "read") { value } } ... @defer(label: "b") { again: run(step: %q) { value } } } }`,
			steps[random.IntN(len(steps))])
	}
	ctx, cancel := context.WithTimeout(ctx, upTo(random, 100*time.Millisecond))
	defer cancel()
	body, _ := json.Marshal(map[string]string{"query": query})
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, c.URL, bytes.NewReader(body))
	if err != nil {
		c.tb.Error(err)
		return
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Accept", accept)
	res, err := c.Server.Client().Do(req)
	if err != nil {
		return // gone
	}
	defer func() { _ = res.Body.Close() }()
	_, _ = io.Copy(io.Discard, res.Body)
}

// wantFates compares what the clients know with what is stored.
func (c *chaos) wantFates() {
	c.tb.Helper()
	stored := marks(c.Bank)
	if sum := c.increments(); sum != len(stored) {
		c.tb.Errorf("%d mutations are stored, but %d increments", len(stored), sum)
	}
	for name, id := range c.lookup {
		switch outcome, err := proofOf(c.Bank, 20*time.Second).Outcome(context.Background(), id); outcome {
		case session.Committed:
			c.fates[name] = acknowledged
		case session.Aborted:
			c.fates[name] = refused
		default:
			c.tb.Errorf("the outcome of %s cannot be told: %d, %v", name, outcome, err)
		}
	}
	for name, known := range c.fates {
		if known == acknowledged && !stored[name] {
			c.tb.Errorf("%s was acknowledged, and is not stored", name)
		}
		if known == refused && stored[name] {
			c.tb.Errorf("%s was refused, and is stored", name)
		}
	}
	for name := range stored {
		if _, sent := c.fates[name]; !sent {
			c.tb.Errorf("%s is stored, and nobody has sent it", name)
		}
	}
}

// increments is the sum of all counters.
func (c *chaos) increments() (sum int) {
	c.tb.Helper()
	for id := range Counters {
		sum += c.Counter(id + 1)
	}
	return sum
}

// wantNoMoreGoroutines fails, and shows them, unless as few goroutines are left as there were.
func (c *chaos) wantNoMoreGoroutines(baseline int) {
	c.tb.Helper()
	for end := time.Now().Add(20 * time.Second); runtime.NumGoroutine() > baseline; time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			var all bytes.Buffer
			_ = pprof.Lookup("goroutine").WriteTo(&all, 1)
			c.tb.Errorf("there were %d goroutines, and now there are %d:\n%s", baseline, runtime.NumGoroutine(), &all)
			return
		}
	}
}
