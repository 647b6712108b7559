package main

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"rollcall/database/databasetest"
	"rollcall/directory/directorytest"
	"rollcall/transport"
)

const (
	// greedyQuery is what the greedy client and the others ask for; it costs 44 at least, for 20 users with a manager.
	greedyQuery = `{ users(first: 20) { nodes { name manager { name } } } }`
	greedyCost  = 44
	// greedyRate and greedyBurst have room for each of the others, which ask for less than 50 such queries in a second.
	greedyRate  = 150_000
	greedyBurst = 3_000
	// greedyWorkers is how many requests the greedy client has under way.
	greedyWorkers = 64
)

// TestOthersAreServedBesideAGreedyClient has one client ask for as much as it can get, beside four that ask now and then.
// ROLLCALL_TEST_SOAK is how long, for each way and on each database; `make soak` sets it, and shows how much longer the others waited with the
// greedy one than without, in turns.
func TestOthersAreServedBesideAGreedyClient(t *testing.T) {
	value := os.Getenv("ROLLCALL_TEST_SOAK")
	if value == "" {
		t.Parallel()
		(&contest{turn: 500 * time.Millisecond, turns: 1}).run(t, "sqlite")
		return
	}
	lasts, err := time.ParseDuration(value)
	if err != nil {
		t.Fatalf("ROLLCALL_TEST_SOAK: %v", err)
	}
	const turns = 10
	databasetest.EachKind(t, func(t *testing.T, kind string) {
		(&contest{turn: lasts / (2 * turns), turns: turns}).run(t, kind)
	})
}

// contest is between a greedy client and others.
type contest struct {
	turn  time.Duration // without the greedy one, and with it
	turns int
}

// way is how a server is set up, and how the greedy client behaves.
type way struct {
	what string
	args []string
	mode string // of the greedy client
}

func (c *contest) run(t *testing.T, kind string) {
	url := databasetest.With(t, kind, directorytest.Demo)
	half := "--client-concurrency=" + strconv.Itoa(max(1, runtime.NumCPU()/2))
	rate := []string{"--rate", strconv.Itoa(greedyRate), "--rate-burst", strconv.Itoa(greedyBurst)}
	ways := []way{
		{"without limits", nil, ""},
		{"with " + half, []string{half}, ""},
		{"with --rate, coming back as told", rate, "until refused, patient"},
		{"with --rate, coming back at once", rate, "until refused"},
		{"with --rate and " + half + ", coming back as told", append(rate, half), "until refused, patient"},
		{"with --rate and " + half + ", coming back at once", append(rate, half), "until refused"},
	}
	if c.turns == 1 {
		ways = []way{ways[0], ways[len(ways)-1]}
	}
	for _, way := range ways {
		c.compete(t, url, way)
	}
}

// compete has the clients compete one way, in turns, and shows how much longer the others waited: the median of the turns.
func (c *contest) compete(t *testing.T, url string, way way) {
	s := launch(t, built(t), append([]string{"--database", url, "--log-level", "error", "--metrics", "127.0.0.1:0"}, way.args...)...)
	defer s.stop()
	var ratios [2][]float64 // of the p99 and the p50
	var alone, beside latencies
	var served, refused int
	began := time.Now()
	for range c.turns {
		before := others(t, s.base, c.turn)
		came := time.Now()
		g := startGreedy(t, s.base, way.mode)
		with := others(t, s.base, c.turn)
		got, not := g.end()
		if took := time.Since(came); not > greedyWorkers*int(took/time.Second) { // a refusal takes a second
			t.Errorf("%s: in %s each of %d workers got more than a refusal a second: %d", way.what, took, greedyWorkers, not)
		}
		served, refused = served+got, refused+not
		for i, share := range []float64{.99, .5} {
			ratios[i] = append(ratios[i], float64(with.at(share))/float64(before.at(share)))
		}
		alone, beside = append(alone, before...), append(beside, with...)
	}
	rated := way.mode != ""
	granted := greedyBurst + greedyRate*time.Since(began).Minutes()
	if served == 0 || rated != (refused > 0) || rated && float64(served)*greedyCost > granted {
		t.Errorf("%s: the greedy client was served %d times, and refused %d times", way.what, served, refused)
	}
	if m := s.metrics(); m[`rollcall_rate_limited_total{limit="rate",client="address"}`] != float64(refused) {
		t.Errorf("%s: it was refused %d times, and counted are %v", way.what, refused, m[`rollcall_rate_limited_total{limit="rate",client="address"}`])
	}
	t.Logf("%s: p99 of the others %.1f times as long, p50 %.1f times; the greedy one was served %d times, refused %d times\nalone:  %s\nbeside: %s",
		way.what, median(ratios[0]), median(ratios[1]), served, refused, alone, beside)
}

func median(all []float64) float64 {
	slices.Sort(all)
	return all[len(all)/2]
}

// at returns the latency that a share of the requests did not exceed.
func (l latencies) at(share float64) time.Duration {
	slices.Sort(l)
	return l[int(share*float64(len(l)-1))]
}

// others are four clients with addresses of their own, each of whose requests must succeed.
func others(t *testing.T, base string, lasts time.Duration) (all latencies) {
	t.Helper()
	var mu sync.Mutex
	var wg sync.WaitGroup
	until := time.Now().Add(lasts)
	for n := range 4 {
		wg.Go(func() {
			c := from(base, fmt.Sprintf("127.0.0.%d", 2+n))
			defer c.CloseIdleConnections()
			for time.Now().Before(until) {
				began := time.Now()
				a, err := c.send(greedyQuery)
				if err != nil || !a.ok() {
					t.Errorf("after %s: %v, %v", time.Since(began), a.Errors, err)
					return
				}
				mu.Lock()
				all = append(all, time.Since(began))
				mu.Unlock()
				time.Sleep(20 * time.Millisecond)
			}
		})
	}
	wg.Wait()
	return all
}

// A greedy client is a process of its own, which gives way to others: so it costs the server what it asks for, and the others' clients nothing.
type greedy struct {
	t   *testing.T
	cmd *exec.Cmd
	in  io.Closer
	out *bufio.Reader
}

func startGreedy(t *testing.T, base, mode string) *greedy {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	g := &greedy{t: t, cmd: exec.Command("nice", self)}
	g.cmd.Env = append(os.Environ(), greedyVariable+"="+base, greedyVariable+"_MODE="+mode)
	in, err := g.cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := g.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := g.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	g.in, g.out = in, bufio.NewReader(out)
	if _, err := g.out.ReadString('\n'); err != nil { // it has begun
		t.Fatal(err)
	}
	return g
}

// end returns how many of its requests were served, and how many refused for the rate.
func (g *greedy) end() (served, refused int) {
	g.t.Helper()
	_ = g.in.Close()
	if _, err := fmt.Fscan(g.out, &served, &refused); err != nil {
		g.t.Fatal(err)
	}
	if err := g.cmd.Wait(); err != nil {
		g.t.Fatal(err)
	}
	return served, refused
}

// greedyVariable has the URL of the server that a process of the tests is to be greedy at.
const greedyVariable = "ROLLCALL_TEST_GREEDY"

// beGreedy asks until the standard input ends, and says in the end how many requests were served and refused.
func beGreedy(base string) {
	mode := os.Getenv(greedyVariable + "_MODE")
	patient := strings.Contains(mode, "patient")
	enough := make(chan struct{}) // it has been refused, if that is asked for
	refusedOnce := sync.OnceFunc(func() { close(enough) })
	if !strings.Contains(mode, "until refused") {
		refusedOnce()
	}
	shared := from(base, "127.0.0.9")
	var served, refused atomic.Int64
	var over atomic.Bool
	var wg sync.WaitGroup
	begun := sync.OnceFunc(func() { _, _ = fmt.Fprintln(os.Stdout, "begun") })
	for range greedyWorkers {
		wg.Go(func() {
			c := &client{Client: shared.Client, base: base}
			for !over.Load() {
				a, err := c.send(greedyQuery)
				switch {
				case err == nil && a.ok():
					served.Add(1)
				case a.code() == transport.CodeRateLimited:
					refused.Add(1)
					refusedOnce()
					if patient {
						time.Sleep(time.Duration(a.Errors[0].Extensions.RetryAfter) * time.Second)
					}
				}
				begun()
			}
		})
	}
	_, _ = io.Copy(io.Discard, os.Stdin)
	<-enough
	over.Store(true)
	wg.Wait()
	_, _ = fmt.Fprintln(os.Stdout, served.Load(), refused.Load())
}
