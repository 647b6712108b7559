package provisioning

import (
	"context"
	"strings"

	"rollcall/entity"
	"rollcall/keyset"
	"rollcall/model"
	"rollcall/scim"
	"rollcall/session"
)

// userStore is the users as a scim.Store.
type userStore struct {
	store[model.User]
	typ *scim.ResourceType // for Apply
}

var _ scim.Store = (*userStore)(nil)

// Create implements scim.Store.
func (s *userStore) Create(ctx context.Context, r scim.Resource, sel scim.Selection) (made scim.Resource, err error) {
	err = s.run(ctx, session.Write, "create a user", func(ctx context.Context) error {
		input, status, err := written(r, nil, scim.Resource{}, true)
		if err != nil {
			return err
		}
		as := model.StatusActive
		if status != nil {
			as = *status
		}
		u, err := s.Directory.CreateUserAs(ctx, input, as)
		if err != nil {
			return err
		}
		made, err = s.one(ctx, u, sel)
		return err
	})
	return made, err
}

// Replace implements scim.Store.
func (s *userStore) Replace(ctx context.Context, id string, m scim.Match, r scim.Resource, sel scim.Selection) (scim.Resource, error) {
	return s.change(ctx, "replace a user", id, m, sel, func(*model.User) (scim.Resource, bool, error) { return r, true, nil })
}

// Patch implements scim.Store.
func (s *userStore) Patch(ctx context.Context, id string, m scim.Match, all []scim.Operation, sel scim.Selection) (scim.Resource, error) {
	return s.change(ctx, "patch a user", id, m, sel, func(u *model.User) (scim.Resource, bool, error) {
		r := describe(u)
		return r, false, s.typ.Apply(r, all)
	})
}

// Delete implements scim.Store: the user takes part no more, and can still be found.
func (s *userStore) Delete(ctx context.Context, id string, m scim.Match) error {
	_, err := s.change(ctx, "deactivate a user", id, m, scim.Selection{}, func(u *model.User) (scim.Resource, bool, error) {
		r := describe(u)
		r["active"] = false
		return r, false, nil
	})
	return err
}

// change gives a user other values. Statements: one that reads, those of UpdateUser if anything changes, and see describeAll.
func (s *userStore) change(
	ctx context.Context, name, id string, m scim.Match, sel scim.Selection, to func(*model.User) (r scim.Resource, whole bool, err error),
) (changed scim.Resource, err error) {
	err = s.run(ctx, session.Write, name, func(ctx context.Context) error {
		u, err := s.Directory.ReadUser(ctx, id)
		switch {
		case err != nil:
			return err
		case u == nil:
			return scim.NotFound(id)
		case !m.Has(versionOf(u)):
			return scim.Stale(id)
		}
		r, whole, err := to(u)
		if err != nil {
			return err
		}
		input, status, err := written(r, u, describe(u), whole)
		if err != nil {
			return err
		}
		input["id"], input["expectedVersion"] = u.GlobalID(), u.Version
		switch {
		case status != nil && *status != u.Status:
			u, err = s.Directory.SetUserStatus(ctx, input, *status)
		case len(input) > 2: // there is more than whose it is
			u, err = s.Directory.UpdateUser(ctx, input)
		}
		if err != nil {
			return versioned(ctx, id, m, err)
		}
		changed, err = s.one(ctx, u, sel)
		return err
	})
	return changed, err
}

// versionOf is a user's version as an entity tag.
func versionOf(u *model.User) string { return `W/"` + keyOf(u.Version) + `"` }

// describeAll are users as resources. Statements: one for the groups and one for the managers, if they are asked for.
func (s *userStore) describeAll(ctx context.Context, users []*model.User, sel scim.Selection) ([]scim.Resource, error) {
	all, byID := make([]scim.Resource, len(users)), make(map[int64]scim.Resource, len(users))
	var ids, managers []int64
	for i, u := range users {
		all[i] = describe(u)
		byID[u.ID] = all[i]
		ids = append(ids, u.ID)
		if u.ManagerID != nil {
			managers = append(managers, *u.ManagerID)
		}
	}
	if sel.Has("groups") {
		teams, err := s.Directory.TeamsOf(ctx, ids, maxRelated)
		if err != nil {
			return nil, err
		}
		if len(teams) > maxRelated {
			return nil, scim.Refuse(scim.TooMany, "the users are in more than %d groups: ask with excludedAttributes=groups", maxRelated)
		}
		for _, t := range teams {
			team := keyset.ID("Team", t.Team)
			groups, _ := byID[t.User]["groups"].([]any)
			byID[t.User]["groups"] = append(groups, scim.Resource{"value": team, "$ref": "../Groups/" + team, "display": t.Name, "type": "direct"})
		}
	}
	if sel.Has(enterpriseURN+":manager") && len(managers) > 0 {
		names, err := s.Directory.UserNames(ctx, managers)
		if err != nil {
			return nil, err
		}
		for _, u := range users {
			if u.ManagerID != nil {
				manager := byID[u.ID][enterpriseURN].(scim.Resource)["manager"].(scim.Resource)
				manager["displayName"], manager["$ref"] = names[*u.ManagerID], "../Users/"+model.UserID(*u.ManagerID)
			}
		}
	}
	return all, nil
}

// describe is a user as a resource, without what other rows tell.
func describe(u *model.User) scim.Resource {
	given, family := split(u.Name)
	name := scim.Resource{"formatted": u.Name, "givenName": given}
	if family != "" {
		name["familyName"] = family
	}
	r := scim.Resource{
		"id": u.GlobalID(), "userName": u.Email, "displayName": u.Name, "name": name, "active": u.Status == model.StatusActive,
		"emails": []any{scim.Resource{"value": u.Email, "type": "work", "primary": true}},
		"meta":   scim.Resource{"created": u.CreatedAt.UTC(), "lastModified": u.UpdatedAt.UTC(), "version": versionOf(u)},
	}
	for name, value := range map[string]*string{"externalId": u.ExternalID, "title": u.Title, "timezone": u.TimeZone} {
		if value != nil {
			r[name] = *value
		}
	}
	for _, of := range []struct {
		name, sub, typ string
		value          *string
	}{{"phoneNumbers", "value", "work", u.Phone}, {"addresses", "formatted", "work", u.Location}, {"photos", "value", "photo", u.PhotoURL}} {
		if of.value != nil {
			r[of.name] = []any{scim.Resource{of.sub: *of.value, "type": of.typ, "primary": true}}
		}
	}
	enterprise := scim.Resource{}
	if u.Department != nil {
		enterprise["department"] = *u.Department
	}
	if u.ManagerID != nil {
		enterprise["manager"] = scim.Resource{"value": model.UserID(*u.ManagerID)}
	}
	if len(enterprise) > 0 {
		r[enterpriseURN] = enterprise
	}
	return r
}

// split returns the parts of a name: what is before its last space, and what is behind it.
func split(name string) (given, family string) {
	at := strings.LastIndexByte(name, ' ')
	if at < 0 {
		return name, ""
	}
	return strings.TrimSpace(name[:at]), name[at+1:]
}

// written returns the input that gives a user the values of a resource, and the status that it is to have; nil: it stays. before is the user as
// it is stored, or nil, and was what describe says of it. whole says that the resource is all that the client has said, as of POST and PUT.
func written(r scim.Resource, before *model.User, was scim.Resource, whole bool) (entity.Input, *model.Status, error) {
	if before == nil {
		before = &model.User{}
	}
	email, err := emailOf(r, was, whole)
	if err != nil {
		return nil, nil, err
	}
	input := entity.Input{}
	if email != before.Email {
		input["email"] = email
	}
	if name := nameOf(r, was, whole); name != before.Name {
		input["name"] = name
	}
	enterprise, _ := r[enterpriseURN].(scim.Resource)
	for field, of := range map[string]struct{ is, was *string }{
		"title":      {optional(r["title"]), before.Title},
		"department": {optional(enterprise["department"]), before.Department},
		"phone":      {element(r["phoneNumbers"], "work", "value"), before.Phone},
		"location":   {element(r["addresses"], "work", "formatted"), before.Location},
		"timeZone":   {optional(r["timezone"]), before.TimeZone},
		"photoUrl":   {element(r["photos"], "photo", "value"), before.PhotoURL},
		"externalId": {optional(r["externalId"]), before.ExternalID},
	} {
		if !is(of.is, of.was) {
			input[field] = of.is
		}
	}
	manager, _ := enterprise["manager"].(scim.Resource)
	var managed *string
	if before.ManagerID != nil {
		id := model.UserID(*before.ManagerID)
		managed = &id
	}
	if id := optional(manager["value"]); !is(id, managed) {
		input["managerId"] = id
	}
	var status *model.Status
	if active, given := r["active"].(bool); given {
		to := model.StatusDeactivated
		if active {
			to = model.StatusActive
		}
		status = &to
	}
	return input, status, nil
}

// emailOf is the address of a user. userName and emails both are it: what both say has to be the same, and of what PATCH leaves as it was the other one
// counts.
func emailOf(r, was scim.Resource, whole bool) (string, error) {
	name, _ := r["userName"].(string)
	mail := element(r["emails"], "work", "value")
	if mail == nil || model.NormalEmail(*mail) == model.NormalEmail(name) {
		return name, nil
	}
	if !whole {
		if old := element(was["emails"], "work", "value"); is(mail, old) {
			return name, nil
		}
		if name == was["userName"] {
			return *mail, nil
		}
	}
	return "", scim.Refuse(scim.InvalidValue,
		"userName is %q and the work address in emails is %q, and here they are one: have the client map userName to the mail attribute", name, *mail)
}

// nameOf is the name of a user: the first that is given of displayName, name.formatted and name's parts; of PATCH, the first that is another than it was.
// Or else it stays, and is the userName of a new user.
func nameOf(r, was scim.Resource, whole bool) string {
	stored := optional(was["displayName"])
	if whole {
		was = nil
	}
	name, _ := r["name"].(scim.Resource)
	before, _ := was["name"].(scim.Resource)
	if shown := optional(r["displayName"]); shown != nil && *shown != was["displayName"] {
		return *shown
	}
	if formatted := optional(name["formatted"]); formatted != nil && *formatted != before["formatted"] {
		return *formatted
	}
	given, _ := name["givenName"].(string)
	family, _ := name["familyName"].(string)
	if joined := strings.TrimSpace(given + " " + family); joined != "" && (name["givenName"] != before["givenName"] || name["familyName"] != before["familyName"]) {
		return joined
	}
	if stored != nil {
		return *stored
	}
	user, _ := r["userName"].(string)
	return user
}

// element is the value of the element of a type: of that type, or the primary one, or one without a type; nil: there is none.
func element(list any, typ, sub string) *string {
	elements, _ := list.([]any)
	best, found := 0, (*string)(nil)
	for _, one := range elements {
		one, _ := one.(scim.Resource)
		is, _ := one["type"].(string)
		rank := 0
		switch {
		case strings.EqualFold(is, typ):
			rank = 3
		case is == "" && one["primary"] == true:
			rank = 2
		case is == "":
			rank = 1
		}
		if rank > best {
			best, found = rank, optional(one[sub])
		}
	}
	return found
}
