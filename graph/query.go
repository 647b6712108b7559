package graph

import (
	"context"
	"errors"

	"rollcall/apierror"
	"rollcall/loader"
	"rollcall/model"
	"rollcall/session"
)

type queryResolver struct{ *Resolver }

// MutationOutcome resolves Query.mutationOutcome.
func (r queryResolver) MutationOutcome(ctx context.Context, id string) (model.MutationOutcome, error) {
	if r.Proof == nil {
		return model.OutcomeUnknown, nil
	}
	outcome, err := r.Proof.Outcome(ctx, id)
	if errors.Is(err, session.ErrNoOperation) {
		return "", apierror.BadInput("operationId", "%q is not the id of an operation", apierror.Clip(id))
	}
	switch outcome {
	case session.Committed:
		return model.OutcomeCommitted, nil
	case session.Aborted:
		return model.OutcomeAborted, nil
	case session.Expired:
		return model.OutcomeExpired, nil
	default:
		return model.OutcomeUnknown, nil
	}
}

// Node resolves Query.node.
func (queryResolver) Node(ctx context.Context, id string) (model.Node, error) {
	typ, key, err := model.ParseID(id)
	if err != nil {
		return nil, err
	}
	return node(ctx, typ, key)
}

// Nodes resolves Query.nodes.
func (r queryResolver) Nodes(ctx context.Context, ids []string) ([]model.Node, error) {
	if len(ids) > r.MaxPage {
		return nil, apierror.BadInput("ids", "ids: %d are more than a page holds (%d)", len(ids), r.MaxPage)
	}
	types, keys := make([]string, len(ids)), make([]int64, len(ids))
	for i, id := range ids {
		var err error
		if types[i], keys[i], err = model.ParseID(id); err != nil {
			return nil, err
		}
	}
	nodes := make([]model.Node, len(ids))
	for i := range ids {
		var err error
		if nodes[i], err = node(ctx, types[i], keys[i]); err != nil {
			return nil, err
		}
	}
	return nodes, nil
}

// node loads an object of one of the types that have ids; nil where there is none.
func node(ctx context.Context, typ string, key int64) (model.Node, error) {
	loaders := loader.FromContext(ctx)
	if typ == model.TypeTeam {
		team, err := loaders.TeamByID.Load(ctx, key)
		if team == nil {
			return nil, err // not a nil *Team in an interface
		}
		return team, err
	}
	user, err := loaders.UserByID.Load(ctx, key)
	if user == nil {
		return nil, err
	}
	return user, err
}

// User resolves Query.user.
func (queryResolver) User(ctx context.Context, id string) (*model.User, error) {
	key, err := model.ParseIDOf(model.TypeUser, "id", id)
	if err != nil {
		return nil, err
	}
	return loader.FromContext(ctx).UserByID.Load(ctx, key)
}

// UserByEmail resolves Query.userByEmail.
func (queryResolver) UserByEmail(ctx context.Context, email string) (*model.User, error) {
	return loader.FromContext(ctx).UserByEmail.Load(ctx, model.NormalEmail(email))
}

// Users resolves Query.users.
func (r queryResolver) Users(ctx context.Context, first *int, after *string) (*model.UserConnection, error) {
	page, err := r.page(model.TypeUser, first, after)
	if err != nil {
		return nil, err
	}
	return loader.FromContext(ctx).Users.Load(ctx, page)
}

// Team resolves Query.team.
func (queryResolver) Team(ctx context.Context, id string) (*model.Team, error) {
	key, err := model.ParseIDOf(model.TypeTeam, "id", id)
	if err != nil {
		return nil, err
	}
	return loader.FromContext(ctx).TeamByID.Load(ctx, key)
}

// Teams resolves Query.teams.
func (r queryResolver) Teams(ctx context.Context, first *int, after *string) (*model.TeamConnection, error) {
	page, err := r.page(model.TypeTeam, first, after)
	if err != nil {
		return nil, err
	}
	return loader.FromContext(ctx).Teams.Load(ctx, page)
}
