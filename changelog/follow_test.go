package changelog_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"rollcall/apierror"
	"rollcall/changelog"
	"rollcall/database"
	"rollcall/database/databasetest"
	"rollcall/model"
	"rollcall/session"
)

// process is one of the servers at a database, as far as the log of changes goes.
type process struct {
	*changelog.Log
	*changelog.Follower
	t     *testing.T
	db    *database.Database
	pools session.Pools
}

func newProcess(t *testing.T, db *database.Database, o changelog.FollowOptions) *process {
	t.Helper()
	p := &process{
		Log: &changelog.Log{DB: db.Side, Dialect: db.Dialect()}, t: t, db: db,
		pools: session.Pools{Write: db.Write, Read: db.Read, Side: db.Side, Deadline: time.Minute},
	}
	if err := p.pools.Install(); err != nil {
		t.Fatal(err)
	}
	p.Follower = changelog.NewFollower(p.Log, o)
	return p
}

const never = time.Hour // a poll that does not come

// eachFollowed runs fn on every database with a process that finds by itself what it has changed, and by nothing else.
func eachFollowed(t *testing.T, fn func(t *testing.T, p *process)) {
	databasetest.Each(t, func(t *testing.T, db *database.Database) {
		fn(t, newProcess(t, db, changelog.FollowOptions{Poll: never}))
		wantNoGoroutines(t)
	})
}

func wantNoGoroutines(t *testing.T) {
	t.Helper()
	stacks := make([]byte, 4<<20)
	for range 2500 {
		if !strings.Contains(string(stacks[:runtime.Stack(stacks, true)]), "changelog.(*") {
			return
		}
		time.Sleep(2 * time.Millisecond)
	}
	t.Errorf("goroutines are left:\n%s", stacks)
}

// user is a change of a user.
func user(id int64) *model.Change {
	return &model.Change{Kind: model.Updated, Type: model.UserType, ObjectID: id, UserID: &id}
}

func team(id int64) *model.Change {
	return &model.Change{Kind: model.Created, Type: model.TeamType, ObjectID: id, TeamID: &id}
}

func membership(id, user, team int64) *model.Change {
	return &model.Change{Kind: model.Deleted, Type: model.MembershipType, ObjectID: id, UserID: &user, TeamID: &team}
}

func token(id, owner int64) *model.Change {
	return &model.Change{Kind: model.Revoked, Type: model.APITokenType, ObjectID: id, UserID: &owner}
}

// write commits changes in one operation.
func (p *process) write(changes ...*model.Change) {
	err := session.Run(context.Background(), p.pools, session.Write, "write", func(ctx context.Context) error {
		for _, c := range changes {
			p.Append(ctx, func() *model.Change {
				c.At, c.Version = time.Now(), 1
				if c.Fields == nil {
					c.Fields = []byte("[]")
				}
				return c
			})
		}
		return nil
	})
	if err != nil {
		p.t.Error(err)
	}
}

// writeMany commits n changes of a user in one operation.
func (p *process) writeMany(n int) {
	changes := make([]*model.Change, n)
	for i := range changes {
		changes[i] = user(1)
	}
	p.write(changes...)
}

func (p *process) settle() {
	p.t.Helper()
	if err := p.Settle(p.t.Context()); err != nil {
		p.t.Fatal(err)
	}
}

// subscribed is a subscription and what it got.
type subscribed struct {
	*changelog.Subscription
	t *testing.T
}

func (p *process) subscribe(q changelog.Query) *subscribed {
	p.t.Helper()
	s, err := p.Subscribe(p.t.Context(), q)
	if err != nil {
		p.t.Fatal(err)
	}
	p.t.Cleanup(s.Close)
	return &subscribed{s, p.t}
}

// next returns the next page, or fails.
func (s *subscribed) next() *changelog.Page {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.t.Context(), 30*time.Second)
	defer cancel()
	page, err := s.Next(ctx)
	if err != nil {
		s.t.Fatal(err)
	}
	return page
}

// take returns the next n changes.
func (s *subscribed) take(n int) (changes []*model.Change) {
	s.t.Helper()
	for len(changes) < n {
		changes = append(changes, s.next().Changes...)
	}
	return changes
}

// want fails unless these changes come next, as "USER 1".
func (s *subscribed) want(want ...string) {
	s.t.Helper()
	got := make([]string, 0, len(want))
	for _, c := range s.take(len(want)) {
		got = append(got, fmt.Sprint(c.Type, " ", c.ObjectID))
	}
	if !slices.Equal(got, want) {
		s.t.Errorf("want %q, got %q", want, got)
	}
}

// wantNone fails if a change comes soon.
func (s *subscribed) wantNone() {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.t.Context(), 20*time.Millisecond)
	defer cancel()
	if page, err := s.Next(ctx); err == nil {
		s.t.Errorf("got %d changes", len(page.Changes))
	}
}

func TestASubscriberGetsWhatItAsksForFromACursorOrFromNowOn(t *testing.T) {
	eachFollowed(t, func(t *testing.T, p *process) {
		before, err := p.Now(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		changes := func() []*model.Change {
			return []*model.Change{user(1), user(2), team(1), membership(1, 1, 1), membership(2, 2, 1), membership(3, 1, 2), team(2), token(1, 1)}
		}
		users := changelog.Query{Types: []model.ChangeType{model.UserType}}
		tokens := []model.ChangeType{model.APITokenType}
		cases := []struct {
			what string
			changelog.Query
			want []string
		}{
			{"all", changelog.Query{}, []string{"USER 1", "USER 2", "TEAM 1", "MEMBERSHIP 1", "MEMBERSHIP 2", "MEMBERSHIP 3", "TEAM 2", "API_TOKEN 1"}},
			{"users", users, []string{"USER 1", "USER 2"}},
			{"kinds", changelog.Query{Kinds: []model.ChangeKind{model.Created, model.Updated}}, []string{"USER 1", "USER 2", "TEAM 1", "TEAM 2"}},
			{"objects", changelog.Query{Objects: []changelog.Object{{Type: model.TeamType, ID: 2}, {Type: model.UserType, ID: 2}, {Type: model.UserType, ID: 2}}}, []string{"USER 2", "TEAM 2"}},
			{"of a user", changelog.Query{Users: []int64{1}}, []string{"USER 1", "MEMBERSHIP 1", "MEMBERSHIP 3", "API_TOKEN 1"}},
			{"all but tokens", changelog.Query{Except: tokens}, []string{"USER 1", "USER 2", "TEAM 1", "MEMBERSHIP 1", "MEMBERSHIP 2", "MEMBERSHIP 3", "TEAM 2"}},
			{"all but two types", changelog.Query{Except: append(users.Types, tokens...)}, []string{"TEAM 1", "MEMBERSHIP 1", "MEMBERSHIP 2", "MEMBERSHIP 3", "TEAM 2"}},
			{"of a user, but no tokens", changelog.Query{Users: []int64{1}, Except: tokens}, []string{"USER 1", "MEMBERSHIP 1", "MEMBERSHIP 3"}},
			{"types, one of which is left out", changelog.Query{Types: append(tokens, model.TeamType), Except: tokens}, []string{"TEAM 1", "TEAM 2"}},
			{"memberships of a user", changelog.Query{Types: []model.ChangeType{model.MembershipType}, Users: []int64{1}}, []string{"MEMBERSHIP 1", "MEMBERSHIP 3"}},
			{"in a team", changelog.Query{Teams: []int64{1}}, []string{"TEAM 1", "MEMBERSHIP 1", "MEMBERSHIP 2"}},
			{"of a user in a team", changelog.Query{Users: []int64{1}, Teams: []int64{2}}, []string{"MEMBERSHIP 3"}},
		}
		p.write(changes()...)
		p.settle()
		for _, c := range cases {
			fresh := p.subscribe(c.Query)
			c.After = &before.Cursor
			resumed := p.subscribe(c.Query)
			fresh.wantNone()
			resumed.want(c.want...)
			resumed.wantNone()
			p.write(changes()...)
			fresh.want(c.want...)
			resumed.want(c.want...)
			last := fresh.Until()
			if now, err := p.Now(t.Context()); err != nil || last != now.Cursor {
				t.Errorf("%s: the cursor is %v, and the log is at %v, %v", c.what, last, now.Cursor, err)
			}
			fresh.Close()
			resumed.Close()
			page, err := p.Read(t.Context(), changelog.Query{Limit: int(last.Position) - len(changes())})
			if err != nil {
				t.Fatal(err)
			}
			before.Cursor = page.Until
		}
		if n := p.Subscribers(); n != 0 {
			t.Errorf("there are %d subscribers", n)
		}
	})
}

// TestWhoDisconnectsAndResumesMissesNothingAndDoublesNothing has writers on two servers, and on each server subscribers that leave whenever
// they like and go on after their last cursor.
func TestWhoDisconnectsAndResumesMissesNothingAndDoublesNothing(t *testing.T) {
	databasetest.EachKind(t, func(t *testing.T, kind string) {
		url := databasetest.With(t, kind, databasetest.Nothing)
		const writers, operations, followers = 3, 60, 6
		servers := make([]*process, 2)
		for i := range servers {
			servers[i] = newProcess(t, databasetest.Open(t, url), changelog.FollowOptions{Poll: 5 * time.Millisecond})
		}
		start, err := servers[0].Now(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		var all sync.WaitGroup
		total := len(servers) * writers * operations
		for i := range followers {
			all.Go(func() { follow(t, servers[i%2:], start.Cursor, total, i%3 == 0) })
		}
		for w := range writers {
			for _, p := range servers {
				all.Go(func() {
					for range operations {
						p.write(user(int64(w + 1)))
					}
				})
			}
		}
		all.Wait()
		wantNoGoroutines(t)
	})
}

// follow takes all changes up to a position, leaving at random, of the first user alone or of all, and checks them.
func follow(t *testing.T, servers []*process, cursor changelog.Cursor, total int, one bool) {
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	q := changelog.Query{}
	if one {
		q.Objects = []changelog.Object{{Type: model.UserType, ID: 1}}
		total /= 3
	}
	seen, last, resumed := 0, int64(0), 0
	for seen < total {
		q.After = &cursor
		s, err := servers[rand.IntN(len(servers))].Subscribe(ctx, q)
		if err != nil {
			t.Error(err)
			return
		}
		resumed++
		for range 1 + rand.IntN(8) {
			page, err := s.Next(ctx)
			if err != nil {
				t.Errorf("%v, after %d of %d changes", err, seen, total)
				s.Close()
				return
			}
			for _, c := range page.Changes {
				if c.Position <= last || !one && c.Position != last+1 || one && c.ObjectID != 1 {
					t.Errorf("after the position %d came %d of user %d", last, c.Position, c.ObjectID)
				}
				seen, last = seen+1, c.Position
				cursor = changelog.CursorOf(c)
				if rand.IntN(20) == 0 { // in the middle of a page
					break
				}
			}
			if seen >= total || changelog.CursorOf(page.Changes[len(page.Changes)-1]) != cursor {
				break
			}
		}
		s.Close()
	}
	if seen > total {
		t.Errorf("%d changes came of %d", seen, total)
	}
	t.Logf("resumed %d times", resumed)
}

func TestASubscriberThatHasBegunBeforeTheFeedMissesNothing(t *testing.T) {
	eachFollowed(t, func(_ *testing.T, p *process) {
		early := p.subscribe(changelog.Query{})
		p.write(user(1), user(2))
		p.settle()
		late := p.subscribe(changelog.Query{})
		late.wantNone() // now the feed begins
		early.want("USER 1", "USER 2")
		p.write(user(3))
		early.want("USER 3")
		late.want("USER 3")
		early.Close()
		late.Close()
	})
}

func TestManyChangesAtOnceDoNotEndASubscriber(t *testing.T) {
	eachFollowed(t, func(t *testing.T, p *process) {
		const changes = 10_000
		live, busy := p.subscribe(changelog.Query{}), p.subscribe(changelog.Query{})
		live.wantNone()
		busy.wantNone()
		p.writeMany(changes)
		for _, s := range []*subscribed{live, busy} {
			for i, c := range s.take(changes) {
				if c.Position != int64(i+1) {
					t.Fatalf("the change %d has the position %d", i, c.Position)
				}
			}
		}
		live.Close()
		busy.Close()
	})
}

func TestASlowSubscriberIsToldWhereToGoOn(t *testing.T) {
	eachFollowed(t, func(t *testing.T, p *process) {
		slow, prompt := p.subscribe(changelog.Query{}), p.subscribe(changelog.Query{})
		other := p.subscribe(changelog.Query{Types: []model.ChangeType{model.TeamType}})
		p.write(user(1), user(2))
		slow.want("USER 1", "USER 2")
		other.wantNone()
		const more = 9000
		for range 2 { // more than the feed keeps
			p.writeMany(more)
			prompt.take(more)
		}
		_, err := slow.Next(t.Context())
		known, ok := errors.AsType[*apierror.Error](err)
		if !ok || known.Code != apierror.CodeSlowSubscriber || known.Cursor == "" {
			t.Fatalf("got %v", err)
		}
		if n := p.Slow(); n != 1 {
			t.Errorf("%d were slow", n)
		}
		slow.Close()
		cursor, err := changelog.ParseCursor("after", known.Cursor)
		if err != nil || cursor.Position != 2 {
			t.Fatalf("the cursor is %v, %v", cursor, err)
		}
		again := p.subscribe(changelog.Query{After: &cursor})
		for i, c := range again.take(2 * more) {
			if c.Position != int64(i+3) {
				t.Fatalf("the change %d has the position %d", i, c.Position)
			}
		}
		p.write(team(1))
		again.want("TEAM 1")
		other.want("TEAM 1") // what it did not want has not made it slow
		for _, s := range []*subscribed{again, other, prompt} {
			s.Close()
		}
	})
}

func TestTheChangesThatAreKeptForSubscribersHaveABoundInBytes(t *testing.T) {
	eachFollowed(t, func(t *testing.T, p *process) {
		slow, prompt := p.subscribe(changelog.Query{}), p.subscribe(changelog.Query{})
		slow.wantNone()
		for range 40 {
			large := user(1)
			large.Fields = []byte(`["` + strings.Repeat("x", 1<<20) + `"]`)
			p.write(large)
			prompt.take(1)
		}
		if _, err := slow.Next(t.Context()); apierror.CodeOf(err) != apierror.CodeSlowSubscriber {
			t.Errorf("got %v", err)
		}
		slow.Close()
		prompt.Close()
	})
}

func TestTheLogIsReadOnceForAllSubscribers(t *testing.T) {
	eachFollowed(t, func(t *testing.T, p *process) {
		const subscribers = 2000
		all := make([]*subscribed, subscribers)
		for i := range all {
			q := changelog.Query{}
			if i%2 == 1 {
				q.Objects = []changelog.Object{{Type: model.UserType, ID: 1}}
			}
			all[i] = p.subscribe(q)
			ctx, cancel := context.WithCancel(t.Context())
			cancel()
			_, _ = all[i].Next(ctx) // it waits for what comes
		}
		for range 2 { // the first one may be woken by what was before
			before := p.Reads()
			p.write(user(1), user(1), user(1))
			for _, s := range all {
				s.want("USER 1", "USER 1", "USER 1")
			}
			if n := p.Reads() - before; n < 1 || n > 2 {
				t.Errorf("%d reads", n)
			}
			time.Sleep(20 * time.Millisecond)
		}
		before := p.Reads()
		p.write(user(1))
		for _, s := range all {
			s.want("USER 1")
		}
		if n := p.Reads() - before; n != 1 {
			t.Errorf("want one read, got %d", n)
		}
		for _, s := range all {
			s.Close()
		}
	})
}

func TestThePollAloneFindsWhatAnotherServerChanges(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, db *database.Database) {
		here, there := newProcess(t, db, changelog.FollowOptions{}), newProcess(t, db, changelog.FollowOptions{})
		s := here.subscribe(changelog.Query{})
		for i := range int64(5) {
			there.write(user(i + 1))
			s.want(fmt.Sprint("USER ", i+1))
		}
		s.Close()
		wantNoGoroutines(t)
	})
}

func TestASignalFindsWhatAnotherServerChanges(t *testing.T) {
	databasetest.EachOf(t, "postgres", func(t *testing.T, kind string) {
		url := databasetest.With(t, kind, databasetest.Nothing)
		servers := make([]*process, 2)
		for i := range servers {
			db := databasetest.Open(t, url)
			signal, ok := db.Signal("rollcall_changes")
			if !ok {
				t.Fatal("no signal")
			}
			servers[i] = newProcess(t, db, changelog.FollowOptions{Poll: never, Signal: signal})
		}
		here, there := servers[0], servers[1]
		s := here.subscribe(changelog.Query{})
		s.wantNone()
		for i := range int64(5) {
			there.write(user(i + 1))
			s.want(fmt.Sprint("USER ", i+1))
		}
		before := here.Reads()
		here.write(user(6)) // which does not wake itself twice
		s.want("USER 6")
		time.Sleep(50 * time.Millisecond)
		if n := here.Reads() - before; n != 1 {
			t.Errorf("want one read, got %d", n)
		}
		// The connection that waits is lost, and comes again.
		var ended int
		err := here.db.Side.QueryRowContext(t.Context(), `SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
			WHERE datname = current_database() AND query LIKE 'LISTEN%'`).Scan(&ended)
		if err != nil || ended != 1 {
			t.Fatalf("ended %d, %v", ended, err)
		}
		there.write(user(7))
		s.want("USER 7")
		there.write(user(8))
		s.want("USER 8")
		s.Close()
		wantNoGoroutines(t)
	})
}

func TestBookmarksSayHowFarTheLogHasBeenRead(t *testing.T) {
	eachFollowed(t, func(t *testing.T, p *process) {
		p.write(team(1), user(1))
		p.settle()
		first, err := p.Read(t.Context(), changelog.Query{Limit: 1})
		if err != nil {
			t.Fatal(err)
		}
		teams := changelog.Query{Types: []model.ChangeType{model.TeamType}}
		fresh := p.subscribe(teams)
		teams.After = &first.Until
		missedNone := p.subscribe(teams)
		beginning := changelog.At(0, "")
		teams.After = &beginning
		resumed := p.subscribe(teams)
		for _, s := range []*subscribed{fresh, missedNone, resumed} {
			s.Bookmark = 20 * time.Millisecond
		}
		for _, s := range []*subscribed{fresh, missedNone} {
			if page := s.next(); len(page.Changes) > 0 || page.Until.Position != 2 {
				t.Errorf("at first came %d changes up to %v", len(page.Changes), page.Until)
			}
		}
		resumed.want("TEAM 1")
		if page := resumed.next(); len(page.Changes) > 0 || page.Until.Position != 2 {
			t.Errorf("then came %d changes up to %v", len(page.Changes), page.Until)
		}
		p.write(user(1), user(1))
		p.settle()
		for _, s := range []*subscribed{fresh, missedNone, resumed} {
			for s.Until().Position < 4 {
				if page := s.next(); len(page.Changes) > 0 {
					t.Errorf("got %d changes", len(page.Changes))
				}
			}
		}
		p.write(user(1), team(2))
		for _, s := range []*subscribed{fresh, missedNone, resumed} {
			for s.Until().Position < 6 {
				for _, c := range s.next().Changes {
					if c.ObjectID != 2 || c.Type != model.TeamType {
						t.Errorf("got %v", c)
					}
				}
			}
			s.Close()
		}
	})
}

func TestSubscriptionsGoOnWhenTheDatabaseDoes(t *testing.T) {
	databasetest.EachServer(t, func(t *testing.T, kind string) {
		url := databasetest.With(t, kind, databasetest.Nothing)
		here, there := newProcess(t, databasetest.Open(t, url), changelog.FollowOptions{}), newProcess(t, databasetest.Open(t, url), changelog.FollowOptions{})
		live := here.subscribe(changelog.Query{})
		live.wantNone()
		for i := range int64(5) {
			databasetest.Interrupt(t, kind, url)
			there.write(user(i + 1))
			live.want(fmt.Sprint("USER ", i+1))
		}
		beginning := changelog.At(0, "")
		resumed := here.subscribe(changelog.Query{After: &beginning})
		databasetest.Interrupt(t, kind, url)
		resumed.want("USER 1", "USER 2", "USER 3", "USER 4", "USER 5")
		live.Close()
		resumed.Close()
		wantNoGoroutines(t)
	})
}

func TestALogThatIsAnotherOneEndsSubscriptions(t *testing.T) {
	eachFollowed(t, func(t *testing.T, p *process) {
		p.write(user(1), user(2), user(3))
		p.settle()
		s, other := p.subscribe(changelog.Query{}), p.subscribe(changelog.Query{Users: []int64{7}})
		s.wantNone()
		other.wantNone()
		// As a backup has it that was restored.
		for _, statement := range []string{
			"DELETE FROM changes WHERE position > 1",
			"UPDATE changes_clock SET position = 1, operation_id = (SELECT operation_id FROM changes WHERE position = 1)",
		} {
			if err := p.db.Write.Exec(statement).Error; err != nil {
				t.Fatal(err)
			}
		}
		p.write(user(4), user(5), user(6), user(7))
		for _, s := range []*subscribed{s, other} {
			ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
			if page, err := s.Next(ctx); apierror.CodeOf(err) != changelog.CodeExpired {
				t.Errorf("got %v, %v", page, err)
			}
			cancel()
			s.Close()
		}
		again := p.subscribe(changelog.Query{})
		p.write(user(8))
		again.want("USER 8")
		again.Close()
	})
}

func TestChangesOfAServerThatDiedGetTheirPositions(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, db *database.Database) {
		here, dead := newProcess(t, db, changelog.FollowOptions{}), newProcess(t, db, changelog.FollowOptions{})
		dead.DB = nil // it numbers nothing any more
		s := here.subscribe(changelog.Query{})
		dead.write(user(1))
		ctx, cancel := context.WithCancel(t.Context())
		var looking sync.WaitGroup
		looking.Go(func() {
			here.WakeEvery(ctx, 10*time.Millisecond, func(err error) { t.Error(err) })
		})
		s.want("USER 1")
		cancel()
		looking.Wait()
		s.Close()
		wantNoGoroutines(t)
	})
}

func TestADatabaseThatIsBehindForATimeEndsNoSubscription(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, db *database.Database) {
		p := newProcess(t, db, changelog.FollowOptions{})
		p.write(user(1), user(2))
		p.settle()
		s := p.subscribe(changelog.Query{})
		s.wantNone()
		set := func(statement string) {
			if err := db.Write.Exec(statement).Error; err != nil {
				t.Fatal(err)
			}
		}
		set("UPDATE changes_clock SET position = 1")
		time.Sleep(1500 * time.Millisecond) // longer than a read waits
		s.wantNone()
		set("UPDATE changes_clock SET position = 2")
		p.write(user(3))
		s.want("USER 3")
		s.Close()
		wantNoGoroutines(t)
	})
}
