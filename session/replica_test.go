package session_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"gorm.io/gorm"

	"rollcall/database"
	"rollcall/database/databasetest"
	"rollcall/session"
)

// fakeReplica is a database that is read in the place of another.
type fakeReplica struct {
	db          *gorm.DB
	gone        context.Context
	begun, open atomic.Int64
	failures    atomic.Int64
}

func (f *fakeReplica) DB() *gorm.DB { return f.db }
func (f *fakeReplica) Begin() context.Context {
	f.begun.Add(1)
	f.open.Add(1)
	return f.gone
}
func (f *fakeReplica) End()         { f.open.Add(-1) }
func (f *fakeReplica) Failed(error) { f.failures.Add(1) }

// atReplica returns pools of a database that has the table things with one row, and a replica for them that lacks it.
func atReplica(gone context.Context, t *testing.T, kind string) (session.Pools, *fakeReplica) {
	t.Helper()
	main, other := databasetest.Open(t, databasetest.URL(t, kind)), databasetest.Open(t, databasetest.URL(t, kind))
	for _, statement := range []string{"CREATE TABLE things (id int)", "INSERT INTO things (id) VALUES (7)"} {
		if err := main.Write.Exec(statement).Error; err != nil {
			t.Fatal(err)
		}
	}
	replica := &fakeReplica{db: other.Read, gone: gone}
	pools := session.Pools{
		Write: main.Write, Read: main.Read, Side: main.Side, Deadline: time.Minute,
		Choose: func(context.Context, session.Needs) session.Replica { return replica },
	}
	for _, p := range []session.Pools{pools, {Write: other.Read, Side: other.Side}} {
		if err := p.Install(); err != nil {
			t.Fatal(err)
		}
	}
	return pools, replica
}

var _ session.Replica = (*database.Replica)(nil)

func TestAReadWhoseReplicaFailsIsRunAgainAtTheMainDatabase(t *testing.T) {
	databasetest.EachKind(t, func(t *testing.T, kind string) {
		pools, replica := atReplica(context.Background(), t, kind)
		for _, kind := range []session.Kind{session.Read, session.Snapshot} {
			replica.begun.Store(0)
			replica.failures.Store(0)
			ran, logged, id := 0, 0, 0
			err := session.Run(t.Context(), pools, kind, "a test", func(ctx context.Context) error {
				ran++
				err := session.DB(ctx).Raw("SELECT id FROM things").Find(&id).Error
				if err != nil {
					session.OnAnswer(ctx, func() { logged++ })
				}
				return err
			})
			if err != nil || ran != 2 || id != 7 || logged != 0 || replica.begun.Load() != 1 || replica.failures.Load() == 0 || replica.open.Load() != 0 {
				t.Errorf("%s: %v after %d runs with %d; %d errors were told, %d begun, %d open", kind, err, ran, id, logged, replica.begun.Load(), replica.open.Load())
			}
		}
		if err := session.Run(t.Context(), pools, session.Write, "a test", func(ctx context.Context) error {
			return session.DB(ctx).Exec("INSERT INTO things (id) VALUES (8)").Error
		}); err != nil {
			t.Error(err)
		}
	})
}

func TestAReadIsNotRunAgainForAnErrorOfItsOwn(t *testing.T) {
	pools, replica := atReplica(context.Background(), t, "sqlite")
	ran, own := 0, errors.New("its own")
	if err := session.Run(t.Context(), pools, session.Read, "a test", func(context.Context) error { ran++; return own }); !errors.Is(err, own) || ran != 1 || replica.open.Load() != 0 {
		t.Errorf("%v after %d runs", err, ran)
	}
}

func TestAReadGivesUpAReplicaThatDoesNotAnswerAnyMore(t *testing.T) {
	gone, leave := context.WithCancel(t.Context())
	pools, replica := atReplica(gone, t, "sqlite")
	ran, id := 0, 0
	err := session.Run(t.Context(), pools, session.Read, "a test", func(ctx context.Context) error {
		if ran++; ran == 1 {
			leave()
			<-ctx.Done() // as a statement would
			return context.Cause(ctx)
		}
		return session.DB(ctx).Raw("SELECT id FROM things").Find(&id).Error
	})
	if err != nil || ran != 2 || id != 7 || replica.open.Load() != 0 {
		t.Errorf("%v after %d runs with %d", err, ran, id)
	}
}
