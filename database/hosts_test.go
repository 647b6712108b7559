package database_test

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"rollcall/database"
	"rollcall/database/databasetest"
	"rollcall/session"
)

// left is how long a writer may be used that has failed.
const left = 3 * time.Second

// marker begins statements that tell which host has got them. Each has a text of its own, since one that is prepared is sent once.
const marker = "SELECT 'which host is this, "

var marked atomic.Int64

// watched opens a database behind nodes that count the marker.
func watched(t *testing.T, kind string, count int, opt database.Options) ([]*databasetest.Node, *database.Database) {
	t.Helper()
	direct := databasetest.With(t, kind, databasetest.Nothing)
	nodes, listed := databasetest.Nodes(t, direct, count)
	for _, n := range nodes {
		n.Watch(marker)
	}
	return nodes, databasetest.Open(t, listed, opt)
}

// hostOf returns which of the nodes a pool leads to, for each of its connections.
func hostOf(t *testing.T, db *database.Database, pool string, nodes []*databasetest.Node) int {
	t.Helper()
	before := make([]int64, len(nodes))
	for i, n := range nodes {
		before[i] = n.Seen(marker)
	}
	var text string
	if err := db.Pools()[pool].QueryRowContext(t.Context(), fmt.Sprintf("%s%d'", marker, marked.Add(1))).Scan(&text); err != nil {
		t.Fatalf("%s: %v", pool, err)
	}
	for i, n := range nodes {
		if n.Seen(marker) > before[i] {
			return i
		}
	}
	t.Fatal("no host has got the statement")
	return 0
}

// leadTo fails unless all pools lead to a node.
func leadTo(t *testing.T, db *database.Database, nodes []*databasetest.Node, want int) {
	t.Helper()
	for name := range db.Pools() {
		for range 3 {
			if got := hostOf(t, db, name, nodes); got != want {
				t.Errorf("the pool %q leads to the host %d, not %d", name, got, want)
			}
		}
	}
}

// moves returns options by which a test hears of the log's messages.
func moves(settled time.Duration) (database.Options, *events) {
	e := &events{}
	return database.Options{PoolSize: 4, Settled: settled, Silent: database.DefaultSilent, Log: slog.New(slog.NewTextHandler(e, nil))}, e
}

type events struct {
	mu    sync.Mutex
	lines []string
}

func (e *events) Write(line []byte) (int, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.lines = append(e.lines, string(line))
	return len(line), nil
}

func (e *events) count(text string) (n int) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, line := range e.lines {
		n += strings.Count(line, text)
	}
	return n
}

func within(t *testing.T, limit time.Duration, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(limit); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("not within %s: %s", limit, what)
		}
	}
}

func TestEveryPoolLeadsToTheFirstHostThatIsWell(t *testing.T) {
	databasetest.EachServer(t, func(t *testing.T, kind string) {
		opt, _ := moves(0)
		nodes, db := watched(t, kind, 3, opt)
		leadTo(t, db, nodes, 0)
		if !db.Several() {
			t.Error("it does not say that there are several hosts")
		}
		if err := db.Check(t.Context()); err != nil {
			t.Error(err)
		}
	})
}

func TestAHostThatIsGoneIsPassedOverAtTheStart(t *testing.T) {
	databasetest.EachServer(t, func(t *testing.T, kind string) {
		nodes, listed := databasetest.Nodes(t, databasetest.URL(t, kind), 3)
		for _, n := range nodes {
			n.Watch(marker)
		}
		nodes[0].Cut()
		nodes[1].Hang()
		opt, _ := moves(0)
		leadTo(t, databasetest.Open(t, listed, opt), nodes, 2)
	})
}

func TestAWriterIsLeftAndComesBackOnceItHasBeenWellForAWhile(t *testing.T) {
	databasetest.EachServer(t, func(t *testing.T, kind string) {
		for name, trouble := range map[string][2]func(*testing.T, *databasetest.Node){
			"dies":  {func(_ *testing.T, n *databasetest.Node) { n.Cut() }, func(t *testing.T, n *databasetest.Node) { n.Reopen(t) }},
			"hangs": {func(_ *testing.T, n *databasetest.Node) { n.Hang() }, func(_ *testing.T, n *databasetest.Node) { n.Recover() }},
		} {
			t.Run(name, func(t *testing.T) {
				const settled = 700 * time.Millisecond
				opt, log := moves(settled)
				nodes, db := watched(t, kind, 2, opt)
				leadTo(t, db, nodes, 0)
				trouble[0](t, nodes[0])
				within(t, left, "another writer", func() bool { return log.count("writer is another host") == 1 })
				leadTo(t, db, nodes, 1)
				back := time.Now()
				trouble[1](t, nodes[0])
				within(t, settled+left, "the first one again", func() bool { return log.count("writer is another host") == 2 })
				if took := time.Since(back); took < settled {
					t.Errorf("the first host was the writer again after %s", took)
				}
				leadTo(t, db, nodes, 0)
			})
		}
	})
}

func TestWithoutAWriterOperationsWaitForOneOrForTheirEnd(t *testing.T) {
	databasetest.EachServer(t, func(t *testing.T, kind string) {
		opt, _ := moves(0)
		nodes, db := watched(t, kind, 2, opt)
		nodes[0].Cut()
		nodes[1].Hang()
		const want = "no host of the database takes writes: 1 does not answer, 2 does not answer"
		within(t, left, "no writer", func() bool { return database.Unavailable(db.NoWriter()) == want })
		if err := db.Check(t.Context()); database.Unavailable(err) != want {
			t.Errorf("%v", err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		defer cancel()
		if err := db.Pools()["write"].PingContext(ctx); ctx.Err() == nil {
			t.Errorf("it did not wait: %v", err)
		}
		done := make(chan error, 1)
		go func() { done <- db.Pools()["write"].PingContext(t.Context()) }()
		nodes[1].Recover()
		if err := <-done; err != nil {
			t.Error(err)
		}
		leadTo(t, db, nodes, 1)
	})
}

func TestOneHostIsAskedNothingAndWatchedByNobody(t *testing.T) {
	databasetest.EachServer(t, func(t *testing.T, kind string) {
		direct := databasetest.URL(t, kind)
		var sent atomic.Int64
		proxy := databasetest.Proxy{Pass: func(_ []byte, forward func()) { sent.Add(1); forward() }}
		u := parse(t, direct)
		u.Host = proxy.Listen(t, u.Host)
		db := databasetest.Open(t, u.String())
		before := sent.Load()
		time.Sleep(time.Second) // four probes of several hosts
		if n := sent.Load() - before; n != 0 || db.Several() || db.NoWriter() != nil {
			t.Errorf("%d packets were sent; several: %t", n, db.Several())
		}
	})
}

// TestWhatHasNotBegunToCommitRunsAgainAtTheNextHost stops transactions at each of their steps and has the host go meanwhile.
func TestWhatHasNotBegunToCommitRunsAgainAtTheNextHost(t *testing.T) {
	databasetest.EachServer(t, func(t *testing.T, kind string) {
		for name, trouble := range map[string]func(*databasetest.Node){
			"dies": func(n *databasetest.Node) { n.Cut() }, "hangs": func(n *databasetest.Node) { n.Hang() },
		} {
			t.Run(name, func(t *testing.T) {
				opt, _ := moves(0)
				opt.PoolSize = 16
				nodes, db := watched(t, kind, 2, opt)
				pools := session.Pools{
					Write: db.Write, Read: db.Read, Side: db.Side, Moves: true, Deadline: 30 * time.Second,
					Proof: &session.Proof{DB: db.Side, Dialect: db.Dialect()},
				}
				if err := pools.Install(); err != nil {
					t.Fatal(err)
				}
				const each = 3
				var ready, all sync.WaitGroup
				var again atomic.Int64
				gone := make(chan struct{})
				for _, kind := range []session.Kind{session.Write, session.Snapshot, session.Read} {
					for n := range each {
						ready.Add(1)
						all.Go(func() {
							err := session.Run(t.Context(), pools, kind, "test", func(ctx context.Context) error {
								tx := session.DB(ctx)
								if session.Attempt(ctx) > 1 {
									again.Add(1)
								}
								step := func() error {
									if kind == session.Write {
										return tx.Exec("INSERT INTO directory_locks (name, changes) VALUES (?, 1)", fmt.Sprint(session.NewID()[:20], n)).Error
									}
									return tx.Raw("SELECT 1").Find(new(int)).Error
								}
								if err := step(); err != nil {
									return err
								}
								if session.Attempt(ctx) == 1 {
									ready.Done()
									<-gone
								}
								return step()
							})
							if err != nil {
								t.Errorf("%s: %v", kind, err)
							}
						})
					}
				}
				ready.Wait()
				trouble(nodes[0])
				began := time.Now()
				close(gone)
				all.Wait()
				if took := time.Since(began); took > left {
					t.Errorf("it took %s", took)
				}
				if n := again.Load(); n < 2*each { // a Read may have gone on with its next statement
					t.Errorf("%d have run again", n)
				}
				var rows int
				if err := db.Side.QueryRowContext(t.Context(), "SELECT COUNT(*) FROM directory_locks WHERE changes = 1 AND name <> 'counts'").Scan(&rows); err != nil || rows != 2*each {
					t.Errorf("%d rows, not %d: %v", rows, 2*each, err)
				}
			})
		}
	})
}

func TestAHostWithAnotherDirectoryIsNeverTheWriter(t *testing.T) {
	databasetest.EachServer(t, func(t *testing.T, kind string) {
		for name, other := range map[string]func(*testing.T) string{
			"an empty one": func(t *testing.T) string { return databasetest.URL(t, kind) },
			"an older one": func(t *testing.T) string {
				older := databasetest.With(t, kind, databasetest.Nothing)
				if _, err := databasetest.Open(t, older).Side.ExecContext(t.Context(), "UPDATE goose_db_version SET tstamp = '2001-02-03 04:05:06'"); err != nil {
					t.Fatal(err)
				}
				return older
			},
		} {
			t.Run(name, func(t *testing.T) {
				direct := databasetest.With(t, kind, databasetest.Nothing)
				nodes, listed := databasetest.Nodes(t, direct, 2)
				nodes[1].Lead(t, direct, other(t))
				opt, log := moves(0)
				db := databasetest.Open(t, listed, opt)
				within(t, left, "a line of the log", func() bool { return log.count("has another directory") == 1 })
				nodes[0].Cut()
				const want = "no host of the database takes writes: 1 does not answer, 2 has another directory"
				within(t, left, "no writer", func() bool { return database.Unavailable(db.NoWriter()) == want })
				nodes[0].Reopen(t)
				if err := db.Pools()["write"].PingContext(t.Context()); err != nil {
					t.Error(err)
				}
			})
		}
	})
}

func TestAURLListsHosts(t *testing.T) {
	got := database.EachHost("mysql://u:p%40@a,b:3307,[::1]:3308/name?tls=true")
	want := []string{"mysql://u:p%40@a/name?tls=true", "mysql://u:p%40@b:3307/name?tls=true", "mysql://u:p%40@[::1]:3308/name?tls=true"}
	if !slices.Equal(got, want) {
		t.Errorf("%q", got)
	}
	checkOpenError(t, "mysql://u:secret@127.0.0.1:1,127.0.0.1:2/name", "no host of the database takes writes: 1 does not answer, 2 does not answer")
	checkOpenError(t, "postgres://u:secret@127.0.0.1:1,127.0.0.1:2/name", "no host of the database takes writes: 1 does not answer, 2 does not answer")
	checkOpenError(t, "postgres://u:secret@127.0.0.1:1,127.0.0.1:2/name?target_session_attrs=standby", "of several hosts the one that takes writes is used")
	checkOpenError(t, "mysql://u:secret@127.0.0.1:1,127.0.0.1:2/", "names no database")
	for _, hosts := range []string{"127.0.0.1:1,", ",127.0.0.1:1", "127.0.0.1:1,:2"} {
		checkOpenError(t, "mysql://u:secret@"+hosts+"/name", "a host is missing between the commas")
		checkOpenError(t, "postgres://u:secret@"+hosts+"/name", "a host is missing between the commas")
	}
}
