package session

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"io"
	"net"
	"slices"
	"strconv"
	"strings"

	"github.com/go-sql-driver/mysql"
	"github.com/jackc/pgx/v5/pgconn"
)

// severity is what an error means for the transaction in which it occurred.
type severity int

const (
	harmless  severity = iota // the transaction goes on, as far as the server allows
	fatal                     // the transaction has ended
	transient                 // it has ended, and running the operation again may well succeed
	misplaced                 // it is of no use on this connection; on another one the operation may succeed
)

// SQLite's result codes: https://sqlite.org/rescode.html
const sqliteBusy, sqliteLocked, sqliteReadOnly, sqliteFull, sqliteConstraint = 5, 6, 8, 13, 19

// classify returns what err means for a transaction, by the number that the driver gives.
// After MySQL's 1213, 1020 and 3101 the server has ended the transaction, but *sql.Tx would go on
// and each statement would commit by itself; 1205 ends a statement and is treated the same.
func classify(err error) severity {
	var my *mysql.MySQLError
	var pg interface{ SQLState() string } // *pgconn.PgError
	var lite interface{ Code() int }      // *sqlite.Error
	var unknown *OutcomeUnknownError
	switch {
	case err == nil:
		return harmless
	case errors.As(err, &unknown): // whatever made it so
		return fatal
	case errors.As(err, &my):
		switch my.Number {
		case 1213, 1205, 1020, 3101: // deadlock, lock wait timeout, record has changed since last read, certification failed
			return transient
		case 1047, 3032, 1665: // Galera not ready, offline mode, binlog_format=STATEMENT when the connection was opened
			return misplaced
		}
	case errors.As(err, &pg):
		switch pg.SQLState() {
		case "40001", "40P01", "55P03": // serialization failure, deadlock, lock not available
			return transient
		case "26000": // no such prepared statement
			return misplaced
		case "0A000": // feature not supported: that a prepared statement returns other types than then
			if detail, ok := errors.AsType[*pgconn.PgError](err); ok && detail.Routine == "RevalidateCachedQuery" {
				return misplaced
			}
		}
	case errors.As(err, &lite):
		// https://www.sqlite.org/lang_transaction.html#response_to_errors_within_a_transaction
		switch lite.Code() & 0xff { // of others that roll back, transaction.ended tells
		case sqliteBusy, sqliteLocked:
			return transient
		}
	case lost(err), errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return fatal // a statement's own context, shorter than the operation's, has ended more than the statement
	}
	if readOnly(err) {
		return misplaced
	}
	return harmless
}

// readOnly reports whether a server refuses err's statement since it writes. Where that is no fault of the statement's, the
// connection leads to a server that is not the primary, or is not any more.
func readOnly(err error) bool {
	switch serverError(err) {
	case "1036", "1290", "1792", "1836", "1881", "25006": // table, server, transaction, mode, recovery; PostgreSQL's transaction
		return true
	}
	return false
}

// overtime reports whether a server may have ended err's statement at its own limit of time: MariaDB's number, MySQL's, and
// PostgreSQL's for whatever is cancelled.
func overtime(err error) bool {
	switch serverError(err) {
	case "1969", "3024", "57014":
		return true
	}
	return false
}

// waited reports whether err is the end of a wait for a lock. How long that was is the database's affair: it may not wait at all.
func waited(err error) bool {
	var lite interface{ Code() int }
	if errors.As(err, &lite) {
		return lite.Code()&0xff == sqliteBusy
	}
	number := serverError(err)
	return number == "1205" || number == "55P03"
}

// serverError returns the number or state that a database server has given an error, or "" if it is not the
// server's word.
func serverError(err error) string {
	var my *mysql.MySQLError
	var pg interface{ SQLState() string }
	var lite interface{ Code() int }
	switch {
	case errors.As(err, &my):
		return strconv.Itoa(int(my.Number))
	case errors.As(err, &pg):
		return pg.SQLState()
	case errors.As(err, &lite):
		return strconv.Itoa(lite.Code())
	}
	return ""
}

// ending reports whether a server gives an error to a connection that is being ended: MySQL's shutdown,
// interrupted, killed and disconnected, PostgreSQL's connection and shutdown classes and
// completion unknown.
func ending(number string) bool {
	switch number {
	case "1053", "1317", "1927", "4031", "40003":
		return true
	}
	return strings.HasPrefix(number, "08") && len(number) == 5 || strings.HasPrefix(number, "57P")
}

// lost reports whether err means that the connection has gone.
func lost(err error) bool {
	if err == nil {
		return false
	}
	if number := serverError(err); number != "" {
		return ending(number)
	}
	var network net.Error
	return errors.Is(err, driver.ErrBadConn) || errors.Is(err, mysql.ErrInvalidConn) || errors.Is(err, pgconn.ErrConnClosed) ||
		errors.Is(err, sql.ErrConnDone) || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.As(err, &network)
}

// refused reports whether a COMMIT that failed with err has certainly stored nothing: whether a database gives this error only
// once it has taken the transaction back. After any other it may have stored the transaction, or go on to do so, as a node of a
// cluster does that is cut off meanwhile.
func refused(err error) bool {
	var my *mysql.MySQLError
	var pg interface{ SQLState() string }
	var lite interface{ Code() int }
	switch {
	case errors.As(err, &my):
		return my.Number == 1213 || my.Number == 3101 // in a cluster: the certification failed, in Galera and in a group
	case errors.As(err, &pg):
		switch state := pg.SQLState(); {
		case len(state) != 5 || state == "40003": // statement completion unknown
			return false
		default: // data exception, constraint violation, rollback, PL/pgSQL: what is deferred has failed, or a conflict
			return slices.Contains([]string{"22", "23", "40", "P0"}, state[:2])
		}
	case errors.As(err, &lite):
		return slices.Contains([]int{sqliteBusy, sqliteLocked, sqliteReadOnly, sqliteFull, sqliteConstraint}, lite.Code()&0xff)
	}
	// pgx's word, which has no number, that PostgreSQL answered ROLLBACK.
	return strings.Contains(err.Error(), "commit unexpectedly resulted in rollback")
}

// unlessStored returns the clause by which an INSERT leaves a row with the same key as it is. It waits for whoever
// is inserting or deleting one.
func unlessStored(dialect string) string {
	if dialect == "postgres" {
		return "ON CONFLICT (id) DO NOTHING"
	}
	return "ON DUPLICATE KEY UPDATE id = id" // unlike IGNORE, which hides other errors
}

// numbered turns the placeholders of a statement into PostgreSQL's, where that is the dialect.
func numbered(dialect, query string) string {
	if dialect != "postgres" {
		return query
	}
	b := make([]byte, 0, len(query)+len(query)/2)
	for n := 1; ; n++ {
		before, after, found := strings.Cut(query, "?")
		b = append(b, before...)
		if !found {
			return string(b)
		}
		b = strconv.AppendInt(append(b, '$'), int64(n), 10)
		query = after
	}
}

// snapshotOptions returns how a transaction begins that sees one state of the database.
func snapshotOptions(dialect string) *sql.TxOptions {
	if dialect == "sqlite" { // every read transaction does; the driver takes no isolation level
		return &sql.TxOptions{ReadOnly: true}
	}
	return &sql.TxOptions{Isolation: sql.LevelRepeatableRead, ReadOnly: true}
}
