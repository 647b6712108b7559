package ratelimit

import "time"

// TakeAt is Take at a time since the limiter began.
func (l *Limiter) TakeAt(client Client, cost int, now time.Duration) Verdict {
	return l.take(client, cost, now)
}

// Sizes returns how many buckets there are, and how many of them are in order.
func (l *Limiter) Sizes() (buckets, order int) { return len(l.buckets), len(l.order) }

// Clients returns how many clients have streams.
func (s *Streams) Clients() int { return len(s.open) }
