package directorytest

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"time"

	"rollcall/changelog"
	"rollcall/database"
	"rollcall/model"
)

// Replay is the directory as the log of changes tells it: whoever adds all changes in their order has what the tables hold.
type Replay struct {
	Last   int64 // the position of the last change
	Broken error // what Add has found

	objects   map[object]*state
	operation string          // of the last change
	open      bool            // that one has more changes
	ended     map[string]bool // operations
	erased    map[int64]bool  // users
	values    map[int64]int   // how many changes of a user, and of the user's memberships, have values
}

// object names one.
type object struct {
	Type model.ChangeType
	ID   int64
}

// state is an object's.
type state struct {
	version int64
	at      int64 // in microseconds
	fields  map[string]any
	gone    bool
	hidden  bool // the values of some of its changes were erased
}

// field is a changed field in the log.
type field struct {
	Name          string
	Before, After any
}

// Add adds the next change. The error says what is out of order, or does not fit to what came before, and stays.
func (r *Replay) Add(c *model.Change) error {
	if r.Broken == nil {
		r.Broken = r.add(c)
	}
	return r.Broken
}

func (r *Replay) add(c *model.Change) error {
	if r.objects == nil {
		r.objects, r.ended, r.erased, r.values = map[object]*state{}, map[string]bool{}, map[int64]bool{}, map[int64]int{}
	}
	of := fmt.Sprintf("the change at %d, %s of %s to version %d by %s", c.Position, c.Kind, c.GlobalID(), c.Version, c.OperationID)
	if c.Position != r.Last+1 {
		return fmt.Errorf("%s follows the one at %d", of, r.Last)
	}
	if r.open && c.OperationID != r.operation {
		return fmt.Errorf("%s is amid the operation %s", of, r.operation)
	}
	if r.ended[c.OperationID] {
		return fmt.Errorf("%s is of an operation that had ended", of)
	}
	r.Last, r.operation, r.open = c.Position, c.OperationID, !c.EndsOperation
	if c.EndsOperation {
		r.ended[c.OperationID] = true
	}
	var fields []field
	decoder := json.NewDecoder(bytes.NewReader(c.Fields))
	decoder.UseNumber()
	if err := decoder.Decode(&fields); err != nil {
		return fmt.Errorf("%s has the fields %s: %w", of, c.Fields, err)
	}
	return r.apply(of, c, fields)
}

func (r *Replay) apply(of string, c *model.Change, fields []field) error {
	key := object{c.Type, c.ObjectID}
	s := r.objects[key]
	switch {
	case c.Kind == model.Erased:
		if s == nil || !s.gone || c.Version != s.version || !c.Erased || len(fields) > 0 {
			return fmt.Errorf("%s with the fields %v follows version %d", of, fields, r.version(key))
		}
		r.erased[c.ObjectID] = true
		return nil
	case s != nil && s.gone:
		return fmt.Errorf("%s is of an object that was deleted", of)
	case c.Kind == model.Created && (s != nil || c.Version != 1):
		return fmt.Errorf("%s follows version %d", of, r.version(key))
	case c.Kind == model.Created:
		s = &state{fields: map[string]any{}}
		r.objects[key] = s
	case s == nil || (c.Kind == model.Updated || c.Kind == model.Revoked) && c.Version != s.version+1 || c.Kind == model.Deleted && c.Version != s.version:
		return fmt.Errorf("%s follows version %d", of, r.version(key))
	}
	s.version, s.at, s.gone = c.Version, c.At.UnixMicro(), c.Kind == model.Deleted
	if c.Erased {
		if s.hidden = true; len(fields) > 0 {
			return fmt.Errorf("%s is erased, and has the fields %v", of, fields)
		}
		return nil
	}
	if c.UserID != nil {
		r.values[*c.UserID]++
	}
	if (c.Kind == model.Updated || c.Kind == model.Revoked) && len(fields) == 0 {
		return fmt.Errorf("%s changes nothing", of)
	}
	for _, f := range fields {
		if !s.hidden && !reflect.DeepEqual(s.fields[f.Name], f.Before) || reflect.DeepEqual(f.Before, f.After) {
			return fmt.Errorf("%s changes %s from %v to %v, and before that was %v", of, f.Name, f.Before, f.After, s.fields[f.Name])
		}
		if s.fields[f.Name] = f.After; f.After == nil {
			delete(s.fields, f.Name)
		}
	}
	if s.gone && len(s.fields) > 0 && !s.hidden {
		return fmt.Errorf("%s leaves %v", of, s.fields)
	}
	return nil
}

func (r *Replay) version(key object) int64 {
	if s := r.objects[key]; s != nil {
		return s.version
	}
	return 0
}

// Has reports whether an object was told at a version, or a later one: 0 is that it was deleted.
func (r *Replay) Has(typ model.ChangeType, id, version int64) bool {
	s := r.objects[object{typ, id}]
	return s != nil && (version > 0 && s.version >= version || version == 0 && s.gone)
}

// Read adds all changes that a log has after the last one, once all have their positions. After an error of the database it can go on.
func (r *Replay) Read(ctx context.Context, log *changelog.Log) error {
	for began := time.Now(); ; time.Sleep(5 * time.Millisecond) {
		now, err := log.Now(ctx)
		if err != nil {
			return err
		}
		if !now.Unnumbered {
			break
		}
		if time.Since(began) > 30*time.Second {
			return errors.New("changes wait for their positions for 30 s")
		}
		log.Wake()
	}
	var after *changelog.Cursor
	if r.Last > 0 {
		at := changelog.At(r.Last, r.operation)
		after = &at
	}
	for {
		page, err := log.Read(ctx, changelog.Query{After: after, Limit: 1000})
		if err != nil {
			return err
		}
		for _, c := range page.Changes {
			if err := r.Add(c); err != nil {
				return err
			}
		}
		if after = &page.Until; !page.More {
			break
		}
	}
	if r.open {
		return fmt.Errorf("the log ends at %d amid the operation %s", r.Last, r.operation)
	}
	return nil
}

// Compare returns what differs between the replay and the tables, the first few objects of it.
func (r *Replay) Compare(ctx context.Context, db *database.Database) error {
	var users []*model.User
	var teams []*model.Team
	var memberships []*model.Membership
	var tokens []*model.APIToken
	tables := db.Write.WithContext(ctx)
	if err := errors.Join(tables.Find(&users).Error, tables.Find(&teams).Error, tables.Find(&memberships).Error, tables.Find(&tokens).Error); err != nil {
		return err
	}
	stored := map[object]*state{}
	for _, u := range users {
		stored[object{model.UserType, u.ID}] = &state{version: u.Version, at: u.UpdatedAt.UnixMicro(), fields: known(map[string]any{
			"name": u.Name, "email": u.Email, "managerId": reference("User", u.ManagerID), "title": text(u.Title), "department": text(u.Department), "phone": text(u.Phone),
			"location": text(u.Location), "timeZone": text(u.TimeZone), "photoUrl": text(u.PhotoURL), "externalId": text(u.ExternalID), "status": string(u.Status),
			"createdAt": moment(u.CreatedAt),
		})}
	}
	for _, t := range teams {
		stored[object{model.TeamType, t.ID}] = &state{version: t.Version, at: t.UpdatedAt.UnixMicro(), fields: known(map[string]any{
			"name": t.Name, "description": text(t.Description), "parentId": reference("Team", t.ParentID), "createdAt": moment(t.CreatedAt),
		})}
	}
	for _, m := range memberships {
		stored[object{model.MembershipType, m.ID}] = &state{version: m.Version, fields: known(map[string]any{
			"userId": reference("User", &m.UserID), "teamId": reference("Team", &m.TeamID), "role": string(m.Role), "joinedAt": moment(m.CreatedAt),
		})}
	}
	for _, t := range tokens {
		version, _, _ := t.Logged()
		scopes := []any{}
		for _, scope := range t.Scopes {
			scopes = append(scopes, scope)
		}
		stored[object{model.APITokenType, t.ID}] = &state{version: version, fields: known(map[string]any{
			"name": t.Name, "role": t.Role, "scopes": scopes, "ownerId": reference("User", t.OwnerID), "createdAt": moment(t.CreatedAt),
			"expiresAt": optionalMoment(t.ExpiresAt), "revokedAt": optionalMoment(t.RevokedAt),
		})}
	}
	var differences []error
	for key, s := range stored {
		told := r.objects[key]
		switch {
		case told == nil || told.gone:
			differences = append(differences, fmt.Errorf("%s %d is stored, and the log does not have it", key.Type, key.ID))
		case told.hidden || told.version != s.version || s.at != 0 && told.at != s.at || !reflect.DeepEqual(told.fields, s.fields):
			differences = append(differences, fmt.Errorf("%s %d is stored as version %d of %d, %v, and is version %d of %d, %v by the log",
				key.Type, key.ID, s.version, s.at, s.fields, told.version, told.at, told.fields))
		}
	}
	for user := range r.erased {
		if n := r.values[user]; n > 0 {
			differences = append(differences, fmt.Errorf("USER %d was erased, and %d changes have values", user, n))
		}
	}
	for key, told := range r.objects {
		if stored[key] == nil && !told.gone {
			differences = append(differences, fmt.Errorf("%s %d is not stored, and the log does not tell that it was deleted", key.Type, key.ID))
		}
	}
	return errors.Join(differences[:min(len(differences), 5)]...)
}

// known are the fields that are not null, as JSON has them.
func known(fields map[string]any) map[string]any {
	for name, value := range fields {
		if value == nil {
			delete(fields, name)
		}
	}
	return fields
}

func text(value *string) any {
	if value == nil {
		return nil
	}
	return *value
}

func reference(typ string, id *int64) any {
	if id == nil {
		return nil
	}
	return fmt.Sprintf("%s:%d", typ, *id)
}

func moment(t time.Time) any { return t.UTC().Format(time.RFC3339Nano) }

func optionalMoment(t *time.Time) any {
	if t == nil {
		return nil
	}
	return moment(*t)
}
