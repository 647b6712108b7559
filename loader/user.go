package loader

import (
	"context"
	"maps"
	"slices"

	"rollcall/apierror"
	"rollcall/dialect"
	"rollcall/model"
	"rollcall/session"
)

// userRow is the columns of users.
var userRow = row[model.User]{
	"id":         func(u *model.User) any { return integer{&u.ID} },
	"name":       func(u *model.User) any { return &u.Name },
	"email":      func(u *model.User) any { return &u.Email },
	"manager_id": func(u *model.User) any { return optionalInteger{&u.ManagerID} },
	"created_at": func(u *model.User) any { return instant{&u.CreatedAt} },
	"updated_at": func(u *model.User) any { return instant{&u.UpdatedAt} },
}

// ReadUser reads a user with all columns and past the batches, for a mutation. The error is NOT_FOUND where there is none.
func ReadUser(ctx context.Context, id int64) (*model.User, error) { return readUser(ctx, id, "") }

// LockUser is ReadUser, and keeps other transactions from changing the user until this one ends.
func LockUser(ctx context.Context, id int64) (*model.User, error) {
	return readUser(ctx, id, dialect.OfDB(session.DB(ctx)).ForUpdate())
}

func readUser(ctx context.Context, id int64, lock string) (*model.User, error) {
	columns := slices.Sorted(maps.Keys(userRow))
	users, err := read(ctx, userRow, columns, "SELECT "+list("", columns)+" FROM users WHERE id = ?"+lock, []any{id})
	switch {
	case err != nil:
		return nil, err
	case len(users) == 0:
		return nil, apierror.NotFound("there is no user %s", model.UserID(id))
	}
	return users[0], nil
}

func usersByID(ctx context.Context, ids []int64) (map[int64]*model.User, error) {
	byID := make(map[int64]*model.User, len(ids))
	selected := columns(ctx, "User")
	err := in(ids, func(marks string, ids []any) error {
		users, err := read(ctx, userRow, selected, "SELECT "+list("", selected)+" FROM users WHERE id IN ("+marks+")", ids)
		for _, u := range users {
			byID[u.ID] = u
		}
		return err
	})
	return byID, err
}

func usersByEmail(ctx context.Context, emails []string) (map[string]*model.User, error) {
	byEmail := make(map[string]*model.User, len(emails))
	emails = slices.DeleteFunc(slices.Clone(emails), func(email string) bool { return !model.StorableEmail(email) })
	if len(emails) == 0 {
		return byEmail, nil
	}
	args := make([]any, len(emails))
	for i, email := range emails {
		args[i] = email
	}
	selected := columns(ctx, "User", "email")
	users, err := read(ctx, userRow, selected, "SELECT "+list("", selected)+" FROM users WHERE email IN ("+marks(len(emails))+")", args)
	for _, u := range users {
		byEmail[u.Email] = u
	}
	return byEmail, err
}

// users reads a page of all users.
func users(ctx context.Context, page model.Page) (*model.UserConnection, error) {
	selected := columns(ctx, "User")
	users, err := read(ctx, userRow, selected, "SELECT "+list("", selected)+" FROM users"+firstOfAll, []any{page.After, page.First + 1})
	return userConnection(ctx, nil, users, page), err
}

// userCounts counts the reports of managers, and all users under 0.
func userCounts(ctx context.Context, managers []int64) (map[int64]int, error) {
	all := slices.Index(managers, 0)
	if all < 0 {
		return countBy("users", "manager_id")(ctx, managers)
	}
	counts := map[int64]int{}
	if managers = slices.Delete(slices.Clone(managers), all, all+1); len(managers) > 0 {
		var err error
		if counts, err = countBy("users", "manager_id")(ctx, managers); err != nil {
			return nil, err
		}
	}
	n, err := countAll(&model.User{})(ctx, 0)
	counts[0] = n
	return counts, err
}

// reports reads the first users of each manager. A manager may have many: each is limited on its own.
func reports(ctx context.Context, managers []int64, page model.Page) (map[int64]*model.UserConnection, error) {
	selected := columns(ctx, "User", "manager_id")
	users, err := firstOfEach(ctx, userRow, selected, managers, page,
		"SELECT "+list("", selected)+" FROM users WHERE manager_id = ? AND id > ? ORDER BY id LIMIT ?")
	if err != nil {
		return nil, err
	}
	byManager := map[int64][]*model.User{}
	for _, u := range users {
		byManager[*u.ManagerID] = append(byManager[*u.ManagerID], u)
	}
	lists := make(map[int64]*model.UserConnection, len(managers))
	for _, id := range managers {
		lists[id] = userConnection(ctx, &id, byManager[id], page)
	}
	return lists, nil
}

func userConnection(ctx context.Context, manager *int64, users []*model.User, page model.Page) *model.UserConnection {
	loaders, edges := FromContext(ctx), make([]*model.UserEdge, len(users))
	for i, u := range users {
		loaders.UserByID.Prime(u.ID, u)
		edges[i] = &model.UserEdge{User: u}
	}
	return &model.UserConnection{ManagerID: manager, Connection: model.NewConnection(edges, page.First)}
}

// member is an edge, the user whom it leads to and the team whose it is.
type member struct {
	model.TeamMemberEdge
	user   model.User
	teamID int64
}

var memberRow = joined(userRow, func(m *member) *model.User { return &m.user }, row[member]{
	"team_id":   func(m *member) any { return integer{&m.teamID} },
	"role":      func(m *member) any { return (*string)(&m.Role) },
	"joined_at": func(m *member) any { return instant{&m.JoinedAt} },
})

// membersOfTeams reads the first members of each team. A team may have many: each is limited on its own.
func membersOfTeams(ctx context.Context, teams []int64, page model.Page) (map[int64]*model.TeamMemberConnection, error) {
	user, edge := columns(ctx, "User"), columns(ctx, "TeamMemberEdge", "team_id")
	members, err := firstOfEach(ctx, memberRow, slices.Concat(user, edge), teams, page, "SELECT "+list("u.", user)+", "+list("m.", edge)+
		" FROM memberships m JOIN users u ON u.id = m.user_id WHERE m.team_id = ? AND m.user_id > ? ORDER BY m.user_id LIMIT ?")
	if err != nil {
		return nil, err
	}
	loaders, edges := FromContext(ctx), make(map[int64][]*model.TeamMemberEdge, len(teams))
	for _, m := range members {
		loaders.UserByID.Prime(m.user.ID, &m.user)
		m.User = &m.user
		edges[m.teamID] = append(edges[m.teamID], &m.TeamMemberEdge)
	}
	lists := make(map[int64]*model.TeamMemberConnection, len(teams))
	for _, id := range teams {
		lists[id] = &model.TeamMemberConnection{TeamID: id, Connection: model.NewConnection(edges[id], page.First)}
	}
	return lists, nil
}
