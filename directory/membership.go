package directory

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"rollcall/apierror"
	"rollcall/dialect"
	"rollcall/entity"
	"rollcall/keyset"
	"rollcall/model"
	"rollcall/session"
)

func (d *Directory) declareMembership() {
	m := d.memberships
	entity.Required(m, "user", d.users, func(m *model.Membership) *int64 { return &m.UserID })
	entity.Required(m, "team", d.teams, func(m *model.Membership) *int64 { return &m.TeamID })
	entity.Text(m, "role", func(m *model.Membership) *model.Role { return &m.Role })
	entity.Time(m, "joinedAt", func(m *model.Membership) *time.Time { return &m.CreatedAt }).Column("created_at")
	entity.Int(m, "version", func(m *model.Membership) *int64 { return &m.Version })
}

// pair is whose membership of which team.
type pair struct{ team, user int64 }

func (p pair) String() string {
	return fmt.Sprintf("%s in %s", keyset.ID("User", p.user), keyset.ID("Team", p.team))
}

// seat is an entry about a membership.
type seat struct {
	pair
	role     model.Role
	expected *int64 // version
	before   *model.Membership
	row      *model.Membership // as it is to be
}

// seats returns what inputs are about. The error is one that no client may see.
func (d *Directory) seats(e *entries, inputs []entity.Input, roles ...model.Role) ([]*seat, error) {
	all := make([]*seat, len(inputs))
	for i, in := range inputs {
		team, teamErr := d.teams.RequiredID(in, "teamId")
		user, userErr := d.users.RequiredID(in, "userId")
		var role model.Role
		var roleErr error
		if len(roles) > 0 {
			role, roleErr = entity.Choice(in, "role", roles...)
		}
		expected, versionErr := in.Int("expectedVersion")
		all[i] = &seat{pair: pair{team, user}, role: role, expected: expected}
		if err := e.refuse(i, teamErr, userErr, roleErr, versionErr); err != nil {
			return nil, err
		}
	}
	twice(e, "userId", pair.String, func(i int) pair { return all[i].pair })
	return all, nil
}

// readSeats reads what is there of the open seats. lock is what follows in the statement.
func (d *Directory) readSeats(ctx context.Context, e *entries, all []*seat, lock string) error {
	users := map[int64][]int64{} // by team
	for i, s := range all {
		if e.open(i) {
			users[s.team] = append(users[s.team], s.user)
		}
	}
	if len(users) == 0 {
		return nil
	}
	var conditions []string
	var args []any
	for _, team := range slices.Sorted(maps.Keys(users)) { // the same entries, the same statement
		conditions = append(conditions, "team_id = ? AND user_id IN ("+keyset.Marks(len(users[team]))+")")
		args = append(args, team)
		for _, user := range users[team] {
			args = append(args, user)
		}
	}
	there, err := d.memberships.Where(ctx, anyOf(conditions)+" ORDER BY id"+lock, args...)
	if err != nil {
		return err
	}
	byPair := make(map[pair]*model.Membership, len(there))
	for _, m := range there {
		byPair[pair{m.TeamID, m.UserID}] = m
	}
	for i, s := range all {
		if e.open(i) {
			s.before = byPair[s.pair]
		}
	}
	return nil
}

// anyOf is the condition that one of some holds, in few levels: SQLite takes 1,000.
func anyOf(conditions []string) string {
	if len(conditions) == 1 {
		return conditions[0]
	}
	half := len(conditions) / 2
	return "(" + anyOf(conditions[:half]) + " OR " + anyOf(conditions[half:]) + ")"
}

// lockSeats reads the memberships of some open seats against other changes, and refuses those that are not there, or have another version.
func (d *Directory) lockSeats(ctx context.Context, e *entries, all []*seat) error {
	if err := d.readSeats(ctx, e, all, dialect.OfDB(session.DB(ctx)).ForUpdate()); err != nil {
		return err
	}
	for i, s := range all {
		switch {
		case !e.open(i):
		case s.before == nil:
			_ = e.refuse(i, blamed("userId", apierror.NotFound("%s is not in %s", keyset.ID("User", s.user), keyset.ID("Team", s.team))))
		default:
			if err := d.memberships.Writable(ctx, s.before, ""); err != nil {
				_ = e.refuse(i, apierror.Within("teamId", err))
				continue
			}
			_ = e.refuse(i, expect("the membership of "+s.String(), s.before.Version, s.expected))
		}
	}
	return e.refused()
}

// addSeats adds memberships. One that is there with the same role stays; with another one it is a CONFLICT.
func (d *Directory) addSeats(ctx context.Context, e *entries, all []*seat) error {
	return d.putSeats(ctx, e, all, false)
}

// putSeats adds memberships. One that is there with the same role stays; with another one its role is changed, or it is a CONFLICT.
func (d *Directory) putSeats(ctx context.Context, e *entries, all []*seat, change bool) error {
	var teams, users []int64
	for i, s := range all {
		if e.look(i) {
			teams, users = append(teams, s.team), append(users, s.user)
		}
	}
	thereTeams, err := d.teams.There(ctx, teams)
	if err != nil {
		return err
	}
	thereUsers, err := d.users.There(ctx, users)
	if err != nil {
		return err
	}
	for i, s := range all {
		if !e.look(i) {
			continue
		}
		_ = e.refuse(i, d.admits(ctx, s.team, thereTeams[s.team]))
		if s.user != 0 && thereUsers[s.user] == nil {
			_ = e.refuse(i, blamed("userId", d.users.Missing(s.user)))
		}
	}
	lock := ""
	if change {
		lock = dialect.OfDB(session.DB(ctx)).ForUpdate()
	}
	if err := d.readSeats(ctx, e, all, lock); err != nil {
		return err
	}
	var rows []*model.Membership
	var edits []edit[model.Membership]
	for i, s := range all {
		switch {
		case !e.open(i):
		case s.before == nil:
			s.row = &model.Membership{TeamID: s.team, UserID: s.user, Role: s.role}
			rows = append(rows, s.row)
		case s.before.Role != s.role && change:
			edits = append(edits, s.edit())
		case s.before.Role != s.role:
			_ = e.refuse(i, &apierror.Error{Code: apierror.CodeConflict, Field: "role", Message: fmt.Sprintf(
				"%s is %s already: change that with setTeamMemberRole or setMembershipRoles", s, s.before.Role)})
		default:
			s.row = s.before
		}
	}
	if err := e.refused(); err != nil {
		return err
	}
	if err := insert(ctx, d, d.memberships, rows); err != nil {
		return e.failed(ctx, err)
	}
	return e.failed(ctx, update(ctx, d, d.memberships, edits))
}

// admits returns why the viewer of ctx may not change the members of the team with a number, which is nil where there is none; 0: there is no such number.
func (d *Directory) admits(ctx context.Context, number int64, team *model.Team) error {
	switch {
	case number == 0:
		return nil
	case team == nil:
		return blamed("teamId", d.teams.Missing(number))
	}
	if err := d.teams.Writable(ctx, team, "members"); err != nil {
		return apierror.Forbidden("teamId", "%s", err.Error())
	}
	return nil
}

// edit gives a membership its role.
func (s *seat) edit() edit[model.Membership] {
	row := *s.before
	row.Role = s.role
	s.row = &row
	return edit[model.Membership]{before: s.before, row: s.row, columns: []string{"role"}}
}

// blamed is an error about something that an input field names.
func blamed(field string, missing *apierror.Error) error {
	missing.Field = field
	return missing
}

// setRoles changes the roles of memberships.
func (d *Directory) setRoles(ctx context.Context, e *entries, all []*seat) error {
	if err := d.lockSeats(ctx, e, all); err != nil {
		return err
	}
	var edits []edit[model.Membership]
	for i, s := range all {
		if !e.open(i) {
			continue
		}
		if changed := s.edit(); s.role != s.before.Role {
			edits = append(edits, changed)
		}
	}
	return e.failed(ctx, update(ctx, d, d.memberships, edits))
}

// removeSeats removes memberships.
func (d *Directory) removeSeats(ctx context.Context, e *entries, all []*seat) error {
	if err := d.lockSeats(ctx, e, all); err != nil {
		return err
	}
	var rows []*model.Membership
	for i, s := range all {
		if e.open(i) {
			rows = append(rows, s.before)
		}
	}
	return e.failed(ctx, remove[model.Membership](ctx, d, d.memberships, rows, func() error { return nil }))
}

// removeMembershipsOf removes the memberships of teams or of users, which a column has, in a mutation that changes some objects beside.
// The error is BAD_USER_INPUT where these are more than one mutation changes.
func (d *Directory) removeMembershipsOf(ctx context.Context, e *entries, changed int, column string, of []int64) error {
	_, err := removeBelongings[model.Membership](ctx, d, d.memberships, e, changed, column, of, "take members out with removeMemberships first")
	return err
}

// AddTeamMembers puts users into a team. Errors: BAD_USER_INPUT (an id, too many), NOT_FOUND, CONFLICT (a user has another role in it).
func (d *Directory) AddTeamMembers(ctx context.Context, input entity.Input) (*model.AddTeamMembersPayload, error) {
	members, err := input.List("members")
	if err != nil {
		return nil, err
	}
	e, team, err := d.membersOf(ctx, input, "members", len(members), "addMemberships")
	if err != nil {
		return nil, err
	}
	for i, in := range members {
		members[i] = entity.Input{"teamId": team.GlobalID(), "userId": in["userId"], "role": in["role"]}
	}
	all, err := d.seats(e, members, model.RoleMember, model.RoleOwner)
	if err != nil {
		return nil, err
	}
	if err := d.addSeats(ctx, e, all); err != nil {
		return nil, err
	}
	payload := &model.AddTeamMembersPayload{Team: team}
	for _, s := range all {
		payload.Memberships = append(payload.Memberships, s.row)
	}
	return payload, nil
}

// RemoveTeamMembers takes users out of a team. Errors: BAD_USER_INPUT (an id, too many), NOT_FOUND.
func (d *Directory) RemoveTeamMembers(ctx context.Context, input entity.Input) (*model.RemoveTeamMembersPayload, error) {
	users, err := input.Strings("userIds")
	if err != nil {
		return nil, err
	}
	e, team, err := d.membersOf(ctx, input, "userIds", len(users), "removeMemberships")
	if err != nil {
		return nil, err
	}
	e.leaf = "userId"
	inputs := make([]entity.Input, len(users))
	for i, user := range users {
		inputs[i] = entity.Input{"teamId": team.GlobalID(), "userId": user}
	}
	all, err := d.seats(e, inputs)
	if err != nil {
		return nil, err
	}
	if err := d.removeSeats(ctx, e, all); err != nil {
		return nil, err
	}
	payload := &model.RemoveTeamMembersPayload{Team: team, RemovedMembershipIDs: []string{}}
	for _, s := range all {
		payload.RemovedMembershipIDs = append(payload.RemovedMembershipIDs, s.before.GlobalID())
	}
	return payload, nil
}

// membersOf returns the team that an input is about, and the entries of its members, which are in a field.
func (d *Directory) membersOf(ctx context.Context, input entity.Input, field string, n int, inParts string) (*entries, *model.Team, error) {
	id, err := d.teams.RequiredID(input, "teamId")
	switch {
	case err != nil:
		return nil, nil, err
	case n > maxChanged:
		return nil, nil, apierror.BadInput(field, "%s has %d entries, and one mutation changes at most %d objects: %s does it in parts", field, n, maxChanged, inParts)
	}
	there, err := d.teams.Read(ctx, []int64{id}, "")
	if err != nil {
		return nil, nil, err
	}
	if err := d.admits(ctx, id, there[id]); err != nil { // said here, since there may be no entries
		return nil, nil, err
	}
	return &entries{bulk: true, field: field, wrong: make([]apierror.Errors, n)}, there[id], nil
}

// SetTeamMemberRole changes what a user is in a team. Errors: BAD_USER_INPUT (an id), NOT_FOUND, CONFLICT (the version).
func (d *Directory) SetTeamMemberRole(ctx context.Context, input entity.Input) (*model.Membership, error) {
	e := single()
	all, err := d.seats(e, []entity.Input{input}, model.RoleMember, model.RoleOwner)
	if err != nil {
		return nil, err
	}
	if err := d.setRoles(ctx, e, all); err != nil {
		return nil, err
	}
	return all[0].row, nil
}

// AddMemberships puts users into teams, as a bulk says. Errors: those of AddTeamMembers, of EACH in the results.
func (d *Directory) AddMemberships(ctx context.Context, input entity.Input) ([]*model.MembershipResult, error) {
	return d.seatBulk(ctx, input, d.addSeats)
}

// SetMembershipRoles changes what users are in teams, as a bulk says. Errors: those of SetTeamMemberRole, of EACH in the results.
func (d *Directory) SetMembershipRoles(ctx context.Context, input entity.Input) ([]*model.MembershipResult, error) {
	return d.seatBulk(ctx, input, d.setRoles)
}

func (d *Directory) seatBulk(
	ctx context.Context, input entity.Input, write func(context.Context, *entries, []*seat) error,
) ([]*model.MembershipResult, error) {
	e, inputs, err := newEntries(input, "memberships")
	if err != nil {
		return nil, err
	}
	all, err := d.seats(e, inputs, model.RoleMember, model.RoleOwner)
	if err != nil {
		return nil, err
	}
	if err := write(ctx, e, all); err != nil {
		return nil, err
	}
	return results(e, func(i int) *model.MembershipResult {
		if all[i].before == nil && e.dryRun {
			return &model.MembershipResult{}
		}
		return &model.MembershipResult{Object: all[i].row}
	}, refusedResult[model.Membership]), nil
}

// RemoveMemberships takes users out of teams, as a bulk says. Errors: NOT_FOUND, CONFLICT (the version), BAD_USER_INPUT (an id); of EACH in the results.
func (d *Directory) RemoveMemberships(ctx context.Context, input entity.Input) ([]*model.RemovalResult, error) {
	e, inputs, err := newEntries(input, "memberships")
	if err != nil {
		return nil, err
	}
	all, err := d.seats(e, inputs)
	if err != nil {
		return nil, err
	}
	if err := d.removeSeats(ctx, e, all); err != nil {
		return nil, err
	}
	return removalResults(e, func(i int) string { return all[i].before.GlobalID() }), nil
}
