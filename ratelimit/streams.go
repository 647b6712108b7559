package ratelimit

import (
	"sync"
	"sync/atomic"
)

// Streams bounds how many streams, or other things that last, each client may have open at once, by whatever transports. A nil Streams bounds nothing.
type Streams struct {
	Max int // streams of a client; 0: any number

	mu      sync.Mutex
	open    map[Client]int // none has 0
	refused [2]atomic.Int64
}

// Open counts a stream until end is called, once or more often. It reports false if the client has as many as it may.
func (s *Streams) Open(client Client) (end func(), ok bool) {
	if s == nil || s.Max <= 0 {
		return func() {}, true
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.open[client] >= s.Max {
		s.refused[client.named()].Add(1)
		return nil, false
	}
	if s.open == nil {
		s.open = map[Client]int{}
	}
	s.open[client]++
	return sync.OnceFunc(func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.open[client]--; s.open[client] == 0 {
			delete(s.open, client)
		}
	}), true
}

// Refused returns how many streams were refused so far, of clients that have a name or of those that have none.
func (s *Streams) Refused(named bool) int64 {
	if s == nil {
		return 0
	}
	return s.refused[index(named)].Load()
}
