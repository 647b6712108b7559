package cluster_test

import (
	"cmp"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"rollcall/cluster/clustertest"
)

// upgradeFrom is the first commit from which servers can be upgraded one after the other. ROLLCALL_TEST_CLUSTER_FROM names another commit, or a program.
const upgradeFrom = "13afef95bfb9be5a06374ae4abf1cb7eafc53283"

// older returns the program that is upgraded.
func older(t *testing.T) string {
	t.Helper()
	from := cmp.Or(os.Getenv("ROLLCALL_TEST_CLUSTER_FROM"), upgradeFrom)
	if filepath.IsAbs(from) {
		return from
	}
	repository, tree := filepath.Dir(clustertest.Folder()), filepath.Join(t.TempDir(), "older")
	command(t, repository, "git", "worktree", "add", "--quiet", "--detach", tree, from)
	defer command(t, repository, "git", "worktree", "remove", "--force", tree)
	return build(t, tree, "rollcall-"+from)
}

// replace ends a server and starts it again, and waits until haproxy sends it requests.
func replace(t *testing.T, c *clustertest.Cluster, n int, settings []string, program ...string) {
	t.Helper()
	c.Do(t, "stop-server", strconv.Itoa(n))
	c.With(t, settings, append([]string{"server", strconv.Itoa(n)}, program...)...)
	eventually(t, "it is ready", func() bool { return clustertest.Ready(c.Servers[n-1]) })
	time.Sleep(time.Second)
}

func TestARollingRestartBehindHAProxyFailsNoRequest(t *testing.T) {
	each(t, func(t *testing.T, c *clustertest.Cluster) {
		pair(t, c)
		load := clustertest.Begin(t, 8, c.Proxy)
		rounds := number(t, "ROLLCALL_TEST_CLUSTER_ROUNDS", 1)
		for range rounds {
			for i := range c.Servers {
				replace(t, c, i+1, nil)
			}
		}
		load.End()
		c.Settle(t)
		load.Verify(t, c.Servers).Faultless(t)
		t.Logf("%d rounds", rounds)
	})
}

// TestARollingUpgradeAndBackFailsNoRequest replaces the servers of an older program one after the other, after the newer one has migrated, and takes that
// back, which the older one must not notice.
func TestARollingUpgradeAndBackFailsNoRequest(t *testing.T) {
	each(t, func(t *testing.T, c *clustertest.Cluster) {
		pair(t, c)
		before, after := older(t), built(t)
		settings := fresh(t, c)
		defer c.Restart(t)
		url := c.With(t, settings, "url", "1")
		command(t, ".", before, "migrate", "--database", url)
		c.Do(t, "settle")
		for i := range c.Servers {
			replace(t, c, i+1, settings, before)
		}
		load := clustertest.Begin(t, 8, c.Proxy)
		t.Log(command(t, ".", after, "migrate", "--database", url))
		for _, program := range []string{after, before} {
			for i := range c.Servers {
				replace(t, c, i+1, settings, program)
				done := load.Successes()
				eventually(t, "both programs take mutations", func() bool { return load.Successes() > done+50 })
			}
		}
		load.End()
		c.Settle(t)
		load.Verify(t, c.Servers).Faultless(t)
	})
}
