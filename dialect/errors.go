package dialect

import (
	"database/sql"
	"database/sql/driver"
	"errors"
	"io"
	"net"
	"slices"
	"strconv"
	"strings"

	driverMySQL "github.com/go-sql-driver/mysql"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/ncruces/go-sqlite3"
)

// Facts are a set of what an error means.
type Facts uint

// The facts.
const (
	Transient    Facts = 1 << iota // the transaction has lost against another and has ended; run again, it may well succeed
	Misplaced                      // the connection is of no use for this; run again on another, the operation may succeed
	Outdated                       // a connection that is opened from now on may do this, but nothing is to be run again for that
	ReadOnly                       // a write is refused as such
	OverTime                       // the server has ended the statement since it took too long
	Cancelled                      // the server has ended the statement, for taking too long or at a request
	Interrupted                    // the statement was killed, and perhaps its connection with it
	Waited                         // the end of a wait for a lock, of whatever length: a database may not wait at all
	Lost                           // the connection has gone, and its transaction with it, unless that was being committed
	NotStored                      // of a COMMIT: it has certainly stored nothing, as only a transaction that was taken back has this error
	Unique                         // a value that must be unique is there already
	Exists                         // a column, a key or a constraint of this name is there already
	ForeignKey                     // a row refers to one that is not there, or is referred to
	Barred                         // the user may not use the database at all
	NoRight                        // the user lacks a right
	NoDatabase                     // there is no database of this name
	NoConnection                   // there is no such connection to kill
)

// Is reports whether any of facts is among these.
func (f Facts) Is(facts Facts) bool { return f&facts != 0 }

// Fault is a kind of failure that is the database's and not the statement's, in words for people.
type Fault string

// The faults.
const (
	FaultUnreachable Fault = "the database cannot be reached"
	FaultNotReady    Fault = "the database is not ready"
	FaultReadOnly    Fault = "the database is read-only"
	FaultDenied      Fault = "the database denies a right to its user"
	FaultMissing     Fault = "the database, or a table in it, is missing"
	FaultBusy        Fault = "the database is too busy"
	FaultFull        Fault = "the database is full"
	FaultUnlogged    Fault = "the database cannot log changes"
	FaultFile        Fault = "the database's file cannot be read or written"
	FaultDamaged     Fault = "the database is damaged"
)

// Meaning is what an error of a database, or of its driver, means. The zero value is that of any other error.
type Meaning struct {
	Facts
	Fault      Fault  // "" where the database is well
	Number     string // MySQL's number, PostgreSQL's SQLSTATE, SQLite's extended result code; "" if it is not the database's word
	Text       string // the server's own; where there is no server, the whole error's
	Constraint string // of Unique: the constraint's name or, on SQLite, its columns as "table.column, …"; "" if that is not known
}

// Is reports whether err means any of facts.
func Is(err error, facts Facts) bool { return MeaningOf(err).Is(facts) }

// MeaningOf returns what an error means, by the number that the driver gives. (Only a constraint's name is taken from the text,
// where MySQL and SQLite have it alone.)
func MeaningOf(err error) Meaning {
	var my *driverMySQL.MySQLError
	var pg *pgconn.PgError
	var lite sqlite3.ExtendedErrorCode
	var m Meaning
	switch {
	case err == nil:
	case errors.As(err, &my):
		number := strconv.Itoa(int(my.Number))
		m = mysqlErrors.first(number)
		m.Number, m.Text, m.Constraint = number, my.Message, mysqlConstraint(my.Message)
	case errors.As(err, &pg):
		if len(pg.Code) == 5 {
			m = postgresErrors.first(pg.Code+":"+pg.Routine, pg.Code, pg.Code[:3], pg.Code[:2])
		}
		m.Number, m.Text, m.Constraint = pg.Code, pg.Message, pg.ConstraintName
	case errors.As(err, &lite):
		code := strconv.Itoa(int(lite))
		m = sqliteErrors.first(code, strconv.Itoa(int(lite.Code())))
		m.Number, m.Text, m.Constraint = code, err.Error(), sqliteConstraint(err)
	case errors.Is(err, pgx.ErrTxCommitRollback):
		m = Meaning{Facts: NotStored, Text: err.Error()}
	case gone(err):
		m = Meaning{Facts: Lost, Fault: FaultUnreachable, Text: err.Error()}
	default:
		m.Text = err.Error()
	}
	if !m.Is(Unique) {
		m.Constraint = ""
	}
	return m
}

// gone reports whether a connection has gone or could not be made, by what drivers, database/sql and the network say. A deadline of
// a context is an error of the network too.
func gone(err error) bool {
	_, network := errors.AsType[net.Error](err)
	return network || slices.ContainsFunc([]error{
		driver.ErrBadConn, driverMySQL.ErrInvalidConn, pgconn.ErrConnClosed, sql.ErrConnDone, io.EOF, io.ErrUnexpectedEOF,
	}, func(known error) bool { return errors.Is(err, known) })
}

// numbers are the numbers of errors, separated by spaces, that mean the same.
type numbers struct {
	numbers string
	facts   Facts
	fault   Fault
}

// errorTable has what a driver's errors mean, by their numbers.
type errorTable map[string]Meaning

func meanings(all ...numbers) errorTable {
	table := errorTable{}
	for _, n := range all {
		for number := range strings.FieldsSeq(n.numbers) {
			if _, known := table[number]; known {
				panic("dialect: " + number + " stands in a table twice")
			}
			table[number] = Meaning{Facts: n.facts, Fault: n.fault}
		}
	}
	return table
}

// first returns what the first of some numbers means that the table has.
func (t errorTable) first(numbers ...string) Meaning {
	for _, number := range numbers {
		if m, ok := t[number]; ok {
			return m
		}
	}
	return Meaning{}
}

// sqliteConstraint takes the columns from "… UNIQUE constraint failed: users.email".
func sqliteConstraint(err error) string {
	lite, ok := errors.AsType[*sqlite3.Error](err)
	if !ok {
		return ""
	}
	text := lite.Error()
	return strings.TrimSpace(text[strings.LastIndex(text, ": ")+1:])
}
