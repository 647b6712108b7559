package identity

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"rollcall/apierror"
)

const (
	quiet      = time.Second // between two lines of the log for one reason
	maxReasons = 20          // that have lines of their own at a time
	rest       = "other reasons"
)

// Attempt is something that was refused.
type Attempt struct {
	Code      apierror.Code
	Reason    string // a sentence, without anything of credentials
	Subject   string // of the viewer; "": that is not known
	Operation string // its name; "": it has none, or nobody has read that far
	Detail    string // more for the log alone; "": nothing
	Client    string // the address that it comes from; "": that is not known
	Nobody    bool   // it has no credentials, as the Playground before a login: nothing to warn of
}

// line is what the log has a line of its own for, once a second.
type line struct {
	level  slog.Level
	reason string
}

// Refusals logs what was refused: the first attempt for a reason at once, and how many more there were once a second. However many there are,
// the log has one line for each reason and second at most.
type Refusals struct {
	Logger *slog.Logger

	mu      sync.Mutex
	more    map[line]int // attempts that are not in the log; a line is there for a second after it was logged
	counted map[apierror.Code]int64
}

// Add logs an attempt, or counts it.
func (s *Refusals) Add(ctx context.Context, a Attempt) {
	of := line{slog.LevelWarn, a.Reason}
	if a.Nobody {
		of.level = slog.LevelInfo
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.more == nil {
		s.more, s.counted = map[line]int{}, map[apierror.Code]int64{}
	}
	s.counted[a.Code]++
	_, known := s.more[of]
	if !known && len(s.more) >= maxReasons {
		of = line{slog.LevelWarn, rest}
		_, known = s.more[of]
	}
	if known {
		s.more[of]++
		return
	}
	s.more[of] = 0
	time.AfterFunc(quiet, func() { s.sum(of) })
	attrs := []any{"code", string(a.Code), "subject", a.Subject, "operation", apierror.Clip(a.Operation), "reason", a.Reason}
	for _, one := range []struct{ name, value string }{{"detail", a.Detail}, {"client", a.Client}} {
		if one.value != "" {
			attrs = append(attrs, one.name, one.value)
		}
	}
	s.Logger.Log(ctx, of.level, "an attempt was refused", attrs...)
}

// sum logs how many attempts there were for a reason in the last second.
func (s *Refusals) sum(of line) {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := s.more[of]
	if n == 0 {
		delete(s.more, of)
		return
	}
	s.more[of] = 0
	time.AfterFunc(quiet, func() { s.sum(of) })
	s.Logger.Log(context.Background(), of.level, "more attempts were refused", "attempts", n, "reason", of.reason)
}

// Count returns how many attempts were refused with a code so far.
func (s *Refusals) Count(code apierror.Code) int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.counted[code]
}
