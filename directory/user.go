package directory

import (
	"context"
	"errors"
	"time"

	"rollcall/apierror"
	"rollcall/dialect"
	"rollcall/entity"
	"rollcall/model"
	"rollcall/session"
)

func (d *Directory) declareUser() {
	u := d.users
	u.Counted()
	entity.Find(d.schema, "user", u)
	entity.All(d.schema, "users", u)
	entity.Text(u, "name", func(u *model.User) *string { return &u.Name }).Writable(model.CheckName).Folded("name_folded").Order().Filter()
	email := entity.Text(u, "email", func(u *model.User) *string { return &u.Email }).Writable(model.CheckEmail).KeepStored().
		Unique("another user has this email").Order().FilterAs(model.ComparedEmail)
	entity.FindBy(d.schema, "userByEmail", u, email, func(email string) (string, bool) {
		email = model.NormalEmail(email)
		return email, model.StorableEmail(email)
	})
	entity.OptionalText(u, "title", func(u *model.User) **string { return &u.Title }).
		Writable(entity.Optional(model.CheckLabel("title"))).Folded("title_folded").Filter()
	entity.OptionalText(u, "department", func(u *model.User) **string { return &u.Department }).
		Writable(entity.Optional(model.CheckLabel("department"))).Folded("department_folded").Filter()
	entity.OptionalText(u, "phone", func(u *model.User) **string { return &u.Phone }).Writable(entity.Optional(model.CheckPhone)).Filter()
	entity.OptionalText(u, "location", func(u *model.User) **string { return &u.Location }).
		Writable(entity.Optional(model.CheckLabel("location"))).Folded("location_folded").Filter()
	entity.OptionalText(u, "timeZone", func(u *model.User) **string { return &u.TimeZone }).Writable(entity.Optional(model.CheckTimeZone)).Filter()
	entity.OptionalText(u, "photoUrl", func(u *model.User) **string { return &u.PhotoURL }).Writable(entity.Optional(model.CheckPhotoURL))
	externalID := entity.OptionalText(u, "externalId", func(u *model.User) **string { return &u.ExternalID }).
		Writable(entity.Optional(model.CheckExternalID)).Unique("another user has this external id").Filter()
	entity.FindBy(d.schema, "userByExternalId", u, externalID, func(id string) (string, bool) { return id, model.StorableExternalID(id) })
	entity.Text(u, "status", func(u *model.User) *model.Status { return &u.Status }).Filter()
	entity.Int(u, "version", func(u *model.User) *int64 { return &u.Version })
	entity.One(u, "manager", u, func(u *model.User) **int64 { return &u.ManagerID }).Writable(nil).Filter()
	entity.Time(u, "createdAt", func(u *model.User) *time.Time { return &u.CreatedAt }).Order().Filter()
	entity.Time(u, "updatedAt", func(u *model.User) *time.Time { return &u.UpdatedAt }).Order().Filter()
	entity.Many(u, "reports", u, "manager_id")
	entity.Above(u, "managementChain", "manager_id")
	below := entity.Link[model.AllReportsEdge](d.schema, "AllReports", "")
	entity.Below(u, "allReports", below, "manager_id", func(e *model.AllReportsEdge) *int64 { return &e.Depth })
	d.declareUserFilters()
	d.declareSearch()

	team := entity.Link[model.UserTeamEdge](d.schema, "UserTeam", "memberships")
	entity.Text(team, "role", func(e *model.UserTeamEdge) *model.Role { return &e.Role }).Order()
	entity.Time(team, "joinedAt", func(e *model.UserTeamEdge) *time.Time { return &e.JoinedAt }).Column("created_at").Order()
	entity.GlobalID(team, "membershipId", "Membership", func(e *model.UserTeamEdge) *int64 { return &e.MembershipID }).Column("id")
	entity.Int(team, "membershipVersion", func(e *model.UserTeamEdge) *int64 { return &e.MembershipVersion }).Column("version")
	entity.Through(u, "teams", team, "user_id", "team_id", d.teams, true)
}

// CreateUser adds a user. Errors: BAD_USER_INPUT (a field's value, or a manager who is not there), CONFLICT (the email, the external id).
func (d *Directory) CreateUser(ctx context.Context, input entity.Input) (*model.User, error) {
	user, err := d.users.New(input)
	if err != nil {
		return nil, err
	}
	if user.ManagerID != nil {
		if _, err := d.users.Read(ctx, *user.ManagerID, ""); err != nil {
			return nil, asManager(err)
		}
	}
	return user, asManager(insert(ctx, d, d.users, user)) // a new user has no reports, so that no circle can come of it
}

// UpdateUser changes a user; a field that the input does not have stays. Errors: BAD_USER_INPUT (a field's value, or a manager who is
// not there, or is below the user), NOT_FOUND (the user), CONFLICT (the email, the external id, or a circle above the manager).
func (d *Directory) UpdateUser(ctx context.Context, input entity.Input) (*model.User, error) {
	change, err := d.users.Change(input)
	if err != nil {
		return nil, err
	}
	user, err := d.lockForUpdate(ctx, change)
	if err != nil {
		return nil, err
	}
	if err := asManager(update(ctx, d, d.users, user, change)); err != nil {
		return nil, err
	}
	return user, nil
}

// DeleteUser removes a user and the user's memberships, and returns the user's global id. Errors: BAD_USER_INPUT (the id), NOT_FOUND,
// CONFLICT (the user has reports).
func (d *Directory) DeleteUser(ctx context.Context, input entity.Input) (id string, err error) {
	number, err := d.users.InputID(input)
	if err != nil {
		return "", err
	}
	user, err := d.users.Read(ctx, number, dialect.OfDB(session.DB(ctx)).ForUpdate())
	if err != nil {
		return "", err
	}
	err = remove(ctx, d, d.users, user, func() error {
		return session.DB(ctx).Where("user_id = ?", user.ID).Delete(&model.Membership{}).Error
	})
	if dialect.Is(err, dialect.ForeignKey) { // only reports refer to a user by now
		return "", &apierror.Error{
			Code: apierror.CodeConflict, Field: "id", Err: err,
			Message: "the user has reports: give them another manager first",
		}
	}
	return user.GlobalID(), err
}

// lockForUpdate reads the user whom a change is for, against other changes until this one is stored, and checks a new manager.
func (d *Directory) lockForUpdate(ctx context.Context, change entity.Change[model.User]) (*model.User, error) {
	manager, locked := change.Values.ManagerID, false
	if manager != nil { // whom nobody manages is in no circle
		before, err := d.users.Read(ctx, change.ID, "")
		if err != nil {
			return nil, err
		}
		// Before any row is locked, or two changes could each wait for what the other holds.
		if locked = moves(before, *manager); locked {
			if err := lockManagers(ctx); err != nil {
				return nil, err
			}
		}
	}
	user, err := d.users.Read(ctx, change.ID, dialect.OfDB(session.DB(ctx)).ForUpdate())
	if err != nil || manager == nil || !moves(user, *manager) {
		return user, err
	}
	if !locked { // the user has got another manager between the two reads
		if err := lockManagers(ctx); err != nil {
			return nil, err
		}
	}
	return user, d.checkManager(ctx, change.ID, *manager)
}

// moves reports whether a manager is another one than a user has.
func moves(u *model.User, manager int64) bool { return u.ManagerID == nil || *u.ManagerID != manager }

// asManager blames the input's managerId for a user who is not there, or who is deleted before the reference to it is stored.
func asManager(err error) error {
	var e *apierror.Error
	switch {
	case errors.As(err, &e) && e.Code == apierror.CodeNotFound:
		return apierror.BadInput("managerId", "%s", e.Message)
	case dialect.Is(err, dialect.ForeignKey): // users refer to nothing else
		return apierror.BadInput("managerId", "the manager has been deleted")
	}
	return err
}
