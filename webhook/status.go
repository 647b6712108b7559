package webhook

import (
	"context"
	"database/sql"
	"slices"
	"time"

	"rollcall/changelog"
	"rollcall/model"
)

// Status returns how far all webhooks of the database are, by name, those too that this server has not in its configuration. It does not run in
// the session of ctx.
func (w *Webhooks) Status(ctx context.Context) ([]*model.Webhook, error) {
	rows, err := w.DB.QueryContext(ctx, `SELECT w.name, w.position, w.mark, w.last_attempt_at, w.last_status, w.last_error, w.failing_since, w.disabled_at, k.position, c.at
FROM webhooks w CROSS JOIN changes_clock k LEFT JOIN changes c ON c.position = w.position + 1 WHERE k.id = 1 ORDER BY w.name`)
	if err != nil {
		return nil, err
	}
	defer func() { _ = rows.Close() }()
	all := []*model.Webhook{}
	for rows.Next() {
		var one model.Webhook
		var after changelog.Cursor
		var attempted, failing, disabled, oldest sql.NullInt64
		var now int64
		err := rows.Scan(&one.Name, &after.Position, &after.Mark, &attempted, &one.LastStatus, &one.LastError, &failing, &disabled, &now, &oldest)
		if err != nil {
			return nil, err
		}
		one.Position, one.Lag = after.String(), now-after.Position
		one.LastAttemptAt, one.FailingSince, one.DisabledAt, one.OldestUndelivered = timeOf(attempted), timeOf(failing), timeOf(disabled), timeOf(oldest)
		for _, r := range receiversOf(w.current()) {
			if r.Name == one.Name {
				endpoint := r.endpoint()
				one.Endpoint = &endpoint
			}
		}
		all = append(all, &one)
	}
	return all, rows.Err()
}

func timeOf(micros sql.NullInt64) *time.Time {
	if !micros.Valid {
		return nil
	}
	t := time.UnixMicro(micros.Int64).UTC()
	return &t
}

// watch keeps what the metrics show.
func (w *Webhooks) watch(ctx context.Context) {
	for ctx.Err() == nil {
		within, cancel := context.WithTimeout(ctx, statement)
		if all, err := w.Status(within); err == nil { // what is in the database's way, the senders report
			w.latest.Store(&all)
		}
		cancel()
		pause(ctx, watching)
	}
}

// last returns how far a webhook was a moment ago; nil: that is not known yet, or it is not configured any more.
func (w *Webhooks) last(name string) *model.Webhook {
	if !slices.ContainsFunc(w.current(), func(s *sender) bool { return s.Name == name }) {
		return nil
	}
	if all := w.latest.Load(); all != nil {
		for _, one := range *all {
			if one.Name == name {
				return one
			}
		}
	}
	return nil
}

// Lag returns how many changes a receiver did not have a moment ago.
func (w *Webhooks) Lag(name string) int {
	if one := w.last(name); one != nil {
		return int(one.Lag)
	}
	return 0
}

// Age returns how many seconds ago the oldest change was made that a receiver did not have a moment ago.
func (w *Webhooks) Age(name string) int {
	if one := w.last(name); one != nil && one.OldestUndelivered != nil {
		return max(0, int(time.Since(*one.OldestUndelivered).Seconds()))
	}
	return 0
}

// Disabled returns 1 if a webhook was disabled a moment ago, else 0.
func (w *Webhooks) Disabled(name string) int {
	if one := w.last(name); one != nil && one.DisabledAt != nil {
		return 1
	}
	return 0
}

// Outcomes are what becomes of an attempt: the receiver has confirmed, it has answered with another status, or there was no answer.
var Outcomes = []string{delivered, refused, failed}

const (
	delivered = "delivered"
	refused   = "refused"
	failed    = "failed"
)

// Attempts returns how many attempts of this server had an outcome.
func (w *Webhooks) Attempts(name, outcome string) int64 {
	for _, s := range w.current() {
		if s.Name == name {
			return s.attempts[outcome].Load()
		}
	}
	return 0
}
