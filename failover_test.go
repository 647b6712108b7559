package main

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"rollcall/database/databasetest"
)

// executed has a server's administrator execute statements.
func executed(tb testing.TB, s *databasetest.Server, statements ...string) {
	tb.Helper()
	admin := s.Admin()
	for _, statement := range statements { // not in one transaction
		if _, err := admin.ExecContext(context.Background(), statement); err != nil {
			tb.Fatalf("%s: %v", statement, err)
		}
	}
}

// humble migrates a server's database and returns its URL for a user whom it concerns if the server is read-only.
func humble(t *testing.T, s *databasetest.Server, kind string) *url.URL {
	t.Helper()
	output(t, "migrate", "--database", s.URL)
	u := parseURL(t, s.URL)
	if kind != "postgres" { // there nobody is exempt
		executed(t, s, "CREATE USER humble@'%'", "GRANT ALL ON rollcall.* TO humble@'%'")
		u.User = url.User("humble")
	}
	return u
}

// How each server is made to take no writes, and writes again.
var (
	readOnly = map[string][]string{
		"mariadb":  {"SET GLOBAL read_only = 1"},
		"mysql":    {"SET GLOBAL super_read_only = 1"},
		"postgres": {"ALTER SYSTEM SET default_transaction_read_only = on", "SELECT pg_reload_conf()"},
	}
	writable = map[string][]string{
		"mariadb":  {"SET GLOBAL read_only = 0"},
		"mysql":    {"SET GLOBAL read_only = 0"}, // and with it the other
		"postgres": {"ALTER SYSTEM RESET default_transaction_read_only", "SELECT pg_reload_conf()"},
	}
)

// busy is how many clients the tests have send at once: as many as the pools have connections.
const busy = 16

// creations counts the calls of creates, by which tests that run at the same time tell their users apart.
var creations atomic.Int64

// codes has clients send mutations at once, and returns how often each code was answered; "" is a success.
func (s *server) codes(query func(i int) string) map[string]int {
	s.tb.Helper()
	var mu sync.Mutex
	var all sync.WaitGroup
	got := map[string]int{}
	for i := range busy {
		all.Go(func() {
			c := newClient(s.base, false)
			defer c.CloseIdleConnections()
			a, err := c.send(query(i))
			if err != nil {
				s.tb.Error(err)
			}
			mu.Lock()
			defer mu.Unlock()
			got[a.code()]++
		})
	}
	all.Wait()
	return got
}

// creates sends as many mutations.
func (s *server) creates() map[string]int {
	s.tb.Helper()
	run := creations.Add(1)
	return s.codes(func(i int) string { return create(fmt.Sprintf("e%d.%d@example.com", run, i)) })
}

// reads sends as many queries.
func (s *server) reads() map[string]int {
	s.tb.Helper()
	return s.codes(func(int) string { return `{ users(first: 5) { nodes { name } } }` })
}

// code is what one operation is answered with.
func (s *server) code(query string) string {
	s.tb.Helper()
	c := newClient(s.base, false)
	defer c.CloseIdleConnections()
	a, err := c.send(query)
	if err != nil {
		s.tb.Error(err)
	}
	return a.code()
}

// only fails unless every answer had this code.
func only(t *testing.T, what string, got map[string]int, code string) {
	t.Helper()
	if got[code] != busy {
		t.Errorf("%s: want %d of %q, got %v", what, busy, code, got)
	}
}

// takeover is how long mutations may fail after there is a primary again: a second or two, on a machine that has nothing else to do.
const takeover = 15 * time.Second

func (s *server) recovers(t *testing.T) {
	t.Helper()
	began := time.Now()
	eventually(t, "mutations succeed again", func() bool { return s.creates()[""] == busy })
	if took := time.Since(began); took > takeover {
		t.Errorf("mutations succeeded again after %s", took)
	}
	s.becomes(http.StatusOK, "ok")
}

// counted is how many users are stored on a server.
func counted(t *testing.T, s *databasetest.Server) (users int) {
	t.Helper()
	if err := databasetest.Open(t, s.URL).Side.QueryRowContext(t.Context(), "SELECT COUNT(*) FROM users").Scan(&users); err != nil {
		t.Fatal(err)
	}
	return users
}

func TestAfterAFailoverBehindTheSameAddressNoMutationFails(t *testing.T) {
	t.Parallel()
	databasetest.EachServer(t, func(t *testing.T, kind string) {
		first, second := databasetest.Start(t, kind), databasetest.Start(t, kind)
		old, next := humble(t, first, kind), humble(t, second, kind)
		var proxy databasetest.Proxy
		behind := *old
		behind.Host = proxy.Listen(t, old.Host)
		s := launch(t, built(t), "--database", behind.String(), "--log-level", "warn")
		only(t, "at first", s.creates(), "")
		only(t, "at first", s.reads(), "")
		s.becomes(http.StatusOK, "ok")

		executed(t, first, readOnly[kind]...)
		proxy.Lead(next.Host)
		before := counted(t, first)
		only(t, "after a failover", s.creates(), "")
		if after := counted(t, first); after != before {
			t.Errorf("%d mutations were stored by the server that is not the primary any more", after-before)
		}
		if log := s.logged(); log != "" {
			t.Errorf("what nobody noticed is in the log:\n%s", log)
		}
		answer := s.answer(`mutation { createUser(input: {name: "N", email: "here@example.com"}) { user { id } } }`)
		if !strings.Contains(s.answer(`{ userByEmail(email: "here@example.com") { name } }`), `"N"`) {
			t.Errorf("queries are not answered by the server that has %s", answer)
		}
		s.becomes(http.StatusOK, "ok")

		// With nowhere to go.
		executed(t, second, readOnly[kind]...)
		s.becomesUnready("the database is read-only")
		only(t, "read-only", s.creates(), "DATABASE_UNAVAILABLE")
		only(t, "read-only", s.reads(), "")
		if status, text := s.probe("/readyz"); status != http.StatusServiceUnavailable || text != "the database is read-only" {
			t.Errorf("/readyz: %d %s", status, text)
		}
		executed(t, second, writable[kind]...)
		s.recovers(t)
	})
}

func TestWhoeverMayWriteOnAReadOnlyServerIsReady(t *testing.T) {
	t.Parallel()
	databasetest.EachOf(t, "mariadb", func(t *testing.T, kind string) { // on the others a server that is read-only is so for everybody
		d := databasetest.Start(t, kind)
		executed(t, d, readOnly[kind]...)
		s := start(t, "--database", d.URL, "--migrate")
		only(t, "with the right to", s.creates(), "")
		s.becomes(http.StatusOK, "ok")
	})
}
