package directory

import (
	"strings"

	"rollcall/batch"
	"rollcall/model"
)

// declareMutations declares what mutations lead to.
func (d *Directory) declareMutations() {
	user := func(p *model.UserPayload) *model.User { return p.User }
	team := func(p *model.TeamPayload) *model.Team { return p.Team }
	d.schema.AddFields(
		batch.Path("CreateUserPayload", "user", user),
		batch.Path("UpdateUserPayload", "user", user),
		batch.Path("DeactivateUserPayload", "user", user),
		batch.Path("ReactivateUserPayload", "user", user),
		batch.Unplanned("DeleteUserPayload", "deletedUserId"),
		batch.Unplanned("EraseUserPayload", "erasedUserId"),
		batch.Path("CreateTeamPayload", "team", team),
		batch.Path("UpdateTeamPayload", "team", team),
		batch.Unplanned("DeleteTeamPayload", "deletedTeamId"),
		batch.Path("AddTeamMembersPayload", "team", func(p *model.AddTeamMembersPayload) *model.Team { return p.Team }),
		batch.Paths("AddTeamMembersPayload", "memberships", func(p *model.AddTeamMembersPayload) []*model.Membership { return p.Memberships }),
		batch.Path("RemoveTeamMembersPayload", "team", func(p *model.RemoveTeamMembersPayload) *model.Team { return p.Team }),
		batch.Unplanned("RemoveTeamMembersPayload", "removedMembershipIds"),
		batch.Path("SetTeamMemberRolePayload", "membership", func(p *model.MembershipPayload) *model.Membership { return p.Membership }),
		batch.Unplanned("EntryError", "code", "field", "message", "currentVersion"),
	)
	users := func(r *model.UserResult) *model.User { return r.Object }
	memberships := func(r *model.MembershipResult) *model.Membership { return r.Object }
	d.schema.AddFields(
		batch.Path("UserResult", "user", users),
		batch.Path("UpsertUserResult", "user", users),
		batch.Path("TeamResult", "team", func(r *model.TeamResult) *model.Team { return r.Object }),
		batch.Path("MembershipResult", "membership", memberships),
		batch.Unplanned("UserResult", "error"),
		batch.Unplanned("UpsertUserResult", "created", "error"),
		batch.Unplanned("DeleteUserResult", "deletedUserId", "error"),
		batch.Unplanned("TeamResult", "error"),
		batch.Unplanned("MembershipResult", "error"),
		batch.Unplanned("RemoveMembershipResult", "removedMembershipId", "error"),
	)
	bulk[model.UserResult](d, "users", "createUsers", "updateUsers", "upsertUsers")
	bulk[model.RemovalResult](d, "users", "deleteUsers")
	bulk[model.TeamResult](d, "teams", "createTeams")
	bulk[model.MembershipResult](d, "memberships", "addMemberships", "setMembershipRoles")
	bulk[model.RemovalResult](d, "memberships", "removeMemberships")
	d.schema.Sized("Mutation", "addTeamMembers", "input.members")
	d.schema.Sized("Mutation", "removeTeamMembers", "input.userIds")
}

// bulk declares mutations that are bulks, whose inputs have their entries in a field.
func bulk[R any](d *Directory, entries string, mutations ...string) {
	for _, name := range mutations {
		d.schema.Sized("Mutation", name, "input."+entries)
		payload := strings.ToUpper(name[:1]) + name[1:] + "Payload"
		d.schema.AddFields(batch.Paths(payload, "results", func(p *model.BulkPayload[R]) []*R { return p.Results }))
	}
}
