package main

import (
	"fmt"
	"net/http"
	"testing"
	"time"

	"rollcall/database/databasetest"
)

func TestTheServerWorksBehindPgBouncerInEachMode(t *testing.T) {
	t.Parallel()
	databasetest.EachOf(t, "postgres", func(t *testing.T, kind string) {
		for _, mode := range []string{"session", "transaction"} {
			t.Run(mode, func(t *testing.T) {
				t.Parallel()
				direct := databasetest.URL(t, kind)
				pooled := databasetest.PgBouncer(t, direct, mode, map[string]int{"session": 40, "transaction": 4}[mode]) + "&pooler=" + mode
				s := start(t, "--database", pooled, "--migrate", "--demo", "--deadline", "1s", "--metrics", "127.0.0.1:0")
				db := databasetest.Open(t, direct)

				created := s.answer(create("pooled@example.com"))
				id := field(t, created, "createUser", "user", "id")
				if got := field(t, s.answer(`{ userByEmail(email: "pooled@example.com") { id } }`), "userByEmail", "id"); got != id || id == nil {
					t.Errorf("created %v and read %v", id, got)
				}
				s.answer(`query @snapshot { users(first: 20) { totalCount nodes { name manager { name } teams { nodes { name } } } } }`)

				release := lockUser42(t, db)
				c := newClient(s.base, false)
				defer c.CloseIdleConnections()
				began := time.Now()
				a, err := c.send(`mutation { updateUser(input: {id: "User:42", name: "Late"}) { user { id } } }`)
				if took := time.Since(began); err != nil || a.code() != "TIMEOUT" || took > 4*time.Second {
					t.Errorf("a late mutation: %q, %v after %s", a.code(), err, took)
				}
				eventually(t, "its statement is cancelled in the database", func() bool { return !waitsForLock(t, db)() })
				release()
				for i := range 20 { // on whatever connection is free
					s.answer(create(fmt.Sprintf("pooled%d@example.com", i)))
				}
				if got := field(t, s.answer(`{ user(id: "User:42") { name } }`), "user", "name"); got != "Kwame Weber" {
					t.Errorf("the late mutation has left %v", got)
				}
				eventually(t, "it is ready", func() bool { status, _ := s.probe("/readyz"); return status == http.StatusOK }) // on a busy machine it may take more than a second to say so
				eventually(t, "no connection is in use", func() bool {
					m := s.metrics()
					return m[`go_sql_in_use_connections{db_name="read"}`]+m[`go_sql_in_use_connections{db_name="write"}`]+m[`go_sql_in_use_connections{db_name="side"}`] == 0
				})
			})
		}
	})
}
