package directory

import (
	"time"

	"rollcall/entity"
	"rollcall/model"
)

func (d *Directory) declareTeam() {
	t := d.teams
	t.Counted()
	entity.Find(d.schema, "team", t)
	entity.All(d.schema, "teams", t)
	entity.Text(t, "name", func(t *model.Team) *string { return &t.Name }).Unique("another team has this name").Folded("name_folded").Order().Filter()
	entity.OptionalText(t, "description", func(t *model.Team) **string { return &t.Description }).Filter()
	entity.Int(t, "version", func(t *model.Team) *int64 { return &t.Version })
	entity.Time(t, "createdAt", func(t *model.Team) *time.Time { return &t.CreatedAt }).Order().Filter()
	entity.Time(t, "updatedAt", func(t *model.Team) *time.Time { return &t.UpdatedAt }).Order().Filter()
	entity.One(t, "parent", t, func(t *model.Team) **int64 { return &t.ParentID }).Filter()
	entity.Many(t, "children", t, "parent_id")

	member := entity.Link[model.TeamMemberEdge](d.schema, "TeamMember", "memberships")
	entity.Text(member, "role", func(e *model.TeamMemberEdge) *model.Role { return &e.Role }).Order()
	entity.Time(member, "joinedAt", func(e *model.TeamMemberEdge) *time.Time { return &e.JoinedAt }).Column("created_at").Order()
	entity.GlobalID(member, "membershipId", "Membership", func(e *model.TeamMemberEdge) *int64 { return &e.MembershipID }).Column("id")
	entity.Int(member, "membershipVersion", func(e *model.TeamMemberEdge) *int64 { return &e.MembershipVersion }).Column("version")
	entity.One(member, "team", t, func(e *model.TeamMemberEdge) **int64 { return &e.TeamID })
	entity.Through(t, "members", member, "team_id", "user_id", d.users, false).Nested("membership", "parent_id")
}
