package graph

import (
	"context"
	"errors"

	"gorm.io/gorm"
	"gorm.io/gorm/clause"

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
	db := session.DB(ctx)
	if user.ManagerID != nil {
		if err := read(db, &model.User{}, *user.ManagerID); err != nil {
			return nil, asManager(err)
		}
	}
	if err := db.Create(user).Error; err != nil {
		return nil, err
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
	db := session.DB(ctx)
	user := &model.User{}
	if err := read(locked(db, "UPDATE"), user, change.ID); err != nil {
		return nil, err
	}
	if change.SetManager {
		if err := checkManager(db, change.ID, change.ManagerID); err != nil {
			return nil, err
		}
	}
	if columns := change.Apply(user); len(columns) > 0 {
		if err := db.Model(user).Select(columns).Updates(user).Error; err != nil {
			return nil, err
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
	if err := read(locked(db, "UPDATE"), &model.User{}, id); err != nil {
		return nil, err
	}
	if err := db.Where("user_id = ?", id).Delete(&model.Membership{}).Error; err != nil {
		return nil, err
	}
	if err := database.Translate(db.Delete(&model.User{}, id).Error); err != nil {
		if model.CodeOf(err) == model.CodeConflict { // only reports refer to a user by now
			return nil, &model.Error{
				Code: model.CodeConflict, Field: "id", Err: err,
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

// locked returns db with its reads locking what they read: with "UPDATE" for this transaction alone, with
// "SHARE" against changes. SQLite, where one transaction writes at a time, knows no such clause.
func locked(db *gorm.DB, strength string) *gorm.DB {
	if db.Name() == "sqlite" {
		return db
	}
	return db.Clauses(clause.Locking{Strength: strength})
}

// read reads the user with an id. The error is NOT_FOUND where there is none.
func read(db *gorm.DB, user *model.User, id int64) error {
	err := db.Where("id = ?", id).Take(user).Error
	if errors.Is(err, gorm.ErrRecordNotFound) {
		return model.NotFound("there is no user %s", model.UserID(id))
	}
	return err
}

// asManager blames the input's managerId for a user who is not there.
func asManager(err error) error {
	var e *model.Error
	if errors.As(err, &e) && e.Code == model.CodeNotFound {
		return model.BadInput("managerId", "%s", e.Message)
	}
	return err
}

// checkManager refuses a manager who is the user, or whom the user manages directly or through others.
// It locks each user on the way up against changes, as every change of a manager locks the user whom it
// changes: of two changes that together would close a circle, one waits for the other and sees
// it, or both are a deadlock, of which the session runs one again.
func checkManager(db *gorm.DB, user int64, manager *int64) error {
	for next := manager; next != nil; {
		if *next == user {
			return model.BadInput("managerId", "%s cannot have the manager %s: nobody manages themself, directly or through others",
				model.UserID(user), model.UserID(*manager))
		}
		var above model.User
		if err := read(locked(db, "SHARE"), &above, *next); err != nil {
			return asManager(err)
		}
		next = above.ManagerID
	}
	return nil
}
