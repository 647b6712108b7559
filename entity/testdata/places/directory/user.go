package directory

import (
	"context"
	"time"

	"rollcall/entity"
	"rollcall/model"
)

func (d *Directory) declareUser() {
	u := d.users
	entity.Find(d.schema, "user", u)
	entity.All(d.schema, "users", u)
	entity.Text(u, "name", func(u *model.User) *string { return &u.Name }).Writable(model.CheckText("name", 1, 255)).Filter()
	entity.One(u, "manager", u, func(u *model.User) **int64 { return &u.ManagerID }).Writable(nil)
	entity.Time(u, "createdAt", func(u *model.User) *time.Time { return &u.CreatedAt })
	entity.Many(u, "reports", u, "manager_id")
}

// CreateUser adds a user. The error is BAD_USER_INPUT.
func (d *Directory) CreateUser(ctx context.Context, input entity.Input) (*model.User, error) {
	user, err := d.users.New(input)
	if err != nil {
		return nil, err
	}
	return user, insert(ctx, d, d.users, user)
}

// UpdateUser changes a user; a field that the input does not have stays. Errors: BAD_USER_INPUT, NOT_FOUND.
func (d *Directory) UpdateUser(ctx context.Context, input entity.Input) (*model.User, error) {
	change, err := d.users.Change(input)
	if err != nil {
		return nil, err
	}
	users, err := d.users.Read(ctx, []int64{change.ID}, "")
	if err != nil {
		return nil, err
	}
	user := users[change.ID]
	if user == nil {
		return nil, d.users.Missing(change.ID)
	}
	columns, err := change.Apply(user)
	if err != nil {
		return nil, err
	}
	return user, update(ctx, d, d.users, user, columns)
}
