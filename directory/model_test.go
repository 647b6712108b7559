package directory_test

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"testing"

	"rollcall/apierror"
	"rollcall/entity"
	"rollcall/model"
	"rollcall/session"
)

// TestRandomMutationsDoWhatAModelInMemoryDoes runs mutations, single ones and bulks, with entries that are right and wrong, and compares
// what is answered and stored with what a model of some maps has.
func TestRandomMutationsDoWhatAModelInMemoryDoes(t *testing.T) {
	seed := rand.Uint64()
	onEveryDatabase(t, func(t *testing.T, w *work) {
		t.Logf("the seed is %d", seed)
		m := &memory{
			Rand: rand.New(rand.NewPCG(seed, 0)), users: map[int64]*person{}, teams: map[int64]*group{}, seats: map[[2]int64]*seat{},
		}
		for i := range 250 {
			m.step(t, w)
			if i%10 == 9 {
				m.compare(t, w)
			}
			if t.Failed() {
				t.Fatalf("after %d mutations, the last of which was %s", i+1, m.last)
			}
		}
	})
}

// memory is what a directory should store.
type memory struct {
	*rand.Rand
	users map[int64]*person
	teams map[int64]*group
	seats map[[2]int64]*seat // by team and user
	last  string
}

type person struct {
	name, email, title string
	manager, version   int64
	status             model.Status
}

type group struct {
	name            string
	parent, version int64
}

type seat struct {
	role    model.Role
	version int64
}

// pick is an id of a map, or now and then one that is not there.
func pick[V any](m *memory, of map[int64]V) int64 {
	ids := slices.Sorted(maps.Keys(of))
	if len(ids) == 0 || m.IntN(25) == 0 {
		return 1_000_000
	}
	return ids[m.IntN(len(ids))]
}

// expected gives an input now and then a version, and reports whether that is the one there is.
func (m *memory) expected(in entity.Input, version int64) bool {
	switch m.IntN(8) {
	case 0:
		in["expectedVersion"] = version + 1
		return false
	case 1:
		in["expectedVersion"] = version
	}
	return true
}

// outcome is what a mutation answers: the ids of what it wrote, "" for an entry that is refused. An error is of all of it.
type outcome func(ctx context.Context) (ids []string, err error)

// run runs a mutation that has to end as it should: bad says which entries are wrong. It returns the ids, or nil where all was refused.
func (m *memory) run(t *testing.T, w *work, what string, each bool, bad []bool, mutate outcome) (ids []string) {
	t.Helper()
	m.last = what
	err := w.run(t, func(ctx context.Context) (err error) {
		ids, err = mutate(ctx)
		return err
	})
	wrong := slices.Contains(bad, true)
	if _, shown := apierror.ErrorsOf(err); err != nil && !shown || (err != nil) != (wrong && !each) {
		t.Fatalf("%s, of which these are wrong: %v: got %v", what, bad, err)
	}
	if err != nil {
		return nil
	}
	for i, id := range ids {
		if (id == "") != bad[i] {
			t.Fatalf("%s: entry %d should be wrong: %t; got %q", what, i, bad[i], id)
		}
	}
	return ids
}

func userIDs(results []*model.UserResult, err error) (ids []string, _ error) {
	for _, r := range results {
		if ids = append(ids, ""); r.Object != nil {
			ids[len(ids)-1] = r.Object.GlobalID()
		}
	}
	return ids, err
}

func removed(results []*model.RemovalResult, err error) (ids []string, _ error) {
	for _, r := range results {
		if ids = append(ids, ""); r.ID != nil {
			ids[len(ids)-1] = *r.ID
		}
	}
	return ids, err
}

func (m *memory) step(t *testing.T, w *work) {
	t.Helper()
	switch n := m.IntN(20); {
	case len(m.users) < 10 || n < 4:
		m.create(t, w, n%2 == 0 && len(m.users) > 3)
	case n < 9:
		m.update(t, w, n%2 == 0)
	case n < 12:
		m.delete(t, w, n%2 == 0)
	case len(m.teams) < 5 || n < 15:
		m.team(t, w)
	default:
		m.seat(t, w)
	}
}

// bulk returns the input of a bulk, and whether its entries stand for themselves.
func (m *memory) bulk(field string, inputs []entity.Input) (in entity.Input, each bool) {
	in = entity.Input{field: inputs}
	if each = m.IntN(3) > 0; each {
		in["mode"] = model.Each
	}
	return in, each
}

func (m *memory) email() string { return fmt.Sprintf("e%d@example.com", m.IntN(60)) }

// taken reports whether a user other than one has an email.
func (m *memory) taken(email string, but int64) bool {
	for id, u := range m.users {
		if u.email == email && id != but {
			return true
		}
	}
	return false
}

func (m *memory) create(t *testing.T, w *work, single bool) {
	t.Helper()
	n := 1
	if !single {
		n += m.IntN(12)
	}
	inputs, bad, made := make([]entity.Input, n), make([]bool, n), make([]*person, n)
	refs, claimed := make([]int, n), map[string]bool{}
	for i := range inputs {
		u := &person{name: fmt.Sprint("N", m.IntN(5)), email: m.email(), version: 1, status: model.StatusActive}
		inputs[i], made[i], refs[i] = entity.Input{"name": u.name, "email": u.email}, u, -1
		switch m.IntN(12) {
		case 0:
			inputs[i]["name"], bad[i] = "", true
		case 1, 2, 3:
			u.manager = pick(m, m.users)
			inputs[i]["managerId"] = model.UserID(u.manager)
		case 4, 5, 6, 7:
			if refs[i] = m.IntN(n); single || refs[i] == i {
				bad[i] = true
			}
			inputs[i]["managerRef"] = refs[i]
		}
	}
	for i, u := range made {
		if !bad[i] {
			bad[i] = claimed[u.email] || m.taken(u.email, 0)
			claimed[u.email] = true
		}
	}
	for i, u := range made {
		if u.manager != 0 && m.users[u.manager] == nil {
			bad[i] = true
		}
	}
	for i := range made { // references lead to the top, by what is right, in as many steps as there are entries
		at := i
		for range n {
			if !bad[at] && refs[at] >= 0 {
				at = refs[at]
			}
		}
		bad[i] = bad[i] || bad[at] || refs[at] >= 0
	}
	var ids []string
	if single {
		ids = m.run(t, w, fmt.Sprint("createUser ", inputs), false, bad, func(ctx context.Context) ([]string, error) {
			u, err := w.CreateUser(ctx, inputs[0])
			if err != nil {
				return nil, err
			}
			return []string{u.GlobalID()}, nil
		})
	} else {
		in, each := m.bulk("users", inputs)
		ids = m.run(t, w, fmt.Sprint("createUsers ", in), each, bad, func(ctx context.Context) ([]string, error) { return userIDs(w.CreateUsers(ctx, in)) })
	}
	for i, id := range ids {
		if id != "" {
			if refs[i] >= 0 {
				made[i].manager = number(t, ids[refs[i]])
			}
			m.users[number(t, id)] = made[i]
		}
	}
}

// number is the number in a global id.
func number(t *testing.T, id string) int64 {
	t.Helper()
	_, digits, _ := strings.Cut(id, ":")
	n, err := strconv.ParseInt(digits, 10, 64)
	if err != nil {
		t.Fatalf("%q is no id: %v", id, err)
	}
	return n
}

// below reports whether a user is another one, or below them.
func below(users map[int64]*person, user, other int64) bool {
	for at := user; at != 0; at = users[at].manager {
		if at == other {
			return true
		}
	}
	return false
}

func (m *memory) update(t *testing.T, w *work, single bool) {
	t.Helper()
	n := 1
	if !single {
		n += m.IntN(8)
	}
	inputs, bad, keys := make([]entity.Input, n), make([]bool, n), make([]int64, n)
	for i := range inputs {
		keys[i] = pick(m, m.users)
		in := entity.Input{"id": model.UserID(keys[i])}
		inputs[i] = in
		u := m.users[keys[i]]
		if bad[i] = u == nil || slices.Contains(keys[:i], keys[i]); u == nil {
			continue
		}
		bad[i] = !m.expected(in, u.version) || bad[i]
		for _, change := range m.Perm(4)[:m.IntN(3)] {
			switch change {
			case 0:
				in["name"] = fmt.Sprint("N", m.IntN(5))
			case 1:
				in["email"] = m.email()
			case 2:
				in["title"] = []any{nil, "", "T1", "T2"}[m.IntN(4)]
			default:
				if in["managerId"] = any(nil); m.IntN(4) > 0 {
					in["managerId"] = model.UserID(pick(m, m.users))
				}
			}
		}
	}
	m.refuseUpdates(t, inputs, keys, bad)
	var ids []string
	if single {
		ids = m.run(t, w, fmt.Sprint("updateUser ", inputs), false, bad, func(ctx context.Context) ([]string, error) {
			u, err := w.UpdateUser(ctx, inputs[0])
			if err != nil {
				return nil, err
			}
			return []string{u.GlobalID()}, nil
		})
	} else {
		in, each := m.bulk("users", inputs)
		ids = m.run(t, w, fmt.Sprint("updateUsers ", in), each, bad, func(ctx context.Context) ([]string, error) { return userIDs(w.UpdateUsers(ctx, in)) })
	}
	for i, id := range ids {
		if id != "" {
			changed := m.changed(t, keys[i], inputs[i])
			if now := m.users[keys[i]]; *now != changed {
				changed.version++
				*now = changed
			}
		}
	}
}

// changed is a user as an input changes them.
func (m *memory) changed(t *testing.T, id int64, in entity.Input) person {
	t.Helper()
	u := *m.users[id]
	for field, value := range in {
		switch text, _ := value.(string); field {
		case "name":
			u.name = text
		case "email":
			u.email = text
		case "title":
			u.title = text
		case "managerId":
			if u.manager = 0; value != nil {
				u.manager = number(t, text)
			}
		}
	}
	return u
}

// refuseUpdates notes which entries cannot be: emails are looked at first, and then managers, in turn.
func (m *memory) refuseUpdates(t *testing.T, inputs []entity.Input, keys []int64, bad []bool) {
	t.Helper()
	claimed := map[string]bool{}
	for i, in := range inputs {
		email, given := in["email"].(string)
		if bad[i] || !given || m.users[keys[i]].email == email {
			continue
		}
		bad[i] = claimed[email] || m.taken(email, keys[i])
		claimed[email] = true
	}
	for again := true; again; {
		again = false
		users := map[int64]*person{}
		for id, u := range m.users {
			was := *u
			users[id] = &was
		}
		for i, in := range inputs {
			if _, given := in["managerId"]; bad[i] || !given {
				continue
			}
			manager := m.changed(t, keys[i], in).manager
			if manager != users[keys[i]].manager && manager != 0 && (users[manager] == nil || below(users, manager, keys[i])) {
				bad[i], again = true, true
				continue
			}
			users[keys[i]].manager = manager
		}
	}
}

func (m *memory) delete(t *testing.T, w *work, single bool) {
	t.Helper()
	n := 1
	if !single {
		n += m.IntN(6)
	}
	inputs, bad, keys, heirs := make([]entity.Input, n), make([]bool, n), make([]int64, n), make([]int64, n)
	for i := range inputs {
		keys[i] = pick(m, m.users)
		in := entity.Input{"id": model.UserID(keys[i])}
		inputs[i] = in
		if m.IntN(2) == 0 {
			heirs[i] = pick(m, m.users)
			in["reportsTo"] = model.UserID(heirs[i])
		}
		u := m.users[keys[i]]
		if bad[i] = u == nil || slices.Contains(keys[:i], keys[i]); u != nil {
			bad[i] = !m.expected(in, u.version) || bad[i]
		}
	}
	managers := m.refuseDeletes(keys, heirs, bad)
	var ids []string
	if single {
		ids = m.run(t, w, fmt.Sprint("deleteUser ", inputs), false, bad, func(ctx context.Context) ([]string, error) {
			id, err := w.DeleteUser(ctx, inputs[0])
			return []string{id}, err
		})
	} else {
		in, each := m.bulk("users", inputs)
		ids = m.run(t, w, fmt.Sprint("deleteUsers ", in), each, bad, func(ctx context.Context) ([]string, error) { return removed(w.DeleteUsers(ctx, in)) })
	}
	for i, id := range ids {
		if id == "" {
			continue
		}
		delete(m.users, keys[i])
		for at := range m.seats {
			if at[1] == keys[i] {
				delete(m.seats, at)
			}
		}
	}
	if ids != nil {
		for id, u := range m.users {
			if manager := managers[id]; manager != u.manager {
				u.manager = manager
				u.version++
			}
		}
	}
}

// refuseDeletes notes which entries cannot be, and returns who manages whom after the others. Whoever has no heir is looked at first.
func (m *memory) refuseDeletes(keys, heirs []int64, bad []bool) map[int64]int64 {
	gone := func(id int64) bool {
		for i, key := range keys {
			if key == id && !bad[i] {
				return true
			}
		}
		return false
	}
	reports := func(id int64) (left []int64) {
		for _, other := range slices.Sorted(maps.Keys(m.users)) {
			if m.users[other].manager == id && !gone(other) {
				left = append(left, other)
			}
		}
		return left
	}
	for {
		for again := true; again; {
			again = false
			for i, id := range keys {
				if !bad[i] && heirs[i] == 0 && len(reports(id)) > 0 {
					bad[i], again = true, true
				}
			}
		}
		managers, users, refused := map[int64]int64{}, map[int64]*person{}, false
		left := make([][]int64, len(keys))
		for i, id := range keys {
			left[i] = reports(id)
		}
		for id, u := range m.users {
			was := *u
			users[id] = &was
		}
		for i, heir := range heirs {
			if bad[i] || heir == 0 {
				continue
			}
			if m.users[heir] == nil || gone(heir) || slices.ContainsFunc(left[i], func(r int64) bool { return below(users, heir, r) }) {
				bad[i], refused = true, true
				continue
			}
			for _, r := range left[i] {
				users[r].manager = heir
			}
		}
		for id, u := range users {
			managers[id] = u.manager
		}
		if !refused {
			return managers
		}
	}
}

func (m *memory) team(t *testing.T, w *work) {
	t.Helper()
	name := fmt.Sprint("T", m.IntN(30))
	taken := func(but int64) bool {
		for id, g := range m.teams {
			if g.name == name && id != but {
				return true
			}
		}
		return false
	}
	id := pick(m, m.teams)
	g := m.teams[id]
	in := entity.Input{"id": fmt.Sprint("Team:", id)}
	switch n := m.IntN(10); {
	case n < 5 || len(m.teams) < 5:
		made := &group{name: name, version: 1}
		in = entity.Input{"name": name}
		if m.IntN(2) == 0 && len(m.teams) > 0 {
			made.parent = id
			in["parentId"] = fmt.Sprint("Team:", id)
		}
		m.teamRun(t, w, "createTeam", in, taken(0) || made.parent != 0 && g == nil, func(ctx context.Context) (string, error) {
			team, err := w.CreateTeam(ctx, in)
			if err != nil {
				return "", err
			}
			return team.GlobalID(), nil
		}, func(id string) { m.teams[number(t, id)] = made })
	case n < 8:
		bad := g == nil || !m.expected(in, g.version)
		parent := pick(m, m.teams)
		in["name"], in["parentId"] = name, fmt.Sprint("Team:", parent)
		within := m.teams[parent] == nil
		for at := parent; at != 0 && m.teams[at] != nil; at = m.teams[at].parent {
			within = within || at == id
		}
		moves := g != nil && g.parent != parent
		m.teamRun(t, w, "updateTeam", in, bad || taken(id) || moves && within, func(ctx context.Context) (string, error) {
			team, err := w.UpdateTeam(ctx, in)
			if err != nil {
				return "", err
			}
			return team.GlobalID(), nil
		}, func(string) {
			if *g != (group{name, parent, g.version}) {
				*g = group{name, parent, g.version + 1}
			}
		})
	default:
		bad := g == nil || !m.expected(in, g.version)
		var children []*group
		for _, other := range m.teams {
			if other.parent == id {
				children = append(children, other)
			}
		}
		if m.IntN(3) > 0 {
			in["children"] = model.Reparent
		} else {
			bad = bad || len(children) > 0
		}
		m.teamRun(t, w, "deleteTeam", in, bad, func(ctx context.Context) (string, error) { return w.DeleteTeam(ctx, in) }, func(string) {
			for _, child := range children {
				child.parent, child.version = g.parent, child.version+1
			}
			delete(m.teams, id)
			for at := range m.seats {
				if at[0] == id {
					delete(m.seats, at)
				}
			}
		})
	}
}

// teamRun is run for one entry. done notes what that did, once it has.
func (m *memory) teamRun(t *testing.T, w *work, what string, in entity.Input, bad bool, mutate func(ctx context.Context) (string, error), done func(id string)) {
	t.Helper()
	ids := m.run(t, w, fmt.Sprint(what, " ", in), false, []bool{bad}, func(ctx context.Context) ([]string, error) {
		id, err := mutate(ctx)
		return []string{id}, err
	})
	if ids != nil {
		done(ids[0])
	}
}

func (m *memory) seat(t *testing.T, w *work) {
	t.Helper()
	n := 1 + m.IntN(10)
	inputs, bad, keys, roles := make([]entity.Input, n), make([]bool, n), make([][2]int64, n), make([]model.Role, n)
	what := m.IntN(3)
	for i := range inputs {
		keys[i] = [2]int64{pick(m, m.teams), pick(m, m.users)}
		if what > 0 && len(m.seats) > 0 && m.IntN(5) > 0 {
			there := slices.SortedFunc(maps.Keys(m.seats), func(a, b [2]int64) int { return cmp.Or(cmp.Compare(a[0], b[0]), cmp.Compare(a[1], b[1])) })
			keys[i] = there[m.IntN(len(there))]
		}
		roles[i] = []model.Role{model.RoleMember, model.RoleOwner}[m.IntN(2)]
		inputs[i] = entity.Input{"teamId": fmt.Sprint("Team:", keys[i][0]), "userId": model.UserID(keys[i][1]), "role": roles[i]}
		s := m.seats[keys[i]]
		switch bad[i] = slices.Contains(keys[:i], keys[i]); {
		case what == 0:
			bad[i] = bad[i] || m.teams[keys[i][0]] == nil || m.users[keys[i][1]] == nil || s != nil && s.role != roles[i]
		case s == nil:
			bad[i] = true
		default:
			bad[i] = !m.expected(inputs[i], s.version) || bad[i]
		}
		if what == 2 {
			delete(inputs[i], "role")
		}
	}
	in, each := m.bulk("memberships", inputs)
	ids := m.run(t, w, fmt.Sprint("memberships ", what, " ", in), each, bad, func(ctx context.Context) (ids []string, err error) {
		if what == 2 {
			return removed(w.RemoveMemberships(ctx, in))
		}
		mutate := w.AddMemberships
		if what == 1 {
			mutate = w.SetMembershipRoles
		}
		results, err := mutate(ctx, in)
		for _, r := range results {
			if ids = append(ids, ""); r.Object != nil {
				ids[len(ids)-1] = r.Object.GlobalID()
			}
		}
		return ids, err
	})
	for i, id := range ids {
		switch s := m.seats[keys[i]]; {
		case id == "":
		case what == 0 && s == nil:
			m.seats[keys[i]] = &seat{roles[i], 1}
		case what == 1 && s.role != roles[i]:
			*s = seat{roles[i], s.version + 1}
		case what == 2:
			delete(m.seats, keys[i])
		}
	}
}

// compare fails unless the directory stores what the model has.
func (m *memory) compare(t *testing.T, w *work) {
	t.Helper()
	var users []model.User
	var teams []model.Team
	var memberships []model.Membership
	db := w.db.Write.WithContext(t.Context())
	for _, err := range []error{db.Find(&users).Error, db.Find(&teams).Error, db.Find(&memberships).Error} {
		if err != nil {
			t.Fatal(err)
		}
	}
	people, groups, seats := map[int64]person{}, map[int64]group{}, map[[2]int64]seat{}
	for _, u := range users {
		people[u.ID] = person{u.Name, u.Email, value(u.Title), value(u.ManagerID), u.Version, u.Status}
	}
	for _, g := range teams {
		groups[g.ID] = group{g.Name, value(g.ParentID), g.Version}
	}
	for _, s := range memberships {
		seats[[2]int64{s.TeamID, s.UserID}] = seat{s.Role, s.Version}
	}
	differ(t, people, m.users)
	differ(t, groups, m.teams)
	differ(t, seats, m.seats)
}

func value[V any](p *V) (v V) {
	if p != nil {
		v = *p
	}
	return v
}

// differ fails where what is stored is not what should be.
func differ[K, V comparable](t *testing.T, stored map[K]V, want map[K]*V) {
	t.Helper()
	for key, v := range stored {
		if want[key] == nil || *want[key] != v {
			t.Errorf("stored as %v is %v, and it should be %v", key, v, want[key])
		}
	}
	for key, v := range want {
		if _, there := stored[key]; !there {
			t.Errorf("not stored is %v: %v", key, v)
		}
	}
}

// TestNumbersInStepsAreThoseThatAreAnswered adds several objects with the steps between numbers that the nodes of a cluster have.
func TestNumbersInStepsAreThoseThatAreAnswered(t *testing.T) {
	onEveryDatabase(t, func(t *testing.T, w *work) {
		if w.db.Dialect().Name() != "mysql" {
			return // a database that tells each number
		}
		var added []*model.UserResult
		err := w.run(t, func(ctx context.Context) (err error) {
			set := func(step, offset int) error {
				return session.DB(ctx).Exec(fmt.Sprintf("SET SESSION auto_increment_increment = %d, SESSION auto_increment_offset = %d", step, offset)).Error
			}
			if err := set(3, 2); err != nil {
				return err
			}
			defer func() { err = cmp.Or(err, set(1, 1)) }() // before the connection is another's
			users := make([]entity.Input, 50)
			for i := range users {
				users[i] = entity.Input{"name": "N", "email": fmt.Sprintf("u%d@example.com", i), "managerRef": 7}
			}
			delete(users[7], "managerRef")
			added, err = w.CreateUsers(ctx, entity.Input{"users": users})
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		for i, r := range added {
			stored := w.stored(t, r.Object.ID)
			if stored == nil || stored.Email != fmt.Sprintf("u%d@example.com", i) || r.Object.ID != added[0].Object.ID+3*int64(i) ||
				i != 7 && *stored.ManagerID != added[7].Object.ID {
				t.Errorf("user %d, answered as %d, is stored as %+v", i, r.Object.ID, stored)
			}
		}
	})
}
