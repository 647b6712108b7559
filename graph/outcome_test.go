package graph_test

import (
	"testing"
	"time"

	"github.com/google/uuid"
)

func TestTheOutcomeOfAMutationCanBeAskedFor(t *testing.T) {
	onEveryDatabase(t, func(t *testing.T, d *directory) {
		const query = `query($id: ID!) { mutationOutcome(operationId: $id) }`
		stored, lost := uuid.Must(uuid.NewV7()).String(), uuid.Must(uuid.NewV7()).String()
		if d.db.Dialect().Name() == "sqlite" { // whose COMMIT cannot be lost
			if a := d.must(query, "id", stored); a.at(t, "mutationOutcome") != "UNKNOWN" {
				t.Errorf("got %s", a.raw)
			}
			return
		}
		if err := d.db.Write.Exec("INSERT INTO session_operations (id, state) VALUES (?, 1)", stored).Error; err != nil {
			t.Fatal(err)
		}
		// Asked twice: the first answer is final.
		for _, want := range []struct{ id, outcome string }{
			{stored, "COMMITTED"},
			{stored, "COMMITTED"},
			{lost, "ABORTED"},
			{lost, "ABORTED"},
			{before(t, 48*time.Hour), "EXPIRED"},
		} {
			if a := d.must(query, "id", want.id); a.at(t, "mutationOutcome") != want.outcome {
				t.Errorf("%s: want %s, got %s", want.id, want.outcome, a.raw)
			}
		}
		for _, id := range []string{"", "nonsense", "User:1", uuid.NewString()} {
			if a := d.send(query, "id", id); a.code(t) != "BAD_USER_INPUT" {
				t.Errorf("%q: got %s", id, a.raw)
			}
		}
	})
}

// before returns an id that was made some time ago.
func before(t *testing.T, ago time.Duration) string {
	t.Helper()
	id := uuid.Must(uuid.NewV7())
	ms := time.Now().Add(-ago).UnixMilli()
	for i := range 6 {
		id[i] = byte(ms >> (8 * (5 - i)))
	}
	return id.String()
}

func TestAMutationStoresItsProof(t *testing.T) {
	onEveryDatabase(t, func(t *testing.T, d *directory) {
		if d.db.Dialect().Name() == "sqlite" { // which has none
			return
		}
		count := func() (n int64) {
			if err := d.db.Write.Table("session_operations").Count(&n).Error; err != nil {
				t.Fatal(err)
			}
			return n
		}
		d.create("Ada", "ada@example.com", nil)
		if n := count(); n != 1 {
			t.Errorf("want one id after one mutation, got %d", n)
		}
		d.send(createMutation, "input", input{"name": "", "email": ""})
		d.must(`{ users { totalCount } }`)
		if n := count(); n != 1 {
			t.Errorf("want no more ids after a refused mutation and a query, got %d", n)
		}
	})
}
