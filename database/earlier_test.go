package database_test

import (
	"compress/gzip"
	"io"
	"os"
	"path/filepath"
	"testing"
	"time"

	"rollcall/database/databasetest"
	"rollcall/model"
)

// TestAFileOfAnEarlierDriverIsReadAndWritten opens what a server left behind when it was killed that ran SQLite by modernc.org/sqlite
// and goose: a file, and a log in which nearly everything is.
func TestAFileOfAnEarlierDriverIsReadAndWritten(t *testing.T) {
	path := filepath.Join(t.TempDir(), "rollcall.db")
	for _, suffix := range []string{"", "-wal"} {
		unpack(t, "testdata/earlier.db"+suffix+".gz", path+suffix)
	}
	db := databasetest.Open(t, "sqlite:"+path)
	checkSchemaError(t, db, 5, "rollcall migrate")
	if applied, err := db.Migrate(t.Context()); applied != migrationsAfter(t, db, 5) || err != nil {
		t.Errorf("Migrate = %d, %v", applied, err)
	}
	create(t, db, &model.User{Name: "New", Email: "new@example.com"})
	var users []model.User
	if err := db.Read.Order("created_at, id").Find(&users).Error; err != nil || len(users) != 3 {
		t.Fatalf("%v, %v", users, err)
	}
	boss, other := users[0], users[1]
	if boss.NameFolded != "grace murray" || other.NameFolded != "zoe lucja" || boss.Status != model.StatusActive || boss.Version != 1 {
		t.Errorf("what is derived: %+v", users)
	}
	if boss.ID != 1 || boss.Name != "Grace Murray" || !boss.CreatedAt.Equal(time.Date(2026, 11, 26, 21, 59, 44, 358641000, time.UTC)) ||
		other.ID != 2 || other.Name != "Zoë Łucja" || other.Email != "zoë@bücher.example" || *other.ManagerID != 1 {
		t.Errorf("they are %+v", users)
	}
	var alike int // the forms of times, which are compared as texts
	if err := db.Side.QueryRowContext(t.Context(), "SELECT count(*) FROM users WHERE created_at GLOB '????-??-?? ??:??:??*+00:00'").Scan(&alike); err != nil || alike != 3 {
		t.Errorf("%d times of 3 have the form, %v", alike, err)
	}
}

func unpack(t *testing.T, from, to string) {
	t.Helper()
	packed, err := os.Open(from)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = packed.Close() }()
	unpacked, err := gzip.NewReader(packed)
	if err != nil {
		t.Fatal(err)
	}
	contents, err := io.ReadAll(unpacked)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(to, contents, 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestWhatIsBesideASQLiteFileIsForThoseWhoMayUseIt(t *testing.T) {
	for _, there := range []bool{true, false} {
		path := filepath.Join(t.TempDir(), "rollcall.db")
		if there {
			if err := os.WriteFile(path, nil, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		migrate(t, databasetest.Open(t, "sqlite:"+path))
		modes := map[string]os.FileMode{}
		for _, suffix := range []string{"", "-wal", "-shm", "-lock"} {
			info, err := os.Stat(path + suffix)
			if err != nil {
				t.Fatal(err)
			}
			modes[suffix] = info.Mode()
		}
		if modes["-wal"] != modes[""] || modes["-shm"] != modes[""] || there && modes[""] != 0o600 || (modes[""]|modes["-lock"])&^0o644 != 0 {
			t.Errorf("there: %v: %v", there, modes)
		}
	}
}
