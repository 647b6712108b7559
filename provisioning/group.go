package provisioning

import (
	"context"
	"fmt"
	"maps"
	"net/http"
	"slices"

	"rollcall/apierror"
	"rollcall/directory"
	"rollcall/entity"
	"rollcall/model"
	"rollcall/scim"
	"rollcall/session"
)

// groupStore is the teams as a scim.Store.
type groupStore struct {
	store[model.Team]
}

var _ scim.Store = (*groupStore)(nil)

// Create implements scim.Store.
func (s *groupStore) Create(ctx context.Context, r scim.Resource, sel scim.Selection) (made scim.Resource, err error) {
	err = s.run(ctx, session.Write, "create a group", func(ctx context.Context) error {
		t, err := s.Directory.CreateTeam(ctx, entity.Input{"name": r["displayName"]})
		if err != nil {
			return err
		}
		wanted := seats{}
		if err := wanted.replace(r["members"]); err != nil {
			return err
		}
		if err := s.seat(ctx, t, wanted); err != nil {
			return err
		}
		made, err = s.one(ctx, t, sel)
		return err
	})
	return made, err
}

// Replace implements scim.Store.
func (s *groupStore) Replace(ctx context.Context, id string, m scim.Match, r scim.Resource, sel scim.Selection) (changed scim.Resource, err error) {
	err = s.change(ctx, "replace a group", id, m, func(ctx context.Context, t *model.Team) error {
		wanted := seats{}
		if err := wanted.replace(r["members"]); err != nil {
			return err
		}
		t, err := s.rename(ctx, t, r["displayName"])
		if err != nil {
			return err
		}
		if err := s.seat(ctx, t, wanted); err != nil {
			return err
		}
		changed, err = s.one(ctx, t, sel)
		return err
	})
	return changed, err
}

// Patch implements scim.Store. The answer has the group only if its attributes are asked for: who adds one member to a large group is not sent all
// others.
func (s *groupStore) Patch(ctx context.Context, id string, m scim.Match, all []scim.Operation, sel scim.Selection) (changed scim.Resource, err error) {
	err = s.change(ctx, "patch a group", id, m, func(ctx context.Context, t *model.Team) error {
		name, wanted := any(t.Name), seats{}
		for _, o := range all {
			var err error
			switch o.Path.Attribute.Name {
			case "displayName":
				name = o.Value
			case "members":
				err = s.patchMembers(ctx, t, o, &wanted)
			}
			if err != nil {
				return err
			}
		}
		t, err := s.rename(ctx, t, name)
		if err != nil {
			return err
		}
		if err := s.seat(ctx, t, wanted); err != nil {
			return err
		}
		if sel.Only() {
			changed, err = s.one(ctx, t, sel)
			return err
		}
		tallies, err := s.Directory.Tallies(ctx, []int64{t.ID})
		changed = scim.Resource{"meta": scim.Resource{"version": tag(t, tallies[t.ID])}}
		return err
	})
	return changed, err
}

// Delete implements scim.Store. A team that others are within stays.
func (s *groupStore) Delete(ctx context.Context, id string, m scim.Match) error {
	return s.change(ctx, "delete a group", id, m, func(ctx context.Context, t *model.Team) error {
		_, err := s.Directory.DeleteTeam(ctx, entity.Input{"id": t.GlobalID()})
		switch apierror.CodeOf(err) { // what the directory advises is for its API
		case apierror.CodeConflict:
			return scim.Failed(http.StatusConflict, "teams are within the team: delete or move them first")
		case apierror.CodeBadUserInput:
			return scim.Refuse(scim.TooMany, "the group has %d members or more: remove them in several PATCHes first, and find them by /Users?filter=groups.value eq %q", maxRelated, id)
		}
		return err
	})
}

// change runs a unit of work that changes a team, which is locked until it has ended. Statements: one that locks it, and one if a version is expected.
func (s *groupStore) change(ctx context.Context, name, id string, m scim.Match, fn func(context.Context, *model.Team) error) error {
	return s.run(ctx, session.Write, name, func(ctx context.Context) error {
		t, err := s.Directory.ReadTeam(ctx, id, true)
		if err != nil {
			return err
		}
		if t == nil {
			return scim.NotFound(id)
		}
		if m != nil {
			tallies, err := s.Directory.Tallies(ctx, []int64{t.ID})
			if err != nil {
				return err
			}
			if !m.Has(tag(t, tallies[t.ID])) {
				return scim.Stale(id)
			}
		}
		return fn(ctx, t)
	})
}

// rename gives a team a name, if that is another one.
func (s *groupStore) rename(ctx context.Context, t *model.Team, name any) (*model.Team, error) {
	if name == t.Name {
		return t, nil
	}
	return s.Directory.UpdateTeam(ctx, entity.Input{"id": t.GlobalID(), "name": name})
}

// seats says who is to be in a team: the users that are true, and not those that are false. The others stay, or go if it is whole.
type seats struct {
	users map[int64]bool
	whole bool
}

func (s *seats) set(user int64, in bool) {
	if s.users == nil {
		s.users = map[int64]bool{}
	}
	s.users[user] = in
}

// add adds the users that a value of members names. The error is invalidValue.
func (s *seats) add(value any) error {
	list, _ := value.([]any)
	for _, one := range list {
		member, _ := one.(scim.Resource)
		id, _ := member["value"].(string)
		user, ok := number("User", id)
		if !ok {
			return scim.Refuse(scim.InvalidValue, "members: %q is not the id of a user", id)
		}
		s.set(user, true)
	}
	return nil
}

// replace is add in place of all who were there.
func (s *seats) replace(value any) error {
	*s = seats{whole: true}
	return s.add(value)
}

// remove removes the users with some ids. What is no user's id is nobody's.
func (s *seats) remove(ids []string) {
	for _, id := range ids {
		if user, ok := number("User", id); ok {
			s.set(user, false)
		}
	}
}

// patchMembers notes what an operation makes of the members.
func (s *groupStore) patchMembers(ctx context.Context, t *model.Team, o scim.Operation, wanted *seats) error {
	switch {
	case o.Path.Sub != nil, o.Filter != nil && o.Op != scim.Remove:
		return scim.Refuse(scim.Mutability, "a member is added or removed, and not changed")
	case o.Filter != nil:
		ids, ok := chosen(o.Filter)
		if !ok {
			var err error
			if ids, err = s.matching(ctx, t, o.Filter); err != nil {
				return err
			}
		}
		wanted.remove(ids)
	case o.Op == scim.Add:
		return wanted.add(o.Value)
	case o.Op == scim.Remove && o.Value != nil: // as Entra names whom to remove
		var ids []string
		for _, one := range o.Value.([]any) {
			id, _ := one.(scim.Resource)["value"].(string)
			ids = append(ids, id)
		}
		wanted.remove(ids)
	default:
		return wanted.replace(o.Value)
	}
	return nil
}

// matching returns the ids of the members that a filter chooses.
func (s *groupStore) matching(ctx context.Context, t *model.Team, filter scim.Filter) (ids []string, err error) {
	all, err := s.members(ctx, "choose them by value eq", t.ID)
	for _, m := range all {
		if scim.Matches(filter, memberOf(m)) {
			ids = append(ids, model.UserID(m.User))
		}
	}
	return ids, err
}

// members reads the members of teams, if they are not too many: or else instead is what a client can do.
func (s *groupStore) members(ctx context.Context, instead string, teams ...int64) ([]directory.Member, error) {
	all, err := s.Directory.MembersOf(ctx, teams, maxRelated)
	if err == nil && len(all) > maxRelated {
		err = scim.Refuse(scim.TooMany, "there are more than %d members: %s", maxRelated, instead)
	}
	return all, err
}

// seat puts users into a team and takes others out. Who is in it already stays what he is. Statements: one that reads who is there, and those of
// AddTeamMembers and of RemoveTeamMembers, if anybody comes or goes.
func (s *groupStore) seat(ctx context.Context, t *model.Team, wanted seats) error {
	if !wanted.whole && len(wanted.users) == 0 {
		return nil
	}
	there := map[int64]bool{}
	if wanted.whole {
		all, err := s.members(ctx, "add and remove some of them by PATCH", t.ID)
		if err != nil {
			return err
		}
		for _, m := range all {
			there[m.User] = true
			if !wanted.users[m.User] {
				wanted.set(m.User, false)
			}
		}
	} else {
		var err error
		if there, err = s.Directory.InTeam(ctx, t.ID, slices.Sorted(maps.Keys(wanted.users))); err != nil {
			return err
		}
	}
	var come []entity.Input
	var gone []string
	for _, user := range slices.Sorted(maps.Keys(wanted.users)) {
		switch in := wanted.users[user]; {
		case in && !there[user]:
			come = append(come, entity.Input{"userId": model.UserID(user), "role": model.RoleMember})
		case !in && there[user]:
			gone = append(gone, model.UserID(user))
		}
	}
	if max(len(come), len(gone)) > maxRelated {
		return scim.Refuse(scim.TooMany, "a request adds or removes at most %d members: send several PATCHes", maxRelated)
	}
	if len(gone) > 0 {
		if _, err := s.Directory.RemoveTeamMembers(ctx, entity.Input{"teamId": t.GlobalID(), "userIds": gone}); err != nil {
			return err
		}
	}
	if len(come) > 0 {
		if _, err := s.Directory.AddTeamMembers(ctx, entity.Input{"teamId": t.GlobalID(), "members": come}); err != nil {
			return err
		}
	}
	return nil
}

// tag is a group's version as an entity tag: its team's, and who is in it.
func tag(t *model.Team, members directory.Tally) string {
	return fmt.Sprintf(`W/"%d-%d-%d"`, t.Version, members.Members, members.Last)
}

// describeAll are teams as resources. Statements: one that reads the members, or counts them if they are not asked for.
func (s *groupStore) describeAll(ctx context.Context, teams []*model.Team, sel scim.Selection) ([]scim.Resource, error) {
	ids := make([]int64, len(teams))
	for i, t := range teams {
		ids[i] = t.ID
	}
	members, tallies := map[int64][]any{}, map[int64]directory.Tally{}
	var err error
	if sel.Has("members") {
		all, err := s.members(ctx, "ask with excludedAttributes=members", ids...)
		if err != nil {
			return nil, err
		}
		for _, m := range all { // in the order of the memberships
			members[m.Team] = append(members[m.Team], memberOf(m))
			tallies[m.Team] = directory.Tally{Members: int64(len(members[m.Team])), Last: m.Membership}
		}
	} else if tallies, err = s.Directory.Tallies(ctx, ids); err != nil {
		return nil, err
	}
	resources := make([]scim.Resource, len(teams))
	for i, t := range teams {
		resources[i] = scim.Resource{
			"id": t.GlobalID(), "displayName": t.Name,
			"meta": scim.Resource{"created": t.CreatedAt.UTC(), "lastModified": t.UpdatedAt.UTC(), "version": tag(t, tallies[t.ID])},
		}
		if members[t.ID] != nil {
			resources[i]["members"] = members[t.ID]
		}
	}
	return resources, nil
}

// memberOf is a member as a resource has it.
func memberOf(m directory.Member) scim.Resource {
	id := model.UserID(m.User)
	return scim.Resource{"value": id, "$ref": "../Users/" + id, "display": m.Name, "type": "User"}
}
