package session

import "context"

// againError is what has a Write run again.
type againError struct{ error }

func (e againError) Unwrap() error { return e.error }

// Again has the Write that ctx belongs to run again, as after a conflict with others: another one has stored what err refuses after this
// one had looked for it. What it returns is to be returned by fn. After ten attempts, and in a session that cannot write, that is err
// itself, and fn is not run again.
func Again(ctx context.Context, err error) error {
	s := mustFromContext(ctx)
	if s.kind != Write || s.unit.Attempts.Load() >= maxAttempts {
		return err
	}
	s.slot <- struct{}{}
	defer s.leave()
	if s.dead == nil {
		s.dead = againError{err}
	}
	return againError{err}
}

// Attempt is which attempt at its unit of work the session of ctx is, counted from 1.
func Attempt(ctx context.Context) int { return int(mustFromContext(ctx).unit.Attempts.Load()) }
