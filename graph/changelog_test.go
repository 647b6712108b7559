package graph_test

import (
	"fmt"
	"strings"
	"testing"

	"rollcall/changelog"
	"rollcall/database"
	"rollcall/database/databasetest"
)

// logged returns the changes after a cursor, in short, and the next cursor.
func (d *directory) logged(after *changelog.Cursor) (changes []string, until changelog.Cursor) {
	d.tb.Helper()
	if err := d.changes.Settle(d.tb.Context()); err != nil {
		d.tb.Fatal(err)
	}
	page, err := d.changes.Read(d.tb.Context(), changelog.Query{After: after, Limit: 1000})
	if err != nil {
		d.tb.Fatal(err)
	}
	for _, c := range page.Changes {
		text := fmt.Sprintf("%d %s %s %d %s", c.Position, c.Kind, c.GlobalID(), c.Version, c.Fields)
		if c.EndsOperation {
			text += "."
		}
		changes = append(changes, text)
	}
	return changes, page.Until
}

func TestEachChangeIsLoggedWithWhatItChanged(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, db *database.Database) {
		d := newDirectory(t, db)
		id := d.create("Ada", "ada@example.com", nil)
		d.must(renameUser, "id", id, "name", "Ada L.")
		d.must(renameUser, "id", id, "name", "Ada L.")
		d.must(deleteMutation, "id", id)
		changes, until := d.logged(nil)
		t.Log("\n" + strings.Join(changes, "\n"))
		if len(changes) != 3 || until.Position != 3 {
			t.Errorf("got %d changes until %v", len(changes), until)
		}
	})
}
