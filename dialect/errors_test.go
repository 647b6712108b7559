package dialect

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"testing"

	driverMySQL "github.com/go-sql-driver/mysql"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/ncruces/go-sqlite3"
)

// factNames are in the order of the constants.
var factNames = []string{
	"transient", "misplaced", "outdated", "read-only", "over time", "cancelled", "interrupted", "waited", "lost", "not stored",
	"unique", "exists", "foreign key", "barred", "no right", "no database", "no connection",
}

func (m Meaning) String() string {
	var words []string
	for i, name := range factNames {
		if m.Is(1 << i) {
			words = append(words, name)
		}
	}
	if m.Fault != "" {
		words = append(words, string(m.Fault))
	}
	return strings.Join(words, ", ")
}

// constraintError is SQLite's own error of a table's key.
func constraintError(key string) error {
	db, err := sqlite3.Open(":memory:")
	if err != nil {
		return err
	}
	defer func() { _ = db.Close() }()
	return db.Exec("CREATE TABLE users (email text " + key + "); INSERT INTO users VALUES ('x'), ('x')")
}

// drivers have how each makes an error from its number.
var drivers = map[string]struct {
	table errorTable
	fail  func(number string) error
}{
	"SQLite": {sqliteErrors, func(number string) error {
		switch number {
		case "1555":
			return constraintError("PRIMARY KEY")
		case "2067":
			return constraintError("UNIQUE")
		}
		code, _ := strconv.Atoi(number)
		return sqlite3.ExtendedErrorCode(code)
	}},
	"MySQL": {mysqlErrors, func(number string) error {
		code, _ := strconv.Atoi(number)
		return &driverMySQL.MySQLError{Number: uint16(code), Message: "Duplicate entry 'for key 'x'' for key 'users.users_email_key'"}
	}},
	"PostgreSQL": {postgresErrors, func(number string) error {
		code, routine, _ := strings.Cut(number, ":")
		for len(code) < 5 {
			code += "Y"
		}
		return &pgconn.PgError{Code: code, Routine: routine, ConstraintName: "users_email_key"}
	}},
}

func TestEveryNumberThatADriverGivesHasItsMeaning(t *testing.T) {
	var got []string
	for _, driver := range slices.Sorted(maps.Keys(drivers)) {
		d := drivers[driver]
		for _, number := range slices.Sorted(maps.Keys(d.table)) {
			m := MeaningOf(fmt.Errorf("wrapped: %w", d.fail(number)))
			got = append(got, fmt.Sprintf("%s %s: %s", driver, number, m))
			if (m.Constraint != "") != m.Is(Unique) || m.Number == "" || m.Text == "" && driver != "PostgreSQL" {
				t.Errorf("%s %s: %#v", driver, number, m)
			}
		}
	}
	if want := strings.TrimSpace(everyMeaning); strings.Join(got, "\n") != want {
		t.Errorf("got:\n%s\nwant:\n%s", strings.Join(got, "\n"), want)
	}
}

func TestANumberStandsInItsTableOnce(t *testing.T) {
	defer func() {
		if p := recover(); p != "dialect: 5 stands in a table twice" {
			t.Errorf("got %v", p)
		}
	}()
	meanings(numbers{"5 6", Transient, ""}, numbers{"5", Lost, ""})
}

func TestWhatNoNumberTellsHasAMeaningToo(t *testing.T) {
	for err, want := range map[error]string{
		nil:                      "",
		errors.New("x"):          "",
		pgx.ErrNoRows:            "",
		sqlite3.ERROR:            "",
		sqlite3.BUSY_RECOVERY:    "transient, waited, not stored, the database is too busy",
		sqlite3.CONSTRAINT_CHECK: "not stored",
		sqlite3.READONLY_DBMOVED: "read-only, not stored, the database is read-only",
		&pgconn.PgError{}:        "",
		&pgconn.PgError{Code: "0A000", Routine: "transformStmt"}: "",
		&pgconn.PgError{Code: "40002"}:                           "not stored",
		&pgconn.PgError{Code: "23"}:                              "", // no state of PostgreSQL's
		&driverMySQL.MySQLError{Number: 1064}:                    "",
		pgx.ErrTxCommitRollback:                                  "not stored",
		driverMySQL.ErrInvalidConn:                               "lost, the database cannot be reached",
	} {
		if got := MeaningOf(err).String(); got != want {
			t.Errorf("%#v: want %q, got %q", err, want, got)
		}
	}
}

func TestAConstraintHasItsNameOrItsColumns(t *testing.T) {
	for driver, want := range map[string][2]string{
		"SQLite": {"2067", "users.email"}, "MySQL": {"1062", "users_email_key"}, "PostgreSQL": {"23505", "users_email_key"},
	} {
		if got := MeaningOf(drivers[driver].fail(want[0])).Constraint; got != want[1] {
			t.Errorf("%s: want %s, got %s", driver, want[1], got)
		}
	}
}

const everyMeaning = `
MySQL 1020: transient, the database is too busy
MySQL 1021: the database is full
MySQL 1033: the database is damaged
MySQL 1034: the database is damaged
MySQL 1035: the database is damaged
MySQL 1036: misplaced, read-only, the database is read-only
MySQL 1037: the database is too busy
MySQL 1038: the database is too busy
MySQL 1040: the database is too busy
MySQL 1041: the database is too busy
MySQL 1044: outdated, barred, no right, the database denies a right to its user
MySQL 1045: outdated, barred, the database denies a right to its user
MySQL 1046: the database, or a table in it, is missing
MySQL 1047: misplaced, the database is not ready
MySQL 1049: no database, the database, or a table in it, is missing
MySQL 1053: lost, the database cannot be reached
MySQL 1060: exists
MySQL 1061: exists
MySQL 1062: unique
MySQL 1077: lost, the database cannot be reached
MySQL 1079: lost, the database cannot be reached
MySQL 1094: no connection
MySQL 1114: the database is full
MySQL 1129: the database is too busy
MySQL 1130: the database is too busy
MySQL 1135: the database is too busy
MySQL 1142: outdated, no right, the database denies a right to its user
MySQL 1143: outdated, no right, the database denies a right to its user
MySQL 1146: the database, or a table in it, is missing
MySQL 1152: lost, the database cannot be reached
MySQL 1158: lost, the database cannot be reached
MySQL 1159: lost, the database cannot be reached
MySQL 1160: lost, the database cannot be reached
MySQL 1161: lost, the database cannot be reached
MySQL 1180: outdated, the database is not ready
MySQL 1184: lost, the database cannot be reached
MySQL 1194: the database is damaged
MySQL 1195: the database is damaged
MySQL 1203: the database is too busy
MySQL 1205: transient, waited, the database is too busy
MySQL 1206: the database is too busy
MySQL 1213: transient, not stored, the database is too busy
MySQL 1216: foreign key
MySQL 1217: foreign key
MySQL 1226: the database is too busy
MySQL 1227: outdated, no right, the database denies a right to its user
MySQL 1290: misplaced, read-only, the database is read-only
MySQL 1297: the database is too busy
MySQL 1317: interrupted
MySQL 1370: outdated, no right, the database denies a right to its user
MySQL 1451: foreign key
MySQL 1452: foreign key
MySQL 1586: unique
MySQL 1598: misplaced, the database cannot log changes
MySQL 1665: misplaced, the database cannot log changes
MySQL 1698: outdated, barred, the database denies a right to its user
MySQL 1712: the database is damaged
MySQL 1792: misplaced, read-only, the database is read-only
MySQL 1820: outdated, the database denies a right to its user
MySQL 1826: exists
MySQL 1836: misplaced, read-only, the database is read-only
MySQL 1862: outdated, the database denies a right to its user
MySQL 1881: misplaced, read-only, the database is read-only
MySQL 1927: lost, the database cannot be reached
MySQL 1932: the database, or a table in it, is missing
MySQL 1969: over time
MySQL 3024: over time
MySQL 3032: misplaced, the database is not ready
MySQL 3100: outdated, the database is not ready
MySQL 3101: transient, not stored, the database is too busy
MySQL 3118: outdated, the database denies a right to its user
MySQL 3168: misplaced, the database is not ready
MySQL 3169: lost, the database cannot be reached
MySQL 3822: exists
MySQL 3989: misplaced, read-only, the database is read-only
MySQL 4031: lost, the database cannot be reached
MySQL 4151: outdated, the database denies a right to its user
PostgreSQL 08: lost, the database cannot be reached
PostgreSQL 0A000:RevalidateCachedQuery: misplaced
PostgreSQL 22: not stored
PostgreSQL 23: not stored
PostgreSQL 23001: not stored, foreign key
PostgreSQL 23503: not stored, foreign key
PostgreSQL 23505: not stored, unique
PostgreSQL 25006: misplaced, read-only, the database is read-only
PostgreSQL 26000: misplaced
PostgreSQL 28000: barred, the database denies a right to its user
PostgreSQL 28P01: barred, the database denies a right to its user
PostgreSQL 3D000: no database, the database, or a table in it, is missing
PostgreSQL 3F000: the database, or a table in it, is missing
PostgreSQL 40: not stored
PostgreSQL 40001: transient, not stored, the database is too busy
PostgreSQL 40003: lost
PostgreSQL 40P01: transient, not stored, the database is too busy
PostgreSQL 42501: barred, no right, the database denies a right to its user
PostgreSQL 42P01: the database, or a table in it, is missing
PostgreSQL 53: the database is too busy
PostgreSQL 53100: the database is full
PostgreSQL 55000: outdated, the database is not ready
PostgreSQL 55P03: transient, waited, the database is too busy
PostgreSQL 57014: cancelled
PostgreSQL 57P: lost, the database cannot be reached
PostgreSQL 57P03: outdated, lost, the database is not ready
PostgreSQL 57P04: lost, the database, or a table in it, is missing
PostgreSQL 58030: the database's file cannot be read or written
PostgreSQL P0: not stored
PostgreSQL XX001: the database is damaged
PostgreSQL XX002: the database is damaged
SQLite 10: the database's file cannot be read or written
SQLite 11: the database is damaged
SQLite 13: not stored, the database is full
SQLite 14: barred, the database's file cannot be read or written
SQLite 15: the database is too busy
SQLite 1555: not stored, unique
SQLite 1811: not stored, foreign key
SQLite 19: not stored
SQLite 2067: not stored, unique
SQLite 26: the database is damaged
SQLite 3: barred, the database's file cannot be read or written
SQLite 5: transient, waited, not stored, the database is too busy
SQLite 6: transient, not stored, the database is too busy
SQLite 7: the database is too busy
SQLite 778: not stored, the database's file cannot be read or written
SQLite 787: not stored, foreign key
SQLite 8: read-only, not stored, the database is read-only
`
