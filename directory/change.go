package directory

import (
	"fmt"
	"slices"
	"strconv"

	"rollcall/apierror"
	"rollcall/batch"
	"rollcall/changelog"
	"rollcall/entity"
	"rollcall/keyset"
	"rollcall/model"
	"rollcall/scalar"
)

// declareChange declares what subscriptions lead to.
func (d *Directory) declareChange() {
	const subscription, event = "Subscription", "ChangeEvent"
	d.schema.Sized(subscription, "userChanged", "ids")
	d.schema.Sized(subscription, "teamChanged", "ids")
	d.schema.Sized(subscription, "membershipChanged", "userIds", "teamIds")
	d.schema.Sized(subscription, "changes", "ids")
	changeOf(d.schema, d.users, "UserChange", "user")
	changeOf(d.schema, d.teams, "TeamChange", "team")
	changeOf(d.schema, d.memberships, "MembershipChange", "membership")
	d.schema.AddFields(
		batch.Value(event, "cursor", func(b []byte, e *model.ChangeEvent) []byte { return scalar.AppendString(b, e.Cursor) }).As("String"),
		batch.Path(event, "change", func(e *model.ChangeEvent) *model.Change { return e.Change }),
	)
	d.declareChanges()
}

// changeOf declares the type of a change of objects of one type.
func changeOf[T any](s *entity.Schema, o *entity.Object[T], typ, field string) {
	type c = *model.Change
	s.AddFields(
		batch.Value(typ, "cursor", func(b []byte, c c) []byte { return scalar.AppendString(b, c.Cursor) }).As("String"),
		batch.Value(typ, "kind", func(b []byte, c c) []byte { return scalar.AppendString(b, string(c.Kind)) }).As("String"),
		batch.Value(typ, field+"Id", func(b []byte, c c) []byte { return scalar.AppendString(b, c.GlobalID()) }).As("ID"),
		batch.Value(typ, "version", func(b []byte, c c) []byte { return strconv.AppendInt(b, c.Version, 10) }).As("Int"),
		batch.Relation(typ, field, o.ByID(), batch.Key(func(c c) (int64, bool) { return c.ObjectID, !c.Removed() })),
	)
}

// UserChanges asks for the changes of the users with some global ids, or of all where ids is nil. The error is BAD_USER_INPUT.
func (d *Directory) UserChanges(ids []string) (q changelog.Query, err error) {
	q.Types = []model.ChangeType{model.UserType}
	q.Objects, err = d.changed("ids", "a user", ids, d.users.Name())
	return q, err
}

// TeamChanges is UserChanges for teams.
func (d *Directory) TeamChanges(ids []string) (q changelog.Query, err error) {
	q.Types = []model.ChangeType{model.TeamType}
	q.Objects, err = d.changed("ids", "a team", ids, d.teams.Name())
	return q, err
}

// MembershipChanges asks for the changes of the memberships of some users, or of all where users is nil, in some teams, or in all where teams is
// nil. The error is BAD_USER_INPUT.
func (d *Directory) MembershipChanges(users, teams []string) (q changelog.Query, err error) {
	q.Types = []model.ChangeType{model.MembershipType}
	ofUsers, err := d.changed("userIds", "a user", users, d.users.Name())
	if err != nil {
		return q, err
	}
	ofTeams, err := d.changed("teamIds", "a team", teams, d.teams.Name())
	for _, o := range ofUsers {
		q.Users = append(q.Users, o.ID)
	}
	for _, o := range ofTeams {
		q.Teams = append(q.Teams, o.ID)
	}
	return q, err
}

// Changes asks for changes of some kinds, of objects of some types and of the objects with some global ids; nil: of all. The error is
// BAD_USER_INPUT.
func (d *Directory) Changes(kinds []model.ChangeKind, types []model.ChangeType, ids []string) (q changelog.Query, err error) {
	switch {
	case kinds != nil && len(kinds) == 0:
		return q, nothing("kinds", "a kind")
	case types != nil && len(types) == 0:
		return q, nothing("types", "a type")
	}
	q.Kinds, q.Types = slices.Compact(slices.Sorted(slices.Values(kinds))), slices.Compact(slices.Sorted(slices.Values(types)))
	q.Objects, err = d.changed("ids", "an object", ids, d.users.Name(), d.teams.Name(), d.memberships.Name(), d.tokens.Name())
	return q, err
}

func nothing(argument, what string) error {
	return apierror.BadInput(argument, "%s: name %s, or leave it out for all", argument, what)
}

// changed reads the global ids of objects of some types, whose changes are asked for.
func (d *Directory) changed(argument, what string, ids []string, types ...string) ([]changelog.Object, error) {
	switch {
	case ids != nil && len(ids) == 0:
		return nil, nothing(argument, what)
	case len(ids) > d.maxNamed():
		return nil, keyset.TooLong(argument, len(ids), d.maxNamed())
	}
	var objects []changelog.Object
	for i, id := range ids {
		typ, number, ok := keyset.ParseID(id)
		if !ok || !slices.Contains(types, typ) {
			return nil, apierror.BadInput(fmt.Sprintf("%s.%d", argument, i), "%q is not the id of %s", apierror.Clip(id), what)
		}
		objects = append(objects, changelog.Object{Type: model.ChangeTypeOf(typ), ID: number})
	}
	return objects, nil
}
