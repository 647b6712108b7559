package directory

import (
	"errors"
	"fmt"
	"testing"

	driverMySQL "github.com/go-sql-driver/mysql"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/ncruces/go-sqlite3"
	"gorm.io/gorm"

	"rollcall/apierror"
	"rollcall/database"
	"rollcall/database/databasetest"
	"rollcall/model"
)

func TestUniqueViolationsBecomeConflictsThatNameTheField(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, db *database.Database) {
		// The texts imitate an error message, which must not lead astray.
		user := model.User{Name: "Ada", Email: "'for key 'teams.teams_name_key': x"}
		team := model.Team{Name: "for key 'users_email_key'"}
		create(t, db, &user)
		create(t, db, &team)
		member := model.Membership{TeamID: team.ID, UserID: user.ID, Role: model.RoleOwner}
		create(t, db, &member)
		for _, c := range []struct {
			row            any
			field, message string
		}{
			{&model.User{Name: "Eve", Email: user.Email}, "email", "another user has this email"},
			{&model.Team{Name: team.Name}, "name", "another team has this name"},
			{&member, "", "a value that must be unique is already taken"},
			{&model.User{ID: user.ID, Name: "Eve", Email: "eve"}, "", "a value that must be unique is already taken"},
		} {
			checkConflict(t, db.Write.Create(c.row).Error, c.field, c.message)
		}
	})
}

func TestForeignKeyViolationsBecomeConflicts(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, db *database.Database) {
		boss := model.User{Name: "Ada", Email: "ada"}
		create(t, db, &boss)
		create(t, db, &model.User{Name: "Bob", Email: "bob", ManagerID: &boss.ID})
		const message = "this refers to something that does not exist, or something else still refers to it"
		nobody := int64(999)
		checkConflict(t, db.Write.Create(&model.User{Name: "Eve", Email: "eve", ManagerID: &nobody}).Error, "", message)
		checkConflict(t, db.Write.Create(&model.Membership{TeamID: 1, UserID: boss.ID, Role: model.RoleOwner}).Error, "", message)
		checkConflict(t, db.Write.Delete(&boss).Error, "", message)
	})
}

func TestOtherErrorsAreNotTranslated(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, db *database.Database) {
		user := model.User{Name: "Ada", Email: "ada"}
		team := model.Team{Name: "Search"}
		create(t, db, &user)
		create(t, db, &team)
		for _, err := range []error{
			nil,
			db.Read.First(&model.User{}, 999).Error,
			db.Read.Exec("SELECT nonsense").Error,
			db.Write.Create(&model.Membership{TeamID: team.ID, UserID: user.ID, Role: "owner"}).Error, // against the check
			fmt.Errorf("wrapped: %w", apierror.NotFound("gone")),
		} {
			if got := New(Config{MaxPage: 100}).users.Conflict(err); !errors.Is(got, err) {
				t.Errorf("%v became %v", err, got)
			}
		}
		if err := db.Read.First(&model.User{}, 999).Error; !errors.Is(err, gorm.ErrRecordNotFound) {
			t.Errorf("a missing row is %v", err)
		}
	})
}

func create(t *testing.T, db *database.Database, row any) {
	t.Helper()
	if err := db.Write.WithContext(t.Context()).Create(row).Error; err != nil {
		t.Fatal(err)
	}
}

func checkConflict(t *testing.T, cause error, field, message string) {
	t.Helper()
	d := New(Config{MaxPage: 100})
	err := d.users.Conflict(fmt.Errorf("wrapped: %w", cause))
	if message == "another team has this name" {
		err = d.teams.Conflict(fmt.Errorf("wrapped: %w", cause))
	}
	var conflict *apierror.Error
	if !errors.As(err, &conflict) || conflict.Code != apierror.CodeConflict || conflict.Field != field || conflict.Message != message {
		t.Errorf("%v became %+v, want a conflict of %q: %s", cause, err, field, message)
	}
	var mysql *driverMySQL.MySQLError
	var postgres *pgconn.PgError
	var sqlite *sqlite3.Error
	if !errors.As(err, &mysql) && !errors.As(err, &postgres) && !errors.As(err, &sqlite) {
		t.Errorf("%v has lost the driver's error", err)
	}
}
