package loader

import (
	"context"
	"iter"
	"strconv"
	"time"

	"github.com/99designs/gqlgen/graphql"

	"rollcall/batch"
	"rollcall/model"
)

// Plan declares every field of the schema that reads rows: which columns it needs, or where its keys are and
// which loader has them. A page holds at most maxPage items.
func Plan(maxPage int) *batch.Plan {
	fields := []batch.Field{
		batch.Column("User", "", "id"),
		id("User", func(u *model.User) int64 { return u.ID }),
		text("User", "name", func(u *model.User) string { return u.Name }).From("name"),
		text("User", "email", func(u *model.User) string { return u.Email }).From("email"),
		batch.Relation("User", "manager", userByID, batch.Key(managerOf)).From("manager_id"),
		moment("User", "createdAt", func(u *model.User) time.Time { return u.CreatedAt }).From("created_at"),
		moment("User", "updatedAt", func(u *model.User) time.Time { return u.UpdatedAt }).From("updated_at"),
		batch.Relation("User", "reports", of(func(l *Loaders) *batch.Loader[List, *model.UserConnection] { return &l.Reports }),
			listOf(model.TypeUser, maxPage, func(u *model.User) int64 { return u.ID })),
		batch.Relation("User", "teams", of(func(l *Loaders) *batch.Loader[List, *model.UserTeamConnection] { return &l.TeamsOfUser }),
			listOf(model.TypeTeam, maxPage, func(u *model.User) int64 { return u.ID })),

		batch.Column("Team", "", "id"),
		id("Team", func(t *model.Team) int64 { return t.ID }),
		text("Team", "name", func(t *model.Team) string { return t.Name }).From("name"),
		moment("Team", "createdAt", func(t *model.Team) time.Time { return t.CreatedAt }).From("created_at"),
		moment("Team", "updatedAt", func(t *model.Team) time.Time { return t.UpdatedAt }).From("updated_at"),
		batch.Relation("Team", "members", of(func(l *Loaders) *batch.Loader[List, *model.TeamMemberConnection] { return &l.MembersOfTeam }),
			listOf(model.TypeUser, maxPage, func(t *model.Team) int64 { return t.ID })),

		batch.Relation("Query", "user", userByID, idArg(model.TypeUser)),
		batch.Relation("Query", "team", teamByID, idArg(model.TypeTeam)),
		batch.Relation("Query", "node", userByID, nodeArg(model.TypeUser)),
		batch.Relation("Query", "node", teamByID, nodeArg(model.TypeTeam)),
		batch.Relations("Query", "nodes", userByID, nodesArg(model.TypeUser, maxPage)),
		batch.Relations("Query", "nodes", teamByID, nodesArg(model.TypeTeam, maxPage)),
		batch.Relation("Query", "userByEmail", of(func(l *Loaders) *batch.Loader[string, *model.User] { return &l.UserByEmail }), emailArg),
		batch.Relation("Query", "users", of(func(l *Loaders) *batch.Loader[model.Page, *model.UserConnection] { return &l.Users }), pageOf(model.TypeUser, maxPage)),
		batch.Relation("Query", "teams", of(func(l *Loaders) *batch.Loader[model.Page, *model.TeamConnection] { return &l.Teams }), pageOf(model.TypeTeam, maxPage)),

		batch.Relation("UserConnection", "totalCount", of(func(l *Loaders) *batch.Loader[int64, int] { return &l.ReportCount }), always((*model.UserConnection).CountKey)),
		batch.Relation("TeamConnection", "totalCount", of(func(l *Loaders) *batch.Loader[int64, int] { return &l.AllTeamsCount }), always((*model.TeamConnection).CountKey)),
		batch.Relation("UserTeamConnection", "totalCount", of(func(l *Loaders) *batch.Loader[int64, int] { return &l.TeamCount }), always((*model.UserTeamConnection).CountKey)),
		batch.Relation("TeamMemberConnection", "totalCount", of(func(l *Loaders) *batch.Loader[int64, int] { return &l.MemberCount }), always((*model.TeamMemberConnection).CountKey)),

		text("UserTeamEdge", "role", func(e *model.UserTeamEdge) model.Role { return e.Role }).From("role"),
		moment("UserTeamEdge", "joinedAt", func(e *model.UserTeamEdge) time.Time { return e.JoinedAt }).From("created_at AS joined_at"),
		text("TeamMemberEdge", "role", func(e *model.TeamMemberEdge) model.Role { return e.Role }).From("role"),
		moment("TeamMemberEdge", "joinedAt", func(e *model.TeamMemberEdge) time.Time { return e.JoinedAt }).From("created_at AS joined_at"),

		truth("PageInfo", "hasNextPage", func(i *model.PageInfo) bool { return i.HasNextPage }),
		truth("PageInfo", "hasPreviousPage", func(i *model.PageInfo) bool { return i.HasPreviousPage }),
		optional("PageInfo", "startCursor", func(i *model.PageInfo) *string { return i.StartCursor }),
		optional("PageInfo", "endCursor", func(i *model.PageInfo) *string { return i.EndCursor }),

		batch.Relation("UserChange", "user", userByID, batch.Key(func(c *model.UserChange) (int64, bool) {
			return c.UserID, c.Kind != model.UserDeleted
		})),
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

// connection declares how a page leads to its nodes, directly and through its edges, and where it stands.
func connection[C any, E model.Edge[N], N any](prefix string, page func(C) *model.Connection[E, N]) []batch.Field {
	return []batch.Field{
		batch.Paths(prefix+"Connection", "nodes", func(c C) []N { return page(c).Nodes() }),
		batch.Paths(prefix+"Connection", "edges", func(c C) []E { return page(c).Edges }),
		batch.Path(prefix+"Connection", "pageInfo", func(c C) *model.PageInfo { return page(c).PageInfo() }),
		batch.Path(prefix+"Edge", "node", func(e E) N { return e.Node() }),
		text(prefix+"Edge", "cursor", func(e E) string { return e.Cursor() }),
	}
}

// id declares the global id of an object.
func id[P any](typ string, key func(P) int64) batch.Field {
	return batch.Value(typ, "id", func(b []byte, p P) []byte {
		b = append(b, '"')
		b = append(b, typ...)
		b = append(b, ':')
		return append(strconv.AppendInt(b, key(p), 10), '"')
	})
}

func text[P any, S ~string](typ, name string, value func(P) S) batch.Field {
	return batch.Value(typ, name, func(b []byte, p P) []byte { return model.AppendString(b, string(value(p))) })
}

func optional[P any](typ, name string, value func(P) *string) batch.Field {
	return batch.Value(typ, name, func(b []byte, p P) []byte {
		s := value(p)
		if s == nil {
			return append(b, "null"...)
		}
		return model.AppendString(b, *s)
	})
}

func truth[P any](typ, name string, value func(P) bool) batch.Field {
	return batch.Value(typ, name, func(b []byte, p P) []byte { return strconv.AppendBool(b, value(p)) })
}

func moment[P any](typ, name string, value func(P) time.Time) batch.Field {
	return batch.Value(typ, name, func(b []byte, p P) []byte {
		t := value(p)
		if t.IsZero() { // gqlgen takes it for null, which no such field can be
			return nil
		}
		return append(t.AppendFormat(append(b, '"'), time.RFC3339Nano), '"')
	})
}

// of finds a loader of the operation.
func of[L any](pick func(*Loaders) L) func(context.Context) L {
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

// always is the key of a relation that every object has.
func always[P any](key func(P) int64) func(batch.Args) func(P) (int64, bool) {
	return batch.Key(func(p P) (int64, bool) { return key(p), true })
}

// root is the key of a relation of Query that has one.
func root[K any](key K) func(batch.Root) (K, bool) {
	return func(batch.Root) (K, bool) { return key, true }
}

// idArg is the key in the argument id, which has to be of a type.
func idArg(typ string) func(batch.Args) func(batch.Root) (int64, bool) {
	return func(args batch.Args) func(batch.Root) (int64, bool) {
		s, err := model.UnmarshalID(args["id"])
		if err != nil {
			return nil
		}
		id, err := model.ParseIDOf(typ, "id", s)
		if err != nil {
			return nil
		}
		return root(id)
	}
}

// nodeArg is the key in the argument id, if it is of a type.
func nodeArg(typ string) func(batch.Args) func(batch.Root) (int64, bool) {
	return func(args batch.Args) func(batch.Root) (int64, bool) {
		of, id, err := parseID(args["id"])
		if err != nil {
			return nil
		}
		return func(batch.Root) (int64, bool) { return id, of == typ }
	}
}

func parseID(arg any) (typ string, id int64, err error) {
	s, err := model.UnmarshalID(arg)
	if err != nil {
		return "", 0, err
	}
	return model.ParseID(s)
}

// nodesArg is the keys in the argument ids, each if it is of a type.
func nodesArg(typ string, most int) func(batch.Args) func(batch.Root) iter.Seq2[int64, bool] {
	return func(args batch.Args) func(batch.Root) iter.Seq2[int64, bool] {
		list := graphql.CoerceList(args["ids"]) // GraphQL takes one value for a list of one
		if len(list) > most {
			return nil
		}
		types, ids := make([]string, len(list)), make([]int64, len(list))
		for i, arg := range list {
			var err error
			if types[i], ids[i], err = parseID(arg); err != nil {
				return nil
			}
		}
		return func(batch.Root) iter.Seq2[int64, bool] {
			return func(yield func(int64, bool) bool) {
				for i, id := range ids {
					if !yield(id, types[i] == typ) {
						return
					}
				}
			}
		}
	}
}

func emailArg(args batch.Args) func(batch.Root) (string, bool) {
	s, err := model.UnmarshalString(args["email"])
	if err != nil {
		return nil
	}
	return root(model.NormalEmail(s))
}

// pageArg is the page in the arguments first and after.
func pageArg(typ string, most int, args batch.Args) (page model.Page, err error) {
	var in model.PageArgs
	if arg := args["first"]; arg != nil {
		first, err := model.UnmarshalInt(arg)
		if err != nil {
			return page, err
		}
		in.First = &first
	}
	if arg := args["after"]; arg != nil {
		after, err := model.UnmarshalString(arg)
		if err != nil {
			return page, err
		}
		in.After = &after
	}
	return in.Page(typ, most)
}

func pageOf(typ string, most int) func(batch.Args) func(batch.Root) (model.Page, bool) {
	return func(args batch.Args) func(batch.Root) (model.Page, bool) {
		page, err := pageArg(typ, most, args)
		if err != nil {
			return nil
		}
		return root(page)
	}
}

func listOf[P any](typ string, most int, id func(P) int64) func(batch.Args) func(P) (List, bool) {
	return func(args batch.Args) func(P) (List, bool) {
		page, err := pageArg(typ, most, args)
		if err != nil {
			return nil
		}
		return func(parent P) (List, bool) { return List{id(parent), page}, true }
	}
}
