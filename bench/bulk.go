package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"time"

	"rollcall/bench/population"
	"rollcall/bench/workload"
	"rollcall/database"
	"rollcall/model"
)

// created is what it takes to add users by a bulk, and by what the database has for that: the medians of some rounds, in which they take
// turns.
type created struct {
	by           string // COPY, LOAD DATA or INSERT
	users        int
	copied, bulk time.Duration
}

// bulkUsers is how many users are added at once.
const bulkUsers = 1000

// bulk adds users to Rollcall's database, in turns past it and with createUsers.
func (b *bench) bulk(ctx context.Context, s *server, rounds int) (c created, err error) {
	db, err := database.Open(ctx, s.database, database.Options{})
	if err != nil {
		return c, err
	}
	defer func() { _ = db.Close() }()
	restore := func() {}
	if db.Dialect().Name() == "mysql" { // MySQL does not take LOAD DATA LOCAL by default
		if restore, err = b.localInfile(ctx); err != nil {
			return c, err
		}
	}
	defer restore()
	if due := db.Dialect().AfterIDs("users"); due != "" { // they were loaded with ids
		if err := db.Write.Exec(due).Error; err != nil {
			return c, err
		}
	}
	c.users = bulkUsers
	var copied, bulk []float64
	size := population.Size{Users: 1_000_000, Teams: 1}
	next := int64(workload.Users)
	take := func() (users []*model.User) {
		for range bulkUsers {
			next++
			u := size.User(next)
			u.ID += 1 << 30                                   // beyond those that the database gives
			u.Email = fmt.Sprintf("new.%d@example.com", next) // those of large directories are not all well-formed
			manager := next % workload.Users
			u.ManagerID = nil
			if manager > 0 {
				u.ManagerID = &manager
			}
			users = append(users, u)
		}
		return users
	}
	for range rounds + 1 { // the first is to warm up
		users := take()
		began := time.Now()
		if c.by, err = population.Copy(ctx, db, users); err != nil {
			return c, fmt.Errorf("%s: %w", c.by, err)
		}
		copied = append(copied, time.Since(began).Seconds())
		body, err := createUsers(take())
		if err != nil {
			return c, err
		}
		began = time.Now()
		if _, err := ask(ctx, http.DefaultClient, s, body); err != nil {
			return c, err
		}
		bulk = append(bulk, time.Since(began).Seconds())
	}
	seconds := func(all []float64) time.Duration { return time.Duration(median(all[1:]) * float64(time.Second)) }
	c.copied, c.bulk = seconds(copied), seconds(bulk)
	return c, nil
}

// localInfile has the server take LOAD DATA LOCAL, and returns what sets it back.
func (b *bench) localInfile(ctx context.Context) (restore func(), err error) {
	admin, _, err := administer(b.Database)
	if err != nil {
		return nil, err
	}
	var before int
	if err := admin.QueryRowContext(ctx, "SELECT @@GLOBAL.local_infile").Scan(&before); err != nil {
		return nil, err
	}
	set := func(to int) error {
		_, err := admin.ExecContext(context.WithoutCancel(ctx), fmt.Sprintf("SET GLOBAL local_infile = %d", to))
		return err
	}
	if before == 0 {
		err = set(1)
	}
	return func() {
		if before == 0 {
			_ = set(0)
		}
		_ = admin.Close()
	}, err
}

// createUsers returns the request that adds some users.
func createUsers(users []*model.User) ([]byte, error) {
	var inputs []map[string]any
	for _, u := range users {
		in := map[string]any{
			"name": u.Name, "email": u.Email, "title": u.Title, "department": u.Department, "phone": u.Phone, "location": u.Location,
			"timeZone": u.TimeZone, "photoUrl": u.PhotoURL, "externalId": u.ExternalID,
		}
		if u.ManagerID != nil {
			in["managerId"] = model.UserID(*u.ManagerID)
		}
		inputs = append(inputs, in)
	}
	return json.Marshal(map[string]any{
		"query":     `mutation($users: [CreateUserInput!]!) { createUsers(input: {users: $users}) { results { user { id } } } }`,
		"variables": map[string]any{"users": inputs},
	})
}

// printCreated prints what the creation of users takes.
func printCreated(to io.Writer, about string, c created) {
	_, _ = fmt.Fprintf(to, "\n| %d users, with their words (%s) | Time | Users a second |\n|---|---|---|\n", c.users, about)
	for _, row := range []struct {
		by   string
		took time.Duration
	}{{c.by, c.copied}, {"createUsers", c.bulk}} {
		_, _ = fmt.Fprintf(to, "| %s | %s | %.0f |\n", row.by, short(row.took), float64(c.users)/row.took.Seconds())
	}
	_, _ = fmt.Fprintf(to, "\ncreateUsers takes %.2f times as long as %s.\n", float64(c.bulk)/float64(c.copied), c.by)
}
