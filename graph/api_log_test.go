package graph_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"rollcall/apierror"
)

const logQuery = `query($after: String, $first: Int, $kinds: [ChangeKind!], $types: [ChangeType!], $ids: [ID!]) {
	changes(after: $after, first: $first, kinds: $kinds, types: $types, ids: $ids) {
		nodes { cursor at kind type objectId version object { __typename id ... on User { name } } fields { name before after } erased operationId endsOperation actor }
		edges { cursor node { objectId } } pageInfo { hasNextPage hasPreviousPage startCursor endCursor } upToDate } }`

// short is the changes of a page, as KIND id version.
func (a answer) short(tb testing.TB, path string) (all []string) {
	tb.Helper()
	for _, node := range a.at(tb, path).([]any) {
		c := node.(map[string]any)
		all = append(all, fmt.Sprintf("%s %s %v", c["kind"], c["objectId"], c["version"]))
	}
	return all
}

const addToTeam = `mutation($team: ID!, $user: ID!) { addTeamMembers(input: {teamId: $team, members: [{userId: $user}]}) { memberships { id } } }`

// aFewChanges makes nine changes: of the users 1 to 3, the team 1 and the membership 1.
func (d *directory) aFewChanges() {
	d.tb.Helper()
	ada := d.create("Ada", "ada@example.com", nil)
	ben := d.create("Ben", "ben@example.com", ada)
	d.must(renameUser, "id", ada, "name", "Ada L.")
	team := d.must(`mutation { createTeam(input: {name: "Red"}) { team { id } } }`).at(d.tb, "createTeam.team.id").(string)
	d.must(addToTeam, "team", team, "user", ben)
	d.must(deleteMutation, "id", ben)
	d.create("Cleo", "cleo@example.com", nil)
	d.must(renameUser, "id", ada, "name", "Ada Lovelace")
}

var fewChanges = []string{
	"CREATED User:1 1", "CREATED User:2 1", "UPDATED User:1 2", "CREATED Team:1 1", "CREATED Membership:1 1",
	"DELETED Membership:1 1", "DELETED User:2 1", "CREATED User:3 1", "UPDATED User:1 3",
}

func TestChangesAreReadInTheirOrderWithTheirObjects(t *testing.T) {
	onEveryDatabase(t, func(t *testing.T, d *directory) {
		d.aFewChanges()
		a := d.must(logQuery)
		t.Log(a.raw)
		if got := a.short(t, "changes.nodes"); !slices.Equal(got, fewChanges) {
			t.Errorf("got %q", got)
		}
	})
}

var _ = json.Marshal
var _ = strings.Join
var _ = apierror.CodeInternal
