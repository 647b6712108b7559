package graph_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
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
	"rollcall/graph"
	"rollcall/keyset"
	"rollcall/model"
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
		d := &directory{tb: t, db: databasetest.Open(t, url, database.Options{PoolSize: 6}), sql: &databasetest.Statements{}, log: &bytes.Buffer{}}
		d.changes = &changelog.Log{DB: d.db.Side, Dialect: d.db.Dialect()}
		d.maxPage(100)
		r.servers = append(r.servers, d)
		door := &door{d: d, log: slog.New(slog.NewTextHandler(&lockedWriter{w: d.log}, nil))}
		door.open()
		defer door.end()
		r.doors = append(r.doors, door)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute+time.Duration(goal)*200*time.Millisecond)
	defer cancel()
	var copies, writers, killer sync.WaitGroup
	var all []*mirror
	for range resumeCopies {
		c := &mirror{resuming: r, cursor: r.servers[0].must("{ asOf }").at(t, "asOf").(string), objects: map[string]object{}}
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
		if err := c.replay.Compare(ctx, r.aside); err != nil {
			t.Errorf("copy %d of the changes' fields is not what is stored: %v", i, err)
		}
		if !maps.Equal(c.objects, stored) {
			t.Errorf("copy %d of the changes' objects is not what is stored: %s", i, otherwise(c.objects, stored))
		}
	}
	t.Logf("%d changes, %d resumes (%d cut off amid an event, %d by a server that ended, %d too slow, %d pages), %d errors, %d connections were killed",
		r.end.Load(), r.resumes.Load(), r.cut.Load(), r.closed.Load(), r.slow.Load(), r.paged.Load(), r.failed.Load(), r.killed.Load())
}

// door is where the clients of a server come in. Who shuts and opens it has started the server anew: it has a follower of its own.
type door struct {
	d   *directory
	log *slog.Logger

	mu     sync.Mutex
	ended  bool
	api    *graph.API
	server *httptest.Server
}

func (d *door) open() {
	d.api = graph.NewHandler(graph.Config{
		Database: d.d.db, Log: d.d.changes, Follower: changelog.NewFollower(d.d.changes, changelog.FollowOptions{Poll: 5 * time.Millisecond}),
		Bookmark: 100 * time.Millisecond, Deadline: 20 * time.Second, MaxPage: 100,
		Logger: d.log,
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

// mirror is a client's copy of the database, made of the log alone: once of the changes' fields, once of their objects.
type mirror struct {
	*resuming
	cursor  string // up to which the copy is
	replay  directorytest.Replay
	objects map[string]object // by id
}

// object is the copy of an object, as JSON.
type object struct {
	version int64
	text    string
}

const (
	objectFields = `... on Node { id }
		... on User { version name email title status manager { id } }
		... on Team { version name parent { id } }
		... on Membership { version role user { id } team { id } }`
	changeFields = `at kind objectId version operationId endsOperation erased fields { name before after } object { ` + objectFields + ` }`
	changesAfter = `subscription($after: String) { changes(after: $after) { cursor change { ` + changeFields + ` } } }`
	pageAfter    = `query($after: String, $first: Int) @snapshot { changes(after: $after, first: $first) { edges { cursor change: node { ` + changeFields + ` } } pageInfo { endCursor } } }`
)

// keep follows the log, and is cut off, until it has been resumed often enough and has all.
func (c *mirror) keep(ctx context.Context) {
	for ; !c.t.Failed(); c.resumes.Add(1) {
		if ctx.Err() != nil {
			c.t.Errorf("a copy is at %d of %d after %d resumes: %v", c.replay.Last, c.end.Load(), c.resumes.Load(), context.Cause(ctx))
			return
		}
		if end := c.end.Load(); end > 0 && c.replay.Last >= end {
			return
		}
		door := c.doors[rand.IntN(len(c.doors))]
		if rand.IntN(8) == 0 {
			c.page(ctx, door.url())
		} else {
			c.follow(ctx, door)
		}
	}
}

// page reads a page of what was changed.
func (c *mirror) page(ctx context.Context, url string) {
	c.paged.Add(1)
	body := c.open(ctx, url, "application/json", pageAfter, map[string]any{"after": c.cursor, "first": 1 + rand.IntN(100)})
	if body == nil {
		return
	}
	defer func() { _ = body.Close() }()
	var page struct {
		Data struct {
			Changes struct {
				Edges    []event
				PageInfo struct{ EndCursor string }
			}
		}
		Errors []toldOf
	}
	if err := json.NewDecoder(body).Decode(&page); err != nil || c.refuses(page.Errors) {
		return // its server has ended
	}
	for _, e := range page.Data.Changes.Edges {
		c.apply(e)
	}
	c.apply(event{Cursor: page.Data.Changes.PageInfo.EndCursor})
}

// follow subscribes, and is cut off.
func (c *mirror) follow(ctx context.Context, door *door) {
	ctx, cut := context.WithTimeout(ctx, rand.N(time.Second))
	defer cut()
	variables, headers := map[string]any{}, []string{}
	if rand.IntN(2) == 0 {
		variables["after"] = c.cursor
	} else {
		variables["after"], headers = "is beaten", []string{"Last-Event-ID", c.cursor}
	}
	body := c.open(ctx, door.url(), "text/event-stream", changesAfter, variables, headers...)
	if body == nil {
		return
	}
	defer func() { _ = body.Close() }()
	read := io.Reader(body)
	switch rand.IntN(4) {
	case 0:
		c.closed.Add(1)
		defer time.AfterFunc(rand.N(300*time.Millisecond), door.restart).Stop()
	case 1:
		c.slow.Add(1)
		read = trickle{read}
	default:
		c.cut.Add(1)
		read = io.LimitReader(read, rand.Int64N(20_000))
	}
	lines := bufio.NewScanner(read)
	lines.Buffer(nil, 1<<20)
	for data := ""; lines.Scan() && !c.t.Failed(); { // what is amid an event at the end is not looked at
		if text, ok := strings.CutPrefix(lines.Text(), "data: "); ok {
			data = text
		}
		if lines.Text() != "" || data == "" {
			continue
		}
		var got struct {
			Data   struct{ Changes event }
			Errors []toldOf
		}
		if err := json.Unmarshal([]byte(data), &got); err != nil {
			c.t.Errorf("not JSON: %q: %v", data, err)
		}
		if data = ""; c.refuses(got.Errors) {
			return
		}
		c.apply(got.Data.Changes)
	}
}

// trickle reads a little at a time.
type trickle struct{ io.Reader }

func (s trickle) Read(p []byte) (int, error) {
	time.Sleep(rand.N(20 * time.Millisecond))
	return s.Reader.Read(p[:min(len(p), 1+rand.IntN(2000))])
}

// open sends an operation and returns the answer's body, or nil if the server has just ended. Headers are name, value, name, value.
func (c *mirror) open(ctx context.Context, url, accept, query string, variables map[string]any, headers ...string) io.ReadCloser {
	body, err := json.Marshal(map[string]any{"query": query, "variables": variables})
	if err != nil {
		c.t.Error(err)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewReader(body))
	if err != nil {
		c.t.Error(err)
		return nil
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Accept", accept)
	for i := 0; i < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	res, err := (&http.Client{Transport: &http.Transport{DisableKeepAlives: true}}).Do(req)
	if err != nil {
		return nil
	}
	return res.Body
}

// toldOf is an error in an answer.
type toldOf struct {
	Message    string
	Extensions struct{ Code apierror.Code }
}

// refuses reports whether what comes with errors is not to be applied, and subscribes again after what was.
func (c *mirror) refuses(all []toldOf) bool {
	if len(all) == 0 {
		return false
	}
	c.failed.Add(1)
	switch all[0].Extensions.Code {
	case apierror.CodeUnavailable, apierror.CodeCancelled, apierror.CodeTimeout: // its connection was killed, or its server has ended
	default:
		c.t.Errorf("a client was told %+v", all)
	}
	return true
}

// event is an event of the subscription, or an edge of a page. Without a change it is a bookmark.
type event struct {
	Cursor string
	Change *struct {
		At            time.Time
		Kind          model.ChangeKind
		ObjectID      string
		Version       int64
		OperationID   string
		EndsOperation bool
		Erased        bool
		Fields        []json.RawMessage
		Object        json.RawMessage
	}
}

// apply brings the copy up to an event.
func (c *mirror) apply(e event) {
	cursor, err := changelog.ParseCursor("cursor", e.Cursor)
	if err != nil {
		c.t.Error(err)
		return
	}
	if e.Change == nil {
		if cursor.Position != c.replay.Last {
			c.t.Errorf("a bookmark is at %d, and the last change was at %d", cursor.Position, c.replay.Last)
		}
		c.cursor = e.Cursor
		return
	}
	change, err := e.change(cursor.Position)
	if err == nil {
		err = c.replay.Add(change)
	}
	if err != nil {
		c.t.Error(err)
		return
	}
	if string(e.Change.Object) == "null" {
		delete(c.objects, e.Change.ObjectID)
	} else if o := objectOf(c.t, e.Change.Object); o.version >= c.objects[e.Change.ObjectID].version {
		c.objects[e.Change.ObjectID] = o
	}
	c.cursor = e.Cursor
}

// change returns the row of the log that an event tells of.
func (e event) change(position int64) (*model.Change, error) {
	typ, digits, _ := strings.Cut(e.Change.ObjectID, ":")
	id, err := strconv.ParseInt(digits, 10, 64)
	fields := []map[string]json.RawMessage{}
	for _, text := range e.Change.Fields {
		var f struct {
			Name          json.RawMessage
			Before, After *string
		}
		err = errors.Join(err, json.Unmarshal(text, &f))
		of := map[string]json.RawMessage{"name": f.Name}
		if f.Before != nil {
			of["before"] = json.RawMessage(*f.Before)
		}
		if f.After != nil {
			of["after"] = json.RawMessage(*f.After)
		}
		fields = append(fields, of)
	}
	texts, wrong := json.Marshal(fields)
	return &model.Change{
		Position: position, At: e.Change.At, Kind: e.Change.Kind, Type: model.ChangeType(strings.ToUpper(typ)), ObjectID: id, Version: e.Change.Version,
		OperationID: e.Change.OperationID, EndsOperation: e.Change.EndsOperation, Erased: e.Change.Erased, Fields: texts,
	}, errors.Join(err, wrong)
}

func objectOf(tb testing.TB, text json.RawMessage) object {
	var o struct{ Version int64 }
	if err := json.Unmarshal(text, &o); err != nil {
		tb.Error(err)
	}
	return object{o.Version, string(text)}
}

// stored returns all objects as the API has them.
func (r *resuming) stored() map[string]object {
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
	objects := map[string]object{}
	for some := range slices.Chunk(ids, 100) {
		var got struct {
			Data struct{ Nodes []json.RawMessage }
		}
		a := r.servers[0].must(`query($ids: [ID!]!) { nodes(ids: $ids) { `+objectFields+` } }`, "ids", some)
		if err := json.Unmarshal([]byte(a.raw), &got); err != nil {
			r.t.Fatal(err)
		}
		for i, node := range got.Data.Nodes {
			objects[some[i]] = objectOf(r.t, node)
		}
	}
	return objects
}

// otherwise returns what a copy has otherwise than what is stored, a few objects of it.
func otherwise(copied, stored map[string]object) (text string) {
	ids := maps.Clone(copied)
	maps.Copy(ids, stored)
	for id := range ids {
		if copied[id] != stored[id] && len(text) < 2000 {
			text += fmt.Sprintf("\n%s is copied as %s and stored as %s", id, copied[id].text, stored[id].text)
		}
	}
	return text
}
