package batch

import (
	"fmt"
)

// PanicError is the error of every key in a batch whose fetch panicked.
type PanicError struct {
	Value any
	Stack []byte
}

func (e *PanicError) Error() string { return fmt.Sprintf("batch: panic: %v\n%s", e.Value, e.Stack) }
