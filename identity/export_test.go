package identity

import (
	"context"
	"time"
)

// Pass has what an authenticator keeps grow older.
func (a *Authenticator) Pass(d time.Duration) {
	now := a.links.now
	a.links.now = func() time.Time { return now().Add(d) }
}

// Look looks at the viewers of all open streams once.
func (a *Authenticator) Look(ctx context.Context) error { return a.look(ctx) }
