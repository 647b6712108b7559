package loader

import (
	"context"
	"time"

	"rollcall/model"
	"rollcall/session"
)

func teamsByID(ctx context.Context, ids []int64) (map[int64]*model.Team, error) {
	byID := make(map[int64]*model.Team, len(ids))
	err := in(ids, func(ids []int64) error {
		var teams []*model.Team
		err := session.DB(ctx).Select(columns(ctx, "Team", "")).Where("id IN ?", ids).Find(&teams).Error
		for _, t := range teams {
			byID[t.ID] = t
		}
		return err
	})
	return byID, err
}

// teams reads a page of all teams.
func (l *Loaders) teams(ctx context.Context, page model.Page) (*model.TeamConnection, error) {
	teams, err := firstOfAll[*model.Team](ctx, page, "SELECT "+list(columns(ctx, "Team", ""))+" FROM teams")
	edges := make([]*model.TeamEdge, len(teams))
	for i, t := range teams {
		l.TeamByID.Prime(t.ID, t)
		edges[i] = &model.TeamEdge{Team: t}
	}
	return &model.TeamConnection{Connection: model.NewConnection(edges, page.First)}, err
}

// userTeam is a team with the membership that led to it.
type userTeam struct {
	model.Team `gorm:"embedded"`
	UserID     int64
	Role       model.Role
	JoinedAt   time.Time
}

// teamsOfUsers reads the first teams of each user. A user has few: numbering all of them costs less
// than one limited select for each user.
func (l *Loaders) teamsOfUsers(ctx context.Context, users []int64, page model.Page) (map[int64]*model.UserTeamConnection, error) {
	selected := list(columns(ctx, "Team", "t."), columns(ctx, "UserTeamEdge", "m.", "user_id"))
	var rows []*userTeam
	err := in(users, func(users []int64) error {
		var some []*userTeam
		err := session.DB(ctx).Raw("SELECT * FROM (SELECT "+selected+`,
				ROW_NUMBER() OVER (PARTITION BY m.user_id ORDER BY m.team_id) AS place
			FROM memberships m JOIN teams t ON t.id = m.team_id
			WHERE m.user_id IN ? AND m.team_id > ?) AS ranked
			WHERE place <= ? ORDER BY user_id, place`, users, page.After, page.First+1).Find(&some).Error
		rows = append(rows, some...)
		return err
	})
	if err != nil {
		return nil, err
	}
	edges := map[int64][]*model.UserTeamEdge{}
	for _, r := range rows {
		l.TeamByID.Prime(r.Team.ID, &r.Team)
		edges[r.UserID] = append(edges[r.UserID], &model.UserTeamEdge{Team: &r.Team, Role: r.Role, JoinedAt: r.JoinedAt})
	}
	lists := make(map[int64]*model.UserTeamConnection, len(users))
	for _, id := range users {
		lists[id] = &model.UserTeamConnection{UserID: id, Connection: model.NewConnection(edges[id], page.First)}
	}
	return lists, nil
}
