package graph

import (
	"context"

	"rollcall/loader"
	"rollcall/model"
)

type userResolver struct{ *Resolver }

// Manager resolves User.manager.
func (userResolver) Manager(ctx context.Context, u *model.User) (*model.User, error) {
	if u.ManagerID == nil {
		return nil, nil
	}
	return loader.FromContext(ctx).UserByID.Load(ctx, *u.ManagerID)
}

// Reports resolves User.reports.
func (r userResolver) Reports(ctx context.Context, u *model.User, first *int, after *string) (*model.UserConnection, error) {
	page, err := r.page(model.TypeUser, first, after)
	if err != nil {
		return nil, err
	}
	return loader.FromContext(ctx).Reports.Load(ctx, loader.List{Parent: u.ID, Page: page})
}

// Teams resolves User.teams.
func (r userResolver) Teams(ctx context.Context, u *model.User, first *int, after *string) (*model.UserTeamConnection, error) {
	page, err := r.page(model.TypeTeam, first, after)
	if err != nil {
		return nil, err
	}
	return loader.FromContext(ctx).TeamsOfUser.Load(ctx, loader.List{Parent: u.ID, Page: page})
}

type userCount struct{}

// TotalCount resolves UserConnection.totalCount.
func (userCount) TotalCount(ctx context.Context, c *model.UserConnection) (int, error) {
	return loader.FromContext(ctx).ReportCount.Load(ctx, c.CountKey())
}

type userTeamCount struct{}

// TotalCount resolves UserTeamConnection.totalCount.
func (userTeamCount) TotalCount(ctx context.Context, c *model.UserTeamConnection) (int, error) {
	return loader.FromContext(ctx).TeamCount.Load(ctx, c.CountKey())
}
