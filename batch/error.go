package batch

import (
	"fmt"
	"log/slog"
)

// PanicError is the error of every key in a batch whose fetch panicked. Its message, which a client may
// see, is without the stack; a log/slog record of the error is not.
type PanicError struct {
	Value any
	Stack []byte
}

func (e *PanicError) Error() string { return fmt.Sprintf("batch: panic: %v", e.Value) }

// LogValue tells a log where the panic came from.
func (e *PanicError) LogValue() slog.Value {
	return slog.StringValue(e.Error() + "\n" + string(e.Stack))
}
