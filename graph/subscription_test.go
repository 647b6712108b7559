package graph_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"rollcall/database"
	"rollcall/database/databasetest"
	"rollcall/event"
	"rollcall/graph"
	"rollcall/keyset"
	"rollcall/model"
)

const (
	userChanged   = `subscription { userChanged { kind userId user { name } } }`
	usersChanged  = `subscription($ids: [ID!]) { userChanged(ids: $ids) { kind userId } }`
	renameUser    = `mutation($id: ID!, $name: String!) { updateUser(input: {id: $id, name: $name}) { user { id } } }`
	createAndFail = `mutation { createUser(input: {name: "A", email: "a@example.com"}) { user { id } } deleteUser(input: {id: "User:999"}) { deletedUserId } }`
)

// withEvents runs fn on every database with the API over an empty directory, and what carries its events.
func withEvents(t *testing.T, fn func(t *testing.T, d *directory, events *event.Local)) {
	databasetest.Each(t, func(t *testing.T, db *database.Database) {
		d, events := newDirectory(t, db), &event.Local{}
		d.carry(events)
		fn(t, d, events)
		d.wantSubscribers(events, 0)
	})
}

// carry serves the API anew with a broker.
func (d *directory) carry(events event.Broker) {
	server := httptest.NewServer(graph.NewHandler(graph.Config{
		Database: d.db,
		Proof:    proof(d.db),
		Log:      d.changes,
		Deadline: 20 * time.Second,
		MaxPage:  100,
		Logger:   slog.New(slog.NewTextHandler(&lockedWriter{w: d.log}, nil)),
		Events:   events,
	}))
	d.tb.Cleanup(server.Close)
	d.url = server.URL
}

func (d *directory) wantSubscribers(events *event.Local, n int) {
	d.tb.Helper()
	for range 500 {
		if events.Subscribers() == n {
			return
		}
		time.Sleep(2 * time.Millisecond)
	}
	d.tb.Errorf("want %d subscribers, got %d", n, events.Subscribers())
}

// stream is the events of a subscription.
type stream struct {
	tb     testing.TB
	lines  *bufio.Scanner
	cancel func()
}

// subscribe returns once the server has confirmed a subscription.
func (d *directory) subscribe(query string, variables map[string]any) *stream {
	d.tb.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	body, err := json.Marshal(map[string]any{"query": query, "variables": variables})
	if err != nil {
		d.tb.Fatal(err)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, d.url, bytes.NewReader(body))
	if err != nil {
		d.tb.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Accept", "text/event-stream")
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: 30 * time.Second}
	res, err := client.Do(req)
	if err != nil {
		d.tb.Fatal(err)
	}
	s := &stream{d.tb, bufio.NewScanner(res.Body), func() {
		cancel()
		_ = res.Body.Close()
	}}
	s.lines.Buffer(nil, 1<<20)
	d.tb.Cleanup(s.cancel)
	return s
}

// next waits for the next event. It returns "" at the end.
func (s *stream) next() string {
	s.tb.Helper()
	for s.lines.Scan() {
		if data, ok := strings.CutPrefix(s.lines.Text(), "data: "); ok {
			return data
		}
	}
	return ""
}

func (s *stream) want(want string) {
	s.tb.Helper()
	if got := s.next(); got != `{"data":{"userChanged":`+want+`}}` {
		s.tb.Errorf("want %s, got %s", want, got)
	}
}

func TestAChangeOfAUserIsDelivered(t *testing.T) {
	withEvents(t, func(_ *testing.T, d *directory, _ *event.Local) {
		s := d.subscribe(userChanged, nil)
		defer s.cancel()
		id := d.create("Ada", "ada@example.com", nil)
		s.want(`{"kind":"CREATED","userId":"` + id + `","user":{"name":"Ada"}}`)
		d.must(renameUser, "id", id, "name", "Ada L.")
		s.want(`{"kind":"UPDATED","userId":"` + id + `","user":{"name":"Ada L."}}`)
		d.must(updateMutation, "input", input{"id": id}) // changes nothing
		d.must(renameUser, "id", id, "name", "Ada K.")
		s.want(`{"kind":"UPDATED","userId":"` + id + `","user":{"name":"Ada K."}}`)
		d.must(deleteMutation, "id", id)
		s.want(`{"kind":"DELETED","userId":"` + id + `","user":null}`)
	})
}

func TestAChangeThatIsTakenBackIsNotDelivered(t *testing.T) {
	withEvents(t, func(t *testing.T, d *directory, _ *event.Local) {
		s := d.subscribe(userChanged, nil)
		defer s.cancel()
		for range 3 {
			if a := d.send(createAndFail); a.code(t) != "NOT_FOUND" {
				t.Fatalf("got %s", a.raw)
			}
		}
		id := d.create("Ada", "ada@example.com", nil)
		s.want(`{"kind":"CREATED","userId":"` + id + `","user":{"name":"Ada"}}`)
	})
}

// witness is a broker that looks whether what is published is stored.
type witness struct {
	event.Local
	db *database.Database

	mu        sync.Mutex
	published []string
}

func (w *witness) Publish(c *model.UserChange) {
	var names []string
	err := w.db.Read.WithContext(context.Background()).Model(&model.User{}).Where("id = ?", c.UserID).Pluck("name", &names).Error
	w.mu.Lock()
	defer w.mu.Unlock()
	w.published = append(w.published, fmt.Sprint(c.Kind, " ", names, " ", err))
	w.Local.Publish(c)
}

func TestAChangeIsPublishedOnceItIsStored(t *testing.T) {
	onEveryDatabase(t, func(t *testing.T, d *directory) {
		w := &witness{db: d.db}
		d.carry(w)
		id := d.create("Ada", "ada@example.com", nil)
		d.send(createAndFail)
		d.must(renameUser, "id", id, "name", "Ada L.")
		d.must(deleteMutation, "id", id)
		if got, want := fmt.Sprint(w.published), "[CREATED [Ada] <nil> UPDATED [Ada L.] <nil> DELETED [] <nil>]"; got != want {
			t.Errorf("want %s, got %s", want, got)
		}
	})
}

func TestTheChangesOfAUserComeInTheOrderOfTheirCommits(t *testing.T) {
	withEvents(t, func(t *testing.T, d *directory, _ *event.Local) {
		const users, clients, renames = 4, 4, 6
		s := d.subscribe(`subscription { userChanged { kind userId } }`, nil)
		defer s.cancel()
		var mu sync.Mutex
		renamed := map[string]int{}
		var all sync.WaitGroup
		for u := range users {
			all.Go(func() {
				id := d.create("A", fmt.Sprintf("a%d@example.com", u), nil)
				var renaming sync.WaitGroup
				for c := range clients {
					renaming.Go(func() {
						for i := range renames {
							if c == 0 && i == renames/2 {
								d.must(deleteMutation, "id", id)
							}
							if a := d.send(renameUser, "id", id, "name", fmt.Sprintf("A%d.%d", c, i)); len(a.Errors) == 0 {
								mu.Lock()
								renamed[id]++
								mu.Unlock()
							}
						}
					})
				}
				renaming.Wait()
			})
		}
		all.Wait()
		last := d.create("End", "end@example.com", nil)
		kinds := map[string][]string{}
		for kinds[last] == nil {
			var got struct {
				Data struct {
					UserChanged struct{ Kind, UserID string }
				}
			}
			if err := json.Unmarshal([]byte(s.next()), &got); err != nil {
				t.Fatal(err)
			}
			kinds[got.Data.UserChanged.UserID] = append(kinds[got.Data.UserChanged.UserID], got.Data.UserChanged.Kind)
		}
		for id, n := range renamed {
			want := append(append([]string{"CREATED"}, slices.Repeat([]string{"UPDATED"}, n)...), "DELETED")
			if !slices.Equal(kinds[id], want) {
				t.Errorf("%s: want %v, got %v", id, want, kinds[id])
			}
		}
		if len(renamed) != users {
			t.Errorf("want %d users, got %v", users, renamed)
		}
	})
}

func TestAnEventReadsWhatIsStoredWhenItIsDelivered(t *testing.T) {
	withEvents(t, func(t *testing.T, d *directory, events *event.Local) {
		boss := d.create("Boss", "boss@example.com", nil)
		id := d.create("Ada", "ada@example.com", boss)
		_, number, ok := keyset.ParseID(id)
		if !ok {
			t.Fatal(id)
		}
		s := d.subscribe(`subscription { userChanged { user { name manager { name } } } }`, nil)
		defer s.cancel()
		publish := func(user int64, statements int, want string) {
			t.Helper()
			d.wantStatements(t, statements, func() {
				events.Publish(&model.UserChange{Kind: model.Updated, UserID: user})
				s.want(want)
			})
		}
		publish(number, 2, `{"user":{"name":"Ada","manager":{"name":"Boss"}}}`)
		if err := d.db.Write.Exec("UPDATE users SET name = 'Chief' WHERE name = 'Boss'").Error; err != nil {
			t.Fatal(err)
		}
		publish(number, 2, `{"user":{"name":"Ada","manager":{"name":"Chief"}}}`)
		publish(999, 1, `{"user":null}`) // deleted meanwhile
		if n := inUse(t, d.db); n != 0 {
			t.Errorf("a subscription that waits has %d connections", n)
		}
	})
}

func inUse(t *testing.T, db *database.Database) int {
	t.Helper()
	pool, err := db.Read.DB()
	if err != nil {
		t.Fatal(err)
	}
	return pool.Stats().InUse
}

func TestASubscriberOfSomeUsersGetsTheirsOnly(t *testing.T) {
	withEvents(t, func(t *testing.T, d *directory, _ *event.Local) {
		a, b := d.create("A", "a@example.com", nil), d.create("B", "b@example.com", nil)
		one := d.subscribe(usersChanged, map[string]any{"ids": b})
		both := d.subscribe(usersChanged, map[string]any{"ids": []string{a, b, a}})
		all := d.subscribe(usersChanged, map[string]any{"ids": nil})
		for _, s := range []*stream{one, both, all} {
			defer s.cancel()
		}
		d.create("C", "c@example.com", nil)
		d.must(deleteMutation, "id", a)
		d.must(deleteMutation, "id", b)
		one.want(`{"kind":"DELETED","userId":"` + b + `"}`)
		both.want(`{"kind":"DELETED","userId":"` + a + `"}`)
		both.want(`{"kind":"DELETED","userId":"` + b + `"}`)
		if got := all.next(); !strings.Contains(got, "CREATED") {
			t.Errorf("got %s", got)
		}
	})
}

func TestASubscriptionToWhatIsNotAUserIsRefused(t *testing.T) {
	withEvents(t, func(t *testing.T, d *directory, events *event.Local) {
		for _, c := range []struct {
			ids   any
			field string
		}{
			{[]string{}, "ids"},
			{[]string{"User:1", "x"}, "ids.1"},
			{"Team:1", "ids.0"},
			{[]string{""}, "ids.0"},
			{slices.Repeat([]string{"User:1"}, 101), "ids"},
		} {
			s := d.subscribe(usersChanged, map[string]any{"ids": c.ids})
			got := s.next()
			if !strings.Contains(got, `"code":"BAD_USER_INPUT"`) || !strings.Contains(got, `"field":"`+c.field+`"`) || s.next() != "" {
				t.Errorf("%v: want the field %s, got %s", c.ids, c.field, got)
			}
			if n := events.Subscribers(); n != 0 {
				t.Errorf("%v: %d subscribers", c.ids, n)
			}
		}
		d.subscribe(usersChanged, map[string]any{"ids": slices.Repeat([]string{"User:1"}, 100)}).cancel() // just within the bound
	})
}

func TestNothingIsMissedOnceASubscriptionIsConfirmed(t *testing.T) {
	withEvents(t, func(_ *testing.T, d *directory, events *event.Local) {
		for i := range 50 {
			s := d.subscribe(`subscription { userChanged { userId } }`, nil)
			events.Publish(&model.UserChange{Kind: model.Updated, UserID: int64(i + 1)})
			s.want(fmt.Sprintf(`{"userId":"User:%d"}`, i+1))
			s.cancel()
		}
	})
}

func TestASubscriberThatIsTooSlowIsToldSo(t *testing.T) {
	withEvents(t, func(t *testing.T, d *directory, events *event.Local) {
		d.create("Ada", "ada@example.com", nil)
		for _, selection := range []string{`__typename`, `changed: user { name }`} {
			const published = 20000
			s := d.subscribe(`subscription { userChanged { `+selection+` } }`, nil)
			for range published {
				events.Publish(&model.UserChange{Kind: model.Updated, UserID: 1})
			}
			n, got := 0, s.next()
			for ; strings.HasPrefix(got, `{"data":{`); got = s.next() {
				n++
			}
			var last answer
			if err := json.Unmarshal([]byte(got), &last); err != nil {
				t.Fatalf("%v: %q", err, got)
			}
			if last.code(t) != "SLOW_SUBSCRIBER" || last.Data != nil || last.Errors[0].Extensions["operationId"] == nil {
				t.Errorf("got %s", got)
			}
			if n < 1024 || n >= published {
				t.Errorf("%d of %d events were delivered", n, published)
			}
			if rest := s.next(); rest != "" {
				t.Errorf("after the end: %s", rest)
			}
			d.wantSubscribers(events, 0)
		}
	})
}

func TestASubscriberGetsAllChangesOfABulk(t *testing.T) {
	withEvents(t, func(_ *testing.T, d *directory, _ *event.Local) {
		s := d.subscribe(`subscription { userChanged { kind } }`, nil)
		users := make([]input, 1000)
		for i := range users {
			users[i] = input{"name": "Ada", "email": fmt.Sprintf("ada%d@example.com", i)}
		}
		d.must(`mutation($users: [CreateUserInput!]!) { createUsers(input: {users: $users}) { results { user { id } } } }`, "users", users)
		for range users {
			s.want(`{"kind":"CREATED"}`)
		}
		s.cancel()
	})
}

func TestACancelledSubscriptionLeavesNothing(t *testing.T) {
	withEvents(t, func(t *testing.T, d *directory, events *event.Local) {
		var all []*stream
		for range 20 {
			all = append(all, d.subscribe(userChanged, nil))
		}
		d.create("Ada", "ada@example.com", nil)
		for i, s := range all {
			if i%2 == 0 {
				s.next()
			}
			s.cancel()
		}
		d.wantSubscribers(events, 0)
		wantNoneRunning(t, "rollcall/batch", "rollcall/event", "rollcall/session", "rollcall/transport")
		for range 500 { // a cancelled statement returns its connection when the driver has noticed
			if inUse(t, d.db) == 0 {
				return
			}
			time.Sleep(2 * time.Millisecond)
		}
		t.Errorf("%d connections are in use", inUse(t, d.db))
	})
}

// wantNoneRunning fails if a goroutine stays in one of these packages.
func wantNoneRunning(t *testing.T, packages ...string) {
	t.Helper()
	stacks := make([]byte, 1<<20)
	for range 500 {
		all := string(stacks[:runtime.Stack(stacks, true)])
		if !slices.ContainsFunc(packages, func(name string) bool { return strings.Contains(all, "\n"+name+".") }) {
			return
		}
		time.Sleep(2 * time.Millisecond)
	}
	t.Errorf("goroutines are left:\n%s", stacks)
}
