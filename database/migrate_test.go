package database_test

import (
	"context"
	"errors"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"rollcall/database"
	"rollcall/database/databasetest"
)

func TestMigrateCreatesTheSchemaOnceOnly(t *testing.T) {
	databasetest.EachURL(t, func(t *testing.T, url string) {
		db := databasetest.Open(t, url)
		for _, want := range []int{migrations(t, db), 0} {
			if applied, err := db.Migrate(t.Context()); err != nil || applied != want {
				t.Errorf("Migrate = %d, %v; want %d", applied, err, want)
			}
		}
		for _, table := range []string{"users", "teams", "memberships"} {
			if n := count(t, db, table); n != 0 {
				t.Errorf("%s has %d rows", table, n)
			}
		}
	})
}

// migrations returns how many there are for a database.
func migrations(t *testing.T, db *database.Database) int {
	t.Helper()
	return migrationsAfter(t, db, 0)
}

// migrationsAfter returns how many lead on from a version.
func migrationsAfter(t *testing.T, db *database.Database, version int) (n int) {
	t.Helper()
	files, err := os.ReadDir("migrations/" + db.Dialect().Name())
	if err != nil {
		t.Fatal(err)
	}
	versions := []int{5, 7} // the emails, and what is derived
	for _, file := range files {
		number, _, _ := strings.Cut(file.Name(), "_")
		version, err := strconv.Atoi(number)
		if err != nil {
			t.Fatal(err)
		}
		versions = append(versions, version)
	}
	for _, v := range versions {
		if v > version {
			n++
		}
	}
	return n
}

func TestMigrateWorksUnderManyProcessesAtOnce(t *testing.T) {
	databasetest.EachURL(t, func(t *testing.T, url string) {
		const processes = 6
		var wg sync.WaitGroup
		applied, errs := make([]int, processes), make([]error, processes)
		for i := range processes {
			db := databasetest.Open(t, url, database.Options{PoolSize: 1})
			wg.Go(func() { applied[i], errs[i] = db.Migrate(t.Context()) })
		}
		wg.Wait()
		if err := errors.Join(errs...); err != nil {
			t.Fatal(err)
		}
		slices.Sort(applied)
		if want := migrations(t, databasetest.Open(t, url)); applied[processes-1] != want || applied[processes-2] != 0 {
			t.Errorf("migrations applied by each: %v, want %d by one", applied, want)
		}
	})
}

func TestMigrateStopsWaitingForAnotherProcessWhenItsContextEnds(t *testing.T) {
	databasetest.EachURL(t, func(t *testing.T, url string) {
		other, db := databasetest.Open(t, url), databasetest.Open(t, url)
		err := other.Locked(t.Context(), func() {
			ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
			defer cancel()
			began := time.Now()
			_, err := db.Migrate(ctx)
			if took := time.Since(began); err == nil || took > 2*time.Second {
				t.Errorf("ended after %s with %v", took, err)
			}
		})
		if err != nil {
			t.Error(err)
		}
		migrate(t, db)
	})
}

func TestASchemaCanBeTakenDownAndUpAgain(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, db *database.Database) {
		if err := db.MigrateDown(t.Context(), 0); err != nil {
			t.Fatal(err)
		}
		checkSchemaError(t, db, 0, "rollcall migrate")
		if applied, err := db.Migrate(t.Context()); err != nil || applied != migrations(t, db) {
			t.Errorf("Migrate = %d, %v", applied, err)
		}
	})
}

func TestCheckSchemaCreatesNothing(t *testing.T) {
	databasetest.EachURL(t, func(t *testing.T, url string) {
		db := databasetest.Open(t, url)
		for range 2 {
			checkSchemaError(t, db, 0, "rollcall migrate")
		}
		if n := tables(t, db); n != 0 {
			t.Fatalf("CheckSchema created %d tables", n)
		}

		migrate(t, db)
		if err := db.CheckSchema(t.Context()); err != nil {
			t.Fatalf("after Migrate: %v", err)
		}
	})
}

func checkSchemaError(t *testing.T, db *database.Database, have int64, text string) {
	t.Helper()
	var schema *database.SchemaError
	if err := db.CheckSchema(t.Context()); !errors.As(err, &schema) || schema.Have != have || !strings.Contains(err.Error(), text) {
		t.Errorf("CheckSchema: %v, want version %d and the text %q", err, have, text)
	}
}

func migrate(t *testing.T, db *database.Database) {
	t.Helper()
	if _, err := db.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func count(t *testing.T, db *database.Database, table string) (n int64) {
	t.Helper()
	if err := db.Read.WithContext(t.Context()).Table(table).Count(&n).Error; err != nil {
		t.Fatal(err)
	}
	return n
}

func tables(t *testing.T, db *database.Database) int {
	t.Helper()
	names, err := db.Write.Migrator().GetTables()
	if err != nil {
		t.Fatal(err)
	}
	return len(names)
}
