package cluster_test

import (
	"fmt"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"rollcall/cluster/clustertest"
)

var databases atomic.Int64

// fresh creates an empty database at the nodes, and returns the settings by which servers have it.
func fresh(t *testing.T, c *clustertest.Cluster) (settings []string) {
	t.Helper()
	name := fmt.Sprintf("fresh%d", databases.Add(1))
	node := writer(t, c)
	if node > 0 {
		if out, err := c.SQL(node, "CREATE DATABASE "+name); err != nil {
			t.Fatal(out, err)
		}
		t.Cleanup(func() { _, _ = c.SQL(node, "DROP DATABASE "+name) }) // the set-up is deleted anyway
	}
	c.Do(t, "settle")
	return []string{"CLUSTER_DATABASE=" + name}
}

// writer returns a node that takes writes; 0: there are none.
func writer(t *testing.T, c *clustertest.Cluster) (node int) {
	t.Helper()
	switch c.Kind {
	case "sqlite":
		return 0
	case "galera":
		return 1
	}
	node, err := strconv.Atoi(c.Do(t, "primary"))
	if err != nil {
		t.Fatal(err)
	}
	return node
}

// rounds is how often all begin at once.
func rounds(t *testing.T) int {
	t.Helper()
	return number(t, "ROLLCALL_TEST_CLUSTER_STARTS", 1)
}

func TestOneMigratesAndTheOthersWaitWhicheverNodesTheyAreAt(t *testing.T) {
	each(t, func(t *testing.T, c *clustertest.Cluster) {
		program := built(t)
		for range rounds(t) {
			settings := fresh(t, c)
			urls := make([]string, len(c.Servers))
			for i := range urls {
				urls[i] = c.With(t, settings, "url", strconv.Itoa(i+1))
			}
			said := make([]string, len(urls))
			var all sync.WaitGroup
			for i, url := range urls {
				all.Go(func() {
					out, err := exec.CommandContext(t.Context(), program, "migrate", "--database", url).CombinedOutput()
					if err != nil {
						t.Errorf("server %d: %v", i+1, err)
					}
					said[i] = strings.TrimSpace(string(out))
				})
			}
			all.Wait()
			idle := 0
			for _, text := range said {
				if strings.HasSuffix(text, "applied: 0.") {
					idle++
				}
			}
			if idle != len(said)-1 {
				t.Errorf("not one has migrated: %q", said)
			}
		}
	})
}

func TestDemoDataAreLoadedOnceWhicheverNodesServersStartAt(t *testing.T) {
	each(t, func(t *testing.T, c *clustertest.Cluster) {
		defer c.Restart(t)
		for range rounds(t) {
			settings := append(fresh(t, c), "CLUSTER_FLAGS=--migrate --demo")
			for i := range c.Servers {
				c.Do(t, "stop-server", strconv.Itoa(i+1))
			}
			failed := make([]error, len(c.Servers))
			var all sync.WaitGroup
			for i := range c.Servers {
				all.Go(func() { failed[i] = c.Try(settings, "server", strconv.Itoa(i+1)) })
			}
			all.Wait()
			for i, err := range failed {
				if err != nil {
					t.Errorf("server %d: %v", i+1, err)
				}
			}
			c.Do(t, "settle")
			for i, server := range c.Servers {
				if failed[i] != nil {
					continue
				}
				a := clustertest.Client{Base: server}.Send(t.Context(), `{ users { totalCount } teams { totalCount } }`, nil)
				if a.At("users", "totalCount") != 1000.0 || a.At("teams", "totalCount") != 50.0 {
					t.Errorf("%s: %s", server, a)
				}
			}
		}
	})
}
