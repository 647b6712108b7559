package loader

import (
	"context"
	"slices"
	"time"

	"rollcall/batch"
	"rollcall/model"
)

// Plan declares every field of the schema but Query.mutationOutcome: which columns it needs, where its keys are and which
// loader has them, or how it is written. A page holds at most maxPage items.
func Plan(maxPage int) *batch.Plan {
	return batch.NewPlan(slices.Concat(
		[]batch.Field{batch.Inert("snapshot")}, // the session heeds it
		queryFields(maxPage),
		userFields(maxPage),
		teamFields(maxPage),
		pageFields(),
		changeFields(),
	)...)
}

func queryFields(maxPage int) []batch.Field {
	return []batch.Field{
		batch.Relation("Query", "user", userByID, idArg(model.TypeUser)),
		batch.Relation("Query", "team", teamByID, idArg(model.TypeTeam)),
		batch.Relation("Query", "node", userByID, nodeArg(model.TypeUser)),
		batch.Relation("Query", "node", teamByID, nodeArg(model.TypeTeam)),
		batch.Relations("Query", "nodes", userByID, nodesArg(model.TypeUser, maxPage)),
		batch.Relations("Query", "nodes", teamByID, nodesArg(model.TypeTeam, maxPage)),
		batch.Relation("Query", "userByEmail", from(func(l *Loaders) *batch.Loader[string, *model.User] { return &l.UserByEmail }), emailArg),
		batch.Relation("Query", "users", from(func(l *Loaders) *batch.Loader[model.Page, *model.UserConnection] { return &l.Users }),
			pageOf(model.TypeUser, maxPage)),
		batch.Relation("Query", "teams", from(func(l *Loaders) *batch.Loader[model.Page, *model.TeamConnection] { return &l.Teams }),
			pageOf(model.TypeTeam, maxPage)),
	}
}

func userFields(maxPage int) []batch.Field {
	return []batch.Field{
		batch.Column("User", "", "id"),
		id("User", func(u *model.User) int64 { return u.ID }).From(),
		text("User", "name", func(u *model.User) string { return u.Name }).From("name"),
		text("User", "email", func(u *model.User) string { return u.Email }).From("email"),
		batch.Relation("User", "manager", userByID, batch.Key(managerOf)).From("manager_id"),
		moment("User", "createdAt", func(u *model.User) time.Time { return u.CreatedAt }).From("created_at"),
		moment("User", "updatedAt", func(u *model.User) time.Time { return u.UpdatedAt }).From("updated_at"),
		batch.Relation("User", "reports", from(func(l *Loaders) *batch.Loader[List, *model.UserConnection] { return &l.Reports }),
			listOf(model.TypeUser, maxPage, func(u *model.User) int64 { return u.ID })).From(),
		batch.Relation("User", "teams", from(func(l *Loaders) *batch.Loader[List, *model.UserTeamConnection] { return &l.TeamsOfUser }),
			listOf(model.TypeTeam, maxPage, func(u *model.User) int64 { return u.ID })).From(),
	}
}

func teamFields(maxPage int) []batch.Field {
	return []batch.Field{
		batch.Column("Team", "", "id"),
		id("Team", func(t *model.Team) int64 { return t.ID }).From(),
		text("Team", "name", func(t *model.Team) string { return t.Name }).From("name"),
		moment("Team", "createdAt", func(t *model.Team) time.Time { return t.CreatedAt }).From("created_at"),
		moment("Team", "updatedAt", func(t *model.Team) time.Time { return t.UpdatedAt }).From("updated_at"),
		batch.Relation("Team", "members", from(func(l *Loaders) *batch.Loader[List, *model.TeamMemberConnection] { return &l.MembersOfTeam }),
			listOf(model.TypeUser, maxPage, func(t *model.Team) int64 { return t.ID })).From(),
	}
}

func pageFields() []batch.Field {
	return slices.Concat(
		connection("User", func(l *Loaders) *batch.Loader[int64, int] { return &l.ReportCount }, (*model.UserConnection).CountKey,
			func(c *model.UserConnection) *model.Connection[*model.UserEdge, *model.User] { return &c.Connection }),
		connection("Team", func(l *Loaders) *batch.Loader[int64, int] { return &l.AllTeamsCount }, (*model.TeamConnection).CountKey,
			func(c *model.TeamConnection) *model.Connection[*model.TeamEdge, *model.Team] { return &c.Connection }),
		connection("UserTeam", func(l *Loaders) *batch.Loader[int64, int] { return &l.TeamCount }, (*model.UserTeamConnection).CountKey,
			func(c *model.UserTeamConnection) *model.Connection[*model.UserTeamEdge, *model.Team] {
				return &c.Connection
			}),
		connection("TeamMember", func(l *Loaders) *batch.Loader[int64, int] { return &l.MemberCount }, (*model.TeamMemberConnection).CountKey,
			func(c *model.TeamMemberConnection) *model.Connection[*model.TeamMemberEdge, *model.User] {
				return &c.Connection
			}),
		[]batch.Field{
			text("UserTeamEdge", "role", func(e *model.UserTeamEdge) model.Role { return e.Role }).From("role"),
			moment("UserTeamEdge", "joinedAt", func(e *model.UserTeamEdge) time.Time { return e.JoinedAt }).From("created_at AS joined_at"),
			text("TeamMemberEdge", "role", func(e *model.TeamMemberEdge) model.Role { return e.Role }).From("role"),
			moment("TeamMemberEdge", "joinedAt", func(e *model.TeamMemberEdge) time.Time { return e.JoinedAt }).From("created_at AS joined_at"),

			truth("PageInfo", "hasNextPage", func(i *model.PageInfo) bool { return i.HasNextPage }),
			truth("PageInfo", "hasPreviousPage", func(i *model.PageInfo) bool { return i.HasPreviousPage }),
			optional("PageInfo", "startCursor", func(i *model.PageInfo) *string { return i.StartCursor }),
			optional("PageInfo", "endCursor", func(i *model.PageInfo) *string { return i.EndCursor }),
		},
	)
}

// connection declares how a page leads to its nodes, directly and through its edges, where it stands, and how many items the
// list has.
func connection[C any, E model.Edge[N], N any](
	prefix string, count func(*Loaders) *batch.Loader[int64, int], of func(C) int64, page func(C) *model.Connection[E, N],
) []batch.Field {
	return []batch.Field{
		batch.Paths(prefix+"Connection", "nodes", func(c C) []N { return page(c).Nodes() }),
		batch.Paths(prefix+"Connection", "edges", func(c C) []E { return page(c).Edges }),
		batch.Path(prefix+"Connection", "pageInfo", func(c C) *model.PageInfo { return page(c).PageInfo() }),
		batch.Relation(prefix+"Connection", "totalCount", from(count), always(of)),
		batch.Path(prefix+"Edge", "node", func(e E) N { return e.Node() }).From(),
		text(prefix+"Edge", "cursor", func(e E) string { return e.Cursor() }).From(),
	}
}

// changeFields are what mutations and subscriptions lead to.
func changeFields() []batch.Field {
	return []batch.Field{
		batch.Relation("UserChange", "user", userByID, batch.Key(func(c *model.UserChange) (int64, bool) {
			return c.UserID, c.Kind != model.UserDeleted
		})),
		batch.Path("CreateUserPayload", "user", func(p *model.UserPayload) *model.User { return p.User }),
		batch.Path("UpdateUserPayload", "user", func(p *model.UserPayload) *model.User { return p.User }),
	}
}

// from finds a loader of the operation.
func from[L any](pick func(*Loaders) L) func(context.Context) L {
	return func(ctx context.Context) L { return pick(FromContext(ctx)) }
}

func userByID(ctx context.Context) *batch.Loader[int64, *model.User] {
	return &FromContext(ctx).UserByID
}

func teamByID(ctx context.Context) *batch.Loader[int64, *model.Team] {
	return &FromContext(ctx).TeamByID
}

func managerOf(u *model.User) (int64, bool) {
	if u.ManagerID == nil {
		return 0, false
	}
	return *u.ManagerID, true
}
