package graph_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"rollcall/changelog"
	"rollcall/database"
	"rollcall/database/databasetest"
	"rollcall/keyset"
	"rollcall/model"
	"rollcall/session"
)

const (
	userChanged   = `subscription { userChanged { kind userId user { name } } }`
	usersChanged  = `subscription($ids: [ID!]) { userChanged(ids: $ids) { kind userId } }`
	renameUser    = `mutation($id: ID!, $name: String!) { updateUser(input: {id: $id, name: $name}) { user { id } } }`
	createAndFail = `mutation { createUser(input: {name: "A", email: "a@example.com"}) { user { id } } deleteUser(input: {id: "User:999"}) { deletedUserId } }`
)

// withSubscribers runs fn on every database with the API over an empty directory, whose subscriptions have all ended then.
func withSubscribers(t *testing.T, fn func(t *testing.T, d *directory)) {
	databasetest.Each(t, func(t *testing.T, db *database.Database) {
		d := newDirectory(t, db)
		fn(t, d)
		d.wantSubscribers(0)
		wantNoneRunning(t, "rollcall/changelog")
	})
}

// beside is another server at the same database.
func (d *directory) beside() *directory {
	other := *d
	other.server, other.others = newServer(d.db, nil), nil
	other.maxPage(100)
	return &other
}

func (d *directory) wantSubscribers(n int) {
	d.tb.Helper()
	for range 500 {
		if d.subscribers() == n {
			return
		}
		time.Sleep(2 * time.Millisecond)
	}
	d.tb.Errorf("want %d subscribers, got %d", n, d.subscribers())
}

// stream is the events of a subscription.
type stream struct {
	tb     testing.TB
	lines  *bufio.Scanner
	id     string // of the last event
	cancel func()
}

// subscribe returns once the server has confirmed a subscription. Headers are name, value, name, value.
func (d *directory) subscribe(query string, variables map[string]any, headers ...string) *stream {
	d.tb.Helper()
	return d.subscribeBy(map[string]any{"query": query, "variables": variables}, headers...)
}

// subscribeBy is subscribe by the body of a request.
func (d *directory) subscribeBy(asked map[string]any, headers ...string) *stream {
	d.tb.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	body, err := json.Marshal(asked)
	if err != nil {
		d.tb.Fatal(err)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, d.url, bytes.NewReader(body))
	if err != nil {
		d.tb.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Accept", "text/event-stream")
	for i := 0; i < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: time.Minute}
	res, err := client.Do(req)
	if err != nil {
		d.tb.Fatal(err)
	}
	s := &stream{d.tb, bufio.NewScanner(res.Body), "", func() {
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
		if id, ok := strings.CutPrefix(s.lines.Text(), "id: "); ok {
			s.id = id
		}
		if data, ok := strings.CutPrefix(s.lines.Text(), "data: "); ok {
			return data
		}
	}
	return ""
}

// took is an event's data, of whatever field.
type took struct {
	Cursor, Kind, UserID string
	Version              int
	User                 *struct{ Name string }
	Change               *struct {
		Cursor, Kind, ObjectID string
	}
}

// take waits for the next event.
func (s *stream) take() (event took) {
	s.tb.Helper()
	text := s.next()
	var got struct {
		Data   map[string]took
		Errors []any
	}
	if err := json.Unmarshal([]byte(text), &got); err != nil || len(got.Errors) > 0 || len(got.Data) != 1 {
		s.tb.Fatalf("got %q", text)
	}
	for _, event = range got.Data {
		if event.Cursor != "" && event.Cursor != s.id {
			s.tb.Errorf("the id is %q, and the cursor %q", s.id, event.Cursor)
		}
	}
	return event
}

func (s *stream) want(want string) {
	s.tb.Helper()
	if got := s.next(); got != `{"data":{"userChanged":`+want+`}}` {
		s.tb.Errorf("want %s, got %s", want, got)
	}
}

func TestAChangeOfAUserIsDelivered(t *testing.T) {
	withSubscribers(t, func(_ *testing.T, d *directory) {
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
	withSubscribers(t, func(t *testing.T, d *directory) {
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

func TestTheChangesOfAUserComeInTheOrderOfTheirCommits(t *testing.T) {
	withSubscribers(t, func(t *testing.T, d *directory) {
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

// logChanges commits some changes of a user to the log, and changes no user.
func (d *directory) logChanges(user int64, n int, fields string) {
	d.tb.Helper()
	pools := session.Pools{Write: d.db.Write, Side: d.db.Side}
	err := session.Run(d.tb.Context(), pools, session.Write, "log", func(ctx context.Context) error {
		for range n {
			d.changes.Append(ctx, func() *model.Change {
				return &model.Change{At: time.Now(), Kind: model.Updated, Type: model.UserType, ObjectID: user, UserID: &user, Version: 1, Fields: []byte(fields)}
			})
		}
		return nil
	})
	if err != nil {
		d.tb.Fatal(err)
	}
}

func TestAnEventReadsWhatIsStoredWhenItIsDelivered(t *testing.T) {
	withSubscribers(t, func(t *testing.T, d *directory) {
		boss := d.create("Boss", "boss@example.com", nil)
		id := d.create("Ada", "ada@example.com", boss)
		_, number, ok := keyset.ParseID(id)
		if !ok {
			t.Fatal(id)
		}
		s := d.subscribe(`subscription { userChanged { user { name manager { name } } } }`, nil)
		delivered := func(user int64, reads int, want string) {
			t.Helper()
			statements := d.sql.During(func() {
				d.logChanges(user, 1, "[]")
				s.want(want)
			})
			if n := len(slices.DeleteFunc(statements, func(sql string) bool { return !strings.HasPrefix(sql, "SELECT") })); n != reads {
				t.Errorf("want %d reads, got %q", reads, statements)
			}
		}
		delivered(number, 2, `{"user":{"name":"Ada","manager":{"name":"Boss"}}}`)
		if err := d.db.Write.Exec("UPDATE users SET name = 'Chief' WHERE name = 'Boss'").Error; err != nil {
			t.Fatal(err)
		}
		delivered(number, 2, `{"user":{"name":"Ada","manager":{"name":"Chief"}}}`)
		delivered(999, 1, `{"user":null}`) // deleted meanwhile
		if n := inUse(t, d.db); n != 0 {
			t.Errorf("a subscription that waits has %d connections", n)
		}
		s.cancel()
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
	withSubscribers(t, func(t *testing.T, d *directory) {
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
	withSubscribers(t, func(t *testing.T, d *directory) {
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
			if n := d.subscribers(); n != 0 {
				t.Errorf("%v: %d subscribers", c.ids, n)
			}
		}
		d.subscribe(usersChanged, map[string]any{"ids": slices.Repeat([]string{"User:1"}, 100)}).cancel() // just within the bound
	})
}

func TestNothingIsMissedOnceASubscriptionIsConfirmed(t *testing.T) {
	withSubscribers(t, func(_ *testing.T, d *directory) {
		for i := range 50 {
			s := d.subscribe(`subscription { userChanged { userId } }`, nil)
			id := d.create("Ada", fmt.Sprintf("ada%d@example.com", i), nil)
			s.want(fmt.Sprintf(`{"userId":%q}`, id))
			s.cancel()
		}
	})
}

func TestWhatAnotherServerHasAnsweredBeforeIsNoNews(t *testing.T) {
	withSubscribers(t, func(t *testing.T, d *directory) {
		if d.db.Dialect().Embedded() {
			return // whose mutations give the positions
		}
		d.create("Ben", "ben@example.com", nil)
		d.settle()
		for i := range 5 {
			d.changedElsewhere(t, i+2)
			s := d.subscribe(`subscription { userChanged { userId } }`, nil)
			id := d.create("Ada", fmt.Sprintf("ada%d@example.com", i), nil)
			s.want(fmt.Sprintf(`{"userId":%q}`, id))
			s.cancel()
		}
	})
}

func TestASubscriberThatIsTooSlowIsToldWhereToGoOn(t *testing.T) {
	withSubscribers(t, func(t *testing.T, d *directory) {
		ada := d.create("Ada", "ada@example.com", nil)
		var large strings.Builder // so that the network soon takes no more events
		for i := range 100 {
			fmt.Fprintf(&large, " %s%d: userId", strings.Repeat("x", 200), i)
		}
		slow := d.subscribe(`subscription { userChanged { `+large.String()+` } }`, nil)
		prompt, err := d.follower.Subscribe(t.Context(), changelog.Query{})
		if err != nil {
			t.Fatal(err)
		}
		const logged = 3000 // of more bytes than are kept
		for range logged / 500 {
			d.logChanges(1, 500, `["`+strings.Repeat("x", 16<<10)+`"]`)
		}
		for prompt.Until().Position < logged { // so that the slow one is as far behind as it can be
			if _, err := prompt.Next(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		prompt.Close()
		n, cursor, text := 0, "", slow.next()
		for ; strings.HasPrefix(text, `{"data":{`); text = slow.next() {
			n, cursor = n+1, slow.id
		}
		var last answer
		if err := json.Unmarshal([]byte(text), &last); err != nil {
			t.Fatalf("%v: %q", err, text)
		}
		if last.code(t) != "SLOW_SUBSCRIBER" || last.Data != nil || last.Errors[0].Extensions["operationId"] == nil || last.Errors[0].Extensions["cursor"] != cursor {
			t.Errorf("after %s came %s", cursor, text)
		}
		if rest := slow.next(); rest != "" {
			t.Errorf("after the end: %s", rest)
		}
		d.wantSubscribers(0)
		again := d.subscribe(`subscription($after: String) { userChanged(after: $after) { kind userId version } }`, map[string]any{"after": cursor})
		for range logged - n {
			if event := again.take(); event.Version != 1 {
				t.Fatalf("got %v", event)
			}
		}
		d.must(renameUser, "id", ada, "name", "Last")
		if event := again.take(); event.Version != 2 {
			t.Errorf("got %v", event)
		}
		again.cancel()
	})
}

func TestASubscriberGetsAllChangesOfABulk(t *testing.T) {
	withSubscribers(t, func(_ *testing.T, d *directory) {
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

func TestASubscriptionGoesOnAfterACursor(t *testing.T) {
	withSubscribers(t, func(t *testing.T, d *directory) {
		const subscription = `subscription($ids: [ID!], $after: String) { userChanged(ids: $ids, after: $after) { cursor kind userId version user { name } } }`
		s := d.subscribe(subscription, nil)
		ada := d.create("Ada", "ada@example.com", nil)
		created := s.take()
		s.cancel()
		d.wantSubscribers(0)
		bob := d.create("Bob", "bob@example.com", nil)
		d.must(renameUser, "id", ada, "name", "Ada L.")
		d.must(renameUser, "id", bob, "name", "Bob L.")
		d.must(deleteMutation, "id", bob)
		d.settle()

		other := d.beside() // whose follower has not read that
		for _, d := range []*directory{d, other} {
			for _, s := range []*stream{
				d.subscribe(subscription, map[string]any{"after": created.Cursor}),
				d.subscribe(subscription, nil, "Last-Event-ID", created.Cursor),
			} {
				for _, want := range []string{"CREATED " + bob + " 1 -", "UPDATED " + ada + " 2 Ada L.", "UPDATED " + bob + " 2 -", "DELETED " + bob + " 2 -"} {
					event, name := s.take(), "-"
					if event.User != nil {
						name = event.User.Name
					}
					if got := fmt.Sprint(event.Kind, " ", event.UserID, " ", event.Version, " ", name); got != want {
						t.Errorf("want %s, got %s", want, got)
					}
				}
				s.cancel()
			}
			s := d.subscribe(subscription, map[string]any{"after": created.Cursor, "ids": ada})
			if event := s.take(); event.UserID != ada || event.Version != 2 {
				t.Errorf("got %v", event)
			}
			s.cancel()
			d.wantSubscribers(0)
		}
	})
}

func TestLastEventIDBeatsAfterAndIsTheIDOfAnEvent(t *testing.T) {
	withSubscribers(t, func(t *testing.T, d *directory) {
		const subscription = `subscription($after: String) { userChanged(after: $after) { userId } }`
		var ids, events []string
		s := d.subscribe(subscription, nil)
		for i := range 4 {
			events = append(events, d.create("Ada", fmt.Sprintf("ada%d@example.com", i), nil))
			s.want(fmt.Sprintf(`{"userId":%q}`, events[i]))
			ids = append(ids, s.id)
		}
		s.cancel()
		again := d.subscribe(subscription, map[string]any{"after": ids[0]}, "Last-Event-ID", ids[2])
		again.want(fmt.Sprintf(`{"userId":%q}`, events[3]))
		again.cancel()

		// A client that has got no event goes on from where it began.
		none := d.subscribe(subscription, nil)
		if !none.lines.Scan() {
			t.Fatal("nothing is sent at once")
		}
		id, ok := strings.CutPrefix(none.lines.Text(), "id: ")
		none.cancel()
		events = append(events, d.create("Eve", "eve@example.com", nil))
		if !ok {
			t.Fatalf("got %q", id)
		}
		after := d.subscribe(subscription, nil, "Last-Event-ID", id)
		after.want(fmt.Sprintf(`{"userId":%q}`, events[4]))
		after.cancel()

		for _, c := range []struct{ header, after, code, field string }{
			{"x", "", "BAD_USER_INPUT", "Last-Event-ID"},
			{"x", ids[0], "BAD_USER_INPUT", "Last-Event-ID"},
			{strings.Repeat("x", 10_000), ids[0], "BAD_USER_INPUT", "Last-Event-ID"},
			{"", "x", "BAD_USER_INPUT", "after"},
			{"", " " + ids[0], "BAD_USER_INPUT", "after"},
			{"", changelog.At(1_000_000, "x").String(), "CURSOR_EXPIRED", "after"},
			{"", changelog.At(1, "x").String(), "CURSOR_EXPIRED", "after"},
			{changelog.At(1, "x").String(), ids[0], "CURSOR_EXPIRED", "Last-Event-ID"},
		} {
			var headers []string
			variables := map[string]any{}
			if c.header != "" {
				headers = []string{"Last-Event-ID", c.header}
			}
			if c.after != "" {
				variables["after"] = c.after
			}
			s := d.subscribe(subscription, variables, headers...)
			got := s.next()
			if !strings.Contains(got, `"code":"`+c.code+`"`) || !strings.Contains(got, `"field":"`+c.field+`"`) || s.next() != "" {
				t.Errorf("%.20s, %s: got %.300s", c.header, c.after, got)
			}
		}
	})
}

func TestTeamsAndMembershipsAreFollowedToo(t *testing.T) {
	withSubscribers(t, func(t *testing.T, d *directory) {
		ada, bob := d.user("ada"), d.user("bob")
		team, part := d.team("Team"), d.team("Part")
		teams := d.subscribe(`subscription($ids: [ID!]) { changed: teamChanged(ids: $ids) { kind teamId version team { name } } }`, map[string]any{"ids": team})
		ofAda := d.subscribe(`subscription($ids: [ID!]) { changed: membershipChanged(userIds: $ids) { kind version membership { role user { id } team { id } } } }`, map[string]any{"ids": ada})
		inPart := d.subscribe(`subscription($ids: [ID!]) { changed: membershipChanged(teamIds: $ids) { kind membership { user { id } } } }`, map[string]any{"ids": part})
		both := d.subscribe(`subscription($u: [ID!], $t: [ID!]) { changed: membershipChanged(userIds: $u, teamIds: $t) { kind membershipId } }`, map[string]any{"u": ada, "t": []string{part}})
		want := func(s *stream, want string) {
			t.Helper()
			if got := s.next(); got != `{"data":{"changed":`+want+`}}` {
				t.Errorf("want %s, got %s", want, got)
			}
		}
		d.change("addTeamMembers", input{"teamId": team, "members": []input{{"userId": ada}, {"userId": bob}}}, "")
		d.change("addTeamMembers", input{"teamId": part, "members": []input{{"userId": bob}}}, "")
		d.change("setTeamMemberRole", input{"teamId": team, "userId": ada, "role": "OWNER"}, "")
		d.change("updateTeam", input{"id": part, "name": "Part 2"}, "")
		d.change("updateTeam", input{"id": team, "name": "Team 2"}, "")
		d.change("addTeamMembers", input{"teamId": part, "members": []input{{"userId": ada}}}, "")
		d.change("removeTeamMembers", input{"teamId": team, "userIds": []string{ada}}, "")
		want(teams, `{"kind":"UPDATED","teamId":"`+team+`","version":2,"team":{"name":"Team 2"}}`)
		for _, kind := range []string{"CREATED", "UPDATED", "CREATED", "DELETED"} {
			if got := ofAda.next(); !strings.Contains(got, `"kind":"`+kind+`"`) || strings.Contains(got, bob) {
				t.Errorf("want %s, got %s", kind, got)
			}
		}
		want(inPart, `{"kind":"CREATED","membership":{"user":{"id":"`+bob+`"}}}`)
		want(inPart, `{"kind":"CREATED","membership":{"user":{"id":"`+ada+`"}}}`)
		if got := both.next(); !strings.Contains(got, `"CREATED","membershipId":"Membership:`) {
			t.Errorf("got %s", got)
		}
		for _, s := range []*stream{teams, ofAda, inPart, both} {
			s.cancel()
		}
	})
}

func TestASubscriptionOfAllChangesHasBookmarks(t *testing.T) {
	withSubscribers(t, func(t *testing.T, d *directory) {
		d.bookmark = 50 * time.Millisecond
		d.maxPage(100)
		const subscription = `subscription($after: String, $kinds: [ChangeKind!], $types: [ChangeType!], $ids: [ID!]) {
			changes(after: $after, kinds: $kinds, types: $types, ids: $ids) { cursor change { cursor kind objectId } } }`
		all := d.subscribe(subscription, nil)
		teams := d.subscribe(subscription, map[string]any{"types": []string{"TEAM"}, "kinds": []string{"CREATED"}})
		began := all.take()
		if began.Change != nil || began.Cursor == "" || teams.take().Change != nil {
			t.Errorf("the first event is %v", began)
		}
		ada := d.user("ada")
		team := d.team("Team")
		d.change("updateTeam", input{"id": team, "name": "Team 2"}, "")
		next := func(s *stream) string {
			for {
				if event := s.take(); event.Change != nil {
					if event.Cursor != event.Change.Cursor {
						t.Errorf("the cursors of %v differ", event)
					}
					return event.Change.Kind + " " + event.Change.ObjectID
				}
			}
		}
		for _, want := range []string{"CREATED " + ada, "CREATED " + team, "UPDATED " + team} {
			if got := next(all); got != want {
				t.Errorf("want %s, got %s", want, got)
			}
		}
		if got := next(teams); got != "CREATED "+team {
			t.Errorf("got %s", got)
		}
		// A bookmark is as good as a change to go on from.
		now, err := d.changes.Now(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for teams.id != now.Cursor.String() {
			if event := teams.take(); event.Change != nil {
				t.Errorf("got %v", event)
			}
		}
		all.cancel()
		teams.cancel()
		d.change("updateUser", input{"id": ada, "name": "Ada L."}, "")
		d.change("deleteUser", input{"id": ada}, "")
		d.settle()
		again := d.subscribe(subscription, map[string]any{"ids": []string{ada, team}}, "Last-Event-ID", teams.id)
		for _, want := range []string{"UPDATED " + ada, "DELETED " + ada} {
			if event := again.take(); event.Change == nil || event.Change.Kind+" "+event.Change.ObjectID != want {
				t.Errorf("want %s at once, got %v", want, event)
			}
		}
		again.cancel()
		missed := d.subscribe(subscription, map[string]any{"after": began.Cursor})
		for range 5 { // all that was missed, and then a bookmark
			if event := missed.take(); event.Change == nil {
				t.Error("a bookmark comes before all that was missed")
			}
		}
		if event := missed.take(); event.Change != nil {
			t.Errorf("got %v", event)
		}
		missed.cancel()
		for _, c := range []struct {
			variables map[string]any
			field     string
		}{
			{map[string]any{"kinds": []string{}}, "kinds"},
			{map[string]any{"types": []string{}}, "types"},
			{map[string]any{"ids": []string{}}, "ids"},
			{map[string]any{"ids": []string{ada, "x"}}, "ids.1"},
			{map[string]any{"ids": slices.Repeat([]string{ada}, 101)}, "ids"},
		} {
			s := d.subscribe(subscription, c.variables)
			if got := s.next(); !strings.Contains(got, `"code":"BAD_USER_INPUT"`) || !strings.Contains(got, `"field":"`+c.field+`"`) {
				t.Errorf("%v: got %s", c.variables, got)
			}
		}
	})
}

func TestAChangeReachesSubscribersAtEveryServer(t *testing.T) {
	withSubscribers(t, func(_ *testing.T, d *directory) {
		servers := []*directory{d, d.beside(), d.beside()}
		var all []*stream
		for _, server := range servers {
			all = append(all, server.subscribe(usersChanged, nil))
		}
		for i, server := range servers {
			id := server.create("Ada", fmt.Sprintf("ada%d@example.com", i), nil)
			for _, s := range all {
				s.want(fmt.Sprintf(`{"kind":"CREATED","userId":%q}`, id))
			}
		}
		for i, s := range all {
			s.cancel()
			servers[i].wantSubscribers(0)
		}
	})
}

func TestACancelledSubscriptionLeavesNothing(t *testing.T) {
	withSubscribers(t, func(t *testing.T, d *directory) {
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
		d.wantSubscribers(0)
		wantNoneRunning(t, "rollcall/batch", "rollcall/changelog", "rollcall/session", "rollcall/transport")
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
