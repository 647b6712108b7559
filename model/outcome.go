package model

// MutationOutcome is what became of a mutation.
type MutationOutcome string

// The outcomes.
const (
	OutcomeCommitted MutationOutcome = "COMMITTED"
	OutcomeAborted   MutationOutcome = "ABORTED"
	OutcomeUnknown   MutationOutcome = "UNKNOWN"
	OutcomeExpired   MutationOutcome = "EXPIRED"
)
