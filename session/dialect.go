package session

import (
	"database/sql"
	"database/sql/driver"
	"errors"

	"github.com/go-sql-driver/mysql"
)

// severity is what an error means for the transaction in which it occurred.
type severity int

const (
	harmless  severity = iota // the transaction goes on, as far as the server allows
	fatal                     // the transaction has ended
	transient                 // it has ended, and running the operation again may well succeed
)

// classify tells what err means for a transaction, by the number that the driver gives.
// After MySQL's 1213 and 1020 the server has ended the transaction, but *sql.Tx would go on
// and each statement would commit by itself; 1205 ends a statement and is treated the same.
func classify(err error) severity {
	var my *mysql.MySQLError
	var pg interface{ SQLState() string } // *pgconn.PgError
	var lite interface{ Code() int }      // *sqlite.Error
	switch {
	case err == nil:
		return harmless
	case errors.As(err, &my):
		switch my.Number {
		case 1213, 1205, 1020: // deadlock, lock wait timeout, record has changed since last read
			return transient
		}
	case errors.As(err, &pg):
		switch pg.SQLState() {
		case "40001", "40P01", "55P03": // serialization failure, deadlock, lock not available
			return transient
		}
	case errors.As(err, &lite):
		const busy, locked = 5, 6
		if primary := lite.Code() & 0xff; primary == busy || primary == locked {
			return transient
		}
	case errors.Is(err, driver.ErrBadConn), errors.Is(err, mysql.ErrInvalidConn), errors.Is(err, sql.ErrConnDone):
		return fatal
	}
	return harmless
}

// snapshotOptions returns how a transaction begins that sees one state of the database.
func snapshotOptions(dialect string) *sql.TxOptions {
	if dialect == "sqlite" { // every read transaction does; the driver takes no isolation level
		return &sql.TxOptions{ReadOnly: true}
	}
	return &sql.TxOptions{Isolation: sql.LevelRepeatableRead, ReadOnly: true}
}
