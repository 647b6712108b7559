package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"net/http"
	"slices"
	"sync"
	"time"

	"rollcall/bench/workload"
)

// cost is what one request costs a server: medians of the rounds.
type cost struct {
	cpu         float64 // microseconds
	allocations float64
	collections float64 // of garbage
	statements  float64
	bytes       int
	p50, p99    time.Duration
	alone       time.Duration // the median of one client alone
	resident    int           // bytes, after the workload
}

// comparison is what a workload costs each server, by the names of these: one cost for each round.
type comparison struct {
	workload.Workload
	rounds map[string][]cost
}

func (c comparison) raw() cost      { return medians(c.rounds[raw]) }
func (c comparison) rollcall() cost { return medians(c.rounds[rollcall]) }
func (c comparison) ratio() float64 { return c.rollcall().cpu / c.raw().cpu }

// compare makes sure that all servers answer alike, then measures them in turns.
func (b *bench) compare(ctx context.Context, w workload.Workload, rounds int) (c comparison, err error) {
	if err := b.checkAnswers(ctx, w); err != nil {
		return c, err
	}
	requests, err := b.calibrate(ctx, w)
	if err != nil {
		return c, err
	}
	c = comparison{w, map[string][]cost{}}
	for round := range rounds {
		progress("%s (%s): round %d of %d, %d requests each", w.Name, w.What, round+1, rounds, requests)
		turns := slices.Clone(b.servers)
		if round%2 == 1 { // so that none is always the first, or after the same one
			slices.Reverse(turns)
		}
		for _, s := range turns {
			one, err := b.measure(ctx, s, w, requests, uint64(round))
			if err != nil {
				return c, err
			}
			c.rounds[s.name] = append(c.rounds[s.name], one)
		}
	}
	return c, nil
}

// samples is how many answers are compared.
const samples = 20

// checkAnswers fails if the servers do not give the same data, byte for byte.
func (b *bench) checkAnswers(ctx context.Context, w workload.Workload) error {
	random := rand.New(rand.NewPCG(1, 2))
	first, others := b.servers[0], b.servers[1:]
	for range samples {
		variables := w.Variables(random)
		want, err := ask(ctx, http.DefaultClient, first, first.request(w, variables))
		if err != nil {
			return err
		}
		for _, other := range others {
			got, err := ask(ctx, http.DefaultClient, other, other.request(w, variables))
			if err != nil {
				return err
			}
			if !bytes.Equal(got, want) {
				return fmt.Errorf("the servers do not agree:\n%s: %.2000s\n%s: %.2000s", first.name, want, other.name, got)
			}
		}
	}
	return nil
}

// calibrate warms all servers up, and returns how many requests the first answers in a round.
func (b *bench) calibrate(ctx context.Context, w workload.Workload) (requests int, err error) {
	first, others := b.servers[0], b.servers[1:]
	n := 2 * b.Connections
	for {
		began := time.Now()
		if _, err := b.measure(ctx, first, w, n, 0); err != nil {
			return 0, err
		}
		if took := time.Since(began); took >= b.Round/4 || took >= time.Second {
			requests = max(int(float64(n)*float64(b.Round)/float64(took)), b.Connections)
			break
		}
		n *= 2
	}
	for _, other := range others {
		if _, err := b.measure(ctx, other, w, max(requests/4, b.Connections), 0); err != nil {
			return 0, err
		}
	}
	return requests, nil
}

// measure sends requests, and then some of one client alone.
func (b *bench) measure(ctx context.Context, s *server, w workload.Workload, requests int, seed uint64) (c cost, err error) {
	before, err := s.counts(ctx)
	if err != nil {
		return c, err
	}
	began, err := s.cpu()
	if err != nil {
		return c, err
	}
	latencies, size, err := load(ctx, s, w, b.Connections, requests, seed)
	if err != nil {
		return c, err
	}
	ended, err := s.cpu()
	if err != nil {
		return c, err
	}
	after, err := s.counts(ctx)
	if err != nil {
		return c, err
	}
	alone, _, err := load(ctx, s, w, 1, min(requests, 300), seed)
	if err != nil {
		return c, err
	}
	resident, err := s.resident()
	n := float64(len(latencies))
	return cost{
		cpu:         float64((ended - began).Microseconds()) / n,
		allocations: (after.allocations - before.allocations) / n,
		collections: (after.collections - before.collections) / n,
		statements:  (after.statements - before.statements) / n,
		bytes:       size / len(latencies),
		p50:         latencies[len(latencies)/2],
		p99:         latencies[len(latencies)*99/100],
		alone:       alone[len(alone)/2],
		resident:    resident,
	}, err
}

// load sends requests by so many clients, and returns how long each took, in order of that, and the bytes of all answers.
func load(ctx context.Context, s *server, w workload.Workload, clients, requests int, seed uint64) (latencies []time.Duration, size int, err error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: clients}}
	defer client.CloseIdleConnections()
	var mu sync.Mutex
	var all sync.WaitGroup
	for i := range clients {
		all.Go(func() {
			random := rand.New(rand.NewPCG(seed, uint64(i)))
			var own []time.Duration
			bytes := 0
			for range max(requests/clients, 1) {
				body := s.request(w, w.Variables(random))
				began := time.Now()
				answer, err := ask(ctx, client, s, body)
				if err != nil {
					cancel(err)
					return
				}
				own = append(own, time.Since(began))
				bytes += len(answer)
			}
			mu.Lock()
			defer mu.Unlock()
			latencies, size = append(latencies, own...), size+bytes
		})
	}
	all.Wait()
	slices.Sort(latencies)
	return latencies, size, context.Cause(ctx)
}

// request is what a workload sends to the server.
func (s *server) request(w workload.Workload, variables map[string]any) []byte {
	if at, ok := variables["after"].(workload.After); ok {
		variables = maps.Clone(variables)
		variables["after"] = s.after(at)
	}
	body, err := json.Marshal(map[string]any{"query": w.Query, "variables": variables})
	if err != nil {
		panic(err) // of strings and numbers it can't
	}
	return body
}

// ask returns an answer without errors.
func ask(ctx context.Context, client *http.Client, s *server, body []byte) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, s.api, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", "application/json")
	res, err := client.Do(req)
	if err != nil {
		return nil, err
	}
	defer func() { _ = res.Body.Close() }()
	answer, err := io.ReadAll(res.Body)
	if err != nil {
		return nil, err
	}
	if res.StatusCode != http.StatusOK || bytes.HasPrefix(answer, []byte(`{"errors"`)) {
		return nil, fmt.Errorf("%s: %s: %.500s", s.api, res.Status, answer)
	}
	return answer, nil
}

// medians returns each figure of a cost as the median of the rounds.
func medians(costs []cost) cost {
	m := costs[len(costs)-1] // statements and bytes are the same in all, and memory counts at the end
	m.cpu = median(each(costs, func(c cost) float64 { return c.cpu }))
	m.allocations = median(each(costs, func(c cost) float64 { return c.allocations }))
	m.collections = median(each(costs, func(c cost) float64 { return c.collections }))
	m.p50 = time.Duration(median(each(costs, func(c cost) float64 { return float64(c.p50) })))
	m.p99 = time.Duration(median(each(costs, func(c cost) float64 { return float64(c.p99) })))
	m.alone = time.Duration(median(each(costs, func(c cost) float64 { return float64(c.alone) })))
	return m
}

// each returns one figure of each round.
func each(costs []cost, of func(cost) float64) (all []float64) {
	for _, c := range costs {
		all = append(all, of(c))
	}
	return all
}

// median returns the median; of an even number of figures, the upper one of the two in the middle.
func median(all []float64) float64 {
	return slices.Sorted(slices.Values(all))[len(all)/2]
}
