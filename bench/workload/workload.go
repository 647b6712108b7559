// Package workload is what the servers are compared by: a data set and the requests.
package workload

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"sync/atomic"
	"time"

	"gorm.io/gorm"

	"rollcall/model"
)

// The size of the data set: each user but the first has a manager, each manager fanOut reports, each user teamsOfUser teams.
const (
	Users       = 10_000
	Teams       = 500
	fanOut      = 10
	teamsOfUser = 3
)

// Load fills an empty, migrated directory. Words and counts are Derive's.
func Load(db *gorm.DB) error {
	created := time.Date(2026, 1, 31, 9, 30, 0, 0, time.UTC)
	users, teams := make([]model.User, Users), make([]model.Team, Teams)
	var memberships []model.Membership
	for i := range teams {
		teams[i] = model.Team{ID: int64(i + 1), Name: fmt.Sprintf("Team of %d", i+1), CreatedAt: created, UpdatedAt: created}
		teams[i].Fold()
	}
	for i := range users {
		id := int64(i + 1)
		users[i] = model.User{ID: id, Name: fmt.Sprintf("Given Family %d", id), Email: fmt.Sprintf("user.%d@example.com", id), CreatedAt: created, UpdatedAt: created}
		users[i].Fold()
		if i > 0 {
			manager := int64((i-1)/fanOut + 1)
			users[i].ManagerID = &manager
		}
		for k := range teamsOfUser {
			memberships = append(memberships, model.Membership{
				TeamID: int64((i+k*Teams/teamsOfUser)%Teams + 1), UserID: id, Role: model.RoleMember, CreatedAt: created,
			})
		}
	}
	const rows = 1000 // in a statement
	for _, all := range []any{teams, users, memberships} {
		if err := db.CreateInBatches(all, rows).Error; err != nil {
			return err
		}
	}
	return nil
}

// Workload is requests of one kind.
type Workload struct {
	Name      string
	What      string
	Query     string
	Variables func(*rand.Rand) map[string]any
}

// The names of the users in Aliases, in whose order encoding/json sorts them.
const aliases = "abcdefghijklmnopqrst"

// names counts the new names, of which each is another than any user has: to store what is stored is no work.
var names atomic.Int64

// All returns the workloads, those that change something last.
func All() []Workload {
	return []Workload{
		{"point", "one user, 3 fields", `query($id: ID!) { user(id: $id) { id name email } }`, one},
		{"list", "50 users, 3 fields", `query($after: String) { users(first: 50, after: $after) { nodes { id name email } } }`, page},
		Nested(50),
		{
			"deep", "20 users > 5 teams > 10 members > manager",
			`query($after: String) { users(first: 20, after: $after) { nodes { id name teams(first: 5) { nodes { id name ` +
				`members(first: 10) { nodes { id name manager { id name } } } } } } } }`, page,
		},
		{"aliases", "20 times one user with manager", aliased(), func(r *rand.Rand) map[string]any {
			variables := map[string]any{}
			for _, name := range aliases {
				variables[string(name)] = user(r)
			}
			return variables
		}},
		{"typename", "{ __typename }", `{ __typename }`, func(*rand.Rand) map[string]any { return nil }},
		{
			"mutation", "updateUser and its teams",
			`mutation($id: ID!, $name: String!) { updateUser(input: {id: $id, name: $name}) { user { id name teams { nodes { id name } } } } }`,
			func(r *rand.Rand) map[string]any {
				return map[string]any{"id": user(r), "name": fmt.Sprint("Name ", 1_000_000+names.Add(1))}
			},
		},
	}
}

// Nested returns the workload of so many users, with their managers and teams.
func Nested(first int) Workload {
	return Workload{
		"nested", fmt.Sprintf("%d users, manager, teams", first),
		`query($first: Int, $after: String) { users(first: $first, after: $after) { nodes { id name manager { id name } teams { nodes { id name } } } } }`,
		func(r *rand.Rand) map[string]any {
			variables := page(r)
			variables["first"] = first
			return variables
		},
	}
}

func user(r *rand.Rand) string { return model.UserID(1 + r.Int64N(Users)) }

func one(r *rand.Rand) map[string]any { return map[string]any{"id": user(r)} }

// After is the number of a user, in the place of that user's cursor: each server has cursors of its own.
type After int64

// page starts after a random user that a whole page follows.
func page(r *rand.Rand) map[string]any {
	return map[string]any{"after": After(1 + r.Int64N(Users-1001))}
}

func aliased() string {
	var parameters, fields strings.Builder
	for _, name := range aliases {
		fmt.Fprintf(&parameters, "$%c: ID! ", name)
		fmt.Fprintf(&fields, "%c: user(id: $%[1]c) { id name manager { id name } } ", name)
	}
	return fmt.Sprintf("query(%s) { %s}", parameters.String(), fields.String())
}
