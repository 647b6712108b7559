package graph

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"rollcall/apierror"
	"rollcall/database"
	"rollcall/loader"
	"rollcall/model"
	"rollcall/session"
)

type mutationResolver struct{ *Resolver }

// CreateUser resolves Mutation.createUser.
func (r mutationResolver) CreateUser(ctx context.Context, input model.CreateUserInput) (*model.UserPayload, error) {
	user, err := input.User()
	if err != nil {
		return nil, err
	}
	if user.ManagerID != nil {
		if _, err := loader.ReadUser(ctx, *user.ManagerID); err != nil {
			return nil, asManager(err)
		}
	}
	if err := session.DB(ctx).Create(user).Error; err != nil { // a new user has no reports, so that no circle can come of it
		return nil, asManager(err)
	}
	loader.FromContext(ctx).Wrote(user)
	r.changed(ctx, model.UserCreated, user.ID)
	return &model.UserPayload{User: user}, nil
}

// UpdateUser resolves Mutation.updateUser.
func (r mutationResolver) UpdateUser(ctx context.Context, input model.UpdateUserInput) (*model.UserPayload, error) {
	change, err := input.Update()
	if err != nil {
		return nil, err
	}
	user, err := lockForUpdate(ctx, change)
	if err != nil {
		return nil, err
	}
	if change, err = change.Fits(user); err != nil {
		return nil, err
	}
	if columns := change.Apply(user); len(columns) > 0 {
		if err := session.DB(ctx).Model(user).Select(columns).Updates(user).Error; err != nil {
			return nil, asManager(err)
		}
		loader.FromContext(ctx).Wrote(user)
		r.changed(ctx, model.UserUpdated, user.ID)
	}
	return &model.UserPayload{User: user}, nil
}

// DeleteUser resolves Mutation.deleteUser.
func (r mutationResolver) DeleteUser(ctx context.Context, input model.DeleteUserInput) (*model.DeleteUserPayload, error) {
	id, err := model.ParseIDOf(model.TypeUser, "id", input.ID)
	if err != nil {
		return nil, err
	}
	db := session.DB(ctx)
	if _, err := loader.LockUser(ctx, id); err != nil {
		return nil, err
	}
	if err := db.Where("user_id = ?", id).Delete(&model.Membership{}).Error; err != nil {
		return nil, err
	}
	if err := db.Delete(&model.User{}, id).Error; err != nil {
		if database.BreaksReference(err) { // only reports refer to a user by now
			return nil, &apierror.Error{
				Code: apierror.CodeConflict, Field: "id", Err: err,
				Message: "the user has reports: give them another manager first",
			}
		}
		return nil, err
	}
	loader.FromContext(ctx).Clear()
	r.changed(ctx, model.UserDeleted, id)
	return &model.DeleteUserPayload{DeletedUserID: model.UserID(id)}, nil
}

// changed lets subscribers know of a change, once it is committed.
func (r mutationResolver) changed(ctx context.Context, kind model.UserChangeKind, user int64) {
	session.AfterCommit(ctx, func() { r.Events.Publish(&model.UserChange{Kind: kind, UserID: user}) })
}

// lockForUpdate reads the user whom a change is for, against other changes until this one is stored, and checks a new manager.
func lockForUpdate(ctx context.Context, change model.UserUpdate) (*model.User, error) {
	turn := false
	if change.ManagerID != nil { // whom nobody manages is in no circle
		before, err := loader.ReadUser(ctx, change.ID)
		if err != nil {
			return nil, err
		}
		// Before any row is locked, or two changes could each wait for what the other holds.
		if turn = change.Moves(before); turn {
			if err := loader.LockManagers(ctx); err != nil {
				return nil, err
			}
		}
	}
	user, err := loader.LockUser(ctx, change.ID)
	if err != nil {
		return nil, err
	}
	if !change.Moves(user) {
		return user, nil
	}
	if !turn { // the user has got another manager between the two reads
		if err := loader.LockManagers(ctx); err != nil {
			return nil, err
		}
	}
	return user, checkManager(ctx, change.ID, *change.ManagerID)
}

// asManager blames the input's managerId for a user who is not there, or who is deleted before the reference to it is stored.
func asManager(err error) error {
	var e *apierror.Error
	switch {
	case errors.As(err, &e) && e.Code == apierror.CodeNotFound:
		return apierror.BadInput("managerId", "%s", e.Message)
	case database.BreaksReference(err): // users refer to nothing else
		return apierror.BadInput("managerId", "the manager has been deleted")
	}
	return err
}

// checkManager refuses a manager who is the user, or whom the user manages directly or through others. loader.LockManagers
// comes first: else two changes could each not see the other, and together close a circle.
func checkManager(ctx context.Context, user, manager int64) error {
	var chain []int64
	places := map[int64]int{}
	for id, err := range loader.ManagersUp(ctx, manager) {
		if err != nil {
			return asManager(err)
		}
		if id == user {
			return apierror.BadInput("managerId", "%s cannot have the manager %s: nobody manages themself, directly or through others",
				model.UserID(user), model.UserID(manager))
		}
		if first, again := places[id]; again {
			return inCircle(manager, chain[first:])
		}
		places[id] = len(chain)
		chain = append(chain, id)
	}
	return nil
}

// inCircle refuses a manager who is in or below a circle, which only a write past this server can have made.
func inCircle(manager int64, circle []int64) error {
	const shown = 10
	names := make([]string, 0, shown+1)
	for _, id := range circle[:min(shown, len(circle))] {
		names = append(names, model.UserID(id))
	}
	if more := len(circle) - shown; more > 0 {
		names = append(names, fmt.Sprintf("%d more", more))
	}
	return &apierror.Error{
		Code: apierror.CodeConflict, Field: "managerId",
		Message: fmt.Sprintf("%s cannot be a manager: the managers above are a circle (%s): give one of these another manager, or none, first",
			model.UserID(manager), strings.Join(names, ", ")),
	}
}
