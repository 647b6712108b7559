package graph_test

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
)

const first, last = "0001-01-01T00:00:00Z", "9999-12-31T23:59:59.999999Z"

// oddTimes are what databases keep in place of a time, and what is told of it.
var oddTimes = map[string]map[string]string{
	"mysql": {
		"0000-00-00 00:00:00": first, "0000-00-00 00:00:00.000001": first, "0000-01-01 10:00:00": first, "0001-01-01 00:00:00": first,
		"9999-12-31 23:59:59.999999": last, "2024-00-10 00:00:00": "2023-12-10T00:00:00Z", // so the driver counts
	},
	"postgres": {
		"infinity": last, "-infinity": first, "10000-01-01 00:00:00+00": last, "294276-12-31 23:59:59.999999+00": last,
		"0044-03-15 12:00:00+00 BC": first, "4714-11-24 00:00:00+00 BC": first, "0001-01-01 00:00:00+00": first, "9999-12-31 23:59:59.999999+00": last,
	},
	"sqlite": {
		"infinity": first, "-infinity": first, "10000-01-01 00:00:00": last, "0000-00-00 00:00:00": first, "yesterday": first, "": first,
		"0001-01-01 00:00:00+00:00": first, "9999-12-31 23:59:59.999999+00:00": last, "2024-13-45 00:00:00": first,
	},
}

func TestATimeThatCannotBeToldCostsNothingElse(t *testing.T) {
	onEveryDatabase(t, func(t *testing.T, d *directory) {
		for i := range 3 {
			d.send(fmt.Sprintf(`mutation { createUser(input: {name: "U", email: "u%d@example.com"}) { user { id } } }`, i))
		}
		const usual = "2024-02-29 12:30:00"
		if err := d.db.Write.Exec("INSERT INTO teams (id, name, created_at, updated_at) VALUES (1, 'T', ?, ?)", usual, usual).Error; err != nil {
			t.Fatal(err)
		}
		for i := range 3 {
			if err := d.db.Write.Exec("INSERT INTO memberships (team_id, user_id, role, created_at) VALUES (1, ?, 'MEMBER', ?)", i+1, usual).Error; err != nil {
				t.Fatal(err)
			}
		}
		if err := d.db.Write.Exec("UPDATE users SET created_at = ?, updated_at = ?", usual, usual).Error; err != nil {
			t.Fatal(err)
		}
		for _, odd := range slices.Sorted(maps.Keys(oddTimes[d.db.Dialect().Name()])) {
			want := oddTimes[d.db.Dialect().Name()][odd]
			for _, update := range []string{
				"UPDATE users SET created_at = ?, updated_at = ? WHERE id = 2", "UPDATE teams SET created_at = ?, updated_at = ? WHERE id = 1",
				"UPDATE memberships SET created_at = ? WHERE user_id = 2",
			} {
				args := []any{odd, odd}[:strings.Count(update, "?")]
				if err := d.db.Write.Exec(update, args...).Error; err != nil {
					t.Fatalf("%s, %s: %v", odd, update, err)
				}
			}
			const usually = "2024-02-29T12:30:00Z"
			for _, snapshot := range []string{"", "query @snapshot "} {
				got := d.send(snapshot + `{
					users { nodes { createdAt updatedAt teams { edges { joinedAt node { createdAt } } } } }
					teams { nodes { updatedAt members { edges { joinedAt node { createdAt } } } } }
					user(id: "User:2") { createdAt } other: user(id: "User:1") { createdAt }
					userByEmail(email: "u1@example.com") { updatedAt } same: userByEmail(email: "u2@example.com") { updatedAt }
				}`)
				for path, want := range map[string]any{
					"users.nodes.0.createdAt": usually, "users.nodes.1.createdAt": want, "users.nodes.1.updatedAt": want, "users.nodes.2.updatedAt": usually,
					"users.nodes.1.teams.edges.0.joinedAt": want, "users.nodes.0.teams.edges.0.joinedAt": usually,
					"users.nodes.0.teams.edges.0.node.createdAt": want,
					"teams.nodes.0.updatedAt":                    want, "teams.nodes.0.members.edges.1.joinedAt": want, "teams.nodes.0.members.edges.2.joinedAt": usually,
					"teams.nodes.0.members.edges.1.node.createdAt": want, "teams.nodes.0.members.edges.2.node.createdAt": usually,
					"user.createdAt": want, "other.createdAt": usually, "userByEmail.updatedAt": want, "same.updatedAt": usually,
				} {
					if len(got.Errors) > 0 {
						t.Fatalf("%q: %s", odd, got.raw)
					}
					if value := got.at(t, path); value != want {
						t.Errorf("%q: %s is %v, want %v", odd, path, value, want)
					}
				}
			}
			got := d.send(`mutation { updateUser(input: {id: "User:2", name: "Changed"}) { user { name createdAt } } }`)
			if len(got.Errors) > 0 || got.at(t, "updateUser.user.createdAt") != want {
				t.Errorf("%q: %s", odd, got.raw)
			}
		}
	})
}
