package session

import (
	"reflect"
	"runtime"
	"slices"
	"time"

	"gorm.io/gorm"
)

// How long a statement waits for its turn before it looks whether it waits for itself, and before it is logged.
const (
	shortWait = 100 * time.Millisecond // others' statements are shorter, and the look takes longer than some of them
	longWait  = 5 * time.Second
)

// acquire waits for the slot, if there is a transaction, and takes it. It returns an error instead if the caller itself is what the slot's
// holder waits for.
func (s *Session) acquire() error {
	if s.kind == Read {
		if s.doing.Load() > 0 && nested() {
			return ErrNested
		}
		if !s.reading.TryRLock() { // waiting for a Close that waits for this goroutine would never end
			return &ClosedError{s.op}
		}
		return nil
	}
	return s.take()
}

// take takes the slot.
func (s *Session) take() error {
	select {
	case s.slot <- struct{}{}:
		return nil
	default:
	}
	timeout := time.After(shortWait)
	for looked := false; ; looked = true {
		select {
		case s.slot <- struct{}{}:
			return nil
		case <-s.ctx.Done():
			return s.cause()
		case <-timeout:
		}
		switch {
		case !looked && nested():
			return ErrNested
		case !looked:
			timeout = time.After(longWait)
		case s.doing.Load() > 0:
			s.unit.logger().Warn("a statement waits for session.Do to return; is it called from there, on another goroutine?", "operation", s.op.String())
		}
	}
}

// lend calls what Do was given. (Do itself is on the stack of those, too, that wait for another one.)
func lend(tx *gorm.DB, fn func(tx *gorm.DB) error) error { return fn(tx) }

// nested reports whether the caller has been called by what holds a slot: within Do, for a row of Query, or by GORM for a
// statement. That is on its stack, and on no other.
func nested() bool {
	holders := []string{nameOf(lend), nameOf((*Session).read), nameOf(runNoted)}
	callers := make([]uintptr, 64)
	for skip := 2; ; skip += len(callers) {
		n := runtime.Callers(skip, callers)
		frames := runtime.CallersFrames(callers[:n])
		for more := n > 0; more; {
			var frame runtime.Frame
			if frame, more = frames.Next(); slices.Contains(holders, frame.Function) {
				return true
			}
		}
		if n < len(callers) {
			return false
		}
	}
}

// nameOf returns a function's name as a stack has it.
func nameOf(fn any) string { return runtime.FuncForPC(reflect.ValueOf(fn).Pointer()).Name() }
