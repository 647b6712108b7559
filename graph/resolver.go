// Package graph serves the directory's schema: the resolvers, one file for each GraphQL type, and the
// HTTP handler that runs them.
package graph

import (
	"rollcall/event"
	"rollcall/graph/generated"
	"rollcall/model"
	"rollcall/session"
)

// Resolver is the root of the resolvers.
type Resolver struct {
	MaxPage int            // most items that a page may hold
	Proof   *session.Proof // nil: what became of a mutation cannot be told
	Events  event.Broker   // between mutations and subscriptions
}

var _ generated.ResolverRoot = &Resolver{}

// Query resolves the fields of Query.
func (r *Resolver) Query() generated.QueryResolver { return queryResolver{r} }

// Mutation resolves the fields of Mutation.
func (r *Resolver) Mutation() generated.MutationResolver { return mutationResolver{r} }

// Subscription resolves the fields of Subscription.
func (r *Resolver) Subscription() generated.SubscriptionResolver { return subscriptionResolver{r} }

// UserChange resolves the relation of UserChange.
func (r *Resolver) UserChange() generated.UserChangeResolver { return userChangeResolver{} }

// User resolves the relations of User.
func (r *Resolver) User() generated.UserResolver { return userResolver{r} }

// Team resolves the relations of Team.
func (r *Resolver) Team() generated.TeamResolver { return teamResolver{r} }

// UserConnection counts users.
func (r *Resolver) UserConnection() generated.UserConnectionResolver { return userCount{} }

// TeamConnection counts teams.
func (r *Resolver) TeamConnection() generated.TeamConnectionResolver { return teamCount{} }

// UserTeamConnection counts the teams of a user.
func (r *Resolver) UserTeamConnection() generated.UserTeamConnectionResolver { return userTeamCount{} }

// TeamMemberConnection counts the members of a team.
func (r *Resolver) TeamMemberConnection() generated.TeamMemberConnectionResolver {
	return teamMemberCount{}
}

// page checks the arguments of a list whose nodes are of type typ.
func (r *Resolver) page(typ string, first *int, after *string) (model.Page, error) {
	return model.PageArgs{First: first, After: after}.Page(typ, r.MaxPage)
}
