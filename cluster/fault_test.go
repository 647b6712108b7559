package cluster_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"testing"
	"time"

	"rollcall/cluster/clustertest"
)

// fault makes something go wrong, and returns what puts it right.
type fault func(t *testing.T, c *clustertest.Cluster) (mend func())

// faults are what is tried on each kind of set-up, in turns.
var faults = map[string][]fault{
	"galera": {
		named("a node is killed", "kill-node", "node", nodes),
		named("a node is cut off", "cut", "heal", nodes),
		named("a server is killed", "kill-server", "server", servers),
	},
	"group": {
		named("a node is killed", "kill-node", "node", nodes),
		named("a node stands still", "cut", "heal", nodes),
		named("a server is killed", "kill-server", "server", servers),
	},
	"postgres": {
		failover("the primary is killed", "kill-node"),
		failover("the primary stands still", "cut"),
		standby,
		named("a server is killed", "kill-server", "server", servers),
	},
	"sqlite": {named("a server is killed", "kill-server", "server", servers)},
}

func nodes(c *clustertest.Cluster) int   { return c.Nodes }
func servers(c *clustertest.Cluster) int { return len(c.Servers) }

// named is a fault that the script makes of one node or server, and mends.
func named(what, command, mend string, of func(c *clustertest.Cluster) int) fault {
	return func(t *testing.T, c *clustertest.Cluster) func() {
		n := strconv.Itoa(1 + rand.IntN(of(c)))
		t.Logf("%s: %s", what, n)
		c.Do(t, command, n)
		return func() { c.Do(t, mend, n) }
	}
}

// failover makes the standby the primary, after a fault of the primary, which becomes the standby later.
func failover(what, command string) fault {
	return func(t *testing.T, c *clustertest.Cluster) func() {
		t.Log(what)
		old := c.Do(t, "primary")
		c.Do(t, command, old)
		c.Do(t, "promote")
		return func() {
			c.Do(t, "heal", old) // where it lives it takes itself for the primary, but no standby has its commits
			time.Sleep(time.Second)
			c.Do(t, "kill-node", old)
			c.Do(t, "node", old)
		}
	}
}

// standby is a fault during which commits wait.
func standby(t *testing.T, c *clustertest.Cluster) func() {
	t.Log("the standby is killed")
	other := map[string]string{"1": "2", "2": "1"}[c.Do(t, "primary")]
	c.Do(t, "kill-node", other)
	return func() { c.Do(t, "node", other) }
}

// down is how long a fault lasts.
const down = 8 * time.Second

func TestKillsAndCutsLoseNothingThatWasAcknowledgedAndTellNothingWrong(t *testing.T) {
	each(t, func(t *testing.T, c *clustertest.Cluster) {
		pair(t, c)
		all := faults[c.Kind]
		load := clustertest.Begin(t, 12, append(slices.Clone(c.Servers), c.Proxy)...)
		pauses := make([][]time.Duration, len(all)) // of requests by way of haproxy
		for i := range number(t, "ROLLCALL_TEST_CLUSTER_FAULTS", len(all)) {
			began := time.Now()
			mend := all[i%len(all)](t, c)
			time.Sleep(down)
			mend()
			before := load.Successes()
			eventually(t, "mutations succeed", func() bool { return load.Successes() > before+20 })
			pauses[i%len(all)] = append(pauses[i%len(all)], load.Pause(c.Proxy, began, time.Now()))
		}
		time.Sleep(2 * time.Second)
		load.End()
		c.Settle(t)
		load.Verify(t, c.Servers).Check(t)
		for i, of := range pauses {
			t.Logf("longest time without a success by way of haproxy, fault %d: %s", i+1, seconds(of))
		}
	})
}

func seconds(all []time.Duration) (text string) {
	for _, d := range all {
		text += fmt.Sprintf("%.1f s ", d.Seconds())
	}
	return text
}

// TestAnAcknowledgedMutationIsAtTheStandby has the standby stand still while a mutation is stored. Then the primary is lost.
func TestAnAcknowledgedMutationIsAtTheStandby(t *testing.T) {
	each(t, func(t *testing.T, c *clustertest.Cluster) {
		old := c.Do(t, "primary")
		other := map[string]string{"1": "2", "2": "1"}[old]
		load := clustertest.Begin(t, 4, c.Servers...)
		eventually(t, "mutations succeed", func() bool { return load.Successes() > 20 })
		c.Do(t, "cut", other)
		time.Sleep(time.Second) // what the standby had before is answered
		before := load.Successes()
		time.Sleep(15 * time.Second) // longer than a COMMIT may take
		if n := load.Successes() - before; n > 0 {
			t.Errorf("%d mutations were acknowledged that the standby did not have", n)
		}
		c.Do(t, "kill-node", old)
		c.Do(t, "heal", other)
		c.Do(t, "promote")
		load.End()
		c.Do(t, "node", old)
		c.Settle(t)
		load.Verify(t, c.Servers).Check(t)
	}, "postgres")
}
