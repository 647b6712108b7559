package main

import (
	"fmt"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"rollcall/database/databasetest"
)

// prompt is how long an answer may take while the database is away: what was being stored is asked about for 5 s.
const prompt = 7 * time.Second

func TestTheDatabaseGoesAwayAndComesBack(t *testing.T) {
	t.Parallel()
	databasetest.EachServer(t, func(t *testing.T, kind string) { // SQLite is in the process
		t.Parallel()
		d := databasetest.Start(t, kind)
		s := launch(t, built(t), "--database", d.URL, "--migrate", "--demo", "--deadline", "30s", "--log-level", "error")
		l := putThrough(s, 8)
		defer l.stop()
		l.succeeds(t)
		d.Kill()
		l.fails(t)
		s.becomesUnready(unanswered)
		if status, text := s.probe("/healthz"); status != http.StatusOK {
			t.Errorf("%d %s", status, text)
		}
		d.Start()
		s.becomes(http.StatusOK, "ok")
		l.succeeds(t)

		// With nobody asking meanwhile, so that the pools are full of connections that are gone.
		l.stop()
		d.Kill()
		d.Start()
		quiet := putThrough(s, 8)
		defer quiet.stop()
		quiet.succeeds(t)
		quiet.stop()
		if n := quiet.failed.Load(); n > 0 {
			t.Errorf("%d operations failed on connections that had gone", n)
		}
		for _, each := range []*persistent{l, quiet} {
			if took := time.Duration(each.slowest.Load()); took > prompt {
				t.Errorf("an answer took %s", took)
			} else {
				t.Logf("the slowest answer took %s; %d failed", took, each.failed.Load())
			}
			each.check(t, d.URL)
		}
		noticesSilence(t, s, d)
	})
}

// noticesSilence pauses the database. Nobody hears of that; probes find out, and wait no longer than they have to.
// Queries are answered at their deadline, and nothing is left of them.
func noticesSilence(t *testing.T, s *server, d *databasetest.Server) {
	t.Helper()
	const deadline = time.Second
	hasty := launch(t, built(t), "--database", d.URL, "--deadline", deadline.String(), "--metrics", "127.0.0.1:0")
	hasty.answer("{ users { totalCount } }")
	resume := d.Pause()
	defer resume()
	time.Sleep(readyFor)
	var asked sync.WaitGroup
	for i := range 20 {
		asked.Go(func() {
			c := newClient(hasty.base, i%2 == 0)
			defer c.CloseIdleConnections()
			began := time.Now()
			a, err := c.send("{ users(first: 5) { nodes { name } } }")
			if took := time.Since(began); err != nil || a.code() != "TIMEOUT" || took > deadline+2*time.Second {
				t.Errorf("answered with %q, %v after %s", a.code(), err, took)
			}
		})
		asked.Go(func() {
			began := time.Now()
			status, text := s.probe("/readyz")
			if took := time.Since(began); status != http.StatusServiceUnavailable || text != unanswered || took > 2*time.Second {
				t.Errorf("%d %s after %s", status, text, took)
			}
		})
	}
	asked.Wait()
	resume()
	s.becomes(http.StatusOK, "ok")
	hasty.becomes(http.StatusOK, "ok")
	hasty.answer("{ users { totalCount } }")
	eventually(t, "no connection is in use", func() bool {
		m := hasty.metrics()
		return m[`go_sql_in_use_connections{db_name="read"}`] == 0 && m[`go_sql_in_use_connections{db_name="side"}`] == 0
	})
}

// becomes waits until /readyz is answered so.
func (s *server) becomes(status int, text string) {
	s.tb.Helper()
	eventually(s.tb, fmt.Sprintf("/readyz answers %d %s", status, text), func() bool {
		got, answer := s.probe("/readyz")
		return got == status && answer == text
	})
}

// becomesUnready waits until /readyz gives a reason.
func (s *server) becomesUnready(reason string) {
	s.tb.Helper()
	s.becomes(http.StatusServiceUnavailable, reason)
}

const unanswered = "the database does not answer"

// persistent is clients that go on whatever they are answered.
type persistent struct {
	load
	ended     chan struct{}
	end       sync.Once
	succeeded atomic.Int64
	failed    atomic.Int64
	slowest   atomic.Int64
	s         *server
}

func putThrough(s *server, clients int) *persistent {
	p := &persistent{ended: make(chan struct{}), s: s}
	run := time.Now().UnixNano()
	for i := range clients {
		p.wg.Go(func() {
			c := newClient(s.base, false)
			defer c.CloseIdleConnections()
			for n := 0; ; n++ {
				select {
				case <-p.ended:
					return
				default:
				}
				p.one(c, fmt.Sprintf("c%d.%d.%d@example.com", run, i, n), n%2 == 0)
				time.Sleep(time.Millisecond)
			}
		})
	}
	return p
}

func (p *persistent) one(c *client, email string, mutates bool) {
	query := `{ users(first: 5) { nodes { name } } }`
	if mutates {
		query = create(email)
	}
	began := time.Now()
	a, err := c.send(query)
	if took := int64(time.Since(began)); took > p.slowest.Load() {
		p.slowest.Store(took)
	}
	if err != nil {
		p.s.tb.Errorf("no answer: %v", err)
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case !a.ok():
		p.failed.Add(1)
		if code := a.code(); code != "DATABASE_UNAVAILABLE" && code != "OUTCOME_UNKNOWN" {
			p.s.tb.Errorf("an answer has the code %q", code)
		}
		if mutates && a.code() != "OUTCOME_UNKNOWN" {
			p.rejected = append(p.rejected, email)
		}
		return
	case mutates:
		p.stored = append(p.stored, email)
	}
	p.succeeded.Add(1)
}

// succeeds waits until many operations have succeeded, those of each client among them.
func (p *persistent) succeeds(t *testing.T) {
	t.Helper()
	before := p.succeeded.Load()
	eventually(t, "operations succeed", func() bool { return p.succeeded.Load() > before+200 })
}

// fails waits until operations fail at the rate at which they come: none hangs.
func (p *persistent) fails(t *testing.T) {
	t.Helper()
	before := p.failed.Load()
	eventually(t, "operations fail", func() bool { return p.failed.Load() > before+200 })
}

func (p *persistent) stop() {
	p.end.Do(func() { close(p.ended) })
	p.wg.Wait()
}
