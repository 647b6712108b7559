package directory

import (
	"context"
	"database/sql"
	"fmt"

	"rollcall/dialect"
	"rollcall/entity"
	"rollcall/keyset"
	"rollcall/model"
	"rollcall/session"
)

// FindUsers reads users that a filter finds, as UserFilter has it; nil: all. It is one statement. The error is BAD_USER_INPUT.
func (d *Directory) FindUsers(ctx context.Context, filter map[string]any, p entity.Portion) ([]*model.User, error) {
	return d.users.Found(ctx, filter, p)
}

// CountUsers counts the users that a filter finds, in one statement. The error is BAD_USER_INPUT.
func (d *Directory) CountUsers(ctx context.Context, filter map[string]any) (int64, error) {
	return d.users.CountFound(ctx, filter)
}

// FindTeams is FindUsers for teams, whose filters have hasMember besides, with the id of a user.
func (d *Directory) FindTeams(ctx context.Context, filter map[string]any, p entity.Portion) ([]*model.Team, error) {
	return d.teams.Found(ctx, filter, p)
}

// CountTeams is CountUsers for teams.
func (d *Directory) CountTeams(ctx context.Context, filter map[string]any) (int64, error) {
	return d.teams.CountFound(ctx, filter)
}

// ReadUser reads a user by the global id; nil: there is none.
func (d *Directory) ReadUser(ctx context.Context, id string) (*model.User, error) {
	number, err := d.users.ParseID("id", id)
	if err != nil { // no user has such an id
		return nil, nil //nolint:nilerr // nobody is found
	}
	all, err := d.users.Read(ctx, []int64{number}, "")
	return all[number], err
}

// ReadTeam reads a team by the global id; nil: there is none. If it is locked, it and who is in it stay as they are for others that lock it, until
// the mutation has ended.
func (d *Directory) ReadTeam(ctx context.Context, id string, locked bool) (*model.Team, error) {
	number, err := d.teams.ParseID("id", id)
	if err != nil { // no team has such an id
		return nil, nil //nolint:nilerr // nothing is found
	}
	lock := ""
	if locked {
		lock = dialect.OfDB(session.DB(ctx)).ForNoKeyUpdate()
	}
	all, err := d.teams.Read(ctx, []int64{number}, lock)
	return all[number], err
}

// UserNames reads the names of users by their numbers, with one statement where there are any.
func (d *Directory) UserNames(ctx context.Context, of []int64) (map[int64]string, error) {
	names := make(map[int64]string, len(of))
	for marks, args := range keyset.In(of) {
		all, err := d.users.Select(ctx, []string{"id", "name"}, "SELECT id, name FROM users WHERE id IN ("+marks+")", args...)
		if err != nil {
			return nil, err
		}
		for _, u := range all {
			names[u.ID] = u.Name
		}
	}
	return names, nil
}

// Member is a user's place in a team, and what the other one is called.
type Member struct {
	Membership, Team, User int64
	Name                   string // of the user, or of the team
}

// MembersOf reads who is in teams, at most so many and one more, in the order in which they came, with one statement where there are any teams.
func (d *Directory) MembersOf(ctx context.Context, teams []int64, limit int) ([]Member, error) {
	return members(ctx, "SELECT m.id, m.team_id, m.user_id, u.name FROM memberships m JOIN users u ON u.id = m.user_id WHERE m.team_id", teams, limit)
}

// TeamsOf reads which teams users are in, as MembersOf does.
func (d *Directory) TeamsOf(ctx context.Context, users []int64, limit int) ([]Member, error) {
	return members(ctx, "SELECT m.id, m.team_id, m.user_id, t.name FROM memberships m JOIN teams t ON t.id = m.team_id WHERE m.user_id", users, limit)
}

func members(ctx context.Context, query string, of []int64, limit int) (all []Member, err error) {
	for marks, args := range keyset.In(of) {
		err = session.Query(ctx, fmt.Sprintf("%s IN (%s) ORDER BY m.id LIMIT %d", query, marks, limit+1), args, func(rows *sql.Rows) error {
			var m Member
			err := rows.Scan(&m.Membership, &m.Team, &m.User, &m.Name)
			all = append(all, m)
			return err
		})
		if err != nil {
			return nil, err
		}
	}
	return all, nil
}

// Tally tells who is in a team: it is another one whenever somebody came or went.
type Tally struct {
	Members int64
	Last    int64 // the number of the last membership, which no other one gets
}

// Tallies counts who is in teams, by the teams' numbers, with one statement where there are any teams.
func (d *Directory) Tallies(ctx context.Context, teams []int64) (map[int64]Tally, error) {
	tallies := make(map[int64]Tally, len(teams))
	for marks, args := range keyset.In(teams) {
		err := session.Query(ctx, "SELECT team_id, COUNT(*), MAX(id) FROM memberships WHERE team_id IN ("+marks+") GROUP BY team_id", args, func(rows *sql.Rows) error {
			var team int64
			var t Tally
			err := rows.Scan(&team, &t.Members, &t.Last)
			tallies[team] = t
			return err
		})
		if err != nil {
			return nil, err
		}
	}
	return tallies, nil
}

// InTeam returns which of some users are in a team, by their numbers.
func (d *Directory) InTeam(ctx context.Context, team int64, users []int64) (map[int64]bool, error) {
	in := make(map[int64]bool, len(users))
	for marks, args := range keyset.In(users) {
		all, err := d.memberships.Where(ctx, "team_id = ? AND user_id IN ("+marks+")", append([]any{team}, args...)...)
		if err != nil {
			return nil, err
		}
		for _, m := range all {
			in[m.UserID] = true
		}
	}
	return in, nil
}
