package database

import (
	"database/sql/driver"
	"errors"
	"io"
	"net"
	"strings"

	driverMySQL "github.com/go-sql-driver/mysql"
	"github.com/jackc/pgx/v5/pgconn"
	driverSQLite "modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"

	"rollcall/model"
)

// Translate turns a driver's unique and foreign-key violations into CONFLICT errors for users, with the
// driver's error within. A user's email and a team's name that are taken name the input field. Every
// other error, gorm.ErrRecordNotFound among them, is returned as it is.
func Translate(err error) error {
	if err == nil || model.CodeOf(err) != "" {
		return err
	}
	var conflict model.Error
	switch kind, constraint := violationOf(err); kind {
	case uniqueViolation:
		conflict = *uniqueConflict(constraint)
	case foreignKeyViolation:
		conflict = *model.Conflict("this refers to something that does not exist, or something else still refers to it")
	default:
		return err
	}
	conflict.Err = err
	return &conflict
}

// BreaksReference reports whether err is a driver's word that a foreign key would not hold.
func BreaksReference(err error) bool {
	kind, _ := violationOf(err)
	return kind == foreignKeyViolation
}

// overtaken reports whether err means that another transaction has written the same rows first.
func overtaken(err error) bool {
	const deadlock = 1213 // on a node of a cluster also the word for a write that came first on another
	mysqlErr, ok := errors.AsType[*driverMySQL.MySQLError](err)
	kind, _ := violationOf(err)
	return kind == uniqueViolation || ok && mysqlErr.Number == deadlock
}

func uniqueConflict(constraint string) *model.Error {
	switch constraint {
	case "users_email_key", "users.email":
		return &model.Error{Code: model.CodeConflict, Field: "email", Message: "another user has this email"}
	case "teams_name_key", "teams.name":
		return &model.Error{Code: model.CodeConflict, Field: "name", Message: "another team has this name"}
	}
	return model.Conflict("a value that must be unique is already taken")
}

type violation int

const (
	noViolation violation = iota
	uniqueViolation
	foreignKeyViolation
)

// violationOf classifies an error by the number that the driver gives. The name of the constraint is a
// number's refinement only: MySQL and SQLite have it in the text alone.
func violationOf(err error) (violation, string) {
	var mysqlErr *driverMySQL.MySQLError
	var postgresErr *pgconn.PgError
	var sqliteErr *driverSQLite.Error
	switch {
	case errors.As(err, &mysqlErr):
		switch mysqlErr.Number {
		case 1062, 1586: // ER_DUP_ENTRY, ER_DUP_ENTRY_WITH_KEY_NAME
			return uniqueViolation, mysqlConstraint(mysqlErr.Message)
		case 1216, 1217, 1451, 1452: // ER_NO_REFERENCED_ROW, ER_ROW_IS_REFERENCED, and both _2
			return foreignKeyViolation, ""
		}
	case errors.As(err, &postgresErr):
		switch postgresErr.Code {
		case "23505": // unique_violation
			return uniqueViolation, postgresErr.ConstraintName
		case "23503", "23001": // foreign_key_violation, and restrict_violation as of PostgreSQL 18
			return foreignKeyViolation, ""
		}
	case errors.As(err, &sqliteErr):
		switch sqliteErr.Code() {
		case sqlite3.SQLITE_CONSTRAINT_UNIQUE, sqlite3.SQLITE_CONSTRAINT_PRIMARYKEY:
			return uniqueViolation, sqliteConstraint(sqliteErr.Error())
		case sqlite3.SQLITE_CONSTRAINT_FOREIGNKEY, sqlite3.SQLITE_CONSTRAINT_TRIGGER: // RESTRICT is a trigger inside
			return foreignKeyViolation, ""
		}
	}
	return noViolation, ""
}

// mysqlConstraint takes the key from "Duplicate entry '…' for key '…'", where MySQL, and not MariaDB,
// puts the table before it. It reads from the end, since the entry is a user's text.
func mysqlConstraint(text string) string {
	quoted := strings.Split(text, "'")
	if len(quoted) < 3 {
		return ""
	}
	key := quoted[len(quoted)-2]
	return key[strings.LastIndex(key, ".")+1:]
}

// sqliteConstraint takes the columns from "… UNIQUE constraint failed: users.email (2067)".
func sqliteConstraint(text string) string {
	columns := text[strings.LastIndex(text, ": ")+len(": "):]
	columns, _, _ = strings.Cut(columns, " (")
	return columns
}

// Unreachable tells whether err means that the server can't be reached, or has closed the connection. What ends at a
// deadline counts too, as far as the network says so: look for context.DeadlineExceeded first.
func Unreachable(err error) bool {
	var mysqlErr *driverMySQL.MySQLError
	var postgresErr *pgconn.PgError
	var network net.Error
	switch {
	case errors.As(err, &mysqlErr):
		switch mysqlErr.Number {
		case 1040, 1053, 1077, 1927, 4031: // too many connections, shutdown in progress, normal shutdown, killed, disconnected
			return true
		}
		return false
	case errors.As(err, &postgresErr): // connection exceptions, too many connections, shutdown or start in progress
		code := postgresErr.Code
		return strings.HasPrefix(code, "08") || strings.HasPrefix(code, "57P") || code == "53300"
	}
	return errors.Is(err, driver.ErrBadConn) || errors.Is(err, pgconn.ErrConnClosed) || errors.Is(err, driverMySQL.ErrInvalidConn) || errors.Is(err, io.EOF) ||
		errors.Is(err, io.ErrUnexpectedEOF) || errors.As(err, &network)
}
