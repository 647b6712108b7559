// Package loader declares the directory's relations: their keys, their statements and their order.
package loader

import (
	"context"
	"errors"

	"github.com/99designs/gqlgen/graphql"

	"rollcall/batch"
	"rollcall/model"
	"rollcall/session"
)

// Loaders are the directory's relations, for one operation.
type Loaders struct {
	UserByID      batch.Loader[int64, *model.User] // nil where there is none
	UserByEmail   batch.Loader[string, *model.User]
	TeamByID      batch.Loader[int64, *model.Team]
	Users         batch.Loader[model.Page, *model.UserConnection]
	Teams         batch.Loader[model.Page, *model.TeamConnection]
	Reports       batch.Loader[List, *model.UserConnection]
	TeamsOfUser   batch.Loader[List, *model.UserTeamConnection]
	MembersOfTeam batch.Loader[List, *model.TeamMemberConnection]
	ReportCount   batch.Loader[int64, int] // by manager; 0: all users
	TeamCount     batch.Loader[int64, int] // by user
	MemberCount   batch.Loader[int64, int] // by team
	AllTeamsCount batch.Loader[int64, int] // of 0

	set *batch.Set
}

// List is a page of the list that belongs to one parent row.
type List struct {
	Parent int64
	model.Page
}

type contextKey struct{}

// Bind returns what an operation.Extension is to bind: loaders for each operation, or for a group of queries, that
// follow a plan.
func Bind(plan *batch.Plan) func(context.Context, []*graphql.OperationContext) context.Context {
	return func(ctx context.Context, operations []*graphql.OperationContext) context.Context {
		return newContext(ctx, plan, operations)
	}
}

func newContext(ctx context.Context, plan *batch.Plan, operations []*graphql.OperationContext) context.Context {
	l := &Loaders{}
	ctx = context.WithValue(ctx, contextKey{}, l) // for what loaders read, too
	if len(operations) > 1 {
		l.set = batch.NewGroup(ctx, plan, operations...)
		ctx = l.set.Join(ctx)
	} else {
		ctx, l.set = batch.NewSet(ctx, plan)
	}
	l.UserByID.Join(l.set, usersByID)
	l.UserByEmail.Join(l.set, usersByEmail)
	l.TeamByID.Join(l.set, teamsByID)
	l.Users.Join(l.set, readUsers)
	l.Teams.Join(l.set, readTeams)
	l.Reports.Join(l.set, readReports)
	l.TeamsOfUser.Join(l.set, readTeamsOfUsers)
	l.MembersOfTeam.Join(l.set, readMembersOfTeams)
	l.ReportCount.Join(l.set, userCounts)
	l.TeamCount.Join(l.set, countTeams)
	l.MemberCount.Join(l.set, countMembers)
	l.AllTeamsCount.Join(l.set, countAllTeams)
	return ctx
}

// How lists and numbers are read.
var (
	readUsers          = each(users)
	readTeams          = each(teams)
	readReports        = perPage(reports)
	readTeamsOfUsers   = perPage(teamsOfUsers)
	readMembersOfTeams = perPage(membersOfTeams)
	countTeams         = countBy("memberships", "user_id")
	countMembers       = countBy("memberships", "team_id")
	countAllTeams      = each(countAll(&model.Team{}))
)

// FromContext returns the loaders of the operation that ctx belongs to.
func FromContext(ctx context.Context) *Loaders {
	if l, ok := ctx.Value(contextKey{}).(*Loaders); ok {
		return l
	}
	panic(errors.New("loader: no loaders in the context: set operation.Extension.Bind to loader.Bind(plan)"))
}

// Clear forgets everything that was loaded: a write may have changed it.
func (l *Loaders) Clear() {
	l.set.Clear()
}

// Wrote is Clear after a write of a user, whose row is now as given.
func (l *Loaders) Wrote(user *model.User) {
	l.Clear()
	l.UserByID.Prime(user.ID, user)
}

// perPage lets a batch of lists be read in groups that are asked for the same page.
func perPage[V any](read func(ctx context.Context, parents []int64, page model.Page) (map[int64]V, error)) batch.Fetch[List, V] {
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

// each reads keys that have nothing in common, one after the other.
func each[K comparable, V any](read func(ctx context.Context, key K) (V, error)) batch.Fetch[K, V] {
	return func(ctx context.Context, keys []K) (map[K]V, error) {
		values := make(map[K]V, len(keys))
		for _, k := range keys {
			v, err := read(ctx, k)
			if err != nil {
				return nil, err
			}
			values[k] = v
		}
		return values, nil
	}
}

// countAll reads how many rows a table has.
func countAll(table any) func(context.Context, int64) (int, error) {
	return func(ctx context.Context, _ int64) (int, error) {
		var n int64
		err := session.DB(ctx).Model(table).Count(&n).Error
		return int(n), err
	}
}

// countBy reads how many rows of a table belong to each parent.
func countBy(table, parent string) batch.Fetch[int64, int] {
	return func(ctx context.Context, keys []int64) (map[int64]int, error) {
		counts := make(map[int64]int, len(keys))
		err := in(keys, func(_ string, keys []any) error {
			var rows []struct {
				Parent int64
				Count  int
			}
			err := session.DB(ctx).Table(table).Select(parent+" AS parent, COUNT(*) AS count").
				Where(parent+" IN ?", keys).Group(parent).Find(&rows).Error
			for _, r := range rows {
				counts[r.Parent] = r.Count
			}
			return err
		})
		return counts, err
	}
}
