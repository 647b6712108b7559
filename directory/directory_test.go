package directory_test

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"rollcall/apierror"
	"rollcall/changelog"
	"rollcall/database"
	"rollcall/database/databasetest"
	"rollcall/directory"
	"rollcall/entity"
	"rollcall/model"
	"rollcall/session"
)

// work is a directory on a database, without GraphQL.
type work struct {
	*directory.Directory
	db    *database.Database
	pools session.Pools
	log   *changelog.Log
	again bool              // what fails for the database's sake runs again
	seen  *changelog.Cursor // what wantChanges has seen; nil: nothing
}

func TestMain(m *testing.M) { databasetest.Templates{M: m}.Run() }

func onEveryDatabase(t *testing.T, test func(t *testing.T, w *work)) {
	databasetest.EachKind(t, func(t *testing.T, kind string) {
		db := databasetest.New(t, kind)
		w := &work{db: db, pools: session.Pools{Write: db.Write, Read: db.Read, Side: db.Side, Deadline: 30 * time.Second}}
		if err := w.pools.Install(); err != nil {
			t.Fatal(err)
		}
		w.log = &changelog.Log{DB: db.Side, Dialect: db.Dialect()}
		w.Directory = directory.New(directory.Config{MaxPage: 100, Log: w.log})
		test(t, w)
	})
}

// run runs a unit of work that writes.
func (w *work) run(t *testing.T, fn func(ctx context.Context) error) error {
	for {
		err := session.Run(t.Context(), w.pools, session.Write, "work", fn)
		if _, shown := apierror.ErrorsOf(err); err == nil || shown || !w.again || errors.As(err, new(*session.OutcomeUnknownError)) || t.Context().Err() != nil {
			return err
		}
	}
}

func (w *work) create(t *testing.T, input entity.Input) (user *model.User) {
	t.Helper()
	err := w.run(t, func(ctx context.Context) (err error) {
		user, err = w.CreateUser(ctx, input)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return user
}

// stored returns the user with an id, or nil.
func (w *work) stored(t *testing.T, id int64) *model.User {
	t.Helper()
	var users []model.User
	if err := w.db.Side.PingContext(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := w.db.Write.WithContext(t.Context()).Find(&users, id).Error; err != nil {
		t.Fatal(err)
	}
	if len(users) == 0 {
		return nil
	}
	return &users[0]
}

// wantChanges fails unless these are the changes in the log since it was called last, as "CREATED User:1".
func (w *work) wantChanges(t *testing.T, want ...string) {
	t.Helper()
	if err := w.log.Settle(t.Context()); err != nil {
		t.Fatal(err)
	}
	page, err := w.log.Read(t.Context(), changelog.Query{After: w.seen, Limit: 1000})
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, c := range page.Changes {
		got = append(got, string(c.Kind)+" "+c.GlobalID())
	}
	if !slices.Equal(got, want) {
		t.Errorf("want the changes %q, got %q", want, got)
	}
	w.seen = &page.Until
}

func TestTheDirectoryIsWrittenWithoutGraphQLByItsOwnRules(t *testing.T) {
	onEveryDatabase(t, func(t *testing.T, w *work) {
		boss := w.create(t, entity.Input{"name": "  Boss ", "email": "BOSS@example.com"})
		ada := w.create(t, entity.Input{"name": "Ada", "email": "ada@example.com", "managerId": boss.GlobalID()})
		if u := w.stored(t, boss.ID); u == nil || u.Name != "Boss" || u.Email != "boss@example.com" {
			t.Errorf("stored is %+v", u)
		}
		if u := w.stored(t, ada.ID); u == nil || u.ManagerID == nil || *u.ManagerID != boss.ID {
			t.Errorf("stored is %+v", u)
		}
		w.wantChanges(t, "CREATED "+boss.GlobalID(), "CREATED "+ada.GlobalID())

		id := ada.GlobalID() // gqlgen gives some values behind pointers
		err := w.run(t, func(ctx context.Context) error {
			_, err := w.UpdateUser(ctx, entity.Input{"id": &id, "name": "Ada L.", "managerId": (*string)(nil)})
			return err
		})
		if u := w.stored(t, ada.ID); err != nil || u.Name != "Ada L." || u.ManagerID != nil {
			t.Errorf("stored is %+v, %v", u, err)
		}
		err = w.run(t, func(ctx context.Context) error {
			id, err := w.DeleteUser(ctx, entity.Input{"id": ada.GlobalID()})
			if id != ada.GlobalID() {
				t.Errorf("deleted is %q", id)
			}
			return err
		})
		if u := w.stored(t, ada.ID); err != nil || u != nil {
			t.Errorf("stored is %+v, %v", u, err)
		}
		w.wantChanges(t, "UPDATED "+ada.GlobalID(), "DELETED "+ada.GlobalID())
	})
}

func TestAWriteThatBreaksARuleSaysSoAndLeavesNothing(t *testing.T) {
	onEveryDatabase(t, func(t *testing.T, w *work) {
		boss := w.create(t, entity.Input{"name": "Boss", "email": "boss@example.com"})
		ada := w.create(t, entity.Input{"name": "Ada", "email": "ada@example.com", "managerId": boss.GlobalID()})
		w.wantChanges(t, "CREATED "+boss.GlobalID(), "CREATED "+ada.GlobalID())
		for _, c := range []struct {
			what  string
			write func(ctx context.Context) error
			code  apierror.Code
			field string
		}{
			{"an email that another has", func(ctx context.Context) error {
				_, err := w.CreateUser(ctx, entity.Input{"name": "Eve", "email": "Ada@example.com"})
				return err
			}, apierror.CodeConflict, "email"},
			{"a name that is none", func(ctx context.Context) error {
				_, err := w.CreateUser(ctx, entity.Input{"name": " ", "email": "eve@example.com"})
				return err
			}, apierror.CodeBadUserInput, "name"},
			{"a manager who is not there", func(ctx context.Context) error {
				_, err := w.CreateUser(ctx, entity.Input{"name": "Eve", "email": "eve@example.com", "managerId": "User:999"})
				return err
			}, apierror.CodeBadUserInput, "managerId"},
			{"a value of another type", func(ctx context.Context) error {
				_, err := w.CreateUser(ctx, entity.Input{"name": 7, "email": "eve@example.com"})
				return err
			}, apierror.CodeBadUserInput, "name"},
			{"nothing", func(ctx context.Context) error {
				_, err := w.CreateUser(ctx, nil)
				return err
			}, apierror.CodeBadUserInput, "name"},
			{"null for a name", func(ctx context.Context) error {
				_, err := w.CreateUser(ctx, entity.Input{"name": nil, "email": "eve@example.com"})
				return err
			}, apierror.CodeBadUserInput, "name"},
			{"a field that nobody may write", func(ctx context.Context) error {
				_, err := w.UpdateUser(ctx, entity.Input{"id": ada.GlobalID(), "createdAt": "2020-01-01T00:00:00Z"})
				return err
			}, apierror.CodeBadUserInput, "createdAt"},
			{"a circle", func(ctx context.Context) error {
				_, err := w.UpdateUser(ctx, entity.Input{"id": boss.GlobalID(), "managerId": ada.GlobalID()})
				return err
			}, apierror.CodeBadUserInput, "managerId"},
			{"an email that another has, by an update", func(ctx context.Context) error {
				_, err := w.UpdateUser(ctx, entity.Input{"id": boss.GlobalID(), "email": "ada@example.com"})
				return err
			}, apierror.CodeConflict, "email"},
			{"a user who is not there", func(ctx context.Context) error {
				_, err := w.UpdateUser(ctx, entity.Input{"id": "User:999", "name": "Eve"})
				return err
			}, apierror.CodeNotFound, "id"},
			{"a user with reports", func(ctx context.Context) error {
				_, err := w.DeleteUser(ctx, entity.Input{"id": boss.GlobalID()})
				return err
			}, apierror.CodeConflict, "id"},
		} {
			err := w.run(t, func(ctx context.Context) error {
				if _, err := w.UpdateUser(ctx, entity.Input{"id": ada.GlobalID(), "name": "Changed"}); err != nil {
					return err
				}
				return c.write(ctx)
			})
			list, ok := apierror.ErrorsOf(err)
			if !ok {
				t.Errorf("%s: %v", c.what, err)
				continue
			}
			if shown := list[0]; shown.Code != c.code || shown.Field != c.field {
				t.Errorf("%s: %v", c.what, err)
			}
			if u := w.stored(t, ada.ID); u.Name != "Ada" {
				t.Errorf("%s: the user became %q", c.what, u.Name)
			}
		}
		w.wantChanges(t)
	})
}
