package session

import (
	"context"
	"errors"
	"fmt"
	"testing"

	driverMySQL "github.com/go-sql-driver/mysql"
	"github.com/jackc/pgx/v5/pgconn"
)

func TestAnErrorEndsATransactionIfItsConnectionIsLostOrItsContextHasEnded(t *testing.T) {
	numbered := func(number uint16) error { return &driverMySQL.MySQLError{Number: number} }
	for err, want := range map[error]severity{
		nil:                            harmless,
		numbered(1927):                 fatal,
		numbered(1317):                 harmless, // KILL QUERY leaves the transaction
		numbered(3989):                 misplaced,
		numbered(1180):                 harmless, // at COMMIT, whose outcome it leaves open
		numbered(1205):                 transient,
		numbered(65535):                harmless,
		&pgconn.PgError{Code: "57P01"}: fatal,
		&pgconn.PgError{Code: "57014"}: harmless, // the operation's context tells, if it is that
		context.Canceled:               fatal,
		context.DeadlineExceeded:       fatal,
		errors.New("x"):                harmless,
		fmt.Errorf("%w (%w)", context.Canceled, numbered(1062)): harmless, // the server's word counts
		&OutcomeUnknownError{Err: numbered(1205)}:               fatal,
	} {
		if got := classify(err); got != want {
			t.Errorf("%v: want %d, got %d", err, want, got)
		}
	}
}
