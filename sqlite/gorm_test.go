package sqlite_test

import (
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"gorm.io/gorm"
	"gorm.io/gorm/clause"

	"rollcall/sqlite"
)

// note has a column of each type.
type note struct {
	ID     int64
	Text   string `gorm:"uniqueIndex"`
	Weight float64
	Done   bool
	Raw    []byte
	At     time.Time
	Size   int `gorm:"default:7"`
}

func openGORM(t *testing.T) *gorm.DB {
	t.Helper()
	db, err := gorm.Open(sqlite.Dialector{Pool: openFile(t, filepath.Join(t.TempDir(), "x.db"), true)}, &gorm.Config{})
	if err != nil {
		t.Fatal(err)
	}
	if err := db.AutoMigrate(&note{}); err != nil {
		t.Fatal(err)
	}
	return db
}

func TestGORMReadsWhatItHasWritten(t *testing.T) {
	db := openGORM(t)
	at := time.Date(2024, 1, 2, 3, 4, 5, 678000, time.UTC)
	notes := []note{
		{Text: "a", Weight: 0.5, Done: true, Raw: []byte{0, 1}, At: at, Size: 1}, {Text: "b", At: at, Raw: []byte("x")}, {ID: 9, Text: "c", At: at, Raw: []byte("y"), Size: 3},
	}
	if err := db.Create(&notes).Error; err != nil {
		t.Fatal(err)
	}
	if notes[0].ID != 1 || notes[1].ID != 2 || notes[1].Size != 7 {
		t.Errorf("they are %+v", notes)
	}
	var got []note
	if err := db.Order("id").Find(&got).Error; err != nil || fmt.Sprint(got) != fmt.Sprint(notes) {
		t.Errorf("%v, want %v, %v", got, notes, err)
	}
	var texts []string
	if err := db.Model(&note{}).Clauses(clause.Locking{Strength: "UPDATE"}).Order("id").Offset(1).Pluck("text", &texts).Error; err != nil || !slices.Equal(texts, []string{"b", "c"}) {
		t.Errorf("after an offset: %q, %v", texts, err)
	}
	if err := db.Model(&note{}).Order("notes.id").Limit(1).Offset(2).Pluck("`notes`.`text`", &texts).Error; err != nil || !slices.Equal(texts, []string{"c"}) {
		t.Errorf("the third: %q, %v", texts, err)
	}
	if err := db.Model(&note{}).Limit(0).Pluck("text", &texts).Error; err != nil || len(texts) != 0 {
		t.Errorf("none: %q, %v", texts, err)
	}
	changed := note{ID: 9}
	if err := db.Model(&changed).Clauses(clause.Returning{}).Update("text", "d").Error; err != nil || changed.Text != "d" || changed.Size != 3 {
		t.Errorf("%+v, %v", changed, err)
	}
	if err := db.Clauses(clause.OnConflict{DoNothing: true}).Create(&note{Text: "d", At: at}).Error; err != nil {
		t.Errorf("what is there already: %v", err)
	}
	if deleted := db.Delete(&note{}, []int{1, 2}); deleted.Error != nil || deleted.RowsAffected != 2 {
		t.Errorf("%d rows were deleted, %v", deleted.RowsAffected, deleted.Error)
	}
}

func TestASavepointTakesBackWhatCameAfterIt(t *testing.T) {
	db := openGORM(t)
	undo := errors.New("undo")
	err := db.Transaction(func(tx *gorm.DB) error {
		if err := tx.Create(&note{Text: "kept"}).Error; err != nil {
			return err
		}
		if err := tx.Transaction(func(tx *gorm.DB) error { return errors.Join(undo, tx.Create(&note{Text: "taken back"}).Error) }); !errors.Is(err, undo) {
			t.Errorf("got %v", err)
		}
		return nil
	})
	var texts []string
	if err := errors.Join(err, db.Model(&note{}).Pluck("text", &texts).Error); err != nil || !slices.Equal(texts, []string{"kept"}) {
		t.Errorf("%q, %v", texts, err)
	}
}

func TestNamesAreQuoted(t *testing.T) {
	db := openGORM(t)
	for name, want := range map[string]string{"a": "`a`", "a.b": "`a`.`b`", "`a`.b": "`a`.`b`", "a`b": "`a``b`", "": "", "*": "`*`"} {
		if got := db.Statement.Quote(name); got != want {
			t.Errorf("%s is quoted as %s", name, got)
		}
	}
	if names, err := db.Migrator().GetTables(); err != nil || !slices.Equal(names, []string{"notes", "sqlite_sequence"}) {
		t.Errorf("%q, %v", names, err)
	}
	for table, want := range map[any]bool{"notes": true, "others": false, &note{}: true} {
		if db.Migrator().HasTable(table) != want {
			t.Errorf("%v: want %v", table, want)
		}
	}
}
