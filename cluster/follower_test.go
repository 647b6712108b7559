package cluster_test

import (
	"context"
	"encoding/json"
	"io"
	"maps"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"rollcall/apierror"
	"rollcall/changelog"
	"rollcall/cluster/clustertest"
	"rollcall/graph/graphtest"
)

// followers are clients that keep copies of the directory.
type followers struct {
	t       *testing.T
	servers []string
	until   atomic.Int64 // the last position, once no more is written
	resumes atomic.Int64
}

// TestWhoFollowsTheLogAtServersThatComeAndGoHasACopyOfTheDirectory has clients follow the log at one server after the other, while servers are
// killed and started again. In the end each copy has had every change once, in order, and is what each server shows.
func TestWhoFollowsTheLogAtServersThatComeAndGoHasACopyOfTheDirectory(t *testing.T) {
	each(t, func(t *testing.T, c *clustertest.Cluster) {
		f := &followers{t: t, servers: c.Servers}
		copies := make([]graphtest.Copy, 4)
		var all sync.WaitGroup
		for i := range copies {
			copies[i].Cursor = changelog.Cursor{}.String() // the log has all since the set-up was started
			all.Go(func() { f.keep(&copies[i]) })
		}
		load := clustertest.Begin(t, 6, c.Servers...)
		kills, goal := 0, int64(number(t, "ROLLCALL_TEST_CLUSTER_RESUMES", 20))
		for ; f.resumes.Load() < goal && !t.Failed(); kills++ {
			n := strconv.Itoa(1 + rand.IntN(len(c.Servers)))
			c.Do(t, "kill-server", n)
			time.Sleep(300 * time.Millisecond)
			c.Do(t, "server", n)
			time.Sleep(time.Second)
		}
		load.End()
		c.Settle(t)
		f.until.Store(f.end())
		all.Wait()
		load.Verify(t, c.Servers).Check(t)
		for i := range copies {
			if copies[i].Replay.Last != f.until.Load() || !maps.Equal(copies[i].Objects, copies[0].Objects) {
				t.Errorf("copy %d is at %d of %d, with %d objects beside %d", i, copies[i].Replay.Last, f.until.Load(), len(copies[i].Objects), len(copies[0].Objects))
			}
		}
		for _, server := range c.Servers {
			f.compare(server, copies[0].Objects)
		}
		t.Logf("%d changes, %d resumes, %d kills of servers", f.until.Load(), f.resumes.Load(), kills)
	})
}

// keep follows the log, now at this server and now at that one, until it has all.
func (f *followers) keep(one *graphtest.Copy) {
	last, moved := one.Replay.Last, time.Now()
	for ; !f.t.Failed(); f.resumes.Add(1) {
		if until := f.until.Load(); until > 0 && one.Replay.Last >= until {
			return
		}
		if one.Replay.Last > last {
			last, moved = one.Replay.Last, time.Now()
		}
		if time.Since(moved) > 5*time.Minute {
			f.t.Errorf("a copy has been at %d of %d for 5 minutes", last, f.until.Load())
			return
		}
		url := f.servers[rand.IntN(len(f.servers))] + "/query"
		ctx, cancel := context.WithTimeout(f.t.Context(), time.Second+rand.N(3*time.Second))
		code, err := one.Follow(ctx, url, rand.IntN(2) == 0, func(body io.Reader) io.Reader { return body })
		cancel()
		if err != nil {
			f.t.Error(err)
		}
		switch code {
		case "", apierror.CodeUnavailable, apierror.CodeCancelled, apierror.CodeTimeout:
		default:
			f.t.Errorf("a client was told %s", code)
		}
	}
}

// end returns where the log ends, once all servers have said the same for a second.
func (f *followers) end() int64 {
	var same []string
	eventually(f.t, "all servers are at the end of the log", func() bool {
		var now []string
		for _, server := range f.servers {
			now = append(now, clustertest.Client{Base: server}.Send(f.t.Context(), `{ asOf }`, nil).Text("asOf"))
		}
		done := slices.Equal(now, same) && now[0] != "" && len(slices.Compact(slices.Clone(now))) == 1
		same = now
		time.Sleep(time.Second)
		return done
	})
	cursor, err := changelog.ParseCursor("asOf", same[0])
	if err != nil {
		f.t.Error(err)
	}
	return cursor.Position
}

// compare compares a copy with what a server shows.
func (f *followers) compare(server string, copied map[string]graphtest.Object) {
	var users []string
	for id := range copied {
		if strings.HasPrefix(id, "User:") {
			users = append(users, id)
		}
	}
	client := clustertest.Client{Base: server}
	if n, _ := client.Send(f.t.Context(), `{ users { totalCount } }`, nil).At("users", "totalCount").(float64); int(n) != len(users) {
		f.t.Errorf("%s has %d users, and the copy has %d", server, int(n), len(users))
	}
	for some := range slices.Chunk(users, 100) {
		answer := client.Send(f.t.Context(), `query($ids: [ID!]!) { nodes(ids: $ids) { `+graphtest.ObjectFields+` } }`, object{"ids": some})
		for i, id := range some {
			shown, _ := json.Marshal(answer.At("nodes", strconv.Itoa(i)))
			var held any
			if err := json.Unmarshal([]byte(copied[id].Text), &held); err != nil {
				f.t.Fatal(err)
			}
			if text, _ := json.Marshal(held); string(text) != string(shown) {
				f.t.Fatalf("%s shows %s, and the copy has %s", server, shown, text)
			}
		}
	}
}
