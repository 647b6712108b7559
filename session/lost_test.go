package session

import (
	"fmt"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"
)

func TestAConnectionThatPgxHasClosedIsLost(t *testing.T) {
	if !lost(fmt.Errorf("rollback: %w", pgconn.ErrConnClosed)) {
		t.Error("its ROLLBACK would be an error in the log")
	}
}
