// Package graph has the resolvers.
package graph

import (
	"context"

	"rollcall/directory"
	"rollcall/graph/generated"
	"rollcall/model"
)

// Resolver is the root of the resolvers. Those that it does not have are relations, which the read plan resolves.
type Resolver struct {
	generated.ResolverRoot
	*directory.Directory
}

// Query resolves the fields of Query, all of which the read plan does.
func (r *Resolver) Query() generated.QueryResolver { return nil }

// Mutation resolves the fields of Mutation.
func (r *Resolver) Mutation() generated.MutationResolver { return mutationResolver{r} }

type mutationResolver struct{ *Resolver }

// CreateUser resolves Mutation.createUser.
func (r mutationResolver) CreateUser(ctx context.Context, input map[string]any) (*model.UserPayload, error) {
	return userPayload(r.Directory.CreateUser(ctx, input))
}

// UpdateUser resolves Mutation.updateUser.
func (r mutationResolver) UpdateUser(ctx context.Context, input map[string]any) (*model.UserPayload, error) {
	return userPayload(r.Directory.UpdateUser(ctx, input))
}

func userPayload(user *model.User, err error) (*model.UserPayload, error) {
	if err != nil {
		return nil, err
	}
	return &model.UserPayload{User: user}, nil
}
