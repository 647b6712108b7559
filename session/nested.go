package session

import (
	"reflect"
	"runtime"
	"sync"
	"sync/atomic"
	"time"
)

// How long a statement waits for its turn before it looks whether it waits for itself, and before the log tells of it.
const (
	shortWait = 100 * time.Millisecond // others' statements are shorter, and the look takes longer than some of them
	longWait  = 5 * time.Second
)

// wait takes the slot. It returns an error instead if the caller itself is what the slot's holder waits for.
func (s *Session) wait() error {
	select {
	case s.slot <- struct{}{}:
		return nil
	default:
	}
	looked := false
	timer := time.NewTimer(shortWait)
	defer timer.Stop()
	for {
		select {
		case s.slot <- struct{}{}:
			return nil
		case <-s.ctx.Done():
			return s.cause()
		case <-timer.C:
		}
		switch {
		case !looked && s.nested():
			return ErrNested
		case !looked:
			looked = true
			timer.Reset(longWait)
		case s.doing.Load() > 0:
			s.logger.Warn("a statement waits for session.Do to return; is it called from there, on another goroutine?", "operation", s.op.String())
		}
	}
}

// numbers counts the sessions.
var numbers atomic.Uint32

// mark calls fn with the session's number on the stack, where nested finds it, and nobody else's: that of a goroutine tells who
// waits for whom. (Do itself is on the stack of those who wait for another one, too, and in it another operation may be run.)
func (s *Session) mark(fn func()) {
	m := marking{rest: s.number, left: digitsOfNumber, fn: fn}
	m.step = m.next
	m.next()
}

// marking is a number that is yet to be written to the stack: each of its digits is a function that is called.
type marking struct {
	rest uint32
	left int
	fn   func()
	step func() // next
}

const digitsOfNumber = 8 // hexadecimal ones

func (m *marking) next() {
	if m.left == 0 {
		m.fn()
		return
	}
	digit := m.rest & 0xf
	m.rest >>= 4
	m.left--
	digits[digit](m.step)
}

// digits are functions that do the same and have different names.
var digits = [16]func(next func()){
	func(next func()) { next() },
	func(next func()) { next() },
	func(next func()) { next() },
	func(next func()) { next() },
	func(next func()) { next() },
	func(next func()) { next() },
	func(next func()) { next() },
	func(next func()) { next() },
	func(next func()) { next() },
	func(next func()) { next() },
	func(next func()) { next() },
	func(next func()) { next() },
	func(next func()) { next() },
	func(next func()) { next() },
	func(next func()) { next() },
	func(next func()) { next() },
}

// digitOf is the digit of each name.
var digitOf = sync.OnceValue(func() map[string]uint32 {
	names := map[string]uint32{}
	for i, digit := range digits {
		names[nameOf(digit)] = uint32(i)
	}
	return names
})

// nested tells whether the caller has been called by what holds the session's slot: within Do, for a row of Query, or by GORM for a
// statement.
func (s *Session) nested() bool {
	digitOf, marked := digitOf(), nameOf((*Session).mark)
	number := uint32(0) // its last digits were written first
	callers := make([]uintptr, 64)
	for skip := 2; ; skip += len(callers) {
		n := runtime.Callers(skip, callers)
		frames := runtime.CallersFrames(callers[:n])
		for more := n > 0; more; {
			var frame runtime.Frame
			frame, more = frames.Next()
			if digit, ok := digitOf[frame.Function]; ok {
				number = number<<4 | digit
			} else if frame.Function == marked && number == s.number {
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
