package webhook

import (
	"errors"
	"testing"

	"rollcall/changelog"
	"rollcall/database"
	"rollcall/database/databasetest"
)

func TestWhoHasLostTheLeaseStoresNothing(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, db *database.Database) {
		w := &Webhooks{DB: db.Pools()["write"], Dialect: db.Dialect(), Log: &changelog.Log{DB: db.Side, Dialect: db.Dialect()}}
		if err := w.register(t.Context(), "crm"); err != nil {
			t.Fatal(err)
		}
		free, err := w.read(t.Context(), "crm")
		if err != nil {
			t.Fatal(err)
		}
		if taken, err := w.take(t.Context(), "crm", "one", free); !taken || err != nil {
			t.Fatalf("a free lease is taken: %t, %v", taken, err)
		}
		if taken, err := w.take(t.Context(), "crm", "late", free); taken || err != nil {
			t.Errorf("a lease is taken twice: %t, %v", taken, err)
		}
		stale, err := w.read(t.Context(), "crm")
		if err != nil {
			t.Fatal(err)
		}
		if err := w.store(t.Context(), "crm", "one", "renewed_at = ?", stale.renewedAt+1); err != nil {
			t.Error(err)
		}
		if taken, err := w.take(t.Context(), "crm", "late", stale); taken || err != nil {
			t.Errorf("a lease that was renewed is taken: %t, %v", taken, err)
		}
		dead, err := w.read(t.Context(), "crm")
		if err != nil {
			t.Fatal(err)
		}
		if taken, err := w.take(t.Context(), "crm", "two", dead); !taken || err != nil {
			t.Errorf("a dead one's lease is taken: %t, %v", taken, err)
		}
		for _, set := range []string{"position = 7", "batch_until = 7", "renewed_at = 7", "owner = ''", "disabled_at = 7"} {
			if err := w.store(t.Context(), "crm", "one", set); !errors.Is(err, errLost) {
				t.Errorf("%s: %v", set, err)
			}
		}
		if now, err := w.read(t.Context(), "crm"); err != nil || now.owner != "two" || now.after.Position != 0 || now.batchUntil != 0 || now.disabledAt.Valid {
			t.Errorf("got %+v, %v", now, err)
		}
	})
}
