package loader

import (
	"context"

	"rollcall/batch"
	"rollcall/model"
)

// Plan declares every field of the schema that reads rows: which columns it needs, or where its keys are and
// which loader has them. A page holds at most maxPage items.
func Plan(maxPage int) *batch.Plan {
	fields := []batch.Field{
		batch.Column("User", "", "id"),
		batch.Column("User", "name", "name"),
		batch.Column("User", "email", "email"),
		batch.Column("User", "manager", "manager_id"),
		batch.Column("User", "createdAt", "created_at"),
		batch.Column("User", "updatedAt", "updated_at"),
		batch.Column("Team", "", "id"),
		batch.Column("Team", "name", "name"),
		batch.Column("Team", "createdAt", "created_at"),
		batch.Column("Team", "updatedAt", "updated_at"),
		batch.Column("UserTeamEdge", "role", "role"),
		batch.Column("UserTeamEdge", "joinedAt", "created_at AS joined_at"),
		batch.Column("TeamMemberEdge", "role", "role"),
		batch.Column("TeamMemberEdge", "joinedAt", "created_at AS joined_at"),

		batch.Relation("Query", "user", userByID, idArg(model.TypeUser)),
		batch.Relation("Query", "team", teamByID, idArg(model.TypeTeam)),
		batch.Relation("Query", "node", userByID, idArg(model.TypeUser)),
		batch.Relation("Query", "node", teamByID, idArg(model.TypeTeam)),
		batch.Relations("Query", "nodes", userByID, idsArg(model.TypeUser, maxPage)),
		batch.Relations("Query", "nodes", teamByID, idsArg(model.TypeTeam, maxPage)),
		batch.Relation("Query", "userByEmail", of(func(l *Loaders) *batch.Loader[string, *model.User] { return l.UserByEmail }), emailArg),
		batch.Relation("Query", "users", of(func(l *Loaders) *batch.Loader[model.Page, *model.UserConnection] { return l.Users }), pageOf(model.TypeUser, maxPage)),
		batch.Relation("Query", "teams", of(func(l *Loaders) *batch.Loader[model.Page, *model.TeamConnection] { return l.Teams }), pageOf(model.TypeTeam, maxPage)),

		batch.Relation("UserChange", "user", userByID, func(c *model.UserChange, _ batch.Args) (int64, bool) {
			return c.UserID, c.Kind != model.UserDeleted
		}),
		batch.Relation("User", "manager", userByID, managerOf),
		batch.Relation("User", "reports", of(func(l *Loaders) *batch.Loader[List, *model.UserConnection] { return l.Reports }),
			listOf(model.TypeUser, maxPage, func(u *model.User) int64 { return u.ID })),
		batch.Relation("User", "teams", of(func(l *Loaders) *batch.Loader[List, *model.UserTeamConnection] { return l.TeamsOfUser }),
			listOf(model.TypeTeam, maxPage, func(u *model.User) int64 { return u.ID })),
		batch.Relation("Team", "members", of(func(l *Loaders) *batch.Loader[List, *model.TeamMemberConnection] { return l.MembersOfTeam }),
			listOf(model.TypeUser, maxPage, func(t *model.Team) int64 { return t.ID })),

		batch.Relation("UserConnection", "totalCount", of(func(l *Loaders) *batch.Loader[int64, int] { return l.ReportCount }), always((*model.UserConnection).CountKey)),
		batch.Relation("TeamConnection", "totalCount", of(func(l *Loaders) *batch.Loader[int64, int] { return l.AllTeamsCount }), always((*model.TeamConnection).CountKey)),
		batch.Relation("UserTeamConnection", "totalCount", of(func(l *Loaders) *batch.Loader[int64, int] { return l.TeamCount }), always((*model.UserTeamConnection).CountKey)),
		batch.Relation("TeamMemberConnection", "totalCount", of(func(l *Loaders) *batch.Loader[int64, int] { return l.MemberCount }), always((*model.TeamMemberConnection).CountKey)),

		batch.Path("CreateUserPayload", "user", func(p *model.UserPayload) *model.User { return p.User }),
		batch.Path("UpdateUserPayload", "user", func(p *model.UserPayload) *model.User { return p.User }),
	}
	fields = append(fields, connection("User", func(c *model.UserConnection) *model.Connection[*model.UserEdge, *model.User] { return &c.Connection })...)
	fields = append(fields, connection("Team", func(c *model.TeamConnection) *model.Connection[*model.TeamEdge, *model.Team] { return &c.Connection })...)
	fields = append(fields, connection("UserTeam", func(c *model.UserTeamConnection) *model.Connection[*model.UserTeamEdge, *model.Team] {
		return &c.Connection
	})...)
	fields = append(fields, connection("TeamMember", func(c *model.TeamMemberConnection) *model.Connection[*model.TeamMemberEdge, *model.User] {
		return &c.Connection
	})...)
	return batch.NewPlan(fields...)
}

// connection declares how a page leads to its nodes: directly, and through its edges.
func connection[C any, E model.Edge[N], N any](prefix string, page func(C) *model.Connection[E, N]) []batch.Field {
	return []batch.Field{
		batch.Path(prefix+"Connection", "nodes", func(c C) []N { return page(c).Nodes() }),
		batch.Path(prefix+"Connection", "edges", func(c C) []E { return page(c).Edges }),
		batch.Path(prefix+"Edge", "node", func(e E) N { return e.Node() }),
	}
}

// of finds a loader of the operation.
func of[L any](pick func(*Loaders) L) func(context.Context) L {
	return func(ctx context.Context) L { return pick(FromContext(ctx)) }
}

func userByID(ctx context.Context) *batch.Loader[int64, *model.User] {
	return FromContext(ctx).UserByID
}

func teamByID(ctx context.Context) *batch.Loader[int64, *model.Team] {
	return FromContext(ctx).TeamByID
}

func managerOf(u *model.User, _ batch.Args) (int64, bool) {
	if u.ManagerID == nil {
		return 0, false
	}
	return *u.ManagerID, true
}

func always[P any](key func(P) int64) func(P, batch.Args) (int64, bool) {
	return func(p P, _ batch.Args) (int64, bool) { return key(p), true }
}

// idArg is the key in the argument id, if it is of a type.
func idArg(typ string) func(batch.Root, batch.Args) (int64, bool) {
	return func(_ batch.Root, args batch.Args) (int64, bool) { return idOf(typ, args["id"]) }
}

func idOf(typ string, arg any) (int64, bool) {
	s, err := model.UnmarshalID(arg)
	if err != nil {
		return 0, false
	}
	id, err := model.ParseIDOf(typ, "id", s)
	return id, err == nil
}

// idsArg is the keys in the argument ids that are of a type.
func idsArg(typ string, most int) func(batch.Root, batch.Args) []int64 {
	return func(_ batch.Root, args batch.Args) []int64 {
		list, ok := args["ids"].([]any)
		if !ok {
			list = []any{args["ids"]} // GraphQL takes one value for a list of one
		}
		if len(list) > most {
			return nil
		}
		var ids []int64
		for _, arg := range list {
			if id, ok := idOf(typ, arg); ok {
				ids = append(ids, id)
			}
		}
		return ids
	}
}

func emailArg(_ batch.Root, args batch.Args) (string, bool) {
	s, err := model.UnmarshalString(args["email"])
	return model.NormalEmail(s), err == nil
}

// pageArg is the page in the arguments first and after.
func pageArg(typ string, most int, args batch.Args) (page model.Page, ok bool) {
	var in model.PageArgs
	if arg := args["first"]; arg != nil {
		first, err := model.UnmarshalInt(arg)
		if err != nil {
			return page, false
		}
		in.First = &first
	}
	if arg := args["after"]; arg != nil {
		after, err := model.UnmarshalString(arg)
		if err != nil {
			return page, false
		}
		in.After = &after
	}
	page, err := in.Page(typ, most)
	return page, err == nil
}

func pageOf(typ string, most int) func(batch.Root, batch.Args) (model.Page, bool) {
	return func(_ batch.Root, args batch.Args) (model.Page, bool) { return pageArg(typ, most, args) }
}

func listOf[P any](typ string, most int, id func(P) int64) func(P, batch.Args) (List, bool) {
	return func(parent P, args batch.Args) (List, bool) {
		page, ok := pageArg(typ, most, args)
		return List{id(parent), page}, ok
	}
}
