package model

import "time"

// Webhook is how far the receiver of a webhook is.
type Webhook struct {
	Name              string
	Endpoint          *string // the scheme and the host of its URL; nil: this server does not have it in its configuration
	Position          string  // the cursor up to which the receiver has all changes
	Lag               int64   // the changes that it does not have
	OldestUndelivered *time.Time
	LastAttemptAt     *time.Time
	LastStatus        *int64  // of HTTP; nil: there was no answer
	LastError         *string // nil: the last attempt has succeeded
	FailingSince      *time.Time
	DisabledAt        *time.Time
}
