package graph_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/url"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"rollcall/apierror"
	"rollcall/changelog"
	"rollcall/database"
	"rollcall/database/databasetest"
	"rollcall/directory/directorytest"
	"rollcall/model"
)

const (
	promiseServers = 3
	promiseWriters = 16
	promiseUsers   = 150 // about as many at a time, so that writers meet
	promiseTeams   = 8
)

// promise is writers at several servers on one database, and readers of its log.
type promise struct {
	t       *testing.T
	servers []*directory
	aside   *database.Database // whose connections no server has
	goal    int64              // changes

	keys, lost, killed, refused, acknowledged atomic.Int64

	mu           sync.Mutex
	users, teams []string // ids
	known        []known

	told ledger
}

// known is what an answer told.
type known struct {
	typ         model.ChangeType
	id, version int64 // 0: it is deleted
}

// ledger is what readers were told, by position.
type ledger struct {
	mu      sync.Mutex
	changes []told
	replay  directorytest.Replay
	count   int // of what all were told
}

// told is a change.
type told struct {
	text   string // without its values
	fields string // "": they were erased before
	typ    model.ChangeType
}

func TestWhoFollowsTheLogMissesAndDoublesNothingAndGetsItInOrder(t *testing.T) {
	goal := number(t, "ROLLCALL_TEST_PROMISE", 400)
	databasetest.EachKind(t, func(t *testing.T, kind string) {
		t.Parallel()
		follow(t, goal, databasetest.With(t, kind, databasetest.Nothing))
	})
}

// TestWhoFollowsTheLogOfAClusterMissesNothing is the same on the nodes of a Galera cluster, whose URLs ROLLCALL_TEST_GALERA lists.
func TestWhoFollowsTheLogOfAClusterMissesAndDoublesNothingAndGetsItInOrder(t *testing.T) {
	nodes := strings.Fields(os.Getenv("ROLLCALL_TEST_GALERA"))
	if len(nodes) == 0 {
		t.Skip("ROLLCALL_TEST_GALERA lists no nodes: see make galera")
	}
	t.Setenv("ROLLCALL_TEST_MARIADB", nodes[0])
	first := databasetest.URL(t, "mariadb")
	if _, err := databasetest.Open(t, first).Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	var urls []string
	for _, node := range nodes {
		u, err := url.Parse(node)
		if err != nil {
			t.Fatal(err)
		}
		u.Path = first[strings.LastIndex(first, "/"):]
		urls = append(urls, u.String())
	}
	time.Sleep(2 * time.Second) // until each node has the schema
	follow(t, number(t, "ROLLCALL_TEST_PROMISE", 400), urls...)
}

// promiseServer is one of several servers at a database. It has no subscribers, and does not settle at the end of the test.
func promiseServer(t *testing.T, db *database.Database) *directory {
	t.Helper()
	d := &directory{tb: t, sql: &databasetest.Statements{}, log: &bytes.Buffer{}}
	d.server = server{db: db, changes: &changelog.Log{DB: db.Side, Dialect: db.Dialect()}}
	d.logger = logTo(d.log)
	d.maxPage(100)
	return d
}

// follow has writers make so many changes by servers at a database, or at the nodes of one, and readers follow them.
func follow(t *testing.T, goal int, urls ...string) {
	p := &promise{t: t, goal: int64(goal), aside: databasetest.Open(t, urls[0], database.Options{PoolSize: 2})}
	for i := range promiseServers {
		db := databasetest.Open(t, held(t, urls[i%len(urls)]), database.Options{PoolSize: 6})
		p.servers = append(p.servers, promiseServer(t, db))
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var writers, readers, killer sync.WaitGroup
	var end atomic.Int64 // the last position, once that is known
	for i := range promiseServers {
		db := databasetest.Open(t, urls[i%len(urls)], database.Options{PoolSize: 1})
		log := &changelog.Log{DB: db.Side, Dialect: db.Dialect()}
		readers.Go(func() { p.read(ctx, log, &end) })
		if i == 0 {
			readers.Go(func() { p.readTeams(ctx, log, &end) })
		}
	}
	began := time.Now()
	for i := range promiseWriters {
		writers.Go(func() {
			for n := 0; p.acknowledged.Load() < p.goal && !t.Failed(); n++ {
				p.write(p.servers[i%promiseServers], i, n)
			}
		})
	}
	killing, spare := context.WithCancel(ctx)
	defer spare()
	killer.Go(func() { p.killed.Store(databasetest.Kill(killing, p.aside, 50*time.Millisecond)) })
	writers.Wait()
	took := time.Since(began)
	spare()
	killer.Wait()
	p.check(ctx, &end)
	readers.Wait()
	t.Logf("%d changes in %.0f s, of which readers were told %d times; %d mutations were refused, %d answers told nothing, %d connections were killed",
		p.told.replay.Last, took.Seconds(), p.told.count, p.refused.Load(), p.lost.Load(), p.killed.Load())
}

// held is a database's URL by way of a proxy, which holds some COMMITs back for a while.
func held(t *testing.T, to string) string {
	u, err := url.Parse(to)
	if err != nil {
		t.Fatal(err)
	}
	if u.Host == "" { // SQLite
		return to
	}
	proxy := &databasetest.Proxy{Pass: func(sent []byte, forward func()) {
		if len(sent) < 64 && bytes.Contains(bytes.ToUpper(sent), []byte("COMMIT")) && rand.IntN(10) == 0 {
			time.Sleep(rand.N(30 * time.Millisecond))
		}
		forward()
	}}
	u.Host = proxy.Listen(t, u.Host)
	return u.String()
}

// certain sends a mutation under a key of its own until an answer tells what became of it.
func (p *promise) certain(d *directory, mutation string, variables ...any) {
	variables = append([]any{"key", fmt.Sprint("promise ", p.keys.Add(1))}, variables...)
	for began := time.Now(); ; {
		a := d.send(mutation, variables...)
		if len(a.Errors) == 0 {
			p.remember(a)
			return
		}
		switch code, _ := a.Errors[0].Extensions["code"].(string); code {
		case "BAD_USER_INPUT", "NOT_FOUND", "CONFLICT":
			p.refused.Add(1)
			return
		}
		p.lost.Add(1)
		if time.Since(began) > time.Minute {
			p.t.Errorf("no answer in a minute: %s", a.raw)
			return
		}
	}
}

// remember notes what an answer tells of objects, wherever it does.
func (p *promise) remember(a answer) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.objects(a.Data)
}

func (p *promise) objects(value any) {
	switch v := value.(type) {
	case map[string]any:
		if id, ok := v["id"].(string); ok {
			version, _ := v["version"].(float64)
			p.object(id, int64(version))
		}
		for _, name := range []string{"deletedUserId", "deletedTeamId", "erasedUserId"} {
			if id, ok := v[name].(string); ok {
				p.object(id, 0)
			}
		}
		removed, _ := v["removedMembershipIds"].([]any)
		for _, id := range removed {
			p.object(id.(string), 0)
		}
		for _, inner := range v {
			p.objects(inner)
		}
	case []any:
		for _, inner := range v {
			p.objects(inner)
		}
	}
}

func (p *promise) object(id string, version int64) {
	typ, digits, _ := strings.Cut(id, ":")
	n, _ := strconv.ParseInt(digits, 10, 64)
	p.known = append(p.known, known{model.ChangeType(strings.ToUpper(typ)), n, version})
	p.acknowledged.Add(1)
	all := &p.users
	if typ == "Team" {
		all = &p.teams
	}
	switch {
	case typ == "Membership":
	case version == 1:
		*all = append(*all, id)
	case version == 0:
		*all = slices.DeleteFunc(*all, func(one string) bool { return one == id })
	}
}

// some returns n users and n teams, or as many as there are.
func (p *promise) some(n int) (users, teams []string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	pick := func(from []string) (some []string) {
		for _, i := range rand.Perm(len(from))[:min(n, len(from))] {
			some = append(some, from[i])
		}
		return some
	}
	return pick(p.users), pick(p.teams)
}

const key = `$key: String!) @idempotent(key: $key) `

// write sends one mutation, a short or a long one.
func (p *promise) write(d *directory, writer, n int) {
	users, teams := p.some(1 + rand.IntN(12))
	p.mu.Lock()
	full, teamsFull := len(p.users) > promiseUsers, len(p.teams) >= promiseTeams
	p.mu.Unlock()
	mark := fmt.Sprintf("%d.%d", writer, n)
	fresh := func(i int) input {
		return input{"name": "Name " + mark, "email": fmt.Sprintf("%s.%d@example.com", mark, i), "title": "Title " + mark}
	}
	change := func(id string) input { return input{"id": id, "title": "Title " + mark} }
	what := rand.IntN(20)
	switch {
	case len(users) == 0 || what < 2 && !full:
		p.certain(d, `mutation($a: CreateUserInput!, `+key+`{ createUser(input: $a) { user { id version } } }`, "a", fresh(0))
	case what == 2 && !full: // each below the first
		all := []input{fresh(0)}
		for i := range rand.IntN(20) {
			all = append(all, fresh(i+1))
			all[i+1]["managerRef"] = 0
		}
		p.certain(d, `mutation($all: [CreateUserInput!]!, `+key+`{ createUsers(input: {users: $all}) { results { user { id version } } } }`, "all", all)
	case what < 5: // several root fields
		p.certain(d, `mutation($a: UpdateUserInput!, $b: UpdateUserInput!, $c: CreateUserInput!, `+key+`{
			a: updateUser(input: $a) { user { id version } } b: updateUser(input: $b) { user { id version } } c: createUser(input: $c) { user { id version } } }`,
			"a", change(users[0]), "b", change(users[len(users)-1]), "c", fresh(0))
	case what < 8:
		var all []input
		for _, id := range users {
			all = append(all, change(id))
		}
		p.certain(d, `mutation($all: [UpdateUserInput!]!, `+key+`{ updateUsers(input: {users: $all, mode: EACH}) { results { user { id version } } } }`, "all", all)
	case what < 10: // so many that there are not more and more
		remove := []string{`deleteUser(input: {id: $id, reportsTo: $heir}) { deletedUserId }`, `eraseUser(input: {id: $id, reportsTo: $heir}) { erasedUserId }`}
		for _, id := range users[:(len(users)+1)/2] {
			p.certain(d, `mutation($id: ID!, $heir: ID, `+key+`{ `+remove[rand.IntN(2)]+` }`, "id", id, "heir", users[len(users)-1])
			if !full {
				break
			}
		}
	case len(teams) == 0 || what == 10 && !teamsFull:
		p.certain(d, `mutation($name: String!, `+key+`{ createTeam(input: {name: $name}) { team { id version } } }`, "name", "Team "+mark)
	case what == 11 && teamsFull:
		p.certain(d, `mutation($id: ID!, `+key+`{ deleteTeam(input: {id: $id}) { deletedTeamId } }`, "id", teams[0])
	case what < 14:
		var members []input
		for _, id := range users {
			members = append(members, input{"userId": id})
		}
		p.certain(d, `mutation($team: ID!, $members: [TeamMemberInput!]!, `+key+`{ addTeamMembers(input: {teamId: $team, members: $members}) { memberships { id version } } }`,
			"team", teams[0], "members", members)
	case what == 14:
		p.certain(d, `mutation($team: ID!, $user: ID!, `+key+`{ removeTeamMembers(input: {teamId: $team, userIds: [$user]}) { removedMembershipIds } }`,
			"team", teams[0], "user", users[0])
	case what == 15:
		p.certain(d, `mutation($team: ID!, $user: ID!, `+key+`{ setTeamMemberRole(input: {teamId: $team, userId: $user, role: OWNER}) { membership { id version } } }`,
			"team", teams[0], "user", users[0])
	default:
		p.certain(d, `mutation($a: UpdateUserInput!, `+key+`{ updateUser(input: $a) { user { id version } } }`, "a", change(users[0]))
	}
}

// read follows the log as fast as it can, now and then from somewhere that it has been at before.
func (p *promise) read(ctx context.Context, log *changelog.Log, end *atomic.Int64) {
	var at *changelog.Cursor
	var been []changelog.Cursor
	var ahead changelog.Cursor
	again := 0 // how many pages it reads once more
	for !p.t.Failed() {
		limit := 1 + rand.IntN(300)
		page, err := log.Read(ctx, changelog.Query{After: at, Limit: limit})
		if shown := (*apierror.Error)(nil); errors.As(err, &shown) || ctx.Err() != nil {
			p.t.Errorf("a reader at %v got %v, %v", at, err, ctx.Err())
			return
		}
		if err != nil { // its connection was killed
			continue
		}
		position := int64(0)
		if at != nil {
			position = at.Position
		}
		for _, c := range page.Changes {
			if position++; c.Position != position {
				p.t.Errorf("a reader was told of %d after %d", c.Position, position-1)
				return
			}
			if err := p.told.add(c); err != nil {
				p.t.Error(err)
				return
			}
		}
		if page.Until.Position != position || len(page.Changes) > limit || page.More && len(page.Changes) != limit {
			p.t.Errorf("a page of %d changes up to %d ends at %d: %t", len(page.Changes), position, page.Until.Position, page.More)
		}
		if last := end.Load(); last > 0 && position >= last {
			return
		}
		at = &page.Until
		switch {
		case again == 1: // it goes on where it was
			at = &ahead
		case again == 0 && rand.IntN(100) == 0:
			been = append(been, page.Until)
			ahead, at = page.Until, &been[rand.IntN(len(been))]
			again = 1 + rand.IntN(10)
			if rand.IntN(20) == 0 {
				at = nil
			}
			continue
		}
		again = max(again-1, 0)
	}
}

// readTeams follows the changes of teams and memberships alone, and compares them with all that others were told.
func (p *promise) readTeams(ctx context.Context, log *changelog.Log, end *atomic.Int64) {
	var at *changelog.Cursor
	var got []int64
	for last := int64(0); last == 0 || at.Position < last; last = end.Load() {
		page, err := log.Read(ctx, changelog.Query{After: at, Limit: 50, Types: []model.ChangeType{model.TeamType, model.MembershipType}})
		if p.t.Failed() || ctx.Err() != nil {
			return
		}
		if err != nil {
			continue
		}
		for _, c := range page.Changes {
			got = append(got, c.Position)
		}
		at = &page.Until
	}
	var want []int64
	p.told.mu.Lock()
	defer p.told.mu.Unlock()
	for i, c := range p.told.changes {
		if c.typ != model.UserType {
			want = append(want, int64(i+1))
		}
	}
	if !slices.Equal(got, want) {
		p.t.Errorf("who follows teams was told of %d changes of %d", len(got), len(want))
	}
}

// add notes a change that a reader was told. Values that are erased are not told again.
func (l *ledger) add(c *model.Change) error {
	same := *c
	same.Erased, same.Fields = false, nil
	text, err := json.Marshal(same)
	if err != nil {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.count++
	switch n := int64(len(l.changes)); {
	case c.Position <= n:
		before := &l.changes[c.Position-1]
		if before.text != string(text) || !c.Erased && before.fields != "" && before.fields != string(c.Fields) {
			return fmt.Errorf("readers were told %v, and %s with %s", *before, text, c.Fields)
		}
	case c.Position == n+1:
		fields := string(c.Fields)
		if c.Erased {
			fields = ""
		}
		l.changes = append(l.changes, told{string(text), fields, c.Type})
		return l.replay.Add(c)
	}
	return nil
}

// check compares what was told with what answers told and with what is stored, once no change waits for its position.
func (p *promise) check(ctx context.Context, end *atomic.Int64) {
	var replay directorytest.Replay
	log := &changelog.Log{DB: p.aside.Side, Dialect: p.aside.Dialect()}
	err := replay.Read(ctx, log)
	for tries := 0; err != nil && replay.Broken == nil && tries < 20; tries++ { // connections that were killed
		err = replay.Read(ctx, log)
	}
	if err != nil {
		p.t.Error(err)
	}
	end.Store(max(replay.Last, 1))
	if err := replay.Compare(ctx, p.aside); err != nil {
		p.t.Errorf("what is stored is not what the log tells: %v", err)
	}
	for _, k := range p.known {
		if !p.t.Failed() && !replay.Has(k.typ, k.id, k.version) {
			p.t.Errorf("%s %d was answered with the version %d, and the log does not tell that", k.typ, k.id, k.version)
		}
	}
}
