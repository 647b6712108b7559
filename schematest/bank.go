package schematest

import "io"

// Account is a row of the table accounts.
type Account struct {
	ID      int
	Balance int
}

// Counter is a row of the table counters.
type Counter struct {
	ID    int
	Value int
}

// Adjustment is an input that may ask for a dry run.
type Adjustment struct {
	ID     int
	DryRun bool
}

// Step is what a step of a test returns.
type Step struct {
	Value int
	Loud  *Loud
}

// Loud is a scalar whose marshaller panics.
type Loud struct{}

// MarshalGQL panics.
func (Loud) MarshalGQL(io.Writer) { panic("a loud value") }

// UnmarshalGQL takes anything.
func (*Loud) UnmarshalGQL(any) error { return nil }
