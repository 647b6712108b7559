package loader

import (
	"context"
	"errors"

	"rollcall/model"
	"rollcall/session"
)

// Loaders are the directory's relations, for one operation.
type Loaders struct {
	UserByID      *Loader[int64, *model.User] // nil where there is none
	TeamByID      *Loader[int64, *model.Team] // nil where there is none
	Reports       *Loader[List, *model.UserConnection]
	TeamsOfUser   *Loader[List, *model.UserTeamConnection]
	MembersOfTeam *Loader[List, *model.TeamMemberConnection]
	ReportCount   *Loader[int64, int] // by manager
	TeamCount     *Loader[int64, int] // by user
	MemberCount   *Loader[int64, int] // by team

	ctx        context.Context
	dispatcher dispatcher
	clear      []func()
}

// List is a page of the list that belongs to one parent row.
type List struct {
	Parent int64
	model.Page
}

type contextKey struct{}

// NewContext returns ctx with loaders for the operation whose session is in it.
func NewContext(ctx context.Context) context.Context {
	l := &Loaders{ctx: ctx}
	l.UserByID = newLoader(l, l.usersByID)
	l.TeamByID = newLoader(l, l.teamsByID)
	l.Reports = newLoader(l, perPage(l.reports))
	l.TeamsOfUser = newLoader(l, perPage(l.teamsOfUsers))
	l.MembersOfTeam = newLoader(l, perPage(l.membersOfTeams))
	l.ReportCount = newLoader(l, countBy("users", "manager_id"))
	l.TeamCount = newLoader(l, countBy("memberships", "user_id"))
	l.MemberCount = newLoader(l, countBy("memberships", "team_id"))
	return context.WithValue(ctx, contextKey{}, l)
}

// FromContext returns the loaders of the operation that ctx belongs to.
func FromContext(ctx context.Context) *Loaders {
	if l, ok := ctx.Value(contextKey{}).(*Loaders); ok {
		return l
	}
	panic(errors.New("loader: no loaders in the context: set session.Extension.Bind to loader.NewContext"))
}

// Clear forgets everything that was loaded: a write may have changed it.
func (l *Loaders) Clear() {
	for _, clear := range l.clear {
		clear()
	}
}

// Wrote is Clear after a write of a user, whose row is now as given.
func (l *Loaders) Wrote(ctx context.Context, user *model.User) {
	l.Clear()
	l.UserByID.Prime(ctx, user.ID, user)
}

// perPage lets a batch of lists be read in groups that are asked for the same page.
func perPage[V any](read func(ctx context.Context, parents []int64, page model.Page) (map[int64]V, error)) fetch[List, V] {
	return func(ctx context.Context, keys []List) (map[List]V, error) {
		parents := map[model.Page][]int64{}
		for _, k := range keys {
			parents[k.Page] = append(parents[k.Page], k.Parent)
		}
		lists := make(map[List]V, len(keys))
		for page, ids := range parents {
			values, err := read(ctx, ids, page)
			if err != nil {
				return nil, err
			}
			for id, v := range values {
				lists[List{id, page}] = v
			}
		}
		return lists, nil
	}
}

// countBy reads how many rows of a table belong to each parent.
func countBy(table, parent string) fetch[int64, int] {
	return func(ctx context.Context, keys []int64) (map[int64]int, error) {
		var rows []struct {
			Parent int64
			Count  int
		}
		err := session.DB(ctx).Table(table).Select(parent+" AS parent, COUNT(*) AS count").
			Where(parent+" IN ?", keys).Group(parent).Find(&rows).Error
		counts := make(map[int64]int, len(rows))
		for _, r := range rows {
			counts[r.Parent] = r.Count
		}
		return counts, err
	}
}
