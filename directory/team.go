package directory

import (
	"context"
	"time"

	"rollcall/entity"
	"rollcall/model"
)

// maxDescription is how many characters the description of a team may have.
const maxDescription = 2000

func (d *Directory) declareTeam() {
	t := d.teams
	t.Counted()
	entity.Find(d.schema, "team", t)
	entity.All(d.schema, "teams", t)
	entity.Text(t, "name", func(t *model.Team) *string { return &t.Name }).Writable(model.CheckName).Unique("another team has this name").Folded("name_folded").Order().Filter()
	entity.OptionalText(t, "description", func(t *model.Team) **string { return &t.Description }).
		Writable(entity.Optional(model.CheckParagraphs("description", maxDescription))).Filter()
	entity.Int(t, "version", func(t *model.Team) *int64 { return &t.Version })
	entity.Time(t, "createdAt", func(t *model.Team) *time.Time { return &t.CreatedAt }).Order().Filter()
	entity.Time(t, "updatedAt", func(t *model.Team) *time.Time { return &t.UpdatedAt }).Order().Filter()
	entity.One(t, "parent", t, func(t *model.Team) **int64 { return &t.ParentID }).Writable(nil).Filter()
	t.Accept("expectedVersion", "Int")
	t.Accept("parentRef", "Int")
	entity.Many(t, "children", t, "parent_id")
	d.declareTeamFilters()

	member := entity.Link[model.TeamMemberEdge](d.schema, "TeamMember", "memberships")
	entity.Text(member, "role", func(e *model.TeamMemberEdge) *model.Role { return &e.Role }).Order()
	entity.Time(member, "joinedAt", func(e *model.TeamMemberEdge) *time.Time { return &e.JoinedAt }).Column("created_at").Order()
	entity.GlobalID(member, "membershipId", "Membership", func(e *model.TeamMemberEdge) *int64 { return &e.MembershipID }).Column("id")
	entity.Int(member, "membershipVersion", func(e *model.TeamMemberEdge) *int64 { return &e.MembershipVersion }).Column("version")
	entity.One(member, "team", t, func(e *model.TeamMemberEdge) **int64 { return &e.TeamID })
	entity.Through(t, "members", member, "team_id", "user_id", d.users, false).Nested("membership", "parent_id")
}

// teamTree is how teams are within others.
func (d *Directory) teamTree() *tree[model.Team] {
	return &tree[model.Team]{
		objects: d.teams, version: func(t *model.Team) *int64 { return &t.Version }, above: func(t *model.Team) **int64 { return &t.ParentID },
		column: "parent_id", field: "parentId", ref: "parentRef", noun: "team that it is to be a part of", mover: "updateTeam", lock: "teams",
		circle: "%s cannot be a part of %s: no team is within itself, directly or through others",
		loop:   "nothing can be a part of %s: the teams that it is within are a circle (%s): make one of these a part of another team, or of none, first",
		below:  "teams are within the team: move them first, or say with children: REPARENT that they become parts of the one that it is a part of",
	}
}

// CreateTeam adds a team. Errors: BAD_USER_INPUT (a field's value, or a parent that is not there), CONFLICT (the name).
func (d *Directory) CreateTeam(ctx context.Context, input entity.Input) (*model.Team, error) {
	return storeOne(ctx, d, d.tree.teams, input, d.tree.teams.added)
}

// UpdateTeam changes a team; a field that the input does not have stays. Errors: BAD_USER_INPUT (a field's value, or a parent that is
// not there, or is within the team), NOT_FOUND (the team), CONFLICT (the name, the version, or a circle above the parent).
func (d *Directory) UpdateTeam(ctx context.Context, input entity.Input) (*model.Team, error) {
	return storeOne(ctx, d, d.tree.teams, input, d.tree.teams.changed)
}

// CreateTeams adds teams, as a bulk says. Errors: those of CreateTeam, of EACH in the results.
func (d *Directory) CreateTeams(ctx context.Context, input entity.Input) ([]*model.TeamResult, error) {
	return storeBulk(ctx, d, d.tree.teams, input, "teams", d.tree.teams.added)
}

// DeleteTeam removes a team and its memberships, and returns the team's global id. Errors: BAD_USER_INPUT (the id, or more than a mutation
// changes), NOT_FOUND, CONFLICT (teams are within it, the version).
func (d *Directory) DeleteTeam(ctx context.Context, input entity.Input) (id string, err error) {
	children, err := entity.Choice(input, "children", model.Refuse, model.Reparent)
	if err != nil {
		return "", err
	}
	e := single()
	all, err := d.tree.teams.removed(e, []entity.Input{input})
	if err != nil {
		return "", err
	}
	all[0].heirs = children == model.Reparent
	err = deleteObjects(ctx, d, d.tree.teams, e, all, func(r *removal[model.Team]) { r.heir = r.row.ParentID }, func(teams []*model.Team, changed int) error {
		return d.removeMembershipsOf(ctx, e, changed, "team_id", ids(teams, d.teams.ID))
	})
	if err != nil {
		return "", err
	}
	return all[0].row.GlobalID(), nil
}
