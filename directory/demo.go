package directory

import (
	"context"
	"fmt"
	"strings"
	"time"

	"rollcall/dialect"
	"rollcall/entity"
	"rollcall/model"
	"rollcall/session"
)

const (
	demoUsers   = 1000
	demoReports = 10 // of one manager
	demoTeams   = 50
)

// LoadDemo fills a directory without users: 1,000 of them in a tree of managers below one root, each in 3 of
// 50 teams, which are in 3 levels, every team with an owner. The data are always the same. It reports whether it loaded them.
//
// alone is to keep other processes from loading them at once, and to run what it is given again where one has done so all the same: see
// database.Database.Alone.
func LoadDemo(ctx context.Context, pools session.Pools, alone func(context.Context, func() error) error) (loaded bool, err error) {
	if err := pools.Install(); err != nil {
		return false, err
	}
	d := New(Config{})
	err = alone(ctx, func() error {
		return session.Run(ctx, pools, session.Write, "demo", func(ctx context.Context) error {
			first, err := d.users.Select(ctx, []string{"id"}, "SELECT id FROM users LIMIT 1")
			if loaded = err == nil && len(first) == 0; !loaded {
				return err
			}
			users, teams, memberships := demoDirectory()
			if err := insertDemo(ctx, d, d.users, users); err != nil {
				return err
			}
			if err := insertDemo(ctx, d, d.teams, teams); err != nil {
				return err
			}
			return insertDemo(ctx, d, d.memberships, memberships)
		})
	})
	return loaded && err == nil, err
}

// insertDemo adds rows that have their numbers.
func insertDemo[T any, P written[T]](ctx context.Context, d *Directory, o *entity.Object[T], rows []P) error {
	if err := insert(ctx, d, o, rows); err != nil {
		return err
	}
	db := session.DB(ctx)
	if due := dialect.OfDB(db).AfterIDs(o.Table()); due != "" {
		return db.Exec(due).Error
	}
	return nil
}

func demoDirectory() (users []*model.User, teams []*model.Team, memberships []*model.Membership) {
	began := time.Date(2024, 1, 1, 9, 0, 0, 0, time.UTC)
	for i := range demoTeams {
		at := began.Add(time.Duration(i) * time.Minute)
		teams = append(teams, demoTeam(i, at))
	}
	owned := make(map[int]bool)
	for i := range demoUsers {
		at := began.Add(time.Duration(i+1) * time.Hour)
		name := demoName(i)
		user := &model.User{ID: int64(i + 1), Name: name, Email: demoEmail(name, i+1), CreatedAt: at, UpdatedAt: at}
		demoDetails(user, i)
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
			memberships = append(memberships, &model.Membership{
				ID: int64(len(memberships) + 1), Version: 1, TeamID: int64(team + 1), UserID: user.ID, Role: role, CreatedAt: at,
			})
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

// demoTeam puts the crafts of an area into its engineering, the operations into the research, and the areas into the platform's.
func demoTeam(i int, at time.Time) *model.Team {
	areas := [...]string{"Platform", "Payments", "Search", "Mobile", "Identity", "Billing", "Insights", "Logistics", "Growth", "Support"}
	crafts := [...]string{"Engineering", "Design", "Product", "Research", "Operations"}
	purposes := [...]string{"builds and runs what we offer", "designs what people see and hear", "decides what is built next", "asks people what they need", "keeps everything going"}
	area, craft := i%len(areas), i/len(areas)
	t := &model.Team{ID: int64(i + 1), Name: areas[area] + " " + crafts[craft], Version: int64(1 + i%4), CreatedAt: at, UpdatedAt: at}
	if i%7 != 6 { // some have not been described
		text := fmt.Sprintf("%s %s %s.", areas[area], strings.ToLower(crafts[craft]), purposes[craft])
		t.Description = &text
	}
	switch parent := int64(area + 1); {
	case craft == 4:
		parent += 30
		t.ParentID = &parent
	case craft > 0:
		t.ParentID = &parent
	}
	return t
}

// demoDetails gives a user what not everyone has: the higher somebody is in the tree, the more is known.
func demoDetails(u *model.User, i int) {
	type place struct{ name, zone, code string }
	places := [...]place{
		{"Paris", "Europe/Paris", "+33 1 99 00 "},
		{"Accra", "Africa/Accra", "+233 30 955 "},
		{"São Paulo", "America/Sao_Paulo", "+55 11 5550-"},
		{"Łódź", "Europe/Warsaw", "+48 42 555 "},
		{"Malmö", "Europe/Stockholm", "+46 40 628 "},
		{"Zürich", "Europe/Zurich", "+41 44 555 "},
		{"Bengaluru", "Asia/Kolkata", "+91 80 5550 "},
		{"東京", "Asia/Tokyo", "+81 3-5550-"},
		{"Montréal", "America/Toronto", "+1 514 555-"},
	}
	departments := [...]string{"Engineering", "Design", "Product", "Research", "Operations", "Finance", "People & Culture", "Sales", "Legal"}
	titles := [...]string{"Engineer", "Designer", "Product Manager", "Researcher", "Operations Specialist", "Accountant", "Recruiter", "Account Manager", "Counsel"}
	at, department := places[i*5%len(places)], i%len(departments)
	title := titles[department]
	switch {
	case i == 0:
		title = "Chief Executive Officer"
	case i <= demoReports:
		title = "Vice President, " + departments[department]
	case i <= demoReports+demoReports*demoReports:
		title = "Head of " + departments[department]
	case i%6 == 0:
		title = "Senior " + title
	}
	u.Version = int64(1 + i%5)
	u.Title, u.Department = &title, &departments[department]
	if i%11 != 10 { // who works anywhere has no location
		u.Location, u.TimeZone = &at.name, &at.zone
	}
	if i%3 == 0 {
		phone := fmt.Sprintf("%s%04d", at.code, 100+i)
		u.Phone = &phone
	}
	if i%4 != 3 {
		photo := fmt.Sprintf("https://photos.example.com/%d.jpg", i+1)
		u.PhotoURL = &photo
	}
	if i%10 != 9 { // contractors are not in the system of personnel
		external := fmt.Sprintf("E-%05d", 10_000+i)
		u.ExternalID = &external
	}
	u.Status = model.StatusActive
	if i > demoReports+demoReports*demoReports && i%20 == 13 { // nobody's manager
		u.Status = model.StatusDeactivated
	}
}
