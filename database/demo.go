package database

import (
	"context"
	"database/sql"
	"fmt"
	"strings"
	"time"

	"gorm.io/gorm"

	"rollcall/model"
)

const (
	demoUsers   = 1000
	demoReports = 10 // of one manager
	demoTeams   = 50
	demoBatch   = 500 // rows of one INSERT
)

// LoadDemo fills a database without users: 1,000 of them in a tree of managers below one root, each in 3 of
// 50 teams, every team with an owner. The data are always the same. It reports whether it loaded them.
func (d *Database) LoadDemo(ctx context.Context) (loaded bool, err error) {
	load := func(tx *gorm.DB) error {
		var first []model.User
		err := tx.Limit(1).Find(&first).Error
		if loaded = err == nil && len(first) == 0; !loaded {
			return err
		}
		users, teams, memberships := demoDirectory()
		for _, rows := range []any{users, teams, memberships} {
			if err := tx.CreateInBatches(rows, demoBatch).Error; err != nil {
				return err
			}
		}
		if d.product.afterIDs == "" {
			return nil
		}
		return tx.Exec(d.product.afterIDs).Error
	}
	err = unlessOvertaken(func() error { // the lock is one node's in a cluster
		return d.maintain(ctx, func(*sql.DB) error { return d.Write.WithContext(ctx).Transaction(load) })
	})
	return loaded && err == nil, err
}

func demoDirectory() (users []model.User, teams []model.Team, memberships []model.Membership) {
	began := time.Date(2024, 1, 1, 9, 0, 0, 0, time.UTC)
	for i := range demoTeams {
		at := began.Add(time.Duration(i) * time.Minute)
		teams = append(teams, model.Team{ID: int64(i + 1), Name: demoTeam(i), CreatedAt: at, UpdatedAt: at})
	}
	owned := make(map[int]bool)
	for i := range demoUsers {
		at := began.Add(time.Duration(i+1) * time.Hour)
		name := demoName(i)
		user := model.User{ID: int64(i + 1), Name: name, Email: demoEmail(name, i+1), CreatedAt: at, UpdatedAt: at}
		if i > 0 {
			manager := int64((i-1)/demoReports + 1)
			user.ManagerID = &manager
		}
		users = append(users, user)

		spread := i / demoTeams // 0 to 19, so that colleagues in one team are not colleagues in all three
		for _, step := range []int{0, 1 + spread, 25 + spread} {
			team := (i + step) % demoTeams
			role := model.RoleMember
			if !owned[team] {
				owned[team], role = true, model.RoleOwner
			}
			memberships = append(memberships, model.Membership{TeamID: int64(team + 1), UserID: user.ID, Role: role, CreatedAt: at})
		}
	}
	return users, teams, memberships
}

// demoName pairs each of 40 first names with each of 25 last names once, since steps of 41 reach all of the 25.
func demoName(i int) string {
	first := [...]string{
		"Ada", "Kwame", "Mei", "Diego", "Fatima", "Søren", "Priya", "Tomás", "Yuki", "Amara",
		"Grace", "Omar", "Ingrid", "Ravi", "Zoë", "Mateo", "Leila", "Jonas", "Thandiwe", "Hiro",
		"Nadia", "Samuel", "Linh", "Łucja", "Emeka", "Clara", "Arjun", "Sofía", "Malik", "Freya",
		"Chen", "Imani", "Jürgen", "Noor", "Paulo", "Ruth", "Tariq", "Valentina", "Wei", "Björn",
	}
	last := [...]string{
		"Moreau", "Mensah", "Lin", "García", "Haddad", "Nielsen", "Sharma", "Novák", "Tanaka", "Okafor",
		"Hopper", "Farouk", "Lindqvist", "Patel", "Janssen", "Silva", "Rahimi", "Weber", "Dlamini", "Sato",
		"Petrova", "Cohen", "Nguyen", "Zając", "Abebe",
	}
	return first[i%len(first)] + " " + last[(i/len(first)+i)%len(last)]
}

func demoEmail(name string, n int) string {
	plain := strings.NewReplacer("á", "a", "ą", "a", "ë", "e", "í", "i", "ł", "l", "ö", "o", "ø", "o", "ü", "u", " ", ".")
	return fmt.Sprintf("%s.%d@example.com", plain.Replace(strings.ToLower(name)), n)
}

func demoTeam(i int) string {
	areas := [...]string{"Platform", "Payments", "Search", "Mobile", "Identity", "Billing", "Insights", "Logistics", "Growth", "Support"}
	crafts := [...]string{"Engineering", "Design", "Product", "Research", "Operations"}
	return areas[i%len(areas)] + " " + crafts[i/len(areas)]
}
