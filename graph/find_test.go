package graph_test

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
	"unicode"

	"golang.org/x/text/unicode/norm"

	"rollcall/database"
	"rollcall/database/databasetest"
	"rollcall/fold"
	"rollcall/graph"
	"rollcall/model"
)

// The tests here compare lists, whatever is asked for of them at random, with those of a model in memory: with plain Go on plain values.

// world is the whole directory in memory.
type world struct {
	*rand.Rand
	users       []model.User
	teams       []model.Team
	memberships []model.Membership
}

// listed is an object in a list of the model's.
type listed struct {
	id     string
	number int64
	keys   map[string]string // what it is sorted by, in the order of their bytes
	user   *model.User
	team   *model.Team
	edge   string // what its edge has besides: see pageOf
}

// picked is a list of the model's.
type picked struct {
	field     string
	parent    string   // the id of that whose list it is; "": of all
	arguments string   // besides those that every list has
	edge      string   // what its edges have besides
	all       []listed // that are in it
}

func one[T any](w *world, from ...T) T { return from[w.IntN(len(from))] }

// chance is true once in n times.
func (w *world) chance(n int) bool { return w.IntN(n) == 0 }

var (
	firstNames = []string{
		"José", "JOSE", "jose", "Łucja", "Lucja", "Ørsted", "orsted", "Straße", "Ｊｏ", "Jo", "Joanna", "İpek", "Iñaki", "日本", "ﬁfi", "D'Arc", "O’Brien",
		"Zoë", "zoe", "Ben 100%", "x_y", `back\slash`, "Ægir", "\U0001f98a", "\u0416\u0430\u043d\u043d\u0430", "ж", "\u03a3\u03af\u03c3\u03c5\u03c6\u03bf\u03c2",
	}
	lastNames = []string{"", "", "Łódź", "Lopez", "López", "LOPEZ-Márquez", "Marín", "mar", "Strasse", "a'b", "z\ufffd", "\U0010fffd", "%", "_", "O", "Ø", "lop", "Maria"}
	titles    = []string{"Engineer", "ENGINEER", "engineering lead", "Ingénieur", "Chef de cuisine", "Łowca", "Lowca", "a", "b"}
	moments   = []time.Time{
		time.Date(2019, 12, 31, 23, 59, 59, 999_999_000, time.UTC), time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC), time.Date(2020, 1, 1, 0, 0, 0, 1_000, time.UTC),
		time.Date(2020, 1, 1, 0, 0, 0, 500_000_000, time.UTC), time.Date(2020, 1, 1, 0, 0, 0, 510_000_000, time.UTC), time.Date(2020, 1, 1, 0, 0, 1, 0, time.UTC),
		time.Date(2024, 2, 29, 12, 0, 0, 120_000_000, time.UTC),
	}
)

// newWorld makes a directory and stores it in a database.
func newWorld(t *testing.T, db *database.Database, seed uint64) *world {
	t.Helper()
	w := &world{Rand: rand.New(rand.NewPCG(seed, 11))}
	perhaps := func(from ...string) *string {
		if w.chance(3) {
			return nil
		}
		s := one(w, from...)
		return &s
	}
	for i := range int64(90) {
		u := model.User{
			ID: 3*i + 1, Name: strings.TrimSpace(one(w, firstNames...) + " " + one(w, lastNames...)),
			Email: one(w, "ada", "jose", "é", "maría.lopez", "x_y", "a%b", "o'brien") + strconv.FormatInt(i%7, 10) + "." + strconv.FormatInt(i, 10) + one(w, "@example.com", "@example.org"),
			Title: perhaps(titles...), Department: perhaps(titles...), Location: perhaps(lastNames[2:]...), Phone: perhaps("+49 30", "+49", "+49 30 1", "49"),
			TimeZone: perhaps("Europe/Paris", "Europe/Berlin", "UTC"), Status: one(w, model.StatusActive, model.StatusActive, model.StatusDeactivated), Version: 1,
			CreatedAt: one(w, moments...), UpdatedAt: one(w, moments...),
		}
		if !w.chance(3) {
			id := one(w, "X", "x", "X ", "%", "é") + strconv.FormatInt(i, 10)
			u.ExternalID = &id
		}
		if i > 0 && !w.chance(8) {
			manager := w.users[w.IntN(min(int(i), 1+w.IntN(90)))].ID
			u.ManagerID = &manager
		}
		u.Fold()
		w.users = append(w.users, u)
	}
	for i := range int64(12) {
		team := model.Team{ID: 2*i + 1, Name: fmt.Sprintf("%s %d", one(w, firstNames...), i), Description: perhaps(lastNames[2:]...), Version: 1, CreatedAt: one(w, moments...), UpdatedAt: one(w, moments...)}
		team.Fold()
		if i > 0 && w.chance(2) {
			parent := one(w, w.teams...).ID
			team.ParentID = &parent
		}
		w.teams = append(w.teams, team)
		for _, u := range w.users {
			if w.chance(int(2 + i)) {
				w.memberships = append(w.memberships, model.Membership{TeamID: team.ID, UserID: u.ID, Role: one(w, model.RoleMember, model.RoleOwner), Version: 1, CreatedAt: one(w, moments...)})
			}
		}
	}
	users, teams, memberships := slices.Clone(w.users), slices.Clone(w.teams), slices.Clone(w.memberships)
	for _, rows := range []any{&users, &teams, &memberships} {
		if err := db.Write.CreateInBatches(rows, 500).Error; err != nil {
			t.Fatal(err)
		}
	}
	if err := db.Derive(t.Context()); err != nil { // words and counts
		t.Fatal(err)
	}
	return w
}

// byDepth is what all reports of a user are sorted by. There is no other order of them, and no number.
const byDepth = "DEPTH"

// sortable is a time as a text that is sorted as it is.
func sortable(t time.Time) string { return t.UTC().Format("2006-01-02 15:04:05.000000") }

func (w *world) ofUser(u *model.User) listed {
	return listed{id: model.UserID(u.ID), number: u.ID, user: u, keys: map[string]string{
		"ID": "", "NAME": fold.Text(u.Name), "EMAIL": u.Email, "CREATED_AT": sortable(u.CreatedAt), "UPDATED_AT": sortable(u.UpdatedAt),
	}}
}

func (w *world) ofTeam(t *model.Team) listed {
	return listed{id: t.GlobalID(), number: t.ID, team: t, keys: map[string]string{
		"ID": "", "NAME": fold.Text(t.Name), "CREATED_AT": sortable(t.CreatedAt), "UPDATED_AT": sortable(t.UpdatedAt),
	}}
}

// pick chooses a list.
func (w *world) pick() (list picked) {
	switch w.IntN(8) {
	case 0:
		list.field = "teams"
		for i := range w.teams {
			list.all = append(list.all, w.ofTeam(&w.teams[i]))
		}
	case 1:
		u := one(w, w.users[:20]...)
		list.field, list.parent = "reports", model.UserID(u.ID)
		for i, r := range w.users {
			if r.ManagerID != nil && *r.ManagerID == u.ID {
				list.all = append(list.all, w.ofUser(&w.users[i]))
			}
		}
	case 2:
		return w.members()
	case 3:
		u := one(w, w.users...)
		list.field, list.parent, list.edge = "teams", model.UserID(u.ID), "role joinedAt"
		for _, m := range w.memberships {
			if m.UserID == u.ID {
				list.all = append(list.all, w.ofTeam(w.team(m.TeamID)).by(m))
			}
		}
	case 4:
		parent := one(w, w.teams[:4]...)
		list.field, list.parent = "children", parent.GlobalID()
		for i, t := range w.teams {
			if t.ParentID != nil && *t.ParentID == parent.ID {
				list.all = append(list.all, w.ofTeam(&w.teams[i]))
			}
		}
	case 5:
		return w.allReports()
	default:
		list.field = "users"
		for i := range w.users {
			list.all = append(list.all, w.ofUser(&w.users[i]))
		}
	}
	return list
}

// by returns an object as a membership links it.
func (o listed) by(m model.Membership) listed {
	o.keys["ROLE"], o.keys["JOINED_AT"] = string(m.Role), sortable(m.CreatedAt)
	o.edge = fmt.Sprint(m.Role, " ", sortable(m.CreatedAt))
	return o
}

// members is a list of the users who are in a team, or of those in the teams below it too, each by the nearest membership.
func (w *world) members() picked {
	t := one(w, one(w, w.teams...), one(w, w.teams[:4]...))
	list := picked{field: "members", parent: t.GlobalID(), edge: "role joinedAt team { id }", arguments: one(w, "", ", membership: null", ", membership: DIRECT")}
	deepest := 0
	if w.chance(2) {
		list.arguments, deepest = ", membership: ALL", len(w.teams)
	}
	nearest, depths := map[int64]model.Membership{}, map[int64]int{} // by the user
	for _, m := range w.memberships {                                // in the order of teams
		depth, above := 0, w.team(m.TeamID)
		for above.ID != t.ID && above.ParentID != nil {
			depth, above = depth+1, w.team(*above.ParentID)
		}
		if _, found := nearest[m.UserID]; above.ID == t.ID && depth <= deepest && (!found || depth < depths[m.UserID]) {
			nearest[m.UserID], depths[m.UserID] = m, depth
		}
	}
	for id, m := range nearest {
		in := w.ofUser(w.user(id)).by(m)
		in.edge += " " + w.team(m.TeamID).GlobalID()
		list.all = append(list.all, in)
	}
	return list
}

// allReports is a list of the users below another, down to some depth or all.
func (w *world) allReports() picked {
	top := one(w, w.users[:8]...)
	list := picked{field: "allReports", parent: model.UserID(top.ID), edge: "depth", arguments: one(w, "", ", maxDepth: null", ", maxDepth: 500")}
	deepest := len(w.users)
	if w.chance(2) {
		deepest = 1 + w.IntN(5)
		list.arguments = fmt.Sprintf(", maxDepth: %d", deepest)
	}
	for i, r := range w.users {
		depth := 1
		for r.ManagerID != nil && *r.ManagerID != top.ID {
			depth, r = depth+1, *w.user(*r.ManagerID)
		}
		if r.ManagerID != nil && depth <= deepest {
			in := w.ofUser(&w.users[i])
			in.keys, in.edge = map[string]string{byDepth: fmt.Sprintf("%04d", depth)}, strconv.Itoa(depth)
			list.all = append(list.all, in)
		}
	}
	return list
}

func (w *world) user(id int64) *model.User {
	return &w.users[slices.IndexFunc(w.users, func(u model.User) bool { return u.ID == id })]
}

func (w *world) team(id int64) *model.Team {
	return &w.teams[slices.IndexFunc(w.teams, func(t model.Team) bool { return t.ID == id })]
}

// A filter is made at random as the variable that is sent, and is read as that.

var filterFields = map[bool][]string{
	true:  {"id", "name", "email", "title", "department", "phone", "location", "timeZone", "externalId", "status", "createdAt", "updatedAt", "manager", "hasManager", "managedBy", "inTeam"},
	false: {"id", "name", "description", "createdAt", "updatedAt", "parent"},
}

// filter makes a filter of users or of teams.
func (w *world) filter(users bool, depth int) map[string]any {
	all := map[string]any{}
	for n := w.IntN(3); n >= 0; n-- {
		switch kind := w.IntN(8); {
		case depth < 4 && kind == 0:
			all["not"] = w.filter(users, depth+1)
		case depth < 4 && kind <= 2:
			some := make([]any, w.IntN(4))
			for i := range some {
				some[i] = w.filter(users, depth+1)
			}
			all[one(w, "and", "or")] = some
		case kind == 3 && w.chance(6):
			all[one(w, "and", "or", "not", "name", "createdAt")] = nil
		default:
			field := one(w, filterFields[users]...)
			all[field] = w.comparison(field, users)
		}
	}
	return all
}

func (w *world) teamID() string {
	t := one(w, w.teams...)
	return t.GlobalID()
}

func several(w *world, value func() any) []any {
	all := make([]any, w.IntN(5))
	for i := range all {
		all[i] = value()
	}
	return all
}

func (w *world) comparison(field string, users bool) any {
	userID := func() any { return model.UserID(one(w, one(w, w.users...).ID, one(w, w.users[:10]...).ID, 2)) }
	in := func(value func() any) map[string]any { return map[string]any{one(w, "in", "notIn"): several(w, value)} }
	switch field {
	case "hasManager":
		return w.chance(2)
	case "managedBy":
		return userID()
	case "inTeam":
		team := map[string]any{"id": w.teamID()}
		if w.chance(2) {
			team["role"] = one(w, "OWNER", "MEMBER")
		}
		return team
	case "status":
		return in(func() any { return one(w, "ACTIVE", "DEACTIVATED") })
	case "manager", "parent":
		if w.chance(4) {
			return map[string]any{"isNull": w.chance(2)}
		}
		if field == "parent" {
			return in(func() any { return w.teamID() })
		}
		return in(userID)
	case "id":
		if users {
			return in(userID)
		}
		return in(func() any { return w.teamID() })
	case "createdAt", "updatedAt":
		t := one(w, moments...).Add(time.Duration(one(w, 0, 0, 0, 1, -1, 999)))
		all := map[string]any{one(w, "eq", "gt", "gte", "lt", "lte"): t.In(time.FixedZone("", 60*w.IntN(600))).Format(time.RFC3339Nano)}
		if w.chance(3) {
			all[one(w, "gt", "lte")] = one(w, moments...).Format(time.RFC3339Nano)
		}
		return all
	}
	all := map[string]any{}
	for n := w.IntN(2); n >= 0; n-- {
		switch operator := one(w, "eq", "ne", "in", "notIn", "contains", "startsWith", "endsWith", "isNull"); {
		case operator == "in" || operator == "notIn":
			all[operator] = several(w, func() any { return w.text(field, users, "eq") })
		case operator != "isNull":
			all[operator] = w.text(field, users, operator)
		case field != "name" && field != "email":
			all[operator] = w.chance(2)
		}
	}
	return all
}

// text makes an operand, mostly out of what some object has.
func (w *world) text(field string, users bool, operator string) string {
	if w.chance(12) {
		return one(w, "", " ", "nobody", "%", "_", `\`, "'", "\x00", "a\x00", "\u0301", "\U0010ffff", "\U0010fffd", "\ud7ff", "é", "Ｅ", "+49 ")
	}
	var of *string
	if users {
		of = textOf(one(w, w.users...), field)
	} else {
		of = teamText(one(w, w.teams...), field)
	}
	if of == nil {
		return one(w, titles...)
	}
	runes := []rune(*of)
	switch cut := w.IntN(len(runes) + 1); operator {
	case "startsWith":
		runes = runes[:cut]
	case "endsWith":
		runes = runes[cut:]
	case "contains":
		runes = runes[cut:]
		runes = runes[:w.IntN(len(runes)+1)]
	}
	s := string(runes)
	switch w.IntN(6) {
	case 0:
		return strings.ToUpper(s)
	case 1:
		return strings.ToLower(s)
	case 2:
		return norm.NFD.String(s)
	case 3:
		if w.chance(4) {
			return s + " "
		}
	}
	return s
}

func textOf(u model.User, field string) *string {
	return map[string]*string{
		"name": &u.Name, "email": &u.Email, "title": u.Title, "department": u.Department, "phone": u.Phone, "location": u.Location,
		"timeZone": u.TimeZone, "externalId": u.ExternalID,
	}[field]
}

func teamText(t model.Team, field string) *string {
	return map[string]*string{"name": &t.Name, "description": t.Description}[field]
}

// meets reports whether an object meets a filter.
func (w *world) meets(o listed, filter map[string]any) bool {
	for name, value := range filter {
		if !w.holds(o, name, value) {
			return false
		}
	}
	return true
}

func (w *world) holds(o listed, name string, value any) bool {
	meets := func(f any) bool { return w.meets(o, f.(map[string]any)) }
	switch {
	case value == nil:
		return true
	case name == "and":
		return !slices.ContainsFunc(value.([]any), func(f any) bool { return !meets(f) })
	case name == "or":
		return slices.ContainsFunc(value.([]any), meets)
	case name == "not":
		return !meets(value)
	case name == "hasManager":
		return (o.user.ManagerID != nil) == value
	case name == "managedBy":
		for u := o.user; u.ManagerID != nil; {
			if u = w.user(*u.ManagerID); model.UserID(u.ID) == value {
				return true
			}
		}
		return false
	}
	operators := value.(map[string]any)
	switch name {
	case "inTeam":
		return slices.ContainsFunc(w.memberships, func(m model.Membership) bool {
			role, given := operators["role"]
			return m.UserID == o.user.ID && "Team:"+strconv.FormatInt(m.TeamID, 10) == operators["id"] && (!given || role == string(m.Role))
		})
	case "createdAt", "updatedAt":
		at := map[string]time.Time{}
		if o.user != nil {
			at["createdAt"], at["updatedAt"] = o.user.CreatedAt, o.user.UpdatedAt
		} else {
			at["createdAt"], at["updatedAt"] = o.team.CreatedAt, o.team.UpdatedAt
		}
		return inTime(at[name], operators)
	}
	var of *string
	switch {
	case name == "id":
		of = &o.id
	case name == "manager" && o.user.ManagerID != nil:
		id := model.UserID(*o.user.ManagerID)
		of = &id
	case name == "parent" && o.team.ParentID != nil:
		id := fmt.Sprint("Team:", *o.team.ParentID)
		of = &id
	case name == "status":
		status := string(o.user.Status)
		of = &status
	case o.user != nil:
		of = textOf(*o.user, name)
	default:
		of = teamText(*o.team, name)
	}
	return inText(of, name, operators)
}

func inTime(at time.Time, operators map[string]any) bool {
	for operator, value := range operators {
		to, err := time.Parse(time.RFC3339Nano, value.(string))
		if err != nil {
			panic(err)
		}
		order := at.Compare(to)
		if !map[string]bool{"eq": order == 0, "gt": order > 0, "gte": order >= 0, "lt": order < 0, "lte": order <= 0}[operator] {
			return false
		}
	}
	return true
}

// inText reports whether a text, or none, is what operators ask for.
func inText(of *string, field string, operators map[string]any) bool {
	form := func(s string) string { return s }
	switch field {
	case "name", "title", "department", "location":
		form = fold.Text
	case "email":
		form = func(s string) string { return norm.NFC.String(strings.ToLower(norm.NFC.String(s))) }
	}
	for operator, value := range operators {
		if operator == "isNull" {
			if (of == nil) != value {
				return false
			}
			continue
		}
		values, isList := value.([]any)
		if !isList {
			values = []any{value}
		}
		met := slices.ContainsFunc(values, func(v any) bool {
			if of == nil {
				return false
			}
			has, operand := form(*of), form(v.(string))
			switch operator {
			case "contains":
				return strings.Contains(has, operand)
			case "startsWith":
				return strings.HasPrefix(has, operand)
			case "endsWith":
				return strings.HasSuffix(has, operand)
			}
			if field == "email" {
				operand = strings.TrimSpace(operand)
			}
			return has == operand
		})
		if met == (operator == "ne" || operator == "notIn") {
			return false
		}
	}
	return true
}

// words returns those of a text: runs of letters, numbers and marks. What follows an apostrophe within one is a word as well.
func words(text string) (all []string) {
	for run := range strings.FieldsFuncSeq(fold.Text(text), func(r rune) bool { return r != '\'' && !unicode.In(r, unicode.L, unicode.N, unicode.M) }) {
		pieces := strings.FieldsFunc(run, func(r rune) bool { return r == '\'' })
		for i := range pieces {
			all = append(all, strings.Join(pieces[i:], ""))
		}
	}
	return all
}

// query makes a search: the beginnings of some words of one user, or of a name.
func (w *world) query() string {
	u := one(w, w.users...)
	if w.chance(3) {
		if s := strings.TrimSpace(string([]rune(u.Name)[:1+w.IntN(len([]rune(u.Name)))])); len(words(s)) > 0 && !strings.ContainsAny(s, "'’") {
			return s
		}
	}
	local, _, _ := strings.Cut(u.Email, "@")
	var parts []string
	known := words(u.Name + " " + local)
	for n := w.IntN(2); n >= 0; n-- {
		word := []rune(one(w, known...))
		parts = append(parts, string(word[:1+w.IntN(len(word))]))
	}
	return one(w, strings.ToUpper, strings.ToLower)(strings.Join(parts, one(w, " ", "  ", "-")))
}

// search returns the users whom a query finds, with where they stand by relevance.
func search(all []listed, query string) (found []listed) {
	phrase, sought := strings.Join(strings.Fields(fold.Text(query)), " "), words(query)
	driving := ""
	for _, word := range sought {
		if len(word) > len(driving) || len(word) == len(driving) && word < driving {
			driving = word
		}
	}
	for _, o := range all {
		local, _, _ := strings.Cut(o.user.Email, "@")
		text := o.user.Name + " " + local
		if o.user.Title != nil {
			text += " " + *o.user.Title
		}
		has := words(text)
		first := ""
		for _, word := range has {
			if strings.HasPrefix(word, driving) && (first == "" || word < first) {
				first = word
			}
		}
		if slices.ContainsFunc(sought, func(s string) bool {
			return !slices.ContainsFunc(has, func(word string) bool { return strings.HasPrefix(word, s) })
		}) {
			continue
		}
		o.keys["RELEVANCE"] = "B" + first
		if name := fold.Text(o.user.Name); strings.HasPrefix(name, phrase) {
			o.keys["RELEVANCE"] = "A" + name
		}
		found = append(found, o)
	}
	return found
}

// pageOf is an answer's page.
type pageOf struct {
	TotalCount, TotalCountUpTo int
	Edges                      []struct {
		Cursor, Role string
		Depth        int
		JoinedAt     time.Time
		Node, Team   struct{ ID string }
	}
	PageInfo struct{ HasNextPage, HasPreviousPage bool }
}

// items returns the ids of the page's nodes, each with what its edge has besides.
func (p pageOf) items() (items []string) {
	for _, e := range p.Edges {
		item := e.Node.ID
		if e.Role != "" {
			item += " " + e.Role + " " + sortable(e.JoinedAt)
		}
		if e.Team.ID != "" {
			item += " " + e.Team.ID
		}
		if e.Depth != 0 {
			item += " " + strconv.Itoa(e.Depth)
		}
		items = append(items, item)
	}
	return items
}

// compareLists asks for one list, made at random, and for two windows of it.
func (w *world) compareLists(t *testing.T, c *counted) (found int) {
	list := w.pick()
	field, parent, all := list.field, list.parent, list.all
	users, tree := field != "teams" && field != "children", field == "allReports"
	typ := map[string]string{"users": "User", "reports": "User", "members": "TeamMember", "teams": "Team", "children": "Team"}[field]
	if parent != "" && field == "teams" {
		typ = "UserTeam"
	}
	variables := map[string]any{}
	query := ""
	if field == "users" && w.chance(3) {
		query = w.query()
		variables["query"] = query
		all = search(all, query)
	}
	if !w.chance(6) {
		filter := w.filter(users, 1)
		variables["filter"] = filter
		all = slices.DeleteFunc(all, func(o listed) bool { return !w.meets(o, filter) })
	}
	by, descending := "ID", false
	if query != "" {
		by = "RELEVANCE"
	}
	switch {
	case tree:
		by = byDepth
	case !w.chance(4):
		var orders []string
		if len(all) > 0 {
			orders = slices.Sorted(maps.Keys(all[0].keys))
		}
		by, descending = one(w, append(orders, "ID")...), w.chance(2)
		order := map[string]any{"field": by}
		if descending || w.chance(2) {
			order["direction"] = map[bool]string{true: "DESC", false: "ASC"}[descending]
		}
		variables["order"] = order
	}
	slices.SortFunc(all, func(a, b listed) int {
		order := cmp.Or(cmp.Compare(a.keys[by], b.keys[by]), cmp.Compare(a.number, b.number))
		if descending {
			return -order
		}
		return order
	})
	want := make([]string, len(all))
	for i, o := range all {
		want[i] = strings.TrimSpace(o.id + " " + o.edge)
	}

	ask := func(window map[string]any) pageOf {
		search, given := "", ""
		if query != "" {
			search, given = ", query: $query", ", $query: String"
		}
		ordered, orderType, number := ", orderBy: $order", fmt.Sprintf("$order: %sOrder, ", typ), "totalCount"
		if tree {
			ordered, orderType, number = "", "", ""
		}
		upTo := w.IntN(100)
		selected := fmt.Sprintf(`list: %s(first: $first, after: $after, last: $last, before: $before%s, filter: $filter%s%s)
			{ %s totalCountUpTo(limit: %d) edges { cursor node { id } %s } pageInfo { hasNextPage hasPreviousPage } }`,
			field, ordered, search, list.arguments, number, upTo, list.edge)
		if parent != "" {
			kind, _, _ := strings.Cut(parent, ":")
			selected = fmt.Sprintf(`node(id: %q) { ... on %s { %s } }`, parent, kind, selected)
		}
		filtered := "Team"
		if users {
			filtered = "User"
		}
		op := randomOperation{
			Query:     fmt.Sprintf(`query($first: Int, $after: String, $last: Int, $before: String, %s$filter: %sFilter%s) { %s }`, orderType, filtered, given, selected),
			Variables: maps.Clone(variables),
		}
		maps.Copy(op.Variables, window)
		a := c.ask(t.Context(), op, "application/json")
		var data struct {
			List pageOf
			Node struct{ List pageOf }
		}
		if a.failed() || len(a.answers) != 1 || json.NewDecoder(bytes.NewReader([]byte(a.answers[0].data))).Decode(&data) != nil {
			t.Fatalf("%s\n%s", op, a.body)
		}
		page := data.List
		if parent != "" {
			page = data.Node.List
		}
		if !tree && page.TotalCount != len(want) {
			t.Fatalf("want %d in all, got %d\n%s", len(want), page.TotalCount, op)
		}
		if page.TotalCountUpTo != min(upTo, len(want)) {
			t.Fatalf("want %d of %d up to %d, got %d\n%s", min(upTo, len(want)), len(want), upTo, page.TotalCountUpTo, op)
		}
		return page
	}
	whole := ask(map[string]any{one(w, "first", "last"): 100})
	if got := whole.items(); !slices.Equal(got, want) {
		t.Fatalf("by %s, descending %t, in %s of %s%s\nwant %v\ngot  %v\nof   %s", by, descending, field, parent, list.arguments, want, got, randomOperation{Variables: variables})
	}
	for range 2 {
		from, to := -1, len(want) // the places of the cursors
		window := map[string]any{}
		if len(want) > 0 && !w.chance(3) {
			from = w.IntN(len(want))
			window["after"] = whole.Edges[from].Cursor
		}
		if len(want) > 0 && !w.chance(3) {
			to = w.IntN(len(want))
			window["before"] = whole.Edges[to].Cursor
		}
		size, last := w.IntN(8), w.chance(2)
		window[map[bool]string{true: "last", false: "first"}[last]] = size
		between := want[from+1 : max(to, from+1)]
		expected := between[:min(size, len(between))]
		if last {
			expected = between[len(between)-len(expected):]
		}
		page := ask(window)
		wrong := !slices.Equal(page.items(), expected)
		if size > 0 && !last && to == len(want) {
			wrong = wrong || page.PageInfo.HasNextPage != (len(between) > size) || page.PageInfo.HasPreviousPage != (from >= 0)
		}
		if size > 0 && last && from < 0 {
			wrong = wrong || page.PageInfo.HasPreviousPage != (len(between) > size) || page.PageInfo.HasNextPage != (to < len(want))
		}
		if wrong {
			t.Fatalf("by %s, descending %t, in %s of %s%s, %v: of %v\nwant %v\ngot  %v, %+v\nof   %s",
				by, descending, field, parent, list.arguments, window, want, expected, page.items(), page.PageInfo, randomOperation{Variables: variables})
		}
	}
	return len(want)
}

// TestListsAreThoseOfAModelInMemory compares 100 lists, or as many as ROLLCALL_TEST_LISTS says, on each database.
func TestListsAreThoseOfAModelInMemory(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, db *database.Database) {
		total, seed := number(t, "ROLLCALL_TEST_LISTS", 100), uint64(1)
		if os.Getenv("ROLLCALL_TEST_LISTS") != "" {
			seed = seeds(t)
		}
		t.Logf("ROLLCALL_TEST_SEED=%d", seed)
		w := newWorld(t, db, seed)
		p := newPair(db, func(*graph.Config) {})
		some := 0
		for range total {
			if w.compareLists(t, p.api) > 0 {
				some++
			}
		}
		if some < total/4 || some > total*9/10 {
			t.Errorf("%d of %d lists have anything in them", some, total)
		}
	})
}
