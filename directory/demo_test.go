package directory_test

import (
	"reflect"
	"regexp"
	"testing"
	"time"

	"rollcall/database"
	"rollcall/database/databasetest"
	"rollcall/directory/directorytest"
	"rollcall/model"
)

// stored is everything in a directory, in the order of its keys.
type stored struct {
	Users       []model.User
	Teams       []model.Team
	Memberships []model.Membership
}

func read(t *testing.T, db *database.Database) (all stored) {
	t.Helper()
	for order, rows := range map[string]any{"id": &all.Users, "id ": &all.Teams, "id  ": &all.Memberships} {
		if err := db.Read.WithContext(t.Context()).Order(order).Find(rows).Error; err != nil {
			t.Fatal(err)
		}
	}
	return all
}

func loadDemo(t *testing.T, db *database.Database, want bool) {
	t.Helper()
	if loaded, err := directorytest.LoadDemo(t.Context(), db); err != nil || loaded != want {
		t.Fatalf("LoadDemo = %v, %v; want %v", loaded, err, want)
	}
}

func TestDemoDataAreTheSameOnEveryDatabaseAndLoadedOnce(t *testing.T) {
	expected := databasetest.New(t, "sqlite")
	loadDemo(t, expected, true)
	want := read(t, expected)
	databasetest.Each(t, func(t *testing.T, db *database.Database) {
		loadDemo(t, db, true)
		loadDemo(t, db, false)
		if !reflect.DeepEqual(read(t, db), want) {
			t.Error("the data differ from those in another database")
		}
	})
}

func TestDemoDataAreNotLoadedBesideWhatAnotherProcessWritesMeanwhile(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, db *database.Database) {
		other, err := db.Side.BeginTx(t.Context(), nil)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = other.Rollback() }()
		if _, err := other.ExecContext(t.Context(), "INSERT INTO users (id, name, email, created_at, updated_at) "+
			"VALUES (1, 'Ann', 'ann@example.com', '2026-01-01 00:00:00', '2026-01-01 00:00:00')"); err != nil {
			t.Fatal(err)
		}
		time.AfterFunc(300*time.Millisecond, func() { _ = other.Commit() })
		loadDemo(t, db, false)
		if users := read(t, db).Users; len(users) != 1 || users[0].Name != "Ann" {
			t.Errorf("%d users, the first is %q", len(users), users[0].Name)
		}
	})
}

func TestDemoDataAreSuchAsMutationsStore(t *testing.T) {
	db := databasetest.New(t, "sqlite")
	loadDemo(t, db, true)
	for _, user := range read(t, db).Users {
		name, err := model.CheckName(user.Name)
		email, wrong := model.CheckEmail(user.Email)
		if err != nil || wrong != nil || name != user.Name || email != user.Email {
			t.Errorf("%q <%s> would become %q <%s>, %v, %v", user.Name, user.Email, name, email, err, wrong)
		}
	}
}

func TestDemoDataHaveTheirSizesAndOneOwnerOrMorePerTeam(t *testing.T) {
	db := databasetest.New(t, "sqlite")
	loadDemo(t, db, true)
	dir := read(t, db)
	if len(dir.Users) != 1000 || len(dir.Teams) != 50 || len(dir.Memberships) != 3000 {
		t.Fatalf("%d users, %d teams, %d memberships", len(dir.Users), len(dir.Teams), len(dir.Memberships))
	}
	names := map[string]bool{}
	email := regexp.MustCompile(`^[a-z]+\.[a-z]+\.\d+@example\.com$`)
	for i, user := range dir.Users {
		names[user.Name] = true
		if user.ID != int64(i+1) || !email.MatchString(user.Email) {
			t.Errorf("user %d of %d has the email %q", user.ID, i+1, user.Email)
		}
	}
	if len(names) != 1000 || dir.Users[0].Name != "Ada Moreau" {
		t.Errorf("%d names, the first is %q", len(names), dir.Users[0].Name)
	}
	teamsOf, owners := map[int64]int{}, map[int64]int{}
	for _, m := range dir.Memberships {
		teamsOf[m.UserID]++
		if m.Role == model.RoleOwner {
			owners[m.TeamID]++
		}
	}
	for _, user := range dir.Users {
		if teamsOf[user.ID] != 3 {
			t.Errorf("user %d is in %d teams", user.ID, teamsOf[user.ID])
		}
	}
	if len(owners) != 50 {
		t.Errorf("%d teams have an owner", len(owners))
	}
}

func TestDemoManagersFormOneTree(t *testing.T) {
	db := databasetest.New(t, "sqlite")
	loadDemo(t, db, true)
	managers, reports, roots := map[int64]*int64{}, map[int64]int{}, 0
	for _, user := range read(t, db).Users {
		managers[user.ID] = user.ManagerID
		if user.ManagerID == nil {
			roots++
		} else {
			reports[*user.ManagerID]++
		}
	}
	for id := range managers {
		steps := 0
		for manager := managers[id]; manager != nil; manager = managers[*manager] {
			if steps++; steps > 3 {
				t.Fatalf("user %d has more than three managers above", id)
			}
		}
		if reports[id] > 10 {
			t.Errorf("user %d manages %d", id, reports[id])
		}
	}
	if roots != 1 {
		t.Errorf("%d users without a manager", roots)
	}
}

func TestNewRowsGetIdsBehindTheDemoData(t *testing.T) {
	directorytest.EachDemo(t, func(t *testing.T, db *database.Database) {
		user, team := model.User{Name: "New", Email: "new@example.com"}, model.Team{Name: "New"}
		if err := db.Write.Create(&user).Error; err != nil || user.ID != 1001 {
			t.Errorf("user %d, %v", user.ID, err)
		}
		if err := db.Write.Create(&team).Error; err != nil || team.ID != 51 {
			t.Errorf("team %d, %v", team.ID, err)
		}
	})
}
