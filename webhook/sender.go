package webhook

import (
	"cmp"
	"context"
	"crypto/rand"
	"database/sql"
	"errors"
	mathrand "math/rand/v2"
	"net/http"
	"sync/atomic"
	"time"

	"rollcall/apierror"
	"rollcall/changelog"
	"rollcall/model"
)

// maxBatch is how many changes one request has at most: about 20 KB.
const maxBatch = 100

// sender delivers one webhook, whenever this server has its lease. Nothing of it is shared with another, so that a slow receiver
// delays no other.
type sender struct {
	*Webhooks
	Receiver
	client   *http.Client
	woken    chan struct{}
	attempts map[string]*atomic.Int64 // by outcome
	reported bool                     // that it is in trouble
	disabled bool                     // which is reported
}

func newSender(w *Webhooks, r Receiver) *sender {
	s := &sender{Webhooks: w, Receiver: r, client: newClient(), woken: make(chan struct{}, 1), attempts: map[string]*atomic.Int64{}}
	for _, outcome := range Outcomes {
		s.attempts[outcome] = &atomic.Int64{}
	}
	return s
}

// run has one turn after the other until ctx ends.
func (s *sender) run(ctx context.Context) {
	defer s.client.CloseIdleConnections()
	for ctx.Err() == nil {
		err := s.turn(ctx)
		if ctx.Err() != nil {
			return
		}
		if err != nil && !s.reported {
			s.reported = true
			s.Logger.Warn("cannot deliver the webhook now", "webhook", s.Name, "error", err)
		}
		pause(ctx, s.Times.Poll)
	}
}

// turn waits for the lease, delivers while it lasts, and gives it back.
func (s *sender) turn(ctx context.Context) error {
	owner := rand.Text()
	r, began, err := s.acquire(ctx, owner)
	if err != nil {
		return err
	}
	held, lose := context.WithCancelCause(context.WithoutCancel(ctx))
	defer lose(nil)
	defer context.AfterFunc(ctx, func() {
		pause(held, s.Times.Finish) // what is being sent need not be sent again
		lose(ctx.Err())
	})()
	timer := time.AfterFunc(s.Times.HoldFor-time.Since(began), func() { lose(errLost) })
	defer timer.Stop()
	renewed := make(chan struct{})
	go func() {
		defer close(renewed)
		s.renew(held, owner, timer, lose)
	}()
	err = s.deliver(held, ctx.Done(), owner, r)
	lose(nil)
	<-renewed
	// What was sent has ended: another server may go on.
	back, cancel := context.WithTimeout(context.WithoutCancel(ctx), s.Times.HoldFor)
	defer cancel()
	_ = s.store(back, s.Name, owner, "owner = ''") // else it is taken in time
	return err
}

// acquire waits until the lease is free, takes it, and returns the row, and when it began to take it.
func (s *sender) acquire(ctx context.Context, owner string) (r row, began time.Time, err error) {
	var seen row // since a time
	var since time.Time
	for ctx.Err() == nil {
		began = time.Now()
		r, err = s.read(ctx, s.Name)
		switch {
		case errors.Is(err, sql.ErrNoRows):
			err = s.register(ctx, s.Name)
		case err != nil:
		case r.disabledAt.Valid:
			s.report(r)
		case r.owner == "" || r.owner == seen.owner && r.renewedAt == seen.renewedAt && began.Sub(since) > s.Times.TakeAfter:
			began = time.Now()
			var taken bool
			if taken, err = s.take(ctx, s.Name, owner, r); taken {
				s.disabled = false
				return r, began, nil
			}
		case r.owner != seen.owner || r.renewedAt != seen.renewedAt:
			seen, since, s.reported, s.disabled = r, time.Now(), false, false
		}
		if err != nil {
			return r, began, err
		}
		pause(ctx, s.Times.Renew)
	}
	return r, began, ctx.Err()
}

// report logs that the webhook is disabled, once.
func (s *sender) report(r row) {
	if !s.disabled {
		s.disabled = true
		s.Logger.Error("the webhook is disabled until `rollcall webhook enable` has it go on", "webhook", s.Name, "error", r.lastError.String)
	}
}

// renew renews the lease until ctx ends, and moves the time at which it must be used no more.
func (s *sender) renew(ctx context.Context, owner string, timer *time.Timer, lose context.CancelCauseFunc) {
	for {
		if pause(ctx, s.Times.Renew); ctx.Err() != nil {
			return
		}
		began := time.Now()
		err := s.store(ctx, s.Name, owner, "renewed_at = ?", began.UnixMicro())
		switch {
		case errors.Is(err, errLost):
			lose(err)
			return
		case err == nil:
			timer.Reset(s.Times.HoldFor - time.Since(began))
		}
	}
}

// deliver sends batch after batch, while ctx lasts, and until it is to end.
func (s *sender) deliver(ctx context.Context, end <-chan struct{}, owner string, r row) error {
	for {
		select {
		case <-end:
			return nil
		default:
		}
		changes, err := s.next(ctx, owner, &r)
		var result attempt
		switch {
		case apierror.CodeOf(err) == changelog.CodeExpired:
			result, err = s.expired(ctx, r)
			if err != nil {
				return err
			}
		case err != nil:
			return err
		case len(changes) == 0:
			s.reported = false
			select {
			case <-s.woken:
			case <-time.After(s.Times.Poll):
			case <-end:
			case <-ctx.Done():
				return context.Cause(ctx)
			}
			continue
		default:
			result = s.post(ctx, messageOf(changes))
			if ctx.Err() != nil {
				return context.Cause(ctx)
			}
			s.attempts[result.outcome()].Add(1)
		}
		if result.outcome() == delivered {
			if err := s.delivered(ctx, owner, &r, changes[len(changes)-1], result); err != nil {
				return err
			}
			continue
		}
		wait, err := s.failed(ctx, owner, &r, result)
		if err != nil || wait == 0 {
			return err
		}
		select {
		case <-time.After(wait):
		case <-end:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// unsent are the types of objects whose changes receivers do not get: those of API tokens are for administrators alone.
var unsent = []model.ChangeType{model.APITokenType}

// next returns the next batch; it is stored where it ends. What receivers do not get is passed over.
func (s *sender) next(ctx context.Context, owner string, r *row) ([]*model.Change, error) {
	page, err := s.Log.Read(ctx, changelog.Query{After: &r.after, Limit: maxBatch, Except: unsent})
	if err != nil {
		return nil, err
	}
	changes := page.Changes
	if page.Until.Position < r.batchUntil && len(changes) < maxBatch {
		return nil, nil // this server of the database has not got all of what is being sent again
	}
	if len(changes) == 0 {
		return nil, s.pass(ctx, owner, r, page.Until)
	}
	for len(changes) > 1 && r.batchUntil > r.after.Position && changes[len(changes)-1].Position > r.batchUntil { // more were made since it was first sent
		changes = changes[:len(changes)-1]
	}
	if until := changes[len(changes)-1].Position; until != r.batchUntil {
		if err := s.store(ctx, s.Name, owner, "batch_until = ?", until); err != nil {
			return nil, err
		}
		r.batchUntil = until
	}
	return changes, nil
}

// pass stores that there is nothing to be sent up to a cursor.
func (s *sender) pass(ctx context.Context, owner string, r *row, until changelog.Cursor) error {
	if until.Position == r.after.Position {
		return nil
	}
	err := s.store(ctx, s.Name, owner, "position = ?, mark = ?, batch_until = ?", until.Position, until.Mark, until.Position)
	if err == nil {
		r.after, r.batchUntil = until, until.Position
	}
	return err
}

// expired returns the failure of a webhook whose changes the log does not give: they are gone, unless this server of the database has not got to them
// yet.
func (s *sender) expired(ctx context.Context, r row) (attempt, error) {
	now, err := s.Log.Now(ctx)
	if err != nil {
		return attempt{}, err
	}
	if now.Cursor.Position < r.after.Position {
		return attempt{err: "the log of changes ends before the webhook's position"}, nil
	}
	return attempt{err: string(changelog.CodeExpired) + ": the changes after the webhook's position are not kept any more", final: true}, nil
}

// delivered stores that the receiver has everything up to a change.
func (s *sender) delivered(ctx context.Context, owner string, r *row, last *model.Change, result attempt) error {
	cursor := changelog.CursorOf(last)
	err := s.store(ctx, s.Name, owner, "position = ?, mark = ?, last_attempt_at = ?, last_status = ?, last_error = NULL, failing_since = NULL",
		cursor.Position, cursor.Mark, time.Now().UnixMicro(), result.status)
	if err != nil {
		return err
	}
	if r.failing.Valid {
		s.Logger.Info("the receiver of the webhook confirms again", "webhook", s.Name)
	}
	r.after, r.failing = cursor, sql.NullInt64{}
	return nil
}

// failed stores a failure. It returns how long to wait for the next attempt; 0: there is none, since the webhook is disabled.
func (s *sender) failed(ctx context.Context, owner string, r *row, result attempt) (wait time.Duration, err error) {
	now := time.Now()
	at := sql.NullInt64{Int64: now.UnixMicro(), Valid: true}
	// What no server has tried for long is not what the receiver has failed for long.
	untried := r.attemptedAt.Valid && now.Sub(time.UnixMicro(r.attemptedAt.Int64)) > max(2*s.Times.MaxPause, 2*maxRetryAfter)
	if !r.failing.Valid || untried {
		s.Logger.Warn("cannot deliver the webhook now", "webhook", s.Name, "error", result.err)
		r.failing = at
	}
	r.attemptedAt = at
	var status *int
	if result.status != 0 {
		status = &result.status
	}
	set, args := "last_attempt_at = ?, last_status = ?, last_error = ?, failing_since = ?", []any{at, status, result.err, r.failing}
	failing := max(0, now.Sub(time.UnixMicro(r.failing.Int64)))
	if result.final || failing >= s.Times.GiveUp {
		if err := s.store(ctx, s.Name, owner, set+", owner = '', disabled_at = ?", append(args, at)...); err != nil {
			return 0, err
		}
		return 0, nil // acquire reports it, as other servers' do
	}
	if err := s.store(ctx, s.Name, owner, set, args...); err != nil {
		return 0, err
	}
	// As long as it has failed already: that doubles with each attempt, whichever server makes it.
	wait = min(max(failing, s.Times.MinPause), s.Times.MaxPause)
	wait = wait/2 + mathrand.N(wait/2+1)
	wait = min(max(wait, result.retryAfter), s.Times.GiveUp-failing)
	return cmp.Or(wait, time.Millisecond), nil
}
