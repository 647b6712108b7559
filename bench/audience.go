package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
)

// audience is subscribers that are there while others write, and read what they are told.
type audience struct {
	events atomic.Int64 // that they were told
	ended  atomic.Int64 // subscriptions that have ended

	cancel context.CancelFunc
	all    sync.WaitGroup
}

// gather opens n subscriptions, divided between the servers: each of one of the users or, if that is "", of all of them.
func gather(ctx context.Context, n int, nodes []*server, user func(i int) string) (a *audience, err error) {
	a = &audience{}
	ctx, a.cancel = context.WithCancel(ctx)
	defer func() {
		if err != nil {
			a.leave()
		}
	}()
	for i := range n {
		variables := map[string]any{}
		if id := user(i); id != "" {
			variables["ids"] = []string{id}
		}
		body, err := json.Marshal(map[string]any{"query": `subscription($ids: [ID!]) { userChanged(ids: $ids) { kind user { id title } } }`, "variables": variables})
		if err != nil {
			return nil, err
		}
		events, err := subscribe(ctx, nodes[i%len(nodes)], string(body))
		if err != nil {
			return nil, err
		}
		a.all.Go(func() {
			defer func() { _ = events.Close() }()
			for lines := bufio.NewScanner(events); lines.Scan(); {
				if strings.HasPrefix(lines.Text(), "data: ") {
					a.events.Add(1)
				}
			}
			if ctx.Err() == nil {
				a.ended.Add(1)
			}
		})
	}
	return a, nil
}

// leave ends the subscriptions.
func (a *audience) leave() {
	a.cancel()
	a.all.Wait()
}

// subscribe returns the events of a subscription as a server sends them.
func subscribe(ctx context.Context, s *server, body string) (events io.ReadCloser, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, s.api, strings.NewReader(body))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Accept", "text/event-stream")
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, err
	}
	if res.StatusCode != http.StatusOK {
		text, _ := io.ReadAll(res.Body)
		return nil, errors.Join(fmt.Errorf("subscribe: %s: %.500s", res.Status, text), res.Body.Close())
	}
	return res.Body, nil
}
