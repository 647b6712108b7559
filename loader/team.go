package loader

import (
	"context"
	"slices"

	"rollcall/batch"
	"rollcall/model"
)

// teamRow is the columns of teams.
var teamRow = row[model.Team]{
	"id":         func(t *model.Team) any { return integer{&t.ID} },
	"name":       func(t *model.Team) any { return &t.Name },
	"created_at": func(t *model.Team) any { return instant{&t.CreatedAt} },
	"updated_at": func(t *model.Team) any { return instant{&t.UpdatedAt} },
}

func teamsByID(ctx context.Context, ids []int64, c batch.Columns) (map[int64]*model.Team, error) {
	byID := make(map[int64]*model.Team, len(ids))
	selected := columns(c, "Team")
	err := in(ids, func(marks string, ids []any) error {
		teams, err := read(ctx, teamRow, selected, "SELECT "+list("", selected)+" FROM teams WHERE id IN ("+marks+")", ids)
		for _, t := range teams {
			byID[t.ID] = t
		}
		return err
	})
	return byID, err
}

// teams reads a page of all teams.
func teams(ctx context.Context, page model.Page, c batch.Columns) (*model.TeamConnection, error) {
	selected := columns(c, "Team")
	teams, err := read(ctx, teamRow, selected, "SELECT "+list("", selected)+" FROM teams"+firstOfAll, []any{page.After, page.First + 1})
	loaders, edges := FromContext(ctx), make([]*model.TeamEdge, len(teams))
	for i, t := range teams {
		loaders.TeamByID.Prime(t.ID, t)
		edges[i] = &model.TeamEdge{Team: t}
	}
	return &model.TeamConnection{Connection: model.NewConnection(edges, page.First)}, err
}

// userTeam is an edge, the team that it leads to and the user whose it is.
type userTeam struct {
	model.UserTeamEdge
	team   model.Team
	userID int64
}

var userTeamRow = joined(teamRow, func(r *userTeam) *model.Team { return &r.team }, row[userTeam]{
	"user_id":   func(r *userTeam) any { return integer{&r.userID} },
	"role":      func(r *userTeam) any { return (*string)(&r.Role) },
	"joined_at": func(r *userTeam) any { return instant{&r.JoinedAt} },
})

// teamsOfUsers reads the first teams of each user. A user has few: numbering all of them costs less
// than one limited select for each user.
func teamsOfUsers(ctx context.Context, users []int64, page model.Page, c batch.Columns) (map[int64]*model.UserTeamConnection, error) {
	team, edge := columns(c, "Team"), columns(c, "UserTeamEdge", "user_id")
	loaders, edges := FromContext(ctx), make(map[int64][]*model.UserTeamEdge, len(users))
	err := in(users, func(marks string, users []any) error {
		all := slices.Concat(team, edge)
		rows, err := read(ctx, userTeamRow, all, "SELECT "+list("", names(all))+" FROM (SELECT "+list("t.", team)+", "+list("m.", edge)+`,
				ROW_NUMBER() OVER (PARTITION BY m.user_id ORDER BY m.team_id) AS place
			FROM memberships m JOIN teams t ON t.id = m.team_id
			WHERE m.user_id IN (`+marks+`) AND m.team_id > ?) AS ranked
			WHERE place <= ? ORDER BY user_id, place`, append(users, page.After, page.First+1))
		for _, r := range rows {
			loaders.TeamByID.Prime(r.team.ID, &r.team)
			r.Team = &r.team
			edges[r.userID] = append(edges[r.userID], &r.UserTeamEdge)
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	lists := make(map[int64]*model.UserTeamConnection, len(users))
	for _, id := range users {
		lists[id] = &model.UserTeamConnection{UserID: id, Connection: model.NewConnection(edges[id], page.First)}
	}
	return lists, nil
}
