package directory

import (
	"rollcall/apierror"
	"rollcall/entity"
	"rollcall/keyset"
)

// declareUserFilters declares what users can be found by that is no column of theirs.
func (d *Directory) declareUserFilters() {
	entity.FilterBy(d.users, "hasManager", func(has bool) (keyset.Condition, error) {
		if has {
			return keyset.Not(keyset.IsNull("t.manager_id")), nil
		}
		return keyset.IsNull("t.manager_id"), nil
	})
	entity.FilterBy(d.users, "managedBy", func(id entity.ID) (keyset.Condition, error) {
		manager, err := d.users.ParseID("", string(id))
		return keyset.Among("t.id", managed, manager, int64(keyset.MaxDepth)), err
	})
	entity.FilterBy(d.users, "inTeam", d.inTeam)
}

// managed reads the users whom a user manages, directly or through others, on so many levels: databases end a recursion, some of them
// in silence.
const managed = `WITH RECURSIVE managed (id, depth) AS (
	SELECT u.id, 1 FROM users u WHERE u.manager_id = ?
	UNION ALL SELECT u.id, m.depth + 1 FROM managed m JOIN users u ON u.manager_id = m.id WHERE m.depth < ?
) SELECT id FROM managed`

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
