package changelog

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"
	"testing"
	"time"

	"rollcall/dialect"
)

func TestAnOperationIsNumberedAsAWholeInTheOrderOfTheFirstChanges(t *testing.T) {
	row := func(id int64, operation string, ends bool) unnumbered { return unnumbered{id, operation, ends} }
	rows := []unnumbered{row(1, "a", false), row(2, "b", false), row(4, "a", true), row(5, "c", true), row(7, "b", false)}
	for _, c := range []struct {
		perhapsMore bool
		want        string
		more        bool
	}{
		{false, "[{1 a false} {4 a true} {2 b false} {7 b false} {5 c true}]", false},
		{true, "[{1 a false} {4 a true} {5 c true}]", true}, // the last change of b was not read
	} {
		if got, more := inOperations(rows, c.perhapsMore); fmt.Sprint(got) != c.want || more != c.more {
			t.Errorf("want %s, got %v, %t", c.want, got, more)
		}
	}
	var many []unnumbered
	for i := range int64(3 * maxChunk) {
		many = append(many, row(i+1, fmt.Sprint(i/10), i%10 == 9))
	}
	if got, more := inOperations(many, false); len(got) != maxChunk || !more {
		t.Errorf("got %d, %t", len(got), more)
	}
	if got, more := inOperations([]unnumbered{row(1, "a", false)}, true); len(got) != 0 || !more {
		t.Errorf("got %v, %t", got, more)
	}
}

func TestACursorIsOfOneLog(t *testing.T) {
	for _, c := range []Cursor{{}, At(1, "a"), At(1<<62, "b")} {
		if got, err := ParseCursor("after", c.String()); got != c || err != nil {
			t.Errorf("want %v, got %v, %v", c, got, err)
		}
	}
	if At(1, "a") == At(1, "b") {
		t.Error("cursors of two operations are the same")
	}
	for _, text := range []string{"", "x", "AA", At(1, "a").String() + "A", At(1, "a").String()[1:]} {
		if got, err := ParseCursor("after", text); err == nil {
			t.Errorf("%q is taken for %v", text, got)
		}
	}
}

// away is a database that cannot be reached. It counts who has tried.
type away struct{ tried atomic.Int64 }

var errAway = errors.New("the database is away")

func (a *away) Connect(context.Context) (driver.Conn, error) {
	a.tried.Add(1)
	return nil, errAway
}

func (a *away) Driver() driver.Driver { return nil }

func TestWhoWaitsForPositionsIsToldOnceTheyCannotBeGiven(t *testing.T) {
	db := &away{}
	l := &Log{DB: sql.OpenDB(db), Dialect: dialect.MySQL, Logger: slog.New(slog.DiscardHandler)}
	l.Wake()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	began := time.Now()
	if err := l.Settle(ctx); !errors.Is(err, errUnsettled) {
		t.Errorf("got %v", err)
	}
	if n := db.tried.Load(); n < maxFailures || time.Since(began) < maxFailures*passEvery {
		t.Errorf("it has tried %d times within %s", n, time.Since(began))
	}
	if late, err := l.Settled(ctx, func() (bool, error) { return true, nil }); !late || err != nil {
		t.Errorf("who reads the log is told %t, %v", late, err)
	}
	if err := (&Log{}).SettleAll(ctx); err != nil { // which leaves it to others
		t.Error(err)
	}
}

func TestAReadThatFailsIsNotTriedAgain(t *testing.T) {
	db := &away{}
	l := &Log{DB: sql.OpenDB(db), Dialect: dialect.MySQL}
	if _, err := l.Read(t.Context(), Query{After: &Cursor{Position: 7}, Limit: 1}); !errors.Is(err, errAway) || db.tried.Load() != 1 {
		t.Errorf("tried %d times: %v", db.tried.Load(), err)
	}
}
