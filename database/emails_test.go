package database_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"rollcall/database"
	"rollcall/database/databasetest"
	"rollcall/model"
)

func TestMigrateSpellsTheEmailsThatAreStored(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, db *database.Database) {
		if err := db.MigrateDown(t.Context(), 4); err != nil { // as an earlier server left it
			t.Fatal(err)
		}
		stored := []string{ // with the ids 1, 2, …
			"ada@example.com", "zoe\u0308@example.com", "ada@xn--bcher-kva.example", "\ufeffgrace@example.com",
			"\ufeffada@example.com", "zo\u00eb@xn--bcher-kva.example", "zoe\u0308@b\u00fccher.example", "Kwame@example.com",
			"\u03bd\u03b9\u03ba\u03bf\u03c2@example.com", "ex_ample@my--company.example",
		}
		want := slices.Clone(stored)
		want[1], want[2], want[3], want[5], want[7] = "zo\u00eb@example.com", "ada@b\u00fccher.example", "grace@example.com",
			"zo\u00eb@b\u00fccher.example", "kwame@example.com"
		for i := range 1200 {
			stored = append(stored, fmt.Sprintf("e\u0301%d@example.com", i))
			want = append(want, fmt.Sprintf("\u00e9%d@example.com", i))
		}
		insert(t, db, stored)
		if applied, err := db.Migrate(t.Context()); err != nil || applied != migrationsAfter(t, db, 4) {
			t.Fatalf("Migrate = %d, %v", applied, err)
		}
		check := func(want []string, clashes ...database.EmailClash) {
			t.Helper()
			var got []string
			if err := db.Read.WithContext(t.Context()).Model(&model.User{}).Order("id").Pluck("email", &got).Error; err != nil {
				t.Fatal(err)
			}
			if !slices.Equal(got, want) {
				t.Errorf("stored are %+q", got[:10])
			}
			found, err := db.SpellEmails(t.Context())
			if err != nil || !slices.Equal(found, clashes) {
				t.Errorf("SpellEmails = %v, %v; want %v", found, err, clashes)
			}
		}
		check(want, database.EmailClash{ID: 5, Holder: 1}, database.EmailClash{ID: 7, Holder: 6})

		if err := db.Write.Exec("DELETE FROM users WHERE id IN (1, 6)").Error; err != nil {
			t.Fatal(err)
		}
		if clashes, err := db.SpellEmails(t.Context()); err != nil || len(clashes) > 0 {
			t.Errorf("once they can be: %v, %v", clashes, err)
		}
		want[4], want[6] = "ada@example.com", "zo\u00eb@b\u00fccher.example"
		check(slices.Delete(slices.Delete(want, 5, 6), 0, 1))
	})
}

func insert(t *testing.T, db *database.Database, emails []string) {
	t.Helper()
	users := make([]map[string]any, len(emails)) // of the columns that there were
	for i, email := range emails {
		users[i] = map[string]any{"id": i + 1, "name": "Ada", "email": email, "created_at": time.Now(), "updated_at": time.Now()}
	}
	if err := db.Write.WithContext(t.Context()).Table("users").CreateInBatches(users, 500).Error; err != nil {
		t.Fatal(err)
	}
}
