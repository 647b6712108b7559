package session

import "context"

// Discard has the Write that ctx belongs to succeed without being stored, as a dry run does: where it would be committed, it is
// rolled back. Then there is no proof of it and no hook of AfterCommit runs, but Run returns nil. After a conflict fn is run again, and has
// to say so again. What only a COMMIT finds, such as a violation of a deferred constraint, is not found. Of a Read and a Snapshot there
// is nothing to discard.
func Discard(ctx context.Context) { mustFromContext(ctx).discarded.Store(true) }
