package loader

import (
	"context"
	"slices"
	"time"

	"rollcall/model"
	"rollcall/session"
)

func usersByID(ctx context.Context, ids []int64) (map[int64]*model.User, error) {
	byID := make(map[int64]*model.User, len(ids))
	err := in(ids, func(ids []int64) error {
		var users []*model.User
		err := session.DB(ctx).Select(columns(ctx, "User", "")).Where("id IN ?", ids).Find(&users).Error
		for _, u := range users {
			byID[u.ID] = u
		}
		return err
	})
	return byID, err
}

func usersByEmail(ctx context.Context, emails []string) (map[string]*model.User, error) {
	byEmail := make(map[string]*model.User, len(emails))
	var users []*model.User
	err := session.DB(ctx).Select(columns(ctx, "User", "", "email")).Where("email IN ?", emails).Find(&users).Error
	for _, u := range users {
		byEmail[u.Email] = u
	}
	return byEmail, err
}

// users reads a page of all users.
func (l *Loaders) users(ctx context.Context, page model.Page) (*model.UserConnection, error) {
	users, err := firstOfAll[*model.User](ctx, page, "SELECT "+list(columns(ctx, "User", ""))+" FROM users")
	return l.userConnection(nil, users, page), err
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
func (l *Loaders) reports(ctx context.Context, managers []int64, page model.Page) (map[int64]*model.UserConnection, error) {
	users, err := firstOfEach[*model.User](ctx, managers, page,
		"SELECT "+list(columns(ctx, "User", "", "manager_id"))+" FROM users WHERE manager_id = ? AND id > ? ORDER BY id LIMIT ?")
	if err != nil {
		return nil, err
	}
	byManager := map[int64][]*model.User{}
	for _, u := range users {
		byManager[*u.ManagerID] = append(byManager[*u.ManagerID], u)
	}
	lists := make(map[int64]*model.UserConnection, len(managers))
	for _, id := range managers {
		lists[id] = l.userConnection(&id, byManager[id], page)
	}
	return lists, nil
}

func (l *Loaders) userConnection(manager *int64, users []*model.User, page model.Page) *model.UserConnection {
	edges := make([]*model.UserEdge, len(users))
	for i, u := range users {
		l.UserByID.Prime(u.ID, u)
		edges[i] = &model.UserEdge{User: u}
	}
	return &model.UserConnection{ManagerID: manager, Connection: model.NewConnection(edges, page.First)}
}

// member is a user with the membership that led to it.
type member struct {
	model.User `gorm:"embedded"`
	TeamID     int64
	Role       model.Role
	JoinedAt   time.Time
}

// membersOfTeams reads the first members of each team. A team may have many: each is limited on its own.
func (l *Loaders) membersOfTeams(ctx context.Context, teams []int64, page model.Page) (map[int64]*model.TeamMemberConnection, error) {
	members, err := firstOfEach[*member](ctx, teams, page,
		"SELECT "+list(columns(ctx, "User", "u."), columns(ctx, "TeamMemberEdge", "m.", "team_id"))+
			" FROM memberships m JOIN users u ON u.id = m.user_id WHERE m.team_id = ? AND m.user_id > ? ORDER BY m.user_id LIMIT ?")
	if err != nil {
		return nil, err
	}
	edges := map[int64][]*model.TeamMemberEdge{}
	for _, m := range members {
		l.UserByID.Prime(m.User.ID, &m.User)
		edges[m.TeamID] = append(edges[m.TeamID], &model.TeamMemberEdge{User: &m.User, Role: m.Role, JoinedAt: m.JoinedAt})
	}
	lists := make(map[int64]*model.TeamMemberConnection, len(teams))
	for _, id := range teams {
		lists[id] = &model.TeamMemberConnection{TeamID: id, Connection: model.NewConnection(edges[id], page.First)}
	}
	return lists, nil
}
