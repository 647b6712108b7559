package database_test

import (
	"errors"
	"fmt"
	"reflect"
	"sync"
	"testing"
	"time"

	"rollcall/database"
	"rollcall/database/databasetest"
	"rollcall/dialect"
	"rollcall/directory/directorytest"
	"rollcall/model"
)

func TestMigrateDerivesFromTheRowsOfAnEarlierVersion(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, db *database.Database) {
		if err := db.MigrateDown(t.Context(), 5); err != nil {
			t.Fatal(err)
		}
		at := time.Date(2024, 1, 1, 9, 0, 0, 0, time.UTC)
		var users, teams, memberships []map[string]any
		for i := range 1200 { // more than a batch
			users = append(users, map[string]any{
				"id": i + 1, "name": fmt.Sprintf("José Łódź %d", i), "email": fmt.Sprintf("jose.%d@example.com", i), "created_at": at, "updated_at": at,
			})
		}
		for i := range 3 {
			teams = append(teams, map[string]any{"id": i + 1, "name": fmt.Sprintf("Équipe %d", i), "created_at": at, "updated_at": at})
			memberships = append(memberships, map[string]any{"team_id": i + 1, "user_id": 7 - i, "role": model.RoleOwner, "created_at": at})
		}
		for table, rows := range map[string][]map[string]any{"users": users, "teams": teams} {
			if err := db.Write.Table(table).CreateInBatches(rows, 500).Error; err != nil {
				t.Fatal(err)
			}
		}
		if err := db.Write.Table("memberships").Create(memberships).Error; err != nil {
			t.Fatal(err)
		}
		if applied, err := db.Migrate(t.Context()); err != nil || applied != migrationsAfter(t, db, 5) {
			t.Fatalf("Migrate = %d, %v", applied, err)
		}
		checkDerived(t, db)
		dir := read(t, db)
		if u := dir.Users[1199]; u.NameFolded != "jose lodz 1199" || u.TitleFolded != nil || u.Status != model.StatusActive || u.Version != 1 || !u.UpdatedAt.Equal(at) {
			t.Errorf("the user is %+v", u)
		}
		if team := dir.Teams[2]; team.NameFolded != "equipe 2" || team.Version != 1 || !team.UpdatedAt.Equal(at) {
			t.Errorf("the team is %+v", team)
		}
		for i, m := range dir.Memberships {
			if m.ID != int64(i+1) || m.TeamID != int64(i+1) || m.UserID != int64(7-i) || m.Role != model.RoleOwner || m.Version != 1 || !m.CreatedAt.Equal(at) {
				t.Errorf("membership %d is %+v", i, m)
			}
		}
		create(t, db, &model.User{ID: 1201, Name: "New", Email: "new@example.com"})
		next := model.Membership{TeamID: 1, UserID: 1, Role: model.RoleMember}
		create(t, db, &next)
		if err := db.Write.Where("team_id = 1 AND user_id = 1").First(&next).Error; err != nil || next.ID != 4 || next.Version != 1 {
			t.Errorf("the next membership is %+v, %v", next, err)
		}
	})
}

func TestDerivePutsRightWhatIsWrittenPastTheServer(t *testing.T) {
	directorytest.EachDemo(t, func(t *testing.T, db *database.Database) {
		checkDerived(t, db)
		want := read(t, db)
		for _, statement := range []string{
			"UPDATE users SET name_folded = 'wrong', title_folded = NULL WHERE id IN (1, 600)",
			"UPDATE users SET department_folded = 'wrong' WHERE id = 2",
			"UPDATE teams SET name_folded = '' WHERE id = 3",
			"DELETE FROM user_words WHERE user_id = 4",
			"INSERT INTO user_words (word, user_id) VALUES ('wrong', 5)",
			"DELETE FROM directory_counts WHERE name = 'Team'",
			"INSERT INTO directory_counts (name, delta) VALUES ('User', 5)",
		} {
			if err := db.Write.Exec(statement).Error; err != nil {
				t.Fatal(err)
			}
		}
		for range 2 { // to do so again does no harm
			if err := db.Derive(t.Context()); err != nil {
				t.Fatal(err)
			}
			checkDerived(t, db)
			if !reflect.DeepEqual(read(t, db), want) {
				t.Error("the data are not what they were")
			}
		}
	})
}

func TestDerivingBesideItselfDoesNoHarm(t *testing.T) {
	directorytest.EachDemo(t, func(t *testing.T, db *database.Database) {
		for _, statement := range []string{"UPDATE users SET name_folded = ''", "DELETE FROM user_words", "DELETE FROM directory_counts"} {
			if err := db.Write.Exec(statement).Error; err != nil {
				t.Fatal(err)
			}
		}
		derive := db.DeriveWithoutALock // as through another node of a cluster
		if dialect.OfDB(db.Write).Embedded() {
			derive = db.Derive
		}
		var wg sync.WaitGroup
		errs := make([]error, 4)
		for i := range errs {
			wg.Go(func() { errs[i] = derive(t.Context()) })
		}
		wg.Wait()
		if err := errors.Join(errs...); err != nil {
			t.Fatal(err)
		}
		checkDerived(t, db)
	})
}

// TestTheLongestTextsThatFoldHaveRoom is about characters that become three, of four bytes each, in what no index of PostgreSQL
// has room for unless it compresses them.
func TestTheLongestTextsThatFoldHaveRoom(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, db *database.Database) {
		var name []rune
		for i := range 255 {
			name = append(name, []rune("\U0001D160\U0001D161\U0001D162\U0001D163\U0001D164\U0001D1BD\U0001D1BE\U0001D1BF\U0001D1C0")[i*i%83*7%9])
		}
		text := string(name)
		user := model.User{Name: text, Email: "ada@example.com", Title: &text, Department: &text, Location: &text}
		if user.Fold(); len(user.NameFolded) < 3000 {
			t.Fatalf("only %d bytes", len(user.NameFolded))
		}
		create(t, db, &user)
		team := model.Team{Name: text}
		team.Fold()
		create(t, db, &team)
		if err := db.Derive(t.Context()); err != nil {
			t.Fatal(err)
		}
		checkDerived(t, db)
	})
}

// directory is everything in a database, in the order of its keys.
type directory struct {
	Users       []model.User
	Teams       []model.Team
	Memberships []model.Membership
}

func read(t *testing.T, db *database.Database) (dir directory) {
	t.Helper()
	for order, rows := range map[string]any{"id": &dir.Users, "id ": &dir.Teams, "team_id, user_id": &dir.Memberships} {
		if err := db.Read.WithContext(t.Context()).Order(order).Find(rows).Error; err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// checkDerived compares all that is derived with what it is derived from.
func checkDerived(t *testing.T, db *database.Database) {
	t.Helper()
	dir := read(t, db)
	words := map[int64][]string{}
	for _, u := range dir.Users {
		folded := u
		if folded.Fold(); !reflect.DeepEqual(u, folded) {
			t.Errorf("stored is %+v, not %+v", u, folded)
		}
		words[u.ID] = u.Words()
	}
	for _, team := range dir.Teams {
		folded := team
		if folded.Fold(); !reflect.DeepEqual(team, folded) {
			t.Errorf("stored is %+v, not %+v", team, folded)
		}
	}
	var rows []struct {
		UserID int64
		Word   string
	}
	if err := db.Read.WithContext(t.Context()).Table("user_words").Order("user_id, word").Find(&rows).Error; err != nil {
		t.Fatal(err)
	}
	stored := map[int64][]string{}
	for _, row := range rows {
		stored[row.UserID] = append(stored[row.UserID], row.Word)
	}
	if !reflect.DeepEqual(stored, words) && len(stored)+len(words) > 0 {
		t.Errorf("%d users of %d have words, and not all have theirs", len(stored), len(words))
	}
	for name, want := range map[string]int{"User": len(dir.Users), "Team": len(dir.Teams)} {
		var got int
		if err := db.Read.WithContext(t.Context()).Raw("SELECT COALESCE(SUM(delta), 0) FROM directory_counts WHERE name = ?", name).Scan(&got).Error; err != nil || got != want {
			t.Errorf("the count of %s is %d, not %d: %v", name, got, want, err)
		}
	}
}
