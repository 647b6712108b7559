package database

import (
	"errors"
	"testing"
	"testing/synctest"

	driverMySQL "github.com/go-sql-driver/mysql"
	"github.com/jackc/pgx/v5/pgconn"
)

func TestWhatAnotherTransactionHasOvertakenRunsAgainButNotWhatHasWaitedInVain(t *testing.T) {
	for err, want := range map[error]int{
		&driverMySQL.MySQLError{Number: 1213}: 10, &driverMySQL.MySQLError{Number: 3101}: 10, &driverMySQL.MySQLError{Number: 1062}: 10,
		&pgconn.PgError{Code: "40P01"}: 10, &pgconn.PgError{Code: "55P03"}: 1, &driverMySQL.MySQLError{Number: 1205}: 1,
		errors.New("x"): 1,
	} {
		synctest.Test(t, func(t *testing.T) {
			n := 0
			got := unlessOvertaken(func() error { n++; return err })
			if n != want || !errors.Is(got, err) {
				t.Errorf("%v: ran %d times, want %d: %v", err, n, want, got)
			}
		})
	}
}
