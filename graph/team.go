package graph

import (
	"context"

	"rollcall/loader"
	"rollcall/model"
)

type teamResolver struct{ *Resolver }

// Members resolves Team.members.
func (r teamResolver) Members(ctx context.Context, t *model.Team, first *int, after *string) (*model.TeamMemberConnection, error) {
	page, err := r.page(model.TypeUser, first, after)
	if err != nil {
		return nil, err
	}
	return loader.FromContext(ctx).MembersOfTeam.Load(ctx, loader.List{Parent: t.ID, Page: page})
}

type teamCount struct{}

// TotalCount resolves TeamConnection.totalCount.
func (teamCount) TotalCount(ctx context.Context, c *model.TeamConnection) (int, error) {
	return loader.FromContext(ctx).AllTeamsCount.Load(ctx, c.CountKey())
}

type teamMemberCount struct{}

// TotalCount resolves TeamMemberConnection.totalCount.
func (teamMemberCount) TotalCount(ctx context.Context, c *model.TeamMemberConnection) (int, error) {
	return loader.FromContext(ctx).MemberCount.Load(ctx, c.CountKey())
}
