package directory_test

import (
	"context"
	"testing"
	"time"

	"rollcall/apierror"
	"rollcall/database/databasetest"
	"rollcall/directory"
	"rollcall/entity"
	"rollcall/event"
	"rollcall/model"
	"rollcall/session"
)

func TestUsersAreWrittenWithoutAGraphQLOperation(t *testing.T) {
	databasetest.EachKind(t, func(t *testing.T, kind string) {
		db := databasetest.New(t, kind)
		pools := session.Pools{Write: db.Write, Read: db.Read, Side: db.Side, Deadline: 10 * time.Second}
		if err := pools.Install(); err != nil {
			t.Fatal(err)
		}
		d := directory.New(directory.Config{MaxPage: 100, Events: &event.Local{}})
		changes, err := d.UserChanges(t.Context(), nil)
		if err != nil {
			t.Fatal(err)
		}
		run := func(fn func(ctx context.Context) error) error {
			return session.Run(t.Context(), pools, session.Write, "test", fn)
		}
		var id string
		err = run(func(ctx context.Context) error {
			user, err := d.CreateUser(ctx, entity.Input{"name": "Ada", "email": "ada@example.com"})
			if err != nil {
				return err
			}
			id = user.GlobalID()
			_, err = d.UpdateUser(ctx, entity.Input{"id": &id, "name": "Ada Moreau"})
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		err = run(func(ctx context.Context) error {
			_, err := d.DeleteUser(ctx, entity.Input{"id": id})
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		for _, want := range []model.UserChangeKind{model.UserCreated, model.UserUpdated, model.UserDeleted} {
			if got := <-changes; got.Kind != want {
				t.Errorf("%s, want %s", got.Kind, want)
			}
		}
		err = run(func(ctx context.Context) error {
			_, err := d.DeleteUser(ctx, entity.Input{"id": id})
			return err
		})
		if apierror.CodeOf(err) != apierror.CodeNotFound {
			t.Errorf("once more: %v", err)
		}
	})
}
