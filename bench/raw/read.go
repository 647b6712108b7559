package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"rollcall/keyset"
	"rollcall/model"
)

// querier is a pool or a transaction.
type querier interface {
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
}

// query calls scan for each row.
func (s *server) query(ctx context.Context, from querier, query string, args []any, scan func(*sql.Rows) error) (err error) {
	s.statements.Inc()
	rows, err := from.QueryContext(ctx, query, args...)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		if err := scan(rows); err != nil {
			return err
		}
	}
	return rows.Err()
}

// integer scans a whole number, which database/sql does by way of a string; NULL is 0.
type integer int64

// Scan implements sql.Scanner.
func (n *integer) Scan(value any) (err error) {
	switch v := value.(type) {
	case int64:
		*n = integer(v)
	case []byte:
		var i int64
		i, err = strconv.ParseInt(string(v), 10, 64)
		*n = integer(i)
	case nil:
		*n = 0
	default:
		err = fmt.Errorf("%T is not a whole number", value)
	}
	return err
}

// placeholders returns a list of placeholders and the keys for them. It is as long as the next power of two, so that few
// statements are prepared; the first key fills it up.
func placeholders(keys []any) (string, []any) {
	n := 1
	for n < len(keys) {
		n *= 2
	}
	for len(keys) < n {
		keys = append(keys, keys[0])
	}
	return strings.Repeat("?,", n-1) + "?", keys
}

// member is a user with the id of its manager.
type member struct {
	id      integer
	name    string
	manager integer // 0: none
}

func (m *member) scan(rows *sql.Rows) error { return rows.Scan(&m.id, &m.name, &m.manager) }

type named struct {
	ID   string `json:"id"`
	Name string `json:"name"`
}

type nodes[N any] struct {
	Nodes []N `json:"nodes"`
}

// managers reads the managers of users.
func (s *server) managers(ctx context.Context, users []*member) (map[integer]*named, error) {
	all := map[integer]*named{}
	var keys []any
	for _, u := range users {
		if _, known := all[u.manager]; u.manager != 0 && !known {
			all[u.manager] = nil
			keys = append(keys, int64(u.manager))
		}
	}
	if len(keys) == 0 {
		return all, nil
	}
	in, keys := placeholders(keys)
	return all, s.query(ctx, s.reads, "SELECT id, name FROM users WHERE id IN ("+in+")", keys, func(rows *sql.Rows) error {
		var id integer
		u := &named{}
		err := rows.Scan(&id, &u.Name)
		u.ID, all[id] = model.UserID(int64(id)), u
		return err
	})
}

// team is a team and its id as a key.
type team struct {
	named
	id integer
}

// teamsOf reads the first teams of as many users as there are placeholders.
func teamsOf(placeholders string) string {
	return `SELECT user_id, id, name FROM (SELECT m.user_id, t.id, t.name,
			ROW_NUMBER() OVER (PARTITION BY m.user_id ORDER BY m.team_id) AS place
		FROM memberships m JOIN teams t ON t.id = m.team_id WHERE m.user_id IN (` + placeholders + `)) AS ranked
		WHERE place <= ? ORDER BY user_id, place`
}

// teams reads the first teams of users.
func (s *server) teams(ctx context.Context, from querier, users []any, first int) (map[integer][]team, error) {
	in, keys := placeholders(users)
	all := make(map[integer][]team, len(users))
	return all, s.query(ctx, from, teamsOf(in), append(keys, first), func(rows *sql.Rows) error {
		var user integer
		var t team
		err := rows.Scan(&user, &t.id, &t.Name)
		t.ID = keyset.ID("Team", int64(t.id))
		all[user] = append(all[user], t)
		return err
	})
}

// members reads the first members of teams.
func (s *server) members(ctx context.Context, teams []integer, first int) (byTeam map[integer][]*member, all []*member, err error) {
	const one = "SELECT * FROM (SELECT m.team_id, u.id, u.name, u.manager_id FROM memberships m JOIN users u ON u.id = m.user_id" +
		" WHERE m.team_id = ? ORDER BY m.user_id LIMIT ?) AS list"
	args := make([]any, 0, 2*len(teams))
	for _, id := range teams {
		args = append(args, int64(id), first)
	}
	byTeam = make(map[integer][]*member, len(teams))
	err = s.query(ctx, s.reads, one+strings.Repeat(" UNION ALL "+one, len(teams)-1), args, func(rows *sql.Rows) error {
		var team integer
		m := &member{}
		err := rows.Scan(&team, &m.id, &m.name, &m.manager)
		byTeam[team], all = append(byTeam[team], m), append(all, m)
		return err
	})
	return byTeam, all, err
}
