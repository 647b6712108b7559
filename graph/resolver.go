// Package graph serves the directory's schema: the HTTP handler, the resolvers, and what clients see of errors.
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

// Query has the resolvers of those fields of Query that the read plan leaves to gqlgen.
func (r *Resolver) Query() generated.QueryResolver { return queryResolver{Resolver: r} }

// Mutation resolves the fields of Mutation.
func (r *Resolver) Mutation() generated.MutationResolver { return mutationResolver{r} }

// Subscription resolves the fields of Subscription.
func (r *Resolver) Subscription() generated.SubscriptionResolver { return subscriptionResolver{r} }

type queryResolver struct {
	generated.QueryResolver
	*Resolver
}

// MutationOutcome resolves Query.mutationOutcome.
func (r queryResolver) MutationOutcome(ctx context.Context, id string) (model.MutationOutcome, error) {
	return r.Directory.MutationOutcome(ctx, id)
}

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

// DeleteUser resolves Mutation.deleteUser.
func (r mutationResolver) DeleteUser(ctx context.Context, input map[string]any) (*model.DeleteUserPayload, error) {
	return deletedPayload(r.Directory.DeleteUser(ctx, input))
}

func deletedPayload(id string, err error) (*model.DeleteUserPayload, error) {
	if err != nil {
		return nil, err
	}
	return &model.DeleteUserPayload{DeletedUserID: id}, nil
}

type subscriptionResolver struct{ *Resolver }

// UserChanged resolves Subscription.userChanged.
func (r subscriptionResolver) UserChanged(ctx context.Context, ids []string) (<-chan *model.UserChange, error) {
	return r.UserChanges(ctx, ids)
}
