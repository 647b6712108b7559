package persisted_test

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"rollcall/database"
	"rollcall/database/databasetest"
	"rollcall/persisted"
	"rollcall/session/sessiontest"
)

// TestMain fails if goroutines go on after the last test.
func TestMain(m *testing.M) { sessiontest.Main(databasetest.Templates{M: m}, time.Minute) }

// clock is what the stores of a test go by.
type clock struct{ ms atomic.Int64 }

func newClock() *clock {
	c := &clock{}
	c.ms.Store(time.Now().UnixMilli())
	return c
}

func (c *clock) now() time.Time           { return time.UnixMilli(c.ms.Load()) }
func (c *clock) advance(by time.Duration) { c.ms.Add(by.Milliseconds()) }

// storeOf returns the store of one server.
func storeOf(db *database.Database, c *clock) *persisted.Store {
	s := &persisted.Store{Reads: db.Pools()["read"], Writes: db.Side, Dialect: db.Dialect(), Now: c.now}
	if db.Dialect().Embedded() {
		s.Writes = db.Pools()["write"]
	}
	return s
}

func hash(text string) string {
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:])
}

func must(t *testing.T, errs ...error) {
	t.Helper()
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
}

// numbers returns those of one row.
func numbers(t *testing.T, db *database.Database, query string) (a, b int64) {
	t.Helper()
	must(t, db.Side.QueryRowContext(t.Context(), query).Scan(&a, &b))
	return a, b
}

// known returns which of some texts a store finds.
func known(t *testing.T, s *persisted.Store, texts ...string) (n int) {
	t.Helper()
	for _, text := range texts {
		found, err := s.Find(t.Context(), hash(text))
		must(t, err)
		if found != nil && found.Text == text {
			n++
		}
	}
	return n
}

func texts(prefix string, n int) (all []string) {
	for i := range n {
		all = append(all, fmt.Sprintf("query %s%d { viewer { role } }", prefix, i))
	}
	return all
}

func TestADocumentIsStoredOnceByteForByteForAllServers(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.Database) {
		c := newClock()
		one, other := storeOf(db, c), storeOf(db, c)
		for _, text := range []string{"{ a }", "# É \U0001F642 \x00 ' \\ \r\n\u2028 { a }", strings.Repeat("{ a } ", 150_000), "{ A }", "{ a } "} {
			if known(t, other, text) != 0 {
				t.Errorf("%.20q is found before it is stored", text)
			}
			must(t, one.Keep(t.Context(), hash(text), text), other.Keep(t.Context(), hash(text), text))
			if known(t, one, text) != 1 || known(t, other, text) != 1 {
				t.Errorf("%.20q is not found", text)
			}
		}
		must(t, one.Keep(t.Context(), hash("{ a }"), "another"), one.Remove(t.Context(), hash("{ a }"), "another"))
		if known(t, other, "{ a }") != 1 {
			t.Error("another text has taken the place of the first, or taken it away")
		}
		must(t, one.Remove(t.Context(), hash("{ a }"), "{ a }"))
		if found, err := other.Find(t.Context(), hash("{ a }")); found != nil || err != nil {
			t.Errorf("removed: %v, %v", found, err)
		}
	})
}

func TestAUseIsNotedOnceADayByWhicheverServer(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.Database) {
		c := newClock()
		one, other := storeOf(db, c), storeOf(db, c)
		const text = "{ a }"
		state := func() (used, days int64) { return numbers(t, db, "SELECT used_at, days FROM persisted_documents") }
		must(t, one.Keep(t.Context(), hash(text), text))
		if used, days := state(); used != 0 || days != 0 {
			t.Errorf("unused: %d %d", used, days)
		}
		if found, err := one.Find(t.Context(), hash(text)); err != nil || !found.Used.IsZero() {
			t.Errorf("unused: %v, %v", found, err)
		}
		for day := range int64(4) {
			first := c.now()
			for range 3 {
				must(t, one.Use(t.Context(), hash(text), text), other.Use(t.Context(), hash(text), text), one.Keep(t.Context(), hash(text), text))
				c.advance(time.Hour)
			}
			if used, days := state(); used != first.UnixMilli() || days != min(day+1, 2) {
				t.Errorf("day %d: noted at %d, want %d, on %d days", day, used, first.UnixMilli(), days)
			}
			if found, err := other.Find(t.Context(), hash(text)); err != nil || !found.Used.Equal(first) {
				t.Errorf("day %d: %v, %v", day, found, err)
			}
			c.advance(21 * time.Hour)
		}
		must(t, one.Remove(t.Context(), hash(text), text), other.Use(t.Context(), hash(text), text))
		if used, days := state(); used != c.now().UnixMilli() || days != 1 {
			t.Errorf("used after it was pushed out: %d %d", used, days)
		}
	})
}

func TestAFloodPushesOutWhatIsNotInUseOnly(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.Database) {
		c := newClock()
		s := storeOf(db, c)
		s.MaxCount = 40
		old, app := texts("Old", 20), texts("App", 20)
		for _, text := range append(old, app...) {
			must(t, s.Keep(t.Context(), hash(text), text))
			c.advance(time.Second)
		}
		use := func(texts []string) {
			for _, text := range texts {
				must(t, s.Use(t.Context(), hash(text), text))
			}
		}
		use(app)
		for _, text := range texts("Flood", 100) { // of those that are only registered
			must(t, s.Keep(t.Context(), hash(text), text))
			c.advance(time.Second)
		}
		if n := known(t, s, app...); n != len(app) {
			t.Errorf("%d of %d that are in use are left", n, len(app))
		}
		if n := known(t, s, old...); n != 0 {
			t.Errorf("%d of those that were never used are left", n)
		}
		c.advance(24 * time.Hour)
		use(app)
		for _, text := range texts("Used", 100) { // of those that are used, too
			must(t, s.Keep(t.Context(), hash(text), text))
			c.advance(time.Second)
			use([]string{text})
		}
		if n := known(t, s, app...); n != len(app) {
			t.Errorf("%d of %d that are in use on several days are left", n, len(app))
		}
		if count, _ := numbers(t, db, "SELECT COUNT(*), 0 FROM persisted_documents"); count > 41 || count < 40 {
			t.Errorf("there are %d documents", count)
		}
	})
}

func TestTheTableIsBoundedInBytes(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.Database) {
		c := newClock()
		s := storeOf(db, c)
		s.MaxBytes = 1 << 20
		for i := range 40 {
			text := strings.Repeat(fmt.Sprintf("# %8d", i), 10_000) // of 100 kB
			must(t, s.Keep(t.Context(), hash(text), text))
			c.advance(time.Second)
		}
		count, bytes := numbers(t, db, "SELECT COUNT(*), SUM(bytes) FROM persisted_documents")
		if count != 10 || bytes != 1_000_000 {
			t.Errorf("%d documents of %d bytes", count, bytes)
		}
	})
}

func TestADocumentThatWasNotUsedForLongIsSwept(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.Database) {
		c := newClock()
		s := storeOf(db, c)
		unused, used := texts("Unused", 3), texts("Used", 2)
		for _, text := range append(unused, used...) {
			must(t, s.Keep(t.Context(), hash(text), text))
		}
		for _, step := range []struct{ days, unused, used int }{{10, 3, 2}, {19, 3, 2}, {2, 0, 2}, {10, 0, 0}} {
			c.advance(time.Duration(step.days) * 24 * time.Hour)
			if step.days == 10 && step.used > 0 {
				for _, text := range used {
					must(t, s.Use(t.Context(), hash(text), text))
				}
			}
			before := known(t, s, append(unused, used...)...)
			n, err := s.Sweep(t.Context())
			must(t, err)
			if got := known(t, s, unused...); got != step.unused || n != before-step.unused-step.used {
				t.Errorf("after %d days more %d unused ones are left, %d are swept", step.days, got, n)
			}
			if got := known(t, s, used...); got != step.used {
				t.Errorf("after %d days more %d used ones are left", step.days, got)
			}
		}
	})
}

// TestServersThatStoreAndSweepAtATimeDoNotDisturbEachOther has them store the same documents, many more than there may be.
func TestServersThatStoreAndSweepAtATimeDoNotDisturbEachOther(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.Database) {
		c := newClock()
		var wg sync.WaitGroup
		for range 3 {
			s := storeOf(db, c)
			s.MaxCount = 20
			wg.Go(func() {
				for _, text := range texts("Same", 60) {
					if err := errors.Join(s.Keep(context.Background(), hash(text), text), s.Use(context.Background(), hash(text), text)); err != nil {
						t.Error(err)
					}
				}
			})
		}
		wg.Wait()
		s := storeOf(db, c)
		s.MaxCount = 20
		_, err := s.Sweep(t.Context())
		must(t, err)
		if count, _ := numbers(t, db, "SELECT COUNT(*), 0 FROM persisted_documents"); count > 20 || count < 15 {
			t.Errorf("there are %d documents", count)
		}
	})
}
