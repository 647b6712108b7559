// Package population makes a directory of any size, always the same for a size, as that of a large company: names of many languages,
// a tree of managers, nested teams, times in the order of the ids or nearly so.
package population

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"time"

	"rollcall/fold"
	"rollcall/model"
)

// Revision is one more with each change of what is made: a database of an earlier one is not used again.
const Revision = 1

// Size is how large a directory is.
type Size struct{ Users, Teams int }

const (
	teamsOfUser = 3

	// FanOut is how many reports a manager has, and how many teams are in a team.
	FanOut = 10
	// Roots are the teams that are in no other: those with the lowest ids.
	Roots = 50
	// Largest is the id of the team that every hundredth user is in.
	Largest = 1
)

// Memberships is how many there are.
func (s Size) Memberships() int { return s.Users * teamsOfUser }

var (
	began = time.Date(2010, 1, 4, 9, 0, 0, 0, time.UTC)
	ended = time.Date(2026, 1, 31, 9, 30, 0, 0, time.UTC)
)

// random returns the numbers of which the object of a kind with an id is made.
func random(kind uint64, id int64) *rand.Rand { return rand.New(rand.NewPCG(kind, uint64(id))) }

// Joined is about when a user was created: users come in the order of their ids, but for a month or so.
func (s Size) Joined(id int64) time.Time {
	return began.Add(time.Duration(float64(ended.Sub(began)) * float64(id) / float64(s.Users+1)))
}

// User returns the user with an id, from 1 on.
func (s Size) User(id int64) *model.User {
	r := random(1, id)
	name := pick(r, firstNames)
	if r.IntN(10) == 0 {
		name += " " + pick(r, firstNames)
	}
	last := pick(r, lastNames)
	name += " " + last
	if r.IntN(8) == 0 {
		name += " " + pick(r, lastNames)
	}
	place := weighted(r, places)
	title := weighted(r, titles)
	if level := weighted(r, levels); level != "-" {
		title = level + " " + title
	}
	u := &model.User{
		ID: id, Name: name, Email: mailbox(name, last, id), Title: &title, Department: new(s.Department(r)),
		Location: &place.city, TimeZone: &place.zone, Status: model.StatusActive, Version: 1 + int64(r.IntN(4)),
	}
	if id > 1 {
		u.ManagerID = new((id-2)/FanOut + 1)
	}
	if r.IntN(10) < 6 {
		u.Phone = new(fmt.Sprintf("+49 30 %07d", r.IntN(1e7)))
	}
	if r.IntN(10) < 3 {
		u.PhotoURL = new(fmt.Sprintf("https://photos.example.com/%d.jpg", id))
	}
	if r.IntN(10) < 9 {
		u.ExternalID = new(fmt.Sprintf("E%08d", id))
	}
	if r.IntN(33) == 0 {
		u.Status = model.StatusDeactivated
	}
	u.CreatedAt = s.Joined(id).Add(time.Duration(r.Int64N(int64(30 * 24 * time.Hour)))).Truncate(time.Microsecond)
	u.UpdatedAt = u.CreatedAt.Add(time.Duration(r.Int64N(int64(ended.AddDate(0, 2, 0).Sub(u.CreatedAt))))).Truncate(time.Microsecond)
	u.Fold()
	return u
}

// Department returns that of a user: some are large, and some have a thousandth of all users.
func (s Size) Department(r *rand.Rand) string { return weighted(r, departments) }

// Team returns the team with an id, from 1 on.
func (s Size) Team(id int64) *model.Team {
	r := random(2, id)
	name := fmt.Sprintf("%s %s %d", pick(r, purposes), pick(r, groups), id)
	t := &model.Team{ID: id, Name: name, Version: 1}
	if r.IntN(2) == 0 {
		t.Description = new("What " + name + " is for.")
	}
	if id > Roots {
		t.ParentID = new((id-Roots-1)/FanOut + 1)
	}
	t.CreatedAt = began.Add(time.Duration(r.Int64N(int64(ended.Sub(began))))).Truncate(time.Microsecond)
	t.UpdatedAt = t.CreatedAt.Add(time.Duration(r.Int64N(int64(ended.AddDate(0, 2, 0).Sub(t.CreatedAt))))).Truncate(time.Microsecond)
	t.Fold()
	return t
}

// TeamsOf returns the ids of the teams that a user is in: one among colleagues, and others anywhere.
func (s Size) TeamsOf(user int64) (teams [teamsOfUser]int64) {
	r := random(3, user)
	teams[0] = (user-1)*int64(s.Teams)/int64(s.Users) + 1
	if user%100 == 0 {
		teams[0] = Largest
	}
	for i := 1; i < teamsOfUser; i++ {
		for teams[i] = 0; teams[i] == 0 || teams[i] == teams[0] || i > 1 && teams[i] == teams[1]; {
			teams[i] = 1 + r.Int64N(int64(s.Teams))
		}
	}
	return teams
}

// Membership returns a user's membership in one of its teams.
func (s Size) Membership(team, user int64) *model.Membership {
	r := random(4, user<<20|team)
	m := &model.Membership{TeamID: team, UserID: user, Role: model.RoleMember, Version: 1}
	if r.IntN(20) == 0 {
		m.Role = model.RoleOwner
	}
	m.CreatedAt = s.Joined(user).Add(time.Duration(r.Int64N(int64(60 * 24 * time.Hour)))).Truncate(time.Microsecond)
	return m
}

// mailbox returns an email address that is one user's only.
func mailbox(name, last string, id int64) string {
	first, _, _ := strings.Cut(name, " ")
	letters := func(s string) string {
		return strings.Map(func(r rune) rune {
			if 'a' <= r && r <= 'z' {
				return r
			}
			return -1
		}, fold.Text(s))
	}
	return fmt.Sprintf("%s.%s%d@example.com", letters(first), letters(last), id)
}

// pick returns one of some values, the first ones more often, as some names are.
func pick[V any](r *rand.Rand, of []V) V {
	n := len(of)
	return of[min(r.IntN(n), r.IntN(n))]
}

// weighted returns one of some values, each a little rarer than the one before, so that the last of many is rare.
func weighted[V any](r *rand.Rand, of []V) V {
	x := r.Float64()
	return of[int(x*x*x*float64(len(of)))]
}
