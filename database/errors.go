package database

import (
	"database/sql/driver"
	"errors"
	"io"
	"net"
	"strings"
	"time"

	"rollcall/apierror"

	driverMySQL "github.com/go-sql-driver/mysql"
	"github.com/jackc/pgx/v5/pgconn"
	driverSQLite "modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"
)

// Translate turns a driver's unique and foreign-key violations into CONFLICT errors for users, with the
// driver's error within. A user's email and a team's name that are taken name the input field. Every
// other error, gorm.ErrRecordNotFound among them, is returned as it is.
func Translate(err error) error {
	if err == nil || apierror.CodeOf(err) != "" {
		return err
	}
	var conflict apierror.Error
	switch kind, constraint := violationOf(err); kind {
	case uniqueViolation:
		conflict = *uniqueConflict(constraint)
	case foreignKeyViolation:
		conflict = *apierror.Conflict("this refers to something that does not exist, or something else still refers to it")
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

// unlessOvertaken runs a transaction, and again as long as another one has overtaken it, ten times at most.
func unlessOvertaken(transaction func() error) (err error) {
	for range 10 {
		if err = transaction(); err == nil || !overtaken(err) {
			break
		}
		time.Sleep(100 * time.Millisecond)
	}
	return err
}

func uniqueConflict(constraint string) *apierror.Error {
	switch constraint {
	case "users_email_key", "users.email":
		return &apierror.Error{Code: apierror.CodeConflict, Field: "email", Message: "another user has this email"}
	case "teams_name_key", "teams.name":
		return &apierror.Error{Code: apierror.CodeConflict, Field: "name", Message: "another team has this name"}
	}
	return apierror.Conflict("a value that must be unique is already taken")
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

// serverText returns the server's own text of an error, and whether the error is that the user lacks a right.
func serverText(err error) (text string, denied bool) {
	if mysqlErr, ok := errors.AsType[*driverMySQL.MySQLError](err); ok {
		switch mysqlErr.Number {
		case 1044, 1142, 1143, 1227: // access denied to the database, the table, the column, the operation
			denied = true
		}
		return mysqlErr.Message, denied
	}
	if postgresErr, ok := errors.AsType[*pgconn.PgError](err); ok {
		return postgresErr.Message, postgresErr.Code == postgresNoPrivilege
	}
	return err.Error(), false
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

// fault is a kind of failure that is the database's and not the statement's, in words for people.
type fault string

const (
	faultUnreachable fault = "the database cannot be reached"
	faultNotReady    fault = "the database is not ready"
	faultReadOnly    fault = "the database is read-only"
	faultDenied      fault = "the database denies a right to its user"
	faultMissing     fault = "the database, or a table in it, is missing"
	faultBusy        fault = "the database is too busy"
	faultFull        fault = "the database is full"
	faultUnlogged    fault = "the database cannot log changes"
	faultFile        fault = "the database's file cannot be read or written"
	faultDamaged     fault = "the database is damaged"
	faultOutdated    fault = "a prepared statement is outdated" // nobody is told: another connection has none
)

// ofConnection reports whether a connection that is opened now may do what err says that one can't which was opened earlier.
func ofConnection(err error) bool {
	switch faultOf(err) {
	case faultNotReady, faultReadOnly, faultUnlogged, faultOutdated:
		return true
	case faultDenied:
		_, postgres := errors.AsType[*pgconn.PgError](err) // whose connections learn at once what is granted
		return !postgres
	}
	return false
}

// faultOf returns the fault that a driver's error tells of, or "", by the number that the driver gives.
func faultOf(err error) fault {
	var mysqlErr *driverMySQL.MySQLError
	var postgresErr *pgconn.PgError
	var sqliteErr *driverSQLite.Error
	var network net.Error
	switch {
	case errors.As(err, &mysqlErr):
		return mysqlFault(mysqlErr.Number)
	case errors.As(err, &postgresErr):
		return postgresFault(postgresErr)
	case errors.As(err, &sqliteErr):
		return sqliteFault(sqliteErr.Code())
	case errors.Is(err, driver.ErrBadConn), errors.Is(err, pgconn.ErrConnClosed), errors.Is(err, driverMySQL.ErrInvalidConn),
		errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.As(err, &network):
		return faultUnreachable
	}
	return ""
}

// mysqlFault knows the numbers of MySQL and MariaDB: https://dev.mysql.com/doc/mysql-errors/9.7/en/server-error-reference.html,
// https://mariadb.com/docs/server/reference/error-codes/mariadb-error-code-reference
func mysqlFault(number uint16) fault {
	switch number {
	case 1053, 1077, 1079, 1152, 1158, 1159, 1160, 1161, 1184, 1927, 3169, 4031: // shutdown, aborted, the network's, killed, disconnected
		return faultUnreachable
	case 1047, 1180, 3032, 3100, 3168: // Galera not ready, failure of COMMIT, offline mode, failure of a replication hook, not available
		return faultNotReady
	case 1036, 1290, 1792, 1836, 1881, 3989: // table, option (of these only the read-only ones are about our statements), transaction, mode, recovery, schema
		return faultReadOnly
	case 1044, 1045, 1142, 1143, 1227, 1370, 1698, 1820, 1862, 3118, 4151: // a right, the password, a locked account
		return faultDenied
	case 1046, 1049, 1146, 1932: // no database, unknown database, no table, not in the engine
		return faultMissing
	case 1037, 1038, 1040, 1041, 1129, 1130, 1135, 1203, 1206, 1226, 1297, // memory, connections, the host's errors, threads, a user's limits, locks
		1020, 1205, 1213, 3101: // conflicts, where there is no time to run again
		return faultBusy
	case 1021, 1114: // disk, table
		return faultFull
	case 1598, 1665: // nothing is logged, binlog_format=STATEMENT
		return faultUnlogged
	case 1033, 1034, 1035, 1194, 1195, 1712: // a table's or an index's file
		return faultDamaged
	}
	return ""
}

// postgresFault knows https://www.postgresql.org/docs/current/errcodes-appendix.html
func postgresFault(err *pgconn.PgError) fault {
	switch err.Code {
	case "55000", "57P03": // the database accepts no connections; starting, shutting down or recovering
		return faultNotReady
	case "25006": // read-only SQL transaction
		return faultReadOnly
	case postgresNoPrivilege, postgresInvalidAuthorization, postgresInvalidPassword:
		return faultDenied
	case postgresUnknownDatabase, "3F000", "42P01", "57P04": // no schema, no table, dropped
		return faultMissing
	case "53100": // disk full
		return faultFull
	case "40001", "40P01", "55P03": // conflicts, where there is no time to run again
		return faultBusy
	case "58030": // I/O
		return faultFile
	case "XX001", "XX002":
		return faultDamaged
	case "26000": // no such prepared statement
		return faultOutdated
	case "0A000": // not supported: that a statement returns other types than when it was prepared
		if err.Routine == "RevalidateCachedQuery" {
			return faultOutdated
		}
		return ""
	}
	switch {
	case strings.HasPrefix(err.Code, "08"), strings.HasPrefix(err.Code, "57P"):
		return faultUnreachable
	case strings.HasPrefix(err.Code, "53"): // memory, locks, connections
		return faultBusy
	}
	return ""
}

// sqliteFault knows https://sqlite.org/rescode.html
func sqliteFault(code int) fault {
	switch code & 0xff {
	case sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_PROTOCOL, sqlite3.SQLITE_NOMEM:
		return faultBusy
	case sqlite3.SQLITE_READONLY:
		return faultReadOnly
	case sqlite3.SQLITE_FULL:
		return faultFull
	case sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PERM:
		return faultFile
	case sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB:
		return faultDamaged
	}
	return ""
}

// Unavailable returns why the database cannot serve now, in words for people, or "" if err does not say that. What ends at a
// deadline counts too, as far as the network says so: look for context.DeadlineExceeded first.
func Unavailable(err error) string {
	if _, ok := errors.AsType[*movedError](err); ok {
		return "the database's file has been deleted or replaced, and the server must be started again"
	}
	if errors.Is(err, errReadOnly) {
		return string(faultReadOnly)
	}
	if f := faultOf(err); f != faultOutdated {
		return string(f)
	}
	return ""
}

// Unreachable reports whether err means that the server can't be reached, or has closed the connection.
func Unreachable(err error) bool { return faultOf(err) == faultUnreachable }

// OverTime reports whether the server has ended a statement since that took too long.
func OverTime(err error) bool {
	mysqlErr, ok := errors.AsType[*driverMySQL.MySQLError](err)
	return ok && (mysqlErr.Number == 1969 || mysqlErr.Number == 3024) // MariaDB's, MySQL's
}

// Cancelled reports whether PostgreSQL has ended a statement, for taking too long or since somebody wanted it: it gives one
// code to both.
func Cancelled(err error) bool {
	postgresErr, ok := errors.AsType[*pgconn.PgError](err)
	return ok && postgresErr.Code == "57014"
}
