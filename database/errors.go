package database

import (
	"errors"
	"time"

	"rollcall/apierror"
	"rollcall/dialect"
)

// Translate turns a driver's unique and foreign-key violations into CONFLICT errors for users, with the
// driver's error within. A user's email and a team's name that are taken name the input field. Every
// other error, gorm.ErrRecordNotFound among them, is returned as it is.
func Translate(err error) error {
	if err == nil || apierror.CodeOf(err) != "" {
		return err
	}
	conflict := apierror.Conflict("a value that must be unique is already taken")
	switch m := dialect.MeaningOf(err); {
	case m.Is(dialect.ForeignKey):
		conflict.Message = "this refers to something that does not exist, or something else still refers to it"
	case !m.Is(dialect.Unique):
		return err
	case m.Constraint == "users_email_key", m.Constraint == "users.email":
		conflict.Field, conflict.Message = "email", "another user has this email"
	case m.Constraint == "teams_name_key", m.Constraint == "teams.name":
		conflict.Field, conflict.Message = "name", "another team has this name"
	}
	conflict.Err = err
	return conflict
}

// unlessOvertaken runs a transaction, and again as long as another one has written the same rows first, ten times at most. One
// that has waited for another in vain is not run again.
func unlessOvertaken(transaction func() error) (err error) {
	for range 10 {
		err = transaction()
		if m := dialect.MeaningOf(err); !m.Is(dialect.Unique|dialect.Transient) || m.Is(dialect.Waited) {
			break
		}
		time.Sleep(100 * time.Millisecond)
	}
	return err
}

// Unavailable returns why the database cannot serve now, in words for people, or "" if err does not say that. What ends at a
// deadline counts too, as far as the network says so: look for context.DeadlineExceeded first.
func Unavailable(err error) string {
	if _, ok := errors.AsType[*movedError](err); ok {
		return "the database's file has been deleted or replaced, and the server must be started again"
	}
	if errors.Is(err, errReadOnly) {
		return string(dialect.FaultReadOnly)
	}
	return string(dialect.MeaningOf(err).Fault)
}

// Unreachable reports whether err means that the server can't be reached, or has closed the connection.
func Unreachable(err error) bool { return dialect.MeaningOf(err).Fault == dialect.FaultUnreachable }

// OverTime reports whether the server has ended a statement since that took too long.
func OverTime(err error) bool { return dialect.Is(err, dialect.OverTime) }

// Cancelled reports whether PostgreSQL has ended a statement, for taking too long or at a request: it gives both one code.
func Cancelled(err error) bool { return dialect.Is(err, dialect.Cancelled) }
