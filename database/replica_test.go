package database_test

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"time"

	"gorm.io/gorm"

	"rollcall/database"
	"rollcall/database/databasetest"
	"rollcall/session"
)

// replicas opens replicas of a database until the test ends, or returns why that is refused.
func replicas(t *testing.T, main *database.Database, urls ...string) (*database.Replicas, error) {
	t.Helper()
	r, err := database.NewReplicas(main, urls, database.ReplicaOptions{
		Options: database.Options{PoolSize: 4}, MaxLag: time.Minute, Observe: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(t.Context())
	t.Cleanup(func() {
		cancel()
		_ = r.Close()
	})
	return r, r.Open(ctx)
}

func TestWhatIsNoReplicaIsRefused(t *testing.T) {
	databasetest.EachServer(t, func(t *testing.T, kind string) {
		url, other, empty := databasetest.With(t, kind, databasetest.Nothing), databasetest.With(t, kind, databasetest.Nothing), databasetest.URL(t, kind)
		main, second := databasetest.Open(t, url), databasetest.Open(t, other)
		at(t, main, 1, "one")
		at(t, second, 1, "other")
		foreign := map[string]string{"postgres": "mysql://root@127.0.0.1:1/x"}[kind]
		if foreign == "" {
			foreign = "postgres://u@127.0.0.1:1/x"
		}
		for given, want := range map[string]string{
			other: "its changes are not those of --database", empty: "there is no directory", foreign: "is no replica of one of",
			strings.Replace(url, "@127.0.0.1", "@127.0.0.1,127.0.0.1", 1): "a replica is one server",
			"sqlite:x.db": "SQLite has no replicas", "oracle://x": "the URL must be one of",
		} {
			if _, err := replicas(t, main, given); err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("%s: %v", given, err)
			}
		}
		unreachable := map[string]string{"postgres": "postgres://u@127.0.0.1:1/x"}[kind]
		if unreachable == "" {
			unreachable = "mysql://u@127.0.0.1:1/x"
		}
		r, err := replicas(t, main, unreachable, url) // the second is the main database itself, as a node of a cluster may be
		if err != nil {
			t.Fatal(err)
		}
		if all := r.All(); all[0].In() || !all[1].In() || r.Choose(t.Context(), nil, false) != all[1] {
			t.Errorf("%v and %v are read", all[0].In(), all[1].In())
		}
	})
}

// at has the log of a database go on to a position.
func at(t *testing.T, db *database.Database, position int, operation string) {
	t.Helper()
	if err := db.Write.Transaction(func(tx *gorm.DB) error {
		return errors.Join(
			tx.Exec("INSERT INTO changes (position, at, kind, type, object_id, version, operation_id, ends_operation, fields) VALUES (?, 0, 'CREATED', 'USER', 1, ?, ?, TRUE, '')", position, position, operation).Error,
			tx.Exec("UPDATE changes_clock SET position = ?, operation_id = ?", position, operation).Error)
	}); err != nil {
		t.Fatal(err)
	}
}

func TestACopyThatGoesItsOwnWayIsNeverReadHoweverFarItGets(t *testing.T) {
	databasetest.EachServer(t, func(t *testing.T, kind string) {
		main, other := databasetest.Open(t, databasetest.With(t, kind, databasetest.Nothing)), databasetest.With(t, kind, databasetest.Nothing)
		second := databasetest.Open(t, other)
		var made time.Time
		if err := main.Read.Raw("SELECT min(tstamp) FROM goose_db_version").Scan(&made).Error; err != nil {
			t.Fatal(err)
		}
		if err := second.Write.Exec("UPDATE goose_db_version SET tstamp = ?", made).Error; err != nil {
			t.Fatal(err)
		}
		at(t, main, 1, "main")
		r, err := replicas(t, main, other)
		if err != nil {
			t.Fatal(err)
		}
		for n := 2; n < 60; n++ {
			at(t, second, n-1, "other")
			if n%3 != 0 { // the copy is behind, at the same place and ahead
				at(t, main, n, "main")
			}
			if r.All()[0].In() {
				t.Fatalf("it is read, at %d", n)
			}
			time.Sleep(30 * time.Millisecond)
		}
	})
}

func TestAnEmptyDirectoryOfItsOwnIsRefusedAsAReplica(t *testing.T) {
	databasetest.EachServer(t, func(t *testing.T, kind string) {
		main, other := databasetest.Open(t, databasetest.With(t, kind, databasetest.Nothing)), databasetest.With(t, kind, databasetest.Nothing)
		if err := databasetest.Open(t, other).Write.Exec("UPDATE goose_db_version SET tstamp = '2026-01-02 03:04:05'").Error; err != nil {
			t.Fatal(err)
		}
		if _, err := replicas(t, main, other); err == nil || !strings.Contains(err.Error(), "its changes are not those of --database") {
			t.Error(err)
		}
	})
}

func TestAReplicaIsChosenByWhatItHasAndByItsUnits(t *testing.T) {
	databasetest.EachServer(t, func(t *testing.T, kind string) {
		url := databasetest.With(t, kind, databasetest.Nothing)
		main := databasetest.Open(t, url)
		r, err := replicas(t, main, url, url)
		if err != nil {
			t.Fatal(err)
		}
		chosen := map[*database.Replica]int{}
		for range 10 {
			p := r.Choose(t.Context(), nil, false)
			p.Begin()
			chosen[p]++
		}
		for _, p := range r.All() {
			if chosen[p] != 5 {
				t.Errorf("%s was chosen %d times of 10", p.Name(), chosen[p])
			}
		}
		id := session.NewID()
		if r.Choose(t.Context(), []string{id}, false) != nil {
			t.Error("a replica is chosen that has not what is to be seen")
		}
		later := session.NewID()
		main.Write.Exec("INSERT INTO session_operations (id, state) VALUES (?, 1)", later)
		if r.Choose(t.Context(), []string{later}, false) == nil {
			t.Error("none is chosen that has it")
		}
		if r.Choose(t.Context(), nil, true) != nil {
			t.Error("a replica is chosen where all that is committed is needed")
		}
		if r.MainServed() != 2 {
			t.Errorf("%d were read at the main database", r.MainServed())
		}
	})
}

func BenchmarkAReplicaIsAskedForAWrite(b *testing.B) {
	for _, kind := range databasetest.Kinds(b) {
		if kind == "sqlite" {
			continue
		}
		b.Run(kind, func(b *testing.B) {
			url := databasetest.With(b, kind, databasetest.Nothing)
			main := databasetest.Open(b, url)
			r, err := database.NewReplicas(main, []string{url}, database.ReplicaOptions{Options: database.Options{PoolSize: 4}, MaxLag: time.Minute, Observe: slog.New(slog.DiscardHandler)})
			if err != nil {
				b.Fatal(err)
			}
			ctx, cancel := context.WithCancel(b.Context())
			defer func() { cancel(); _ = r.Close() }()
			if err := r.Open(ctx); err != nil {
				b.Fatal(err)
			}
			ids := make([]string, 2000)
			for i := range ids {
				ids[i] = session.NewID()
				main.Write.Exec("INSERT INTO session_operations (id, state) VALUES (?, 1)", ids[i])
			}
			b.Run("no id", func(b *testing.B) {
				for b.Loop() {
					r.Choose(ctx, nil, false)
				}
			})
			b.Run("first time", func(b *testing.B) {
				began := time.Now()
				for i := range ids {
					r.Choose(ctx, ids[i:i+1], false)
				}
				b.ReportMetric(float64(time.Since(began).Microseconds())/float64(len(ids)), "µs/check")
			})
			b.Run("known", func(b *testing.B) {
				for b.Loop() {
					r.Choose(ctx, ids[:1], false)
				}
			})
		})
	}
}
