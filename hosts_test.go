package main

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"rollcall/database/databasetest"
)

// left is how long clients may wait for a writer that has failed to be left.
const left = 3 * time.Second

// atTwo starts a server whose database is behind two hosts.
func atTwo(t *testing.T, kind string, args ...string) (s *server, nodes []*databasetest.Node, direct string) {
	t.Helper()
	direct = databasetest.With(t, kind, databasetest.Nothing)
	nodes, listed := databasetest.Nodes(t, direct, 2)
	return start(t, append([]string{"--database", listed, "--log-level", "error"}, args...)...), nodes, direct
}

// TestNoClientHearsThatTheWriterHasGone has clients go on while the first host dies or hangs: what they are told is stored once, and nothing else is.
func TestNoClientHearsThatTheWriterHasGone(t *testing.T) {
	databasetest.EachServer(t, func(t *testing.T, kind string) {
		for name, trouble := range map[string]func(*databasetest.Node){
			"dies": func(n *databasetest.Node) { n.Cut() }, "hangs": func(n *databasetest.Node) { n.Hang() },
		} {
			t.Run(name, func(t *testing.T) {
				s, nodes, direct := atTwo(t, kind, "--deadline", "30s")
				l := putThrough(s, 8)
				defer l.stop()
				l.succeeds(t)
				trouble(nodes[0])
				l.succeeds(t)
				l.stop()
				if n := l.failed.Load(); n > 0 {
					t.Errorf("%d operations failed", n)
				}
				if took := time.Duration(l.slowest.Load()); took > left {
					t.Errorf("an answer took %s", took)
				}
				l.check(t, direct)
				s.becomes(http.StatusOK, "ok")
			})
		}
	})
}

// TestAMutationWhoseCommitWasSwallowedIsStoredOnce has the first host hang when a COMMIT is sent to it: it is found out that it was not stored,
// and the mutation runs again.
func TestAMutationWhoseCommitWasSwallowedIsStoredOnce(t *testing.T) {
	databasetest.EachServer(t, func(t *testing.T, kind string) {
		direct := databasetest.With(t, kind, databasetest.Nothing)
		nodes, listed := databasetest.Nodes(t, direct, 2)
		nodes[0].HangAt("commit")
		s := start(t, "--database", listed, "--deadline", "30s", "--log-level", "error")
		if code := s.code(create("once@example.com")); code != "" {
			t.Errorf("it was answered with %s", code)
		}
		if n := countUsers(t, direct); n != 1 {
			t.Errorf("%d users", n)
		}
	})
}

// countUsers is how many users are stored.
func countUsers(t *testing.T, url string) (users int) {
	t.Helper()
	if err := databasetest.Open(t, url).Side.QueryRowContext(context.WithoutCancel(t.Context()), "SELECT COUNT(*) FROM users").Scan(&users); err != nil {
		t.Fatal(err)
	}
	return users
}

func TestAWriterThatTurnsReadOnlyIsLeftWithoutAnError(t *testing.T) {
	t.Parallel()
	databasetest.EachServer(t, func(t *testing.T, kind string) {
		first, second := databasetest.Start(t, kind), databasetest.Start(t, kind)
		one, other := humble(t, first, kind), humble(t, second, kind)
		for _, host := range []*databasetest.Server{first, second} { // as if one was the other's copy
			const born = "UPDATE goose_db_version SET tstamp = '2001-02-03 04:05:06'"
			if _, err := databasetest.Open(t, host.URL).Side.ExecContext(t.Context(), born); err != nil {
				t.Fatal(err)
			}
		}
		listed := strings.Replace(one.String(), one.Host, one.Host+","+other.Host, 1)
		s := start(t, "--database", listed, "--log-level", "error")
		only(t, "at first", s.creates(), "")
		executed(t, first, readOnly[kind]...)
		before := counted(t, first)
		only(t, "read-only", s.creates(), "")
		only(t, "read-only", s.reads(), "")
		if here, there := counted(t, first), counted(t, second); here != before || there != busy {
			t.Errorf("%d more were stored at the first host, %d of %d at the second", here-before, there, busy)
		}
		s.becomes(http.StatusOK, "ok")
		executed(t, second, readOnly[kind]...)
		s.becomesUnready("no host of the database takes writes: 1 is read-only, 2 is read-only")
	})
}

func TestReadinessSaysThatNoHostTakesWrites(t *testing.T) {
	databasetest.EachServer(t, func(t *testing.T, kind string) {
		s, nodes, _ := atTwo(t, kind, "--deadline", "1s")
		s.becomes(http.StatusOK, "ok")
		for i, n := range nodes {
			if i == 0 {
				n.Cut()
			} else {
				n.Hang()
			}
		}
		began := time.Now()
		s.becomesUnready("no host of the database takes writes: 1 does not answer, 2 does not answer")
		if took := time.Since(began); took > left {
			t.Errorf("it was ready for another %s", took)
		}
		if code := s.code(create("late@example.com")); code != "TIMEOUT" {
			t.Errorf("without a writer: %q", code)
		}
		nodes[1].Recover()
		s.becomes(http.StatusOK, "ok")
		if code := s.code(create(fmt.Sprintf("back%d@example.com", len(nodes)))); code != "" {
			t.Errorf("with a writer: %q", code)
		}
	})
}
