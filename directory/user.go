package directory

import (
	"context"
	"time"

	"rollcall/apierror"
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
	u.Accept("expectedVersion", "Int")
	u.Accept("managerRef", "Int")
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

// userTree is how users are below their managers.
func (d *Directory) userTree() *tree[model.User] {
	return &tree[model.User]{
		objects: d.users, version: func(u *model.User) *int64 { return &u.Version }, above: func(u *model.User) **int64 { return &u.ManagerID },
		column: "manager_id", field: "managerId", ref: "managerRef", heir: "reportsTo", noun: "manager", mover: "updateUsers", lock: "managers",
		circle: "%s cannot have the manager %s: nobody manages themself, directly or through others",
		loop:   "%s cannot be a manager: the managers above are a circle (%s): give one of these another manager, or none, first",
		below:  "the user has reports: give them another manager first, or say with reportsTo who that is",
	}
}

// CreateUser adds a user. Errors: BAD_USER_INPUT (a field's value, or a manager who is not there), CONFLICT (the email, the external id).
func (d *Directory) CreateUser(ctx context.Context, input entity.Input) (*model.User, error) {
	return storeOne(ctx, d, d.tree.users, input, d.tree.users.added)
}

// CreateUserAs is CreateUser of a user who has a status from the beginning.
func (d *Directory) CreateUserAs(ctx context.Context, input entity.Input, status model.Status) (*model.User, error) {
	return storeOne(ctx, d, d.tree.users, input, inStatus(d.tree.users.added, status))
}

// UpdateUser changes a user; a field that the input does not have stays. Errors: BAD_USER_INPUT (a field's value, or a manager who is
// not there, or is below the user), NOT_FOUND (the user), CONFLICT (the email, the external id, the version, or a circle above the manager).
func (d *Directory) UpdateUser(ctx context.Context, input entity.Input) (*model.User, error) {
	return storeOne(ctx, d, d.tree.users, input, d.tree.users.changed)
}

// SetUserStatus has a user take part, or no more. Errors: BAD_USER_INPUT (the id), NOT_FOUND, CONFLICT (the version).
func (d *Directory) SetUserStatus(ctx context.Context, input entity.Input, status model.Status) (*model.User, error) {
	return storeOne(ctx, d, d.tree.users, input, inStatus(d.tree.users.changed, status))
}

// inStatus parses an input as parse does, and gives its user a status.
func inStatus(parse parser[model.User], status model.Status) parser[model.User] {
	return func(e *entries, inputs []entity.Input) ([]*item[model.User], error) {
		items, err := parse(e, inputs)
		if err == nil && e.open(0) {
			withStatus(items[0], status)
		}
		return items, err
	}
}

// withStatus has an item give its user a status.
func withStatus(it *item[model.User], status model.Status) {
	if it.change.ID == 0 {
		it.row.Status = status
		return
	}
	it.change = it.change.And("status", func(u *model.User) bool {
		was := u.Status
		u.Status = status
		return was != status
	})
}

// DeleteUser removes a user, the user's memberships and API tokens, and returns the user's global id. Errors: BAD_USER_INPUT (the id, who the reports
// are to have as their manager, or more than a mutation changes), NOT_FOUND, CONFLICT (the user has reports, the version).
func (d *Directory) DeleteUser(ctx context.Context, input entity.Input) (id string, err error) {
	removals, err := d.deleteUsers(ctx, single(), []entity.Input{input})
	if err != nil {
		return "", err
	}
	return removals[0].row.GlobalID(), nil
}

func (d *Directory) deleteUsers(ctx context.Context, e *entries, inputs []entity.Input) ([]*removal[model.User], error) {
	all, err := d.tree.users.removed(e, inputs)
	if err != nil {
		return nil, err
	}
	return all, deleteObjects(ctx, d, d.tree.users, e, all, nil, func(users []*model.User, changed int) error {
		changed, err := d.removeTokensOf(ctx, e, changed, ids(users, d.users.ID))
		if err != nil {
			return err
		}
		return d.removeMembershipsOf(ctx, e, changed, "user_id", ids(users, d.users.ID))
	})
}

// EraseUser removes a user as DeleteUser does, empties what the log of changes has of the user and of the user's memberships and API tokens, and returns
// the user's global id. A user who was deleted before is erased from the log. Errors: those of DeleteUser; NOT_FOUND where the log
// has nothing of the user either.
func (d *Directory) EraseUser(ctx context.Context, input entity.Input) (id string, err error) {
	removals, err := d.deleteUsers(ctx, single(), []entity.Input{input})
	if err != nil && (apierror.CodeOf(err) != apierror.CodeNotFound || len(removals) == 0) {
		return "", err
	}
	user := removals[0].id
	var version int64
	if err == nil {
		version = removals[0].row.Version
	} else {
		if failed := d.tree.users.wait(ctx); failed != nil { // of two who erase at a time the second one finds it done
			return "", failed
		}
		held, failed := d.Log.Held(ctx, user)
		switch {
		case failed != nil:
			return "", failed
		case held.Changes == 0:
			return "", err
		case held.WithValues == 0: // they were erased before
			return model.UserID(user), nil
		}
		version = held.Version
	}
	at := session.DB(ctx).NowFunc()
	d.Log.Erase(ctx, user, func() *model.Change {
		return &model.Change{At: at, Kind: model.Erased, Type: model.UserType, ObjectID: user, Version: version, UserID: &user}
	})
	return model.UserID(user), nil
}

// CreateUsers adds users, as a bulk says. Errors: those of CreateUser, of EACH in the results.
func (d *Directory) CreateUsers(ctx context.Context, input entity.Input) ([]*model.UserResult, error) {
	return storeBulk(ctx, d, d.tree.users, input, "users", d.tree.users.added)
}

// UpdateUsers changes users, as a bulk says. Errors: those of UpdateUser, of EACH in the results.
func (d *Directory) UpdateUsers(ctx context.Context, input entity.Input) ([]*model.UserResult, error) {
	return storeBulk(ctx, d, d.tree.users, input, "users", d.tree.users.changed)
}

// UpsertUsers adds or changes users, as a bulk says. Errors: those of CreateUser and UpdateUser, of EACH in the results.
func (d *Directory) UpsertUsers(ctx context.Context, input entity.Input) ([]*model.UserResult, error) {
	by, err := entity.Choice(input, "by", model.ByEmail, model.ByExternalID)
	if err != nil {
		return nil, err
	}
	return storeBulk(ctx, d, d.tree.users, input, "users", func(e *entries, inputs []entity.Input) ([]*item[model.User], error) {
		return d.tree.users.upserted(ctx, e, inputs, userKey(by))
	})
}

// userKey is what users are found by.
func userKey(by model.UpsertKey) key[model.User] {
	if by == model.ByExternalID {
		return key[model.User]{"externalId", "external_id", func(u *model.User) string {
			if u.ExternalID == nil {
				return ""
			}
			return *u.ExternalID
		}}
	}
	return key[model.User]{"email", "email", func(u *model.User) string { return u.Email }}
}

// DeleteUsers removes users, as a bulk says. Errors: those of DeleteUser, of EACH in the results.
func (d *Directory) DeleteUsers(ctx context.Context, input entity.Input) ([]*model.RemovalResult, error) {
	e, inputs, err := newEntries(input, "users")
	if err != nil {
		return nil, err
	}
	removals, err := d.deleteUsers(ctx, e, inputs)
	if err != nil {
		return nil, err
	}
	return removalResults(e, func(i int) string { return removals[i].row.GlobalID() }), nil
}
