package main

import (
	"context"
	"database/sql"
	"errors"
	"strconv"
	"strings"

	"rollcall/model"
)

// querier is a pool or a transaction.
type querier interface {
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
}

// query calls scan for each row.
func (s *server) query(ctx context.Context, from querier, query string, args []any, scan func(*sql.Rows) error) (err error) {
	s.statements.Inc()
	rows, err := from.QueryContext(ctx, s.bound(query), args...)
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

// bound writes placeholders as the database wants them.
func (s *server) bound(query string) string {
	if s.dialect != "postgres" {
		return query
	}
	var b strings.Builder
	for n, part := range strings.Split(query, "?") {
		if n > 0 {
			b.WriteString("$" + strconv.Itoa(n))
		}
		b.WriteString(part)
	}
	return b.String()
}

// marks is a list of n placeholders, as many as a power of two, so that few statements are prepared; keys are repeated.
func marks(keys []any) (string, []any) {
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
	id      int64
	name    string
	manager sql.NullInt64
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
func (s *server) managers(ctx context.Context, users []*member) (map[int64]*named, error) {
	all := map[int64]*named{}
	var keys []any
	for _, u := range users {
		if _, known := all[u.manager.Int64]; u.manager.Valid && !known {
			all[u.manager.Int64] = nil
			keys = append(keys, u.manager.Int64)
		}
	}
	if len(keys) == 0 {
		return all, nil
	}
	in, keys := marks(keys)
	return all, s.query(ctx, s.reads, "SELECT id, name FROM users WHERE id IN ("+in+")", keys, func(rows *sql.Rows) error {
		var id int64
		u := &named{}
		err := rows.Scan(&id, &u.Name)
		u.ID, all[id] = model.UserID(id), u
		return err
	})
}

// team is a team and its id as a key.
type team struct {
	named
	id int64
}

// teams reads the first teams of users.
func (s *server) teams(ctx context.Context, from querier, users []any, first int) (map[int64][]team, error) {
	in, keys := marks(users)
	all := make(map[int64][]team, len(users))
	return all, s.query(ctx, from, `SELECT user_id, id, name FROM (SELECT m.user_id, t.id, t.name,
			ROW_NUMBER() OVER (PARTITION BY m.user_id ORDER BY m.team_id) AS place
		FROM memberships m JOIN teams t ON t.id = m.team_id WHERE m.user_id IN (`+in+`)) AS ranked
		WHERE place <= ? ORDER BY user_id, place`, append(keys, first), func(rows *sql.Rows) error {
		var user int64
		var t team
		err := rows.Scan(&user, &t.id, &t.Name)
		t.ID = model.TeamID(t.id)
		all[user] = append(all[user], t)
		return err
	})
}

// members reads the first members of teams.
func (s *server) members(ctx context.Context, teams []int64, first int) (byTeam map[int64][]*member, all []*member, err error) {
	const one = "SELECT * FROM (SELECT m.team_id, u.id, u.name, u.manager_id FROM memberships m JOIN users u ON u.id = m.user_id" +
		" WHERE m.team_id = ? ORDER BY m.user_id LIMIT ?) AS list"
	args := make([]any, 0, 2*len(teams))
	for _, id := range teams {
		args = append(args, id, first)
	}
	byTeam = make(map[int64][]*member, len(teams))
	err = s.query(ctx, s.reads, one+strings.Repeat(" UNION ALL "+one, len(teams)-1), args, func(rows *sql.Rows) error {
		var team int64
		m := &member{}
		err := rows.Scan(&team, &m.id, &m.name, &m.manager)
		byTeam[team], all = append(byTeam[team], m), append(all, m)
		return err
	})
	return byTeam, all, err
}
