package database

import (
	"database/sql/driver"
	"errors"
	"testing"
	"time"

	driverMySQL "github.com/go-sql-driver/mysql"
)

func TestARefusalHasConnectionsReplacedButNoMoreThanOnceASecond(t *testing.T) {
	refusal := &driverMySQL.MySQLError{Number: 1290}
	r := &renewal{}
	reader, idle, used := r.connection(false), r.connection(true), r.connection(true)
	reader.failed(refusal) // of a write, for the sake of its pool
	used.failed(&driverMySQL.MySQLError{Number: 1062})
	for _, conn := range []*renewed{reader, idle, used} {
		if err := conn.fit(); err != nil {
			t.Fatalf("a connection that works is replaced: %v", err)
		}
	}
	time.Sleep(time.Millisecond) // clocks may be coarse
	used.failed(refusal)
	next, other := r.connection(true), r.connection(true)
	time.Sleep(time.Millisecond)
	next.failed(refusal)
	for name, conn := range map[string]*renewed{"refused": used, "as old as that": idle, "of the other pool": reader, "refused later": next} {
		if err := conn.fit(); !errors.Is(err, driver.ErrBadConn) {
			t.Errorf("a connection is used again, %s: %v", name, err)
		}
	}
	if err := other.fit(); err != nil {
		t.Errorf("connections are replaced all the time: %v", err)
	}
	for deadline := time.Now().Add(10 * renewalPause); other.fit() == nil; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("a connection that may lead to where one was refused is never replaced")
		}
	}
	if err := r.connection(true).fit(); err != nil {
		t.Errorf("a new connection is not used: %v", err)
	}
}
