package database_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	driverMySQL "github.com/go-sql-driver/mysql"
	"github.com/jackc/pgx/v5/pgconn"
	"gorm.io/gorm"
	driverSQLite "modernc.org/sqlite"

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
			if got := database.Translate(err); !errors.Is(got, err) {
				t.Errorf("%v became %v", err, got)
			}
		}
		if err := db.Read.First(&model.User{}, 999).Error; !errors.Is(err, gorm.ErrRecordNotFound) {
			t.Errorf("a missing row is %v", err)
		}
	})
}

func TestWhatTheDatabaseCannotDoNowIsToldFromWhatIsWrong(t *testing.T) {
	for reason, numbers := range map[string][]uint16{
		"the database cannot be reached":             {1053, 1927, 4031},
		"the database is not ready":                  {1047, 1180, 3032, 3100},
		"the database is read-only":                  {1036, 1290, 1792, 1836, 3989},
		"the database denies a right to its user":    {1044, 1045, 1142, 1227},
		"the database, or a table in it, is missing": {1046, 1049, 1146},
		"the database is too busy":                   {1040, 1129, 1203, 1206, 1226, 1205, 1213, 3101},
		"the database is full":                       {1021, 1114},
		"the database cannot log changes":            {1665},
		"the database is damaged":                    {1034, 1194},
		"":                                           {1054, 1062, 1064, 1317, 1969, 3024},
	} {
		for _, number := range numbers {
			wantUnavailable(t, &driverMySQL.MySQLError{Number: number}, reason)
		}
	}
	for reason, codes := range map[string][]string{
		"the database cannot be reached":                {"08006", "57P01", "57P02", "57P05"},
		"the database is not ready":                     {"57P03", "55000"},
		"the database is read-only":                     {"25006"},
		"the database denies a right to its user":       {"42501", "28000", "28P01"},
		"the database, or a table in it, is missing":    {"3D000", "3F000", "42P01", "57P04"},
		"the database is too busy":                      {"53000", "53200", "53300", "53400", "40001", "40P01", "55P03"},
		"the database is full":                          {"53100"},
		"the database's file cannot be read or written": {"58030"},
		"the database is damaged":                       {"XX001"},
		"":                                              {"0A000", "26000", "42601", "42703", "57014", "23505", "XX000"},
	} {
		for _, code := range codes {
			wantUnavailable(t, &pgconn.PgError{Code: code}, reason)
		}
	}
	for err, ends := range map[error][2]bool{ // over time; cancelled, for that or another reason
		&driverMySQL.MySQLError{Number: 1969}: {true, false}, &driverMySQL.MySQLError{Number: 3024}: {true, false},
		&driverMySQL.MySQLError{Number: 1317}: {false, false}, &pgconn.PgError{Code: "57014"}: {false, true}, errors.New("x"): {false, false},
	} {
		if database.OverTime(err) != ends[0] || database.Cancelled(err) != ends[1] {
			t.Errorf("%v: want %v", err, ends)
		}
	}
}

func TestWhatSQLiteCannotDoNowIsToldFromWhatIsWrong(t *testing.T) {
	db := databasetest.New(t, "sqlite")
	wantUnavailable(t, db.Read.Exec("DELETE FROM users").Error, "the database is read-only")
	wantUnavailable(t, db.Read.Exec("ATTACH '/nowhere/x.db' AS x").Error, "the database's file cannot be read or written")
	wantUnavailable(t, db.Write.Exec("nonsense").Error, "")
	if err := db.Write.Exec("PRAGMA max_page_count = 1").Error; err != nil { // as many as there are
		t.Fatal(err)
	}
	long := strings.Repeat("x", 1<<20)
	wantUnavailable(t, db.Write.Exec("CREATE TABLE long AS SELECT ? AS x", long).Error, "the database is full")
	lock := db.Write.Begin()
	defer lock.Rollback()
	_, err := db.Side.ExecContext(t.Context(), "PRAGMA busy_timeout = 0; BEGIN IMMEDIATE")
	wantUnavailable(t, err, "the database is too busy")
	other := filepath.Join(t.TempDir(), "x.db")
	if err := os.WriteFile(other, []byte(long), 0o600); err != nil {
		t.Fatal(err)
	}
	wantUnavailable(t, db.Read.Exec("ATTACH ? AS y; SELECT * FROM y.sqlite_master", other).Error, "the database is damaged")
}

func wantUnavailable(t *testing.T, err error, reason string) {
	t.Helper()
	if got := database.Unavailable(fmt.Errorf("wrapped: %w", err)); got != reason {
		t.Errorf("%v: want %q, got %q", err, reason, got)
	}
}

func create(t *testing.T, db *database.Database, row any) {
	t.Helper()
	if err := db.Write.WithContext(t.Context()).Create(row).Error; err != nil {
		t.Fatal(err)
	}
}

func checkConflict(t *testing.T, cause error, field, message string) {
	t.Helper()
	err := database.Translate(fmt.Errorf("wrapped: %w", cause))
	var conflict *apierror.Error
	if !errors.As(err, &conflict) || conflict.Code != apierror.CodeConflict || conflict.Field != field || conflict.Message != message {
		t.Errorf("%v became %+v, want a conflict of %q: %s", cause, err, field, message)
	}
	var mysql *driverMySQL.MySQLError
	var postgres *pgconn.PgError
	var sqlite *driverSQLite.Error
	if !errors.As(err, &mysql) && !errors.As(err, &postgres) && !errors.As(err, &sqlite) {
		t.Errorf("%v has lost the driver's error", err)
	}
}
