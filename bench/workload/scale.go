package workload

import (
	"fmt"
	"math/rand/v2"
	"time"

	"rollcall/bench/population"
	"rollcall/keyset"
	"rollcall/model"
)

// Shape is a workload of a large directory.
type Shape struct {
	Workload
	// Scans says that its time may grow with the directory: no index gives both what is asked for and its order.
	Scans bool
}

const fields = ` { nodes { id name email } } }`

// Shapes returns what is measured in a directory of a size.
func Shapes(s population.Size) []Shape {
	anyone := func(r *rand.Rand) *model.User { return s.User(1 + r.Int64N(int64(s.Users))) }
	cursor := func(argument string) func(*rand.Rand) map[string]any {
		return func(r *rand.Rand) map[string]any {
			u := anyone(r)
			key := keyset.Key{Order: keyset.Order{By: &keyset.Sort{Name: "NAME"}}}
			return map[string]any{argument: keyset.Cursor("Query.users", key, u.ID, u.NameFolded)}
		}
	}
	text := func(of func(r *rand.Rand) string) func(*rand.Rand) map[string]any {
		return func(r *rand.Rand) map[string]any { return map[string]any{"text": of(r)} }
	}
	department := text(s.Department)
	nothing := func(*rand.Rand) map[string]any { return nil }
	created := func(r *rand.Rand) map[string]any {
		from := s.Joined(1 + r.Int64N(int64(s.Users)))
		return map[string]any{"from": from.Format(time.RFC3339), "to": from.AddDate(0, 0, 7).Format(time.RFC3339)}
	}
	found := func(name, query string) Shape {
		return Shape{Workload{name, fmt.Sprintf("search `%s`", query), `query($text: String) { users(query: $text)` + fields, text(func(*rand.Rand) string { return query })}, false}
	}
	filtered := func(name, what, filter, order string, scans bool, variables func(*rand.Rand) map[string]any) Shape {
		return Shape{Workload{name, what, `query($text: String!) { users(filter: ` + filter + order + `)` + fields, variables}, scans}
	}
	part := text(func(r *rand.Rand) string { return []string{"lope", "ström", "ARCIA", "ski", "né"}[r.IntN(5)] })
	managed := func(name, what string, first int, id func(*rand.Rand) int64) Shape {
		query := fmt.Sprintf(`query($id: ID!) { user(id: $id) { allReports(first: %d)%s }`, first, fields)
		return Shape{Workload{name, what, query, func(r *rand.Rand) map[string]any { return map[string]any{"id": model.UserID(id(r))} }}, false}
	}
	top := func(*rand.Rand) int64 { return 1 }
	return []Shape{
		{Workload{"after", "after anyone, by name", `query($after: String) { users(first: 20, after: $after, orderBy: {field: NAME})` + fields, cursor("after")}, false},
		{Workload{"before", "before anyone, by name", `query($before: String) { users(last: 20, before: $before, orderBy: {field: NAME})` + fields, cursor("before")}, false},
		filtered("department", "in a department, by name", `{department: {eq: $text}}`, `, orderBy: {field: NAME}`, false, department),
		filtered("prefix", "name begins so, by name", `{name: {startsWith: $text}}`, `, orderBy: {field: NAME}`, false, text(func(r *rand.Rand) string {
			return string([]rune(anyone(r).Name)[:2])
		})),
		{Workload{"created", "created in a week, by id", `query($from: Time!, $to: Time!) { users(filter: {createdAt: {gte: $from, lt: $to}})` + fields, created}, false},
		found("a", "a"),
		found("an", "an"),
		found("lopez mar", "lopez mar"),
		{Workload{"inTeam", "in a team", `query($team: ID!) { users(filter: {inTeam: {id: $team}})` + fields, func(r *rand.Rand) map[string]any {
			return map[string]any{"team": keyset.ID("Team", 2+r.Int64N(int64(s.Teams-1)))}
		}}, false},
		{Workload{"inLargest", "in the largest team", `query($team: ID!) { users(filter: {inTeam: {id: $team}})` + fields, func(*rand.Rand) map[string]any {
			return map[string]any{"team": keyset.ID("Team", population.Largest)}
		}}, false},
		{Workload{"count", "totalCount of all", `{ users { totalCount } }`, nothing}, false},
		{Workload{"countUpTo", "totalCountUpTo(limit: 1000) of all", `{ users { totalCountUpTo(limit: 1000) } }`, nothing}, false},
		{Workload{"countUpToFiltered", "totalCountUpTo(limit: 1000) of a department", `query($text: String!) { users(filter: {department: {eq: $text}}) { totalCountUpTo(limit: 1000) } }`, department}, false},
		{Workload{"countUpToFound", "totalCountUpTo(limit: 1000) of search `an`", `query($text: String) { users(query: $text) { totalCountUpTo(limit: 1000) } }`, text(func(*rand.Rand) string { return "an" })}, false},
		{Workload{"countUpToFewFound", "totalCountUpTo(limit: 1000) of search `lopez mar`", `query Few($text: String) { users(query: $text) { totalCountUpTo(limit: 1000) } }`, text(func(*rand.Rand) string { return "lopez mar" })}, false},
		managed("belowTop", "20 of all below the top", 20, top),
		managed("100BelowTop", "100 of all below the top", 100, top),
		managed("belowAny", "20 of all below any manager", 20, func(r *rand.Rand) int64 { return 1 + r.Int64N(max(int64(s.Users/population.FanOut)-1, 1)) }),

		filtered("contains", "name contains", `{name: {contains: $text}}`, ``, true, part),
		filtered("endsWith", "name ends so", `{name: {endsWith: $text}}`, ``, true, part),
		filtered("ne", "not in a department", `{department: {ne: $text}}`, ``, true, department),
		filtered("notIn", "in neither department, by name", `{department: {notIn: [$text, "Sales"]}}`, `, orderBy: {field: NAME}`, true, department),
		filtered("not", "not: a prefix, by name", `{not: {name: {startsWith: $text}}}`, `, orderBy: {field: NAME}`, true, text(func(r *rand.Rand) string {
			return string([]rune(anyone(r).Name)[:2])
		})),
		filtered("departmentByTime", "in a department, the newest first", `{department: {eq: $text}}`, `, orderBy: {field: CREATED_AT, direction: DESC}`, true, department),
		{Workload{"foundByEmail", "search `lopez mar`, by email", `query($text: String) { users(query: $text, orderBy: {field: EMAIL})` + fields, text(func(*rand.Rand) string { return "lopez mar" })}, true},
		{Workload{"foundInDepartment", "search `an` in a department", `query($text: String!) { users(query: "an", filter: {department: {eq: $text}})` + fields, department}, true},
		{Workload{"membersOfAll", "20 of a team and all teams in it", `query($id: ID!) { team(id: $id) { members(first: 20, membership: ALL)` + fields + ` }`, func(r *rand.Rand) map[string]any {
			return map[string]any{"id": keyset.ID("Team", 1+r.Int64N(population.Roots))}
		}}, true},
		{Workload{"countFiltered", "totalCount of a department", `query($text: String!) { users(filter: {department: {eq: $text}}) { totalCount } }`, department}, true},
		{Workload{"countFound", "totalCount of search `an`", `query($text: String) { users(query: $text) { totalCount } }`, text(func(*rand.Rand) string { return "an" })}, true},
	}
}
