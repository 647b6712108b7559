package main

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"rollcall/bench/population"
	"rollcall/bench/workload"
	"rollcall/fold"
	"rollcall/keyset"
)

// asked is the variables of all shapes.
type asked struct {
	After, Before, Text, Team, ID string
	From, To                      time.Time
}

// place returns the arguments of a page that begins at a cursor of the list by name.
func place(cursor string) ([]any, error) {
	key := keyset.Key{Order: keyset.Order{By: &keyset.Sort{Name: "NAME"}}}
	id, name, ok := keyset.ParseCursor("Query.users", key, cursor)
	if !ok {
		return nil, fmt.Errorf("%q is not a cursor of users by name", cursor)
	}
	return []any{name, name, id}, nil
}

// prefix returns the arguments of a range: what begins with a text, in ASCII at its end.
func prefix(text string) []any { return []any{text, end(text)} }

func end(text string) string {
	runes := []rune(text)
	runes[len(runes)-1]++
	return string(runes)
}

const selected = "SELECT u.id, u.name, u.email FROM users u WHERE "

// listing is a statement that reads a page of users, and its arguments.
type listing struct {
	where     string
	args      func(v asked) ([]any, error)
	backwards bool
}

func folded(v asked) ([]any, error) { return []any{fold.Text(v.Text)}, nil }
func begins(v asked) ([]any, error) { return prefix(fold.Text(v.Text)), nil }
func byTeam(v asked) ([]any, error) { id, err := number(v.Team); return []any{id}, err }
func number(id string) (int64, error) {
	_, n, ok := keyset.ParseID(id)
	if !ok {
		return 0, fmt.Errorf("%q is no id", id)
	}
	return n, nil
}

const (
	having     = "EXISTS (SELECT 1 FROM user_words w WHERE w.user_id = u.id AND w.word >= ? AND w.word < ?)"
	inTeam     = "u.id IN (SELECT m.user_id FROM memberships m WHERE m.team_id = ?) ORDER BY u.id LIMIT 20"
	nameOrder  = " ORDER BY u.name_folded, u.id LIMIT 20"
	unlike     = "LENGTH(u.name_folded) "
	department = "u.department_folded = ?"
)

// listings are those of the shapes that one statement answers.
var listings = map[string]listing{
	"after":      {where: "u.name_folded >= ? AND (u.name_folded > ? OR u.id > ?)" + nameOrder, args: func(v asked) ([]any, error) { return place(v.After) }},
	"before":     {"u.name_folded <= ? AND (u.name_folded < ? OR u.id < ?) ORDER BY u.name_folded DESC, u.id DESC LIMIT 20", func(v asked) ([]any, error) { return place(v.Before) }, true},
	"department": {where: department + nameOrder, args: folded},
	"prefix":     {where: "u.name_folded >= ? AND u.name_folded < ?" + nameOrder, args: begins},
	"created": {where: "u.created_at >= ? AND u.created_at < ? ORDER BY u.id LIMIT 20", args: func(v asked) ([]any, error) {
		return []any{v.From, v.To}, nil
	}},
	"inTeam":    {where: inTeam, args: byTeam},
	"inLargest": {where: inTeam, args: byTeam},
	"contains":  {where: unlike + "> LENGTH(REPLACE(u.name_folded, ?, '')) ORDER BY u.id LIMIT 20", args: folded},
	"endsWith": {where: unlike + ">= LENGTH(REPLACE(CONCAT(u.name_folded, '\x01'), ?, '')) ORDER BY u.id LIMIT 20", args: func(v asked) ([]any, error) {
		return []any{fold.Text(v.Text) + "\x01"}, nil
	}},
	"ne":               {where: "(u.department_folded <> ? OR u.department_folded IS NULL) ORDER BY u.id LIMIT 20", args: folded},
	"notIn":            {where: "(u.department_folded NOT IN (?, 'sales') OR u.department_folded IS NULL)" + nameOrder, args: folded},
	"not":              {where: "(u.name_folded < ? OR u.name_folded >= ?)" + nameOrder, args: begins},
	"departmentByTime": {where: department + " ORDER BY u.created_at DESC, u.id DESC LIMIT 20", args: folded},
	"foundByEmail": {where: having + " AND " + having + " ORDER BY u.email, u.id LIMIT 20", args: func(asked) ([]any, error) {
		return []any{"lopez", "lopf", "mar", "mas"}, nil
	}},
}

// field is what is counted.
func (l listing) field() string {
	if strings.Contains(l.where, "1000") {
		return "totalCountUpTo"
	}
	return "totalCount"
}

// counts are the statements of the shapes that count.
var counts = map[string]listing{
	"count":         {where: "SELECT SUM(delta) FROM directory_counts WHERE name = 'User'", args: func(asked) ([]any, error) { return nil, nil }},
	"countFiltered": {where: "SELECT COUNT(*) FROM users u WHERE " + department, args: folded},
	"countFound":    {where: "SELECT COUNT(*) FROM users u WHERE " + having, args: begins},

	"countUpTo":         {where: "SELECT CASE WHEN SUM(delta) < 1000 THEN SUM(delta) ELSE 1000 END FROM directory_counts WHERE name = 'User'", args: func(asked) ([]any, error) { return nil, nil }},
	"countUpToFiltered": {where: "SELECT COUNT(*) FROM (SELECT 1 FROM users u WHERE " + department + " LIMIT 1000) c", args: folded},
	"countUpToFound":    {where: "SELECT COUNT(*) FROM (SELECT DISTINCT w.user_id FROM user_words w WHERE w.word >= ? AND w.word < ? LIMIT 1000) c", args: begins},
	"countUpToFewFound": {
		where: "SELECT COUNT(*) FROM (SELECT DISTINCT u.user_id FROM user_words u WHERE u.word >= 'lopez' AND u.word < 'lopf' AND " +
			"EXISTS (SELECT 1 FROM user_words w WHERE w.user_id = u.user_id AND w.word >= 'mar' AND w.word < 'mas') LIMIT 1000) c",
		args: func(asked) ([]any, error) { return nil, nil },
	},
}

// scale adds the operations of a large directory.
func (s *server) scale(operations map[string]operation) {
	for _, shape := range workload.Shapes(population.Size{Users: 1, Teams: 1}) {
		list, listed := listings[shape.Name]
		count, counted := counts[shape.Name]
		operations[shape.Query] = func(ctx context.Context, variables json.RawMessage) (any, error) {
			var v asked
			if len(variables) > 0 {
				if err := json.Unmarshal(variables, &v); err != nil {
					return nil, err
				}
			}
			switch {
			case v.ID != "":
				return s.below(ctx, shape.Name, v.ID)
			case listed:
				return s.listed(ctx, list, v)
			case counted:
				return s.counted(ctx, count, v)
			case shape.Name == "foundInDepartment":
				return s.found(ctx, "an", " AND "+department, fold.Text(v.Text))
			default:
				return s.found(ctx, v.Text, "")
			}
		}
	}
}

// usersPage is a page of users.
type usersPage struct {
	Users nodes[*user] `json:"users"`
}

func (s *server) listed(ctx context.Context, l listing, v asked) (any, error) {
	args, err := l.args(v)
	if err != nil {
		return nil, err
	}
	var page usersPage
	err = s.read(ctx, &page, selected+l.where, args)
	if l.backwards {
		slices.Reverse(page.Users.Nodes)
	}
	return &page, err
}

const pageSize = 20

// read appends the users that a statement reads.
func (s *server) read(ctx context.Context, page *usersPage, query string, args []any) error {
	if page.Users.Nodes == nil {
		page.Users.Nodes = make([]*user, 0, pageSize)
	}
	return s.query(ctx, s.reads, query, args, func(rows *sql.Rows) error {
		u := &user{}
		page.Users.Nodes = append(page.Users.Nodes, u)
		return u.scan(rows)
	})
}

func (s *server) counted(ctx context.Context, l listing, v asked) (any, error) {
	args, err := l.args(v)
	if err != nil {
		return nil, err
	}
	var n int64
	err = s.query(ctx, s.reads, l.where, args, func(rows *sql.Rows) error { return rows.Scan(&n) })
	return map[string]any{"users": map[string]int64{l.field(): n}}, err
}

// found reads those whose names begin with a text and then, if they are too few, others who have its words.
func (s *server) found(ctx context.Context, text, filter string, args ...any) (any, error) {
	var page usersPage
	phrase := fold.Text(text)
	err := s.read(ctx, &page, selected+"u.name_folded >= ? AND u.name_folded < ?"+filter+nameOrder, append(prefix(phrase), args...))
	if missing := pageSize - len(page.Users.Nodes); err == nil && missing > 0 {
		words := fold.Terms(phrase)
		slices.SortStableFunc(words, func(a, b string) int { return len(b) - len(a) })
		query := "SELECT u.id, u.name, u.email FROM user_words w JOIN users u ON u.id = w.user_id WHERE w.word >= ? AND w.word < ?" +
			" AND (SELECT s.word FROM user_words s WHERE s.user_id = w.user_id AND s.word >= ? ORDER BY s.word LIMIT 1) = w.word"
		all := append(prefix(words[0]), words[0])
		for _, word := range words[1:] {
			query += " AND (SELECT s.word FROM user_words s WHERE s.user_id = w.user_id AND s.word >= ? ORDER BY s.word LIMIT 1) < ?"
			all = append(all, prefix(word)...)
		}
		query += " AND CASE WHEN u.name_folded < ? OR u.name_folded >= ? THEN 1 END = 1" + filter + " ORDER BY w.word, w.user_id LIMIT ?"
		all = append(append(append(all, prefix(phrase)...), args...), missing)
		err = s.read(ctx, &page, query, all)
	}
	return &page, err
}

// below reads a manager, or a team, and then those who are below it in the tree, or in the teams below it.
func (s *server) below(ctx context.Context, shape, id string) (any, error) {
	n, err := number(id)
	if err != nil {
		return nil, err
	}
	field, table := "user", "users"
	if shape == "membersOfAll" {
		field, table = "team", "teams"
	}
	there := false
	err = s.query(ctx, s.reads, "SELECT id FROM "+table+" WHERE id = ?", []any{n}, func(rows *sql.Rows) error {
		there = true
		return rows.Scan(&n)
	})
	if err != nil || !there {
		return map[string]any{field: nil}, err
	}
	var page usersPage
	if shape == "membersOfAll" {
		err = s.read(ctx, &page, "WITH RECURSIVE below (id) AS (SELECT id FROM teams WHERE id = ? UNION ALL SELECT t.id FROM below b JOIN teams t ON t.parent_id = b.id)"+
			" SELECT DISTINCT u.id, u.name, u.email FROM below b CROSS JOIN memberships m CROSS JOIN users u WHERE m.team_id = b.id AND u.id = m.user_id ORDER BY u.id LIMIT 20", []any{n})
		return map[string]any{"team": map[string]any{"members": page.Users}}, err
	}
	limit := pageSize
	if shape == "100BelowTop" {
		limit = 100
	}
	err = s.read(ctx, &page, "WITH RECURSIVE below (id, depth) AS (SELECT id, 1 FROM users WHERE manager_id = ? UNION ALL"+
		" SELECT u.id, b.depth + 1 FROM below b JOIN users u ON u.manager_id = b.id WHERE b.depth < 3)"+
		" SELECT u.id, u.name, u.email FROM below b CROSS JOIN users u WHERE u.id = b.id ORDER BY b.depth, u.id LIMIT ?", []any{n, limit})
	return map[string]any{"user": map[string]any{"allReports": page.Users}}, err
}
