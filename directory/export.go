package directory

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"rollcall/keyset"
	"rollcall/model"
	"rollcall/session"
)

// UserExport is everything that is held about one user, in the form of answers.
type UserExport struct {
	ID          string            `json:"id"`
	User        json.RawMessage   `json:"user"` // null: the user was deleted
	Memberships []json.RawMessage `json:"memberships"`
	Teams       []TeamName        `json:"teams"`   // of the memberships
	Reports     []string          `json:"reports"` // the ids of those whose manager the user is
	APITokens   []json.RawMessage `json:"apiTokens"`
	Identities  []LinkedIdentity  `json:"identities"`
	Changes     []LoggedChange    `json:"changes"` // of the user and of the user's memberships and API tokens, from the log
}

// TeamName is what a team is called.
type TeamName struct {
	ID   string `json:"id"`
	Name string `json:"name"`
}

// LinkedIdentity is a login of a user elsewhere.
type LinkedIdentity struct {
	Issuer   string    `json:"issuer"`
	Subject  string    `json:"subject"`
	LinkedAt time.Time `json:"linkedAt"`
}

// LoggedChange is a change in the log.
type LoggedChange struct {
	Position    *int64           `json:"position"` // null: it has none yet
	At          time.Time        `json:"at"`
	Kind        model.ChangeKind `json:"kind"`
	ObjectID    string           `json:"objectId"`
	Version     int64            `json:"version"`
	Actor       *string          `json:"actor"`
	OperationID string           `json:"operationId"`
	Erased      bool             `json:"erased"`
	Fields      json.RawMessage  `json:"fields"`
}

// ExportUser returns everything that is held about a user: reference is a global id such as User:5, its number alone, or an email address. A user
// who was deleted has the changes in the log alone, and is not found by an email address. The error says what to write instead, or that nothing
// is held.
func (d *Directory) ExportUser(ctx context.Context, reference string) (*UserExport, error) {
	id, user, err := d.referred(ctx, reference, ": give the id, by which a user who was deleted is found too")
	if err != nil {
		return nil, err
	}
	export := &UserExport{
		ID: model.UserID(id), User: json.RawMessage("null"),
		Memberships: []json.RawMessage{}, Teams: []TeamName{}, Reports: []string{}, APITokens: []json.RawMessage{}, Identities: []LinkedIdentity{}, Changes: []LoggedChange{},
	}
	changes, err := d.Log.OfUser(ctx, id)
	if err != nil {
		return nil, err
	}
	for _, c := range changes {
		logged := LoggedChange{
			At: c.At, Kind: c.Kind, ObjectID: c.GlobalID(), Version: c.Version, Actor: c.Actor,
			OperationID: c.OperationID, Erased: c.Erased, Fields: c.Fields,
		}
		if c.Position != 0 {
			logged.Position = &c.Position
		}
		export.Changes = append(export.Changes, logged)
	}
	if user != nil {
		return export, d.exportLiving(ctx, user, export)
	}
	if len(changes) == 0 {
		return nil, fmt.Errorf("nothing is held about %s: there is no such user, and the log has no changes of one", export.ID)
	}
	return export, nil
}

// UserOf returns the user that a reference is to, as in ExportUser. The error says what to write instead, or that there is none.
func (d *Directory) UserOf(ctx context.Context, reference string) (*model.User, error) {
	id, user, err := d.referred(ctx, reference, "")
	if err == nil && user == nil {
		err = d.users.Missing(id)
	}
	return user, err
}

// referred returns the number of the user that a reference is to, and the user; nil: there is none by that number. otherwise ends the error about an email
// address that nobody has.
func (d *Directory) referred(ctx context.Context, reference, otherwise string) (id int64, user *model.User, err error) {
	if strings.Contains(reference, "@") {
		var users []*model.User
		if email := model.NormalEmail(reference); model.StorableEmail(email) {
			if users, err = d.users.Where(ctx, "email = ?", email); err != nil {
				return 0, nil, err
			}
		}
		if len(users) == 0 {
			return 0, nil, fmt.Errorf("no user has the email address %q%s", reference, otherwise)
		}
		return users[0].ID, users[0], nil
	}
	global := reference
	if _, err := strconv.ParseInt(reference, 10, 64); err == nil {
		global = "User:" + reference
	}
	if id, err = d.users.ParseID("", global); err != nil {
		return 0, nil, fmt.Errorf("%q is not a user: write an id such as User:5, or an email address", reference)
	}
	users, err := d.users.Read(ctx, []int64{id}, "")
	return id, users[id], err
}

// exportLiving adds what is held about a user who is there.
func (d *Directory) exportLiving(ctx context.Context, user *model.User, export *UserExport) error {
	export.User = d.users.JSON(user)
	memberships, err := d.memberships.Where(ctx, "user_id = ? ORDER BY id", user.ID)
	if err != nil {
		return err
	}
	var in []int64
	for _, m := range memberships {
		export.Memberships = append(export.Memberships, d.memberships.JSON(m))
		in = append(in, m.TeamID)
	}
	for marks, args := range keyset.In(slices.Sorted(slices.Values(in))) {
		teams, err := d.teams.Where(ctx, "id IN ("+marks+") ORDER BY id", args...)
		if err != nil {
			return err
		}
		for _, t := range teams {
			export.Teams = append(export.Teams, TeamName{t.GlobalID(), t.Name})
		}
	}
	reports, err := d.users.Select(ctx, []string{"id"}, "SELECT id FROM users WHERE manager_id = ? ORDER BY id", user.ID)
	for _, u := range reports {
		export.Reports = append(export.Reports, u.GlobalID())
	}
	if err != nil {
		return err
	}
	tokens, err := d.tokens.Where(ctx, "owner_id = ? ORDER BY id", user.ID)
	if err != nil {
		return err
	}
	for _, t := range tokens {
		export.APITokens = append(export.APITokens, d.tokens.JSON(t))
	}
	const identities = "SELECT issuer, subject, linked_at FROM identities WHERE user_id = ? ORDER BY id"
	return session.Query(ctx, identities, []any{user.ID}, func(rows *sql.Rows) error {
		var one LinkedIdentity
		var at int64
		err := rows.Scan(&one.Issuer, &one.Subject, &at)
		one.LinkedAt = time.UnixMicro(at).UTC()
		export.Identities = append(export.Identities, one)
		return err
	})
}
