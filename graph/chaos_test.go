package graph_test

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"rollcall/database/databasetest"
	"rollcall/keyset"
	"rollcall/model"
)

const (
	chaosClients  = 6
	chaosCounters = 5  // users whose title is a number that all clients count up
	chaosBulk     = 20 // entries
	chaosEmails   = 60 // that all clients want
)

// turmoil is clients that change one directory, each mutation with a key under which it is sent until it has an answer that tells what
// became of it, while connections to the database are killed.
type turmoil struct {
	*directory
	t        *testing.T
	counters []string // ids
	counted  []atomic.Int64
	keys     atomic.Int64
	// What answers told.
	lost, conflicts, created, deleted, refused, killed atomic.Int64
}

func TestBulksVersionsAndKeysHoldWhileConnectionsAreKilled(t *testing.T) {
	lasts := time.Second
	if text := os.Getenv("ROLLCALL_TEST_CHAOS"); text != "" {
		var err error
		if lasts, err = time.ParseDuration(text); err != nil {
			t.Fatalf("ROLLCALL_TEST_CHAOS: %v", err)
		}
	}
	onEveryDatabase(t, func(t *testing.T, d *directory) {
		m := &turmoil{directory: d, t: t, counted: make([]atomic.Int64, chaosCounters)}
		for i := range chaosCounters {
			m.counters = append(m.counters, d.create("Counter", fmt.Sprintf("counter%d@example.com", i), nil))
		}
		ctx, cancel := context.WithTimeout(t.Context(), lasts)
		defer cancel()
		var clients sync.WaitGroup
		for range chaosClients {
			clients.Go(func() {
				for n := 0; ctx.Err() == nil || n < 6; n++ { // whoever was slow has tried each
					[]func(){m.count, m.createEach, m.countAll, m.deleteEach}[n%4]()
				}
			})
		}
		clients.Go(func() { m.killed.Store(databasetest.Kill(ctx, d.db, 20*time.Millisecond)) }) // so that most mutations succeed
		clients.Wait()
		m.check()
		t.Logf("%d counted, %d created, %d deleted; %d conflicts, %d entries refused; %d answers told nothing, %d connections were killed",
			m.sum(), m.created.Load(), m.deleted.Load(), m.conflicts.Load(), m.refused.Load(), m.lost.Load(), m.killed.Load())
		if m.sum() == 0 || m.created.Load() == 0 || m.refused.Load() == 0 {
			t.Error("of some fate there was none")
		}
	})
}

// certain sends a mutation under a key of its own until an answer tells what became of it.
func (m *turmoil) certain(mutation string, variables ...any) answer {
	key := fmt.Sprint("chaos ", m.keys.Add(1))
	began := time.Now()
	for {
		a := m.send(mutation, append([]any{"key", key}, variables...)...)
		if len(a.Errors) == 0 {
			return a
		}
		switch code, _ := a.Errors[0].Extensions["code"].(string); code {
		case "BAD_USER_INPUT", "NOT_FOUND", "CONFLICT":
			return a
		}
		m.lost.Add(1)
		if time.Since(began) > time.Minute {
			m.t.Errorf("no answer in a minute: %s", a.raw)
			return a
		}
	}
}

// ask sends a query until it is answered.
func (m *turmoil) ask(query string, variables ...any) answer {
	for began := time.Now(); ; {
		if a := m.send(query, variables...); len(a.Errors) == 0 || time.Since(began) > time.Minute {
			return a
		}
	}
}

// count counts one user's title up, from the version that it has read.
func (m *turmoil) count() {
	i := rand.IntN(chaosCounters)
	read := m.ask(`query($id: ID!) { user(id: $id) { title version } }`, "id", m.counters[i])
	a := m.certain(`mutation($input: UpdateUserInput!, $key: String!) @idempotent(key: $key) { updateUser(input: $input) { user { title version } } }`,
		"input", input{"id": m.counters[i], "title": next(read.at(m.t, "user.title")), "expectedVersion": read.at(m.t, "user.version")})
	switch {
	case len(a.Errors) == 0:
		m.counted[i].Add(1)
	case a.code(m.t) != "CONFLICT" || a.Errors[0].Extensions["currentVersion"] == nil:
		m.t.Errorf("got %s", a.raw)
	default:
		m.conflicts.Add(1)
	}
}

// next is the number that follows a title.
func next(title any) string {
	n, _ := strconv.Atoi(fmt.Sprint(title))
	return strconv.Itoa(n + 1)
}

// countAll does so for all of these users by a bulk, in which some may lose.
func (m *turmoil) countAll() {
	read := m.ask(`query($ids: [ID!]!) { nodes(ids: $ids) { ... on User { title version } } }`, "ids", m.counters)
	var users []input
	for i, id := range m.counters {
		at := fmt.Sprintf("nodes.%d.", i)
		users = append(users, input{"id": id, "title": next(read.at(m.t, at+"title")), "expectedVersion": read.at(m.t, at+"version")})
	}
	a := m.certain(`mutation($users: [UpdateUserInput!]!, $key: String!) @idempotent(key: $key) {
		updateUsers(input: {users: $users, mode: EACH}) { results { user { id } error { code currentVersion } } } }`, "users", users)
	for i, r := range m.results(a, "updateUsers") {
		switch {
		case r.Error == nil:
			m.counted[i].Add(1)
		case r.Error.Code != "CONFLICT" || r.Error.CurrentVersion == nil:
			m.t.Errorf("entry %d: %s", i, a.raw)
		default:
			m.conflicts.Add(1)
		}
	}
}

// entryResult is a result of a bulk.
type entryResult struct {
	User          *struct{ ID string }
	DeletedUserID string
	Error         *struct {
		Code           string
		CurrentVersion *int64
	}
}

func (m *turmoil) results(a answer, bulk string) []entryResult {
	if len(a.Errors) > 0 {
		m.t.Errorf("got %s", a.raw)
		return nil
	}
	var parsed struct {
		Data map[string]struct{ Results []entryResult }
	}
	if err := json.Unmarshal([]byte(a.raw), &parsed); err != nil {
		m.t.Errorf("%v: %s", err, a.raw)
	}
	return parsed.Data[bulk].Results
}

// createEach creates users with emails that others want too, each below the one before.
func (m *turmoil) createEach() {
	var users []input
	for n, email := range rand.Perm(chaosEmails)[:chaosBulk] {
		user := input{"name": fmt.Sprint("Wanted ", email), "email": fmt.Sprintf("wanted%d@example.com", email), "title": "Wanted"}
		if n > 0 && n%3 == 0 {
			user["managerRef"] = n - 1
		}
		users = append(users, user)
	}
	a := m.certain(`mutation($users: [CreateUserInput!]!, $key: String!) @idempotent(key: $key) {
		createUsers(input: {users: $users, mode: EACH}) { results { user { id } error { code } } } }`, "users", users)
	for _, r := range m.results(a, "createUsers") {
		if r.Error != nil {
			m.refused.Add(1)
		} else {
			m.created.Add(1)
		}
	}
}

// deleteEach deletes some of them.
func (m *turmoil) deleteEach() {
	read := m.ask(`{ users(first: 100, filter: {title: {eq: "wanted"}}) { nodes { id } } }`)
	var users []input
	for _, node := range read.at(m.t, "users.nodes").([]any) {
		if rand.IntN(3) == 0 && len(users) < chaosBulk {
			users = append(users, input{"id": node.(map[string]any)["id"]})
		}
	}
	if len(users) == 0 {
		return
	}
	a := m.certain(`mutation($users: [DeleteUserInput!]!, $key: String!) @idempotent(key: $key) {
		deleteUsers(input: {users: $users, mode: EACH}) { results { deletedUserId error { code } } } }`, "users", users)
	for _, r := range m.results(a, "deleteUsers") {
		if r.Error == nil {
			m.deleted.Add(1)
		}
	}
}

func (m *turmoil) sum() (n int64) {
	for i := range m.counted {
		n += m.counted[i].Load()
	}
	return n
}

// check compares what is stored with what the answers told, and with what is derived from it.
func (m *turmoil) check() {
	for i, id := range m.counters {
		a := m.ask(`query($id: ID!) { user(id: $id) { title version } }`, "id", id)
		n := m.counted[i].Load()
		if title := a.at(m.t, "user.title"); n > 0 && title != fmt.Sprint(n) || a.at(m.t, "user.version") != float64(n+1) {
			m.t.Errorf("%s was counted %d times, and is %s", id, n, a.raw)
		}
	}
	users := m.created.Load() - m.deleted.Load() + chaosCounters
	if n := m.ask(`{ users { totalCount } }`).at(m.t, "users.totalCount"); n != float64(users) {
		m.t.Errorf("there are %v users, and %d by the answers", n, users)
	}
	var stored []*model.User
	if err := m.db.Write.Find(&stored).Error; err != nil || int64(len(stored)) != users {
		m.t.Errorf("there are %d rows, and %d users by the answers: %v", len(stored), users, err)
	}
	var words []struct {
		Word   string
		UserID int64
	}
	if err := m.db.Write.Table("user_words").Order("user_id, word").Find(&words).Error; err != nil {
		m.t.Error(err)
	}
	of := map[int64][]string{}
	for _, w := range words {
		of[w.UserID] = append(of[w.UserID], w.Word)
	}
	for _, u := range stored {
		want := slices.Sorted(slices.Values(u.Words()))
		if got := slices.Sorted(slices.Values(of[u.ID])); !slices.Equal(got, want) {
			m.t.Errorf("%s is found by %s, not by %s", keyset.ID("User", u.ID), strings.Join(got, " "), strings.Join(want, " "))
		}
	}
}
