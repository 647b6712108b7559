package main

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"rollcall/fold"
	"rollcall/keyset"
	"rollcall/model"
)

type user struct {
	ID    string `json:"id"`
	Name  string `json:"name"`
	Email string `json:"email"`
}

func (u *user) scan(rows *sql.Rows) error {
	var id integer
	err := rows.Scan(&id, &u.Name, &u.Email)
	u.ID = model.UserID(int64(id))
	return err
}

func (s *server) point(ctx context.Context, variables json.RawMessage) (any, error) {
	var v struct{ ID string }
	if err := json.Unmarshal(variables, &v); err != nil {
		return nil, err
	}
	id, err := parseID(v.ID)
	if err != nil {
		return nil, err
	}
	var data struct {
		User *user `json:"user"`
	}
	return &data, s.query(ctx, s.reads, "SELECT id, name, email FROM users WHERE id = ?", []any{id}, func(rows *sql.Rows) error {
		data.User = &user{}
		return data.User.scan(rows)
	})
}

// page is where a list begins, and how long it is.
type page struct {
	After string
	First int
}

func (p *page) parse(variables json.RawMessage) (after int64, err error) {
	if err := json.Unmarshal(variables, p); err != nil {
		return 0, err
	}
	return parseID(p.After) // which is all that it takes
}

// parseID returns the number in the global id of a user.
func parseID(id string) (int64, error) {
	typ, number, ok := keyset.ParseID(id)
	if !ok || typ != "User" {
		return 0, fmt.Errorf("%q is not the id of a user", id)
	}
	return number, nil
}

func (s *server) list(ctx context.Context, variables json.RawMessage) (any, error) {
	p := page{First: 50}
	after, err := p.parse(variables)
	if err != nil {
		return nil, err
	}
	var data struct {
		Users nodes[*user] `json:"users"`
	}
	data.Users.Nodes = make([]*user, 0, p.First)
	return &data, s.query(ctx, s.reads, "SELECT id, name, email FROM users WHERE id > ? ORDER BY id LIMIT ?", []any{after, p.First}, func(rows *sql.Rows) error {
		u := &user{}
		data.Users.Nodes = append(data.Users.Nodes, u)
		return u.scan(rows)
	})
}

// users reads a page of users with the ids of their managers.
func (s *server) users(ctx context.Context, after int64, first int) (users []*member, keys []any, err error) {
	err = s.query(ctx, s.reads, "SELECT id, name, manager_id FROM users WHERE id > ? ORDER BY id LIMIT ?", []any{after, first}, func(rows *sql.Rows) error {
		m := &member{}
		err := m.scan(rows)
		users, keys = append(users, m), append(keys, int64(m.id))
		return err
	})
	return users, keys, err
}

type managed struct {
	ID      string `json:"id"`
	Name    string `json:"name"`
	Manager *named `json:"manager"`
}

type nestedUser struct {
	managed
	Teams nodes[named] `json:"teams"`
}

func (s *server) nested(ctx context.Context, variables json.RawMessage) (any, error) {
	var p page
	after, err := p.parse(variables)
	if err != nil {
		return nil, err
	}
	users, keys, err := s.users(ctx, after, p.First)
	if err != nil {
		return nil, err
	}
	var managers map[integer]*named
	done := make(chan error, 1)
	go func() { // both relations at once
		var err error
		managers, err = s.managers(ctx, users)
		done <- err
	}()
	teams, err := s.teams(ctx, s.reads, keys, keyset.DefaultSize)
	if err = errors.Join(err, <-done); err != nil {
		return nil, err
	}
	var data struct {
		Users nodes[nestedUser] `json:"users"`
	}
	data.Users.Nodes = make([]nestedUser, len(users))
	for i, u := range users {
		n := &data.Users.Nodes[i]
		n.managed = managed{model.UserID(int64(u.id)), u.name, managers[u.manager]}
		n.Teams.Nodes = names(teams[u.id])
	}
	return &data, nil
}

func names(teams []team) []named {
	all := make([]named, len(teams))
	for i, t := range teams {
		all[i] = t.named
	}
	return all
}

type deepTeam struct {
	named
	Members nodes[managed] `json:"members"`
}

type deepUser struct {
	ID    string          `json:"id"`
	Name  string          `json:"name"`
	Teams nodes[deepTeam] `json:"teams"`
}

func (s *server) deep(ctx context.Context, variables json.RawMessage) (any, error) {
	p := page{First: 20}
	after, err := p.parse(variables)
	if err != nil {
		return nil, err
	}
	users, keys, err := s.users(ctx, after, p.First)
	if err != nil {
		return nil, err
	}
	teams, err := s.teams(ctx, s.reads, keys, 5)
	if err != nil {
		return nil, err
	}
	var ids []integer
	seen := map[integer]bool{}
	for _, of := range teams {
		for _, t := range of {
			if !seen[t.id] {
				seen[t.id], ids = true, append(ids, t.id)
			}
		}
	}
	members, all, err := s.members(ctx, ids, 10)
	if err != nil {
		return nil, err
	}
	managers, err := s.managers(ctx, all)
	if err != nil {
		return nil, err
	}
	var data struct {
		Users nodes[deepUser] `json:"users"`
	}
	data.Users.Nodes = make([]deepUser, len(users))
	for i, u := range users {
		n := &data.Users.Nodes[i]
		n.ID, n.Name, n.Teams.Nodes = model.UserID(int64(u.id)), u.name, make([]deepTeam, len(teams[u.id]))
		for k, t := range teams[u.id] {
			d := &n.Teams.Nodes[k]
			d.named, d.Members.Nodes = t.named, make([]managed, len(members[t.id]))
			for j, m := range members[t.id] {
				d.Members.Nodes[j] = managed{model.UserID(int64(m.id)), m.name, managers[m.manager]}
			}
		}
	}
	return &data, nil
}

func (s *server) aliases(ctx context.Context, variables json.RawMessage) (any, error) {
	var ids map[string]string
	if err := json.Unmarshal(variables, &ids); err != nil {
		return nil, err
	}
	keys := make([]any, 0, len(ids))
	asked := make(map[string]integer, len(ids))
	for alias, id := range ids {
		key, err := parseID(id)
		if err != nil {
			return nil, err
		}
		asked[alias], keys = integer(key), append(keys, key)
	}
	in, keys := placeholders(keys)
	users := make(map[integer]*member, len(ids))
	var all []*member
	if err := s.query(ctx, s.reads, "SELECT id, name, manager_id FROM users WHERE id IN ("+in+")", keys, func(rows *sql.Rows) error {
		m := &member{}
		err := m.scan(rows)
		users[m.id], all = m, append(all, m)
		return err
	}); err != nil {
		return nil, err
	}
	managers, err := s.managers(ctx, all)
	data := make(map[string]*managed, len(ids)) // encoding/json sorts them
	for alias, id := range asked {
		if u := users[id]; u != nil {
			data[alias] = &managed{model.UserID(int64(u.id)), u.name, managers[u.manager]}
		} else {
			data[alias] = nil
		}
	}
	return data, err
}

func (s *server) mutation(ctx context.Context, variables json.RawMessage) (data any, err error) {
	var v struct{ ID, Name string }
	if err := json.Unmarshal(variables, &v); err != nil {
		return nil, err
	}
	id, err := parseID(v.ID)
	if err != nil {
		return nil, err
	}
	const (
		read   = "SELECT title, email FROM users WHERE id = ?"
		update = "UPDATE users SET name = ?, name_folded = ?, version = version + 1, updated_at = ? WHERE id = ?"
		forget = "DELETE FROM user_words WHERE user_id = ?"
	)
	for _, query := range []string{read, update, forget, teamsOf("?")} {
		if _, err := s.writes.prepare(ctx, query); err != nil {
			return nil, err
		}
	}
	begun, err := s.writes.BeginTx(ctx, nil)
	if err != nil {
		return nil, err
	}
	defer func() { _ = begun.Rollback() }() // nothing, after COMMIT
	tx := transaction{begun, s.writes}
	user := model.User{Name: v.Name}
	if err := s.query(ctx, tx, read, []any{id}, func(rows *sql.Rows) error { return rows.Scan(&user.Title, &user.Email) }); err != nil {
		return nil, err
	}
	words, values := user.Words(), []any{}
	for _, word := range words {
		values = append(values, word, id)
	}
	s.statements.Add(3)
	result, err := tx.ExecContext(ctx, update, v.Name, fold.Text(v.Name), time.Now().UTC().Truncate(time.Microsecond), id)
	if err != nil {
		return nil, err
	}
	if n, err := result.RowsAffected(); n == 0 {
		return nil, errors.Join(errors.New("no such user"), err)
	}
	if _, err := tx.ExecContext(ctx, forget, id); err != nil {
		return nil, err
	}
	remember := "INSERT INTO user_words (word, user_id) VALUES " + strings.TrimSuffix(strings.Repeat("(?, ?), ", len(words)), ", ")
	if _, err := tx.Tx.ExecContext(ctx, bound(s.writes.dialect, remember), values...); err != nil { // its length varies, so it is not prepared
		return nil, err
	}
	teams, err := s.teams(ctx, tx, []any{id}, keyset.DefaultSize)
	if err != nil {
		return nil, err
	}
	type updated struct {
		named
		Teams nodes[named] `json:"teams"`
	}
	var answer struct {
		UpdateUser struct {
			User updated `json:"user"`
		} `json:"updateUser"`
	}
	answer.UpdateUser.User = updated{named{v.ID, v.Name}, nodes[named]{names(teams[integer(id)])}}
	return &answer, tx.Commit()
}
