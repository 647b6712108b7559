package graph_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"net/http/httptest"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"rollcall/apierror"
	"rollcall/changelog"
	"rollcall/database"
	"rollcall/database/databasetest"
	"rollcall/graph"
	"rollcall/graph/graphtest"
	"rollcall/keyset"
)

const (
	resumeWriters = 3
	resumeCopies  = 4
)

// resuming is a promise whose readers are clients that keep copies of the database.
type resuming struct {
	*promise
	doors   []*door
	resumes atomic.Int64 // subscriptions and reads of pages that went on after a cursor
	goal    int64        // of them
	end     atomic.Int64 // the last position, once no more is written

	cut, closed, slow, paged, failed atomic.Int64 // how they ended: the last counts errors
}

func TestWhoIsCutOffAgainAndAgainAndResumesHasACopyOfTheDatabase(t *testing.T) {
	goal := int64(number(t, "ROLLCALL_TEST_RESUMES", 60))
	databasetest.EachKind(t, func(t *testing.T, kind string) {
		t.Parallel()
		keepCopies(t, goal, databasetest.With(t, kind, databasetest.Nothing))
	})
}

// keepCopies has copies kept by clients that are cut off so often altogether, while writers write and connections to the database are killed.
func keepCopies(t *testing.T, goal int64, url string) {
	r := &resuming{promise: &promise{t: t, aside: databasetest.Open(t, url, database.Options{PoolSize: 2})}, goal: goal}
	for range promiseServers {
		d := promiseServer(t, databasetest.Open(t, url, database.Options{PoolSize: 6}))
		r.servers = append(r.servers, d)
		door := &door{d: d}
		door.open()
		defer door.end()
		r.doors = append(r.doors, door)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute+time.Duration(goal)*200*time.Millisecond)
	defer cancel()
	var copies, writers, killer sync.WaitGroup
	var all []*mirror
	for range resumeCopies {
		c := &mirror{resuming: r, Copy: graphtest.Copy{Cursor: r.servers[0].must("{ asOf }").at(t, "asOf").(string)}}
		all = append(all, c)
	}
	for _, c := range all {
		copies.Go(func() { c.keep(ctx) })
	}
	killing, stopKilling := context.WithCancel(ctx)
	defer stopKilling()
	killer.Go(func() { r.killed.Store(databasetest.Kill(killing, r.aside, 50*time.Millisecond)) })
	for i := range resumeWriters {
		writers.Go(func() {
			for n := 0; r.resumes.Load() < r.goal && ctx.Err() == nil && !t.Failed(); n++ {
				r.write(r.servers[i], i, n)
				time.Sleep(rand.N(20 * time.Millisecond)) // so that copies are now behind, and now up to date
			}
		})
	}
	writers.Wait()
	stopKilling()
	killer.Wait()
	r.check(ctx, &r.end)
	copies.Wait()
	if t.Failed() {
		for i, door := range r.doors {
			t.Logf("the log of server %d:\n%s", i, door.d.log)
		}
		return
	}
	stored := r.stored()
	for i, c := range all {
		if err := c.Replay.Compare(ctx, r.aside); err != nil {
			t.Errorf("copy %d of the changes' fields is not what is stored: %v", i, err)
		}
		if !maps.Equal(c.Objects, stored) {
			t.Errorf("copy %d of the changes' objects is not what is stored: %s", i, otherwise(c.Objects, stored))
		}
	}
	t.Logf("%d changes, %d resumes (%d cut off amid an event, %d by a server that ended, %d too slow, %d pages), %d errors, %d connections were killed",
		r.end.Load(), r.resumes.Load(), r.cut.Load(), r.closed.Load(), r.slow.Load(), r.paged.Load(), r.failed.Load(), r.killed.Load())
}

// door is where the clients of a server come in. Who shuts and opens it has started the server anew: it has a follower of its own.
type door struct {
	d *directory

	mu     sync.Mutex
	ended  bool
	api    *graph.API
	server *httptest.Server
}

func (d *door) open() {
	d.api = graph.NewHandler(graph.Config{
		Database: d.d.db, Log: d.d.changes, Follower: changelog.NewFollower(d.d.changes, changelog.FollowOptions{Poll: 5 * time.Millisecond}),
		Bookmark: 100 * time.Millisecond, Deadline: time.Minute, MaxPage: 100,
		Logger: d.d.logger,
	})
	d.server = httptest.NewServer(d.api)
}

func (d *door) shut() {
	_ = d.api.Shutdown(context.Background()) // ends the streams
	d.server.CloseClientConnections()
	d.server.Close()
}

func (d *door) restart() {
	d.mu.Lock()
	defer d.mu.Unlock()
	if !d.ended {
		d.shut()
		d.open()
	}
}

func (d *door) end() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.ended = true
	d.shut()
}

func (d *door) url() string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.server.URL
}

// mirror is a client's copy of the database.
type mirror struct {
	*resuming
	graphtest.Copy
}

// keep follows the log, and is cut off, until it has been resumed often enough and has all.
func (c *mirror) keep(ctx context.Context) {
	for ; !c.t.Failed(); c.resumes.Add(1) {
		if ctx.Err() != nil {
			c.t.Errorf("a copy is at %d of %d after %d resumes: %v", c.Replay.Last, c.end.Load(), c.resumes.Load(), context.Cause(ctx))
			return
		}
		if end := c.end.Load(); end > 0 && c.Replay.Last >= end {
			return
		}
		door := c.doors[rand.IntN(len(c.doors))]
		var code apierror.Code
		var err error
		if rand.IntN(8) == 0 {
			c.paged.Add(1)
			code, err = c.Page(ctx, door.url(), 1+rand.IntN(100))
		} else {
			code, err = c.follow(ctx, door)
		}
		if err != nil {
			c.t.Error(err)
		}
		switch code {
		case "":
			continue
		case apierror.CodeUnavailable, apierror.CodeCancelled, apierror.CodeTimeout: // its connection was killed, or its server has ended
		default:
			c.t.Errorf("a client was told %s", code)
		}
		c.failed.Add(1)
	}
}

// follow subscribes, and is cut off.
func (c *mirror) follow(ctx context.Context, door *door) (apierror.Code, error) {
	ctx, cut := context.WithTimeout(ctx, rand.N(time.Second))
	defer cut()
	restart := time.AfterFunc(time.Hour, door.restart)
	defer restart.Stop()
	how := rand.IntN(4)
	return c.Follow(ctx, door.url(), rand.IntN(2) == 0, func(body io.Reader) io.Reader {
		switch how {
		case 0:
			c.closed.Add(1)
			restart.Reset(rand.N(300 * time.Millisecond))
			return body
		case 1:
			c.slow.Add(1)
			return trickle{body}
		default:
			c.cut.Add(1)
			return io.LimitReader(body, rand.Int64N(20_000))
		}
	})
}

// trickle reads a little at a time.
type trickle struct{ io.Reader }

func (s trickle) Read(p []byte) (int, error) {
	time.Sleep(rand.N(20 * time.Millisecond))
	return s.Reader.Read(p[:min(len(p), 1+rand.IntN(2000))])
}

// stored returns all objects as the API has them.
func (r *resuming) stored() map[string]graphtest.Object {
	var ids []string
	for table, typ := range map[string]string{"users": "User", "teams": "Team", "memberships": "Membership"} {
		var all []int64
		if err := r.aside.Write.Table(table).Pluck("id", &all).Error; err != nil {
			r.t.Fatal(err)
		}
		for _, id := range all {
			ids = append(ids, keyset.ID(typ, id))
		}
	}
	objects := map[string]graphtest.Object{}
	for some := range slices.Chunk(ids, 100) {
		var got struct {
			Data struct{ Nodes []json.RawMessage }
		}
		a := r.servers[0].must(`query($ids: [ID!]!) { nodes(ids: $ids) { `+graphtest.ObjectFields+` } }`, "ids", some)
		if err := json.Unmarshal([]byte(a.raw), &got); err != nil {
			r.t.Fatal(err)
		}
		for i, node := range got.Data.Nodes {
			objects[some[i]] = graphtest.ObjectOf(node)
		}
	}
	return objects
}

// otherwise returns what a copy has otherwise than what is stored, a few objects of it.
func otherwise(copied, stored map[string]graphtest.Object) (text string) {
	ids := maps.Clone(copied)
	maps.Copy(ids, stored)
	for id := range ids {
		if copied[id] != stored[id] && len(text) < 2000 {
			text += fmt.Sprintf("\n%s is copied as %s and stored as %s", id, copied[id].Text, stored[id].Text)
		}
	}
	return text
}
