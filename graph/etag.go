package graph

import (
	"cmp"
	"context"
	"fmt"
	"time"

	"rollcall/access"
	"rollcall/changelog"
	"rollcall/operation"
	"rollcall/session"
	"rollcall/transport"
)

// logged are the fields of Query whose values come from what the log of changes has, from its positions, and from nothing else: neither from
// other tables nor from the time. Their answers can have an ETag.
var logged = map[string]bool{
	"asOf": true, "changes": true,
	"node": true, "nodes": true,
	"user": true, "userByEmail": true, "userByExternalId": true, "users": true,
	"team": true, "teams": true,
}

// validators give answers an ETag by the position of the log.
func (cfg Config) validators(pools session.Pools) *transport.Validators {
	v := &transport.Validators{Fields: logged, Viewer: access.IdentityOf}
	pools.Deadline = min(time.Second, cmp.Or(pools.Deadline, time.Second)) // then the operation itself shows what is wrong
	v.Version = func(ctx context.Context) (version string, ok bool) {
		var now changelog.Now
		var replica session.Replica
		unit := session.Unit{Pools: pools, Operation: session.NewOperation("", session.Read.String(), "ETag"), Needs: operation.Needs(ctx)}
		err := unit.Run(ctx, func(s *session.Session) (err error) {
			replica = s.Replica()
			now, err = cfg.Log.Now(s.Context())
			return err
		})
		if pools.Choose != nil {
			operation.ReadAt(ctx, replica) // or the answer might be older than its version
		}
		switch {
		case err != nil:
			return "", false
		case now.Unnumbered: // the position is not yet that of what is committed
			return "", false
		case now.Cursor.Position == 0: // nothing tells this database from another one
			return "", false
		}
		version = fmt.Sprint(now.Cursor, " ", now.Expired)
		if cfg.Program != nil {
			version += " " + cfg.Program()
		}
		return version, true
	}
	return v
}
