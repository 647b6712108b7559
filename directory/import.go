package directory

import (
	"context"
	"maps"
	"slices"
	"strings"

	"rollcall/apierror"
	"rollcall/entity"
	"rollcall/model"
	"rollcall/scalar"
)

// An import stores records: inputs as the API has them, but for what they refer to. That is named by what people know it by: a manager
// by managerEmail or managerExternalId, a parent by parentName, what a membership is of by teamName and by userEmail or userExternalId. Users
// have a status besides. Records go through the corridor of the bulks, each for itself, up to MaxBulk of a kind at a time.
//
// A record may refer to what comes later. So what cannot be done yet is returned as what waits, to be imported when all else
// is there: by ImportManagers, ImportParents, and ImportMemberships with Last. What becomes of a record does not depend on which others are stored
// together with it, as long as no two have the same key.

// ImportOptions say what an import does.
type ImportOptions struct {
	Upsert bool            // what is there already is changed; else that is a CONFLICT
	By     model.UpsertKey // what users are found by
	Last   bool            // what memberships are of will not come any more
}

// ImportOutcome is what became of a record.
type ImportOutcome int

// The outcomes.
const (
	ImportRefused ImportOutcome = iota
	ImportCreated
	ImportUpdated
	ImportUnchanged
	ImportWaits // all of it
)

// Imported is what became of a record.
type Imported struct {
	Outcome ImportOutcome
	Wrong   apierror.Errors // why it was refused
	Waits   entity.Input    // what is to be imported later; nil: nothing
}

// reference is what a field of a record refers to: an object of a type, by something of it.
type reference struct{ typ, by string }

// references are the fields by which records refer to objects.
var references = map[string]reference{
	"managerEmail": {"user", "email address"}, "managerExternalId": {"user", "external id"}, "userEmail": {"user", "email address"},
	"userExternalId": {"user", "external id"}, "parentName": {"team", "name"}, "teamName": {"team", "name"},
}

// MissingReference returns the NOT_FOUND error about what a field of a record refers to.
func MissingReference(field, key string) *apierror.Error {
	to := references[field]
	missing := apierror.NotFound("no %s has the %s %q", to.typ, to.by, apierror.Clip(key))
	missing.Field = field
	return missing
}

// name is a way in which records name an object of a tree.
type name[T any] struct {
	field  string // of the record: one of references
	key    key[T]
	stored func(text string) (key string, ok bool) // what text is stored as; false: nothing can have it
}

func byEmail(field string) name[model.User] {
	return name[model.User]{field, userKey(model.ByEmail), func(text string) (string, bool) {
		email := model.NormalEmail(text)
		return email, model.StorableEmail(email)
	}}
}

func byExternalID(field string) name[model.User] {
	return name[model.User]{field, userKey(model.ByExternalID), func(text string) (string, bool) { return text, model.StorableExternalID(text) }}
}

func teamKey() key[model.Team] {
	return key[model.Team]{"name", "name", func(t *model.Team) string { return t.Name }}
}

func byTeamName(field string) name[model.Team] {
	return name[model.Team]{field, teamKey(), func(text string) (string, bool) {
		name, err := model.CheckName(text)
		return name, err == nil
	}}
}

// target is the object that a record names.
type target struct {
	given bool // one is named, or none by null
	field string
	key   string // "": none
	id    int64  // 0: it is not there
	err   *apierror.Error
}

// resolve finds the objects that records name, with one statement for each way to name them.
func (t *tree[T]) resolve(ctx context.Context, inputs []entity.Input, ways ...name[T]) ([]target, error) {
	targets := make([]target, len(inputs))
	for _, way := range ways {
		var keys []string
		for i, in := range inputs {
			value, given := in[way.field]
			if !given {
				continue
			}
			at := &targets[i]
			at.given = true
			if value == nil {
				continue
			}
			text, err := scalar.UnmarshalString(value)
			if err != nil {
				at.err = apierror.BadInput(way.field, "%s must be a text", way.field)
				continue
			}
			if at.key != "" {
				at.err = apierror.BadInput(way.field, "%s and %s cannot be given together", at.field, way.field)
				continue
			}
			stored, ok := way.stored(text)
			if !ok {
				at.err = apierror.BadInput(way.field, "%q cannot be the %s of a %s", apierror.Clip(text), references[way.field].by, references[way.field].typ)
				continue
			}
			at.field, at.key = way.field, stored
			keys = append(keys, stored)
		}
		slices.Sort(keys)
		there, err := t.find(ctx, way.key, slices.Compact(keys))
		if err != nil {
			return nil, err
		}
		for i := range targets {
			if at := &targets[i]; at.field == way.field {
				at.id = there[at.key]
			}
		}
	}
	return targets, nil
}

// importing is how the records of a tree are imported.
type importing[T any] struct {
	*tree[T]
	key   key[T]    // what those are found by that are there already
	above []name[T] // how records name what is to be above them
	also  func(e *entries, i int, it *item[T], in entity.Input) error
}

func (d *Directory) importingUsers(by model.UpsertKey) importing[model.User] {
	return importing[model.User]{
		tree: d.tree.users, key: userKey(by), above: []name[model.User]{byEmail("managerEmail"), byExternalID("managerExternalId")}, also: statusOf,
	}
}

func (d *Directory) importingTeams() importing[model.Team] {
	return importing[model.Team]{tree: d.tree.teams, key: teamKey(), above: []name[model.Team]{byTeamName("parentName")}}
}

// statusOf has an item give a user the status that a record has.
func statusOf(e *entries, i int, it *item[model.User], in entity.Input) error {
	if in["status"] == nil {
		return nil
	}
	status, err := entity.Choice(in, "status", model.StatusActive, model.StatusDeactivated)
	if err != nil {
		return e.refuse(i, err)
	}
	if e.open(i) {
		withStatus(it, status)
	}
	return nil
}

// ImportUsers adds users, or changes those that are there. Errors are in what became of each.
func (d *Directory) ImportUsers(ctx context.Context, inputs []entity.Input, o ImportOptions) ([]Imported, error) {
	return importInto(ctx, d, d.importingUsers(o.By), inputs, o)
}

// ImportTeams adds teams, or changes those that are there, found by their names. Errors are in what became of each.
func (d *Directory) ImportTeams(ctx context.Context, inputs []entity.Input, o ImportOptions) ([]Imported, error) {
	return importInto(ctx, d, d.importingTeams(), inputs, o)
}

// draft is a record that is being stored.
type draft[T any] struct {
	record entity.Input
	row    entity.Input // the record as an input of the API
	above  target
	waits  bool // what is to be above it is not there, or cannot be
	item   *item[T]
	Imported
}

// importInto adds objects of a tree, or changes those that are there. One that cannot be below what it names, be it that this is not there, is
// refused, or is below it, is stored without, and waits.
func importInto[T any, P written[T]](ctx context.Context, d *Directory, t importing[T], inputs []entity.Input, o ImportOptions) ([]Imported, error) {
	targets, err := t.resolve(ctx, inputs, t.above...)
	if err != nil {
		return nil, err
	}
	within := t.places(inputs)
	drafts := make([]*draft[T], len(inputs))
	for i, in := range inputs {
		one := &draft[T]{record: in, row: t.plain(in), above: targets[i]}
		drafts[i] = one
		switch at := one.above; {
		case at.err != nil || !at.given:
		case at.key == "":
			one.row[t.field] = nil
		case at.id != 0:
			one.row[t.field] = t.globalID(at.id)
		default:
			if j, there := within[at.field][at.key]; there && j != i {
				one.row[t.ref] = j
			} else {
				one.waits = true
			}
		}
	}
	if err := storeDrafts[T, P](ctx, d, t, drafts, o); err != nil {
		return nil, err
	}
	var again []*draft[T]
	for _, one := range drafts {
		if one.Outcome != ImportRefused || one.above.err != nil || slices.ContainsFunc(one.Wrong, func(wrong *apierror.Error) bool {
			return wrong.Field != t.field && wrong.Field != t.ref
		}) {
			continue
		}
		delete(one.row, t.field)
		delete(one.row, t.ref)
		one.waits = true
		again = append(again, one)
	}
	if len(again) > 0 {
		if err := storeDrafts[T, P](ctx, d, t, again, o); err != nil {
			return nil, err
		}
	}
	all := make([]Imported, len(drafts))
	for i, one := range drafts {
		if one.waits && one.Outcome != ImportRefused {
			one.Waits = entity.Input{"id": t.globalID(t.id(one.item.row)), one.above.field: one.above.key}
		}
		all[i] = one.Imported
	}
	return all, nil
}

// storeDrafts stores drafts as a bulk does, and notes what became of each.
func storeDrafts[T any, P written[T]](ctx context.Context, d *Directory, t importing[T], drafts []*draft[T], o ImportOptions) error {
	e := recordEntries(len(drafts))
	rows := make([]entity.Input, len(drafts))
	for i, one := range drafts {
		rows[i] = one.row
	}
	var items []*item[T]
	var err error
	if o.Upsert {
		items, err = t.upserted(ctx, e, rows, t.key)
	} else {
		items, err = t.added(e, rows)
	}
	if err != nil {
		return err
	}
	for i, one := range drafts {
		if one.above.err != nil {
			if err := e.refuse(i, one.above.err); err != nil {
				return err
			}
		}
		if t.also == nil {
			continue
		}
		if err := t.also(e, i, items[i], one.record); err != nil {
			return err
		}
	}
	if err := store[T, P](ctx, d, t.tree, e, items); err != nil {
		return err
	}
	for i, one := range drafts {
		one.item, one.Imported = items[i], became(e, i, items[i])
	}
	return nil
}

// recordEntries are entries that stand for themselves.
func recordEntries(n int) *entries {
	return &entries{bulk: true, each: true, field: "records", wrong: make([]apierror.Errors, n)}
}

// places returns which records have what others may name, by the field by which they do and by its value.
func (t importing[T]) places(inputs []entity.Input) map[string]map[string]int {
	places := map[string]map[string]int{}
	for _, way := range t.above {
		places[way.field] = map[string]int{}
		for i, in := range inputs {
			text, ok := in[way.key.field].(string)
			if !ok {
				continue
			}
			if stored, ok := way.stored(text); ok {
				places[way.field][stored] = i
			}
		}
	}
	return places
}

// plain is a record as an input of the API: without what names others, and without the status.
func (t importing[T]) plain(in entity.Input) entity.Input {
	row := maps.Clone(in)
	for _, way := range t.above {
		delete(row, way.field)
	}
	if t.also != nil {
		delete(row, "status")
	}
	return row
}

// became is what became of an item.
func became[T any](e *entries, i int, it *item[T]) Imported {
	switch {
	case !e.open(i):
		return Imported{Wrong: plainly(e.wrong[i])}
	case it.before == nil:
		return Imported{Outcome: ImportCreated}
	case len(it.columns) > 0:
		return Imported{Outcome: ImportUpdated}
	}
	return Imported{Outcome: ImportUnchanged}
}

// plainly are errors about an entry as errors about a record: the fields without the entry's place.
func plainly(wrong apierror.Errors) apierror.Errors {
	all := make(apierror.Errors, len(wrong))
	for i, one := range wrong {
		told := *one
		told.Field = told.Field[strings.LastIndex(told.Field, ".")+1:]
		all[i] = &told
	}
	return all
}

// ImportManagers gives users the managers that they have waited for. Errors are in what became of each.
func (d *Directory) ImportManagers(ctx context.Context, inputs []entity.Input) ([]Imported, error) {
	return importAbove(ctx, d, d.importingUsers(model.ByEmail), inputs)
}

// ImportParents makes teams parts of those that they have waited for. Errors are in what became of each.
func (d *Directory) ImportParents(ctx context.Context, inputs []entity.Input) ([]Imported, error) {
	return importAbove(ctx, d, d.importingTeams(), inputs)
}

func importAbove[T any, P written[T]](ctx context.Context, d *Directory, t importing[T], inputs []entity.Input) ([]Imported, error) {
	e := recordEntries(len(inputs))
	targets, err := t.resolve(ctx, inputs, t.above...)
	if err != nil {
		return nil, err
	}
	rows := make([]entity.Input, len(inputs))
	for i, in := range inputs {
		rows[i] = entity.Input{"id": in["id"]}
		switch at := targets[i]; {
		case at.err != nil:
			err = e.refuse(i, at.err)
		case at.id == 0:
			err = e.refuse(i, MissingReference(at.field, at.key))
		default:
			rows[i][t.field] = t.globalID(at.id)
		}
		if err != nil {
			return nil, err
		}
	}
	items, err := t.changed(e, rows)
	if err != nil {
		return nil, err
	}
	if err := store[T, P](ctx, d, t.tree, e, items); err != nil {
		return nil, err
	}
	all := make([]Imported, len(inputs))
	for i := range all {
		all[i] = became(e, i, items[i])
	}
	return all, nil
}

// ImportMemberships puts users into teams. Errors are in what became of each.
func (d *Directory) ImportMemberships(ctx context.Context, inputs []entity.Input, o ImportOptions) ([]Imported, error) {
	ofUsers, err := d.tree.users.resolve(ctx, inputs, byEmail("userEmail"), byExternalID("userExternalId"))
	if err != nil {
		return nil, err
	}
	ofTeams, err := d.tree.teams.resolve(ctx, inputs, byTeamName("teamName"))
	if err != nil {
		return nil, err
	}
	all := make([]Imported, len(inputs))
	var rows []entity.Input
	var of []int // the records of rows
	there := map[[2]int64]bool{}
	for i, in := range inputs {
		place := [2]int64{ofTeams[i].id, ofUsers[i].id}
		wrong := unplaced(in, ofTeams[i], ofUsers[i])
		away := len(wrong) == 0 && (ofTeams[i].id == 0 || ofUsers[i].id == 0)
		switch {
		case len(wrong) > 0:
			all[i].Wrong = wrong
		case away && !o.Last:
			all[i] = Imported{Outcome: ImportWaits, Waits: in}
		case away:
			for _, at := range []target{ofTeams[i], ofUsers[i]} {
				if at.id == 0 {
					all[i].Wrong = append(all[i].Wrong, MissingReference(at.field, at.key))
				}
			}
		case there[place]:
			all[i].Wrong = apierror.Errors{apierror.Conflict("another line has this membership already")}
		default:
			there[place] = true
			row := entity.Input{"teamId": d.tree.teams.globalID(ofTeams[i].id), "userId": d.tree.users.globalID(ofUsers[i].id)}
			if role := in["role"]; role != nil {
				row["role"] = role
			}
			rows, of = append(rows, row), append(of, i)
		}
	}
	if len(rows) == 0 {
		return all, nil
	}
	e := recordEntries(len(rows))
	seats, err := d.seats(e, rows, model.RoleMember, model.RoleOwner)
	if err != nil {
		return nil, err
	}
	if err := d.putSeats(ctx, e, seats, o.Upsert); err != nil {
		return nil, err
	}
	for n, i := range of {
		all[i] = seated(e, n, seats[n])
	}
	return all, nil
}

// seated is what became of a membership.
func seated(e *entries, i int, s *seat) Imported {
	switch {
	case !e.open(i):
		return Imported{Wrong: plainly(e.wrong[i])}
	case s.before == nil:
		return Imported{Outcome: ImportCreated}
	case s.before.Role != s.row.Role:
		return Imported{Outcome: ImportUpdated}
	}
	return Imported{Outcome: ImportUnchanged}
}

// unplaced is what is wrong with how a record names what a membership is of, and with what else it has.
func unplaced(in entity.Input, team, user target) (wrong apierror.Errors) {
	for _, field := range slices.Sorted(maps.Keys(in)) {
		if !slices.Contains([]string{"teamName", "userEmail", "userExternalId", "role"}, field) {
			wrong = append(wrong, apierror.BadInput(field, "Membership has no field %q that can be written", apierror.Clip(field)))
		}
	}
	for _, named := range []struct {
		target
		field, message string
	}{{team, "teamName", "teamName must name the team"}, {user, "userEmail", "userEmail or userExternalId must name the user"}} {
		if named.err != nil {
			wrong = append(wrong, named.err)
		} else if named.key == "" {
			wrong = append(wrong, apierror.BadInput(named.field, "%s", named.message))
		}
	}
	return wrong
}

// DeactivateUsers deactivates users, by their numbers, up to MaxBulk of them. Those who are not there, or are deactivated, stay. It returns how many
// were changed.
func (d *Directory) DeactivateUsers(ctx context.Context, users []int64) (n int, err error) {
	e := recordEntries(len(users))
	inputs := make([]entity.Input, len(users))
	for i, id := range users {
		inputs[i] = entity.Input{"id": model.UserID(id)}
	}
	items, err := d.tree.users.changed(e, inputs)
	if err != nil {
		return 0, err
	}
	for _, it := range items {
		withStatus(it, model.StatusDeactivated)
	}
	if err := store[model.User](ctx, d, d.tree.users, e, items); err != nil {
		return 0, err
	}
	for i, it := range items {
		if e.open(i) && len(it.columns) > 0 {
			n++
		}
	}
	return n, nil
}

// UsersWith returns the numbers of the users who have some emails or external ids, as these are stored.
func (d *Directory) UsersWith(ctx context.Context, by model.UpsertKey, keys []string) ([]int64, error) {
	there, err := d.tree.users.find(ctx, userKey(by), keys)
	return slices.Collect(maps.Values(there)), err
}
