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

	"rollcall/database"
	"rollcall/database/databasetest"
)

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
