package identity

import (
	"context"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"rollcall/access"
	"rollcall/apierror"
	"rollcall/model"
	"rollcall/session"
)

// watchPeriod is the time between two looks at all viewers that have streams open, and the longest that one may take.
const watchPeriod = 2 * time.Second

// watch are the streams that are open, whose viewers may cease to be what they were.
type watch struct {
	period time.Duration

	mu      sync.Mutex
	streams map[*stream]struct{}
}

// stream is one that is open.
type stream struct {
	link    int64  // of the viewer; 0: none
	subject string // of an API token; "": it is not one's
	ended   chan error
	once    sync.Once
	expiry  *time.Timer // nil: the viewer does not expire
}

func (s *stream) end(err *apierror.Error) {
	s.once.Do(func() { s.ended <- err })
}

// Until watches over the viewer of a stream. ended receives an UNAUTHENTICATED error once the viewer may have no more of it: the token has
// expired or was withdrawn, or the user was deactivated or has gone. release is to be called when the stream has ended.
func (a *Authenticator) Until(ctx context.Context) (ended <-chan error, release func()) {
	s := &stream{ended: make(chan error, 1)}
	v := access.ViewerOf(ctx)
	if v == nil {
		return s.ended, func() {}
	}
	s.link, _ = ctx.Value(linkKey{}).(int64)
	if strings.HasPrefix(v.Subject, access.TokenSubject) {
		s.subject = v.Subject
	}
	if !v.Expires.IsZero() {
		s.expiry = time.AfterFunc(time.Until(v.Expires), func() { s.end(apierror.Unauthenticated("the token has expired")) })
	}
	if s.link != 0 || s.subject != "" {
		a.watch.mu.Lock()
		a.watch.streams[s] = struct{}{}
		a.watch.mu.Unlock()
	}
	return s.ended, func() {
		if s.expiry != nil {
			s.expiry.Stop()
		}
		a.watch.mu.Lock()
		delete(a.watch.streams, s)
		a.watch.mu.Unlock()
	}
}

// Run looks at the viewers of all open streams every 2 s until ctx ends. While the database does not tell, streams stay open.
func (a *Authenticator) Run(ctx context.Context) {
	ticker := time.NewTicker(a.watch.period)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		within, cancel := context.WithTimeout(ctx, watchPeriod)
		if err := a.look(within); err != nil && ctx.Err() == nil {
			a.Logger.WarnContext(ctx, "cannot tell whether those who have streams open still may", "error", err)
		}
		cancel()
	}
}

// look ends the streams whose viewers are none any more. Statements: one about all users, and one about all tokens.
func (a *Authenticator) look(ctx context.Context) error {
	a.watch.mu.Lock()
	streams := slices.Collect(maps.Keys(a.watch.streams))
	a.watch.mu.Unlock()
	links, subjects := map[int64]bool{}, map[string]bool{} // those that are still valid
	for _, s := range streams {
		if s.link != 0 {
			links[s.link] = false
		}
		if s.subject != "" {
			subjects[s.subject] = false
		}
	}
	failed := a.validLinks(ctx, links)
	if failed == nil {
		for _, s := range streams {
			if s.link != 0 && !links[s.link] {
				s.end(apierror.Unauthenticated("the user is deactivated or has gone, or the login is not the user's any more"))
			}
		}
	}
	if len(subjects) == 0 || a.Tokens == nil {
		return failed
	}
	valid, err := a.Tokens.Valid(ctx, slices.Collect(maps.Keys(subjects)))
	if err != nil {
		return err
	}
	for _, s := range streams {
		if s.subject != "" && !valid[s.subject] {
			s.end(apierror.Unauthenticated("the API token is not valid any more"))
		}
	}
	return failed
}

// validLinks sets which of some links are those of active users.
func (a *Authenticator) validLinks(ctx context.Context, links map[int64]bool) error {
	if len(links) == 0 {
		return nil
	}
	// The numbers stand in the text, since no database takes parameters without limit.
	text := []byte("SELECT i.id FROM identities i JOIN users u ON u.id = i.user_id WHERE u.status = ? AND i.id IN (")
	for i, id := range slices.Sorted(maps.Keys(links)) {
		if i > 0 {
			text = append(text, ',')
		}
		text = strconv.AppendInt(text, id, 10)
	}
	var valid []struct{ ID int64 }
	err := session.Run(ctx, a.links.Pools, session.Read, "(looks at those who have streams open)", func(ctx context.Context) error {
		return session.DB(ctx).Raw(string(append(text, ')')), model.StatusActive).Find(&valid).Error
	})
	for _, one := range valid {
		links[one.ID] = true
	}
	return err
}
