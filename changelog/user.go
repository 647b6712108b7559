package changelog

import (
	"context"
	"database/sql"
	"slices"

	"rollcall/model"
	"rollcall/session"
)

// noFields are the fields of a change whose values were erased.
const noFields = "[]"

// Erase is Append for a change of kind Erased, at whose commit no change of a user, or of a membership of that user, has values any more:
// neither those that are committed, with a position or without, nor those that the same mutation writes. The
// mutation must keep others from changing the user and the memberships, which is so once it has deleted them.
func (l *Log) Erase(ctx context.Context, user int64, change func() *model.Change) {
	l.Append(ctx, change)
	p := session.BeforeCommit(ctx, l.write)
	p.erased = append(p.erased, user)
}

// erase empties the changes of a user that are stored. The clock is locked before, where the mutation moves it: as Sweep does.
func erase(ctx context.Context, user int64) error {
	return session.DB(ctx).Exec("UPDATE changes SET fields = ?, erased = ? WHERE user_id = ? AND erased = ?", noFields, true, user, false).Error
}

// Held is what the log has of a user.
type Held struct {
	Changes    int64 // of the user and of the user's memberships
	WithValues int64 // how many of these are not erased
	Version    int64 // the user's last one that is known; 0: none
}

// Held tells what the log has of a user, with what the mutation that ctx belongs to is to write, in one statement in its session.
func (l *Log) Held(ctx context.Context, user int64) (held Held, err error) {
	err = l.query(ctx, `SELECT COUNT(*), COALESCE(SUM(CASE WHEN erased THEN 0 ELSE 1 END), 0), COALESCE(MAX(CASE WHEN type = ? THEN version END), 0)
		FROM changes WHERE user_id = ?`, []any{model.UserType, user}, func(rows *sql.Rows) error {
		return rows.Scan(&held.Changes, &held.WithValues, &held.Version)
	})
	p := session.BeforeCommit(ctx, l.write)
	for _, made := range p.changes {
		c := made()
		if c.UserID == nil || *c.UserID != user {
			continue
		}
		held.Changes++
		held.WithValues++
		if c.Type == model.UserType {
			held.Version = max(held.Version, c.Version)
		}
	}
	if slices.Contains(p.erased, user) {
		held.WithValues = 0
	}
	return held, err
}

// OfUser returns all changes of a user and of the user's memberships, in the order of the log; those that have no positions yet come last. It is
// one statement in the session of ctx.
func (l *Log) OfUser(ctx context.Context, user int64) (changes []*model.Change, err error) {
	err = l.query(ctx, "SELECT "+columns+" FROM changes WHERE user_id = ? ORDER BY CASE WHEN position IS NULL THEN 1 ELSE 0 END, position, id", []any{user},
		func(rows *sql.Rows) error {
			var c row
			err := rows.Scan(c.targets()...)
			if err == nil {
				changes = append(changes, c.change())
			}
			return err
		})
	return changes, err
}
