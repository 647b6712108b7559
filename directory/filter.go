package directory

import (
	"rollcall/apierror"
	"rollcall/entity"
	"rollcall/keyset"
)

// declareUserFilters declares what users can be found by that is no column of theirs.
func (d *Directory) declareUserFilters() {
	managers := &keyset.Tree{Table: "users", Parent: "manager_id"}
	entity.FilterBy(d.users, "hasManager", func(has bool) (keyset.Condition, error) {
		if has {
			return keyset.Not(keyset.IsNull("t.manager_id")), nil
		}
		return keyset.IsNull("t.manager_id"), nil
	})
	entity.FilterBy(d.users, "managedBy", func(id entity.ID) (keyset.Condition, error) {
		manager, err := d.users.ParseID("", string(id))
		return managers.Under("t.id", manager), err
	})
	entity.FilterBy(d.users, "inTeam", d.inTeam)
}

// declareTeamFilters declares what teams can be found by that is no column of theirs.
func (d *Directory) declareTeamFilters() {
	entity.InnerFilterBy(d.teams, "hasMember", func(id entity.ID) (keyset.Condition, error) {
		user, err := d.users.ParseID("", string(id))
		return keyset.Among("t.id", "SELECT m.team_id FROM memberships m WHERE m.user_id = ?", user), err
	})
}

// inTeam is the condition that a user is in a team, with a role if one is given.
func (d *Directory) inTeam(in entity.Input) (none keyset.Condition, err error) {
	team, err := d.teams.InputID(in)
	if err != nil {
		return none, err
	}
	const members = "SELECT m.user_id FROM memberships m WHERE m.team_id = ?"
	switch role, given := in["role"]; {
	case !given:
		return keyset.Among("t.id", members, team), nil
	case role == nil:
		return none, apierror.BadInput("role", "must not be null: leave it out for any role")
	default:
		return keyset.Among("t.id", members+" AND m.role = ?", team, role), nil
	}
}
