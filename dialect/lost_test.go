package dialect_test

import (
	"context"
	"fmt"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"

	"rollcall/dialect"
)

func TestAConnectionThatPgxHasClosedIsLost(t *testing.T) {
	if !dialect.Is(fmt.Errorf("rollback: %w", pgconn.ErrConnClosed), dialect.Lost) {
		t.Error("its ROLLBACK would be an error in the log")
	}
}

func TestAConnectionWhoseStatementMetItsDeadlineIsLost(t *testing.T) {
	if !dialect.Is(fmt.Errorf("read: %w", context.DeadlineExceeded), dialect.Lost) {
		t.Error("a transaction would go on whose connection the driver has closed")
	}
}
