// Package graph serves the directory's schema: the HTTP handler, the resolvers, and what clients see of errors.
package graph

import (
	"context"
	"time"

	"github.com/99designs/gqlgen/graphql"

	"rollcall/apierror"
	"rollcall/apitoken"
	"rollcall/changelog"
	"rollcall/directory"
	"rollcall/graph/generated"
	"rollcall/model"
	"rollcall/webhook"
)

// Resolver is the root of the resolvers. Those that it does not have are relations, which the read plan resolves.
type Resolver struct {
	generated.ResolverRoot
	*directory.Directory
	Follower *changelog.Follower
	Bookmark time.Duration // of Subscription.changes
	webhooks *webhook.Webhooks
	tokens   *apitoken.Tokens
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

// Webhooks resolves Query.webhooks.
func (r queryResolver) Webhooks(ctx context.Context) ([]*model.Webhook, error) {
	if r.webhooks == nil {
		return nil, nil
	}
	return r.webhooks.Status(ctx)
}

type mutationResolver struct{ *Resolver }

// answer is what a mutation returns: its payload, or what is wrong with its input, an error each.
func answer[O, P any](ctx context.Context, payload func(O) *P, object O, err error) (*P, error) {
	if err == nil {
		return payload(object), nil
	}
	list, ok := apierror.ErrorsOf(apierror.Within("input", err))
	if !ok {
		return nil, err
	}
	last := len(list) - 1
	for _, e := range list[:last] {
		graphql.AddError(ctx, e)
	}
	return nil, list[last]
}

func userPayload(user *model.User) *model.UserPayload { return &model.UserPayload{User: user} }
func teamPayload(team *model.Team) *model.TeamPayload { return &model.TeamPayload{Team: team} }

func deletedUser(id string) *model.DeleteUserPayload {
	return &model.DeleteUserPayload{DeletedUserID: id}
}

func erasedUser(id string) *model.EraseUserPayload {
	return &model.EraseUserPayload{ErasedUserID: id}
}

func deletedTeam(id string) *model.DeleteTeamPayload {
	return &model.DeleteTeamPayload{DeletedTeamID: id}
}

func membershipPayload(m *model.Membership) *model.MembershipPayload {
	return &model.MembershipPayload{Membership: m}
}

func revokedToken(token *model.APIToken) *model.RevokeAPITokenPayload {
	return &model.RevokeAPITokenPayload{APIToken: token}
}

func itself[P any](payload *P) *P { return payload }

func bulkPayload[R any](results []*R) *model.BulkPayload[R] {
	return &model.BulkPayload[R]{Results: results}
}

// CreateUser resolves Mutation.createUser.
func (r mutationResolver) CreateUser(ctx context.Context, input map[string]any) (*model.UserPayload, error) {
	user, err := r.Directory.CreateUser(ctx, input)
	return answer(ctx, userPayload, user, err)
}

// UpdateUser resolves Mutation.updateUser.
func (r mutationResolver) UpdateUser(ctx context.Context, input map[string]any) (*model.UserPayload, error) {
	user, err := r.Directory.UpdateUser(ctx, input)
	return answer(ctx, userPayload, user, err)
}

// DeactivateUser resolves Mutation.deactivateUser.
func (r mutationResolver) DeactivateUser(ctx context.Context, input map[string]any) (*model.UserPayload, error) {
	user, err := r.SetUserStatus(ctx, input, model.StatusDeactivated)
	return answer(ctx, userPayload, user, err)
}

// ReactivateUser resolves Mutation.reactivateUser.
func (r mutationResolver) ReactivateUser(ctx context.Context, input map[string]any) (*model.UserPayload, error) {
	user, err := r.SetUserStatus(ctx, input, model.StatusActive)
	return answer(ctx, userPayload, user, err)
}

// DeleteUser resolves Mutation.deleteUser.
func (r mutationResolver) DeleteUser(ctx context.Context, input map[string]any) (*model.DeleteUserPayload, error) {
	id, err := r.Directory.DeleteUser(ctx, input)
	return answer(ctx, deletedUser, id, err)
}

// EraseUser resolves Mutation.eraseUser.
func (r mutationResolver) EraseUser(ctx context.Context, input map[string]any) (*model.EraseUserPayload, error) {
	id, err := r.Directory.EraseUser(ctx, input)
	return answer(ctx, erasedUser, id, err)
}

// CreateTeam resolves Mutation.createTeam.
func (r mutationResolver) CreateTeam(ctx context.Context, input map[string]any) (*model.TeamPayload, error) {
	team, err := r.Directory.CreateTeam(ctx, input)
	return answer(ctx, teamPayload, team, err)
}

// UpdateTeam resolves Mutation.updateTeam.
func (r mutationResolver) UpdateTeam(ctx context.Context, input map[string]any) (*model.TeamPayload, error) {
	team, err := r.Directory.UpdateTeam(ctx, input)
	return answer(ctx, teamPayload, team, err)
}

// DeleteTeam resolves Mutation.deleteTeam.
func (r mutationResolver) DeleteTeam(ctx context.Context, input map[string]any) (*model.DeleteTeamPayload, error) {
	id, err := r.Directory.DeleteTeam(ctx, input)
	return answer(ctx, deletedTeam, id, err)
}

// AddTeamMembers resolves Mutation.addTeamMembers.
func (r mutationResolver) AddTeamMembers(ctx context.Context, input map[string]any) (*model.AddTeamMembersPayload, error) {
	payload, err := r.Directory.AddTeamMembers(ctx, input)
	return answer(ctx, itself, payload, err)
}

// RemoveTeamMembers resolves Mutation.removeTeamMembers.
func (r mutationResolver) RemoveTeamMembers(ctx context.Context, input map[string]any) (*model.RemoveTeamMembersPayload, error) {
	payload, err := r.Directory.RemoveTeamMembers(ctx, input)
	return answer(ctx, itself, payload, err)
}

// SetTeamMemberRole resolves Mutation.setTeamMemberRole.
func (r mutationResolver) SetTeamMemberRole(ctx context.Context, input map[string]any) (*model.MembershipPayload, error) {
	membership, err := r.Directory.SetTeamMemberRole(ctx, input)
	return answer(ctx, membershipPayload, membership, err)
}

// CreateUsers resolves Mutation.createUsers.
func (r mutationResolver) CreateUsers(ctx context.Context, input map[string]any) (*model.UsersPayload, error) {
	results, err := r.Directory.CreateUsers(ctx, input)
	return answer(ctx, bulkPayload, results, err)
}

// UpdateUsers resolves Mutation.updateUsers.
func (r mutationResolver) UpdateUsers(ctx context.Context, input map[string]any) (*model.UsersPayload, error) {
	results, err := r.Directory.UpdateUsers(ctx, input)
	return answer(ctx, bulkPayload, results, err)
}

// UpsertUsers resolves Mutation.upsertUsers.
func (r mutationResolver) UpsertUsers(ctx context.Context, input map[string]any) (*model.UsersPayload, error) {
	results, err := r.Directory.UpsertUsers(ctx, input)
	return answer(ctx, bulkPayload, results, err)
}

// DeleteUsers resolves Mutation.deleteUsers.
func (r mutationResolver) DeleteUsers(ctx context.Context, input map[string]any) (*model.RemovalsPayload, error) {
	results, err := r.Directory.DeleteUsers(ctx, input)
	return answer(ctx, bulkPayload, results, err)
}

// CreateTeams resolves Mutation.createTeams.
func (r mutationResolver) CreateTeams(ctx context.Context, input map[string]any) (*model.TeamsPayload, error) {
	results, err := r.Directory.CreateTeams(ctx, input)
	return answer(ctx, bulkPayload, results, err)
}

// AddMemberships resolves Mutation.addMemberships.
func (r mutationResolver) AddMemberships(ctx context.Context, input map[string]any) (*model.MembershipsPayload, error) {
	results, err := r.Directory.AddMemberships(ctx, input)
	return answer(ctx, bulkPayload, results, err)
}

// SetMembershipRoles resolves Mutation.setMembershipRoles.
func (r mutationResolver) SetMembershipRoles(ctx context.Context, input map[string]any) (*model.MembershipsPayload, error) {
	results, err := r.Directory.SetMembershipRoles(ctx, input)
	return answer(ctx, bulkPayload, results, err)
}

// RemoveMemberships resolves Mutation.removeMemberships.
func (r mutationResolver) RemoveMemberships(ctx context.Context, input map[string]any) (*model.RemovalsPayload, error) {
	results, err := r.Directory.RemoveMemberships(ctx, input)
	return answer(ctx, bulkPayload, results, err)
}

// CreateAPIToken resolves Mutation.createApiToken.
func (r mutationResolver) CreateAPIToken(ctx context.Context, input map[string]any) (*model.CreateAPITokenPayload, error) {
	text, token, err := r.tokens.Create(ctx, input)
	return answer(ctx, itself, &model.CreateAPITokenPayload{Token: text.Text(), APIToken: token}, err)
}

// RevokeAPIToken resolves Mutation.revokeApiToken.
func (r mutationResolver) RevokeAPIToken(ctx context.Context, input map[string]any) (*model.RevokeAPITokenPayload, error) {
	token, err := r.tokens.RevokeInput(ctx, input)
	return answer(ctx, revokedToken, token, err)
}

type subscriptionResolver struct{ *Resolver }

// UserChanged resolves Subscription.userChanged.
func (r subscriptionResolver) UserChanged(ctx context.Context, ids []string, after *string) (<-chan *model.Change, error) {
	q, err := r.UserChanges(ids)
	return r.follow(ctx, q, err, after)
}

// TeamChanged resolves Subscription.teamChanged.
func (r subscriptionResolver) TeamChanged(ctx context.Context, ids []string, after *string) (<-chan *model.Change, error) {
	q, err := r.TeamChanges(ids)
	return r.follow(ctx, q, err, after)
}

// MembershipChanged resolves Subscription.membershipChanged.
func (r subscriptionResolver) MembershipChanged(ctx context.Context, userIDs, teamIDs []string, after *string) (<-chan *model.Change, error) {
	q, err := r.MembershipChanges(userIDs, teamIDs)
	return r.follow(ctx, q, err, after)
}

// Changes resolves Subscription.changes.
func (r subscriptionResolver) Changes(
	ctx context.Context, after *string, kinds []model.ChangeKind, types []model.ChangeType, ids []string,
) (<-chan *model.ChangeEvent, error) {
	q, err := r.Directory.Changes(kinds, types, ids)
	return r.followAll(ctx, q, err, after)
}
